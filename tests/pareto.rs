//! Ranking: non-dominated sorting against its definition, crowding and promotion by hand.

use aplysia_search::Halving;
use aplysia_search::pareto::{self, Point};
use proptest::prelude::*;

/// The fronts by the definition: remove what nothing left dominates, again and again.
fn fronts_by_definition(points: &[Point]) -> Vec<Vec<usize>> {
    let better = |a: &Point, b: &Point| {
        if a.violation != b.violation {
            return a.violation < b.violation;
        }
        (0..pareto::N_OBJECTIVES).all(|k| a.objectives[k] <= b.objectives[k])
            && a.objectives != b.objectives
    };
    let mut left: Vec<usize> = (0..points.len()).collect();
    let mut fronts = vec![];
    while !left.is_empty() {
        let beaten = |i: usize| left.iter().any(|&j| better(&points[j], &points[i]));
        let (rest, front) = left.iter().copied().partition(|&i| beaten(i));
        left = rest;
        fronts.push(front);
    }
    fronts
}

fn a_point() -> impl Strategy<Value = Point> {
    let axis = || (0..4_u8).prop_map(f64::from);
    let violation = prop_oneof![Just(0.0), Just(0.0), axis()];
    let objectives = [axis(), axis(), axis(), axis(), axis()];
    (objectives, violation).prop_map(|(objectives, violation)| Point {
        objectives,
        violation,
    })
}

proptest! {
    #[test]
    fn sorting_equals_the_definition(points in prop::collection::vec(a_point(), 0..40)) {
        let fronts = pareto::non_dominated_sort(&points);
        prop_assert_eq!(&fronts, &fronts_by_definition(&points));
        let ranking = pareto::ranking(&points);
        let mut all = ranking.clone();
        all.sort_unstable();
        prop_assert_eq!(all, (0..points.len()).collect::<Vec<_>>());
        let front_of = |i: &usize| fronts.iter().position(|f| f.contains(i)).unwrap();
        prop_assert!(ranking.is_sorted_by_key(front_of));
    }
}

#[test]
fn crowding_by_hand() {
    let at = |x: f64, y: f64| Point {
        objectives: [x, y, 0.0, 0.0, 0.0],
        violation: 0.0,
    };
    let points = [at(0.0, 4.0), at(1.0, 3.0), at(4.0, 0.0), at(2.0, 1.0)];
    let distance = pareto::crowding(&points, &[0, 1, 2, 3]);
    // Of the two inner points the first has gaps 2/4 and 3/4, the last 3/4 and 3/4.
    assert_eq!(distance[0], f64::INFINITY);
    assert_eq!(distance[2], f64::INFINITY);
    assert_eq!((distance[1], distance[3]), (1.25, 1.5));
}

#[test]
fn promotion_by_hand() {
    let halving = Halving {
        budgets: vec![1, 3, 9],
        eta: 3,
    };
    assert_eq!([0, 1, 2].map(|r| halving.n_on_rung(10, r)), [10, 3, 1]);
    assert_eq!([0, 1, 2].map(|r| halving.n_on_rung(2, r)), [2, 1, 1]);
    assert_eq!((halving.n_jobs(10), halving.n_jobs(0)), (14, 0));
    let at = |accuracy: f64, cost: f64| Point {
        objectives: [-accuracy, 0.0, cost, cost, cost],
        violation: 0.0,
    };
    // The last is beaten by the first; of the others the more accurate go on.
    let points = [at(0.8, 2.0), at(0.5, 1.0), at(0.9, 3.0), at(0.7, 2.5)];
    assert_eq!(Halving::promote(&points, 2), [0, 2]);
    assert_eq!(Halving::promote(&points, 3), [0, 1, 2]);
    assert_eq!(Halving::promote(&points, 9), [0, 1, 2, 3]);
}
