//! Which attacks run, with whose gradient, how strong; and one cell of that table.
//!
//! The protocol: pixels in [0, 1]; PGD and TPGD with steps of ε/4 and restarts; every attack along a gradient with
//! three of them ([`Route`]); attacks that ask for logits only beside them; an image counts as robust in a
//! cell if no restart changed its answer.

use crate::{AttackError, Batch, Budget, How, Loss, OnePixel, Target};
use crate::{apgd, fgsm, one_pixel, pgd, predicted, square, tpgd};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::ControlFlow;

/// Images attacked at once.
const CHUNK: usize = 128;

/// ε at which nothing must be left, in 1/255: every pixel can become grey.
pub(crate) const LIMIT_255: f32 = 128.0;

/// An attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Attack {
    /// [`fgsm()`].
    Fgsm,
    /// [`pgd()`].
    Pgd,
    /// [`tpgd()`].
    Tpgd,
    /// [`apgd()`] along cross-entropy.
    ApgdCe,
    /// [`apgd()`] along the difference of logits ratio.
    ApgdDlr,
    /// [`square()`].
    Square,
    /// [`one_pixel()`].
    OnePixel,
}

impl Attack {
    /// All of them.
    pub const ALL: [Attack; 7] = [
        Attack::Fgsm,
        Attack::Pgd,
        Attack::Tpgd,
        Attack::ApgdCe,
        Attack::ApgdDlr,
        Attack::Square,
        Attack::OnePixel,
    ];

    /// The name used on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Attack::Fgsm => "fgsm",
            Attack::Pgd => "pgd",
            Attack::Tpgd => "tpgd",
            Attack::ApgdCe => "apgd-ce",
            Attack::ApgdDlr => "apgd-dlr",
            Attack::Square => "square",
            Attack::OnePixel => "one-pixel",
        }
    }

    /// Whether it asks for a gradient.
    pub fn has_gradient(self) -> bool {
        !matches!(self, Attack::Square | Attack::OnePixel)
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Attack {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let found = Attack::ALL.into_iter().find(|a| a.name() == s);
        found.ok_or_else(|| {
            let names = Attack::ALL.map(Attack::name).join(", ");
            format!("unknown attack `{s}`; use one of {names}")
        })
    }
}

/// What leads an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Route {
    /// The feedback of the network's own learning rules.
    Own,
    /// The exact gradient of the same network.
    Exact,
    /// The exact gradient of another network, trained by back-propagation; the images are tried on this one.
    Transfer,
    /// The network's answers alone.
    Queries,
}

impl Route {
    /// The name used in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Route::Own => "own",
            Route::Exact => "exact",
            Route::Transfer => "transfer",
            Route::Queries => "queries",
        }
    }
}

/// One attack by one route at one strength.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Which attack.
    pub attack: Attack,
    /// What leads it.
    pub route: Route,
    /// ε in 1/255; none for One-Pixel.
    pub epsilon_255: Option<f32>,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.attack, self.route.name())?;
        match self.epsilon_255 {
            Some(epsilon) => write!(f, " at {epsilon}/255"),
            None => Ok(()),
        }
    }
}

/// What is left of the accuracy in a cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which cell.
    #[serde(flatten)]
    pub cell: Cell,
    /// Per image, whether the answer is right before and after the attack.
    #[serde(with = "digits")]
    pub survived: Vec<bool>,
}

/// One digit per image in a file.
mod digits {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bits: &[bool], to: S) -> Result<S::Ok, S::Error> {
        let digits = bits.iter().map(|&bit| if bit { '1' } else { '0' });
        to.serialize_str(&digits.collect::<String>())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<bool>, D::Error> {
        let digits = String::deserialize(from)?;
        Ok(digits.chars().map(|digit| digit == '1').collect())
    }
}

/// The network under attack.
#[derive(Clone, Copy)]
pub struct Victim<'a> {
    /// With the feedback of its rules as gradient; none if that is the exact one.
    pub own: Option<&'a dyn Target>,
    /// With its exact gradient; its answers count.
    pub exact: &'a dyn Target,
    /// Another network, trained by back-propagation.
    pub twin: Option<&'a dyn Target>,
}

/// Attacks and their sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Protocol {
    /// Which attacks.
    pub attacks: Vec<Attack>,
    /// ε of the L∞ attacks in 1/255, rising.
    pub epsilons_255: Vec<f32>,
    /// Steps of PGD and TPGD.
    pub n_steps: usize,
    /// Starts of PGD and TPGD.
    pub n_restarts: u32,
    /// Steps of APGD.
    pub n_apgd_steps: usize,
    /// Queries of Square.
    pub n_queries: usize,
    /// Pixels of One-Pixel.
    pub n_pixels: usize,
    /// Its generations.
    pub generations: usize,
    /// Its candidates.
    pub population: usize,
    /// Everything random follows from it.
    pub seed: u64,
}

impl Protocol {
    /// Every cell for a victim with these gradients; the last one is the check at a strength that nothing withstands.
    pub fn cells(&self, victim: Victim) -> Vec<Cell> {
        let mut routes = vec![Route::Exact];
        routes.extend(victim.own.map(|_| Route::Own));
        routes.extend(victim.twin.map(|_| Route::Transfer));
        let mut cells = vec![];
        for &attack in &self.attacks {
            let routes = match attack.has_gradient() {
                true => &routes[..],
                false => &[Route::Queries],
            };
            for &route in routes {
                let cell = |epsilon_255| Cell {
                    attack,
                    route,
                    epsilon_255,
                };
                match attack {
                    Attack::OnePixel => cells.push(cell(None)),
                    _ => cells.extend(self.epsilons_255.iter().map(|&e| cell(Some(e)))),
                }
            }
        }
        if self.attacks.contains(&Attack::Pgd) {
            cells.push(Cell {
                attack: Attack::Pgd,
                route: Route::Exact,
                epsilon_255: Some(LIMIT_255),
            });
        }
        cells
    }

    /// Attacks every image that `victim` gets right; none if `progress` (told how many images more are done) breaks.
    ///
    /// # Errors
    /// An attack that left its budget, a missing gradient, too few classes, lengths that do not fit.
    pub fn run(
        &self,
        cell: Cell,
        victim: Victim,
        batch: &Batch,
        progress: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Option<Outcome>, AttackError> {
        check(cell, victim, batch)?;
        let classes = victim.exact.n_classes();
        let logits = victim.exact.logits(batch.pixels);
        let right = |(z, &label): (&[f32], &u16)| predicted(z) == label;
        let answers = logits.chunks(classes).zip(batch.labels);
        let mut survived: Vec<bool> = answers.map(right).collect();
        for start in (0..batch.len()).step_by(CHUNK) {
            let end = (start + CHUNK).min(batch.len());
            for restart in 0..self.n_starts(cell.attack) {
                let open: Vec<usize> = (start..end).filter(|&i| survived[i]).collect();
                if open.is_empty() {
                    break;
                }
                let tried = self.attempt(cell, victim, batch, (&open, restart))?;
                let logits = victim.exact.logits(&tried);
                for (&i, z) in open.iter().zip(logits.chunks(classes)) {
                    survived[i] = predicted(z) == batch.labels[i];
                }
            }
            if progress(end - start).is_break() {
                return Ok(None);
            }
        }
        Ok(Some(Outcome { cell, survived }))
    }

    fn n_starts(&self, attack: Attack) -> u32 {
        match attack {
            Attack::Pgd | Attack::Tpgd => self.n_restarts,
            _ => 1,
        }
    }

    /// The images `open` after one attack, checked against its budget.
    fn attempt(
        &self,
        cell: Cell,
        victim: Victim,
        batch: &Batch,
        (open, restart): (&[usize], u32),
    ) -> Result<Vec<f32>, AttackError> {
        let pixels: Vec<f32> = open.iter().flat_map(|&i| batch.clean(i)).copied().collect();
        let labels: Vec<u16> = open.iter().map(|&i| batch.labels[i]).collect();
        let ids: Vec<usize> = open.iter().map(|&i| batch.ids[i]).collect();
        let part = Batch {
            pixels: &pixels,
            labels: &labels,
            ids: &ids,
            shape: batch.shape,
        };
        let guide = guide(cell, victim)?;
        let tried = self.craft(cell, guide, &part, restart);
        let budget = match cell.epsilon_255 {
            Some(epsilon) => Budget::Change(epsilon / 255.0),
            None => Budget::Pixels(self.n_pixels),
        };
        let n = batch.shape.n_values();
        for (at, image) in tried.chunks(n).enumerate() {
            let (got, allowed) = (
                budget.spent(part.clean(at), image, batch.shape),
                budget.allowed(),
            );
            if got > allowed {
                let unit = match budget {
                    Budget::Change(_) => "of the range of a pixel",
                    Budget::Pixels(_) => "pixels",
                };
                return Err(AttackError::Budget {
                    cell,
                    image: ids[at],
                    got,
                    allowed,
                    unit,
                });
            }
        }
        Ok(tried)
    }

    fn craft(&self, cell: Cell, guide: &dyn Target, batch: &Batch, restart: u32) -> Vec<f32> {
        let how = How {
            epsilon: cell.epsilon_255.unwrap_or(0.0) / 255.0,
            n_steps: match cell.attack {
                Attack::ApgdCe | Attack::ApgdDlr => self.n_apgd_steps,
                Attack::Square => self.n_queries,
                _ => self.n_steps,
            },
            seed: self.seed,
            restart,
            stop: cell.route != Route::Transfer,
        };
        match cell.attack {
            Attack::Fgsm => fgsm(guide, batch, &how),
            Attack::Pgd => pgd(guide, batch, &how),
            Attack::Tpgd => tpgd(guide, batch, &how),
            Attack::ApgdCe => apgd(guide, batch, Loss::CrossEntropy, &how),
            Attack::ApgdDlr => apgd(guide, batch, Loss::Dlr, &how),
            Attack::Square => square(guide, batch, &how),
            Attack::OnePixel => {
                let how = OnePixel {
                    n_pixels: self.n_pixels,
                    population: self.population,
                    generations: self.generations,
                    seed: self.seed,
                };
                one_pixel(guide, batch, &how)
            }
        }
    }
}

/// Whom to ask for the way.
fn guide(cell: Cell, victim: Victim<'_>) -> Result<&dyn Target, AttackError> {
    let guide = match cell.route {
        Route::Own => victim.own,
        Route::Transfer => victim.twin,
        Route::Exact | Route::Queries => Some(victim.exact),
    };
    guide.ok_or(AttackError::NoGuide { cell })
}

fn check(cell: Cell, victim: Victim, batch: &Batch) -> Result<(), AttackError> {
    let (n, got) = (batch.len(), victim.exact.n_classes());
    if cell.attack == Attack::ApgdDlr && got < 3 {
        return Err(AttackError::Classes { cell, got });
    }
    for (what, got, want) in [
        ("pixels", batch.pixels.len(), n * batch.shape.n_values()),
        ("names of images", batch.ids.len(), n),
    ] {
        if got != want {
            return Err(AttackError::Data { what, got, want });
        }
    }
    Ok(())
}
