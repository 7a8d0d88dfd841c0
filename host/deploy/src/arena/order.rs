//! The order of the layers: lowest peak first over sets of done layers.

use super::{Step, Work, planned};
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// Sets of done layers that the search visits before it gives up.
pub const STATE_BUDGET: usize = 1_000;

/// Steps as bits; a blob has at most 254.
type Done = [u64; 4];

fn has(done: &Done, step: usize) -> bool {
    done[step / 64] >> (step % 64) & 1 == 1
}

/// Who needs whom.
struct Search<'w> {
    work: &'w Work,
    /// For each step those that must be done before.
    needs: Vec<Vec<usize>>,
    /// For each tensor the steps that write it and those that read it.
    writers: Vec<Vec<usize>>,
    readers: Vec<Vec<usize>>,
}

/// Done steps and what they cost.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    /// Most bytes alive so far.
    peak: usize,
    /// Steps left: of two sets with one peak the larger goes first.
    left: usize,
    done: Done,
    order: Vec<usize>,
}

/// The best order found and a lower bound on the bytes alive in every order.
pub(super) fn best(work: &Work) -> (Vec<usize>, usize) {
    let search = Search::new(work);
    let given: Vec<usize> = (0..work.steps.len()).collect();
    if work.steps.len() > 64 * 4 {
        let bound = search.largest_step();
        return (given, bound);
    }
    search.lowest_peak_first(given)
}

impl<'w> Search<'w> {
    fn new(work: &'w Work) -> Self {
        let n = work.bytes.len();
        let (mut writers, mut readers) = (vec![vec![]; n], vec![vec![]; n]);
        for (i, step) in work.steps.iter().enumerate() {
            writers[step.writes].push(i);
            for (at, &tensor) in step.reads.iter().enumerate() {
                if at == 0 || step.reads[0] != tensor {
                    readers[tensor].push(i);
                }
            }
        }
        let needs = work.steps.iter().enumerate().map(|(i, step)| {
            let before = |&j: &usize| j < i;
            let inputs = step.reads.iter().flat_map(|&t| &writers[t]).copied();
            let parts = writers[step.writes].iter().copied().filter(before);
            let mut needs: Vec<usize> = inputs.chain(parts).collect();
            if i + 1 == work.steps.len() {
                needs = (0..i).collect();
            }
            needs
        });
        Self {
            work,
            needs: needs.collect(),
            writers,
            readers,
        }
    }

    /// Whether `tensor` has been begun and will still be read, or is being written.
    fn alive(&self, tensor: usize, done: &Done) -> bool {
        let begun = tensor == self.work.input || self.writers[tensor].iter().any(|&s| has(done, s));
        let pending = |&s: &usize| !has(done, s);
        let read = self.readers[tensor].iter().any(pending);
        let written = self.writers[tensor].iter().any(pending);
        begun && (read || written || tensor == self.work.output)
    }

    fn live_bytes(&self, done: &Done) -> usize {
        let alive = (0..self.work.bytes.len()).filter(|&t| self.alive(t, done));
        alive.map(|t| planned(self.work.bytes[t])).sum()
    }

    /// Bytes alive while `step` runs after `done`, `live` before it.
    fn during(&self, i: usize, (done, live): (&Done, usize), after: &Done) -> usize {
        let step: &Step = &self.work.steps[i];
        let begins = self.writers[step.writes].iter().all(|&s| !has(done, s));
        if !begins {
            return live;
        }
        let output = planned(self.work.bytes[step.writes]);
        let gives_way = |(&tensor, &can): (&usize, &bool)| {
            let ends = can && tensor != self.work.output && !self.alive(tensor, after);
            ends.then(|| planned(self.work.bytes[tensor]).min(output))
        };
        let inputs = step.reads.iter().zip(&step.over);
        live + output - inputs.filter_map(gives_way).max().unwrap_or(0)
    }

    /// `state` after one step more.
    fn run(&self, state: &State, live: usize, i: usize) -> (State, usize) {
        let mut done = state.done;
        done[i / 64] |= 1 << (i % 64);
        let during = self.during(i, (&state.done, live), &done);
        let mut order = state.order.clone();
        order.push(i);
        let next = State {
            peak: state.peak.max(during),
            left: state.left - 1,
            done,
            order,
        };
        (next, self.live_bytes(&done))
    }

    fn ready(&self, done: &Done) -> Vec<usize> {
        let steps = 0..self.work.steps.len();
        let can = |&i: &usize| !has(done, i) && self.needs[i].iter().all(|&j| has(done, j));
        steps.filter(can).collect()
    }

    fn start(&self) -> State {
        let done = [0; 4];
        State {
            peak: self.live_bytes(&done),
            left: self.work.steps.len(),
            done,
            order: vec![],
        }
    }

    fn lowest_peak_first(&self, given: Vec<usize>) -> (Vec<usize>, usize) {
        let mut seen: BTreeSet<Done> = BTreeSet::new();
        let mut open = BinaryHeap::from([Reverse(self.start())]);
        while let Some(Reverse(state)) = open.pop() {
            if state.left == 0 {
                return (state.order, state.peak);
            }
            if !seen.insert(state.done) {
                continue;
            }
            if seen.len() > STATE_BUDGET {
                let bound = state.peak.max(self.largest_step());
                let greedy = self.greedy();
                let peak = |order: &[usize]| self.peak(order);
                let better = peak(&greedy) < peak(&given);
                return (if better { greedy } else { given }, bound);
            }
            let live = self.live_bytes(&state.done);
            let ready = self.ready(&state.done);
            let mut nexts = vec![];
            let mut free = None;
            for i in ready {
                let (next, after) = self.run(&state, live, i);
                if next.peak == state.peak && after <= live {
                    free = Some(next);
                    break;
                }
                nexts.push(next);
            }
            match free {
                Some(next) => open.push(Reverse(next)),
                None => open.extend(nexts.into_iter().map(Reverse)),
            }
        }
        let bound = self.peak(&given);
        (given, bound)
    }

    /// At each place the step that needs the fewest bytes, of these the one that leaves the fewest.
    fn greedy(&self) -> Vec<usize> {
        let mut state = self.start();
        while state.left > 0 {
            let live = self.live_bytes(&state.done);
            let ready = self.ready(&state.done).into_iter();
            let nexts = ready.map(|i| self.run(&state, live, i));
            let Some((next, _)) = nexts.min_by_key(|(next, after)| (next.peak, *after)) else {
                break;
            };
            state = next;
        }
        state.order
    }

    /// Most bytes alive in `order`.
    fn peak(&self, order: &[usize]) -> usize {
        let mut state = self.start();
        for &i in order {
            let live = self.live_bytes(&state.done);
            state = self.run(&state, live, i).0;
        }
        state.peak
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
