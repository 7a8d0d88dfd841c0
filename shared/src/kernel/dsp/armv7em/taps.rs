//! Rows of taps of a depthwise convolution, of two output pixels of four channels. It owns these pieces of code
//! only and must not know loops: lr points to pixels; r0 to r3 accumulate the first output, r4 to r7 the second.
//! Of windows of three or five taps in a row the weights are on the stack and r12 holds the bytes from one row of
//! pixels to the next; of others r12 points to the weights.

/// The pair of pixels `$at` bytes on, of two channels, in r8 and r9; with `!` lr goes there.
macro_rules! pixels {
    ([$at:literal]) => {
        concat!("ldrd r8, r9, [lr, #", $at, "]\n")
    };
    ([$at:literal !]) => {
        concat!("ldrd r8, r9, [lr, #", $at, "]!\n")
    };
}

/// Weights of two channels in r10 and r11: `$at` bytes on among those of row `$row`, each of `$bytes`, on the
/// stack behind the 100 bytes of a loop.
macro_rules! weights {
    ([$row:literal * $bytes:literal] + $at:literal) => {
        concat!(
            "ldrd r10, r11, [sp, #100+",
            $row,
            "*",
            $bytes,
            "+",
            $at,
            "]\n"
        )
    };
    // At r12, which goes on by as many bytes.
    (skip $bytes:literal) => {
        concat!("ldrd r10, r11, [r12], #", $bytes, "\n")
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

/// A row of three taps with stride 1, of two channels: `$x0` and `$x1` are the pairs of pixels, `$w0` and `$w1`
/// those of weights of row `$row`.
macro_rules! near_3 {
    ($second:tt, $c:tt, $row:tt, [$w0:literal, $w1:literal], [$x0:tt, $x1:tt]) => {
        concat!(
            weights!($row + $w0),
            pixels!($x0),
            take!("smlatb", $second, $c),
            take!("smlad", first, $c),
            weights!($row + $w1),
            pixels!($x1),
            take!("smlabt", first, $c),
            take!("smlad", second, $c),
        )
    };
}

/// A row of five taps with stride 1.
macro_rules! near_5 {
    ($second:tt, $c:tt, $row:tt, [$w0:literal, $w1:literal, $w2:literal, $w3:literal],
        [$x0:tt, $x1:tt, $x2:tt]) => {
        concat!(
            weights!($row + $w0),
            pixels!($x0),
            take!("smlatb", $second, $c),
            take!("smlad", first, $c),
            weights!($row + $w1),
            pixels!($x1),
            take!("smlad", second, $c),
            weights!($row + $w2),
            take!("smlad", first, $c),
            weights!($row + $w3),
            pixels!($x2),
            take!("smlabt", first, $c),
            take!("smlad", second, $c),
        )
    };
}

/// A row of three taps with stride 2. Here the first output is the one that may begin, in r4 to r7.
macro_rules! far_3 {
    ($second:tt, $c:tt, $row:tt, [$w0:literal, $w1:literal], [$x0:tt, $x1:tt, $x2:tt]) => {
        concat!(
            weights!($row + $w0),
            pixels!($x0),
            take!("smlad", $second, $c),
            pixels!($x1),
            take!("smlad", first, $c),
            weights!($row + $w1),
            take!("smlabt", second, $c),
            pixels!($x2),
            take!("smlabt", first, $c),
        )
    };
}

/// A row of five taps with stride 2, which has no use for the second pair of weights.
macro_rules! far_5 {
    ($second:tt, $c:tt, $row:tt, [$w0:literal, $w2:literal, $w3:literal],
        [$x0:tt, $x1:tt, $x2:tt, $x3:tt]) => {
        concat!(
            weights!($row + $w0),
            pixels!($x0),
            take!("smlad", $second, $c),
            pixels!($x1),
            take!("smlad", first, $c),
            weights!($row + $w2),
            take!("smlad", second, $c),
            pixels!($x2),
            take!("smlad", first, $c),
            weights!($row + $w3),
            take!("smlabt", second, $c),
            pixels!($x3),
            take!("smlabt", first, $c),
        )
    };
}

/// Row `$row` for two outputs beside each other; the `last` one moves lr to the next pair of outputs.
macro_rules! row_3_1 {
    (@ $second:tt, $row:literal, $x1:tt) => {
        concat!(
            near_3!($second, 2, [$row * "32"], ["16", "24"], [["8"], ["24"]]),
            near_3!($second, 0, [$row * "32"], ["0", "8"], [["0"], $x1])
        )
    };
    (last $row:literal) => {
        row_3_1!(@ second, $row, ["16" !])
    };
    ($second:tt $row:literal) => {
        row_3_1!(@ $second, $row, ["16"])
    };
}
macro_rules! row_5_1 {
    (@ $second:tt, $row:literal, $x1:tt, $x2:tt) => {
        concat!(
            near_5!($second, 2, [$row * "64"], ["32", "40", "48", "56"], [["8"], ["24"], ["40"]]),
            near_5!($second, 0, [$row * "64"], ["0", "8", "16", "24"], [["0"], $x1, $x2])
        )
    };
    (last $row:literal) => {
        row_5_1!(@ second, $row, ["16" !], ["16"])
    };
    ($second:tt $row:literal) => {
        row_5_1!(@ $second, $row, ["16"], ["32"])
    };
}
macro_rules! row_3_2 {
    (@ $second:tt, $row:literal, $x2:tt) => {
        concat!(
            far_3!($second, 2, [$row * "32"], ["16", "24"], [["8"], ["24"], ["40"]]),
            far_3!($second, 0, [$row * "32"], ["0", "8"], [["0"], ["16"], $x2])
        )
    };
    (last $row:literal) => {
        row_3_2!(@ second, $row, ["32" !])
    };
    ($second:tt $row:literal) => {
        row_3_2!(@ $second, $row, ["32"])
    };
}
macro_rules! row_5_2 {
    (@ $second:tt, $row:literal, $x2:tt, $x3:tt) => {
        concat!(
            far_5!($second, 2, [$row * "64"], ["32", "48", "56"], [["8"], ["24"], ["40"], ["56"]]),
            far_5!($second, 0, [$row * "64"], ["0", "16", "24"], [["0"], ["16"], $x2, $x3])
        )
    };
    (last $row:literal) => {
        row_5_2!(@ second, $row, ["32" !], ["16"])
    };
    ($second:tt $row:literal) => {
        row_5_2!(@ $second, $row, ["32"], ["48"])
    };
}

/// Pixels that one of two outputs below each other reads, with weights of row `$row`, of two channels.
macro_rules! one {
    ($op:literal, $which:tt, $c:tt, $row:tt + $w:literal, $x:literal) => {
        concat!(weights!($row + $w), pixels!([$x]), take!($op, $which, $c),)
    };
}

/// Pixels that both read: `$first` is the row of weights of the first output, `$second` of the second.
macro_rules! shared {
    ($op:literal, $first:tt, $second:tt, $c:tt, $w:literal, $x:literal) => {
        concat!(
            one!($op, first, $c, $first + $w, $x),
            weights!($second + $w),
            take!($op, second, $c),
        )
    };
}

/// Row `$row` of weights for two outputs below each other, of two channels: lr points to the pixels of the first, r12
/// to those of the second.
macro_rules! apart {
    ($op:literal, $second:tt, $c:tt, $row:tt + $w:literal, $x:literal) => {
        concat!(
            weights!($row + $w),
            "ldrd r8, r9, [r12, #",
            $x,
            "]\n",
            take!($op, $second, $c),
            pixels!([$x]),
            take!($op, first, $c),
        )
    };
}

/// The `near` two pixels of a row, or the `third`, for one output below another, for both, or for both with the same
/// row of weights.
macro_rules! one_row {
    (near $which:tt $row:literal) => {
        concat!(
            one!("smlad", $which, 0, [$row * "32"] + "0", "0"),
            one!("smlad", $which, 2, [$row * "32"] + "16", "8"),
        )
    };
    (third $which:tt $row:literal) => {
        concat!(
            one!("smlabt", $which, 0, [$row * "32"] + "8", "16"),
            one!("smlabt", $which, 2, [$row * "32"] + "24", "24"),
        )
    };
}
macro_rules! shared_row {
    (near $first:literal $second:literal) => {
        concat!(
            shared!("smlad", [$first * "32"], [$second * "32"], 0, "0", "0"),
            shared!("smlad", [$first * "32"], [$second * "32"], 2, "16", "8"),
        )
    };
    (third $first:literal $second:literal) => {
        concat!(
            shared!("smlabt", [$first * "32"], [$second * "32"], 0, "8", "16"),
            shared!("smlabt", [$first * "32"], [$second * "32"], 2, "24", "24"),
        )
    };
}
macro_rules! apart_row {
    (near $second:tt $row:literal) => {
        concat!(
            apart!("smlad", $second, 0, [$row * "32"] + "0", "0"),
            apart!("smlad", $second, 2, [$row * "32"] + "16", "8"),
        )
    };
    (third $row:literal) => {
        concat!(
            apart!("smlabt", second, 0, [$row * "32"] + "8", "16"),
            apart!("smlabt", second, 2, [$row * "32"] + "24", "24"),
        )
    };
}

/// Both pointers by a row of pixels.
macro_rules! both {
    ($op:literal) => {
        concat!(
            "ldr.w r8, [sp, #28]\n ",
            $op,
            ".w lr, lr, r8\n ",
            $op,
            ".w r12, r12, r8\n"
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
        "add.w lr, lr, r12\n"
    };
}

/// Up by 2 to the power of `$log` rows.
macro_rules! up {
    ($log:literal) => {
        concat!("sub.w lr, lr, r12, lsl #", $log, "\n")
    };
}

/// Eight words of weights `$times` onto the stack; r1 points to them.
macro_rules! enter_square {
    ($times:literal) => {
        concat!(
            "add r1, r1, #32*",
            $times,
            "\n",
            ".rept ",
            $times,
            "\n ldmdb r1!, {{r4-r11}}\n push {{r4-r11}}\n .endr\n"
        )
    };
}

/// Onto the stack: bytes from one part of a row of pixels to the next one and from behind the last one to the
/// next pair of outputs, where [`any_row`] begins, and where the weights end. r0 points to the job, r1 to the weights.
macro_rules! enter_any {
    () => {
        "add r4, r0, #24
        ldm r4, {{r4-r7}}
        adr r8, 4f
        add r6, r6, r8
        orr r6, r6, #1
        add r7, r7, r1
        push {{r4-r7}}
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
            "3:\n ldr pc, [sp, #108]\n .p2align 2\n 4:\n",
            any_pair!(),
            any_pair!(),
            any_pair!(),
            any_pair!(),
            any_pair!(),
            any_pair!(),
            "ldr r10, [sp, #112]\n ldrd r8, r9, [sp, #100]\n add lr, lr, r8\n",
            "cmp r12, r10\n bne 3b\n add lr, lr, r9\n",
        )
    };
}
