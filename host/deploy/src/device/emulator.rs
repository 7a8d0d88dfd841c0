//! An emulated board: QEMU running the firmware, its UART at the other end of a socket pair.

use super::{DeviceError, Line};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const QEMU: &str = "qemu-system-arm";
const MACHINE: &str = "mps2-an386";
/// Where the firmware looks for its model.
const MODEL_ADDRESS: u32 = 0x0010_0000;
/// One instruction lasts 2^10 ns of virtual time; the firmware's clock counts on it.
const ICOUNT: &str = "shift=10";
/// Far above any answer's time, so that a loaded machine is no error.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// A running QEMU; ended when dropped.
#[derive(Debug)]
pub struct Emulator {
    qemu: Child,
    line: BufReader<UnixStream>,
    /// What the firmware and QEMU print.
    log: File,
}

impl Emulator {
    /// Runs the firmware `elf` with the model `blob` in its model partition, or with none.
    ///
    /// # Errors
    /// QEMU is not installed or does not start, or a file is missing.
    pub fn start(elf: &Path, blob: Option<&Path>) -> Result<Self, DeviceError> {
        for path in [Some(elf), blob].into_iter().flatten() {
            if !path.is_file() {
                return Err(DeviceError::FileMissing {
                    path: path.to_owned(),
                });
            }
        }
        let (line, uart) = UnixStream::pair().map_err(DeviceError::Start)?;
        line.set_read_timeout(Some(READ_TIMEOUT))
            .map_err(DeviceError::Start)?;
        let log = tempfile::tempfile().map_err(DeviceError::Start)?;
        let print = || log.try_clone().map_err(DeviceError::Start);
        let mut command = Command::new(QEMU);
        command
            .args(["-machine", MACHINE, "-display", "none", "-monitor", "none"])
            .args([
                "-icount",
                ICOUNT,
                "-semihosting-config",
                "enable=on,target=native",
            ])
            .args(["-chardev", "socket,id=uart,fd=0", "-serial", "chardev:uart"])
            .arg("-kernel")
            .arg(elf);
        if let Some(blob) = blob {
            // A comma in a file name is doubled in QEMU's option syntax.
            let file = blob.to_string_lossy().replace(',', ",,");
            let device = format!("loader,file={file},addr={MODEL_ADDRESS:#x},force-raw=on");
            command.arg("-device").arg(device);
        }
        let qemu = command
            .stdin(Stdio::from(OwnedFd::from(uart)))
            .stdout(Stdio::from(print()?))
            .stderr(Stdio::from(print()?))
            .spawn()
            .map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => DeviceError::EmulatorMissing,
                _ => DeviceError::Start(error),
            })?;
        Ok(Self {
            qemu,
            line: BufReader::new(line),
            log,
        })
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end or to wait for.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

impl Read for Emulator {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.line.read(buffer)
    }
}

impl Write for Emulator {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.get_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.line.get_mut().flush()
    }
}

impl Line for Emulator {
    fn log(&mut self) -> String {
        let mut text = String::new();
        let read = self
            .log
            .rewind()
            .and_then(|()| self.log.read_to_string(&mut text));
        match read {
            Ok(n) if n > 0 => format!("\nthe emulator printed: {}", text.trim_end()),
            _ => String::new(),
        }
    }
}
