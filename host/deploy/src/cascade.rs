//! A blob in less RAM: layers that run together, a few rows at a time.
//!
//! Owns which layers do so; how many rows are held meanwhile is the runtime's (`aplysia_shared::cascade`), where
//! tensors lie is [`crate::plan`]'s. Every constant and every output bit stays, and so does the order of the layers; a
//! cascade takes more instructions than its layers one by one, as each turn begins each of them anew.
//! Flow: [`mod@crate::export`], [`mod@crate::import`], an untrained blob → **`cascade`** → blob.
//!
//! The choice is greedy: as long as some step holds more bytes than wanted, that cascade is taken which brings the most
//! bytes alive down furthest, the shortest of several that are low enough. At last each cascade takes as many rows a turn
//! as the wanted bytes allow.

use crate::arena::{place, step};
use crate::assemble::narrow;
use crate::parts::Parts;
use crate::plan::{Buffer, Plan, memory_map, planned};
use crate::{Costs, DeployError, Export};
use aplysia_shared::cascade::{Stages, heights};
use aplysia_shared::layer::{MAX_CASCADES, MAX_STAGES};
use aplysia_shared::{Cascade, GraphV1, Layer, Model, Tensor};
use std::ops::Range;

/// `blob` with an arena of at most `ram_bytes`, or of the fewest that are found if that is fewer than possible. It stays
/// as it is if it fits already; else it is another model, unsigned.
///
/// # Errors
/// The runtime refuses `blob`.
pub fn within(blob: &[u8], ram_bytes: usize) -> Result<Vec<u8>, DeployError> {
    let model = Model::parse(blob)?;
    let found = cascaded(&model.graph(), model.arena_bytes(), ram_bytes)?;
    match found {
        Some(found) => found.blob(&model, blob),
        None => Ok(blob.to_vec()),
    }
}

impl Export {
    /// As [`within`] has it; in the least RAM if `ram_bytes` is none.
    ///
    /// # Errors
    /// [`DeployError::Ram`] if it needs more; the runtime refuses the blob.
    pub fn within(mut self, ram_bytes: Option<usize>) -> Result<Self, DeployError> {
        let model = Model::parse(&self.blob)?;
        let wanted = ram_bytes.unwrap_or(0);
        if let Some(found) = cascaded(&model.graph(), model.arena_bytes(), wanted)? {
            let blob = found.blob(&model, &self.blob)?;
            let model = Model::parse(&blob)?;
            let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
            (self.costs, self.model_id) = (Costs::of(&model), model.id());
            self.map = memory_map(&names, &found.buffers, &found.plan);
            (self.plan, self.blob) = (found.plan, blob);
        }
        let least = self.plan.arena_bytes;
        match ram_bytes.filter(|&ram_bytes| least > ram_bytes) {
            Some(ram_bytes) => Err(DeployError::Ram { least, ram_bytes }),
            None => Ok(self),
        }
    }
}

/// Lifetimes of the tensors of a graph in its order, cascades included, and the most bytes alive.
pub fn lifetimes_of(graph: &GraphV1) -> (Vec<Buffer>, usize) {
    let found = Candidate::of(graph, &graph.cascades);
    found.map_or((vec![], 0), |found| {
        let peak = found.peak(0).0;
        (found.buffers, peak)
    })
}

/// A graph with cascades.
struct Cascaded {
    graph: GraphV1,
    buffers: Vec<Buffer>,
    plan: Plan,
}

impl Cascaded {
    /// In place of the graph of `model`, which is `blob`.
    fn blob(&self, model: &Model<'_>, blob: &[u8]) -> Result<Vec<u8>, DeployError> {
        let mut parts = Parts::of(model, blob);
        parts.graph = self.graph.clone();
        parts.blob()
    }
}

/// `graph` with cascades; none if its arena of `arena_bytes` is small enough, or does not shrink.
fn cascaded(
    graph: &GraphV1,
    arena_bytes: usize,
    ram_bytes: usize,
) -> Result<Option<Cascaded>, DeployError> {
    let mut plain = graph.clone();
    plain.cascades.clear();
    let best = Candidate::of(&plain, &[]).filter(|_| arena_bytes > ram_bytes);
    let Some(mut best) = best else {
        return Ok(None);
    };
    while best.peak(ram_bytes) > (ram_bytes, 0) && best.cascades.len() < MAX_CASCADES {
        let next = Candidate::next(&plain, &best.cascades);
        let next = next.min_by_key(|next| (next.peak(ram_bytes), next.cost));
        match next.filter(|next| next.peak(ram_bytes) < best.peak(ram_bytes)) {
            Some(next) => best = next,
            None => break,
        }
    }
    let most = best.plan().arena_bytes.max(ram_bytes);
    for i in 0..best.cascades.len() {
        best = best.with_more_rows(&plain, i, most);
    }
    let plan = best.plan();
    if plan.arena_bytes >= arena_bytes {
        return Ok(None);
    }
    for (tensor, &offset) in plain.tensors.iter_mut().zip(&plan.offsets) {
        tensor.offset = narrow("arena bytes", offset)?;
    }
    plain.cascades = best.cascades.iter().copied().collect();
    Ok(Some(Cascaded {
        graph: plain,
        buffers: best.buffers,
        plan,
    }))
}

/// A choice of cascades.
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
        let (layer, tensor) = (layer_of(graph), tensor_of(graph));
        let heights = heights(cascades, layer, tensor)?;
        let bytes = |(t, &h): (&Tensor, &u16)| Tensor { h, ..*t }.len();
        let bytes: Vec<usize> = graph.tensors.iter().zip(&heights).map(bytes).collect();
        let whole = graph.tensors.iter().map(Tensor::len);
        let held = bytes
            .iter()
            .zip(whole)
            .filter(|(held, whole)| *held < whole);
        let held = held.map(|(&held, _)| held).sum();
        let mut found = Self {
            buffers: lifetimes(graph, cascades, &bytes),
            ties: vec![None; bytes.len()],
            alive: vec![],
            cost: (cascades.iter().map(|c| usize::from(c.layers)).sum(), held),
            cascades: cascades.to_vec(),
        };
        found.tie(graph);
        found.alive = (0..=graph.layers.len())
            .map(|now| found.alive(now))
            .collect();
        Some(found)
    }

    /// All that have one cascade more than `cascades`, or a longer one.
    fn next<'g>(
        graph: &'g GraphV1,
        cascades: &'g [Cascade],
    ) -> impl Iterator<Item = Self> + use<'g> {
        let n = graph.layers.len().saturating_sub(1);
        let ranges = (0..n).flat_map(move |start| {
            let ends = start + 2..=n.min(start + MAX_STAGES);
            let linked = ends.take_while(move |&end| is_linked(graph, end - 1));
            linked.map(move |end| start..end)
        });
        ranges.filter_map(move |range: Range<usize>| {
            let other = |c: &&Cascade| {
                let layers = c.layers();
                layers.end <= range.start || range.end <= layers.start
            };
            let inside =
                |c: &Cascade| range.start <= c.layers().start && c.layers().end <= range.end;
            if !cascades.iter().all(|c| other(&c) || inside(c)) {
                return None;
            }
            let mut all: Vec<Cascade> = cascades.iter().filter(other).copied().collect();
            all.push(Cascade {
                first: u8::try_from(range.start).ok()?,
                layers: u8::try_from(range.len()).ok()?,
                rows: 1,
            });
            all.sort_by_key(|c| c.first);
            Self::of(graph, &all)
        })
    }

    /// Which outputs may lie over inputs, as parsing has it.
    fn tie(&mut self, graph: &GraphV1) {
        for (now, layer) in (1..).zip(&graph.layers) {
            if cascade_of(&self.cascades, now - 1).is_some() {
                continue;
            }
            let reads = layer.inputs.map(usize::from);
            let step = step(&graph.tensors, &layer.op, reads, layer.output.into());
            let can = reads.into_iter().zip(step.over).filter(|(_, can)| *can);
            self.tie_to(graph, step.writes, now, can.map(|(read, _)| read));
        }
        for cascade in self.cascades.clone() {
            let Some(stages) = Stages::new(&cascade, layer_of(graph), tensor_of(graph)) else {
                continue;
            };
            let layers = graph.layers.get(cascade.layers()).unwrap_or_default();
            let Some(last) = layers.last() else { continue };
            let row = |t: u8| {
                let t = &graph.tensors[usize::from(t)];
                usize::from(t.w) * usize::from(t.c)
            };
            let can = |&read: &u8| {
                let rows = [row(read), row(last.output)];
                stages.may_lie_over(&cascade, layer_of(graph), (read, rows))
            };
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
        let buffers = &self.buffers;
        let mut ending = reads.into_iter().filter(|&read| {
            let is_whole = buffers[read].first < now;
            is_whole && buffers[read].last == now && read != usize::from(graph.output)
        });
        if buffers[writes].first == now {
            self.ties[writes] = ending.next();
        }
    }

    fn alive(&self, now: usize) -> usize {
        let alive = |b: &Buffer| b.first <= now && now <= b.last;
        let all = self.buffers.iter().zip(&self.ties);
        let bytes = all.filter(|(b, _)| alive(b)).map(|(b, tie)| {
            let under = tie.map(|tie| &self.buffers[tie]).filter(|b| alive(b));
            let saved = under.map_or(0, |under| planned(under.bytes).min(planned(b.bytes)));
            planned(b.bytes) - saved
        });
        bytes.sum()
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

    fn plan(&self) -> Plan {
        place(&self.buffers, self.ties.clone(), self.peak(0).0)
    }

    /// With cascade `i` in as few turns as an arena of `most` bytes allows.
    fn with_more_rows(self, graph: &GraphV1, i: usize, most: usize) -> Self {
        let last = self.cascades[i].layers().last();
        let output = last.and_then(layer_of(graph)).map(|l| l.output);
        let height = output.and_then(tensor_of(graph)).map_or(1, |t| t.h);
        let mut rows = (1..=height).map(|turns| height.div_ceil(turns));
        let more = rows.find_map(|rows| {
            let mut cascades = self.cascades.clone();
            cascades[i].rows = u8::try_from(rows).ok()?;
            let found = Self::of(graph, &cascades)?;
            (found.plan().arena_bytes <= most).then_some(found)
        });
        more.unwrap_or(self)
    }
}

fn layer_of(graph: &GraphV1) -> impl Fn(usize) -> Option<Layer> + Copy {
    |index| graph.layers.get(index).copied()
}

fn tensor_of(graph: &GraphV1) -> impl Fn(u8) -> Option<Tensor> + Copy {
    |index| graph.tensors.get(usize::from(index)).copied()
}

fn cascade_of(cascades: &[Cascade], layer: usize) -> Option<&Cascade> {
    cascades.iter().find(|c| c.layers().contains(&layer))
}

/// Whether layer `index` can take what the one before it writes row by row: it alone reads that, and learns nothing.
fn is_linked(graph: &GraphV1, index: usize) -> bool {
    let layers = &graph.layers;
    let between = layers[index - 1].output;
    let readers = layers.iter().filter(|l| l.inputs.contains(&between));
    let reads = layers[index].inputs.contains(&between);
    reads && readers.count() == 1 && layers[index].homeostasis.is_none()
}

/// As parsing has them: layer `i` runs in step `i + 1`, those of a cascade in that of its first.
fn lifetimes(graph: &GraphV1, cascades: &[Cascade], bytes: &[usize]) -> Vec<Buffer> {
    let buffer = |&bytes: &usize| Buffer {
        bytes,
        first: usize::MAX,
        last: 0,
    };
    let mut buffers: Vec<Buffer> = bytes.iter().map(buffer).collect();
    buffers[usize::from(graph.input)].first = 0;
    for (index, layer) in graph.layers.iter().enumerate() {
        let now = cascade_of(cascades, index).map_or(index, |c| c.first.into()) + 1;
        for tensor in layer.inputs.into_iter().chain([layer.output]) {
            let life = &mut buffers[usize::from(tensor)];
            (life.first, life.last) = (life.first.min(now), life.last.max(now));
        }
    }
    buffers[usize::from(graph.output)].last = graph.layers.len();
    buffers
}
