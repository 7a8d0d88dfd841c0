//! What the instruction sets are given to work on. It owns these shapes only and must not know what is done
//! with them.

use super::packing::Epilogue;
use super::slices::taps_len;

/// Output rows of four channels of a depthwise convolution.
#[derive(Clone, Copy, Debug)]
pub struct Strip {
    /// Words from one row of pixels to the next.
    pub pitch: usize,
    /// Rows and columns of the window, 3 or 5.
    pub kernel: usize,
    /// Horizontal step, 1 or 2.
    pub stride: usize,
    /// Output rows and outputs of a row.
    pub n: [usize; 2],
    /// Bytes from one output row, and from one output pixel, to the next.
    pub step: [usize; 2],
}

/// What the outputs of four channels are computed from.
#[derive(Clone, Copy, Debug)]
pub struct Slice<'a> {
    /// Expanded pixels in the form of [`Slices`](super::Slices), from the first tap of the first output on.
    pub pixels: &'a [u32],
    /// Weights and constants.
    pub filter: &'a Filter,
}

/// Most words of expanded weights: of a window of 5×5.
pub(super) const TAPS_WORDS: usize = taps_len(5);

/// Weights and constants of four channels.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Filter {
    /// Bias and requantization.
    pub epilogue: Epilogue,
    /// Weights in the form of [`Slices`](super::Slices).
    pub taps: [u32; TAPS_WORDS],
}

impl Filter {
    /// Nothing yet.
    pub(super) fn empty() -> Self {
        Self {
            epilogue: Epilogue::default(),
            taps: [0; TAPS_WORDS],
        }
    }
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
