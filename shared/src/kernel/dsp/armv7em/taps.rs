//! Rows of taps of a depthwise convolution, of two output pixels of four channels. It owns these pieces of code
//! only and must not know loops: lr points to pixels, r12 to weights; r0 to r3 accumulate the first output,
//! r4 to r7 the second.

/// The pair of pixels `$at` bytes on, of two channels, in r8 and r9.
macro_rules! pixels {
    ($at:literal) => {
        concat!("ldrd r8, r9, [lr, #", $at, "]\n")
    };
}

/// The next weights of two channels in r10 and r11.
macro_rules! weights {
    () => {
        "ldrd r10, r11, [r12], #8\n"
    };
    // And on by as many bytes.
    (skip $bytes:literal) => {
        concat!("ldrd r10, r11, [r12], #", $bytes, "\n")
    };
    ($at:literal) => {
        concat!("ldrd r10, r11, [r12, #", $at, "]\n")
    };
}

/// The `first` or `second` output of two channels, 0 and 1 or 2 and 3, takes up r8 to r11; the second one
/// may `begin` with the biases, in place of what the first one has not yet taken up.
macro_rules! take {
    ($op:literal, first, 0) => {
        concat!($op, " r0, r8, r10, r0\n", $op, " r1, r9, r11, r1\n")
    };
    ($op:literal, first, 2) => {
        concat!($op, " r2, r8, r10, r2\n", $op, " r3, r9, r11, r3\n")
    };
    ($op:literal, second, 0) => {
        concat!($op, " r4, r8, r10, r4\n", $op, " r5, r9, r11, r5\n")
    };
    ($op:literal, second, 2) => {
        concat!($op, " r6, r8, r10, r6\n", $op, " r7, r9, r11, r7\n")
    };
    ($op:literal, begin, 0) => {
        concat!($op, " r4, r8, r10, r0\n", $op, " r5, r9, r11, r1\n")
    };
    ($op:literal, begin, 2) => {
        concat!($op, " r6, r8, r10, r2\n", $op, " r7, r9, r11, r3\n")
    };
}

/// A row of three taps with stride 1, of two channels: `$x0` and `$x1` are the pairs of pixels.
macro_rules! near_3 {
    ($second:tt, $c:tt, $x0:literal, $x1:literal) => {
        concat!(
            weights!(),
            pixels!($x0),
            take!("smlatb", $second, $c),
            take!("smlad", first, $c),
            weights!(),
            pixels!($x1),
            take!("smlabt", first, $c),
            take!("smlad", second, $c),
        )
    };
}

/// A row of five taps with stride 1.
macro_rules! near_5 {
    ($second:tt, $c:tt, $x0:literal, $x1:literal, $x2:literal) => {
        concat!(
            weights!(),
            pixels!($x0),
            take!("smlatb", $second, $c),
            take!("smlad", first, $c),
            weights!(),
            pixels!($x1),
            take!("smlad", second, $c),
            weights!(),
            take!("smlad", first, $c),
            weights!(),
            pixels!($x2),
            take!("smlabt", first, $c),
            take!("smlad", second, $c),
        )
    };
}

/// The first pair of weights with stride 2: of the first output, then of the second, which leaves its pixels.
/// Here the first output is the one that may begin, in r4 to r7.
macro_rules! far_pair {
    ($second:tt, $c:tt, $x0:literal, $x1:literal) => {
        concat!(
            pixels!($x0),
            take!("smlad", $second, $c),
            pixels!($x1),
            take!("smlad", first, $c),
        )
    };
}

/// The last weight with stride 2.
macro_rules! far_last {
    ($c:tt, $x:literal) => {
        concat!(
            weights!(),
            take!("smlabt", second, $c),
            pixels!($x),
            take!("smlabt", first, $c),
        )
    };
}

/// A row of three taps with stride 2.
macro_rules! far_3 {
    ($second:tt, $c:tt, $x0:literal, $x1:literal, $x2:literal) => {
        concat!(
            weights!(),
            far_pair!($second, $c, $x0, $x1),
            far_last!($c, $x2)
        )
    };
}

/// A row of five taps with stride 2, which has no use for the second pair.
macro_rules! far_5 {
    ($second:tt, $c:tt, $x0:literal, $x1:literal, $x2:literal, $x3:literal) => {
        concat!(
            weights!(skip "16"),
            far_pair!($second, $c, $x0, $x1),
            weights!(),
            take!("smlad", second, $c),
            pixels!($x2),
            take!("smlad", first, $c),
            far_last!($c, $x3),
        )
    };
}

macro_rules! row_3_1 {
    ($second:tt) => {
        concat!(
            near_3!($second, 0, "0", "16"),
            near_3!($second, 2, "8", "24")
        )
    };
}
macro_rules! row_5_1 {
    ($second:tt) => {
        concat!(
            near_5!($second, 0, "0", "16", "32"),
            near_5!($second, 2, "8", "24", "40")
        )
    };
}
macro_rules! row_3_2 {
    ($second:tt) => {
        concat!(
            far_3!($second, 0, "0", "16", "32"),
            far_3!($second, 2, "8", "24", "40")
        )
    };
}
macro_rules! row_5_2 {
    ($second:tt) => {
        concat!(
            far_5!($second, 0, "0", "16", "32", "48"),
            far_5!($second, 2, "8", "24", "40", "56")
        )
    };
}

/// A row that one of two outputs below each other reads, of two channels.
macro_rules! one {
    ($which:tt, $c:tt, $x0:literal, $x1:literal, $w0:literal, $w1:literal) => {
        concat!(
            weights!($w0),
            pixels!($x0),
            take!("smlad", $which, $c),
            weights!($w1),
            pixels!($x1),
            take!("smlabt", $which, $c),
        )
    };
}

/// A row that both read: `$first` are weights of the first, `$second` of the second.
macro_rules! shared {
    ($c:tt, $x0:literal, $x1:literal, [$first0:literal, $first1:literal], [$second0:literal, $second1:literal]) => {
        concat!(
            weights!($first0),
            pixels!($x0),
            take!("smlad", first, $c),
            weights!($second0),
            take!("smlad", second, $c),
            weights!($first1),
            pixels!($x1),
            take!("smlabt", first, $c),
            weights!($second1),
            take!("smlabt", second, $c),
        )
    };
}

/// Rows of weights for one output below another.
macro_rules! one_row {
    ($which:tt, [$w0:literal, $w1:literal, $w2:literal, $w3:literal]) => {
        concat!(
            one!($which, 0, "0", "16", $w0, $w1),
            one!($which, 2, "8", "24", $w2, $w3)
        )
    };
}
macro_rules! shared_row {
    ([$f0:literal, $f1:literal, $f2:literal, $f3:literal], [$s0:literal, $s1:literal, $s2:literal, $s3:literal]) => {
        concat!(
            shared!(0, "0", "16", [$f0, $f1], [$s0, $s1]),
            shared!(2, "8", "24", [$f2, $f3], [$s2, $s3])
        )
    };
}

/// The second of two outputs below each other has the biases of the first.
macro_rules! same_biases {
    () => {
        "mov r4, r0\n mov r5, r1\n mov r6, r2\n mov r7, r3\n"
    };
}

/// On to the next row of pixels.
macro_rules! down {
    () => {
        "ldr r8, [sp, #24]\n add lr, lr, r8\n"
    };
}

/// Two words onto the stack: where [`any_row`] begins, and where the weights end. r0 points to the job, r2 to
/// the constants.
macro_rules! enter_any {
    () => {
        "ldrd r4, r5, [r0, #32]
        adr r6, 4f
        add r4, r4, r6
        orr r4, r4, #1
        ldr r7, [r2]
        add r5, r5, r7
        push {{r4, r5}}
        "
    };
}

/// A pair of pixels and its weights for two outputs. Exactly 56 bytes of code.
macro_rules! any_pair {
    () => {
        concat!(
            "ldrd r8, r9, [lr], #8\n",
            weights!(skip "16"),
            take!("smlad", first, 0),
            weights!(skip "-8"),
            take!("smlad", second, 0),
            "ldrd r8, r9, [lr], #8\n",
            weights!(skip "16"),
            take!("smlad", first, 2),
            weights!(skip "8"),
            take!("smlad", second, 2),
        )
    };
}

/// Rows of as many pairs of pixels as [`enter_any`] says, until the weights end.
macro_rules! any_row {
    () => {
        concat!(
            same_biases!(),
            "3:\n ldr pc, [sp, #48]\n .p2align 2\n 4:\n",
            any_pair!(),
            any_pair!(),
            any_pair!(),
            any_pair!(),
            any_pair!(),
            any_pair!(),
            down!(),
            "ldr r8, [sp, #52]\n cmp r12, r8\n bne 3b\n",
        )
    };
}
