//! What an inference costs, from the shapes alone.
//!
//! It owns the formulas of the generic kernels' work and must not know timing. MACs count taps in the
//! padding, so they equal the float network's. Instructions are estimates: the constants are fitted to
//! counts of single kernels in QEMU 7.2 (`mps2-an386`, Cortex-M4, `-icount`; rustc 1.95, opt-level 3,
//! fat LTO; sides 7 to 28, 1 to 64 channels). The fit is within 8 % of the counts of every weighted
//! layer and of additions and means, within 13 % of pooling; instructions are not cycles.

use crate::blob::Model;
use crate::layer::{Layer, Op};

/// Per MAC of a convolution.
pub const CONV_MAC: u64 = 5;
/// Per kernel row of each output of a convolution: bounds and slices.
pub const CONV_ROW: u64 = 61;
/// Per MAC of a 1×1 convolution with step 1.
pub const POINTWISE_MAC: u64 = 5;
/// Per MAC of a depthwise convolution.
pub const DEPTHWISE_MAC: u64 = 4;
/// Per tap and output pixel of a depthwise convolution: bounds and slices.
pub const DEPTHWISE_TAP: u64 = 68;
/// Per MAC of a fully connected layer.
pub const FULLY_CONNECTED_MAC: u64 = 6;
/// Per output of a convolution: constants, rounding, clamp, store.
pub const CONV_OUTPUT: u64 = 90;
/// Per output of a depthwise convolution.
pub const DEPTHWISE_OUTPUT: u64 = 110;
/// Per output of a fully connected layer.
pub const FULLY_CONNECTED_OUTPUT: u64 = 77;
/// Per element of an addition: three requantizations with constants in registers.
pub const ADD: u64 = 81;
/// Per tap and channel of a maximum.
pub const MAX_TAP: u64 = 10;
/// Per tap and output pixel of a maximum: bounds and slices.
pub const MAX_RUN: u64 = 29;
/// Per tap and channel of an average.
pub const AVERAGE_TAP: u64 = 4;
/// Per tap and output pixel of an average: bounds and slices.
pub const AVERAGE_RUN: u64 = 84;
/// Per output of an average: rounding and division.
pub const AVERAGE_OUTPUT: u64 = 31;
/// Per input element of a mean over all pixels.
pub const MEAN: u64 = 7;
/// Per output of a mean over all pixels.
pub const MEAN_OUTPUT: u64 = 45;

/// Work of a layer or a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Multiply-accumulates, taps in the padding included.
    pub macs: u64,
    /// Estimated instructions; see the module for what they are not.
    pub instructions: u64,
}

impl Model<'_> {
    /// Cost of layer `layer`; zero if there is none.
    pub fn layer_cost(&self, layer: usize) -> Cost {
        self.layers()
            .get(layer)
            .map_or(Cost::default(), |l| self.cost_of(l))
    }
    /// Multiply-accumulates of one inference.
    pub fn macs(&self) -> u64 {
        self.layers().iter().map(|l| self.cost_of(l).macs).sum()
    }
    /// Estimated instructions of one inference.
    pub fn instructions(&self) -> u64 {
        let cost = |l| self.cost_of(l).instructions;
        self.layers().iter().map(cost).sum()
    }

    fn cost_of(&self, layer: &Layer) -> Cost {
        let tensor = |i: u8| self.tensors().get(usize::from(i));
        let (Some(src), Some(dst)) = (tensor(layer.inputs[0]), tensor(layer.output)) else {
            return Cost::default();
        };
        let (inputs, outputs) = (src.len() as u64, dst.len() as u64);
        let in_ch = u64::from(src.c);
        let pixels = outputs / u64::from(dst.c).max(1);
        let (macs, instructions) = match &layer.op {
            Op::Conv2d(w) | Op::PackedConv2d(w) => {
                let macs = outputs * w.taps() as u64 * in_ch;
                let work = match w.is_pointwise() {
                    true => macs * POINTWISE_MAC,
                    false => macs * CONV_MAC + outputs * u64::from(w.kernel_h) * CONV_ROW,
                };
                (macs, work + outputs * CONV_OUTPUT)
            }
            Op::DepthwiseConv2d(w) => {
                let macs = outputs * w.taps() as u64;
                let taps = pixels * w.taps() as u64;
                let work = macs * DEPTHWISE_MAC + taps * DEPTHWISE_TAP;
                (macs, work + outputs * DEPTHWISE_OUTPUT)
            }
            Op::FullyConnected => {
                let macs = inputs * outputs;
                let work = macs * FULLY_CONNECTED_MAC;
                (macs, work + outputs * FULLY_CONNECTED_OUTPUT)
            }
            Op::Add(_) => (0, outputs * ADD),
            Op::MaxPool(w) => {
                let taps = w.taps() as u64;
                (0, taps * (outputs * MAX_TAP + pixels * MAX_RUN))
            }
            Op::AvgPool(w) => {
                let taps = w.taps() as u64;
                let work = taps * (outputs * AVERAGE_TAP + pixels * AVERAGE_RUN);
                (0, work + outputs * AVERAGE_OUTPUT)
            }
            Op::GlobalAvgPool(_) => (0, inputs * MEAN + outputs * MEAN_OUTPUT),
        };
        Cost { macs, instructions }
    }
}
