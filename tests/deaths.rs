//! A device program that dies says why and where, and ends the emulator with status 1.

use crate::program::firmware;
use aplysia_live::device::{Device, DeviceError, Emulator};
use std::path::Path;
use std::process::Command;
use tempfile::NamedTempFile;

/// Runs a program that dies: its exit status, once a client has heard `words` from it.
fn dies_saying(elf: &Path, blob: &Path, words: &[&str]) -> Option<i32> {
    let emulator = Emulator::start(elf, Some(blob)).unwrap();
    let error = Device::connect(emulator).map(|_| ()).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, DeviceError::Gone { .. }), "{message}");
    for word in words {
        assert!(message.contains(word), "no `{word}` in: {message}");
    }
    let loader = format!("loader,file={},addr=0x100000,force-raw=on", blob.display());
    let line = "-machine mps2-an386 -display none -monitor none -serial null \
                -semihosting-config enable=on,target=native";
    let mut qemu = Command::new("qemu-system-arm");
    qemu.args(line.split_whitespace()).arg("-kernel").arg(elf);
    qemu.args(["-device", &loader])
        .output()
        .unwrap()
        .status
        .code()
}

#[test]
fn a_panic_ends_the_program_with_its_message_and_status_1() {
    // Nothing in `live` can.
    let elf = firmware().with_file_name("panic");
    let blob = Path::new(env!("CARGO_MANIFEST_DIR")).join("blobs/v1-tiny.blob");
    let words = ["panicked at src/bin/panic.rs", "on purpose, 3 words"];
    assert_eq!(dies_saying(&elf, &blob, &words), Some(1));
}

#[test]
fn a_hard_fault_ends_the_program_with_its_place_and_status_1() {
    let mut elf = std::fs::read(firmware()).unwrap();
    let word = |at: usize| u32::from_le_bytes(elf[at..at + 4].try_into().unwrap()) as usize;
    let half = |at: usize| usize::from(u16::from_le_bytes([elf[at], elf[at + 1]]));
    // ELF32: e_entry, then the program header (p_type, p_offset, p_vaddr, _, p_filesz) of its segment.
    let entry = word(24) & !1;
    let headers = (0..half(44)).map(|i| word(28) + i * half(42));
    let offset = headers
        .filter(|&h| word(h) == 1)
        .filter(|&h| (word(h + 8)..word(h + 8) + word(h + 16)).contains(&entry))
        .map(|h| entry - word(h + 8) + word(h + 4))
        .next()
        .unwrap();
    // UDF #0, permanently undefined.
    elf[offset..offset + 2].copy_from_slice(&[0x00, 0xde]);
    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), elf).unwrap();
    let words = format!("HardFault at {entry:#010x}");
    let blob = Path::new(env!("CARGO_MANIFEST_DIR")).join("blobs/v1-tiny.blob");
    assert_eq!(dies_saying(file.path(), &blob, &[&words]), Some(1));
}

#[test]
fn a_flash_whose_file_cannot_be_opened_ends_the_program_with_the_reason_and_status_1() {
    let mut qemu = Command::new("qemu-system-arm");
    let line = "-machine mps2-an386 -display none -monitor none -serial null -semihosting-config \
                enable=on,target=native,arg=flash,arg=/no/such/folder/flash -kernel";
    let output = qemu.args(line.split_whitespace()).arg(firmware()).output();
    let output = output.unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        said.contains("no flash: its file cannot be opened"),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(1), "{said}");
}
