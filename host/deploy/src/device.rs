//! The host's end of the serial line: a client for any line, and an emulated board to talk to.
//!
//! [`Device`] speaks [`aplysia_shared::protocol`] over anything that reads and writes bytes, so a
//! real serial port needs nothing new here. [`Emulator`] runs the firmware in QEMU and is such a
//! line: one end of a socket pair whose other end is the emulated UART. [`EmulatorServer`] keeps one
//! running for several hosts in turn, each through a [`Socket`]. It must not know how a model is
//! built or judged.

mod emulator;
mod socket;

pub(crate) use emulator::ICOUNT;
pub use emulator::{Board, Emulator, EmulatorServer};
pub use socket::Socket;

use crate::adaptation::Plan;
use aplysia_shared::adapt::Config;
use aplysia_shared::adapt::guard::{Commit, Limits, Verdict};
use aplysia_shared::protocol::{
    CRC_BYTES, Decoder, FrameError, Hello, Inference, Info, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES,
    Refusal, Request, Response, Stats, Update, VERSION, decode, send,
};
use std::io::{self, Read, Write};
use std::path::PathBuf;

/// What can go wrong between host and device.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// QEMU is not installed.
    #[error(
        "qemu-system-arm not found: install it (Debian: apt-get install qemu-system-arm) or put it on PATH"
    )]
    EmulatorMissing,
    /// A file to run is not there.
    #[error(
        "{path}: no such file; build the firmware with `cargo xtask firmware`, a model with `aplysia export`"
    )]
    FileMissing {
        /// As given.
        path: PathBuf,
    },
    /// QEMU could not be started.
    #[error("cannot start the emulator")]
    Start(#[source] io::Error),
    /// Something stands where the emulator would listen.
    #[error(
        "{path} exists: remove it, unless an emulator still listens there, or choose another path"
    )]
    SocketExists {
        /// As given.
        path: PathBuf,
    },
    /// Nobody listens at the socket file.
    #[error("{path}: no device listens there; start one with `aplysia device emulate`")]
    NotListening {
        /// As given.
        path: PathBuf,
        /// Of the connection.
        source: io::Error,
    },
    /// The line failed; `log` is what the device printed, if it is emulated.
    #[error("serial line: {fault}{log}")]
    Line {
        /// Of the line; in the message, before the log.
        fault: io::Error,
        /// Starts with a line break unless empty.
        log: String,
    },
    /// Nothing arrived in time.
    #[error(
        "no answer from the device: is it running this firmware, and is the line the right one?{log}"
    )]
    TimedOut {
        /// As in `Line`.
        log: String,
    },
    /// The line was closed by the other side.
    #[error("the device is gone{log}")]
    Gone {
        /// As in `Line`.
        log: String,
    },
    /// The request is larger than a device takes.
    #[error(
        "the request does not fit into {MAX_REQUEST_BYTES} bytes: is the image the model's size?"
    )]
    RequestTooLarge,
    /// The response was damaged on the line.
    #[error("the response was damaged on the line")]
    Frame(#[source] FrameError),
    /// The response is no message of this protocol, or none that belongs to the request.
    #[error("unexpected response of {bytes} bytes: does the device speak protocol {VERSION}?")]
    Unexpected {
        /// Length of the message.
        bytes: usize,
    },
    /// The device speaks another version.
    #[error("the device speaks protocol {device}, this host {VERSION}: flash a matching firmware")]
    OtherVersion {
        /// Of the device.
        device: u16,
    },
    /// The device refused the request.
    #[error("the device refused")]
    Refused(#[source] Refusal),
}

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
    pub fn connect(mut line: T) -> Result<(Self, Hello), DeviceError> {
        line.write_all(&[0])
            .map_err(|fault| broken(&mut line, fault))?;
        let mut device = Self {
            line,
            decoder: Decoder::new(),
        };
        let hello = device.hello()?;
        match hello.protocol {
            VERSION => Ok((device, hello)),
            other => Err(DeviceError::OtherVersion { device: other }),
        }
    }

    /// Who is there?
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn hello(&mut self) -> Result<Hello, DeviceError> {
        self.ask(&Request::Hello, |response| match response {
            Response::Hello(hello) => Some(hello),
            _ => None,
        })
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

    /// Classifies `pixels`, `[h][w][c]` u8; `observe` lets homeostasis follow the image.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn infer(&mut self, pixels: &[u8], observe: bool) -> Result<Inference, DeviceError> {
        self.ask(
            &Request::Infer { pixels, observe },
            |response| match response {
                Response::Inference(inference) => Some(inference),
                _ => None,
            },
        )
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
        let Plan { schedule, attend } = plan;
        self.ask(&Request::Schedule { schedule }, done)?;
        self.ask(&Request::Attend { images: attend }, done)
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

    fn ask<R>(
        &mut self,
        request: &Request<'_>,
        pick: impl FnOnce(Response<'_>) -> Option<R>,
    ) -> Result<R, DeviceError> {
        let (mut buffer, mut frame) = ([0; MAX_REQUEST_BYTES + CRC_BYTES], Vec::new());
        send(request, &mut buffer, |bytes| frame.extend_from_slice(bytes))
            .map_err(|_| DeviceError::RequestTooLarge)?;
        self.write(&frame)?;
        self.receive(pick)
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
