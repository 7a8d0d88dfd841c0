//! What can go wrong between host and device, and what to do then.
//!
//! It owns the messages; it must not know how a line is read.

use aplysia_shared::protocol::{FrameError, MAX_REQUEST_BYTES, Refusal, VERSION};
use std::io;
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
        "{path}: no such file; build the firmware with `cargo xtask firmware` (--firmware or $APLYSIA_FIRMWARE name \
         another), a model with `aplysia export`"
    )]
    FileMissing {
        /// As given.
        path: PathBuf,
    },
    /// A file to run is no program for the board.
    #[error(
        "{path} is no program for Arm (ELF, 32 bits): give --firmware, or $APLYSIA_FIRMWARE, what \
         `cargo xtask firmware` builds"
    )]
    NoFirmware {
        /// As given.
        path: PathBuf,
    },
    /// The file behind the board's flash cannot be used.
    #[error("cannot use {path} as the board's flash: give a file that can be written")]
    Flash {
        /// As given.
        path: PathBuf,
        /// Of the system.
        source: io::Error,
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
    /// A serial port cannot be used.
    #[error(
        "cannot use {path} as a serial port at {baud} baud ({fault}): is the board plugged in, the port free, and this \
         user allowed to use it (Debian: in the group dialout)?"
    )]
    Port {
        /// As given.
        path: PathBuf,
        /// As given.
        baud: u32,
        /// Of the system; in the message.
        fault: io::Error,
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
    /// What is sent does not arrive.
    #[error(
        "{n_pages} pages still differ after {rounds} rounds: the line damages what is sent; check it, then run the same command again"
    )]
    Noisy {
        /// Pages of the blob that differ.
        n_pages: usize,
        /// Times that they were sent.
        rounds: usize,
    },
    /// The device refused the request.
    #[error("the device refused")]
    Refused(#[source] Refusal),
}
