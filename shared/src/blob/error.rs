//! Why a blob is refused. It owns the error type only; numbers instead of texts, so that a device can
//! log them.

/// Why a blob is refused; layers and tensors are named by index. Unless a variant says otherwise the
/// remedy is to export the model again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are what the message says")]
pub enum BlobError {
    /// Fewer bytes than the header or its length field asks for.
    #[error("blob has {got_bytes} bytes, needs {want_bytes}: transfer it again")]
    Truncated { got_bytes: usize, want_bytes: usize },
    /// The first eight bytes are not those of a blob.
    #[error(
        "this is no Aplysia model: give a blob that `aplysia export` or `aplysia import` wrote"
    )]
    Magic,
    /// The blob lies where the kernels would read its words byte by byte.
    #[error(
        "the blob lies {over_bytes} bytes past a multiple of 4: use `include_blob!`, or copy it to an aligned buffer"
    )]
    Alignment { over_bytes: usize },
    /// The format or the graph version is not one this runtime reads.
    #[error("format version {got}, this runtime reads {want}: update the runtime or export again")]
    Version { got: u16, want: u16 },
    /// The blob asks for a newer runtime.
    #[error("blob needs runtime interface {want}, this is {got}: update the runtime")]
    Abi { got: u16, want: u16 },
    /// Graph, data and total length do not fit together.
    #[error("sections end at {got_bytes}, the blob at {want_bytes}: export the model again")]
    Sections { got_bytes: u64, want_bytes: u64 },
    /// Header bytes are not zero that must be below runtime interface 3.
    #[error("reserved header bytes are not zero: export the model again")]
    Reserved,
    /// The blob was damaged.
    #[error("CRC is {got:#010x}, the header says {want:#010x}: transfer the blob again")]
    Crc { got: u32, want: u32 },
    /// The graph is not postcard of a known version.
    #[error("the graph cannot be decoded: update the runtime or export the model again")]
    GraphEncoding,
    /// Bytes are left behind the graph.
    #[error("{unused_bytes} bytes follow the graph: export the model again")]
    GraphLength { unused_bytes: usize },
    /// A tensor has a zero dimension.
    #[error("tensor {tensor} has shape {h}x{w}x{c}: every dimension must be at least 1")]
    Shape { tensor: u8, h: u16, w: u16, c: u16 },
    /// A scale is not finite and positive.
    #[error("tensor {tensor} has a scale that is not finite and positive: calibrate again")]
    Scale { tensor: u8 },
    /// A tensor leaves the arena.
    #[error("tensor {tensor} ends at byte {end_bytes} of an arena of {arena_bytes}")]
    Arena {
        tensor: u8,
        end_bytes: u64,
        arena_bytes: u64,
    },
    /// Two tensors that live at one time share bytes.
    #[error("tensors {lhs} and {rhs} live at one time and share arena bytes: plan the arena again")]
    Overlap { lhs: u8, rhs: u8 },
    /// A tensor index is out of range.
    #[error("layer {layer} names tensor {tensor} of {n_tensors}")]
    TensorIndex {
        layer: u8,
        tensor: u8,
        n_tensors: usize,
    },
    /// A tensor is read before it is written, written twice or never written.
    #[error("layer {layer}: tensor {tensor} is not written exactly once before it is read")]
    Order { layer: u8, tensor: u8 },
    /// Layers that run together cannot.
    #[error("the layers from {layer} on cannot run a few rows at a time: export the model again")]
    Cascade { layer: u8 },
    /// An op with one input names two.
    #[error("layer {layer} reads one tensor but names two")]
    Inputs { layer: u8 },
    /// The last layer does not write the graph's output, or that is not 1×1×classes.
    #[error("the last layer must write the output, which is 1x1 in size")]
    Head,
    /// Input and output shapes do not fit the op.
    #[error("layer {layer}: input and output shapes do not fit its op")]
    LayerShape { layer: u8 },
    /// A window has a zero size, step or dilation, too much padding, or leaves the image.
    #[error("layer {layer}: its window does not fit the image")]
    Window { layer: u8 },
    /// Pooling changes scale or zero point.
    #[error("layer {layer}: pooling needs one scale and zero point for input and output")]
    PoolScale { layer: u8 },
    /// A softmax has too many channels, another output than scale 1/256 and zero point -128, or a shift
    /// outside `0 ..= 30`.
    #[error("layer {layer}: softmax takes 511 channels to scale 1/256 and zero point -128")]
    Softmax { layer: u8 },
    /// The smallest output is above the largest.
    #[error("layer {layer}: clamp from {min} to {max} is empty")]
    Clamp { layer: u8, min: i8, max: i8 },
    /// A section leaves the data or is not aligned to 4 bytes.
    #[error("layer {layer}: its constants at {offset} are outside the data or unaligned")]
    Data { layer: u8, offset: u32 },
    /// A multiplier is negative or a shift outside `-31 ..= 30` (`-31 ..= 0` in an addition).
    #[error(
        "layer {layer}, channel {channel}: multiplier {multiplier}, shift {shift} out of range"
    )]
    Scaling {
        layer: u8,
        channel: u16,
        multiplier: i32,
        shift: i8,
    },
    /// A packed layer is deeper or narrower than the kernel takes, its weights of -128 stand where it cannot tell two
    /// channels apart, or its padding, its repeated channels, its sums or its reach contradict its weights.
    #[error("layer {layer}: packed weights are inconsistent: export the model again")]
    #[allow(missing_docs)]
    Packing { layer: u8 },
    /// An accumulator could leave 32 bits.
    #[error("layer {layer}, channel {channel}: accumulator may reach {bound}, shifted by {shift}")]
    Accumulator {
        layer: u8,
        channel: u16,
        bound: u64,
        shift: i8,
    },
    /// Homeostasis statistics on a layer without weights, outside the data, or a deviation below 1.
    #[error("layer {layer}: its homeostasis statistics are out of range")]
    Homeostasis { layer: u8 },
    /// Prototypes outside the data or out of range.
    #[error("the class prototypes at {offset} are out of range")]
    Prototypes { offset: u32 },
    /// A golden set outside the data, of an unknown kind, without samples or with a label of no class.
    #[error("the golden set at {offset} of the data is out of range")]
    Golden { offset: usize },
    /// Class names outside the data, not UTF-8, empty, or not one per class.
    #[error("found {got} class names for {want} classes: give one non-empty name per class")]
    Labels { got: usize, want: usize },
    /// [`super::encode()`]: the output buffer is too short.
    #[error("buffer has {got_bytes} bytes, the blob needs {want_bytes}")]
    Buffer { got_bytes: usize, want_bytes: u64 },
}
