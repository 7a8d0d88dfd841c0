//! Comparisons of means: Welch's and Student's tests against numerical integration, Holm's correction against its
//! definition; what the evidence of repeated searches says.

use aplysia_report::comparison::{against_draws, holm, paired, welch};
use aplysia_report::evidence::claims::{Verdict, claims};
use aplysia_report::evidence::{Arm, Evidence, Kind, Searched, Trained};
use aplysia_space::Rule;
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    (mean, squares / (n - 1.0))
}

/// `P(|T| ≥ t)` of Student's t by Simpson's rule over `x = √df·tan θ`, where the density is `cos^(df−1) θ` times
/// a constant that cancels.
fn two_sided(t: f64, df: f64) -> f64 {
    let density = |angle: f64| angle.cos().max(0.0).powf(df - 1.0);
    let simpson = |from: f64, to: f64| {
        let n = 20_000;
        let h = (to - from) / f64::from(n);
        let weight = |i: i32| match i {
            0 => 1.0,
            i if i == n => 1.0,
            i if i % 2 == 1 => 4.0,
            _ => 2.0,
        };
        let sum: f64 = (0..=n)
            .map(|i| weight(i) * density(from + h * f64::from(i)))
            .sum();
        sum * h / 3.0
    };
    let (limit, end) = ((t.abs() / df.sqrt()).atan(), std::f64::consts::FRAC_PI_2);
    simpson(limit, end) / simpson(0.0, end)
}

fn samples() -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
    let sample = || prop::collection::vec(80.0..95.0_f64, 3..8);
    (sample(), sample())
}

proptest! {
    #[test]
    fn welch_equals_its_definition((a, b) in samples()) {
        let found = welch(&a, &b).unwrap();
        let ((mean_a, var_a), (mean_b, var_b)) = (mean_and_variance(&a), mean_and_variance(&b));
        let (n_a, n_b) = (a.len() as f64, b.len() as f64);
        let (error_a, error_b) = (var_a / n_a, var_b / n_b);
        let t = (mean_a - mean_b) / (error_a + error_b).sqrt();
        let df = (error_a + error_b).powi(2)
            / (error_a.powi(2) / (n_a - 1.0) + error_b.powi(2) / (n_b - 1.0));
        prop_assert!((found.t - t).abs() < 1e-9 * (1.0 + t.abs()));
        prop_assert!((found.df - df).abs() < 1e-6 * df);
        prop_assert!((found.p - two_sided(t, df)).abs() < 1e-5, "{} {}", found.p, two_sided(t, df));
        let swapped = welch(&b, &a).unwrap();
        prop_assert!((swapped.t + found.t).abs() < 1e-9 && (swapped.p - found.p).abs() < 1e-12);
    }

    #[test]
    fn the_test_for_pairs_equals_its_definition((a, b) in samples()) {
        let pairs: Vec<(f64, f64)> = a.into_iter().zip(b).collect();
        let found = paired(&pairs).unwrap();
        let differences: Vec<f64> = pairs.iter().map(|(a, b)| a - b).collect();
        let ((mean, variance), n) = (mean_and_variance(&differences), pairs.len() as f64);
        let t = mean / (variance / n).sqrt();
        prop_assert!((found.t - t).abs() < 1e-9 * (1.0 + t.abs()));
        prop_assert_eq!(found.df, n - 1.0);
        prop_assert!((found.p - two_sided(t, n - 1.0)).abs() < 1e-5, "{} {}", found.p, two_sided(t, n - 1.0));
    }

    #[test]
    fn holm_rejects_what_its_steps_reject(
        p in prop::collection::vec(0.0..1.0_f64, 0..9),
        level in 0.001..0.5_f64,
    ) {
        // Step down: the smallest against level/m, the next against level/(m − 1), ..., until one fails.
        let mut order: Vec<usize> = (0..p.len()).collect();
        order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
        let mut rejected = vec![false; p.len()];
        for (k, &i) in order.iter().enumerate() {
            if p[i] * (p.len() - k) as f64 > level {
                break;
            }
            rejected[i] = true;
        }
        let corrected: Vec<bool> = holm(&p).iter().map(|&p| p <= level).collect();
        prop_assert_eq!(corrected, rejected);
    }
}

/// Of five draws and one more of the same normal distribution, one in twenty differs at 5 %, as often too high as
/// too low; Welch's test of the one's three noisy repeats, which takes them for draws, finds a difference far
/// more often.
#[test]
fn a_further_draw_differs_as_often_as_it_should() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    // Box and Muller's.
    let mut normal = || {
        let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    };
    let (mut draws, mut repeats, n) = (0, 0, 4000);
    for _ in 0..n {
        let drawn: [f64; 5] = std::array::from_fn(|_| normal());
        let one = normal();
        let close = [one - 0.01, one, one + 0.01];
        draws += usize::from(against_draws(one, &drawn).unwrap().p < 0.05);
        repeats += usize::from(welch(&close, &drawn).unwrap().p < 0.05);
    }
    let share = |count: usize| count as f64 / f64::from(n);
    assert!((0.04..0.06).contains(&share(draws)), "{}", share(draws));
    assert!(share(repeats) > 0.2, "{}", share(repeats));
    assert!(against_draws(1.0, &[1.0]).is_none());
    let constant = against_draws(2.0, &[1.0, 1.0]).unwrap();
    assert_eq!(
        (constant.difference, constant.t, constant.p),
        (1.0, f64::INFINITY, 0.0)
    );
}

/// A search of `mixed`, the `repeat`-th, whose genotype is worth `level`: its mix is 2 points better than drawing and 1
/// worse than uSF; of `by-bp`, 4 above.
fn repeat(repeat: usize, level: f64) -> (Vec<Searched>, Vec<Arm>) {
    let name = |of: &str| match repeat {
        1 => of.to_string(),
        _ => format!("{of}-{repeat}"),
    };
    let search = |of: &str, is_bp| Searched {
        name: name(of),
        procedure: of.into(),
        space: "mcu".into(),
        n_train: 100,
        epochs: 3,
        n_trials: 24,
        valid_pct: level,
        genotype: String::new(),
        is_bp,
        has_controls: !is_bp,
        device: None,
    };
    // Chance differs from repeat to repeat by up to 0.2, from training to training by up to 0.1.
    let arm = |of: &str, kind, pct: f64| Arm {
        search: name(of),
        kind,
        rules: String::new(),
        main_rule: Rule::Usf,
        runs: (1..=3)
            .map(|seed| {
                let pct = pct + 0.05 * (seed as f64 - 2.0);
                Trained {
                    seed,
                    valid_pct: pct,
                    test_pct: pct,
                    angles_deg: vec![],
                    noise: vec![],
                    attacked: None,
                }
            })
            .collect(),
    };
    let chance = 0.1 * (repeat % 3) as f64;
    let arms = vec![
        arm("mixed", Kind::Searched, level),
        arm("mixed", Kind::Single(Rule::Usf), level + 1.0 + chance),
        arm("mixed", Kind::Single(Rule::Fa), level - 9.0 + chance),
        arm("mixed", Kind::Random(1), level - 1.0 - chance),
        arm("mixed", Kind::Random(2), level - 3.0 - chance),
        arm("by-bp", Kind::Searched, level + 4.0),
    ];
    (vec![search("mixed", false), search("by-bp", true)], arms)
}

/// Searches whose genotypes differ by 20 points: only within a genotype a difference of 1 is seen.
#[test]
fn repeated_searches_are_compared_within_their_genotypes() {
    let mut evidence = Evidence {
        n_valid: 100,
        n_test: 100,
        searches: vec![],
        arms: vec![],
    };
    for (i, level) in [60.0, 70.0, 65.0, 80.0, 75.0].into_iter().enumerate() {
        let (searches, arms) = repeat(i + 1, level);
        evidence.searches.extend(searches);
        evidence.arms.extend(arms);
    }
    let compared = evidence.comparisons("mixed");
    let difference = |with: &str| {
        let c = compared.iter().find(|c| c.with == with).unwrap();
        assert_eq!(c.n, [5, 5], "{with}");
        (c.test.difference, c.test.df, c.p_holm)
    };
    let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
    // The chances are 0.1, 0.2, 0, 0.1, 0.2, in the mean 0.12.
    let (usf, df, p) = difference("usf everywhere");
    assert!(
        close(usf, -1.12) && df == 4.0 && p < 0.001,
        "{usf} {df} {p}"
    );
    let (drawn, _, p) = difference("random assignments");
    assert!(close(drawn, 2.12) && p < 0.001, "{drawn} {p}");
    let (bp, _, p) = difference("by-bp");
    assert!(
        close(bp, -4.0) && p > 0.2,
        "genotypes differ by more: {bp} {p}"
    );
    assert_eq!(compared.len(), 4);

    let verdicts: Vec<Verdict> = claims(&evidence).iter().map(|c| c.verdict).collect();
    // Against the best single rule, drawing, a search for back-propagation.
    assert_eq!(
        verdicts,
        [Verdict::Contradicted, Verdict::Holds, Verdict::NotShown]
    );

    // The first search alone: its three trainings are what is compared, and five draws are too few to tell.
    evidence.searches.truncate(2);
    evidence.arms.truncate(6);
    let alone = evidence.comparisons("mixed");
    let usf = alone.iter().find(|c| c.with == "usf everywhere").unwrap();
    assert_eq!(usf.n, [3, 3]);
    let drawn = alone
        .iter()
        .find(|c| c.with == "random assignments")
        .unwrap();
    assert_eq!((drawn.n, drawn.p_holm > 0.05), ([1, 2], true));
}

#[test]
fn constant_and_small_samples() {
    assert!(paired(&[(1.0, 2.0)]).is_none());
    assert!(welch(&[1.0], &[1.0, 2.0]).is_none());
    let equal = welch(&[3.0, 3.0], &[3.0, 3.0]).unwrap();
    assert_eq!((equal.t, equal.p), (0.0, 1.0));
    let apart = welch(&[3.0, 3.0], &[4.0, 4.0]).unwrap();
    assert_eq!((apart.t, apart.p), (f64::NEG_INFINITY, 0.0));
}
