//! A line through a serial port of this machine: a board's UART, 8N1, without flow control.
//!
//! It must not know what is said. A port is the file of a character device (`/dev/ttyACM0`, `/dev/cu.usbserial-1`).

use super::{DeviceError, Line};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
use rustix::termios::{
    ControlModes, OptionalActions, QueueSelector, tcflush, tcgetattr, tcsetattr,
};
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::time::Duration;

/// What a board's `Uart` is set to unless its author chose otherwise.
pub const BAUD: u32 = 115_200;
/// Above the longest request of a slow board, of which `firmware/README.md` has the instructions.
pub const PORT_TIMEOUT: Duration = Duration::from_secs(60);

/// An open serial port.
#[derive(Debug)]
pub struct Serial(BufReader<Port>);

impl Serial {
    /// Opens the port `path` at `baud`, drops what it holds already, and waits for bytes as long as `timeout`.
    ///
    /// # Errors
    /// It is no port, in use or not this user's, or cannot be set to that speed.
    pub fn open(path: &Path, baud: u32, timeout: Duration) -> Result<Self, DeviceError> {
        let timeout = Timespec::try_from(timeout).map_err(io::Error::other);
        let port = timeout.and_then(|timeout| Ok(Port::open(path, baud, timeout)?));
        match port {
            Ok(port) => Ok(Self(BufReader::new(port))),
            Err(source) => Err(DeviceError::Port {
                path: path.to_owned(),
                baud,
                fault: source,
            }),
        }
    }
}

impl Read for Serial {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Serial {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.get_mut().file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.get_mut().file.flush()
    }
}

impl Line for Serial {}

#[derive(Debug)]
struct Port {
    file: File,
    timeout: Timespec,
}

impl Port {
    fn open(path: &Path, baud: u32, timeout: Timespec) -> rustix::io::Result<Self> {
        // Without waiting for a carrier, which a board does not give.
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let port = open(path, flags, Mode::empty())?;
        let mut settings = tcgetattr(&port)?;
        settings.make_raw();
        settings.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
        settings.control_modes -= ControlModes::CSTOPB | ControlModes::CRTSCTS;
        settings.set_speed(baud)?;
        tcsetattr(&port, OptionalActions::Now, &settings)?;
        tcflush(&port, QueueSelector::IOFlush)?;
        fcntl_setfl(&port, OFlags::RDWR)?;
        let file = File::from(port);
        Ok(Self { file, timeout })
    }
}

impl Read for Port {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut waiting = [PollFd::new(&self.file, PollFlags::IN)];
        match poll(&mut waiting, Some(&self.timeout))? {
            0 => Err(io::ErrorKind::TimedOut.into()),
            _ => self.file.read(buffer),
        }
    }
}
