//! A summary as text: Markdown that a terminal can show as it is.

use crate::{Attack, Route, Summary, Verdict};
use std::fmt;

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let epsilons = || self.headlines.iter().map(|h| h.epsilon_255);
        let n = self.headlines.len();
        writeln!(
            f,
            "Accuracy in % of {} images; without an attack {:.1}.\n",
            self.n_images, self.clean_pct
        )?;
        write!(f, "| attack | gradient |")?;
        epsilons().try_for_each(|e| write!(f, " ε {e}/255 |"))?;
        writeln!(f, "\n|---|---|{}", "--:|".repeat(n))?;
        for attack in Attack::ALL.into_iter().filter(|&a| a != Attack::OnePixel) {
            for route in [Route::Own, Route::Exact, Route::Transfer, Route::Queries] {
                let row = |e| {
                    let cell = |r: &&crate::Row| {
                        (r.cell.attack, r.cell.route, r.cell.epsilon_255)
                            == (attack, route, Some(e))
                    };
                    self.rows.iter().find(cell).map(|r| r.accuracy_pct)
                };
                let values: Vec<Option<f64>> = epsilons().map(row).collect();
                if values.iter().any(Option::is_some) {
                    write!(f, "| {attack} | {} |", route.name())?;
                    line(f, values)?;
                }
            }
        }
        let mut all = |name: &str, of: &dyn Fn(&crate::Headline) -> Option<f64>| {
            let values: Vec<_> = self.headlines.iter().map(of).collect();
            if values.iter().all(Option::is_none) {
                return Ok(());
            }
            write!(f, "| **{name}** | |")?;
            line(f, values)
        };
        all("all along own feedback", &|h| h.own_pct)?;
        all("all along the exact gradient", &|h| h.exact_pct)?;
        all("transfer", &|h| h.transfer_pct)?;
        all("worst case, L∞", &|h| Some(h.worst_pct))?;
        all("share of own that is masking", &|h| h.masked_pct)?;
        let pixel = self.rows.iter().find(|r| r.cell.attack == Attack::OnePixel);
        if let Some(row) = pixel {
            all("worst case with one-pixel", &|h| {
                Some(h.worst_with_pixels_pct)
            })?;
            write!(f, "\none-pixel alone leaves {:.1}.", row.accuracy_pct)?;
        }
        if let Some(left) = self.at_limit() {
            write!(f, "\npgd (exact) leaves {left:.1} at ε 128/255.")?;
        }
        let held = self.checks.iter().filter(|c| c.verdict == Verdict::Holds);
        match (held.count(), self.checks.len()) {
            (_, 0) => writeln!(
                f,
                "\nno check is possible: add pgd, square, another ε or a twin."
            )?,
            (held, n) => writeln!(f, "\n{held} of {n} checks hold.")?,
        }
        let loud = |c: &crate::Check, word: &str| {
            format!(
                "{word}: {}: {} images left, {} there",
                c.what, c.left, c.bound
            )
        };
        self.masking()
            .try_for_each(|c| writeln!(f, "{}", loud(c, "masking")))?;
        self.faults()
            .try_for_each(|c| writeln!(f, "{}", loud(c, "FAULT")))
    }
}

/// The numbers of a row, with their bars.
fn line(f: &mut fmt::Formatter<'_>, values: Vec<Option<f64>>) -> fmt::Result {
    for value in values {
        match value {
            Some(value) => write!(f, " {value:.1} |")?,
            None => write!(f, " |")?,
        }
    }
    writeln!(f)
}
