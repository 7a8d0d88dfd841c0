//! The layers of a supernet outside of its edges, and who chooses their rules.

use super::PlaceRules;
use crate::{Coverage, Rule, SpaceError};

/// A kind of layer outside of the edges, of those that a supernet has; its number is its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// See [`PlaceRules::stem`].
    Stem,
    /// See [`PlaceRules::preprocess`].
    Preprocess,
    /// See [`PlaceRules::reduce`].
    Reduce,
    /// See [`PlaceRules::classifier`].
    Classifier,
}

impl Place {
    /// Every place, in the order of the rows.
    pub const ALL: [Place; 4] = [
        Place::Stem,
        Place::Preprocess,
        Place::Reduce,
        Place::Classifier,
    ];

    /// Its rule among `rules`.
    pub fn of(self, rules: &PlaceRules) -> Rule {
        match self {
            Place::Stem => rules.stem,
            Place::Preprocess => rules.preprocess,
            Place::Reduce => rules.reduce,
            Place::Classifier => rules.classifier,
        }
    }
}

/// Who says which rules the layers outside of the edges carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Places {
    /// Whoever makes the supernet.
    Fixed(PlaceRules),
    /// The search, from these rules.
    Searched(Vec<Rule>),
}

impl From<PlaceRules> for Places {
    fn from(rules: PlaceRules) -> Self {
        Places::Fixed(rules)
    }
}

impl Places {
    /// The rules outside of the edges: the strongest of each row of `coefficients` ([`Place::ALL`] ×
    /// the rules), among equals the first; the auxiliary head, which a supernet has not, takes the
    /// classifier's. Where they are fixed, those.
    ///
    /// # Errors
    /// The table has another size.
    pub(super) fn favoured(&self, coefficients: &[Vec<f64>]) -> Result<PlaceRules, SpaceError> {
        let rules = match self {
            Places::Fixed(rules) => return Ok(*rules),
            Places::Searched(rules) => rules,
        };
        let fits = |row: &Vec<f64>| row.len() == rules.len();
        if coefficients.len() != Place::ALL.len() || !coefficients.iter().all(fits) {
            return Err(SpaceError {
                field: "coefficients of the places",
                got: format!("{} rows", coefficients.len()),
                allowed: "4 rows of one number per rule",
            });
        }
        let strongest = |row: &Vec<f64>| {
            let better = |top: usize, j: usize| if row[j] > row[top] { j } else { top };
            rules[(1..row.len()).fold(0, better)]
        };
        let of = |place: Place| strongest(&coefficients[place as usize]);
        Ok(PlaceRules {
            stem: of(Place::Stem),
            preprocess: of(Place::Preprocess),
            reduce: of(Place::Reduce),
            classifier: of(Place::Classifier),
            auxiliary: of(Place::Classifier),
        })
    }

    /// With `coverage` applied, and one rule to choose from the same as that rule.
    pub(super) fn resolved(self, coverage: Coverage) -> Self {
        match (self, coverage) {
            (Places::Searched(_), Coverage::Paper) => Places::Fixed(PlaceRules::all(Rule::Bp)),
            (Places::Searched(rules), Coverage::All) if rules.len() == 1 => {
                Places::Fixed(PlaceRules::all(rules[0]))
            }
            (places, _) => places,
        }
    }
}
