//! What a label, or a reward, teaches the head.
//!
//! It owns the order in which classes learn, and the counters; the arithmetic is the rules'. Flow: the kept
//! input and scores of the last image, and a label or a reward → changed head.

use super::deep::{self, Deep};
use super::delta::{self, Softmax};
use super::overlay::{Parts, head_layer, put_i32};
use super::scaled::Scaled;
use super::{AdaptError, Head, MAX_CLASSES, Plastic, instar, perceptron, reward};
use crate::blob::Model;
use crate::bytes;
use crate::quant::Requant;
use crate::rng::XorShift32;

impl Plastic<'_> {
    /// Learns that the last image is of class `label`, once per image, if the schedule wants it; true if
    /// that was predicted. The head `reward` is told that much and no more.
    ///
    /// # Errors
    /// The state belongs to another model, there is no such class, or no image is waiting.
    pub fn learn(&mut self, model: &Model<'_>, label: usize) -> Result<bool, AdaptError> {
        self.check(model)?;
        let n_classes = self.n_classes;
        if label >= n_classes {
            return Err(AdaptError::Label {
                got: label,
                n_classes,
            });
        }
        let last = self.pending.take().ok_or(AdaptError::NothingInferred)?;
        let (predicted, right) = (last.class, last.class == label);
        if self.header.config.head.learns() && !last.wanted {
            return Ok(right);
        }
        match self.header.config.head {
            Head::Base => {}
            Head::Instar { shift } => self.learn_prototype(model, label, shift)?,
            Head::Delta { rate } => {
                self.learn_probable(model, rate, |p, class| error_of(p, class, label))?;
            }
            Head::Deep { rate, deep } => {
                self.learn_below(model, deep, label)?;
                self.learn_probable(model, rate, |p, class| error_of(p, class, label))?;
            }
            Head::Perceptron { rate, margin } => {
                let scores = self.scores.get(..n_classes).unwrap_or_default();
                let rivals = perceptron::rivals(scores, predicted, label, margin);
                if let Some((up, down)) = rivals {
                    let sign = |class| i32::from(class == up) - i32::from(class == down);
                    self.learn_rows(model, rate, |class| sign(class) << 15)?;
                }
            }
            Head::Reward { rate } => self.learn_reward(model, rate, predicted, right)?,
        }
        self.count(right);
        Ok(right)
    }

    /// Learns whether the class predicted for the last image was right, once per image, if the schedule wants
    /// it.
    ///
    /// # Errors
    /// The head is not `reward`, the state belongs to another model, or no image is waiting.
    pub fn reward(&mut self, model: &Model<'_>, right: bool) -> Result<(), AdaptError> {
        self.check(model)?;
        let Head::Reward { rate } = self.header.config.head else {
            return Err(AdaptError::NeedsLabel);
        };
        let last = self.pending.take().ok_or(AdaptError::NothingInferred)?;
        if last.wanted {
            self.learn_reward(model, rate, last.class, right)?;
            self.count(right);
        }
        Ok(())
    }

    fn count(&mut self, right: bool) {
        let counters = &mut self.header.counters;
        counters.labels = counters.labels.saturating_add(1);
        counters.mistakes = counters.mistakes.saturating_add(u32::from(!right));
        if self.header.config.head.learns() {
            self.scheduler.learned(self.costs.label);
        }
    }

    fn learn_reward(
        &mut self,
        model: &Model<'_>,
        rate: u16,
        chosen: usize,
        right: bool,
    ) -> Result<(), AdaptError> {
        self.learn_probable(model, rate, |softmax, class| {
            reward::error(softmax, class, chosen, right)
        })
    }

    fn learn_prototype(
        &mut self,
        model: &Model<'_>,
        label: usize,
        shift: u8,
    ) -> Result<(), AdaptError> {
        let zero_point = model.features().zero_point;
        let Parts {
            head,
            norms,
            features,
            ..
        } = self.parts()?;
        if let Some(row) = bytes::rows_mut(head, 2 * features.len()).nth(label) {
            let norm = instar::learn(row, features, zero_point, shift);
            put_i32(norms, label, norm.cast_signed());
        }
        Ok(())
    }

    /// A copy of the scores of a model that learns, which has no more classes.
    fn class_scores(&self) -> [i8; MAX_CLASSES] {
        let scores = self.scores.first_chunk();
        scores.copied().unwrap_or([0; MAX_CLASSES])
    }

    /// [`Plastic::learn_rows`] by errors that the probabilities give.
    fn learn_probable(
        &mut self,
        model: &Model<'_>,
        rate: u16,
        error: impl Fn(&Softmax<'_>, usize) -> i32,
    ) -> Result<(), AdaptError> {
        let scores = self.class_scores();
        let softmax = softmax(model, &scores);
        self.learn_rows(model, rate, |class| error(&softmax, class))
    }

    /// Moves every class by its error (Q15), in order.
    fn learn_rows(
        &mut self,
        model: &Model<'_>,
        rate: u16,
        error: impl Fn(usize) -> i32,
    ) -> Result<(), AdaptError> {
        let mut rng = XorShift32::new(self.header.rng);
        let n_classes = self.n_classes;
        let (input, output) = (model.features(), model.output());
        let scales = delta::Scales {
            input: Scaled::from_f32(input.scale),
            output: Scaled::from_f32(output.scale),
            rate,
        };
        let base = model
            .constants(head_layer(model))
            .ok_or(AdaptError::WrongModel)?;
        let Parts { head, features, .. } = self.parts()?;
        let (weights, biases) = head
            .split_at_mut_checked(features.len() * n_classes)
            .ok_or(AdaptError::WrongModel)?;
        let rows = weights.chunks_exact_mut(features.len().max(1));
        for (class, (weights, bias)) in rows.zip(biases.chunks_exact_mut(4)).enumerate() {
            let error = error(class);
            if error == 0 {
                continue;
            }
            let (_, multiplier, shift) = base.requant.channel(class);
            let neuron = delta::Neuron {
                weights,
                bias,
                multiplier,
                shift,
            };
            let inputs = features
                .iter()
                .map(|&f| i32::from(instar::centred(f, input.zero_point)));
            delta::learn(neuron, error, (inputs, 0), &scales, &mut rng);
        }
        self.header.rng = rng.state();
        Ok(())
    }

    /// Moves every chosen layer below the head, in order, by the error that is fed back to it.
    fn learn_below(
        &mut self,
        model: &Model<'_>,
        chosen: Deep,
        label: usize,
    ) -> Result<(), AdaptError> {
        let mut rng = XorShift32::new(self.header.rng);
        let feedback = (chosen.feedback, self.header.seed);
        let (scores, n_classes) = (self.class_scores(), self.n_classes);
        let softmax = softmax(model, &scores);
        let mut errors = [0; MAX_CLASSES];
        for (class, error) in errors.iter_mut().enumerate().take(n_classes) {
            *error = error_of(&softmax, class, label);
        }
        let errors = errors.get(..n_classes).unwrap_or_default();
        let layers = self.layout.layers;
        let Parts { deep, activity, .. } = self.parts()?;
        for (layer, shape) in deep::chosen(model, layers) {
            let learned = below(model, layers, layer, deep, activity);
            let (scales, requant, (weights, biases), activity) =
                learned.ok_or(AdaptError::WrongModel)?;
            let scales = delta::Scales {
                rate: chosen.rate,
                ..scales
            };
            let rows = weights.chunks_exact_mut(shape.inputs.max(1));
            let rows = rows.zip(biases.chunks_exact_mut(4)).take(shape.outputs);
            for (o, (weights, bias)) in rows.enumerate() {
                let place = (layer, shape, o);
                let error = deep::error(model, feedback, place, activity, errors);
                if error == 0 {
                    continue;
                }
                let (_, multiplier, shift) = requant.channel(o);
                let neuron = delta::Neuron {
                    weights,
                    bias,
                    multiplier,
                    shift,
                };
                let inputs = (0..shape.inputs).map(|i| deep::input(activity, i));
                delta::learn(neuron, error, (inputs, 7), &scales, &mut rng);
            }
        }
        self.header.rng = rng.state();
        Ok(())
    }
}

/// `[c = y] − p_c` in Q15.
fn error_of(softmax: &Softmax<'_>, class: usize, label: usize) -> i32 {
    (i32::from(class == label) << 15) - softmax.probability(class)
}

/// The softmax of the head's scores.
fn softmax<'s>(model: &Model<'_>, scores: &'s [i8; MAX_CLASSES]) -> Softmax<'s> {
    let scores = scores.get(..model.n_classes()).unwrap_or_default();
    Softmax::new(scores, Scaled::from_f32(model.output().scale))
}

/// A chosen layer: scales at rate 0, requantization, weights and biases, pooled activity.
type Below<'p, 'm> = (
    delta::Scales,
    Requant<'m>,
    (&'p mut [u8], &'p mut [u8]),
    &'p [u8],
);

fn below<'p, 'm>(
    model: &Model<'m>,
    layers: u64,
    layer: usize,
    deep: &'p mut [u8],
    activity: &'p [u8],
) -> Option<Below<'p, 'm>> {
    let at = model.layer(layer)?;
    let scale = |i: u8| Some(Scaled::from_f32(model.tensor(i)?.scale));
    let (shape, place, active) = deep::places(model, layers, layer)?;
    Some((
        delta::Scales {
            input: scale(at.inputs[0])?,
            output: scale(at.output)?,
            rate: 0,
        },
        model.constants(layer)?.requant,
        deep.get_mut(place)?
            .split_at_mut_checked(shape.weight_bytes())?,
        activity.get(active)?,
    ))
}
