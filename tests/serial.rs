//! A board behind a serial port: the emulated one, its UART bridged to a pseudo-terminal.

use crate::mlperf_tiny::DIGESTS;
use crate::program::{aplysia_binary, firmware};
use aplysia_deploy::import;
use aplysia_live::device::{BAUD, Device, DeviceError, EmulatorServer, Serial};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

/// A pair: the end that the board holds, and the name of the port.
fn pair() -> (File, PathBuf) {
    // No program that another test starts holds it open.
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let board = openpt(flags).unwrap();
    grantpt(&board).unwrap();
    unlockpt(&board).unwrap();
    let name = ptsname(&board, vec![]).unwrap();
    (File::from(board), PathBuf::from(name.to_str().unwrap()))
}

/// Bytes from one to the other until either ends.
fn carry(mut from: impl Read + Send + 'static, mut to: impl Write + Send + 'static) {
    thread::spawn(move || io::copy(&mut from, &mut to));
}

#[test]
fn a_board_behind_a_port_is_a_device() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("kws.blob"), import(DIGESTS[1].1, &[]).unwrap().blob).unwrap();
    let socket = path("board.sock");
    let board = EmulatorServer::start(&firmware(), Some(&path("kws.blob")), None, &socket);
    let _board = board.unwrap();
    let uart = UnixStream::connect(&socket).unwrap();
    let (end, port) = pair();
    // An open port, so that the pair outlives each command.
    let _open = Serial::open(&port, BAUD, Duration::from_secs(1)).unwrap();
    carry(end.try_clone().unwrap(), uart.try_clone().unwrap());
    carry(uart, end);

    // Every byte there is, at values that terminals take for commands.
    let inputs: Vec<u8> = (0..490 * 3).map(|i| (i % 256) as u8).collect();
    fs::write(path("x.bin"), inputs).unwrap();
    let name = port.to_str().unwrap();
    for connection in [name.to_owned(), format!("{name}:9600")] {
        let mut command = Command::new(aplysia_binary());
        command
            .current_dir(folder.path())
            .args(["device", "infer", "kws.blob"]);
        command.args([
            "--connect",
            &connection,
            "--input",
            "x.bin",
            "--output",
            "y.npy",
        ]);
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{connection}: {error}");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("3 inputs, every score equal"), "{said}");
    }
    for (connection, words) in [
        (
            format!("{name}:12345678901"),
            "12345678901 as a serial port",
        ),
        (format!("{}:9600", socket.display()), "has no baud rate"),
        (
            "/dev/no-such-port:9600".into(),
            "no-such-port as a serial port at 9600 baud",
        ),
        ("/dev/null".into(), "/dev/null as a serial port"),
    ] {
        let mut command = Command::new(aplysia_binary());
        let output = command
            .args(["device", "stats", "--connect", &connection])
            .output();
        let error = String::from_utf8(output.unwrap().stderr).unwrap();
        assert!(error.contains(words), "no `{words}` in: {error}");
    }
}

#[test]
fn a_silent_port_times_out_and_a_pulled_one_is_gone() {
    let (end, port) = pair();
    let open = || Serial::open(&port, BAUD, Duration::from_millis(20)).unwrap();
    let error = Device::connect(open()).map(|_| ()).unwrap_err();
    assert!(matches!(error, DeviceError::TimedOut { .. }), "{error}");
    let line = open();
    drop(end);
    let error = Device::connect(line).map(|_| ()).unwrap_err();
    let gone = matches!(error, DeviceError::Gone { .. } | DeviceError::Line { .. });
    assert!(gone, "{error}");
}
