//! Trained parameters as plain numbers: what `learn` hands to `deploy`.

use serde::{Deserialize, Serialize};

/// Batch-norm parameters of one layer, one value per output channel.
///
/// `y = gamma·(x − mean)/sqrt(var + eps) + beta`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchNorm {
    /// Scale, length `out_ch`.
    pub gamma: Vec<f32>,
    /// Shift, length `out_ch`.
    pub beta: Vec<f32>,
    /// Running mean, length `out_ch`.
    pub mean: Vec<f32>,
    /// Running (biased) variance, length `out_ch`.
    pub var: Vec<f32>,
    /// Added to the variance.
    pub eps: f32,
}

/// Parameters of one node that has any, in the order of [`crate::Network::weighted`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerParams {
    /// Convolution: `[out_ch, in_ch / groups, k, k]` row-major (OIHW). Linear: `[out, in]` row-major.
    /// Batch norm on its own: empty.
    pub weight: Vec<f32>,
    /// Linear only: `[out]`; otherwise empty (the shift of convolutions is in `bn`).
    pub bias: Vec<f32>,
    /// Convolutions and batch norms only.
    pub bn: Option<BatchNorm>,
}

/// Parameters of a whole network, one entry per weighted node in graph order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkParams {
    /// One entry per weighted node.
    pub layers: Vec<LayerParams>,
}
