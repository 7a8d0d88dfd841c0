//! The scores of an inference: where they lie on the device, and as they arrive at the host.
//!
//! Owns their encoding: a length, then a byte each. A message that borrows them costs the device no copy.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One i8 per output.
#[derive(Clone, Copy, Debug)]
pub enum Scores<'a> {
    /// Of the model.
    Computed(&'a [i8]),
    /// As bytes of a message.
    Received(&'a [u8]),
}

impl<'a> Scores<'a> {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = i8> + use<'a> {
        let (computed, received): (&[i8], &[u8]) = match *self {
            Self::Computed(scores) => (scores, &[]),
            Self::Received(bytes) => (&[], bytes),
        };
        let received = received.iter().map(|byte| byte.cast_signed());
        computed.iter().copied().chain(received)
    }
}

impl PartialEq for Scores<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Serialize for Scores<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Computed(scores) => scores.serialize(serializer),
            Self::Received(bytes) => serializer.serialize_bytes(bytes),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scores<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Self::Received)
    }
}
