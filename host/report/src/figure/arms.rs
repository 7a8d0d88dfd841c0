//! One genotype under many assignments of rules: accuracies, alignment, variance of the gradient, attacks.

use super::curves::{Curve, NAMES, draw_curves};
use super::frame::{draw, horizontal, vertical};
use super::robustness;
use super::share::shortened;
use crate::evidence::{Arm, Evidence, Kind, Searched, mean};
use crate::findings::Attacked;
use crate::scale::Scale;
use crate::svg::{Anchor, Figure};

/// Pixels of a row.
const ROW: f64 = 24.0;

/// Left end of the plot: names are before it.
const LEFT: f64 = 190.0;

/// The empty figure `accuracy-evolution`, `Test accuracy by rules: evolution`; of several searches it shows the first.
fn figure_of(
    evidence: &Evidence,
    search: &Searched,
    [name, title]: [&str; 2],
    height: f64,
) -> Figure {
    let (name, title) = (
        format!("{name}-{}", search.name),
        whose(evidence, search, title),
    );
    Figure::new(&name, &title, 540.0, height)
}

fn whose(evidence: &Evidence, search: &Searched, title: &str) -> String {
    match evidence.repeats(&search.procedure).len() {
        1 => format!("{title}: {}", search.name),
        n => format!("{title}: {}, the first of {n} searches", search.name),
    }
}

/// Test accuracy of every training, a row per network, with the mean.
pub fn accuracies(evidence: &Evidence, search: &Searched) -> Figure {
    let arms = evidence.group(&search.name);
    let height = 74.0 + ROW * arms.len() as f64;
    let mut figure = figure_of(
        evidence,
        search,
        ["accuracy", "Test accuracy by rules"],
        height,
    );
    let (top, bottom) = (24.0, height - 50.0);
    let values = arms.iter().flat_map(|arm| arm.values(|run| run.test_pct));
    let x = Scale::around(values, [LEFT, figure.width - 20.0]);
    for (value, text) in x.ticks() {
        let at = x.at(value);
        figure.line("grid", [at, top], [at, bottom]);
        figure.text("tick", [at, bottom + 18.0], Anchor::Middle, &text);
    }
    let middle = (LEFT + figure.width - 20.0) / 2.0;
    figure.text(
        "name",
        [middle, bottom + 38.0],
        Anchor::Middle,
        "test accuracy (%)",
    );
    for (i, arm) in arms.iter().enumerate() {
        let y = top + ROW * (i as f64 + 0.5);
        let name = shortened(&arm.kind.to_string(), LEFT - 16.0);
        figure.text("small", [LEFT - 10.0, y + 4.0], Anchor::End, &name);
        let at = x.at(arm.mean_test_pct());
        figure.line("best", [at, y - 8.0], [at, y + 8.0]);
        let class = match arm.kind {
            Kind::Searched => "front".to_string(),
            Kind::Single(rule) => format!("fill-{rule}"),
            Kind::Random(_) => "trial".to_string(),
        };
        for run in &arm.runs {
            let tip = format!("{}, seed {}: {:.2} %", arm.kind, run.seed, run.test_pct);
            figure.disc(&class, [x.at(run.test_pct), y], 4.0, &tip);
        }
    }
    figure
}

/// A curve per network over the epochs, in the colour of the rule that trains most of its weights.
fn by_epoch(
    figure: &mut Figure,
    arms: &[&Arm],
    y: &Scale,
    of: impl Fn(&Arm) -> Vec<(usize, f64)>,
    name: &str,
) {
    let values: Vec<(&Arm, Vec<(usize, f64)>)> = arms.iter().map(|arm| (*arm, of(arm))).collect();
    let most = values
        .iter()
        .flat_map(|(_, v)| v.iter().map(|(epoch, _)| *epoch))
        .max();
    let [left, right] = horizontal(figure.width);
    let x = Scale::new(0.0, most.unwrap_or(1).max(1) as f64, [left, right - NAMES]).whole();
    draw(figure, &x, y, ["epoch", name]);
    let curve = |(arm, values): (&Arm, Vec<(usize, f64)>)| Curve {
        name: arm.kind.to_string(),
        class: format!("curve line-{}", arm.main_rule),
        points: values
            .iter()
            .map(|&(epoch, v)| [x.at(epoch as f64), y.at(v)])
            .collect(),
    };
    draw_curves(figure, values.into_iter().map(curve).collect());
}

/// Mean angle between feedback and weights by epoch.
pub fn alignment(evidence: &Evidence, search: &Searched) -> Figure {
    let title = ["alignment", "Alignment angle by epoch"];
    let mut figure = figure_of(evidence, search, title, 360.0);
    let y = Scale::new(0.0, 100.0, vertical(figure.height));
    let of = |arm: &Arm| {
        let n = arm.runs.iter().map(|run| run.angles_deg.len()).max();
        let at = |epoch: usize| {
            let all = arm
                .runs
                .iter()
                .filter_map(|run| *run.angles_deg.get(epoch)?);
            let all: Vec<f64> = all.collect();
            (!all.is_empty()).then(|| (epoch + 1, mean(&all)))
        };
        (0..n.unwrap_or(0)).filter_map(at).collect()
    };
    by_epoch(
        &mut figure,
        &evidence.group(&search.name),
        &y,
        of,
        "angle of feedback and weights (°)",
    );
    figure
}

/// Variance of the gradient relative to its length, by epoch; in powers of ten. None where it was not measured.
pub fn noise(evidence: &Evidence, search: &Searched) -> Option<Figure> {
    let arms = evidence.group(&search.name);
    let mut runs = arms.iter().flat_map(|arm| &arm.runs);
    runs.find(|run| !run.noise.is_empty())?;
    let title = ["gradient", "Variance of the gradient by epoch"];
    let mut figure = figure_of(evidence, search, title, 360.0);
    let of = |arm: &Arm| -> Vec<(usize, f64)> {
        let Some(first) = arm.runs.iter().find(|run| !run.noise.is_empty()) else {
            return vec![];
        };
        let at = |(i, n): (usize, &crate::evidence::Noise)| {
            let all = arm
                .runs
                .iter()
                .filter_map(|run| Some(run.noise.get(i)?.to_signal.log10()));
            (n.epoch, mean(&all.collect::<Vec<_>>()))
        };
        first.noise.iter().enumerate().map(at).collect()
    };
    let values = arms.iter().flat_map(|arm| of(arm)).map(|(_, v)| v);
    let y = Scale::around(values, vertical(figure.height));
    by_epoch(
        &mut figure,
        &arms,
        &y,
        of,
        "variance : mean² (power of ten)",
    );
    Some(figure)
}

/// What attacks leave of the first attacked training of every network, random assignments left out. None if no
/// network was attacked.
pub fn worst_case(evidence: &Evidence, search: &Searched) -> Option<Figure> {
    let shown = evidence
        .group(&search.name)
        .into_iter()
        .filter(|arm| !matches!(arm.kind, Kind::Random(_)));
    let attacked = shown.filter_map(|arm| {
        let found = arm.runs.iter().find_map(|run| run.attacked.as_ref())?;
        Some(Attacked {
            name: arm.kind.to_string(),
            rules: arm.rules.clone(),
            main_rule: arm.main_rule,
            n_images: found.n_images,
            clean_pct: found.clean_pct,
            strengths: found.strengths.clone(),
            one_pixel_pct: None,
        })
    });
    let attacked: Vec<Attacked> = attacked.collect();
    let mut figure = robustness::worst_case(&attacked);
    figure.name = format!("robustness-{}", search.name);
    figure.title = whose(evidence, search, &figure.title);
    (!attacked.is_empty()).then_some(figure)
}

/// The figures of a genotype of every procedure that was trained under many assignments, that of the first search.
pub fn all(evidence: &Evidence) -> Vec<Figure> {
    let mut figures = vec![];
    for search in evidence.procedures().filter(|s| s.has_controls) {
        figures.extend([accuracies(evidence, search), alignment(evidence, search)]);
        let measured = [noise(evidence, search), worst_case(evidence, search)];
        figures.extend(measured.into_iter().flatten());
    }
    figures
}
