//! Attacks on classifiers of images, the protocol that runs them, and checks that its figures can be
//! believed.
//!
//! Reading order: [`Target`] (all that an attack may ask of a network), `loss` and `batch`, then one file
//! per family of attacks: `fgsm`, `pgd` (with TPGD), `apgd`, `square`, `one_pixel`; then `protocol` (which
//! attacks, with whose gradient, at which strength) and `summary` (worst case, gradient masking, `check`).
//! Images are NHWC, pixels in [0, 1]: whatever normalises them is part of the target.
//!
//! Invariant: knows no network, no learning rule and no file; a rule reaches it only as a target whose
//! gradient is not the true one. Same seed, same adversarial images, as far as the target computes the
//! same bits for an image whatever batch it is in.
//!
//! Data flow: `learn` → **`attack`** → `report`, joined by `cli`.

mod apgd;
mod batch;
mod check;
mod error;
mod fgsm;
mod loss;
mod one_pixel;
mod pgd;
mod protocol;
mod random;
mod square;
mod summary;
mod table;
mod target;

pub use apgd::apgd;
pub use batch::{Batch, Budget, ImageShape};
pub use check::{Check, Verdict};
pub use error::AttackError;
pub use fgsm::fgsm;
pub use loss::{Loss, margin, predicted};
pub use one_pixel::{OnePixel, one_pixel};
pub use pgd::{pgd, tpgd};
pub use protocol::{Attack, Cell, Outcome, Protocol, Route, Victim};
pub use square::{square, window_share};
pub use summary::{Headline, Row, Summary};
pub use target::{How, Target};
