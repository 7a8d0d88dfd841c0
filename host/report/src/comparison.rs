//! Is a difference more than chance? Welch's test for two means, Student's for pairs, the prediction interval for one
//! value against draws, and Holm's correction for many tests.
//!
//! Sources: "Student" (W. S. Gosset), "The probable error of a mean", Biometrika 6 (1908); B. L. Welch, "The
//! generalization of 'Student's' problem when several different population variances are involved", Biometrika 34
//! (1947); G. J. Hahn, W. Q. Meeker, "Statistical Intervals" (1991), 4.8, prediction of one further observation;
//! S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979).
//! The distribution of Student's t is `statrs`'.

use crate::findings::mean_and_deviation;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// A difference and its test.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Mean of the first minus mean of the second.
    pub difference: f64,
    /// `difference` by its standard error; infinite where that is 0 and there is a difference.
    pub t: f64,
    /// Degrees of freedom.
    pub df: f64,
    /// Two-sided: how often chance alone makes as large a difference.
    pub p: f64,
}

impl Difference {
    /// Of the second to the first.
    pub(crate) fn reversed(self) -> Self {
        Self {
            difference: -self.difference,
            t: -self.t,
            ..self
        }
    }

    /// `difference` with the standard error `error`, estimated with `df` degrees of freedom.
    fn of(difference: f64, error: f64, df: f64) -> Option<Self> {
        let (t, p) = match (error == 0.0, difference == 0.0) {
            (true, true) => (0.0, 1.0),
            (true, false) => (difference * f64::INFINITY, 0.0),
            (false, _) => {
                let t = difference / error;
                let student = StudentsT::new(0.0, 1.0, df).ok()?;
                (t, 2.0 * student.cdf(-t.abs()))
            }
        };
        Some(Self {
            difference,
            t,
            df,
            p,
        })
    }
}

/// Whether `one` may be a further draw from what the values `drawn` were drawn from, about normal:
/// `t = (one − mean)/(s·√(1 + 1/n))` with `n − 1` degrees of freedom. None for fewer than two draws.
pub fn against_draws(one: f64, drawn: &[f64]) -> Option<Difference> {
    let (mean, deviation) = mean_and_deviation(drawn)?;
    let n = drawn.len() as f64;
    Difference::of(one - mean, deviation? * (1.0 + 1.0 / n).sqrt(), n - 1.0)
}

/// Whether the mean difference of pairs is 0, differences independent and about normal: `t = m/(s/√n)` with `n − 1`
/// degrees of freedom. None for fewer than two pairs.
pub fn paired(pairs: &[(f64, f64)]) -> Option<Difference> {
    let differences: Vec<f64> = pairs.iter().map(|(a, b)| a - b).collect();
    let (mean, deviation) = mean_and_deviation(&differences)?;
    let n = differences.len() as f64;
    Difference::of(mean, deviation? / n.sqrt(), n - 1.0)
}

/// Compares the means of two samples of values that are independent and about normal:
/// `t = (m₁ − m₂)/√(s₁²/n₁ + s₂²/n₂)` with the degrees of freedom of Welch and Satterthwaite. None with fewer than
/// two values in either.
pub fn welch(a: &[f64], b: &[f64]) -> Option<Difference> {
    let part = |values: &[f64]| {
        let (mean, deviation) = mean_and_deviation(values)?;
        let n = values.len() as f64;
        Some((mean, deviation?.powi(2) / n, n - 1.0))
    };
    let ((mean_a, error_a, df_a), (mean_b, error_b, df_b)) = (part(a)?, part(b)?);
    let error = error_a + error_b;
    let df = match error == 0.0 {
        true => df_a + df_b,
        false => error.powi(2) / (error_a.powi(2) / df_a + error_b.powi(2) / df_b),
    };
    Difference::of(mean_a - mean_b, error.sqrt(), df)
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
