//! Progress bars with time left, and curves of what a search or training has come to; plain nothing when the terminal
//! is not one.

use aplysia_report::spark::spark;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Characters of a curve.
const WIDTH: usize = 48;

/// Least time between two drawings of the curves: each looks at all their values.
const PAUSE: Duration = Duration::from_millis(200);

/// A bar over `n` steps, hidden when standard error is not a terminal.
pub(crate) fn bar(n: u64, what: &str) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let style = "{prefix:>12} [{bar:30}] {pos}/{len} {elapsed} (left {eta}) {msg}";
    let style = ProgressStyle::with_template(style).expect("the template is a constant");
    let bar =
        ProgressBar::with_draw_target(Some(n), target).with_style(style.progress_chars("=> "));
    bar.set_prefix(what.to_string());
    bar
}

/// A bar with curves below it.
pub(crate) struct Live {
    bar: ProgressBar,
    about: String,
    curves: Vec<Curve>,
    drawn: Instant,
}

struct Curve {
    name: &'static str,
    unit: &'static str,
    values: Vec<f64>,
}

impl Live {
    /// Over `n` steps; `curves` are names and units.
    pub(crate) fn new(n: u64, what: &str, curves: &[(&'static str, &'static str)]) -> Self {
        let curves = curves.iter().map(|&(name, unit)| Curve {
            name,
            unit,
            values: vec![],
        });
        Self {
            bar: bar(n, what),
            about: String::new(),
            curves: curves.collect(),
            drawn: Instant::now(),
        }
    }

    /// `position` of `n` steps are done; `about` the one under way.
    pub(crate) fn at(&mut self, position: u64, n: u64, about: String) {
        self.bar.set_length(n);
        self.bar.set_position(position);
        self.about(about);
    }

    /// `about` the step under way.
    pub(crate) fn about(&mut self, about: String) {
        let is_new = self.about != about;
        self.about = about;
        if is_new || self.drawn.elapsed() >= PAUSE {
            self.draw();
        }
    }

    /// The curve `name` goes on.
    pub(crate) fn push(&mut self, name: &str, value: f64) {
        let curve = self.curves.iter_mut().find(|curve| curve.name == name);
        curve.into_iter().for_each(|curve| curve.values.push(value));
    }

    /// A line that stays, above the bar.
    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| say!("{line}"));
    }

    /// Takes the bar away.
    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
    }

    fn draw(&mut self) {
        if self.bar.is_hidden() {
            return;
        }
        self.drawn = Instant::now();
        let mut message = self.about.clone();
        for Curve { name, unit, values } in &self.curves {
            let Some(last) = values.last() else {
                continue;
            };
            let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let curve = spark(values, WIDTH);
            message +=
                &format!("\n{name:>12} {curve:<WIDTH$} {last:.3}{unit} ({least:.3} to {most:.3})");
        }
        self.bar.set_message(message);
    }
}

/// Whether a loop goes on: not once `stop` is raised.
pub(crate) fn flow(stop: &AtomicBool) -> ControlFlow<()> {
    match stop.load(Ordering::SeqCst) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    }
}

/// What a loop with `bar` does after each step.
pub(crate) fn step<'a>(
    bar: &'a ProgressBar,
    stop: &'a AtomicBool,
) -> impl FnMut(usize) -> ControlFlow<()> + 'a {
    |_| {
        bar.inc(1);
        flow(stop)
    }
}

/// A flag that Ctrl-C (or SIGTERM) raises; a second one ends the process at once with status 130.
///
/// # Errors
/// The handler cannot be installed.
pub(crate) fn stop_flag() -> anyhow::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = flag.clone();
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        eprintln!("stopping after this step; press Ctrl-C again to end at once");
    })?;
    Ok(flag)
}
