//! Frames of the serial line: one message, its checksum, and a delimiter.
//!
//! ```text
//! frame = COBS(message | CRC-32 of message, little endian) | 0x00
//! ```
//! Owns the byte framing in both directions. It must not know what a message means: bytes come
//! in, messages or typed errors go out. A receiver that starts in the middle of a frame, or loses
//! bytes, is in step again after the next 0x00, and reports one error per damaged frame.
//! Sources: S. Cheshire and M. Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM Trans.
//! Networking 7(2), 1999; CRC-32 is CRC-32/ISO-HDLC (polynomial 0x04C11DB7 reflected).

use crc::{CRC_32_ISO_HDLC, Crc};
use serde::{Deserialize, Serialize};

/// Bytes of the checksum that follows each message.
pub const CRC_BYTES: usize = 4;

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// Most bytes between two code bytes: a code byte of 255 says 254 bytes and no zero after them.
const MAX_BLOCK_BYTES: usize = 254;

/// Why a received frame carries no message. The receiver goes on with the next frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum FrameError {
    /// A block ends before its length, or there is no room for a checksum.
    #[error("damaged frame: ended after {got_bytes} decoded bytes inside a block; send it again")]
    BadFrame {
        /// Bytes decoded before the delimiter.
        got_bytes: u32,
    },
    /// The checksum does not belong to the message.
    #[error("damaged message: CRC-32 is {got:#010x}, the frame says {want:#010x}; send it again")]
    BadCrc {
        /// Computed over the received message.
        got: u32,
        /// Received after the message.
        want: u32,
    },
    /// Message and checksum do not fit the receiver's buffer.
    #[error("frame too large: the receiver takes {limit_bytes} bytes, checksum included")]
    TooLarge {
        /// Size of the buffer.
        limit_bytes: u32,
    },
}

/// Turns received bytes into messages, in a buffer of `N` bytes (message and checksum).
#[derive(Debug)]
pub struct Decoder<const N: usize> {
    buffer: [u8; N],
    len: usize,
    /// Bytes still expected in the present block.
    left: u8,
    /// Whether a zero belongs between the present block and the next.
    zero_after: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Empty,
    Filling,
    Overflow,
    Delivered,
}

impl<const N: usize> Default for Decoder<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Decoder<N> {
    /// A decoder that waits for the first byte of a frame.
    pub const fn new() -> Self {
        Self {
            buffer: [0; N],
            len: 0,
            left: 0,
            zero_after: false,
            state: State::Empty,
        }
    }

    /// Takes one byte; at a delimiter gives the message (without checksum) or why there is none.
    ///
    /// Delimiters in a row are no frames and give nothing, so a sender may start with one to end
    /// whatever noise came before.
    ///
    /// # Errors
    /// One [`FrameError`] per damaged frame, at its delimiter.
    pub fn push(&mut self, byte: u8) -> Option<Result<&[u8], FrameError>> {
        if self.state == State::Delivered {
            (self.len, self.left, self.zero_after) = (0, 0, false);
            self.state = State::Empty;
        }
        if byte == 0 {
            return self.finish();
        }
        if self.left > 0 {
            self.left -= 1;
            self.put(byte);
        } else {
            if self.zero_after {
                self.put(0);
            }
            self.left = byte - 1;
            self.zero_after = byte != 0xff;
            if self.state == State::Empty {
                self.state = State::Filling;
            }
        }
        None
    }

    fn put(&mut self, byte: u8) {
        match self.buffer.get_mut(self.len) {
            Some(place) => {
                *place = byte;
                self.len += 1;
            }
            None => self.state = State::Overflow,
        }
    }

    fn finish(&mut self) -> Option<Result<&[u8], FrameError>> {
        let state = core::mem::replace(&mut self.state, State::Delivered);
        match state {
            State::Empty | State::Delivered => None,
            State::Overflow => Some(Err(FrameError::TooLarge {
                limit_bytes: N as u32,
            })),
            State::Filling => Some(self.check()),
        }
    }

    fn check(&self) -> Result<&[u8], FrameError> {
        let decoded = self.buffer.get(..self.len).unwrap_or(&[]);
        match decoded.split_last_chunk::<CRC_BYTES>() {
            Some((message, crc)) if self.left == 0 => {
                let (got, want) = (CRC.checksum(message), u32::from_le_bytes(*crc));
                if got == want {
                    Ok(message)
                } else {
                    Err(FrameError::BadCrc { got, want })
                }
            }
            _ => Err(FrameError::BadFrame {
                got_bytes: self.len as u32,
            }),
        }
    }
}

/// Sends `message` as one frame, piece by piece, to `sink`.
///
/// `buffer` holds the serialised message and its checksum in between; a message of `n` bytes
/// needs `n + 4` there and at most `n + 4 + (n + 4) / 254 + 2` bytes on the line.
///
/// # Errors
/// [`FrameError::TooLarge`] if the buffer is too small; nothing has been sent then.
pub fn send<T: Serialize + ?Sized>(
    message: &T,
    buffer: &mut [u8],
    mut sink: impl FnMut(&[u8]),
) -> Result<(), FrameError> {
    let too_large = FrameError::TooLarge {
        limit_bytes: buffer.len() as u32,
    };
    let len = postcard::to_slice(message, buffer)
        .map_err(|_| too_large)?
        .len();
    let crc = CRC.checksum(buffer.get(..len).unwrap_or(&[])).to_le_bytes();
    buffer
        .get_mut(len..len + CRC_BYTES)
        .ok_or(too_large)?
        .copy_from_slice(&crc);
    for run in buffer
        .get(..len + CRC_BYTES)
        .unwrap_or(&[])
        .split(|&byte| byte == 0)
    {
        let mut blocks = run.chunks_exact(MAX_BLOCK_BYTES);
        for block in &mut blocks {
            sink(&[0xff]);
            sink(block);
        }
        sink(&[blocks.remainder().len() as u8 + 1]);
        sink(blocks.remainder());
    }
    sink(&[0]);
    Ok(())
}

/// The message that all of `bytes` encode, if they do.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Some(message),
        _ => None,
    }
}
