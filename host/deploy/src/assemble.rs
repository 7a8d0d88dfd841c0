//! Network + integers → blob bytes.
//!
//! Owns the order of tensors, layers and constants in the blob. One assembly serves export and the cost
//! of an untrained network: every number that depends on training has a fixed size, so the length
//! depends on the network and the [`Content`] only. Flow: [`mod@crate::quantize`], [`crate::plan`] →
//! **`assemble`** → `aplysia_shared::blob`.
//!
//! Tensors and layers are those of [`crate::lowering`], in its order.

use crate::DeployError;
use crate::arena::Arrangement;
use crate::golden::GoldenSpec;
use crate::lowering::{Lowered, Step, StepOp, placing};
use crate::pack::{PackedWeights, pack};
use crate::parts::Parts;
use crate::plan::{Buffer, Plan, memory_map};
use crate::quantize::quantize_multiplier;
use crate::quantize::{Activation, QuantizedNetwork, WeightedLayer};
use crate::statistics::Statistics;
use aplysia_shared::kernel::dsp::packing::{self, Depth};
use aplysia_shared::layer::{MAX_LAYERS, MAX_TENSORS, Scaling};
use aplysia_shared::{AddScales, Clamp, GraphV1, Labels, Layer, Op, Tensor};
use aplysia_space::{Network, NodeOp};

/// Which convolutions carry source statistics for homeostasis: 8 bytes of flash per channel, and state
/// on the device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HomeostasisScope {
    /// None.
    None,
    /// The first convolution.
    Stem,
    /// The first convolution and the depthwise ones: few weights, and every path passes them.
    #[default]
    Depthwise,
    /// Every convolution.
    All,
    /// Of the weighted layers, in their order, those with `true`; none beyond the end.
    Chosen(Vec<bool>),
}

/// What a blob holds beside the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// One name per class.
    pub class_names: Vec<String>,
    /// Layers with statistics for homeostasis.
    pub homeostasis: HomeostasisScope,
    /// Whether class prototypes for the instar head are included, 2 bytes per class and feature.
    pub prototypes: bool,
    /// The golden set, if there is one; on costs that include it see [`crate::Costs`].
    pub golden: Option<GoldenSpec>,
}

impl Content {
    /// Default content for these classes: homeostasis in its default scope, prototypes, no golden set.
    pub fn new(class_names: &[impl AsRef<str>]) -> Self {
        Self {
            class_names: class_names.iter().map(|n| n.as_ref().to_owned()).collect(),
            homeostasis: HomeostasisScope::default(),
            prototypes: true,
            golden: None,
        }
    }

    /// Whether node `i` carries source statistics.
    pub fn has_homeostasis(&self, network: &Network, i: usize) -> bool {
        match (&self.homeostasis, network.nodes[i].op) {
            (HomeostasisScope::None, _) => false,
            (HomeostasisScope::Chosen(flags), NodeOp::Conv { .. }) => {
                let at = network.weighted().position(|node| node == i);
                at.and_then(|at| flags.get(at).copied()).unwrap_or(false)
            }
            (HomeostasisScope::Stem, NodeOp::Conv { .. }) => i == 1,
            (HomeostasisScope::Depthwise, NodeOp::Conv { depthwise, .. }) => i == 1 || depthwise,
            (HomeostasisScope::All, NodeOp::Conv { .. }) => true,
            _ => false,
        }
    }
}

/// Placeholder numbers: a blob of the right length that the runtime accepts, without training.
///
/// # Errors
/// An operation has no kernel.
pub(crate) fn placeholder(network: &Network) -> Result<QuantizedNetwork, DeployError> {
    let (multiplier, shift) = quantize_multiplier(0.5);
    let layer = |i: usize| {
        let out_ch = network.nodes[i].shape.c;
        WeightedLayer {
            weights: vec![0; network.n_weights(i).max(out_ch)],
            bias: vec![0; out_ch],
            multiplier: vec![multiplier; out_ch],
            shift: vec![shift; out_ch],
        }
    };
    // As training does it: one scale for each that can have its own, and the lowest zero point where no value
    // is negative.
    let mut activations: Vec<Activation> = vec![];
    for (i, value) in Lowered::new(network)?.values.iter().enumerate() {
        let own = Activation {
            scale: 1.0 + i as f32 / 256.0,
            zero_point: if value.relu { -128 } else { 0 },
        };
        activations.push(value.keeps.map_or(own, |other| activations[other]));
    }
    Ok(QuantizedNetwork {
        activations,
        layers: network.weighted().map(layer).collect(),
    })
}

/// Everything a blob is made of, and the plan of its arena.
pub(crate) struct Assembly {
    pub(crate) parts: Parts,
    pub(crate) plan: Plan,
    /// Lifetimes and names of the activations.
    pub(crate) buffers: Vec<Buffer>,
    pub(crate) names: Vec<String>,
}

impl Assembly {
    /// The memory map as text.
    pub(crate) fn map(&self) -> String {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        memory_map(&names, &self.buffers, &self.plan)
    }
}

/// Assembles graph and data.
///
/// # Errors
/// An operation has no kernel, or something exceeds the format's capacity.
pub(crate) fn assemble(
    network: &Network,
    quantized: &QuantizedNetwork,
    statistics: &Statistics,
    content: &Content,
) -> Result<Assembly, DeployError> {
    let lowered = Lowered::new(network)?;
    let Arrangement { buffers, plan, .. } = lowered.arena.clone();
    let mut data = Data::default();
    let mut graph = GraphV1 {
        tensors: tensors(&lowered, quantized, &plan)?,
        layers: heapless::Vec::new(),
        input: 0,
        output: narrow("tensors", lowered.values.len() - 1)?,
        prototypes: None,
        labels: Labels { offset: 0, len: 0 },
        cascades: heapless::Vec::new(),
    };
    for step in &lowered.steps {
        let [first, second] = step.inputs;
        let activation = quantized.activations[step.output];
        let mut layer = Layer {
            op: op(&lowered, quantized, step),
            inputs: [narrow("tensors", first)?, narrow("tensors", second)?],
            output: narrow("tensors", step.output)?,
            clamp: match lowered.values[step.output].relu {
                true => Clamp {
                    min: activation.zero_point,
                    max: i8::MAX,
                },
                false => Clamp::FULL,
            },
            params: 0,
            homeostasis: None,
        };
        if let Some(at) = step.params {
            let depth = match &layer.op {
                Op::PackedConv2d(window) => Some(Depth::new(window, lowered.values[first].shape.c)),
                _ => None,
            };
            layer.params = data.params(&quantized.layers[at], depth)?;
            if let Some(channels) = &statistics.layers[at] {
                layer.homeostasis =
                    Some(data.words(channels.mean.iter().chain(&channels.deviation))?);
            }
        }
        let full = |_| DeployError::Capacity {
            part: "layers",
            got: lowered.steps.len(),
            limit: MAX_LAYERS,
        };
        graph.layers.push(layer).map_err(full)?;
    }
    if let Some(prototypes) = &statistics.prototypes {
        graph.prototypes = Some(data.section(prototypes.iter().flat_map(|p| p.to_le_bytes()))?);
    }
    graph.labels = data.labels(&content.class_names)?;
    let name = |node: usize| network.nodes[node].name.clone();
    Ok(Assembly {
        parts: Parts::new(graph, data.bytes),
        names: lowered.values.iter().map(|v| name(v.node)).collect(),
        buffers,
        plan,
    })
}

pub(crate) fn narrow<T: TryFrom<usize>>(part: &'static str, got: usize) -> Result<T, DeployError> {
    let limit = 8 * size_of::<T>();
    let limit = usize::MAX >> (usize::BITS as usize - limit);
    T::try_from(got).map_err(|_| DeployError::Capacity { part, got, limit })
}

fn tensors(
    lowered: &Lowered,
    quantized: &QuantizedNetwork,
    plan: &Plan,
) -> Result<heapless::Vec<Tensor, MAX_TENSORS>, DeployError> {
    let mut tensors = heapless::Vec::new();
    for (i, value) in lowered.values.iter().enumerate() {
        let Activation { scale, zero_point } = quantized.activations[i];
        let tensor = Tensor {
            h: narrow("rows", value.shape.h)?,
            w: narrow("columns", value.shape.w)?,
            c: narrow("channels", value.shape.c)?,
            scale,
            zero_point,
            offset: narrow("arena bytes", plan.offsets[i])?,
        };
        let (got, limit) = (lowered.values.len(), MAX_TENSORS);
        let full = |_| DeployError::Capacity {
            part: "tensors",
            got,
            limit,
        };
        tensors.push(tensor).map_err(full)?;
    }
    Ok(tensors)
}

fn op(lowered: &Lowered, quantized: &QuantizedNetwork, step: &Step) -> Op {
    let scale = |i: usize| f64::from(quantized.activations[i].scale);
    let scaling = |factor: f64| {
        let (multiplier, shift) = quantize_multiplier(factor);
        Scaling::new(multiplier, shift)
    };
    let [lhs, rhs] = step.inputs;
    match step.op {
        StepOp::Linear => Op::FullyConnected,
        StepOp::Conv(window) => {
            let channels = [lhs, step.output].map(|i| lowered.values[i].shape.c);
            // A matter of the structure alone, so that costs are known before training.
            match packing::packable(&window, channels[0], channels[1]) {
                true => Op::PackedConv2d(window),
                false => Op::Conv2d(window),
            }
        }
        StepOp::Depthwise(window) => Op::DepthwiseConv2d(window),
        StepOp::MaxPool(window) => Op::MaxPool(window),
        StepOp::AvgPool(window) => Op::AvgPool(window),
        StepOp::Add => {
            let (lhs, rhs) = (scale(lhs), scale(rhs));
            let twice_max = 2.0 * lhs.max(rhs);
            Op::Add(AddScales {
                lhs: scaling(lhs / twice_max),
                rhs: scaling(rhs / twice_max),
                output: scaling(twice_max / ((1 << 20) as f64 * scale(step.output))),
            })
        }
        StepOp::GlobalAvgPool => {
            let shape = lowered.values[lhs].shape;
            let n = (shape.h * shape.w) as f64;
            Op::GlobalAvgPool(scaling(scale(lhs) / (n * scale(step.output))))
        }
        StepOp::Place {
            first,
            stride,
            offset,
            zero,
        } => {
            let scaling = match zero {
                true => Scaling::new(0, 0),
                false => scaling(scale(lhs) / scale(step.output)),
            };
            Op::Place(placing(scaling, [first, stride, offset]))
        }
    }
}

/// The data section while it grows.
#[derive(Default)]
pub(crate) struct Data {
    pub(crate) bytes: Vec<u8>,
}

impl Data {
    /// Appends a section at a multiple of 16 and returns its offset.
    fn section(&mut self, bytes: impl IntoIterator<Item = u8>) -> Result<u32, DeployError> {
        self.bytes.resize(self.bytes.len().next_multiple_of(16), 0);
        let offset = narrow("data bytes", self.bytes.len())?;
        self.bytes.extend(bytes);
        Ok(offset)
    }

    fn words<'a>(&mut self, words: impl Iterator<Item = &'a i32>) -> Result<u32, DeployError> {
        self.section(words.flat_map(|w| w.to_le_bytes()))
    }

    /// Constants of a layer, packed if its `depth` is given.
    pub(crate) fn params(
        &mut self,
        layer: &WeightedLayer,
        depth: Option<Depth>,
    ) -> Result<u32, DeployError> {
        let offset = self.words(layer.bias.iter().chain(&layer.multiplier))?;
        self.bytes
            .extend(layer.shift.iter().map(|s| s.cast_unsigned()));
        self.pad_words();
        match depth {
            Some(depth) => {
                let packed = pack(&layer.weights, depth);
                let PackedWeights { sums, reach, bytes } = packed;
                let words = sums.into_iter().chain([reach.cast_signed()]);
                self.bytes.extend(words.flat_map(i32::to_le_bytes));
                self.bytes.extend(bytes);
            }
            None => self
                .bytes
                .extend(layer.weights.iter().map(|w| w.cast_unsigned())),
        }
        self.pad_words();
        Ok(offset)
    }

    pub(crate) fn labels(&mut self, class_names: &[String]) -> Result<Labels, DeployError> {
        let text = class_names.join("\n");
        let len = narrow("bytes of class names", text.len())?;
        Ok(Labels {
            offset: self.section(text.into_bytes())?,
            len,
        })
    }

    fn pad_words(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}
