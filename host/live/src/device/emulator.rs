//! An emulated board: QEMU running the firmware, its UART at the other end of a socket.

use super::{DeviceError, Line, Socket};
use std::env;
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

const QEMU: &str = "qemu-system-arm";
/// Of util-linux: ends QEMU with the thread that started it, also where nothing is dropped (a signal).
const TIE: [&str; 3] = ["setpriv", "--pdeathsig", "KILL"];
/// One instruction lasts 2^10 ns of virtual time; the firmware's clock counts on it.
pub const ICOUNT: &str = "shift=10";
/// Between two looks whether a starting emulator listens.
const LISTEN_POLL: Duration = Duration::from_millis(20);

/// A board that QEMU emulates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    /// QEMU's name of the machine.
    pub machine: &'static str,
    /// Where the firmware looks for its model.
    pub model_address: u32,
}

impl Board {
    /// The Cortex-M4 that the firmware is built for unless another board is named.
    pub const MPS2_AN386: Self = Self {
        machine: "mps2-an386",
        model_address: 0x0010_0000,
    };
}

/// A running QEMU; ended when dropped, and with its starting thread where `setpriv` is installed.
#[derive(Debug)]
struct Qemu {
    process: Child,
    /// What the firmware and QEMU print.
    log: File,
}

impl Qemu {
    /// Runs the firmware `elf` with the model `blob`; `uart` is QEMU's chardev behind the UART.
    fn start(
        board: &Board,
        elf: &Path,
        blob: Option<&Path>,
        flash: Option<&Path>,
        uart: &str,
        stdin: Stdio,
    ) -> Result<Self, DeviceError> {
        for path in [Some(elf), blob].into_iter().flatten() {
            if !path.is_file() {
                return Err(DeviceError::FileMissing {
                    path: path.to_owned(),
                });
            }
        }
        check_program(elf)?;
        let mut semihosting = "enable=on,target=native".to_owned();
        if let Some(flash) = flash {
            // Made if it is missing, kept as it is if not.
            let made = File::options().append(true).create(true).open(flash);
            made.and_then(|_| flash.canonicalize())
                .map(|path| semihosting += &format!(",arg=flash,arg={}", escaped(&path)))
                .map_err(|source| DeviceError::Flash {
                    path: flash.to_owned(),
                    source,
                })?;
        }
        let log = tempfile::tempfile().map_err(DeviceError::Start)?;
        let print = || log.try_clone().map_err(DeviceError::Start);
        let mut command = tied(QEMU)?;
        command
            .args(["-machine", board.machine])
            .args(["-display", "none", "-monitor", "none"])
            .args(["-icount", ICOUNT, "-semihosting-config", &semihosting])
            .args(["-chardev", uart, "-serial", "chardev:uart"])
            .arg("-kernel")
            .arg(elf);
        if let Some(blob) = blob {
            let file = escaped(blob);
            let address = board.model_address;
            let device = format!("loader,file={file},addr={address:#x},force-raw=on");
            command.arg("-device").arg(device);
        }
        let process = command
            .stdin(stdin)
            .stdout(Stdio::from(print()?))
            .stderr(Stdio::from(print()?))
            .spawn()
            .map_err(DeviceError::Start)?;
        Ok(Self { process, log })
    }

    fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    fn log(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = self
            .log
            .rewind()
            .and_then(|()| self.log.read_to_end(&mut bytes));
        match read {
            // Every frame of defmt ends in 0, no text does.
            Ok(n) if bytes.contains(&0) => {
                format!("\nthe emulator printed {n} bytes of defmt frames: see firmware/README.md")
            }
            Ok(n) if n > 0 => {
                let text = String::from_utf8_lossy(&bytes);
                format!("\nthe emulator printed: {}", text.trim_end())
            }
            _ => String::new(),
        }
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end or to wait for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `program`, ended with the thread that starts it where [`TIE`] is installed.
fn tied(program: &str) -> Result<Command, DeviceError> {
    let path = env::var_os("PATH").unwrap_or_default();
    let installed = |name: &str| env::split_paths(&path).any(|folder| folder.join(name).is_file());
    if !installed(program) {
        return Err(DeviceError::EmulatorMissing);
    }
    if !installed(TIE[0]) {
        return Ok(Command::new(program));
    }
    let mut command = Command::new(TIE[0]);
    command.args(&TIE[1..]).arg(program);
    Ok(command)
}

/// Checks that `elf` is an ELF file of 32 bits for Arm: of anything else QEMU runs the bytes as they are.
fn check_program(elf: &Path) -> Result<(), DeviceError> {
    const ARM: [u8; 2] = 40u16.to_le_bytes();
    let mut header = [0; 20];
    let read = File::open(elf).and_then(|mut file| file.read_exact(&mut header));
    match read {
        Err(e) if e.kind() != io::ErrorKind::UnexpectedEof => Err(DeviceError::Start(e)),
        Ok(()) if header.starts_with(b"\x7fELF\x01\x01") && header.ends_with(&ARM) => Ok(()),
        _ => Err(DeviceError::NoFirmware {
            path: elf.to_owned(),
        }),
    }
}

/// A file name in QEMU's option syntax, where a comma is doubled.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

/// An emulated board of one's own; ended when dropped or when the thread ends that started it.
#[derive(Debug)]
pub struct Emulator {
    qemu: Qemu,
    line: Socket,
}

impl Emulator {
    /// Runs the firmware `elf` with the model `blob` in its model partition, or with none.
    ///
    /// # Errors
    /// QEMU is not installed or does not start, or a file is missing or no program for Arm.
    pub fn start(elf: &Path, blob: Option<&Path>) -> Result<Self, DeviceError> {
        Self::boot(&Board::MPS2_AN386, elf, blob, None)
    }

    /// [`Emulator::start`] on another board.
    ///
    /// # Errors
    /// As [`Emulator::start`].
    pub fn start_on(board: &Board, elf: &Path, blob: Option<&Path>) -> Result<Self, DeviceError> {
        Self::boot(board, elf, blob, None)
    }

    /// [`Emulator::start`] with the board's flash in the file `flash`, which is made if it is missing: what
    /// is committed or sent there survives the emulator, however that ends.
    ///
    /// # Errors
    /// As [`Emulator::start`], or `flash` cannot be written.
    pub fn start_with_flash(
        elf: &Path,
        blob: Option<&Path>,
        flash: Option<&Path>,
    ) -> Result<Self, DeviceError> {
        Self::boot(&Board::MPS2_AN386, elf, blob, flash)
    }

    fn boot(
        board: &Board,
        elf: &Path,
        blob: Option<&Path>,
        flash: Option<&Path>,
    ) -> Result<Self, DeviceError> {
        let (line, uart) = UnixStream::pair().map_err(DeviceError::Start)?;
        let line = Socket::new(line).map_err(DeviceError::Start)?;
        let stdin = Stdio::from(OwnedFd::from(uart));
        let qemu = Qemu::start(board, elf, blob, flash, "socket,id=uart,fd=0", stdin)?;
        Ok(Self { qemu, line })
    }
}

impl Emulator {
    /// The emulator's process.
    pub fn process_id(&self) -> u32 {
        self.qemu.process.id()
    }
}

impl Read for Emulator {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.line.read(buffer)
    }
}

impl Write for Emulator {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.line.flush()
    }
}

impl Line for Emulator {
    fn log(&mut self) -> String {
        self.qemu.log()
    }
}

/// An emulated board whose UART is a socket file, for one [`Socket`] after another; it keeps what it
/// has learned between them. Board and file end when dropped, the board also with the thread that
/// started it.
#[derive(Debug)]
pub struct EmulatorServer {
    qemu: Qemu,
    socket: PathBuf,
}

impl EmulatorServer {
    /// As [`Emulator::start_with_flash`], listening on `socket` when it returns.
    ///
    /// # Errors
    /// As [`Emulator::start_with_flash`]; `socket` exists already; QEMU cannot listen there.
    pub fn start(
        elf: &Path,
        blob: Option<&Path>,
        flash: Option<&Path>,
        socket: &Path,
    ) -> Result<Self, DeviceError> {
        // QEMU would remove any file that stands there.
        if socket.exists() {
            return Err(DeviceError::SocketExists {
                path: socket.to_owned(),
            });
        }
        let uart = format!("socket,id=uart,path={},server=on,wait=off", escaped(socket));
        let mut server = Self {
            qemu: Qemu::start(&Board::MPS2_AN386, elf, blob, flash, &uart, Stdio::null())?,
            socket: socket.to_owned(),
        };
        while !socket.exists() {
            if !server.is_running() {
                let log = server.qemu.log();
                return Err(DeviceError::Gone { log });
            }
            thread::sleep(LISTEN_POLL);
        }
        Ok(server)
    }

    /// Whether the board still runs.
    pub fn is_running(&mut self) -> bool {
        self.qemu.is_running()
    }
}

impl Drop for EmulatorServer {
    fn drop(&mut self) {
        // QEMU removes its socket only when it ends by itself.
        let _ = fs::remove_file(&self.socket);
    }
}
