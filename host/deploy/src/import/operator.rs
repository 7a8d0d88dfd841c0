//! One operator of TensorFlow Lite → one layer.
//!
//! Owns the meaning of every supported operator's options and tensors, and must not know how the graph is
//! stored. Sources: TensorFlow's `schema.fbs` (options),
//! `kernel_util.cc` (activations), `add.cc` and `softmax_common.cc` (factors).

use super::geometry::Geometry;
use super::names::remedy;
use super::padding::Padding;
use super::schema::Operator;
use super::shape::{SHAPE, same_scale};
use super::weights::{Scales, biases, transpose, weighted};
use super::{Fault, Located, Lowering, Rest};
use crate::quantize::{WeightedLayer, quantize_multiplier};
use aplysia_shared::kernel::dsp::packing;
use aplysia_shared::kernel::generic::MAX_SOFTMAX_CHANNELS;
use aplysia_shared::{AddScales, Clamp, Op, Scaling, Tensor, Window};

/// `ActivationFunctionType` of a RELU.
pub(super) const RELU: i8 = 1;
/// `ActivationFunctionType` of a RELU6.
pub(super) const RELU6: i8 = 3;
/// Most channels of a softmax.
const MAX_CHANNELS: u16 = MAX_SOFTMAX_CHANNELS as u16;
const POOL_REMEDY: &str = "put a RELU in front of a maximum; for a mean leave the padding out or use \
                           padding=\"same\"";

/// Damage of the file, or a fault of the operator.
pub(super) type Lowered<T> = Result<Result<T, Located>, planus::Error>;

/// Gives the inner error back as a value, so that `?` is left for a damaged file.
macro_rules! sound {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(located) => return Ok(Err(located)),
        }
    };
}

impl Lowering<'_> {
    /// Appends what `operator` computes.
    ///
    /// # Errors
    /// Outer: the file is damaged. Inner: what is wrong with which tensor.
    pub(super) fn lower(&mut self, operator: &Operator<'_>) -> Lowered<()> {
        let [Some(&input), Some(&output)] = [operator.inputs.first(), operator.outputs.first()]
        else {
            return Ok(Err((-1, Fault::Missing)));
        };
        match operator.code {
            0 => self.add(operator, output),
            1 => self.pool(operator, Op::AvgPool),
            2 => self.concatenation(operator, output),
            3 => self.conv(operator),
            4 => self.depthwise(operator),
            9 => self.fully_connected(operator),
            17 => self.pool(operator, Op::MaxPool),
            6 => Ok(self.dequantize(input, output)),
            19 => Ok(self.relu(input, output, RELU)),
            21 => Ok(self.relu(input, output, RELU6)),
            22 => {
                sound!(self.target(operator, output));
                Ok(self.reshape(input, output))
            }
            25 => self.softmax(operator),
            34 => Ok(self.pad(&operator.inputs, output)),
            40 => Ok(self.mean(&operator.inputs, output)),
            43 | 70 => Ok(self.reshape(input, output)),
            45 if self.is_shape(input) => self.strided_slice(operator, output),
            SHAPE => Ok(self.shape(input, output)),
            82 => Ok(self.maximum(&operator.inputs, output)),
            83 if self.is_shape(input) => self.pack(operator, output),
            114 => Ok(self.quantize(input, output)),
            code => {
                let remedy = remedy(code);
                Ok(Err((output, Fault::Unsupported { remedy })))
            }
        }
    }

    fn conv(&mut self, operator: &Operator<'_>) -> Lowered<()> {
        let [input, weights, output] = sound!(ends(operator));
        let (place, src, padding) = sound!(self.window_source(input));
        let dst = sound!(self.activation(output));
        let shape = sound!(self.filter_shape(weights));
        let [n, kernel_h, kernel_w, in_ch] = shape;
        if [n, in_ch] != [dst.c, src.c].map(usize::from) {
            return Ok(Err((
                weights,
                self.misfit(weights, "[out, h, w, in]", &src, &dst),
            )));
        }
        let window = filter_geometry(operator, [kernel_h, kernel_w], 4, padding)?;
        let window = sound!(self.window(&window, (input, &src), (output, &dst)));
        let clamp = sound!(clamp(operator.option(3, 0)?, &dst).map_err(|f| (output, f)));
        let constants = sound!(self.constants(operator, (n, 0), scales(&src, &dst)));
        Ok(self.convolution(window, constants, place, (output, clamp)))
    }

    /// A dense convolution.
    fn convolution(
        &mut self,
        window: Window,
        constants: WeightedLayer,
        place: u8,
        (output, clamp): (i32, Clamp),
    ) -> Result<(), Located> {
        let constants = Some(constants);
        let rest = Rest { clamp, constants };
        self.layer(Op::Conv2d(window), [place; 2], output, rest)
    }

    fn depthwise(&mut self, operator: &Operator<'_>) -> Lowered<()> {
        let [input, weights, output] = sound!(ends(operator));
        let (place, src, padding) = sound!(self.window_source(input));
        let dst = sound!(self.activation(output));
        let [one, kernel_h, kernel_w, n] = sound!(self.filter_shape(weights));
        if [one, n] != [1, usize::from(dst.c)] {
            return Ok(Err((
                weights,
                self.misfit(weights, "[1, h, w, out]", &src, &dst),
            )));
        }
        let window = filter_geometry(operator, [kernel_h, kernel_w], 5, padding)?;
        let window = sound!(self.window(&window, (input, &src), (output, &dst)));
        let clamp = sound!(clamp(operator.option(4, 0)?, &dst).map_err(|f| (output, f)));
        let mut constants = sound!(self.constants(operator, (n, 3), scales(&src, &dst)));
        if src.c == dst.c {
            let constants = Some(constants);
            let op = Op::DepthwiseConv2d(window);
            return Ok(self.layer(op, [place; 2], output, Rest { clamp, constants }));
        }
        if src.c > 1 {
            let fault = Fault::Option {
                name: "depth_multiplier",
                got: i64::from(dst.c / src.c),
                want: "above 1 the input must have one channel",
            };
            return Ok(Err((output, fault)));
        }
        // Filters over one channel are dense ones.
        constants.weights = transpose(&constants.weights, n);
        Ok(self.convolution(window, constants, place, (output, clamp)))
    }

    fn fully_connected(&mut self, operator: &Operator<'_>) -> Lowered<()> {
        let [input, weights, output] = sound!(ends(operator));
        let place = sound!(self.stored(input));
        let src = self.tensors[usize::from(place)];
        let dst = sound!(self.activation(output));
        let shape = &sound!(self.found(weights)).shape;
        let want = [dst.len(), src.len()].map(|n| i32::try_from(n).unwrap_or(-1));
        if shape.as_slice() != want || (dst.h, dst.w) != (1, 1) {
            return Ok(Err((
                weights,
                self.misfit(weights, "[out, in]", &src, &dst),
            )));
        }
        let format: i8 = operator.option(1, 0)?;
        if format != 0 {
            let fault = Fault::Option {
                name: "weights_format",
                got: format.into(),
                want: "only the default format is supported",
            };
            return Ok(Err((weights, fault)));
        }
        let clamp = sound!(clamp(operator.option(0, 0)?, &dst).map_err(|f| (output, f)));
        let constants = sound!(self.constants(operator, (dst.c.into(), 0), scales(&src, &dst)));
        let head = self.named && self.is_output(output);
        if let Some(window) = Window::whole(&src).filter(|_| !head)
            && packing::packable(&window, src.c.into(), dst.c.into())
        {
            // The same weights in the same order.
            return Ok(self.convolution(window, constants, place, (output, clamp)));
        }
        let constants = Some(constants);
        let rest = Rest { clamp, constants };
        Ok(self.layer(Op::FullyConnected, [place; 2], output, rest))
    }

    fn add(&mut self, operator: &Operator<'_>, output: i32) -> Lowered<()> {
        let &[lhs, rhs] = operator.inputs.as_slice() else {
            return Ok(Err((output, Fault::Missing)));
        };
        let (first, a) = sound!(self.source(lhs));
        let (second, b) = sound!(self.source(rhs));
        let dst = sound!(self.activation(output));
        let shape = |t: &Tensor| (t.h, t.w, t.c);
        for (tensor, t) in [(lhs, a), (rhs, b)] {
            if shape(&t) != shape(&dst) {
                return Ok(Err((
                    tensor,
                    self.misfit(tensor, "the output's shape", &a, &dst),
                )));
            }
        }
        let clamp = sound!(clamp(operator.option(0, 0)?, &dst).map_err(|f| (output, f)));
        let twice_max = 2.0 * f64::from(a.scale.max(b.scale));
        let factor = |f: f64| {
            let (multiplier, shift) = quantize_multiplier(f);
            Scaling::new(multiplier, shift)
        };
        let scales = AddScales {
            lhs: factor(f64::from(a.scale) / twice_max),
            rhs: factor(f64::from(b.scale) / twice_max),
            output: factor(twice_max / (f64::from(1 << 20) * f64::from(dst.scale))),
        };
        let rest = Rest {
            clamp,
            constants: None,
        };
        Ok(self.layer(Op::Add(scales), [first, second], output, rest))
    }

    fn pool(&mut self, operator: &Operator<'_>, op: fn(Window) -> Op) -> Lowered<()> {
        let (input, output) = (operator.inputs[0], operator.outputs[0]);
        let max = matches!(op(Window::square(1, 1, 0)), Op::MaxPool(_));
        let (place, src, around) = sound!(self.window_source(input));
        if !max || src.zero_point != i8::MIN {
            sound!(self.unpadded(input, "this pool", POOL_REMEDY));
        }
        let dst = sound!(self.activation(output));
        if !same_scale(&src, &dst) {
            let fault = Fault::Quantization {
                scales: 1,
                zero_points: vec![dst.zero_point.into()],
                want: "the input's scale and zero point",
            };
            return Ok(Err((output, fault)));
        }
        let size = |n: i32| usize::try_from(n).unwrap_or(0);
        let window = Geometry {
            kernel: [size(operator.option(4, 0)?), size(operator.option(3, 0)?)],
            stride: [operator.option(2, 0)?, operator.option(1, 0)?],
            dilation: [1; 2],
            padding: operator.option(0, 0)?,
            around,
        };
        let window = sound!(self.window(&window, (input, &src), (output, &dst)));
        let clamp = sound!(clamp(operator.option(5, 0)?, &dst).map_err(|f| (output, f)));
        let rest = Rest {
            clamp,
            constants: None,
        };
        Ok(self.layer(op(window), [place; 2], output, rest))
    }

    fn softmax(&mut self, operator: &Operator<'_>) -> Lowered<()> {
        let (input, output) = (operator.inputs[0], operator.outputs[0]);
        let (place, src) = sound!(self.source(input));
        let dst = sound!(self.activation(output));
        if dst.c > MAX_CHANNELS {
            let fault = Fault::Shape {
                got: sound!(self.found(input)).shape.clone(),
                want: "at most 511 classes (leave the softmax out: it changes no order)".to_owned(),
            };
            return Ok(Err((input, fault)));
        }
        if (dst.scale.to_bits(), dst.zero_point) != ((1.0f32 / 256.0).to_bits(), -128) {
            let fault = Fault::Quantization {
                scales: 1,
                zero_points: vec![dst.zero_point.into()],
                want: "scale 1/256 with zero point -128",
            };
            return Ok(Err((output, fault)));
        }
        let beta: f32 = operator.option(0, 0.0)?;
        let factor = f64::from(beta) * f64::from(src.scale) * f64::from(1 << 26);
        if !(1.0..f64::from(1 << 30)).contains(&factor) {
            let fault = Fault::Option {
                name: "beta times the input's scale times 2^26",
                got: factor as i64,
                want: "it must be from 1 to 2^30",
            };
            return Ok(Err((input, fault)));
        }
        let (multiplier, shift) = quantize_multiplier(factor);
        let rest = Rest {
            clamp: Clamp::FULL,
            constants: None,
        };
        let op = Op::Softmax(Scaling::new(multiplier, shift));
        Ok(self.layer(op, [place; 2], output, rest))
    }

    /// Constants of `n` channels along `axis`, biases included.
    fn constants(
        &self,
        operator: &Operator<'_>,
        channels: (usize, i32),
        scales: Scales,
    ) -> Result<WeightedLayer, Located> {
        let [_, weights, _] = ends(operator)?;
        let found = self.found(weights)?;
        let mut layer = weighted(found, channels, scales).map_err(|f| (weights, f))?;
        if let Some(&bias) = operator.inputs.get(2).filter(|&&b| b >= 0) {
            layer.bias = biases(self.found(bias)?, channels.0).map_err(|f| (bias, f))?;
        }
        Ok(layer)
    }

    fn window(
        &self,
        geometry: &Geometry,
        (input, src): (i32, &Tensor),
        (output, dst): (i32, &Tensor),
    ) -> Result<Window, Located> {
        geometry.window(src, dst).map_err(|fault| match fault {
            Fault::Padding { .. } => (input, fault),
            _ => (output, fault),
        })
    }

    /// The four sizes of a filter.
    fn filter_shape(&self, weights: i32) -> Result<[usize; 4], Located> {
        let shape = &self.found(weights)?.shape;
        let sizes: Vec<usize> = shape
            .iter()
            .filter_map(|&d| usize::try_from(d).ok())
            .collect();
        let fault = || Fault::Shape {
            got: shape.clone(),
            want: "four sizes".to_owned(),
        };
        <[usize; 4]>::try_from(sizes).map_err(|_| (weights, fault()))
    }

    pub(super) fn misfit(&self, tensor: i32, want: &str, src: &Tensor, dst: &Tensor) -> Fault {
        let size = |t: &Tensor| format!("{}x{}x{}", t.h, t.w, t.c);
        Fault::Shape {
            got: self.at(tensor).map_or_else(Vec::new, |t| t.shape.clone()),
            want: format!("{want} for {} to {}", size(src), size(dst)),
        }
    }
}

/// Input, weights and output of a weighted operator.
fn ends(operator: &Operator<'_>) -> Result<[i32; 3], Located> {
    match (operator.inputs.as_slice(), operator.outputs.as_slice()) {
        (&[input, weights, ..], &[output]) => Ok([input, weights, output]),
        _ => Err((-1, Fault::Missing)),
    }
}

/// The geometry of a filter; the options have its dilations, width first, from field `dilation` on.
fn filter_geometry(
    operator: &Operator<'_>,
    kernel: [usize; 2],
    dilation: usize,
    around: Padding,
) -> Result<Geometry, planus::Error> {
    Ok(Geometry {
        kernel,
        stride: [operator.option(2, 1)?, operator.option(1, 1)?],
        dilation: [
            operator.option(dilation + 1, 1)?,
            operator.option(dilation, 1)?,
        ],
        padding: operator.option(0, 0)?,
        around,
    })
}

fn scales(src: &Tensor, dst: &Tensor) -> Scales {
    Scales {
        input: src.scale,
        output: dst.scale,
    }
}

/// Limits of an output with a fused activation; real limits are rounded in f32.
pub(super) fn clamp(activation: i8, dst: &Tensor) -> Result<Clamp, Fault> {
    let quantized = |real: f32| {
        let q = (real / dst.scale).round() + f32::from(dst.zero_point);
        q.clamp(-128.0, 127.0) as i8
    };
    let (min, max) = match activation {
        0 => (i8::MIN, i8::MAX),
        RELU => (quantized(0.0), i8::MAX),
        2 => (quantized(-1.0), quantized(1.0)),
        RELU6 => (quantized(0.0), quantized(6.0)),
        got => {
            return Err(Fault::Option {
                name: "fused_activation_function",
                got: got.into(),
                want: "NONE, RELU, RELU_N1_TO_1 and RELU6 are supported",
            });
        }
    };
    Ok(Clamp { min, max })
}
