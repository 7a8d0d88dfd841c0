//! The layers that final networks and supernets of DARTS share: stem, preprocessing, operations, stack of
//! cells, auxiliary head.
//!
//! A supernet ([`Phase::Search`]) differs in two things: inside its cells no batch norm has a trained scale
//! and shift, and one follows every pooling.

use super::places::Place;
use super::skeleton::{Skeleton, Stem};
use super::{Op, PlaceRules};
use crate::graph::Graph;
use crate::{Mixture, Network, NodeOp, Norm, Padding, Rule, Window};

/// What the network is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Search,
    Final,
}

/// Which cell of the stack.
pub(super) struct CellPlace {
    pub(super) name: String,
    pub(super) reduction: bool,
}

/// A network under construction. `rules` are those in force (coverage applied).
pub(super) struct Layers {
    pub(super) graph: Graph,
    pub(super) rules: PlaceRules,
    /// In a supernet that searches the rules of the places those it mixes there, in the place of `rules`.
    pub(super) searched: Vec<Rule>,
    pub(super) phase: Phase,
}

impl Layers {
    /// Stem, cells, classifier. `cell` appends one cell that reads the two preprocessed inputs and gives
    /// back its output.
    pub(super) fn stack(
        mut self,
        skeleton: &Skeleton,
        mut cell: impl FnMut(&mut Self, &CellPlace, [usize; 2]) -> usize,
    ) -> Network {
        let (mut s0, mut s1) = self.stem(skeleton);
        let mut after_reduction = skeleton.stem == Stem::Imagenet;
        let mut c = skeleton.channels;
        let mut auxiliary = None;
        for i in 0..skeleton.n_cells {
            let reduction = skeleton.is_reduction(i);
            c *= if reduction { 2 } else { 1 };
            let name = format!("cell{i}");
            let at = |part: &str| format!("{name}.{part}");
            let x0 = if after_reduction {
                self.reduce(&at("reduce0"), s0, c)
            } else {
                self.preprocess(&at("preprocess0"), s0, c)
            };
            let x1 = self.preprocess(&at("preprocess1"), s1, c);
            let place = CellPlace { name, reduction };
            (s0, s1) = (s1, cell(&mut self, &place, [x0, x1]));
            after_reduction = reduction;
            if skeleton.auxiliary && i == skeleton.auxiliary_after() {
                auxiliary = Some(self.auxiliary(skeleton, s1));
            }
        }
        let pooled = self.graph.push("pool", NodeOp::GlobalAvgPool, &[s1]);
        self.place("head", Place::Classifier, |layers, at, rule| {
            let head = NodeOp::Linear { rule };
            layers.graph.wide(at, head, &[pooled], skeleton.n_classes)
        });
        self.graph.finish(auxiliary)
    }

    /// What `layer` appends under the rule of its place; where rules are searched, once per rule, and their
    /// mixture.
    fn place(
        &mut self,
        at: &str,
        place: Place,
        mut layer: impl FnMut(&mut Self, &str, Rule) -> usize,
    ) -> usize {
        if self.searched.is_empty() {
            return layer(self, at, place.of(&self.rules));
        }
        let rules = self.searched.clone().into_iter();
        let all = rules.map(|rule| layer(self, &format!("{at}.{rule}"), rule));
        let all: Vec<usize> = all.collect();
        let (of, row) = (Mixture::Places, place as usize);
        self.graph.push(at, NodeOp::Mix { of, row }, &all)
    }

    fn stem(&mut self, skeleton: &Skeleton) -> (usize, usize) {
        let c = skeleton.channels;
        if skeleton.stem == Stem::Cifar {
            let x = self.stem_conv("stem", 0, 1, 3 * c);
            return (x, x);
        }
        let x = self.stem_conv("stem0.0", 0, 2, c / 2);
        let x = self.graph.push("stem0.relu", NodeOp::Relu, &[x]);
        let s0 = self.stem_conv("stem0.1", x, 2, c);
        let x = self.graph.push("stem1.relu", NodeOp::Relu, &[s0]);
        (s0, self.stem_conv("stem1", x, 2, c))
    }

    fn stem_conv(&mut self, at: &str, x: usize, stride: usize, c: usize) -> usize {
        self.place(at, Place::Stem, |layers, at, rule| {
            let conv = NodeOp::conv(3, stride, Norm::Affine, rule);
            layers.graph.wide(at, conv, &[x], c)
        })
    }

    fn preprocess(&mut self, at: &str, x: usize, c: usize) -> usize {
        let norm = self.norm();
        let x = self.graph.push(&format!("{at}.relu"), NodeOp::Relu, &[x]);
        self.place(at, Place::Preprocess, |layers, at, rule| {
            layers
                .graph
                .wide(at, NodeOp::conv(1, 1, norm, rule), &[x], c)
        })
    }

    fn reduce(&mut self, at: &str, x: usize, c: usize) -> usize {
        self.place(at, Place::Reduce, |layers, at, rule| {
            layers.factorized_reduce(at, x, c, rule)
        })
    }

    /// ReLU; 1×1 convolutions with stride 2 on the map and on the map shifted by one pixel, `c / 2`
    /// channels each; concatenation. The batch norm after it is one per half, which is the same.
    fn factorized_reduce(&mut self, at: &str, x: usize, c: usize, rule: Rule) -> usize {
        let conv = NodeOp::conv(1, 2, self.norm(), rule);
        let g = &mut self.graph;
        let name = |part: &str| format!("{at}.{part}");
        let x = g.push(&name("relu"), NodeOp::Relu, &[x]);
        let even = g.wide(&name("even"), conv, &[x], c / 2);
        let x = g.push(&name("shift"), NodeOp::Shift, &[x]);
        let odd = g.wide(&name("odd"), conv, &[x], c / 2);
        g.push(at, NodeOp::Concat, &[even, odd])
    }

    /// `op` on node `x`, with as many channels; `rule` trains whatever weights it has, those of a FactorizedReduce
    /// without one the rule of their place.
    pub(super) fn operation(
        &mut self,
        at: &str,
        (op, own): (Op, Option<Rule>),
        x: usize,
        stride: usize,
    ) -> usize {
        let (c, rule) = (self.graph.shape(x).c, own.unwrap_or(Rule::Bp));
        match op {
            Op::Skip if stride == 1 => x,
            Op::Skip if own.is_none() => self.reduce(at, x, c),
            Op::Skip => self.factorized_reduce(at, x, c, rule),
            Op::MaxPool3 => self.pool(at, NodeOp::MaxPool(Window::cell(stride)), x),
            Op::AvgPool3 => self.pool(at, NodeOp::AvgPool(Window::cell(stride)), x),
            Op::SepConv3 | Op::SepConv5 => {
                let kernel = if op == Op::SepConv3 { 3 } else { 5 };
                let first = NodeOp::depthwise(kernel, stride, 1, rule);
                let x = self.separable(&format!("{at}.0"), x, first, rule);
                let second = NodeOp::depthwise(kernel, 1, 1, rule);
                self.separable(&format!("{at}.1"), x, second, rule)
            }
            Op::DilConv3 | Op::DilConv5 => {
                let kernel = if op == Op::DilConv3 { 3 } else { 5 };
                self.separable(at, x, NodeOp::depthwise(kernel, stride, 2, rule), rule)
            }
        }
    }

    fn pool(&mut self, at: &str, pool: NodeOp, x: usize) -> usize {
        let x = self.graph.push(at, pool, &[x]);
        match self.phase {
            Phase::Final => x,
            Phase::Search => {
                let norm = NodeOp::BatchNorm { affine: false };
                self.graph.push(&format!("{at}.norm"), norm, &[x])
            }
        }
    }

    /// ReLU, depthwise, pointwise, batch norm.
    fn separable(&mut self, at: &str, x: usize, depthwise: NodeOp, rule: Rule) -> usize {
        let pointwise = NodeOp::conv(1, 1, self.norm(), rule);
        let mut x = x;
        for (part, op) in [
            ("relu", NodeOp::Relu),
            ("depthwise", depthwise),
            ("pointwise", pointwise),
        ] {
            x = self.graph.push(&format!("{at}.{part}"), op, &[x]);
        }
        x
    }

    /// The auxiliary head on a map of 7×7 or 8×8 ([`Skeleton::check`] sees to that): ReLU, mean over 5×5
    /// windows to 2×2, 128 channels, 768 channels of 1×1, linear. For ImageNet the second batch
    /// norm is missing, as in the published code.
    fn auxiliary(&mut self, skeleton: &Skeleton, x: usize) -> usize {
        let side = self.graph.shape(x).h;
        let (g, rule) = (&mut self.graph, self.rules.auxiliary);
        let pool = NodeOp::AvgPool(Window {
            kernel: 5,
            stride: if side == 8 { 3 } else { 2 },
            padding: Padding::Valid,
        });
        let norm = match skeleton.stem {
            Stem::Cifar => Norm::Affine,
            Stem::Imagenet => Norm::None,
        };
        let conv = |kernel, padding, norm| NodeOp::Conv {
            kernel,
            stride: 1,
            dilation: 1,
            padding,
            depthwise: false,
            norm,
            relu: true,
            rule,
        };
        let x = g.push("auxiliary.relu", NodeOp::Relu, &[x]);
        let x = g.push("auxiliary.pool", pool, &[x]);
        let first = conv(1, Padding::Same, Norm::Affine);
        let x = g.wide("auxiliary.0", first, &[x], 128);
        let x = g.wide("auxiliary.1", conv(2, Padding::Valid, norm), &[x], 768);
        let head = NodeOp::Linear { rule };
        g.wide("auxiliary.head", head, &[x], skeleton.n_classes)
    }

    fn norm(&self) -> Norm {
        match self.phase {
            Phase::Search => Norm::Plain,
            Phase::Final => Norm::Affine,
        }
    }
}
