//! Instructions of each kernel on a Cortex-M4. It owns the choice of the formula and those of the layers
//! without a window; conditions are those of the module above.

mod depthwise;
mod packed;
mod window;

use crate::kernel::dsp::{MIN_ADD_ELEMENTS, in_words};
use crate::kernel::generic::{MIN_PLACE_TABLE, is_copy};
use crate::layer::{Clamp, Op, Placing, Tensor};

/// A layer: what it computes, from what, to what, and whether the output lies over an input.
#[derive(Clone, Copy)]
pub(super) struct Work<'a> {
    pub(super) op: &'a Op,
    pub(super) src: &'a Tensor,
    pub(super) dst: &'a Tensor,
    pub(super) clamp: Clamp,
    pub(super) over: bool,
}

/// Values that an output over an input copies out at a time.
const ADD_CHUNK: u64 = 256;

impl Work<'_> {
    /// Estimated instructions.
    pub(super) fn instructions(&self) -> u64 {
        let limits = matches!(
            self.op,
            Op::PackedConv2d(_)
                | Op::PairedConv2d(_)
                | Op::WinogradConv2d(_)
                | Op::DepthwiseConv2d(_)
                | Op::MaxPool(_)
                | Op::AvgPool(_)
        );
        let limited = match limits && self.clamp != Clamp::FULL {
            true => self.dst.len() as u64,
            false => 0,
        };
        self.unlimited() + 23 * limited / 10
    }

    /// Without the limits that some kernels set afterwards.
    fn unlimited(&self) -> u64 {
        let (src, dst) = (self.src, self.dst);
        let (inputs, outputs) = (src.len() as u64, dst.len() as u64);
        match self.op {
            Op::PackedConv2d(window) => packed::instructions(window, src, dst),
            Op::PairedConv2d(window) => packed::paired(window, src, dst),
            Op::WinogradConv2d(window) => packed::transformed(window, src, dst),
            // Each pixel as a fully connected layer, if that is faster.
            Op::Conv2d(w) if w.is_pointwise() && dst.c >= 4 => {
                let (pixels, rows) = (outputs / u64::from(dst.c), u64::from(dst.c.div_ceil(4)));
                let inputs = u64::from(src.c);
                pixels * (23 * rows * inputs.div_ceil(4) + 47 * inputs / 20 + 260)
                    + 111 * outputs
                    + 240
            }
            Op::Conv2d(w) if w.is_pointwise() => {
                let (inputs, channels) = (u64::from(src.c), u64::from(dst.c));
                23 * inputs * outputs / 4 + 90 * outputs + 12 * inputs * channels + 240
            }
            Op::Conv2d(w) => window::conv2d(w, src, dst),
            Op::DepthwiseConv2d(w) => depthwise::instructions(w, src, dst, self.over),
            // Four rows of weights and four inputs take 23; constants and rounding 110 a row. More inputs than the
            // scratch takes are expanded part by part, for 64 rows each.
            Op::FullyConnected => {
                let (parts, rows) = (inputs.div_ceil(2048), outputs.div_ceil(4));
                let times = if parts > 1 { outputs.div_ceil(64) } else { 1 };
                23 * rows * inputs.div_ceil(4)
                    + 111 * outputs
                    + 47 * inputs * times / 20
                    + 200 * rows * (parts - parts.min(1))
                    + 710
            }
            // Look-ups and one requantization, behind two tables; over an input, the other is copied out.
            Op::Add(_) if outputs >= MIN_ADD_ELEMENTS as u64 => {
                let copied = if self.over {
                    175 * outputs.div_ceil(ADD_CHUNK)
                } else {
                    0
                };
                let (value, tables) = if self.over { (141, 6920) } else { (135, 6200) };
                value * outputs / 10 + copied + tables
            }
            // Three requantizations.
            Op::Add(_) => (if self.over { 102 } else { 59 }) * outputs + 220,
            Op::MaxPool(w) if in_words(src.c.into(), 1) => window::max_pool(w, src, dst),
            Op::AvgPool(w) if in_words(src.c.into(), w.taps()) => window::avg_pool(w, src, dst),
            // Per tap and channel, per tap of each pixel, per output.
            Op::MaxPool(w) => {
                let pixels = outputs / u64::from(dst.c).max(1);
                w.taps() as u64 * (11 * outputs + 41 * pixels)
            }
            Op::AvgPool(w) => {
                let pixels = outputs / u64::from(dst.c).max(1);
                w.taps() as u64 * (5 * outputs + 84 * pixels) + 36 * outputs
            }
            Op::GlobalAvgPool(_) => {
                let pixels = usize::from(src.h) * usize::from(src.w);
                match in_words(src.c.into(), pixels) {
                    true => {
                        let [wide, narrow] = window::words(src.c);
                        (157 * wide + 118 * narrow) * pixels as u64 / 10 + 59 * outputs / 2 + 290
                    }
                    false => 7 * inputs + 45 * outputs,
                }
            }
            // Two exponentials a value; those far below the largest cost a third.
            Op::Softmax(_) => 290 * outputs,
            Op::Place(placing) => self.place(placing),
        }
    }

    /// Values that are copied, found in a table, or rescaled one by one; pixel by pixel unless the two
    /// tensors have one shape. One that only happens to keep its scale counts as one that does not, so that
    /// the cost is known before training.
    fn place(&self, placing: &Placing) -> u64 {
        let (src, dst) = (self.src, self.dst);
        let stays = (placing.stride, placing.offset) == (1, 0);
        if stays && src.c == dst.c {
            let values = src.len() as u64;
            return match (values >= MIN_PLACE_TABLE as u64, self.over) {
                (true, true) => 48 * values / 10 + 6200,
                (true, false) => 58 * values / 10 + 6830,
                (false, _) => 20 * values + 240,
            };
        }
        let pixels = u64::from(dst.h) * u64::from(dst.w);
        let inside = |size: u16| {
            let behind = size.saturating_sub(placing.offset.into());
            u64::from(behind.div_ceil(u16::from(placing.stride).max(1)))
        };
        let values = inside(src.h) * inside(src.w) * u64::from(src.c);
        let copied = !stays && is_copy(placing, [src.zero_point, dst.zero_point], self.clamp);
        match (copied, src.len() >= MIN_PLACE_TABLE) {
            (true, _) => 12 * values / 10 + 86 * pixels + 250,
            (false, true) => 56 * values / 10 + 70 * pixels + 7000,
            (false, false) => 41 * values / 2 + 96 * pixels + 240,
        }
    }
}
