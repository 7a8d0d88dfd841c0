//! The program `infer`: that nothing in it can panic or format, by its symbols, its size, and its scores.

use crate::device::random_model;
use crate::elf::Program;
use crate::program::{firmware, is_prebuilt};
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
        let excused = target != M4.target || !is_prebuilt();
        assert!(excused, "no {}: cargo xtask firmware", elf.display());
        eprintln!("{target} left out: no program {}", elf.display());
    }
    elf.is_file().then_some(elf)
}

#[test]
fn nothing_in_the_inference_image_panics_or_formats() {
    let mut seen = 0;
    for target in [M4, M33, M3, M0].map(|p| p.target) {
        let Some(elf) = image(target) else { continue };
        let program = Program::read(&elf);
        let ours = |name: &str| name.contains("aplysia_shared");
        assert!(program.symbols.iter().any(|s| ours(&s.name)));
        let found = [program.panics(), program.formatting()].concat();
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
