//! What an inference costs, from the shapes alone.
//!
//! It owns formulas of the kernels' work on a Cortex-M4 and must not know timing. MACs count taps in the
//! padding, so they equal the float network's. Instructions are estimates: the loops written in assembly
//! are counted line by line and walked as the kernels walk, what surrounds them is fitted to counts of the
//! layers of 50 networks in QEMU 7.2 (`mps2-an386`, `-icount`; rustc 1.95, opt-level 3, fat LTO). `cargo
//! xtask bench-device` writes both sides of single layers and networks, `bench-genotypes` those of 50 other random
//! genotypes; the largest errors are asserted in `tests/bench.rs`. Layers with statistics, and constants
//! that the fast kernels refuse, take about three times as many in a convolution and the generic count in a
//! depthwise one. Instructions are not cycles.

mod kernels;
mod learning;

use crate::blob::HELD;
use crate::blob::Model;
use crate::layer::{Layer, Op};
use kernels::Work;

/// Of a layer whose description is decoded when it runs, as in a graph of more than [`HELD`] tensors or
/// layers; and of finding its weights.
const DECODING: u64 = 430;
const DECODING_WEIGHTS: u64 = 220;

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
        self.layer(layer)
            .map_or(Cost::default(), |l| self.cost_of(&l))
    }
    /// Multiply-accumulates of one inference.
    pub fn macs(&self) -> u64 {
        self.layers().map(|l| self.cost_of(&l).macs).sum()
    }
    /// Estimated instructions of one inference.
    pub fn instructions(&self) -> u64 {
        let cost = |l| self.cost_of(&l).instructions;
        self.layers().map(cost).sum()
    }

    fn cost_of(&self, layer: &Layer) -> Cost {
        let tensor = |i: u8| self.tensor(i);
        let (Some(src), Some(dst)) = (tensor(layer.inputs[0]), tensor(layer.output)) else {
            return Cost::default();
        };
        let outputs = dst.len() as u64;
        let macs = match &layer.op {
            Op::Conv2d(w) | Op::PackedConv2d(w) | Op::PairedConv2d(w) => {
                outputs * w.taps() as u64 * u64::from(src.c)
            }
            Op::DepthwiseConv2d(w) => outputs * w.taps() as u64,
            Op::FullyConnected => src.len() as u64 * outputs,
            _ => 0,
        };
        let over = |input: u8| tensor(input).is_some_and(|t| t.offset == dst.offset);
        let work = Work {
            op: &layer.op,
            src: &src,
            dst: &dst,
            clamp: layer.clamp,
            over: layer.inputs.into_iter().any(over),
        };
        let is_held = self.n_layers() <= HELD && self.tensors().count() <= HELD;
        let decoding = match layer.op.is_weighted() {
            _ if is_held => 0,
            true => DECODING + DECODING_WEIGHTS,
            false => DECODING,
        };
        Cost {
            macs,
            instructions: work.instructions() + decoding,
        }
    }
}
