//! The model behind the protocol: what it is, what learns on it, and where the image lies that it is to see.
//!
//! Owns the checks of a configuration against model, memory and guard. It must not know frames nor clocks.

use super::watched::{Subject, Watched};
use super::{Info, Refusal};
use crate::adapt::domains::{self, Domains};
use crate::adapt::{AdaptError, Config, Plastic, state_bytes};
use crate::blob::{Golden, GoldenKind, Model};
use crate::network::input_place;
use embedded_storage::nor_flash::NorFlash;

#[derive(Debug)]
pub(super) struct Loaded<'a, F> {
    pub(super) watched: Watched<'a, F>,
    pub(super) model: &'a Model<'a>,
    pub(super) plastic: Plastic<'a>,
    pub(super) arena: &'a mut [i8],
    /// Pixels of the next image that lie in the arena already, from the first on.
    pub(super) placed: usize,
    pub(super) state_bytes: usize,
}

impl<'a, F: NorFlash> Loaded<'a, F> {
    pub(super) fn parts(&mut self) -> (&mut Watched<'a, F>, Subject<'_, 'a>) {
        let subject = Subject {
            model: self.model,
            plastic: &mut self.plastic,
            arena: self.arena,
        };
        (&mut self.watched, subject)
    }

    pub(super) fn info(&self) -> Info {
        let input = self.model.input();
        Info {
            model_id: self.model.id(),
            blob_bytes: self.model.blob_bytes() as u32,
            arena_bytes: self.model.arena_bytes() as u32,
            input: [input.h, input.w, input.c],
            n_classes: self.model.n_classes() as u16,
            macs: self.model.macs(),
            instructions: self.model.instructions(),
        }
    }

    pub(super) fn configure(&mut self, config: Config, seed: u32) -> Result<(), Refusal> {
        let need_bytes = state_bytes(self.model, &config).map_err(unsuitable)?;
        if need_bytes > self.state_bytes {
            let (need_bytes, have_bytes) = (need_bytes as u32, self.state_bytes as u32);
            return Err(Refusal::StateTooSmall {
                need_bytes,
                have_bytes,
            });
        }
        let limits = self.watched.limits();
        let domains = self.plastic.domains().map(|(settings, _)| settings);
        if self.is_blind(config, domains) {
            return Err(Refusal::GoldenFeatures);
        }
        self.plastic
            .configure(self.model, config, seed)
            .map_err(unsuitable)?;
        let (watched, subject) = self.parts();
        watched.set(limits, subject)
    }

    /// Whether there is a guard whose samples are features, which do not show what `config` learns below the head;
    /// with a sealed base homeostasis need not be seen.
    fn is_blind(&self, config: Config, domains: Option<Domains>) -> bool {
        let fits = |d: &Domains| {
            let bytes = domains::state_bytes(self.model, &config, d);
            d.sealed && bytes.is_ok_and(|bytes| bytes <= self.state_bytes)
        };
        let is_sealed = domains.as_ref().is_some_and(fits);
        let seen = Config {
            homeostasis: config.homeostasis.filter(|_| !is_sealed),
            ..config
        };
        let features = |golden: Golden<'_>| golden.kind() == GoldenKind::Features;
        self.watched.limits().is_some()
            && seen.learns_below_head()
            && self.model.golden().is_some_and(features)
    }

    pub(super) fn set_domains(&mut self, domains: Option<Domains>) -> Result<(), Refusal> {
        if self.is_blind(self.plastic.config(), domains) {
            return Err(Refusal::GoldenFeatures);
        }
        let set = self.plastic.set_domains(self.model, domains);
        set.map_err(|error| match error {
            AdaptError::NoDomains => Refusal::NoDomains,
            AdaptError::Buffer {
                got_bytes,
                want_bytes,
            } => Refusal::StateTooSmall {
                need_bytes: want_bytes as u32,
                have_bytes: got_bytes as u32,
            },
            error => unsuitable(error),
        })
    }

    /// State in use by what learns, slots included.
    pub(super) fn state_in_use(&self) -> u32 {
        let config = self.plastic.config();
        let bytes = match self.plastic.domains() {
            Some((settings, _)) => domains::state_bytes(self.model, &config, &settings),
            None => state_bytes(self.model, &config),
        };
        bytes.unwrap_or_default() as u32
    }

    /// Puts `pixels` where the model reads its input, from `at` on: `q = pixel - 128`, which flips the top bit.
    pub(super) fn place(&mut self, at: usize, pixels: &[u8]) {
        let input = input_place(self.model, self.arena).unwrap_or_default();
        for (q, pixel) in input.iter_mut().skip(at).zip(pixels) {
            *q = (pixel ^ 0x80) as i8;
        }
        self.placed = at + pixels.len();
    }
}

/// Why a configuration does not suit the model.
fn unsuitable(error: AdaptError) -> Refusal {
    match error {
        AdaptError::NoPrototypes => Refusal::NoPrototypes,
        AdaptError::NoHomeostasis => Refusal::NoHomeostasis,
        AdaptError::Deep { .. } => Refusal::NoDeep,
        AdaptError::TooManyClasses { .. } => Refusal::Unfit(error.into()),
        _ => Refusal::BadConfig,
    }
}
