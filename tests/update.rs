//! Another model for the device: refusals, and a power cut at every step of an update, after which a whole
//! model starts, the old or the new one.

use crate::golden::section;
use crate::nor::{Fault, Nor, PAGE, TEARS, Tear};
use crate::slots::{
    RECORD, Refused, SLOT_PAGES, claiming, key, layout, made_with, policy, release, send, sign,
    started, trust, updater,
};
use crate::toy;
use aplysia_shared::blob::{encode_with_golden, encoded_len, field, set_counter};
use aplysia_shared::signature::{Trust, TrustError};
use aplysia_shared::store::Store;
use aplysia_shared::update::{Boot, Layout, Policy, State, UpdateError, Updater};
use aplysia_shared::{Claims, Model, Unfit, Unmet};
use proptest::prelude::*;

/// A whole update with its two restarts, from any state; stops where the power does.
fn update<const WRITE: usize>(
    mut updater: Updater<Nor<WRITE>>,
    blob: &[u8],
) -> (Updater<Nor<WRITE>>, Result<(), Refused>) {
    let result = (|| {
        let running = start(&mut updater)?;
        let slot = running.slot?;
        if !running.trial {
            if updater.slot(slot).starts_with(blob) {
                return Ok(());
            }
            send(&mut updater, blob)?;
            updater.activate(&mut [0; 4096])?;
            assert!(start(&mut updater)?.trial);
        }
        updater.confirm()?;
        assert!(!start(&mut updater)?.trial);
        Ok(())
    })();
    (updater, result)
}

/// A start, unless the power goes meanwhile.
fn start<const WRITE: usize>(updater: &mut Updater<Nor<WRITE>>) -> Result<Boot<Fault>, Refused> {
    let boot = updater.boot();
    updater.flash().powered().map_err(UpdateError::Flash)?;
    Ok(boot)
}

fn no_power(error: &Refused) -> bool {
    let cut = aplysia_shared::store::StoreError::Flash(Fault::NoPower);
    *error == UpdateError::Flash(Fault::NoPower) || *error == UpdateError::Record(cut)
}

fn cut_at_every_step<const WRITE: usize>() {
    let (old, new) = (release(3, 1), release(4, 2));
    let flash = made_with::<WRITE>(&old);
    let (done, result) = update(updater(flash.clone()), &new);
    result.unwrap();
    let n_steps = done.release().steps - flash.steps;
    for cut in 0..n_steps {
        for tear in TEARS {
            let (torn, result) = update(updater(flash.clone().cut_after(cut, tear)), &new);
            if let Err(error) = result {
                assert!(no_power(&error), "{cut} {tear:?}: {error}");
            }
            let mut restarted = updater(torn.release().restart());
            let confirmed = restarted.record();
            let (boot, found) = started(&mut restarted);
            assert!(found == old || found == new, "{cut} {tear:?}");
            if !boot.trial {
                let kept = if confirmed.slot == 1 { &new } else { &old };
                assert_eq!(&found, kept, "{cut} {tear:?}");
            }
            let (mut whole, result) = update(updater(restarted.release()), &new);
            result.unwrap();
            assert_eq!(started(&mut whole).1, new, "{cut} {tear:?}");
            assert_eq!(whole.record().counter, 2);
        }
    }
    assert!(n_steps > 100, "{n_steps} steps");
}

#[test]
fn a_power_cut_at_any_step_leaves_a_whole_model_that_starts() {
    cut_at_every_step::<4>();
    cut_at_every_step::<32>();
}

proptest! {
    #[test]
    fn any_history_of_updates_and_cuts(cuts in prop::collection::vec((0_u64..600, 0..4_usize), 1..12)) {
        let releases: Vec<Vec<u8>> = (1..=4).map(|i| release(2 + i, i)).collect();
        let mut flash = made_with::<8>(&releases[0]);
        let mut newest = 0;
        for (i, (cut, tear)) in cuts.into_iter().enumerate() {
            let blob = &releases[(newest + 1 + i % 2).min(3)];
            let (torn, result) = update(updater(flash.cut_after(cut, TEARS[tear])), blob);
            let mut restarted = updater(torn.release().restart());
            let floor = restarted.record().counter;
            let (_, found) = started(&mut restarted);
            let at = releases.iter().position(|blob| *blob == found).unwrap();
            prop_assert!(at >= newest, "release {at} after {newest}");
            prop_assert!((at as u64) < 4 && floor <= 4);
            if result.is_ok() {
                prop_assert_eq!(&found, blob);
                newest = at;
            }
            flash = restarted.release();
        }
    }
}

#[test]
fn a_model_that_is_not_confirmed_is_tried_once() {
    let (old, new) = (release(3, 1), release(4, 2));
    let mut updater = updater(made_with::<8>(&old));
    updater.boot();
    assert_eq!(updater.confirm(), Err(UpdateError::NoTrial));
    assert_eq!(send(&mut updater, &new), Ok(new.len().div_ceil(PAGE)));
    assert_eq!(
        send(&mut updater, &new),
        Ok(0),
        "a transfer goes on where it was"
    );
    updater.activate(&mut [0; 4096]).unwrap();
    assert_eq!(updater.record().state, State::Pending);
    assert_eq!(send(&mut updater, &new), Err(UpdateError::Trial));
    let (boot, found) = started(&mut updater);
    assert_eq!(
        (boot.trial, boot.reverted, found),
        (true, false, new.clone())
    );
    assert_eq!(
        send(&mut updater, &old),
        Err(UpdateError::Trial),
        "the way back stays"
    );
    let (boot, found) = started(&mut updater);
    assert_eq!(
        (boot.trial, boot.reverted, found),
        (false, true, old.clone())
    );
    let (boot, _) = started(&mut updater);
    assert!(!boot.reverted, "reported once");
    updater.activate(&mut [0; 4096]).unwrap();
    started(&mut updater);
    updater.confirm().unwrap();
    let (boot, found) = started(&mut updater);
    assert_eq!((boot.trial, found), (false, new));
    // Neither an older one nor another of the same number.
    for (seed, got) in [(3, 1), (5, 2)] {
        let refused = send(&mut updater, &release(seed, got));
        assert_eq!(refused, Err(UpdateError::Counter { got, want: 3 }));
    }
}

/// A start that gave a trial up and could not write that down, by its record alone.
#[test]
fn only_the_start_that_tries_a_model_confirms_it() {
    let (old, new) = (release(3, 1), release(4, 2));
    let mut first = updater(made_with::<8>(&old));
    send(&mut first, &new).unwrap();
    first.activate(&mut [0; 4096]).unwrap();
    assert!(first.boot().trial);
    let mut other = updater(first.release());
    assert_eq!(other.record().state, State::Trying);
    assert_eq!(other.confirm(), Err(UpdateError::NoTrial));
    assert_eq!(started(&mut other).1, old);
    assert_eq!(other.confirm(), Err(UpdateError::NoTrial));
}

#[test]
fn a_number_that_only_a_damaged_model_had_may_come_again() {
    let (old, new) = (release(3, 1), release(4, 2));
    let (updater, done) = update(updater(made_with::<8>(&old)), &new);
    done.unwrap();
    let mut flash = updater.release();
    flash.cells[layout().slots[1].start as usize + 400] ^= 1;
    let mut updater = crate::slots::updater(flash);
    assert!(updater.boot().slot.is_err());
    assert_eq!(updater.least_counter(), 2);
    assert!(send(&mut updater, &new).is_ok());
}

#[test]
fn a_pending_model_that_decays_is_given_up() {
    let (old, new) = (release(3, 1), release(4, 2));
    let mut updater = updater(made_with::<8>(&old));
    send(&mut updater, &new).unwrap();
    updater.activate(&mut [0; 4096]).unwrap();
    let mut flash = updater.release();
    flash.cells[layout().slots[1].start as usize + 400] ^= 1;
    let (boot, found) = started(&mut crate::slots::updater(flash));
    assert_eq!((boot.trial, boot.reverted, found), (false, true, old));
}

#[test]
fn models_that_the_device_cannot_use_are_refused() {
    let old = release(3, 5);
    let refuse = |change: &dyn Fn(&mut Policy), blob: &[u8]| {
        let mut policy = policy(trust(&key(1)));
        change(&mut policy);
        let mut updater = Updater::open(made_with::<8>(&old), layout(), policy).unwrap();
        send(&mut updater, blob)?;
        updater.activate(&mut [0; 4096])
    };
    let same = |_: &mut Policy| {};
    let keyless = |policy: &mut Policy| policy.trust = Trust::Anyone;
    for (got, with_key, without) in [(4, 6, 5), (5, 6, 0), (6, 0, 0)] {
        let told = |want| match want {
            0 => Ok(()),
            want => Err(UpdateError::Counter { got, want }),
        };
        assert_eq!(refuse(&same, &release(4, got)), told(with_key));
        assert_eq!(refuse(&keyless, &release(4, got)), told(without));
    }
    // What came with the program counts as well.
    let shipped = |policy: &mut Policy| policy.counter = Some(7);
    let older = UpdateError::Counter { got: 7, want: 8 };
    assert_eq!(refuse(&shipped, &release(4, 7)), Err(older));
    let arena_bytes = Model::parse(&old).unwrap().arena_bytes();
    let small = |policy: &mut Policy| policy.room.arena_bytes = arena_bytes - 1;
    let arena = UpdateError::Unfit(Unfit::Arena {
        need_bytes: arena_bytes as u32,
        have_bytes: arena_bytes as u32 - 1,
    });
    assert_eq!(refuse(&small, &release(4, 6)), Err(arena));
    let other = |policy: &mut Policy| policy.input = Some([28, 28, 1]);
    let input = Unmet::Input {
        got: [toy::SIDE, toy::SIDE, 2],
        want: [28, 28, 1],
    };
    assert_eq!(refuse(&other, &release(4, 6)), Err(input.into()));
    let mut long = release(4, 6);
    long[field::TOTAL_LEN..][..4].copy_from_slice(&9999_u32.to_le_bytes());
    let length = UpdateError::Length {
        got_bytes: 9999,
        max_bytes: SLOT_PAGES * PAGE as u32 - Claims::BYTES as u32,
    };
    assert_eq!(refuse(&same, &long), Err(length));
    let mut unsigned = release(4, 6);
    set_counter(&mut unsigned, 6);
    assert_eq!(
        refuse(&same, &unsigned),
        Err(UpdateError::Trust(TrustError::Unsigned))
    );
    assert_eq!(refuse(&keyless, &unsigned), Ok(()));
}

#[test]
fn a_model_that_fails_its_golden_samples_is_refused() {
    let old = release(3, 1);
    let samples = toy::images(12, 9);
    let with_golden = |shift: usize| {
        let model = Model::parse(&old).unwrap();
        let label = |image: &Vec<i8>| {
            let scores = toy::base_scores(&model, image);
            let class = (0..scores.len()).max_by_key(|&i| (scores[i], usize::MAX - i));
            ((class.unwrap() + shift) % toy::N_CLASSES) as u8
        };
        let labels: Vec<u8> = samples.iter().map(label).collect();
        let bytes: Vec<u8> = samples.concat().iter().map(|q| q.cast_unsigned()).collect();
        let start = u32::from_le_bytes(*old[field::DATA_OFFSET..].first_chunk().unwrap());
        let mut data = old[start as usize..].to_vec();
        let offset = data.len() as u32;
        data.extend(section(0, &labels, &bytes));
        let mut blob = vec![0; encoded_len(&model.graph(), data.len()).unwrap()];
        encode_with_golden(&model.graph(), &data, Some(offset), [9; 16], 2, &mut blob).unwrap();
        blob = claiming(&blob, |_| ());
        sign(&mut blob, &key(1));
        blob
    };
    let activate = |blob: &[u8]| {
        let mut updater = updater(made_with::<8>(&old));
        send(&mut updater, blob).unwrap();
        updater.activate(&mut [0; 4096])
    };
    assert_eq!(activate(&with_golden(0)), Ok(()));
    let refused = activate(&with_golden(1));
    assert!(
        matches!(
            refused,
            Err(UpdateError::SelfTest {
                right: 0..=5,
                n_samples: 12
            })
        ),
        "{refused:?}"
    );
}

#[test]
fn writes_stay_in_the_other_slot_and_in_whole_words() {
    let mut updater = updater(made_with::<8>(&release(3, 1)));
    let before = updater.slot(0).to_vec();
    let page = PAGE as u32;
    for (offset, len) in [
        (4, 8),
        (0, 4),
        (0, 0),
        (page - 8, 16),
        (0, PAGE + 8),
        (SLOT_PAGES * page, 8),
        (u32::MAX - 7, 8),
    ] {
        let place = updater.write(offset, &vec![0; len]);
        assert!(
            matches!(place, Err(UpdateError::Place { .. })),
            "{offset} {len}"
        );
    }
    assert_eq!(updater.digest(0, SLOT_PAGES * page + 1), None);
    assert_eq!(updater.digest(u32::MAX, 2), None);
    assert_eq!(updater.slot(0), before);
    let longest = SLOT_PAGES * page - Claims::BYTES as u32;
    assert_eq!(updater.room(), (longest, page));
}

#[test]
fn a_memory_map_off_pages_or_overlapping_is_refused() {
    let flash = made_with::<8>(&release(3, 1));
    let page = PAGE as u32;
    let maps: [&dyn Fn(&mut Layout); 4] = [
        &|l| l.slots[0].start += 1,
        &|l| l.slots[1] = l.slots[0].clone(),
        &|l| l.record = 0..3 * page,
        &|l| l.slots[1].end += page,
    ];
    for change in maps {
        let mut layout = layout();
        change(&mut layout);
        let opened = Updater::open(flash.clone(), layout.clone(), policy(Trust::Anyone));
        assert!(
            matches!(opened, Err(UpdateError::Layout { .. })),
            "{layout:?}"
        );
    }
    let mut odd = layout();
    odd.slots[0].start += page;
    odd.record.end += page;
    let opened = Updater::open(flash, odd, policy(Trust::Anyone));
    assert!(
        matches!(opened, Err(UpdateError::Record(_))),
        "an odd number of pages"
    );
}

#[test]
fn a_damaged_record_means_the_model_the_device_was_made_with() {
    let old = release(3, 1);
    let mut flash = made_with::<8>(&old);
    Store::open(&mut flash, RECORD)
        .unwrap()
        .commit([7; 16], &[1; 16])
        .unwrap();
    let (boot, found) = started(&mut updater(flash));
    assert_eq!((boot.slot, boot.trial, found), (Ok(0), false, old));
}

#[test]
fn a_torn_erase_of_the_first_page_leaves_nothing_to_activate() {
    let (old, new) = (release(3, 1), release(4, 2));
    let mut updater = updater(made_with::<8>(&old));
    send(&mut updater, &new).unwrap();
    let flash = updater.release();
    let torn = flash.cut_after(0, Tear::Part);
    let mut updater = crate::slots::updater(torn);
    assert_eq!(
        updater.write(0, &new[..PAGE]),
        Err(UpdateError::Flash(Fault::NoPower))
    );
    let mut updater = crate::slots::updater(updater.release().restart());
    assert!(updater.activate(&mut [0; 4096]).is_err());
    assert_eq!(started(&mut updater).1, old);
}
