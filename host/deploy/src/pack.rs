//! Weights of a convolution in the packed form of the fast kernels.
//!
//! Owns the arrangement of bytes that `aplysia_shared::kernel::dsp::packing` describes, and must not
//! know layers or the blob. Flow: [`mod@crate::quantize`] → **`pack`** → [`crate::assemble`].

use aplysia_shared::kernel::dsp::packing::{BLOCK, Depth, PART, first_channel, halfword};

/// Packed weights and what the kernels want to know of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedWeights {
    /// Sum of the weights of each channel.
    pub sums: Vec<i32>,
    /// `128·Σ|w|`, the largest over the channels.
    pub reach: u32,
    /// Blocks of four channels.
    pub bytes: Vec<u8>,
}

/// Whether the packed form holds `weights`, `[out_ch][kernel_h][kernel_w][in_ch]`, at least four channels. Weights of
/// -128 have no place in it beside one below 0 of the channel before, nor 512 of them in one channel.
///
/// ```
/// use aplysia_shared::kernel::dsp::packing::Depth;
/// let fits = |weights: [i8; 4]| aplysia_deploy::pack::fits(&weights, Depth { rows: 1, run: 1 });
/// assert!(fits([-128, -127, 0, -128]));
/// assert!(!fits([-1, -128, 0, 0]));
/// ```
pub fn fits(weights: &[i8], depth: Depth) -> bool {
    let rows: Vec<&[i8]> = weights.chunks_exact(depth.rows * depth.run).collect();
    (0..rows.len().div_ceil(BLOCK)).all(|block| {
        let rows = &rows[first_channel(block, rows.len())..][..BLOCK];
        rows.chunks_exact(2).all(|rows| {
            let mut least = rows[0]
                .iter()
                .zip(rows[1])
                .filter(|&(_, &odd)| odd == i8::MIN);
            least.clone().count() < PART && least.all(|(&even, _)| even >= 0)
        })
    })
}

/// Packs `weights`, `[out_ch][kernel_h][kernel_w][in_ch]`, at least four channels, as far as they [fit](fits).
///
/// ```
/// use aplysia_shared::kernel::dsp::packing::Depth;
/// // Four channels of one depth: 256·w[1] + w[0], then 256·w[3] + w[2]; three depths of padding.
/// let packed = aplysia_deploy::pack::pack(&[-1, 2, 3, 4], Depth { rows: 1, run: 1 });
/// assert_eq!(packed.bytes[..8], [0xff, 0x01, 0, 0, 0x03, 0x04, 0, 0]);
/// assert_eq!((packed.sums, packed.reach), (vec![-1, 2, 3, 4], 4 * 128));
/// ```
pub fn pack(weights: &[i8], depth: Depth) -> PackedWeights {
    let rows: Vec<&[i8]> = weights.chunks_exact(depth.rows * depth.run).collect();
    let mut bytes = vec![0; depth.packed_bytes(rows.len())];
    for (block, bytes) in bytes.chunks_exact_mut(depth.block_bytes()).enumerate() {
        let rows = &rows[first_channel(block, rows.len())..][..BLOCK];
        for (pair, rows) in rows.chunks_exact(2).enumerate() {
            for (i, (&even, &odd)) in rows[0].iter().zip(rows[1]).enumerate() {
                let both = (256 * i16::from(odd)).wrapping_add(even.into());
                bytes[halfword(depth.of(i), 2 * pair)..][..2].copy_from_slice(&both.to_le_bytes());
            }
        }
    }
    let size = |row: &&[i8]| row.iter().map(|w| u32::from(w.unsigned_abs())).sum::<u32>();
    PackedWeights {
        sums: rows
            .iter()
            .map(|row| row.iter().map(|&w| i32::from(w)).sum())
            .collect(),
        reach: 128 * rows.iter().map(size).max().unwrap_or(0),
        bytes,
    }
}
