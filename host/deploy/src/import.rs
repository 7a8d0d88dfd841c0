//! Networks that others made: a full-int8 TensorFlow Lite model → blob.
//!
//! Owns the conversion of a graph, tensor by tensor and operator by operator, to the runtime's; the
//! outputs are TensorFlow Lite's reference kernels' to the bit. It must not know where a file comes from,
//! and it repairs nothing: what the runtime cannot compute exactly is refused with the operator's index
//! and the tensor's name. Flow: `.tflite` → `schema` → `operator`, `weights` → **`import`** →
//! [`crate::plain`] → blob.

mod ends;
mod error;
mod geometry;
mod names;
mod operator;
mod padding;
mod placing;
mod reduce;
mod schema;
mod shape;
mod weights;

pub use error::{Fault, ImportError};

use crate::plain::{Plain, PlainLayer, fits};
use crate::quantize::WeightedLayer;
use crate::{DeployError, Export};
use aplysia_shared::layer::{MAX_LAYERS, MAX_TENSORS};
use aplysia_shared::{Clamp, Layer, Op, Tensor};
use names::operator_name;
use padding::Padding;
use schema::{Graph, INT8};
use std::collections::BTreeMap;
use std::mem;

/// Converts the bytes of a `.tflite` file. `class_names` has one name per output, or is empty.
///
/// Supported: CONV_2D, DEPTHWISE_CONV_2D (multiplier 1, or one input channel), FULLY_CONNECTED, ADD
/// of equal shapes, CONCATENATION of channels, MAX_POOL_2D, AVERAGE_POOL_2D, MEAN and REDUCE_MAX over all
/// rows and columns, SOFTMAX of at most 511 values, RELU, RELU6 (without a change of scale), RESHAPE,
/// SQUEEZE and EXPAND_DIMS where they move no data; padding SAME and VALID; activations NONE, RELU, RELU6,
/// RELU_N1_TO_1. PAD with zeros where the windows behind it take the padding in: convolutions do, a
/// MAX_POOL_2D if the zero point is -128. SHAPE, STRIDED_SLICE and PACK where they give the target of a
/// RESHAPE, as with an open batch, which is 1 here. QUANTIZE from int8 to int8; at the network's input from
/// uint8 or float and at its output to uint8: the blob's input and output are int8 all the same, those of
/// uint8 less 128, those of float in the scale and with the zero point that the blob says; a DEQUANTIZE at the
/// output is left to the caller, too.
///
/// A fully connected layer becomes the packed convolution over all of its input, which is faster; the last
/// one stays as it is if there are class names, as only plain weights can learn on the device;
/// [`Export::paired`] has what is faster without the DSP extension. A layer with weights of -128 where the packed form
/// [has no place](crate::pack::fits) for them stays plain, too. Channels that
/// no output depends on are left out: the same bits in less work. One input and one output of
/// 1×1×classes, batch 1.
///
/// # Errors
/// The file is no model or has something else, see [`ImportError`].
pub fn import(file: &[u8], class_names: &[String]) -> Result<Export, ImportError> {
    let graph = Graph::read(file)?;
    let mut lowering = Lowering {
        places: vec![None; graph.tensors.len()],
        pads: BTreeMap::new(),
        known: BTreeMap::new(),
        now: 0,
        named: !class_names.is_empty(),
        graph,
        tensors: Vec::new(),
        names: Vec::new(),
        origins: Vec::new(),
        layers: Vec::new(),
    };
    for index in 0..lowering.graph.operators.len() {
        lowering.operator(index)?;
        // Before constants are copied without end, or a plan is made that takes hours.
        fits("tensors", lowering.tensors.len(), MAX_TENSORS)?;
        fits("layers", lowering.layers.len(), MAX_LAYERS)?;
    }
    let plain = lowering.finish()?.without_constant_channels();
    plain.export(class_names).map_err(|error| match error {
        DeployError::Layer { tensor, fault, .. } => lowering.refused(tensor, Fault::Refused(fault)),
        error => error.into(),
    })
}

/// A fault and the tensor that has it.
type Located = (i32, Fault);

/// The graph so far.
struct Lowering<'a> {
    graph: Graph<'a>,
    /// Tensor of the blob for each one of the file.
    places: Vec<Option<u8>>,
    /// Tensors of the file that are those of the blob with zeros around them.
    pads: BTreeMap<i32, Padding>,
    /// Tensors of the file whose integers are known.
    known: BTreeMap<i32, Vec<i32>>,
    /// The operator that is being converted.
    now: usize,
    /// Whether the outputs are classes with names, so that a last fully connected layer is a head that
    /// learns on the device and stays plain.
    named: bool,
    tensors: Vec<Tensor>,
    /// The file's name of each of `tensors`.
    names: Vec<String>,
    /// The tensor of the file that each of `tensors` was made for, and the operator that did it.
    origins: Vec<(i32, usize)>,
    layers: Vec<PlainLayer>,
}

impl<'a> Lowering<'a> {
    fn operator(&mut self, index: usize) -> Result<(), ImportError> {
        self.now = index;
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

    /// The error that the layer which writes a tensor of the blob has a fault.
    fn refused(&self, tensor: u8, fault: Fault) -> ImportError {
        let origin = self.origins.get(usize::from(tensor));
        let (tensor, index) = origin.copied().unwrap_or((-1, self.now));
        self.refusal(index, (tensor, fault))
    }

    fn at(&self, tensor: i32) -> Option<&schema::Tensor<'a>> {
        self.graph.tensors.get(usize::try_from(tensor).ok()?)
    }

    /// A tensor of the file.
    fn found(&self, tensor: i32) -> Result<&schema::Tensor<'a>, Located> {
        self.at(tensor).ok_or((tensor, Fault::Missing))
    }

    /// The tensor of the blob that `tensor` is so far, whatever its type, shape and padding.
    fn place(&self, tensor: i32) -> Result<u8, Located> {
        let known = usize::try_from(tensor).ok();
        match known.and_then(|i| self.places.get(i).copied()) {
            None => Err((tensor, Fault::Missing)),
            Some(place) => place.ok_or((tensor, Fault::NotComputed)),
        }
    }

    /// The tensor of the blob that `tensor` is, whatever its shape; the graph's input begins here.
    fn stored(&mut self, tensor: i32) -> Result<u8, Located> {
        weights::check_type(self.found(tensor)?, INT8, "INT8").map_err(|fault| (tensor, fault))?;
        let remedy =
            "only convolutions can, and MAX_POOL_2D behind a RELU: pad in front of one of them";
        self.unpadded(tensor, "this operator", remedy)?;
        match self.place(tensor) {
            Err((_, Fault::NotComputed)) if tensor == self.graph.input => self.define(tensor),
            place => place,
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
        self.define_as(tensor, activation)
    }

    /// A new tensor of the blob for `tensor`, which looks like `activation`.
    fn define_as(&mut self, tensor: i32, activation: Tensor) -> Result<u8, Located> {
        let name = self.found(tensor)?.name.to_owned();
        let place = u8::try_from(self.tensors.len()).unwrap_or(u8::MAX);
        self.tensors.push(activation);
        self.names.push(name);
        self.origins.push((tensor, self.now));
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

    /// The whole network.
    fn finish(&mut self) -> Result<Plain, ImportError> {
        let end = self.graph.operators.len().saturating_sub(1);
        let output = self.graph.output;
        let unpadded = self.unpadded(output, "the output", "leave the padding out");
        let output = unpadded.and_then(|()| self.place(output));
        let output = output.map_err(|located| self.refusal(end, located))?;
        let last = self.tensors[usize::from(output)];
        if (last.h, last.w) != (1, 1) {
            let want =
                "1x1 pixels of classes (GlobalAveragePooling2D, or Flatten and Dense, at the end)";
            let fault = Fault::Shape {
                got: [1, last.h, last.w, last.c].map(i32::from).to_vec(),
                want: want.to_owned(),
            };
            return Err(self.refused(output, fault));
        }
        let input = usize::try_from(self.graph.input).unwrap_or(0);
        Ok(Plain {
            tensors: mem::take(&mut self.tensors),
            names: mem::take(&mut self.names),
            layers: mem::take(&mut self.layers),
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
    fixed(t)?;
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

/// Checks that no size is left open but the batch, which is 1 here.
fn fixed(t: &schema::Tensor<'_>) -> Result<(), Fault> {
    let open = t.signature.iter().skip(1).any(|&d| d < 0);
    if open || t.shape.is_empty() || t.shape.iter().any(|&d| d < 1) {
        let shape = match open {
            true => t.signature.clone(),
            false => t.shape.clone(),
        };
        return Err(Fault::Dynamic { shape });
    }
    Ok(())
}
