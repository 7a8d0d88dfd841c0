//! The arena planner: where each activation lives, so that the peak is small and nothing that is
//! alive is overwritten.
//!
//! Owns offsets and nothing else: it sees buffers as sizes with lifetimes and must not know tensors,
//! layers or the blob. Flow: [`crate::arena`] → **`plan`** → tensor offsets of the blob.
//!
//! The problem is dynamic storage allocation (NP-hard). No arena can be smaller than the lower bound
//! `max over steps of the bytes alive`, so a plan that meets it is optimal. Tried in this order, until
//! the bound is met: greedy by size (Pisarchyk and Lee 2020, *Efficient memory management for deep
//! neural net inference*, section 5.2); in execution order from both ends of an arena as large as the
//! bound, which always succeeds on a chain; branch and bound. The last is exact: in any packing pushed
//! down as far as it goes, taken in ascending order of offset, every buffer starts at 0 or at the top of
//! an overlapping earlier one, so that it is enough to search over orders.
//!
//! Buffers that take each other's place ([`plan_tied`]) start at one offset and are placed as one block, which
//! is as long as the buffers of it that are alive.

use std::fmt::Write as _;

/// Every offset and every planned size is a multiple of this many bytes.
pub const ALIGNMENT_BYTES: usize = 16;

/// Nodes that each of the two tree searches visits before it gives up, if there are up to 20 blocks; of
/// more, whose nodes take longer, fewer in the square of their number.
pub const NODE_BUDGET: usize = 4096;

/// Bytes as they are planned.
pub(crate) fn planned(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGNMENT_BYTES)
}

fn node_budget(n_blocks: usize) -> usize {
    NODE_BUDGET * 400 / (n_blocks * n_blocks).max(400)
}

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
        planned(self.bytes)
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
    plan_tied(buffers, &vec![None; buffers.len()])
}

/// Places `buffers`, of which buffer `i` starts where buffer `ties[i]` does, and may overlap it. The bound and
/// `Plan::optimal` are those of these ties.
pub fn plan_tied(buffers: &[Buffer], ties: &[Option<usize>]) -> Plan {
    let mut block_of: Vec<usize> = Vec::with_capacity(buffers.len());
    let mut blocks: Vec<Block> = vec![];
    let mut roots: Vec<usize> = vec![];
    for (i, buffer) in buffers.iter().enumerate() {
        let root = core::iter::successors(Some(i), |&at| ties[at])
            .last()
            .unwrap_or(i);
        let known = roots.iter().position(|&known| known == root);
        let block = known.unwrap_or(blocks.len());
        if known.is_none() {
            roots.push(root);
        }
        match blocks.get_mut(block) {
            Some(block) => block.buffers.push(*buffer),
            None => blocks.push(Block {
                buffers: vec![*buffer],
            }),
        }
        block_of.push(block);
    }
    let (offsets, lower_bound_bytes, optimal) = place_blocks(&blocks);
    Plan {
        arena_bytes: arena_bytes(&blocks, &offsets),
        offsets: block_of.into_iter().map(|block| offsets[block]).collect(),
        lower_bound_bytes,
        optimal,
    }
}

/// Buffers at one offset.
struct Block {
    buffers: Vec<Buffer>,
}

impl Block {
    fn planned_bytes(&self) -> usize {
        let sizes = self.buffers.iter().map(Buffer::planned_bytes);
        sizes.max().unwrap_or(0)
    }

    /// Bytes alive in `step`.
    fn alive_at(&self, step: usize) -> usize {
        let alive = |b: &&Buffer| b.first <= step && step <= b.last;
        let alive = self.buffers.iter().filter(alive);
        alive.map(Buffer::planned_bytes).max().unwrap_or(0)
    }

    /// Most of its bytes that are alive together with buffers of `other`.
    fn beside(&self, other: &Block) -> usize {
        let meets = |b: &&Buffer| other.buffers.iter().any(|o| b.overlaps(o));
        let beside = self.buffers.iter().filter(meets);
        beside.map(Buffer::planned_bytes).max().unwrap_or(0)
    }
}

/// Offsets of the blocks, the lower bound, and whether the arena is proved minimal.
fn place_blocks(blocks: &[Block]) -> (Vec<usize>, usize, bool) {
    let bound = lower_bound(blocks);
    let greedy = greedy_by_size(blocks);
    let met = arena_bytes(blocks, &greedy) == bound;
    if let Some(offsets) = (!met).then(|| from_both_ends(blocks, bound)).flatten() {
        return (offsets, bound, true);
    }
    let mut search = Search {
        blocks,
        bound,
        best: greedy,
        best_bytes: 0,
        offsets: vec![None; blocks.len()],
        visited: 0,
    };
    search.best_bytes = arena_bytes(blocks, &search.best);
    search.descend(0);
    // Blocks of several lengths are searched as if they had one.
    let plain = blocks.iter().all(|b| b.buffers.len() == 1);
    let exhausted = plain && search.visited < node_budget(blocks.len());
    let optimal = search.best_bytes == bound || exhausted;
    (search.best, bound, optimal)
}

fn lower_bound(blocks: &[Block]) -> usize {
    // The bytes alive are largest at a step where some buffer begins.
    let alive_at = |step| blocks.iter().map(|b| b.alive_at(step)).sum();
    let begins = blocks.iter().flat_map(|b| &b.buffers).map(|b| b.first);
    begins.map(alive_at).max().unwrap_or(0)
}

fn arena_bytes(blocks: &[Block], offsets: &[usize]) -> usize {
    let ends = blocks
        .iter()
        .zip(offsets)
        .map(|(b, &o)| o + b.planned_bytes());
    ends.max().unwrap_or(0)
}

/// Ranges of the arena that block `i` must keep out of, ascending.
fn taken(blocks: &[Block], offsets: &[Option<usize>], i: usize) -> Vec<(usize, usize)> {
    let mut taken: Vec<(usize, usize)> = blocks
        .iter()
        .zip(offsets)
        .filter_map(|(b, &offset)| Some((b.beside(&blocks[i]), offset?)))
        .filter(|&(bytes, _)| bytes > 0)
        .map(|(bytes, o)| (o, o + bytes))
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
fn greedy_by_size(blocks: &[Block]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(blocks[i].planned_bytes()), i));
    let mut offsets = vec![None; blocks.len()];
    for i in order {
        let taken = taken(blocks, &offsets, i);
        offsets[i] = Some(lowest(&taken, blocks[i].planned_bytes()));
    }
    offsets.into_iter().flatten().collect()
}

/// In order of `first`, each at the lowest or the highest place of an arena of `arena_bytes`, with
/// backtracking; `None` if that leads nowhere within [`NODE_BUDGET`].
fn from_both_ends(blocks: &[Block], arena_bytes: usize) -> Option<Vec<usize>> {
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    let life = |b: &Block| {
        let first = b.buffers.iter().map(|b| b.first).min();
        (
            first,
            std::cmp::Reverse(b.buffers.iter().map(|b| b.last).max()),
        )
    };
    order.sort_by_key(|&i| (life(&blocks[i]), i));
    let mut offsets = vec![None; blocks.len()];
    let mut budget = node_budget(blocks.len());
    place(blocks, &order, arena_bytes, &mut offsets, &mut budget)
        .then(|| offsets.into_iter().flatten().collect())
}

fn place(
    blocks: &[Block],
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
    let bytes = blocks[i].planned_bytes();
    let taken = taken(blocks, offsets, i);
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
        if place(blocks, rest, arena_bytes, offsets, budget) {
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
    blocks: &'a [Block],
    bound: usize,
    best: Vec<usize>,
    best_bytes: usize,
    offsets: Vec<Option<usize>>,
    visited: usize,
}

impl Search<'_> {
    /// Places one more buffer at or above `floor`, in every promising way.
    fn descend(&mut self, floor: usize) {
        if self.best_bytes == self.bound || self.visited >= node_budget(self.blocks.len()) {
            return;
        }
        self.visited += 1;
        let mut children: Vec<(usize, usize)> = (0..self.blocks.len())
            .filter(|&i| self.offsets[i].is_none())
            .map(|i| (self.top(i), i))
            .filter(|&(offset, _)| offset >= floor)
            .collect();
        if children.is_empty() {
            if let Some(offsets) = self.offsets.iter().copied().collect::<Option<Vec<_>>>() {
                self.best_bytes = arena_bytes(self.blocks, &offsets);
                self.best = offsets;
            }
            return;
        }
        children.sort_by_key(|&(offset, i)| {
            (offset, std::cmp::Reverse(self.blocks[i].planned_bytes()), i)
        });
        for (offset, i) in children {
            self.offsets[i] = Some(offset);
            if self.reachable(offset) < self.best_bytes {
                self.descend(offset);
            }
            self.offsets[i] = None;
        }
    }

    /// End of what block `i` has beside it of the highest placed block.
    fn top(&self, i: usize) -> usize {
        let placed = self.blocks.iter().zip(&self.offsets);
        placed
            .filter_map(|(b, offset)| Some((b.beside(&self.blocks[i]), (*offset)?)))
            .filter(|&(bytes, _)| bytes > 0)
            .map(|(bytes, o)| o + bytes)
            .max()
            .unwrap_or(0)
    }

    /// A lower bound on the arena once everything else is placed at or above `floor`.
    fn reachable(&self, floor: usize) -> usize {
        let at = |step: usize| {
            let (mut top, mut rest) = (0, 0);
            for (b, offset) in self.blocks.iter().zip(&self.offsets) {
                match (b.alive_at(step), offset) {
                    (0, _) => {}
                    (bytes, Some(o)) => top = top.max(o + bytes),
                    (bytes, None) => rest += bytes,
                }
            }
            if rest == 0 {
                top
            } else {
                top.max(floor) + rest
            }
        };
        let begins = self.blocks.iter().flat_map(|b| &b.buffers);
        begins.map(|b| at(b.first)).max().unwrap_or(0)
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
