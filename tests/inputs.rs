//! Inputs from files: NumPy arrays as NumPy itself writes them, everything else refused with a remedy, and the
//! scores of `aplysia run` and `aplysia device infer` in NumPy's form.
//!
//! The arrays of the first test are the bytes of `numpy.save` (NumPy 2.4), the outputs those of TensorFlow Lite
//! Micro whose digests `tests/mlperf_tiny.rs` owns.

use crate::mlperf_tiny::{DIGESTS, digest_of, inputs};
use crate::program::{aplysia_binary, firmware};
use aplysia_deploy::import;
use aplysia_live::npy::{Npy, NpyError, Values, write_i8};
use aplysia_live::samples::{Samples, SamplesError, real};
use aplysia_shared::{Model, Tensor};
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

const INPUT: Tensor = Tensor {
    h: 4,
    w: 1,
    c: 3,
    scale: 0.5,
    zero_point: 10,
    offset: 0,
};

/// A file of version 1 with this dictionary.
fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let start = b"\x93NUMPY\x01\x00".to_vec();
    let len = (header.len() as u16).to_le_bytes();
    [&start, &len[..], header.as_bytes(), data].concat()
}

#[test]
fn arrays_are_what_numpy_saves() {
    // numpy.save of numpy.arange(6, dtype=numpy.int8).reshape(1, 2, 3).
    let mut saved =
        b"\x93NUMPY\x01\x00v\x00{'descr': '|i1', 'fortran_order': False, 'shape': (1, 2, 3), }"
            .to_vec();
    saved.resize(127, b' ');
    saved.extend(b"\n\x00\x01\x02\x03\x04\x05");
    let (shape, numbers) = (vec![1, 2, 3], [0, 1, 2, 3, 4, 5]);
    let values = Values::I8(&[0, 1, 2, 3, 4, 5]);
    assert_eq!(Npy::read(&saved), Ok(Npy { shape, values }));
    assert_eq!(write_i8(&[1, 2, 3], &numbers), saved);
    // Version 2, which it writes for long headers.
    let header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n";
    let long = [&b"\x93NUMPY\x02\x00\x3a\x00\x00\x00"[..], header, &[0; 8]].concat();
    let (shape, values) = (vec![2], Values::F32(&[0; 8]));
    assert_eq!(Npy::read(&long), Ok(Npy { shape, values }));
    // One axis has no order, and another writer's spelling is the same dictionary.
    let other = npy(
        "{\"shape\":(3),\"fortran_order\":True,'descr':'|u1'}",
        &[1, 2, 3],
    );
    let (shape, values) = (vec![3], Values::U8(&[1, 2, 3]));
    assert_eq!(Npy::read(&other), Ok(Npy { shape, values }));
}

#[test]
fn other_files_are_refused() {
    let refused = |file: &[u8]| Npy::read(file).unwrap_err();
    let dictionary = |descr, order, shape| {
        format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}")
    };
    let header = |descr, order, shape| refused(&npy(&dictionary(descr, order, shape), &[0; 12]));
    assert_eq!(refused(b""), NpyError::Magic);
    assert_eq!(refused(b"PK\x03\x04"), NpyError::Magic);
    assert_eq!(
        refused(b"\x93NUMPY\x03\x00\x00\x00"),
        NpyError::Version { major: 3 }
    );
    assert_eq!(refused(b"\x93NUMPY\x01\x00\xff\x00{"), NpyError::Header);
    assert_eq!(refused(b"\x93NUMPY\x02\x00\xff"), NpyError::Header);
    assert!(
        matches!(header("'<f8'", "False", "(12,)"), NpyError::Type { descr } if descr == "<f8")
    );
    assert!(matches!(
        header("'>f4'", "False", "(3,)"),
        NpyError::Type { .. }
    ));
    assert_eq!(header("[('a', '|i1')]", "False", "(12,)"), NpyError::Header);
    assert_eq!(header("'|i1'", "0", "(12,)"), NpyError::Header);
    assert_eq!(header("'|i1'", "False", "(-12,)"), NpyError::Header);
    assert_eq!(header("'|i1'", "False", "(12"), NpyError::Header);
    assert_eq!(header("'|i1'", "False", "(12 12)"), NpyError::Header);
    assert_eq!(header("'|i1'", "True", "(4, 3)"), NpyError::Order);
    let length = |error| match error {
        NpyError::Length {
            got_bytes,
            want_bytes,
            ..
        } => want_bytes as i64 - got_bytes as i64,
        other => panic!("{other:?}"),
    };
    assert_eq!(length(header("'<f4'", "False", "(2, 2)")), 4);
    assert_eq!(length(header("'|i1'", "False", "(11,)")), -1);
    // A product beyond 64 bits.
    let huge = "(99999999999, 99999999999, 99999999999)";
    assert!(length(header("'|i1'", "False", huge)) != 0);
    assert_eq!(
        header("'|i1'", "False", "(99999999999999999999,)"),
        NpyError::Header
    );
}

#[test]
fn an_input_is_the_models_axes_or_one() {
    let of = |shape: &[usize]| {
        let n = shape.iter().product();
        Samples::from_npy(&write_i8(shape, &vec![0; n]), &INPUT).map(|s| s.images().labels.len())
    };
    let one: [&[usize]; 5] = [&[4, 1, 3], &[4, 3], &[12], &[1, 12], &[1, 4, 1, 3]];
    for shape in one {
        assert_eq!(of(shape), Ok(1), "{shape:?}");
    }
    let seven: [&[usize]; 4] = [&[7, 4, 1, 3], &[7, 4, 3], &[7, 12], &[7, 1, 12, 1]];
    for shape in seven {
        assert_eq!(of(shape), Ok(7), "{shape:?}");
    }
    let none: [&[usize]; 6] = [&[3, 4], &[7, 3, 4], &[84], &[6, 2], &[7, 2, 6], &[]];
    for shape in none {
        let (got, want) = (shape.to_vec(), [4, 1, 3]);
        assert_eq!(of(shape), Err(SamplesError::Shape { got, want }));
    }
    assert_eq!(of(&[0, 12]), Err(SamplesError::Empty));
    assert_eq!(Samples::from_raw(&[], &INPUT), Err(SamplesError::Empty));
    let uneven = SamplesError::Length {
        got_bytes: 25,
        want_bytes: 12,
        shape: [4, 1, 3],
    };
    assert_eq!(Samples::from_raw(&[0; 25], &INPUT), Err(uneven));
}

/// A float32 array of `INPUT`s.
fn floats(numbers: &[f32]) -> Vec<u8> {
    let n = numbers.len() / 12;
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({n}, 12), }}");
    let data: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    npy(&header, &data)
}

#[test]
fn numbers_are_quantized_to_the_nearest_step() {
    let numbers = [
        0.0,
        0.24,
        0.25,
        -0.25,
        -0.24,
        0.75,
        58.5,
        58.7,
        59.0,
        -69.0,
        -70.0,
        f32::MAX,
    ];
    let steps = [10, 10, 11, 9, 10, 12, 127, 127, 127, -128, -128, 127];
    let got = Samples::from_npy(&floats(&numbers), &INPUT).unwrap();
    let want = Samples::from_raw(&steps.map(i8::cast_unsigned), &INPUT).unwrap();
    assert_eq!(got, want);
    let mut numbers = [0.0; 24];
    numbers[17] = f32::NAN;
    let error = SamplesError::NotFinite {
        sample: 1,
        value: 5,
    };
    assert_eq!(Samples::from_npy(&floats(&numbers), &INPUT), Err(error));
}

proptest! {
    #[test]
    fn what_is_written_is_read(shape in prop::collection::vec(0usize..6, 0..4), seed: i8) {
        let n: usize = shape.iter().product();
        let numbers: Vec<i8> = (0..n).map(|i| seed.wrapping_add(i as i8)).collect();
        let file = write_i8(&shape, &numbers);
        let bytes: Vec<u8> = numbers.iter().map(|q| q.cast_unsigned()).collect();
        let values = Values::I8(&bytes);
        prop_assert_eq!(Npy::read(&file), Ok(Npy { shape, values }));
        prop_assert!((file.len() - n).is_multiple_of(64));
    }

    #[test]
    fn damage_is_refused_or_read(at in 0usize..140, byte: u8, keep in 0usize..140) {
        let mut file = write_i8(&[12], &[5; 12]);
        let at = at % file.len();
        file[at] = byte;
        file.truncate(keep);
        if let Ok(array) = Npy::read(&file) {
            prop_assert!(array.shape.iter().product::<usize>() <= 12);
        }
    }
}

/// Commands of the program in a folder of their own.
struct Place(TempDir);

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn aplysia(&self, line: &str) -> Output {
        let mut command = Command::new(aplysia_binary());
        command.args(line.split(' ')).current_dir(self.0.path());
        command.env("APLYSIA_FIRMWARE", fs::canonicalize(firmware()).unwrap());
        command.output().unwrap()
    }

    /// What a command says that must end well.
    fn said(&self, line: &str) -> String {
        let output = self.aplysia(line);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn refused(&self, line: &str, words: &[&str]) {
        let output = self.aplysia(line);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{line}");
        for word in words {
            assert!(error.contains(word), "no `{word}` in: {error}");
        }
    }

    /// The scores that `line` writes to `name`.
    fn scores(&self, name: &str) -> Vec<i8> {
        let file = fs::read(self.path(name)).unwrap();
        let bytes = match Path::new(name).extension().is_some_and(|e| e == "npy") {
            true => match Npy::read(&file).unwrap().values {
                Values::I8(bytes) => bytes,
                other => panic!("{other:?}"),
            },
            false => &file,
        };
        bytes.iter().map(|b| b.cast_signed()).collect()
    }
}

fn place() -> Place {
    Place(tempfile::tempdir().unwrap())
}

#[test]
fn files_through_run_give_the_bits_of_tflite_micro() {
    let place = place();
    for (name, file, want) in DIGESTS {
        place.write("net.tflite", file);
        place.said("import net.tflite --out net.blob");
        let blob = fs::read(place.path("net.blob")).unwrap();
        let model = Model::parse(&blob).unwrap();
        let input = model.input();
        let quantized = inputs(input.len());
        let shape = [200, input.h, input.w, input.c].map(usize::from);
        let bytes: Vec<u8> = quantized.iter().map(|q| q.cast_unsigned()).collect();
        let unsigned: Vec<u8> = bytes.iter().map(|b| b ^ 0x80).collect();
        let numbers = quantized
            .iter()
            .flat_map(|&q| real(&input, q).to_le_bytes());
        let numbers: Vec<u8> = numbers.collect();
        let header = |descr| {
            format!(
                "{{'descr': '{descr}', 'fortran_order': False, 'shape': (200, {}), }}",
                input.len()
            )
        };
        place.write("signed.npy", &write_i8(&shape, &quantized));
        place.write("unsigned.npy", &npy(&header("|u1"), &unsigned));
        place.write("floats.npy", &npy(&header("<f4"), &numbers));
        place.write("raw.bin", &bytes);
        for file in ["signed.npy", "unsigned.npy", "floats.npy", "raw.bin"] {
            for output in ["scores.npy", "scores.bin"] {
                place.said(&format!("run net.blob --input {file} --output {output}"));
                assert_eq!(digest_of(&place.scores(output)), want, "{name}, {file}");
            }
        }
    }
}

#[test]
fn without_output_the_scores_are_printed_with_what_they_stand_for() {
    let place = place();
    place.write("net.tflite", DIGESTS[1].1);
    let classes = "a,b,c,d,e,f,g,h,i,j,k,l";
    place.said(&format!(
        "import net.tflite --out net.blob --classes {classes}"
    ));
    place.write("one.npy", &write_i8(&[49, 10], &inputs(490)[..490]));
    place.said("run net.blob --input one.npy --output scores.bin");
    let (scores, said) = (
        place.scores("scores.bin"),
        place.said("run net.blob --input one.npy"),
    );
    let mut words = said.split_whitespace();
    let best = (0..12).rev().max_by_key(|&i| scores[i]).unwrap();
    assert_eq!(words.next(), Some("0"));
    assert_eq!(words.next(), classes.split(',').nth(best));
    for q in scores {
        assert_eq!(words.next(), Some(&q.to_string()[..]));
        // The softmax has scale 1/256 and zero point -128.
        let real = format!("({:.4})", (f32::from(q) + 128.0) / 256.0);
        assert_eq!(words.next(), Some(&real[..]));
    }
    assert_eq!(words.next(), None);

    let takes = ["shape [10, 49]", "[n, 49, 10, 1]", "[n, 490]"];
    place.write("turned.npy", &write_i8(&[10, 49], &inputs(490)[..490]));
    place.refused("run net.blob --input turned.npy", &takes);
    place.write("short.bin", &[0; 491]);
    place.refused("run net.blob --input short.bin", &["491 bytes", "490"]);
    place.write("no.npy", b"PK\x03\x04");
    place.refused("run net.blob --input no.npy", &["no.npy", "numpy.save"]);
    place.refused("run net.blob --input none.npy", &["cannot read none.npy"]);
    place.refused("run net.blob --input one.npy --images 3", &["--images"]);
    place.refused(
        "run net.blob --input one.npy --dataset cifar10",
        &["--dataset"],
    );
    place.refused("run net.blob --output scores.npy", &["--input"]);
}

#[test]
fn the_device_gives_the_scores_of_a_file_too() {
    let place = place();
    place.write("net.blob", &import(DIGESTS[1].1, &[]).unwrap().blob);
    place.write(
        "some.npy",
        &write_i8(&[12, 49, 10], &inputs(490)[..12 * 490]),
    );
    place.said("run net.blob --input some.npy --output host.npy");
    let said = place.said("device infer net.blob --input some.npy --output device.npy");
    assert!(
        said.contains("12 inputs, every score equal to the host's"),
        "{said}"
    );
    let file = |name: &str| fs::read(place.path(name)).unwrap();
    assert_eq!(file("host.npy"), file("device.npy"));
}

/// What is written goes where links lead, and takes the place of nothing that is no file.
#[test]
fn files_replace_files_only() {
    let place = place();
    place.write("net.blob", &import(DIGESTS[2].1, &[]).unwrap().blob);
    place.write("some.npy", &write_i8(&[2, 640], &inputs(640)[..2 * 640]));
    place.write("scores.npy", b"old");
    symlink("scores.npy", place.path("link")).unwrap();
    place.said("run net.blob --input some.npy --output link");
    assert!(place.path("link").is_symlink());
    assert!(fs::read(place.path("scores.npy")).unwrap().len() > 128);

    // A socket, and a link to one, as /dev/stdout may be.
    let _socket = UnixListener::bind(place.path("socket")).unwrap();
    symlink("socket", place.path("out")).unwrap();
    for name in ["socket", "out"] {
        let line = format!("run net.blob --input some.npy --output {name}");
        place.refused(&line, &[&format!("cannot write {name}"), "the name of one"]);
        assert!(!place.path(name).is_file());
    }
}
