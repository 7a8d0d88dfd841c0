//! Standard output, which may be a full disk.

use std::fmt::Arguments;
use std::io::Write;

/// Prints a line as `println!` does, but ends the process with status 1 and a reason where that panics.
///
/// Commands print after they have saved, so nothing is lost.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::output::line(format_args!($($text)*))
    };
}

/// Prints a line; see [`say`].
pub(crate) fn line(text: Arguments<'_>) {
    or_end(writeln!(std::io::stdout(), "{text}"));
}

/// Ends the process if the output could not be written.
pub(crate) fn or_end(written: std::io::Result<()>) {
    if let Err(e) = written {
        eprintln!("error: cannot write to the standard output: {e}");
        std::process::exit(1);
    }
}
