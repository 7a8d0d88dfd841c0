//! Requantization of eight sums on a Cortex-M3. It owns this code only and must not know loops.

/// Requantizes r0 to r7 with the constants at r12, which moves behind them; each is in the register named
/// for it, lr is overwritten. The doubling high product is `(acc·2^32 + acc·(2M − 2^32) + 2^31) >> 32`.
macro_rules! requantize {
    ($r0:literal $r1:literal $r2:literal $r3:literal $r4:literal $r5:literal $r6:literal $r7:literal) => {
        concat!(
            "ldm r12!, {{r8-r11}}\n",
            high_product!("r0", $r0),
            high_product!("r1", $r1),
            high_product!("r2", $r2),
            high_product!("r3", $r3),
            high_product!("r4", $r4),
            high_product!("r5", $r5),
            high_product!("r6", $r6),
            high_product!("r7", $r7),
            "ldm r12!, {{r8-r11}}\n",
            round!("r0", $r0),
            round!("r1", $r1),
            round!("r2", $r2),
            round!("r3", $r3),
            round!("r4", $r4),
            round!("r5", $r5),
            round!("r6", $r6),
            round!("r7", $r7),
            "ldm r12!, {{r8-r11}}\n",
            narrow!("r0", $r0),
            narrow!("r1", $r1),
            narrow!("r2", $r2),
            narrow!("r3", $r3),
            narrow!("r4", $r4),
            narrow!("r5", $r5),
            narrow!("r6", $r6),
            narrow!("r7", $r7),
        )
    };
}

macro_rules! high_product {
    ($acc:literal, $by:literal) => {
        concat!(
            "mov lr, #0x80000000\n smlal lr, ",
            $acc,
            ", ",
            $acc,
            ", ",
            $by,
            "\n"
        )
    };
}

macro_rules! round {
    ($acc:literal, $by:literal) => {
        concat!(
            "add ",
            $acc,
            ", ",
            $acc,
            ", ",
            $acc,
            ", asr #31\n",
            "add ",
            $acc,
            ", ",
            $acc,
            ", ",
            $by,
            "\n",
        )
    };
}

macro_rules! narrow {
    ($acc:literal, $by:literal) => {
        concat!(
            "asr ", $acc, ", ", $acc, ", ", $by, "\n ssat ", $acc, ", #8, ", $acc, "\n"
        )
    };
}
