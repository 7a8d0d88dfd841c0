//! Who may give a device its model: Ed25519 over a blob.
//!
//! It owns what is signed and how that is verified; it must not know where keys are kept. Signed are 128
//! bytes: bytes 0–63 of the header (lengths, CRC, id, update counter), the SHA-256 of everything
//! behind the header, and the claims that lie behind the blob. So every byte but the signature itself is covered, and
//! a signature is checked before a byte of the graph is decoded. A blob without claims, as it was signed before there
//! were any, has a signature of the first 96 of these bytes; it starts as before, and no
//! transfer to a device with a key takes it.
//!
//! Verification is the strict one of RFC 8032, section 5.1.7, with small-order keys refused (crate
//! `ed25519-dalek`).

use core::fmt;

use ed25519_dalek::{Signature, VerifyingKey};
use heapless::Vec;
use sha2::{Digest as _, Sha256};

use crate::blob::{BlobError, HEADER_BYTES, field, total_len};
use crate::claims::Claims;

/// Length of a public key.
pub const PUBLIC_KEY_BYTES: usize = 32;
/// Length of a signature.
pub const SIGNATURE_BYTES: usize = 64;
/// Length of what is signed, with claims.
pub const MESSAGE_BYTES: usize = field::SIGNATURE + DIGEST_BYTES + Claims::BYTES;
/// Length of the digest of a blob's body.
pub const DIGEST_BYTES: usize = 32;

/// Whose models a device takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Anybody's: for development only.
    #[default]
    Anyone,
    /// Those signed with the private half of this key.
    Key(PublicKey),
}

/// A public key and, by it alone, the code that verifies: a program that makes no key links none of it.
#[derive(Clone, Copy)]
pub struct PublicKey {
    bytes: [u8; PUBLIC_KEY_BYTES],
    verify: Verify,
}

/// Whether `signature` is of `message` by `key`.
type Verify = fn(
    key: &[u8; PUBLIC_KEY_BYTES],
    message: &[u8],
    signature: &[u8; SIGNATURE_BYTES],
) -> Result<(), TrustError>;

impl PublicKey {
    /// Of these bytes, whatever they are: what is none verifies nothing.
    pub const fn new(bytes: [u8; PUBLIC_KEY_BYTES]) -> Self {
        Self {
            bytes,
            verify: verify_strict,
        }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.bytes).finish()
    }
}

/// Why a blob is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TrustError {
    /// It is no blob, or not all of one.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The public key is no point of the curve, or of small order.
    #[error(
        "the public key is no Ed25519 key: build the firmware with what `aplysia key show` prints"
    )]
    Key,
    /// The signature is zeros.
    #[error("the model is unsigned: sign it with `aplysia model sign`")]
    Unsigned,
    /// The signature does not belong to this key and these bytes.
    #[error("the model's signature is wrong: it was changed, or signed with another key")]
    Wrong,
}

/// SHA-256 of everything behind the header of the blob at the start of `bytes`.
///
/// # Errors
/// It is no blob or a truncated one; nothing behind the length is looked at.
pub fn body_digest(bytes: &[u8]) -> Result<[u8; DIGEST_BYTES], BlobError> {
    let len = total_len(bytes)?;
    let body = bytes.get(HEADER_BYTES..len).unwrap_or_default();
    Ok(Sha256::digest(body).into())
}

/// What is signed of the blob at the start of `bytes` and of the claims behind it, if there are any.
///
/// # Errors
/// As [`body_digest`].
pub fn message(bytes: &[u8]) -> Result<Vec<u8, MESSAGE_BYTES>, BlobError> {
    let digest = body_digest(bytes)?;
    Ok(message_of(bytes, &digest, Claims::behind(bytes)))
}

/// What is signed of a blob that begins with `header`, whose body has the digest `digest`, and of `claims`.
fn message_of(
    header: &[u8],
    digest: &[u8; DIGEST_BYTES],
    claims: Option<Claims>,
) -> Vec<u8, MESSAGE_BYTES> {
    let signed = header.get(..field::SIGNATURE).unwrap_or_default();
    let claims = claims.map(|claims| claims.encode());
    let claims = claims.as_ref().map_or(&[][..], |claims| claims);
    let mut message = Vec::new();
    for part in [signed, digest, claims] {
        // There is room: `MESSAGE_BYTES`.
        let _ = message.extend_from_slice(part);
    }
    message
}

impl Trust {
    /// Whether the blob at the start of `bytes` may be used; `Anyone` accepts whatever it is.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn verify(&self, bytes: &[u8]) -> Result<(), TrustError> {
        match self {
            Self::Anyone => Ok(()),
            Self::Key(_) => self.verify_header(bytes, &body_digest(bytes)?, Claims::behind(bytes)),
        }
    }

    /// Checks the signature over `header`, `digest` and `claims`. The caller must check later that the body has this
    /// digest and that these claims follow it.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn verify_header(
        &self,
        header: &[u8],
        digest: &[u8; DIGEST_BYTES],
        claims: Option<Claims>,
    ) -> Result<(), TrustError> {
        let Self::Key(key) = self else {
            return Ok(());
        };
        let signature = header.get(field::SIGNATURE..).and_then(|b| b.first_chunk());
        let signature: &[u8; SIGNATURE_BYTES] = signature.ok_or(TrustError::Unsigned)?;
        if signature.iter().all(|&byte| byte == 0) {
            return Err(TrustError::Unsigned);
        }
        (key.verify)(&key.bytes, &message_of(header, digest, claims), signature)
    }
}

// Not in the caller's frame: the points of the curve take several KiB of stack.
#[inline(never)]
fn verify_strict(
    key: &[u8; PUBLIC_KEY_BYTES],
    message: &[u8],
    signature: &[u8; SIGNATURE_BYTES],
) -> Result<(), TrustError> {
    let key = VerifyingKey::from_bytes(key).map_err(|_| TrustError::Key)?;
    if key.is_weak() {
        return Err(TrustError::Key);
    }
    key.verify_strict(message, &Signature::from_bytes(signature))
        .map_err(|_| TrustError::Wrong)
}
