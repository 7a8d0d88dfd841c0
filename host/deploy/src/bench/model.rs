//! Models made of given layers with reproducible numbers, ready for the device.
//!
//! Owns the numbers of a network of bare shapes, regular ones or wild ones. It must not know what the layers are
//! compared with.

use crate::DeployError;
use crate::plain::{Plain, PlainLayer};
use crate::quantize::WeightedLayer;
use aplysia_shared::kernel::dsp::packing;
use aplysia_shared::{AddScales, Clamp, Layer, Op, Scaling, Tensor, Window};

/// A square or oblong window: rows, columns, step, padding on top and left, distance of taps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taps {
    pub(super) rows: u8,
    pub(super) columns: u8,
    pub(super) stride: u8,
    pub(super) pad: [u8; 2],
    pub(super) dilation: u8,
}

impl Taps {
    /// `kernel × kernel` with the padding that TensorFlow calls SAME for an even input.
    pub(super) const fn same(kernel: u8, stride: u8) -> Self {
        let pad = (kernel - stride) / 2;
        Self {
            rows: kernel,
            columns: kernel,
            stride,
            pad: [pad; 2],
            dilation: 1,
        }
    }

    fn window(self) -> Window {
        Window {
            kernel_h: self.rows,
            kernel_w: self.columns,
            stride_h: self.stride,
            stride_w: self.stride,
            dilation_h: self.dilation,
            dilation_w: self.dilation,
            pad_top: self.pad[0],
            pad_left: self.pad[1],
        }
    }
}

/// A model under construction; tensors are named by their number.
pub(super) struct Builder {
    net: Plain,
    /// Of the next tensors.
    pub(super) zero_point: i8,
    state: u32,
    wild: bool,
}

impl Builder {
    /// Begins with the input.
    pub(super) fn new(input: [u16; 3]) -> Self {
        Self::seeded(input, 1)
    }

    /// Begins with the input; other seeds give other numbers.
    pub(super) fn seeded(input: [u16; 3], state: u32) -> Self {
        let mut builder = Self {
            net: Plain::default(),
            zero_point: -5,
            state,
            wild: false,
        };
        builder.tensor(input);
        builder
    }

    /// Begins with the input; tensors have zero points, layers clamps and channels constants of any kind, those that
    /// no fast kernel takes among them.
    pub(super) fn wild(input: [u16; 3], seed: u32) -> Self {
        Self {
            wild: true,
            ..Self::seeded(input, seed)
        }
    }

    /// Numerical Recipes' generator, upper bits.
    fn next(&mut self) -> u32 {
        self.state = self
            .state
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        self.state >> 8
    }

    /// One of `n` in `of` cases.
    fn happens(&mut self, n: u32, of: u32) -> bool {
        (self.next() >> 8) % of < n
    }

    fn tensor(&mut self, [h, w, c]: [u16; 3]) -> u8 {
        let index = self.net.tensors.len() as u8;
        self.net.tensors.push(Tensor {
            h,
            w,
            c,
            scale: 0.05,
            zero_point: self.zero_point,
            offset: 0,
        });
        self.net.names.push(String::new());
        index
    }

    fn shape(&self, tensor: u8) -> [u16; 3] {
        let t = &self.net.tensors[usize::from(tensor)];
        [t.h, t.w, t.c]
    }

    fn layer(
        &mut self,
        op: Op,
        inputs: [u8; 2],
        shape: [u16; 3],
        constants: Option<WeightedLayer>,
    ) -> u8 {
        if self.wild {
            self.zero_point =
                [-128, -5, 0, (self.next() >> 8) as i8][self.next() as usize >> 8 & 3];
        }
        if let Op::MaxPool(_) | Op::AvgPool(_) = op {
            self.zero_point = self.net.tensors[usize::from(inputs[0])].zero_point;
        }
        let clamp = match self.wild && self.happens(2, 3) {
            true => {
                let [a, b] = [0; 2].map(|_| (self.next() >> 8) as i8);
                let relu = self.happens(1, 2);
                Clamp {
                    min: if relu { self.zero_point } else { a.min(b) },
                    max: if relu { i8::MAX } else { a.max(b) },
                }
            }
            false => Clamp::FULL,
        };
        let output = self.tensor(shape);
        self.net.layers.push(PlainLayer {
            layer: Layer {
                op,
                inputs,
                output,
                clamp,
                params: 0,
                homeostasis: None,
            },
            constants,
        });
        output
    }

    /// Random constants of `n` channels with `fan_in` weights each: weights of the whole range and factors
    /// that spread the outputs.
    fn constants(&mut self, n: usize, fan_in: usize) -> Option<WeightedLayer> {
        let bias = (0..n).map(|_| self.next() as i32 % 6000 - 3000).collect();
        let words = (0..n).map(|_| (1 << 30) + (self.next() << 6) as i32 % (1 << 30));
        let multiplier = words.map(|m| m.abs().max(1 << 30)).collect();
        let shift = vec![-7 - (fan_in.ilog2() as i8) / 2; n];
        let weight = |_| (self.next() % 255) as u8 as i8;
        let weights = (0..n * fan_in).map(weight).map(|w| w.max(-127)).collect();
        let mut constants = WeightedLayer {
            weights,
            bias,
            multiplier,
            shift,
        };
        if self.wild {
            self.roughen(&mut constants);
        }
        Some(constants)
    }

    /// A shift of each channel's own. In half of the layers also some channels that the fast kernels refuse, most by
    /// a bias of up to ±2^30, fewer by their factor, and filters of zeros. In a third of the layers weights of -128, in
    /// half of these only where the packed form has a place for most of them.
    fn roughen(&mut self, constants: &mut WeightedLayer) {
        let rough = self.happens(1, 2);
        let n = constants.bias.len();
        for o in 0..n {
            constants.shift[o] += (self.next() >> 8) as i8 % 3;
            if rough && self.happens(1, 8) {
                let size = 1 << (20 + (self.next() >> 8) % 11);
                constants.bias[o] = if self.happens(1, 2) { size } else { -size };
            }
            if rough && self.happens(1, 32) {
                constants.shift[o] = -((self.next() >> 8) as i8 & 31);
            }
            if rough && self.happens(1, 32) {
                constants.multiplier[o] = (self.next() << 6).cast_signed();
            }
        }
        // Of a depthwise convolution the taps of several channels.
        let run = constants.weights.len() / n.max(1);
        for filter in constants.weights.chunks_mut(run.max(1)) {
            if rough && self.happens(1, 8) {
                filter.fill(0);
            }
        }
        let (least, any) = (self.happens(1, 3), self.happens(1, 2));
        for (o, filter) in constants.weights.chunks_mut(run.max(1)).enumerate() {
            let low = filter.iter_mut().filter(|w| **w < -96);
            low.filter(|_| least && (any || o % 2 == 0))
                .for_each(|w| *w = i8::MIN);
        }
    }

    /// Constants of the last layer, if it has any.
    fn last(&mut self) -> Option<&mut WeightedLayer> {
        self.net.layers.last_mut()?.constants.as_mut()
    }

    /// Gives the last layer the weights that `weight` has for a channel and a place in its filter (of a depthwise
    /// convolution, for both in some other order), and factors with which even the largest sums differ.
    pub(super) fn weigh(&mut self, weight: impl Fn([usize; 2]) -> i8) {
        let Some(constants) = self.last() else { return };
        let run = (constants.weights.len() / constants.bias.len().max(1)).max(1);
        for (i, w) in constants.weights.iter_mut().enumerate() {
            *w = weight([i / run, i % run]);
        }
        constants.shift.fill(-8 - (run.ilog2() as i8));
    }

    /// Has the last layer write `q` only.
    pub(super) fn hold(&mut self, q: i8) {
        if let Some(last) = self.net.layers.last_mut() {
            last.layer.clamp = Clamp { min: q, max: q };
        }
    }

    /// Convolution to `out = [h, w, channels]`.
    pub(super) fn conv(&mut self, input: u8, taps: Taps, out: [u16; 3]) -> u8 {
        let in_ch = usize::from(self.shape(input)[2]);
        let window = taps.window();
        let constants = self.constants(out[2].into(), window.taps() * in_ch);
        self.layer(Op::Conv2d(window), [input; 2], out, constants)
    }

    /// Filters of zeros for `channels` of the last layer, no depthwise convolution, each with its bias.
    pub(super) fn kill(&mut self, channels: impl Iterator<Item = (usize, i32)>) {
        let Some(constants) = self.last() else { return };
        let fan_in = constants.weights.len() / constants.bias.len().max(1);
        for (o, bias) in channels {
            constants.weights[o * fan_in..][..fan_in].fill(0);
            constants.bias[o] = bias;
        }
    }

    /// 1×1 convolution to `n` channels.
    pub(super) fn pointwise(&mut self, input: u8, n: u16) -> u8 {
        let [h, w, _] = self.shape(input);
        self.conv(input, Taps::same(1, 1), [h, w, n])
    }

    /// Depthwise convolution to `out = [h, w]`.
    pub(super) fn depthwise(&mut self, input: u8, taps: Taps, [h, w]: [u16; 2]) -> u8 {
        let [_, _, c] = self.shape(input);
        let window = taps.window();
        let constants = self.constants(c.into(), window.taps());
        self.layer(
            Op::DepthwiseConv2d(window),
            [input; 2],
            [h, w, c],
            constants,
        )
    }

    /// Fully connected layer of `n` outputs, packed where an imported one would be.
    pub(super) fn linear(&mut self, input: u8, n: u16) -> u8 {
        let src = self.net.tensors[usize::from(input)];
        let window = Window::whole(&src);
        if let Some(w) = window.filter(|w| packing::packable(w, src.c.into(), n.into())) {
            let taps = Taps {
                rows: w.kernel_h,
                columns: w.kernel_w,
                ..Taps::same(1, 1)
            };
            return self.conv(input, taps, [1, 1, n]);
        }
        let constants = self.constants(n.into(), src.len());
        self.layer(Op::FullyConnected, [input; 2], [1, 1, n], constants)
    }

    /// Sum of two tensors of equal scales.
    pub(super) fn add(&mut self, inputs: [u8; 2]) -> u8 {
        let half = Scaling::new(1 << 30, 0);
        let scales = AddScales {
            lhs: half,
            rhs: half,
            output: Scaling::new(1 << 30, -18),
        };
        let shape = self.shape(inputs[0]);
        self.layer(Op::Add(scales), inputs, shape, None)
    }

    /// Pooling to `out = [h, w]`.
    pub(super) fn pool(
        &mut self,
        op: fn(Window) -> Op,
        input: u8,
        taps: Taps,
        out: [u16; 2],
    ) -> u8 {
        let [h, w] = out;
        let c = self.shape(input)[2];
        self.layer(op(taps.window()), [input; 2], [h, w, c], None)
    }

    /// Mean over all pixels.
    pub(super) fn mean(&mut self, input: u8) -> u8 {
        let [h, w, c] = self.shape(input);
        let n = u32::from(h) * u32::from(w);
        let (multiplier, shift) = crate::quantize::quantize_multiplier(1.0 / f64::from(n));
        let scaling = Scaling::new(multiplier, shift);
        self.layer(Op::GlobalAvgPool(scaling), [input; 2], [1, 1, c], None)
    }

    /// The finished network; the last tensor is the output.
    pub(super) fn network(mut self) -> Plain {
        self.net.output = self.net.tensors.len() as u8 - 1;
        self.net
    }

    /// Its blob, in which no layer writes over what it reads.
    ///
    /// # Errors
    /// The runtime refuses the model.
    pub(super) fn blob(self) -> Result<Vec<u8>, DeployError> {
        Ok(self.network().export_apart()?.blob)
    }
}
