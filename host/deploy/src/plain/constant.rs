//! Channels that no output depends on, taken out of a network with their weights; every output keeps its
//! bits.
//!
//! Owns the proof that a channel can go. Each channel has a range of the `q` it can hold for any input of the
//! network: that of a weighted layer follows from the ranges of what it reads, as requantization is monotone;
//! filters of zeros, and accumulators that the activation cuts off at either end, give ranges of one value.
//! A layer that sums over channels (convolution, fully connected) does not need a channel whose weights are
//! all 0, nor one that always holds `v`: `Σ w·(v − zero_point)` goes to its bias, modulo 2^32 as the
//! accumulator counts. With taps in the padding, which hold the zero point, that is so only for
//! `v = zero_point`. Layers that work channel by channel (depthwise, pools) lose a channel in input and output
//! at once. All other layers, and who reads the network's input or output, need every channel.
//!
//! Fast kernels take four channels at a time: what is left is rounded up to a multiple of four with channels
//! that could go. They, and channels of one value that must stay, write one value of their range by the constants
//! that the fast kernels take: a filter of zeros often comes with a bias of ±2^30, which would send up to 64
//! channels through a slow one. Source: MLPerf Tiny's visual wake words, where 48 % of the work can go.

use super::{Plain, PlainLayer};
use crate::quantize::WeightedLayer;
use aplysia_shared::kernel::dsp::packing::BLOCK;
use aplysia_shared::quant::requantize;
use aplysia_shared::{Clamp, Op, Tensor, Window};

/// Smallest and largest `q` of a channel.
type Range = [i8; 2];

/// A multiplier and a shift that the fast kernels take: 1/8, of multiples of 8 without rounding.
const EIGHTH: (i32, i8) = (1 << 30, -2);

impl Plain {
    /// Takes out what no output depends on, and what then none depends on.
    pub fn without_constant_channels(mut self) -> Self {
        loop {
            let ranges = self.ranges();
            let mut channels = self.channels(&ranges);
            let needed = channels.needed();
            channels.round_up();
            let kept = channels.needed();
            if kept.iter().flatten().all(|kept| *kept) {
                self.settle(&ranges, &needed);
                return self;
            }
            self.keep(&ranges, &kept);
        }
    }

    /// Has channels of one value, and those that are not `needed`, write a value of their range whatever they read:
    /// weights of 0, a bias of `8·(q − zero_point)` and a factor of 1/8. So every range holds as before, and by
    /// those alone their readers know them, if at all. Not in a fully connected layer, whose kernel takes any constants
    /// and which may be a head that learns, in their scale.
    fn settle(&mut self, ranges: &[Vec<Range>], needed: &[Vec<bool>]) {
        for layer in &mut self.layers {
            let output = usize::from(layer.layer.output);
            let (Some(constants), false) =
                (&mut layer.constants, layer.layer.op == Op::FullyConnected)
            else {
                continue;
            };
            let n = constants.bias.len();
            let depthwise = matches!(layer.layer.op, Op::DepthwiseConv2d(_));
            let fan_in = (constants.weights.len() / n.max(1)).max(1);
            let of_channel = ranges[output].iter().zip(&needed[output]).enumerate();
            for (o, (&[low, high], needed)) in of_channel {
                if *needed && low != high {
                    continue;
                }
                let weights = constants.weights.iter_mut();
                match depthwise {
                    true => weights.skip(o).step_by(n).for_each(|w| *w = 0),
                    false => weights.skip(o * fan_in).take(fan_in).for_each(|w| *w = 0),
                }
                let zero_point = self.tensors[output].zero_point;
                constants.bias[o] = 8 * (i32::from(low) - i32::from(zero_point));
                (constants.multiplier[o], constants.shift[o]) = EIGHTH;
            }
        }
    }

    fn ends(&self, layer: &PlainLayer) -> [usize; 2] {
        [layer.layer.inputs[0], layer.layer.output].map(usize::from)
    }

    /// For each tensor the range of each channel.
    fn ranges(&self) -> Vec<Vec<Range>> {
        let full = |t: &Tensor| vec![[i8::MIN, i8::MAX]; t.c.into()];
        let mut ranges: Vec<Vec<Range>> = self.tensors.iter().map(full).collect();
        for layer in &self.layers {
            let [input, output] = self.ends(layer);
            let (src, dst) = (&self.tensors[input], &self.tensors[output]);
            let clamp = layer.layer.clamp;
            let limited = |q: i8| q.max(clamp.min).min(clamp.max.max(clamp.min));
            let found: Vec<Range> = match (&layer.layer.op, &layer.constants) {
                (_, Some(constants)) => weighted(layer, constants, &ranges[input], [src, dst]),
                (Op::MaxPool(_) | Op::AvgPool(_), _) => ranges[input]
                    .iter()
                    .map(|range| range.map(limited))
                    .collect(),
                (Op::GlobalAvgPool(scaling), _) => {
                    let n = i64::from(src.h) * i64::from(src.w);
                    let factor = (scaling.multiplier(), scaling.shift);
                    let sum = |q: i8| n * (i64::from(q) - i64::from(src.zero_point));
                    let mean = |range: &Range| requantized(range.map(sum), factor, (dst, clamp));
                    ranges[input].iter().map(mean).collect()
                }
                _ => continue,
            };
            ranges[output] = found;
        }
        ranges
    }

    /// Which channels somebody needs.
    fn channels(&self, ranges: &[Vec<Range>]) -> Channels {
        let mut channels = Channels::new(&self.tensors);
        for tensor in [self.input, self.output].map(usize::from) {
            channels.need_all(tensor);
        }
        for layer in &self.layers {
            let [input, output] = self.ends(layer);
            let (src, dst) = (&self.tensors[input], &self.tensors[output]);
            match (&layer.layer.op, &layer.constants) {
                (
                    Op::DepthwiseConv2d(_) | Op::MaxPool(_) | Op::AvgPool(_) | Op::GlobalAvgPool(_),
                    _,
                ) => {
                    (0..src.c.into()).for_each(|c| channels.join([input, output], c));
                }
                (op, Some(constants)) => {
                    let padded = window(op).is_some_and(|w| is_padded(&w, [src, dst]));
                    for (c, range) in ranges[input].iter().enumerate() {
                        let constant =
                            range[0] == range[1] && (!padded || range[0] == src.zero_point);
                        let mut weights = constants.weights.iter().skip(c).step_by(src.c.into());
                        if !constant && weights.any(|&w| w != 0) {
                            channels.need(input, c);
                        }
                    }
                }
                _ => {
                    let inputs = layer.layer.inputs.map(usize::from);
                    inputs
                        .into_iter()
                        .chain([output])
                        .for_each(|t| channels.need_all(t));
                }
            }
        }
        channels
    }

    /// Leaves only the channels `kept`; the others are constant or not needed.
    fn keep(&mut self, ranges: &[Vec<Range>], kept: &[Vec<bool>]) {
        for at in 0..self.layers.len() {
            let [input, output] = self.ends(&self.layers[at]);
            let src = self.tensors[input];
            let layer = &mut self.layers[at];
            let Some(constants) = &mut layer.constants else {
                continue;
            };
            let old = constants.clone();
            let outputs = || kept[output].iter().enumerate().filter(|(_, kept)| **kept);
            constants.multiplier = outputs().map(|(o, _)| old.multiplier[o]).collect();
            constants.shift = outputs().map(|(o, _)| old.shift[o]).collect();
            constants.bias = outputs().map(|(o, _)| old.bias[o]).collect();
            let of_kept = |(weights, kept): (&i8, &bool)| kept.then_some(*weights);
            if let Op::DepthwiseConv2d(_) = layer.layer.op {
                let weights = old.weights.iter().zip(kept[output].iter().cycle());
                constants.weights = weights.filter_map(of_kept).collect();
                continue;
            }
            let fan_in = old.weights.len() / old.bias.len().max(1);
            constants.weights = vec![];
            for ((o, _), bias) in outputs().zip(&mut constants.bias) {
                let row = &old.weights[o * fan_in..][..fan_in];
                for ((&w, kept), range) in row
                    .iter()
                    .zip(kept[input].iter().cycle())
                    .zip(ranges[input].iter().cycle())
                {
                    if !kept {
                        let q = i32::from(range[0]) - i32::from(src.zero_point);
                        *bias = bias.wrapping_add(q * i32::from(w));
                    }
                }
                let row = row.iter().zip(kept[input].iter().cycle());
                constants.weights.extend(row.filter_map(of_kept));
            }
        }
        for (tensor, kept) in self.tensors.iter_mut().zip(kept) {
            // No more than there were.
            tensor.c = kept.iter().filter(|kept| **kept).count() as u16;
        }
    }
}

fn window(op: &Op) -> Option<Window> {
    match *op {
        Op::Conv2d(window) | Op::DepthwiseConv2d(window) => Some(window),
        _ => None,
    }
}

/// Whether some tap of some output lies outside the image.
fn is_padded(w: &Window, [src, dst]: [&Tensor; 2]) -> bool {
    let beyond = |[kernel, stride, dilation, pad]: [u8; 4], size: u16, outputs: u16| {
        let last = u32::from(outputs.saturating_sub(1)) * u32::from(stride)
            + u32::from(kernel.saturating_sub(1)) * u32::from(dilation);
        pad > 0 || last >= u32::from(size)
    };
    beyond(
        [w.kernel_h, w.stride_h, w.dilation_h, w.pad_top],
        src.h,
        dst.h,
    ) || beyond(
        [w.kernel_w, w.stride_w, w.dilation_w, w.pad_left],
        src.w,
        dst.w,
    )
}

/// Ranges of the outputs of a layer with weights.
fn weighted(
    layer: &PlainLayer,
    constants: &WeightedLayer,
    inputs: &[Range],
    [src, dst]: [&Tensor; 2],
) -> Vec<Range> {
    let padded = window(&layer.layer.op).is_some_and(|w| is_padded(&w, [src, dst]));
    let zero = i64::from(src.zero_point);
    // `q − zero_point` of each channel.
    let inputs = inputs.iter().map(|range| {
        let [low, high] = range.map(|q| i64::from(q) - zero);
        if padded {
            [low.min(0), high.max(0)]
        } else {
            [low, high]
        }
    });
    let inputs: Vec<[i64; 2]> = inputs.collect();
    let n = constants.bias.len();
    let mut sums: Vec<[i64; 2]> = constants.bias.iter().map(|&b| [b.into(); 2]).collect();
    let depthwise = matches!(layer.layer.op, Op::DepthwiseConv2d(_));
    let fan_in = (constants.weights.len() / n.max(1)).max(1);
    for (i, &w) in constants.weights.iter().enumerate() {
        let (o, c) = match depthwise {
            true => (i % n, i % n),
            false => (i / fan_in, i % fan_in % inputs.len()),
        };
        let [a, b] = inputs[c].map(|q| q * i64::from(w));
        sums[o] = [sums[o][0] + a.min(b), sums[o][1] + a.max(b)];
    }
    let factors = constants
        .multiplier
        .iter()
        .copied()
        .zip(constants.shift.iter().copied());
    let range = |(sums, factor)| requantized(sums, factor, (dst, layer.layer.clamp));
    sums.into_iter().zip(factors).map(range).collect()
}

/// What becomes of accumulators between two `sums`.
fn requantized(sums: [i64; 2], factor: (i32, i8), (dst, clamp): (&Tensor, Clamp)) -> Range {
    // Beyond 31 bits an accumulator, or what is shifted to the left, is no longer in order.
    let room = 31 - u32::from(factor.1.max(0).unsigned_abs()).min(31);
    match sums.iter().all(|sum| sum.unsigned_abs() < 1 << room) {
        true => sums.map(|sum| requantize(sum as i32, factor, dst.zero_point.into(), clamp)),
        false => [clamp.min, clamp.max.max(clamp.min)],
    }
}

/// All channels of all tensors, in groups that stay or go together.
struct Channels {
    /// First channel of each tensor, and behind the last.
    first: Vec<usize>,
    /// A channel of the same group, which is the channel itself in one of them.
    parent: Vec<usize>,
    /// Of that one: whether the group stays.
    needed: Vec<bool>,
}

impl Channels {
    fn new(tensors: &[Tensor]) -> Self {
        let mut first = vec![0];
        for tensor in tensors {
            first.push(first[first.len() - 1] + usize::from(tensor.c));
        }
        let n = first[tensors.len()];
        Self {
            first,
            parent: (0..n).collect(),
            needed: vec![false; n],
        }
    }

    fn root(&self, mut channel: usize) -> usize {
        while self.parent[channel] != channel {
            channel = self.parent[channel];
        }
        channel
    }

    fn need(&mut self, tensor: usize, c: usize) {
        let root = self.root(self.first[tensor] + c);
        self.needed[root] = true;
    }

    fn need_all(&mut self, tensor: usize) {
        (0..self.first[tensor + 1] - self.first[tensor]).for_each(|c| self.need(tensor, c));
    }

    fn join(&mut self, tensors: [usize; 2], c: usize) {
        let [a, b] = tensors.map(|tensor| self.root(self.first[tensor] + c));
        self.needed[a] |= self.needed[b];
        self.parent[b] = a;
    }

    fn of(&self, tensor: usize) -> impl Iterator<Item = usize> + '_ {
        (self.first[tensor]..self.first[tensor + 1]).map(|channel| self.root(channel))
    }

    /// Keeps a multiple of four channels of every tensor, or all, where groups could go.
    fn round_up(&mut self) {
        let mut changed = true;
        while changed {
            changed = false;
            for tensor in 0..self.first.len() - 1 {
                let kept = self.of(tensor).filter(|&root| self.needed[root]).count();
                let want = kept.max(1).next_multiple_of(BLOCK);
                let spare: Vec<usize> =
                    self.of(tensor).filter(|&root| !self.needed[root]).collect();
                for &root in spare.iter().take(want - kept) {
                    self.needed[root] = true;
                    changed = true;
                }
            }
        }
    }

    /// Of each tensor.
    fn needed(&self) -> Vec<Vec<bool>> {
        let tensors = 0..self.first.len() - 1;
        let needed = |tensor| self.of(tensor).map(|root| self.needed[root]).collect();
        tensors.map(needed).collect()
    }
}
