//! A network's plan in any space: the genotype with the skeleton that its space puts around it.
//!
//! Owns the text form that run folders and `best.toml` hold: that of the genotype, which for the cell
//! spaces is followed by a table `skeleton`. Shape and classes of the images come from the data.

use crate::{Genotype, GenotypeError, Network, Plasticity, Rule, Shape, darts, nasbench201};
use rand::Rng;
use rand::seq::IndexedRandom;
use serde::{Deserialize, Serialize};

/// A genotype of any space and what surrounds it.
#[expect(
    clippy::large_enum_variant,
    reason = "a few exist at a time, and all are cloned whole"
)]
#[derive(Clone, Debug, PartialEq)]
pub enum Design {
    /// Space `mcu`, which has no skeleton.
    Mcu(Genotype),
    /// Space `darts`.
    Darts(darts::Genotype, darts::Skeleton),
    /// Space `nasbench201`.
    NasBench201(nasbench201::Genotype, nasbench201::Skeleton),
}

#[derive(Serialize, Deserialize)]
struct Around<S> {
    skeleton: S,
}

impl Design {
    /// A published genotype by name, or the string form of a cell of NAS-Bench-201; all else by
    /// back-propagation. None if `text` is neither.
    ///
    /// # Errors
    /// A cell that is not in the space.
    pub fn named(text: &str) -> Result<Option<Self>, GenotypeError> {
        if let Some(genotype) = darts::published(text) {
            return Ok(Some(Design::Darts(genotype, default_darts())));
        }
        if !text.starts_with('|') {
            return Ok(None);
        }
        let cell = text.parse().map_err(GenotypeError::Text)?;
        let rules = nasbench201::PlaceRules::all(Rule::Bp);
        let genotype = nasbench201::Genotype { cell, rules };
        Ok(Some(Design::NasBench201(genotype, default_nasbench201())))
    }

    /// Reads the text form. Without a table `skeleton` it is that of the search (`darts`: C 16, 8 cells) or
    /// the published one (`nasbench201`).
    ///
    /// # Errors
    /// [`GenotypeError`] with the fault.
    pub fn from_toml(text: &str) -> Result<Self, GenotypeError> {
        let fault = |e: toml::de::Error| GenotypeError::Text(e.to_string());
        let mut table: toml::Table = toml::from_str(text).map_err(fault)?;
        let (is_darts, is_nasbench) = (table.contains_key("normal"), table.contains_key("cell"));
        if !is_darts && !is_nasbench {
            return Genotype::from_toml(text).map(Design::Mcu);
        }
        let skeleton = table.remove("skeleton");
        let genotype = table.to_string();
        if is_darts {
            let skeleton = skeleton.map(toml::Value::try_into).transpose();
            let skeleton = skeleton.map_err(fault)?.unwrap_or_else(default_darts);
            return Ok(Design::Darts(
                darts::Genotype::from_toml(&genotype)?,
                skeleton,
            ));
        }
        let skeleton = skeleton.map(toml::Value::try_into).transpose();
        let skeleton = skeleton.map_err(fault)?.unwrap_or_else(default_nasbench201);
        let genotype = nasbench201::Genotype::from_toml(&genotype)?;
        Ok(Design::NasBench201(genotype, skeleton))
    }

    /// Writes the text form.
    pub fn to_toml(&self) -> String {
        fn around(skeleton: impl Serialize) -> String {
            toml::to_string(&Around { skeleton }).unwrap_or_default()
        }
        match self {
            Design::Mcu(genotype) => genotype.to_toml(),
            Design::Darts(genotype, s) => format!("{}\n{}", genotype.to_toml(), around(s)),
            Design::NasBench201(genotype, s) => format!("{}\n{}", genotype.to_toml(), around(s)),
        }
    }

    /// The name of its space.
    pub fn space(&self) -> &'static str {
        match self {
            Design::Mcu(_) => "mcu",
            Design::Darts(..) => "darts",
            Design::NasBench201(..) => "nasbench201",
        }
    }

    /// The network for images of shape `input`.
    ///
    /// # Errors
    /// Genotype or skeleton do not fit the images.
    pub fn lower(&self, input: Shape, n_classes: usize) -> Result<Network, GenotypeError> {
        match self {
            Design::Mcu(genotype) => Network::lower(genotype, input, n_classes),
            Design::Darts(genotype, skeleton) => darts::Skeleton {
                input,
                n_classes,
                ..*skeleton
            }
            .lower(genotype),
            Design::NasBench201(genotype, skeleton) => nasbench201::Skeleton {
                input,
                n_classes,
                ..*skeleton
            }
            .lower(genotype),
        }
    }

    /// What the network goes on learning on the device, and whether each convolution keeps its statistics there;
    /// none without such a plan, which only the space `mcu` has.
    pub fn plasticity(&self) -> Option<(Plasticity, Vec<bool>)> {
        match self {
            Design::Mcu(genotype) => genotype.plasticity.zip(genotype.homeostatic()),
            Design::Darts(..) | Design::NasBench201(..) => None,
        }
    }

    /// The same operations with `rule` wherever there are weights.
    pub fn with_rule(self, rule: Rule) -> Self {
        self.map_rules(|_| rule)
    }

    /// The same operations, each rule drawn by itself from `rules`, all equally likely; none changes without
    /// `rules`.
    pub fn with_random_rules(self, rules: &[Rule], rng: &mut impl Rng) -> Self {
        self.map_rules(|rule| rules.choose(rng).copied().unwrap_or(rule))
    }

    /// The same operations under other rules: `f` of every rule, in the order of the layers.
    fn map_rules(self, mut f: impl FnMut(Rule) -> Rule) -> Self {
        match self {
            Design::Mcu(mut genotype) => {
                genotype.stem.rule = f(genotype.stem.rule);
                for rule in genotype.blocks.iter_mut().flat_map(|b| &mut b.rules) {
                    *rule = f(*rule);
                }
                genotype.head.rule = f(genotype.head.rule);
                Design::Mcu(genotype)
            }
            Design::Darts(g, s) => Design::Darts(g.map_rules(f), s),
            Design::NasBench201(g, s) => Design::NasBench201(g.map_rules(f), s),
        }
    }
}

fn default_darts() -> darts::Skeleton {
    darts::Skeleton::search()
}

fn default_nasbench201() -> nasbench201::Skeleton {
    nasbench201::Skeleton::published(32, 10)
}
