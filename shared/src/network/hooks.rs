//! Where plasticity looks at an inference or reaches into it. It owns the places only.

#[cfg(doc)]
use super::{held, sums};
use crate::quant::Requant;

/// What plasticity replaces of one layer. Each is used only if its length is that of the layer (`requant`: O
/// entries each; `weights`: all, and none of a packed window above 1×1); only weighted layers look at it, and
/// [`crate::Op::WinogradConv2d`] at none.
#[derive(Debug, Default)]
pub struct LayerHooks<'a> {
    /// In place of the blob's requantization constants.
    pub requant: Option<Requant<'a>>,
    /// In place of the blob's weights, same layout; of a packed pointwise convolution `[out_ch][in_ch]`.
    pub weights: Option<&'a [u8]>,
}

/// What plasticity may replace or see while a model runs. `()` implements it with no effect.
pub trait Hooks {
    /// Called once before layer `layer` runs, when what it reads is in `arena`: see [`held`] and [`sums`]. Not for the
    /// layers of a cascade behind its first, whose inputs never are.
    fn layer(&mut self, _layer: usize, _arena: &[i8]) -> LayerHooks<'_> {
        LayerHooks::default()
    }
    /// Called once behind layer `layer`, when what it wrote is in `arena`, and what it read if the output does
    /// not lie over it: see [`held`]. Not for the layers of a cascade.
    fn ran(&mut self, _layer: usize, _arena: &[i8]) {}
    /// Called once per inference with the input of the last layer, before that layer runs.
    fn features(&mut self, _features: &[i8]) {}
}

impl Hooks for () {}
