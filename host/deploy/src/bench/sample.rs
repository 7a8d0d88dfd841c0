//! Layers of random shapes, for comparing the bits of a device with the host's.
//!
//! Owns the shapes: small ones with every border, remainder and odd number that a kernel can meet, with zero
//! points, clamps and constants of any kind. It must not know what the kernels do.

use super::model::{Builder, Taps};
use crate::DeployError;
use aplysia_shared::Op;

/// A model of one layer with a random shape, followed by what every model ends with; the same for the same
/// `seed`.
///
/// # Errors
/// The runtime refuses it.
pub fn sample(seed: u32) -> Result<Vec<u8>, DeployError> {
    let mut dice = Dice(seed);
    let kind = dice.roll(0, 7);
    let [mut h, mut w] = [dice.roll(1, 13), dice.roll(1, 13)];
    let c = [dice.roll(1, 24), 4 * dice.roll(1, 20)][usize::from(dice.roll(0, 1))];
    let n = dice.roll(4, 70);
    if kind == 6 {
        (h, w) = (dice.roll(1, 4), dice.roll(1, 4));
    }
    let mut b = Builder::wild([h, w, c], seed);
    let output = match kind {
        0 => b.conv(0, Taps::same(1, 1), [h, w, n]),
        1 | 2 => {
            let (taps, [h, w]) = dice.window([h, w], [dice.0 as u16 % 5 + 1, 5], 3);
            b.conv(0, taps, [h, w, n])
        }
        3 => {
            let kernel = [3, 5][usize::from(dice.roll(0, 1))];
            let (taps, out) = dice.window([h, w], [kernel; 2], 3);
            b.depthwise(0, taps, out)
        }
        4 => {
            let op = [Op::MaxPool, Op::AvgPool][usize::from(dice.roll(0, 1))];
            let (taps, out) = dice.window([h, w], [1, 5], 1);
            b.pool(op, 0, taps, out)
        }
        5 => b.add([0, 0]),
        6 => b.linear(0, n),
        // One column, as in a network over time, or a window of any form.
        _ => {
            let sides = [
                dice.roll(1, 17),
                [1, dice.roll(1, 9)][usize::from(dice.roll(0, 1))],
            ];
            let (taps, out) = dice.placed([h, w], sides, [3, 3]);
            b.depthwise(0, taps, out)
        }
    };
    let mean = b.mean(output);
    b.linear(mean, 2);
    // Outputs lie over inputs where they can.
    Ok(b.network().export(&[])?.blob)
}

/// As [`sample`], of layers of many depths, more than a scratch takes, or rows of a window that are not whole words,
/// and of wide images.
///
/// # Errors
/// The runtime refuses it.
pub fn wide_sample(seed: u32) -> Result<Vec<u8>, DeployError> {
    let mut dice = Dice(seed);
    let kind = dice.roll(0, 5);
    let size = [dice.roll(1, 6), dice.roll(1, 6)];
    let n = dice.roll(4, 70);
    let layer = |input: [u16; 3], layer: &mut dyn FnMut(&mut Builder) -> u8| {
        let mut b = Builder::seeded(input, seed);
        let output = layer(&mut b);
        let mean = b.mean(output);
        b.linear(mean, 2);
        b.blob()
    };
    match kind {
        0 | 1 => {
            let c = [dice.roll(60, 300), dice.roll(40, 90)][usize::from(kind)];
            let (taps, [h, w]) = dice.window(size, [3 + 2 * kind; 2], 2);
            layer([size[0], size[1], c], &mut |b| b.conv(0, taps, [h, w, n]))
        }
        2 => {
            let c = dice.roll(60, 1400);
            layer([size[0].min(3), size[1].min(3), c], &mut |b| {
                b.pointwise(0, n)
            })
        }
        // Packed, and as few outputs as are not.
        3 => layer([1, 1, dice.roll(1000, 4200)], &mut |b| b.linear(0, n)),
        4 => layer([1, 1, dice.roll(2000, 5000)], &mut |b| b.linear(0, 3)),
        // An image that the scratch takes in pieces only.
        _ => {
            let (size, c) = ([size[0], dice.roll(160, 400)], dice.roll(1, 9));
            let sides = [dice.roll(1, 5), dice.roll(2, 5)];
            let (taps, out) = dice.placed(size, sides, [2, 2]);
            layer([size[0], size[1], c], &mut |b| b.depthwise(0, taps, out))
        }
    }
}

/// As [`sample`], of convolutions to one column: the rows of a window follow each other without a gap, as in a network
/// over time, and are seldom whole words.
///
/// # Errors
/// The runtime refuses it.
pub fn narrow_sample(seed: u32) -> Result<Vec<u8>, DeployError> {
    let mut dice = Dice(seed);
    let input = [dice.roll(2, 9), dice.roll(1, 3), dice.roll(4, 90)];
    let sides = [dice.roll(2, 5), dice.roll(1, 3)];
    let (taps, [h, _]) = dice.placed([input[0], input[1]], sides, [2, 1]);
    let n = dice.roll(4, 30);
    let mut b = Builder::seeded(input, seed);
    let output = b.conv(0, taps, [h, 1, n]);
    let mean = b.mean(output);
    b.linear(mean, 2);
    b.blob()
}

/// As [`sample`], of 3×3 convolutions that can have [`crate::winograd`]'s form, and have it.
///
/// # Errors
/// The runtime refuses it.
pub fn square_sample(seed: u32) -> Result<Vec<u8>, DeployError> {
    let mut dice = Dice(seed);
    let [h, w] = [dice.roll(2, 9), dice.roll(4, 13)];
    let [c, n] = [4 * dice.roll(1, 16), 4 * dice.roll(1, 20)];
    let pad = [dice.roll(0, 2), dice.roll(0, 2)];
    // The last window begins inside the image; it may end beyond.
    let [rows, columns] = [0, 1].map(|i| {
        let out = [h, w][i];
        dice.roll(1.max(out - pad[i]), out + 2)
    });
    let taps = Taps {
        pad: pad.map(|p| p as u8),
        ..Taps::same(3, 1)
    };
    let mut b = Builder::seeded([rows, columns, c], seed);
    let output = b.conv(0, taps, [h, w, n]);
    let mean = b.mean(output);
    b.linear(mean, 2);
    crate::winograd::within(&b.blob()?, usize::MAX)
}

/// As [`sample`], of layers whose sums are as far from 0 as they can be: weights of -128 and 127, behind inputs that
/// all are -128 or 127.
///
/// # Errors
/// The runtime refuses it.
pub fn extreme_sample(seed: u32) -> Result<Vec<u8>, DeployError> {
    let mut dice = Dice(seed);
    let kind = dice.roll(0, 5);
    let (low, pattern) = (dice.roll(0, 2) > 0, dice.roll(0, 3));
    let q = if low { i8::MIN } else { i8::MAX };
    let zero_point = if low { i8::MAX } else { i8::MIN };
    let size = match kind {
        3.. => [1, 1],
        _ => [dice.roll(3, 7), dice.roll(3, 7)],
    };
    let c = match kind {
        3 => dice.roll(4, 900),
        4 => dice.roll(1000, 2600),
        5 => dice.roll(16, 600),
        _ => dice.roll(4, 60),
    };
    let n = dice.roll(4, 40);
    let mut b = Builder::seeded([size[0], size[1], c], seed);
    b.zero_point = zero_point;
    let held = b.pool(Op::MaxPool, 0, Taps::same(1, 1), size);
    b.hold(q);
    let output = match kind {
        0 => b.conv(held, Taps::same(3, 1), [size[0], size[1], n]),
        1 => b.pointwise(held, n),
        2 => b.depthwise(held, Taps::same(3, 1), size),
        5 => b.linear(held, 3),
        _ => b.linear(held, n),
    };
    b.weigh(|[o, i]| match (pattern, o % 2) {
        // Sums of one sign, or of both.
        (0, _) => i8::MIN,
        (1, 0) | (2, 1) => i8::MIN,
        (1, _) => i8::MAX,
        (2, _) => 0,
        _ if i % 5 == o % 5 => i8::MIN,
        _ => i8::MAX,
    });
    let mean = b.mean(output);
    b.linear(mean, 2);
    b.blob()
}

/// A model whose first layer moves one value.
///
/// # Errors
/// The runtime refuses it.
pub fn smallest() -> Result<Vec<u8>, DeployError> {
    let mut b = Builder::new([1, 1, 1]);
    let output = b.pool(Op::MaxPool, 0, Taps::same(1, 1), [1, 1]);
    b.linear(output, 2);
    b.blob()
}

/// Numerical Recipes' generator.
struct Dice(u32);

impl Dice {
    /// From `low` to `high`, both included.
    fn roll(&mut self, low: u16, high: u16) -> u16 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        low + (self.0 >> 16) as u16 % (high - low + 1)
    }

    /// A window with sides and a distance of taps in these limits over an image of `size`, and the size of
    /// its output: all windows begin inside the image or its padding.
    fn window(&mut self, size: [u16; 2], [low, high]: [u16; 2], dilation: u16) -> (Taps, [u16; 2]) {
        let kernel = self.roll(low.min(high), high);
        self.placed(size, [kernel; 2], [2, dilation])
    }

    /// A window of `sides` with a stride and a distance of taps up to these, as [`Dice::window`].
    fn placed(
        &mut self,
        size: [u16; 2],
        sides: [u16; 2],
        [stride, dilation]: [u16; 2],
    ) -> (Taps, [u16; 2]) {
        let (stride, dilation) = (self.roll(1, stride), self.roll(1, dilation));
        let pad = sides.map(|side| self.roll(0, (side - 1) * dilation));
        let out = [0, 1].map(|i| self.roll(1, (size[i] + pad[i] - 1) / stride + 1));
        let taps = Taps {
            rows: sides[0] as u8,
            columns: sides[1] as u8,
            stride: stride as u8,
            pad: pad.map(|p| p as u8),
            dilation: dilation as u8,
        };
        (taps, out)
    }
}
