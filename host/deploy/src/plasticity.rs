//! A genotype's plan of learning on the device, as the blob carries it and as the device is told it.
//!
//! Owns what the plan leaves open: the numbers of its rules, those of rows that [`aplysia_live::adapt_bench`] measures.
//! Flow: design →
//! [`content`] → the blob; design → [`config`] → the device; both → [`Learning`], what it costs there.

use crate::DeployError;
use crate::assemble::{Content, HomeostasisScope};
use aplysia_live::adaptation::{
    DEEP_RAM_BYTES, DEEP_RANDOM_RATE, DEEP_RATE, DOMAINS, INSTAR_SHIFT, MOMENTUM_SHIFT,
    PERCEPTRON_MARGIN, PERCEPTRON_RATE, adapt,
};
use aplysia_live::evaluate::Images;
use aplysia_shared::Model;
use aplysia_shared::adapt::deep::{Deep, Feedback};
use aplysia_shared::adapt::{Config, Head, domains, state_bytes};
use aplysia_space::{Below, Design, HeadRule, Network, Plasticity};

/// Learning rate of a planned delta head in 1/65536: of three measured the best on the mean over shifts
/// ([`aplysia_live::adapt_bench::METHODS`]).
pub const DELTA_RATE: u16 = 1311;

/// What a blob of `design` holds: statistics for the layers of its plan, or those of [`Content::new`] without one.
pub fn content(design: &Design, class_names: &[impl AsRef<str>]) -> Content {
    let mut content = Content::new(class_names);
    if let Some((_, homeostatic)) = design.plasticity() {
        content.homeostasis = HomeostasisScope::Chosen(homeostatic);
    }
    content
}

/// What a device is told to learn by the plan of `design`; none without one.
pub fn config(design: &Design) -> Option<Config> {
    let (plan, homeostatic) = design.plasticity()?;
    Some(Config {
        homeostasis: homeostatic.contains(&true).then_some(MOMENTUM_SHIFT),
        head: head(plan),
    })
}

fn head(plan: Plasticity) -> Head {
    let rate = match plan.head {
        HeadRule::Delta => DELTA_RATE,
        _ => 0,
    };
    let below = |rate, feedback| Deep {
        ram_bytes: DEEP_RAM_BYTES,
        rate,
        feedback,
    };
    match (plan.head, plan.below) {
        (HeadRule::Instar, _) => Head::Instar {
            shift: INSTAR_SHIFT,
        },
        (HeadRule::Perceptron, _) => Head::Perceptron {
            rate: PERCEPTRON_RATE,
            margin: PERCEPTRON_MARGIN,
        },
        (HeadRule::None, Below::None) => Head::Base,
        (HeadRule::Delta, Below::None) => Head::Delta { rate },
        (_, Below::Signs) => Head::Deep {
            rate,
            deep: below(DEEP_RATE, Feedback::Signs),
        },
        (_, Below::Random) => Head::Deep {
            rate,
            deep: below(DEEP_RANDOM_RATE, Feedback::Random),
        },
    }
}

/// The plan of `design`, whose network is `network`, in one line; none without one.
pub fn describe(design: &Design, network: &Network) -> Option<String> {
    let (_, homeostatic) = design.plasticity()?;
    let config = config(design)?;
    let flagged = network
        .weighted()
        .zip(homeostatic)
        .filter(|(_, flag)| *flag);
    let names: Vec<&str> = flagged
        .map(|(i, _)| network.nodes[i].name.as_str())
        .collect();
    let homeostasis = match (config.homeostasis, &names[..]) {
        (Some(shift), names) => format!("homeostasis {shift} of {}", names.join(", ")),
        (None, _) => "no homeostasis".into(),
    };
    let head = match config.head {
        Head::Base => "the head stays".into(),
        Head::Instar { shift } => format!("instar {shift} at the head"),
        Head::Delta { rate } => format!("delta {rate} at the head"),
        Head::Perceptron { rate, margin } => {
            format!("perceptron {rate}, margin {margin} at the head")
        }
        Head::Reward { rate } => format!("reward {rate} at the head"),
        Head::Deep { rate, deep } => format!(
            "delta {rate} at the head, {} below it by {:?} feedback",
            deep.rate, deep.feedback
        ),
    };
    Some(format!("learns on the device: {homeostasis}; {head}"))
}

/// What learning costs on a device beside inference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Learning {
    /// RAM of the learned state.
    pub state_bytes: u64,
    /// The same with [`DOMAINS`]; none without homeostasis.
    pub slot_bytes: Option<u64>,
    /// Estimated instructions that an image and its label add to an inference.
    pub instructions: u64,
}

impl Learning {
    /// Of `model` under `config`.
    ///
    /// # Errors
    /// `model` cannot learn so.
    pub fn of(model: &Model<'_>, config: &Config) -> Result<Self, DeployError> {
        let observe = config.homeostasis.map(|_| model.observe_instructions());
        let slots = observe.map(|_| domains::state_bytes(model, config, &DOMAINS));
        let slots = slots.transpose()?;
        Ok(Self {
            state_bytes: state_bytes(model, config)? as u64,
            slot_bytes: slots.map(|bytes| bytes as u64),
            instructions: observe.unwrap_or(0) + model.label_instructions(config),
        })
    }
}

/// A changed camera: a stream to learn from, and other images through it to be measured on.
#[derive(Clone, Copy, Debug)]
pub struct Camera<'a> {
    /// Learned from in order, once.
    pub stream: Images<'a>,
    /// Measured on at the end, nothing learning.
    pub measured: Images<'a>,
}

/// Share of right answers, 0..=1, over the measured images of all `cameras`, after `model` has learned from the
/// stream of each by `config`, each time from the start. `seed` is that of stochastic rounding.
///
/// # Errors
/// The images do not fit `model`, or it cannot learn so.
pub fn accuracy_after<'a>(
    model: &Model<'_>,
    config: Config,
    seed: u32,
    cameras: impl IntoIterator<Item = Camera<'a>>,
) -> Result<f64, DeployError> {
    let (mut n_correct, mut n) = (0, 0);
    for camera in cameras {
        let learned = adapt(model, config, seed, camera.stream)?;
        n_correct += learned.evaluate(model, camera.measured)?.n_correct;
        n += camera.measured.labels.len();
    }
    Ok(n_correct as f64 / n.max(1) as f64)
}
