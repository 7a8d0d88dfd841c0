//! Names of operators and tensor types, and what to do about an operator that has no kernel.
//!
//! Owns the texts and must not know how operators are converted. Source: `BuiltinOperator` and `TensorType`
//! in TensorFlow's `schema.fbs` (2.21).

use super::schema::{FLOAT32, INT8, INT32, UINT8};

/// Operators by their code.
#[rustfmt::skip]
const OPERATORS: [&str; 210] = [
    "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DEPTH_TO_SPACE",
    "DEQUANTIZE", "EMBEDDING_LOOKUP", "FLOOR", "FULLY_CONNECTED", "HASHTABLE_LOOKUP",
    "L2_NORMALIZATION", "L2_POOL_2D", "LOCAL_RESPONSE_NORMALIZATION", "LOGISTIC", "LSH_PROJECTION",
    "LSTM", "MAX_POOL_2D", "MUL", "RELU", "RELU_N1_TO_1", "RELU6", "RESHAPE", "RESIZE_BILINEAR",
    "RNN", "SOFTMAX", "SPACE_TO_DEPTH", "SVDF", "TANH", "CONCAT_EMBEDDINGS", "SKIP_GRAM", "CALL",
    "CUSTOM", "EMBEDDING_LOOKUP_SPARSE", "PAD", "UNIDIRECTIONAL_SEQUENCE_RNN", "GATHER",
    "BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND", "TRANSPOSE", "MEAN", "SUB", "DIV", "SQUEEZE",
    "UNIDIRECTIONAL_SEQUENCE_LSTM", "STRIDED_SLICE", "BIDIRECTIONAL_SEQUENCE_RNN", "EXP", "TOPK_V2",
    "SPLIT", "LOG_SOFTMAX", "DELEGATE", "BIDIRECTIONAL_SEQUENCE_LSTM", "CAST", "PRELU", "MAXIMUM",
    "ARG_MAX", "MINIMUM", "LESS", "NEG", "PADV2", "GREATER", "GREATER_EQUAL", "LESS_EQUAL",
    "SELECT", "SLICE", "SIN", "TRANSPOSE_CONV", "SPARSE_TO_DENSE", "TILE", "EXPAND_DIMS", "EQUAL",
    "NOT_EQUAL", "LOG", "SUM", "SQRT", "RSQRT", "SHAPE", "POW", "ARG_MIN", "FAKE_QUANT",
    "REDUCE_PROD", "REDUCE_MAX", "PACK", "LOGICAL_OR", "ONE_HOT", "LOGICAL_AND", "LOGICAL_NOT",
    "UNPACK", "REDUCE_MIN", "FLOOR_DIV", "REDUCE_ANY", "SQUARE", "ZEROS_LIKE", "FILL", "FLOOR_MOD",
    "RANGE", "RESIZE_NEAREST_NEIGHBOR", "LEAKY_RELU", "SQUARED_DIFFERENCE", "MIRROR_PAD", "ABS",
    "SPLIT_V", "UNIQUE", "CEIL", "REVERSE_V2", "ADD_N", "GATHER_ND", "COS", "WHERE", "RANK", "ELU",
    "REVERSE_SEQUENCE", "MATRIX_DIAG", "QUANTIZE", "MATRIX_SET_DIAG", "ROUND", "HARD_SWISH", "IF",
    "WHILE", "NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5", "SCATTER_ND", "SELECT_V2",
    "DENSIFY", "SEGMENT_SUM", "BATCH_MATMUL", "PLACEHOLDER_FOR_GREATER_OP_CODES", "CUMSUM",
    "CALL_ONCE", "BROADCAST_TO", "RFFT2D", "CONV_3D", "IMAG", "REAL", "COMPLEX_ABS", "HASHTABLE",
    "HASHTABLE_FIND", "HASHTABLE_IMPORT", "HASHTABLE_SIZE", "REDUCE_ALL", "CONV_3D_TRANSPOSE",
    "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "BROADCAST_ARGS", "RANDOM_STANDARD_NORMAL",
    "BUCKETIZE", "RANDOM_UNIFORM", "MULTINOMIAL", "GELU", "DYNAMIC_UPDATE_SLICE", "RELU_0_TO_1",
    "UNSORTED_SEGMENT_PROD", "UNSORTED_SEGMENT_MAX", "UNSORTED_SEGMENT_SUM", "ATAN2",
    "UNSORTED_SEGMENT_MIN", "SIGN", "BITCAST", "BITWISE_XOR", "RIGHT_SHIFT", "STABLEHLO_LOGISTIC",
    "STABLEHLO_ADD", "STABLEHLO_DIVIDE", "STABLEHLO_MULTIPLY", "STABLEHLO_MAXIMUM",
    "STABLEHLO_RESHAPE", "STABLEHLO_CLAMP", "STABLEHLO_CONCATENATE", "STABLEHLO_BROADCAST_IN_DIM",
    "STABLEHLO_CONVOLUTION", "STABLEHLO_SLICE", "STABLEHLO_CUSTOM_CALL", "STABLEHLO_REDUCE",
    "STABLEHLO_ABS", "STABLEHLO_AND", "STABLEHLO_COSINE", "STABLEHLO_EXPONENTIAL",
    "STABLEHLO_FLOOR", "STABLEHLO_LOG", "STABLEHLO_MINIMUM", "STABLEHLO_NEGATE", "STABLEHLO_OR",
    "STABLEHLO_POWER", "STABLEHLO_REMAINDER", "STABLEHLO_RSQRT", "STABLEHLO_SELECT",
    "STABLEHLO_SUBTRACT", "STABLEHLO_TANH", "STABLEHLO_SCATTER", "STABLEHLO_COMPARE",
    "STABLEHLO_CONVERT", "STABLEHLO_DYNAMIC_SLICE", "STABLEHLO_DYNAMIC_UPDATE_SLICE",
    "STABLEHLO_PAD", "STABLEHLO_IOTA", "STABLEHLO_DOT_GENERAL", "STABLEHLO_REDUCE_WINDOW",
    "STABLEHLO_SORT", "STABLEHLO_WHILE", "STABLEHLO_GATHER", "STABLEHLO_TRANSPOSE", "DILATE",
    "STABLEHLO_RNG_BIT_GENERATOR", "REDUCE_WINDOW", "STABLEHLO_COMPOSITE", "STABLEHLO_SHIFT_LEFT",
    "STABLEHLO_CBRT", "STABLEHLO_CASE",
];

/// The schema's name of an operator.
pub(super) fn operator_name(code: i32) -> String {
    let known = usize::try_from(code).ok().and_then(|c| OPERATORS.get(c));
    known.map_or_else(
        || format!("operator code {code}"),
        |name| (*name).to_owned(),
    )
}

/// The schema's name of a tensor's type.
pub(super) fn kind_name(kind: i8) -> String {
    let name = match kind {
        FLOAT32 => "FLOAT32",
        1 => "FLOAT16",
        INT32 => "INT32",
        UINT8 => "UINT8",
        4 => "INT64",
        6 => "BOOL",
        7 => "INT16",
        INT8 => "INT8",
        10 => "FLOAT64",
        17 => "INT4",
        _ => return format!("type {kind}"),
    };
    name.to_owned()
}

/// What to do about an operator that is not supported.
pub(super) fn remedy(code: i32) -> &'static str {
    match code {
        6 | 114 => {
            "types change at the network's input and output only: convert with full integer \
             quantization (a representative_dataset and supported_ops = [TFLITE_BUILTINS_INT8])"
        }
        14 | 28 => {
            "end with a fully connected layer without activation (the sign of its output, as a real \
             number, is the class), and use RELU or RELU6 inside the network"
        }
        20 | 50 | 54 | 98 | 101 | 111 | 117 | 150 | 152 => "use RELU or RELU6 as the activation",
        18 | 41 | 42 | 55 | 57 | 74 | 99 | 106 => {
            "of two tensors only ADD and CONCATENATION are computed: leave out gates such as \
             squeeze-and-excitation, and normalize by BatchNormalization, which the converter folds away"
        }
        60 | 100 => "pad with zeros (ZeroPadding2D, or padding=\"same\")",
        36 | 49 | 65 | 88 | 102 => "give every branch the whole tensor",
        39 => "build the network with channels last, so that nothing is transposed",
        23 | 26 | 5 | 67 | 97 => "end in classes: a network that makes images is not run",
        16 | 24 | 27 | 35 | 44 | 46 | 48 | 52 => {
            "use convolutions over time (Conv1D) instead of a recurrent layer"
        }
        37 | 38 => {
            "a dilated convolution is kept whole with a fixed batch: build the model with \
             keras.Input(shape, batch_size=1) and 2D convolutions"
        }
        45 | 53 | 77 | 83 | 94 | 130 | 145 => {
            "fix the shapes: build the model with keras.Input(shape, batch_size=1)"
        }
        56 | 79 => "leave it out: the largest of the outputs is taken on the device",
        32 => "convert with supported_ops = [TFLITE_BUILTINS_INT8] only",
        _ => "`aplysia import --help` lists those that are: build the network of them",
    }
}
