//! Random networks of layers that work row by row, with windows, strides, dilations and paddings of every kind.

use aplysia_deploy::plain::{Plain, PlainLayer};
use aplysia_deploy::quantize::WeightedLayer;
use aplysia_shared::{AddScales, Clamp, Layer, Op, Scaling, Tensor, Window};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A network under construction, layer behind layer.
struct Builder {
    net: Plain,
    rng: ChaCha8Rng,
}

impl Builder {
    fn new(seed: u64) -> Self {
        let mut builder = Self {
            net: Plain::default(),
            rng: ChaCha8Rng::seed_from_u64(seed),
        };
        let [h, w, c] = [5..24, 1..12, 1..9].map(|range| builder.rng.random_range(range));
        builder.tensor([h, w, c], None);
        builder
    }

    fn last(&self) -> Tensor {
        self.net.tensors[self.net.tensors.len() - 1]
    }

    fn tensor(&mut self, [h, w, c]: [u16; 3], zero_point: Option<i8>) {
        let drawn = *[-128, -7, 0, 90].choose(&mut self.rng).unwrap();
        self.net.tensors.push(Tensor {
            h,
            w,
            c,
            scale: 0.05,
            zero_point: zero_point.unwrap_or(drawn),
            offset: 0,
        });
        self.net.names.push(String::new());
    }

    /// A layer that reads the tensor before the last one, and perhaps `other`, and writes the last.
    fn layer(&mut self, op: Op, other: Option<u8>, constants: Option<WeightedLayer>) {
        let output = self.net.tensors.len() as u8 - 1;
        let mut inputs = [output - 1, other.unwrap_or(output - 1)];
        if self.rng.random() {
            inputs.reverse();
        }
        let clamp = match self.rng.random() {
            true => Clamp::FULL,
            false => Clamp { min: -60, max: 100 },
        };
        let layer = Layer {
            op,
            inputs,
            output,
            clamp,
            params: 0,
            homeostasis: None,
        };
        self.net.layers.push(PlainLayer { layer, constants });
    }

    fn constants(&mut self, n: usize, fan_in: usize) -> WeightedLayer {
        let rng = &mut self.rng;
        let mut drawn = |n: usize, lo: i32, hi: i32| -> Vec<i32> {
            (0..n).map(|_| rng.random_range(lo..=hi)).collect()
        };
        let small = |values: Vec<i32>| values.into_iter().map(|value| value as i8).collect();
        WeightedLayer {
            weights: small(drawn(n * fan_in, -127, 127)),
            bias: drawn(n, -3000, 3000),
            multiplier: drawn(n, 1 << 30, i32::MAX),
            shift: small(drawn(n, -9, -7)),
        }
    }

    /// A window over the last tensor, and the size of what it makes.
    fn window(&mut self, dilated: bool) -> (Window, [u16; 2]) {
        let Tensor { h, w, .. } = self.last();
        let mut axis = |size: u16| {
            let kernel = self.rng.random_range(1..=size.min(5)) as u8;
            let far = if dilated {
                self.rng.random_range(1..3)
            } else {
                1
            };
            let reach = (kernel - 1) * far;
            let pad = self.rng.random_range(0..=reach.min(size as u8 - 1));
            let stride = self.rng.random_range(1..4u8);
            // Every window begins inside the image; some end behind it.
            let most = (size + u16::from(pad) - 1) / u16::from(stride) + 1;
            let least = (size + u16::from(pad)).saturating_sub(reach.into()).max(1);
            let least = least.div_ceil(stride.into()).min(most);
            (
                kernel,
                stride,
                far,
                pad,
                self.rng.random_range(least..=most),
            )
        };
        let (rows, columns) = (axis(h), axis(w));
        let window = Window {
            kernel_h: rows.0,
            kernel_w: columns.0,
            stride_h: rows.1,
            stride_w: columns.1,
            dilation_h: rows.2,
            dilation_w: columns.2,
            pad_top: rows.3,
            pad_left: columns.3,
        };
        (window, [rows.4, columns.4])
    }

    fn step(&mut self) {
        let src = self.last();
        let c = usize::from(src.c);
        match self.rng.random_range(0..8) {
            0..=2 => {
                let (window, [h, w]) = match self.rng.random() {
                    true => self.window(true),
                    false => (Window::square(1, 1, 0), [src.h, src.w]),
                };
                let n = self.rng.random_range(1..12);
                let constants = self.constants(n, window.taps() * c);
                self.tensor([h, w, n as u16], None);
                self.layer(Op::Conv2d(window), None, Some(constants));
            }
            3 | 4 => {
                let (window, [h, w]) = self.window(true);
                let constants = self.constants(c, window.taps());
                self.tensor([h, w, src.c], None);
                self.layer(Op::DepthwiseConv2d(window), None, Some(constants));
            }
            5 => {
                let op = [Op::MaxPool, Op::AvgPool][usize::from(self.rng.random_bool(0.5))];
                let (window, [h, w]) = self.window(false);
                self.tensor([h, w, src.c], Some(src.zero_point));
                self.layer(op(window), None, None);
            }
            _ => self.sum(),
        }
    }

    /// A sum with an earlier tensor of the same shape, if there is one.
    fn sum(&mut self) {
        let Tensor { h, w, c, .. } = self.last();
        let n = self.net.tensors.len() - 1;
        let before = self.net.tensors[..n].iter();
        let other = before.clone().rposition(|t| (t.h, t.w, t.c) == (h, w, c));
        if let Some(other) = other {
            let [lhs, rhs] =
                [0; 2].map(|_| Scaling::new(self.rng.random_range(1 << 29..1 << 30), 0));
            let output = Scaling::new(1 << 30, -18);
            self.tensor([h, w, c], None);
            self.layer(
                Op::Add(AddScales { lhs, rhs, output }),
                Some(other as u8),
                None,
            );
        }
    }

    fn finish(mut self) -> Plain {
        let Tensor { h, w, c, .. } = self.last();
        let constants = self.constants(5, usize::from(h) * usize::from(w) * usize::from(c));
        self.tensor([1, 1, 5], None);
        self.layer(Op::FullyConnected, None, Some(constants));
        let last = self.net.layers.last_mut().unwrap();
        last.constants.as_mut().unwrap().shift.fill(-11);
        self.net.output = self.net.tensors.len() as u8 - 1;
        self.net
    }
}

/// The blob of eight layers or fewer and a classifier.
pub(super) fn random(seed: u64) -> Vec<u8> {
    let mut builder = Builder::new(seed);
    for _ in 0..8 {
        builder.step();
    }
    builder.finish().export(&[]).unwrap().blob
}
