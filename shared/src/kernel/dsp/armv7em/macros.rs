//! Pieces of code that several functions written by hand share. It owns them only and must not know loops.

/// Names the processor to the assembler, as each naked function has to: link-time optimization reads them
/// once without the options of the compiler.
macro_rules! processor {
    () => {
        concat!(".cpu ", env!("DSP_CPU"))
    };
}

/// One instruction that gives a word from words; it may set flags.
macro_rules! instruction {
    ($text:literal, $($word:expr),+) => {{
        let to;
        // SAFETY: one instruction on registers.
        unsafe { asm!($text, lateout(reg) to, $(in(reg) $word),+, options(pure, nomem, nostack)) };
        to
    }};
}

/// Requantizes r0 to r7 with the constants at r12: the rounded high product
/// `(acc·2^32 + acc·(2M − 2^32) + 2^31) >> 32`, then [`Rounding`](crate::kernel::dsp::packing::Rounding). `$c0`
/// to `$c7` name the constant of each accumulator, `$load` loads divisors into r8 to r11 and the zero point
/// into `$zero`.
macro_rules! requantize {
    ($constants:tt, $load:literal, $zero:literal) => {
        concat!(
            "ldm r12!, {{r8-r11}}\n",
            highs!($constants),
            // Counts from two bytes behind itself.
            "ldr r8, [r12], #4\n add pc, r8\n nop\n",
            ties!(),
            $load,
            "\n",
            activations!($constants, $zero, "r0"),
        )
    };
}

/// Each of r0 to r7 becomes the high product of itself and a constant.
macro_rules! highs {
    ([$c0:literal $c1:literal $c2:literal $c3:literal $c4:literal $c5:literal $c6:literal $c7:literal]) => {
        concat!(
            high!("r0", $c0, "r0"),
            high!("r1", $c1, "r1"),
            high!("r2", $c2, "r2"),
            high!("r3", $c3, "r3"),
            high!("r4", $c4, "r4"),
            high!("r5", $c5, "r5"),
            high!("r6", $c6, "r6"),
            high!("r7", $c7, "r7"),
        )
    };
}

/// Takes 1 off those of r0 to r7 that are below 0.
macro_rules! ties {
    () => {
        "add r0, r0, r0, asr #31\n add r1, r1, r1, asr #31\n add r2, r2, r2, asr #31\n add r3, r3, r3, asr #31
        add r4, r4, r4, asr #31\n add r5, r5, r5, asr #31\n add r6, r6, r6, asr #31\n add r7, r7, r7, asr #31
        "
    };
}

/// High products by their divisors, limited; r0 goes to `$out`.
macro_rules! activations {
    ([$c0:literal $c1:literal $c2:literal $c3:literal $c4:literal $c5:literal $c6:literal $c7:literal],
        $zero:literal, $out:literal) => {
        concat!(
            high!("r0", $c0, $zero),
            high!("r1", $c1, $zero),
            high!("r2", $c2, $zero),
            high!("r3", $c3, $zero),
            high!("r4", $c4, $zero),
            high!("r5", $c5, $zero),
            high!("r6", $c6, $zero),
            high!("r7", $c7, $zero),
            "ssat ",
            $out,
            ", #8, r0\n ssat r1, #8, r1\n ssat r2, #8, r2\n ssat r3, #8, r3\n",
            "ssat r4, #8, r4\n ssat r5, #8, r5\n ssat r6, #8, r6\n ssat r7, #8, r7\n",
        )
    };
}

/// `$acc` becomes `$more` plus the rounded high word of `$acc·$by`.
macro_rules! high {
    ($acc:literal, $by:literal, $more:literal) => {
        concat!("smmlar ", $acc, ", ", $acc, ", ", $by, ", ", $more, "\n")
    };
}
