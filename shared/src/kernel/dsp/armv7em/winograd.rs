//! Products of tiles of 3×3 convolutions with transformed weights. It owns this code only and must not know layers.

use core::arch::naked_asm;

use super::Armv7em;
use super::tiles::{Transform, transform};
use crate::kernel::dsp::packing::{BLOCK, Epilogue};
use crate::kernel::dsp::winograd::{FOUR_WORDS, Patch, TILES, Tile, Tiles};

impl Tiles for Armv7em {
    #[inline]
    fn transform(src: &[i8], patch: &Patch, to: &mut [u32]) {
        if let Some(job) = Transform::new(src, patch, to) {
            // SAFETY: the contract of `Transform::new` is that of `transform`.
            unsafe { transform(&job) }
        }
    }

    #[inline]
    fn products(
        columns: &[u32],
        weights: &[u8],
        epilogues: &[Epilogue],
        out: &mut [i8],
        tile: &Tile,
    ) {
        if let Some(job) = Products::new(columns, weights, epilogues, out, tile) {
            // SAFETY: the contract of `Products::new` is that of `products`.
            unsafe { products(&job) }
        }
    }
}

/// What [`products`] works on; it copies the fields to its stack in this order.
#[repr(C)]
struct Products {
    columns: *const u32,
    columns_end: *const u32,
    weights: *const u8,
    epilogue: *const Epilogue,
    epilogue_end: *const Epilogue,
    out: *mut i8,
    /// Bytes from one row of outputs to the next, to the next pixel, and three pixels.
    line: usize,
    pixel: usize,
    pixels: usize,
    /// Bytes of code that the first turn leaves out, and 1 for Thumb.
    skip: usize,
}

/// Fours of input channels that a turn takes, and bytes of code of one.
const TURN: usize = 4;
const FOUR_BYTES: usize = 88;

impl Products {
    /// If all slices are long enough for the same fours of channels.
    #[inline]
    fn new(
        columns: &[u32],
        weights: &[u8],
        epilogues: &[Epilogue],
        out: &mut [i8],
        tile: &Tile,
    ) -> Option<Self> {
        let n = epilogues.len();
        let fits = n > 0
            && !columns.is_empty()
            && columns.len().is_multiple_of(FOUR_WORDS)
            && weights.len() >= n * 8 * columns.len()
            && weights.as_ptr().addr().is_multiple_of(4)
            && tile.end(TILES, n * BLOCK)? <= out.len();
        let missing = (columns.len() / FOUR_WORDS).wrapping_neg() % TURN;
        let (columns, epilogue) = (columns.as_ptr_range(), epilogues.as_ptr_range());
        fits.then(|| Self {
            // Never read in front of the columns: that code is left out.
            columns: columns.start.wrapping_sub(missing * FOUR_WORDS),
            columns_end: columns.end,
            weights: weights.as_ptr(),
            epilogue: epilogue.start,
            epilogue_end: epilogue.end,
            // Inside `out`, as checked.
            out: out.as_mut_ptr().wrapping_add(tile.start),
            line: tile.line,
            pixel: tile.pixel,
            pixels: 3 * tile.pixel,
            skip: FOUR_BYTES * missing + 1,
        })
    }
}

/// Two input channels, `$at` and `$more` bytes from lr on, of four outputs and both tiles: r0, r2, r4, r6
/// accumulate the first. 44 bytes of code, on which [`FOUR_BYTES`] counts.
macro_rules! step {
    ($at:literal, $more:literal) => {
        concat!(
            "ldrd r10, r11, [lr, #",
            $at,
            "+",
            $more,
            "]\n ldrd r8, r9, [r12], #8
            smlad r0, r10, r8, r0
            smlad r1, r11, r8, r1
            smlad r2, r10, r9, r2
            smlad r3, r11, r9, r3
            ldrd r8, r9, [r12], #8
            smlad r4, r10, r8, r4
            smlad r5, r11, r8, r5
            smlad r6, r10, r9, r6
            smlad r7, r11, r9, r7
            "
        )
    };
}

/// Adds up the product in row `$row` of the column, in order of use, in turns of 16 channels; `$entry` on the stack is
/// where the first begins in the code at `$label`.
macro_rules! product {
    ($row:literal, $entry:literal, $label:literal) => {
        concat!(
            "ldr lr, [sp, #40]\n ldr pc, [sp, #",
            $entry,
            "]\n .p2align 2\n ",
            $label,
            ":\n",
            step!($row, "0"),
            step!($row, "8"),
            step!($row, "256"),
            step!($row, "264"),
            step!($row, "512"),
            step!($row, "520"),
            step!($row, "768"),
            step!($row, "776"),
            "ldr r8, [sp, #44]\n add lr, lr, #1024\n cmp lr, r8\n bne.w ",
            $label,
            "b\n",
        )
    };
}

macro_rules! zero {
    () => {
        "movs r0, #0\n movs r1, #0\n movs r2, #0\n movs r3, #0
        movs r4, #0\n movs r5, #0\n movs r6, #0\n movs r7, #0
        "
    };
}

/// Of the sum `$minuend` and `$acc`: their difference, and in `$acc` their sum.
macro_rules! apart {
    ($minuend:literal, $acc:literal) => {
        concat!(
            "sub ",
            $minuend,
            ", ",
            $minuend,
            ", ",
            $acc,
            "\n add ",
            $acc,
            ", ",
            $minuend,
            ", ",
            $acc,
            ", lsl #1\n",
        )
    };
}

/// Across row `$row` of sums, `$at` bytes behind lr, of the channel whose constants r12 points to: four outputs
/// from r11 on. r10 is the zero point; `$ties` takes 1 off those of r0 to r3 that are below 0, or is empty.
macro_rules! outputs {
    ($at:literal, $ties:literal) => {
        concat!(
            "ldrd r2, r3, [lr, #",
            $at,
            "]\n ldrd r4, r5, [lr, #64+",
            $at,
            "]\n ldrd r0, r1, [lr, #128+",
            $at,
            "]\n ldrd r6, r7, [lr, #192+",
            $at,
            "]\n add r8, r2, r4\n add r9, r3, r5\n sub r2, r2, r4\n sub r3, r3, r5
            add r0, r0, r8, asr #1\n add r1, r1, r9, asr #1
            rsb r2, r6, r2, asr #1\n rsb r3, r7, r3, asr #1
            ldr r8, [r12, #16]\n ldr r9, [r12, #36]\n lsrs r8, r8, #1
            smmulr r0, r0, r8\n smmulr r1, r1, r8\n smmulr r2, r2, r8\n smmulr r3, r3, r8
            ",
            $ties,
            "\n smmlar r0, r0, r9, r10\n smmlar r1, r1, r9, r10
            smmlar r2, r2, r9, r10\n smmlar r3, r3, r9, r10
            ssat r0, #8, r0\n ssat r1, #8, r1\n ssat r2, #8, r2\n ssat r3, #8, r3
            ldrd r8, r9, [sp, #28]
            strb r0, [r11]\n strb r2, [r11, r8]\n strb r1, [r11, r8, lsl #1]\n strb r3, [r11, r9]
            ",
        )
    };
}

/// [`outputs`] of both rows of all channels of a block.
macro_rules! block {
    ($ties:literal) => {
        concat!(
            "8:\n",
            outputs!("0", $ties),
            "ldr r8, [sp, #24]\n add r11, r11, r8\n",
            outputs!("32", $ties),
            "ldr r8, [sp, #24]\n add r9, sp, #136\n add r12, r12, #4\n add lr, lr, #8
            sub r11, r11, r8\n adds r11, r11, #1\n cmp lr, r9\n bne 8b\n",
        )
    };
}

/// Blocks of four channels for two tiles. Twice the outputs are requantized by half of the multiplier's double.
///
/// # Safety
/// `columns` to `columns_end` are turns of 256 words, at least one, of which `skip` leaves out the first 64 for
/// each [`FOUR_BYTES`]; of the others `weights` holds twice as many words for each epilogue; both are aligned to 4.
/// `epilogue` to `epilogue_end` is at least one; `out` takes four bytes for each of them at four places `pixel`
/// apart, `pixels` between the first and the last, and again `line` bytes on.
#[unsafe(naked)]
unsafe extern "C" fn products(job: &Products) {
    naked_asm!(
        processor!(),
        "push {{r4-r11, lr}}",
        "ldm r0, {{r1-r10}}",
        // The job, where a column begins and ends, where its sums go, where products begin; sums of one, and of all
        // columns.
        "sub sp, sp, #360",
        "stm sp, {{r1-r10}}",
        "mov r12, r3",
        "adr.w r4, 11f",
        "adr.w r5, 12f",
        "adr.w r6, 13f",
        "adr.w r7, 14f",
        "add r4, r4, r10",
        "add r5, r5, r10",
        "add r6, r6, r10",
        "add r7, r7, r10",
        "add r8, sp, #56",
        "stm r8, {{r4-r7}}",
        "1:",
        "ldrd r8, r9, [sp]",
        "ldr lr, [sp, #12]",
        "add r10, sp, #104",
        "strd r8, r9, [sp, #40]",
        "str r10, [sp, #48]",
        // Four times the bias counts in the second column of the second row, which is the first in use.
        "ldm lr, {{r0, r2, r4, r6}}",
        "lsls r0, r0, #2",
        "lsls r2, r2, #2",
        "lsls r4, r4, #2",
        "lsls r6, r6, #2",
        "mov r1, r0",
        "mov r3, r2",
        "mov r5, r4",
        "mov r7, r6",
        "b 3f",
        "2:",
        zero!(),
        "3:",
        product!("0", "56", "11"),
        "add lr, sp, #72",
        "stm lr, {{r0-r7}}",
        zero!(),
        product!("16", "60", "12"),
        "add lr, sp, #72",
        "ldm lr, {{r8-r11}}",
        apart!("r8", "r0"),
        apart!("r9", "r1"),
        apart!("r10", "r2"),
        apart!("r11", "r3"),
        "stm lr!, {{r8-r11}}",
        "ldm lr, {{r8-r11}}",
        apart!("r8", "r4"),
        apart!("r9", "r5"),
        apart!("r10", "r6"),
        apart!("r11", "r7"),
        "stm lr, {{r8-r11}}",
        product!("32", "64", "13"),
        "ldr lr, [sp, #48]",
        "stm lr!, {{r0-r7}}",
        "str lr, [sp, #48]",
        "add lr, sp, #72",
        "ldm lr, {{r0-r7}}",
        product!("48", "68", "14"),
        "ldrd r10, r11, [sp, #40]",
        "ldr lr, [sp, #48]",
        "add r10, r10, #64",
        "add r11, r11, #64",
        "add r9, sp, #360",
        "strd r10, r11, [sp, #40]",
        "stm lr!, {{r0-r7}}",
        "str lr, [sp, #48]",
        "cmp lr, r9",
        "bne.w 2b",
        "str r12, [sp, #8]",
        "ldr r12, [sp, #12]",
        "ldr r11, [sp, #20]",
        "ldr r8, [r12, #32]",
        "ldr r10, [r12, #52]",
        "add lr, sp, #104",
        "cmp r8, #0",
        "beq.w 4f",
        block!(""),
        "b.w 5f",
        "4:",
        block!(
            "add r0, r0, r0, asr #31\n add r1, r1, r1, asr #31
            add r2, r2, r2, asr #31\n add r3, r3, r3, asr #31"
        ),
        "5:",
        "add r12, r12, #40",
        "ldr r8, [sp, #16]",
        "str r11, [sp, #20]",
        "str r12, [sp, #12]",
        "cmp r12, r8",
        "ldr r12, [sp, #8]",
        "bne.w 1b",
        "add sp, sp, #360",
        "pop {{r4-r11, pc}}",
    )
}
