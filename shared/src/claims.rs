//! What is claimed of a model by its maker, behind the blob and under its signature: what it takes to run it, and
//! how it answers.
//!
//! It owns the 32 bytes that lie there ([`Claims::encode`]), the known answers ([`answers`]) and what is said where
//! claims do not hold ([`Unmet`]); it must not know who checks them. By the first a device refuses a model that it
//! cannot use before the model is sent, by the second it sees that it computes what the maker computed. `FORMAT.md` has
//! the bytes. They end with no checksum of their own: the CRC-32 of a page that ends with a CRC-32 would not tell one
//! claim from another, and a transfer compares pages by it.

use serde::{Deserialize, Serialize};

use crate::blob::{Model, total_len};
use crate::header::CRC;
use crate::network::{ArenaError, held, input_place, run};
use crate::rng::XorShift32;

/// Inputs of a self-test; [`answers`] takes as many inferences.
pub const N_INPUTS: usize = 2;
/// What their numbers begin with.
const SEED: u32 = 0x4150_4C59;
/// Longest run of one value in the last input: channels that noise leaves at their clamp see areas and edges there.
const LONGEST_RUN: u32 = 8;
const MAGIC: [u8; 8] = *b"CLAIMS\0\x01";

/// What is claimed of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Claims {
    /// Height, width and channels of its images.
    pub input: [u16; 3],
    /// Its outputs.
    pub outputs: u16,
    /// Inputs of its last layer.
    pub features: u32,
    /// Its [`answers`].
    pub answers: u32,
}

/// What is claimed of a model and does not hold on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Unmet {
    /// Another shape of images than the device gives.
    #[error(
        "the model takes images of {got:?} (height, width, channels), the device gives {want:?}: train for these"
    )]
    Input {
        /// Of the model.
        got: [u16; 3],
        /// Of the device.
        want: [u16; 3],
    },
    /// The model is another one than its claims say.
    #[error(
        "the model has other images, outputs or features than is claimed of it: sign it again with `aplysia model sign`"
    )]
    Model,
    /// The device computes other scores than are claimed.
    #[error(
        "self-test: the device computes other scores ({got:#010x}) than are claimed of the model ({want:#010x}): sign it \
         again with `aplysia model sign`; if that does not help, replace the device"
    )]
    Answers {
        /// Digest of the device's scores: [`answers`].
        got: u32,
        /// That of the claims.
        want: u32,
    },
}

impl Claims {
    /// Length of [`Claims::encode`].
    pub const BYTES: usize = 32;

    /// Those that `model` keeps, its answers computed in `arena`: `2 = N_INPUTS` inferences.
    ///
    /// # Errors
    /// [`ArenaError::Arena`].
    pub fn of(model: &Model<'_>, arena: &mut [i8]) -> Result<Self, ArenaError> {
        let answers = answers(model, arena)?;
        Ok(Self {
            answers,
            ..Self::unanswered(model)
        })
    }

    /// Those that `model` keeps but for its answers, which are 0.
    pub(crate) fn unanswered(model: &Model<'_>) -> Self {
        let input = model.input();
        Self {
            input: [input.h, input.w, input.c],
            outputs: model.output().c,
            features: model.features().len() as u32,
            answers: 0,
        }
    }

    /// Those behind the blob at the start of `bytes`, if there are any.
    pub fn behind(bytes: &[u8]) -> Option<Self> {
        let len = total_len(bytes).ok()?;
        Self::decode(bytes.get(len..)?.first_chunk()?)
    }

    /// The bytes that lie behind the blob.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let [h, w, c] = self.input.map(u16::to_le_bytes);
        let fields: [&[u8]; 7] = [
            &MAGIC,
            &h,
            &w,
            &c,
            &self.outputs.to_le_bytes(),
            &self.features.to_le_bytes(),
            &self.answers.to_le_bytes(),
        ];
        let mut bytes = [0; Self::BYTES];
        for (to, &from) in bytes.iter_mut().zip(fields.into_iter().flatten()) {
            *to = from;
        }
        bytes
    }

    fn decode(bytes: &[u8; Self::BYTES]) -> Option<Self> {
        let mut fields = bytes.get(MAGIC.len()..)?.as_chunks::<2>().0.iter();
        let mut short = || fields.next().copied().map(u16::from_le_bytes);
        let input = [short()?, short()?, short()?];
        let outputs = short()?;
        let mut word = || Some(u32::from(short()?) | u32::from(short()?) << 16);
        let claims = Self {
            input,
            outputs,
            features: word()?,
            answers: word()?,
        };
        // Magic and zeros with it.
        (claims.encode() == *bytes).then_some(claims)
    }
}

/// CRC-32 (IEEE) of the scores, i8 each, that `model` gives in `arena` for [`N_INPUTS`] inputs, one after the other.
///
/// They are made of [`XorShift32`]'s numbers `n` from one fixed seed. The first is noise: each number's 4 bytes from
/// the low one on as i8. The second has the lowest and the highest value only, in runs: each number gives
/// `1 + floor(n / 256) mod 8` times −128 if `n < 2^31`, else 127. What goes beyond the end of an input is dropped. They
/// are made where the model reads them: no other memory is needed.
///
/// # Errors
/// [`ArenaError::Arena`].
pub fn answers(model: &Model<'_>, arena: &mut [i8]) -> Result<u32, ArenaError> {
    let (got_bytes, want_bytes) = (arena.len(), model.arena_bytes());
    if got_bytes < want_bytes {
        return Err(ArenaError::Arena {
            got_bytes,
            want_bytes,
        });
    }
    let mut rng = XorShift32::new(SEED);
    let mut digest = CRC.digest();
    let make: [fn(&mut [i8], &mut XorShift32); N_INPUTS] = [noise, runs];
    for make in make {
        make(input_place(model, arena).unwrap_or_default(), &mut rng);
        run(model, arena, 0, &mut [], &mut ())?;
        // Looked at where the last layer left them.
        for score in held(arena, &model.output()).unwrap_or_default() {
            digest.update(&score.to_le_bytes());
        }
    }
    Ok(digest.finalize())
}

fn noise(input: &mut [i8], rng: &mut XorShift32) {
    for values in input.chunks_mut(4) {
        for (q, byte) in values.iter_mut().zip(rng.next_u32().to_le_bytes()) {
            *q = byte.cast_signed();
        }
    }
}

fn runs(input: &mut [i8], rng: &mut XorShift32) {
    let (mut left, mut value) = (0, 0);
    for q in input {
        if left == 0 {
            let number = rng.next_u32();
            left = 1 + (number >> 8) % LONGEST_RUN;
            value = match number >> 31 {
                0 => i8::MIN,
                _ => i8::MAX,
            };
        }
        *q = value;
        left -= 1;
    }
}
