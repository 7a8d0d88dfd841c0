//! The matrix product of packed weights with one column, constants read where they lie: Cortex-M3. It owns this
//! code only and must not know layers.

use core::arch::naked_asm;

use crate::kernel::dsp::multiply::Vector;

/// One depth of four channels of a packed block and one column: 4 products.
macro_rules! single {
    ($x:literal, $w01:literal, $w23:literal) => {
        concat!(
            "ldrsh r8, [lr, #",
            $x,
            "\n ldrsh r9, [r12, #",
            $w01,
            "\n",
            "mla r1, r8, r9, r1\n sxtb r9, r9\n mla r0, r8, r9, r0\n",
            "ldrsh r9, [r12, #",
            $w23,
            "]\n",
            "mla r3, r8, r9, r3\n sxtb r9, r9\n mla r2, r8, r9, r2\n",
        )
    };
}

/// Four depths of four channels.
macro_rules! singles {
    () => {
        concat!(
            single!("8]!", "16]!", "4"),
            single!("2]", "2]", "6"),
            single!("4]", "8]", "12"),
            single!("6]", "10]", "14"),
        )
    };
}

/// `$acc` becomes an activation: r10 holds right shifts less 1, r11 the zero point. The doubling high product
/// is `(acc·2^32 + acc·(2M − 2^32) + 2^31) >> 32`; the last bit that is shifted out rounds.
macro_rules! activation {
    ($acc:literal, $by:literal) => {
        concat!(
            "lsl ",
            $by,
            ", ",
            $by,
            ", #1\n mov r4, #0x80000000\n",
            "smlal r4, ",
            $acc,
            ", ",
            $acc,
            ", ",
            $by,
            "\n",
            "add ",
            $acc,
            ", ",
            $acc,
            ", ",
            $acc,
            ", asr #31\n",
            "asr ",
            $acc,
            ", ",
            $acc,
            ", r10\n lsr r10, r10, #8\n",
            "asrs ",
            $acc,
            ", ",
            $acc,
            ", #1\n adc ",
            $acc,
            ", ",
            $acc,
            ", r11\n",
            "ssat ",
            $acc,
            ", #8, ",
            $acc,
            "\n",
        )
    };
}

/// Blocks of four channels for one column; r0 to r3 accumulate.
///
/// # Safety
/// `column` to `end` are words in twos, at least two; `weights` holds twice as many for each four outputs
/// between `out` and `out_end`, of which there are at least four; there are as many `bias`, `sums`,
/// `multiplier` and `shift`; all but `shift` and `out` are aligned to 4.
#[unsafe(naked)]
pub(in crate::kernel::dsp::multiply) unsafe extern "C" fn vector(job: &mut Vector) {
    naked_asm!(
        "push {{r0, r4-r11, lr}}",
        "ldr r12, [r0, #8]",
        "sub r12, r12, #16",
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
        "add r1, r0, r1, lsl #8",
        "add r3, r2, r3, lsl #8",
        // Not one LDRD into its base: Arm's Cortex-M3 erratum 602117.
        "ldr r4, [lr, #4]",
        "ldr lr, [lr]",
        "sub lr, lr, #8",
        "sub r4, r4, #8",
        // Twos of fours of depths, behind the odd one.
        "sub r5, r4, lr",
        "lsls r5, r5, #28",
        "bmi 3f",
        "2:",
        singles!(),
        "3:",
        singles!(),
        "cmp lr, r4",
        "bne 2b",
        "ldr lr, [sp]",
        "sub r1, r1, r0",
        "sub r3, r3, r2",
        "asr r1, r1, #8",
        "asr r3, r3, #8",
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
