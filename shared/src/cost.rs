//! What an inference costs, from the shapes alone.
//!
//! It owns the formulas of the generic kernels' work and must not know timing. MACs count taps in the
//! padding, so they equal the float network's. Instructions estimate a Cortex-M4 build
//! (`opt-level = 3`): the constants are the inner-loop instructions of each kernel counted by hand
//! from its operations, not a measurement; they rank candidates, they do not predict time.

use crate::blob::Model;
use crate::layer::{Layer, Op};

/// Per MAC of a dot product: two loads, zero-point subtraction, multiply-accumulate, loop share.
pub const DOT: u64 = 5;
/// Per MAC of a pointwise product, whose zero point is taken out of the loop.
pub const POINTWISE: u64 = 4;
/// Per MAC of a depthwise convolution: as [`DOT`] plus loading and storing the accumulator.
pub const DEPTHWISE: u64 = 7;
/// Per requantized output: bias, two roundings, zero point, clamp, store.
pub const REQUANTIZE: u64 = 28;
/// Per tap and channel of a pooling: load, add or compare, loop share.
pub const POOL: u64 = 4;
/// Per division of an average.
pub const DIVIDE: u64 = 12;
/// Per kernel row of an output of a convolution: bounds and slices.
pub const ROW: u64 = 20;
/// Per layer: dispatch and views.
pub const LAYER: u64 = 200;

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
        let (macs, work) = match &layer.op {
            Op::Conv2d(w) => {
                let macs = outputs * w.taps() as u64 * in_ch;
                let rows = outputs * u64::from(w.kernel_h);
                let work = match w.is_pointwise() {
                    true => macs * POINTWISE,
                    false => macs * DOT + rows * ROW,
                };
                (macs, work + outputs * REQUANTIZE)
            }
            Op::DepthwiseConv2d(w) => {
                let macs = outputs * w.taps() as u64;
                let rows = outputs / in_ch.max(1) * u64::from(w.kernel_h);
                (macs, macs * DEPTHWISE + rows * ROW + outputs * REQUANTIZE)
            }
            Op::FullyConnected => {
                let macs = inputs * outputs;
                (macs, macs * DOT + outputs * REQUANTIZE)
            }
            Op::Add(_) => (0, outputs * 3 * REQUANTIZE),
            Op::MaxPool(w) => (0, outputs * w.taps() as u64 * POOL),
            Op::AvgPool(w) => (0, outputs * (w.taps() as u64 * POOL + DIVIDE)),
            Op::GlobalAvgPool(_) => (0, inputs * POOL + outputs * REQUANTIZE),
        };
        Cost {
            macs,
            instructions: work + LAYER,
        }
    }
}
