//! Layers that run together, a few rows at a time, so that what lies between them is never whole.
//!
//! It owns which rows of which layer run in which turn, and how many rows of a tensor are held meanwhile; it must not
//! know kernels nor where tensors lie. The planner plans with it, parsing checks with it, inference runs by it.
//!
//! The layers of a [`Cascade`] each read what the one before wrote, which nobody else does. In a turn the last of them
//! writes its next `rows` rows, the one before it as many as that needs beyond those that it has written, and so on. A
//! tensor in between holds only rows that are still needed, the oldest first, in a rolling buffer: its place in the
//! arena is as high as the most of them in any turn. At the start of a turn those that stay move to the front. No row
//! is computed twice, and each by the layer's own kernel, on an image of fewer rows: the bits are those of the layers
//! one by one.
//!
//! Source: depth-first execution with rolling buffers, as Arm's Vela compiler does it for Ethos-U ("cascading"). It
//! differs from the patches of MCUNetV2 (Lin et al. 2021), which compute again where they overlap.

use core::ops::Range;

use crate::layer::{Cascade, GraphV1, Layer, MAX_STAGES, Op, Tensor};

/// Most turns of a cascade: what checks and estimates take grows with them.
pub const MAX_TURNS: usize = 1024;

/// What is asked of a graph.
pub trait Lookup {
    /// Layer `index`, if there is one.
    fn layer(&self, index: usize) -> Option<Layer>;
    /// Tensor `index`, if there is one.
    fn tensor(&self, index: u8) -> Option<Tensor>;
}

impl Lookup for GraphV1 {
    fn layer(&self, index: usize) -> Option<Layer> {
        self.layers.get(index).copied()
    }
    fn tensor(&self, index: u8) -> Option<Tensor> {
        self.tensors.get(usize::from(index)).copied()
    }
}

/// A layer's rows.
#[derive(Clone, Copy, Debug, Default)]
struct Stage {
    stride: usize,
    pad: usize,
    /// Input rows from the first tap of a window to its last.
    reach: usize,
    n_inputs: usize,
    n_outputs: usize,
    /// Whether it is the second of the layer's inputs that comes row by row.
    second: bool,
}

/// The input that comes row by row, and the other one.
fn parted([first, other]: [u8; 2], second: bool) -> (u8, u8) {
    match second {
        false => (first, other),
        true => (other, first),
    }
}

impl Stage {
    /// Of a layer that computes each row from some rows of its input.
    fn new(op: &Op, src: &Tensor, dst: &Tensor) -> Option<Self> {
        let (stride, pad, reach) = match op {
            Op::Add(_) => (1, 0, 1),
            Op::Conv2d(w)
            | Op::PackedConv2d(w)
            | Op::DepthwiseConv2d(w)
            | Op::MaxPool(w)
            | Op::AvgPool(w) => (w.stride_h, w.pad_top, w.reach()[0]),
            _ => return None,
        };
        Some(Self {
            stride: stride.into(),
            pad: pad.into(),
            reach,
            n_inputs: src.h.into(),
            n_outputs: dst.h.into(),
            second: false,
        })
    }

    /// First input row that output row `y` and those below need.
    fn first(&self, y: usize) -> usize {
        match y < self.n_outputs {
            true => (y * self.stride)
                .saturating_sub(self.pad)
                .min(self.n_inputs),
            false => self.n_inputs,
        }
    }

    /// Input rows that the first `n` output rows need, counted from the top.
    fn needs(&self, n: usize) -> usize {
        let bottom = n.checked_sub(1).map(|y| y * self.stride + self.reach);
        let bottom = bottom.unwrap_or(0).saturating_sub(self.pad);
        bottom.min(self.n_inputs)
    }
}

/// The rows of a cascade.
#[derive(Clone, Debug)]
pub struct Stages {
    rows: usize,
    stages: heapless::Vec<Stage, MAX_STAGES>,
}

/// Output rows by layer, from the top.
type Done = [usize; MAX_STAGES];

/// A turn: output rows that are there when the turn before begins, when it begins, and when it ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turn {
    past: Done,
    before: Done,
    after: Done,
}

/// What a layer does in a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stripe {
    /// Output rows.
    pub outputs: Range<usize>,
    /// Input rows that they need.
    pub inputs: Range<usize>,
    /// Rows of padding above these.
    pub pad_top: u8,
    /// Row of its place in the arena at which the first input row lies.
    pub from: usize,
    /// Row of its place in the arena at which the first output row will lie.
    pub to: usize,
}

impl Stages {
    /// Of `cascade` of `graph`; none if these layers cannot be one.
    #[inline(never)]
    pub fn new(cascade: &Cascade, graph: &impl Lookup) -> Option<Self> {
        let mut stages = heapless::Vec::new();
        let mut before = None;
        for index in cascade.layers() {
            let layer = graph.layer(index)?;
            let [first, other] = layer.inputs;
            let second = before.is_some_and(|before| before != first);
            let (streamed, _) = parted(layer.inputs, second);
            let is_linked = before.is_none_or(|before| before == streamed);
            let twice = first == other;
            if !is_linked || (before.is_some() && twice == matches!(layer.op, Op::Add(_))) {
                return None;
            }
            let src = graph.tensor(streamed)?;
            let dst = graph.tensor(layer.output)?;
            let stage = Stage::new(&layer.op, &src, &dst)?;
            stages.push(Stage { second, ..stage }).ok()?;
            before = Some(layer.output);
        }
        let rows = usize::from(cascade.rows);
        let found = Self { rows, stages };
        let some = rows > 0 && found.stages.len() > 1;
        (some && found.n_turns() <= MAX_TURNS).then_some(found)
    }

    fn n_turns(&self) -> usize {
        let last = self.stages.last().map_or(0, |stage| stage.n_outputs);
        last.div_ceil(self.rows.max(1))
    }

    /// Output rows that are there after `turns` turns.
    #[inline(never)]
    fn done(&self, turns: usize) -> Done {
        let mut done = [0; MAX_STAGES];
        let mut n = turns.saturating_mul(self.rows);
        for (stage, done) in self.stages.iter().zip(&mut done).rev() {
            *done = n.min(stage.n_outputs);
            n = stage.needs(*done);
        }
        done
    }

    /// First row of what layer `i` wrote that is held after turns that left `done` rows.
    fn base(&self, i: usize, done: &Done) -> usize {
        let at = |i: usize| done.get(i).copied().unwrap_or(0);
        let reader = self.stages.get(i + 1);
        let first = reader.map_or(0, |reader| reader.first(at(i + 1)));
        first.min(at(i))
    }

    /// The turns of the cascade, in their order.
    pub fn turns(&self) -> impl Iterator<Item = Turn> + use<'_> {
        let mut turn = Turn::default();
        (1..=self.n_turns()).map(move |turns| {
            turn = Turn {
                past: turn.before,
                before: turn.after,
                after: self.done(turns),
            };
            turn
        })
    }

    /// Rows that the output of each layer but the last holds.
    #[inline(never)]
    pub fn held(&self) -> [usize; MAX_STAGES] {
        let mut held = [0; MAX_STAGES];
        for Turn { before, after, .. } in self.turns() {
            for (i, (held, done)) in held.iter_mut().zip(after).enumerate() {
                *held = (done - self.base(i, &before)).max(*held);
            }
        }
        held
    }

    /// Rows of the place of the output of layer `i` that move to its front before `turn`.
    #[inline(never)]
    pub fn kept(&self, turn: &Turn, i: usize) -> Range<usize> {
        let base = self.base(i, &turn.past);
        let end = turn.before.get(i).map_or(0, |done| done - base);
        self.base(i, &turn.before) - base..end
    }

    /// What layer `i` does in `turn`, if anything.
    #[inline(never)]
    pub fn stripe(&self, turn: &Turn, i: usize) -> Option<Stripe> {
        let stage = self.stages.get(i)?;
        let outputs = *turn.before.get(i)?..*turn.after.get(i)?;
        if outputs.is_empty() {
            return None;
        }
        let inputs = stage.first(outputs.start)..stage.needs(outputs.end);
        let pad_top = stage.pad.saturating_sub(outputs.start * stage.stride);
        let base = |i: usize| self.base(i, &turn.before);
        let is_last = i + 1 == self.stages.len();
        Some(Stripe {
            from: inputs.start - i.checked_sub(1).map_or(0, base),
            to: outputs.start - if is_last { 0 } else { base(i) },
            pad_top: u8::try_from(pad_top).unwrap_or(u8::MAX),
            outputs,
            inputs,
        })
    }

    /// Whether the output can begin where tensor `under` does, which the first layer reads or a sum adds: at the end of
    /// no turn a row of that is overwritten that will still be read.
    #[inline(never)]
    pub fn may_lie_over(&self, cascade: &Cascade, graph: &impl Lookup, under: u8) -> bool {
        let mut reads = [false; MAX_STAGES];
        let mut output = under;
        for ((reads, stage), index) in reads.iter_mut().zip(&self.stages).zip(cascade.layers()) {
            let Some(layer) = graph.layer(index) else {
                return false;
            };
            let is_first = index == cascade.layers().start;
            let (streamed, other) = parted(layer.inputs, stage.second);
            *reads = (is_first && streamed == under) || (other == under && streamed != other);
            output = layer.output;
        }
        let row = |index: u8| graph.tensor(index).map_or(0, |t| t.row_len());
        let (row, written_row) = (row(under), row(output));
        // Behind the last turn nothing is read.
        let stays = (1..self.n_turns()).all(|turns| {
            let done = self.done(turns);
            let last = done.get(self.stages.len() - 1).copied().unwrap_or(0);
            let mut readers = self.stages.iter().zip(reads).zip(done).enumerate();
            readers.all(|(i, ((stage, reads), done))| {
                let next = match i {
                    0 => stage.first(done),
                    _ => done,
                };
                let written = last.saturating_mul(written_row);
                !reads || done == stage.n_outputs || written <= next.saturating_mul(row)
            })
        });
        stays && reads.contains(&true)
    }
}

/// Layer `layer` of a cascade, with its inputs and its output, as it is in `stripe`.
pub fn narrowed(
    layer: &Layer,
    [first, second, output]: [&Tensor; 3],
    (stages, i, stripe): (&Stages, usize, &Stripe),
) -> (Layer, [Tensor; 3]) {
    let mut layer = *layer;
    if let Some(window) = layer.op.window_mut() {
        window.pad_top = stripe.pad_top;
    }
    let rows = |t: &Tensor, n: usize, at: usize| {
        let bytes = at * t.row_len();
        Tensor {
            h: u16::try_from(n).unwrap_or(t.h),
            offset: t
                .offset
                .saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX)),
            ..*t
        }
    };
    let twice = layer.inputs[0] == layer.inputs[1];
    let is_second = stages.stages.get(i).is_some_and(|stage| stage.second);
    let source = |tensor: &Tensor, streamed: bool| match streamed || twice {
        true => rows(tensor, stripe.inputs.len(), stripe.from),
        // Of a sum, whole in the arena.
        false => rows(tensor, stripe.outputs.len(), stripe.outputs.start),
    };
    let (first, second) = (source(first, !is_second), source(second, is_second));
    let output = rows(output, stripe.outputs.len(), stripe.to);
    (layer, [first, second, output])
}

/// Shows `see` each tensor between two layers of `cascade` and how many rows of it are held; none if its layers cannot
/// be a cascade.
pub fn held(cascade: &Cascade, graph: &impl Lookup, mut see: impl FnMut(u8, u16)) -> Option<()> {
    let stages = Stages::new(cascade, graph)?;
    let between = cascade.layers().take(stages.stages.len() - 1);
    for (index, held) in between.zip(stages.held()) {
        see(graph.layer(index)?.output, u16::try_from(held).ok()?);
    }
    Some(())
}
