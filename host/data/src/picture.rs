//! Decoding one picture file to a square of RGB pixels.
//!
//! JPEG only. One file of ImageNet that ends in `.JPEG` is a PNG (`n02105855_2933.JPEG`) and has to be
//! converted first. Grey pictures get three equal channels. Must not know of classes and folders.

use crate::augmentation::CropWindow;
use crate::error::FormatFault;
use crate::{DataError, ImageShape};
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
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

/// Why a picture could not be had.
pub(crate) enum Cause {
    Io(std::io::Error),
    Fault(FormatFault),
}

impl Cause {
    /// The error of the file at `path`, which should be what `expected` says.
    pub(crate) fn at(self, path: PathBuf, expected: &str) -> DataError {
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

/// The picture at `path` in the wanted side as `fit` says, `[side, side, 3]`; or the window that `crop` chooses from
/// its size, scaled to that side by the same filter, under which pixels beside the window shine in at its border.
pub(crate) fn read(
    path: &Path,
    (side, fit): (u32, Fit),
    crop: impl FnOnce(ImageShape) -> Option<CropWindow>,
) -> Result<Vec<u8>, Cause> {
    let bytes = std::fs::read(path).map_err(Cause::Io)?;
    let undecodable = |why| Cause::Fault(FormatFault::Picture { why });
    let picture = decode_jpeg(&bytes).map_err(undecodable)?;
    let is_fit = (picture.w, picture.h) == (side, side);
    if fit == Fit::Exact && !is_fit {
        return Err(Cause::Fault(FormatFault::Side {
            got_w: picture.w,
            got_h: picture.h,
            want: side,
        }));
    }
    let window = crop(ImageShape {
        h: picture.h as usize,
        w: picture.w as usize,
        c: 3,
    });
    if is_fit && window.is_none() {
        return Ok(picture.pixels);
    }
    scale(&picture, side, window).map_err(undecodable)
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

/// The window of `picture`, or its middle, scaled to `[side, side, 3]`.
fn scale(picture: &Picture, side: u32, window: Option<CropWindow>) -> Result<Vec<u8>, String> {
    let mut out = vec![0; (side as usize).pow(2) * 3];
    let from = TypedImageRef::<U8x3>::from_buffer(picture.w, picture.h, &picture.pixels)
        .map_err(|e| e.to_string())?;
    let mut to =
        TypedImage::<U8x3>::from_buffer(side, side, &mut out).map_err(|e| e.to_string())?;
    let filter = ResizeAlg::Convolution(FilterType::Bilinear);
    let options = ResizeOptions::new().resize_alg(filter);
    let options = match window.map(|w| [w.left, w.top, w.w, w.h].map(|n| n as f64)) {
        Some([left, top, w, h]) => options.crop(left, top, w, h),
        None => options.fit_into_destination(Some((0.5, 0.5))),
    };
    Resizer::new()
        .resize_typed(&from, &mut to, &options)
        .map_err(|e| e.to_string())?;
    Ok(out)
}
