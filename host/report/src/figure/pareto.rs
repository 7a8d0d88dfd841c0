//! The Pareto front: accuracy against each cost that the search minimised.
//!
//! The search compares four numbers at once; a panel shows two of them. A point may therefore be on the
//! front without being on the stairs of a panel: it is better in a number that the panel does not show.

use super::frame::{arrow_to_better, draw, horizontal, vertical};
use crate::findings::Search;
use crate::scale::Scale;
use crate::svg::{Anchor, Figure, text_width};
use aplysia_search::Costs;

/// A cost as an axis.
struct Cost {
    name: &'static str,
    axis: &'static str,
    unit: f64,
    of: fn(&Costs) -> u64,
}

const COSTS: [Cost; 3] = [
    Cost {
        name: "instructions",
        axis: "instructions per image (millions, estimated)",
        unit: 1e6,
        of: |c| c.instructions,
    },
    Cost {
        name: "flash",
        axis: "flash: the blob (KiB)",
        unit: 1024.0,
        of: |c| c.flash_bytes,
    },
    Cost {
        name: "ram",
        axis: "RAM: the arena and what is learned (KiB)",
        unit: 1024.0,
        of: Costs::device_ram_bytes,
    },
];

/// One panel per cost.
pub fn panels(search: &Search) -> Vec<Figure> {
    COSTS.iter().map(|cost| panel(search, cost)).collect()
}

fn panel(search: &Search, cost: &Cost) -> Figure {
    let title = format!("Validation accuracy against {}", cost.axis);
    let mut figure = Figure::new(&format!("pareto-{}", cost.name), &title, 400.0, 320.0);
    let value = |i: usize| (cost.of)(&search.candidates[i].costs) as f64 / cost.unit;
    let finished: Vec<(usize, [f64; 2])> = search
        .finished()
        .map(|(i, accuracy)| (i, [value(i), 100.0 * accuracy]))
        .collect();
    let x = Scale::around(finished.iter().map(|(_, p)| p[0]), horizontal(figure.width));
    let y = Scale::around(finished.iter().map(|(_, p)| p[1]), vertical(figure.height));
    draw(&mut figure, &x, &y, [cost.axis, "validation accuracy (%)"]);
    limits(&mut figure, search, cost, [&x, &y]);
    arrow_to_better(&mut figure, true);
    let place = |p: [f64; 2]| [x.at(p[0]), y.at(p[1])];
    let corners: Vec<[f64; 2]> = stairs(finished.iter().map(|(_, p)| *p).collect())
        .into_iter()
        .map(place)
        .collect();
    figure.polyline("stairs", &corners);
    let is_front = |i: &usize| search.front.contains(i);
    let tip = |i: usize, p: [f64; 2]| format!("trial {i}: {:.2} %, {:.2}", p[1], p[0]);
    for (i, p) in finished.iter().filter(|(i, _)| !is_front(i)) {
        figure.disc("trial", place(*p), 5.0, &tip(*i, *p));
    }
    for (i, p) in finished.iter().filter(|(i, _)| is_front(i)) {
        figure.disc("front", place(*p), 6.0, &tip(*i, *p));
    }
    let points: Vec<_> = finished.iter().map(|(i, p)| (*i, place(*p))).collect();
    name_front(&mut figure, search, &points);
    figure
}

/// Dashed lines where a network costs too much or is of no use, if they are in sight.
fn limits(figure: &mut Figure, search: &Search, cost: &Cost, [x, y]: [&Scale; 2]) {
    let ([left, right], [bottom, top]) = (horizontal(figure.width), vertical(figure.height));
    let limits = &search.limits;
    let most = Costs {
        flash_bytes: limits.flash_bytes,
        ram_bytes: limits.ram_bytes,
        macs: limits.macs.unwrap_or(u64::MAX),
        instructions: limits.instructions,
        params: limits.params.unwrap_or(u64::MAX),
        ..Costs::default()
    };
    let most = (cost.of)(&most) as f64 / cost.unit;
    if x.holds(most) {
        let at = x.at(most);
        figure.line("limit", [at, bottom], [at, top]);
        figure.text("small", [at - 5.0, bottom - 6.0], Anchor::End, "limit");
    }
    let least = 100.0 * limits.min_accuracy;
    if y.holds(least) && least > 0.0 {
        let at = y.at(least);
        figure.line("limit", [left, at], [right, at]);
        figure.text("small", [right, at + 14.0], Anchor::End, "wanted at least");
    }
}

/// The corners of the line that bounds what `points` (cost, accuracy) dominate.
fn stairs(mut points: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    points.sort_by(|a, b| a[0].total_cmp(&b[0]).then(b[1].total_cmp(&a[1])));
    let mut corners: Vec<[f64; 2]> = vec![];
    for p in points {
        match corners.last() {
            Some(last) if p[1] <= last[1] => {}
            Some(last) => corners.extend([[p[0], last[1]], p]),
            None => corners.push(p),
        }
    }
    corners
}

/// Labels each point of the front, placed so that no label covers a point or another label.
fn name_front(figure: &mut Figure, search: &Search, points: &[(usize, [f64; 2])]) {
    let mut taken: Vec<[f64; 4]> = points
        .iter()
        .map(|(_, [x, y])| [x - 6.0, y - 6.0, x + 6.0, y + 6.0])
        .collect();
    for i in &search.front {
        let Some((_, [x, y])) = points.iter().find(|(j, _)| j == i) else {
            continue;
        };
        let text = i.to_string();
        let w = text_width(&text, 13.0);
        let tries = [
            [x - 9.0 - w, y - 5.0],
            [x - w / 2.0, y - 9.0],
            [x + 9.0, y + 14.0],
            [x - w / 2.0, y + 20.0],
        ];
        let free = tries.into_iter().find(|[a, b]| {
            let frame = [*a, b - 11.0, a + w, b + 1.0];
            *a > horizontal(figure.width)[0] && !taken.iter().any(|t| overlap(t, &frame))
        });
        if let Some([a, b]) = free {
            taken.push([a, b - 11.0, a + w, b + 1.0]);
            figure.text("label", [a, b], Anchor::Start, &text);
        }
    }
}

fn overlap(a: &[f64; 4], b: &[f64; 4]) -> bool {
    a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3]
}
