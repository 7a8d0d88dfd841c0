//! The program `infer`: that nothing in it can panic or format, by its symbols, its size, and its scores.
//!
//! It owns the reading of an ELF file's symbols. Source: Tool Interface Standard, "Executable and
//! Linking Format" 1.2: section headers of 40 bytes, symbols of 16, 32 bits, little-endian.

use crate::device::random_model;
use crate::program::firmware;
use aplysia_deploy::bench::program_bytes;
use aplysia_deploy::processor::{M0, M3, M4, M33};
use aplysia_live::device::Emulator;
use aplysia_shared::{Model, infer};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;

/// The program for `target`, beside that of the device; none if it was not built. That for the M4 must be there
/// unless set-up found Debian's packages alone, whose route does not build it.
fn image(target: &str) -> Option<PathBuf> {
    let device = firmware();
    let built = device.ancestors().nth(3).unwrap();
    let elf = built.join(target).join("release/infer");
    if !elf.is_file() {
        let route = std::fs::read_to_string(built.join("route")).unwrap_or_default();
        let excused = target != M4.target || route.trim() == "debian";
        assert!(excused, "no {}: cargo xtask firmware", elf.display());
        eprintln!("{target} left out: no program {}", elf.display());
    }
    elf.is_file().then_some(elf)
}

/// Mangled names of the symbols of an ELF file with little-endian words of 32 bits.
fn symbols(elf: &[u8]) -> Vec<String> {
    const SYMBOLS: u32 = 2;
    assert_eq!(elf[..6], *b"\x7fELF\x01\x01");
    let word = |at: usize| u32::from_le_bytes(elf[at..at + 4].try_into().unwrap());
    let half = |at: usize| usize::from(u16::from_le_bytes([elf[at], elf[at + 1]]));
    let (start, n) = (word(32) as usize, half(48));
    let header = |section: usize| start + 40 * section;
    let bytes = |section: usize| {
        let (from, len) = (word(header(section) + 16), word(header(section) + 20));
        from as usize..(from + len) as usize
    };
    let table = (0..n).find(|&s| word(header(s) + 4) == SYMBOLS).unwrap();
    let names = bytes(word(header(table) + 24) as usize);
    let name = |at: usize| {
        let text = &elf[names.start + word(at) as usize..names.end];
        let end = text.iter().position(|&byte| byte == 0).unwrap();
        String::from_utf8_lossy(&text[..end]).into_owned()
    };
    bytes(table).step_by(16).map(name).collect()
}

#[test]
fn nothing_in_the_inference_image_panics_or_formats() {
    // Names of `core`'s panics and formatting in either mangling.
    let banned = ["9panicking", "4core3fmt", "_fail", "unwrap_failed"];
    let mut seen = 0;
    for target in [M4, M33, M3, M0].map(|p| p.target) {
        let Some(elf) = image(target) else { continue };
        let names = symbols(&std::fs::read(&elf).unwrap());
        assert!(names.iter().any(|name| name.contains("aplysia_shared")));
        let found: Vec<&String> = names
            .iter()
            .filter(|name| banned.iter().any(|b| name.contains(b)))
            .collect();
        assert!(found.is_empty(), "{target}: {found:?}");
        seen += 1;
    }
    eprintln!("{seen} programs without a panic");
}

/// As firmware/README.md says, within 2 %, which covers other versions of the compiler.
#[test]
fn the_inference_image_has_the_stated_size() {
    const README: &str = include_str!("../firmware/README.md");
    let words: Vec<&str> = README.split_whitespace().collect();
    let text = words.join(" ");
    let (_, sizes) = text.split_once("vectors, code and constants are ").unwrap();
    let (sizes, _) = sizes.split_once(" bytes on an M0").unwrap();
    let stated: Vec<f64> = sizes
        .split([' ', ';'])
        .map(|word| word.trim_end_matches(',').replace(',', ""))
        .filter_map(|word| word.parse().ok())
        .collect();
    let targets = [M4, M33, M3, M0].map(|p| p.target);
    assert_eq!(stated.len(), targets.len(), "{sizes}");
    for (target, stated) in targets.into_iter().zip(stated) {
        let Some(elf) = image(target) else { continue };
        let bytes = program_bytes(&std::fs::read(&elf).unwrap()).unwrap();
        let change = bytes as f64 / stated - 1.0;
        assert!(
            change.abs() <= 0.02,
            "{target}: {bytes} bytes, stated are {stated}"
        );
    }
}

#[test]
fn the_inference_image_computes_the_bits_of_the_host() {
    let Some(elf) = image(M4.target) else { return };
    let blob = random_model();
    let model = Model::parse(&blob).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &blob).unwrap();
    let mut line = Emulator::start(&elf, Some(file.path())).unwrap();
    let rng = &mut ChaCha8Rng::seed_from_u64(5);
    let mut arena = vec![0; model.arena_bytes()];
    let (mut want, mut got) = (vec![0; model.n_classes()], vec![0; model.n_classes()]);
    for _ in 0..20 {
        let input: Vec<i8> = (0..model.input().len()).map(|_| rng.random()).collect();
        infer(&model, &mut arena, &input, &mut want).unwrap();
        let bytes: Vec<u8> = input.iter().map(|q| q.cast_unsigned()).collect();
        line.write_all(&bytes).unwrap();
        line.read_exact(&mut got).unwrap();
        let got: Vec<i8> = got.iter().map(|&score| score as i8).collect();
        assert_eq!(got, want);
    }
}
