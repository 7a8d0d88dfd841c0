//! Networks as graphs, every weighted layer in the colour of its learning rule.

use super::cell::{Drawing, Part, drawings};
use super::layout::{Layout, Sizes, place};
use super::share::shortened;
use crate::svg::{Anchor, Figure};
use aplysia_space::Network;
use std::fmt::Write as _;

const SIZES: Sizes = Sizes {
    box_width: 196.0,
    box_height: 46.0,
    bend_width: 14.0,
    gap: [14.0, 20.0],
    margin: 12.0,
};

/// The figures of a network: itself, or one of each kind of cell. `name` starts the names of the files.
pub fn graphs(name: &str, network: &Network) -> Vec<Figure> {
    let all = drawings(network);
    let figure = |(i, drawing): (usize, &Drawing)| match all.len() {
        1 => graph(name, drawing),
        _ => graph(&format!("{name}-{}", i + 1), drawing),
    };
    all.iter().enumerate().map(figure).collect()
}

fn graph(name: &str, drawing: &Drawing) -> Figure {
    let Layout {
        centres,
        edges,
        width,
        height,
    } = place(&drawing.parts, &SIZES);
    let mut figure = Figure::new(name, &drawing.title, width, height);
    for edge in &edges {
        figure.path("edge", &curve(edge));
    }
    for ([x, y], part) in centres.iter().zip(&drawing.parts) {
        let top = y - SIZES.box_height / 2.0;
        if !part.inputs.is_empty() {
            let (a, b, tip) = (x - 4.0, x + 4.0, top - 1.0);
            let back = top - 7.0;
            figure.path(
                "head",
                &format!("M{a:.1} {back:.1}H{b:.1}L{x:.1} {tip:.1}Z"),
            );
        }
        draw(&mut figure, part, [x - SIZES.box_width / 2.0, top]);
    }
    figure
}

/// Straight down where it is straight, else bent smoothly between the layers.
fn curve(points: &[[f64; 2]]) -> String {
    let Some([x, y]) = points.first() else {
        return String::new();
    };
    let mut d = format!("M{x:.1} {y:.1}");
    for pair in points.windows(2) {
        let ([x0, y0], [x1, y1]) = (pair[0], pair[1]);
        let middle = (y0 + y1) / 2.0;
        // Writing to a String cannot fail.
        let _ = write!(
            d,
            "C{x0:.1} {middle:.1} {x1:.1} {middle:.1} {x1:.1} {y1:.1}"
        );
    }
    d
}

fn draw(figure: &mut Figure, part: &Part, [x, y]: [f64; 2]) {
    let (w, h) = (SIZES.box_width, SIZES.box_height);
    let n_weights: usize = part.layers.iter().map(|(_, n)| n).sum();
    let mut rules: Vec<_> = part.layers.iter().map(|(rule, _)| *rule).collect();
    rules.dedup();
    let names: Vec<_> = rules.iter().map(|r| r.name()).collect();
    let tip = match n_weights {
        0 => format!("{}: {}", part.name, part.operation),
        n => format!(
            "{}: {}, {n} weights by {}",
            part.name,
            part.operation,
            names.join(", ")
        ),
    };
    let Some(first) = rules.first() else {
        figure.rect("node", [x, y, w, h], 8.0, &tip);
        let middle = x + w / 2.0;
        if part.operation.is_empty() {
            let text = shortened(&part.name, w);
            figure.text("small", [middle, y + h / 2.0 + 4.0], Anchor::Middle, &text);
        } else {
            figure.text("label", [middle, y + 20.0], Anchor::Middle, &part.operation);
            figure.text(
                "small",
                [middle, y + 36.0],
                Anchor::Middle,
                &shortened(&part.name, w),
            );
        }
        return;
    };
    figure.rect(&format!("tint-{first} node-edge"), [x, y, w, h], 8.0, &tip);
    for (i, rule) in rules.iter().enumerate() {
        let step = h / rules.len() as f64;
        let frame = [x, y + step * i as f64, 7.0, step];
        figure.rect(&format!("fill-{rule}"), frame, 3.0, &tip);
    }
    let operation = shortened(&part.operation, w - 16.0);
    figure.text("label", [x + 14.0, y + 19.0], Anchor::Start, &operation);
    let rule = names.join("+");
    let room = w - 30.0 - crate::svg::text_width(&rule, 12.0);
    figure.text(
        "small",
        [x + 14.0, y + 36.0],
        Anchor::Start,
        &shortened(&part.name, room),
    );
    figure.text("rule", [x + w - 8.0, y + 36.0], Anchor::End, &rule);
}
