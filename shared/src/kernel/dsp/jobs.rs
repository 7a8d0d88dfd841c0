//! What the instruction sets are given to work on. It owns these shapes only and must not know what is done
//! with them.

use super::packing::Epilogue;

/// Windows of a depthwise convolution, as rows and columns.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    /// Taps.
    pub kernel: [usize; 2],
    /// From one window to the next.
    pub stride: [usize; 2],
    /// Pairs of pixels of a row that the windows of two outputs beside each other span, the first of them
    /// from the first half of a pair on. A row of many is taken in equal parts, which may take some more.
    pub(crate) pairs: usize,
}

/// Where the weights of a depthwise convolution are.
#[derive(Clone, Copy, Debug)]
pub struct Weights {
    /// What they are for.
    pub windows: Windows,
    /// Bytes from one row of a window, and from one column, to the next.
    pub step: [usize; 2],
}

/// Output rows of four channels of a depthwise convolution.
#[derive(Clone, Copy, Debug)]
pub struct Strip {
    /// Words from one row of pixels to the next.
    pub pitch: usize,
    /// What is computed.
    pub windows: Windows,
    /// Output rows and outputs of a row.
    pub n: [usize; 2],
    /// Bytes from one output row, and from one output pixel, to the next.
    pub step: [usize; 2],
    /// Whether the first row of pixels, and the last one, is padding.
    pub padding: [bool; 2],
    /// Whether the last column of pixels that outputs read is.
    pub padding_right: bool,
}

/// What the outputs of four channels are computed from.
#[derive(Clone, Copy, Debug)]
pub struct Slice<'a> {
    /// Expanded pixels in the form of [`Slices`](super::Slices), from the first tap of the first output on.
    pub pixels: &'a [u32],
    /// Weights in the form of [`Slices`](super::Slices).
    pub taps: &'a [u32],
    /// Bias and requantization.
    pub epilogue: &'a Epilogue,
}

/// Pixels of an image that become words of a strip.
#[derive(Clone, Copy, Debug)]
pub struct Lines {
    /// The first value of the first pixel.
    pub start: usize,
    /// Values from one pixel to the next.
    pub step: usize,
    /// Values from one row to the next.
    pub down: usize,
    /// Rows, and pixels of a row.
    pub n: [usize; 2],
    /// The first word of the first row.
    pub to: usize,
    /// Pixels in front of the first one.
    pub left: usize,
    /// Words from one row to the next.
    pub pitch: usize,
    /// Of the image.
    pub zero_point: i32,
}

/// Pairs of output pixels whose windows, and outputs, are evenly spaced.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// First values of the windows of the first pair.
    pub starts: [usize; 2],
    /// Values from the windows of one pair to those of the next.
    pub ahead: usize,
    /// First outputs of the first pair.
    pub at: [usize; 2],
    /// Values from the outputs of one pair to those of the next.
    pub out_ahead: usize,
    /// Pairs.
    pub n: usize,
}
