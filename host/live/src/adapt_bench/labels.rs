//! Who teaches: right labels, wrong ones.

use aplysia_shared::rng::XorShift32;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A teacher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Teacher {
    /// Wrong in so many of 100 cases, then by any other class: 0 is honest, 100 always lies.
    Wrong(u8),
    /// Always lies and never contradicts itself: the next class, the first for the last.
    Swaps,
}

impl fmt::Display for Teacher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Teacher::Wrong(pct) => write!(f, "{pct} %"),
            Teacher::Swaps => f.write_str("100 %, always the next class"),
        }
    }
}

impl Teacher {
    /// What it says of images of the classes `labels`. What is wrong at a smaller share is wrong at a larger one, too.
    pub(super) fn taught(self, labels: &[u16], seed: u32, n_classes: usize) -> Vec<u16> {
        let n_classes = n_classes as u32;
        // Spread out, as a generator with few bits set in its state begins with small numbers.
        let mut rng = XorShift32::new(seed.wrapping_mul(0x9E37_79B9) ^ 0x5bd1_e995);
        let said = |&label: &u16| {
            let chance = rng.below(100);
            let step = 1 + rng.below(n_classes.saturating_sub(1).max(1));
            let step = match self {
                Teacher::Wrong(pct) if chance < u32::from(pct) => step,
                Teacher::Wrong(_) => 0,
                Teacher::Swaps => 1,
            };
            ((u32::from(label) + step) % n_classes) as u16
        };
        labels.iter().map(said).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Teacher;

    #[test]
    fn shares_hold_and_a_wrong_label_is_another_class() {
        let labels: Vec<u16> = (0..4000).map(|i| i % 10).collect();
        let wrong = |pct: u8| -> Vec<bool> {
            let taught = Teacher::Wrong(pct).taught(&labels, 3, 10);
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
        let swapped = Teacher::Swaps.taught(&labels, 3, 10);
        assert!(
            swapped
                .iter()
                .zip(&labels)
                .all(|(&s, &l)| s == (l + 1) % 10)
        );
    }
}
