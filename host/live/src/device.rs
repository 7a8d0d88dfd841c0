//! The host's end of the serial line: a client for any line, and an emulated board to talk to.
//!
//! [`Device`] speaks [`aplysia_shared::protocol`] over anything that reads and writes bytes: [`Serial`] is a
//! port of this machine, with a board behind it. [`Emulator`] runs the firmware in QEMU and is such a
//! line: one end of a socket pair whose other end is the emulated UART. [`EmulatorServer`] keeps one
//! running for several hosts in turn, each through a [`Socket`]. It must not know how a model is
//! built or judged.

mod emulator;
mod error;
mod serial;
mod socket;
mod transfer;

pub use emulator::{Board, Emulator, EmulatorServer, ICOUNT};
pub use error::DeviceError;
pub use serial::{BAUD, PORT_TIMEOUT, Serial};
pub use socket::Socket;

use crate::adaptation::Plan;
use aplysia_shared::adapt::Config;
use aplysia_shared::adapt::domains::Domains;
use aplysia_shared::adapt::guard::{Commit, Limits, Verdict};
use aplysia_shared::protocol::{
    CRC_BYTES, Decoder, Hello, Info, MAX_PIXELS, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES, Refusal,
    Request, Response, Stats, Update, VERSION, decode, send,
};
use std::io::{self, Read, Write};

/// Most answers to an earlier host that are passed over.
const MAX_STALE: usize = 4;
/// Times that a request is sent again which the line damaged.
const RESENDS: usize = 3;

/// A serial line to a device.
pub trait Line: Read + Write {
    /// What the device printed elsewhere, to explain a failure; empty if nothing is known.
    fn log(&mut self) -> String {
        String::new()
    }
}

impl<T: Line + ?Sized> Line for Box<T> {
    fn log(&mut self) -> String {
        (**self).log()
    }
}

/// One classified image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inference {
    /// Best class.
    pub class: u16,
    /// Instructions of the inference, conversion of pixels and framing left out.
    pub instructions: u32,
    /// Whether its label, or a reward, would be learned.
    pub wanted: bool,
    /// One score per class.
    pub scores: Vec<i8>,
}

/// A device at the other end of `line`.
#[derive(Debug)]
pub struct Device<T> {
    line: T,
    decoder: Decoder<{ MAX_RESPONSE_BYTES + CRC_BYTES }>,
}

impl<T: Line> Device<T> {
    /// Meets the device, whatever was on the line before.
    ///
    /// # Errors
    /// [`DeviceError`], [`DeviceError::OtherVersion`] among them.
    pub fn connect(line: T) -> Result<(Self, Hello), DeviceError> {
        let mut device = Self {
            line,
            decoder: Decoder::new(),
        };
        let hello = device.meet()?;
        match hello.protocol {
            VERSION => Ok((device, hello)),
            other => Err(DeviceError::OtherVersion { device: other }),
        }
    }

    /// Ends whatever frame is on the line, then [`Device::hello`]; answers to what an earlier host sent may
    /// come first.
    fn meet(&mut self) -> Result<Hello, DeviceError> {
        self.write(&[0])?;
        self.send(&Request::Hello)?;
        for _ in 0..MAX_STALE {
            match self.receive(hello) {
                Err(
                    DeviceError::Refused(_)
                    | DeviceError::Unexpected { .. }
                    | DeviceError::Frame(_),
                ) => {}
                met => return met,
            }
        }
        self.receive(hello)
    }

    /// Who is there?
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn hello(&mut self) -> Result<Hello, DeviceError> {
        self.ask(&Request::Hello, hello)
    }

    /// Which model?
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn info(&mut self) -> Result<Info, DeviceError> {
        self.ask(&Request::Info, |response| match response {
            Response::Info(info) => Some(info),
            _ => None,
        })
    }

    /// Sets what learns from now on; forgets what was learned.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn configure(&mut self, config: Config, seed: u32) -> Result<(), DeviceError> {
        self.ask(&Request::Configure { config, seed }, done)
    }

    /// Watches what is learned by `limits`, counters at zero; no longer without.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn guard(&mut self, limits: Option<Limits>) -> Result<(), DeviceError> {
        self.ask(&Request::Guard { limits }, done)
    }

    /// Scores what is learned now.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn check(&mut self) -> Result<Verdict, DeviceError> {
        self.ask(&Request::Check, |response| match response {
            Response::Checked(verdict) => Some(verdict),
            _ => None,
        })
    }

    /// Scores what is learned and makes it what the next start finds.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn commit(&mut self) -> Result<Commit, DeviceError> {
        self.ask(&Request::Commit, |response| match response {
            Response::Committed(commit) => Some(commit),
            _ => None,
        })
    }

    /// Classifies `pixels`, `[h][w][c]` u8, in as many messages as they need; `observe` lets homeostasis follow
    /// the image.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn infer(&mut self, pixels: &[u8], observe: bool) -> Result<Inference, DeviceError> {
        let (mut offset, mut pixels) = (0, pixels);
        while let Some((part, rest)) = pixels.split_at_checked(MAX_PIXELS)
            && !rest.is_empty()
        {
            self.input(offset, part)?;
            (offset, pixels) = (offset + MAX_PIXELS as u32, rest);
        }
        self.ask(
            &Request::Infer { pixels, observe },
            |response| match response {
                Response::Inference(found) => Some(Inference {
                    class: found.class,
                    instructions: found.instructions,
                    wanted: found.wanted,
                    scores: found.scores.iter().collect(),
                }),
                _ => None,
            },
        )
    }

    /// Sends the part of an image that begins at `offset`; [`Device::infer`] does it by itself.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn input(&mut self, offset: u32, pixels: &[u8]) -> Result<(), DeviceError> {
        self.ask(&Request::Input { offset, pixels }, done)
    }

    /// Learns the label of the image inferred last.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn learn(&mut self, label: u8) -> Result<Update, DeviceError> {
        self.ask(&Request::Learn { label }, |response| match response {
            Response::Learned(update) => Some(update),
            _ => None,
        })
    }

    /// Learns whether the class of the image inferred last was right; the head must be `reward`.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn reward(&mut self, right: bool) -> Result<Update, DeviceError> {
        self.ask(&Request::Reward { right }, |response| match response {
            Response::Learned(update) => Some(update),
            _ => None,
        })
    }

    /// Learns by `plan` from now on, its counters at zero.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn plan(&mut self, plan: Plan) -> Result<(), DeviceError> {
        let Plan {
            schedule, attend, ..
        } = plan;
        self.ask(&Request::Schedule { schedule }, done)?;
        self.ask(&Request::Attend { images: attend }, done)
    }

    /// Keeps a state per domain from now on, or no longer; what learns must be configured before.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn domains(&mut self, domains: Option<Domains>) -> Result<(), DeviceError> {
        self.ask(&Request::Domains { domains }, done)
    }

    /// Costs so far, and the digest of what was learned.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn stats(&mut self) -> Result<Stats, DeviceError> {
        self.ask(&Request::Stats, |response| match response {
            Response::Stats(stats) => Some(stats),
            _ => None,
        })
    }

    /// The whole learned state, as `adapt::Plastic::snapshot` gives it.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn snapshot(&mut self) -> Result<Vec<u8>, DeviceError> {
        let mut state = Vec::new();
        loop {
            let request = Request::Snapshot {
                offset: state.len() as u32,
            };
            let (total, chunk) = self.ask(&request, |response| match response {
                Response::Snapshot { total_bytes, bytes } => {
                    Some((total_bytes as usize, bytes.to_vec()))
                }
                _ => None,
            })?;
            state.extend_from_slice(&chunk);
            if state.len() >= total || chunk.is_empty() {
                return Ok(state);
            }
        }
    }

    /// Forgets everything learned.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn reset(&mut self) -> Result<(), DeviceError> {
        self.ask(&Request::Reset, done)
    }

    /// Gives the line back.
    pub fn release(self) -> T {
        self.line
    }

    /// Sends `bytes` as they are and gives the device's next refusal: for trying out a line.
    ///
    /// # Errors
    /// [`DeviceError`]; [`DeviceError::Unexpected`] if the device did not refuse.
    pub fn provoke(&mut self, bytes: &[u8]) -> Result<Refusal, DeviceError> {
        self.write(bytes)?;
        match self.receive(|_| None::<()>) {
            Err(DeviceError::Refused(refusal)) => Ok(refusal),
            Err(error) => Err(error),
            Ok(()) => Err(DeviceError::Unexpected { bytes: 0 }),
        }
    }

    /// The answer to `request`, which is sent again where the device says that it arrived damaged.
    fn ask<R>(
        &mut self,
        request: &Request<'_>,
        mut pick: impl FnMut(Response<'_>) -> Option<R>,
    ) -> Result<R, DeviceError> {
        for _ in 0..RESENDS {
            self.send(request)?;
            match self.receive(&mut pick) {
                Err(DeviceError::Refused(Refusal::Frame(_))) => {}
                answer => return answer,
            }
        }
        self.send(request)?;
        self.receive(pick)
    }

    fn send(&mut self, request: &Request<'_>) -> Result<(), DeviceError> {
        let (mut buffer, mut frame) = ([0; MAX_REQUEST_BYTES + CRC_BYTES], Vec::new());
        send(request, &mut buffer, |bytes| frame.extend_from_slice(bytes))
            .map_err(|_| DeviceError::RequestTooLarge)?;
        self.write(&frame)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), DeviceError> {
        let sent = self.line.write_all(bytes).and_then(|()| self.line.flush());
        sent.map_err(|fault| broken(&mut self.line, fault))
    }

    fn receive<R>(
        &mut self,
        pick: impl FnOnce(Response<'_>) -> Option<R>,
    ) -> Result<R, DeviceError> {
        let mut byte = [0];
        loop {
            match self.line.read(&mut byte) {
                Ok(0) => {
                    return Err(DeviceError::Gone {
                        log: self.line.log(),
                    });
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(broken(&mut self.line, error)),
            }
            if let Some(frame) = self.decoder.push(byte[0]) {
                let message = frame.map_err(DeviceError::Frame)?;
                let unexpected = DeviceError::Unexpected {
                    bytes: message.len(),
                };
                return match decode(message) {
                    Some(Response::Error(refusal)) => Err(DeviceError::Refused(refusal)),
                    Some(response) => pick(response).ok_or(unexpected),
                    None => Err(unexpected),
                };
            }
        }
    }
}

fn hello(response: Response<'_>) -> Option<Hello> {
    match response {
        Response::Hello(hello) => Some(hello),
        _ => None,
    }
}

fn done(response: Response<'_>) -> Option<()> {
    matches!(response, Response::Done).then_some(())
}

fn broken<T: Line>(line: &mut T, fault: io::Error) -> DeviceError {
    let log = line.log();
    match fault.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => DeviceError::TimedOut { log },
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => DeviceError::Gone { log },
        _ => DeviceError::Line { fault, log },
    }
}
