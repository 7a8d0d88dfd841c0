//! The guard and the flash on the emulated board: the host's bits through checks and rollbacks, commits that
//! outlast restarts and kills, and refusals.
//!
//! It is killed 4 times while it commits, and 1,000 times by `cargo xtask endure commits`.

use crate::adaptation::{IMAGE_BYTES, Labelled, go_on};
use crate::endure::{keep, times};
use crate::guard::{BOTH, DELTA, INSTAR, guarded};
use crate::program::firmware;
use crate::toy::{self, N_CLASSES};
use aplysia_live::device::{Device, DeviceError, Emulator, Line};
use aplysia_live::guarded::{adapt_device_guarded, adapt_guarded};
use aplysia_shared::Model;
use aplysia_shared::adapt::guard::{Commit, Limits, Restored, Verdict};
use aplysia_shared::blob::GoldenKind;
use aplysia_shared::protocol::{Boot, Hello, Refusal, Response, VERSION, send};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const SEED: u32 = 9;
const LIMITS: Limits = Limits {
    every: 4,
    drop: 2,
    commit_every: 0,
};
/// Nothing is too bad.
const CARELESS: Limits = Limits {
    drop: u16::MAX,
    ..LIMITS
};

/// A board with a flash that stays when it is switched off.
pub(crate) struct Board {
    folder: TempDir,
}

impl Board {
    pub(crate) fn new(blob: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let board = Self { folder };
        board.load(blob);
        board
    }

    fn load(&self, blob: &[u8]) {
        std::fs::write(self.folder.path().join("model.blob"), blob).unwrap();
    }

    pub(crate) fn flash(&self) -> PathBuf {
        self.folder.path().join("flash, of the board")
    }

    fn emulator(&self) -> Emulator {
        let blob: &Path = &self.folder.path().join("model.blob");
        Emulator::start_with_flash(&firmware(), Some(blob), Some(&self.flash())).unwrap()
    }

    pub(crate) fn start(&self) -> Device<Emulator> {
        Device::connect(self.emulator()).unwrap().0
    }
}

fn teach<T: Line>(device: &mut Device<T>, stream: &Labelled) {
    for (pixels, &label) in stream.pixels.chunks(IMAGE_BYTES).zip(&stream.labels) {
        device.infer(pixels, true).unwrap();
        device.learn(label as u8).unwrap();
    }
}

fn refusal<R: std::fmt::Debug>(answer: Result<R, DeviceError>) -> Refusal {
    match answer {
        Err(DeviceError::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn the_device_is_the_host_through_checks_and_rollbacks() {
    let mut n_rollbacks = 0;
    for (config, kind) in [
        (DELTA, GoldenKind::Features),
        (INSTAR, GoldenKind::Inputs),
        (BOTH, GoldenKind::Inputs),
    ] {
        let blob = guarded(kind, config);
        let model = Model::parse(&blob).unwrap();
        let board = Board::new(&blob);
        let mut device = board.start();
        for seed in [1, 2] {
            let stream = Labelled::new(40, seed);
            let flash = std::fs::read(board.flash()).unwrap();
            let images = stream.images();
            let host = adapt_guarded(&model, config, SEED, images, LIMITS, &flash).unwrap();
            let (run, report) =
                adapt_device_guarded(&mut device, config, SEED, images, LIMITS, &mut go_on)
                    .unwrap();
            assert_eq!((run.adapted, report), (host.adapted, host.report));
            assert!(report.checks > 9, "{report:?}");
            n_rollbacks += report.rollbacks;
            // The second stream rolls back to this, on both.
            assert!(matches!(device.commit().unwrap(), Commit::Done(_)));
        }
    }
    assert!(n_rollbacks > 0, "nothing was ever taken back");
}

#[test]
fn a_commit_outlasts_the_restart_and_belongs_to_its_model() {
    let blob = guarded(GoldenKind::Inputs, BOTH);
    let board = Board::new(&blob);
    let mut device = board.start();
    assert_eq!(device.stats().unwrap().guard.boot, Boot::Empty);
    device.configure(BOTH, SEED).unwrap();
    assert_eq!(refusal(device.commit()), Refusal::NoGuard);
    assert_eq!(refusal(device.check()), Refusal::NoGuard);
    device.guard(Some(CARELESS)).unwrap();
    teach(&mut device, &Labelled::new(9, 1));
    let Commit::Done(record) = device.commit().unwrap() else {
        panic!("not committed");
    };
    let learned = device.snapshot().unwrap();
    let bytes = 64 + u64::from(record.bytes).next_multiple_of(64);
    assert_eq!((record.written_bytes, record.erased_pages), (bytes, 1));
    teach(&mut device, &Labelled::new(9, 2));
    drop(device);

    let mut device = board.start();
    assert_eq!(device.snapshot().unwrap(), learned);
    let guard = device.stats().unwrap().guard;
    assert_eq!(guard.boot, Boot::Restored { sequence: 1 });
    assert_eq!((guard.newest, guard.limits), (Some(record), Some(CARELESS)));
    // Other limits may be committed at once, and the next time not before five updates.
    device
        .guard(Some(Limits {
            commit_every: 5,
            ..CARELESS
        }))
        .unwrap();
    assert!(matches!(device.check().unwrap(), Verdict::Kept { .. }));
    assert!(matches!(device.commit().unwrap(), Commit::Done(_)));
    assert_eq!(device.commit().unwrap(), Commit::TooSoon { missing: 5 });
    drop(device);

    board.load(&toy::measured(4));
    let mut device = board.start();
    let guard = device.stats().unwrap().guard;
    assert_eq!(guard.boot, Boot::OtherModel { sequence: 2 });
    assert_eq!(refusal(device.guard(Some(LIMITS))), Refusal::NoGolden);
    drop(device);

    std::fs::write(board.flash(), vec![0xA5; 70_000]).unwrap();
    assert_eq!(board.start().stats().unwrap().guard.boot, Boot::Empty);
}

#[test]
fn liars_are_taken_back_and_the_device_says_why() {
    let board = Board::new(&guarded(GoldenKind::Features, DELTA));
    let mut device = board.start();
    device.configure(DELTA, SEED).unwrap();
    device.guard(Some(LIMITS)).unwrap();
    assert_eq!(
        refusal(device.configure(BOTH, SEED)),
        Refusal::GoldenFeatures
    );
    let fresh = device.stats().unwrap().state_digest;
    let lies = Labelled::new(40, 3);
    for pixels in lies.pixels.chunks(IMAGE_BYTES) {
        let class = usize::from(device.infer(pixels, false).unwrap().class);
        let update = device.learn(((class + 1) % N_CLASSES) as u8).unwrap();
        if let Verdict::RolledBack(rollback) = update.verdict {
            let stats = device.stats().unwrap();
            assert_eq!(stats.guard.last_rollback, Some(rollback));
            assert_eq!(rollback.to, Restored::Base);
            assert_eq!(
                (stats.state_digest, stats.guard.report.rollbacks),
                (fresh, 1)
            );
            assert_eq!(stats.guard.report.last, rollback.score);
            assert!(rollback.score < rollback.floor && stats.guard.check_instructions > 0);
            return;
        }
    }
    panic!("40 lies, and nothing was taken back");
}

/// A line on which one answer lies ready.
struct Recorded(Cursor<Vec<u8>>);

impl Read for Recorded {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Recorded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Line for Recorded {}

#[test]
fn another_protocol_version_is_refused_by_its_number() {
    for protocol in [1, VERSION + 1] {
        let hello = Response::Hello(Hello {
            protocol,
            abi: 3,
            board: "old".try_into().unwrap(),
            max_request_bytes: 4096,
            has_model: true,
        });
        let mut line = Vec::new();
        send(&hello, &mut [0; 64], |bytes| line.extend_from_slice(bytes)).unwrap();
        let met = Device::connect(Recorded(Cursor::new(line))).map(|_| ());
        assert!(
            matches!(met, Err(DeviceError::OtherVersion { device }) if device == protocol),
            "{met:?}"
        );
    }
}

/// Kills the emulator at a random moment while it commits; what the next start finds is what was committed
/// before or what was being committed, and the latter if the device had said so.
#[test]
fn a_killed_commit_is_the_old_state_or_the_new() {
    let (began, rounds) = (Instant::now(), times(4));
    let board = Board::new(&guarded(GoldenKind::Features, DELTA));
    let rng = &mut ChaCha8Rng::seed_from_u64(5);
    let mut device = board.start();
    device.configure(DELTA, SEED).unwrap();
    device.guard(Some(CARELESS)).unwrap();
    let started = Instant::now();
    device.commit().unwrap();
    // About the length of a commit: where to kill, no measurement.
    let span = started.elapsed().max(Duration::from_micros(500)) * 2;
    let mut committed = device.stats().unwrap().state_digest;
    drop(device);
    let (mut n_old, mut n_new, mut n_told) = (0, 0, 0);
    for round in 0..rounds {
        let emulator = board.emulator();
        let process = emulator.process_id().to_string();
        let mut device = Device::connect(emulator).unwrap().0;
        let stats = device.stats().unwrap();
        assert_eq!(stats.state_digest, committed, "round {round}");
        assert!(matches!(stats.guard.boot, Boot::Restored { .. }));
        device.guard(Some(CARELESS)).unwrap();
        teach(&mut device, &Labelled::new(1, round.into()));
        let new = device.stats().unwrap().state_digest;
        let wait = span.mul_f64(rng.random());
        let killer = thread::spawn(move || {
            let started = Instant::now();
            while started.elapsed() < wait {
                std::hint::spin_loop();
            }
            let killed = Command::new("kill").args(["-KILL", &process]).status();
            assert!(killed.unwrap().success());
        });
        let told = device.commit();
        killer.join().unwrap();
        drop(device);
        let found = board.start().stats().unwrap();
        match told {
            Ok(Commit::Done(_)) => {
                n_told += 1;
                assert_eq!(found.state_digest, new, "round {round}: told, and not kept");
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) if found.state_digest == new => n_new += 1,
            Err(_) => {
                n_old += 1;
                assert_eq!(found.state_digest, committed, "round {round}: neither");
            }
        }
        committed = found.state_digest;
        let done = round + 1;
        if done == rounds || done % 100 == 0 {
            println!("{done} kills: {n_told} after the answer, {n_new} new, {n_old} old");
        }
    }
    assert_eq!(n_told + n_new + n_old, u64::from(rounds));
    let saw = [
        ("kills", rounds.into()),
        ("after_the_answer", n_told),
        ("new_state", n_new),
        ("old_state", n_old),
    ];
    keep("commits", began, &saw);
}
