//! A model on the emulated board: two boards at a time, each checked against the host.

use crate::device::NO_BOARD;
use crate::{images, progress};
use anyhow::{Context, Result};
use aplysia_data::Dataset;
use aplysia_live::adaptation::{Adapted, DEFAULT, DeviceAdapted};
use aplysia_live::device::{Device, Emulator};
use aplysia_live::evaluate::Images;
use aplysia_live::{Comparison, adapt, adapt_device, compare, evaluate};
use aplysia_shared::Model;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::thread;

/// Boards that share the comparison; each keeps one core busy.
const N_BOARDS: usize = 2;

/// How to start a board with the model.
pub(crate) struct Board<'a> {
    /// Program of the board.
    pub(crate) firmware: PathBuf,
    /// The model's file.
    pub(crate) blob: &'a Path,
    /// The same model, on the host.
    pub(crate) model: Model<'a>,
    /// Raised by Ctrl-C.
    pub(crate) stop: &'a AtomicBool,
}

/// Checks that a board with the program `firmware` can be started here.
///
/// # Errors
/// No emulator or no such program.
pub(crate) fn check(firmware: &Path) -> Result<()> {
    Emulator::start(firmware, None).context(NO_BOARD)?;
    Ok(())
}

/// A changed camera.
pub(crate) struct Stream {
    /// Name of the corruption.
    pub(crate) name: &'static str,
    /// Its severity.
    pub(crate) severity: u8,
    /// What the device learns from.
    pub(crate) learn: Dataset,
    /// What the gain is measured on.
    pub(crate) test: Dataset,
}

/// What learning from one stream gave.
pub(crate) struct Learned {
    /// Name of the corruption.
    pub(crate) name: &'static str,
    /// Its severity.
    pub(crate) severity: u8,
    /// Accuracy on the stream's test images before learning.
    pub(crate) before_pct: f64,
    /// And after.
    pub(crate) after_pct: f64,
    /// Number of these test images.
    pub(crate) n_test: usize,
    /// From the device.
    pub(crate) device: DeviceAdapted,
    /// From the host.
    pub(crate) host: Adapted,
}

impl Board<'_> {
    /// Classifies `test` on the boards, half on each, and on the host.
    ///
    /// # Errors
    /// No emulator, or a line that fails.
    pub(crate) fn compare(&self, test: &Dataset) -> Result<Comparison> {
        let bar = progress::bar(test.len() as u64, "device");
        let per_board = test.len().div_ceil(N_BOARDS).max(1);
        let image_bytes = test.shape.len();
        let halves = test.labels.chunks(per_board);
        let halves = halves.zip(test.bytes()?.chunks(per_board * image_bytes));
        let parts = in_parallel(halves, |(labels, pixels)| {
            let images = Images { pixels, labels };
            let host = evaluate(&self.model, images)?;
            let mut device = self.start()?;
            Ok(compare(
                &mut device,
                images,
                &host,
                &mut progress::step(&bar, self.stop),
            )?)
        })?;
        bar.finish_and_clear();
        Ok(parts
            .into_iter()
            .fold(Comparison::default(), Comparison::and))
    }

    /// Lets one board learn from each stream, and the host from the same.
    ///
    /// # Errors
    /// No emulator, or a line that fails.
    pub(crate) fn learn(&self, streams: &[Stream], seed: u32) -> Result<Vec<Learned>> {
        let n_steps: usize = streams.iter().map(|s| s.learn.len()).sum();
        let bar = progress::bar(n_steps as u64, "learning");
        let learned = in_parallel(streams, |stream| {
            let images = images::images(&stream.learn)?;
            let mut board = self.start()?;
            let device = adapt_device(
                &mut board,
                DEFAULT,
                seed,
                images,
                &mut progress::step(&bar, self.stop),
            )?;
            let test = images::images(&stream.test)?;
            Ok(Learned {
                name: stream.name,
                severity: stream.severity,
                before_pct: evaluate(&self.model, test)?.accuracy_pct(),
                after_pct: device.adapted.evaluate(&self.model, test)?.accuracy_pct(),
                n_test: stream.test.len(),
                host: adapt(&self.model, DEFAULT, seed, images)?,
                device,
            })
        })?;
        bar.finish_and_clear();
        Ok(learned)
    }

    fn start(&self) -> Result<Device<Emulator>> {
        let emulator = Emulator::start(&self.firmware, Some(self.blob));
        let emulator = emulator.context(NO_BOARD)?;
        Ok(Device::connect(emulator)?.0)
    }
}

/// `work` on every item, one thread each; the results in the items' order, or the first error.
fn in_parallel<I: Send, R: Send>(
    items: impl IntoIterator<Item = I>,
    work: impl Fn(I) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    thread::scope(|scope| {
        let start = |item| {
            let work = &work;
            scope.spawn(move || work(item))
        };
        let threads: Vec<_> = items.into_iter().map(start).collect();
        let results = threads.into_iter().map(|thread| {
            let joined = thread.join();
            joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        results.collect()
    })
}
