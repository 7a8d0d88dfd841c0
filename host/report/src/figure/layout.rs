//! Places for the boxes of a graph, layer under layer.
//!
//! In short what Sugiyama, Tagawa and Toda (1981) do: a box lies one layer below the lowest it reads; an
//! edge over several layers gets a bend in each; layers are ordered by the mean place of their
//! neighbours, a few times down and up; then every layer is moved towards its neighbours.

use super::cell::Part;

/// Sweeps over all layers, for the order and for the places.
const SWEEPS: usize = 8;

/// Where everything is; pixels from the top left.
pub(crate) struct Layout {
    /// Centre of each box.
    pub(crate) centres: Vec<[f64; 2]>,
    /// Each edge as points from the bottom of one box to the top of another.
    pub(crate) edges: Vec<Vec<[f64; 2]>>,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// Sizes in pixels.
pub(crate) struct Sizes {
    pub(crate) box_width: f64,
    pub(crate) box_height: f64,
    pub(crate) bend_width: f64,
    pub(crate) gap: [f64; 2],
    pub(crate) margin: f64,
}

/// Boxes and bends by layer; the first `n` are the boxes.
struct Points {
    layer: Vec<usize>,
    above: Vec<Vec<usize>>,
    below: Vec<Vec<usize>>,
    /// Edges as chains of points.
    chains: Vec<Vec<usize>>,
}

pub(crate) fn place(parts: &[Part], sizes: &Sizes) -> Layout {
    let n = parts.len();
    let points = points(parts);
    let mut rows = vec![vec![]; points.layer.iter().max().map_or(0, |l| l + 1)];
    for (point, &layer) in points.layer.iter().enumerate() {
        rows[layer].push(point);
    }
    order(&mut rows, &points);
    let width_of = |point: usize| match point < n {
        true => sizes.box_width,
        false => sizes.bend_width,
    };
    let x = columns(&rows, &points, |a, b| {
        (width_of(a) + width_of(b)) / 2.0 + sizes.gap[0]
    });
    let left = (0..x.len()).map(|p| x[p] - width_of(p) / 2.0);
    let left = left.fold(f64::INFINITY, f64::min);
    let right = (0..x.len()).map(|p| x[p] + width_of(p) / 2.0);
    let right = right.fold(f64::NEG_INFINITY, f64::max);
    let step = sizes.box_height + sizes.gap[1];
    let centre = |p: usize| {
        let y = sizes.margin + sizes.box_height / 2.0 + step * points.layer[p] as f64;
        [x[p] - left + sizes.margin, y]
    };
    let half = sizes.box_height / 2.0;
    let edges = points.chains.iter().map(|chain| {
        let mut line = vec![];
        for (at, &p) in chain.iter().enumerate() {
            let [x, y] = centre(p);
            if at > 0 {
                line.push([x, y - half]);
            }
            if at + 1 < chain.len() {
                line.push([x, y + half]);
            }
        }
        line
    });
    Layout {
        centres: (0..n).map(centre).collect(),
        edges: edges.collect(),
        width: right - left + 2.0 * sizes.margin,
        height: step * rows.len() as f64 - sizes.gap[1] + 2.0 * sizes.margin,
    }
}

fn points(parts: &[Part]) -> Points {
    let mut layer: Vec<usize> = vec![];
    for part in parts {
        let lowest = part.inputs.iter().map(|&j| layer[j] + 1).max();
        layer.push(lowest.unwrap_or(0));
    }
    let mut chains = vec![];
    for (i, part) in parts.iter().enumerate() {
        for &j in &part.inputs {
            let mut chain = vec![j];
            for between in layer[j] + 1..layer[i] {
                chain.push(layer.len());
                layer.push(between);
            }
            chain.push(i);
            chains.push(chain);
        }
    }
    let (mut above, mut below) = (vec![vec![]; layer.len()], vec![vec![]; layer.len()]);
    for pair in chains.iter().flat_map(|chain| chain.windows(2)) {
        above[pair[1]].push(pair[0]);
        below[pair[0]].push(pair[1]);
    }
    Points {
        layer,
        above,
        below,
        chains,
    }
}

/// Orders every row by the mean place of the neighbours in the row before, down and up in turn.
fn order(rows: &mut [Vec<usize>], points: &Points) {
    let mut place = vec![0.0; points.layer.len()];
    let number = |row: &[usize], place: &mut [f64]| {
        for (at, &p) in row.iter().enumerate() {
            place[p] = at as f64 - row.len() as f64 / 2.0;
        }
    };
    rows.iter().for_each(|row| number(row, &mut place));
    for sweep in 0..SWEEPS {
        let down = sweep % 2 == 0;
        let neighbours = if down { &points.above } else { &points.below };
        for at in 0..rows.len() {
            let at = if down { at } else { rows.len() - 1 - at };
            let mean = |p: &usize| mean(&neighbours[*p], &place).unwrap_or(place[*p]);
            rows[at].sort_by(|a, b| mean(a).total_cmp(&mean(b)));
            number(&rows[at], &mut place);
        }
    }
}

fn mean(of: &[usize], place: &[f64]) -> Option<f64> {
    let n = of.len() as f64;
    (n > 0.0).then(|| of.iter().map(|&p| place[p]).sum::<f64>() / n)
}

/// Places along the rows: near the mean of all neighbours, in order, `distance` apart at least.
fn columns(
    rows: &[Vec<usize>],
    points: &Points,
    distance: impl Fn(usize, usize) -> f64,
) -> Vec<f64> {
    let mut x = vec![0.0; points.layer.len()];
    for sweep in 0..=SWEEPS {
        for row in rows {
            let wanted: Vec<f64> = row
                .iter()
                .map(|&p| {
                    let all: Vec<usize> = [&points.above[p][..], &points.below[p]].concat();
                    mean(&all, &x).filter(|_| sweep > 0).unwrap_or(x[p])
                })
                .collect();
            // From the left at least, from the right at most, and the middle of both.
            let (mut low, mut high) = (wanted.clone(), wanted);
            for i in 1..row.len() {
                low[i] = low[i].max(low[i - 1] + distance(row[i - 1], row[i]));
            }
            for i in (1..row.len()).rev() {
                high[i - 1] = high[i - 1].min(high[i] - distance(row[i - 1], row[i]));
            }
            for (i, &p) in row.iter().enumerate() {
                x[p] = (low[i] + high[i]) / 2.0;
            }
        }
    }
    x
}
