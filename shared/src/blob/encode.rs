//! Writing a blob. It owns the assembly of header, graph and data; what may be written is decided by
//! `Model::parse`, which every blob passes before it is handed out.

use postcard::ser_flavors::Size;

use super::check::crc32;
use super::golden::GOLDEN_ABI;
use super::{ALIGN, Blob, BlobError, HEADER_BYTES, MAGIC, Model, VERSION, field, total_len};
use crate::cascade;
use crate::kernel::dsp::{packing, paired};
use crate::layer::{GraphV1, Layer, Op, Tensor, Window};

/// The first runtime interface that takes weights of -128.
const LEAST_ABI: u16 = 7;
/// The first that takes cascades.
const CASCADE_ABI: u16 = 8;
/// Most tensors, and most layers, of runtimes below interface 4.
const MOST_BELOW_4: usize = 48;

/// Bytes that [`encode`] writes for `graph` and a data section of `data_len` bytes.
///
/// # Errors
/// The graph cannot be encoded or the blob would exceed 4 GiB.
pub fn encoded_len(graph: &GraphV1, data_len: usize) -> Result<usize, BlobError> {
    Ok(layout(graph, data_len)?.1)
}

/// Writes the blob of `graph` with its data section to the start of `out` and returns its length.
///
/// Data is padded with zeros to 16 bytes, the arena is the end of the last tensor, the signature is
/// zero. `id` names the model; by convention the first 16 bytes of SHA-256 over everything behind the
/// header, which does not depend on `id`.
///
/// # Errors
/// `out` is too short, or [`Model::parse`] would refuse the blob.
pub fn encode(
    graph: &GraphV1,
    data: &[u8],
    id: [u8; 16],
    counter: u64,
    out: &mut [u8],
) -> Result<usize, BlobError> {
    encode_with_golden(graph, data, None, id, counter, out)
}

/// As [`encode`], with a golden set at offset `golden` of `data`, laid out as `FORMAT.md` says.
///
/// # Errors
/// As [`encode`].
pub fn encode_with_golden(
    graph: &GraphV1,
    data: &[u8],
    golden: Option<u32>,
    id: [u8; 16],
    counter: u64,
    out: &mut [u8],
) -> Result<usize, BlobError> {
    let (graph_len, total) = layout(graph, data.len())?;
    let got_bytes = out.len();
    let want_bytes = total as u64;
    let blob = out.get_mut(..total).ok_or(BlobError::Buffer {
        got_bytes,
        want_bytes,
    })?;
    blob.fill(0);
    let data_offset = (HEADER_BYTES + graph_len).next_multiple_of(ALIGN);
    let arena_bytes = arena_bytes(graph);
    let words = [
        (field::TOTAL_LEN, total as u64),
        (field::GRAPH_LEN, graph_len as u64),
        (field::DATA_OFFSET, data_offset as u64),
        (field::DATA_LEN, (total - data_offset) as u64),
        (field::ARENA_BYTES, arena_bytes),
        (
            field::GOLDEN,
            golden.map_or(0, |offset| data_offset as u64 + u64::from(offset)),
        ),
    ];
    for (at, value) in words {
        let value = u32::try_from(value).map_err(|_| too_long(value))?;
        put(blob, at, &value.to_le_bytes());
    }
    put(blob, field::MAGIC, &MAGIC);
    put(blob, field::VERSION, &VERSION.to_le_bytes());
    let abi = min_abi(graph, golden.is_some());
    put(blob, field::MIN_ABI, &abi.to_le_bytes());
    put(blob, field::ID, &id);
    put(blob, field::COUNTER, &counter.to_le_bytes());
    put(blob, data_offset, data);
    let body = Blob::of(graph);
    if let Some(space) = blob.get_mut(HEADER_BYTES..HEADER_BYTES + graph_len) {
        postcard::to_slice(&body, space).map_err(|_| BlobError::GraphEncoding)?;
    }
    seal(blob);
    let model = Model::parse(blob)?;
    if abi < LEAST_ABI && has_least(&model) {
        put(blob, field::MIN_ABI, &LEAST_ABI.to_le_bytes());
        seal(blob);
    }
    Ok(total)
}

/// Sets the update counter of the blob at the start of `blob`, which must be one, and takes the signature away.
pub fn set_counter(blob: &mut [u8], counter: u64) {
    put(blob, field::COUNTER, &counter.to_le_bytes());
    put(blob, field::SIGNATURE, &[0; 64]);
    seal(blob);
}

/// Sets the signature of `blob`, made over [`crate::signature::message`].
pub fn set_signature(blob: &mut [u8], signature: &[u8; 64]) {
    put(blob, field::SIGNATURE, signature);
}

/// Puts the CRC into the blob at the start of `blob`.
fn seal(blob: &mut [u8]) {
    let len = total_len(blob).unwrap_or(blob.len());
    let crc = crc32(blob.get(..len).unwrap_or_default());
    put(blob, field::CRC, &crc.to_le_bytes());
}

/// Encoded length of the graph and of the whole blob.
fn layout(graph: &GraphV1, data_len: usize) -> Result<(usize, usize), BlobError> {
    let body = Blob::of(graph);
    let graph_len = postcard::serialize_with_flavor::<Blob, Size, usize>(&body, Size::default())
        .map_err(|_| BlobError::GraphEncoding)?;
    let data_offset = (HEADER_BYTES + graph_len).next_multiple_of(ALIGN);
    let total = data_len
        .checked_next_multiple_of(ALIGN)
        .and_then(|len| len.checked_add(data_offset));
    let total = total.ok_or(too_long(u64::MAX))?;
    Ok((graph_len, total))
}

/// The first runtime interface that has every operator of `graph`, and golden sets if there is one.
fn min_abi(graph: &GraphV1, golden: bool) -> u16 {
    let channels = |l: &Layer| graph.tensors.get(usize::from(l.inputs[0])).map(|t| t.c);
    let wide = |l: &Layer, w: &Window| channels(l).is_some_and(|c| packing::is_wide(w, c.into()));
    let needs = |l: &Layer| match &l.op {
        Op::WinogradConv2d(_) => 9,
        Op::PackedConv2d(w) | Op::PairedConv2d(w) if wide(l, w) => 6,
        Op::PairedConv2d(_) => 5,
        Op::Place(_) => 4,
        Op::Softmax(_) => 3,
        Op::PackedConv2d(_) => 2,
        _ => 1,
    };
    let headless = (graph.layers.last()).is_some_and(|l| l.op != Op::FullyConnected);
    let offset = |tensor: u8| graph.tensors.get(usize::from(tensor)).map(|t| t.offset);
    let lies_over = |l: &Layer| l.inputs.iter().any(|&i| offset(i) == offset(l.output));
    let large = graph.tensors.len().max(graph.layers.len()) > MOST_BELOW_4;
    let least = if !graph.cascades.is_empty() {
        CASCADE_ABI
    } else if large || graph.layers.iter().any(lies_over) {
        4
    } else if golden {
        GOLDEN_ABI
    } else if headless || graph.labels.len == 0 {
        3
    } else {
        1
    };
    graph.layers.iter().map(needs).fold(least, u16::max)
}

/// Whether some weight is -128.
fn has_least(model: &Model<'_>) -> bool {
    (0..model.n_layers()).any(|index| {
        let (Some(layer), Some(found)) = (model.layer(index), model.constants(index)) else {
            return false;
        };
        let weight = match layer.op {
            Op::PackedConv2d(_) => packing::weight,
            Op::PairedConv2d(_) => paired::weight,
            _ => return found.weights.contains(&i8::MIN.cast_unsigned()),
        };
        // Wherever blocks end: depths are in fours of 16 bytes.
        let fours = found.weights.chunks_exact(4 * packing::BLOCK);
        let mut places = fours.flat_map(|four| (0..16).map(move |i| (four, i / 4, i % 4)));
        places.any(|(four, k, lane)| weight(four, k, lane) == i8::MIN.into())
    })
}

/// End of the last tensor.
fn arena_bytes(graph: &GraphV1) -> u64 {
    let mut tensors = graph.tensors.clone();
    for cascade in &graph.cascades {
        // Parsing refuses what is none.
        let _ = cascade::held(cascade, graph, |index, h| {
            if let Some(tensor) = tensors.get_mut(usize::from(index)) {
                tensor.h = h;
            }
        });
    }
    tensors.iter().map(Tensor::end).max().unwrap_or(0)
}

fn too_long(want_bytes: u64) -> BlobError {
    BlobError::Buffer {
        got_bytes: u32::MAX as usize,
        want_bytes,
    }
}

fn put(blob: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = blob.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}
