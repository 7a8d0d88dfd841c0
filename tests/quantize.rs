//! Quantization arithmetic: multipliers, zero points, the input's exactness, dead channels.

use crate::float_network::{CLASSES, Case, INPUT, NORMALIZATION};
use aplysia_deploy::quantize::{activation_of_range, quantize_multiplier};
use aplysia_deploy::{Content, InputNormalization, quantize};
use aplysia_live::evaluate::input_of_pixels;

#[test]
fn the_mean_pixel_is_real_zero() {
    for mean_pixel in 0..=255_u8 {
        let activation = InputNormalization {
            mean_pixel,
            std: 0.3,
        }
        .activation();
        for p in 0..=255_u8 {
            let q = i32::from(input_of_pixels(&[p])[0]) - i32::from(activation.zero_point);
            assert_eq!(q, i32::from(p) - i32::from(mean_pixel));
        }
        assert!((f64::from(activation.scale) * 255.0 * 0.3 - 1.0).abs() < 1e-6);
    }
}

#[test]
fn multipliers_are_tflites() {
    let check = |factor: f64, expect: (i32, i8)| assert_eq!(quantize_multiplier(factor), expect);
    check(0.0, (0, 0));
    check(0.5, (1 << 30, 0));
    check(0.25, (1 << 30, -1));
    check(1.0, (1 << 30, 1));
    check(0.75, (3 << 29, 0));
    check(1.0 - 1e-12, (1 << 30, 1));
    check(2.0_f64.powi(-32), (1 << 30, -31));
    check(2.0_f64.powi(-33), (0, 0));
    check(2.0_f64.powi(31), (i32::MAX, 30));
    check(f64::MIN_POSITIVE / 4.0, (0, 0));
}

#[test]
fn ranges_always_hold_zero() {
    let check = |range, zero_point| assert_eq!(activation_of_range(range).zero_point, zero_point);
    check((0.0, 6.0), -128);
    check((2.0, 6.0), -128);
    check((-6.0, -2.0), 127);
    check((-1.0, 2.0), -43);
    check((0.0, 0.0), -128);
}

/// A channel whose weights are all zero still gives its bias, and one with a vanishing scale stays
/// within the accumulator.
#[test]
fn dead_channels_give_their_bias() {
    let mut case = Case::random(3, INPUT, 4);
    let stem = &mut case.params.layers[0];
    let fan_in = stem.weight.len() / case.network.nodes[1].shape.c;
    stem.weight[..fan_in].fill(0.0);
    stem.weight[fan_in..2 * fan_in].fill(1e-30);
    let bn = stem.bn.as_mut().unwrap();
    bn.gamma[2] = 0.0;
    bn.beta[..3].fill(0.25);
    bn.mean[..3].fill(0.0);
    let quantized = quantize(&case.network, &case.params, NORMALIZATION, &case.ranges).unwrap();
    let scale = f64::from(quantized.activations[1].scale);
    let stem = &quantized.layers[0];
    for o in 0..3 {
        let factor = f64::from(stem.multiplier[o]) * 2.0_f64.powi(i32::from(stem.shift[o]) - 31);
        let bias = f64::from(stem.bias[o]) * factor * scale;
        assert!((bias - 0.25).abs() <= scale, "channel {o}: {bias}");
    }
    case.export(&Content::new(&CLASSES));
}
