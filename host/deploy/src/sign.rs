//! Keys, and signatures of blobs by them.
//!
//! Owns the key file (PKCS#8 in PEM, which `openssl genpkey -algorithm ed25519` writes as well) and the
//! act of signing; what is signed and how devices verify it is [`aplysia_shared::signature`]'s.

use crate::hex;
use aplysia_shared::blob::{BlobError, set_counter, set_signature};
use aplysia_shared::signature::{PUBLIC_KEY_BYTES, PublicKey, Trust, message};
use aplysia_shared::{ArenaError, Claims, Model};
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use ed25519_dalek::{Signer as _, SigningKey};
use rand::TryRngCore as _;

/// Why a key is refused, or what it is to sign.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The system has no randomness to give.
    #[error("the system gives no random bytes for a key")]
    Random(#[source] rand::rand_core::OsError),
    /// Not a private key.
    #[error("no Ed25519 private key in PKCS#8 PEM: make one with `aplysia key new`")]
    Private,
    /// Not a model to sign.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// Its answers could not be computed: a bug.
    #[error(transparent)]
    Arena(#[from] ArenaError),
    /// Not a public key.
    #[error(
        "`{0}` is no public key: give the 64 hexadecimal digits that `aplysia key show` prints"
    )]
    Public(String),
}

/// A private key, for signing.
pub struct Key(SigningKey);

impl Key {
    /// A new one from the system's randomness.
    ///
    /// # Errors
    /// The system has none.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        rand::rngs::OsRng
            .try_fill_bytes(&mut seed)
            .map_err(KeyError::Random)?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// From the text of a key file.
    ///
    /// # Errors
    /// It is none.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        SigningKey::from_pkcs8_pem(text)
            .map(Self)
            .map_err(|_| KeyError::Private)
    }

    /// The text of a key file. Whoever reads it can sign.
    ///
    /// # Errors
    /// The key cannot be encoded.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let pem = self.0.to_pkcs8_pem(LineEnding::LF);
        pem.map(|text| text.to_string())
            .map_err(|_| KeyError::Private)
    }

    /// The public half, 64 hexadecimal digits.
    pub fn public_hex(&self) -> String {
        hex(&self.0.verifying_key().to_bytes())
    }

    /// Signs the blob at the start of `blob`, with update counter `counter` unless it stays as it is, and the claims
    /// that its model keeps, which take the place of whatever lies behind it. Two inferences.
    ///
    /// # Errors
    /// It is no blob this runtime accepts.
    pub fn sign(&self, blob: &mut Vec<u8>, counter: Option<u64>) -> Result<(), KeyError> {
        let model = Model::parse(blob)?;
        let (kept, len) = (model.counter(), model.blob_bytes());
        let claims = Claims::of(&model, &mut vec![0; model.arena_bytes()])?;
        blob.truncate(len);
        blob.extend(claims.encode());
        set_counter(blob, counter.unwrap_or(kept));
        let signature = self.0.sign(&message(blob)?);
        set_signature(blob, &signature.to_bytes());
        Ok(())
    }
}

/// The trust in one public key, given as 64 hexadecimal digits.
///
/// # Errors
/// It is something else.
pub fn trust(public_hex: &str) -> Result<Trust, KeyError> {
    let wrong = || KeyError::Public(public_hex.to_owned());
    let digits: Option<Vec<u8>> = public_hex
        .trim()
        .chars()
        .map(|c| c.to_digit(16).map(|digit| digit as u8))
        .collect();
    let digits = digits.ok_or_else(wrong)?;
    if digits.len() != 2 * PUBLIC_KEY_BYTES {
        return Err(wrong());
    }
    let mut key = [0; PUBLIC_KEY_BYTES];
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    Ok(Trust::Key(PublicKey::new(key)))
}
