//! The graph of a model as it stands in the blob: tensors, layers and where their constants are.
//!
//! It owns the types whose postcard encoding is format version 1 and must not know what a kernel does
//! with them. Every number whose value depends on training is serialised in a fixed size, so that the
//! length of a blob depends on its structure only. Blobs in the field hold these types: a changed
//! field is a new version (`FORMAT.md`).

use core::ops::Range;

use heapless::Vec;
use serde::{Deserialize, Serialize};

/// Most tensors of a graph.
pub const MAX_TENSORS: usize = 254;
/// Most layers of a graph.
pub const MAX_LAYERS: usize = 254;
/// Most cascades of a graph.
pub const MAX_CASCADES: usize = 16;
/// Most layers of a cascade.
pub const MAX_STAGES: usize = 8;

/// One activation tensor, NHWC with N = 1, `real = scale · (q − zero_point)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tensor {
    /// Height in pixels, at least 1.
    pub h: u16,
    /// Width in pixels, at least 1.
    pub w: u16,
    /// Channels, at least 1.
    pub c: u16,
    /// Real size of one step, finite and positive.
    pub scale: f32,
    /// The `q` that stands for real 0; padding has this value.
    pub zero_point: i8,
    /// First byte of the tensor in the arena.
    pub offset: u32,
}

impl Tensor {
    /// Number of elements, which is the number of bytes.
    pub fn len(&self) -> usize {
        usize::from(self.h)
            .saturating_mul(usize::from(self.w))
            .saturating_mul(usize::from(self.c))
    }
    /// True when a dimension is zero (never in a parsed model).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Elements of one row, which is their number of bytes.
    pub fn row_len(&self) -> usize {
        usize::from(self.w) * usize::from(self.c)
    }
    /// First byte behind the tensor in the arena.
    pub fn end(&self) -> u64 {
        u64::from(self.offset)
            + u64::from(self.h)
                .saturating_mul(u64::from(self.w))
                .saturating_mul(u64::from(self.c))
    }
}

/// How a window moves over an image. Output `(y, x)` reads input
/// `(y·stride_h + ky·dilation_h − pad_top, x·stride_w + kx·dilation_w − pad_left)`; padding at the
/// bottom and right is whatever the output size needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Rows, at least 1.
    pub kernel_h: u8,
    /// Columns, at least 1.
    pub kernel_w: u8,
    /// Vertical stride, at least 1.
    pub stride_h: u8,
    /// Horizontal stride, at least 1.
    pub stride_w: u8,
    /// Distance of two rows, at least 1; 1 for pooling.
    pub dilation_h: u8,
    /// Distance of two columns, at least 1; 1 for pooling.
    pub dilation_w: u8,
    /// Padding rows above, less than the reach of the window.
    pub pad_top: u8,
    /// Padding columns to the left, less than the reach of the window.
    pub pad_left: u8,
}

impl Window {
    /// A `kernel × kernel` window without dilation, with `pad` on top and left.
    pub const fn square(kernel: u8, stride: u8, pad: u8) -> Self {
        Self {
            kernel_h: kernel,
            kernel_w: kernel,
            stride_h: stride,
            stride_w: stride,
            dilation_h: 1,
            dilation_w: 1,
            pad_top: pad,
            pad_left: pad,
        }
    }
    /// The window that is all of `src`: with it a convolution is a fully connected layer. None for more
    /// than 255 rows or columns.
    pub fn whole(src: &Tensor) -> Option<Self> {
        let (kernel_h, kernel_w) = (u8::try_from(src.h).ok()?, u8::try_from(src.w).ok()?);
        Some(Self {
            kernel_h,
            kernel_w,
            ..Self::square(1, 1, 0)
        })
    }
    /// Rows and columns from the first tap of one window to its last: `(kernel − 1)·dilation + 1`.
    pub fn reach(&self) -> [usize; 2] {
        let axis = |kernel: u8, dilation: u8| {
            usize::from(kernel.saturating_sub(1)) * usize::from(dilation) + 1
        };
        [
            axis(self.kernel_h, self.dilation_h),
            axis(self.kernel_w, self.dilation_w),
        ]
    }
    /// Taps of one window.
    pub fn taps(&self) -> usize {
        usize::from(self.kernel_h) * usize::from(self.kernel_w)
    }
    /// Whether it is all of an image of `size` rows and columns, and the only one.
    pub fn is_whole(&self, size: [usize; 2], outputs: [usize; 2]) -> bool {
        let kernel = [self.kernel_h, self.kernel_w].map(usize::from);
        kernel == size
            && outputs == [1, 1]
            && (self.pad_top, self.pad_left) == (0, 0)
            && (self.dilation_h, self.dilation_w) == (1, 1)
    }
    /// True for 1×1 with stride 1 and no padding: a matrix product over pixels.
    pub fn is_pointwise(&self) -> bool {
        self.taps() == 1
            && (self.stride_h, self.stride_w) == (1, 1)
            && (self.pad_top, self.pad_left) == (0, 0)
    }
}

/// Fused activation: every output is limited to `min ..= max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clamp {
    /// Smallest output; a ReLU has the output's zero point here.
    pub min: i8,
    /// Largest output, at least `min`.
    pub max: i8,
}

impl Clamp {
    /// No activation.
    pub const FULL: Self = Self {
        min: i8::MIN,
        max: i8::MAX,
    };
}

/// A real factor `m / 2^31 · 2^shift` in a fixed number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaling {
    /// `m`, i32 little-endian, not negative.
    pub multiplier: [u8; 4],
    /// Power of two, positive = left, in `-31 ..= 30`.
    pub shift: i8,
}

impl Scaling {
    /// From the multiplier as a number.
    pub const fn new(multiplier: i32, shift: i8) -> Self {
        Self {
            multiplier: multiplier.to_le_bytes(),
            shift,
        }
    }
    /// The multiplier as a number.
    pub const fn multiplier(self) -> i32 {
        i32::from_le_bytes(self.multiplier)
    }
}

/// Factors of an addition in TensorFlow Lite's scheme: with `t = 2·max(s_lhs, s_rhs)`,
/// `lhs = s_lhs/t`, `rhs = s_rhs/t`, `output = t/(2^20·s_out)`; every shift is at most 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddScales {
    /// Of the first input.
    pub lhs: Scaling,
    /// Of the second input.
    pub rhs: Scaling,
    /// Of the sum.
    pub output: Scaling,
}

/// Where the values of one tensor go in another, and what becomes of them: rescaled, every `stride`-th
/// pixel from pixel `(offset, offset)` on, to the channels from `first` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placing {
    /// Real factor `s_in / s_out`.
    pub scaling: Scaling,
    /// First output channel: as many as were placed before.
    pub first: u16,
    /// Stride in the input, at least 1; the output has `ceil(size / stride)` rows and columns.
    pub stride: u8,
    /// First row and column of the input, at most `stride`; pixels beyond the image are real 0.
    pub offset: u8,
}

/// What a layer computes. The order of the variants is the wire form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Dense convolution, weights `[out_ch][kernel_h][kernel_w][in_ch]`.
    Conv2d(Window),
    /// One filter per channel, weights `[kernel_h][kernel_w][ch]`.
    DepthwiseConv2d(Window),
    /// Matrix product with the flattened input, weights `[out_ch][in]`.
    FullyConnected,
    /// Sum of two tensors of one shape.
    Add(AddScales),
    /// Largest value of each window, taps inside the image only.
    MaxPool(Window),
    /// Mean of each window over the taps inside the image.
    AvgPool(Window),
    /// Mean over all pixels, rescaled: real factor `s_in / (s_out · h·w)`.
    GlobalAvgPool(Scaling),
    /// As [`Op::Conv2d`], weights packed for the fast kernels: [`crate::kernel::dsp::packing`]. From
    /// runtime interface 2 on.
    PackedConv2d(Window),
    /// Softmax over the channels of each pixel: real factor `beta · s_in · 2^26`, shift 0 to 30; the
    /// output has scale 1/256 and zero point −128. From runtime interface 3 on.
    Softmax(Scaling),
    /// Values of the input to some channels of the output: a concatenation, layer by layer, a change of
    /// scale, an activation on its own, every other pixel. From runtime interface 4 on.
    Place(Placing),
    /// As [`Op::PackedConv2d`] with a window that is all of the input, weights
    /// [paired](mod@crate::kernel::dsp::paired) for processors that multiply one number at a time. From runtime
    /// interface 5 on.
    PairedConv2d(Window),
    /// As [`Op::Conv2d`] of 3×3 with stride 1, weights [transformed](crate::kernel::dsp::winograd) for fewer
    /// products, in 3.6 times the bytes. From runtime interface 9 on.
    WinogradConv2d(Window),
}

impl Op {
    /// True if the layer has weights, and so `params`.
    pub fn is_weighted(&self) -> bool {
        matches!(
            self,
            Self::Conv2d(_)
                | Self::DepthwiseConv2d(_)
                | Self::FullyConnected
                | Self::PackedConv2d(_)
                | Self::PairedConv2d(_)
                | Self::WinogradConv2d(_)
        )
    }

    /// The window, of a layer that has one.
    pub(crate) fn window_mut(&mut self) -> Option<&mut Window> {
        match self {
            Self::Conv2d(window)
            | Self::DepthwiseConv2d(window)
            | Self::MaxPool(window)
            | Self::AvgPool(window)
            | Self::PackedConv2d(window)
            | Self::PairedConv2d(window)
            | Self::WinogradConv2d(window) => Some(window),
            _ => None,
        }
    }

    /// The window of packed, paired or transformed weights, which lie in blocks behind their sums and reach.
    pub fn block_window(&self) -> Option<&Window> {
        match self {
            Self::PackedConv2d(window)
            | Self::PairedConv2d(window)
            | Self::WinogradConv2d(window) => Some(window),
            _ => None,
        }
    }
}

/// One layer, in execution order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// What it computes.
    pub op: Op,
    /// Tensors it reads; the second equals the first unless the op is [`Op::Add`].
    pub inputs: [u8; 2],
    /// Tensor it writes; no other layer writes it, except that several of [`Op::Place`] fill one.
    pub output: u8,
    /// Fused activation.
    pub clamp: Clamp,
    /// Weighted layers: offset in the data section, a multiple of 4, of bias i32 × O, multiplier
    /// i32 × O, shift i8 × O, weights i8, each padded to 4 bytes; if they lie in blocks, the sum of the weights
    /// i32 × O and the reach u32 come before them; without weights 0.
    pub params: u32,
    /// Weighted layers, optional: offset in the data section, a multiple of 4, of the mean i32 × O and
    /// the mean absolute deviation i32 × O (at least 1) of the bias-free accumulators in training.
    pub homeostasis: Option<u32>,
}

/// Layers that run together, some rows at a time: see [`crate::cascade`]. From runtime interface 8 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cascade {
    /// The first of them.
    pub first: u8,
    /// How many, 2 to [`MAX_STAGES`].
    pub layers: u8,
    /// Rows that the last one writes in a turn, at least 1.
    pub rows: u8,
}

impl Cascade {
    /// The layers.
    pub fn layers(&self) -> Range<usize> {
        let first = usize::from(self.first);
        first..first + usize::from(self.layers)
    }

    /// The one of `cascades` that layer `layer` is in.
    #[inline]
    pub fn of(cascades: &[Self], layer: usize) -> Option<&Self> {
        let mut cascades = cascades.iter();
        cascades.find(|cascade| cascade.layers().contains(&layer))
    }
}

/// Class names: UTF-8 text in the data section, separated by `\n`, one name per class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels {
    /// First byte in the data section.
    pub offset: u32,
    /// Length in bytes.
    pub len: u16,
}

/// A whole graph, format version 1: what graph versions 1 and 2 have in common, and the cascades of the latter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GraphV1 {
    /// Activations and their places in the arena.
    pub tensors: Vec<Tensor, MAX_TENSORS>,
    /// Layers in execution order; the last writes the output.
    pub layers: Vec<Layer, MAX_LAYERS>,
    /// Tensor the caller fills; no layer writes it.
    pub input: u8,
    /// Tensor the caller reads, 1×1×classes, written by the last layer.
    pub output: u8,
    /// Optional: offset in the data section, a multiple of 4, of i16 LE `[n_classes][d]`: mean of
    /// `q − zero_point` of the last layer's input over each class, times 128, in `-32640 ..= 32640`.
    pub prototypes: Option<u32>,
    /// Names of the classes; of length 0 if they have none (from runtime interface 3 on).
    pub labels: Labels,
    /// Layers that run together, in their order. A graph with any is version 2, in which they stand at the end.
    #[serde(skip)]
    pub cascades: Vec<Cascade, MAX_CASCADES>,
}
