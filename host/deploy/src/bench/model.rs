//! Models made of given layers with reproducible numbers, ready for the device.
//!
//! Owns the construction of a blob around bare shapes, packed wherever an exported model would be. It
//! must not know what the layers are compared with.

use crate::DeployError;
use crate::pack::{PackedWeights, pack};
use crate::plan::{Buffer, plan};
use aplysia_shared::blob::{encode, encoded_len};
use aplysia_shared::kernel::dsp::packing::{self, Depth};
use aplysia_shared::{AddScales, Clamp, GraphV1, Labels, Layer, Op, Scaling, Tensor, Window};

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
    graph: GraphV1,
    data: Vec<u8>,
    state: u32,
}

impl Builder {
    /// Begins with the input.
    pub(super) fn new(input: [u16; 3]) -> Self {
        Self::seeded(input, 1)
    }

    /// Begins with the input; other seeds give other numbers.
    pub(super) fn seeded(input: [u16; 3], state: u32) -> Self {
        let mut builder = Self {
            graph: GraphV1 {
                tensors: heapless::Vec::new(),
                layers: heapless::Vec::new(),
                input: 0,
                output: 0,
                prototypes: None,
                labels: Labels { offset: 0, len: 0 },
            },
            data: Vec::new(),
            state,
        };
        builder.tensor(input);
        builder
    }

    /// Numerical Recipes' generator, upper bits.
    fn next(&mut self) -> u32 {
        self.state = self
            .state
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        self.state >> 8
    }

    fn tensor(&mut self, [h, w, c]: [u16; 3]) -> u8 {
        let tensor = Tensor {
            h,
            w,
            c,
            scale: 0.05,
            zero_point: -5,
            offset: 0,
        };
        let index = self.graph.tensors.len() as u8;
        // Benchmarks have fewer tensors than a graph can hold; one too many is found by `blob`.
        let _ = self.graph.tensors.push(tensor);
        index
    }

    fn shape(&self, tensor: u8) -> [u16; 3] {
        let t = &self.graph.tensors[usize::from(tensor)];
        [t.h, t.w, t.c]
    }

    fn layer(&mut self, op: Op, inputs: [u8; 2], shape: [u16; 3], params: u32) -> u8 {
        let output = self.tensor(shape);
        let layer = Layer {
            op,
            inputs,
            output,
            clamp: Clamp::FULL,
            params,
            homeostasis: None,
        };
        let _ = self.graph.layers.push(layer);
        output
    }

    /// Random constants of `n` channels with `fan_in` weights each, packed as `packed` says: weights
    /// of the whole range and factors that spread the outputs.
    fn params(&mut self, n: usize, fan_in: usize, packed: Option<Depth>) -> u32 {
        let offset = self.data.len() as u32;
        let words = (0..n).map(|_| self.next() as i32 % 6000 - 3000);
        let bias: Vec<i32> = words.collect();
        let words = (0..n).map(|_| (1 << 30) + (self.next() << 6) as i32 % (1 << 30));
        let multiplier: Vec<i32> = words.map(|m| m.abs().max(1 << 30)).collect();
        let words = bias.into_iter().chain(multiplier);
        self.data.extend(words.flat_map(i32::to_le_bytes));
        let shift = -7 - (fan_in.ilog2() as i8) / 2;
        self.data.resize(self.data.len() + n, shift.cast_unsigned());
        self.align();
        let weight = |_| (self.next() % 255) as u8 as i8;
        let weights: Vec<i8> = (0..n * fan_in).map(weight).map(|w| w.max(-127)).collect();
        if let Some(depth) = packed {
            let PackedWeights { sums, reach, bytes } = pack(&weights, depth);
            let words = sums.into_iter().chain([reach.cast_signed()]);
            self.data.extend(words.flat_map(i32::to_le_bytes));
            self.data.extend(bytes);
        } else {
            self.data.extend(weights.into_iter().map(i8::cast_unsigned));
        }
        self.align();
        offset
    }

    fn align(&mut self) {
        self.data.resize(self.data.len().next_multiple_of(4), 0);
    }

    /// Convolution to `out = [h, w, channels]`.
    pub(super) fn conv(&mut self, input: u8, taps: Taps, out: [u16; 3]) -> u8 {
        let in_ch = usize::from(self.shape(input)[2]);
        let window = taps.window();
        let n = usize::from(out[2]);
        let packed = packing::packable(&window, in_ch, n);
        let depth = packed.then(|| Depth::new(&window, in_ch));
        let params = self.params(n, window.taps() * in_ch, depth);
        let op = if packed { Op::PackedConv2d } else { Op::Conv2d };
        self.layer(op(window), [input; 2], out, params)
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
        let params = self.params(c.into(), window.taps(), None);
        self.layer(Op::DepthwiseConv2d(window), [input; 2], [h, w, c], params)
    }

    /// Fully connected layer of `n` outputs, packed where an imported one would be.
    pub(super) fn linear(&mut self, input: u8, n: u16) -> u8 {
        let src = self.graph.tensors[usize::from(input)];
        let window = Window::whole(&src);
        if let Some(w) = window.filter(|w| packing::packable(w, src.c.into(), n.into())) {
            let taps = Taps {
                rows: w.kernel_h,
                columns: w.kernel_w,
                ..Taps::same(1, 1)
            };
            return self.conv(input, taps, [1, 1, n]);
        }
        let fan_in = src.len();
        let params = self.params(n.into(), fan_in, None);
        self.layer(Op::FullyConnected, [input; 2], [1, 1, n], params)
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
        self.layer(Op::Add(scales), inputs, shape, 0)
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
        self.layer(op(taps.window()), [input; 2], [h, w, c], 0)
    }

    /// Mean over all pixels.
    pub(super) fn mean(&mut self, input: u8) -> u8 {
        let [h, w, c] = self.shape(input);
        let n = u32::from(h) * u32::from(w);
        let (multiplier, shift) = crate::quantize::quantize_multiplier(1.0 / f64::from(n));
        let scaling = Scaling::new(multiplier, shift);
        self.layer(Op::GlobalAvgPool(scaling), [input; 2], [1, 1, c], 0)
    }

    /// The finished blob; the last tensor is the output.
    ///
    /// # Errors
    /// The runtime refuses the model.
    pub(super) fn blob(mut self) -> Result<Vec<u8>, DeployError> {
        let layers = &self.graph.layers;
        let last = |tensor: u8| {
            let reads = layers.iter().rposition(|l| l.inputs.contains(&tensor));
            reads.map_or(layers.len(), |reader| reader + 1)
        };
        let buffers: Vec<Buffer> = (0u8..)
            .zip(&self.graph.tensors)
            .map(|(i, t)| Buffer {
                bytes: t.len(),
                first: i.into(),
                last: last(i),
            })
            .collect();
        for (tensor, offset) in self.graph.tensors.iter_mut().zip(plan(&buffers).offsets) {
            tensor.offset = offset as u32;
        }
        self.graph.output = self.graph.tensors.len() as u8 - 1;
        let n_classes = usize::from(self.shape(self.graph.output)[2]);
        let names = vec!["x"; n_classes].join("\n");
        self.graph.labels = Labels {
            offset: self.data.len() as u32,
            len: names.len() as u16,
        };
        self.data.extend(names.into_bytes());
        let mut blob = vec![0; encoded_len(&self.graph, self.data.len())?];
        encode(&self.graph, &self.data, [0; 16], 0, &mut blob)?;
        Ok(blob)
    }
}
