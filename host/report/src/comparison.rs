//! Is a difference of two means more than chance? Welch's test, and Holm's correction for many of them.
//!
//! Sources: B. L. Welch, "The generalization of 'Student's' problem when several different population variances
//! are involved", Biometrika 34 (1947); S. Holm, "A simple sequentially rejective multiple test procedure",
//! Scandinavian Journal of Statistics 6 (1979). The distribution of Student's t is `statrs`'.

use crate::findings::mean_and_deviation;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Two samples compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Welch {
    /// Mean of the first minus mean of the second.
    pub difference: f64,
    /// `difference / √(s₁²/n₁ + s₂²/n₂)`; infinite where both samples are constant and differ.
    pub t: f64,
    /// Degrees of freedom (Welch and Satterthwaite).
    pub df: f64,
    /// Two-sided: how often samples of equal means differ by as much or more.
    pub p: f64,
}

/// Compares the means of two samples of values that are independent and about normal; none with fewer than two
/// in either.
pub fn welch(a: &[f64], b: &[f64]) -> Option<Welch> {
    let part = |values: &[f64]| {
        let (mean, deviation) = mean_and_deviation(values)?;
        let n = values.len() as f64;
        Some((mean, deviation?.powi(2) / n, n - 1.0))
    };
    let ((mean_a, error_a, df_a), (mean_b, error_b, df_b)) = (part(a)?, part(b)?);
    let (difference, error) = (mean_a - mean_b, error_a + error_b);
    if error == 0.0 {
        let (t, p) = match difference == 0.0 {
            true => (0.0, 1.0),
            false => (difference * f64::INFINITY, 0.0),
        };
        let df = df_a + df_b;
        return Some(Welch {
            difference,
            t,
            df,
            p,
        });
    }
    let t = difference / error.sqrt();
    let df = error.powi(2) / (error_a.powi(2) / df_a + error_b.powi(2) / df_b);
    let p = 2.0 * StudentsT::new(0.0, 1.0, df).ok()?.cdf(-t.abs());
    Some(Welch {
        difference,
        t,
        df,
        p,
    })
}

/// Holm's corrected p-values, in the order given: of `m`, the `k`-th smallest (from 0) times `m − k`, at least the
/// one before it, at most 1. All below 0.05 hold together with an error of 5 %.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut corrected = vec![0.0; p.len()];
    let mut least = 0.0_f64;
    for (k, &i) in order.iter().enumerate() {
        least = least.max((p.len() - k) as f64 * p[i]).min(1.0);
        corrected[i] = least;
    }
    corrected
}
