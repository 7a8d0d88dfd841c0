//! The DSP extension of Armv7E-M: Cortex-M4 and M7.
//!
//! It owns every instruction written by hand and must not know layers: lengths and alignment are checked
//! here, in front of each call, and what does not fit goes to the twin in plain Rust. Registers: r0 to
//! r7 accumulate, r8 to r11 hold operands, r12 and lr point; all callee-saved ones are restored.
#![allow(
    unsafe_code,
    reason = "the instructions exist in assembly only; each block says why it is sound"
)]

use core::arch::{asm, naked_asm};

use super::packing::{BLOCK, Epilogue};
use super::{Portable, Row, Rows, Simd};

/// Cortex-M4, M7.
#[derive(Clone, Copy, Debug)]
pub struct Armv7em;

/// Two pairs of depths of four channels and two pixels: 16 products. r12 points to weights, lr to
/// columns. Exactly 48 bytes of code, on which `gemm` counts.
macro_rules! step {
    () => {
        "ldrd r8, r9, [r12], #8
        ldrd r10, r11, [lr], #8
        smlad r2, r10, r8, r2
        smlad r3, r11, r8, r3
        sxtb16 r8, r8
        smlad r6, r10, r9, r6
        smlad r7, r11, r9, r7
        sxtb16 r9, r9
        smlad r0, r10, r8, r0
        smlad r1, r11, r8, r1
        smlad r4, r10, r9, r4
        smlad r5, r11, r9, r5
        "
    };
}

/// Requantizes r0 to r7 with the constants at r12, one line per operation and channel: the rounded
/// high product `(acc·2^32 + acc·(2M − 2^32) + 2^31) >> 32`, ties away from zero, rounding and zero
/// point, shift. `$c0` to `$c7` name the constant of each accumulator.
macro_rules! requantize {
    ($c0:literal $c1:literal $c2:literal $c3:literal $c4:literal $c5:literal $c6:literal $c7:literal) => {
        concat!(
            "ldm r12!, {{r8-r11}}\n",
            "smmlar r0, r0, ",
            $c0,
            ", r0\n smmlar r1, r1, ",
            $c1,
            ", r1\n",
            "smmlar r2, r2, ",
            $c2,
            ", r2\n smmlar r3, r3, ",
            $c3,
            ", r3\n",
            "smmlar r4, r4, ",
            $c4,
            ", r4\n smmlar r5, r5, ",
            $c5,
            ", r5\n",
            "smmlar r6, r6, ",
            $c6,
            ", r6\n smmlar r7, r7, ",
            $c7,
            ", r7\n",
            "ldm r12!, {{r8-r11}}\n",
            "add r0, r0, r0, asr #31\n add r1, r1, r1, asr #31\n",
            "add r2, r2, r2, asr #31\n add r3, r3, r3, asr #31\n",
            "add r4, r4, r4, asr #31\n add r5, r5, r5, asr #31\n",
            "add r6, r6, r6, asr #31\n add r7, r7, r7, asr #31\n",
            "add r0, r0, ",
            $c0,
            "\n add r1, r1, ",
            $c1,
            "\n",
            "add r2, r2, ",
            $c2,
            "\n add r3, r3, ",
            $c3,
            "\n",
            "add r4, r4, ",
            $c4,
            "\n add r5, r5, ",
            $c5,
            "\n",
            "add r6, r6, ",
            $c6,
            "\n add r7, r7, ",
            $c7,
            "\n",
            "ldm r12!, {{r8-r11}}\n",
            "asr r0, r0, ",
            $c0,
            "\n asr r1, r1, ",
            $c1,
            "\n",
            "asr r2, r2, ",
            $c2,
            "\n asr r3, r3, ",
            $c3,
            "\n",
            "asr r4, r4, ",
            $c4,
            "\n asr r5, r5, ",
            $c5,
            "\n",
            "asr r6, r6, ",
            $c6,
            "\n asr r7, r7, ",
            $c7,
            "\n",
            "ssat r0, #8, r0\n ssat r1, #8, r1\n ssat r2, #8, r2\n ssat r3, #8, r3\n",
            "ssat r4, #8, r4\n ssat r5, #8, r5\n ssat r6, #8, r6\n ssat r7, #8, r7\n",
        )
    };
}

/// Fours of bytes of two places as halfwords, `fours` a row.
///
/// # Safety
/// `rows` times, `first` and `second` are readable for `4·fours` bytes, and again `skip` bytes behind
/// that; `to` takes four words for each of the fours and is aligned to 4; `fours` and `rows` are at
/// least 1.
#[unsafe(naked)]
unsafe extern "C" fn expand(
    first: *const i8,
    second: *const i8,
    to: *mut u32,
    fours: usize,
    rows: usize,
    skip: usize,
) {
    naked_asm!(
        "push {{r4-r8, lr}}",
        "ldrd r12, lr, [sp, #24]",
        "1:",
        "mov r8, r3",
        "2:",
        "ldr r4, [r0], #4",
        "ldr r5, [r1], #4",
        "sxtb16 r6, r4",
        "sxtb16 r7, r5",
        "strd r6, r7, [r2], #8",
        "sxtb16 r6, r4, ror #8",
        "sxtb16 r7, r5, ror #8",
        "strd r6, r7, [r2], #8",
        "subs r8, r8, #1",
        "bne 2b",
        "add r0, r0, lr",
        "add r1, r1, lr",
        "subs r12, r12, #1",
        "bne 1b",
        "pop {{r4-r8, pc}}",
    )
}

/// What [`gemm`] works on; it copies the fields to its stack in this order.
#[repr(C)]
struct Gemm {
    columns: *const u32,
    columns_end: *const u32,
    weights: *const u8,
    epilogue: *const Epilogue,
    epilogue_end: *const Epilogue,
    out: [*mut i8; 2],
    /// Bytes of code that the first turn of the loop leaves out.
    skip: usize,
}

/// Blocks of four channels for two pixels. Accumulators: r0, r2, r4, r6 of the first pixel.
///
/// # Safety
/// `columns` to `columns_end` are words in fours, at least four, 16 a turn less `skip / 24`; `weights`
/// holds as many words for each epilogue; both are aligned to 4. `epilogue` to `epilogue_end` is at
/// least one; each `out` takes four bytes for each of them.
#[unsafe(naked)]
unsafe extern "C" fn gemm(job: &Gemm) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "ldm r0, {{r1-r8}}",
        "adr r9, 2f",
        "add r8, r8, r9",
        "orr r8, r8, #1",
        "push {{r1-r8}}",
        "mov r12, r3",
        "1:",
        "ldrd lr, r8, [sp, #12]",
        "ldm lr, {{r0, r2, r4, r6}}",
        "mov r1, r0",
        "mov r3, r2",
        "mov r5, r4",
        "mov r7, r6",
        "ldr lr, [sp]",
        "ldr pc, [sp, #28]",
        ".p2align 2",
        "2:",
        step!(),
        step!(),
        step!(),
        step!(),
        step!(),
        step!(),
        step!(),
        step!(),
        "ldr r8, [sp, #4]",
        "cmp lr, r8",
        "bne 2b",
        "mov lr, r12",
        "ldr r12, [sp, #12]",
        "add r12, r12, #16",
        "sub r2, r2, r0",
        "sub r3, r3, r1",
        "sub r6, r6, r4",
        "sub r7, r7, r5",
        "asr r2, r2, #8",
        "asr r3, r3, #8",
        "asr r6, r6, #8",
        "asr r7, r7, #8",
        requantize!("r8" "r8" "r9" "r9" "r10" "r10" "r11" "r11"),
        "ldrd r8, r9, [sp, #20]",
        "strb r0, [r8], #1",
        "strb r2, [r8], #1",
        "strb r4, [r8], #1",
        "strb r6, [r8], #1",
        "strb r1, [r9], #1",
        "strb r3, [r9], #1",
        "strb r5, [r9], #1",
        "strb r7, [r9], #1",
        "strd r8, r9, [sp, #20]",
        "str r12, [sp, #12]",
        "ldr r8, [sp, #16]",
        "cmp r12, r8",
        "mov r12, lr",
        "bne 1b",
        "add sp, sp, #32",
        "pop {{r4-r11, pc}}",
    )
}

/// What a [`Kernel`] works on; it copies the fields to its stack in this order.
#[repr(C)]
struct RowJob {
    pixels: *const u32,
    pixels_end: *const u32,
    weights: *const u32,
    epilogue: *const Epilogue,
    out: *mut i8,
    step: usize,
    pitch_bytes: usize,
    /// From the last row of one pair of outputs to the first row of the next, modulo 2^32.
    back: usize,
}

type Kernel = unsafe extern "C" fn(&RowJob);

/// One tap of four channels: r8, r9 hold the pixel, r10, r11 the weights.
macro_rules! tap {
    (0) => {
        "smlabb r0, r8, r10, r0\n smlatt r2, r8, r10, r2\n smlabb r1, r9, r11, r1\n smlatt r3, r9, r11, r3\n"
    };
    (1) => {
        "smlabb r4, r8, r10, r4\n smlatt r6, r8, r10, r6\n smlabb r5, r9, r11, r5\n smlatt r7, r9, r11, r7\n"
    };
}

/// One column of a window with step 1: the first output reads what the second one read before.
macro_rules! near {
    ($second:literal) => {
        concat!(
            "ldrd r10, r11, [r12], #8\n",
            tap!(0),
            "ldrd r8, r9, [lr, #",
            $second,
            "]\n",
            tap!(1),
        )
    };
}

/// One column of a window with step 2.
macro_rules! far {
    ($first:literal, $second:literal) => {
        concat!(
            "ldrd r10, r11, [r12], #8\n ldrd r8, r9, [lr, #",
            $first,
            "]\n",
            tap!(0),
            "ldrd r8, r9, [lr, #",
            $second,
            "]\n",
            tap!(1),
        )
    };
}

macro_rules! row_3_1 {
    () => {
        concat!("ldrd r8, r9, [lr]\n", near!("8"), near!("16"), near!("24"))
    };
}
macro_rules! row_5_1 {
    () => {
        concat!(row_3_1!(), near!("32"), near!("40"))
    };
}
macro_rules! row_3_2 {
    () => {
        concat!(far!("0", "16"), far!("8", "24"), far!("16", "32"))
    };
}
macro_rules! row_5_2 {
    () => {
        concat!(row_3_2!(), far!("24", "40"), far!("32", "48"))
    };
}

/// On to the next row of pixels.
macro_rules! down {
    () => {
        "ldr r8, [sp, #24]\n add lr, lr, r8\n"
    };
}

/// A row of outputs, two at a time: `$rows` are the windows' rows with a [`down`] between them.
macro_rules! kernel {
    ($name:ident, $rows:expr) => {
        /// # Safety
        /// For each pair of outputs from `pixels` to `pixels_end`, the window's pixels are readable
        /// with rows `pitch_bytes` apart, `out` takes four bytes at either output, `weights` holds two
        /// words per tap; all but `out` are aligned to 4; there is at least one pair.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(job: &RowJob) {
            naked_asm!(
                "push {{r4-r11, lr}}",
                "ldm r0, {{r1-r8}}",
                "push {{r1-r8}}",
                "mov lr, r1",
                "1:",
                "ldrd r12, r8, [sp, #8]",
                "ldm r8, {{r0-r3}}",
                "mov r4, r0",
                "mov r5, r1",
                "mov r6, r2",
                "mov r7, r3",
                $rows,
                "ldr r8, [sp, #28]",
                "add lr, lr, r8",
                "ldr r12, [sp, #12]",
                "add r12, r12, #16",
                requantize!("r8" "r9" "r10" "r11" "r8" "r9" "r10" "r11"),
                "ldrd r8, r9, [sp, #16]",
                "add r10, r8, r9",
                "strb r0, [r8]",
                "strb r1, [r8, #1]",
                "strb r2, [r8, #2]",
                "strb r3, [r8, #3]",
                "strb r4, [r10]",
                "strb r5, [r10, #1]",
                "strb r6, [r10, #2]",
                "strb r7, [r10, #3]",
                "add r10, r10, r9",
                "str r10, [sp, #16]",
                "ldr r8, [sp, #4]",
                "cmp lr, r8",
                "bne 1b",
                "add sp, sp, #32",
                "pop {{r4-r11, pc}}",
            )
        }
    };
}

kernel!(
    kernel_3_1,
    concat!(row_3_1!(), down!(), row_3_1!(), down!(), row_3_1!())
);
kernel!(
    kernel_3_2,
    concat!(row_3_2!(), down!(), row_3_2!(), down!(), row_3_2!())
);
kernel!(
    kernel_5_1,
    concat!(
        row_5_1!(),
        down!(),
        row_5_1!(),
        down!(),
        row_5_1!(),
        down!(),
        row_5_1!(),
        down!(),
        row_5_1!()
    )
);
kernel!(
    kernel_5_2,
    concat!(
        row_5_2!(),
        down!(),
        row_5_2!(),
        down!(),
        row_5_2!(),
        down!(),
        row_5_2!(),
        down!(),
        row_5_2!()
    )
);

impl Simd for Armv7em {
    #[inline(always)]
    fn sxtb16(x: u32) -> u32 {
        let y;
        // SAFETY: one instruction on registers.
        unsafe {
            asm!("sxtb16 {}, {}", lateout(reg) y, in(reg) x, options(pure, nomem, nostack, preserves_flags))
        };
        y
    }

    #[inline(always)]
    fn sxtb16_ror8(x: u32) -> u32 {
        let y;
        // SAFETY: one instruction on registers.
        unsafe {
            asm!("sxtb16 {}, {}, ror #8", lateout(reg) y, in(reg) x, options(pure, nomem, nostack, preserves_flags))
        };
        y
    }

    #[inline(always)]
    fn ssub16(x: u32, y: u32) -> u32 {
        let z;
        // SAFETY: one instruction on registers; it sets flags.
        unsafe {
            asm!("ssub16 {}, {}, {}", lateout(reg) z, in(reg) x, in(reg) y, options(pure, nomem, nostack))
        };
        z
    }

    #[inline(always)]
    fn smlad(x: u32, y: u32, acc: i32) -> i32 {
        let z;
        // SAFETY: one instruction on registers; it sets flags.
        unsafe {
            asm!("smlad {}, {}, {}, {}", lateout(reg) z, in(reg) x, in(reg) y, in(reg) acc, options(pure, nomem, nostack))
        };
        z
    }

    #[inline]
    fn gather(src: &[i8], starts: [usize; 2], rows: Rows, to: &mut [u32]) {
        let [first, second] = starts;
        let fours = rows.bytes / 4;
        let fits = fours > 0
            && rows.n > 0
            && rows.down >= rows.bytes
            && first.max(second) + rows.reach() <= src.len()
            && 4 * fours * rows.n <= to.len();
        if !fits {
            return;
        }
        let at = |start| src.as_ptr().wrapping_add(start);
        let (first, second) = (at(first), at(second));
        // SAFETY: `fits` is the contract of `expand`.
        unsafe {
            expand(
                first,
                second,
                to.as_mut_ptr(),
                fours,
                rows.n,
                rows.down - 4 * fours,
            )
        }
    }

    #[inline]
    fn blocks(
        columns: &[u32],
        weights: &[u8],
        epilogues: &[Epilogue],
        out: &mut [i8],
        at: [usize; 2],
    ) {
        let n = epilogues.len();
        let groups = columns.len() / 4;
        let fits = columns.len() == 4 * groups
            && groups > 0
            && n > 0
            && weights.len() >= n * 4 * columns.len()
            && weights.as_ptr().addr().is_multiple_of(4)
            && at.iter().all(|at| at + n * BLOCK <= out.len());
        if !fits {
            return Portable::blocks(columns, weights, epilogues, out, at);
        }
        let (columns, epilogue) = (columns.as_ptr_range(), epilogues.as_ptr_range());
        let out = out.as_mut_ptr();
        let job = Gemm {
            columns: columns.start,
            columns_end: columns.end,
            weights: weights.as_ptr(),
            epilogue: epilogue.start,
            epilogue_end: epilogue.end,
            // Inside `out`, as checked.
            out: at.map(|at| out.wrapping_add(at)),
            skip: 96 * (groups.wrapping_neg() % 4),
        };
        // SAFETY: `fits` is the contract of `gemm`.
        unsafe { gemm(&job) }
    }

    #[inline]
    fn row(row: &Row<'_>, out: &mut [i8]) {
        let kernel: Option<Kernel> = match (row.kernel, row.stride) {
            (3, 1) => Some(kernel_3_1),
            (3, 2) => Some(kernel_3_2),
            (5, 1) => Some(kernel_5_1),
            (5, 2) => Some(kernel_5_2),
            _ => None,
        };
        let words = (row.kernel - 1) * row.pitch + 2 * ((row.n - 1) * row.stride + row.kernel);
        let fits = row.n >= 2
            && row.pixels.len() >= words
            && row.weights.len() >= 2 * row.kernel * row.kernel
            && out.len() >= (row.n - 1) * row.step + BLOCK;
        let (Some(kernel), true) = (kernel, fits) else {
            return Portable::row(row, out);
        };
        // The last of an odd number of outputs is paired with the one before.
        let (pairs, odd) = (row.n / 2, row.n % 2);
        for (first, pairs) in [(0, pairs), (row.n - 2, odd)] {
            if pairs == 0 {
                continue;
            }
            let pixels = row.pixels.as_ptr().wrapping_add(2 * first * row.stride);
            let bytes = 4 * row.pitch;
            let job = RowJob {
                pixels,
                pixels_end: pixels.wrapping_add(4 * pairs * row.stride),
                weights: row.weights.as_ptr(),
                epilogue: row.epilogue,
                out: out.as_mut_ptr().wrapping_add(first * row.step),
                step: row.step,
                pitch_bytes: bytes,
                back: (16 * row.stride).wrapping_sub((row.kernel - 1) * bytes),
            };
            // SAFETY: `fits` covers the windows of all `row.n` outputs, and these are among them.
            unsafe { kernel(&job) }
        }
    }
}
