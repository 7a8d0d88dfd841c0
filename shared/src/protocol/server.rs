//! Answers requests: the device's whole behaviour, without its hardware.
//!
//! Owns the loaded model, what it learned, and the counters. It must not know where bytes come
//! from or go to: the caller gives it the outcome of a [`Decoder`](super::Decoder) and sends the
//! response. The machine's clock and stack come through [`Machine`], so a test can drive the same
//! server on the host.

mod images;

use super::loaded::Loaded;
use super::receiver::{Receiving, Transfers};
use super::watched::{Subject, Watched};
use super::{
    CHUNK_BYTES, DomainStats, FrameError, Hello, MAX_REQUEST_BYTES, Refusal, Request, Response,
    Stats, Update, VERSION, decode,
};
use crate::adapt::guard::Verdict;
use crate::adapt::{AdaptError, Config, Plastic};
use crate::blob::{Model, RUNTIME_ABI};
use crate::room::{Room, Unfit};
use crate::store::Store;
use core::mem;
use embedded_storage::nor_flash::NorFlash;
use heapless::String;

/// What the server wants to know of the machine it runs on.
pub trait Machine {
    /// Name of the board, at most [`MAX_NAME_BYTES`](super::MAX_NAME_BYTES); a longer one is left out.
    const BOARD: &str;
    /// A clock that wraps at 2^32.
    fn ticks(&self) -> u32;
    /// Instructions in `ticks` of that clock; 0 where the clock cannot tell.
    fn instructions(&self, ticks: u32) -> u32;
    /// Most stack in use so far.
    fn stack_bytes(&self) -> u32;
    /// Starts in a row, just before this one, that ended in a reset before [`Machine::settled`]; 0 if nobody counts.
    fn failed_starts(&self) -> u32 {
        0
    }
    /// This start has classified an image.
    fn settled(&mut self) {}
}

/// So many starts in a row may fail with what was learned in place; the next one leaves it in the store and runs the
/// base model.
pub const MAX_FAILED_STARTS: u32 = 3;

/// Memory the server works in.
#[derive(Debug)]
pub struct Buffers<'a> {
    /// Activations, at least [`Model::arena_bytes`]; images are put there, too.
    pub arena: &'a mut [i8],
    /// What is learned.
    pub state: &'a mut [u8],
    /// A snapshot on its way to or from the store; as long as `state` and
    /// [`TERMS_BYTES`](crate::adapt::terms::TERMS_BYTES) fits all.
    pub scratch: &'a mut [u8],
}

impl Buffers<'_> {
    /// What they hold of a model.
    pub fn room(&self) -> Room {
        Room {
            arena_bytes: self.arena.len(),
            state_bytes: self.state.len(),
        }
    }
}

/// The device: at most one model, and its answers.
#[derive(Debug)]
pub struct Server<'a, M, F> {
    machine: M,
    /// The model, or the refusal that every request except `Hello`, `Stats` and transfers gets.
    loaded: Result<Loaded<'a, F>, Refusal>,
    receiving: Receiving<'a>,
    stats: Stats,
}

impl<'a, M: Machine, F: NorFlash> Server<'a, M, F> {
    /// A device without a model, which says so.
    pub fn without_model(machine: M) -> Self {
        Self::refusing(machine, Refusal::NoModel)
    }

    /// A device that runs no model because the one it has is too large for it, which says so.
    pub fn with_unfit_model(machine: M, unfit: Unfit) -> Self {
        Self::refusing(machine, unfit.into())
    }

    fn refusing(machine: M, refusal: Refusal) -> Self {
        Self {
            machine,
            loaded: Err(refusal),
            receiving: Receiving::default(),
            stats: Stats::default(),
        }
    }

    /// A device with `model`, learning nothing yet; [`Server::resume`] takes up what `store` holds for it.
    ///
    /// # Errors
    /// The model does not fit: why, and the buffers again.
    pub fn with_model(
        machine: M,
        model: &'a Model<'a>,
        buffers: Buffers<'a>,
        store: Store<F>,
    ) -> Result<Self, (Unfit, Buffers<'a>)> {
        if let Err(unfit) = buffers.room().holds(model) {
            return Err((unfit, buffers));
        }
        let Buffers {
            arena,
            state,
            scratch,
        } = buffers;
        let state_bytes = state.len();
        let plastic = match Plastic::new(model, Config::NOTHING, 0, state) {
            Ok(plastic) => plastic,
            // Not met: there is room for it.
            Err(error) => {
                let state = &mut [];
                let rest = Buffers {
                    arena,
                    state,
                    scratch,
                };
                return Err((error.into(), rest));
            }
        };
        let loaded = Loaded {
            watched: Watched::new(store, scratch),
            model,
            plastic,
            arena,
            placed: 0,
            state_bytes,
        };
        Ok(Self {
            machine,
            loaded: Ok(loaded),
            receiving: Receiving::default(),
            stats: Stats::default(),
        })
    }

    /// Takes up what the store holds for the model, under the terms that are in it; call it once, before anything is
    /// asked, and where the server stays: a guard scores it by inferences, above the caller's stack.
    #[inline(never)]
    pub fn resume(&mut self) {
        let failed_starts = self.machine.failed_starts();
        if let Ok(loaded) = &mut self.loaded {
            let (watched, subject) = loaded.parts();
            match failed_starts < MAX_FAILED_STARTS {
                true => watched.boot(subject),
                false => watched.leave(subject.model),
            }
        }
    }

    /// The same device, which takes other models by `transfers`; `spare` is the arena of their self-test where
    /// no model is loaded.
    pub fn receiving(self, transfers: &'a mut dyn Transfers, spare: &'a mut [i8]) -> Self {
        Self {
            receiving: Receiving::by(transfers, spare),
            ..self
        }
    }

    /// Whether the host asked for a restart: due once the response is sent.
    pub fn wants_restart(&self) -> bool {
        self.receiving.wants_restart()
    }

    /// The response to one frame, sound or damaged.
    pub fn answer(&mut self, frame: Result<&[u8], FrameError>) -> Response<'_> {
        let request = match frame {
            Ok(message) => decode(message).ok_or(Refusal::Unknown {
                bytes: message.len() as u32,
            }),
            Err(error) => Err(Refusal::Frame(error)),
        };
        match request {
            Ok(request) => self.serve(&request).unwrap_or_else(Response::Error),
            Err(refusal) => {
                self.stats.bad_frames = self.stats.bad_frames.wrapping_add(1);
                Response::Error(refusal)
            }
        }
    }

    fn serve(&mut self, request: &Request<'_>) -> Result<Response<'_>, Refusal> {
        // The arena may serve whatever is asked next.
        let placed = self
            .loaded
            .as_mut()
            .map(|loaded| mem::take(&mut loaded.placed));
        let placed = placed.unwrap_or_default();
        match *request {
            Request::Hello => Ok(Response::Hello(self.hello())),
            Request::Stats => Ok(Response::Stats(self.stats())),
            Request::Info => Ok(Response::Info(self.loaded()?.info())),
            Request::Configure { config, seed } => {
                self.loaded()?.configure(config, seed)?;
                Ok(Response::Done)
            }
            Request::Input { offset, pixels } => {
                self.place(placed, offset, pixels)?;
                Ok(Response::Done)
            }
            Request::Infer { pixels, observe } => {
                self.infer(placed, pixels, observe).map(Response::Inference)
            }
            Request::Learn { label } => self.learn(label).map(Response::Learned),
            Request::Reward { right } => {
                let reward = |plastic: &mut Plastic<'_>, model: &Model<'_>| {
                    plastic.reward(model, right).map(|()| right)
                };
                self.teach(reward).map(Response::Learned)
            }
            Request::Schedule { schedule } => {
                self.loaded()?.plastic.set_schedule(schedule);
                Ok(Response::Done)
            }
            Request::Domains { domains } => {
                self.loaded()?.set_domains(domains)?;
                Ok(Response::Done)
            }
            Request::Attend { images } => {
                self.loaded()?.plastic.attend(images);
                Ok(Response::Done)
            }
            Request::Snapshot { offset } => {
                let bytes = self.loaded()?.plastic.snapshot();
                let total_bytes = bytes.len() as u32;
                let rest = bytes.get(offset as usize..).unwrap_or_default();
                let bytes = rest.get(..CHUNK_BYTES).unwrap_or(rest);
                Ok(Response::Snapshot { total_bytes, bytes })
            }
            Request::Reset => {
                let loaded = self.loaded()?;
                loaded
                    .plastic
                    .reset(loaded.model)
                    .map_err(|_| Refusal::Internal)?;
                Ok(Response::Done)
            }
            Request::Guard { limits } => {
                let loaded = self.loaded()?;
                let (watched, subject) = loaded.parts();
                watched.set(limits, subject)?;
                Ok(Response::Done)
            }
            Request::Check => {
                let check = |w: &mut Watched<'_, F>, s: Subject<'_, '_>| w.check(s);
                self.timed(check).map(Response::Checked)
            }
            Request::Transfer(ref request) => {
                let arena = self.loaded.as_mut().ok().map(|loaded| &mut *loaded.arena);
                let progress = self.receiving.serve(request, arena)?;
                Ok(Response::Transfer(progress))
            }
            Request::Commit => {
                self.receiving.settled()?;
                let (watched, subject) = self.loaded()?.parts();
                watched.commit(subject).map(Response::Committed)
            }
        }
    }

    /// What the guard says, its instructions counted if it looked at all.
    fn timed(
        &mut self,
        ask: impl FnOnce(&mut Watched<'a, F>, Subject<'_, 'a>) -> Result<Verdict, Refusal>,
    ) -> Result<Verdict, Refusal> {
        let start = self.machine.ticks();
        let (watched, subject) = running(&mut self.loaded)?.parts();
        let verdict = ask(watched, subject)?;
        if verdict != Verdict::NotDue {
            let ticks = self.machine.ticks().wrapping_sub(start);
            watched.count(self.machine.instructions(ticks));
        }
        Ok(verdict)
    }

    fn loaded(&mut self) -> Result<&mut Loaded<'a, F>, Refusal> {
        running(&mut self.loaded)
    }

    fn hello(&self) -> Hello {
        Hello {
            protocol: VERSION,
            abi: RUNTIME_ABI,
            board: String::try_from(M::BOARD).unwrap_or_default(),
            max_request_bytes: MAX_REQUEST_BYTES as u32,
            has_model: self.loaded.is_ok(),
        }
    }

    fn stats(&mut self) -> Stats {
        let stack_bytes = self.machine.stack_bytes();
        let Ok(loaded) = &mut self.loaded else {
            return Stats {
                stack_bytes,
                ..self.stats
            };
        };
        let domains = loaded.plastic.domains();
        Stats {
            counters: loaded.plastic.counters(),
            state_digest: loaded.plastic.digest(),
            stack_bytes,
            guard: loaded.watched.stats(),
            schedule: loaded.plastic.schedule(),
            spent: loaded.plastic.spent(),
            arena_bytes: loaded.model.arena_bytes() as u32,
            state_bytes: loaded.state_in_use(),
            domains: domains.map(|(settings, report)| DomainStats { settings, report }),
            ..self.stats
        }
    }

    fn learn(&mut self, label: u8) -> Result<Update, Refusal> {
        let model = self.loaded()?.model;
        let n_classes = model.n_classes() as u16;
        if u16::from(label) >= n_classes {
            return Err(Refusal::BadLabel { label, n_classes });
        }
        self.teach(|plastic, model| plastic.learn(model, usize::from(label)))
    }

    /// One update, its instructions counted, and what the guard says of it.
    fn teach(
        &mut self,
        update: impl FnOnce(&mut Plastic<'_>, &Model<'_>) -> Result<bool, AdaptError>,
    ) -> Result<Update, Refusal> {
        let Loaded { model, plastic, .. } = running(&mut self.loaded)?;
        let before = plastic.spent().learned;
        let start = self.machine.ticks();
        let outcome = update(plastic, model);
        let instructions = self
            .machine
            .instructions(self.machine.ticks().wrapping_sub(start));
        let correct = outcome.map_err(|error| match error {
            AdaptError::NothingInferred => Refusal::NothingInferred,
            AdaptError::NeedsLabel => Refusal::NeedsLabel,
            _ => Refusal::Internal,
        })?;
        let learned = plastic.spent().learned != before || !plastic.config().head.learns();
        let mut verdict = Verdict::NotDue;
        if learned {
            self.stats.update_instructions = instructions;
            verdict = self.timed(Watched::learned)?;
        }
        Ok(Update {
            correct,
            learned,
            instructions,
            verdict,
        })
    }
}

/// The model of `loaded`, which alone is borrowed.
fn running<'l, 'a, F>(
    loaded: &'l mut Result<Loaded<'a, F>, Refusal>,
) -> Result<&'l mut Loaded<'a, F>, Refusal> {
    loaded.as_mut().map_err(|refusal| *refusal)
}
