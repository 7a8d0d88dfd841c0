//! The checks of layers that run together. It owns these rules only.

use crate::blob::BlobError;
use crate::blob::graph::Graph;
use crate::cascade::heights;
use crate::layer::{Cascade, MAX_TENSORS};

/// Cascades follow each other without sharing a layer, the last layer is in none, and what lies between two layers of
/// one is read by the second alone. Returns the rows of every tensor that its place in the arena has.
pub(super) fn check(graph: &Graph<'_>) -> Result<[u16; MAX_TENSORS], BlobError> {
    let mut end = 0;
    for cascade in &graph.cascades {
        let layers = cascade.layers();
        if layers.start < end || layers.end >= graph.n_layers() || !is_apart(graph, cascade) {
            return Err(fault(cascade));
        }
        end = layers.end;
    }
    let all = heights(&graph.cascades, |i| graph.layer(i), |t| graph.tensor(t));
    all.ok_or_else(|| {
        let alone = |cascade: &&Cascade| {
            let only = core::slice::from_ref(*cascade);
            heights(only, |i| graph.layer(i), |t| graph.tensor(t)).is_none()
        };
        let first = graph.cascades.iter().find(alone);
        first.map_or(BlobError::GraphEncoding, fault)
    })
}

/// Whether nothing else knows of what is between its layers: their outputs, and none of them learns but the first, whose
/// input is there as a whole.
fn is_apart(graph: &Graph<'_>, cascade: &Cascade) -> bool {
    let layers = cascade.layers();
    layers.clone().skip(1).all(|reader| {
        let between = graph.layer(reader - 1).map(|layer| layer.output);
        let learns = graph
            .layer(reader)
            .is_none_or(|layer| layer.homeostasis.is_some());
        let mut others = (0..graph.n_layers()).filter(|&index| index != reader);
        let read = |index: usize| {
            let inputs = graph.layer(index).map(|layer| layer.inputs);
            between.is_none_or(|between| inputs.is_none_or(|inputs| inputs.contains(&between)))
        };
        !learns && !others.any(read)
    })
}

fn fault(cascade: &Cascade) -> BlobError {
    BlobError::Cascade {
        layer: cascade.first,
    }
}
