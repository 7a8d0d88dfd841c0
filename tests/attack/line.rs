//! Bytes → what a hostile sender puts on a serial line: noise, sound frames of any message, of every
//! request, damaged, cut, too long.
//!
//! It owns the meaning of the bytes: chunks of a kind, a length and so many bytes. It must not know who
//! listens.

use super::protocol::BLOB;
use aplysia_shared::Claims;
use aplysia_shared::adapt::deep::{Deep, Feedback};
use aplysia_shared::adapt::domains::Domains;
use aplysia_shared::adapt::guard::Limits;
use aplysia_shared::adapt::schedule::{Budget, Schedule, When};
use aplysia_shared::adapt::{Config, Head};
use aplysia_shared::blob::HEADER_BYTES;
use aplysia_shared::protocol::{CRC_BYTES, MAX_REQUEST_BYTES, Request, Transfer, send};
use serde::Serialize;

/// The frames of `chunks` for a device whose images have `image_bytes`.
pub(crate) fn line(mut chunks: &[u8], image_bytes: usize) -> Vec<u8> {
    let mut line = Vec::new();
    while let [kind, len, rest @ ..] = chunks {
        let (bytes, rest) = rest.split_at(usize::from(*len).min(rest.len()));
        line.extend(chunk(*kind, bytes, image_bytes));
        chunks = rest;
    }
    line
}

/// The kind of chunks that are too long for any buffer.
pub(crate) const OVERLONG: u8 = 4;

/// One chunk on the line. The kinds above 7 are those below again.
pub(crate) fn chunk(kind: u8, bytes: &[u8], image_bytes: usize) -> Vec<u8> {
    let first = bytes.first().copied().unwrap_or_default();
    let request = |change: u8| {
        let pixels: Vec<u8> = bytes.iter().copied().cycle().take(image_bytes).collect();
        let mut message = encoded(&request(first, bytes, &pixels));
        let last = message.len() - 1;
        message[last] ^= change;
        frame(&message)
    };
    match kind % 8 {
        0 => bytes.to_vec(),
        1 => frame(bytes),
        2 => {
            let mut line = frame(bytes);
            let at = usize::from(first) % line.len();
            line[at] ^= kind | 1;
            line
        }
        3 => {
            let line = request(0);
            let keep = usize::from(kind) % line.len();
            line[..keep].to_vec()
        }
        OVERLONG => {
            let full: Vec<u8> = bytes.iter().map(|&byte| byte.max(1)).collect();
            [full.repeat(usize::from(kind)), vec![0]].concat()
        }
        5 => request(kind / 8),
        _ => request(0),
    }
}

/// A sound request of every kind, its numbers from `bytes`.
fn request<'a>(which: u8, bytes: &[u8], pixels: &'a [u8]) -> Request<'a> {
    let byte = |i: usize| bytes.get(i).copied().unwrap_or_default();
    let wide = |i: usize| u16::from_le_bytes([byte(i), byte(i + 1)]);
    let word = |i: usize| u32::from(wide(i)) | u32::from(wide(i + 2)) << 16;
    let head = match byte(2) % 6 {
        0 => Head::Base,
        1 => Head::Instar { shift: byte(3) },
        2 => Head::Delta { rate: wide(3) },
        3 => Head::Perceptron {
            rate: wide(3),
            margin: byte(5),
        },
        4 => Head::Reward { rate: wide(3) },
        _ => Head::Deep {
            rate: wide(3),
            deep: Deep {
                ram_bytes: word(4),
                rate: wide(5),
                feedback: match byte(6) & 1 {
                    0 => Feedback::Random,
                    _ => Feedback::Signs,
                },
            },
        },
    };
    let when = match byte(1) % 3 {
        0 => When::Every { n: wide(2) },
        1 => When::Unsure { margin: byte(2) },
        _ => When::Asked,
    };
    let all = [
        Request::Hello,
        Request::Info,
        Request::Configure {
            config: Config {
                homeostasis: (byte(1) & 1 == 1).then_some(byte(1) / 16),
                head,
            },
            seed: word(5),
        },
        Request::Infer {
            pixels,
            observe: byte(1) & 1 == 1,
        },
        Request::Learn { label: byte(1) },
        Request::Stats,
        Request::Snapshot { offset: word(1) },
        Request::Reset,
        Request::Guard {
            limits: (byte(1) & 3 != 3).then_some(Limits {
                every: wide(2),
                drop: byte(4).into(),
                commit_every: byte(5).into(),
            }),
        },
        Request::Check,
        Request::Commit,
        Request::Reward {
            right: byte(1) & 1 == 1,
        },
        Request::Schedule {
            schedule: Schedule {
                when,
                budget: (byte(1) & 8 != 0).then_some(Budget {
                    images: byte(4).into(),
                    updates: byte(5).into(),
                    instructions: u64::from(word(5)) << (byte(6) % 33),
                    commits: byte(7).into(),
                }),
            },
        },
        Request::Attend { images: word(1) },
        Request::Transfer(Transfer::Status),
        Request::Transfer(Transfer::Begin {
            header: BLOB
                .get(..HEADER_BYTES - usize::from(byte(1) / 255))
                .unwrap_or_default(),
            digest: [byte(2); 32],
            claims: Claims {
                input: [1, 2, byte(4).into()],
                outputs: 3,
                // What this device has room for, and a little more.
                features: byte(3).into(),
                answers: word(4),
            },
        }),
        Request::Transfer(Transfer::Pages { first: word(1) }),
        Request::Transfer(Transfer::Chunk {
            offset: word(1) & 0x1FFF,
            bytes: pixels,
        }),
        Request::Transfer(Transfer::Activate),
        Request::Transfer(Transfer::Restart),
        Request::Transfer(Transfer::Confirm),
        Request::Domains {
            domains: (byte(1) & 3 != 3).then_some(Domains {
                slots: byte(2),
                open: wide(3),
                evidence: wide(5),
                sealed: byte(7) & 1 == 1,
            }),
        },
        Request::Input {
            offset: word(1),
            pixels,
        },
        // The halves of an image.
        Request::Input {
            offset: 0,
            pixels: &pixels[..pixels.len() / 2],
        },
        match byte(1) & 1 {
            0 => Request::Infer {
                pixels: &pixels[pixels.len() / 2..],
                observe: byte(2) & 1 == 1,
            },
            _ => Request::Input {
                offset: pixels.len() as u32 / 2,
                pixels: &pixels[pixels.len() / 2..],
            },
        },
    ];
    let chosen = all[usize::from(which) % all.len()].clone();
    // A request added to the protocol belongs into the list above.
    match chosen {
        Request::Hello
        | Request::Info
        | Request::Configure { .. }
        | Request::Infer { .. }
        | Request::Learn { .. }
        | Request::Stats
        | Request::Snapshot { .. }
        | Request::Reset
        | Request::Guard { .. }
        | Request::Check
        | Request::Commit
        | Request::Reward { .. }
        | Request::Schedule { .. }
        | Request::Attend { .. }
        | Request::Domains { .. }
        | Request::Input { .. }
        | Request::Transfer(
            Transfer::Status
            | Transfer::Begin { .. }
            | Transfer::Pages { .. }
            | Transfer::Chunk { .. }
            | Transfer::Activate
            | Transfer::Restart
            | Transfer::Confirm,
        ) => chosen,
    }
}

/// The message of `request`.
fn encoded(request: &Request<'_>) -> Vec<u8> {
    postcard::to_stdvec(request).expect("a vector takes everything")
}

/// Bytes that serialize as themselves.
struct Plain<'a>(&'a [u8]);

impl Serialize for Plain<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeTuple;
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for byte in self.0 {
            tuple.serialize_element(byte)?;
        }
        tuple.end()
    }
}

/// `message` as a sound frame.
pub(crate) fn frame(message: &[u8]) -> Vec<u8> {
    let mut line = Vec::new();
    let mut buffer = vec![0; message.len().max(MAX_REQUEST_BYTES) + CRC_BYTES];
    send(&Plain(message), &mut buffer, |bytes| line.extend(bytes)).expect("fits");
    line
}
