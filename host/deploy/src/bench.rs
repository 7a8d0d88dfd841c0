//! What layers and networks cost on the emulated devices, next to CMSIS-NN.
//!
//! Owns the measurement: a blob goes into the bench firmware, which answers with the instructions of
//! every layer and a digest of the arena; the digest is compared with the host's. It must not know how
//! the firmware is built. Instructions are executed Thumb instructions in QEMU (`-icount`), not cycles;
//! those of a layer include the interpreter's own and the two readings of the timer around it.

mod cases;
mod genotypes;
mod model;
mod networks;
mod peers;
mod program;
mod sample;
mod vww;

pub use cases::{CASES, Case, cases};
pub use genotypes::{GENOTYPES, Prediction, predict, predictions_table};
pub use program::{program_bytes, toolchain};
pub use sample::{extreme_sample, narrow_sample, sample, smallest, square_sample, wide_sample};

use crate::DeployError;
use crate::import::ImportError;
use crate::processor::{M4, Processor};
use aplysia_live::device::{DeviceError, Emulator, ICOUNT, Line as _};
use aplysia_shared::{Model, infer};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::Path;

/// Why a measurement failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The model cannot be built.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// A file cannot be imported.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The emulator does not run.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The file for the emulator cannot be written.
    #[error("model file for the emulator: {0}")]
    File(std::io::Error),
    /// The firmware answers something else.
    #[error("the bench firmware answered `{line}`; build it with `cargo xtask firmware`")]
    Answer {
        /// What it wrote.
        line: String,
    },
}

/// What one model costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// Executed instructions of each layer.
    pub layers: Vec<u64>,
    /// Most stack in use while the model is parsed and run, bytes, kernels' scratch included.
    pub stack_bytes: u32,
    /// Whether every byte of the arena is the host's.
    pub exact: bool,
}

/// Row of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Name of the case.
    pub name: String,
    /// Multiply-accumulates, padding included.
    pub macs: u64,
    /// Executed instructions.
    pub instructions: u64,
    /// Those of CMSIS-NN, where they were measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmsis_nn: Option<u64>,
    /// `instructions / cmsis_nn`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// Instructions that the cost model, which is of the M4, predicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted: Option<u64>,
    /// Estimated cycles: [`crate::processor`].
    pub cycles_est: u64,
    /// Arena of the model, bytes.
    pub ram_bytes: u64,
    /// Most stack in use while the model is parsed and run, bytes, kernels' scratch included.
    pub stack_bytes: u64,
    /// Blob of the model, bytes.
    pub flash_bytes: u64,
    /// Whether the device computed the host's bits.
    pub exact: bool,
}

/// Runs `blob` once in the bench firmware `elf` for `processor`.
///
/// # Errors
/// [`BenchError`].
pub fn measure(processor: &Processor, elf: &Path, blob: &[u8]) -> Result<Measurement, BenchError> {
    let mut file = tempfile::NamedTempFile::new().map_err(BenchError::File)?;
    file.write_all(blob).map_err(BenchError::File)?;
    let model = Model::parse(blob).map_err(DeployError::from)?;
    let mut emulator = Emulator::start_on(&processor.board, elf, Some(file.path()))?;
    let mut next = || line(&mut emulator);
    let number = |line: String| line.parse().map_err(|_| BenchError::Answer { line });
    let layers: Result<Vec<u64>, _> = model.layers().map(|_| number(next()?)).collect();
    let layers = layers?;
    let line = next()?;
    let last = line
        .split_once(' ')
        .and_then(|(digest, stack)| Some((digest.parse().ok()?, stack.parse().ok()?)));
    let (digest, stack_bytes): (u32, _) = last.ok_or(BenchError::Answer { line })?;
    Ok(Measurement {
        layers,
        stack_bytes,
        exact: digest == host_digest(&model)?,
    })
}

/// The next line of the firmware's answer, or what it printed in its place.
fn line(emulator: &mut Emulator) -> Result<String, BenchError> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while matches!(emulator.read(&mut byte), Ok(1)) && byte != *b"\n" {
        line.extend(byte);
    }
    if line.is_empty() {
        line = emulator.log().into_bytes();
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// The digest of the arena after the same input on the host: FNV-1a, 32 bits.
fn host_digest(model: &Model<'_>) -> Result<u32, DeployError> {
    let input = (0..model.input().len() as u32)
        .map(|i| i.wrapping_mul(0x9E37_79B9).to_be_bytes()[0].cast_signed());
    let input: Vec<i8> = input.collect();
    let (mut arena, mut scores) = (vec![0; model.arena_bytes()], vec![0; model.n_classes()]);
    infer(model, &mut arena, &input, &mut scores)?;
    let step =
        |hash: u32, byte: &i8| (hash ^ u32::from(byte.cast_unsigned())).wrapping_mul(0x0100_0193);
    Ok(arena.iter().fold(0x811C_9DC5, step))
}

/// Measures `case` with the bench firmware `elf` for `processor`.
///
/// # Errors
/// [`BenchError`].
pub fn record(processor: &Processor, elf: &Path, case: &Case) -> Result<Record, BenchError> {
    let blob = case.blob(processor)?;
    let model = Model::parse(&blob).map_err(DeployError::from)?;
    let measured = measure(processor, elf, &blob)?;
    let (instructions, cost) = if case.whole {
        let (macs, instructions) = (model.macs(), model.instructions());
        (measured.layers.iter().sum(), (macs, instructions))
    } else {
        let cost = model.layer_cost(0);
        (measured.layers[0], (cost.macs, cost.instructions))
    };
    let cycles = processor.cpi.times(instructions as f64);
    let cmsis_nn = case.cmsis_nn(processor);
    let ratio = cmsis_nn.map(|theirs| instructions as f64 / theirs as f64);
    Ok(Record {
        name: case.name.to_owned(),
        macs: cost.0,
        instructions,
        cmsis_nn,
        ratio: ratio.map(|ratio| (1000.0 * ratio).round() / 1000.0),
        predicted: (*processor == M4).then_some(cost.1),
        cycles_est: cycles.mid.round() as u64,
        ram_bytes: model.arena_bytes() as u64,
        stack_bytes: measured.stack_bytes.into(),
        flash_bytes: model.blob_bytes() as u64,
        exact: measured.exact,
    })
}

/// The records of `processor` as a Markdown table with its conditions; `toolchain` is [`toolchain`] of
/// the firmware, `infer_bytes` [`program_bytes`] of the smallest program that runs a model.
pub fn table(
    processor: &Processor,
    records: &[Record],
    toolchain: &str,
    infer_bytes: u64,
) -> String {
    let (machine, target, cpi) = (processor.board.machine, processor.target, processor.cpi);
    let mut text = format!(
        "Executed Thumb instructions, not cycles, of the bench firmware ({toolchain}, {target}, opt-level 3) \
         in QEMU, board {machine}, `-icount {ICOUNT}`; a layer includes the interpreter's work around it, a \
         network is the sum of its layers, one \
         with `.tflite` MLPerf Tiny's own model imported, `fashion-mnist-…` a released model, the others the same \
         shapes with random numbers, `vww_dead` with as many filters of zeros as MLPerf Tiny's model has; \
         `…_least` runs layers together in the least RAM, `…_winograd` has Winograd's form of 3×3 convolutions in \
         more flash. `ratio` is \
         instructions over those of CMSIS-NN, `cycles` an \
         estimate, {} per instruction ({} to {}: `host/deploy/src/processor.rs`), `predicted` the cost \
         model's count, which is of the M4, `bits` whether every byte of the arena is the host's. Bytes: the \
         arena and, of networks, the most stack in use, parsing and the kernels' scratch included, are RAM, the blob is flash; a \
         layer's are those of a model that begins with it. The smallest program that runs a model, `infer`, has the \
         kernels of every operator and takes {infer_bytes} bytes of flash beside the blob.\n\n{}\n\n\
         | layer or network | MACs | instructions | per MAC | CMSIS-NN | ratio | cycles | predicted | arena | stack \
         | blob | bits |\n\
         |---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|\n",
        cpi.mid,
        cpi.low,
        cpi.high,
        cases::CMSIS_NN
    );
    for r in records {
        let per_mac = match r.macs {
            0 => String::new(),
            macs => format!("{:.3}", r.instructions as f64 / macs as f64),
        };
        let bits = if r.exact { "equal" } else { "DIFFERENT" };
        let number = |n: Option<u64>| n.map_or(String::new(), |n| n.to_string());
        let (theirs, predicted) = (number(r.cmsis_nn), number(r.predicted));
        let ratio = r.ratio.map_or(String::new(), |r| format!("{r:.3}"));
        let whole = CASES.iter().any(|case| case.whole && case.name == r.name);
        let stack = number(whole.then_some(r.stack_bytes));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {per_mac} | {theirs} | {ratio} | {} | {predicted} | {} | {stack} | {} | {bits} |",
            r.name, r.macs, r.instructions, r.cycles_est, r.ram_bytes, r.flash_bytes
        );
    }
    text
}
