//! Any flash content under the store: it opens, finds a record or none, and commits and reads back; power
//! cut in between leaves the old or the new; what it finds is restored or refused, and a start goes on by its terms.
//!
//! The first four bytes choose the cut and the commit, the rest is the flash. Two forms: as it is, and with
//! headers and checksums of records and snapshots made right, so that what is behind them is reached.

use crate::nor::{Nor, PAGE, TEARS};
use crate::toy;
use aplysia_shared::Model;
use aplysia_shared::adapt::domains::{Domains, state_bytes};
use aplysia_shared::adapt::guard::{Guard, Learner, Limits, Restored, Rollback};
use aplysia_shared::adapt::schedule::{Budget, Schedule, When};
use aplysia_shared::adapt::terms::Terms;
use aplysia_shared::adapt::{Config, Head, Plastic};
use aplysia_shared::blob::{encode_with_golden, encoded_len, field};
use aplysia_shared::store::{Store, StoreError};
use std::sync::LazyLock;

type Flash = Nor<4>;
type Found = Result<Option<Vec<u8>>, StoreError<crate::nor::Fault>>;

/// The toy model with a golden set of what it says itself.
static BLOB: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let blob = toy::measured(3);
    let model = Model::parse(&blob).expect("the toy model");
    let start = blob[field::DATA_OFFSET..].first_chunk().expect("a header");
    let mut data = blob[u32::from_le_bytes(*start) as usize..].to_vec();
    let golden = data.len() as u32;
    data.extend([0, 0, 4, 0]);
    let samples = toy::images(4, 77);
    for sample in &samples {
        let scores = toy::base_scores(&model, sample);
        let best = scores.iter().max().expect("classes");
        data.push(scores.iter().position(|s| s == best).expect("a class") as u8);
    }
    data.extend(samples.iter().flatten().map(|q| q.cast_unsigned()));
    let mut out = vec![0; encoded_len(&model.graph(), data.len()).expect("small")];
    encode_with_golden(&model.graph(), &data, Some(golden), model.id(), 0, &mut out)
        .expect("a sound blob");
    out
});
/// Room for the largest learned state with a domain slot and terms.
const SLOT: usize = 6 * PAGE;
const REGION: core::ops::Range<u32> = 0..2 * SLOT as u32;
const RECORD: usize = 64;
const CAPACITY: usize = SLOT - RECORD;
/// The largest learned state of the toy model.
const LEARNER: Config = Config {
    homeostasis: Some(2),
    head: Head::Instar { shift: 2 },
};

const DOMAINS: Domains = Domains {
    slots: 1,
    open: 100,
    evidence: 200,
    sealed: false,
};

const TERMS: Terms = Terms {
    limits: Limits {
        every: 2,
        drop: 1,
        commit_every: 100,
    },
    schedule: Schedule {
        when: When::Unsure { margin: 60 },
        budget: Some(Budget {
            images: 4,
            updates: 6,
            instructions: 9_000_000,
            commits: 1,
        }),
    },
    owed: 200,
    last_rollback: Some(Rollback {
        score: 1,
        floor: 3,
        to: Restored::Committed { sequence: 1 },
    }),
};

/// See the module.
pub(crate) fn run(bytes: &[u8]) {
    let (choices, image) = match bytes.split_first_chunk::<4>() {
        Some((choices, image)) => (*choices, image),
        None => ([0; 4], bytes),
    };
    let mut cells = image[..image.len().min(2 * SLOT)].to_vec();
    cells.resize(2 * SLOT, 0xFF);
    attack(cells.clone(), choices);
    let (first, second) = cells.split_at_mut(SLOT);
    seal(first);
    seal(second);
    attack(cells, choices);
}

/// A flash with a commit in each slot, of what each rule has learned, without terms and with.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let model = Model::parse(&BLOB).expect("the toy model");
    let heads = [
        Head::Base,
        Head::Instar { shift: 2 },
        Head::Delta { rate: 900 },
        Head::Perceptron {
            rate: 900,
            margin: 255,
        },
        Head::Reward { rate: 900 },
    ];
    let seed = |(head, terms): (Head, Option<&Terms>)| {
        let config = Config {
            homeostasis: Some(2),
            head,
        };
        let mut store = open(Flash::new(2 * SLOT / PAGE));
        let bytes = state_bytes(&model, &config, &DOMAINS).expect("a sound configuration");
        let mut buffer = vec![0; bytes];
        let mut plastic = Plastic::new(&model, config, 7, &mut buffer).expect("fits");
        let mut scratch = [0; CAPACITY];
        for (label, image) in toy::images(2, 5).iter().enumerate() {
            let mut arena = vec![0; model.arena_bytes()];
            plastic.observe(&model, &mut arena, image).expect("sizes");
            plastic.learn(&model, label).expect("an image is waiting");
            let snapshot = plastic.snapshot_all(&model, terms, &mut scratch);
            let snapshot = snapshot.expect("fits");
            store.commit(model.id(), snapshot).expect("a sound flash");
            // The second takes a slot along.
            let domains = Domains {
                sealed: head == Head::Base,
                ..DOMAINS
            };
            let set = plastic.set_domains(&model, Some(domains));
            set.expect("a buffer of that length");
        }
        [vec![9, 1, 40, 7], store.release().cells].concat()
    };
    let terms = [None, Some(&TERMS)];
    let all = heads.iter().flat_map(|&head| terms.map(|t| (head, t)));
    all.map(seed).collect()
}

fn open(flash: Flash) -> Store<Flash> {
    Store::open(flash, REGION).expect("on page borders")
}

fn load(store: &mut Store<Flash>, model: [u8; 16]) -> Found {
    let mut buffer = [0; CAPACITY];
    store
        .load(model, &mut buffer)
        .map(|found| found.map(<[u8]>::to_vec))
}

fn attack(cells: Vec<u8>, [cut, tear, len, fill]: [u8; 4]) {
    let model = Model::parse(&BLOB).expect("the toy model");
    let id = model.id();
    started(&model, &mut open(Flash::holding(cells.clone(), false)));
    let mut store = open(Flash::holding(cells, false));
    assert_eq!(store.capacity_bytes(), CAPACITY);
    let old = load(&mut store, id);
    match &old {
        Ok(None) => assert_eq!(store.newest(), None),
        Ok(Some(snapshot)) => restored(&model, snapshot),
        Err(StoreError::Foreign { sequence }) => {
            assert_eq!(store.newest().map(|r| r.sequence), Some(*sequence));
        }
        Err(error) => panic!("{error}"),
    }
    let new = vec![fill; usize::from(len) % (CAPACITY + 1)];
    let tear = TEARS[usize::from(tear) % TEARS.len()];
    let mut torn = open(store.release().cut_after(cut.into(), tear));
    let result = torn.commit(id, &new);
    let mut restarted = open(torn.release().restart());
    let found = load(&mut restarted, id);
    let whole = found == Ok(Some(new));
    assert!(whole || found == old, "{found:?} after {old:?}");
    assert!(whole || result.is_err(), "committed means committed");
    let next = [fill ^ 0x5A; 33];
    restarted.commit(id, &next).expect("a sound flash");
    let mut again = open(restarted.release());
    assert_eq!(load(&mut again, id), Ok(Some(next.to_vec())));
}

/// A committed snapshot is refused, or learned on.
fn restored(model: &Model<'_>, snapshot: &[u8]) {
    let bytes = state_bytes(model, &LEARNER, &DOMAINS).expect("a sound configuration");
    let mut buffer = vec![0; bytes];
    let mut plastic = Plastic::new(model, LEARNER, 1, &mut buffer).expect("fits");
    let mut scratch = [0; CAPACITY];
    if let Err(error) = plastic.restore(model, snapshot) {
        assert!(!error.to_string().is_empty());
        return;
    }
    let terms = Terms::of(snapshot).expect("restored");
    let all = plastic.snapshot_all(model, terms.as_ref(), &mut scratch);
    assert_eq!(all, Ok(snapshot), "restored as it was");
    let mut arena = vec![0; model.arena_bytes()];
    // Long enough for slots to be judged, recalled and begun.
    for (i, image) in toy::images(24, 6).iter().enumerate() {
        plastic.observe(model, &mut arena, image).expect("sizes");
        let learned = plastic.learn(model, i % toy::N_CLASSES);
        learned.expect("an image is waiting");
    }
}

/// A start leaves out what it finds, or goes on by its terms: then nothing is kept below the floor.
fn started(model: &Model<'_>, store: &mut Store<Flash>) {
    let bytes = state_bytes(model, &LEARNER, &DOMAINS).expect("a sound configuration");
    let mut buffer = vec![0; bytes];
    let mut plastic = Plastic::new(model, LEARNER, 1, &mut buffer).expect("fits");
    let mut learner = Learner {
        model,
        plastic: &mut plastic,
        arena: &mut vec![0; model.arena_bytes()],
        store,
        scratch: &mut [0; CAPACITY],
    };
    let mut guard = match Guard::resume(&mut learner) {
        Ok(Some(guard)) => guard,
        Ok(None) => return,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let is_above = |guard: &Guard, l: &mut Learner<'_, '_, Flash>| {
        let score = l.plastic.score_golden(model, l.arena);
        assert!(score.expect("scored before") >= guard.floor());
    };
    is_above(&guard, &mut learner);
    for (i, image) in toy::images(6, 7).iter().enumerate() {
        guard.before_image(&mut learner).expect("scored before");
        let seen = (learner.plastic).observe(model, learner.arena, image);
        if seen.expect("sizes").observed {
            guard.observed();
        }
        let learned = learner.plastic.learn(model, i % toy::N_CLASSES);
        learned.expect("an image is waiting");
        guard.learned(&mut learner).expect("scored before");
    }
    guard.commit(&mut learner).expect("a sound flash");
    guard.check(&mut learner).expect("scored before");
    is_above(&guard, &mut learner);
}

/// Makes the record of `slot` and the snapshot in it whole, whatever they say.
pub(crate) fn seal(slot: &mut [u8]) {
    let (header, body) = slot.split_at_mut(RECORD);
    header[..8].copy_from_slice(b"APLR\x01\0\0\0");
    let said = u32::from_le_bytes(*header[12..].first_chunk().expect("in the header"));
    let len = said as usize % (body.len() + 1);
    header[12..16].copy_from_slice(&(len as u32).to_le_bytes());
    let snapshot = &mut body[..len];
    if len >= RECORD {
        snapshot[..4].copy_from_slice(b"APLS");
        // Alone, or with slots, terms or both behind it.
        let version = 1 + snapshot[4].wrapping_sub(1) % 4;
        snapshot[4..6].copy_from_slice(&[version, 0]);
        snapshot[12..16].copy_from_slice(&(len as u32).to_le_bytes());
        toy::seal(snapshot);
    }
    let mut whole = [&*header, &*snapshot].concat();
    toy::seal(&mut whole);
    header.copy_from_slice(&whole[..RECORD]);
}
