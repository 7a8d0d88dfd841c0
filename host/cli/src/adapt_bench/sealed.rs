//! The part with guard, domain slots and a sealed base. Owns the cells; what is measured is `deploy`'s.

use super::parts::{TEACHERS, features, inputs, row};
use super::{Bench, NOISE_SEVERITY, Settings, places};
use crate::blob;
use crate::images;
use anyhow::Result;
use aplysia_deploy::golden::GoldenSpec;
use aplysia_live::adapt_bench::recall::AFTER;
use aplysia_live::adapt_bench::sealed::{Sealed, sealed};
use aplysia_shared::Model;

/// Methods of this part: name of the line, row of the table, what the golden set holds.
const SEALED: &[(&str, &str, GoldenSpec)] = &[
    (
        "homeostasis 5 + instar 4, 32 images",
        "homeostasis 5 + instar 4",
        inputs(32),
    ),
    (
        "homeostasis 5 + instar 4, 256 features",
        "homeostasis 5 + instar 4",
        features(256),
    ),
    (
        "homeostasis 5 + delta 328, 32 images",
        "homeostasis 5 + delta 328",
        inputs(32),
    ),
    (
        "homeostasis 5 + delta 1311, 256 features",
        "homeostasis 5 + delta 1311",
        features(256),
    ),
];

impl Bench<'_> {
    /// Every corruption at the severity of wrong labels, then clean images, under every teacher.
    pub(super) fn sealed(&self, settings: &Settings) -> Result<Vec<Sealed>> {
        let blobs = self.guarded(SEALED)?;
        let models: Vec<Model<'_>> = blobs
            .iter()
            .map(|blob| blob::parse(blob, &self.args.blob))
            .collect::<Result<_>>()?;
        let places = places(self.args).filter(|place| place.severity == NOISE_SEVERITY);
        let keys = places.map(|place| (format!("{:?}", place.cell()), place));
        self.part("sealed", settings, keys.collect(), |&place| {
            // Of one draw, so that no clean image is in the stream.
            let (n, back) = (self.args.samples as usize, AFTER[AFTER.len() - 1]);
            let (all, shifted) = self.pools.shifted(place, n + back)?;
            let clean = self.pools.stream.subset(n + back, place.seed.into());
            let stream = all.select(&(0..n).collect::<Vec<_>>());
            let clean = clean.select(&(n..n + back).collect::<Vec<_>>());
            let cell = self.cell(place, [&stream, &shifted])?;
            let mut runs = vec![];
            for (&(name, method, _), model) in SEALED.iter().zip(&models) {
                for teacher in TEACHERS {
                    let of = (name, row(method)?);
                    runs.extend(sealed(model, of, &cell, images::images(&clean)?, teacher)?);
                }
            }
            Ok(runs)
        })
    }
}
