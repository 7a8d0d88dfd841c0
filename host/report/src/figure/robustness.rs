//! Networks under attack: what is left of the accuracy as pixels may change by more.

use super::curves::{Curve, NAMES, draw_curves};
use super::frame::{arrow_to_better, draw, horizontal, vertical};
use crate::findings::{Attacked, Strength};
use crate::scale::Scale;
use crate::svg::Figure;

/// The worst case of every network (solid), and what it seems to withstand along its own feedback (dotted).
pub fn worst_case(attacked: &[Attacked]) -> Figure {
    let title = "Accuracy under attack, worst case and along the own feedback";
    let (mut figure, x, y) = frame("robustness", title, attacked);
    let mut curves = vec![];
    for network in attacked {
        let class = class(network);
        let own = points(network, [&x, &y], |s| s.own_pct);
        figure.polyline(&format!("{class} dashed"), &own);
        curves.push(Curve {
            name: network.name.clone(),
            points: points(network, [&x, &y], |s| Some(s.worst_pct)),
            class,
        });
    }
    draw_curves(&mut figure, curves);
    figure
}

/// One network: what each gradient leaves, and queries alone; `number` tells figures apart.
pub fn gradients(attacked: &Attacked, number: usize) -> Figure {
    let title = format!("Accuracy under attack by gradient: {}", attacked.name);
    let name = format!("robustness-{number}");
    let (mut figure, x, y) = frame(&name, &title, std::slice::from_ref(attacked));
    type Of = fn(&Strength) -> Option<f64>;
    let kinds: [(&str, Of); 5] = [
        ("own feedback", |s| s.own_pct),
        ("exact gradient", |s| s.exact_pct),
        ("transfer", |s| s.transfer_pct),
        ("square", |s| s.square_pct),
        ("all together", |s| Some(s.worst_pct)),
    ];
    let curves = kinds.into_iter().map(|(name, of)| Curve {
        name: name.into(),
        class: class(attacked),
        points: match attacked.strengths.iter().all(|s| of(s).is_some()) {
            true => points(attacked, [&x, &y], of),
            false => vec![],
        },
    });
    draw_curves(&mut figure, curves.collect());
    figure
}

fn class(attacked: &Attacked) -> String {
    format!("curve line-{}", attacked.main_rule)
}

fn frame(name: &str, title: &str, attacked: &[Attacked]) -> (Figure, Scale, Scale) {
    let mut figure = Figure::new(name, title, 540.0, 340.0);
    let strengths = attacked.iter().flat_map(|a| &a.strengths);
    let most = strengths.map(|s| s.epsilon_255).fold(1.0, f64::max);
    let [left, right] = horizontal(figure.width);
    let x = Scale::new(0.0, most, [left, right - NAMES]).whole();
    // A little below 0, where many curves end and their names must not lie on the axis.
    let y = Scale::new(-6.0, 100.0, vertical(figure.height));
    let names = ["largest change of a pixel (1/255)", "accuracy left (%)"];
    draw(&mut figure, &x, &y, names);
    arrow_to_better(&mut figure, false);
    (figure, x, y)
}

/// From the clean accuracy at 0 on.
fn points(
    attacked: &Attacked,
    [x, y]: [&Scale; 2],
    of: impl Fn(&Strength) -> Option<f64>,
) -> Vec<[f64; 2]> {
    let clean = [x.at(0.0), y.at(attacked.clean_pct)];
    let strengths = attacked.strengths.iter();
    let others = strengths.filter_map(|s| Some([x.at(s.epsilon_255), y.at(of(s)?)]));
    std::iter::once(clean).chain(others).collect()
}
