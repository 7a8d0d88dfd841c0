//! Networks without the channels that no output depends on: the same bits as with them.
//!
//! It owns random networks with filters of zeros, sums that the activation cuts off, constants that no fast kernel
//! takes, padding whose value is not the constant's, and layers that need every channel.

use aplysia_deploy::plain::{Plain, PlainLayer};
use aplysia_deploy::quantize::WeightedLayer;
use aplysia_shared::{AddScales, Clamp, Layer, Model, Op, Scaling, Tensor, Window, infer};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

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
        let shape = [1, 2, 3].map(|most| builder.rng.random_range(3..6 + most));
        builder.tensor(shape, None);
        builder
    }

    fn last(&self) -> Tensor {
        self.net.tensors[self.net.tensors.len() - 1]
    }

    fn tensor(&mut self, [h, w, c]: [u16; 3], zero_point: Option<i8>) {
        let zero_points = [-128, -128, 0, 17];
        self.net.tensors.push(Tensor {
            h,
            w,
            c,
            scale: 0.05,
            zero_point: zero_point.unwrap_or_else(|| *zero_points.choose(&mut self.rng).unwrap()),
            offset: 0,
        });
        self.net.names.push(String::new());
    }

    fn layer(&mut self, op: Op, constants: Option<WeightedLayer>) {
        let output = self.net.tensors.len() as u8 - 1;
        let zero_point = self.last().zero_point;
        let clamps = [
            Clamp::FULL,
            Clamp {
                min: zero_point,
                max: 127,
            },
            Clamp {
                min: zero_point.max(-20),
                max: 90,
            },
        ];
        self.net.layers.push(PlainLayer {
            layer: Layer {
                op,
                inputs: [output - 1; 2],
                output,
                clamp: *clamps.choose(&mut self.rng).unwrap(),
                params: 0,
                homeostasis: None,
            },
            constants,
        });
    }

    /// `n` channels of `taps·in_ch` weights each; some are 0 everywhere, some biases are out of reach, up to ±2^30
    /// and with factors that no fast kernel takes, and some inputs are read by nobody.
    fn constants(
        &mut self,
        n: usize,
        (taps, in_ch): (usize, usize),
        by_tap: bool,
    ) -> WeightedLayer {
        let rng = &mut self.rng;
        let kinds: Vec<u8> = (0..n).map(|_| rng.random_range(0..5)).collect();
        let unread: Vec<bool> = (0..in_ch)
            .map(|_| in_ch > 1 && rng.random_bool(0.2))
            .collect();
        let fan_in = taps * in_ch;
        let weights = (0..n * fan_in).map(|i| {
            let (o, c) = if by_tap {
                (i % n, 0)
            } else {
                (i / fan_in, i % in_ch)
            };
            let w = rng.random_range(-127..=127);
            if kinds[o] == 0 || unread[c] { 0 } else { w }
        });
        let weights = weights.collect();
        let bias = kinds.iter().map(|kind| match kind {
            0 | 1 if rng.random() => [-1, 1][rng.random_range(0..2)] << rng.random_range(28..=30),
            _ => rng.random_range(-3000..3000),
        });
        let bias = bias.collect();
        let odd: Vec<bool> = kinds
            .iter()
            .map(|kind| *kind == 0 && rng.random_bool(0.3))
            .collect();
        let multiplier = odd.iter().map(|odd| match odd {
            true => rng.random_range(0..1 << 30),
            false => rng.random_range(1 << 30..=i32::MAX),
        });
        let multiplier = multiplier.collect();
        let shift = odd.iter().map(|odd| match odd {
            true => -rng.random_range(0..=31),
            false => -rng.random_range(6..10),
        });
        let shift = shift.collect();
        WeightedLayer {
            weights,
            bias,
            multiplier,
            shift,
        }
    }

    fn window(&mut self, kernel: u8) -> (Window, [u16; 2]) {
        let Tensor { h, w, .. } = self.last();
        let fits = u16::from(kernel) <= h.min(w);
        let pad = if fits && self.rng.random() {
            0
        } else {
            kernel / 2
        };
        let stride = self.rng.random_range(1..3);
        let side =
            |side: u16| (side + 2 * u16::from(pad) - u16::from(kernel)) / u16::from(stride) + 1;
        (Window::square(kernel, stride, pad), [side(h), side(w)])
    }

    fn step(&mut self) {
        let src = self.last();
        let c = usize::from(src.c);
        match self.rng.random_range(0..9) {
            0..=3 => {
                let kernel = [1, 3][usize::from(self.rng.random_bool(0.4))];
                let (window, [h, w]) = self.window(kernel);
                let n = self.rng.random_range(3..24);
                let constants = self.constants(n, (window.taps(), c), false);
                self.tensor([h, w, n as u16], None);
                self.layer(Op::Conv2d(window), Some(constants));
            }
            4 | 5 => {
                let (window, [h, w]) = self.window(3);
                let constants = self.constants(c, (window.taps(), 1), true);
                self.tensor([h, w, src.c], None);
                self.layer(Op::DepthwiseConv2d(window), Some(constants));
            }
            6 => {
                let op = [Op::MaxPool, Op::AvgPool][usize::from(self.rng.random_bool(0.5))];
                let (window, [h, w]) = self.window(3);
                self.tensor([h, w, src.c], Some(src.zero_point));
                self.layer(op(window), None);
            }
            7 => {
                let half = Scaling::new(1 << 30, 0);
                let output = Scaling::new(1 << 30, -18);
                self.tensor([src.h, src.w, src.c], None);
                self.layer(
                    Op::Add(AddScales {
                        lhs: half,
                        rhs: half,
                        output,
                    }),
                    None,
                );
            }
            _ => {}
        }
    }

    fn finish(mut self, mean: bool) -> Plain {
        let Tensor { h, w, c, .. } = self.last();
        if mean {
            self.tensor([1, 1, c], None);
            self.layer(Op::GlobalAvgPool(Scaling::new(1 << 30, -3)), None);
        }
        let taps = if mean {
            1
        } else {
            usize::from(h) * usize::from(w)
        };
        let constants = self.constants(5, (taps, c.into()), false);
        self.tensor([1, 1, 5], None);
        self.layer(Op::FullyConnected, Some(constants));
        self.net.output = self.net.tensors.len() as u8 - 1;
        self.net
    }
}

fn scores(blob: &[u8], inputs: &[Vec<i8>]) -> Vec<i8> {
    let model = Model::parse(blob).unwrap();
    let mut arena = vec![0; model.arena_bytes()];
    let mut all = vec![];
    for input in inputs {
        let mut scores = [0; 5];
        infer(&model, &mut arena, input, &mut scores).unwrap();
        all.extend(scores);
    }
    all
}

/// Whether the fast kernels take all of every packed layer.
fn is_exact(blob: &[u8]) -> bool {
    let model = Model::parse(blob).unwrap();
    let mut constants = (0..model.n_layers()).filter_map(|i| model.constants(i));
    constants.all(|c| c.packed.is_none_or(|packed| packed.exact))
}

#[test]
fn networks_without_constant_channels_have_the_same_bits() {
    let (mut before, mut after, mut smaller, mut slow) = ([0; 2], [0; 2], 0, 0);
    for seed in 0..600 {
        let mut builder = Builder::new(seed);
        for _ in 0..6 {
            builder.step();
        }
        let net = builder.finish(seed % 2 == 0);
        let whole = net.clone().export(&[]).unwrap();
        let less = net.without_constant_channels().export(&[]).unwrap();
        assert!(is_exact(&less.blob), "seed {seed}");
        slow += usize::from(!is_exact(&whole.blob));
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let len = Model::parse(&whole.blob).unwrap().input().len();
        let mut inputs: Vec<Vec<i8>> = vec![vec![-128; len], vec![127; len]];
        inputs.extend((0..6).map(|_| (0..len).map(|_| rng.random()).collect()));
        assert_eq!(
            scores(&whole.blob, &inputs),
            scores(&less.blob, &inputs),
            "seed {seed}"
        );
        let costs = |e: &aplysia_deploy::Export| [e.costs.macs, e.costs.flash_bytes];
        assert!(less.costs.macs <= whole.costs.macs, "seed {seed}");
        smaller += usize::from(less.costs.macs < whole.costs.macs);
        for (sum, costs) in [(&mut before, costs(&whole)), (&mut after, costs(&less))] {
            *sum = [sum[0] + costs[0], sum[1] + costs[1]];
        }
    }
    eprintln!("{smaller} of 600 smaller; MACs and bytes {before:?}, then {after:?}");
    eprintln!("{slow} with packed layers that the fast kernels refused, then none");
    assert!(smaller > 200 && slow > 200, "{smaller}, {slow}");
}

/// Convolution, depthwise and pointwise as in MobileNet, half of whose channels are dead.
#[test]
fn dead_channels_go_through_depthwise_layers() {
    let mut b = Builder::new(1);
    b.net.tensors[0] = Tensor {
        h: 6,
        w: 6,
        c: 3,
        zero_point: 0,
        ..b.last()
    };
    let pointwise = |b: &mut Builder, n: usize, dead: usize| {
        let in_ch = usize::from(b.last().c);
        let mut constants = b.constants(n, (1, in_ch), false);
        constants.weights.fill(1);
        constants.weights[..dead * in_ch].fill(0);
        constants.bias.fill(-5);
        constants.shift.fill(-1);
        b.tensor([6, 6, n as u16], Some(-128));
        b.layer(Op::Conv2d(Window::square(1, 1, 0)), Some(constants));
        let layer = b.net.layers.last_mut().unwrap();
        layer.layer.clamp = Clamp::FULL;
    };
    pointwise(&mut b, 16, 8);
    let mut constants = b.constants(16, (9, 1), true);
    constants.weights.fill(3);
    constants.bias.fill(-5);
    constants.shift.fill(-1);
    b.tensor([6, 6, 16], Some(-128));
    b.layer(
        Op::DepthwiseConv2d(Window::square(3, 1, 1)),
        Some(constants),
    );
    pointwise(&mut b, 8, 0);
    let net = b.finish(true);
    let channels = |net: &Plain| net.tensors.iter().map(|t| t.c).collect::<Vec<_>>();
    assert_eq!(channels(&net), [3, 16, 16, 8, 8, 5]);
    let net = net.without_constant_channels();
    assert_eq!(channels(&net)[..3], [3, 8, 8]);
}
