//! The checks of layers that run together. It owns these rules only.

use crate::blob::BlobError;
use crate::blob::graph::Graph;
use crate::cascade::Stages;
use crate::layer::Cascade;

/// Cascades follow each other without sharing a layer, the last layer is in none, and what lies between two layers of
/// one is read by the second alone.
// Not in the frame of parsing, which most graphs have no cascades for.
#[inline(never)]
pub(super) fn check(graph: &Graph<'_>) -> Result<(), BlobError> {
    let mut end = 0;
    for cascade in &graph.cascades {
        let layers = cascade.layers();
        let stages = Stages::new(cascade, graph);
        let fits = layers.start >= end && layers.end < graph.n_layers();
        if !fits || stages.is_none() || !is_apart(graph, cascade) {
            return Err(BlobError::Cascade {
                layer: cascade.first,
            });
        }
        end = layers.end;
    }
    Ok(())
}

/// Whether nothing else reads what is between its layers, and none of them learns but the first, whose input is there
/// as a whole.
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
