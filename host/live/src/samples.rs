//! Inputs of a model from a file, for models whose data set this project does not know.
//!
//! Owns how numbers of a file become a model's int8 input, and its output real numbers; it must not know what a
//! model computes. A file is a NumPy array ([`crate::npy`]) or raw bytes:
//!
//! | values | the input `q` |
//! |---|---|
//! | int8, raw bytes | themselves |
//! | uint8 | less 128, as those of an imported uint8 model and as pixels |
//! | float32 `x` | `x / scale`, in f32, to the nearest, halves away from zero, `+ zero_point`, clamped: as TensorFlow Lite's `AffineQuantize` does |

use crate::evaluate::Images;
use crate::npy::{Npy, NpyError, Values};
use aplysia_shared::Tensor;

/// Why a file gives no inputs of a model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SamplesError {
    /// It is no array that is read here.
    #[error(transparent)]
    Npy(#[from] NpyError),
    /// The array is not one of inputs.
    #[error(
        "an array of shape {got:?}: the model takes [n, {}, {}, {}], [n, {}] or one sample without n; \
         numpy.transpose orders axes, reshape adds them",
        want[0], want[1], want[2], want.iter().map(|&n| usize::from(n)).product::<usize>()
    )]
    Shape {
        /// Of the array.
        got: Vec<usize>,
        /// `[h, w, c]` of the model's input.
        want: [u16; 3],
    },
    /// Raw bytes that are no whole number of inputs.
    #[error(
        "{got_bytes} bytes: the model takes n times {want_bytes} bytes, int8, {shape:?} each; a NumPy array \
         is known by the ending .npy"
    )]
    Length {
        /// Of the file.
        got_bytes: usize,
        /// Of one input.
        want_bytes: usize,
        /// `[h, w, c]` of the model's input.
        shape: [u16; 3],
    },
    /// No samples at all.
    #[error("no samples: give at least one")]
    Empty,
    /// A number that no scale can hold.
    #[error("sample {sample}, value {value}: not a finite number")]
    NotFinite {
        /// Which sample, from 0.
        sample: usize,
        /// Which value of it, from 0.
        value: usize,
    },
}

/// Inputs of one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Samples {
    /// `q + 128`, as pixels are sent to a device.
    pixels: Vec<u8>,
    /// Nobody knows them: zeros, one per sample.
    labels: Vec<u16>,
}

impl Samples {
    /// Inputs for `input` from the bytes of a `.npy` file.
    ///
    /// # Errors
    /// [`SamplesError`].
    pub fn from_npy(file: &[u8], input: &Tensor) -> Result<Self, SamplesError> {
        let Npy { shape, values } = Npy::read(file)?;
        let fits = |axes: &[usize]| is_input(axes, input);
        if !fits(&shape) && !shape.split_first().is_some_and(|(_, one)| fits(one)) {
            let (got, want) = (shape, axes(input));
            return Err(SamplesError::Shape { got, want });
        }
        let pixels = match values {
            Values::I8(bytes) => flipped(bytes),
            Values::U8(bytes) => bytes.to_vec(),
            Values::F32(bytes) => quantized(bytes, input)?,
        };
        Self::of(pixels, input)
    }

    /// Inputs for `input` from raw int8 values.
    ///
    /// # Errors
    /// [`SamplesError`].
    pub fn from_raw(bytes: &[u8], input: &Tensor) -> Result<Self, SamplesError> {
        if !bytes.len().is_multiple_of(input.len().max(1)) {
            return Err(SamplesError::Length {
                got_bytes: bytes.len(),
                want_bytes: input.len(),
                shape: axes(input),
            });
        }
        Self::of(flipped(bytes), input)
    }

    fn of(pixels: Vec<u8>, input: &Tensor) -> Result<Self, SamplesError> {
        let n = pixels.len() / input.len().max(1);
        match n {
            0 => Err(SamplesError::Empty),
            _ => Ok(Self {
                pixels,
                labels: vec![0; n],
            }),
        }
    }

    /// They as images whose labels say nothing.
    pub fn images(&self) -> Images<'_> {
        Images {
            pixels: &self.pixels,
            labels: &self.labels,
        }
    }
}

/// What `q` of `tensor` stands for: `scale · (q − zero_point)`, in f32, as TensorFlow Lite's `Dequantize`.
pub fn real(tensor: &Tensor, q: i8) -> f32 {
    tensor.scale * f32::from(i16::from(q) - i16::from(tensor.zero_point))
}

fn axes(input: &Tensor) -> [u16; 3] {
    [input.h, input.w, input.c]
}

/// Whether an array of these axes is one input: axes of length 1 aside, `[h, w, c]` or all in one.
fn is_input(got: &[usize], input: &Tensor) -> bool {
    let long = |axes: &[usize]| axes.iter().copied().filter(|&n| n != 1).collect::<Vec<_>>();
    let got = long(got);
    got == long(&axes(input).map(usize::from)) || got == long(&[input.len()])
}

fn flipped(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|&byte| byte ^ 0x80).collect()
}

fn quantized(bytes: &[u8], input: &Tensor) -> Result<Vec<u8>, SamplesError> {
    let (numbers, _) = bytes.as_chunks::<4>();
    let one = |(at, &number): (usize, &[u8; 4])| {
        let x = f32::from_le_bytes(number);
        if !x.is_finite() {
            let (sample, value) = (at / input.len(), at % input.len());
            return Err(SamplesError::NotFinite { sample, value });
        }
        // A float becomes the nearest integer in range: a clamp.
        let q = ((x / input.scale).round() + f32::from(input.zero_point)) as i8;
        Ok(q.cast_unsigned() ^ 0x80)
    };
    numbers.iter().enumerate().map(one).collect()
}
