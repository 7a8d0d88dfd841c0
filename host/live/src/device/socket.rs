//! A line through a Unix socket: one end of a pair, or a socket file that an emulator listens on.

use super::{DeviceError, Line};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Far above any answer's time, so that a loaded machine is no error: one stood still for over a minute.
/// An emulator that ends is noticed at once, by the end of its line.
const READ_TIMEOUT: Duration = Duration::from_secs(600);

/// A connected socket.
#[derive(Debug)]
pub struct Socket(BufReader<UnixStream>);

impl Socket {
    /// The device whose UART is the socket file `path`, e.g. of [`super::EmulatorServer`].
    ///
    /// # Errors
    /// Nothing listens there.
    pub fn connect(path: &Path) -> Result<Self, DeviceError> {
        let connected = UnixStream::connect(path).and_then(Self::new);
        connected.map_err(|source| DeviceError::NotListening {
            path: path.to_owned(),
            source,
        })
    }

    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(READ_TIMEOUT))?;
        Ok(Self(BufReader::new(stream)))
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.get_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.get_mut().flush()
    }
}

impl Line for Socket {}
