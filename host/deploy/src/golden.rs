//! The golden set of a blob: labelled samples on which a device measures what it has learned.
//!
//! Owns which samples are taken and their bytes (`FORMAT.md`); it must not know how they are scored
//! (`aplysia_shared::adapt::guard`) nor where images come from: the caller gives images that are not test
//! images. Flow: [`GoldenSpec`] in the `Content` → `export` → [`GoldenSet`] → blob; or [`attach`] to a
//! blob that exists.
//!
//! The set is balanced: the first image of each class in the order given, then the second of each, until `n`
//! are taken. Images that the model gets wrong come last, in the same order: a right sample that turns wrong is
//! then always a loss, which no wrong one that turns right can hide. Bytes in the blob: `4 + n` rounded up to
//! 4, `+ n · sample`, where a sample is an input of the model or of its last layer.

use crate::DeployError;
use crate::parts::Parts;
use aplysia_live::evaluate::{Images, argmax, input_of_pixels};
use aplysia_shared::blob::{GoldenKind, MAX_GOLDEN};
use aplysia_shared::{Hooks, Model, infer_with};
use aplysia_space::Network;

/// Samples of a golden set unless told otherwise.
pub const DEFAULT_GOLDEN: usize = 32;

/// What a golden set is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoldenSpec {
    /// What the samples are.
    pub kind: GoldenKind,
    /// How many, `1 ..= MAX_GOLDEN`.
    pub n: usize,
}

impl GoldenSpec {
    /// `inputs` or `features`.
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            GoldenKind::Inputs => "inputs",
            GoldenKind::Features => "features",
        }
    }
}

/// Labelled int8 samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoldenSet {
    kind: GoldenKind,
    labels: Vec<u8>,
    samples: Vec<i8>,
}

/// Keeps the input of the last layer.
#[derive(Default)]
struct Features(Vec<i8>);

impl Hooks for Features {
    fn features(&mut self, features: &[i8]) {
        self.0 = features.to_vec();
    }
}

impl GoldenSet {
    /// The first `spec.n` of `images`, classes in turn, those that `model` gets right before the others.
    ///
    /// # Errors
    /// More samples than the format or `images` hold, none, or images that do not fit `model`.
    pub fn choose(
        model: &Model<'_>,
        images: Images<'_>,
        spec: GoldenSpec,
    ) -> Result<Self, DeployError> {
        images.check(model)?;
        let have = images.labels.len();
        if !(1..=MAX_GOLDEN.min(have)).contains(&spec.n) {
            return Err(DeployError::Golden {
                got: spec.n,
                limit: MAX_GOLDEN.min(have),
            });
        }
        let image_bytes = model.input().len();
        let mut set = Self {
            kind: spec.kind,
            labels: Vec::new(),
            samples: Vec::new(),
        };
        let (mut arena, mut scores) = (vec![0; model.arena_bytes()], vec![0; model.n_classes()]);
        let mut wrong = vec![];
        for index in in_turn(images.labels, model.n_classes()) {
            if set.labels.len() == spec.n {
                break;
            }
            let label = images.labels[index];
            let byte = u8::try_from(label).map_err(|_| DeployError::Capacity {
                part: "class of a golden sample",
                got: label.into(),
                limit: u8::MAX.into(),
            })?;
            let input = input_of_pixels(&images.pixels[index * image_bytes..][..image_bytes]);
            let mut features = Features::default();
            infer_with(model, &mut arena, &input, &mut scores, &mut features)?;
            let sample = match spec.kind {
                GoldenKind::Inputs => input,
                GoldenKind::Features => features.0,
            };
            match argmax(&scores) == usize::from(label) {
                true => set.push(byte, sample),
                false => wrong.push((byte, sample)),
            }
        }
        let missing = spec.n - set.labels.len();
        for (label, sample) in wrong.into_iter().take(missing) {
            set.push(label, sample);
        }
        Ok(set)
    }

    fn push(&mut self, label: u8, sample: Vec<i8>) {
        self.labels.push(label);
        self.samples.extend(sample);
    }

    /// Zeros of the right length.
    pub(crate) fn placeholder(network: &Network, spec: GoldenSpec) -> Self {
        let sample = match spec.kind {
            GoldenKind::Inputs => network.nodes[0].shape.len(),
            GoldenKind::Features => network.input_shape(network.nodes.len() - 1).len(),
        };
        Self {
            kind: spec.kind,
            labels: vec![0; spec.n],
            samples: vec![0; spec.n * sample],
        }
    }

    /// As it lies in the blob.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let kind: u16 = match self.kind {
            GoldenKind::Inputs => 0,
            GoldenKind::Features => 1,
        };
        let n = u16::try_from(self.labels.len()).unwrap_or(u16::MAX);
        let mut bytes = [kind.to_le_bytes(), n.to_le_bytes()].concat();
        bytes.extend(&self.labels);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend(self.samples.iter().map(|q| q.cast_unsigned()));
        bytes
    }
}

/// Indices of `labels`: the first of each class, then the second of each, and so on.
fn in_turn(labels: &[u16], n_classes: usize) -> Vec<usize> {
    let mut seen = vec![0_usize; n_classes];
    let turn = |(index, &label): (usize, &u16)| {
        let nth = &mut seen[usize::from(label)];
        *nth += 1;
        (*nth, label, index)
    };
    let mut order: Vec<_> = labels.iter().enumerate().map(turn).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, _, index)| index).collect()
}

/// The blob of `model` with `set` as its golden set, another model by its id and unsigned; graph, constants and update
/// counter stay.
///
/// # Errors
/// `model` has a golden set already, or the runtime refuses it with one.
pub fn attach(model: &Model<'_>, set: &GoldenSet) -> Result<Vec<u8>, DeployError> {
    if model.golden().is_some() {
        return Err(DeployError::GoldenTwice);
    }
    let mut parts = Parts::new(model.graph(), model.data().to_vec());
    parts.counter = model.counter();
    parts.add_golden(set)?;
    parts.blob()
}
