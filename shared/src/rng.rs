//! A 32-bit pseudo-random generator small enough for any device.
//!
//! It owns its state and nothing else; it must not be used where an adversary can gain from guessing.
//! Source: G. Marsaglia, "Xorshift RNGs", Journal of Statistical Software 8(14), 2003, triple 13, 17, 5.

/// `x ^= x << 13; x ^= x >> 17; x ^= x << 5`, period `2^32 - 1`, 4 bytes of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XorShift32(u32);

impl XorShift32 {
    /// A generator with state `seed`; 0, which is no state of the cycle, is taken as 1.
    pub const fn new(seed: u32) -> Self {
        Self(if seed == 0 { 1 } else { seed })
    }

    /// The state: `new(state)` goes on from here.
    pub const fn state(&self) -> u32 {
        self.0
    }

    /// The next number, uniform in `1 ..= u32::MAX`.
    ///
    /// ```
    /// let mut rng = aplysia_shared::rng::XorShift32::new(1);
    /// assert_eq!([rng.next_u32(), rng.next_u32()], [270_369, 67_634_689]);
    /// ```
    pub const fn next_u32(&mut self) -> u32 {
        let mut x = self.0;
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        self.0 = x;
        x
    }

    /// A number in `0 .. n` by the high half of `next · n` (bias below `n / 2^32`); 0 if `n` is 0.
    pub const fn below(&mut self, n: u32) -> u32 {
        ((self.next_u32() as u64 * n as u64) >> 32) as u32
    }
}
