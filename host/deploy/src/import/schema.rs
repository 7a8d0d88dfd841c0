//! The parts of a TensorFlow Lite file that an import reads, as plain values.
//!
//! Owns the field numbers of the FlatBuffers schema and must not know what operators mean. Every access
//! is checked by `planus`: a damaged file gives an error. Source: `schema.fbs`, version 3, of TensorFlow.

use super::ImportError;
use planus::table_reader::Table;
use planus::{SliceWithStartOffset, TableRead, Vector, VectorReadInner};

/// `TensorType` of 8-bit integers.
pub(super) const INT8: i8 = 9;
/// `TensorType` of 32-bit integers.
pub(super) const INT32: i8 = 2;
/// `TensorType` of unsigned 8-bit integers.
pub(super) const UINT8: i8 = 3;
/// `TensorType` of 32-bit floating point.
pub(super) const FLOAT32: i8 = 0;

/// Most tensors of a file, and most operators: those of `MAX_LAYERS` layers with weights, biases and
/// reshapes between them, many times over.
const MAX_PARTS: usize = 1024;

/// A table of the file; fields are numbered as in the schema.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'a>(Table<'a>);

impl<'a> TableRead<'a> for Node<'a> {
    fn from_buffer(
        buffer: SliceWithStartOffset<'a>,
        offset: usize,
    ) -> Result<Self, planus::errors::ErrorKind> {
        Table::from_buffer(buffer, offset).map(Self)
    }
}

impl<'a> VectorReadInner<'a> for Node<'a> {
    type Error = planus::Error;
    const STRIDE: usize = 4;

    // The trait asks for an unsafe function; this one accepts every offset.
    unsafe fn from_buffer(
        buffer: SliceWithStartOffset<'a>,
        offset: usize,
    ) -> Result<Self, planus::Error> {
        let error = |kind: planus::errors::ErrorKind| {
            kind.with_error_location("vector", "get", buffer.offset_from_start)
        };
        TableRead::from_buffer(buffer, offset).map_err(error)
    }
}

impl<'a> Node<'a> {
    /// Field `slot`, if it is there.
    fn field<T: TableRead<'a>>(&self, slot: usize) -> Result<Option<T>, planus::Error> {
        self.0.access(slot, "table", "field")
    }

    /// Field `slot` or its default.
    pub(super) fn or<T: TableRead<'a>>(&self, slot: usize, default: T) -> Result<T, planus::Error> {
        Ok(self.field(slot)?.unwrap_or(default))
    }

    fn nodes(&self, slot: usize) -> Result<Vec<Self>, planus::Error> {
        match self.field::<Vector<'a, Result<Self, planus::Error>>>(slot)? {
            Some(nodes) => nodes.iter().collect(),
            None => Ok(Vec::new()),
        }
    }

    fn numbers<T: planus::VectorRead<'a>>(&self, slot: usize) -> Result<Vec<T>, planus::Error> {
        let numbers: Option<Vector<'a, T>> = self.field(slot)?;
        Ok(numbers.map_or_else(Vec::new, |n| n.iter().collect()))
    }
}

/// A tensor; constants have data.
#[derive(Clone, Debug)]
pub(super) struct Tensor<'a> {
    pub(super) name: &'a str,
    pub(super) kind: i8,
    pub(super) shape: Vec<i32>,
    /// As `shape`, with −1 for what the caller may choose; often empty.
    pub(super) signature: Vec<i32>,
    pub(super) scales: Vec<f32>,
    pub(super) zero_points: Vec<i64>,
    /// Dimension that `scales` belong to if there are several.
    pub(super) axis: i32,
    pub(super) data: &'a [u8],
}

/// An operator; missing optional inputs are −1.
#[derive(Clone, Debug)]
pub(super) struct Operator<'a> {
    pub(super) code: i32,
    pub(super) inputs: Vec<i32>,
    pub(super) outputs: Vec<i32>,
    options: Option<Node<'a>>,
}

impl<'a> Operator<'a> {
    /// Option `slot` of the operator's own table, or its default.
    pub(super) fn option<T: TableRead<'a>>(
        &self,
        slot: usize,
        default: T,
    ) -> Result<T, planus::Error> {
        match &self.options {
            Some(options) => options.or(slot, default),
            None => Ok(default),
        }
    }
}

/// The graph of a file with one.
#[derive(Clone, Debug)]
pub(super) struct Graph<'a> {
    pub(super) tensors: Vec<Tensor<'a>>,
    pub(super) operators: Vec<Operator<'a>>,
    pub(super) input: i32,
    pub(super) output: i32,
}

impl<'a> Graph<'a> {
    /// Reads a file.
    ///
    /// # Errors
    /// It is no TensorFlow Lite model, is damaged, has more than one graph, input or output, or more of
    /// anything than a file of its length holds: lists may share bytes, so that a short file could be
    /// read into any amount of memory otherwise.
    pub(super) fn read(file: &'a [u8]) -> Result<Self, ImportError> {
        if file.get(4..8) != Some(b"TFL3") {
            return Err(ImportError::Identifier);
        }
        let buffer = SliceWithStartOffset {
            buffer: file,
            offset_from_start: 0,
        };
        let root = <Node<'_> as TableRead<'_>>::from_buffer(buffer, 0);
        let root = root.map_err(|kind| kind.with_error_location("model", "root", 0))?;
        let graph = one("graphs", &root.nodes(2)?)?;
        let buffers: Result<Vec<&[u8]>, _> =
            root.nodes(4)?.iter().map(|b| b.or(0, &[][..])).collect();
        let codes: Result<Vec<i32>, _> = root.nodes(1)?.iter().map(code).collect();
        let (buffers, codes) = (buffers?, codes?);
        let mut n_numbers = 0;
        let mut counted = |n: usize| {
            n_numbers += n;
            within("numbers in lists", n_numbers, file.len())
        };
        let mut tensors = Vec::new();
        for node in few("tensors", graph.nodes(0)?)? {
            let t = tensor(&node, &buffers)?;
            counted(t.shape.len() + t.signature.len() + t.scales.len() + t.zero_points.len())?;
            tensors.push(t);
        }
        let mut operators = Vec::new();
        for node in few("operators", graph.nodes(3)?)? {
            let o = operator(&node, &codes)?;
            counted(o.inputs.len() + o.outputs.len())?;
            operators.push(o);
        }
        Ok(Self {
            tensors,
            operators,
            input: one("inputs", &graph.numbers(1)?)?,
            output: one("outputs", &graph.numbers(2)?)?,
        })
    }
}

fn within(part: &'static str, got: usize, limit: usize) -> Result<(), ImportError> {
    match got <= limit {
        true => Ok(()),
        false => Err(ImportError::Limit { part, got, limit }),
    }
}

fn few<'a>(part: &'static str, nodes: Vec<Node<'a>>) -> Result<Vec<Node<'a>>, ImportError> {
    within(part, nodes.len(), MAX_PARTS)?;
    Ok(nodes)
}

fn one<T: Copy>(part: &'static str, found: &[T]) -> Result<T, ImportError> {
    match found {
        [one] => Ok(*one),
        _ => Err(ImportError::Count {
            part,
            got: found.len(),
        }),
    }
}

/// Newer files have the code in 32 bits, older ones in 8 only.
fn code(node: &Node<'_>) -> Result<i32, planus::Error> {
    let old: i8 = node.or(0, 0)?;
    Ok(node.or(3, 0)?.max(i32::from(old)))
}

fn tensor<'a>(node: &Node<'a>, buffers: &[&'a [u8]]) -> Result<Tensor<'a>, planus::Error> {
    let quantization: Option<Node<'a>> = node.field(4)?;
    let (mut scales, mut zero_points, mut axis) = (Vec::new(), Vec::new(), 0);
    if let Some(q) = quantization {
        (scales, zero_points, axis) = (q.numbers(2)?, q.numbers(3)?, q.or(6, 0)?);
    }
    let buffer = node.or(2, 0u32)? as usize;
    Ok(Tensor {
        name: node.or(3, "")?,
        kind: node.or(1, 0)?,
        shape: node.numbers(0)?,
        signature: node.numbers(7)?,
        scales,
        zero_points,
        axis,
        data: buffers.get(buffer).copied().unwrap_or_default(),
    })
}

fn operator<'a>(node: &Node<'a>, codes: &[i32]) -> Result<Operator<'a>, planus::Error> {
    let code = node.or(0, 0u32)? as usize;
    Ok(Operator {
        code: codes.get(code).copied().unwrap_or(-1),
        inputs: node.numbers(1)?,
        outputs: node.numbers(2)?,
        options: node.field(4)?,
    })
}
