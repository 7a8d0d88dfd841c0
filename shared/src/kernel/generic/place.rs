//! Values placed in another tensor. It owns this operator only and must not know the graph around it.

use crate::kernel::{Dst, Over, Src};
use crate::layer::{Clamp, Placing, Scaling};
use crate::quant::{requantize, saturate};

/// Values from which on a table of all 256 pays.
pub(crate) const MIN_TABLE: usize = 1024;
/// The factor 1 as [`Scaling`]: `2^30 / 2^31 · 2^1`.
const ONE: Scaling = Scaling::new(1 << 30, 1);

/// Rescales every `stride`-th pixel of `src` into the channels of `dst` from `first` on.
///
/// `dst[y][x][first + c] = requantize(src[y·s+o][x·s+o][c] − zp_src)` with the real factor
/// `s_src / s_dst`; the clamped zero point of `dst` where that pixel is outside the image. Other channels
/// of `dst` stay.
///
/// | argument | shape and layout | type |
/// |---|---|---|
/// | `src` | `[h][w][c]` | i8 |
/// | `dst` | `[ceil(h/s)][ceil(w/s)][at least first + c]` | i8 |
///
/// Never panics if `Model::parse` accepted the blob. Cost: no MACs; a copy where scale and zero point
/// stay, else one requantization per value, or 256 of them and a look-up per value, with 256 bytes of
/// stack. Bit-exact with TensorFlow Lite's reference int8 `Concatenation` and `Requantize`.
pub fn place_s8(src: &Src<'_>, dst: &mut Dst<'_>, placing: &Placing) {
    let map = Map::new(src, dst, placing.scaling);
    if is_copy(placing, [src.zero_point, dst.zero_point], dst.clamp) {
        return each_run(src, dst, placing, |(to, &from)| *to = from);
    }
    if src.data.len() < MIN_TABLE {
        return each_run(src, dst, placing, |(to, &from)| *to = map.value(from));
    }
    let table = map.table();
    each_run(src, dst, placing, |(to, &from)| *to = look_up(&table, from));
}

/// Whether every value stays what it is.
pub(crate) fn is_copy<T: PartialEq>(placing: &Placing, zero_points: [T; 2], clamp: Clamp) -> bool {
    let [src, dst] = zero_points;
    placing.scaling == ONE && src == dst && clamp == Clamp::FULL
}

/// [`place_s8`] of all of `image` in its own place.
pub fn place_over_s8(image: &mut Over<'_>, scaling: Scaling) {
    let map = Map {
        factor: (scaling.multiplier(), scaling.shift),
        zero_points: image.zero_points,
        clamp: image.clamp,
    };
    if image.data.len() < MIN_TABLE {
        return image.data.iter_mut().for_each(|q| *q = map.value(*q));
    }
    let table = map.table();
    for q in &mut *image.data {
        *q = look_up(&table, *q);
    }
}

/// What becomes of a value.
struct Map {
    factor: (i32, i8),
    zero_points: [i32; 2],
    clamp: Clamp,
}

impl Map {
    fn new(src: &Src<'_>, dst: &Dst<'_>, scaling: Scaling) -> Self {
        Self {
            factor: (scaling.multiplier(), scaling.shift),
            zero_points: [src.zero_point, dst.zero_point],
            clamp: dst.clamp,
        }
    }

    #[inline]
    fn value(&self, q: i8) -> i8 {
        let [from, to] = self.zero_points;
        requantize(i32::from(q) - from, self.factor, to, self.clamp)
    }

    /// Of all values, from −128 on.
    fn table(&self) -> [i8; 256] {
        let mut table = [0; 256];
        for (value, q) in table.iter_mut().zip(i8::MIN..=i8::MAX) {
            *value = self.value(q);
        }
        table
    }
}

#[inline]
fn look_up(table: &[i8; 256], q: i8) -> i8 {
    let at = usize::from(q.cast_unsigned() ^ 0x80);
    table.get(at).copied().unwrap_or(0)
}

/// `each` of all outputs with the values that go there; outputs beyond the image are 0.
fn each_run(
    src: &Src<'_>,
    dst: &mut Dst<'_>,
    placing: &Placing,
    each: impl Fn((&mut i8, &i8)) + Copy,
) {
    let mut run = |to: &mut [i8], from: &[i8]| to.iter_mut().zip(from).for_each(each);
    runs(src, dst, placing, &mut run);
}

/// Calls `run` with the outputs that follow each other and their values.
#[inline(never)]
fn runs(
    src: &Src<'_>,
    dst: &mut Dst<'_>,
    placing: &Placing,
    run: &mut dyn FnMut(&mut [i8], &[i8]),
) {
    let (stride, offset) = (usize::from(placing.stride), usize::from(placing.offset));
    let (first, c) = (usize::from(placing.first), src.c);
    let zero = saturate(dst.zero_point, dst.clamp);
    if (c, stride, offset) == (dst.c, 1, 0) {
        return run(dst.data, src.data);
    }
    for (y, x, pixel) in dst.pixels() {
        let to = pixel.get_mut(first..first + c).unwrap_or_default();
        let (y, x) = (y * stride + offset, x * stride + offset);
        if y < src.h && x < src.w {
            run(to, src.run(y, x, c));
        } else {
            to.fill(zero);
        }
    }
}
