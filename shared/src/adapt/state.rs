//! The life of a learned state: made, forgotten, taken out and put back.
//!
//! It owns what the buffer holds before anything is learned, and snapshots; it must not know how the
//! state changes while it learns. Flow: blob → fresh state → (learning) → snapshot → restored state.

use super::deep;
use super::overlay::{Layout, Parts, fold, head_layer, n_homeostatic, put_i32};
use super::schedule::{Schedule, Scheduler};
use super::snapshot::{ALONE, Found, Header};
use super::{AdaptError, Config, Costs, Counters, Head, MAX_OUTPUTS, Plastic, bias_limit, instar};
use crate::blob::Model;
use crate::bytes;
use crate::header::{CRC_WORD, HEADER_BYTES};
use crate::quant::i32_at;
use crate::rng::XorShift32;

impl<'b> Plastic<'b> {
    /// The state of `model` before anything is learned. `seed` starts the stochastic rounding.
    ///
    /// # Errors
    /// `model` cannot learn under `config`, or `buffer` is shorter than [`super::state_bytes`].
    pub fn new(
        model: &Model<'_>,
        config: Config,
        seed: u32,
        buffer: &'b mut [u8],
    ) -> Result<Self, AdaptError> {
        let layout = Layout::new(model, &config)?;
        let mut plastic = Self {
            header: fresh(model, config, seed),
            layout,
            scores: [0; MAX_OUTPUTS],
            n_classes: model.n_classes(),
            pending: None,
            scheduler: Scheduler::new(Schedule::ALWAYS),
            costs: Costs::of(model, config),
            recall: None,
            buffer,
        };
        plastic.configure(model, config, seed)?;
        Ok(plastic)
    }

    /// As [`Plastic::new`], in the same buffer.
    ///
    /// # Errors
    /// As [`Plastic::new`].
    pub fn configure(
        &mut self,
        model: &Model<'_>,
        config: Config,
        seed: u32,
    ) -> Result<(), AdaptError> {
        self.base(model, config, seed)?;
        self.forget_domains(model);
        Ok(())
    }

    /// [`Plastic::configure`] that leaves slots of other domains alone; `config` is the same then.
    pub(super) fn base(
        &mut self,
        model: &Model<'_>,
        config: Config,
        seed: u32,
    ) -> Result<(), AdaptError> {
        let layout = self.fitting(model, &config)?;
        self.header = fresh(model, config, seed);
        self.layout = layout;
        self.costs = Costs::of(model, config);
        self.n_classes = model.n_classes();
        self.scores = [0; MAX_OUTPUTS];
        self.pending = None;
        let parts = self.parts()?;
        let mut running = &mut *parts.homeostasis;
        for layer in 0..model.n_layers() {
            let Some(source) = model.homeostasis(layer) else {
                continue;
            };
            let n = n_homeostatic(model, layer);
            if let Some((means, rest)) = running.split_at_mut_checked(4 * n)
                && let Some((deviations, rest)) = rest.split_at_mut_checked(4 * n)
                && n > 0
            {
                bytes::copy(means, source.mean);
                bytes::copy(deviations, source.deviation);
                running = rest;
            } else {
                running = &mut [];
            }
        }
        base_head(model, config.head, parts.head);
        base_deep(model, layout.layers, parts.deep);
        self.derive(model)
    }

    /// Forgets everything learned: the very bytes [`Plastic::new`] began with.
    ///
    /// # Errors
    /// The state belongs to another model.
    pub fn reset(&mut self, model: &Model<'_>) -> Result<(), AdaptError> {
        self.check(model)?;
        self.configure(model, self.header.config, self.header.seed)
    }

    /// CRC-32 of the snapshot: two machines that agree in it have learned the same.
    pub fn digest(&self) -> u32 {
        let bytes = self.header.encode(self.persistent(), ALONE);
        i32_at(&bytes, CRC_WORD).cast_unsigned()
    }

    /// Everything learned, counters, configuration and seed, checksummed: see [`Plastic::restore`]. Of domain
    /// slots it holds the state in use alone; [`Plastic::snapshot_all`] holds them all, and terms.
    pub fn snapshot(&mut self) -> &[u8] {
        let header = self.header.encode(self.persistent(), ALONE);
        if let Some(bytes) = self.buffer.first_chunk_mut::<HEADER_BYTES>() {
            *bytes = header;
        }
        let len = HEADER_BYTES + self.layout.persistent();
        self.buffer.get(..len).unwrap_or_default()
    }

    /// Takes over the configuration and everything learned from `snapshot`, domain slots if it has them. By its terms
    /// a start goes on: [`Guard::resume`](super::guard::Guard::resume).
    ///
    /// # Errors
    /// The snapshot is damaged, of another version or of another model, or its configuration or slots need a
    /// larger buffer. Nothing has changed then.
    pub fn restore(&mut self, model: &Model<'_>, snapshot: &[u8]) -> Result<(), AdaptError> {
        let slots = self.slots_in(model, snapshot)?;
        self.put_back(model, snapshot)?;
        match slots {
            Some(slots) => self.set_slots(model, slots)?,
            None => self.forget_domains(model),
        }
        Ok(())
    }

    /// [`Plastic::restore`] that leaves slots of other domains alone: for a snapshot of the configuration in
    /// force, or where they are emptied next.
    pub(super) fn put_back(
        &mut self,
        model: &Model<'_>,
        snapshot: &[u8],
    ) -> Result<(), AdaptError> {
        let Found {
            header,
            body,
            with_slots,
            ..
        } = Header::decode(snapshot)?;
        if header.model != model.id() {
            return Err(AdaptError::WrongModel);
        }
        let layout = self.fitting(model, &header.config)?;
        let wrong = AdaptError::SnapshotLength {
            got_bytes: snapshot.len(),
            want_bytes: snapshot.len() - body.len() + layout.persistent(),
        };
        let (state, rest) = body.split_at_checked(layout.persistent()).ok_or(wrong)?;
        if !with_slots && !rest.is_empty() {
            return Err(wrong);
        }
        if !is_possible(model, header.config, &layout, state) {
            return Err(AdaptError::SnapshotContent);
        }
        self.costs = Costs::of(model, header.config);
        self.header = header;
        self.layout = layout;
        self.n_classes = model.n_classes();
        self.scores = [0; MAX_OUTPUTS];
        self.pending = None;
        if let Some(body) = self
            .buffer
            .get_mut(HEADER_BYTES..HEADER_BYTES + state.len())
        {
            body.copy_from_slice(state);
        }
        self.derive(model)
    }

    /// The layout of `config`, if the buffer can hold it.
    fn fitting(&self, model: &Model<'_>, config: &Config) -> Result<Layout, AdaptError> {
        let layout = Layout::new(model, config)?;
        let (got_bytes, want_bytes) = (self.buffer.len(), HEADER_BYTES + layout.total());
        if got_bytes < want_bytes {
            return Err(AdaptError::Buffer {
                got_bytes,
                want_bytes,
            });
        }
        Ok(layout)
    }

    /// What a snapshot holds of the state in use.
    pub(super) fn persistent(&self) -> &[u8] {
        let end = HEADER_BYTES + self.layout.persistent();
        self.buffer.get(HEADER_BYTES..end).unwrap_or_default()
    }

    /// Computes what a snapshot leaves out.
    pub(super) fn derive(&mut self, model: &Model<'_>) -> Result<(), AdaptError> {
        let mut parts = self.parts()?;
        fold(model, &mut parts);
        let Parts {
            head,
            norms,
            features,
            activity,
            ..
        } = parts;
        activity.fill(0);
        let rows = bytes::rows(head, 2 * features.len());
        for (class, row) in rows.enumerate() {
            put_i32(norms, class, instar::norm(row).cast_signed());
        }
        Ok(())
    }
}

/// Whether learning can have led to `state`: no bias is beyond what its accumulator takes.
pub(super) fn is_possible(
    model: &Model<'_>,
    config: Config,
    layout: &Layout,
    state: &[u8],
) -> bool {
    let within = |biases: &[u8], n: usize, fan_in: usize| {
        let limit = bias_limit(fan_in, 0);
        (0..n).all(|i| i64::from(i32_at(biases, i)).abs() <= limit)
    };
    let (k, d) = (model.n_classes(), layout.features);
    let head = state.get(layout.homeostasis + k * d..).unwrap_or_default();
    if config.head.owns_weights() && !within(head, k, d) {
        return false;
    }
    let below = layout.homeostasis + layout.head;
    let deep = state.get(below..).unwrap_or_default();
    deep::chosen(model, layout.layers).all(|(layer, shape)| {
        let place = deep::places(model, layout.layers, layer).map(|(_, place, _)| place);
        let biases = place.and_then(|place| deep.get(place)?.get(shape.weight_bytes()..));
        within(biases.unwrap_or_default(), shape.outputs, shape.inputs)
    })
}

impl Costs {
    fn of(model: &Model<'_>, config: Config) -> Self {
        let observe = config.homeostasis.map(|_| model.observe_instructions());
        Self {
            observe: observe.unwrap_or(0),
            label: model.label_instructions(&config),
        }
    }
}

fn fresh(model: &Model<'_>, config: Config, seed: u32) -> Header {
    Header {
        config,
        model: model.id(),
        seed,
        // Spread out, as a generator with few bits set in its state begins with small numbers.
        rng: XorShift32::new(seed.wrapping_mul(0x9E37_79B9)).state(),
        counters: Counters::default(),
        followed: 0,
    }
}

/// Copies into `to` what the layers below the head start from.
fn base_deep(model: &Model<'_>, layers: u64, to: &mut [u8]) {
    to.fill(0);
    for (layer, shape) in deep::chosen(model, layers) {
        let place = deep::places(model, layers, layer).map(|(_, place, _)| place);
        let Some(to) = place.and_then(|place| to.get_mut(place)) else {
            continue;
        };
        let (weights, biases) = to.split_at_mut(shape.weight_bytes().min(to.len()));
        deep::unpack(model, layer, shape, weights);
        let base = model.constants(layer).map_or(&[][..], |c| c.requant.bias);
        for (to, &from) in biases.iter_mut().zip(base) {
            *to = from;
        }
    }
}

/// Copies into `head` what the rule starts from.
fn base_head(model: &Model<'_>, rule: Head, head: &mut [u8]) {
    let (first, second): (&[u8], &[u8]) = match rule {
        Head::Base => (&[], &[]),
        Head::Instar { .. } => (model.prototypes().unwrap_or_default(), &[]),
        _ => model
            .constants(head_layer(model))
            .map_or((&[], &[]), |base| (base.weights, base.requant.bias)),
    };
    for (to, &from) in head.iter_mut().zip(first.iter().chain(second)) {
        *to = from;
    }
}
