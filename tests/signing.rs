//! Signatures: every byte of a blob is covered, keys are told apart; and the commands that make them.

use crate::program::aplysia_binary;
use crate::slots::{self, claiming, key, release, trust};
use crate::toy;
use aplysia_shared::Claims;
use aplysia_shared::blob::{HEADER_BYTES, set_signature};
use aplysia_shared::signature::{PublicKey, Trust, TrustError};
use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use ed25519_dalek::{Signer as _, SigningKey};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};
use tempfile::TempDir;

fn aplysia(folder: &TempDir, args: &[&str]) -> Output {
    let mut command = Command::new(aplysia_binary());
    command.current_dir(folder).args(args).output().unwrap()
}

fn done(folder: &TempDir, args: &[&str]) -> String {
    let output = aplysia(folder, args);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {message}");
    String::from_utf8(output.stdout).unwrap()
}

fn refused(folder: &TempDir, args: &[&str], word: &str) {
    let output = aplysia(folder, args);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {message}");
    assert!(message.contains(word), "no `{word}` in: {message}");
}

#[test]
fn a_signed_model_is_told_from_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let blob = folder.path().join("model.blob");
    fs::write(&blob, toy::measured(3)).unwrap();
    let public = done(&folder, &["key", "new", "a.pem"]);
    let public = public.trim();
    let mode = fs::metadata(folder.path().join("a.pem"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!((public.len(), mode & 0o777), (64, 0o600));
    assert_eq!(done(&folder, &["key", "show", "a.pem"]).trim(), public);
    refused(
        &folder,
        &["key", "new", "a.pem"],
        "a.pem is not overwritten",
    );
    let other = done(&folder, &["key", "new", "b.pem"]);
    assert_ne!(other.trim(), public);

    let verify = ["model", "verify", "model.blob", "--key"];
    let with = |key: &'static str| [verify.as_slice(), &[key]].concat();
    refused(&folder, &with("a.pem"), "unsigned");
    let sign = [
        "model",
        "sign",
        "model.blob",
        "--key",
        "a.pem",
        "--counter",
        "7",
    ];
    let unnumbered = aplysia(&folder, &sign[..5]);
    let warning = String::from_utf8_lossy(&unnumbered.stderr).into_owned();
    assert!(unnumbered.status.success() && warning.contains("--counter 1"));
    assert!(done(&folder, &sign).contains("counter 7"));
    assert!(done(&folder, &[verify.as_slice(), &[public]].concat()).contains("counter 7"));
    let bytes = fs::read(&blob).unwrap();
    let claims = Claims::behind(&bytes).unwrap();
    let answers = format!("self-test {:08x}", claims.answers);
    assert!(done(&folder, &with("a.pem")).contains(&answers));
    assert!(done(&folder, &with("a.pem")).contains(public));
    refused(&folder, &with("b.pem"), "signature is wrong");
    refused(&folder, &with("abc"), "64 hexadecimal digits");
    // Signed again without a counter it keeps its own.
    assert!(done(&folder, &sign[..5]).contains("counter 7"));

    // Claims that are signed and untrue, and none, by the same key.
    let pem = fs::read_to_string(folder.path().join("a.pem")).unwrap();
    let key = SigningKey::from_pkcs8_pem(&pem).unwrap();
    let mut bytes = claiming(&bytes, |claims| claims.answers ^= 1);
    slots::sign(&mut bytes, &key);
    fs::write(&blob, &bytes).unwrap();
    refused(&folder, &with("a.pem"), "computes other scores");
    bytes.truncate(bytes.len() - Claims::BYTES);
    slots::sign(&mut bytes, &key);
    fs::write(&blob, &bytes).unwrap();
    refused(&folder, &with("a.pem"), "by an older version");
    bytes[HEADER_BYTES] ^= 1;
    fs::write(&blob, &bytes).unwrap();
    refused(&folder, &with("a.pem"), "signature is wrong");
    refused(&folder, &sign, "not a blob");
    refused(
        &folder,
        &["key", "show", "model.blob"],
        "no Ed25519 private key",
    );
}

#[test]
fn no_byte_of_a_signed_blob_can_change() {
    let (blob, trust) = (release(3, 7), trust(&key(1)));
    trust.verify(&blob).unwrap();
    for at in 0..blob.len() {
        let mut changed = blob.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(trust.verify(&changed).is_err(), "byte {at}");
    }
    let mut longer = blob.clone();
    longer.extend([0xFF; 100]);
    trust.verify(&longer).unwrap();
    let whole = blob.len() - Claims::BYTES;
    assert_eq!(trust.verify(&blob[..whole]), Err(TrustError::Wrong));
    for len in (0..whole).step_by(97).chain([HEADER_BYTES - 1]) {
        assert!(
            matches!(trust.verify(&blob[..len]), Err(TrustError::Blob(_))),
            "{len}"
        );
    }
}

#[test]
fn keys_are_told_apart_and_weak_ones_refused() {
    let blob = release(3, 7);
    assert_eq!(trust(&key(2)).verify(&blob), Err(TrustError::Wrong));
    // y = 1 is the neutral element: with it anything verifies in a lax verification.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut forged = blob.clone();
    let mut signature = [0; 64];
    signature[0] = 1;
    set_signature(&mut forged, &signature);
    assert_eq!(
        Trust::Key(PublicKey::new(neutral)).verify(&forged),
        Err(TrustError::Key)
    );
    // Half of all numbers are no coordinate of a point.
    let off_curve = |y: u8| {
        let mut key = [0; 32];
        key[0] = y;
        Trust::Key(PublicKey::new(key)).verify(&blob) == Err(TrustError::Key)
    };
    assert!((2..40).any(off_curve) && !(2..40).all(off_curve));
    assert_eq!(Trust::Anyone.verify(&forged), Ok(()));
}

/// RFC 8032, section 7.1, test 2: key and signature of another implementation.
#[test]
fn keys_are_those_of_rfc_8032() {
    let hex = |text: &str| -> Vec<u8> {
        let digit = |i: usize| u8::from_str_radix(&text[i..i + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(digit).collect()
    };
    let secret = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
    let public = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    let key = SigningKey::from_bytes(&secret.try_into().unwrap());
    assert_eq!(key.verifying_key().to_bytes().to_vec(), public);
    let signature = key.sign(&[0x72]).to_bytes().to_vec();
    assert_eq!(
        signature,
        hex(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        )
    );
}
