//! From a genotype of the space `mcu` to its layer graph.

use crate::graph::Graph;
use crate::{Block, BlockOp, Genotype, GenotypeError, Network, NodeOp, Norm, Padding, Pool};
use crate::{Rule, Shape, Window};

impl Network {
    /// Spells out `genotype` for an input of shape `input`.
    ///
    /// # Errors
    /// The genotype is not valid (see [`Genotype::validate`]).
    pub fn lower(
        genotype: &Genotype,
        input: Shape,
        n_classes: usize,
    ) -> Result<Self, GenotypeError> {
        genotype.validate(input)?;
        let mut graph = Graph::new(input);
        let s = &genotype.stem;
        let stem = conv(s.kernel, s.stride, false, true, s.rule);
        let mut x = graph.wide("stem", stem, &[0], s.channels);
        for (i, b) in genotype.blocks.iter().enumerate() {
            x = block(&mut graph, &format!("block{i}"), x, b);
        }
        let rule = genotype.head.rule;
        graph.classify(x, NodeOp::Linear { rule }, n_classes);
        Ok(graph.finish(None))
    }
}

fn conv(kernel: usize, stride: usize, depthwise: bool, relu: bool, rule: Rule) -> NodeOp {
    NodeOp::Conv {
        kernel,
        stride,
        dilation: 1,
        padding: Padding::Same,
        depthwise,
        norm: Norm::Affine,
        relu,
        rule,
    }
}

fn block(graph: &mut Graph, name: &str, x: usize, b: &Block) -> usize {
    let cin = graph.shape(x).c;
    let (k, s, c) = (b.kernel, b.stride, b.channels);
    let mut layer = |part: &str, op: NodeOp, x: usize, c: usize| {
        graph.wide(&format!("{name}.{part}"), op, &[x], c)
    };
    let mut y = match b.op {
        BlockOp::Conv => layer("conv", conv(k, s, false, true, b.rules[0]), x, c),
        BlockOp::Separable => {
            let d = layer("depthwise", conv(k, s, true, true, b.rules[0]), x, cin);
            layer("pointwise", conv(1, 1, false, true, b.rules[1]), d, c)
        }
        BlockOp::Bottleneck => {
            let e = cin * b.expansion;
            let u = layer("expand", conv(1, 1, false, true, b.rules[0]), x, e);
            let d = layer("depthwise", conv(k, s, true, true, b.rules[1]), u, e);
            layer("project", conv(1, 1, false, false, b.rules[2]), d, c)
        }
    };
    if b.residual {
        y = graph.push(&format!("{name}.add"), NodeOp::Add, &[x, y]);
    }
    let op = match b.pool {
        Pool::None => return y,
        Pool::Max => NodeOp::MaxPool(Window::HALVE),
        Pool::Avg => NodeOp::AvgPool(Window::HALVE),
    };
    graph.push(&format!("{name}.pool"), op, &[y])
}
