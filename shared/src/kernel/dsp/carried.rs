//! How the loops of Cortex-M3, M4, M7 and M33 end a block whose sums go on: the same instructions. It owns these
//! pieces of code only and must not know loops: their stack has the sums in word 3, the end of all sums and the bytes
//! to the weights of the next block in words 4 and 5; r12 points to weights.

/// The sums of a block of two pixels, r0 to r3 and r4 to r7, go on; then to the next block.
macro_rules! carry_two {
    () => {
        concat!(
            "ldr lr, [sp, #12]\n sub r2, r2, r0\n sub r3, r3, r1\n sub r6, r6, r4\n sub r7, r7, r5\n",
            "ldm lr, {{r8-r11}}\n add r0, r0, r8\n add r1, r1, r9\n",
            "add r2, r10, r2, asr #8\n add r3, r11, r3, asr #8\n stm lr!, {{r0-r3}}\n",
            "ldm lr, {{r8-r11}}\n add r4, r4, r8\n add r5, r5, r9\n",
            "add r6, r10, r6, asr #8\n add r7, r11, r7, asr #8\n stm lr!, {{r4-r7}}\n",
            next_block!(),
        )
    };
}

/// The sums of a block of one pixel, r0 to r3, go on; then to the next block.
macro_rules! carry_one {
    () => {
        concat!(
            "ldr lr, [sp, #12]\n sub r1, r1, r0\n sub r3, r3, r2\n",
            "ldm lr, {{r8-r11}}\n add r0, r0, r8\n add r1, r9, r1, asr #8\n",
            "add r2, r2, r10\n add r3, r11, r3, asr #8\n stm lr!, {{r0-r3}}\n",
            next_block!(),
        )
    };
}

/// Back to `1` unless the sums end.
macro_rules! next_block {
    () => {
        "ldrd r8, r9, [sp, #16]\n str lr, [sp, #12]\n add r12, r12, r9\n cmp lr, r8\n bne 1b\n"
    };
}
