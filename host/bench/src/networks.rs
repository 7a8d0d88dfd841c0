//! The networks that are timed, and their graphs in a form that another framework can build.

use anyhow::{Context as _, Result};
use aplysia_space::{Design, Network, Node, NodeOp, Norm, Padding, Rule, Shape, Window};
use serde_json::{Value, json};

/// A network by name, with the images that it takes.
pub(crate) struct Named {
    pub(crate) name: &'static str,
    genotype: &'static str,
    pub(crate) input: Shape,
}

/// What `compare` times.
pub(crate) const NETWORKS: [Named; 2] = [
    Named {
        name: "ds-cnn",
        genotype: include_str!("../ds-cnn.toml"),
        input: Shape { h: 28, w: 28, c: 1 },
    },
    Named {
        name: "darts",
        genotype: include_str!("../darts.toml"),
        input: Shape { h: 32, w: 32, c: 3 },
    },
];

/// Classes of every network here.
pub(crate) const N_CLASSES: usize = 10;

/// The network `name` with `rule` on every weighted layer.
pub(crate) fn network(name: &str, rule: Rule) -> Result<(Network, Shape)> {
    let found = NETWORKS.iter().find(|n| n.name == name);
    let named = found.with_context(|| {
        let all: Vec<_> = NETWORKS.iter().map(|n| n.name).collect();
        format!("no network `{name}`; use one of {}", all.join(", "))
    })?;
    let design = Design::from_toml(named.genotype)?.with_rule(rule);
    Ok((design.lower(named.input, N_CLASSES)?, named.input))
}

/// The graph: `{"input": [h, w, c], "n_params": n, "nodes": [{"op", "inputs", "channels", …}]}`, nodes in
/// execution order, what a node has beyond these by its operation.
pub(crate) fn graph(network: &Network) -> Result<Value> {
    let nodes: Vec<_> = network.nodes.iter().map(node).collect::<Result<_>>()?;
    let Shape { h, w, c } = network.nodes[0].shape;
    Ok(json!({ "input": [h, w, c], "n_params": network.total_params(), "nodes": nodes }))
}

fn node(node: &Node) -> Result<Value> {
    let pool = |op, w: Window| {
        json!({ "op": op, "kernel": w.kernel, "stride": w.stride,
            "pad": if w.padding == Padding::Same { (w.kernel - 1) / 2 } else { 0 } })
    };
    let mut value = match node.op {
        NodeOp::Input => json!({ "op": "input" }),
        NodeOp::Conv {
            kernel,
            stride,
            dilation,
            padding,
            depthwise,
            norm,
            relu,
            rule,
        } => json!({
            "op": "conv", "kernel": kernel, "stride": stride, "dilation": dilation,
            "pad": if padding == Padding::Same { dilation * (kernel - 1) / 2 } else { 0 },
            "depthwise": depthwise, "norm": norm != Norm::None, "affine": norm == Norm::Affine,
            "relu": relu, "rule": rule.name(),
        }),
        NodeOp::MaxPool(window) => pool("max_pool", window),
        NodeOp::AvgPool(window) => pool("avg_pool", window),
        NodeOp::Add => json!({ "op": "add" }),
        NodeOp::GlobalAvgPool => json!({ "op": "global_avg_pool" }),
        NodeOp::Linear { rule } => json!({ "op": "linear", "rule": rule.name() }),
        NodeOp::Relu => json!({ "op": "relu" }),
        NodeOp::BatchNorm { affine } => json!({ "op": "batch_norm", "affine": affine }),
        NodeOp::Concat => json!({ "op": "concat" }),
        NodeOp::Shift => json!({ "op": "shift" }),
        other => anyhow::bail!("{}: {other:?} is not timed", node.name),
    };
    value["inputs"] = json!(node.inputs);
    value["channels"] = json!(node.shape.c);
    Ok(value)
}
