//! The program `live`: that nothing in it can panic, by its symbols, and the form that runs without a debugger.

use crate::device::{N_CLASSES, images_of, random_model};
use crate::elf::Program;
use crate::program::{alone_firmware, firmware, is_prebuilt, keyed_firmware};
use aplysia_live::device::{Device, Line};
use aplysia_live::evaluate::input_of_pixels;
use aplysia_shared::Model;
use aplysia_shared::adapt::domains::{self, Domains};
use aplysia_shared::adapt::{Config, Head, Plastic};
use aplysia_space::Shape;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::NamedTempFile;

/// A program of this version of the compiler; Debian's is another, whose core may leave other panics.
fn read(elf: std::path::PathBuf) -> Option<Program> {
    if !is_prebuilt() {
        eprintln!("left out: built by Debian's compiler");
        return None;
    }
    let program = Program::read(&elf);
    let learns = |name: &str| name.contains("aplysia_shared5adapt");
    assert!(program.symbols.iter().any(|s| learns(&s.name)));
    Some(program)
}

#[test]
fn nothing_in_the_program_that_learns_panics() {
    let Some(logging) = read(firmware()) else {
        return;
    };
    assert_eq!(logging.panics(), [""; 0]);
    // Its log is text.
    assert!(!logging.formatting().is_empty());
    let alone = read(alone_firmware()).unwrap();
    assert_eq!(alone.panics(), [""; 0]);
    assert_eq!(alone.formatting(), [""; 0]);
}

/// The index into a table of eight multiples of a point, in `curve25519-dalek`: odd numbers below 16, halved.
#[test]
fn with_a_key_one_panic_is_left_which_is_not_ours() {
    let Some(keyed) = read(keyed_firmware()) else {
        return;
    };
    let panics = keyed.panics();
    let the = |what: &str| {
        let named: Vec<&&str> = panics.iter().filter(|name| name.contains(what)).collect();
        assert_eq!(named.len(), 1, "{what}: {panics:?}");
        *named[0]
    };
    let bounds = the("18panic_bounds_check");
    let chain = [the("9panic_fmt"), the("rust_begin_unwind")];
    assert_eq!(panics.len(), 3, "{panics:?}");
    let callers = keyed.callers(bounds);
    assert_eq!(callers.len(), 1, "{callers:?}");
    assert!(callers[0].contains("aplysia_shared9signature13verify_strict"));
    assert_eq!(keyed.callers(chain[0]), [bounds]);
}

/// A board that no debugger watches: a BKPT is a HardFault there.
pub(crate) struct Unwatched {
    qemu: Child,
    line: UnixStream,
}

impl Unwatched {
    fn start(blob: Option<&[u8]>) -> Device<Self> {
        Self::start_with(&alone_firmware(), blob, &[])
    }

    /// The program `elf`, with more arguments for QEMU.
    pub(crate) fn start_with(elf: &Path, blob: Option<&[u8]>, more: &[&str]) -> Device<Self> {
        let (line, uart) = UnixStream::pair().unwrap();
        let mut command = Command::new("qemu-system-arm");
        let machine = "-machine mps2-an386 -display none -monitor none -icount shift=10 \
                       -chardev socket,id=uart,fd=0 -serial chardev:uart";
        command.args(machine.split(' ').filter(|arg| !arg.is_empty()));
        command.args(more).arg("-kernel").arg(elf);
        let file = NamedTempFile::new().unwrap();
        if let Some(blob) = blob {
            std::fs::write(file.path(), blob).unwrap();
            let file = file.path().display();
            let loader = format!("loader,file={file},addr=0x100000,force-raw=on");
            command.args(["-device", &loader]);
        }
        command.stdin(Stdio::from(OwnedFd::from(uart)));
        let qemu = command.spawn().unwrap();
        // With it the other end of the line, which is to end with QEMU.
        drop(command);
        // QEMU has read the file when the program answers.
        let connected = Device::connect(Self { qemu, line });
        connected.unwrap_or_else(|error| panic!("{error}")).0
    }
}

impl Read for Unwatched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.line.read(buffer)
    }
}

impl Write for Unwatched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Line for Unwatched {}

impl Drop for Unwatched {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

#[test]
fn without_a_debugger_it_learns_what_the_host_learns() {
    let blob = random_model();
    let model = Model::parse(&blob).unwrap();
    let config = Config {
        homeostasis: Some(5),
        head: Head::Instar { shift: 3 },
    };
    let domains = Domains {
        slots: 2,
        open: 64,
        evidence: 200,
        sealed: false,
    };
    let mut buffer = vec![0; domains::state_bytes(&model, &config, &domains).unwrap()];
    let mut arena = vec![0; model.arena_bytes()];
    let mut host = Plastic::new(&model, config, 7, &mut buffer).unwrap();
    let fresh = host.digest();
    host.set_domains(&model, Some(domains)).unwrap();
    // The line that says that there is no model says nothing here.
    assert!(Unwatched::start(None).info().is_err());
    let mut device = Unwatched::start(Some(&blob));
    device.configure(config, 7).unwrap();
    device.domains(Some(domains)).unwrap();
    let shape = Shape { h: 28, w: 28, c: 1 };
    for (step, pixels) in images_of(shape, 40, 3).iter().enumerate() {
        host.observe(&model, &mut arena, &input_of_pixels(pixels))
            .unwrap();
        let inference = device.infer(pixels, true).unwrap();
        assert_eq!(inference.scores, host.scores());
        let label = step % N_CLASSES;
        host.learn(&model, label).unwrap();
        device.learn(label as u8).unwrap();
    }
    let stats = device.stats().unwrap();
    assert_eq!(stats.state_digest, host.digest());
    assert_ne!(host.digest(), fresh);
    let seen = stats.domains.unwrap();
    assert_eq!(Some((seen.settings, seen.report)), host.domains());
}
