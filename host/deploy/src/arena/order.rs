//! The order of the layers: lowest peak first over sets of done layers.
//!
//! Owns the search; sees steps as who reads and writes what. Steps that may go first without harm are run
//! at once. Let `L(T)` be the bytes alive after the set `T`. A tensor counts once one of its writers is in
//! `T` and no longer once all its writers and readers are, so that `L` is submodular. From `S`, let `C` be a
//! chain of ready steps, each of which needs the one before, that stays below the peak and ends with
//! `L(S ∪ C) <= L(S)`, for the first time. In any order that goes on from `S` let `T` be the steps done at some
//! point; `T ∩ (S ∪ C)` is `S` plus a prefix of `C`. At least as many bytes are alive after a prefix as after
//! the whole chain, thus `L(T ∪ C) <= L(T) + L(S ∪ C) − L(T ∩ (S ∪ C)) <= L(T)`: with the chain first, the rest
//! of that order never has more bytes alive, and no step needs more while it runs, because a tensor read for the
//! last time is freed in both orders. So the chain costs nothing, and few sets are left.

use super::{Step, Work};
use crate::plan::planned;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// Sets of done layers that the search visits before it gives up.
pub const STATE_BUDGET: usize = 10_000;
/// Sets that are followed from layer to layer where the search gave up.
const BEAM: usize = 32;

/// Steps as bits; a blob has at most 254.
type Set = [u64; 4];

fn has(set: &Set, step: usize) -> bool {
    set[step / 64] >> (step % 64) & 1 == 1
}

fn insert(set: &mut Set, step: usize) {
    set[step / 64] |= 1 << (step % 64);
}

fn union(a: &Set, b: &Set) -> Set {
    [0, 1, 2, 3].map(|i| a[i] | b[i])
}

fn contains(set: &Set, part: &Set) -> bool {
    set.iter().zip(part).all(|(set, part)| part & !set == 0)
}

fn meets(a: &Set, b: &Set) -> bool {
    a.iter().zip(b).any(|(a, b)| a & b != 0)
}

/// Who needs whom.
struct Search<'w> {
    work: &'w Work,
    /// For each step those that must be done before, and those that wait for it.
    needs: Vec<Set>,
    waiting: Vec<Vec<usize>>,
    /// For each tensor the steps that write it, and those that write or read it.
    writers: Vec<Set>,
    users: Vec<Set>,
}

/// Done steps and what they cost.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    /// Most bytes alive so far.
    peak: usize,
    /// Steps left: of two sets with one peak the larger goes first.
    left: usize,
    /// Bytes alive now.
    live: usize,
    done: Set,
    order: Vec<u8>,
}

/// The best order found and a lower bound on the bytes alive in every order.
pub(super) fn best(work: &Work) -> (Vec<usize>, usize) {
    let search = Search::new(work);
    let given: Vec<usize> = (0..work.steps.len()).collect();
    if work.steps.len() >= usize::from(u8::MAX) {
        return (given, search.largest_step());
    }
    match search.lowest_peak_first() {
        Ok(best) => (best.order(), best.peak),
        Err(bound) => {
            let followed = search.beam();
            let best = match followed.peak < search.peak(&given) {
                true => followed.order(),
                false => given,
            };
            (best, bound.max(search.largest_step()))
        }
    }
}

impl State {
    fn order(&self) -> Vec<usize> {
        self.order.iter().map(|&step| step.into()).collect()
    }
}

impl<'w> Search<'w> {
    fn new(work: &'w Work) -> Self {
        let (n, last) = (work.steps.len(), work.steps.len().saturating_sub(1));
        let mut writers = vec![Set::default(); work.bytes.len()];
        let mut users = writers.clone();
        let mut needs = vec![Set::default(); n];
        let numbered = || work.steps.iter().enumerate().take(4 * 64);
        for (i, step) in numbered() {
            // Those that write one tensor stay in their order.
            needs[i] = writers[step.writes];
            insert(&mut writers[step.writes], i);
            let tensors = step.reads.into_iter().chain([step.writes]);
            tensors.for_each(|tensor| insert(&mut users[tensor], i));
        }
        for (i, step) in numbered() {
            for tensor in step.reads {
                needs[i] = union(&needs[i], &writers[tensor]);
            }
            if i < last {
                insert(&mut needs[last], i);
            }
        }
        let waits = |i: usize| (0..n).filter(|&j| has(&needs[j], i)).collect();
        Self {
            work,
            waiting: (0..n.min(4 * 64)).map(waits).collect(),
            needs,
            writers,
            users,
        }
    }

    /// Whether `tensor` has been begun and will still be read, or is being written.
    fn alive(&self, tensor: usize, done: &Set) -> bool {
        let begun = tensor == self.work.input || meets(&self.writers[tensor], done);
        begun && (tensor == self.work.output || !contains(done, &self.users[tensor]))
    }

    /// `state` after one step more.
    fn run(&self, state: &State, i: usize) -> State {
        let step: &Step = &self.work.steps[i];
        let mut next = state.clone();
        insert(&mut next.done, i);
        let bytes = |tensor: usize| planned(self.work.bytes[tensor]);
        let mut during = state.live;
        if !meets(&self.writers[step.writes], &state.done) {
            let output = bytes(step.writes);
            let gives_way = |(&tensor, &can): (&usize, &bool)| {
                let ends = can && tensor != self.work.output && !self.alive(tensor, &next.done);
                ends.then(|| bytes(tensor).min(output))
            };
            let inputs = step.reads.iter().zip(&step.over);
            during += output - inputs.filter_map(gives_way).max().unwrap_or(0);
        }
        let [first, second] = step.reads;
        let tensors = [
            Some(first),
            Some(second).filter(|&t| t != first),
            Some(step.writes),
        ];
        for tensor in tensors.into_iter().flatten() {
            match (
                self.alive(tensor, &state.done),
                self.alive(tensor, &next.done),
            ) {
                (false, true) => next.live += bytes(tensor),
                (true, false) => next.live -= bytes(tensor),
                _ => {}
            }
        }
        next.peak = state.peak.max(during);
        next.left -= 1;
        next.order.push(i as u8);
        next
    }

    fn is_ready(&self, step: usize, done: &Set) -> bool {
        !has(done, step) && contains(done, &self.needs[step])
    }

    fn ready<'s>(&'s self, done: &'s Set) -> impl Iterator<Item = usize> + 's {
        (0..self.needs.len()).filter(|&i| self.is_ready(i, done))
    }

    /// `state` after a chain of steps that costs nothing and begins with `first`, if there is one.
    fn free_chain(&self, state: &State, first: usize) -> Option<State> {
        let (mut at, mut step) = (state.clone(), first);
        loop {
            at = self.run(&at, step);
            if at.peak > state.peak {
                return None;
            }
            if at.live <= state.live {
                return Some(at);
            }
            let mut nexts = self.waiting[step]
                .iter()
                .filter(|&&i| self.is_ready(i, &at.done));
            step = *nexts.next()?;
            if nexts.next().is_some() {
                return None;
            }
        }
    }

    /// `state` after all chains that cost nothing.
    fn closed(&self, mut state: State) -> State {
        loop {
            let mut ready = self.ready(&state.done);
            let next = ready.find_map(|first| self.free_chain(&state, first));
            drop(ready);
            match next {
                Some(next) => state = next,
                None => return state,
            }
        }
    }

    fn start(&self) -> State {
        let done = Set::default();
        let alive = (0..self.work.bytes.len()).filter(|&tensor| self.alive(tensor, &done));
        let live = alive.map(|tensor| planned(self.work.bytes[tensor])).sum();
        State {
            peak: live,
            left: self.work.steps.len(),
            live,
            done,
            order: vec![],
        }
    }

    /// The complete set with the lowest peak; beyond the budget a bound of every order.
    fn lowest_peak_first(&self) -> Result<State, usize> {
        let mut seen: BTreeSet<Set> = BTreeSet::new();
        let mut open = BinaryHeap::from([Reverse(self.closed(self.start()))]);
        let mut bound = 0;
        while let Some(Reverse(state)) = open.pop() {
            bound = state.peak;
            let state = self.closed(state);
            if state.left == 0 {
                return Ok(state);
            }
            if !seen.insert(state.done) {
                continue;
            }
            if seen.len() > STATE_BUDGET {
                break;
            }
            open.extend(
                self.ready(&state.done)
                    .map(|i| Reverse(self.run(&state, i))),
            );
        }
        Err(bound)
    }

    /// From step to step the sets with the lowest peaks.
    fn beam(&self) -> State {
        let mut states = vec![self.start()];
        for _ in 0..self.work.steps.len() {
            let mut nexts: BTreeMap<Set, State> = BTreeMap::new();
            for state in &states {
                for next in self.ready(&state.done).map(|i| self.run(state, i)) {
                    match nexts.get_mut(&next.done) {
                        Some(known) if known.peak <= next.peak => {}
                        Some(known) => *known = next,
                        None => {
                            nexts.insert(next.done, next);
                        }
                    }
                }
            }
            states = nexts.into_values().collect();
            states.sort();
            states.truncate(BEAM);
        }
        states.swap_remove(0)
    }

    /// Most bytes alive in `order`.
    fn peak(&self, order: &[usize]) -> usize {
        order
            .iter()
            .fold(self.start(), |state, &i| self.run(&state, i))
            .peak
    }

    /// A bound of every order: the tensors of one step.
    fn largest_step(&self) -> usize {
        let bytes = |step: &Step| {
            let [a, b] = step.reads.map(|t| planned(self.work.bytes[t]));
            let inputs = if step.reads[0] == step.reads[1] {
                a
            } else {
                a + b
            };
            let output = planned(self.work.bytes[step.writes]);
            let over = step.reads.iter().zip(&step.over).filter(|(_, can)| **can);
            let over = over.map(|(&t, _)| planned(self.work.bytes[t]).min(output));
            inputs + output - over.max().unwrap_or(0)
        };
        self.work.steps.iter().map(bytes).max().unwrap_or(0)
    }
}
