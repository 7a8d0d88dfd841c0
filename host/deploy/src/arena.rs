//! The arena of a network: in which order its layers run, which outputs take the place of inputs, and where
//! every tensor lies.
//!
//! Owns the order and the choice of what lies over what; offsets are [`crate::plan`]'s, which layers can is
//! the runtime's ([`may_lie_over`]). It sees layers as who reads and writes what. Flow: [`crate::lowering`],
//! [`mod@crate::import`], a parsed model → **`arena`** → order, offsets, bound.
//!
//! Bound: for every order of the layers there is a step in which at least so many bytes are alive, where an
//! output may take the place of one input that nobody reads afterwards. The search for it goes from sets of
//! done layers to larger ones, lowest peak first, so that the first complete set has the lowest peak of all
//! orders; if it visits more than [`STATE_BUDGET`] sets, the lowest peak that was not followed further is
//! still a bound, and the order is the better of the given and one found by a beam. Chains of layers that
//! cost nothing run at once, which leaves a few hundred sets of a network of five cells; `order` has the
//! proof that they cost nothing.

mod order;

use crate::plan::{Buffer, Plan, plan_tied};
use aplysia_shared::kernel::over::{is_as_fast, may_lie_over};
use aplysia_shared::{Layer, Model, Op, Tensor};

pub use order::STATE_BUDGET;

/// How many tensors, counted from the last one, are tried without the place of an input of theirs, to see whether
/// the arena shrinks.
const MOST_UNTIED: usize = 16;

/// One layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Tensors it reads; twice the same if it reads one.
    pub reads: [usize; 2],
    /// Tensor it writes, or writes a part of.
    pub writes: usize,
    /// For each of `reads` whether the output may lie over it, if nobody reads it afterwards.
    pub over: [bool; 2],
}

/// What has to be done in the arena.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// Size of each tensor; the input is the first that no step writes.
    pub bytes: Vec<usize>,
    /// Layers in an order that works; those that write one tensor stay in theirs.
    pub steps: Vec<Step>,
    /// Tensor that is there from the start.
    pub input: usize,
    /// Tensor that is read at the end, written by the last step.
    pub output: usize,
}

/// An order with its plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrangement {
    /// Steps of [`Work::steps`] in the order of execution.
    pub order: Vec<usize>,
    /// Lifetimes: step `s` of the order is `s + 1`, the input is written in step 0.
    pub buffers: Vec<Buffer>,
    /// Offsets; the bound is that of the best order.
    pub plan: Plan,
}

impl Work {
    /// Of layers that read and write `tensors`.
    pub fn of_layers(tensors: &[Tensor], layers: &[Layer], input: u8, output: u8) -> Self {
        let of_layer = |l: &Layer| step(tensors, &l.op, l.inputs.map(usize::from), l.output.into());
        Self {
            bytes: tensors.iter().map(Tensor::len).collect(),
            steps: layers.iter().map(of_layer).collect(),
            input: input.into(),
            output: output.into(),
        }
    }

    /// Of a model, in its own order.
    pub fn of_model(model: &Model<'_>) -> Self {
        let graph = model.graph();
        Self::of_layers(&graph.tensors, &graph.layers, graph.input, graph.output)
    }

    /// The best order that is found, planned.
    pub fn arrange(&self) -> Arrangement {
        let (order, bound) = order::best(self);
        let buffers = self.lifetimes(&order);
        let plan = place(&buffers, self.ties(&order, &buffers), bound);
        Arrangement {
            order,
            buffers,
            plan,
        }
    }

    /// Lifetimes if the steps run in `order`.
    pub fn lifetimes(&self, order: &[usize]) -> Vec<Buffer> {
        let uses = (1..).zip(order).map(|(now, &step)| {
            let Step { reads, writes, .. } = self.steps[step];
            (now, [reads[0], reads[1], writes])
        });
        let mut buffers = lifetimes(&self.bytes, self.input, uses);
        buffers[self.output].last = order.len();
        buffers
    }

    /// For each tensor the one whose place it may take.
    fn ties(&self, order: &[usize], buffers: &[Buffer]) -> Vec<Option<usize>> {
        let mut ties = vec![None; self.bytes.len()];
        for (now, &step) in (1..).zip(order) {
            let step = &self.steps[step];
            let over = step.over().filter(|&read| read != self.output);
            if let Some(read) = tie(buffers, now, step.writes, over) {
                ties[step.writes] = Some(read);
            }
        }
        ties
    }
}

impl Step {
    /// What the output may lie over.
    pub(crate) fn over(&self) -> impl Iterator<Item = usize> + use<> {
        let over = self.reads.into_iter().zip(self.over);
        over.filter_map(|(read, can)| can.then_some(read))
    }
}

/// Lifetimes of tensors of `bytes`: `uses` are steps, in their order, each with what it reads and writes. The input is
/// there from step 0.
pub(crate) fn lifetimes(
    bytes: &[usize],
    input: usize,
    uses: impl Iterator<Item = (usize, [usize; 3])>,
) -> Vec<Buffer> {
    let buffer = |&bytes: &usize| Buffer {
        bytes,
        first: usize::MAX,
        last: 0,
    };
    let mut buffers: Vec<Buffer> = bytes.iter().map(buffer).collect();
    buffers[input].first = 0;
    for (now, tensors) in uses {
        for tensor in tensors {
            let life = &mut buffers[tensor];
            (life.first, life.last) = (life.first.min(now), now);
        }
    }
    buffers
}

/// The first of `reads` whose place `writes`, which begins in step `now`, may take: it was there before, and ends.
pub(crate) fn tie(
    buffers: &[Buffer],
    now: usize,
    writes: usize,
    mut reads: impl Iterator<Item = usize>,
) -> Option<usize> {
    let ends = |&read: &usize| buffers[read].first < now && buffers[read].last == now;
    let begins = buffers[writes].first == now;
    reads.find(|read| begins && ends(read))
}

/// Offsets with as many tensors over others, as `ties` allow, as helps.
pub(crate) fn place(buffers: &[Buffer], mut ties: Vec<Option<usize>>, bound: usize) -> Plan {
    let mut best = plan_tied(buffers, &ties);
    for tensor in (0..ties.len()).rev().take(MOST_UNTIED) {
        if best.arena_bytes <= bound {
            break;
        }
        if let Some(tie) = ties[tensor].take() {
            let without = plan_tied(buffers, &ties);
            if without.arena_bytes < best.arena_bytes {
                best = without;
            } else {
                ties[tensor] = Some(tie);
            }
        }
    }
    Plan {
        lower_bound_bytes: bound,
        optimal: best.arena_bytes <= bound,
        ..best
    }
}

/// A layer that computes `op`.
pub(crate) fn step(tensors: &[Tensor], op: &Op, reads: [usize; 2], writes: usize) -> Step {
    let [lhs, rhs] = reads.map(|i| &tensors[i]);
    let over = may_lie_over(op, [lhs, rhs], &tensors[writes]);
    // A sum of a tensor with itself would overwrite what it still reads.
    let apart = !matches!(op, Op::Add(_)) || reads[0] != reads[1];
    let pays = apart && is_as_fast(op, lhs, &tensors[writes]);
    Step {
        reads,
        writes,
        over: over.map(|can| can && pays),
    }
}
