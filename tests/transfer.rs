//! Models sent over the line to a device on the host: the power cut at every write, noise, either side gone,
//! and every refusal. After each of them a whole model runs, the old or the new one.

use crate::adaptation::{IMAGE_BYTES, Labelled};
use crate::desk::{
    Parts, WRITE, Wire, all, desk, installed, refusal, sent, status, with, write_all,
};
use crate::guard::{DELTA, guarded};
use crate::nor::{PAGE, TEARS};
use crate::slots::{SLOT_PAGES, begin, claiming, key, layout, release, sign};
use aplysia_live::LiveError;
use aplysia_live::device::{Device, DeviceError};
use aplysia_live::update::{Installed, Sent, install};
use aplysia_shared::adapt::guard::{Commit, Limits};
use aplysia_shared::blob::{GoldenKind, HEADER_BYTES, RUNTIME_ABI, field, set_counter};
use aplysia_shared::protocol::{Boot, Origin, TransferRefusal};
use aplysia_shared::update::State;
use aplysia_shared::{Claims, Model, Unfit};
use std::io::Write as _;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

const LIMITS: Limits = Limits {
    every: 4,
    drop: u16::MAX,
    commit_every: 0,
};

#[test]
fn a_model_is_sent_tried_and_kept() {
    let (old, new) = (release(3, 1), release(4, 2));
    let (desk, mut parts) = (desk(&old), Parts::blank());
    let before = status(&desk, &mut parts);
    assert_eq!((before.origin, before.least_counter), (Origin::BuiltIn, 2));
    assert_eq!((before.keyed, before.candidate), (true, None));
    let n_pages = new.len().div_ceil(PAGE);
    let first = sent(installed(&desk, &mut parts, &new).unwrap());
    let whole = Sent {
        n_pages,
        n_sent: n_pages,
    };
    assert_eq!(first, whole);
    let after = status(&desk, &mut parts);
    assert_eq!(
        (after.origin, after.state),
        (Origin::Slot(1), State::Confirmed)
    );
    let running = after.running.unwrap();
    assert_eq!(
        (running.model_id, running.counter),
        (Model::parse(&new).unwrap().id(), 2)
    );
    assert_eq!((after.least_counter, after.reverted), (3, false));
    assert_eq!(
        installed(&desk, &mut parts, &new).unwrap(),
        Installed::Already
    );
    // The next one goes to the first slot, and back again.
    for (seed, counter) in [(5, 3), (6, 4), (7, 9)] {
        sent(installed(&desk, &mut parts, &release(seed, counter)).unwrap());
    }
    assert_eq!(status(&desk, &mut parts).origin, Origin::Slot(0));
}

#[test]
fn the_power_is_cut_at_every_write_and_the_same_call_makes_it_good() {
    let (old, new) = (release(3, 1), release(4, 2));
    let (desk, blank) = (desk(&old), Parts::<WRITE>::blank());
    let mut whole = blank.clone();
    sent(installed(&desk, &mut whole, &new).unwrap());
    let n_steps = whole.slots.steps;
    let ids = [&old, &new].map(|blob| Model::parse(blob).unwrap().id());
    let mut n_saved = 0;
    for (cut, tear) in (0..n_steps).flat_map(|cut| TEARS.map(|tear| (cut, tear))) {
        let mut parts = blank.clone();
        parts.slots = parts.slots.cut_after(cut, tear);
        let mut n_before = 0;
        let result = with(&desk, &mut parts, |device| {
            install(device, &new, &mut |sent| {
                n_before = sent.n_sent;
                ControlFlow::Continue(())
            })
        });
        let gone = matches!(
            result,
            Err(DeviceError::Gone { .. }) | Ok(Err(LiveError::Device(DeviceError::Gone { .. })))
        );
        assert!(gone, "{cut} {tear:?}: {result:?}");
        parts.slots = parts.slots.restart();
        let found = with(&desk, &mut parts, |device| device.info().unwrap()).unwrap();
        assert!(ids.contains(&found.model_id), "{cut} {tear:?}");
        match installed(&desk, &mut parts, &new).unwrap() {
            Installed::Confirmed { sent, .. } => {
                assert!(n_before + sent.n_sent <= sent.n_pages + 1, "{cut} {tear:?}");
                n_saved += sent.n_pages - sent.n_sent;
            }
            already => assert_eq!(already, Installed::Already, "{cut} {tear:?}"),
        }
        assert_eq!(status(&desk, &mut parts).running.unwrap().model_id, ids[1]);
    }
    assert!(n_steps > 100 && n_saved > 1000, "{n_steps} {n_saved}");
}

#[test]
fn a_transfer_goes_on_after_either_side_is_gone() {
    let (old, new) = (release(3, 1), release(4, 2));
    let (desk, mut parts) = (desk(&old), Parts::blank());
    let n_blank = missing_from(slot(&parts), &new);
    // The host ends after some pages, in the middle of a frame, on a line that stays.
    let (wire, thread) = desk.on(parts.clone());
    let (mut device, _) = Device::connect(wire).unwrap();
    let (first, second) = (7, 5);
    let cut = install(&mut device, &new, &mut until(first)).unwrap();
    assert_eq!(cut, Installed::Interrupted);
    let mut line = device.release();
    line.write_all(&[9, 1, 2, 3]).unwrap();
    let (mut device, _) = Device::connect(line).unwrap();
    install(&mut device, &new, &mut until(second)).unwrap();
    drop(device);
    parts = thread.join().unwrap();
    let n_missing = missing_from(slot(&parts), &new);
    assert_eq!(n_missing, n_blank - first - second);
    // The device restarts: no transfer is open, and nothing is sent again.
    let chunk = with(&desk, &mut parts, |device| {
        device.write_chunk(0, &[0; WRITE])
    });
    assert_eq!(refusal(chunk.unwrap()), TransferRefusal::NotBegun);
    let rest = sent(installed(&desk, &mut parts, &new).unwrap());
    assert_eq!(rest.n_sent, n_missing);
}

/// What the slot holds that the first transfer to a device goes to.
fn slot(parts: &Parts<WRITE>) -> &[u8] {
    let [_, second] = layout().slots;
    &parts.slots.cells[second.start as usize..second.end as usize]
}

/// Pages of `blob` that `held` does not begin with: those that have to be sent.
fn missing_from(held: &[u8], blob: &[u8]) -> usize {
    let pages = blob.chunks(PAGE).zip(held.chunks(PAGE));
    pages.filter(|(page, held)| !held.starts_with(page)).count()
}

/// Ends a transfer after `n_pages` of this call.
fn until(n_pages: usize) -> impl FnMut(Sent) -> ControlFlow<()> {
    move |sent| match sent.n_sent < n_pages {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    }
}

#[test]
fn pages_that_the_line_damages_are_sent_again() {
    let (old, new) = (release(3, 1), release(4, 2));
    let (wire, thread) = desk(&old).on(Parts::<WRITE>::blank());
    let noise = wire.noise.clone();
    let (mut device, _) = Device::connect(wire).unwrap();
    noise.store(1499, Ordering::Relaxed);
    let (mut n_sent, mut n_calls) = (0, 0);
    loop {
        n_calls += 1;
        let mut count = |_| {
            n_sent += 1;
            ControlFlow::Continue(())
        };
        match install(&mut device, &new, &mut count) {
            Ok(_) => break,
            // A damaged answer of another step: the same call again.
            Err(LiveError::Device(_)) => assert!(n_calls < 9),
            Err(error) => panic!("{error}"),
        }
    }
    assert!(n_sent >= new.len().div_ceil(PAGE), "{n_sent}");
    // With a bad byte in every long frame nothing ever arrives.
    noise.store(67, Ordering::Relaxed);
    let given_up = install(&mut device, &release(5, 3), &mut all);
    assert!(
        matches!(given_up, Err(LiveError::Device(_))),
        "{given_up:?}"
    );
    drop(device);
    thread.join().unwrap();
}

#[test]
fn a_model_that_is_not_confirmed_is_given_up_and_another_may_follow() {
    let (old, new) = (release(3, 1), release(4, 2));
    let (desk, mut parts) = (desk(&old), Parts::blank());
    let activate = |device: &mut Device<Wire>| {
        begin(device, &new).unwrap();
        write_all(device, &new);
        assert_eq!(refusal(device.restart()), TransferRefusal::NoTrial);
        assert_eq!(refusal(device.confirm()), TransferRefusal::NoTrial);
        assert_eq!(device.activate().unwrap().state, State::Pending);
        assert_eq!(refusal(device.activate()), TransferRefusal::Trial);
        assert_eq!(
            refusal(device.write_chunk(0, &[0; WRITE])),
            TransferRefusal::Trial
        );
    };
    with(&desk, &mut parts, activate).unwrap();
    let trial = status(&desk, &mut parts);
    assert_eq!(
        (trial.state, trial.origin),
        (State::Trying, Origin::Slot(1))
    );
    let back = status(&desk, &mut parts);
    assert_eq!(
        (back.state, back.origin),
        (State::Confirmed, Origin::BuiltIn)
    );
    assert!(back.reverted && back.candidate == trial.running);
    assert!(!status(&desk, &mut parts).reverted, "told once");
    // What is in the slot is not sent again; and a pending model gives way to another one.
    let another = release(5, 3);
    let n_missing = missing_from(&new, &another);
    assert!(0 < n_missing && n_missing < another.len().div_ceil(PAGE));
    with(&desk, &mut parts, |device| {
        begin(device, &new).unwrap();
        device.activate().unwrap();
        let sent = sent(install(device, &another, &mut all).unwrap());
        assert_eq!(sent.n_sent, n_missing);
    })
    .unwrap();
    assert_eq!(status(&desk, &mut parts).least_counter, 4);
}

#[test]
fn blobs_that_the_device_cannot_use_are_refused_and_nothing_is_written() {
    let old = release(3, 5);
    let (desk, mut parts) = (desk(&old), Parts::blank());
    let mut begin = |blob: &[u8]| {
        let begun = with(&desk, &mut parts, |device| begin(device, blob));
        assert_eq!(parts.slots.steps, 0);
        refusal(begun.unwrap())
    };
    use TransferRefusal as Told;
    let resigned = |seed: u8, at: usize, bytes: &[u8]| {
        let mut blob = release(4, 6);
        blob[at..at + bytes.len()].copy_from_slice(bytes);
        sign(&mut blob, &key(seed));
        blob
    };
    assert_eq!(begin(&resigned(2, 0, b"")), Told::Signature);
    let mut unsigned = release(4, 6);
    set_counter(&mut unsigned, 6);
    assert_eq!(begin(&unsigned), Told::Unsigned);
    let mut changed = release(4, 6);
    changed[HEADER_BYTES] ^= 1;
    assert_eq!(
        begin(&changed),
        Told::Signature,
        "the digest is another one"
    );
    for got in [4, 5] {
        assert_eq!(begin(&release(4, got)), Told::Counter { got, want: 6 });
    }
    let arena = resigned(1, field::ARENA_BYTES, &5000_u32.to_le_bytes());
    let too_much = Told::Unfit(Unfit::Arena {
        need_bytes: 5000,
        have_bytes: 4096,
    });
    assert_eq!(begin(&arena), too_much);
    let mut long = release(4, 6);
    long[field::TOTAL_LEN..][..4].copy_from_slice(&99_999_u32.to_le_bytes());
    let max_bytes = SLOT_PAGES * PAGE as u32 - Claims::BYTES as u32;
    let too_long = |got_bytes| Told::Length {
        got_bytes,
        max_bytes,
    };
    assert_eq!(begin(&long), too_long(99_999));
    long[field::TOTAL_LEN..][..4].copy_from_slice(&9_u32.to_le_bytes());
    assert_eq!(begin(&long), too_long(9));
    let (got, want) = (RUNTIME_ABI, RUNTIME_ABI + 1);
    let newer = resigned(1, field::MIN_ABI, &want.to_le_bytes());
    assert_eq!(begin(&newer), Told::Abi { got, want });
    let format = resigned(1, field::VERSION, &[9, 0]);
    assert_eq!(begin(&format), Told::Version { got: 9, want: 1 });
    assert_eq!(begin(&[7; 200]), Told::Magic);
}

#[test]
fn a_blob_that_is_not_what_was_begun_is_not_activated() {
    let (old, new) = (release(3, 1), release(4, 2));
    let (desk, mut parts) = (desk(&old), Parts::blank());
    with(&desk, &mut parts, |device| {
        begin(device, &new).unwrap();
        let mut flipped = new.clone();
        flipped[1000] ^= 4;
        write_all(device, &flipped);
        assert_eq!(refusal(device.activate()), TransferRefusal::Damaged);
        write_all(device, &release(5, 0));
        let older = TransferRefusal::Counter { got: 0, want: 2 };
        assert_eq!(refusal(device.activate()), older);
        // A chunk that leaves a gap, ends off a word, or leaves the blob.
        device.write_chunk(0, &[0; WRITE]).unwrap();
        let (offset, next) = (2 * WRITE as u32, WRITE as u32);
        let gap = device.write_chunk(offset, &[0; WRITE]);
        assert_eq!(refusal(gap), TransferRefusal::Order { offset, next });
        let part = device.write_chunk(next, &[0; WRITE / 2]);
        assert!(matches!(refusal(part), TransferRefusal::Place { .. }));
        let end = new.len().next_multiple_of(PAGE) as u32;
        let outside = device.write_chunk(end, &[0; WRITE]);
        assert!(matches!(refusal(outside), TransferRefusal::Place { .. }));
        let status = device.transfer_status().unwrap();
        assert_eq!(status.state, State::Confirmed);
    })
    .unwrap();
    sent(installed(&desk, &mut parts, &new).unwrap());
}

#[test]
fn what_was_learned_belongs_to_its_base_and_stays_while_another_is_tried() {
    let mut old = guarded(GoldenKind::Features, DELTA);
    sign(&mut old, &key(1));
    let new = release(4, 2);
    let (desk, mut parts) = (desk(&old), Parts::blank());
    let learn = |device: &mut Device<Wire>| {
        device.configure(DELTA, 1).unwrap();
        device.guard(Some(LIMITS)).unwrap();
        let stream = Labelled::new(5, 1);
        for (pixels, &label) in stream.pixels.chunks(IMAGE_BYTES).zip(&stream.labels) {
            device.infer(pixels, true).unwrap();
            device.learn(label as u8).unwrap();
        }
        device.commit()
    };
    assert!(matches!(
        with(&desk, &mut parts, learn).unwrap().unwrap(),
        Commit::Done(_)
    ));
    let boot = |device: &mut Device<Wire>| device.stats().unwrap().guard.boot;
    // On trial nothing is committed over it; given up, it is there again; confirmed, it is another model's.
    let mut newer = old.clone();
    set_counter(&mut newer, 7);
    newer[field::ID] ^= 1;
    set_counter(&mut newer, 7);
    newer = claiming(&newer, |_| ());
    sign(&mut newer, &key(1));
    with(&desk, &mut parts, |device| {
        begin(device, &newer).unwrap();
        write_all(device, &newer);
        device.activate().unwrap();
        device.restart().unwrap();
        assert_eq!(refusal(learn(device)), TransferRefusal::Trial);
        device.restart().unwrap();
        assert_eq!(boot(device), Boot::Restored { sequence: 1 });
        sent(install(device, &new, &mut all).unwrap());
        assert_eq!(boot(device), Boot::OtherModel { sequence: 1 });
    })
    .unwrap();
}
