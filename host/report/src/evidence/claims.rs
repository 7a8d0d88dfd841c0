//! The paper's claims, and what the evidence says of each.

use super::{Arm, Comparison, Evidence, Kind, Noise, RANDOM, mean};
use crate::comparison::{Difference, holm, welch};
use aplysia_space::Rule;
use serde::Serialize;
use std::fmt;

/// Error that a verdict may have.
const LEVEL: f64 = 0.05;

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The difference has the claimed sign, p (Holm) below 0.05.
    Holds,
    /// The difference has the other sign, p (Holm) below 0.05.
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

/// A claim about one search's network.
#[derive(Clone, Debug, Serialize)]
pub struct Claim {
    /// The search.
    pub search: String,
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

/// Every claim about every search whose genotype was trained under other rules.
pub fn claims(evidence: &Evidence) -> Vec<Claim> {
    let with_controls = evidence.searches.iter().filter(|s| s.has_controls);
    let of = |search: &super::Searched| {
        let name = &search.name;
        let comparisons = evidence.comparisons(name);
        let group = evidence.group(name);
        let mut all = vec![];
        let accuracy = |claim, c: &Comparison| Claim {
            search: name.clone(),
            claim,
            verdict: verdict(c.test.difference, c.p_holm),
            why: format!(
                "{:+.2} points against {}, p = {:.3}, with Holm {:.3}, n = {} and {}",
                c.test.difference, c.with, c.test.p, c.p_holm, c.n[0], c.n[1]
            ),
        };
        let against = |with: &str| comparisons.iter().find(|c| c.with == with);
        let best = best_single(&group).map(|arm| arm.kind.to_string());
        let best = best.and_then(|with| against(&with));
        all.extend(best.map(|c| {
            accuracy(
                "a mix beats its best single rule other than BP (chosen on validation)",
                c,
            )
        }));
        all.extend(
            against(RANDOM).map(|c| accuracy("searching the mix beats drawing it at random", c)),
        );
        let bp = Kind::Single(Rule::Bp).to_string();
        all.extend(
            against(&bp).map(|c| accuracy("a mix beats back-propagation in the same network", c)),
        );
        let bp_searches = evidence.searches.iter().filter(|s| s.is_bp);
        let bp_searches = bp_searches.filter_map(|s| against(&s.name));
        all.extend(
            bp_searches.map(|c| accuracy("a mix beats a network searched for back-propagation", c)),
        );
        all.extend(noise(name, &group));
        all.extend(masking(name, &group));
        all
    };
    with_controls.flat_map(of).collect()
}

/// Of the single rules other than back-propagation, the best on validation.
fn best_single<'a>(group: &[&'a Arm]) -> Option<&'a Arm> {
    let single = |arm: &&&Arm| matches!(arm.kind, Kind::Single(rule) if rule != Rule::Bp);
    let singles = group.iter().filter(single);
    let best = singles.max_by(|a, b| a.mean_valid_pct().total_cmp(&b.mean_valid_pct()));
    best.copied()
}

/// A number of the gradient.
type Of = fn(&Noise) -> f64;

/// The claim about the variance of gradients: lower than under every single rule.
fn noise(search: &str, group: &[&Arm]) -> Vec<Claim> {
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
        let found = group.iter().find(|arm| arm.kind == Kind::Searched)?;
        let own = found.last_noise(of);
        let singles = group
            .iter()
            .filter(|arm| matches!(arm.kind, Kind::Single(_)));
        let tests = singles.filter_map(|arm| Some((arm.kind, welch(&arm.last_noise(of), &own)?)));
        let (kinds, tests): (Vec<Kind>, Vec<Difference>) = tests.unzip();
        let p = holm(&tests.iter().map(|test| test.p).collect::<Vec<_>>());
        let names = |wanted: Verdict| {
            let each = kinds.iter().zip(tests.iter().zip(&p));
            let those = each.filter(|(_, (test, p))| verdict(test.difference, **p) == wanted);
            those.map(|(kind, _)| kind.to_string()).collect::<Vec<_>>()
        };
        let (more, less) = (names(Verdict::Holds), names(Verdict::Contradicted));
        let verdict = match (more.len() == kinds.len(), less.is_empty()) {
            (true, _) => Verdict::Holds,
            (false, false) => Verdict::Contradicted,
            (false, true) => Verdict::NotShown,
        };
        let list = |names: &[String]| match names {
            [] => "none".to_string(),
            names => names.join(", "),
        };
        (!kinds.is_empty()).then(|| Claim {
            search: search.into(),
            claim,
            verdict,
            why: format!(
                "of {} single rules significantly more: {}; less: {}; n = {}",
                kinds.len(),
                list(&more),
                list(&less),
                own.len()
            ),
        })
    };
    measures.into_iter().filter_map(claim).collect()
}

/// The claim of robustness: what a naive evaluation shows, and what is left of it.
fn masking(search: &str, group: &[&Arm]) -> Option<Claim> {
    let at = |arm: &Arm, of: &dyn Fn(&crate::Strength) -> Option<f64>| -> Vec<f64> {
        let attacked = arm.runs.iter().filter_map(|run| run.attacked.as_ref());
        attacked.filter_map(|a| of(a.strengths.last()?)).collect()
    };
    let arm = |kind: Kind| group.iter().find(|arm| arm.kind == kind);
    let (found, bp) = (arm(Kind::Searched)?, arm(Kind::Single(Rule::Bp))?);
    let worst = |arm: &Arm| at(arm, &|s| Some(s.worst_pct));
    let own = |arm: &Arm| at(arm, &|s| s.own_pct);
    let epsilon = found
        .runs
        .iter()
        .find_map(|run| run.attacked.as_ref()?.strengths.last());
    let (epsilon, mine, theirs) = (epsilon?.epsilon_255, worst(found), worst(bp));
    let test = welch(&mine, &theirs);
    Some(Claim {
        search: search.into(),
        claim: "a mix withstands attacks better than back-propagation in the same network",
        verdict: test.map_or(Verdict::NotShown, |t| verdict(t.difference, t.p)),
        why: format!(
            "at {epsilon}/255 along the own feedback {:.1} % are left against {:.1} % of BP, in the worst case \
             {:.1} % against {:.1} %{}, n = {} and {}",
            mean(&own(found)),
            mean(&own(bp)),
            mean(&mine),
            mean(&theirs),
            test.map_or(String::new(), |t| format!(", p = {:.3}", t.p)),
            mine.len(),
            theirs.len()
        ),
    })
}
