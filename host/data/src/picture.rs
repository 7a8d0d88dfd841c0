//! Decoding picture files to squares of RGB pixels, in parallel.
//!
//! JPEG only. One file of ImageNet that ends in `.JPEG` is a PNG (`n02105855_2933.JPEG`) and has to be
//! converted first. Grey pictures get three equal channels. Must not know of classes and folders.

use crate::DataError;
use crate::error::FormatFault;
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

/// How a picture becomes a square of the wanted side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It must have that size already.
    Exact,
    /// It is scaled until its shorter side fits (triangle filter, as wide as the step when it
    /// shrinks), then cropped in the middle.
    ScaleAndCrop,
}

/// Pixels of all files, `[n, side, side, 3]`.
///
/// # Errors
/// [`DataError::Memory`], or the first file that cannot be read, decoded or fitted.
pub(crate) fn decode_all(
    files: &[PathBuf],
    side: u32,
    fit: Fit,
    expected: &str,
) -> Result<Vec<u8>, DataError> {
    let per_image = (side as usize).pow(2) * 3;
    let (n_images, bytes) = (files.len(), per_image.saturating_mul(files.len()));
    let mut pixels = Vec::new();
    pixels
        .try_reserve_exact(bytes)
        .map_err(|_| DataError::Memory { bytes, n_images })?;
    pixels.resize(bytes, 0);
    let tasks = files
        .par_iter()
        .zip(pixels.par_chunks_exact_mut(per_image.max(1)));
    let first_error = tasks
        .map_init(Resizer::new, |resizer, (path, out)| {
            decode(path, side, fit, resizer, out).err()
        })
        .enumerate()
        .find_map_first(|(i, cause)| Some((i, cause?)));
    match first_error {
        None => Ok(pixels),
        Some((i, cause)) => Err(cause.at(files[i].clone(), expected)),
    }
}

/// Why a picture could not be had.
enum Cause {
    Io(std::io::Error),
    Fault(FormatFault),
}

impl Cause {
    fn at(self, path: PathBuf, expected: &str) -> DataError {
        let expected = expected.to_string();
        match self {
            Cause::Io(source) => DataError::Unreadable {
                path,
                expected,
                source,
            },
            Cause::Fault(fault) => DataError::Format {
                path,
                fault,
                expected,
            },
        }
    }
}

/// An RGB picture of any size.
struct Picture {
    w: u32,
    h: u32,
    /// `[h, w, 3]`.
    pixels: Vec<u8>,
}

fn decode(
    path: &Path,
    side: u32,
    fit: Fit,
    resizer: &mut Resizer,
    out: &mut [u8],
) -> Result<(), Cause> {
    let bytes = std::fs::read(path).map_err(Cause::Io)?;
    let undecodable = |why| Cause::Fault(FormatFault::Picture { why });
    let picture = decode_jpeg(&bytes).map_err(undecodable)?;
    if (picture.w, picture.h) == (side, side) {
        out.copy_from_slice(&picture.pixels);
        return Ok(());
    }
    if fit == Fit::Exact {
        return Err(Cause::Fault(FormatFault::Side {
            got_w: picture.w,
            got_h: picture.h,
            want: side,
        }));
    }
    scale(&picture, side, resizer, out).map_err(undecodable)
}

/// Decodes a whole JPEG; what a damaged one still shows is not accepted.
fn decode_jpeg(bytes: &[u8]) -> Result<Picture, String> {
    if !has_end(bytes) {
        return Err("its end is missing".into());
    }
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let pixels = decoder.decode().map_err(|e| e.to_string())?;
    let (w, h) = decoder.dimensions().ok_or("no dimensions")?;
    if pixels.len() != w * h * 3 {
        return Err(format!("{} bytes for {w}×{h} RGB pixels", pixels.len()));
    }
    Ok(Picture {
        w: w as u32,
        h: h as u32,
        pixels,
    })
}

/// Whether the end of image `FF D9` follows the last start of scan `FF DA`; neither can be in coded data.
fn has_end(bytes: &[u8]) -> bool {
    let mut markers = bytes.windows(2).rev();
    let last = markers.find(|m| matches!(m, [0xFF, 0xD9 | 0xDA]));
    last == Some(&[0xFF, 0xD9])
}

/// Scales `picture` and crops it to `out`, `[side, side, 3]`.
fn scale(
    picture: &Picture,
    side: u32,
    resizer: &mut Resizer,
    out: &mut [u8],
) -> Result<(), String> {
    let from = TypedImageRef::<U8x3>::from_buffer(picture.w, picture.h, &picture.pixels)
        .map_err(|e| e.to_string())?;
    let mut to = TypedImage::<U8x3>::from_buffer(side, side, out).map_err(|e| e.to_string())?;
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .fit_into_destination(Some((0.5, 0.5)));
    resizer
        .resize_typed(&from, &mut to, &options)
        .map_err(|e| e.to_string())
}
