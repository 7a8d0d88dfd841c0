//! Instructions of learning on a Cortex-M4. It owns the constants, fitted to counts of the emulated board
//! (`tests/schedule.rs` holds the error); conditions are those of the module above.

use crate::adapt::{Config, Head, deep};
use crate::blob::Model;
use crate::layer::Op;

use super::kernels;

impl Model<'_> {
    /// Estimated instructions of one label, or reward, under `config`; the most that it can take, every input
    /// of the head counted as other than zero.
    pub fn label_instructions(&self, config: &Config) -> u64 {
        let (k, d) = (self.n_classes() as u64, self.features().len() as u64);
        match config.head {
            Head::Base => 0,
            Head::Instar { .. } => INSTAR_INPUT * d + CALL,
            Head::Delta { .. } | Head::Reward { .. } => k * (ROW_INPUT * d + ROW) + CALL,
            Head::Perceptron { .. } => 2 * (ROW_INPUT * d + ROW) + CALL,
            Head::Deep { .. } => {
                let chosen = deep::chosen(self, deep::choose(self, config));
                let below = chosen.map(|(_, shape)| {
                    shape.outputs as u64 * (ROW_INPUT * shape.inputs as u64 + ROW)
                });
                k * (ROW_INPUT * d + ROW) + CALL + below.sum::<u64>()
            }
        }
    }

    /// Estimated instructions that homeostasis adds to an inference when it follows the image.
    pub fn observe_instructions(&self) -> u64 {
        let layers = self.layers().filter(|l| l.homeostasis.is_some());
        let added = layers.filter_map(|layer| {
            let (src, dst) = (&self.tensor(layer.inputs[0])?, &self.tensor(layer.output)?);
            let fast = kernels::instructions(&layer.op, src, dst);
            let slow = match layer.op {
                Op::DepthwiseConv2d(window) => kernels::generic_depthwise(&window, dst),
                Op::Conv2d(_) => fast,
                _ => 3 * fast,
            };
            Some(slow.saturating_sub(fast) + STATISTIC * dst.len() as u64)
        });
        added.sum()
    }
}

/// Of an update of an instar head, per input.
const INSTAR_INPUT: u64 = 21;
/// Of a moved class, per input.
const ROW_INPUT: u64 = 59;
/// Of a moved class.
const ROW: u64 = 700;
/// Of a call.
const CALL: u64 = 500;
/// Of an output that is noted.
const STATISTIC: u64 = 62;
