//! Streams of labelled images under the guard, on the host and on a device, bit for bit alike.
//!
//! Owns the order of the steps: `adaptation`'s, the guard asked before every image and after every label, a
//! check behind the last one, so that what is left has passed, and a commit if wanted. The decisions are
//! `aplysia_shared::adapt::guard`'s. Flow: blob with a golden set, stream → **`guarded`** → [`Guarded`].

use crate::LiveError;
use crate::adaptation::{Adapted, DeviceAdapted, Plan, adapt_device, see};
use crate::device::{Device, Line};
use crate::evaluate::Images;
use crate::flash::MemoryFlash;
use aplysia_shared::Model;
use aplysia_shared::adapt::guard::{Guard, Learner, Limits, Report};
use aplysia_shared::adapt::schedule::Spent;
use aplysia_shared::adapt::{AdaptError, Config, Plastic, Prediction};
use aplysia_shared::store::Store;
use embedded_storage::nor_flash::NorFlash;
use std::ops::ControlFlow;

/// What careful learning left, equal on host and device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarded {
    /// What was learned and kept. Its counters begin again with every rollback.
    pub adapted: Adapted,
    /// What the guard saw, the last check included.
    pub report: Report,
    /// What the schedule came to.
    pub spent: Spent,
}

/// As `adapt`, under a guard of `limits`; `flash` is what the board's store holds at the start.
///
/// # Errors
/// As `adapt`, or the model has no golden set that the guard can use.
pub fn adapt_guarded(
    model: &Model<'_>,
    config: Config,
    seed: u32,
    stream: Images<'_>,
    limits: Limits,
    flash: &[u8],
) -> Result<Guarded, LiveError> {
    adapt_guarded_by(model, config, Plan::ALWAYS, seed, stream, (limits, flash))
}

/// [`adapt_guarded`] by `plan`.
///
/// # Errors
/// As [`adapt_guarded`].
pub fn adapt_guarded_by(
    model: &Model<'_>,
    config: Config,
    plan: Plan,
    seed: u32,
    stream: Images<'_>,
    (limits, flash): (Limits, &[u8]),
) -> Result<Guarded, LiveError> {
    stream.check(model)?;
    let mut buffer = vec![0; plan.state_bytes(model, &config)?];
    let state_bytes = buffer.len();
    let mut arena = vec![0; model.arena_bytes()];
    let mut plastic = Plastic::new(model, config, seed, &mut buffer)?;
    plan.set(&mut plastic, model)?;
    let flash = MemoryFlash::holding(flash);
    let end = MemoryFlash::BYTES;
    let mut store = Store::open(flash, 0..end).map_err(|_| LiveError::Store)?;
    let mut scratch = vec![0; end as usize];
    let mut learner = Learner {
        model,
        plastic: &mut plastic,
        arena: &mut arena,
        store: &mut store,
        scratch: &mut scratch,
    };
    let mut guard = Guard::new(limits, &mut learner)?;
    let mut online_correct = 0;
    for (pixels, &label) in stream.iter(model.input().len()) {
        let prediction = learn_guarded(&mut guard, &mut learner, (pixels, label))?;
        online_correct += usize::from(prediction.class == usize::from(label));
    }
    guard.check(&mut learner)?;
    let report = guard.report();
    let spent = plastic.spent();
    let adapted = Adapted::of(&mut plastic, online_correct, state_bytes);
    Ok(Guarded {
        adapted,
        report,
        spent,
    })
}

/// Classifies one image, and learns from it and its label what is wanted, under `guard`.
pub(crate) fn learn_guarded<F: NorFlash>(
    guard: &mut Guard,
    learner: &mut Learner<'_, '_, F>,
    (pixels, label): (&[u8], u16),
) -> Result<Prediction, AdaptError> {
    guard.before_image(learner)?;
    let observe = learner.plastic.config().homeostasis.is_some();
    let image = (pixels, observe);
    let prediction = see(learner.plastic, learner.model, learner.arena, image)?;
    if prediction.observed {
        guard.observed();
    }
    if prediction.wanted {
        learner.plastic.learn(learner.model, usize::from(label))?;
        guard.learned(learner)?;
    }
    Ok(prediction)
}

/// [`adapt_guarded`] on a device.
///
/// # Errors
/// As `adapt_device`, or the model has no golden set that the guard can use.
pub fn adapt_device_guarded<T: Line>(
    device: &mut Device<T>,
    config: Config,
    seed: u32,
    stream: Images<'_>,
    limits: Limits,
    on_step: &mut dyn FnMut(usize) -> ControlFlow<()>,
) -> Result<(DeviceAdapted, Report), LiveError> {
    device.guard(None)?;
    device.configure(config, seed)?;
    device.guard(Some(limits))?;
    let mut run = adapt_device(device, config, seed, stream, on_step)?;
    device.check()?;
    let stats = device.stats()?;
    run.adapted.snapshot = device.snapshot()?;
    (run.adapted.digest, run.adapted.counters) = (stats.state_digest, stats.counters);
    run.adapted.domains = stats.domains.map(|domains| domains.report);
    run.stack_bytes = stats.stack_bytes;
    Ok((run, stats.guard.report))
}
