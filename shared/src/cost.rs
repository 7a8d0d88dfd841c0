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

use crate::blob::Model;
use crate::cascade::{Turn, narrowed};
use crate::layer::{Layer, Op, Tensor};
use kernels::Work;

/// Of a layer whose description is decoded when it runs, as in a graph of more than 32 tensors or
/// layers; and of finding its weights.
const DECODING: u64 = 465;
const DECODING_WEIGHTS: u64 = 220;
/// Of a layer each time that it runs on some rows, and of moving rows, beside the bytes: fitted to the released model
/// `fashion-mnist-searched` within 13,312 bytes and in the least RAM.
const STRIPE: u64 = 1300;
const MOVE: u64 = 60;

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
        let Some(l) = self.layer(layer) else {
            return Cost::default();
        };
        let mut cost = self.cost_of(&l);
        if let Some(instructions) = self.in_stripes(layer) {
            cost.instructions = instructions;
        }
        cost
    }
    /// Multiply-accumulates of one inference.
    pub fn macs(&self) -> u64 {
        self.layers().map(|layer| self.cost_of(&layer).macs).sum()
    }
    /// Estimated instructions of one inference.
    pub fn instructions(&self) -> u64 {
        let cost = |layer| self.layer_cost(layer).instructions;
        (0..self.n_layers()).map(cost).sum()
    }

    /// Instructions of layer `layer` if it runs some rows at a time.
    fn in_stripes(&self, layer: usize) -> Option<u64> {
        let cascade = self.cascade_of(layer)?;
        let stages = self.stages(cascade)?;
        let i = layer - cascade.layers().start;
        let l = self.layer(layer)?;
        let [first, second, output] = [l.inputs[0], l.inputs[1], l.output].map(|t| self.tensor(t));
        let tensors = [&first?, &second?, &output?];
        let row = tensors[2].row_len() as u64;
        let in_turn = |turn: Turn| {
            let kept = stages.kept(&turn, i);
            let moved = match kept.start {
                0 => 0,
                _ => MOVE + kept.len() as u64 * row / 4,
            };
            let stripe = stages.stripe(&turn, i).map_or(0, |stripe| {
                let (l, tensors) = narrowed(&l, tensors, (&stages, i, &stripe));
                self.cost_on(&l, tensors.each_ref()).instructions + STRIPE
            });
            moved + stripe
        };
        Some(stages.turns().map(in_turn).sum())
    }

    fn cost_of(&self, layer: &Layer) -> Cost {
        let tensor = |i: u8| self.tensor(i);
        let [first, second] = layer.inputs.map(tensor);
        let (Some(first), Some(second), Some(dst)) = (first, second, tensor(layer.output)) else {
            return Cost::default();
        };
        self.cost_on(layer, [&first, &second, &dst])
    }

    fn cost_on(&self, layer: &Layer, [src, second, dst]: [&Tensor; 3]) -> Cost {
        let outputs = dst.len() as u64;
        let macs = match &layer.op {
            Op::Conv2d(w) | Op::PackedConv2d(w) | Op::PairedConv2d(w) | Op::WinogradConv2d(w) => {
                outputs * w.taps() as u64 * u64::from(src.c)
            }
            Op::DepthwiseConv2d(w) => outputs * w.taps() as u64,
            Op::FullyConnected => src.len() as u64 * outputs,
            _ => 0,
        };
        let work = Work {
            op: &layer.op,
            src,
            dst,
            clamp: layer.clamp,
            over: src.offset == dst.offset || second.offset == dst.offset,
        };
        let decoding = match layer.op.is_weighted() {
            _ if self.is_held() => 0,
            true => DECODING + DECODING_WEIGHTS,
            false => DECODING,
        };
        Cost {
            macs,
            instructions: work.instructions() + decoding,
        }
    }
}
