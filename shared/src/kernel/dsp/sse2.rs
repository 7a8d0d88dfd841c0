//! SSE2, which every x86-64 has: `PMADDWD` is SMLAD on four lanes.
//!
//! It owns the host's speed and must not know layers. Lengths are checked in front of each load.
#![allow(
    unsafe_code,
    reason = "loads by address; each block says why it is sound"
)]

use core::arch::x86_64::*;

use super::packing::{BLOCK, Epilogue};
use super::slices::pair;
use super::{Lines, Portable, Simd, Slice, Slices, Strip, slices};

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
        let constants = Lanes::new(epilogue, core::array::from_fn(|i| epilogue.bias(i)));
        for ((even, odd), at) in even.into_iter().zip(odd).zip(at) {
            let acc = _mm_unpacklo_epi32(fold(even), fold(odd));
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

/// Weights of one row of a window, `K` of them, for outputs at even and at odd places: pairs as the pixels
/// are, the missing one 0.
#[target_feature(enable = "sse2")]
#[inline]
fn row_weights<const K: usize>(row: &[u32]) -> [[__m128i; 3]; 2] {
    let pairs = K - 1;
    let load = |i: usize| {
        let word = |c: usize| row.get(pair(c, i, pairs)).copied().unwrap_or(0);
        load(&core::array::from_fn(word))
    };
    let [even, odd]: [[__m128i; 3]; 2] = [
        core::array::from_fn(|j| match 2 * j < pairs {
            true => load(2 * j),
            false => _mm_srli_epi32::<16>(load(pairs - 1)),
        }),
        core::array::from_fn(|j| match j {
            0 => _mm_slli_epi32::<16>(load(0)),
            _ => load((2 * j - 1).min(pairs - 1)),
        }),
    ];
    [even, odd]
}

/// `K` is the window's side.
#[target_feature(enable = "sse2")]
fn rows<const K: usize>(strip: &Strip, slice: &Slice<'_>, out: &mut [i8]) {
    let filter = slice.filter;
    let mut weights = [[[_mm_setzero_si128(); 3]; 2]; K];
    for (to, row) in weights
        .iter_mut()
        .zip(filter.taps.chunks_exact(BLOCK * (K - 1)))
    {
        *to = row_weights::<K>(row);
    }
    let constants = Lanes::new(&filter.epilogue, filter.epilogue.bias);
    let pixels = slice.pixels.as_chunks::<BLOCK>().0;
    let [n_rows, n] = strip.n;
    for (y, x) in (0..n_rows).flat_map(|y| (0..n).map(move |x| (y, x))) {
        let mut acc = _mm_setzero_si128();
        let column = x * strip.stride;
        for (ky, weights) in weights.iter().enumerate() {
            let from = (y * strip.stride + ky) * (strip.pitch / BLOCK) + column / 2;
            let words = pixels.get(from..).and_then(|p| p.get(..K / 2 + 1));
            let Some(words) = words else {
                return;
            };
            for (words, weight) in words.iter().zip(&weights[column % 2]) {
                acc = _mm_add_epi32(acc, _mm_madd_epi16(load(words), *weight));
            }
        }
        let scaled = constants.requantize(_mm_add_epi32(acc, constants.bias));
        store(scaled, out.get_mut(y * strip.step[0] + x * strip.step[1]..));
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
}

impl Slices for Sse2 {
    type Spread = Lines;
    type Rows = Strip;

    #[inline]
    fn spread_lines(src: &[i8], lines: &Lines, to: &mut [u32]) {
        slices::spread_lines(src, lines, to);
    }

    #[inline]
    fn rows(strip: &Strip, slice: &Slice<'_>, out: &mut [i8]) {
        match strip.kernel {
            // SAFETY: every x86-64 processor has SSE2.
            3 => unsafe { rows::<3>(strip, slice, out) },
            // SAFETY: as above.
            5 => unsafe { rows::<5>(strip, slice, out) },
            _ => Portable::rows(strip, slice, out),
        }
    }
}
