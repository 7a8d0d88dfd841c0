//! MEAN and REDUCE_MAX over all pixels → global average pool and a maximum over a window of all.
//!
//! Owns which axes that is, and the factor of a mean, which follows TensorFlow Lite to the last bit: that of
//! the scales, divided by the number of pixels as an integer. Source: `QuantizedMeanOrSum` in TensorFlow's
//! `reference/reduce.h`, `reduce_common.cc` of TensorFlow Lite Micro.

use super::placing::PLAIN;
use super::shape::same_scale;
use super::{Fault, Located, Lowering};
use crate::quantize::quantize_multiplier;
use aplysia_shared::{Op, Scaling, Tensor, Window};

impl Lowering<'_> {
    pub(super) fn mean(&mut self, inputs: &[i32], output: i32) -> Result<(), Located> {
        let (place, src, dst) = self.reduced(inputs, output)?;
        let pixels = u32::from(src.h) * u32::from(src.w);
        let factor = f64::from(src.scale) / f64::from(dst.scale);
        let op = Op::GlobalAvgPool(mean_scaling(quantize_multiplier(factor), pixels));
        self.layer(op, [place; 2], output, PLAIN)
    }

    pub(super) fn maximum(&mut self, inputs: &[i32], output: i32) -> Result<(), Located> {
        let (place, src, dst) = self.reduced(inputs, output)?;
        if !same_scale(&src, &dst) {
            let fault = Fault::Quantization {
                scales: 1,
                zero_points: vec![dst.zero_point.into()],
                want: "the input's scale and zero point",
            };
            return Err((output, fault));
        }
        let Some(window) = Window::whole(&src) else {
            let want = "at most 255 rows and columns";
            return Err((inputs[0], self.misfit(inputs[0], want, &src, &dst)));
        };
        self.layer(Op::MaxPool(window), [place; 2], output, PLAIN)
    }

    /// Input and output of a reduction over all pixels.
    fn reduced(&mut self, inputs: &[i32], output: i32) -> Result<(u8, Tensor, Tensor), Located> {
        let &[input, axes] = inputs else {
            return Err((output, Fault::Missing));
        };
        let (place, src) = self.source(input)?;
        let dst = self.activation(output)?;
        let sizes = &self.found(input)?.shape;
        let rank = i32::try_from(sizes.len()).unwrap_or(i32::MAX);
        let reduced: Vec<i32> = (self.integers(axes)?.into_iter())
            .map(|axis| {
                if axis < 0 {
                    axis.saturating_add(rank)
                } else {
                    axis
                }
            })
            .collect();
        let all = (0..).zip(sizes).all(|(axis, &size)| {
            let is_channels = axis == rank - 1;
            let done = reduced.contains(&axis);
            if is_channels {
                !done
            } else {
                done || size == 1
            }
        });
        let known = reduced.iter().all(|axis| (0..rank).contains(axis));
        if !all || !known || (dst.h, dst.w, dst.c) != (1, 1, src.c) {
            let got = reduced.first().map_or(-1, |&axis| axis.into());
            let fault = Fault::Option {
                name: "axis",
                got,
                want: "only all rows and columns at once are reduced, as in GlobalAveragePooling2D",
            };
            return Err((input, fault));
        }
        Ok((place, src, dst))
    }
}

/// The factor `multiplier·2^(shift − 31) / pixels`, with as many bits as TensorFlow Lite keeps.
fn mean_scaling((multiplier, shift): (i32, i8), pixels: u32) -> Scaling {
    let bits = i32::from(shift) + 31;
    let more = pixels.max(1).ilog2().min(bits.max(0).unsigned_abs());
    let divided = (i64::from(multiplier) << more) / i64::from(pixels.max(1));
    // At most `multiplier`, as `2^more` is at most `pixels`; `more` is below 32.
    let multiplier = i32::try_from(divided).unwrap_or(i32::MAX);
    Scaling::new(multiplier, shift - i8::try_from(more).unwrap_or(0))
}
