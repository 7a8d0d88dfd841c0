//! The mixtures of a supernet under coefficients from outside, and a pass through it.
//!
//! Knows what a coefficient multiplies, not where it comes from: that is `supernet`.

use super::route::Route;
use super::{Model, Moment, Taped, numbers_of, vector};
use crate::ops::{LearnOps, unwrap, wrap};
use aplysia_space::{Mixture, NodeOp};
use burn::backend::Autodiff;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;

/// A number that mixes, and its place on the tape.
#[derive(Clone, Debug)]
struct Coefficient<B: LearnOps> {
    value: f32,
    leaf: Tensor<Autodiff<B>, 1>,
}

/// Coefficients by table, row and column; none for what takes no part. Column 0 of candidates, `none`,
/// never does.
#[derive(Clone, Debug)]
pub(crate) struct Mixing<B: LearnOps> {
    candidates: Vec<Vec<Option<Coefficient<B>>>>,
    edges: Vec<Vec<Option<Coefficient<B>>>>,
    places: Vec<Vec<Option<Coefficient<B>>>>,
    /// Whether the gradients of the weights are wanted.
    weights: bool,
}

/// What a pass is differentiated by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) coefficients: bool,
    pub(crate) weights: bool,
}

/// Numbers by row and column.
pub(crate) type Table = Vec<Vec<Option<f32>>>;

impl<B: LearnOps> Mixing<B> {
    /// The tables of candidates, edges and places on the tape.
    pub(crate) fn new(tables: [&Table; 3], wanted: Wanted, device: &B::Device) -> Self {
        let all = tables.into_iter().flatten().flatten();
        let all = all.copied().flatten().collect();
        let all: Tensor<B, 1> = vector(all, device);
        let mut next = 0;
        let mut place = |&value: &f32| {
            let leaf = Tensor::from_inner(all.clone().slice(next..next + 1));
            next += 1;
            let leaf = if wanted.coefficients {
                leaf.require_grad()
            } else {
                leaf
            };
            Coefficient { value, leaf }
        };
        let mut table = |table: &Table| {
            let row =
                |row: &Vec<Option<f32>>| row.iter().map(|c| c.as_ref().map(&mut place)).collect();
            table.iter().map(row).collect()
        };
        let [candidates, edges, places] = tables.map(&mut table);
        Self {
            candidates,
            edges,
            places,
            weights: wanted.weights,
        }
    }

    /// The coefficient of input `j` of a mixture.
    fn at(&self, (of, row): (Mixture, usize), j: usize) -> Option<&Coefficient<B>> {
        match of {
            Mixture::Candidates => self.candidates[row].get(j + 1)?.as_ref(),
            Mixture::Edges => self.edges[row].get(j)?.as_ref(),
            Mixture::Places => self.places[row].get(j)?.as_ref(),
        }
    }

    /// `Σ c_j·x_j` over the inputs that take part, given in their order.
    fn sum(
        &self,
        mixture: (Mixture, usize),
        n: usize,
        inputs: Vec<Tensor<Autodiff<B>, 4>>,
    ) -> Option<Tensor<Autodiff<B>, 4>> {
        let coefficients = (0..n).filter_map(|j| self.at(mixture, j));
        let terms = coefficients.zip(inputs).map(|(c, x)| {
            let y = Autodiff::<B>::scale(unwrap(x), unwrap(c.leaf.clone()), c.value);
            wrap::<Autodiff<B>, 4>(y)
        });
        terms.reduce(|sum, term| sum + term)
    }

    /// Gradients by the coefficients of candidates, edges and places; 0 where none arrives.
    pub(crate) fn gradients(
        &self,
        grads: &<Autodiff<B> as AutodiffBackend>::Gradients,
    ) -> [Vec<Vec<f64>>; 3] {
        let tables = [&self.candidates, &self.edges, &self.places];
        let all = || tables.into_iter().flatten().flatten();
        let grad = |c: &Option<Coefficient<B>>| c.as_ref().and_then(|c| c.leaf.grad(grads));
        let mut read = numbers_of(all().filter_map(grad).collect()).into_iter();
        let mut of = |c: &Option<Coefficient<B>>| match grad(c) {
            Some(_) => read.next().map_or(0.0, |g| f64::from(g[0])),
            None => 0.0,
        };
        tables.map(|table| {
            let row = |row: &Vec<_>| row.iter().map(&mut of).collect();
            table.iter().map(row).collect()
        })
    }
}

impl<B: LearnOps> Model<B> {
    /// [`Model::forward`] of a supernet: only what takes part is computed.
    pub(crate) fn forward_mixed(
        &self,
        mixing: &Mixing<B>,
        images: Tensor<B, 4>,
        now: Moment,
    ) -> Taped<B> {
        let route = Route::shared(&self.network, |i, j| match self.network.nodes[i].op {
            NodeOp::Mix { of, row } => mixing.at((of, row), j).is_some(),
            _ => true,
        });
        let mix = |i: usize, inputs| {
            let node = &self.network.nodes[i];
            match node.op {
                NodeOp::Mix { of, row } => mixing.sum((of, row), node.inputs.len(), inputs),
                _ => None,
            }
        };
        self.pass(&route, mix, mixing.weights, (images, now))
    }
}
