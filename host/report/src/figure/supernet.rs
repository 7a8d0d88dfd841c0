//! How a supernet learned: its accuracy, the curvature of its loss, and the rules it favoured, by epoch.

use super::frame::{arrow_to_better, draw, horizontal, vertical};
use super::history::stacks;
use crate::findings::Supernet;
use crate::scale::Scale;
use crate::svg::{Anchor, Figure};

/// The figures of one supernet.
pub fn figures(supernet: &Supernet) -> Vec<Figure> {
    let mut all = vec![accuracy(supernet), rules(supernet)];
    all.extend(curvature(supernet));
    all
}

fn figure(supernet: &Supernet, name: &str, title: &str) -> Figure {
    let trial = supernet.trial;
    let name = format!("supernet-{trial}-{name}");
    Figure::new(
        &name,
        &format!("{title}, supernet of trial {trial}"),
        540.0,
        320.0,
    )
}

/// The axis of epochs, which count from 1.
fn epochs(supernet: &Supernet, figure: &Figure) -> Scale {
    let n = supernet.epochs.len().max(1) as f64;
    Scale::new(0.5, n + 0.5, horizontal(figure.width)).whole()
}

/// Accuracy on the images of the weights and on those of the architecture.
fn accuracy(supernet: &Supernet) -> Figure {
    let mut figure = figure(supernet, "accuracy", "Accuracy by epoch");
    let x = epochs(supernet, &figure);
    let percent = |share: f64| 100.0 * share;
    let values = supernet
        .epochs
        .iter()
        .flat_map(|e| [Some(e.weights_accuracy), e.architecture_accuracy]);
    let y = Scale::around(values.flatten().map(percent), vertical(figure.height));
    draw(&mut figure, &x, &y, ["epoch", "accuracy (%)"]);
    arrow_to_better(&mut figure, false);
    let mut lines = [vec![], vec![]];
    for (epoch, e) in (1..).zip(&supernet.epochs) {
        let both = [
            ("weights", "trial", Some(e.weights_accuracy)),
            ("architecture", "front", e.architecture_accuracy),
        ];
        for ((name, class, share), line) in both.into_iter().zip(&mut lines) {
            let Some(share) = share.map(percent) else {
                continue;
            };
            let point = [x.at(f64::from(epoch)), y.at(share)];
            let tip = format!("epoch {epoch}: {share:.2} % of the images of the {name}");
            figure.disc(class, point, 4.0, &tip);
            line.push(point);
        }
    }
    let [weights, architecture] = lines;
    figure.polyline("best dashed", &weights);
    figure.polyline("best", &architecture);
    let right = horizontal(figure.width)[1];
    let words = "dotted: images of the weights; solid: of the architecture";
    figure.text("small", [right, 19.0], Anchor::End, words);
    figure
}

/// The share of weights that each rule would train in what the supernet favours.
fn rules(supernet: &Supernet) -> Figure {
    let mut figure = figure(
        supernet,
        "rules",
        "Rules of the favoured network, by share of weights",
    );
    let x = epochs(supernet, &figure);
    let shares = supernet.epochs.iter().map(|e| e.favoured.rule_share());
    stacks(&mut figure, &x, "epoch", (1..).zip(shares));
    figure
}

/// The dominant eigenvalue of the loss's Hessian in the logits, where it was evaluated.
fn curvature(supernet: &Supernet) -> Option<Figure> {
    let all = (1..).zip(&supernet.epochs);
    let known: Vec<(i32, f64)> = all
        .filter_map(|(epoch, e)| Some((epoch, e.eigenvalue?)))
        .collect();
    if known.is_empty() {
        return None;
    }
    let title = "Curvature in the architecture by epoch";
    let mut figure = figure(supernet, "curvature", title);
    let x = epochs(supernet, &figure);
    let y = Scale::around(known.iter().map(|k| k.1), vertical(figure.height));
    draw(
        &mut figure,
        &x,
        &y,
        ["epoch", "largest eigenvalue of the Hessian"],
    );
    let line = known.iter().map(|(epoch, value)| {
        let point = [x.at(f64::from(*epoch)), y.at(*value)];
        figure.disc("trial", point, 4.0, &format!("epoch {epoch}: {value:.4}"));
        point
    });
    let line: Vec<_> = line.collect();
    figure.polyline("stairs", &line);
    Some(figure)
}
