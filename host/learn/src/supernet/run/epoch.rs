//! The end of an epoch: what the architecture favours, how sharp its loss is, whether to go on.

use super::{Check, Run, SupernetEpoch};
use crate::ops::LearnOps;
use crate::supernet::architecture::{Tables, edge_row};
use crate::supernet::gradient::{LOGITS, Place};
use crate::supernet::{Stop, stability};
use crate::{Augment, LearnError};
use aplysia_space::darts::{Genotype, Op};

/// Identities that [`Stop::Skips`] allows where no number is set.
const USUAL_SKIPS: usize = 2;

/// Epoch from which on a rising curvature ends the search.
const FIRST_STOP: usize = 10;

impl<B: LearnOps> Run<'_, B> {
    /// The genotype of `logits`, with at most `max_skips` identities in the normal cell.
    pub(super) fn genotype(
        &self,
        logits: &Tables,
        max_skips: Option<usize>,
    ) -> Result<Genotype, LearnError> {
        let mut strengths = self.engine.layout.strengths(logits);
        let supernet = self.job.supernet;
        let places = supernet.places(&self.engine.layout.coefficients(logits).places)?;
        let columns: Vec<usize> = (0..supernet.candidates.len())
            .filter(|&j| supernet.candidates[j].op == Some(Op::Skip))
            .collect();
        loop {
            let genotype = supernet.discretize(&strengths, places)?;
            let rows = skips(&genotype);
            if rows.len() <= max_skips.unwrap_or(usize::MAX) {
                return Ok(genotype);
            }
            let strength = |row: &usize| columns.iter().map(|&j| strengths[*row][j]).sum::<f64>();
            let weaker = |a: &&usize, b: &&usize| strength(a).total_cmp(&strength(b));
            if let Some(&row) = rows.iter().min_by(weaker) {
                columns.iter().for_each(|&j| strengths[row][j] = 0.0);
            }
        }
    }

    pub(super) fn close_epoch(&mut self) -> Result<(), LearnError> {
        let epoch = self.epoch();
        let [weights, logits] = std::mem::take(&mut self.state.sums).map(|sum| sum.mean());
        let (loss, accuracy) = weights.unwrap_or_default();
        let eigenvalue = self.curvature(epoch)?;
        let genotype = self.genotype(&self.state.logits, self.job.config.max_skips)?;
        self.state.history.push(SupernetEpoch {
            epoch,
            loss,
            accuracy,
            alpha_loss: logits.map(|(loss, _)| loss),
            alpha_accuracy: logits.map(|(_, share)| share),
            eigenvalue,
            genotype,
        });
        self.stop_early(epoch)?;
        self.state.before = self.state.logits.clone();
        Ok(())
    }

    /// Ends the search, and takes the logits back, where the settings say so.
    fn stop_early(&mut self, epoch: usize) -> Result<(), LearnError> {
        let back = match self.job.config.stop {
            Stop::Never => None,
            Stop::Eigenvalue => {
                let all: Vec<f64> = self.state.checks.iter().map(|c| c.eigenvalue).collect();
                let ends = epoch >= FIRST_STOP && stability::is_sharpening(&all);
                let back = self.state.checks.iter().rev().nth(stability::LOOK_BACK);
                back.filter(|_| ends).map(|check| check.logits.clone())
            }
            Stop::Skips => {
                let allowed = self.job.config.max_skips.unwrap_or(USUAL_SKIPS);
                let n = skips(&self.genotype(&self.state.logits, None)?).len();
                (n > allowed && epoch > 1).then(|| self.state.before.clone())
            }
        };
        if let Some(logits) = back {
            self.state.logits = logits;
            self.state.stopped = true;
        }
        Ok(())
    }

    /// Evaluates the curvature where it is due, on one batch of the architecture's images as they are.
    fn curvature(&mut self, epoch: usize) -> Result<Option<f64>, LearnError> {
        let c = self.job.config;
        let due = c.stop == Stop::Eigenvalue && epoch.is_multiple_of(c.curvature_epochs);
        if !due || epoch <= c.warm_epochs {
            return Ok(None);
        }
        let some = &self.feed.halves[1][..self.feed.batch_len()];
        let at = (self.state.step, 1);
        let batch = self.feed.batch(&Augment::NONE, some, at)?;
        // The same random numbers each time, so that the values compare.
        let draw = self.draw_at(0);
        let at = Place {
            step: self.state.step,
            draw: &draw,
            bonus: self.bonus(),
        };
        let logits = &self.state.logits;
        let how = (self.job.training.seed, c.curvature_iterations);
        let eigenvalue = stability::dominant_eigenvalue(&logits.numbers(), how, |numbers| {
            let moved = logits.with(numbers);
            let look = self.engine.look(&batch, &moved, LOGITS, at)?;
            Ok::<_, LearnError>(look.by_logits.map_or(vec![], |g| g.numbers()))
        })?;
        let logits = logits.clone();
        self.state.checks.push(Check { eigenvalue, logits });
        Ok(Some(eigenvalue))
    }
}

/// Rows of the edges of the normal cell that are identities.
fn skips(genotype: &Genotype) -> Vec<usize> {
    let nodes = genotype.normal.iter().enumerate();
    let edges = nodes.flat_map(|(i, node)| node.iter().map(move |edge| (i, edge)));
    let skips = edges.filter(|(_, edge)| edge.gene.op() == Op::Skip);
    skips
        .map(|(i, edge)| edge_row(false, i, edge.from))
        .collect()
}
