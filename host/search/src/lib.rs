//! Architecture search: which genotype to train next, for how long, and what to remember.
//!
//! Owns the strategies ([`random`], [`evolution`]), the halving of training budgets ([`halving`]) and
//! the study folder ([`study`]). Invariants: training and cost belong to an [`Evaluate`] given from
//! outside, so this crate knows neither `learn` nor `deploy` nor any data; every decision is a
//! function of the resolved config and of the ledger's events, never of process state or time.
//!
//! Data flow: `space` → **`search`** → `cli`.

pub mod error;
pub mod evaluate;
pub mod evolution;
pub mod halving;
pub mod ledger;
pub mod objective;
pub mod pareto;
pub mod random;
pub mod record;
pub mod strategy;
pub mod study;
pub mod trial;

pub use error::SearchError;
pub use evaluate::{Evaluate, Job, Proposal, TrainError};
pub use halving::Halving;
pub use objective::{Costs, Limits, Score};
pub use record::Record;
pub use strategy::{Space, Strategy, StrategyKind};
pub use study::{Outcome, Progress, Study, StudyConfig, learned_dir};
pub use trial::Trial;
