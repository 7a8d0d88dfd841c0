//! Instructions of learning on a Cortex-M4. It owns the constants, fitted to counts of the emulated board
//! (`tests/estimates.rs` holds the error); conditions are those of the module above.

use crate::adapt::{Config, Head, deep, homeostasis};
use crate::blob::{GoldenKind, Model};
use crate::layer::Op;

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

    /// Estimated instructions that homeostasis adds to an inference when it follows the image, on the mean over
    /// images: a channel follows some of them only.
    pub fn observe_instructions(&self) -> u64 {
        let layers = self.layers().filter(|l| l.homeostasis.is_some());
        let added = layers.filter_map(|layer| {
            let (src, dst) = (&self.tensor(layer.inputs[0])?, &self.tensor(layer.output)?);
            let products = match layer.op {
                Op::DepthwiseConv2d(window) => DEPTHWISE_PRODUCT * window.taps() as u64,
                Op::Conv2d(window) | Op::PackedConv2d(window) => {
                    PRODUCT * window.taps() as u64 * u64::from(src.c)
                }
                _ => PRODUCT * src.len() as u64,
            };
            let pixels = u64::from(dst.h) * u64::from(dst.w);
            let looked = pixels.div_ceil(homeostasis::STEP as u64);
            Some(u64::from(dst.c) * (CHANNEL + looked * (SUM + products)))
        });
        added.sum::<u64>() / u64::from(homeostasis::TURNS)
    }

    /// Estimated instructions of scoring the golden set under `config`: an inference per sample, or the head alone
    /// of features; 0 without a golden set.
    pub fn check_instructions(&self, config: &Config) -> u64 {
        let Some(golden) = self.golden() else {
            return 0;
        };
        let layers = match golden.kind() {
            GoldenKind::Inputs => self.instructions(),
            GoldenKind::Features => {
                self.layer_cost(self.n_layers().saturating_sub(1))
                    .instructions
            }
        };
        let cosines = match config.head {
            Head::Instar { .. } => self.n_classes() * self.features().len(),
            _ => 0,
        };
        u64::from(golden.n_samples()) * (layers + COSINE * cosines as u64 + SAMPLE)
    }
}

/// Of an update of an instar head, per input.
const INSTAR_INPUT: u64 = 21;
/// Of a moved class, per input.
const ROW_INPUT: u64 = 59;
/// Of a moved class.
const ROW: u64 = 700;
/// Of the cosines of an instar head, per product.
const COSINE: u64 = 10;
/// Of a golden sample besides its layers.
const SAMPLE: u64 = 1200;
/// Of a call.
const CALL: u64 = 500;
/// Of a channel whose statistics move and are folded.
const CHANNEL: u64 = 630;
/// Of a sum that goes into them.
const SUM: u64 = 35;
/// Of each product of a sum.
const PRODUCT: u64 = 6;
/// Of a depthwise one.
const DEPTHWISE_PRODUCT: u64 = 11;
