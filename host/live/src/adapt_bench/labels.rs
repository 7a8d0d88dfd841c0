//! Wrong labels.

use aplysia_shared::rng::XorShift32;

/// `labels`, of which each is replaced with chance `noise_pct`/100 by another class, all alike likely.
/// The labels replaced at a smaller share are replaced at a larger one as well.
pub(super) fn taught(labels: &[u16], noise_pct: u8, seed: u32, n_classes: usize) -> Vec<u16> {
    let n_classes = n_classes as u32;
    // Spread out, as a generator with few bits set in its state begins with small numbers.
    let mut rng = XorShift32::new(seed.wrapping_mul(0x9E37_79B9) ^ 0x5bd1_e995);
    let wrong = |&label: &u16| {
        let chance = rng.below(100);
        let step = 1 + rng.below(n_classes.saturating_sub(1).max(1));
        match chance < u32::from(noise_pct) {
            true => ((u32::from(label) + step) % n_classes) as u16,
            false => label,
        }
    };
    labels.iter().map(wrong).collect()
}

#[cfg(test)]
mod tests {
    use super::taught;

    #[test]
    fn shares_hold_and_a_wrong_label_is_another_class() {
        let labels: Vec<u16> = (0..4000).map(|i| i % 10).collect();
        let wrong = |pct: u8| -> Vec<bool> {
            let taught = taught(&labels, pct, 3, 10);
            assert!(taught.iter().all(|&l| l < 10));
            taught.iter().zip(&labels).map(|(a, b)| a != b).collect()
        };
        for pct in [0_u8, 10, 30, 100] {
            let n = wrong(pct).iter().filter(|&&w| w).count() as f64;
            let expected = 40.0 * f64::from(pct);
            assert!((n - expected).abs() <= 4.0 * expected.sqrt(), "{pct}: {n}");
        }
        assert!(wrong(100).iter().all(|&w| w));
        assert!(wrong(10).iter().zip(wrong(30)).all(|(&a, b)| b || !a));
    }
}
