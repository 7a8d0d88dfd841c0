//! Why a TensorFlow Lite model cannot be imported. It owns the messages only.

use crate::DeployError;

/// Why an import failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file is something else.
    #[error("no TensorFlow Lite model: bytes 4 to 8 are not `TFL3`; give a .tflite file")]
    Identifier,
    /// An offset in the file is wrong.
    #[error("the file is damaged; convert the model again")]
    Damaged(#[from] planus::Error),
    /// Only one of them can be run.
    #[error("the model has {got} {part}; export it with one")]
    Count {
        /// Graphs, inputs or outputs.
        part: &'static str,
        /// How many.
        got: usize,
    },
    /// More than any model for the runtime has.
    #[error("the model has {got} {part}, {limit} are the most; give a smaller one")]
    Limit {
        /// Tensors, operators, or numbers in its lists (not data).
        part: &'static str,
        /// How many, or the first count beyond the limit.
        got: usize,
        /// The most that are taken.
        limit: usize,
    },
    /// An operator that cannot be converted.
    #[error("operator {index} ({operator}), tensor `{tensor}`: {fault}")]
    Operator {
        /// Place in the graph, from 0.
        index: usize,
        /// Its name in the schema.
        operator: String,
        /// Name of the tensor that is at fault; of the output if the operator itself is.
        tensor: String,
        /// What is wrong.
        fault: Fault,
    },
    /// The blob cannot be assembled or is refused by the runtime.
    #[error(transparent)]
    Deploy(#[from] DeployError),
}

/// What is wrong with an operator or with one of its tensors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are what the message says")]
pub enum Fault {
    /// There is no kernel.
    #[error("the operator is not supported; {remedy}")]
    Unsupported { remedy: &'static str },
    /// An index of the file points nowhere.
    #[error("the operator names a tensor that does not exist; convert the model again")]
    Missing,
    /// A tensor that no earlier operator writes.
    #[error("is read but nothing has computed it; constants are supported as weights only")]
    NotComputed,
    /// A type other than int8 (biases: int32).
    #[error("has type {got}, {want} is needed; convert with full integer quantization")]
    Type { got: String, want: &'static str },
    /// A size is left open.
    #[error(
        "has the dynamic shape {shape:?}; only the batch may be open: give keras.Input every other size"
    )]
    Dynamic { shape: Vec<i32> },
    /// Sizes that the operator cannot have.
    #[error("has shape {got:?}, {want} is needed")]
    Shape { got: Vec<i32>, want: String },
    /// The shape given by a reshape cannot be read by an operator that depends on it.
    #[error("is reshaped to {got:?} between two operators that both depend on its shape")]
    Reshape { got: Vec<i32> },
    /// The shape asked for is another one than the output has.
    #[error("has shape {got:?}, but {want:?} is asked for; convert with a batch size of 1")]
    Target { got: Vec<i32>, want: Vec<i32> },
    /// A shape that is computed in an unknown way.
    #[error(
        "is a shape whose computation is not followed; build the model with \
         keras.Input(shape, batch_size=1)"
    )]
    Arithmetic,
    /// Zeros around an image that no window takes in.
    #[error(
        "is padded, {padding:?} rows and columns before and behind, which {operator} cannot take in; {remedy}"
    )]
    Padding {
        padding: [[u16; 2]; 2],
        operator: &'static str,
        remedy: &'static str,
    },
    /// A RELU6 on its own between two scales.
    #[error(
        "has another scale than its input, and TensorFlow Lite Micro does not rescale in a RELU6 on its own; \
         put the RELU6 right behind a convolution or an addition, or use RELU"
    )]
    Relu6,
    /// The runtime's parser has the last word.
    #[error("the runtime refuses its layer: {0}")]
    Refused(aplysia_shared::blob::BlobError),
    /// Scales or zero points that the kernels do not take.
    #[error("has {scales} scales with zero points {zero_points:?}, but {want} is needed")]
    Quantization {
        scales: usize,
        zero_points: Vec<i64>,
        want: &'static str,
    },
    /// A constant of the wrong length.
    #[error("has {got_bytes} bytes of data, {want_bytes} are needed; convert the model again")]
    Data { got_bytes: usize, want_bytes: usize },
    /// An option that the kernels do not take.
    #[error("option {name} is {got}; {want}")]
    Option {
        name: &'static str,
        got: i64,
        want: &'static str,
    },
}
