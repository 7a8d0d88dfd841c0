//! The matrix product of paired weights with one column: Cortex-M0. It owns this code only and must not know
//! layers.

use core::arch::naked_asm;

use crate::kernel::dsp::multiply::Vector;
use crate::kernel::dsp::packing::BLOCK;

/// Blocks of four channels for one column.
///
/// # Safety
/// `column` to `end` are words in fours, at least four; `weights` holds as many for each four outputs
/// between `out` and `out_end`; there are as many `bias`, `sums`, `multiplier` and `shift`; all but `shift`
/// and `out` are aligned to 4.
pub(in crate::kernel::dsp::multiply) unsafe fn paired(job: &mut Vector) {
    let bytes = job.end.addr() - job.column.addr();
    while job.out < job.out_end {
        let mut of = [0; BLOCK];
        // SAFETY: the same contract, of one block.
        unsafe {
            sums(job.column, job.end, job.weights, &mut of);
            activations(job, &of);
        }
        job.weights = job.weights.wrapping_add(bytes);
        job.bias = job.bias.wrapping_add(1);
        job.sums = job.sums.wrapping_add(1);
        job.multiplier = job.multiplier.wrapping_add(1);
        job.shift = job.shift.wrapping_add(1);
        job.out = job.out.wrapping_add(1);
    }
}

/// Two depths of two channels: 4 products. `$w` holds the weights, r7 the mask, r2 and r3 the inputs.
macro_rules! two {
    ($w:literal, $even:literal, $odd:literal) => {
        concat!(
            "lsrs r6, ",
            $w,
            ", #8\n ands r6, r7\n ands ",
            $w,
            ", r7\n muls r6, r2, r6\n muls ",
            $w,
            ", r2, ",
            $w,
            "\n adds r6, r6, r3\n adds ",
            $w,
            ", ",
            $w,
            ", r3\n asrs r6, r6, #16\n asrs ",
            $w,
            ", ",
            $w,
            ", #16\n add ",
            $odd,
            ", r6\n add ",
            $even,
            ", ",
            $w,
            "\n",
        )
    };
}

/// Two depths of a block: 8 products.
macro_rules! pair {
    () => {
        concat!(
            "ldm r0!, {{r2, r3}}\n ldm r1!, {{r4, r5}}\n",
            two!("r4", "r8", "r9"),
            two!("r5", "r10", "r11"),
        )
    };
}

/// Sums of a paired block.
///
/// # Safety
/// `column` to `end` are words in fours, at least four; `weights` holds as many; all are aligned to 4.
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
        // Twos of fours of depths, behind the odd one.
        "subs r5, r1, r0",
        "mov r1, r2",
        clear!(),
        "movs r7, #255",
        "lsls r6, r7, #16",
        "orrs r7, r6",
        "lsls r5, r5, #27",
        "bmi 2f",
        "1:",
        pair!(),
        pair!(),
        "2:",
        pair!(),
        pair!(),
        "cmp r0, r12",
        "bne 1b",
        deliver!(),
        "pop {{r3-r7, pc}}",
    )
}

/// Four activations, at `out`, of sums without bias: what
/// [`Channel::activation`](crate::kernel::dsp::packing::Channel::activation) gives. The high product is
/// [`crate::quant::high_product_by_parts`]; the last bit that is shifted out rounds.
///
/// # Safety
/// `bias`, `sums`, `multiplier` and `shift` are readable for four, `out` takes four bytes; all but `shift`
/// and `out` are aligned to 4.
#[unsafe(naked)]
unsafe extern "C" fn activations(job: &Vector, of: &[i32; 4]) {
    naked_asm!(
        "push {{r4-r7, lr}}",
        "mov r12, r1",
        "movs r1, #1",
        "lsls r1, r1, #18",
        "mov lr, r1",
        // Of a word; of a byte in r5 at the end.
        "movs r1, #0",
        "1:",
        "ldr r2, [r0, #16]",
        "ldr r2, [r2, r1]",
        "ldr r3, [r0, #36]",
        "muls r2, r3, r2",
        "ldr r3, [r0, #12]",
        "ldr r3, [r3, r1]",
        "subs r3, r3, r2",
        "mov r4, r12",
        "ldr r4, [r4, r1]",
        "adds r3, r3, r4",
        "ldr r4, [r0, #20]",
        "ldr r4, [r4, r1]",
        // l in r6, h in r5, m in r7, n in r4.
        "lsls r6, r3, #20",
        "asrs r6, r6, #20",
        "subs r5, r3, r6",
        "asrs r5, r5, #12",
        "lsrs r7, r4, #16",
        "uxth r4, r4",
        "movs r2, r5",
        "muls r2, r7, r2",
        "muls r5, r4, r5",
        "muls r7, r6, r7",
        "muls r4, r6, r4",
        "lsls r7, r7, #4",
        "asrs r4, r4, #12",
        "adds r4, r4, r7",
        "adds r4, r4, r5",
        "asrs r6, r2, #3",
        "lsls r2, r2, #29",
        "lsrs r2, r2, #13",
        "adds r2, r2, r4",
        "add r2, lr",
        "asrs r2, r2, #19",
        "adds r2, r2, r6",
        // Ties away from 0.
        "asrs r3, r2, #31",
        "adds r2, r2, r3",
        "ldr r4, [r0, #24]",
        "lsrs r5, r1, #2",
        "ldrsb r4, [r4, r5]",
        "mvns r4, r4",
        "ldr r3, [r0, #40]",
        "asrs r2, r4",
        "asrs r2, r2, #1",
        "adcs r2, r3",
        "sxtb r3, r2",
        "cmp r3, r2",
        "beq 2f",
        "asrs r3, r2, #31",
        "movs r2, #127",
        "eors r2, r3",
        "2:",
        "ldr r3, [r0, #28]",
        "strb r2, [r3, r5]",
        "adds r1, #4",
        "cmp r1, #16",
        "bne 1b",
        "pop {{r4-r7, pc}}",
    )
}
