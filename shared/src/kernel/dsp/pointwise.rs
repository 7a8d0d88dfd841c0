//! 1×1 convolution on weights that are not packed, as learning leaves them. It owns the walk over pixels and
//! must not know the graph around it.

use super::packing::BLOCK;
use super::{Simd, fully_connected_s8};
use crate::kernel::{Dst, Src, Weighted, generic};

/// 1×1 convolution with stride 1: bit for bit [`crate::kernel::generic::pointwise_conv2d_s8`].
///
/// | argument | shape and layout | type |
/// |---|---|---|
/// | `src` | `[h][w][in_ch]` | i8 |
/// | `dst` | `[h][w][out_ch]` | i8 |
/// | `constants.weights` | `[out_ch][in_ch]` | i8 |
///
/// Each pixel is a [`fully_connected_s8`], from four outputs on, below which that is no faster. Never panics. Cost:
/// stack as of that; about twice the instructions of the packed convolution, a third of the generic one.
pub fn pointwise_conv2d_s8<S: Simd>(src: &Src<'_>, dst: &mut Dst<'_>, constants: &Weighted<'_>) {
    if dst.c < BLOCK {
        return generic::pointwise_conv2d_s8(src, dst, constants);
    }
    let pixels = src.data.chunks_exact(src.c.max(1));
    let (c, zero_point, clamp) = (dst.c, dst.zero_point, dst.clamp);
    for (from, to) in pixels.zip(dst.data.chunks_exact_mut(c.max(1))) {
        let pixel = Src {
            data: from,
            h: 1,
            w: 1,
            ..*src
        };
        let mut to = Dst {
            data: to,
            h: 1,
            w: 1,
            c,
            zero_point,
            clamp,
        };
        fully_connected_s8::<S>(&pixel, &mut to, constants);
    }
}
