//! Network + integers → blob bytes.
//!
//! Owns the order of tensors, layers and constants in the blob. One assembly serves export and the cost
//! of an untrained network: every number that depends on training has a fixed size, so the length
//! depends on the network and the [`Content`] only. Flow: [`mod@crate::quantize`], [`crate::plan`] →
//! **`assemble`** → `aplysia_shared::blob`.
//!
//! Tensor `i` is the output of node `i`; layer `i` is node `i + 1`.

use crate::DeployError;
use crate::golden::GoldenSpec;
use crate::pack::{PackedWeights, pack};
use crate::parts::Parts;
use crate::plan::{Buffer, Plan, memory_map, plan};
use crate::quantize::{Activation, QuantizedNetwork, WeightedLayer};
use crate::quantize::{check_operations, quantize_multiplier};
use crate::statistics::Statistics;
use aplysia_shared::kernel::dsp::packing::{self, Depth};
use aplysia_shared::layer::{MAX_LAYERS, MAX_TENSORS, Scaling};
use aplysia_shared::{AddScales, Clamp, GraphV1, Labels, Layer, Op, Tensor, Window, adapt};
use aplysia_space::{Network, Node, NodeOp};
use serde::{Deserialize, Serialize};

/// Which convolutions carry source statistics for homeostasis: 8 bytes of flash per channel, and state
/// on the device. Layers with more than `adapt::MAX_CHANNELS` channels never do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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
        let in_scope = match (self.homeostasis, network.nodes[i].op) {
            (HomeostasisScope::None, _) => false,
            (HomeostasisScope::Stem, NodeOp::Conv { .. }) => i == 1,
            (HomeostasisScope::Depthwise, NodeOp::Conv { depthwise, .. }) => i == 1 || depthwise,
            (HomeostasisScope::All, NodeOp::Conv { .. }) => true,
            _ => false,
        };
        in_scope && network.nodes[i].shape.c <= adapt::MAX_CHANNELS
    }
}

/// Lifetimes of all activations: step `s` runs node `s`; the input is written in step 0, the scores
/// are read after the last.
pub fn buffers(network: &Network) -> Vec<Buffer> {
    let n = network.nodes.len();
    let last_reader = |i: usize| {
        network
            .nodes
            .iter()
            .rposition(|node| node.inputs.contains(&i))
    };
    let buffer = |(i, node): (usize, &Node)| Buffer {
        bytes: node.shape.len(),
        first: i,
        last: last_reader(i).unwrap_or(n - 1).max(i),
    };
    network.nodes.iter().enumerate().map(buffer).collect()
}

/// The memory map of a network's arena as text.
pub fn network_memory_map(network: &Network) -> String {
    let buffers = buffers(network);
    let names: Vec<&str> = network.nodes.iter().map(|n| n.name.as_str()).collect();
    memory_map(&names, &buffers, &plan(&buffers))
}

/// Placeholder numbers: a blob of the right length that the runtime accepts, without training.
pub(crate) fn placeholder(network: &Network) -> QuantizedNetwork {
    let (multiplier, shift) = quantize_multiplier(0.5);
    let layer = |i: usize| {
        let out_ch = network.nodes[i].shape.c;
        WeightedLayer {
            weights: vec![0; network.n_weights(i)],
            bias: vec![0; out_ch],
            multiplier: vec![multiplier; out_ch],
            shift: vec![shift; out_ch],
        }
    };
    QuantizedNetwork {
        activations: vec![
            Activation {
                scale: 1.0,
                zero_point: -128
            };
            network.nodes.len()
        ],
        layers: network.weighted().map(layer).collect(),
    }
}

/// Everything a blob is made of, and the plan of its arena.
pub(crate) struct Assembly {
    pub(crate) parts: Parts,
    pub(crate) plan: Plan,
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
    check_operations(network)?;
    let plan = plan(&buffers(network));
    let mut data = Data::default();
    let mut graph = GraphV1 {
        tensors: tensors(network, quantized, &plan)?,
        layers: heapless::Vec::new(),
        input: 0,
        output: narrow("tensors", network.nodes.len() - 1)?,
        prototypes: None,
        labels: Labels { offset: 0, len: 0 },
    };
    let mut weighted = quantized.layers.iter().zip(&statistics.layers);
    for i in 1..network.nodes.len() {
        let constants = network.rule(i).and_then(|_| weighted.next());
        let mut layer = Layer {
            op: op(network, quantized, i)?,
            inputs: inputs(&network.nodes[i])?,
            output: narrow("tensors", i)?,
            clamp: clamp(&network.nodes[i], quantized.activations[i]),
            params: 0,
            homeostasis: None,
        };
        if let Some((constants, statistics)) = constants {
            let depth = match &layer.op {
                Op::PackedConv2d(window) => Some(Depth::new(window, network.input_shape(i).c)),
                _ => None,
            };
            layer.params = data.params(constants, depth)?;
            if let Some(channels) = statistics {
                layer.homeostasis =
                    Some(data.words(channels.mean.iter().chain(&channels.deviation))?);
            }
        }
        let limit = MAX_LAYERS;
        let full = |_| DeployError::Capacity {
            part: "layers",
            got: network.nodes.len() - 1,
            limit,
        };
        graph.layers.push(layer).map_err(full)?;
    }
    if let Some(prototypes) = &statistics.prototypes {
        graph.prototypes = Some(data.section(prototypes.iter().flat_map(|p| p.to_le_bytes()))?);
    }
    graph.labels = data.labels(&content.class_names)?;
    Ok(Assembly {
        parts: Parts::new(graph, data.bytes),
        plan,
    })
}

pub(crate) fn narrow<T: TryFrom<usize>>(part: &'static str, got: usize) -> Result<T, DeployError> {
    let limit = 8 * size_of::<T>();
    let limit = usize::MAX >> (usize::BITS as usize - limit);
    T::try_from(got).map_err(|_| DeployError::Capacity { part, got, limit })
}

fn tensors(
    network: &Network,
    quantized: &QuantizedNetwork,
    plan: &Plan,
) -> Result<heapless::Vec<Tensor, MAX_TENSORS>, DeployError> {
    let mut tensors = heapless::Vec::new();
    for (i, node) in network.nodes.iter().enumerate() {
        let Activation { scale, zero_point } = quantized.activations[i];
        let tensor = Tensor {
            h: narrow("rows", node.shape.h)?,
            w: narrow("columns", node.shape.w)?,
            c: narrow("channels", node.shape.c)?,
            scale,
            zero_point,
            offset: narrow("arena bytes", plan.offsets[i])?,
        };
        let (got, limit) = (network.nodes.len(), MAX_TENSORS);
        let full = |_| DeployError::Capacity {
            part: "tensors",
            got,
            limit,
        };
        tensors.push(tensor).map_err(full)?;
    }
    Ok(tensors)
}

fn inputs(node: &Node) -> Result<[u8; 2], DeployError> {
    let first = node.inputs[0];
    let second = node.inputs.get(1).copied().unwrap_or(first);
    Ok([narrow("tensors", first)?, narrow("tensors", second)?])
}

fn clamp(node: &Node, activation: Activation) -> Clamp {
    match node.op {
        NodeOp::Conv { relu: true, .. } => Clamp {
            min: activation.zero_point,
            max: i8::MAX,
        },
        _ => Clamp::FULL,
    }
}

fn op(network: &Network, quantized: &QuantizedNetwork, i: usize) -> Result<Op, DeployError> {
    let node = &network.nodes[i];
    let scale = |i: usize| f64::from(quantized.activations[i].scale);
    let scaling = |factor: f64| {
        let (multiplier, shift) = quantize_multiplier(factor);
        Scaling::new(multiplier, shift)
    };
    // The space's windows are 1 to 5 wide with step 1 or 2.
    let square = |kernel: usize, stride: usize, pad: usize| {
        Window::square(kernel as u8, stride as u8, pad as u8)
    };
    Ok(match node.op {
        NodeOp::Input | NodeOp::Linear { .. } => Op::FullyConnected,
        NodeOp::Conv {
            kernel,
            stride,
            depthwise: false,
            ..
        } => {
            let window = square(kernel, stride, kernel / 2);
            let in_ch = network.input_shape(i).c;
            // A matter of the structure alone, so that costs are known before training.
            match packing::packable(&window, in_ch, node.shape.c) {
                true => Op::PackedConv2d(window),
                false => Op::Conv2d(window),
            }
        }
        NodeOp::Conv {
            kernel,
            stride,
            depthwise: true,
            ..
        } => Op::DepthwiseConv2d(square(kernel, stride, kernel / 2)),
        NodeOp::MaxPool(w) => Op::MaxPool(square(w.kernel, w.stride, 0)),
        NodeOp::AvgPool(w) => Op::AvgPool(square(w.kernel, w.stride, 0)),
        NodeOp::Add => {
            let (lhs, rhs) = (scale(node.inputs[0]), scale(node.inputs[1]));
            let twice_max = 2.0 * lhs.max(rhs);
            Op::Add(AddScales {
                lhs: scaling(lhs / twice_max),
                rhs: scaling(rhs / twice_max),
                output: scaling(twice_max / ((1 << 20) as f64 * scale(i))),
            })
        }
        NodeOp::GlobalAvgPool => {
            let shape = network.input_shape(i);
            let n = (shape.h * shape.w) as f64;
            Op::GlobalAvgPool(scaling(scale(node.inputs[0]) / (n * scale(i))))
        }
        _ => return Err(DeployError::unsupported(node)),
    })
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
