//! The running board that `--connect` names: a serial port, or a socket file.

use anyhow::{Result, ensure};
use aplysia_live::device::{BAUD, Line, PORT_TIMEOUT, Serial, Socket};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// Opens `given`, a path; one that ends in `:BAUD` is a port unless a file has that very name.
///
/// # Errors
/// Nothing is there, or it cannot be used.
pub(super) fn open(given: &Path) -> Result<Box<dyn Line>> {
    let (path, baud) = match given.to_str().and_then(|text| text.rsplit_once(':')) {
        Some((path, baud)) if !given.exists() => match baud.parse() {
            Ok(baud) => (Path::new(path), Some(baud)),
            Err(_) => (given, None),
        },
        _ => (given, None),
    };
    let is_socket = path.metadata().is_ok_and(|m| m.file_type().is_socket());
    ensure!(
        !is_socket || baud.is_none(),
        "{} is a socket, which has no baud rate: leave it out",
        path.display()
    );
    // What is missing is reported as what its name says.
    if is_socket || !(path.starts_with("/dev") || path.exists()) {
        return Ok(Box::new(Socket::connect(path)?));
    }
    Ok(Box::new(Serial::open(
        path,
        baud.unwrap_or(BAUD),
        PORT_TIMEOUT,
    )?))
}
