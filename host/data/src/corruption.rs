//! Deterministic corruptions with five severities: the shifted streams that adaptation is tried on.
//!
//! A [`Shift`] is a changed camera, not a changed picture: what a camera keeps (the side it tilts to,
//! which pixels are dead) follows from the seed alone and is the same for every image; only noise
//! also follows from the image index. Within one seed a higher severity is the same change, stronger.
//! Pixels are `x = p/255`; results are clipped to 0..=1 and rounded; what comes in from outside the
//! frame is 0. Lengths are given at a side of 28 pixels and scale with the shorter side.
//!
//! In the manner of D. Hendrycks, T. Dietterich, "Benchmarking neural network robustness to common
//! corruptions and perturbations", ICLR 2019, and N. Mu, J. Gilmer, "MNIST-C", 2019; severities are
//! our own.

mod geometry;
mod pixel;

use crate::ImageShape;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The kind of change. Every table lists severities 1 to 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Corruption {
    /// `x + σ·n`, `n` standard normal per value; σ = 0.08, 0.16, 0.25, 0.35, 0.5.
    GaussianNoise,
    /// Gaussian blur, σ = 0.5, 0.75, 1.0, 1.5, 2.0 pixels; the border pixel is repeated outwards.
    Blur,
    /// Over-exposure `x^γ`; γ = 0.8, 0.6, 0.45, 0.35, 0.25 (black and white stay).
    Brightness,
    /// `1/2 + k·(x − 1/2)`; k = 0.75, 0.5, 0.35, 0.25, 0.15.
    Contrast,
    /// `g·x`; g = 0.8, 0.6, 0.45, 0.3, 0.2.
    Gain,
    /// `x + o`; o = 0.1, 0.2, 0.35, 0.45, 0.55.
    Offset,
    /// By ±8, ±16, ±28, ±40, ±55 degrees about the centre, bilinear.
    Rotation,
    /// By 1, 2, 3, 4, 6 pixels in x and as many in y, bilinear.
    Translation,
    /// 2, 5, 10, 20, 30 % of the pixels (in expectation) read 0 or 255.
    DeadPixels,
    /// 1, 2, 3, 5, 8 columns (at width 28) read 0 or 255.
    DeadColumns,
}

impl Corruption {
    /// Every corruption, in the order of the tables.
    pub const ALL: [Corruption; 10] = [
        Corruption::GaussianNoise,
        Corruption::Blur,
        Corruption::Brightness,
        Corruption::Contrast,
        Corruption::Gain,
        Corruption::Offset,
        Corruption::Rotation,
        Corruption::Translation,
        Corruption::DeadPixels,
        Corruption::DeadColumns,
    ];

    /// The name used on the command line and in tables, e.g. `gaussian-noise`.
    pub fn name(self) -> &'static str {
        match self {
            Corruption::GaussianNoise => "gaussian-noise",
            Corruption::Blur => "blur",
            Corruption::Brightness => "brightness",
            Corruption::Contrast => "contrast",
            Corruption::Gain => "gain",
            Corruption::Offset => "offset",
            Corruption::Rotation => "rotation",
            Corruption::Translation => "translation",
            Corruption::DeadPixels => "dead-pixels",
            Corruption::DeadColumns => "dead-columns",
        }
    }

    /// The parameter of each severity, in the unit of the variant's documentation.
    fn levels(self) -> [f64; 5] {
        match self {
            Corruption::GaussianNoise => [0.08, 0.16, 0.25, 0.35, 0.5],
            Corruption::Blur => [0.5, 0.75, 1.0, 1.5, 2.0],
            Corruption::Brightness => [0.8, 0.6, 0.45, 0.35, 0.25],
            Corruption::Contrast => [0.75, 0.5, 0.35, 0.25, 0.15],
            Corruption::Gain => [0.8, 0.6, 0.45, 0.3, 0.2],
            Corruption::Offset => [0.1, 0.2, 0.35, 0.45, 0.55],
            Corruption::Rotation => [8.0, 16.0, 28.0, 40.0, 55.0],
            Corruption::Translation => [1.0, 2.0, 3.0, 4.0, 6.0],
            Corruption::DeadPixels => [0.02, 0.05, 0.1, 0.2, 0.3],
            Corruption::DeadColumns => [1.0, 2.0, 3.0, 5.0, 8.0],
        }
    }
}

impl std::fmt::Display for Corruption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a text or a number is no corruption.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CorruptionError {
    /// Not a name of [`Corruption::ALL`].
    #[error("unknown corruption `{got}`; use one of {allowed}")]
    Name {
        /// The text given.
        got: String,
        /// All names.
        allowed: String,
    },
    /// Not a severity.
    #[error("severity {got} is not one of 1, 2, 3, 4, 5")]
    Severity {
        /// The number given.
        got: u8,
    },
}

impl std::str::FromStr for Corruption {
    type Err = CorruptionError;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let found = Corruption::ALL.into_iter().find(|c| c.name() == s);
        found.ok_or_else(|| CorruptionError::Name {
            got: s.into(),
            allowed: Corruption::ALL.map(Corruption::name).join(", "),
        })
    }
}

/// One changed camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    corruption: Corruption,
    severity: u8,
    seed: u64,
}

impl Shift {
    /// `severity` 1 (mild) to 5 (strong).
    ///
    /// # Errors
    /// [`CorruptionError::Severity`].
    pub fn new(corruption: Corruption, severity: u8, seed: u64) -> Result<Self, CorruptionError> {
        if !(1..=5).contains(&severity) {
            return Err(CorruptionError::Severity { got: severity });
        }
        Ok(Self {
            corruption,
            severity,
            seed,
        })
    }

    /// The kind of change.
    pub fn corruption(&self) -> Corruption {
        self.corruption
    }

    /// Its strength, 1 to 5.
    pub fn severity(&self) -> u8 {
        self.severity
    }

    /// The image `[h, w, c]` as this camera sees it. `index` is the image's place in its stream.
    ///
    /// # Panics
    /// If `image` is shorter than `shape` says.
    pub fn apply(&self, shape: ImageShape, index: u64, image: &[u8]) -> Vec<u8> {
        let level = self.corruption.levels()[usize::from(self.severity) - 1];
        let scaled = level * shape.h.min(shape.w) as f64 / 28.0;
        let mut camera = ChaCha8Rng::seed_from_u64(self.seed);
        match self.corruption {
            Corruption::GaussianNoise => {
                // The camera's own draws are stream 0.
                camera.set_stream(index.wrapping_add(1));
                pixel::noise(image, level, &mut camera)
            }
            Corruption::Blur => geometry::blur(shape, image, scaled),
            Corruption::Brightness => pixel::curve(image, |x| x.powf(level)),
            Corruption::Contrast => pixel::curve(image, |x| 0.5 + level * (x - 0.5)),
            Corruption::Gain => pixel::curve(image, |x| level * x),
            Corruption::Offset => pixel::curve(image, |x| x + level),
            Corruption::Rotation => geometry::rotate(shape, image, level, &mut camera),
            Corruption::Translation => geometry::translate(shape, image, scaled, &mut camera),
            Corruption::DeadPixels => pixel::dead_pixels(shape, image, level, &mut camera),
            Corruption::DeadColumns => {
                let n = (level * shape.w as f64 / 28.0).round().max(1.0) as usize;
                pixel::dead_columns(shape, image, n, &mut camera)
            }
        }
    }
}
