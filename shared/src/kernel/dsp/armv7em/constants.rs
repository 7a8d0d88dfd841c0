//! Constants of four channels of a depthwise convolution. It owns this code only and must not know layers.

use core::arch::naked_asm;

use crate::kernel::dsp::packing::{BLOCK, Epilogue, Reach};
use crate::quant::Requant;

/// Where those of a layer lie.
#[derive(Clone, Copy)]
pub(super) struct Place {
    bias: *const i32,
    multiplier: *const i32,
    shift: *const u8,
    /// No sum without its bias is as far from 0.
    more: u32,
}

impl Place {
    /// If they can be read for four channels from `last` on.
    #[inline(always)]
    pub(super) fn new(requant: &Requant<'_>, last: usize, reach: Reach) -> Option<Self> {
        let words = [requant.bias, requant.multiplier];
        let n = words.iter().fold(requant.shift.len(), |n, words| {
            let aligned = words.as_ptr().addr().is_multiple_of(4);
            n.min(if aligned { words.len() / 4 } else { 0 })
        });
        let [bias, multiplier] = words.map(|words| words.as_ptr().cast());
        let fits = n.checked_sub(BLOCK).is_some_and(|most| last <= most);
        fits.then(|| Self {
            bias,
            multiplier,
            shift: requant.shift.as_ptr(),
            // At most 2^30 before.
            more: reach.0.min(1 << 30) + 1,
        })
    }

    /// Those from channel `first` on, whose zero point is not in the bias, but for that of the output; none if the fast
    /// kernels would not be exact.
    ///
    /// # Safety
    /// `first` is not behind the `last` of [`Place::new`], and its slices are still there.
    #[inline(always)]
    pub(super) unsafe fn write(&self, first: usize, to: &mut Epilogue) -> Option<()> {
        let bias = self.bias.wrapping_add(first);
        let multiplier = self.multiplier.wrapping_add(first);
        let shift = self.shift.wrapping_add(first);
        // SAFETY: there are four of each constant, and the words are aligned.
        let exact = unsafe { write(bias, multiplier, shift, to, self.more) };
        (exact != 0).then_some(())
    }
}

/// As [`Epilogue::of`] without pairs and zero point; 0 unless [`are_exact`](crate::kernel::dsp::packing::are_exact)
/// holds, perhaps if a bias is 1 from where it does not: `more` is the reach and 1.
///
/// # Safety
/// `bias` and `multiplier` are readable for four words and aligned to 4, `shift` for four bytes.
#[unsafe(naked)]
unsafe extern "C" fn write(
    bias: *const i32,
    multiplier: *const i32,
    shift: *const u8,
    to: &mut Epilogue,
    more: u32,
) -> u32 {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "ldm r0, {{r4-r7}}",
        "ldm r1, {{r8-r11}}",
        "ldr r12, [r2]",
        "ldr r0, [sp, #36]",
        "stm r3!, {{r4-r7}}",
        // No sum is farther from 0 than r0.
        "eor r4, r4, r4, asr #31",
        "eor r5, r5, r5, asr #31",
        "eor r6, r6, r6, asr #31",
        "eor r7, r7, r7, asr #31",
        "orr r4, r4, r5",
        "orr r6, r6, r7",
        "orr r4, r4, r6",
        "add r0, r0, r4",
        // Bit 30 of r1: all multipliers have it and none has the sign.
        "and r1, r8, r9",
        "and r2, r10, r11",
        "orr r4, r8, r9",
        "orr r5, r10, r11",
        "and r1, r1, r2",
        "orr r4, r4, r5",
        "bic r1, r1, r4, lsr #1",
        "lsl r8, r8, #1",
        "lsl r9, r9, #1",
        "lsl r10, r10, #1",
        "lsl r11, r11, #1",
        "stm r3!, {{r8-r11}}",
        // Shifts to the left, from 10 to 30: r5 is 0 then.
        "mov r4, #0x20202020",
        "uadd8 r12, r12, r4",
        "mov r4, #0x0A0A0A0A",
        "mov r5, #0x1E1E1E1E",
        "uqsub8 r4, r4, r12",
        "uqsub8 r5, r12, r5",
        "orr r5, r5, r4",
        "mov r4, #1",
        "lsl r8, r4, r12",
        "lsr r12, r12, #8",
        "lsl r9, r4, r12",
        "lsr r12, r12, #8",
        "lsl r10, r4, r12",
        "lsr r12, r12, #8",
        "lsl r11, r4, r12",
        // The least of them is the lowest bit of any.
        "orr r2, r8, r9",
        "orr r6, r10, r11",
        "orr r2, r2, r6",
        "rsb r6, r2, #0",
        "and r2, r2, r6",
        // Their code for ties is left out where all sums are nearer to 0 than that.
        "cmp r0, r2",
        "ite lo",
        "movlo r7, #32",
        "movhs r7, #0",
        "add r8, r8, r7, lsr #5",
        "add r9, r9, r7, lsr #5",
        "add r10, r10, r7, lsr #5",
        "add r11, r11, r7, lsr #5",
        "stm r3!, {{r7-r11}}",
        "orr r5, r5, r0, lsr #23",
        "ubfx r0, r1, #30, #1",
        "cmp r5, #0",
        "it ne",
        "movne r0, #0",
        "pop {{r4-r11, pc}}",
    )
}
