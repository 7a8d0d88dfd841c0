//! `aplysia demo`: the whole way once, with a story at its end.
//!
//! Search, training, export, the emulated device, learning on it: each phase calls what the command of
//! that name calls. Owns the budgets of the demonstration and their order, nothing of the phases.
//! Study and run stay in the folder, so the same command goes on where it was stopped; what is
//! measured is measured anew each time.

mod story;

use crate::args::demo::DemoArgs;
use crate::args::{ExportArgs, SearchArgs, TrainArgs};
use crate::board::{self, Board};
use crate::images::{self, TrainingImages};
use crate::{Outcome, call, device, export, progress, run_folder, search, train};
use anyhow::{Result, bail};
use aplysia_data::{Corruption, Dataset};
use aplysia_search::{Study, Trial};
use aplysia_shared::Model;
use aplysia_space::{Genotype, McuSpace};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use story::Story;

/// Most instructions of one inference: small enough that two emulators finish in a minute.
const INSTRUCTIONS: u64 = 9_000_000;
/// Most bytes of the blob.
const FLASH_BYTES: u64 = 49_152;
/// Most bytes of the arena: what the emulated board has.
const RAM_BYTES: u64 = 32_768;
/// Validation accuracy in percent that a candidate has to reach. Few do after the search's few epochs, so
/// that among the small networks of this budget accuracy decides; at 70 % the cheapest win, 2 points worse.
const MIN_ACCURACY_PCT: f64 = 80.0;
/// Candidates per generation.
const POPULATION: usize = 6;
/// How the streams are shifted.
const CORRUPTIONS: [Corruption; 2] = [Corruption::Rotation, Corruption::Contrast];
/// How strongly, of 1 to 5.
const SEVERITY: u8 = 3;

/// Runs the phases that are not done yet, tells the story, writes the figures.
///
/// # Errors
/// Missing data or emulator, a folder that holds another demo, a full disk, or a device that differs
/// from the host; the figures measured so far are written all the same.
pub(crate) fn run(args: &DemoArgs) -> Result<Outcome> {
    let start = Instant::now();
    let stop = progress::stop_flag()?;
    let mut story = Story::default();
    let told = phases(args, &stop, &mut story);
    story.figures.wall_s = start.elapsed().as_secs_f64();
    // Ctrl-C ends the emulators, too, so any failure after it is its doing. Figures of a phase that it
    // cut short would read like those of a whole one: none are written.
    if stop.load(Ordering::SeqCst) {
        eprintln!("the same command goes on");
        return Ok(Outcome::Interrupted);
    }
    if let Some(file) = &args.json {
        run_folder::write(file, &serde_json::to_vec_pretty(&story.figures)?)?;
    }
    told?;
    say!("\n{story}");
    match story.differences.as_slice() {
        [] => Ok(Outcome::Done),
        differences => bail!(
            "the device differs from the host, please report this with {}:\n{}",
            args.out.join("model/model.blob").display(),
            differences.join("\n")
        ),
    }
}

/// All phases; ends early, without an error, when `stop` is raised.
fn phases(args: &DemoArgs, stop: &AtomicBool, story: &mut Story) -> Result<()> {
    let data = TrainingImages::load(&args.data)?;
    let test = images::load_test(&args.data)?;
    let test = test.select(&(0..args.test_images.min(test.len())).collect::<Vec<_>>());
    story.dataset(&data.splits, &test);

    say!("[1/5] search: {} candidates", args.trials);
    let Some((study, winner)) = search(args, &data, stop)? else {
        return Ok(());
    };
    story.search(&study, &winner);

    say!(
        "[2/5] training of trial {}: {} epochs",
        winner.index,
        args.epochs
    );
    if !train::fit(&args.training()?, &data, stop)? {
        return Ok(());
    }

    say!("[3/5] export to int8");
    let exported = export::write(&args.export()?, &data, &test)?;
    story.export(&exported);

    let blob = args.out.join("model/model.blob");
    let board = Board {
        firmware: device::firmware(args.firmware.as_deref()),
        model: Model::parse(&exported.blob)?,
        blob: &blob,
        stop,
    };
    let compared = args.device_images.min(test.len());
    say!("[4/5] emulated Cortex-M4: {compared} test images on device and host");
    story.comparison(&board.compare(&test.subset(compared, args.seed.into()))?);

    say!(
        "[5/5] learning on the device: {} labels each of {} (severity {SEVERITY})",
        args.samples,
        CORRUPTIONS.map(Corruption::name).join(" and ")
    );
    let streams = CORRUPTIONS.map(|corruption| args.stream(corruption, &data, &test));
    let streams = streams.into_iter().collect::<Result<Vec<_>>>()?;
    story.learning(&board.learn(&streams, args.seed)?);
    story.paths(&args.out);
    Ok(())
}

/// The study, run to its end, and its most accurate trial; none if `stop` was raised before.
fn search(
    args: &DemoArgs,
    data: &TrainingImages,
    stop: &AtomicBool,
) -> Result<Option<(Study<McuSpace>, Trial<Genotype>)>> {
    let search = args.search()?;
    let mut study: Study<McuSpace> = search::open_same(&search, data)?;
    if !search::advance(&mut study, data, stop)? {
        return Ok(None);
    }
    let (_, winner) = search::write_winner(&study)?;
    Ok(Some((study, winner)))
}

impl DemoArgs {
    fn search(&self) -> Result<SearchArgs> {
        let rungs: Vec<String> = self.rungs.iter().map(usize::to_string).collect();
        let flags = format!(
            "--trials {} --population {POPULATION} --images {} --rungs {} --seed {} \
             --flash-bytes {FLASH_BYTES} --ram-bytes {RAM_BYTES} --instructions {INSTRUCTIONS} \
             --min-accuracy {MIN_ACCURACY_PCT}",
            self.trials,
            self.images,
            rungs.join(","),
            self.seed
        );
        call::search(&self.out.join("study"), &flags, &self.data)
    }

    fn training(&self) -> Result<TrainArgs> {
        let mut flags = format!("--epochs {} --seed {}", self.epochs, self.seed);
        if let Some(n) = self.train_images {
            flags += &format!(" --images {n}");
        }
        let (genotype, run) = (self.out.join("study/best.toml"), self.out.join("run"));
        call::train(&genotype, &run, &flags, &self.data)
    }

    fn export(&self) -> Result<ExportArgs> {
        // The demo learns without the guard and shows the network's own flash.
        let (run, model) = (self.out.join("run"), self.out.join("model"));
        call::export(&run, &model, "--golden 0", &self.data)
    }

    /// Validation images to learn from and test images to measure on, both shifted alike.
    fn stream(
        &self,
        corruption: Corruption,
        data: &TrainingImages,
        test: &Dataset,
    ) -> Result<board::Stream> {
        let shift = images::shift(corruption, SEVERITY)?;
        let part = |images: &Dataset, n| images.subset(n, self.seed.into()).shifted(&shift);
        Ok(board::Stream {
            name: corruption.name(),
            severity: SEVERITY,
            learn: part(&data.splits.validation, self.samples)?,
            test: part(test, self.shifted_images)?,
        })
    }
}
