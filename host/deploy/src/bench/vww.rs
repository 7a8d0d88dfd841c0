//! The shapes of MLPerf Tiny's visual wake words: MobileNetV1 of a quarter of the width, 96×96×3, two classes.
//!
//! Owns its blocks, and how many filters of the reference model are zeros. Neither the weights nor the softmax
//! are the reference model's; which filters are zeros, and which of their biases are positive, is made up.

use super::model::{Builder, Taps};
use crate::DeployError;
use aplysia_shared::Op;

/// Channels and stride of each block, a depthwise and a pointwise convolution.
const BLOCKS: [(u16, u8); 13] = [
    (16, 1),
    (32, 2),
    (32, 1),
    (64, 2),
    (64, 1),
    (128, 2),
    (128, 1),
    (128, 1),
    (128, 1),
    (128, 1),
    (128, 1),
    (256, 2),
    (256, 1),
];
/// Filters of zeros in the pointwise convolution of each block of the reference model (mlcommons/tiny, commit
/// 1afd2c9, `vww_96_int8.tflite`), whose biases reach ±2^30.
const DEAD: [usize; BLOCKS.len()] = [0, 0, 0, 0, 4, 21, 71, 98, 109, 109, 101, 224, 234];
/// One of so many of them has a positive bias, but in the last block, where all are negative.
const POSITIVE: usize = 24;

/// The network with all its filters alive.
pub(super) fn alive() -> Result<Vec<u8>, DeployError> {
    with(&[0; BLOCKS.len()])
}

/// The network with as many filters of zeros as the reference model has.
pub(super) fn dead() -> Result<Vec<u8>, DeployError> {
    with(&DEAD)
}

/// As an import makes it: without what no output depends on, outputs over inputs where they can lie.
fn with(dead: &[usize; BLOCKS.len()]) -> Result<Vec<u8>, DeployError> {
    let mut b = Builder::new([96, 96, 3]);
    b.zero_point = -128;
    let mut side = 48;
    let mut x = b.conv(0, Taps::same(3, 2), [side, side, 8]);
    for (i, ((n, stride), dead)) in BLOCKS.into_iter().zip(dead).enumerate() {
        side /= u16::from(stride);
        x = b.depthwise(x, Taps::same(3, stride), [side; 2]);
        x = b.pointwise(x, n);
        let n = usize::from(n);
        let bias = |i_dead: usize| match i_dead % POSITIVE {
            0 if i + 1 < BLOCKS.len() => 1 << 30,
            _ => -(1 << 30),
        };
        // Every channel once, as 5 has no factor in common with their number.
        b.kill((0..*dead).map(|i| ((5 * i + 3) % n, bias(i))));
    }
    let whole = Taps {
        stride: 1,
        pad: [0; 2],
        ..Taps::same(3, 1)
    };
    let mean = b.pool(Op::AvgPool, x, whole, [1, 1]);
    b.linear(mean, 2);
    Ok(b.network().without_constant_channels().export(&[])?.blob)
}
