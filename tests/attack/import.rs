//! Any bytes as a TensorFlow Lite file: a typed error, or a blob that parses and runs.
//!
//! Two forms: bytes that carry the identifier are the file; others are edits of a file of every operator,
//! six bytes each, so that files with sound offsets and any content are reached.

use crate::attack::blob::accepted;
use crate::tflite::File;
use aplysia_deploy::import;

const EDIT_BYTES: usize = 6;

/// See the module.
pub(crate) fn run(bytes: &[u8]) {
    if bytes.get(4..8) == Some(b"TFL3") {
        return imported(bytes);
    }
    let mut file = File::every_operator();
    for step in bytes.as_chunks::<EDIT_BYTES>().0.iter().take(32) {
        edit(&mut file, *step);
    }
    imported(&file.bytes());
}

/// A sound file, and one edit of each kind.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let edits = (0..18u8).map(|what| vec![what, 1, 0, 0, 2, 0]);
    [File::every_operator().bytes(), vec![]]
        .into_iter()
        .chain(edits)
        .collect()
}

fn imported(file: &[u8]) {
    match import(file, &[]) {
        Ok(export) => assert!(accepted(&export.blob), "the blob of an import is refused"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// One change: what, of which operator or tensor, at which place, to what.
fn edit(file: &mut File, [what, which, at, v0, v1, v2]: [u8; EDIT_BYTES]) {
    let value = i32::from_le_bytes([v0, v1, v2, 0]) << 8 >> 8;
    let (which, at) = (usize::from(which), usize::from(at));
    let n_tensors = file.tensors.len();
    if let Some(o) = pick(&mut file.operators, which) {
        match what {
            0 => o.code = value,
            1 => set(&mut o.inputs, at, value),
            2 => o.output = value,
            3 => set(&mut o.options.1, at, (u16::from(v1) % 8, v0.cast_signed())),
            4 => set(
                &mut o.options.2,
                at,
                (u16::from(v2) % 8, i32::from(v0.cast_signed())),
            ),
            5 => o.inputs.truncate(at),
            6 => {
                let copy = o.clone();
                file.operators.insert(which % file.operators.len(), copy);
            }
            7 => drop(file.operators.remove(which % file.operators.len())),
            _ => {}
        }
    }
    if let Some(t) = pick(&mut file.tensors, which) {
        match what {
            8 => t.kind = v0.cast_signed(),
            9 => set(&mut t.shape, at, value),
            10 => t.shape.truncate(at),
            11 => set(
                &mut t.scales,
                at,
                f32::from_bits(value.cast_unsigned() << 8),
            ),
            12 => t.zero_point = value.into(),
            13 => set(&mut t.data, at + 256 * usize::from(v1), v0),
            14 => t.data.resize(value.unsigned_abs() as usize % 4096, v0),
            15 => set(&mut t.signature, at, value),
            16 => t.axis = value,
            17 if n_tensors < 256 => {
                let copy = t.clone();
                file.tensors.push(copy);
            }
            _ => {}
        }
    }
}

fn pick<T>(items: &mut [T], which: usize) -> Option<&mut T> {
    let n = items.len().max(1);
    items.get_mut(which % n)
}

/// Sets item `at`, or appends it if there is none.
fn set<T>(items: &mut Vec<T>, at: usize, value: T) {
    match items.get_mut(at) {
        Some(place) => *place = value,
        None => items.push(value),
    }
}
