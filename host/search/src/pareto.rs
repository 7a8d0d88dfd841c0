//! Constrained domination, non-dominated sorting and crowding distance.
//!
//! Source: K. Deb, A. Pratap, S. Agarwal, T. Meyarivan, "A fast and elitist multiobjective genetic
//! algorithm: NSGA-II", IEEE Trans. Evol. Comput. 6(2), 2002, sections III-A, III-B and VI.
//! Our own 100 lines because the published crates (`nsga_rs`, `nsga`) own the main loop and its random
//! numbers and encode a candidate as a fixed record of scalar variables; a resumable study over a
//! genotype of variable length needs ask and tell.

use std::cmp::Ordering;

/// Number of objectives.
pub const N_OBJECTIVES: usize = 5;

/// A candidate in objective space.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// To be minimised; finite.
    pub objectives: [f64; N_OBJECTIVES],
    /// 0 if every constraint is kept, else how far it is from that.
    pub violation: f64,
}

impl Point {
    /// Whether `self` constrained-dominates `other`: it violates less, or neither violates and it is
    /// nowhere worse and somewhere better.
    pub fn dominates(&self, other: &Point) -> bool {
        match self.violation.total_cmp(&other.violation) {
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal => {
                let pairs = || self.objectives.iter().zip(&other.objectives);
                pairs().all(|(a, b)| a <= b) && pairs().any(|(a, b)| a < b)
            }
        }
    }
}

/// Indices of `points` in fronts: the first is dominated by none, each next only by earlier ones.
/// Within a front indices ascend.
pub fn non_dominated_sort(points: &[Point]) -> Vec<Vec<usize>> {
    let n = points.len();
    let mut dominated: Vec<Vec<usize>> = vec![vec![]; n];
    let mut n_dominators = vec![0_usize; n];
    for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
        if points[i].dominates(&points[j]) {
            dominated[i].push(j);
            n_dominators[j] += 1;
        }
    }
    let mut fronts = vec![];
    let mut front: Vec<usize> = (0..n).filter(|&i| n_dominators[i] == 0).collect();
    while !front.is_empty() {
        let mut next = vec![];
        for &j in front.iter().flat_map(|&i| &dominated[i]) {
            n_dominators[j] -= 1;
            if n_dominators[j] == 0 {
                next.push(j);
            }
        }
        next.sort_unstable();
        fronts.push(std::mem::replace(&mut front, next));
    }
    fronts
}

/// Crowding distance of each member of `front`: the sum over objectives of the gap between its two
/// neighbours, relative to the front's range; infinite at the ends. An objective in which all are equal
/// does not count.
pub fn crowding(points: &[Point], front: &[usize]) -> Vec<f64> {
    let mut distance = vec![0.0; front.len()];
    for objective in 0..N_OBJECTIVES {
        let value = |member: usize| points[front[member]].objectives[objective];
        let mut order: Vec<usize> = (0..front.len()).collect();
        order.sort_by(|&a, &b| value(a).total_cmp(&value(b)).then(a.cmp(&b)));
        let (Some(&first), Some(&last)) = (order.first(), order.last()) else {
            break;
        };
        let range = value(last) - value(first);
        if range > 0.0 {
            (distance[first], distance[last]) = (f64::INFINITY, f64::INFINITY);
            for w in order.windows(3) {
                distance[w[1]] += (value(w[2]) - value(w[0])) / range;
            }
        }
    }
    distance
}

/// All indices from best to worst: by front, then the less crowded, then the earlier.
pub fn ranking(points: &[Point]) -> Vec<usize> {
    let mut order = vec![];
    for front in non_dominated_sort(points) {
        let distance = crowding(points, &front);
        let mut members: Vec<usize> = (0..front.len()).collect();
        members.sort_by(|&a, &b| distance[b].total_cmp(&distance[a]).then(a.cmp(&b)));
        order.extend(members.into_iter().map(|m| front[m]));
    }
    order
}
