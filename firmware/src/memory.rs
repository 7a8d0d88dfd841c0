//! The memory a program works in, all of it static and so visible in `.bss`, and the model's
//! flash partition, which the board's linker map places.

use aplysia_shared::adapt::terms::TERMS_BYTES;
use aplysia_shared::protocol::{
    Buffers, CRC_BYTES, Decoder, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES,
};
use core::ptr::{addr_of, addr_of_mut};
use core::slice;

/// Activations of one inference, the input among them: enough for MLPerf Tiny's networks and a MobileNetV1 0.25 of
/// 96×96 pixels.
pub const ARENA_BYTES: usize = 64 * 1024;
/// Everything learned since the model was loaded.
pub const STATE_BYTES: usize = 18 * 1024;
/// A snapshot of it, with the terms of a commit.
const SCRATCH_BYTES: usize = STATE_BYTES + TERMS_BYTES;

#[repr(align(16))]
struct Aligned<T>(T);

static mut ARENA: Aligned<[i8; ARENA_BYTES]> = Aligned([0; ARENA_BYTES]);
static mut STATE: Aligned<[u8; STATE_BYTES]> = Aligned([0; STATE_BYTES]);
static mut SCRATCH: Aligned<[u8; SCRATCH_BYTES]> = Aligned([0; SCRATCH_BYTES]);
static mut LINE: Line = Line {
    decoder: Decoder::new(),
    response: [0; MAX_RESPONSE_BYTES + CRC_BYTES],
};

unsafe extern "C" {
    static _model_start: u8;
    static _model_end: u8;
}

/// The two ends of the serial line.
#[derive(Debug)]
pub struct Line {
    /// Of received frames.
    pub decoder: Decoder<{ MAX_REQUEST_BYTES + CRC_BYTES }>,
    /// The response being sent.
    pub response: [u8; MAX_RESPONSE_BYTES + CRC_BYTES],
}

/// All buffers; arena and state are 16-byte aligned.
///
/// # Safety
/// Call it once: the buffers have one owner.
pub unsafe fn take() -> (Buffers<'static>, &'static mut Line) {
    // SAFETY: the caller calls once, so these are the only references to the statics.
    unsafe {
        let arena = &mut (*addr_of_mut!(ARENA)).0;
        let state = &mut (*addr_of_mut!(STATE)).0;
        (
            Buffers {
                arena,
                state,
                scratch: &mut (*addr_of_mut!(SCRATCH)).0,
            },
            &mut *addr_of_mut!(LINE),
        )
    }
}

/// The flash partition of the model that comes with the program: the blob and whatever lies behind it.
pub fn built_in() -> &'static [u8] {
    let (start, end) = (addr_of!(_model_start), addr_of!(_model_end));
    // SAFETY: the linker map reserves `start..end` in memory that nothing writes while the
    // program runs.
    unsafe { slice::from_raw_parts(start, end as usize - start as usize) }
}
