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
