//! Progress bars with time left; plain nothing when the terminal is not one.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
