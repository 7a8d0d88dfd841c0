//! Loops over products with MULS, which overwrites a factor: Cortex-M0. Sums are in r8 to r11, which only
//! ADD, MOV and CMP reach. It owns this code only and must not know layers.

use core::arch::naked_asm;

use super::{Vector, Windows};
use crate::kernel::dsp::Portable;
use crate::kernel::dsp::packing::{BLOCK, Epilogue, join};

/// Puts r8 to r11 on the stack; r4 to r7 have been saved.
macro_rules! save {
    () => {
        "mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n push {{r4-r7}}"
    };
}

/// Sums of 0 in r8 to r11.
macro_rules! clear {
    () => {
        "movs r4, #0\n mov r8, r4\n mov r9, r4\n mov r10, r4\n mov r11, r4"
    };
}

/// Writes the sums to the place that is on the stack above what [`save`] put there, and takes that back.
macro_rules! deliver {
    () => {
        concat!(
            "ldr r0, [sp, #16]\n mov r1, r8\n mov r2, r9\n mov r3, r10\n mov r4, r11\n",
            "stm r0!, {{r1-r4}}\n",
            "pop {{r4-r7}}\n mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7",
        )
    };
}

#[path = "paired_armv6m.rs"]
mod paired;

#[path = "parts_armv6m.rs"]
mod parts;

pub(super) use paired::paired;
pub(super) use parts::{accumulate, accumulate_one};

/// Two depths of two channels and two pixels: 8 products. r0 points to columns; r2 and r3 hold a pair of
/// depths of either pixel, r4 their weights.
macro_rules! depths {
    ($w:literal) => {
        concat!(
            "ldm r0!, {{r2, r3}}\n ldr r4, [r1, #",
            $w,
            "]\n",
            "sxth r5, r4\n sxth r6, r2\n movs r7, r6\n muls r7, r5, r7\n add r10, r7\n",
            "sxth r7, r3\n muls r5, r7, r5\n add r11, r5\n sxtb r5, r4\n",
            "muls r6, r5, r6\n add r8, r6\n muls r7, r5, r7\n add r9, r7\n",
            "asrs r4, r4, #16\n asrs r2, r2, #16\n movs r7, r2\n muls r7, r4, r7\n add r10, r7\n",
            "asrs r3, r3, #16\n sxtb r6, r4\n muls r4, r3, r4\n add r11, r4\n",
            "muls r2, r6, r2\n add r8, r2\n muls r3, r6, r3\n add r9, r3\n",
        )
    };
}

/// All blocks for two pixels.
///
/// # Safety
/// `columns` are words in fours, at least four; `weights`, aligned to 4, holds as many for each of the
/// `epilogues`; each `out` takes four bytes for each of them.
pub(super) unsafe fn blocks(
    columns: &[u32],
    weights: *const u8,
    epilogues: &[Epilogue],
    out: [*mut i8; 2],
) {
    let range = columns.as_ptr_range();
    for (block, epilogue) in epilogues.iter().enumerate() {
        for half in 0..2 {
            let weights = weights.wrapping_add(BLOCK * columns.len() * block);
            let mut sums = [[0; 2]; 2];
            // SAFETY: of the block's words of weights, every second one from the first or second on.
            unsafe {
                pair(
                    range.start,
                    range.end,
                    weights.wrapping_add(4 * half),
                    &mut sums,
                )
            }
            let lane = 2 * half;
            for (pixel, out) in out.iter().enumerate() {
                let even = sums[0][pixel].wrapping_add(epilogue.bias[lane]);
                let odd = sums[1][pixel].wrapping_add(epilogue.bias[lane + 1]);
                let odd = odd.wrapping_sub(even) >> 8;
                let outputs = [
                    epilogue.requantize(lane, even),
                    epilogue.requantize(lane + 1, odd),
                ];
                let to = out.wrapping_add(BLOCK * block + lane).cast::<[i8; 2]>();
                // SAFETY: inside the four bytes of this block.
                unsafe { to.write(outputs) }
            }
        }
    }
}

/// Sums of two channels of a packed block.
///
/// # Safety
/// `columns` to `end` are words in fours, at least four, aligned to 4; every second one of as many words
/// of `weights` is readable, from the first on.
#[unsafe(naked)]
unsafe extern "C" fn pair(
    columns: *const u32,
    end: *const u32,
    weights: *const u8,
    sums: &mut [[i32; 2]; 2],
) {
    naked_asm!(
        "push {{r3-r7, lr}}",
        save!(),
        "mov r12, r1",
        "mov r1, r2",
        clear!(),
        "1:",
        depths!("0"),
        depths!("8"),
        "adds r1, #16",
        "cmp r0, r12",
        "bne 1b",
        deliver!(),
        "pop {{r3-r7, pc}}",
    )
}

/// Two depths of a pair of channels of a packed block and one column: 4 products. `$w` holds the weights,
/// r5 and r2 the depths.
macro_rules! single {
    ($w:literal, $even:literal, $odd:literal) => {
        concat!(
            "sxth r6, ",
            $w,
            "\n sxtb r7, ",
            $w,
            "\n",
            "muls r6, r5, r6\n add ",
            $odd,
            ", r6\n muls r7, r5, r7\n add ",
            $even,
            ", r7\n",
            "asrs ",
            $w,
            ", ",
            $w,
            ", #16\n sxtb r7, ",
            $w,
            "\n",
            "muls ",
            $w,
            ", r2, ",
            $w,
            "\n add ",
            $odd,
            ", ",
            $w,
            "\n",
            "muls r7, r2, r7\n add ",
            $even,
            ", r7\n",
        )
    };
}

/// Blocks of four channels for one column.
///
/// # Safety
/// `column` to `end` are words in twos, at least two; `weights` holds twice as many for each four outputs
/// between `out` and `out_end`; there are as many `bias`, `sums`, `multiplier` and `shift`; all but `shift`
/// and `out` are aligned to 4.
pub(super) unsafe fn vector(job: &mut Vector) {
    let [src_zero, dst_zero] = job.zero_points;
    let bytes = 2 * (job.end.addr() - job.column.addr());
    while job.out < job.out_end {
        let mut of = [0; BLOCK];
        // SAFETY: the same contract, of one block.
        unsafe { sums(job.column, job.end, job.weights, &mut of) }
        let odd = |both: i32, even: i32| both.wrapping_sub(even) >> 8;
        let of = [of[0], odd(of[1], of[0]), of[2], odd(of[3], of[2])];
        let words = [job.bias, job.multiplier, job.sums];
        // SAFETY: one of each, aligned as they are declared.
        let (words, shift) = unsafe { (words.map(|w| w.read()), job.shift.read()) };
        let channels = join(words, &shift.map(i8::cast_unsigned), src_zero);
        let outputs = core::array::from_fn(|i| channels[i].activation::<Portable>(of[i], dst_zero));
        // SAFETY: in front of `out_end`.
        unsafe { job.out.write(outputs) }
        job.weights = job.weights.wrapping_add(bytes);
        job.bias = job.bias.wrapping_add(1);
        job.sums = job.sums.wrapping_add(1);
        job.multiplier = job.multiplier.wrapping_add(1);
        job.shift = job.shift.wrapping_add(1);
        job.out = job.out.wrapping_add(1);
    }
}

/// A word of columns and two of weights: 8 products.
macro_rules! singles {
    () => {
        concat!(
            "ldm r0!, {{r2}}\n ldm r1!, {{r3, r4}}\n sxth r5, r2\n asrs r2, r2, #16\n",
            single!("r3", "r8", "r9"),
            single!("r4", "r10", "r11"),
        )
    };
}

/// Sums of a packed block: of the even channels, and `256·odd + even`.
///
/// # Safety
/// `column` to `end` are words in twos, at least two; `weights` holds twice as many; all are aligned to 4.
#[unsafe(naked)]
unsafe extern "C" fn sums(
    column: *const u32,
    end: *const u32,
    weights: *const u8,
    sums: &mut [i32; 4],
) {
    naked_asm!(
        "push {{r3-r7, lr}}",
        save!(),
        "mov r12, r1",
        "mov r1, r2",
        clear!(),
        "1:",
        singles!(),
        singles!(),
        "cmp r0, r12",
        "bne 1b",
        deliver!(),
        "pop {{r3-r7, pc}}",
    )
}

/// One depth of four rows of weights, then `$next`; r4 counts depths, r7 and r4 point to the input.
macro_rules! rows {
    ($next:literal) => {
        concat!(
            "ldrsh r5, [r7, r4]\n",
            "ldrsb r6, [r0, r4]\n muls r6, r5, r6\n add r8, r6\n",
            "ldrsb r6, [r1, r4]\n muls r6, r5, r6\n add r9, r6\n",
            "ldrsb r6, [r2, r4]\n muls r6, r5, r6\n add r10, r6\n",
            "ldrsb r6, [r3, r4]\n muls r6, r5, r6\n add r11, r6\n",
            "adds r4, #1\n",
            $next,
            "\n",
        )
    };
}

/// `sums[i] = Σ input·rows[i]`.
///
/// # Safety
/// `input` to `end` are words in twos, at least two, aligned to 4; each row is readable for twice as many
/// bytes.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn dot4(
    input: *const u32,
    end: *const u32,
    rows: &[*const u8; 4],
    sums: &mut [i32; 4],
) {
    naked_asm!(
        "push {{r3-r7, lr}}",
        save!(),
        // Depths are half as many as bytes of input.
        "mov r7, r0",
        "subs r1, r1, r0",
        "lsrs r1, r1, #1",
        "mov r12, r1",
        clear!(),
        "ldm r2, {{r0-r3}}",
        "1:",
        // Depths 0, 1, 2, 3 of four lie at bytes 0, 4, 2, 6.
        rows!("adds r7, #3"),
        rows!("subs r7, #3"),
        rows!("adds r7, #3"),
        rows!("adds r7, #1"),
        "cmp r4, r12",
        "bne 1b",
        deliver!(),
        "pop {{r3-r7, pc}}",
    )
}

/// Two windows of four channels.
///
/// # Safety
/// Either window's pixels and the weights are readable for two words a tap, all aligned to 4; there is a row
/// and a column at least; `epilogue` is readable, and each `out` takes four bytes.
pub(super) unsafe fn windows(job: &Windows) {
    // SAFETY: the caller gives a readable one.
    let epilogue = unsafe { &*job.epilogue };
    let shape = [job.columns, job.skip, 8 * job.rows * job.columns];
    let second = job.pixels.wrapping_byte_add(job.ahead);
    let n = if job.ahead == 0 { 1 } else { 2 };
    for (pixels, out) in [job.pixels, second].into_iter().zip(job.out).take(n) {
        let mut acc = epilogue.bias;
        // SAFETY: the same contract, of one window.
        unsafe { window(pixels, job.weights, &mut acc, &shape) }
        let outputs: [i8; BLOCK] = core::array::from_fn(|i| epilogue.requantize(i, acc[i]));
        // SAFETY: the caller gives room for four.
        unsafe { out.cast::<[i8; BLOCK]>().write(outputs) }
    }
}

/// `acc[i] += Σ pixel·w` of a window of four channels; `shape` is its columns, the bytes from behind one row
/// of pixels to the next, and the bytes of all weights.
///
/// # Safety
/// `pixels` and `weights` are readable for two words a tap and aligned to 4; there is a row and a column at
/// least.
#[unsafe(naked)]
unsafe extern "C" fn window(
    pixels: *const u32,
    weights: *const u32,
    acc: &mut [i32; 4],
    shape: &[usize; 3],
) {
    naked_asm!(
        "push {{r2, r4-r7, lr}}",
        save!(),
        "ldm r2!, {{r4-r7}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "mov r11, r7",
        "ldm r3!, {{r4, r5, r6}}",
        "lsls r4, r4, #3",
        "adds r6, r6, r1",
        "mov lr, r6",
        "push {{r4, r5}}",
        "1:",
        "ldr r4, [sp]",
        "adds r4, r4, r0",
        "mov r12, r4",
        "2:",
        "ldm r0!, {{r2, r3}}",
        "ldm r1!, {{r4, r5}}",
        "sxth r6, r2",
        "sxth r7, r4",
        "muls r6, r7, r6",
        "add r8, r6",
        "sxth r6, r3",
        "sxth r7, r5",
        "muls r6, r7, r6",
        "add r9, r6",
        "asrs r2, r2, #16",
        "asrs r4, r4, #16",
        "muls r2, r4, r2",
        "add r10, r2",
        "asrs r3, r3, #16",
        "asrs r5, r5, #16",
        "muls r3, r5, r3",
        "add r11, r3",
        "cmp r0, r12",
        "bne 2b",
        "ldr r4, [sp, #4]",
        "adds r0, r0, r4",
        "cmp r1, lr",
        "bne 1b",
        "pop {{r4, r5}}",
        deliver!(),
        "pop {{r2, r4-r7, pc}}",
    )
}
