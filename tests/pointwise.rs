//! 1×1 convolutions on weights that are not packed, as learning leaves them.

use aplysia_shared::Clamp;
use aplysia_shared::kernel::dsp::{self, Native, Portable, Simd};
use aplysia_shared::kernel::{Dst, Src, Weighted, generic};
use aplysia_shared::quant::Requant;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// 1×1 convolution of unpacked weights against the generic kernel, with odd sizes.
#[test]
fn the_unpacked_kernel_is_the_generic_one() {
    fn run<S: Simd>(src: &Src<'_>, c: usize, weights: &[u8], requant: Requant<'_>) -> [Vec<i8>; 2] {
        let both = [true, false].map(|fast| {
            let mut data = vec![0; src.h * src.w * c];
            let mut dst = Dst {
                data: &mut data,
                h: src.h,
                w: src.w,
                c,
                zero_point: -7,
                clamp: Clamp { min: -100, max: 90 },
            };
            let constants = Weighted { weights, requant };
            match fast {
                true => dsp::pointwise_conv2d_s8::<S>(src, &mut dst, &constants),
                false => generic::pointwise_conv2d_s8(src, &mut dst, &constants),
            }
            data
        });
        assert_eq!(both[0], both[1]);
        both
    }
    let rng = &mut ChaCha8Rng::seed_from_u64(31);
    for _ in 0..60 {
        let [h, w] = [0, 1].map(|_| rng.random_range(1..6));
        let [src_c, c] = [0, 1].map(|_| rng.random_range(1..40));
        let data: Vec<i8> = (0..h * w * src_c).map(|_| rng.random()).collect();
        let src = Src {
            data: &data,
            h,
            w,
            c: src_c,
            zero_point: rng.random_range(-128..128),
        };
        let weights: Vec<u8> = (0..src_c * c)
            .map(|_| rng.random_range(-127_i8..=127).cast_unsigned())
            .collect();
        let words = |values: Vec<i32>| -> Vec<u8> {
            values.into_iter().flat_map(i32::to_le_bytes).collect()
        };
        let bias = words((0..c).map(|_| rng.random_range(-9000..9000)).collect());
        let multiplier = words(
            (0..c)
                .map(|_| rng.random_range(1 << 30..i32::MAX))
                .collect(),
        );
        let shift: Vec<u8> = (0..c)
            .map(|_| rng.random_range(-12_i8..-4).cast_unsigned())
            .collect();
        let requant = Requant {
            bias: &bias,
            multiplier: &multiplier,
            shift: &shift,
        };
        let native = run::<Native>(&src, c, &weights, requant);
        assert_eq!(native, run::<Portable>(&src, c, &weights, requant));
    }
}
