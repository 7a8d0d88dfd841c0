//! A blob in less RAM: layers that run together, a few rows at a time.
//!
//! Owns which layers do so; how many rows are held meanwhile is the runtime's (`aplysia_shared::cascade`), where
//! tensors lie is [`crate::plan`]'s. Every constant and every output bit stays, and so does the order of the layers; a
//! cascade takes more instructions than its layers one by one, as each turn begins each of them anew.
//! Flow: [`mod@crate::export`], [`mod@crate::import`], an untrained blob → **`cascade`** → blob.
//!
//! The choice is greedy: as long as some step holds more bytes than wanted, that cascade is taken which brings the most
//! bytes alive down furthest, the shortest of several that are low enough. Then each cascade takes as many rows a turn
//! as the RAM allows. So it is done for several numbers of bytes, as fewer bytes may leave room for more rows; of what
//! fits the fewest predicted instructions count, else the smallest arena.

use crate::arena::{lifetimes, place, step, tie};
use crate::assemble::narrow;
use crate::parts::Parts;
use crate::plan::{Buffer, Plan, memory_map, planned};
use crate::{Costs, DeployError, Export};
use aplysia_shared::adapt::Config;
use aplysia_shared::adapt::deep::choose;
use aplysia_shared::cascade::{Lookup, MAX_TURNS, Stages, held};
use aplysia_shared::layer::{MAX_CASCADES, MAX_STAGES};
use aplysia_shared::{Cascade, GraphV1, Model, Tensor};
use std::ops::Range;

/// `blob` with an arena of at most `ram_bytes`, or of the fewest that are found if those are more. It stays as it is if
/// it fits already, or if no cascade helps; else it is another model, unsigned. Layers that learn on the device by
/// `learning` stay apart.
///
/// # Errors
/// The runtime refuses `blob`.
pub fn within(
    blob: &[u8],
    ram_bytes: usize,
    learning: Option<&Config>,
) -> Result<Vec<u8>, DeployError> {
    let found = cascaded(&Model::parse(blob)?, blob, ram_bytes, learning)?;
    Ok(found.map_or_else(|| blob.to_vec(), |found| found.blob))
}

impl Export {
    /// As [`within`] has it; in the least RAM if `ram_bytes` is none.
    ///
    /// # Errors
    /// [`DeployError::Ram`] if it needs more; the runtime refuses the blob.
    pub fn within(
        mut self,
        ram_bytes: Option<usize>,
        learning: Option<&Config>,
    ) -> Result<Self, DeployError> {
        let model = Model::parse(&self.blob)?;
        if let Some(found) = cascaded(&model, &self.blob, ram_bytes.unwrap_or(0), learning)? {
            let model = Model::parse(&found.blob)?;
            let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
            (self.costs, self.model_id) = (Costs::of(&model), model.id());
            self.map = memory_map(&names, &found.buffers, &found.plan) + &describe(&model);
            (self.plan, self.blob) = (found.plan, found.blob);
        }
        let least = self.costs.ram_bytes;
        match ram_bytes.filter(|&ram_bytes| least > ram_bytes as u64) {
            Some(ram_bytes) => Err(DeployError::Ram { least, ram_bytes }),
            None => Ok(self),
        }
    }
}

/// The cascades of `model`, one a line; layers count from 1, as steps do.
pub fn describe(model: &Model<'_>) -> String {
    let line = |cascade: &Cascade| {
        let (layers, rows) = (cascade.layers(), cascade.rows);
        let (first, last) = (layers.start + 1, layers.end);
        format!("layers {first} to {last} run together, rows of layer {last} a turn: {rows}\n")
    };
    model.cascades().iter().map(line).collect()
}

/// Lifetimes of the tensors of a graph in its order, cascades included, and the most bytes alive.
pub fn lifetimes_of(graph: &GraphV1) -> (Vec<Buffer>, usize) {
    let found = Candidate::of(graph, &graph.cascades);
    found.map_or((vec![], 0), |found| {
        let peak = found.peak(0).0;
        (found.buffers, peak)
    })
}

/// A model with cascades.
struct Cascaded {
    blob: Vec<u8>,
    buffers: Vec<Buffer>,
    plan: Plan,
}

/// `model`, which is `blob`, with cascades; none if its arena is small enough, or does not shrink.
fn cascaded(
    model: &Model<'_>,
    blob: &[u8],
    ram_bytes: usize,
    learning: Option<&Config>,
) -> Result<Option<Cascaded>, DeployError> {
    if model.arena_bytes() <= ram_bytes {
        return Ok(None);
    }
    let mut graph = model.graph();
    graph.cascades.clear();
    let learns = learning.map_or(0, |config| choose(model, config));
    let search = Search {
        graph: &graph,
        linked: (0..graph.layers.len())
            .map(|index| is_linked(&graph, learns, index))
            .collect(),
        is_loose: model.arena_bytes() > lifetimes_of(&graph).1,
        ram_bytes,
    };
    let Some(least) = search.within(0) else {
        return Ok(None);
    };
    // What does not fit when as few bytes are alive as can be does not fit otherwise.
    let fits = least.peak(0).0 <= ram_bytes;
    let others = (1..=8).rev().filter(|_| fits);
    let others = others.filter_map(|eighths| search.within(ram_bytes / 8 * eighths));
    let mut parts = Parts::of(model, blob);
    let mut best: Option<((usize, u64), Cascaded)> = None;
    let mut tried: Vec<Vec<Cascade>> = vec![];
    for found in others.chain([least]) {
        let found = search.in_few_turns(found);
        let plan = found.plan();
        if plan.arena_bytes >= model.arena_bytes() || tried.contains(&found.cascades) {
            continue;
        }
        parts.graph = graph.clone();
        for (tensor, &offset) in parts.graph.tensors.iter_mut().zip(&plan.offsets) {
            tensor.offset = narrow("arena bytes", offset)?;
        }
        parts.graph.cascades = found.cascades.iter().copied().collect();
        let blob = parts.blob()?;
        let costs = Costs::of(&Model::parse(&blob)?);
        let rank = (
            (costs.ram_bytes as usize).max(ram_bytes),
            costs.instructions,
        );
        tried.push(found.cascades);
        if best.as_ref().is_none_or(|(least, _)| rank < *least) {
            let buffers = found.buffers;
            best = Some((
                rank,
                Cascaded {
                    blob,
                    buffers,
                    plan,
                },
            ));
        }
    }
    Ok(best.map(|(_, best)| best))
}

/// Where cascades are looked for.
struct Search<'g> {
    graph: &'g GraphV1,
    /// Which layers can take what the one before them writes row by row.
    linked: Vec<bool>,
    /// Whether the arena without cascades is larger than what is alive in it.
    is_loose: bool,
    ram_bytes: usize,
}

impl Search<'_> {
    /// Cascades for at most `alive` bytes in a step, or for fewer than without if that cannot be; none if neither can.
    fn within(&self, alive: usize) -> Option<Candidate> {
        let mut best = Candidate::of(self.graph, &[])?;
        let alone = best.peak(0).0;
        while best.peak(alive) > (alive, 0) {
            let next = self.next(&best);
            let next = next.min_by_key(|next| (next.peak(alive), next.cost));
            match next.filter(|next| next.peak(alive) < best.peak(alive)) {
                Some(next) => best = next,
                None => break,
            }
        }
        // An arena can be larger than what is alive in it: then fewer steps that have as much may do.
        let helps = best.peak(0).0 < alone || self.is_loose;
        (helps && !best.cascades.is_empty()).then_some(best)
    }

    /// `from` in as few turns as the RAM allows.
    fn in_few_turns(&self, mut from: Candidate) -> Candidate {
        let most = from.arena_bytes().max(self.ram_bytes);
        for i in 0..from.cascades.len() {
            from = self.with_more_rows(from, i, most);
        }
        from
    }

    /// All that have one cascade more than `from`, or a longer one, where the most bytes are alive.
    fn next(&self, from: &Candidate) -> impl Iterator<Item = Candidate> {
        let n = self.graph.layers.len().saturating_sub(1);
        let peak = from.peak(0).0;
        let ranges = (0..n).flat_map(move |start| {
            let ends = start + 2..=n.min(start + MAX_STAGES);
            let linked = ends.take_while(move |&end| self.linked[end - 1]);
            linked.map(move |end| start..end)
        });
        // Layer `i` runs in step `i + 1`.
        let ranges = ranges.filter(move |range| {
            let mut steps = from.alive.iter().skip(range.start + 1).take(range.len());
            steps.any(|&alive| alive == peak)
        });
        ranges.filter_map(move |range| from.with(self.graph, range))
    }

    /// `from` with cascade `i` in as few turns as an arena of `most` bytes allows.
    fn with_more_rows(&self, from: Candidate, i: usize, most: usize) -> Candidate {
        let last = from.cascades[i].layers().last();
        let output = last
            .and_then(|last| self.graph.layer(last))
            .map(|l| l.output);
        let height = output.and_then(|t| self.graph.tensor(t)).map_or(1, |t| t.h);
        let mut rows: Vec<u16> = (1..=height).map(|turns| height.div_ceil(turns)).collect();
        rows.dedup();
        let more = rows.into_iter().find_map(|rows| {
            let mut cascades = from.cascades.clone();
            cascades[i].rows = u8::try_from(rows).ok()?;
            let found = Candidate::of(self.graph, &cascades)?;
            // No plan has fewer bytes than are alive.
            (found.peak(0).0 <= most && found.arena_bytes() <= most).then_some(found)
        });
        more.unwrap_or(from)
    }
}

/// Whether layer `index` can take what the one before it writes row by row: it alone reads that, and neither of the two
/// learns from a whole image; bit `i` of `learns` is set if layer `i`, below the head, does.
fn is_linked(graph: &GraphV1, learns: u64, index: usize) -> bool {
    let layers = &graph.layers;
    let Some(before) = index.checked_sub(1) else {
        return false;
    };
    let learns = |index: usize| index < 64 && learns >> index & 1 == 1;
    let between = layers[before].output;
    let readers = layers.iter().filter(|l| l.inputs.contains(&between));
    let reads = layers[index].inputs.contains(&between);
    let whole = layers[index].homeostasis.is_some() || learns(before) || learns(index);
    reads && readers.count() == 1 && !whole
}

/// A choice of cascades.
#[derive(Default)]
struct Candidate {
    cascades: Vec<Cascade>,
    buffers: Vec<Buffer>,
    /// For each tensor the one whose place it may take.
    ties: Vec<Option<usize>>,
    /// Bytes alive in each step.
    alive: Vec<usize>,
    /// Layers in cascades, then bytes that these hold.
    cost: (usize, usize),
}

impl Candidate {
    /// None if some of `cascades` cannot be one.
    fn of(graph: &GraphV1, cascades: &[Cascade]) -> Option<Self> {
        let mut bytes: Vec<usize> = graph.tensors.iter().map(Tensor::len).collect();
        let mut held_bytes = 0;
        for cascade in cascades {
            held(cascade, graph, |index, h| {
                let t = graph.tensors[usize::from(index)];
                bytes[usize::from(index)] = Tensor { h, ..t }.len();
                held_bytes += bytes[usize::from(index)];
            })?;
        }
        // Layer `i` runs in step `i + 1`, those of a cascade in that of its first, as parsing has it.
        let uses = graph.layers.iter().enumerate().map(|(index, layer)| {
            let now = Cascade::of(cascades, index).map_or(index, |c| c.first.into()) + 1;
            let [lhs, rhs] = layer.inputs;
            (now, [lhs, rhs, layer.output].map(usize::from))
        });
        let mut buffers = lifetimes(&bytes, graph.input.into(), uses);
        buffers[usize::from(graph.output)].last = graph.layers.len();
        let mut found = Self {
            buffers,
            ties: vec![None; bytes.len()],
            alive: vec![],
            cost: (
                cascades.iter().map(|c| usize::from(c.layers)).sum(),
                held_bytes,
            ),
            cascades: cascades.to_vec(),
        };
        found.tie(graph);
        found.alive = found.alive(graph.layers.len() + 1);
        Some(found)
    }

    /// With the layers of `range` together; none if they cannot be, or only with a part of another cascade.
    fn with(&self, graph: &GraphV1, range: Range<usize>) -> Option<Self> {
        let apart = |c: &&Cascade| {
            let layers = c.layers();
            layers.end <= range.start || range.end <= layers.start
        };
        let inside = |c: &Cascade| range.start <= c.layers().start && c.layers().end <= range.end;
        let mut cascades = vec![];
        for cascade in &self.cascades {
            match apart(&cascade) {
                true => cascades.push(*cascade),
                false if inside(cascade) => {}
                false => return None,
            }
        }
        let last = graph.layers.get(range.end - 1)?;
        let height = usize::from(graph.tensor(last.output)?.h);
        cascades.push(Cascade {
            first: u8::try_from(range.start).ok()?,
            layers: u8::try_from(range.len()).ok()?,
            rows: u8::try_from(height.div_ceil(MAX_TURNS)).ok()?,
        });
        cascades.sort_by_key(|cascade| cascade.first);
        if cascades.len() > MAX_CASCADES {
            return None;
        }
        Self::of(graph, &cascades)
    }

    /// Which outputs may lie over inputs, as parsing has it.
    fn tie(&mut self, graph: &GraphV1) {
        for (now, layer) in (1..).zip(&graph.layers) {
            if Cascade::of(&self.cascades, now - 1).is_some() {
                continue;
            }
            let reads = layer.inputs.map(usize::from);
            let step = step(&graph.tensors, &layer.op, reads, layer.output.into());
            self.tie_to(graph, step.writes, now, step.over());
        }
        for cascade in self.cascades.clone() {
            let Some(stages) = Stages::new(&cascade, graph) else {
                continue;
            };
            let layers = graph.layers.get(cascade.layers()).unwrap_or_default();
            let Some(last) = layers.last() else { continue };
            let can = |&read: &u8| stages.may_lie_over(&cascade, graph, read);
            let reads = layers.iter().flat_map(|l| l.inputs).filter(can);
            let reads: Vec<usize> = reads.map(usize::from).collect();
            let now = usize::from(cascade.first) + 1;
            self.tie_to(graph, last.output.into(), now, reads);
        }
    }

    /// Ties tensor `writes`, which step `now` writes, to the first of `reads` that nobody needs afterwards.
    fn tie_to(
        &mut self,
        graph: &GraphV1,
        writes: usize,
        now: usize,
        reads: impl IntoIterator<Item = usize>,
    ) {
        let reads = reads.into_iter();
        let reads = reads.filter(|&read| read != usize::from(graph.output));
        if let Some(read) = tie(&self.buffers, now, writes, reads) {
            self.ties[writes] = Some(read);
        }
    }

    /// Bytes alive in each of `n_steps` steps; what lies over another tensor counts once in the step of both.
    fn alive(&self, n_steps: usize) -> Vec<usize> {
        let mut alive = vec![0; n_steps];
        for (buffer, tie) in self.buffers.iter().zip(&self.ties) {
            let bytes = planned(buffer.bytes);
            // A tensor that no layer uses lives nowhere.
            let steps = alive.get_mut(buffer.first..=buffer.last);
            for alive in steps.unwrap_or_default() {
                *alive += bytes;
            }
            if let Some(under) = tie.map(|tie| &self.buffers[tie]) {
                alive[buffer.first] -= planned(under.bytes).min(bytes);
            }
        }
        alive
    }

    /// The most bytes alive, or `enough` if that is more, and in how many steps.
    fn peak(&self, enough: usize) -> (usize, usize) {
        let peak = self.alive.iter().copied().max().unwrap_or(0);
        match peak > enough {
            true => (
                peak,
                self.alive.iter().filter(|&&alive| alive == peak).count(),
            ),
            false => (enough, 0),
        }
    }

    /// End of the last tensor.
    fn arena_bytes(&self) -> usize {
        self.plan().arena_bytes
    }

    fn plan(&self) -> Plan {
        place(&self.buffers, self.ties.clone(), self.peak(0).0)
    }
}
