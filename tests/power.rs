//! The flash store under power cuts at every step, damage, worn cells and misuse: after a restart it
//! holds what was committed before or what was being committed, whole.

use crate::nor::{Fault, Nor, PAGE, TEARS, Tear};
use crate::toy;
use aplysia_shared::adapt::{Config, Head};
use aplysia_shared::store::{Record, Store, StoreError};
use embedded_storage::nor_flash::NorFlash;
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const MODEL: [u8; 16] = *b"the base model  ";
/// Two slots of two pages, with a page before and one behind that are not the store's.
const N_PAGES: usize = 6;
const REGION: core::ops::Range<u32> = PAGE as u32..5 * PAGE as u32;
const CAPACITY: usize = 2 * PAGE - 64;

fn store<F: NorFlash<Error = Fault>>(flash: F) -> Store<F> {
    Store::open(flash, REGION).unwrap()
}

/// A snapshot of random bytes: too long to be met by chance.
fn snapshot(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    ChaCha8Rng::seed_from_u64(seed).fill(bytes.as_mut_slice());
    bytes
}

fn load<F: NorFlash<Error = Fault>>(store: &mut Store<F>) -> Option<Vec<u8>> {
    let mut buffer = [0; CAPACITY];
    store.load(MODEL, &mut buffer).unwrap().map(<[u8]>::to_vec)
}

/// Lengths around the borders of words, blocks and pages.
const LENGTHS: [usize; 12] = [130, 8, 63, 64, 65, 127, 128, 129, 191, CAPACITY, 16, 100];

fn old_or_new_at_every_step<const WRITE: usize>() {
    let mut flash = Nor::<WRITE>::new(N_PAGES);
    let mut old = None;
    for (seed, len) in (0..).zip(LENGTHS) {
        let new = snapshot(len, seed);
        let before = flash.steps;
        let mut whole = store(flash.clone());
        whole.commit(MODEL, &new).unwrap();
        let whole = whole.release();
        for cut in 0..whole.steps - before {
            for tear in TEARS {
                let mut torn = store(flash.clone().cut_after(cut, tear));
                let refused = StoreError::Flash(Fault::NoPower);
                assert_eq!(torn.commit(MODEL, &new), Err(refused));
                let mut restarted = store(torn.release().restart());
                let found = load(&mut restarted);
                assert!(
                    found == old || found.as_ref() == Some(&new),
                    "{cut} {tear:?}"
                );
                let next = snapshot(77, 1000 + seed);
                restarted.commit(MODEL, &next).unwrap();
                assert_eq!(load(&mut store(restarted.release())), Some(next));
            }
        }
        flash = whole;
        old = Some(new);
        assert_eq!(
            load(&mut store(flash.clone())),
            old,
            "committed means committed"
        );
    }
    for outside in [0, 5 * PAGE] {
        assert_eq!(flash.cells[outside..][..PAGE], [0xFF; PAGE]);
    }
}

#[test]
fn every_cut_leaves_the_old_or_the_new_snapshot() {
    old_or_new_at_every_step::<1>();
    old_or_new_at_every_step::<4>();
    old_or_new_at_every_step::<32>();
}

/// Power for `cuts[i]` steps in the i-th start, each time until the cut; what is left must be one of
/// the snapshots that were there before or were being written.
fn cut_again(flash: Nor<8>, old: &[u8], depth: u64, n_cut: &mut u64) {
    let new = snapshot(60, depth);
    for cut in 0.. {
        let tear = TEARS[(cut % 4) as usize];
        let mut torn = store(flash.clone().cut_after(cut, tear));
        let result = torn.commit(MODEL, &new);
        let flash = torn.release().restart();
        let found = load(&mut store(flash.clone())).unwrap();
        assert!(found == old || found == new, "cut {cut} at depth {depth}");
        if result.is_ok() {
            assert_eq!(found, new);
            break;
        }
        *n_cut += 1;
        if depth > 1 {
            cut_again(flash, &found, depth - 1, n_cut);
        }
    }
}

#[test]
fn three_cuts_in_a_row_at_every_triple_of_steps() {
    let mut store = store(Nor::new(N_PAGES));
    store.commit(MODEL, &snapshot(60, 9)).unwrap();
    store.commit(MODEL, &snapshot(40, 10)).unwrap();
    let mut n_cut = 0;
    cut_again(store.release(), &snapshot(40, 10), 3, &mut n_cut);
    let per_commit: u64 = 4 + 128 / 8;
    assert_eq!(n_cut, per_commit + per_commit.pow(2) + per_commit.pow(3));
}

proptest! {
    #[test]
    fn any_history_of_commits_and_cuts(
        commits in prop::collection::vec(
            (0..=CAPACITY, any::<u64>(), prop::option::of(0_u64..80), 0..4_usize), 1..60),
    ) {
        let mut flash = Nor::<4>::new(N_PAGES);
        let (mut old, mut sequence) = (None, 0);
        for (len, seed, cut, tear) in commits {
            let new = snapshot(len, seed);
            if let Some(cut) = cut {
                flash = flash.cut_after(cut, TEARS[tear]);
            }
            let mut running = store(flash);
            let result = running.commit(MODEL, &new);
            flash = running.release().restart();
            let mut restarted = store(flash.clone());
            let found = load(&mut restarted);
            let now = restarted.newest().map_or(0, |r| r.sequence);
            if found == Some(new.clone()) && now == sequence + 1 {
                (old, sequence) = (Some(new), now);
            } else {
                prop_assert!(result.is_err());
                prop_assert_eq!(&found, &old);
                prop_assert_eq!(now, sequence);
            }
        }
    }

    #[test]
    fn up_to_three_flipped_bits_are_seen(
        flips in prop::collection::vec((0..4 * PAGE, 0..8), 1..=3),
    ) {
        let (flash, [older, newer]) = two_commits();
        let mut cells = flash.cells;
        for (byte, bit) in flips {
            cells[PAGE + byte] ^= 1_u8 << bit;
        }
        let found = load(&mut store(Nor::<4>::holding(cells, false)));
        prop_assert!(found.is_none_or(|f| f == older || f == newer));
    }

    #[test]
    fn noise_holds_no_record_and_can_be_written(seed: u64) {
        let mut noisy = store(Nor::<4>::holding(snapshot(N_PAGES * PAGE, seed), false));
        prop_assert_eq!(noisy.newest(), None);
        noisy.commit(MODEL, b"first").unwrap();
        prop_assert_eq!(load(&mut store(noisy.release())), Some(b"first".to_vec()));
    }
}

fn two_commits() -> (Nor<4>, [Vec<u8>; 2]) {
    let snapshots = [snapshot(120, 1), snapshot(150, 2)];
    let mut store = store(Nor::new(N_PAGES));
    for snapshot in &snapshots {
        store.commit(MODEL, snapshot).unwrap();
    }
    (store.release(), snapshots)
}

#[test]
fn every_flipped_bit_leaves_one_whole_snapshot() {
    let (flash, [older, newer]) = two_commits();
    let slot = 2 * PAGE;
    for bit in 0..8 * 2 * slot {
        let mut cells = flash.cells.clone();
        cells[PAGE + bit / 8] ^= 1_u8 << (bit % 8);
        let found = load(&mut store(Nor::<4>::holding(cells, false)));
        let in_newer = (slot..slot + 64 + newer.len()).contains(&(bit / 8));
        let want = if in_newer { &older } else { &newer };
        assert_eq!(found.as_ref(), Some(want), "bit {bit}");
    }
}

#[test]
fn another_model_is_refused_and_nothing_older_revived() {
    let (flash, _) = two_commits();
    let mut store = store(flash);
    let other = [9; 16];
    store.commit(other, b"of another model").unwrap();
    let mut buffer = [0; CAPACITY];
    let refused = StoreError::Foreign { sequence: 3 };
    assert_eq!(store.load(MODEL, &mut buffer), Err(refused));
    let found = store.load(other, &mut buffer).unwrap();
    assert_eq!(found, Some(b"of another model".as_slice()));
    store.commit(MODEL, b"again").unwrap();
    assert_eq!(load(&mut store), Some(b"again".to_vec()));
}

#[test]
fn wear_is_what_the_flash_has_seen() {
    let mut flash = Nor::<8>::new(N_PAGES);
    for (seed, len) in (0..).zip(LENGTHS) {
        let mut restarted = store(flash);
        let record = restarted.commit(MODEL, &snapshot(len, seed)).unwrap();
        flash = restarted.release();
        let want = Record {
            sequence: seed as u32 + 1,
            model: MODEL,
            bytes: len as u32,
            erased_pages: flash.erased_pages,
            written_bytes: flash.written_bytes,
        };
        assert_eq!(record, want);
        assert_eq!(store(flash.clone()).newest(), Some(want));
    }
}

#[test]
fn a_worn_cell_is_reported_and_the_last_commit_stays() {
    let (mut flash, [_, newer]) = two_commits();
    for stuck in [PAGE + 20, PAGE + 64 + 30] {
        flash.stuck = Some(stuck);
        let mut worn = store(flash.clone());
        let failed = StoreError::Verify {
            sequence: 3,
            address: PAGE as u32,
        };
        assert_eq!(worn.commit(MODEL, &[0; 80]), Err(failed));
        assert_eq!(load(&mut store(worn.release())), Some(newer.clone()));
    }
}

#[test]
fn misuse_is_refused_before_anything_is_written() {
    let page = PAGE as u32;
    let regions = [
        page..page,
        2 * page..page,
        0..3 * page,
        4..2 * page + 4,
        4 * page..8 * page,
        0..2 * page + 1,
    ];
    for region in regions {
        let opened = Store::open(Nor::<4>::new(N_PAGES), region.clone());
        let refused =
            matches!(opened, Err(StoreError::Region { start, .. }) if start == region.start);
        assert!(refused, "{region:?}");
    }
    let (flash, [_, newer]) = two_commits();
    let mut store = store(flash.cut_after(0, Tear::Noise));
    assert_eq!(store.capacity_bytes(), CAPACITY);
    let too_long = StoreError::Length {
        got_bytes: CAPACITY + 1,
        max_bytes: CAPACITY,
    };
    assert_eq!(store.commit(MODEL, &[0; CAPACITY + 1]), Err(too_long));
    let short = StoreError::Buffer {
        got_bytes: newer.len() - 1,
        want_bytes: newer.len(),
    };
    let mut buffer = vec![0; newer.len() - 1];
    assert_eq!(store.load(MODEL, &mut buffer), Err(short));
    assert_eq!(load(&mut store), Some(newer));
}

#[test]
fn a_learned_state_survives_a_restart_bit_for_bit() {
    let config = Config {
        homeostasis: Some(3),
        head: Head::Delta { rate: 300 },
    };
    let blob = toy::measured(3);
    let mut flash = Nor::<8>::new(32);
    let region = 0..32 * PAGE as u32;
    let learned = toy::with(&blob, config, |model, plastic| {
        let mut arena = vec![0; model.arena_bytes()];
        for (i, image) in toy::images(20, 4).iter().enumerate() {
            plastic.observe(model, &mut arena, image).unwrap();
            plastic.learn(model, i % toy::N_CLASSES).unwrap();
        }
        let mut store = Store::open(&mut flash, region.clone()).unwrap();
        store.commit(model.id(), plastic.snapshot()).unwrap();
        plastic.digest()
    });
    toy::with(&blob, config, |model, plastic| {
        let mut store = Store::open(&mut flash, region.clone()).unwrap();
        let mut buffer = vec![0; store.capacity_bytes()];
        let found = store.load(model.id(), &mut buffer).unwrap().unwrap();
        assert_ne!(plastic.digest(), learned);
        plastic.restore(model, found).unwrap();
        assert_eq!(plastic.digest(), learned);
    });
}
