//! Float network → integers: batch-norm folding, scales, weights, biases, requantization constants.
//!
//! Owns the arithmetic of quantization and must not know the blob, the arena or the device. Flow:
//! `learn`'s [`NetworkParams`] and activation ranges → **`quantize`** → [`crate::assemble`].
//!
//! Definition: `real = scale · (q − zero_point)`. Activations: int8, one scale per tensor, asymmetric.
//! Weights: int8 in [-127, 127], one scale per output channel, symmetric. Source: Jacob et al. 2018
//! (*Quantization and training of neural networks for efficient integer-arithmetic-only inference*) and the
//! TensorFlow Lite 8-bit specification.

use crate::DeployError;
use crate::lowering::Lowered;
use aplysia_space::{BatchNorm, LayerParams, Network, NetworkParams, NodeOp};

/// Quantization of one activation tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Activation {
    /// Real value of one step, > 0.
    pub scale: f32,
    /// The integer that means 0.
    pub zero_point: i8,
}

/// How pixels become network inputs: `x = (p − mean_pixel) / (255·std)`, `p` in 0..=255.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputNormalization {
    /// The pixel value that means 0: `round(255·mean)`.
    pub mean_pixel: u8,
    /// Standard deviation of pixels scaled to 0..1, > 0.
    pub std: f32,
}

impl InputNormalization {
    /// The input tensor's quantization, exact: pixel `p` is the integer `p − 128`.
    pub fn activation(self) -> Activation {
        Activation {
            scale: 1.0 / (255.0 * self.std),
            zero_point: (self.mean_pixel ^ 0x80) as i8,
        }
    }
}

/// Integers of one weighted layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightedLayer {
    /// Convolution OHWI, depthwise `[k, k, c]`, linear `[out][in]`; each in [-127, 127].
    pub weights: Vec<i8>,
    /// One per output channel: `round(b / (s_in·s_w))`.
    pub bias: Vec<i32>,
    /// Q0.31, one per output channel.
    pub multiplier: Vec<i32>,
    /// Positive: to the left. One per output channel.
    pub shift: Vec<i8>,
}

/// A network in integers.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedNetwork {
    /// One per activation of the device, the input first, the scores last.
    pub activations: Vec<Activation>,
    /// One per weighted node, in the order of [`Network::weighted`].
    pub layers: Vec<WeightedLayer>,
}

/// Weights and bias of one layer after batch-norm folding, still real, same layout as
/// [`LayerParams::weight`].
#[derive(Clone, Debug, PartialEq)]
pub struct FoldedLayer {
    /// `w·gamma/sqrt(var + eps)`; of a batch norm on its own, `w = 1`.
    pub weight: Vec<f64>,
    /// `beta − mean·gamma/sqrt(var + eps)`.
    pub bias: Vec<f64>,
}

/// Folds batch norm into the convolution before it; a layer without batch norm keeps its bias, 0 if it has
/// none.
pub fn fold(params: &LayerParams, out_ch: usize) -> FoldedLayer {
    let gain = |bn: &BatchNorm, o: usize| {
        f64::from(bn.gamma[o]) / (f64::from(bn.var[o]) + f64::from(bn.eps)).sqrt()
    };
    let (gains, bias): (Vec<f64>, Vec<f64>) = match &params.bn {
        Some(bn) => (0..out_ch)
            .map(|o| {
                let gain = gain(bn, o);
                (gain, f64::from(bn.beta[o]) - f64::from(bn.mean[o]) * gain)
            })
            .unzip(),
        None => (
            vec![1.0; out_ch],
            (0..out_ch)
                .map(|o| params.bias.get(o).map_or(0.0, |&b| f64::from(b)))
                .collect(),
        ),
    };
    if params.weight.is_empty() {
        let weight = gains;
        return FoldedLayer { weight, bias };
    }
    let per_channel = params.weight.len() / out_ch;
    let weight = params.weight.iter().enumerate();
    let weight = weight
        .map(|(i, &w)| f64::from(w) * gains[i / per_channel])
        .collect();
    FoldedLayer { weight, bias }
}

/// Splits a positive real factor into `multiplier·2^(shift − 31)`, `multiplier` in [2^30, 2^31).
///
/// As TFLite's `QuantizeMultiplier`: half away from zero; a factor below 2^-32 becomes 0, one of 2^30
/// or more saturates.
pub fn quantize_multiplier(factor: f64) -> (i32, i8) {
    if factor <= 0.0 || !factor.is_finite() {
        return (0, 0);
    }
    let (mantissa, exponent) = frexp(factor);
    let mut fixed = (mantissa * (1_i64 << 31) as f64).round() as i64;
    let mut shift = exponent;
    if fixed == 1 << 31 {
        fixed /= 2;
        shift += 1;
    }
    match shift {
        ..-31 => (0, 0),
        -31..=30 => (fixed as i32, shift as i8),
        _ => (i32::MAX, 30),
    }
}

/// `x = mantissa·2^exponent` with the mantissa in [0.5, 1), for positive finite `x`.
fn frexp(x: f64) -> (f64, i32) {
    let exponent_bits = ((x.to_bits() >> 52) & 0x7ff) as i32;
    if exponent_bits == 0 {
        let (mantissa, exponent) = frexp(x * (1_u64 << 54) as f64);
        return (mantissa, exponent - 54);
    }
    let mantissa = f64::from_bits((x.to_bits() & !(0x7ff << 52)) | (1022 << 52));
    (mantissa, exponent_bits - 1022)
}

/// Int8 quantization of a range widened to hold 0; a range that begins at 0 has zero point -128.
pub fn activation_of_range((lo, hi): (f32, f32)) -> Activation {
    let (lo, hi) = (f64::from(lo.min(0.0)), f64::from(hi.max(0.0)));
    let scale = ((hi - lo) / 255.0) as f32;
    if scale < f32::MIN_POSITIVE {
        // A tensor that is always 0.
        return Activation {
            scale: 1.0,
            zero_point: -128,
        };
    }
    // The cast saturates.
    let zero_point = (-128.0 - lo / f64::from(scale)).round() as i8;
    Activation { scale, zero_point }
}

/// Quantization of every activation. `ranges[i]` is the range of node `i`'s output (after its
/// activation) over calibration images; entries of the input, of pools, which keep the scale of
/// what they read, and of nodes that need no memory are ignored.
///
/// # Errors
/// The number of ranges, or a range that is not finite or upside down.
pub(crate) fn activations(
    network: &Network,
    lowered: &Lowered,
    input: InputNormalization,
    ranges: &[(f32, f32)],
) -> Result<Vec<Activation>, DeployError> {
    if !(input.std > 0.0 && input.std.is_finite()) {
        return Err(DeployError::Std { std: input.std });
    }
    if ranges.len() != network.nodes.len() {
        return Err(DeployError::Ranges {
            got: ranges.len(),
            want: network.nodes.len(),
        });
    }
    let mut all: Vec<Activation> = Vec::with_capacity(ranges.len());
    for value in &lowered.values {
        let (node, (lo, hi)) = (&network.nodes[value.node], ranges[value.node]);
        let activation = match value.keeps {
            _ if node.op == NodeOp::Input => input.activation(),
            Some(other) => all[other],
            None if !(lo.is_finite() && hi.is_finite() && lo <= hi) => {
                return Err(DeployError::Range {
                    node: node.name.clone(),
                    lo,
                    hi,
                });
            }
            None if value.relu => activation_of_range((0.0, hi)),
            None => activation_of_range((lo, hi)),
        };
        all.push(activation);
    }
    Ok(all)
}

/// Quantizes a trained network; see [`activations`] for `ranges`.
///
/// # Errors
/// An operation without a kernel, parameters that do not fit the network, numbers that are not finite, and
/// what [`activations`] refuses.
pub fn quantize(
    network: &Network,
    params: &NetworkParams,
    input: InputNormalization,
    ranges: &[(f32, f32)],
) -> Result<QuantizedNetwork, DeployError> {
    let lowered = Lowered::new(network)?;
    check_params(network, params)?;
    let activations = activations(network, &lowered, input, ranges)?;
    let mut layers = Vec::new();
    for (at, (i, layer)) in network.weighted().zip(&params.layers).enumerate() {
        let folded = fold(layer, network.nodes[i].shape.c);
        if !folded
            .weight
            .iter()
            .chain(&folded.bias)
            .all(|x| x.is_finite())
        {
            return Err(DeployError::NotFinite {
                node: network.nodes[i].name.clone(),
            });
        }
        // A layer that no score depends on is in no blob, whatever its scales.
        let step = lowered.steps.iter().find(|step| step.params == Some(at));
        let scale = |value: usize| activations[value].scale;
        let (s_in, s_out) = step.map_or((1.0, 1.0), |s| (scale(s.inputs[0]), scale(s.output)));
        layers.push(quantize_layer(network, i, &folded, s_in, s_out));
    }
    Ok(QuantizedNetwork {
        activations,
        layers,
    })
}

fn check_params(network: &Network, params: &NetworkParams) -> Result<(), DeployError> {
    let want = network.weighted().count();
    if params.layers.len() != want {
        return Err(DeployError::Layers {
            got: params.layers.len(),
            want,
        });
    }
    for (i, layer) in network.weighted().zip(&params.layers) {
        let out_ch = network.nodes[i].shape.c;
        let check = |part, got, want| {
            if got == want {
                return Ok(());
            }
            let node = network.nodes[i].name.clone();
            Err(DeployError::Length {
                node,
                part,
                got,
                want,
            })
        };
        check("weight", layer.weight.len(), network.n_weights(i))?;
        match &layer.bn {
            None if matches!(network.nodes[i].op, NodeOp::Linear { .. }) => {
                check("bias", layer.bias.len(), out_ch)?;
            }
            None => {}
            Some(bn) => {
                check("gamma", bn.gamma.len(), out_ch)?;
                check("beta", bn.beta.len(), out_ch)?;
                check("mean", bn.mean.len(), out_ch)?;
                check("var", bn.var.len(), out_ch)?;
            }
        }
    }
    Ok(())
}

/// Largest magnitude of a quantized bias; leaves room for the products of any layer of the space in
/// an i32 accumulator.
const BIAS_LIMIT: f64 = (1_i64 << 28) as f64;

/// Requantization factor of a channel that is its bias alone: small enough for the fast kernels.
const BIAS_FACTOR: f64 = 1.0 / 64.0;

/// Scale of one output channel's weights. A channel without weights gets the scale that makes its
/// requantization factor [`BIAS_FACTOR`]; one whose weights are tiny beside its bias gets the smallest scale
/// that keeps the bias within [`BIAS_LIMIT`].
fn weight_scale(weights: &[f64], bias: f64, s_in: f32, s_out: f32) -> f32 {
    let (s_in, s_out) = (f64::from(s_in), f64::from(s_out));
    let max = weights.iter().fold(0.0_f64, |m, w| m.max(w.abs()));
    let alone = BIAS_FACTOR * s_out / s_in;
    let of_weights = if max > 0.0 { max / 127.0 } else { alone };
    let scale = of_weights.max(bias.abs() / (s_in * BIAS_LIMIT)) as f32;
    match scale < f32::MIN_POSITIVE {
        true => alone as f32,
        false => scale,
    }
}

fn quantize_layer(
    network: &Network,
    i: usize,
    folded: &FoldedLayer,
    s_in: f32,
    s_out: f32,
) -> WeightedLayer {
    let out_ch = folded.bias.len();
    let per_channel = folded.weight.len() / out_ch;
    let mut layer = WeightedLayer {
        weights: vec![0; folded.weight.len()],
        bias: Vec::with_capacity(out_ch),
        multiplier: Vec::with_capacity(out_ch),
        shift: Vec::with_capacity(out_ch),
    };
    for (o, weights) in folded.weight.chunks_exact(per_channel).enumerate() {
        let s_w = weight_scale(weights, folded.bias[o], s_in, s_out);
        for (j, &w) in weights.iter().enumerate() {
            let q = (w / f64::from(s_w)).round().clamp(-127.0, 127.0);
            layer.weights[weight_index(network, i, o, j)] = q as i8;
        }
        let acc_scale = f64::from(s_in) * f64::from(s_w);
        let bias = (folded.bias[o] / acc_scale).round();
        layer.bias.push(bias.clamp(-BIAS_LIMIT, BIAS_LIMIT) as i32);
        let (multiplier, shift) = quantize_multiplier(acc_scale / f64::from(s_out));
        layer.multiplier.push(multiplier);
        layer.shift.push(shift);
    }
    layer
}

/// Where weight `j` of output channel `o` (row-major over `[in_ch/groups, k, k]`) goes on the device.
fn weight_index(network: &Network, i: usize, o: usize, j: usize) -> usize {
    match network.nodes[i].op {
        NodeOp::Conv {
            depthwise: true, ..
        }
        | NodeOp::BatchNorm { .. } => j * network.nodes[i].shape.c + o,
        NodeOp::Conv { kernel, .. } => {
            let (in_ch, taps) = (network.input_shape(i).c, kernel * kernel);
            let (ch, tap) = (j / taps, j % taps);
            (o * taps + tap) * in_ch + ch
        }
        _ => o * network.input_shape(i).c + j,
    }
}
