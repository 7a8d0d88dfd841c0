//! The skeleton around the cells of DARTS, and lowering a genotype into it.

use super::layers::{CellPlace, Layers, Phase};
use super::{Edge, Genotype, Op};
use crate::graph::Graph;
use crate::{Coverage, GenotypeError, Network, NodeOp, Shape, SpaceError};
use serde::{Deserialize, Serialize};

/// The layers before the first cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stem {
    /// One 3×3 convolution to 3·C channels.
    Cifar,
    /// Three 3×3 convolutions with stride 2: the map shrinks to an eighth.
    Imagenet,
}

/// Everything about a network but its cells: `n_cells` cells, of which those at `⌊L/3⌋` and `⌊2L/3⌋`
/// are reduction cells, on `channels` channels before the first reduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skeleton {
    /// Shape of the images.
    pub input: Shape,
    /// Number of classes.
    pub n_classes: usize,
    /// Channels C of an operation in the first cells, even.
    pub channels: usize,
    /// Cells L.
    pub n_cells: usize,
    /// The layers before.
    pub stem: Stem,
    /// Whether an auxiliary head reads the cell at `⌊2L/3⌋` in training.
    pub auxiliary: bool,
    /// Whether operations other than the identity are dropped at random in training.
    pub drop_path: bool,
    /// Which layers follow their rule genes.
    pub coverage: Coverage,
}

impl Skeleton {
    /// The published final network for CIFAR: C 36, L 20, with auxiliary head and drop-path.
    pub fn cifar(n_classes: usize) -> Self {
        Self {
            input: Shape { h: 32, w: 32, c: 3 },
            n_classes,
            channels: 36,
            n_cells: 20,
            stem: Stem::Cifar,
            auxiliary: true,
            drop_path: true,
            coverage: Coverage::All,
        }
    }

    /// The published final network for ImageNet: C 48, L 14, with auxiliary head.
    pub fn imagenet() -> Self {
        let side = 224;
        Self {
            input: Shape {
                h: side,
                w: side,
                c: 3,
            },
            channels: 48,
            n_cells: 14,
            stem: Stem::Imagenet,
            drop_path: false,
            ..Self::cifar(1000)
        }
    }

    /// The published supernet for CIFAR-10: C 16, L 8.
    pub fn search() -> Self {
        Self {
            channels: 16,
            n_cells: 8,
            auxiliary: false,
            drop_path: false,
            ..Self::cifar(10)
        }
    }

    /// Whether cell `i` is a reduction cell.
    pub fn is_reduction(&self, i: usize) -> bool {
        i == self.n_cells / 3 || i == self.auxiliary_after()
    }

    /// The cell that the auxiliary head reads.
    pub(super) fn auxiliary_after(&self) -> usize {
        2 * self.n_cells / 3
    }

    /// Checks the fields once, before anything is lowered.
    ///
    /// # Errors
    /// The first field out of its range.
    pub fn check(&self) -> Result<(), SpaceError> {
        let Shape { h, w, c } = self.input;
        let side = |side: usize| {
            let stem = if self.stem == Stem::Imagenet { 3 } else { 0 };
            let reductions = self.n_cells.clamp(1, 2);
            (0..stem + reductions).fold(side, |s, _| s.div_ceil(2))
        };
        let map = (side(h), side(w));
        let fits = map.0 == map.1 && matches!(map.0, 7 | 8);
        let even = |c: usize| (2..=512).contains(&c) && c.is_multiple_of(2);
        for (field, ok, got, allowed) in [
            (
                "input",
                h.min(w).min(c) > 0,
                format!("{h}×{w}×{c}"),
                "no dimension is zero",
            ),
            (
                "n_classes",
                self.n_classes > 0,
                self.n_classes.to_string(),
                "at least 1",
            ),
            (
                "channels",
                even(self.channels),
                self.channels.to_string(),
                "even numbers up to 512",
            ),
            (
                "n_cells",
                (1..=64).contains(&self.n_cells),
                self.n_cells.to_string(),
                "1 to 64",
            ),
            (
                "auxiliary",
                !self.auxiliary || fits,
                format!("true with a map of {}×{}", map.0, map.1),
                "true with a map of 7×7 or 8×8 after the last reduction, or false",
            ),
        ] {
            if !ok {
                return Err(SpaceError {
                    field,
                    got,
                    allowed,
                });
            }
        }
        Ok(())
    }

    /// Spells out `genotype`.
    ///
    /// # Errors
    /// The skeleton or the genotype is not valid.
    pub fn lower(&self, genotype: &Genotype) -> Result<Network, GenotypeError> {
        self.check()?;
        genotype.validate()?;
        let layers = Layers {
            graph: Graph::new(self.input),
            rules: genotype.rules.map(|rule| self.coverage.off_edge(rule)),
            searched: vec![],
            phase: Phase::Final,
        };
        Ok(layers.stack(self, |layers, place, inputs| {
            self.cell(layers, genotype, place, inputs)
        }))
    }

    fn cell(
        &self,
        layers: &mut Layers,
        genotype: &Genotype,
        place: &CellPlace,
        inputs: [usize; 2],
    ) -> usize {
        let cell = if place.reduction {
            &genotype.reduction
        } else {
            &genotype.normal
        };
        let mut states = inputs.to_vec();
        for (i, edges) in cell.iter().enumerate() {
            let name = format!("{}.node{}", place.name, i + 2);
            let mut addend = |j: usize, edge: Edge| {
                let stride = if place.reduction && edge.from < 2 {
                    2
                } else {
                    1
                };
                self.edge(
                    layers,
                    &format!("{name}.{j}"),
                    edge,
                    states[edge.from],
                    stride,
                )
            };
            let sum = [addend(0, edges[0]), addend(1, edges[1])];
            states.push(layers.graph.push(&name, NodeOp::Add, &sum));
        }
        layers.graph.push(
            &format!("{}.concat", place.name),
            NodeOp::Concat,
            &states[2..],
        )
    }

    fn edge(&self, layers: &mut Layers, at: &str, edge: Edge, x: usize, stride: usize) -> usize {
        let (op, rule) = (edge.gene.op(), edge.gene.rule());
        let y = layers.operation(at, (op, rule), x, stride);
        if !self.drop_path || (op == Op::Skip && stride == 1) {
            return y;
        }
        layers
            .graph
            .push(&format!("{at}.drop"), NodeOp::DropPath, &[y])
    }
}
