//! `aplysia device`: the model on a device, emulated or behind a socket, checked against the host.
//!
//! What is printed about the device comes from the device; accuracies come from the host's kernels,
//! which are the device's.

mod adapt;
mod domains;
mod guard;
mod line;
mod plan;
mod update;

use crate::args::device::{BoardArgs, DeviceCommand, EmulateArgs, InferArgs, StatsArgs};
use crate::{Outcome, blob, images, progress, samples};
use anyhow::{Context, Result, bail, ensure};
use aplysia_deploy::hex;
use aplysia_live::adaptation::{Instructions, evaluate_snapshot};
use aplysia_live::device::{Device, DeviceError, Emulator, EmulatorServer, Line, Socket};
use aplysia_live::evaluate::Images;
use aplysia_live::update::probe;
use aplysia_live::{Evaluation, compare};
use aplysia_shared::Model;
use aplysia_shared::protocol::{Hello, Stats};
use std::env;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// A device behind whatever line.
pub(crate) type AnyDevice = Device<Box<dyn Line>>;

/// In front of why there is no board.
pub(crate) const NO_BOARD: &str = "cannot start an emulated board";

/// Between two looks whether an emulated board still runs.
const POLL: Duration = Duration::from_millis(100);

/// Runs the subcommand. Ctrl-C ends an emulator, too, so that a failed line after it is its doing.
///
/// # Errors
/// Missing files or data, no emulator, a line that fails, or a device that differs from the host.
pub(crate) fn run(command: &DeviceCommand) -> Result<Outcome> {
    let stop = progress::stop_flag()?;
    let outcome = match command {
        DeviceCommand::Emulate(args) => emulate(args, &stop),
        DeviceCommand::Infer(args) => infer(args, &stop),
        DeviceCommand::Adapt(args) => adapt::adapt_to_shift(args, &stop),
        DeviceCommand::Stats(args) => stats(args),
        DeviceCommand::Update(args) => update::run(args, &stop),
    };
    match outcome {
        Err(e) if e.is::<DeviceError>() && stop.load(Ordering::SeqCst) => Ok(Outcome::Cancelled),
        outcome => outcome,
    }
}

/// The program of the emulated board: `given`, else `$APLYSIA_FIRMWARE`, else where
/// `cargo xtask firmware` builds it, beside this very program or in `target`.
pub(crate) fn firmware(given: Option<&Path>) -> PathBuf {
    const BUILT: &str = "firmware/thumbv7em-none-eabihf/release/live";
    let named = given.map(Path::to_owned);
    if let Some(elf) = named.or_else(|| env::var_os("APLYSIA_FIRMWARE").map(PathBuf::from)) {
        return elf;
    }
    let beside = env::current_exe().ok();
    let beside = beside.and_then(|exe| Some(exe.parent()?.parent()?.join(BUILT)));
    beside
        .filter(|elf| elf.is_file())
        .unwrap_or_else(|| Path::new("target").join(BUILT))
}

/// The device that `board` names, with the model `blob` if it is emulated.
pub(crate) fn connect(board: &BoardArgs, blob: Option<&Path>) -> Result<(AnyDevice, Hello)> {
    let line: Box<dyn Line> = match &board.connect {
        Some(path) => line::open(path)?,
        None => {
            let elf = firmware(board.firmware.as_deref());
            let flash = board.flash.as_deref();
            Box::new(Emulator::start_with_flash(&elf, blob, flash).context(NO_BOARD)?)
        }
    };
    Ok(Device::connect(line)?)
}

/// [`connect`], and makes sure that the device runs `model`.
fn connect_to(board: &BoardArgs, blob: &Path, model: &Model<'_>) -> Result<AnyDevice> {
    let (mut device, hello) = connect(board, Some(blob))?;
    introduce(&mut device, &hello, model)?;
    Ok(device)
}

fn introduce<T: Line>(device: &mut Device<T>, hello: &Hello, model: &Model<'_>) -> Result<()> {
    let Hello {
        board,
        protocol,
        abi,
        ..
    } = hello;
    say!("device        {board}, protocol {protocol}, runtime {abi}");
    let info = device.info()?;
    ensure!(
        info.model_id == model.id(),
        "the device runs model {}, not {}: give that model's blob",
        hex(&info.model_id),
        hex(&model.id())
    );
    say!(
        "model         {}, {} bytes, {} multiply-accumulates",
        hex(&info.model_id),
        info.blob_bytes,
        info.macs
    );
    Ok(())
}

fn emulate(args: &EmulateArgs, stop: &AtomicBool) -> Result<Outcome> {
    let bytes = blob::read(&args.blob)?;
    let model = blob::parse(&bytes, &args.blob)?;
    let elf = firmware(args.firmware.as_deref());
    let Some(path) = &args.socket else {
        let flash = args.flash.as_deref();
        let emulator = Emulator::start_with_flash(&elf, Some(&args.blob), flash);
        self_check(emulator.context(NO_BOARD)?, &model)?;
        return Ok(Outcome::Done);
    };
    let server = EmulatorServer::start(&elf, Some(&args.blob), args.flash.as_deref(), path);
    let mut server = server.context(NO_BOARD)?;
    self_check(Socket::connect(path)?, &model)?;
    say!("listening     {} (Ctrl-C ends the board)", path.display());
    while !stop.load(Ordering::SeqCst) {
        ensure!(server.is_running(), "the emulator has ended by itself");
        thread::sleep(POLL);
    }
    Ok(Outcome::Done)
}

/// One inference of a mid-grey ramp on the device and on the host.
fn self_check<T: Line>(line: T, model: &Model<'_>) -> Result<()> {
    let (mut device, hello) = Device::connect(line)?;
    introduce(&mut device, &hello, model)?;
    let inference = probe(&mut device, model).context("self-check")?;
    say!(
        "self-check    passed: {} instructions, {} predicted",
        inference.instructions,
        model.instructions()
    );
    Ok(())
}

fn infer(args: &InferArgs, stop: &AtomicBool) -> Result<Outcome> {
    let bytes = blob::read(&args.blob)?;
    let model = blob::parse(&bytes, &args.blob)?;
    if let Some(path) = &args.samples.input {
        let inputs = samples::read(path, &model)?;
        let Some((host, cost)) = infer_all(args, &model, inputs.images(), stop)? else {
            return Ok(Outcome::Cancelled);
        };
        let n = host.predictions.len();
        say!("equal         {n} inputs, every score equal to the host's");
        print_instructions("per input", &cost);
        samples::show(&args.samples, &model, &host)?;
        return Ok(Outcome::Done);
    }
    let test = images::load_test(&args.data)?;
    let test = test.select(&(0..args.images.min(test.len())).collect::<Vec<_>>());
    let Some((host, cost)) = infer_all(args, &model, images::images(&test)?, stop)? else {
        return Ok(Outcome::Cancelled);
    };
    say!(
        "accuracy      {:.2} % of {} test images, every score equal to the host's",
        host.accuracy_pct(),
        test.len()
    );
    print_instructions("per image", &cost);
    Ok(Outcome::Done)
}

/// What device and host alike make of `images`, and what it costs the device; none after Ctrl-C.
///
/// # Errors
/// The line, or a difference.
fn infer_all(
    args: &InferArgs,
    model: &Model<'_>,
    images: Images<'_>,
    stop: &AtomicBool,
) -> Result<Option<(Evaluation, Instructions)>> {
    let mut device = connect_to(&args.board, &args.blob, model)?;
    // The device may have learned something: the host takes over its state.
    let state_bytes = device.stats()?.state_bytes as usize;
    let snapshot = device.snapshot()?;
    let host = evaluate_snapshot(model, &snapshot, state_bytes, images)?;
    let bar = progress::bar(images.labels.len() as u64, "infer");
    let mut on_step = progress::step(&bar, stop);
    let compared = compare(&mut device, images, &host, &mut on_step)?;
    bar.finish_and_clear();
    if stop.load(Ordering::SeqCst) {
        return Ok(None);
    }
    if let Some(difference) = compared.difference {
        let (n_equal, n) = (compared.n_equal, compared.n);
        bail!("{n_equal} of {n} images equal; {difference}: please report this with the blob");
    }
    Ok(Some((host, compared.inference)))
}

fn print_instructions(step: &str, cost: &Instructions) {
    say!(
        "instructions  {:.0} {step}, {} at most",
        cost.mean(),
        cost.max
    );
}

fn stats(args: &StatsArgs) -> Result<Outcome> {
    if let Some(path) = &args.blob {
        blob::parse(&blob::read(path)?, path)?;
    }
    let (mut device, _) = connect(&args.board, args.blob.as_deref())?;
    let model = match device.info() {
        Ok(info) => hex(&info.model_id),
        Err(DeviceError::Refused(why)) => format!("none: {why}"),
        Err(error) => return Err(error.into()),
    };
    let Stats {
        counters,
        state_digest,
        bad_frames,
        infer_instructions,
        update_instructions,
        stack_bytes,
        arena_bytes,
        state_bytes,
        guard: seen,
        schedule,
        spent,
        domains: slots,
    } = device.stats()?;
    say!("model         {model}");
    say!(
        "seen          {} images, {} labels, {} mistakes",
        counters.seen,
        counters.labels,
        counters.mistakes
    );
    say!("digest        {state_digest:#010x}");
    say!(
        "RAM           {state_bytes} bytes of learned state, {arena_bytes} of arena, {stack_bytes} of stack"
    );
    say!("instructions  {infer_instructions} last image, {update_instructions} last label");
    say!("bad frames    {bad_frames}");
    plan::print(&schedule, &spent);
    guard::print(&seen);
    domains::print(slots);
    update::print(&mut device)?;
    Ok(Outcome::Done)
}

/// Whether the machine lacks what `error` is about.
pub(crate) fn is_lacking(error: &DeviceError) -> bool {
    matches!(
        error,
        DeviceError::EmulatorMissing | DeviceError::FileMissing { .. }
    )
}
