//! Networks that others made: a full-int8 TensorFlow Lite model → blob.
//!
//! Owns the conversion of a graph, tensor by tensor and operator by operator, to the runtime's; the
//! outputs are TensorFlow Lite's reference kernels' to the bit. It must not know where a file comes from,
//! and it repairs nothing: what the runtime cannot compute exactly is refused with the operator's index
//! and the tensor's name. Flow: `.tflite` → `schema` → `operator`, `weights` → **`import`** →
//! [`crate::plain`] → blob.

mod error;
mod geometry;
mod operator;
mod placing;
mod schema;
mod weights;

pub use error::{Fault, ImportError};

use crate::Export;
use crate::plain::{Plain, PlainLayer, fits};
use crate::quantize::WeightedLayer;
use aplysia_shared::layer::{MAX_LAYERS, MAX_TENSORS};
use aplysia_shared::{Clamp, Layer, Op, Tensor};
use schema::{Graph, INT8, operator_name};

/// Converts the bytes of a `.tflite` file. `class_names` has one name per output, or is empty.
///
/// Supported: CONV_2D, DEPTHWISE_CONV_2D (multiplier 1, or one input channel), FULLY_CONNECTED, ADD
/// of equal shapes, CONCATENATION of channels, MAX_POOL_2D, AVERAGE_POOL_2D, SOFTMAX of at most 511 values,
/// QUANTIZE from int8 to int8, and RESHAPE, SQUEEZE and EXPAND_DIMS where they move no data; padding SAME
/// and VALID; activations NONE, RELU, RELU6, RELU_N1_TO_1. A fully connected layer becomes the packed
/// convolution over all of its input, which is faster; the last one stays as it is if there are class names,
/// as only plain weights can learn on the device. Channels that no output depends on are left out: the same
/// bits in less work. One input and one output of 1×1×classes, batch 1.
///
/// # Errors
/// The file is no model or has something else, see [`ImportError`].
pub fn import(file: &[u8], class_names: &[String]) -> Result<Export, ImportError> {
    let graph = Graph::read(file)?;
    let mut lowering = Lowering {
        places: vec![None; graph.tensors.len()],
        named: !class_names.is_empty(),
        graph,
        tensors: Vec::new(),
        names: Vec::new(),
        layers: Vec::new(),
    };
    for index in 0..lowering.graph.operators.len() {
        lowering.operator(index)?;
        // Before constants are copied without end, or a plan is made that takes hours.
        fits("tensors", lowering.tensors.len(), MAX_TENSORS)?;
        fits("layers", lowering.layers.len(), MAX_LAYERS)?;
    }
    let plain = lowering.finish()?.without_constant_channels();
    Ok(plain.export(class_names)?)
}

/// A fault and the tensor that has it.
type Located = (i32, Fault);

/// The graph so far.
struct Lowering<'a> {
    graph: Graph<'a>,
    /// Tensor of the blob for each one of the file.
    places: Vec<Option<u8>>,
    /// Whether the outputs are classes with names, so that a last fully connected layer is a head that
    /// learns on the device and stays plain.
    named: bool,
    tensors: Vec<Tensor>,
    /// The file's name of each of `tensors`.
    names: Vec<String>,
    layers: Vec<PlainLayer>,
}

impl<'a> Lowering<'a> {
    fn operator(&mut self, index: usize) -> Result<(), ImportError> {
        let operator = self.graph.operators[index].clone();
        let result = self.lower(&operator)?;
        result.map_err(|located| self.refusal(index, located))
    }

    /// The error that operator `index` has a fault.
    fn refusal(&self, index: usize, (tensor, fault): Located) -> ImportError {
        let code = self.graph.operators.get(index).map_or(-1, |o| o.code);
        ImportError::Operator {
            index,
            operator: operator_name(code),
            tensor: self.at(tensor).map_or("", |t| t.name).to_owned(),
            fault,
        }
    }

    fn at(&self, tensor: i32) -> Option<&schema::Tensor<'a>> {
        self.graph.tensors.get(usize::try_from(tensor).ok()?)
    }

    /// A tensor of the file.
    fn found(&self, tensor: i32) -> Result<&schema::Tensor<'a>, Located> {
        self.at(tensor).ok_or((tensor, Fault::Missing))
    }

    /// The tensor of the blob that `tensor` is, whatever its shape; the graph's input begins here.
    fn stored(&mut self, tensor: i32) -> Result<u8, Located> {
        let known = usize::try_from(tensor).ok();
        match known.and_then(|i| self.places.get(i).copied()) {
            None => Err((tensor, Fault::Missing)),
            Some(Some(place)) => Ok(place),
            Some(None) if tensor == self.graph.input => self.define(tensor),
            Some(None) => Err((tensor, Fault::NotComputed)),
        }
    }

    /// The tensor of the blob that `tensor` is, and has the shape of.
    fn source(&mut self, tensor: i32) -> Result<(u8, Tensor), Located> {
        let place = self.stored(tensor)?;
        let stored = self.tensors[usize::from(place)];
        let own = self.activation(tensor)?;
        if (own.h, own.w, own.c) != (stored.h, stored.w, stored.c) {
            let got = self.found(tensor)?.shape.clone();
            return Err((tensor, Fault::Reshape { got }));
        }
        Ok((place, stored))
    }

    /// A new tensor of the blob for `tensor`.
    fn define(&mut self, tensor: i32) -> Result<u8, Located> {
        let activation = self.activation(tensor)?;
        let name = self.found(tensor)?.name.to_owned();
        let place = u8::try_from(self.tensors.len()).unwrap_or(u8::MAX);
        self.tensors.push(activation);
        self.names.push(name);
        self.alias(tensor, place);
        Ok(place)
    }

    fn alias(&mut self, tensor: i32, place: u8) {
        let index = usize::try_from(tensor).unwrap_or(usize::MAX);
        if let Some(known) = self.places.get_mut(index) {
            *known = Some(place);
        }
    }

    /// `tensor` as an activation of the runtime.
    fn activation(&self, tensor: i32) -> Result<Tensor, Located> {
        let t = self.found(tensor)?;
        activation(t).map_err(|fault| (tensor, fault))
    }

    /// Ends an operator: a layer that writes `output`.
    fn layer(&mut self, op: Op, inputs: [u8; 2], output: i32, rest: Rest) -> Result<(), Located> {
        let output = self.define(output)?;
        self.push(op, inputs, output, rest);
        Ok(())
    }

    /// Appends a layer that writes a tensor of the blob.
    fn push(&mut self, op: Op, inputs: [u8; 2], output: u8, rest: Rest) {
        self.layers.push(PlainLayer {
            layer: Layer {
                op,
                inputs,
                output,
                clamp: rest.clamp,
                params: 0,
                homeostasis: None,
            },
            constants: rest.constants,
        });
    }

    fn finish(mut self) -> Result<Plain, ImportError> {
        let end = self.graph.operators.len().saturating_sub(1);
        let output = self.graph.output;
        let output = self.stored(output);
        let output = output.map_err(|located| self.refusal(end, located))?;
        let input = usize::try_from(self.graph.input).unwrap_or(0);
        Ok(Plain {
            tensors: self.tensors,
            names: self.names,
            layers: self.layers,
            input: self.places[input].unwrap_or(0),
            output,
        })
    }
}

/// What a layer has besides operator and tensors.
struct Rest {
    clamp: Clamp,
    constants: Option<WeightedLayer>,
}

/// Height, width and channels of a shape with batch 1; of a vector the channels only.
fn activation(t: &schema::Tensor<'_>) -> Result<Tensor, Fault> {
    weights::check_type(t, INT8, "INT8")?;
    // The batch may be left open; it is 1 here.
    let open = t.signature.iter().skip(1).any(|&d| d < 0);
    if open || t.shape.is_empty() || t.shape.iter().any(|&d| d < 1) {
        let shape = match open {
            true => t.signature.clone(),
            false => t.shape.clone(),
        };
        return Err(Fault::Dynamic { shape });
    }
    let sizes: Option<Vec<u16>> = t.shape.iter().map(|&d| u16::try_from(d).ok()).collect();
    let (h, w, c) = match sizes.as_deref() {
        Some(&[c] | &[1, c]) => (1, 1, c),
        Some(&[1, w, c]) => (1, w, c),
        Some(&[1, h, w, c]) => (h, w, c),
        _ => {
            return Err(Fault::Shape {
                got: t.shape.clone(),
                want: "batch 1 and at most 4 dimensions below 65536".to_owned(),
            });
        }
    };
    let quantization = (t.scales.as_slice(), t.zero_points.as_slice());
    let (scale, zero_point) = match quantization {
        (&[scale], &[zero_point]) => (scale, i8::try_from(zero_point).ok()),
        _ => (0.0, None),
    };
    match zero_point {
        Some(zero_point) if scale.is_finite() && scale > 0.0 => Ok(Tensor {
            h,
            w,
            c,
            scale,
            zero_point,
            offset: 0,
        }),
        _ => Err(Fault::Quantization {
            scales: t.scales.len(),
            zero_points: t.zero_points.clone(),
            want: "one positive scale with an int8 zero point",
        }),
    }
}
