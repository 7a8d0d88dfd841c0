//! Layers that run together, some rows at a time: the same scores as one by one, whatever the arena held; a blob that
//! is kept.
//!
//! `layers` has the random networks, `refused` what is none, `planned` what the planner makes of a limit.

use crate::blob::{CASCADED, PACKED, encoded, packed, run};
use aplysia_shared::blob::{HEADER_BYTES, field};
use aplysia_shared::cascade::held;
use aplysia_shared::{BlobError, Cascade, GraphV1, Model, Tensor, infer};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

mod layers;
mod planned;
mod refused;

use layers::random;

/// Scores of some inputs, the same whatever the arena holds before.
fn scores(blob: &[u8]) -> Vec<i8> {
    let model = Model::parse(blob).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut all = vec![];
    for _ in 0..3 {
        let input: Vec<i8> = (0..model.input().len()).map(|_| rng.random()).collect();
        let [first, second] = [0x55, -0x33].map(|dirt| {
            let mut scores = vec![0; model.n_classes()];
            infer(
                &model,
                &mut vec![dirt; model.arena_bytes()],
                &input,
                &mut scores,
            )
            .unwrap();
            scores
        });
        assert_eq!(first, second, "scores depend on what the arena held");
        all.extend(first);
    }
    all
}

/// `graph` with every tensor, as high as it is held, in bytes of its own; none if parsing would say so.
fn apart(mut graph: GraphV1) -> Option<GraphV1> {
    let mut heights: Vec<u16> = graph.tensors.iter().map(|t| t.h).collect();
    for cascade in &graph.cascades {
        held(cascade, &graph, |t, h| heights[usize::from(t)] = h)?;
    }
    let mut end = 0;
    for (tensor, h) in graph.tensors.iter_mut().zip(heights) {
        tensor.offset = end;
        end = Tensor { h, ..*tensor }.end() as u32;
    }
    Some(graph)
}

/// Whatever layers are put together, with however few rows a turn, wherever the output lies.
#[test]
fn cascades_change_no_score() {
    let (mut ran, mut refused, mut over, mut under) = (0, 0, 0, 0);
    for seed in 0..400 {
        let blob = random(seed);
        let model = Model::parse(&blob).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for _ in 0..8 {
            let mut graph = model.graph();
            let mut first = 0;
            while first + 2 <= graph.layers.len() {
                let layers = rng.random_range(2..=8.min(graph.layers.len() - first));
                let cascade = Cascade {
                    first: first as u8,
                    layers: layers as u8,
                    rows: rng.random_range(1..4),
                };
                graph.cascades.push(cascade).unwrap();
                first += layers + rng.random_range(0..3);
            }
            let Some(graph) = apart(graph) else {
                refused += 1;
                continue;
            };
            let Ok(together) = encoded(&graph, model.data()) else {
                refused += 1;
                continue;
            };
            assert_eq!(together[10], 8, "asks for runtime interface 8");
            assert_eq!(
                scores(&together),
                scores(&blob),
                "seed {seed}: {:?}",
                graph.cascades
            );
            ran += 1;
            for cascade in &graph.cascades {
                let output = graph.layers[cascade.layers().end - 1].output;
                for place in graph.tensors.iter().map(|t| t.offset) {
                    let mut graph = graph.clone();
                    graph.tensors[usize::from(output)].offset = place;
                    match encoded(&graph, model.data()) {
                        Ok(together) => {
                            assert_eq!(
                                scores(&together),
                                scores(&blob),
                                "seed {seed}: {cascade:?}"
                            );
                            over += 1;
                        }
                        Err(BlobError::Overlap { .. }) => under += 1,
                        Err(other) => panic!("{other}"),
                    }
                }
            }
        }
    }
    eprintln!("{ran} ran, {refused} refused; {over} outputs over inputs, {under} refused");
    assert!(ran > 300 && refused > 300 && over > 20 && under > 100);
}

/// [`packed`] with the layers from its second convolution to its average pool together, one row at a time.
fn cascaded() -> (GraphV1, Vec<u8>) {
    let (mut graph, data) = packed();
    let cascade = Cascade {
        first: 2,
        layers: 4,
        rows: 1,
    };
    graph.cascades.push(cascade).unwrap();
    // Of the convolution and of the sum 4 rows are held, of the largest values 2.
    let mut end = 0;
    for (tensor, held) in graph.tensors.iter_mut().zip([6, 6, 6, 4, 4, 2, 2, 1, 1]) {
        tensor.offset = end;
        end = Tensor { h: held, ..*tensor }.end() as u32;
    }
    (graph, data)
}

#[test]
fn the_golden_blob_with_a_cascade_reads_and_runs_alike() {
    let (graph, data) = cascaded();
    assert_eq!(encoded(&graph, &data).unwrap(), CASCADED);
    assert_eq!((CASCADED[field::MIN_ABI], CASCADED[HEADER_BYTES]), (8, 1));
    let (plain, model) = (
        Model::parse(PACKED).unwrap(),
        Model::parse(CASCADED).unwrap(),
    );
    assert_eq!(model.graph(), graph);
    assert_eq!(run(&model, &mut ()), run(&plain, &mut ()));
    assert_eq!(model.macs(), plain.macs());
    assert_eq!(model.cascade_of(5), Some(&graph.cascades[0]));
    assert_eq!(model.cascade_of(6), None);
}
