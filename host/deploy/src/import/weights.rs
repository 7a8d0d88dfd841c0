//! Constants of weighted operators: weights, biases and factors in the runtime's layouts.
//!
//! Owns the arithmetic of the factors, which follows TensorFlow Lite to the last bit, and must not know
//! windows or the graph. Source: `PopulateConvolutionQuantizationParams` in TensorFlow's `kernel_util.cc`.

use super::Fault;
use super::names::kind_name;
use super::schema::{INT8, INT32, Tensor};
use crate::quantize::{WeightedLayer, quantize_multiplier};

/// Scales of the input and of the output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scales {
    pub(super) input: f32,
    pub(super) output: f32,
}

/// Weights and factors of `n` channels along dimension `axis`, biases still 0.
///
/// # Errors
/// Type, length, scales or zero points.
pub(super) fn weighted(
    weights: &Tensor<'_>,
    (n, axis): (usize, i32),
    scales: Scales,
) -> Result<WeightedLayer, Fault> {
    check_type(weights, INT8, "INT8")?;
    check_length(weights, 1)?;
    let per_channel = weights.scales.len() == n && (weights.axis == axis || n == 1);
    let valid = weights.scales.iter().all(|&s| s.is_finite() && s > 0.0);
    if !(per_channel || weights.scales.len() == 1) || !valid || !centred(weights) {
        return Err(Fault::Quantization {
            scales: weights.scales.len(),
            zero_points: weights.zero_points.clone(),
            want: "one positive scale, or one per output channel, and zero point 0",
        });
    }
    let factor = |channel: usize| {
        let of_weights = weights.scales.get(channel).unwrap_or(&weights.scales[0]);
        let product = f64::from(scales.input) * f64::from(*of_weights);
        quantize_multiplier(product / f64::from(scales.output))
    };
    let (multiplier, shift) = (0..n).map(factor).unzip();
    Ok(WeightedLayer {
        weights: weights.data.iter().map(|b| b.cast_signed()).collect(),
        bias: vec![0; n],
        multiplier,
        shift,
    })
}

/// The biases of `n` channels.
///
/// # Errors
/// Type or length.
pub(super) fn biases(bias: &Tensor<'_>, n: usize) -> Result<Vec<i32>, Fault> {
    check_type(bias, INT32, "INT32")?;
    check_length(bias, 4)?;
    let words = bias.data.as_chunks::<4>().0;
    let values: Vec<i32> = words.iter().map(|w| i32::from_le_bytes(*w)).collect();
    match values.len() == n {
        true => Ok(values),
        false => Err(Fault::Shape {
            got: bias.shape.clone(),
            want: format!("[{n}]"),
        }),
    }
}

/// `[taps][n]` as `[n][taps]`.
pub(super) fn transpose(weights: &[i8], n: usize) -> Vec<i8> {
    let channel = |o: usize| weights.iter().skip(o).step_by(n).copied();
    (0..n).flat_map(channel).collect()
}

pub(super) fn check_type(tensor: &Tensor<'_>, kind: i8, want: &'static str) -> Result<(), Fault> {
    match tensor.kind == kind {
        true => Ok(()),
        false => Err(Fault::Type {
            got: kind_name(tensor.kind),
            want,
        }),
    }
}

pub(super) fn check_length(tensor: &Tensor<'_>, bytes: usize) -> Result<(), Fault> {
    let mut sizes = tensor.shape.iter().map(|&d| usize::try_from(d).ok());
    let want = sizes.try_fold(bytes, |all, d| all.checked_mul(d?));
    let want_bytes = want.ok_or_else(|| Fault::Dynamic {
        shape: tensor.shape.clone(),
    })?;
    let got_bytes = tensor.data.len();
    match got_bytes == want_bytes {
        true => Ok(()),
        false => Err(Fault::Data {
            got_bytes,
            want_bytes,
        }),
    }
}

fn centred(tensor: &Tensor<'_>) -> bool {
    tensor.zero_points.iter().all(|&z| z == 0)
}
