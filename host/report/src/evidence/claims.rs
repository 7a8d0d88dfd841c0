//! The paper's claims, and what the evidence says of each.

use super::{Comparison, Evidence, Group, Kind, Noise, RANDOM, Trained, mean};
use crate::comparison::{Difference, holm};
use aplysia_space::Rule;
use serde::Serialize;
use std::fmt;

/// Error that a verdict may have.
const LEVEL: f64 = 0.05;

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The difference has the claimed sign, p below 0.05, by Holm's correction among the comparisons of its kind.
    Holds,
    /// The difference has the other sign, p as small.
    Contradicted,
    /// Neither.
    NotShown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Holds => "holds",
            Verdict::Contradicted => "contradicted",
            Verdict::NotShown => "not shown",
        })
    }
}

/// A claim about the networks of one procedure.
#[derive(Clone, Debug, Serialize)]
pub struct Claim {
    /// The procedure.
    pub procedure: String,
    /// In words.
    pub claim: &'static str,
    /// What became of it.
    pub verdict: Verdict,
    /// The numbers.
    pub why: String,
}

/// Of a difference that is claimed to be positive.
fn verdict(difference: f64, p: f64) -> Verdict {
    match (p < LEVEL, difference > 0.0) {
        (true, true) => Verdict::Holds,
        (true, false) => Verdict::Contradicted,
        (false, _) => Verdict::NotShown,
    }
}

/// Every claim about every procedure whose genotypes were trained under other rules.
pub fn claims(evidence: &Evidence) -> Vec<Claim> {
    let with_controls = evidence.procedures().filter(|s| s.has_controls);
    let of = |search: &super::Searched| {
        let name = &search.name;
        let comparisons = evidence.comparisons(name);
        let accuracy = |claim, c: &Comparison| Claim {
            procedure: name.clone(),
            claim,
            verdict: verdict(c.test.difference, c.p_holm),
            why: format!(
                "{:+.2} points against {}, p = {:.3}, with Holm {:.3}, n = {}",
                c.test.difference,
                c.with,
                c.test.p,
                c.p_holm,
                counts(c.n)
            ),
        };
        let against = |with: &str| comparisons.iter().find(|c| c.with == with);
        let best = best_single(evidence, name);
        let best = best.and_then(|rule| against(&Kind::Single(rule).to_string()));
        let bp = Kind::Single(Rule::Bp).to_string();
        let bp_searches = evidence.procedures().filter(|s| s.is_bp);
        let claimed = [
            (
                "a mix beats its best single rule other than BP (chosen on validation)",
                best,
            ),
            (
                "searching the mix beats drawing it at random",
                against(RANDOM),
            ),
            (
                "a mix beats back-propagation in the same network",
                against(&bp),
            ),
        ];
        let by_bp = bp_searches.map(|s| {
            (
                "a mix beats a network searched for back-propagation",
                against(&s.name),
            )
        });
        let claimed = claimed.into_iter().chain(by_bp);
        let mut all: Vec<Claim> = claimed
            .filter_map(|(claim, c)| Some(accuracy(claim, c?)))
            .collect();
        all.extend(noise(evidence, name));
        all.extend(masking(evidence, name));
        all
    };
    with_controls.flat_map(of).collect()
}

/// Values on both sides.
fn counts([own, others]: [usize; 2]) -> String {
    format!("{own} and {others}")
}

/// The single rules that the genotypes of a procedure were trained under.
fn singles(evidence: &Evidence, procedure: &str) -> Vec<Rule> {
    let rule = |group: Group| match group {
        Group::Of(Kind::Single(rule)) => Some(rule),
        _ => None,
    };
    evidence
        .groups(procedure)
        .into_iter()
        .filter_map(rule)
        .collect()
}

/// Mean of what is known.
fn mean_of(values: Vec<Option<f64>>) -> f64 {
    mean(&values.into_iter().flatten().collect::<Vec<_>>())
}

/// Of the single rules other than back-propagation, the best on validation.
fn best_single(evidence: &Evidence, procedure: &str) -> Option<Rule> {
    let valid = |rule: &Rule| {
        let group = Group::Of(Kind::Single(*rule));
        mean_of(evidence.values(procedure, group, |run| Some(run.valid_pct)))
    };
    let singles = singles(evidence, procedure).into_iter();
    let singles = singles.filter(|&rule| rule != Rule::Bp);
    singles.max_by(|a, b| valid(a).total_cmp(&valid(b)))
}

/// A number of the gradient.
type Of = fn(&Noise) -> f64;

/// The claim about the variance of gradients: lower than under every single rule, after the last epoch looked at.
fn noise(evidence: &Evidence, procedure: &str) -> Vec<Claim> {
    let measures: [(&str, Of); 2] = [
        (
            "the gradient varies less under a mix than under each single rule (absolute variance)",
            |n| n.variance,
        ),
        (
            "the gradient varies less under a mix than under each single rule (relative to its length)",
            |n| n.to_signal,
        ),
    ];
    let claim = |(claim, of): (&'static str, Of)| {
        let singles = singles(evidence, procedure).into_iter();
        let last = |run: &Trained| run.noise.last().map(of);
        let test = |rule| {
            let group = Group::Of(Kind::Single(rule));
            Some((rule, evidence.compare(procedure, group, last)?))
        };
        let (rules, tests): (Vec<Rule>, Vec<([usize; 2], Difference)>) =
            singles.filter_map(test).unzip();
        let p = holm(&tests.iter().map(|(_, test)| test.p).collect::<Vec<_>>());
        let names = |wanted: Verdict| {
            let each = rules.iter().zip(tests.iter().zip(&p));
            // Claimed is that the own variance is the smaller one.
            let those = each.filter(|(_, ((_, test), p))| verdict(-test.difference, **p) == wanted);
            those
                .map(|(rule, _)| Kind::Single(*rule).to_string())
                .collect::<Vec<_>>()
        };
        let (more, less) = (names(Verdict::Holds), names(Verdict::Contradicted));
        let verdict = match (more.len() == rules.len(), less.is_empty()) {
            (true, _) => Verdict::Holds,
            (false, false) => Verdict::Contradicted,
            (false, true) => Verdict::NotShown,
        };
        let list = |names: &[String]| match names {
            [] => "none".to_string(),
            names => names.join(", "),
        };
        let ([n, _], _) = tests.first()?;
        Some(Claim {
            procedure: procedure.into(),
            claim,
            verdict,
            why: format!(
                "of {} single rules significantly more: {}; less: {}; n = {n}",
                rules.len(),
                list(&more),
                list(&less),
            ),
        })
    };
    measures.into_iter().filter_map(claim).collect()
}

/// The claim of robustness: what a naive evaluation shows, and what is left of it.
fn masking(evidence: &Evidence, procedure: &str) -> Option<Claim> {
    fn strongest(run: &Trained) -> Option<&crate::Strength> {
        run.attacked.as_ref()?.strengths.last()
    }
    let worst = |run: &Trained| strongest(run).map(|s| s.worst_pct);
    let own = |run: &Trained| strongest(run)?.own_pct;
    let (found, bp) = (Group::Of(Kind::Searched), Group::Of(Kind::Single(Rule::Bp)));
    let mean =
        |group, of: fn(&Trained) -> Option<f64>| mean_of(evidence.values(procedure, group, of));
    let mut runs = evidence
        .group(procedure)
        .into_iter()
        .flat_map(|arm| &arm.runs);
    let epsilon = runs.find_map(|run| Some(strongest(run)?.epsilon_255))?;
    let test = evidence.compare(procedure, bp, worst);
    let numbers = test.map_or(String::new(), |(n, t)| {
        format!(", p = {:.3}, n = {}", t.p, counts(n))
    });
    Some(Claim {
        procedure: procedure.into(),
        claim: "a mix withstands attacks better than back-propagation in the same network",
        verdict: test.map_or(Verdict::NotShown, |(_, t)| verdict(t.difference, t.p)),
        why: format!(
            "at {epsilon}/255 along the own feedback {:.1} % are left against {:.1} % of BP, in the worst case \
             {:.1} % against {:.1} %{numbers}",
            mean(found, own),
            mean(bp, own),
            mean(found, worst),
            mean(bp, worst),
        ),
    })
}
