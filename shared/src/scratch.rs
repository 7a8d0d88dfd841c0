//! Scratch on the stack, in frames about as large as a model needs.
//!
//! It owns the sizes of these frames and must not know what they hold. A frame for the largest layer or graph that
//! there may be would be taken from the RAM of every program, whatever its model.

use heapless::{Vec, VecView};

/// Most items that there is room for.
pub(crate) const MOST: usize = 1184;

/// Calls `work` with room for `n` items, or for [`MOST`] if those are fewer; none is there yet. Cost: at most twice the
/// bytes, or 64 items; about 20 instructions.
pub(crate) fn with_room<T>(n: usize, work: &mut dyn FnMut(&mut VecView<T>)) {
    match n {
        0..=64 => framed::<T, 64>(work),
        65..=128 => framed::<T, 128>(work),
        129..=256 => framed::<T, 256>(work),
        257..=384 => framed::<T, 384>(work),
        385..=576 => framed::<T, 576>(work),
        577..=800 => framed::<T, 800>(work),
        801..=1024 => framed::<T, 1024>(work),
        _ => framed::<T, MOST>(work),
    }
}

// Apart, so that each has a frame of its own.
#[inline(never)]
fn framed<T, const N: usize>(work: &mut dyn FnMut(&mut VecView<T>)) {
    work(&mut Vec::<T, N>::new());
}
