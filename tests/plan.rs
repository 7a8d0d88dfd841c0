//! The arena planner: optimal on small graphs against brute force, never overlapping, at the lower
//! bound for chains.

use aplysia_deploy::plan::{ALIGNMENT_BYTES, Buffer, Plan, memory_map, plan};
use proptest::prelude::*;

fn alive_together(a: &Buffer, b: &Buffer) -> bool {
    (a.first..=a.last).any(|step| (b.first..=b.last).contains(&step))
}

/// Whether buffers `at..` fit into `units`, trying every aligned offset of every one.
fn fits(buffers: &[Buffer], offsets: &mut Vec<usize>, units: usize) -> bool {
    let at = offsets.len();
    let Some(buffer) = buffers.get(at) else {
        return true;
    };
    let size = buffer.bytes.div_ceil(ALIGNMENT_BYTES);
    for offset in 0..=units.saturating_sub(size) {
        let clash = |j: usize| {
            let size_j = buffers[j].bytes.div_ceil(ALIGNMENT_BYTES);
            alive_together(buffer, &buffers[j])
                && offset < offsets[j] + size_j
                && offsets[j] < offset + size
        };
        if size <= units && !(0..at).any(clash) {
            offsets.push(offset);
            let found = fits(buffers, offsets, units);
            offsets.pop();
            if found {
                return true;
            }
        }
    }
    false
}

fn smallest_arena_bytes(buffers: &[Buffer]) -> usize {
    let mut units = 0;
    while !fits(buffers, &mut Vec::new(), units) {
        units += 1;
    }
    units * ALIGNMENT_BYTES
}

fn check_sound(buffers: &[Buffer], plan: &Plan) {
    assert_eq!(plan.offsets.len(), buffers.len());
    for (i, a) in buffers.iter().enumerate() {
        assert!(plan.offsets[i].is_multiple_of(ALIGNMENT_BYTES));
        assert!(
            plan.offsets[i] + a.bytes <= plan.arena_bytes,
            "{buffers:?} {plan:?}"
        );
        for (j, b) in buffers.iter().enumerate().take(i) {
            let apart = plan.offsets[i] + a.bytes <= plan.offsets[j]
                || plan.offsets[j] + b.bytes <= plan.offsets[i];
            assert!(
                apart || !alive_together(a, b),
                "{i} {j} {buffers:?} {plan:?}"
            );
        }
    }
    assert!(plan.lower_bound_bytes <= plan.arena_bytes);
}

fn buffers(max: usize, max_bytes: usize) -> impl Strategy<Value = Vec<Buffer>> {
    let buffer = (1..=max_bytes, 0..8_usize, 0..4_usize);
    let buffer = buffer.prop_map(|(bytes, first, more)| Buffer {
        bytes,
        first,
        last: first + more,
    });
    prop::collection::vec(buffer, 0..=max)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn small_graphs_are_planned_optimally(buffers in buffers(7, 80)) {
        let plan = plan(&buffers);
        check_sound(&buffers, &plan);
        prop_assert!(plan.optimal);
        prop_assert_eq!(plan.arena_bytes, smallest_arena_bytes(&buffers));
    }

    #[test]
    fn large_graphs_never_overlap(buffers in buffers(40, 5000)) {
        let first = plan(&buffers);
        check_sound(&buffers, &first);
        prop_assert_eq!(first, plan(&buffers));
    }

    #[test]
    fn chains_meet_the_lower_bound(sizes in prop::collection::vec(1..9000_usize, 1..30)) {
        let chain: Vec<Buffer> = sizes
            .iter()
            .enumerate()
            .map(|(i, &bytes)| Buffer { bytes, first: i, last: i + 1 })
            .collect();
        let plan = plan(&chain);
        check_sound(&chain, &plan);
        let aligned = |b: &Buffer| b.bytes.next_multiple_of(ALIGNMENT_BYTES);
        let pairs = chain.windows(2).map(|p| aligned(&p[0]) + aligned(&p[1]));
        let bound = pairs.max().unwrap_or_else(|| aligned(&chain[0]));
        prop_assert_eq!((plan.arena_bytes, plan.lower_bound_bytes), (bound, bound));
    }
}

/// Greedy by size wastes memory here: the middle buffer is placed first, at 0, and splits the space.
#[test]
fn branch_and_bound_beats_greedy() {
    let buffers = [(48, 0, 1), (32, 1, 2), (32, 2, 3), (48, 3, 4), (16, 0, 4)];
    let buffers = buffers.map(|(bytes, first, last)| Buffer { bytes, first, last });
    let plan = plan(&buffers);
    check_sound(&buffers, &plan);
    assert_eq!(plan.arena_bytes, smallest_arena_bytes(&buffers));
}

#[test]
fn the_memory_map_names_every_tensor() {
    let buffers = [(100, 0, 0), (20, 0, 1)];
    let buffers = buffers.map(|(bytes, first, last)| Buffer { bytes, first, last });
    let text = memory_map(&["input", "logits"], &buffers, &plan(&buffers));
    assert_eq!(
        text,
        "tensor    bytes   offset  steps\n\
         input       100        0  0-0\n\
         logits       20      112  0-1\n\
         arena 144 bytes (minimal); lower bound 144 bytes\n"
    );
}
