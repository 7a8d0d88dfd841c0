//! Models sent to the emulated board: tried and kept over restarts, refused with what to do next, and whole after
//! either side was killed at a random moment.
//!
//! The board is killed 4 times while it is updated, and 1,000 times by `cargo xtask endure updates`.

use crate::device::plain_model;
use crate::endure::{keep, times};
use crate::program::{aplysia_binary, firmware};
use crate::slots::{begin, claiming};
use aplysia_live::LiveError;
use aplysia_live::device::{Device, DeviceError, Emulator, EmulatorServer, Socket};
use aplysia_live::update::{Installed, Sent, install, probe};
use aplysia_shared::blob::set_counter;
use aplysia_shared::protocol::{Origin, Refusal, TransferRefusal};
use aplysia_shared::update::State;
use aplysia_shared::{Model, Unmet};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A model of several pages with `channels` channels and an update counter.
fn version(channels: usize, counter: u64) -> Vec<u8> {
    let mut blob = plain_model(8, 2, channels, 200);
    set_counter(&mut blob, counter);
    blob
}

pub(crate) fn all(_: Sent) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// A board with its files.
pub(crate) struct Board {
    elf: PathBuf,
    folder: TempDir,
}

impl Board {
    pub(crate) fn new(built_in: &[u8]) -> Self {
        Self::of(firmware(), built_in)
    }

    /// With the program `elf`.
    pub(crate) fn of(elf: PathBuf, built_in: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let board = Self { elf, folder };
        board.file("old.blob", built_in);
        board
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn emulator(&self) -> Emulator {
        let (blob, flash) = (self.path("old.blob"), self.path("flash"));
        Emulator::start_with_flash(&self.elf, Some(&blob), Some(&flash)).unwrap()
    }

    pub(crate) fn start(&self) -> Device<Emulator> {
        Device::connect(self.emulator()).unwrap().0
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(aplysia_binary());
        command
            .current_dir(self.folder.path())
            .env("APLYSIA_FIRMWARE", &self.elf)
            .args(["device"])
            .args(args);
        command
    }
}

fn refusal<R: std::fmt::Debug>(answer: Result<R, DeviceError>) -> TransferRefusal {
    match answer {
        Err(DeviceError::Refused(Refusal::Transfer(refusal))) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

pub(crate) fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(both).unwrap()
}

#[test]
fn a_board_takes_a_model_and_keeps_it_over_restarts() {
    let (old, new) = (version(96, 1), version(80, 2));
    let id = |blob: &[u8]| Model::parse(blob).unwrap().id();
    let board = Board::new(&old);
    let mut device = board.start();
    assert_eq!(device.info().unwrap().model_id, id(&old));
    let status = device.transfer_status().unwrap();
    assert_eq!((status.origin, status.keyed), (Origin::BuiltIn, false));
    assert_eq!(
        (status.page_bytes, status.slot_bytes),
        (4096, 512 * 1024 - 32)
    );
    let installed = install(&mut device, &new, &mut all).unwrap();
    let n_pages = claiming(&new, |_| ()).len().div_ceil(4096);
    assert!(
        matches!(installed, Installed::Confirmed { sent, .. } if (sent.n_pages, sent.n_sent) == (n_pages, n_pages)),
        "{installed:?}"
    );
    assert_eq!(device.info().unwrap().model_id, id(&new));
    drop(device);
    let mut device = board.start();
    let status = device.transfer_status().unwrap();
    assert_eq!(
        (status.origin, status.state),
        (Origin::Slot(1), State::Confirmed)
    );
    assert_eq!(device.info().unwrap().model_id, id(&new));
    // Activated and switched off twice: tried, not confirmed, given up.
    let next = claiming(&version(96, 3), |_| ());
    begin(&mut device, &next).unwrap();
    for (offset, chunk) in (0..).step_by(2048).zip(next.chunks(2048)) {
        let mut chunk = chunk.to_vec();
        chunk.resize(chunk.len().next_multiple_of(8), 0xFF);
        device.write_chunk(offset, &chunk).unwrap();
    }
    device.activate().unwrap();
    for (state, origin, reverted) in [
        (State::Trying, Origin::Slot(0), false),
        (State::Confirmed, Origin::Slot(1), true),
        (State::Confirmed, Origin::Slot(1), false),
    ] {
        drop(device);
        device = board.start();
        let status = device.transfer_status().unwrap();
        assert_eq!(
            (status.state, status.origin, status.reverted),
            (state, origin, reverted)
        );
    }
    let installed = install(&mut device, &next, &mut all).unwrap();
    assert!(
        matches!(installed, Installed::Confirmed { sent, .. } if sent.n_sent == 0),
        "nothing is sent again: {installed:?}"
    );
}

#[test]
fn a_board_refuses_what_is_older_of_another_shape_or_damaged() {
    let board = Board::new(&version(96, 5));
    let mut device = board.start();
    let refused = |told: Result<Installed, LiveError>| match told {
        Err(LiveError::Device(error)) => refusal::<()>(Err(error)),
        other => panic!("{other:?}"),
    };
    let older = install(&mut device, &version(80, 4), &mut all);
    assert_eq!(refused(older), TransferRefusal::Counter { got: 4, want: 5 });
    let mut toy = crate::toy::measured(4);
    set_counter(&mut toy, 6);
    let shape = Unmet::Input {
        got: [6, 6, 2],
        want: [28, 28, 1],
    };
    let before = fs::read(board.path("flash")).unwrap();
    assert_eq!(refused(install(&mut device, &toy, &mut all)), shape.into());
    let after = fs::read(board.path("flash")).unwrap();
    assert!(before == after, "refused before anything is written");
    let new = claiming(&version(80, 6), |_| ());
    begin(&mut device, &new).unwrap();
    for (offset, chunk) in (0..).step_by(2048).zip(new.chunks(2048)) {
        let mut chunk = chunk.to_vec();
        chunk.resize(chunk.len().next_multiple_of(8), 0xFF);
        chunk[7] ^= u8::from(offset == 4096);
        device.write_chunk(offset, &chunk).unwrap();
    }
    assert_eq!(refusal(device.activate()), TransferRefusal::Damaged);
    // Only the damaged page is sent again.
    let installed = install(&mut device, &new, &mut all).unwrap();
    assert!(
        matches!(installed, Installed::Confirmed { sent, .. } if sent.n_sent == 1),
        "{installed:?}"
    );
}

/// Kills the emulator at a random moment of an update; the next start has a whole model, the old or the new, and
/// the same call makes the update good.
#[test]
fn a_killed_update_leaves_a_whole_model_and_goes_on() {
    let (began, rounds) = (Instant::now(), times(4));
    let [mut old, mut new] = [version(96, 1), version(80, 2)];
    let board = Board::new(&old);
    let rng = &mut ChaCha8Rng::seed_from_u64(5);
    let started = Instant::now();
    install(&mut board.start(), &new, &mut all).unwrap();
    // About the length of an update with its start: where to kill, no measurement. As long as the last whole one, and
    // a little more after each that was not whole, as less is sent after some than after others. Every second kill
    // falls about the end of it, where the model is tried and confirmed.
    let mut span = started.elapsed();
    let (mut n_saved, mut n_done, mut n_old, mut n_new) = (0, 0, 0, 0);
    for round in 0..rounds {
        std::mem::swap(&mut old, &mut new);
        set_counter(&mut new, u64::from(round) + 3);
        let ids = [&old, &new].map(|blob| Model::parse(blob).unwrap().id());
        let emulator = board.emulator();
        let process = emulator.process_id().to_string();
        let share = match round % 2 {
            0 => rng.random(),
            _ => rng.random_range(0.85..1.1),
        };
        let wait = span.mul_f64(share);
        let killer = thread::spawn(move || {
            let started = Instant::now();
            while started.elapsed() < wait {
                thread::yield_now();
            }
            let killed = Command::new("kill").args(["-KILL", &process]).status();
            assert!(killed.unwrap().success());
        });
        let started = Instant::now();
        // The board is kept until it is killed, so that no other process can have its number.
        let mut met = Device::connect(emulator);
        let told = match &mut met {
            Ok((device, _)) => install(device, &new, &mut all).is_ok(),
            Err(_) => false,
        };
        span = match told {
            true => started.elapsed(),
            false => span * 11 / 10,
        };
        killer.join().unwrap();
        drop(met);
        let mut device = board.start();
        let found = device.info().unwrap().model_id;
        n_old += u64::from(found == ids[0]);
        n_new += u64::from(found == ids[1]);
        if told {
            n_done += 1;
            assert_eq!(found, ids[1], "round {round}: confirmed, and not kept");
        }
        match install(&mut device, &new, &mut all).unwrap() {
            Installed::Confirmed { sent, .. } => n_saved += sent.n_pages - sent.n_sent,
            already => assert_eq!(already, Installed::Already),
        }
        assert_eq!(device.info().unwrap().model_id, ids[1], "round {round}");
        let done = round + 1;
        if done == rounds || done % 100 == 0 {
            println!(
                "{done} kills: {n_done} after the end; then {n_old} started the old model, {n_new} the new \
                 one; {n_saved} pages not sent again"
            );
        }
    }
    assert_eq!(n_old + n_new, u64::from(rounds));
    let saw = [
        ("kills", rounds.into()),
        ("after_the_end", n_done),
        ("old_model_started", n_old),
        ("new_model_started", n_new),
        ("pages_not_sent_again", n_saved as u64),
    ];
    keep("updates", began, &saw);
}

#[test]
fn a_model_that_a_board_computes_otherwise_is_not_tried() {
    let board = Board::new(&version(96, 1));
    let new = version(80, 2);
    board.file("wrong.blob", &claiming(&new, |claims| claims.answers ^= 1));
    board.file("other.blob", &claiming(&new, |claims| claims.features += 1));
    board.file("new.blob", &claiming(&new, |_| ()));
    let update = |blob: &str| {
        let args = ["update", blob, "--flash", "flash", "--built-in", "old.blob"];
        let output = board.command(&args).output().unwrap();
        (output.status.code(), text(&output))
    };
    for (blob, words) in [
        (
            "wrong.blob",
            [
                "self-test: the device computes other scores",
                "aplysia model sign",
            ],
        ),
        (
            "other.blob",
            ["than is claimed of it", "aplysia model sign"],
        ),
    ] {
        let (code, told) = update(blob);
        assert_eq!(code, Some(1), "{told}");
        for words in words.into_iter().chain(["the old model stays"]) {
            assert!(told.contains(words), "no `{words}` in: {told}");
        }
        let mut device = board.start();
        let status = device.transfer_status().unwrap();
        assert_eq!((status.origin, status.reverted), (Origin::BuiltIn, false));
        let old = version(96, 1);
        probe(&mut device, &Model::parse(&old).unwrap()).unwrap();
    }
    let (code, told) = update("new.blob");
    assert_eq!(code, Some(0), "{told}");
}

#[test]
fn the_command_says_what_it_does_and_what_to_do_next() {
    let board = Board::new(&version(96, 1));
    board.file("new.blob", &version(80, 2));
    board.file("older.blob", &version(80, 1));
    board.file("cut.blob", &version(80, 2)[..9000]);
    let update = |blob: &str| {
        let args = ["update", blob, "--flash", "flash", "--built-in", "old.blob"];
        board.command(&args).output().unwrap()
    };
    let says = |output: &Output, code: i32, words: &[&str]| {
        let text = text(output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        for word in words {
            assert!(text.contains(word), "no `{word}` in: {text}");
        }
    };
    let cut = update("cut.blob");
    says(
        &cut,
        1,
        &[
            "cut.blob is not a blob",
            "blob has 9000 bytes",
            "transfer it again",
        ],
    );
    let forgets = board.command(&["update", "new.blob"]).output().unwrap();
    says(&forgets, 1, &["--flash FILE", "--connect PATH"]);
    let done = update("new.blob");
    let words = [
        "trust         ANYBODY",
        "APLYSIA_PUBLIC_KEY",
        "trial         passed",
        "slot 1",
    ];
    says(&done, 0, &words);
    says(&update("new.blob"), 0, &["nothing to do"]);
    let older = update("older.blob");
    says(
        &older,
        1,
        &["the old model stays", "aplysia model sign --counter 2"],
    );
    let stats = board
        .command(&["stats", "old.blob", "--flash", "flash"])
        .output()
        .unwrap();
    says(
        &stats,
        0,
        &["trust         ANYBODY", "slot 1", "counter 2 and newer"],
    );
}

/// The command, killed at a random moment while it talks to a board that goes on, and called again.
#[test]
fn a_killed_command_is_made_good_by_the_next_one() {
    let (old, new) = (version(96, 1), version(80, 2));
    let board = Board::new(&old);
    board.file("new.blob", &new);
    let socket = board.path("sock");
    let (blob, flash) = (board.path("old.blob"), board.path("flash"));
    let server = EmulatorServer::start(&firmware(), Some(&blob), Some(&flash), &socket).unwrap();
    let update = || board.command(&["update", "new.blob", "--connect", "sock"]);
    let rng = &mut ChaCha8Rng::seed_from_u64(6);
    for _ in 0..3 {
        let quiet = || (Stdio::null(), Stdio::null());
        let (out, err) = quiet();
        let mut command = update().stdout(out).stderr(err).spawn().unwrap();
        let (started, wait) = (
            Instant::now(),
            Duration::from_millis(rng.random_range(1..120)),
        );
        while started.elapsed() < wait {
            thread::yield_now();
        }
        command.kill().unwrap();
        command.wait().unwrap();
    }
    let done = update().output().unwrap();
    assert!(done.status.success(), "{}", text(&done));
    let mut device = Device::connect(Socket::connect(&socket).unwrap())
        .unwrap()
        .0;
    let id = Model::parse(&new).unwrap().id();
    assert_eq!(device.info().unwrap().model_id, id);
    assert_eq!(device.transfer_status().unwrap().state, State::Confirmed);
    drop(server);
}
