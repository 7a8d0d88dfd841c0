//! The layers and networks that are measured.
//!
//! Owns the list and [`CMSIS_NN`], the conditions of the counts it is compared with.

use super::BenchError;
use super::model::{Builder, Taps};
use super::networks::{KWS_STEM, autoencoder, ds_cnn, in_time, resnet8, wake_word};
use super::{peers, vww};
use crate::DeployError;
use crate::cascade::within;
use crate::import::import;
use crate::pair::pair;
use crate::processor::Processor;
use crate::winograd;
use aplysia_shared::Op;

/// Where the counts of CMSIS-NN come from.
pub(super) const CMSIS_NN: &str = "CMSIS-NN: commit 99f736a (15 July 2026), arm-none-eabi-gcc 12.2.1 -O3, \
    its public wrappers called on the same shapes, executed instructions in QEMU 7.2 on the same board; \
    whole networks without an interpreter. Measured once; the numbers are kept in \
    `host/deploy/src/bench/peers.rs`.";

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// As in the table.
    pub name: &'static str,
    /// The first layer of the model alone, or all of it.
    pub whole: bool,
    build: Build,
    form: Form,
}

/// Where the model of a case comes from.
#[derive(Clone, Copy, Debug)]
enum Build {
    /// Made of its shapes, with random numbers.
    Made(fn() -> Result<Vec<u8>, DeployError>),
    /// Imported.
    File(&'static [u8]),
    /// A released model of ours.
    Blob(&'static [u8]),
}

/// What is done to a model.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    /// Nothing.
    Usual,
    /// Its layers run together where that takes less RAM.
    Least,
    /// Its weights are transformed wherever they can be.
    Fast,
}

impl Case {
    /// Instructions of CMSIS-NN on `processor`; none where it was not measured.
    pub fn cmsis_nn(&self, processor: &Processor) -> Option<u64> {
        let ends = [IMPORTED, DEAD, LEAST, FAST];
        let shapes = ends
            .iter()
            .fold(self.name, |name, end| name.trim_end_matches(end));
        peers::count(shapes, processor.name)
    }

    /// Whether its form is one for `processor`.
    pub fn is_for(&self, processor: &Processor) -> bool {
        processor.dsp || self.form != Form::Fast
    }

    /// The model to run on `processor`: a released one as it is, others in the form for it.
    ///
    /// # Errors
    /// The runtime refuses it.
    pub fn blob(&self, processor: &Processor) -> Result<Vec<u8>, BenchError> {
        let blob = match self.build {
            Build::Made(make) => make()?,
            Build::File(file) => import(file, &[])?.blob,
            Build::Blob(blob) => return Ok(blob.to_vec()),
        };
        let blob = match self.form {
            Form::Usual => blob,
            Form::Least => within(&blob, 0, None)?,
            Form::Fast => winograd::within(&blob, usize::MAX)?,
        };
        match processor.dsp {
            true => Ok(blob),
            false => Ok(pair(&blob)?),
        }
    }
}

const fn layer(name: &'static str, build: fn() -> Result<Vec<u8>, DeployError>) -> Case {
    Case {
        name,
        whole: false,
        build: Build::Made(build),
        form: Form::Usual,
    }
}

/// Suffix of an imported network's name; the rest is the name of the synthetic network of the same shapes.
const IMPORTED: &str = ".tflite";

/// Suffix of the name of a network with filters of zeros, which CMSIS-NN multiplies as any others.
const DEAD: &str = "_dead";

/// Suffix of the name of a network whose layers run together where that takes less RAM.
const LEAST: &str = "_least";

/// Suffix of the name of a layer or network whose 3×3 convolutions have [`winograd`]'s form where they can.
const FAST: &str = "_winograd";

/// `case` in another form.
const fn formed(form: Form, case: Case) -> Case {
    Case { form, ..case }
}

const fn network(name: &'static str, build: Build) -> Case {
    Case {
        name,
        whole: true,
        build,
        form: Form::Usual,
    }
}

macro_rules! file {
    ($name:literal) => {
        Build::File(include_bytes!(concat!(
            "../../../../models/mlperf-tiny/",
            $name
        )))
    };
}

macro_rules! released {
    ($name:literal) => {
        network(
            $name,
            Build::Blob(include_bytes!(concat!(
                "../../../../models/",
                $name,
                "/model.blob"
            ))),
        )
    };
}

/// A layer behind an input, followed by what every model ends with.
fn alone(input: [u16; 3], layer: impl FnOnce(&mut Builder) -> u8) -> Result<Vec<u8>, DeployError> {
    let mut b = Builder::new(input);
    let out = layer(&mut b);
    let mean = b.mean(out);
    b.linear(mean, 2);
    b.blob()
}

fn conv(input: [u16; 3], taps: Taps, out: [u16; 3]) -> Result<Vec<u8>, DeployError> {
    alone(input, |b| b.conv(0, taps, out))
}

fn depthwise(input: [u16; 3], taps: Taps, out: [u16; 2]) -> Result<Vec<u8>, DeployError> {
    alone(input, |b| b.depthwise(0, taps, out))
}

fn pointwise(input: [u16; 3], n: u16) -> Result<Vec<u8>, DeployError> {
    alone(input, |b| b.pointwise(0, n))
}

fn linear(n_inputs: u16, n: u16) -> Result<Vec<u8>, DeployError> {
    let mut b = Builder::new([1, 1, n_inputs]);
    let out = b.linear(0, n);
    b.linear(out, 2);
    b.blob()
}

fn pool(
    op: fn(aplysia_shared::Window) -> Op,
    taps: Taps,
    out: [u16; 2],
) -> Result<Vec<u8>, DeployError> {
    alone([14, 14, 32], |b| b.pool(op, 0, taps, out))
}

const DILATED: Taps = Taps {
    pad: [2, 2],
    dilation: 2,
    ..Taps::same(3, 1)
};

fn conv3x3_16() -> Result<Vec<u8>, DeployError> {
    conv([32, 32, 16], Taps::same(3, 1), [32, 32, 16])
}

fn conv3x3_64() -> Result<Vec<u8>, DeployError> {
    conv([8, 8, 64], Taps::same(3, 1), [8, 8, 64])
}

/// Everything that is measured.
pub const CASES: [Case; 66] = [
    layer("conv3x3_28x28x1_16", || {
        conv([28, 28, 1], Taps::same(3, 1), [28, 28, 16])
    }),
    layer("conv3x3_32x32x3_16", || {
        conv([32, 32, 3], Taps::same(3, 1), [32, 32, 16])
    }),
    layer("conv3x3_16x16x16_32_s2", || {
        conv([16, 16, 16], Taps::same(3, 2), [8, 8, 32])
    }),
    layer("conv3x3_32x32x16_16", conv3x3_16),
    formed(
        Form::Fast,
        layer("conv3x3_32x32x16_16_winograd", conv3x3_16),
    ),
    layer("conv3x3_8x8x64_64", conv3x3_64),
    formed(Form::Fast, layer("conv3x3_8x8x64_64_winograd", conv3x3_64)),
    layer("conv10x4_49x10x1_64_s2", || {
        conv([49, 10, 1], KWS_STEM, [25, 5, 64])
    }),
    layer("conv3x3_96x96x3_8_s2", || {
        conv([96, 96, 3], Taps::same(3, 2), [48, 48, 8])
    }),
    layer("conv3x3_16x16x22_32", || {
        conv([16, 16, 22], Taps::same(3, 1), [16, 16, 32])
    }),
    layer("conv3x3_8x8x128_128", || {
        conv([8, 8, 128], Taps::same(3, 1), [8, 8, 128])
    }),
    layer("conv5x5_8x8x64_64", || {
        conv([8, 8, 64], Taps::same(5, 1), [8, 8, 64])
    }),
    layer("dw3x3_28x28x16_s1", || {
        depthwise([28, 28, 16], Taps::same(3, 1), [28, 28])
    }),
    layer("dw3x3_28x28x16_s2", || {
        depthwise([28, 28, 16], Taps::same(3, 2), [14, 14])
    }),
    layer("dw3x3_14x14x32_s1", || {
        depthwise([14, 14, 32], Taps::same(3, 1), [14, 14])
    }),
    layer("dw3x3_14x14x32_s2", || {
        depthwise([14, 14, 32], Taps::same(3, 2), [7, 7])
    }),
    layer("dw3x3_7x7x64_s1", || {
        depthwise([7, 7, 64], Taps::same(3, 1), [7, 7])
    }),
    layer("dw3x3_7x7x64_s2", || {
        depthwise(
            [7, 7, 64],
            Taps {
                pad: [1, 1],
                ..Taps::same(3, 2)
            },
            [4, 4],
        )
    }),
    layer("dw5x5_14x14x32_s1", || {
        depthwise([14, 14, 32], Taps::same(5, 1), [14, 14])
    }),
    layer("dw3x3_14x14x32_d2", || {
        depthwise([14, 14, 32], DILATED, [14, 14])
    }),
    layer("dw7x7_14x14x32_s1", || {
        depthwise([14, 14, 32], Taps::same(7, 1), [14, 14])
    }),
    layer("dw3x3_28x28x1_s1", || {
        depthwise([28, 28, 1], Taps::same(3, 1), [28, 28])
    }),
    layer("dw3x3_14x14x2_s1", || {
        depthwise([14, 14, 2], Taps::same(3, 1), [14, 14])
    }),
    layer("dw3x3_96x96x3_s1", || {
        depthwise([96, 96, 3], Taps::same(3, 1), [96, 96])
    }),
    layer("dw3x3_8x180x8_s1", || {
        depthwise([8, 180, 8], Taps::same(3, 1), [8, 180])
    }),
    layer("dw3x1_49x1x64_s1", || {
        depthwise([49, 1, 64], in_time(3, 1, true), [49, 1])
    }),
    layer("dw5x1_49x1x64_s2", || {
        depthwise([49, 1, 64], in_time(5, 2, true), [25, 1])
    }),
    layer("dw9x1_49x1x64_s1", || {
        depthwise([49, 1, 64], in_time(9, 1, true), [49, 1])
    }),
    layer("dw10x1_49x1x64_valid", || {
        depthwise([49, 1, 64], in_time(10, 1, false), [40, 1])
    }),
    layer("dw9x1_49x10x16_s1", || {
        depthwise([49, 10, 16], in_time(9, 1, true), [49, 10])
    }),
    layer("dw5x1_49x1x64_d4", || {
        let taps = Taps {
            dilation: 4,
            pad: [8, 0],
            ..in_time(5, 1, true)
        };
        depthwise([49, 1, 64], taps, [49, 1])
    }),
    layer("pw_28x28x16_16", || pointwise([28, 28, 16], 16)),
    layer("pw_14x14x32_32", || pointwise([14, 14, 32], 32)),
    layer("pw_14x14x32_64", || pointwise([14, 14, 32], 64)),
    layer("pw_7x7x64_64", || pointwise([7, 7, 64], 64)),
    layer("pw_25x5x64_64", || pointwise([25, 5, 64], 64)),
    layer("pw_3x3x256_256", || pointwise([3, 3, 256], 256)),
    layer("pw_7x7x70_64", || pointwise([7, 7, 70], 64)),
    layer("pw_4x4x1280_64", || pointwise([4, 4, 1280], 64)),
    layer("fc_64_10", || linear(64, 10)),
    layer("fc_640_128", || linear(640, 128)),
    layer("fc_128_128", || linear(128, 128)),
    layer("fc_2048_64", || linear(2048, 64)),
    layer("fc_4096_64", || linear(4096, 64)),
    layer("avgpool3x3_14x14x32_s1", || {
        pool(Op::AvgPool, Taps::same(3, 1), [14, 14])
    }),
    layer("avgpool2x2_14x14x32_s2", || {
        pool(Op::AvgPool, Taps::same(2, 2), [7, 7])
    }),
    layer("gap_7x7x64", || alone([7, 7, 64], |b| b.mean(0))),
    layer("maxpool2x2_14x14x32_s2", || {
        pool(Op::MaxPool, Taps::same(2, 2), [7, 7])
    }),
    layer("maxpool3x3_14x14x32_s1", || {
        pool(Op::MaxPool, Taps::same(3, 1), [14, 14])
    }),
    layer("add_14x14x32", || alone([14, 14, 32], |b| b.add([0, 0]))),
    network("resnet8", Build::Made(resnet8)),
    network("ds_cnn", Build::Made(ds_cnn)),
    network("autoencoder", Build::Made(autoencoder)),
    network("wake_word", Build::Made(wake_word)),
    network("vww", Build::Made(vww::alive)),
    network("vww_dead", Build::Made(vww::dead)),
    formed(Form::Least, network("resnet8_least", Build::Made(resnet8))),
    formed(Form::Least, network("vww_least", Build::Made(vww::alive))),
    formed(
        Form::Fast,
        network("resnet8_winograd", Build::Made(resnet8)),
    ),
    network("resnet8.tflite", file!("ic-resnet8.tflite")),
    formed(
        Form::Fast,
        network("resnet8_winograd.tflite", file!("ic-resnet8.tflite")),
    ),
    network("ds_cnn.tflite", file!("kws-dscnn.tflite")),
    network("autoencoder.tflite", file!("ad-autoencoder.tflite")),
    released!("fashion-mnist-m4"),
    released!("fashion-mnist-searched"),
    released!("fashion-mnist-usf"),
];

/// [`CASES`] in forms for `processor`.
pub fn cases(processor: &Processor) -> impl Iterator<Item = &'static Case> {
    CASES.iter().filter(|case| case.is_for(processor))
}
