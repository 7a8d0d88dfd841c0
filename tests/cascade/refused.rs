//! Cascades that parsing refuses, and those that it just takes.

use super::{apart, cascaded, scores};
use crate::blob::{CASCADED, encoded, packed, seal, tiny};
use aplysia_shared::blob::{HEADER_BYTES, field};
use aplysia_shared::{
    BlobError, Cascade, Clamp, GraphV1, Labels, Layer, Model, Op, Tensor, Window,
};

/// Layers 0 and 1 of the tiny model cannot be together, as the sum of layer 3 reads what is between them; 2 and 3, and
/// 4 and 5, can.
#[test]
fn cascades_that_are_none_are_refused() {
    let with = |change: fn(&mut GraphV1)| {
        let (mut graph, data) = tiny();
        for layer in &mut graph.layers {
            layer.homeostasis = None;
        }
        change(&mut graph);
        encoded(&apart(graph.clone()).unwrap_or(graph), &data).map(|blob| blob.len())
    };
    fn cascade(graph: &mut GraphV1, first: u8, layers: u8, rows: u8) {
        let _ = graph.cascades.push(Cascade {
            first,
            layers,
            rows,
        });
    }
    let none = |layer| Err(BlobError::Cascade { layer });
    assert!(with(|g| cascade(g, 2, 2, 1)).is_ok());
    assert!(with(|g| cascade(g, 2, 4, 2)).is_ok());
    assert!(
        with(|g| {
            cascade(g, 2, 2, 1);
            cascade(g, 4, 2, 9);
        })
        .is_ok()
    );
    // Somebody else reads what is between; a layer that needs all of its input; the last layer; one alone; no rows.
    assert_eq!(with(|g| cascade(g, 0, 2, 1)), none(0));
    assert_eq!(with(|g| cascade(g, 5, 2, 1)), none(5));
    assert_eq!(with(|g| cascade(g, 6, 2, 1)), none(6));
    assert_eq!(with(|g| cascade(g, 2, 1, 1)), none(2));
    assert_eq!(with(|g| cascade(g, 2, 2, 0)), none(2));
    assert_eq!(with(|g| cascade(g, 7, 200, 1)), none(7));
    // Not in their order, or one layer twice.
    let twice = with(|g| {
        cascade(g, 4, 2, 1);
        cascade(g, 2, 2, 1);
    });
    assert_eq!(twice, none(2));
    let shared = with(|g| {
        cascade(g, 2, 3, 1);
        cascade(g, 4, 2, 1);
    });
    assert_eq!(shared, none(4));
    // One learns from an input that is not there as a whole; the first may.
    assert!(
        with(|g| {
            g.layers[2].homeostasis = tiny().0.layers[2].homeostasis;
            cascade(g, 2, 2, 1);
        })
        .is_ok()
    );
    let learns = with(|g| {
        g.layers[2].homeostasis = tiny().0.layers[2].homeostasis;
        cascade(g, 1, 2, 1);
    });
    assert_eq!(learns, none(1));
}

/// What is held of a tensor lies in bytes of its own, in the arena.
#[test]
fn held_rows_have_a_place() {
    let (mut graph, data) = packed();
    for layer in &mut graph.layers {
        layer.homeostasis = None;
    }
    let cascade = Cascade {
        first: 2,
        layers: 2,
        rows: 1,
    };
    graph.cascades.push(cascade).unwrap();
    let graph = apart(graph).unwrap();
    let blob = encoded(&graph, &data).unwrap();
    // One of six rows of the pointwise convolution is held.
    assert_eq!(graph.tensors[4].offset - graph.tensors[3].offset, 24);
    assert_eq!(scores(&blob), scores(&encoded(&packed().0, &data).unwrap()));
    // Nor does the output of a cascade lie over what it holds.
    let mut under = graph.clone();
    under.tensors[4].offset = under.tensors[3].offset;
    let overlap = Err(BlobError::Overlap { lhs: 4, rhs: 3 });
    assert_eq!(encoded(&under, &data), overlap);
    let (mut under, data_of_all) = cascaded();
    under.tensors[6].offset = under.tensors[5].offset;
    let between = Err(BlobError::Overlap { lhs: 6, rhs: 5 });
    assert_eq!(encoded(&under, &data_of_all), between);
    let mut close = graph.clone();
    close.tensors[4].offset -= 4;
    assert_eq!(encoded(&close, &data), overlap);
}

/// A column of 1200 values through layers that do nothing, then the largest of them.
fn column(n_layers: usize, cascade: Cascade) -> Result<Vec<u8>, BlobError> {
    let mut graph = GraphV1 {
        tensors: Default::default(),
        layers: Default::default(),
        input: 0,
        output: n_layers as u8,
        prototypes: None,
        labels: Labels::default(),
        cascades: Default::default(),
    };
    for i in 0..=n_layers {
        let h = if i == n_layers { 1 } else { 1200 };
        let tensor = Tensor {
            h,
            w: 1,
            c: 1,
            scale: 1.0,
            zero_point: 0,
            offset: 0,
        };
        graph.tensors.push(tensor).unwrap();
    }
    for i in 0..n_layers {
        let all = Window {
            kernel_h: 240,
            stride_h: 240,
            ..Window::square(1, 1, 0)
        };
        let op = match i + 1 == n_layers {
            true => Op::MaxPool(all),
            false => Op::MaxPool(Window::square(1, 1, 0)),
        };
        let layer = Layer {
            op,
            inputs: [i as u8; 2],
            output: i as u8 + 1,
            clamp: Clamp::FULL,
            params: 0,
            homeostasis: None,
        };
        graph.layers.push(layer).unwrap();
    }
    graph.cascades.push(cascade).unwrap();
    encoded(&apart(graph.clone()).unwrap_or(graph), &[])
}

/// At most eight layers, at most 1024 turns; more rows than there are make one turn.
#[test]
fn cascades_have_an_end() {
    let cascade = |layers, rows| Cascade {
        first: 0,
        layers,
        rows,
    };
    let none = Err(BlobError::Cascade { layer: 0 });
    assert!(column(10, cascade(8, 2)).is_ok());
    assert_eq!(column(10, cascade(9, 2)), none);
    assert_eq!(column(10, cascade(8, 1)), none);
    let one = column(4, cascade(2, 255)).unwrap();
    let alone = column(4, cascade(3, 2)).unwrap();
    assert_eq!(scores(&one), scores(&alone));
}

/// A graph of version 2 has cascades.
#[test]
fn no_cascades_are_the_first_version() {
    let len = u16::from_le_bytes([CASCADED[field::GRAPH_LEN], CASCADED[field::GRAPH_LEN + 1]]);
    let mut blob = CASCADED.to_vec();
    // The list, of one, is the last of the graph: its length and three bytes.
    let end = HEADER_BYTES + usize::from(len);
    assert_eq!(blob[end - 4..end], [1, 2, 4, 1]);
    blob[end - 4] = 0;
    blob[field::GRAPH_LEN] -= 3;
    seal(&mut blob);
    let refused = Model::parse(&blob).map(|model| model.arena_bytes());
    assert_eq!(refused, Err(BlobError::GraphEncoding));
}
