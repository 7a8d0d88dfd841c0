//! Windows of TensorFlow Lite → those of the runtime.
//!
//! Owns the two paddings and must not know operators. Source: `padding.h` of TensorFlow: SAME has
//! `ceil(size / stride)` outputs and puts the smaller half of the padding in front; VALID has none.

use super::Fault;
use super::padding::Padding;
use aplysia_shared::{Tensor, Window};

/// A window as TensorFlow Lite describes it, vertical number first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub(super) kernel: [usize; 2],
    pub(super) stride: [i32; 2],
    pub(super) dilation: [i32; 2],
    /// 0 SAME, 1 VALID.
    pub(super) padding: i8,
    /// Zeros that a PAD in front has put around the image.
    pub(super) around: Padding,
}

impl Geometry {
    /// The runtime's window from `src`, inside of `around`, to `dst`.
    ///
    /// # Errors
    /// Sizes that do not fit, numbers above 255, or a window in zeros alone.
    pub(super) fn window(&self, src: &Tensor, dst: &Tensor) -> Result<Window, Fault> {
        let sizes = [(src.h, dst.h), (src.w, dst.w)];
        let axis = |i: usize| {
            let [inside, out] = [sizes[i].0, sizes[i].1].map(i64::from);
            let [before, behind] = self.around[i].map(i64::from);
            let size = inside + before + behind;
            let (stride, dilation) = (i64::from(self.stride[i]), i64::from(self.dilation[i]));
            let kernel = i64::try_from(self.kernel[i]).unwrap_or(0);
            let reach = (kernel - 1) * dilation + 1;
            if kernel < 1 || stride < 1 || dilation < 1 {
                return Err(Some(("a positive window", 0)));
            }
            let (want, pad) = match self.padding {
                0 => {
                    let want = (size + stride - 1) / stride;
                    (want, ((want - 1) * stride + reach - size).max(0) / 2)
                }
                _ => ((size - reach + stride) / stride, 0),
            };
            let pad = pad + before;
            if want == out && (pad >= reach || (out - 1) * stride >= inside + pad) {
                return Err(None);
            }
            let bytes = [kernel, stride, dilation, pad].map(|n| u8::try_from(n).ok());
            match (want == out, bytes) {
                (true, [Some(kernel), Some(stride), Some(dilation), Some(pad)]) => {
                    Ok([kernel, stride, dilation, pad])
                }
                _ => Err(Some(("an output, by its padding, of", want))),
            }
        };
        let fault = |shape: Option<(&str, i64)>| match shape {
            Some((what, size)) => Fault::Shape {
                got: vec![dst.h.into(), dst.w.into(), dst.c.into()],
                want: format!("{what} {size}, and numbers of the window up to 255"),
            },
            None => Fault::Padding {
                padding: self.around,
                operator: "this window",
                remedy: "pad so little that every window reaches into the image",
            },
        };
        let [kernel_h, stride_h, dilation_h, pad_top] = axis(0).map_err(fault)?;
        let [kernel_w, stride_w, dilation_w, pad_left] = axis(1).map_err(fault)?;
        Ok(Window {
            kernel_h,
            kernel_w,
            stride_h,
            stride_w,
            dilation_h,
            dilation_w,
            pad_top,
            pad_left,
        })
    }
}
