//! The header of the learned state, which makes the buffer a snapshot.
//!
//! It owns the fields in front of the state and their checks; it must not know what the state means.
//!
//! | byte | field |
//! |---|---|
//! | 0 | magic `APLS` |
//! | 4 | version u16: 1, and 1 more with domain slots, 2 more with terms behind the state |
//! | 6 | momentum shift u8, 0 = no homeostasis |
//! | 7 | head u8: 0 base, 1 instar, 2 delta, 3 perceptron, 4 reward, 5 deep |
//! | 8 | shift or rate of the head u16 |
//! | 10 | margin of the perceptron u8, else zero; feedback of deep u8, 0 random, 1 signs, else zero |
//! | 12 | length of the snapshot in bytes u32, header included |
//! | 16 | id of the base model, 16 bytes |
//! | 32 | seed u32, state of the generator u32 |
//! | 40 | images seen u32, labels u32, mistakes u32 |
//! | 52 | deep: RAM for the layers below the head in bytes u32, their rate u16; else zero |
//! | 58 | images that homeostasis followed u16, 65,536 as 32,768; without it zero |
//! | 60 | CRC-32 (IEEE) of everything but these 4 bytes u32 |
//!
//! | 64 | per homeostatic layer, in order: mean i32 × O, mean absolute deviation i32 × O |
//! | then | instar: prototypes i16 `[K][d]`; heads 2 to 5: weights i8 `[K][d]`, biases i32 × K |
//! | then | deep: per layer, weights i8 `[O][I]`, padded to 4, biases i32 × O |
//! | then | versions 2 and 4: slots u8 (+ 128: the base is sealed), slot in use u8, `open` u16, `evidence` u16, slots that are judged u16 (a bit each) |
//! | then | versions 2 and 4: per slot, when it was left last i32 (0 = empty), images followed i32, a state as from byte 64 |
//! | then | versions 3 and 4: [`Terms`], postcard, padded with zeros to 64 bytes |
//!
//! All little-endian.

use super::deep::{Deep, Feedback};
use super::terms::Terms;
use super::{AdaptError, Config, Counters, Head};
use crate::header::{CRC_WORD, HEADER_BYTES, digest, sealed};
use crate::quant::i32_at;

const MAGIC: [u8; 4] = *b"APLS";
/// Version of a state alone.
pub(crate) const ALONE: u16 = 1;
/// Added to the version.
pub(crate) const SLOTS: u16 = 1;
/// Added to the version.
pub(crate) const TERMS: u16 = 2;
/// Code of the one head with a margin.
const PERCEPTRON: u8 = 3;
/// Code of the one head with layers below.
const DEEP: u8 = 5;

/// What the state belongs to and how far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) config: Config,
    pub(crate) model: [u8; 16],
    pub(crate) seed: u32,
    pub(crate) rng: u32,
    pub(crate) counters: Counters,
    /// See [`super::homeostasis`].
    pub(crate) followed: u16,
}

/// What a whole snapshot holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'s> {
    pub(crate) header: Header,
    /// The state, and slots if there are any.
    pub(crate) body: &'s [u8],
    /// Whether slots stand behind the state.
    pub(crate) with_slots: bool,
    pub(crate) terms: Option<Terms>,
}

impl Header {
    /// The header's bytes with the checksum over them and `body`: the state, and what `version` adds to it.
    pub(crate) fn encode(&self, body: &[u8], version: u16) -> [u8; HEADER_BYTES] {
        let mut below = 0;
        let mut feedback = 0;
        let (head, number, margin) = match self.config.head {
            Head::Deep { rate, deep } => {
                below = u64::from(deep.ram_bytes) | u64::from(deep.rate) << 32;
                feedback = u8::from(deep.feedback == Feedback::Signs);
                (DEEP, rate, 0)
            }
            Head::Base => (0, 0, 0),
            Head::Instar { shift } => (1, u16::from(shift), 0),
            Head::Delta { rate } => (2, rate, 0),
            Head::Perceptron { rate, margin } => (PERCEPTRON, rate, margin),
            Head::Reward { rate } => (4, rate, 0),
        };
        let below = (below | u64::from(self.followed) << 48).to_le_bytes();
        let Counters {
            seen,
            labels,
            mistakes,
        } = self.counters;
        let words = [self.seed, self.rng, seen, labels, mistakes].map(u32::to_le_bytes);
        let bytes = u32::try_from(HEADER_BYTES + body.len()).unwrap_or(u32::MAX);
        let fields: [&[u8]; 9] = [
            &MAGIC,
            &version.to_le_bytes(),
            &[self.config.homeostasis.unwrap_or(0), head],
            &number.to_le_bytes(),
            &[margin, feedback],
            &bytes.to_le_bytes(),
            &self.model,
            words.as_flattened(),
            &below,
        ];
        sealed(&fields, body)
    }

    /// The header of `snapshot`, if all of the snapshot is whole.
    pub(crate) fn decode(snapshot: &[u8]) -> Result<Found<'_>, AdaptError> {
        let too_short = AdaptError::SnapshotLength {
            got_bytes: snapshot.len(),
            want_bytes: HEADER_BYTES,
        };
        let (header, body) = snapshot
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or(too_short)?;
        let word = |i: usize| i32_at(header, i).cast_unsigned();
        let [
            _,
            _,
            _,
            _,
            v0,
            v1,
            momentum,
            head,
            n0,
            n1,
            margin,
            feedback,
            ..,
        ] = *header;
        let version = u16::from_le_bytes([v0, v1]);
        if !header.starts_with(&MAGIC) || !(ALONE..=ALONE + SLOTS + TERMS).contains(&version) {
            return Err(AdaptError::NoSnapshot { version });
        }
        let behind = version - ALONE;
        if usize::try_from(word(3)) != Ok(snapshot.len()) {
            return Err(AdaptError::SnapshotLength {
                got_bytes: snapshot.len(),
                want_bytes: usize::try_from(word(3)).unwrap_or(usize::MAX),
            });
        }
        let mut digest = digest(header);
        digest.update(body);
        let (got, want) = (digest.finalize(), word(CRC_WORD));
        if got != want {
            return Err(AdaptError::Checksum { got, want });
        }
        let (first, second) = match head {
            PERCEPTRON => (11..12, 52..58),
            DEEP => (10..11, 0..0),
            _ => (10..12, 52..58),
        };
        let zeros = [header.get(first), header.get(second)];
        let [rate, followed] = [word(14), word(14) >> 16].map(low_half);
        if zeros.into_iter().flatten().flatten().any(|&byte| byte != 0)
            || (momentum == 0 && followed != 0)
        {
            return Err(AdaptError::SnapshotContent);
        }
        let number = u16::from_le_bytes([n0, n1]);
        let head = match head {
            0 if number == 0 => Head::Base,
            1 => Head::Instar {
                shift: u8::try_from(number).unwrap_or(u8::MAX),
            },
            2 => Head::Delta { rate: number },
            PERCEPTRON => Head::Perceptron {
                rate: number,
                margin,
            },
            4 => Head::Reward { rate: number },
            DEEP if feedback < 2 => Head::Deep {
                rate: number,
                deep: Deep {
                    ram_bytes: word(13),
                    rate,
                    feedback: match feedback {
                        0 => Feedback::Random,
                        _ => Feedback::Signs,
                    },
                },
            },
            _ => return Err(AdaptError::SnapshotContent),
        };
        let (body, terms) = if behind & TERMS == 0 {
            (body, None)
        } else {
            let (body, terms) = (body.split_last_chunk()).ok_or(AdaptError::SnapshotContent)?;
            let terms = Terms::decode(terms).ok_or(AdaptError::SnapshotContent)?;
            (body, Some(terms))
        };
        let model = header.get(16..).and_then(|rest| rest.first_chunk::<16>());
        Ok(Found {
            header: Self {
                config: Config {
                    homeostasis: (momentum != 0).then_some(momentum),
                    head,
                },
                model: *model.ok_or(AdaptError::SnapshotContent)?,
                seed: word(8),
                rng: word(9),
                counters: Counters {
                    seen: word(10),
                    labels: word(11),
                    mistakes: word(12),
                },
                followed,
            },
            body,
            with_slots: behind & SLOTS != 0,
            terms,
        })
    }
}

fn low_half(word: u32) -> u16 {
    let [low, high, ..] = word.to_le_bytes();
    u16::from_le_bytes([low, high])
}
