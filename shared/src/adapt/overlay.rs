//! How plasticity reaches into an inference: the hooks that put the overlay over the base model.
//!
//! It owns the order of the state in the buffer and when it is read and written while layers run; it
//! must not know the arithmetic of a rule. Flow: `Plastic` lends its parts to an [`Overlay`], which
//! `network::infer_with` asks before every layer.

use super::homeostasis::{self, Activity};
use super::{AdaptError, Config, Head, MAX_CLASSES, MAX_FEATURES, MAX_OUTPUTS};
use super::{deep, domains};
use crate::blob::Model;
use crate::header::HEADER_BYTES;
use crate::kernel::dsp::Native;
use crate::kernel::sums::{CHANNELS, ChannelStat};
use crate::network::{Hooks, LayerHooks, held, sums};
use crate::quant::{Requant, i32_at};
use core::ops::Range;

/// Sizes in bytes of the parts of the buffer, in their order; the first three persist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Per homeostatic layer: mean i32 LE × O, deviation i32 LE × O.
    pub(crate) homeostasis: usize,
    /// Instar: prototypes i16 LE `[K][d]`. Delta, perceptron, reward: weights i8 `[K][d]`, then biases
    /// i32 LE × K.
    pub(crate) head: usize,
    /// The chosen layers, a bit each: no size.
    pub(crate) layers: u64,
    /// Per chosen layer below the head: weights i8 `[O][I]`, padded to 4; biases i32 LE × O.
    pub(crate) deep: usize,
    /// The kept input of the head, i8 `[d]`.
    pub(crate) features: usize,
    /// Per chosen layer below the head: its pooled activity, i16 LE × I, u16 LE × O.
    pub(crate) activity: usize,
    /// Instar: norms u32 LE × K.
    pub(crate) norms: usize,
    /// Folded constants per homeostatic layer: bias i32 LE × O, multiplier i32 LE × O, shift i8 × O.
    pub(crate) requant: usize,
}

impl Layout {
    /// Layout of the state of `model` under `config`, with everything checked that later is trusted.
    pub(crate) fn new(model: &Model<'_>, config: &Config) -> Result<Self, AdaptError> {
        config.check()?;
        let (k, d) = (model.n_classes(), model.features().len());
        let most = match config.head.learns() {
            true => MAX_CLASSES,
            false => MAX_OUTPUTS,
        };
        check_head(k, most, d)?;
        let homeostatic = config
            .homeostasis
            .map(|_| channels(model, model.n_layers()).start);
        if homeostatic == Some(0) {
            return Err(AdaptError::NoHomeostasis);
        }
        let homeostatic = homeostatic.unwrap_or(0);
        let (head, norms) = match config.head {
            Head::Base => (0, 0),
            Head::Instar { .. } if model.prototypes().is_none() => {
                return Err(AdaptError::NoPrototypes);
            }
            Head::Instar { .. } => (2 * k * d, 4 * k),
            _ if model.constants(head_layer(model)).is_none() => {
                return Err(AdaptError::NoHead);
            }
            _ => (k * d + 4 * k, 0),
        };
        let (mut deep, mut activity) = (0, 0);
        let layers = deep::choose(model, config);
        for (_, shape) in deep::chosen(model, layers) {
            deep += shape.state_bytes();
            activity += shape.activity_bytes();
        }
        if let Head::Deep { deep, .. } = config.head
            && layers == 0
        {
            let ram_bytes = deep.ram_bytes;
            return Err(AdaptError::Deep { ram_bytes });
        }
        Ok(Self {
            homeostasis: 8 * homeostatic,
            layers,
            deep,
            activity,
            head,
            features: d,
            norms,
            requant: 9 * homeostatic,
        })
    }

    /// Length of what a snapshot holds besides its header.
    pub(crate) fn persistent(&self) -> usize {
        self.homeostasis + self.head + self.deep
    }

    /// Length of everything besides the header.
    pub(crate) fn total(&self) -> usize {
        self.persistent() + self.features + self.activity + self.norms + self.requant
    }

    /// Cuts the buffer behind its header; `None` if it is shorter than [`Layout::total`].
    pub(crate) fn split<'s>(&self, body: &'s mut [u8]) -> Option<Parts<'s>> {
        let (homeostasis, rest) = body.split_at_mut_checked(self.homeostasis)?;
        let (head, rest) = rest.split_at_mut_checked(self.head)?;
        let (deep, rest) = rest.split_at_mut_checked(self.deep)?;
        let (features, rest) = rest.split_at_mut_checked(self.features)?;
        let (activity, rest) = rest.split_at_mut_checked(self.activity)?;
        let (norms, rest) = rest.split_at_mut_checked(self.norms)?;
        let (requant, behind) = rest.split_at_mut_checked(self.requant)?;
        Some(Parts {
            homeostasis,
            head,
            deep,
            features,
            activity,
            norms,
            requant,
            behind,
        })
    }
}

/// `state_bytes` of a model of so many outputs and inputs of its head under [`Config::NOTHING`].
pub(crate) fn idle_state_bytes(outputs: usize, features: usize) -> Result<usize, AdaptError> {
    check_head(outputs, MAX_OUTPUTS, features)?;
    Ok(HEADER_BYTES + features)
}

/// Whether `k` outputs are at most `most`, and the `d` inputs of the head as few as are taken.
fn check_head(k: usize, most: usize, d: usize) -> Result<(), AdaptError> {
    within(k, most).map_err(|(got, max)| AdaptError::TooManyClasses { got, max })?;
    within(d, MAX_FEATURES).map_err(|(got, max)| AdaptError::TooManyFeatures { got, max })
}

fn within(got: usize, max: usize) -> Result<(), (usize, usize)> {
    if got > max { Err((got, max)) } else { Ok(()) }
}

/// The parts of the buffer; see [`Layout`].
pub(crate) struct Parts<'s> {
    pub(crate) homeostasis: &'s mut [u8],
    pub(crate) head: &'s mut [u8],
    pub(crate) deep: &'s mut [u8],
    pub(crate) features: &'s mut [u8],
    pub(crate) activity: &'s mut [u8],
    pub(crate) norms: &'s mut [u8],
    pub(crate) requant: &'s mut [u8],
    /// The rest of the buffer: see [`domains`].
    pub(crate) behind: &'s mut [u8],
}

/// Index of the head, the last layer.
pub(crate) fn head_layer(model: &Model<'_>) -> usize {
    model.n_layers().saturating_sub(1)
}

/// Channels of `layer` that keep statistics: 0 without such a section, and for the head.
pub(crate) fn n_homeostatic(model: &Model<'_>, layer: usize) -> usize {
    if layer == head_layer(model) {
        return 0;
    }
    model
        .homeostasis(layer)
        .map_or(0, |source| source.mean.len() / 4)
}

/// The first layer that keeps statistics.
pub(crate) fn first_followed(model: &Model<'_>) -> Option<usize> {
    (0..model.n_layers()).find(|&layer| n_homeostatic(model, layer) > 0)
}

/// The channels of `layer` among those of all homeostatic layers.
fn channels(model: &Model<'_>, layer: usize) -> Range<usize> {
    let start = (0..layer).map(|l| n_homeostatic(model, l)).sum();
    start..start + n_homeostatic(model, layer)
}

/// Folds the running statistics of all layers into their constants.
pub(crate) fn fold(model: &Model<'_>, parts: &mut Parts<'_>) {
    let mut end = 0;
    for layer in 0..model.n_layers() {
        let n = n_homeostatic(model, layer);
        let start = end;
        end += n;
        if let Some(running) = parts.homeostasis.get(8 * start..8 * end)
            && let Some(folded) = parts.requant.get_mut(9 * start..9 * end)
            && n > 0
        {
            fold_channels(model, layer, 0..n, running, folded);
        }
    }
}

/// Folds `channels` of `layer`, whose statistics and constants are `running` and `folded`.
fn fold_channels(
    model: &Model<'_>,
    layer: usize,
    channels: Range<usize>,
    running: &[u8],
    folded: &mut [u8],
) {
    let (Some(source), Some(base)) = (model.homeostasis(layer), model.constants(layer)) else {
        return;
    };
    let n = running.len() / 8;
    for channel in channels {
        let target = Activity {
            mean: i32_at(source.mean, channel),
            deviation: i32_at(source.deviation, channel),
        };
        let (now, constants) = (activity(running, channel), base.requant.channel(channel));
        let (bias, multiplier, shift) = homeostasis::fold(target, now, constants, base.fan_in);
        put_i32(folded, channel, bias);
        put_i32(folded, n + channel, multiplier);
        if let Some(to) = folded.get_mut(8 * n + channel) {
            *to = shift.cast_unsigned();
        }
    }
}

/// What looks on while one inference runs.
pub(crate) struct Overlay<'p, 'm, 'a> {
    pub(crate) model: &'m Model<'a>,
    pub(crate) config: Config,
    /// The chosen layers below the head.
    pub(crate) layers: u64,
    /// How many images homeostasis followed before this one, if it follows this one.
    pub(crate) follows: Option<u16>,
    /// How many looks were taken for [`domains`], if it takes them.
    pub(crate) looks: Option<u16>,
    /// Whether looks are all that is taken: see [`domains`].
    pub(crate) sealed: bool,
    pub(crate) parts: Parts<'p>,
}

impl Overlay<'_, '_, '_> {
    /// Takes what `layer` is about to compute into the statistics of its `channels`, and those into its constants.
    fn follow(
        &mut self,
        layer: usize,
        Range { start, end }: Range<usize>,
        arena: &[i8],
    ) -> Option<()> {
        let (followed, shift) = (self.follows?, self.config.homeostasis?);
        let running = self.parts.homeostasis.get_mut(8 * start..8 * end)?;
        let folded = self.parts.requant.get_mut(9 * start..9 * end)?;
        let sums = sums(self.model, layer, arena)?;
        let lattice = homeostasis::lattice(followed, sums.n_pixels());
        let shift = homeostasis::momentum(shift, followed);
        let n = end - start;
        let n_followed = match (self.sealed, start) {
            (false, _) => n,
            (true, 0) => n.min(CHANNELS),
            (true, _) => 0,
        };
        let turn = |&first: &usize| homeostasis::is_turn((start + first) / CHANNELS, followed);
        for first in (0..n_followed).step_by(CHANNELS).filter(turn) {
            let channels = first..n.min(first + CHANNELS);
            let mut stats = [ChannelStat::default(); CHANNELS];
            let stats = stats.get_mut(..channels.len())?;
            let seen = (self.looks.filter(|_| self.sealed))
                .and_then(|looks| domains::seen(self.parts.behind, channels.len(), looks));
            for (i, (channel, stat)) in channels.clone().zip(&mut *stats).enumerate() {
                stat.center = match seen {
                    Some(seen) => activity(seen, i).mean,
                    None => activity(running, channel).mean,
                };
            }
            let pixels = sums.add::<Native>(first, lattice, stats);
            if let Some(looks) = self.looks
                && start + first == 0
            {
                domains::look(self.parts.behind, stats, pixels, looks);
            }
            if self.sealed {
                continue;
            }
            for (channel, stat) in channels.clone().zip(&*stats) {
                let now = activity(running, channel);
                let now = homeostasis::observe(now, stat, pixels, shift);
                put_activity(running, channel, now);
            }
            fold_channels(self.model, layer, channels, running, folded);
        }
        Some(())
    }

    /// The folded constants of `layer`, behind this image if it is followed.
    fn homeostatic(&mut self, layer: usize, arena: &[i8]) -> Option<LayerHooks<'_>> {
        let n = n_homeostatic(self.model, layer);
        if n == 0 || self.config.homeostasis.is_none() {
            return None;
        }
        let channels = channels(self.model, layer);
        self.follow(layer, channels.clone(), arena);
        let Range { start, end } = channels;
        let folded = self.parts.requant.get(9 * start..9 * end)?;
        let (bias, rest) = folded.split_at_checked(4 * n)?;
        let (multiplier, shift) = rest.split_at_checked(4 * n)?;
        Some(LayerHooks {
            requant: Some(Requant {
                bias,
                multiplier,
                shift,
            }),
            weights: None,
        })
    }

    /// The learned weights of a chosen layer below the head.
    fn learned_below(&self, layer: usize) -> Option<LayerHooks<'_>> {
        let (shape, place, _) = deep::places(self.model, self.layers, layer)?;
        let base = self.model.constants(layer)?;
        let n = shape.inputs * shape.outputs;
        let learned = self.parts.deep.get(place)?;
        let (weights, bias) = learned.split_at_checked(shape.weight_bytes())?;
        Some(LayerHooks {
            requant: Some(Requant {
                bias,
                ..base.requant
            }),
            weights: weights.get(..n),
        })
    }

    /// The learned head.
    fn learned_head(&self) -> Option<LayerHooks<'_>> {
        let base = self.model.constants(head_layer(self.model))?;
        let (weights, bias) = self.parts.head.split_at_checked(base.weights.len())?;
        Some(LayerHooks {
            requant: Some(Requant {
                bias,
                ..base.requant
            }),
            weights: Some(weights),
        })
    }
}

impl Hooks for Overlay<'_, '_, '_> {
    fn layer(&mut self, layer: usize, arena: &[i8]) -> LayerHooks<'_> {
        let hooks = if deep::has(self.layers, layer) {
            self.learned_below(layer)
        } else if layer != head_layer(self.model) {
            self.homeostatic(layer, arena)
        } else if self.config.head.owns_weights() {
            self.learned_head()
        } else {
            None
        };
        hooks.unwrap_or_default()
    }

    fn ran(&mut self, layer: usize, arena: &[i8]) {
        if deep::has(self.layers, layer)
            && let Some(at) = self.model.layer(layer)
            && let Some(read) = self.model.tensor(at.inputs[0])
            && let Some(written) = self.model.tensor(at.output)
            && let Some(input) = held(arena, &read)
            && let Some(output) = held(arena, &written)
            && let Some((shape, _, place)) = deep::places(self.model, self.layers, layer)
            && let Some(activity) = self.parts.activity.get_mut(place)
        {
            deep::pool(
                activity,
                shape,
                (input, read.zero_point),
                (output, at.clamp),
            );
        }
    }

    fn features(&mut self, features: &[i8]) {
        for (kept, &q) in self.parts.features.iter_mut().zip(features) {
            *kept = q.cast_unsigned();
        }
    }
}

/// Statistics of `channel` in a layer's part, means first.
pub(crate) fn activity(bytes: &[u8], channel: usize) -> Activity {
    Activity {
        mean: i32_at(bytes, channel),
        deviation: i32_at(bytes, bytes.len() / 8 + channel),
    }
}

pub(crate) fn put_activity(bytes: &mut [u8], channel: usize, now: Activity) {
    let n = bytes.len() / 8;
    put_i32(bytes, channel, now.mean);
    put_i32(bytes, n + channel, now.deviation);
}

/// Writes the `index`-th little-endian i32 of `bytes`, if there is one.
pub(crate) fn put_i32(bytes: &mut [u8], index: usize, value: i32) {
    if let Some(word) = bytes.as_chunks_mut::<4>().0.get_mut(index) {
        *word = value.to_le_bytes();
    }
}
