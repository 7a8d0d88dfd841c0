//! Training runs: accuracy by epoch, and the angle between feedback and weights.

use super::frame::{arrow_to_better, draw, horizontal, vertical};
use super::main_rule;
use super::share::shortened;
use crate::findings::Run;
use crate::scale::Scale;
use crate::svg::{Anchor, Figure};

/// Pixels between two names at the ends of curves.
const NAME_STEP: f64 = 15.0;

/// Room for the names at the right.
pub(super) const NAMES: f64 = 132.0;

fn epochs(n: usize, right: f64) -> Scale {
    let pixels = [horizontal(right)[0], horizontal(right)[1] - NAMES];
    Scale::new(1.0, (n as f64).max(2.0), pixels).whole()
}

/// A curve with its name.
pub(super) struct Curve {
    pub(super) name: String,
    /// `curve line-RULE`.
    pub(super) class: String,
    pub(super) points: Vec<[f64; 2]>,
}

/// Validation accuracy (solid) and training accuracy (dotted) of every run.
pub fn accuracy(runs: &[Run]) -> Figure {
    let title = "Accuracy by epoch of the training runs";
    let mut figure = Figure::new("accuracy", title, 540.0, 320.0);
    let n = runs.iter().map(|r| r.epochs.len()).max().unwrap_or(1);
    let x = epochs(n, figure.width);
    let percent = |a: Option<f64>| a.map(|a| 100.0 * a);
    let values = runs.iter().flat_map(|r| &r.epochs);
    let values = values.flat_map(|e| [Some(e.train_accuracy), e.valid_accuracy]);
    let y = Scale::around(values.filter_map(percent), vertical(figure.height));
    draw(&mut figure, &x, &y, ["epoch", "accuracy (%)"]);
    arrow_to_better(&mut figure, false);
    let line = |run: &Run, of: &dyn Fn(usize) -> Option<f64>| -> Vec<[f64; 2]> {
        let all = (0..run.epochs.len()).filter_map(|i| Some((i, percent(of(i))?)));
        all.map(|(i, a)| [x.at(i as f64 + 1.0), y.at(a)]).collect()
    };
    let mut curves = vec![];
    for run in runs {
        let class = format!("curve line-{}", main_rule(&run.network));
        let train = line(run, &|i| Some(run.epochs[i].train_accuracy));
        figure.polyline(&format!("{class} dashed"), &train);
        curves.push(Curve {
            name: run.name.clone(),
            points: line(run, &|i| run.epochs[i].valid_accuracy),
            class,
        });
    }
    draw_curves(&mut figure, curves);
    figure
}

/// The angle between feedback and weights of every layer that has one; `number` tells figures apart.
///
/// None if no layer has one.
pub fn alignment(run: &Run, number: usize) -> Option<Figure> {
    let title = format!("Alignment angle by epoch and layer: {}", run.name);
    let mut figure = Figure::new(&format!("alignment-{number}"), &title, 540.0, 340.0);
    let x = epochs(run.epochs.len(), figure.width);
    let y = Scale::new(0.0, 100.0, vertical(figure.height));
    let mut curves = vec![];
    for (at, node) in run.network.weighted().enumerate() {
        let Some(rule) = run.network.rule(node) else {
            continue;
        };
        let angles = run.epochs.iter().enumerate();
        let angles = angles.filter_map(|(i, e)| Some((i, (*e.angles_deg.get(at)?)?)));
        let points: Vec<_> = angles
            .map(|(i, a)| [x.at(i as f64 + 1.0), y.at(a)])
            .collect();
        if !points.is_empty() {
            let class = format!("curve line-{rule}");
            let name = format!("{} {rule}", run.network.nodes[node].name);
            curves.push(Curve {
                name,
                class,
                points,
            });
        }
    }
    if curves.is_empty() {
        return None;
    }
    let names = ["epoch", "angle of feedback and weights (°)"];
    draw(&mut figure, &x, &y, names);
    let right = horizontal(figure.width)[1] - NAMES;
    figure.line("limit", [x.at(1.0), y.at(90.0)], [right, y.at(90.0)]);
    figure.text(
        "small",
        [x.at(1.0) + 6.0, y.at(90.0) - 5.0],
        Anchor::Start,
        "90°: unrelated",
    );
    let better = "0° is back-propagation";
    figure.text(
        "better",
        [horizontal(figure.width)[0], 20.0],
        Anchor::Start,
        better,
    );
    draw_curves(&mut figure, curves);
    Some(figure)
}

/// Draws the curves and their names at the right ends, pushed apart; what finds no room is left to the
/// legend of the tooltips.
pub(super) fn draw_curves(figure: &mut Figure, mut curves: Vec<Curve>) {
    curves.retain(|c| !c.points.is_empty());
    for curve in &curves {
        figure.polyline(&curve.class, &curve.points);
        for point in &curve.points {
            let fill = curve.class.replace("curve line-", "fill-");
            figure.disc(&fill, *point, 2.5, &curve.name);
        }
    }
    let end = |c: &Curve| c.points[c.points.len() - 1];
    curves.sort_by(|a, b| end(a)[1].total_cmp(&end(b)[1]));
    let [bottom, top] = vertical(figure.height);
    let wanted: Vec<f64> = curves.iter().map(|c| end(c)[1]).collect();
    let right = horizontal(figure.width)[1] - NAMES;
    for (curve, y) in curves.iter().zip(apart(&wanted, [top, bottom])) {
        let [x0, y0] = end(curve);
        figure.line("axis", [x0 + 4.0, y0], [right + 16.0, y]);
        let fill = curve.class.replace("curve line-", "fill-");
        figure.rect(&fill, [right + 18.0, y - 4.0, 8.0, 8.0], 2.0, &curve.name);
        let text = shortened(&curve.name, NAMES - 12.0);
        figure.text("small", [right + 30.0, y + 4.0], Anchor::Start, &text);
    }
}

/// Ascending places near the ascending `wanted`, at least [`NAME_STEP`] apart, within `bounds` if there
/// is room.
fn apart(wanted: &[f64], [low, high]: [f64; 2]) -> Vec<f64> {
    let step = NAME_STEP.min((high - low) / wanted.len().max(1) as f64);
    let mut places = wanted.to_vec();
    for i in 0..places.len() {
        let least = if i == 0 { low } else { places[i - 1] + step };
        places[i] = places[i].max(least);
    }
    for i in (0..places.len()).rev() {
        let most = if i + 1 == places.len() {
            high
        } else {
            places[i + 1] - step
        };
        places[i] = places[i].min(most);
    }
    places
}
