//! SSE2, which every x86-64 has: `PMADDWD` is SMLAD on four lanes.
//!
//! It owns the host's speed and must not know layers. Lengths are checked in front of each load.
#![allow(
    unsafe_code,
    reason = "loads by address; each block says why it is sound"
)]

use core::arch::x86_64::*;

use super::packing::{BLOCK, Epilogue};
use super::winograd::Tiles;
use super::{Lines, Simd, Slice, Slices, Strip, Sums, Weights, slices};

/// x86-64.
#[derive(Clone, Copy, Debug)]
pub struct Sse2;

/// Constants of four channels in four lanes.
struct Lanes {
    bias: __m128i,
    double: __m128i,
    multiplier: __m128i,
    /// All bits where 1 is taken off high words below 0.
    ties: __m128i,
    divisor: __m128i,
    zero_point: __m128i,
}

#[target_feature(enable = "sse2")]
#[inline]
fn lanes([a, b, c, d]: [i32; 4]) -> __m128i {
    _mm_set_epi32(d, c, b, a)
}

#[target_feature(enable = "sse2")]
#[inline]
fn load(words: &[u32; 4]) -> __m128i {
    // SAFETY: 16 bytes are there; the load takes any alignment.
    unsafe { _mm_loadu_si128(words.as_ptr().cast()) }
}

#[target_feature(enable = "sse2")]
#[inline]
fn load_bytes(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: 16 bytes are there; the load takes any alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

impl Lanes {
    #[target_feature(enable = "sse2")]
    #[inline]
    fn new(epilogue: &Epilogue, bias: [i32; 4]) -> Self {
        let double = lanes(epilogue.multiplier);
        Self {
            bias: lanes(bias),
            double,
            multiplier: _mm_srli_epi32::<1>(double),
            ties: _mm_set1_epi32(-i32::from(epilogue.rounding.skip == 0)),
            divisor: lanes(epilogue.rounding.divisor),
            zero_point: _mm_set1_epi32(epilogue.rounding.zero_point),
        }
    }

    /// Requantized lanes, not yet limited to i8. Unsigned products are corrected for negative lanes:
    /// `a = a_u − 2^32·[a < 0]`.
    #[target_feature(enable = "sse2")]
    #[inline]
    fn requantize(&self, acc: __m128i) -> __m128i {
        let half = _mm_set1_epi64x(1 << 30);
        let [even, odd] = products(acc, self.multiplier);
        let even = _mm_srli_epi64::<31>(_mm_add_epi64(even, half));
        let odd = _mm_srli_epi64::<31>(_mm_add_epi64(odd, half));
        let low = _mm_set1_epi64x(0xFFFF_FFFF);
        let high = _mm_or_si128(_mm_and_si128(even, low), _mm_slli_epi64::<32>(odd));
        let negative = _mm_and_si128(_mm_srai_epi32::<31>(acc), self.double);
        let high = _mm_sub_epi32(high, negative);
        let ties = _mm_and_si128(_mm_srai_epi32::<31>(high), self.ties);
        let high = _mm_add_epi32(high, ties);
        let half = _mm_set1_epi64x(1 << 31);
        let [even, odd] = products(high, self.divisor).map(|product| _mm_add_epi64(product, half));
        let upper = _mm_set1_epi64x(-1 << 32);
        let shifted = _mm_or_si128(_mm_srli_epi64::<32>(even), _mm_and_si128(odd, upper));
        let negative = _mm_and_si128(_mm_srai_epi32::<31>(high), self.divisor);
        _mm_add_epi32(_mm_sub_epi32(shifted, negative), self.zero_point)
    }
}

/// Unsigned 64-bit products of lanes 0 and 2, and of lanes 1 and 3.
#[target_feature(enable = "sse2")]
#[inline]
fn products(a: __m128i, b: __m128i) -> [__m128i; 2] {
    let odd = _mm_mul_epu32(_mm_srli_epi64::<32>(a), _mm_srli_epi64::<32>(b));
    [_mm_mul_epu32(a, b), odd]
}

/// Lanes 0 and 2 added, lanes 1 and 3 added.
#[target_feature(enable = "sse2")]
#[inline]
fn fold(x: __m128i) -> __m128i {
    _mm_add_epi32(x, _mm_unpackhi_epi64(x, x))
}

/// `Σ q·w` of one packed block for two pixels, exact for any weights.
#[target_feature(enable = "sse2")]
#[inline]
fn sums(columns: &[[u32; 4]], weights: &[u8]) -> [__m128i; 2] {
    let zero = _mm_setzero_si128();
    let (mut even, mut odd) = ([zero; 2], [zero; 2]);
    for (x, w) in columns.iter().zip(weights.as_chunks().0) {
        let (x, w) = (load(x), load_bytes(w));
        let low = _mm_srai_epi16::<8>(_mm_slli_epi16::<8>(w));
        let high = _mm_srai_epi16::<8>(_mm_sub_epi16(w, low));
        let pixels = [
            _mm_shuffle_epi32::<0b10_10_00_00>(x),
            _mm_shuffle_epi32::<0b11_11_01_01>(x),
        ];
        for ((even, odd), x) in even.iter_mut().zip(&mut odd).zip(pixels) {
            *even = _mm_add_epi32(*even, _mm_madd_epi16(x, low));
            *odd = _mm_add_epi32(*odd, _mm_madd_epi16(x, high));
        }
    }
    [0, 1].map(|p| _mm_unpacklo_epi32(fold(even[p]), fold(odd[p])))
}

#[target_feature(enable = "sse2")]
fn accumulate(columns: &[[u32; 4]], weights: &[u8], pitch: usize, to: &mut [Sums]) {
    for (i, to) in to.iter_mut().enumerate() {
        let [first, second] = sums(columns, weights.get(i * pitch..).unwrap_or_default());
        let pairs = [
            _mm_unpacklo_epi32(first, second),
            _mm_unpackhi_epi32(first, second),
        ];
        for (to, pairs) in to
            .as_flattened_mut()
            .as_chunks_mut::<4>()
            .0
            .iter_mut()
            .zip(pairs)
        {
            let to: *mut __m128i = to.as_mut_ptr().cast();
            // SAFETY: 16 bytes are there; load and store take any alignment.
            unsafe { _mm_storeu_si128(to, _mm_add_epi32(_mm_loadu_si128(to), pairs)) }
        }
    }
}

#[target_feature(enable = "sse2")]
fn blocks(
    columns: &[[u32; 4]],
    weights: &[u8],
    epilogues: &[Epilogue],
    out: &mut [i8],
    at: [usize; 2],
) {
    let bytes = (BLOCK * 4 * columns.len()).max(1);
    for (block, (weights, epilogue)) in weights.chunks_exact(bytes).zip(epilogues).enumerate() {
        let constants = Lanes::new(epilogue, core::array::from_fn(|i| epilogue.bias(i)));
        for (acc, at) in sums(columns, weights).into_iter().zip(at) {
            let scaled = constants.requantize(_mm_add_epi32(acc, constants.bias));
            store(scaled, out.get_mut(at + BLOCK * block..));
        }
    }
}

/// The first four bytes of `out` become the lanes, limited to i8.
#[target_feature(enable = "sse2")]
#[inline]
fn store(scaled: __m128i, out: Option<&mut [i8]>) {
    let words = _mm_packs_epi32(scaled, scaled);
    let four = _mm_cvtsi128_si32(_mm_packs_epi16(words, words));
    if let Some(out) = out.and_then(|out| out.first_chunk_mut::<BLOCK>()) {
        *out = four.to_le_bytes().map(u8::cast_signed);
    }
}

#[target_feature(enable = "sse2")]
fn rows(strip: &Strip, slice: &Slice<'_>, out: &mut [i8]) {
    let constants = Lanes::new(slice.epilogue, slice.epilogue.bias);
    let pixels = slice.pixels.as_chunks::<BLOCK>().0;
    let taps = slice.taps.as_chunks::<BLOCK>().0.as_chunks::<2>().0;
    let (windows, [n_rows, n], pairs) = (&strip.windows, strip.n, strip.windows.pairs);
    for (y, x) in (0..n_rows).flat_map(|y| (0..n).step_by(2).map(move |x| (y, x))) {
        let mut acc = [constants.bias; 2];
        let mut from = y * windows.stride[0] * (strip.pitch / BLOCK) + x / 2 * windows.stride[1];
        for taps in taps.chunks_exact(pairs.max(1)).take(windows.kernel[0]) {
            let Some(words) = pixels.get(from..from + pairs) else {
                return;
            };
            for (words, taps) in words.iter().zip(taps) {
                let words = load(words);
                acc[0] = _mm_add_epi32(acc[0], _mm_madd_epi16(words, load(&taps[0])));
                acc[1] = _mm_add_epi32(acc[1], _mm_madd_epi16(words, load(&taps[1])));
            }
            from += strip.pitch / BLOCK;
        }
        for (acc, x) in acc.into_iter().zip(x..n) {
            let at = y * strip.step[0] + x * strip.step[1];
            store(constants.requantize(acc), out.get_mut(at..));
        }
    }
}

impl Simd for Sse2 {
    #[inline]
    fn blocks(
        columns: &[u32],
        weights: &[u8],
        epilogues: &[Epilogue],
        out: &mut [i8],
        at: [usize; 2],
    ) {
        // SAFETY: every x86-64 processor has SSE2.
        unsafe { blocks(columns.as_chunks().0, weights, epilogues, out, at) }
    }

    #[inline]
    fn accumulate(columns: &[u32], weights: &[u8], pitch: usize, sums: &mut [Sums]) {
        // SAFETY: every x86-64 processor has SSE2.
        unsafe { accumulate(columns.as_chunks().0, weights, pitch, sums) }
    }
}

impl Tiles for Sse2 {}

impl Slices for Sse2 {
    type Taps = Weights;
    type Spread = Lines;
    type Rows = Strip;

    #[inline]
    fn taps(weights: &[u8], taps: &Weights, to: &mut [u32]) -> [i32; BLOCK] {
        slices::taps(weights, taps, to);
        [0; BLOCK]
    }

    #[inline]
    fn spread_lines(src: &[i8], lines: &Lines, to: &mut [u32]) {
        slices::spread_lines(src, lines, to);
    }

    #[inline]
    fn rows(strip: &Strip, slice: &Slice<'_>, out: &mut [i8]) {
        // SAFETY: every x86-64 processor has SSE2.
        unsafe { rows(strip, slice, out) }
    }
}
