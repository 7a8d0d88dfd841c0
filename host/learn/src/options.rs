//! Options of the learning rules, as they stand in a configuration file.

use crate::LearnError;
use crate::rule::{DirectScale, Init};
use aplysia_space::Rule;
use serde::{Deserialize, Serialize};

/// Options of the layers that carry one rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuleOptions {
    /// First weights and feedback.
    pub init: Init,
    /// Largest absolute value of an element of any gradient that leaves the layer (of its parameters
    /// and of its input); 0 for no limit.
    pub gradient_clip: f32,
    /// After every step `W ← W·‖W₀‖/‖W‖`, in place, with `W₀` the first weights (Moskovitz et al. 2018);
    /// a learned feedback is scaled by the same factor.
    pub constrain_weights: bool,
    /// Direct feedback only: its length at a convolution.
    pub direct_scale: DirectScale,
}

/// Settings of the local rules.
///
/// Their weights are moved by the rule alone, without momentum, weight decay and gradient clipping of
/// the optimizer; batch norm stays with the optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LocalConfig {
    /// What a layer hands down to layers of other rules.
    pub feedback: LocalFeedback,
    /// Rate of `hebb`, 0 to 1, times the learning-rate schedule's factor.
    pub hebb_rate: f32,
    /// Rate of `softhebb`; its own dependence on the length of the weights takes the schedule's place.
    pub softhebb_rate: f32,
    /// Inverse temperature of the competition of `softhebb`.
    pub softhebb_temperature: f32,
    /// Root mean square length of a unit's first weights in `softhebb`; training takes it to 1.
    pub softhebb_length: f32,
    /// Share of the schedule in which the layers of `softhebb` learn, one after the other, 0 to 1.
    pub softhebb_share: f32,
}

impl Default for LocalConfig {
    fn default() -> Self {
        Self {
            feedback: LocalFeedback::Usf,
            hebb_rate: 0.1,
            softhebb_rate: 0.05,
            softhebb_temperature: 1.0,
            softhebb_length: 5.0,
            softhebb_share: 0.5,
        }
    }
}

/// What the layers of a local rule hand down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LocalFeedback {
    /// Nothing: what lies below learns locally or not at all.
    None,
    /// As [`Rule::Bp`].
    Bp,
    /// As [`Rule::Fa`].
    Fa,
    /// As [`Rule::Usf`].
    #[default]
    Usf,
    /// As [`Rule::Brsf`].
    Brsf,
    /// As [`Rule::Frsf`].
    Frsf,
    /// As [`Rule::Dfa`].
    Dfa,
}

impl LocalFeedback {
    /// The rule whose feedback is used.
    pub fn rule(self) -> Option<Rule> {
        match self {
            LocalFeedback::None => None,
            LocalFeedback::Bp => Some(Rule::Bp),
            LocalFeedback::Fa => Some(Rule::Fa),
            LocalFeedback::Usf => Some(Rule::Usf),
            LocalFeedback::Brsf => Some(Rule::Brsf),
            LocalFeedback::Frsf => Some(Rule::Frsf),
            LocalFeedback::Dfa => Some(Rule::Dfa),
        }
    }
}

impl RuleOptions {
    /// Checks the options of `rule`.
    ///
    /// # Errors
    /// [`LearnError::Config`] names the first one that is not allowed.
    pub(crate) fn check(&self, rule: Rule) -> Result<(), LearnError> {
        let clip = self.gradient_clip;
        require("gradient_clip", clip, clip >= 0.0, "0 and more")?;
        let constrained = f32::from(u8::from(self.constrain_weights));
        let ok = !(self.constrain_weights && rule.is_local());
        let allowed = "false for hebb and softhebb, which set the length themselves";
        require("constrain_weights", constrained, ok, allowed)
    }
}

impl LocalConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// [`LearnError::Config`] names the first setting out of its range.
    pub(crate) fn check(&self) -> Result<(), LearnError> {
        let unit = |field, v: f32| require(field, v, (0.0..=1.0).contains(&v), "0 to 1");
        let positive = |field, v: f32| require(field, v, v > 0.0 && v.is_finite(), "above 0");
        unit("hebb_rate", self.hebb_rate)?;
        unit("softhebb_share", self.softhebb_share)?;
        positive("softhebb_rate", self.softhebb_rate)?;
        positive("softhebb_temperature", self.softhebb_temperature)?;
        positive("softhebb_length", self.softhebb_length)
    }
}

fn require(
    field: &'static str,
    got: f32,
    ok: bool,
    allowed: &'static str,
) -> Result<(), LearnError> {
    let got = got.into();
    ok.then_some(()).ok_or(LearnError::Config {
        field,
        got,
        allowed,
    })
}
