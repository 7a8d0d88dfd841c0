//! A network as layers with plain constants: what is known of it before packing, planning and encoding.
//!
//! Owns the way from there to a blob, and which channels need not be in it (`constant`). It must not know
//! where a network comes from. Flow: [`mod@crate::import`] → **`plain`** → [`crate::pack`], [`crate::arena`]
//! → blob.

mod constant;

use crate::arena::{Arrangement, Work};
use crate::assemble::{Assembly, Data, narrow};
use crate::pack;
use crate::parts::Parts;
use crate::quantize::WeightedLayer;
use crate::{DeployError, Export};
use aplysia_shared::blob::BlobError;
use aplysia_shared::kernel::dsp::packing::{self, Depth};
use aplysia_shared::layer::{MAX_LAYERS, MAX_TENSORS};
use aplysia_shared::{GraphV1, Labels, Layer, Op, Tensor, Window};

/// One layer; a convolution is [`Op::Conv2d`] whether it will be packed or not.
#[derive(Clone, Debug, PartialEq)]
pub struct PlainLayer {
    /// What it computes; where its constants are is still open.
    pub layer: Layer,
    /// Of a layer with weights.
    pub constants: Option<WeightedLayer>,
}

/// A network; the runtime's parser has the last word on it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plain {
    /// Activations; where they lie is still open.
    pub tensors: Vec<Tensor>,
    /// A name of each.
    pub names: Vec<String>,
    /// In an order in which they can run.
    pub layers: Vec<PlainLayer>,
    /// Tensor the caller fills.
    pub input: u8,
    /// Tensor the caller reads.
    pub output: u8,
}

impl Plain {
    /// The blob. `class_names` has one name per output, or is empty.
    ///
    /// # Errors
    /// A capacity of the format is exceeded, or the runtime refuses the blob.
    pub fn export(self, class_names: &[String]) -> Result<Export, DeployError> {
        self.exported(class_names, true)
    }

    /// As [`Plain::export`] without names, but no layer writes over what it reads.
    pub(crate) fn export_apart(self) -> Result<Export, DeployError> {
        self.exported(&[], false)
    }

    fn exported(mut self, class_names: &[String], over: bool) -> Result<Export, DeployError> {
        let mut data = Data::default();
        for PlainLayer { layer, constants } in &mut self.layers {
            let Some(constants) = constants else {
                continue;
            };
            let ends = [layer.inputs[0], layer.output].map(|i| &self.tensors[usize::from(i)]);
            let mut depth = None;
            if let Op::Conv2d(window) = layer.op {
                (layer.op, depth) = convolution(window, ends, constants);
            }
            layer.params = data.params(constants, depth)?;
        }
        let names = self.names.clone();
        let assembly = self.assembled(data, class_names, over)?;
        let writes: Vec<u8> = assembly
            .parts
            .graph
            .layers
            .iter()
            .map(|l| l.output)
            .collect();
        Export::of(assembly).map_err(|error| match error {
            DeployError::Blob(fault) => named(fault, &writes, &names),
            error => error,
        })
    }

    fn assembled(
        mut self,
        mut data: Data,
        class_names: &[String],
        over: bool,
    ) -> Result<Assembly, DeployError> {
        let layers: Vec<Layer> = self.layers.iter().map(|l| l.layer).collect();
        let mut work = Work::of_layers(&self.tensors, &layers, self.input, self.output);
        for step in &mut work.steps {
            step.over = step.over.map(|can| can && over);
        }
        let Arrangement {
            order,
            buffers,
            plan,
        } = work.arrange();
        let layers: Vec<Layer> = order.iter().map(|&step| layers[step]).collect();
        for (tensor, &offset) in self.tensors.iter_mut().zip(&plan.offsets) {
            tensor.offset = narrow("arena bytes", offset)?;
        }
        let labels = match class_names {
            [] => Labels { offset: 0, len: 0 },
            names => data.labels(names)?,
        };
        let graph = GraphV1 {
            tensors: collected::<_, MAX_TENSORS>("tensors", &self.tensors)?,
            layers: collected::<_, MAX_LAYERS>("layers", &layers)?,
            input: self.input,
            output: self.output,
            prototypes: None,
            labels,
            cascades: heapless::Vec::new(),
        };
        const { assert!(MAX_TENSORS < u8::MAX as usize) };
        Ok(Assembly {
            parts: Parts::new(graph, data.bytes),
            names: self.names,
            buffers,
            plan,
        })
    }
}

/// The convolution in the form that is faster, with what the packed form needs to know. Over all of an image the plain
/// form is a fully connected layer, whose weights are in the same order.
fn convolution(
    window: Window,
    [src, dst]: [&Tensor; 2],
    constants: &WeightedLayer,
) -> (Op, Option<Depth>) {
    let depth = Depth::new(&window, src.c.into());
    let size = |t: &Tensor| [t.h, t.w].map(usize::from);
    let packable = packing::packable(&window, src.c.into(), dst.c.into());
    if packable && pack::fits(&constants.weights, depth) {
        return (Op::PackedConv2d(window), Some(depth));
    }
    match window.is_whole(size(src), size(dst)) {
        true => (Op::FullyConnected, None),
        false => (Op::Conv2d(window), None),
    }
}

/// A fault of the blob by the name of the tensor that the layer at fault writes.
fn named(fault: BlobError, writes: &[u8], names: &[String]) -> DeployError {
    let layer = layer_of(&fault).map(usize::from);
    match layer.and_then(|layer| writes.get(layer)) {
        None => DeployError::Blob(fault),
        Some(&tensor) => DeployError::Layer {
            tensor,
            name: names.get(usize::from(tensor)).cloned().unwrap_or_default(),
            fault,
        },
    }
}

/// The layer that has a fault.
fn layer_of(fault: &BlobError) -> Option<u8> {
    match *fault {
        BlobError::TensorIndex { layer, .. }
        | BlobError::Order { layer, .. }
        | BlobError::Inputs { layer }
        | BlobError::Cascade { layer }
        | BlobError::LayerShape { layer }
        | BlobError::Window { layer }
        | BlobError::PoolScale { layer }
        | BlobError::Softmax { layer }
        | BlobError::Clamp { layer, .. }
        | BlobError::Data { layer, .. }
        | BlobError::Scaling { layer, .. }
        | BlobError::Packing { layer }
        | BlobError::Accumulator { layer, .. }
        | BlobError::Homeostasis { layer } => Some(layer),
        _ => None,
    }
}

/// Whether `got` items of a graph fit into the format.
pub(crate) fn fits(part: &'static str, got: usize, limit: usize) -> Result<(), DeployError> {
    match got <= limit {
        true => Ok(()),
        false => Err(DeployError::Capacity { part, got, limit }),
    }
}

fn collected<T: Clone, const N: usize>(
    part: &'static str,
    items: &[T],
) -> Result<heapless::Vec<T, N>, DeployError> {
    fits(part, items.len(), N)?;
    Ok(items.iter().cloned().collect())
}
