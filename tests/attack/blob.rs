//! Any bytes as a blob: refused with a typed error, or costed, run and learned on without a panic.
//!
//! Three forms of each input: as it is; with a fresh checksum; and put together anew, the header from the
//! lengths of what it holds, so that inserted and deleted bytes reach the checks of the graph.

use crate::nor::{Nor, PAGE};
use aplysia_shared::adapt::guard::{Guard, Learner, Limits};
use aplysia_shared::adapt::{Config, Head, Plastic, state_bytes};
use aplysia_shared::blob::{ALIGN, HEADER_BYTES, MAGIC, RUNTIME_ABI, VERSION, field};
use aplysia_shared::store::Store;
use aplysia_shared::{Cascade, GraphV1, Model, infer};

/// A network beyond one of these is costed, not run.
const MAX_ARENA_BYTES: usize = 1 << 20;
const MAX_INSTRUCTIONS: u64 = 4_000_000;
const MAX_STATE_BYTES: usize = 1 << 20;

/// Everything that can be learned at once, twice.
const CONFIGS: [Config; 2] = [
    Config {
        homeostasis: Some(1),
        head: Head::Delta { rate: u16::MAX },
    },
    Config {
        homeostasis: None,
        head: Head::Instar { shift: 2 },
    },
];

/// See the module.
pub(crate) fn run(bytes: &[u8]) {
    // A copy, so that it is aligned.
    let mut sealed = bytes.to_vec();
    accepted(&sealed);
    if bytes.len() >= HEADER_BYTES {
        seal(&mut sealed);
        accepted(&sealed);
    }
    if let Some(whole) = reassembled(bytes) {
        accepted(&whole);
    }
}

/// The blobs that are kept for ever.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let kept: [&[u8]; 6] = [
        include_bytes!("../blobs/v1-tiny.blob"),
        include_bytes!("../blobs/v1-packed.blob"),
        include_bytes!("../blobs/v1-golden.blob"),
        include_bytes!("../blobs/v1-paired.blob"),
        include_bytes!("../blobs/v1-cascade.blob"),
        include_bytes!("../blobs/v1-winograd.blob"),
    ];
    kept.map(<[u8]>::to_vec).into()
}

/// Whatever can be asked of `blob` if it parses; whether it does.
pub(crate) fn accepted(blob: &[u8]) -> bool {
    let model = match Model::parse(blob) {
        Ok(model) => model,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    let layers = 0..=model.n_layers();
    let costs = layers.clone().map(|l| model.layer_cost(l));
    let [macs, instructions] = costs.fold([0; 2], |[m, i], c| [m + c.macs, i + c.instructions]);
    assert_eq!(
        [macs, instructions],
        [model.macs(), model.instructions()],
        "sums"
    );
    for layer in layers {
        let _ = (model.constants(layer), model.homeostasis(layer));
    }
    let _ = (model.label(usize::MAX), model.prototypes());
    assert!(
        model
            .golden()
            .is_none_or(|g| g.samples().count() == usize::from(g.n_samples()))
    );
    if model.arena_bytes() <= MAX_ARENA_BYTES && instructions <= MAX_INSTRUCTIONS {
        runs(&model);
    }
    true
}

/// The same scores whatever the arena held; two learners that stay within their buffers.
fn runs(model: &Model<'_>) {
    let input: Vec<i8> = (0..model.input().len() as i32)
        .map(|i| (i * 53 % 256 - 128) as i8)
        .collect();
    let [first, second] = [0x55, -0x55].map(|dirt| {
        let mut arena = vec![dirt; model.arena_bytes()];
        let mut scores = vec![0; model.n_classes()];
        infer(model, &mut arena, &input, &mut scores).expect("buffers of the right sizes");
        scores
    });
    assert_eq!(first, second, "scores depend on what the arena held");
    for config in CONFIGS {
        let mut arena = vec![0; model.arena_bytes()];
        let Ok(bytes) = state_bytes(model, &config) else {
            continue;
        };
        if bytes <= MAX_STATE_BYTES {
            let mut buffer = vec![0xA5; bytes];
            let mut plastic = Plastic::new(model, config, 7, &mut buffer).expect("fits");
            for label in [0, model.n_classes() - 1] {
                plastic.observe(model, &mut arena, &input).expect("sizes");
                plastic.learn(model, label).expect("an image is waiting");
            }
            guarded(model, &mut plastic, &mut arena);
        }
    }
}

/// A guard scores the golden set, of whatever labels and samples, and a check changes nothing twice.
fn guarded(model: &Model<'_>, plastic: &mut Plastic<'_>, arena: &mut [i8]) {
    let mut scratch = vec![0; plastic.snapshot().len()];
    let flash = Nor::<4>::new(4);
    let mut store = Store::open(flash, 0..4 * PAGE as u32).expect("on page borders");
    let mut learner = Learner {
        model,
        plastic,
        arena,
        store: &mut store,
        scratch: &mut scratch,
    };
    let limits = Limits {
        every: 1,
        drop: 0,
        commit_every: 0,
    };
    if let Ok(mut guard) = Guard::new(limits, &mut learner) {
        guard.check(&mut learner).expect("sizes");
        let first = learner.plastic.snapshot().to_vec();
        guard.check(&mut learner).expect("sizes");
        assert_eq!(learner.plastic.snapshot(), first, "a state that was kept");
    }
}

/// Writes the checksum of `blob`, which has a header.
pub(crate) fn seal(blob: &mut [u8]) {
    let parts = [
        &blob[..field::CRC],
        &blob[field::ID..field::SIGNATURE],
        &blob[HEADER_BYTES..],
    ];
    let mut digest = CRC.digest();
    parts.iter().for_each(|part| digest.update(part));
    let crc = digest.finalize().to_le_bytes();
    blob[field::CRC..field::ID].copy_from_slice(&crc);
}

const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// The graph and the data of `bytes` behind a header that fits them; none if there is no graph.
fn reassembled(bytes: &[u8]) -> Option<Vec<u8>> {
    let word = |at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().expect("in the header"));
    let (header, body) = bytes.split_at_checked(HEADER_BYTES)?;
    let (version, graph) = body.split_first()?;
    // The second has cascades behind the rest.
    let version = version & 1;
    let (_, mut rest) = postcard::take_from_bytes::<GraphV1>(graph).ok()?;
    if version == 1 {
        rest = postcard::take_from_bytes::<Vec<Cascade>>(rest).ok()?.1;
    }
    let graph_bytes = body.len() - rest.len();
    // The zeros behind the graph are as many as its former length asks for.
    let zeros = (word(field::GRAPH_LEN) as usize).wrapping_neg() % ALIGN;
    let data = rest.get(zeros..).unwrap_or_default();
    let mut blob = header.to_vec();
    blob.push(version);
    blob.extend(&body[1..graph_bytes]);
    blob.resize(blob.len().next_multiple_of(ALIGN), 0);
    let start = blob.len();
    blob.extend(data);
    blob.resize(blob.len().next_multiple_of(ALIGN), 0);
    let total = blob.len();
    let mut put = |at: usize, value: usize| {
        blob[at..at + 4].copy_from_slice(&(value as u32).to_le_bytes());
    };
    put(field::TOTAL_LEN, total);
    put(field::GRAPH_LEN, graph_bytes);
    put(field::DATA_OFFSET, start);
    put(field::DATA_LEN, total - start);
    let golden = word(field::GOLDEN);
    if golden != 0 {
        let moved = golden.wrapping_sub(word(field::DATA_OFFSET));
        put(field::GOLDEN, moved.wrapping_add(start as u32) as usize);
    }
    blob[..MAGIC.len()].copy_from_slice(&MAGIC);
    blob[field::VERSION..][..2].copy_from_slice(&VERSION.to_le_bytes());
    blob[field::MIN_ABI..][..2].copy_from_slice(&RUNTIME_ABI.to_le_bytes());
    seal(&mut blob);
    Some(blob)
}
