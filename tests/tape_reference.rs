//! The networks of the cell spaces on burn's own tape, the reference of their gradients.

use crate::gradient::tensor;
use aplysia_learn::burn::backend::{Autodiff, NdArray};
use aplysia_learn::burn::tensor::Tensor;
use aplysia_learn::burn::tensor::activation::relu;
use aplysia_learn::ops::{BN_EPS, Pool, composed, unwrap, wrap};
use aplysia_learn::rule::{Fan, Feedback, FeedbackSpec};
use aplysia_learn::{Init, TrainConfig};
use aplysia_space::{Network, NetworkParams, NodeOp, Norm, Padding, Window};

pub(crate) type Ad = Autodiff<NdArray>;

/// A network on burn's own tape. A layer's feedback `B` is reached through its public interface only:
/// `y = conv(detach(x), W) + conv(x, B) − detach(conv(x, B))`.
pub(crate) struct Reference<'a> {
    network: &'a Network,
    pub(crate) leaves: Vec<Vec<Tensor<Ad, 1>>>,
    feedback: Vec<Option<Tensor<NdArray, 1>>>,
}

impl<'a> Reference<'a> {
    pub(crate) fn new(network: &'a Network, params: &NetworkParams, config: &TrainConfig) -> Self {
        let leaf = |v: &[f32]| tensor::<Ad, 1>(v, [v.len()]).require_grad();
        let mut feedback = vec![];
        let mut leaves = vec![];
        for (at, (i, layer)) in network.weighted().zip(&params.layers).enumerate() {
            let mut own = vec![];
            feedback.push(network.rule(i).map(|rule| {
                own.push(leaf(&layer.weight));
                let weight = tensor::<NdArray, 1>(&layer.weight, [layer.weight.len()]);
                let made = Feedback::<NdArray>::new(
                    FeedbackSpec {
                        rule,
                        scale: config.feedback_scale,
                        init: Init::Xavier,
                        fan: fan(network, i),
                        seed: config.seed,
                        layer: at,
                    },
                    layer.weight.len(),
                    &Default::default(),
                );
                made.at(&weight, made.first().as_ref(), 0)
            }));
            let bias = Some(&layer.bias).filter(|b| !b.is_empty());
            let affine = layer.bn.iter().flat_map(|bn| [&bn.gamma, &bn.beta]);
            own.extend(bias.into_iter().chain(affine).map(|v| leaf(v)));
            leaves.push(own);
        }
        Self {
            network,
            leaves,
            feedback,
        }
    }

    fn normed(x: Tensor<Ad, 4>, affine: &[Tensor<Ad, 1>]) -> Tensor<Ad, 4> {
        let [n, h, w, c] = x.dims();
        let rows = x.reshape([n * h * w, c]);
        let centred = rows.clone() - rows.mean_dim(0);
        let deviation = (centred.clone().powi_scalar(2).mean_dim(0) + BN_EPS).sqrt();
        let channel = |t: &Tensor<Ad, 1>| t.clone().reshape([1, c]);
        let z = centred / deviation * channel(&affine[0]) + channel(&affine[1]);
        z.reshape([n, h, w, c])
    }

    /// `x` through weights `w` (flat) of node `i`, no batch norm.
    fn linear(&self, i: usize, x: Tensor<Ad, 4>, w: Tensor<Ad, 1>) -> Tensor<Ad, 4> {
        let (from, to) = (self.network.input_shape(i), self.network.nodes[i].shape);
        let NodeOp::Conv {
            kernel,
            stride,
            dilation,
            padding,
            depthwise,
            ..
        } = self.network.nodes[i].op
        else {
            let n = x.dims()[0];
            let y = x
                .reshape([n, from.len()])
                .matmul(w.reshape([to.c, from.len()]).transpose());
            return y.reshape([n, 1, 1, to.c]);
        };
        let groups = if depthwise { from.c } else { 1 };
        let pad = if padding == Padding::Same {
            dilation * (kernel / 2)
        } else {
            0
        };
        let options = aplysia_learn::burn::tensor::ops::ConvOptions::new(
            [stride; 2],
            [pad; 2],
            [dilation; 2],
            groups,
        );
        let w = w.reshape([to.c, from.c / groups, kernel, kernel]);
        let x = x.permute([0, 3, 1, 2]);
        let y = aplysia_learn::burn::tensor::module::conv2d(x, w, None, options);
        y.permute([0, 2, 3, 1])
    }

    pub(crate) fn forward(&self, images: Tensor<Ad, 4>) -> Vec<Option<Tensor<Ad, 4>>> {
        let n = images.dims()[0];
        let mut values = vec![Some(images)];
        let mut layer = 0..;
        for (i, node) in self.network.nodes.iter().enumerate().skip(1) {
            let x = |j: usize| values[node.inputs[j]].clone().unwrap();
            let s = node.shape;
            let weighted = |at: usize| {
                let leaf = &self.leaves[at];
                let b = Tensor::from_inner(self.feedback[at].clone().unwrap());
                let back = self.linear(i, x(0), b);
                let y = self.linear(i, x(0).detach(), leaf[0].clone());
                (y + back.clone() - back.detach(), &leaf[1..])
            };
            let pooled = |max, w: Window| {
                let pool = Pool {
                    max,
                    window: [w.kernel; 2],
                    stride: [w.stride; 2],
                    pad: if w.padding == Padding::Same {
                        w.kernel / 2
                    } else {
                        0
                    },
                    output: [s.h, s.w],
                };
                wrap(composed::pool_forward::<Ad>(unwrap(x(0)), pool))
            };
            let value = match node.op {
                NodeOp::Conv {
                    norm, relu: open, ..
                } => {
                    let (y, affine) = weighted(layer.next().unwrap());
                    let y = if norm == Norm::None {
                        y
                    } else {
                        Self::normed(y, affine)
                    };
                    if open { relu(y) } else { y }
                }
                NodeOp::Linear { .. } => {
                    let (y, bias) = weighted(layer.next().unwrap());
                    y + bias[0].clone().reshape([1, 1, 1, s.c])
                }
                NodeOp::BatchNorm { .. } => Self::normed(x(0), &self.leaves[layer.next().unwrap()]),
                NodeOp::MaxPool(w) => pooled(true, w),
                NodeOp::AvgPool(w) => pooled(false, w),
                NodeOp::GlobalAvgPool => x(0).mean_dim(1).mean_dim(2),
                NodeOp::Relu => relu(x(0)),
                NodeOp::Add => x(0) + x(1),
                NodeOp::Concat => Tensor::cat((0..node.inputs.len()).map(x).collect(), 3),
                NodeOp::Zero => Tensor::zeros([n, s.h, s.w, s.c], &Default::default()),
                NodeOp::Shift => {
                    let rest = x(0).slice([0..n, 1..s.h, 1..s.w, 0..s.c]);
                    let column = Tensor::zeros([n, s.h - 1, 1, s.c], &Default::default());
                    let row = Tensor::zeros([n, 1, s.w, s.c], &Default::default());
                    Tensor::cat(vec![Tensor::cat(vec![rest, column], 2), row], 1)
                }
                NodeOp::DropPath => x(0),
                op => unreachable!("{op} is not in these networks"),
            };
            values.push(Some(value));
        }
        values
    }
}

fn fan(network: &Network, i: usize) -> Fan {
    let (from, to) = (network.input_shape(i), network.nodes[i].shape);
    let (fan_in, fan_out) = match network.nodes[i].op {
        NodeOp::Conv {
            kernel,
            depthwise: true,
            ..
        } => (kernel * kernel, to.c * kernel * kernel),
        NodeOp::Conv { kernel, .. } => (from.c * kernel * kernel, to.c * kernel * kernel),
        _ => (from.len(), to.c),
    };
    Fan { fan_in, fan_out }
}
