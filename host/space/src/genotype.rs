//! The genotype of the space `mcu`: a stem, a list of blocks, global average pool, linear head.
//!
//! The text form is TOML (`genotype.toml`); [`Genotype::from_toml`] and [`Genotype::to_toml`] are
//! inverse to each other.

use crate::plasticity::{HeadRule, Plasticity};
use crate::{Rule, Shape};
use serde::{Deserialize, Serialize};

/// A network of the space `mcu`, with a learning rule on every weighted layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genotype {
    /// First convolution.
    pub stem: Stem,
    /// The linear classifier.
    pub head: Head,
    /// The blocks between, in order.
    #[serde(rename = "block", default)]
    pub blocks: Vec<Block>,
    /// What it goes on learning on the device, if that is planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plasticity: Option<Plasticity>,
}

/// First convolution: dense, ReLU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stem {
    /// Output channels, a multiple of 4.
    pub channels: usize,
    /// Window side, 3 or 5.
    pub kernel: usize,
    /// Step, 1 or 2.
    pub stride: usize,
    /// Learning rule.
    pub rule: Rule,
    /// Whether its channels keep their statistics on the device.
    #[serde(default, skip_serializing_if = "is_false")]
    pub homeostatic: bool,
}

/// The linear classifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Learning rule.
    pub rule: Rule,
}

/// One block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// The kind of block.
    pub op: BlockOp,
    /// Bottleneck only: inner channels = `expansion` × input channels, 1 to 6. Otherwise 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub expansion: usize,
    /// Window side of its k×k convolution, 3 or 5.
    pub kernel: usize,
    /// Step of its k×k convolution, 1 or 2.
    pub stride: usize,
    /// Output channels, a multiple of 4.
    pub channels: usize,
    /// Whether the input is added to the output (needs equal shapes).
    pub residual: bool,
    /// Pooling after the block.
    pub pool: Pool,
    /// One learning rule per weighted layer, in execution order ([`BlockOp::n_weighted`]).
    pub rules: Vec<Rule>,
    /// Whether the channels of each keep their statistics on the device; empty: of none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub homeostatic: Vec<bool>,
}

/// The kind of block. A ReLU follows every convolution but the last of a bottleneck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlockOp {
    /// Dense k×k convolution.
    Conv,
    /// Depthwise k×k, then pointwise.
    Separable,
    /// Inverted bottleneck (MobileNetV2): pointwise up, depthwise k×k, pointwise down without ReLU.
    Bottleneck,
}

impl BlockOp {
    /// Number of weighted layers.
    pub fn n_weighted(self) -> usize {
        match self {
            BlockOp::Conv => 1,
            BlockOp::Separable => 2,
            BlockOp::Bottleneck => 3,
        }
    }
}

/// Pooling after a block: 2×2, stride 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pool {
    /// No pooling.
    None,
    /// Maximum.
    Max,
    /// Mean.
    Avg,
}

fn one() -> usize {
    1
}

fn is_one(x: &usize) -> bool {
    *x == 1
}

fn is_false(x: &bool) -> bool {
    !x
}

/// Why a genotype is not a network. The numbers say what to change.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GenotypeError {
    /// Not the expected TOML.
    #[error("genotype text: {0}")]
    Text(String),
    /// A field is out of its range.
    #[error("{place}: {field} = {got}; allowed: {allowed}")]
    Range {
        /// Which layer.
        place: String,
        /// Which field.
        field: &'static str,
        /// Its value.
        got: usize,
        /// What is allowed.
        allowed: &'static str,
    },
    /// The number of rules differs from the number of weighted layers.
    #[error("{place}: {got} rules for {want} weighted layers")]
    Rules {
        /// Which block.
        place: String,
        /// Rules given.
        got: usize,
        /// Rules needed.
        want: usize,
    },
    /// The number of `homeostatic` flags differs from the number of weighted layers.
    #[error("{place}: {got} flags `homeostatic` for {want} weighted layers")]
    Homeostatic {
        /// Which block.
        place: String,
        /// Flags given.
        got: usize,
        /// Flags needed.
        want: usize,
    },
    /// A homeostatic layer of a genotype without a plan.
    #[error(
        "{place} is homeostatic, but there is no table `plasticity` that says what else learns"
    )]
    NoPlan {
        /// Which layer or block.
        place: String,
    },
    /// A rule of the head beside which no layer below can learn.
    #[error("plasticity: layers below learn beside a head with rule none or delta, not {head:?}")]
    Below {
        /// Rule of the head.
        head: HeadRule,
    },
    /// A residual block whose output differs from its input.
    #[error("{place}: residual needs equal shapes, but {input:?} goes in and {output:?} comes out")]
    Residual {
        /// Which block.
        place: String,
        /// Input shape.
        input: Shape,
        /// Output shape.
        output: Shape,
    },
    /// An edge of a cell that cannot be.
    #[error("{place}: edge `{edge}` {reason}")]
    Edge {
        /// Cell and node.
        place: String,
        /// The edge.
        edge: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The network around the cells cannot be built.
    #[error(transparent)]
    Skeleton(#[from] crate::SpaceError),
    /// Nothing is left of the image.
    #[error("{place}: the feature map shrinks to nothing; remove a stride or a pooling")]
    Vanished {
        /// Which block.
        place: String,
    },
}

impl Genotype {
    /// Reads the text form and checks fields (shapes are checked by [`Genotype::validate`]).
    ///
    /// # Errors
    /// [`GenotypeError::Text`] with the line and column of the fault.
    pub fn from_toml(text: &str) -> Result<Self, GenotypeError> {
        toml::from_str(text).map_err(|e| GenotypeError::Text(e.to_string()))
    }

    /// Writes the text form.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    /// Checks every field, and every shape for an input of shape `input`.
    ///
    /// # Errors
    /// The first fault found.
    pub fn validate(&self, input: Shape) -> Result<(), GenotypeError> {
        let s = &self.stem;
        check_conv("stem", s.channels, s.kernel, s.stride)?;
        let mut x = Shape {
            h: input.h.div_ceil(s.stride),
            w: input.w.div_ceil(s.stride),
            c: s.channels,
        };
        for (i, b) in self.blocks.iter().enumerate() {
            x = b.check(format!("block{i}"), x)?;
        }
        self.check_plasticity()
    }
}

impl Block {
    /// Checks the fields and the shapes for an input of shape `x`; gives the output shape.
    fn check(&self, place: String, x: Shape) -> Result<Shape, GenotypeError> {
        check_conv(&place, self.channels, self.kernel, self.stride)?;
        let max = if self.op == BlockOp::Bottleneck { 6 } else { 1 };
        let ok = (1..=max).contains(&self.expansion);
        let allowed = "1 to 6 in a bottleneck, else 1";
        check_range(&place, "expansion", self.expansion, ok, allowed)?;
        let (got, want) = (self.rules.len(), self.op.n_weighted());
        if got != want {
            return Err(GenotypeError::Rules { place, got, want });
        }
        let got = self.homeostatic.len();
        if got != 0 && got != want {
            return Err(GenotypeError::Homeostatic { place, got, want });
        }
        let (h, w) = (x.h.div_ceil(self.stride), x.w.div_ceil(self.stride));
        let y = Shape {
            h,
            w,
            c: self.channels,
        };
        if self.residual && y != x {
            return Err(GenotypeError::Residual {
                place,
                input: x,
                output: y,
            });
        }
        let side = if self.pool == Pool::None { 1 } else { 2 };
        let pooled = Shape {
            h: h / side,
            w: w / side,
            c: y.c,
        };
        if pooled.is_empty() {
            return Err(GenotypeError::Vanished { place });
        }
        Ok(pooled)
    }
}

fn check_range(
    place: &str,
    field: &'static str,
    got: usize,
    ok: bool,
    allowed: &'static str,
) -> Result<(), GenotypeError> {
    if ok {
        return Ok(());
    }
    Err(GenotypeError::Range {
        place: place.into(),
        field,
        got,
        allowed,
    })
}

fn check_conv(
    place: &str,
    channels: usize,
    kernel: usize,
    stride: usize,
) -> Result<(), GenotypeError> {
    let ok = channels > 0 && channels <= 512 && channels.is_multiple_of(4);
    check_range(place, "channels", channels, ok, "multiples of 4 up to 512")?;
    check_range(place, "kernel", kernel, matches!(kernel, 3 | 5), "3, 5")?;
    check_range(place, "stride", stride, matches!(stride, 1 | 2), "1, 2")
}
