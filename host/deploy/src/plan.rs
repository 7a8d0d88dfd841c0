//! The arena planner: where each activation lives, so that the peak is small and nothing that is
//! alive is overwritten.
//!
//! Owns offsets and nothing else: it sees buffers as sizes with lifetimes and must not know tensors,
//! layers or the blob. Flow: [`crate::assemble`] → **`plan`** → tensor offsets of the blob.
//!
//! The problem is dynamic storage allocation (NP-hard). No arena can be smaller than the lower bound
//! `max over steps of the bytes alive`, so a plan that meets it is optimal. Tried in this order, until
//! the bound is met: greedy by size (Pisarchyk and Lee 2020, *Efficient memory management for deep
//! neural net inference*, section 5.2); in execution order from both ends of an arena as large as the
//! bound, which always succeeds on a chain; branch and bound. The last is exact: in any packing pushed
//! down as far as it goes, taken in ascending order of offset, every buffer starts at 0 or at the top of
//! an overlapping earlier one, so that it is enough to search over orders.

use std::fmt::Write as _;

/// Every offset and every planned size is a multiple of this many bytes.
pub const ALIGNMENT_BYTES: usize = 16;

/// Nodes that each of the two tree searches visits before it gives up.
pub const NODE_BUDGET: usize = 4096;

/// Bytes that must stay intact from step `first` to step `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Size; planned as the next multiple of [`ALIGNMENT_BYTES`].
    pub bytes: usize,
    /// Step that writes it.
    pub first: usize,
    /// Last step that reads it, `>= first`.
    pub last: usize,
}

impl Buffer {
    fn overlaps(&self, other: &Buffer) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    fn planned_bytes(&self) -> usize {
        self.bytes.next_multiple_of(ALIGNMENT_BYTES)
    }
}

/// A placement of buffers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Start of each buffer in the arena, in the order given.
    pub offsets: Vec<usize>,
    /// Size of the arena, a multiple of [`ALIGNMENT_BYTES`].
    pub arena_bytes: usize,
    /// No arena for these lifetimes can be smaller: `max over steps of the bytes alive`.
    pub lower_bound_bytes: usize,
    /// Whether `arena_bytes` is proved minimal.
    pub optimal: bool,
}

/// Places `buffers`. Deterministic; exact whenever the search ends within [`NODE_BUDGET`]
/// (`Plan::optimal` says so).
///
/// ```
/// use aplysia_deploy::plan::{Buffer, plan};
/// let chain = [(64, 0, 1), (128, 1, 2), (32, 2, 3)];
/// let plan = plan(&chain.map(|(bytes, first, last)| Buffer { bytes, first, last }));
/// assert_eq!((plan.arena_bytes, plan.optimal), (192, true));
/// ```
pub fn plan(buffers: &[Buffer]) -> Plan {
    let lower_bound_bytes = lower_bound(buffers);
    let greedy = greedy_by_size(buffers);
    let met = arena_bytes(buffers, &greedy) == lower_bound_bytes;
    if let Some(offsets) = (!met)
        .then(|| from_both_ends(buffers, lower_bound_bytes))
        .flatten()
    {
        return Plan {
            offsets,
            arena_bytes: lower_bound_bytes,
            lower_bound_bytes,
            optimal: true,
        };
    }
    let mut search = Search {
        buffers,
        bound: lower_bound_bytes,
        best: greedy,
        best_bytes: 0,
        offsets: vec![None; buffers.len()],
        visited: 0,
    };
    search.best_bytes = arena_bytes(buffers, &search.best);
    search.descend(0);
    Plan {
        optimal: search.best_bytes == lower_bound_bytes || search.visited < NODE_BUDGET,
        offsets: search.best,
        arena_bytes: search.best_bytes,
        lower_bound_bytes,
    }
}

fn lower_bound(buffers: &[Buffer]) -> usize {
    // The bytes alive are largest at a step where some buffer begins.
    let alive_at = |step| {
        let alive = buffers.iter().filter(|b| b.first <= step && step <= b.last);
        alive.map(Buffer::planned_bytes).sum()
    };
    buffers.iter().map(|b| alive_at(b.first)).max().unwrap_or(0)
}

fn arena_bytes(buffers: &[Buffer], offsets: &[usize]) -> usize {
    let ends = buffers
        .iter()
        .zip(offsets)
        .map(|(b, &o)| o + b.planned_bytes());
    ends.max().unwrap_or(0)
}

/// Ranges of the arena that buffer `i` must keep out of, ascending.
fn taken(buffers: &[Buffer], offsets: &[Option<usize>], i: usize) -> Vec<(usize, usize)> {
    let mut taken: Vec<(usize, usize)> = buffers
        .iter()
        .zip(offsets)
        .filter(|(b, _)| b.overlaps(&buffers[i]))
        .filter_map(|(b, offset)| offset.map(|o| (o, o + b.planned_bytes())))
        .collect();
    taken.sort_unstable();
    taken
}

/// The lowest offset at which `bytes` stay clear of `taken`.
fn lowest(taken: &[(usize, usize)], bytes: usize) -> usize {
    let mut offset = 0;
    for &(start, end) in taken {
        if offset + bytes <= start {
            break;
        }
        offset = offset.max(end);
    }
    offset
}

/// Largest first, each into the lowest gap that holds it.
fn greedy_by_size(buffers: &[Buffer]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..buffers.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(buffers[i].bytes), i));
    let mut offsets = vec![None; buffers.len()];
    for i in order {
        let taken = taken(buffers, &offsets, i);
        offsets[i] = Some(lowest(&taken, buffers[i].planned_bytes()));
    }
    offsets.into_iter().flatten().collect()
}

/// In order of `first`, each at the lowest or the highest place of an arena of `arena_bytes`, with
/// backtracking; `None` if that leads nowhere within [`NODE_BUDGET`].
fn from_both_ends(buffers: &[Buffer], arena_bytes: usize) -> Option<Vec<usize>> {
    let mut order: Vec<usize> = (0..buffers.len()).collect();
    order.sort_by_key(|&i| (buffers[i].first, std::cmp::Reverse(buffers[i].last), i));
    let mut offsets = vec![None; buffers.len()];
    let mut budget = NODE_BUDGET;
    place(buffers, &order, arena_bytes, &mut offsets, &mut budget)
        .then(|| offsets.into_iter().flatten().collect())
}

fn place(
    buffers: &[Buffer],
    order: &[usize],
    arena_bytes: usize,
    offsets: &mut [Option<usize>],
    budget: &mut usize,
) -> bool {
    let Some((&i, rest)) = order.split_first() else {
        return true;
    };
    if *budget == 0 {
        return false;
    }
    *budget -= 1;
    let bytes = buffers[i].planned_bytes();
    let taken = taken(buffers, offsets, i);
    let low = lowest(&taken, bytes);
    if low + bytes > arena_bytes {
        return false;
    }
    // The highest place is the lowest one seen from the other end.
    let mirror = |&(start, end): &(usize, usize)| (arena_bytes - end, arena_bytes - start);
    let mut mirrored: Vec<_> = taken.iter().map(mirror).collect();
    mirrored.sort_unstable();
    let high = arena_bytes - bytes - lowest(&mirrored, bytes);
    // Neighbours in a chain belong to opposite ends.
    let bottom_taken = taken.first().is_some_and(|&(start, _)| start == 0);
    let (near, far) = if bottom_taken {
        (high, low)
    } else {
        (low, high)
    };
    for offset in [near, far] {
        offsets[i] = Some(offset);
        if place(buffers, rest, arena_bytes, offsets, budget) {
            return true;
        }
        if low == high {
            break;
        }
    }
    offsets[i] = None;
    false
}

/// Depth-first search over orders of ascending offset.
struct Search<'a> {
    buffers: &'a [Buffer],
    bound: usize,
    best: Vec<usize>,
    best_bytes: usize,
    offsets: Vec<Option<usize>>,
    visited: usize,
}

impl Search<'_> {
    /// Places one more buffer at or above `floor`, in every promising way.
    fn descend(&mut self, floor: usize) {
        if self.best_bytes == self.bound || self.visited >= NODE_BUDGET {
            return;
        }
        self.visited += 1;
        let mut children: Vec<(usize, usize)> = (0..self.buffers.len())
            .filter(|&i| self.offsets[i].is_none())
            .map(|i| (self.top(i), i))
            .filter(|&(offset, _)| offset >= floor)
            .collect();
        if children.is_empty() {
            if let Some(offsets) = self.offsets.iter().copied().collect::<Option<Vec<_>>>() {
                self.best_bytes = arena_bytes(self.buffers, &offsets);
                self.best = offsets;
            }
            return;
        }
        children.sort_by_key(|&(offset, i)| (offset, std::cmp::Reverse(self.buffers[i].bytes), i));
        for (offset, i) in children {
            self.offsets[i] = Some(offset);
            if self.reachable(offset) < self.best_bytes {
                self.descend(offset);
            }
            self.offsets[i] = None;
        }
    }

    /// End of the highest placed buffer that is alive together with buffer `i`.
    fn top(&self, i: usize) -> usize {
        let placed = self.buffers.iter().zip(&self.offsets);
        placed
            .filter(|(b, _)| b.overlaps(&self.buffers[i]))
            .filter_map(|(b, offset)| offset.map(|o| o + b.planned_bytes()))
            .max()
            .unwrap_or(0)
    }

    /// A lower bound on the arena once everything else is placed at or above `floor`.
    fn reachable(&self, floor: usize) -> usize {
        let at = |step: usize| {
            let (mut top, mut rest) = (0, 0);
            for (b, offset) in self.buffers.iter().zip(&self.offsets) {
                if b.first <= step && step <= b.last {
                    match offset {
                        Some(o) => top = top.max(o + b.planned_bytes()),
                        None => rest += b.planned_bytes(),
                    }
                }
            }
            if rest == 0 {
                top
            } else {
                top.max(floor) + rest
            }
        };
        self.buffers.iter().map(|b| at(b.first)).max().unwrap_or(0)
    }
}

/// The memory map as a text table, one line per buffer in the order given: name, bytes, offset, first
/// and last step; then the arena against its lower bound.
pub fn memory_map(names: &[&str], buffers: &[Buffer], plan: &Plan) -> String {
    let width = names.iter().map(|n| n.len()).max().unwrap_or(0).max(6);
    let mut text = format!(
        "{:width$}  {:>7}  {:>7}  steps\n",
        "tensor", "bytes", "offset"
    );
    for ((name, b), offset) in names.iter().zip(buffers).zip(&plan.offsets) {
        let (bytes, first, last) = (b.bytes, b.first, b.last);
        let _ = writeln!(
            text,
            "{name:width$}  {bytes:>7}  {offset:>7}  {first}-{last}"
        );
    }
    let proof = if plan.optimal {
        "minimal"
    } else {
        "not proved minimal"
    };
    let _ = writeln!(
        text,
        "arena {} bytes ({proof}); lower bound {} bytes",
        plan.arena_bytes, plan.lower_bound_bytes
    );
    text
}
