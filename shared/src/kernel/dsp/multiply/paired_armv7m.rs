//! The matrix product of paired weights with one column, constants read where they lie: Cortex-M3. It owns this
//! code only and must not know layers.

use core::arch::naked_asm;

use crate::kernel::dsp::multiply::Vector;

/// Two depths of two channels: 4 products. `$w` holds the weights, r5 the mask, r8 and r9 the inputs.
macro_rules! two {
    ($w:literal, $even:literal, $odd:literal) => {
        concat!(
            "and r10, r5, ",
            $w,
            ", lsr #8\n and ",
            $w,
            ", r5, ",
            $w,
            "\n mla r10, r10, r8, r9\n mla ",
            $w,
            ", ",
            $w,
            ", r8, r9\n add ",
            $odd,
            ", ",
            $odd,
            ", r10, asr #16\n add ",
            $even,
            ", ",
            $even,
            ", ",
            $w,
            ", asr #16\n",
        )
    };
}

/// Two depths of a block: 8 products.
macro_rules! pair {
    () => {
        concat!(
            "ldrd r6, r7, [r12], #8\n ldrd r8, r9, [lr], #8\n",
            two!("r6", "r0", "r1"),
            two!("r7", "r2", "r3"),
        )
    };
}

/// Blocks of four channels for one column; r0 to r3 accumulate.
///
/// # Safety
/// `column` to `end` are words in fours, at least four; `weights` holds as many for each four outputs
/// between `out` and `out_end`, of which there are at least four; there are as many `bias`, `sums`,
/// `multiplier` and `shift`; all but `shift` and `out` are aligned to 4.
#[unsafe(naked)]
pub(in crate::kernel::dsp::multiply) unsafe extern "C" fn paired(job: &mut Vector) {
    naked_asm!(
        "push {{r0, r4-r11, lr}}",
        "ldr r12, [r0, #8]",
        "1:",
        "ldr lr, [sp]",
        "ldrd r4, r5, [lr, #12]",
        "ldr r10, [lr, #36]",
        "ldm r4!, {{r0-r3}}",
        "ldm r5!, {{r6-r9}}",
        "strd r4, r5, [lr, #12]",
        "mls r0, r6, r10, r0",
        "mls r1, r7, r10, r1",
        "mls r2, r8, r10, r2",
        "mls r3, r9, r10, r3",
        // Not one LDRD into its base: Arm's Cortex-M3 erratum 602117.
        "ldr r11, [lr, #4]",
        "ldr lr, [lr]",
        "mov r5, #0x00FF00FF",
        // Twos of fours of depths, behind the odd one.
        "sub r6, r11, lr",
        "lsls r6, r6, #27",
        "bmi 3f",
        "2:",
        pair!(),
        pair!(),
        "3:",
        pair!(),
        pair!(),
        "cmp lr, r11",
        "bne 2b",
        "ldr lr, [sp]",
        "ldrd r4, r5, [lr, #20]",
        "ldm r4!, {{r6-r9}}",
        "ldr r10, [r5], #4",
        "strd r4, r5, [lr, #20]",
        "ldr r11, [lr, #40]",
        "mvn r10, r10",
        activation!("r0", "r6"),
        activation!("r1", "r7"),
        activation!("r2", "r8"),
        activation!("r3", "r9"),
        "ldrd r4, r5, [lr, #28]",
        "strb r0, [r4], #1",
        "strb r1, [r4], #1",
        "strb r2, [r4], #1",
        "strb r3, [r4], #1",
        "str r4, [lr, #28]",
        "cmp r4, r5",
        "bne 1b",
        "pop {{r0, r4-r11, pc}}",
    )
}
