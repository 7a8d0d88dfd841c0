//! What a node with numbers computes, read off the layer graph.

use super::taught::Reader;
use crate::ops::ConvGeometry;
use crate::rule::Fan;
use aplysia_space::{Network, NodeOp, Norm, Padding};

/// What a layer computes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Weight (OIHW).
    Conv(ConvGeometry),
    /// Weight `[out, in]`, bias.
    Linear { d_in: usize, d_out: usize },
    /// Batch norm on its own.
    Norm,
}

impl Kind {
    /// Of a node that has numbers, with its batch norm.
    pub(super) fn new(network: &Network, node: usize) -> Option<(Self, Norm)> {
        let output = network.nodes[node].shape;
        match network.nodes[node].op {
            NodeOp::Conv {
                kernel,
                stride,
                dilation,
                padding,
                depthwise,
                norm,
                relu,
                ..
            } => {
                let input = network.input_shape(node);
                let geometry = ConvGeometry {
                    input,
                    output,
                    kernel,
                    stride,
                    dilation,
                    pad: match padding {
                        Padding::Same => dilation * (kernel - 1) / 2,
                        Padding::Valid => 0,
                    },
                    groups: if depthwise { input.c } else { 1 },
                    norm: norm != Norm::None,
                    relu,
                };
                Some((Kind::Conv(geometry), norm))
            }
            NodeOp::Linear { .. } => {
                let (d_in, d_out) = (network.input_shape(node).len(), output.c);
                Some((Kind::Linear { d_in, d_out }, Norm::None))
            }
            NodeOp::BatchNorm { affine } => {
                Some((Kind::Norm, if affine { Norm::Affine } else { Norm::Plain }))
            }
            _ => None,
        }
    }

    /// What the weights read, if there are any.
    pub(super) fn reader(&self, c: usize) -> Option<(Reader<'_>, Fan)> {
        match self {
            Kind::Conv(g) => Some((Reader::Conv(g), Fan::conv(g))),
            Kind::Linear { d_in, .. } => {
                let fan = Fan {
                    fan_in: *d_in,
                    fan_out: c,
                };
                Some((Reader::Linear(*d_in), fan))
            }
            Kind::Norm => None,
        }
    }
}
