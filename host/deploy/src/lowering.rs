//! Layer graph of a space → the layers that the runtime has, still without numbers.
//!
//! Owns what becomes of a node: which layers it takes, which need none. Must not know scales, the arena or
//! bytes. Flow: `space`'s [`Network`] → **`lowering`** → [`mod@crate::quantize`], [`crate::assemble`]. The layers
//! come in the order that [`crate::arena`] finds best.
//!
//! - A ReLU is the limit of the layer before it if nothing else reads that; else one placing, shared by all
//!   who read it. One that only convolutions 1×1 with stride read is taken on every other pixel.
//! - A concatenation is one placing per input, each as soon as its input is there.
//! - A FactorizedReduce is two samples of the map (from pixel 0 and from pixel 1), two pointwise
//!   convolutions and a concatenation.
//! - Batch norm on its own is a depthwise 1×1 convolution.
//! - Sums with zeros, zeros behind pools and ReLUs, and drop-path take nothing.

mod roots;

use crate::DeployError;
use crate::arena::{self, Arrangement, Work};
use crate::assemble::narrow;
use aplysia_shared::{AddScales, Op, Placing, Scaling, Tensor, Window};
use aplysia_space::{Network, NodeOp, Padding, Shape};
use roots::Roots;

/// What a layer computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepOp {
    /// Dense convolution.
    Conv(Window),
    /// One filter per channel.
    Depthwise(Window),
    /// Matrix product.
    Linear,
    /// Sum of two.
    Add,
    /// Maximum over windows.
    MaxPool(Window),
    /// Mean over windows.
    AvgPool(Window),
    /// Mean over all pixels.
    GlobalAvgPool,
    /// Every `stride`-th pixel from `offset` on to the channels from `first` on.
    Place {
        /// First output channel.
        first: usize,
        /// Step.
        stride: usize,
        /// First row and column.
        offset: usize,
        /// Whether only the shape matters: the values are real 0.
        zero: bool,
    },
}

/// One layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// What it computes.
    pub(crate) op: StepOp,
    /// Values it reads; twice the same if it reads one.
    pub(crate) inputs: [usize; 2],
    /// Value it writes.
    pub(crate) output: usize,
    /// Node it comes from.
    pub(crate) node: usize,
    /// Position of its parameters among those of [`Network::weighted`].
    pub(crate) params: Option<usize>,
}

/// One activation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    /// Shape.
    pub(crate) shape: Shape,
    /// Node whose output it is.
    pub(crate) node: usize,
    /// Value whose scale and zero point it has.
    pub(crate) keeps: Option<usize>,
    /// Whether negative values are cut off.
    pub(crate) relu: bool,
}

/// A network as layers in execution order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lowered {
    /// Activations; the first is the input, the last the output.
    pub(crate) values: Vec<Value>,
    /// Layers in execution order.
    pub(crate) steps: Vec<Step>,
    /// Where the values lie; its order is that of `steps`.
    pub(crate) arena: Arrangement,
}

impl Lowered {
    /// Lowers what the classifier needs of `network`.
    ///
    /// # Errors
    /// [`DeployError::Unsupported`] names the first node that the runtime cannot compute.
    pub(crate) fn new(network: &Network) -> Result<Self, DeployError> {
        let mut lowering = Lowering {
            network,
            roots: Roots::new(network),
            places: vec![None; network.nodes.len()],
            params: params(network),
            values: vec![],
            steps: vec![],
        };
        for node in 0..network.nodes.len() {
            if lowering.roots.is_needed(node) {
                lowering.node(node)?;
            }
        }
        let Lowering { values, steps, .. } = lowering;
        let arena = work(&values, &steps)?.arrange();
        Ok(Self {
            steps: arena.order.iter().map(|&step| steps[step]).collect(),
            values,
            arena,
        })
    }
}

/// What has to be done in the arena.
fn work(values: &[Value], steps: &[Step]) -> Result<Work, DeployError> {
    let tensor = |value: &Value| -> Result<Tensor, DeployError> {
        Ok(Tensor {
            h: narrow("rows", value.shape.h)?,
            w: narrow("columns", value.shape.w)?,
            c: narrow("channels", value.shape.c)?,
            scale: 1.0,
            zero_point: 0,
            offset: 0,
        })
    };
    let tensors: Vec<Tensor> = values.iter().map(tensor).collect::<Result<_, _>>()?;
    let scaling = Scaling::new(0, 0);
    let over = |step: &Step| {
        let op = match step.op {
            StepOp::Depthwise(window) => Op::DepthwiseConv2d(window),
            StepOp::Add => Op::Add(AddScales {
                lhs: scaling,
                rhs: scaling,
                output: scaling,
            }),
            StepOp::Place {
                first,
                stride,
                offset,
                ..
            } => Op::Place(placing(scaling, [first, stride, offset])),
            _ => Op::FullyConnected,
        };
        arena::step(&tensors, &op, step.inputs, step.output)
    };
    Ok(Work {
        bytes: values.iter().map(|value| value.shape.len()).collect(),
        steps: steps.iter().map(over).collect(),
        input: 0,
        output: values.len() - 1,
    })
}

/// Channels are below 65536, as the tensors' were found to be; steps are those of the space.
pub(crate) fn placing(scaling: Scaling, [first, stride, offset]: [usize; 3]) -> Placing {
    Placing {
        scaling,
        first: first as u16,
        stride: stride as u8,
        offset: offset as u8,
    }
}

/// For each node the position of its parameters.
fn params(network: &Network) -> Vec<Option<usize>> {
    let mut params = vec![None; network.nodes.len()];
    for (at, node) in network.weighted().enumerate() {
        params[node] = Some(at);
    }
    params
}

struct Lowering<'n> {
    network: &'n Network,
    roots: Roots<'n>,
    /// The value of each node that has one.
    places: Vec<Option<usize>>,
    params: Vec<Option<usize>>,
    values: Vec<Value>,
    steps: Vec<Step>,
}

impl Lowering<'_> {
    fn node(&mut self, i: usize) -> Result<(), DeployError> {
        let node = &self.network.nodes[i];
        let pool = |w: aplysia_space::Window| window(w.kernel, w.stride, 1, w.padding);
        match node.op {
            NodeOp::Input => {
                self.value(i, node.shape, None);
            }
            // When somebody asks for them.
            NodeOp::Relu | NodeOp::Shift | NodeOp::Zero => {}
            _ if self.roots.zero[i] => {}
            NodeOp::Conv {
                kernel,
                stride,
                dilation,
                padding,
                depthwise,
                ..
            } => {
                let thin = (kernel, depthwise) == (1, false) && stride > 1;
                let sampled = match thin {
                    true => self.sampled(node.inputs[0], stride)?,
                    false => None,
                };
                let (x, stride) = match sampled {
                    Some(x) => (x, 1),
                    None => (self.of(node.inputs[0])?, stride),
                };
                let window = window(kernel, stride, dilation, padding);
                let op = match depthwise {
                    true => StepOp::Depthwise(window),
                    false => StepOp::Conv(window),
                };
                self.layer(i, op, [x; 2], None);
            }
            NodeOp::BatchNorm { .. } => {
                let x = self.of(node.inputs[0])?;
                self.layer(i, StepOp::Depthwise(Window::square(1, 1, 0)), [x; 2], None);
            }
            NodeOp::Linear { .. } => self.unary(i, StepOp::Linear)?,
            NodeOp::GlobalAvgPool => self.unary(i, StepOp::GlobalAvgPool)?,
            NodeOp::MaxPool(w) => self.pool(i, StepOp::MaxPool(pool(w)))?,
            NodeOp::AvgPool(w) => self.pool(i, StepOp::AvgPool(pool(w)))?,
            NodeOp::Add => {
                let inputs = [self.of(node.inputs[0])?, self.of(node.inputs[1])?];
                self.layer(i, StepOp::Add, inputs, None);
            }
            NodeOp::Concat => self.concat(i)?,
            _ => return Err(DeployError::unsupported(node)),
        }
        Ok(())
    }

    fn unary(&mut self, i: usize, op: StepOp) -> Result<(), DeployError> {
        let x = self.of(self.network.nodes[i].inputs[0])?;
        self.layer(i, op, [x; 2], None);
        Ok(())
    }

    fn pool(&mut self, i: usize, op: StepOp) -> Result<(), DeployError> {
        let x = self.of(self.network.nodes[i].inputs[0])?;
        self.layer(i, op, [x; 2], Some(x));
        Ok(())
    }

    fn concat(&mut self, i: usize) -> Result<(), DeployError> {
        let inputs = self.network.nodes[i].inputs.iter();
        let inputs: Vec<usize> = inputs.map(|&j| self.of(j)).collect::<Result<_, _>>()?;
        let output = self.value(i, self.network.nodes[i].shape, None);
        let mut first = 0;
        for x in inputs {
            self.place(i, x, output, (first, 1, 0));
            first += self.values[x].shape.c;
        }
        Ok(())
    }

    /// A new value for node `i`, cut off below 0 if every reader is a ReLU.
    fn value(&mut self, i: usize, shape: Shape, keeps: Option<usize>) -> usize {
        let fused = self.roots.fused_relu(i);
        let own = matches!(self.network.nodes[i].op, NodeOp::Conv { relu: true, .. });
        self.values.push(Value {
            shape,
            node: fused.unwrap_or(i),
            keeps,
            relu: own || fused.is_some(),
        });
        self.places[i] = Some(self.values.len() - 1);
        self.values.len() - 1
    }

    /// Ends node `i`: a layer that writes its value.
    fn layer(&mut self, i: usize, op: StepOp, inputs: [usize; 2], keeps: Option<usize>) {
        let output = self.value(i, self.network.nodes[i].shape, keeps);
        self.steps.push(Step {
            op,
            inputs,
            output,
            node: i,
            params: self.params[i],
        });
    }

    fn place(
        &mut self,
        node: usize,
        from: usize,
        output: usize,
        (first, stride, offset): (usize, usize, usize),
    ) {
        self.steps.push(Step {
            op: StepOp::Place {
                first,
                stride,
                offset,
                zero: self.roots.zero[node],
            },
            inputs: [from; 2],
            output,
            node,
            params: None,
        });
    }

    /// The value of node `i`, made if it was left out until now.
    fn of(&mut self, i: usize) -> Result<usize, DeployError> {
        let i = self.roots.root[i];
        if let Some(value) = self.places[i] {
            return Ok(value);
        }
        let node = &self.network.nodes[i];
        if self.roots.zero[i] {
            let twin = self.values.iter().rposition(|v| v.shape == node.shape);
            let twin = twin.ok_or_else(|| DeployError::unsupported(node))?;
            let output = self.value(i, node.shape, None);
            self.place(i, twin, output, (0, 1, 0));
            return Ok(output);
        }
        let x = self.roots.root[node.inputs[0]];
        let from = self.of(x)?;
        match node.op {
            NodeOp::Relu if self.roots.fused_relu(x).is_some() => {
                self.places[i] = Some(from);
                Ok(from)
            }
            NodeOp::Relu => {
                let output = self.value(i, node.shape, None);
                self.values[output].relu = true;
                self.place(i, from, output, (0, 1, 0));
                Ok(output)
            }
            _ => {
                let output = self.value(i, node.shape, Some(from));
                self.place(i, from, output, (0, 1, 1));
                Ok(output)
            }
        }
    }

    /// Every `stride`-th pixel of node `i`, if a shift or a ReLU that is not there yet would come first.
    fn sampled(&mut self, i: usize, stride: usize) -> Result<Option<usize>, DeployError> {
        let nodes = &self.network.nodes;
        let mut x = self.roots.root[i];
        if self.roots.zero[x] {
            return Ok(None);
        }
        let shifted = nodes[x].op == NodeOp::Shift && self.places[x].is_none();
        if shifted {
            x = self.roots.root[nodes[x].inputs[0]];
        }
        let mut relu = None;
        if nodes[x].op == NodeOp::Relu && self.places[x].is_none() {
            let before = self.roots.root[nodes[x].inputs[0]];
            relu = self.roots.fused_relu(before).is_none().then_some(x);
            x = before;
        }
        if (shifted, relu) == (false, None) {
            return Ok(None);
        }
        let from = self.of(x)?;
        let Shape { h, w, c } = self.values[from].shape;
        self.values.push(Value {
            shape: Shape {
                h: h.div_ceil(stride),
                w: w.div_ceil(stride),
                c,
            },
            node: relu.unwrap_or(i),
            keeps: relu.is_none().then_some(from),
            relu: relu.is_some(),
        });
        let output = self.values.len() - 1;
        self.place(i, from, output, (0, stride, usize::from(shifted)));
        Ok(Some(output))
    }
}

/// The runtime's form of a window. Those of the spaces are 1 to 5 wide with strides and dilations of 1 or 2.
fn window(kernel: usize, stride: usize, dilation: usize, padding: Padding) -> Window {
    let pad = match padding {
        Padding::Same => dilation * (kernel - 1) / 2,
        Padding::Valid => 0,
    };
    Window {
        dilation_h: dilation as u8,
        dilation_w: dilation as u8,
        ..Window::square(kernel as u8, stride as u8, pad as u8)
    }
}
