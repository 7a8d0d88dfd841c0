//! The part with domain slots: A, B, A, then clean images. Owns the journeys; what is measured is `deploy`'s.

use super::parts::{RETURN_IMAGES, TEACHERS, row};
use super::{Bench, NOISE_SEVERITY, Settings, places};
use crate::images;
use crate::pools::Place;
use anyhow::Result;
use aplysia_data::Corruption;
use aplysia_live::adapt_bench::recall::{Journey, Recalled, recalled};
use aplysia_live::adapt_bench::sealed;
use aplysia_live::adaptation::DOMAINS;

/// Methods that are tried with and without slots.
const TRAVELLERS: [&str; 2] = ["homeostasis 5 + instar 4", "homeostasis 5 + delta 1311"];

impl Bench<'_> {
    /// Every corruption, the next one, the first again, and clean images.
    pub(super) fn travelled(&self, settings: &Settings) -> Result<Vec<Recalled>> {
        let places = places(self.args).filter(|place| place.severity == NOISE_SEVERITY);
        let keys = places.flat_map(|place| {
            let cell = format!("{:?}", place.cell());
            let sealed = (
                format!("{cell} sealed"),
                (place, vec![Some(sealed::DOMAINS)]),
            );
            [(cell, (place, vec![None, Some(DOMAINS)])), sealed]
        });
        self.part("slots", settings, keys.collect(), |(place, kept)| {
            let place = *place;
            let all = Corruption::ALL;
            let at = all.iter().position(|c| *c == place.corruption).unwrap_or(0);
            let next = Place {
                corruption: all[(at + 1) % all.len()],
                ..place
            };
            // Four streams of different images, each through its camera.
            let n = RETURN_IMAGES;
            let (through_a, a_test) = self.pools.shifted(place, 4 * n)?;
            let (through_b, b_test) = self.pools.shifted(next, 4 * n)?;
            let clean = self.pools.stream.subset(4 * n, place.seed.into());
            let part = |of: &aplysia_data::Dataset, i: usize| {
                of.select(&(i * n..(i + 1) * n).collect::<Vec<_>>())
            };
            let [a, b, again, back] = [
                part(&through_a, 0),
                part(&through_b, 1),
                part(&through_a, 2),
                part(&clean, 3),
            ];
            let seen = images::images;
            let journey = Journey {
                streams: [seen(&a)?, seen(&b)?, seen(&again)?, seen(&back)?],
                tests: [seen(&a_test)?, seen(&b_test)?, seen(&self.pools.test)?],
            };
            let mut runs = vec![];
            for name in TRAVELLERS {
                let method = row(name)?;
                for teacher in TEACHERS {
                    for &domains in kept {
                        let told = (place.seed, teacher);
                        runs.extend(recalled(self.model, method, domains, &journey, told)?);
                    }
                }
            }
            Ok(runs)
        })
    }
}
