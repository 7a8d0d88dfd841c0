//! Whose models this program takes: the public key it was built with, if any.
//!
//! Owns the reading of `APLYSIA_PUBLIC_KEY` at build time; the verification is `shared::signature`'s.

use aplysia_shared::signature::{PUBLIC_KEY_BYTES, PublicKey, Trust};

/// Of the key in `APLYSIA_PUBLIC_KEY` (64 hexadecimal digits) when the program was built; anybody's
/// models if it was not set.
pub const TRUST: Trust = match option_env!("APLYSIA_PUBLIC_KEY") {
    Some(text) if !text.is_empty() => Trust::Key(PublicKey::new(key(text.as_bytes()))),
    _ => Trust::Anyone,
};

/// The build fails if `text` is no key.
const fn key(text: &[u8]) -> [u8; PUBLIC_KEY_BYTES] {
    assert!(
        text.len() == 2 * PUBLIC_KEY_BYTES,
        "APLYSIA_PUBLIC_KEY must be the 64 hexadecimal digits that `aplysia key show` prints"
    );
    let mut key = [0; PUBLIC_KEY_BYTES];
    let mut i = 0;
    while i < PUBLIC_KEY_BYTES {
        key[i] = digit(text[2 * i]) << 4 | digit(text[2 * i + 1]);
        i += 1;
    }
    key
}

const fn digit(text: u8) -> u8 {
    match text {
        b'0'..=b'9' => text - b'0',
        b'a'..=b'f' => text - b'a' + 10,
        _ => panic!("APLYSIA_PUBLIC_KEY must be lower-case hexadecimal digits"),
    }
}
