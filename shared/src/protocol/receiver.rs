//! The device's side of a transfer: from the messages to the slots.
//!
//! Owns which blob is being received and the order of its chunks, in RAM only; the slots, the checks and the way
//! back are [`crate::update`]'s. It must not know frames nor what runs the model.

use super::Refusal;
use super::transfer::{
    Identity, MAX_PAGES, Origin, Progress, Transfer, TransferRefusal, TransferStatus,
};
use crate::blob::{BlobError, HEADER_BYTES, Lead};
use crate::claims::Claims;
use crate::signature::{Trust, TrustError};
use crate::update::{Boot, MappedFlash, State, UpdateError, Updater};
use core::fmt;
use heapless::Vec;

/// Whatever takes other models, with its flash out of sight.
pub trait Transfers {
    /// The answer to `request`; `arena` is free for a self-test.
    ///
    /// # Errors
    /// Why it is refused; the running model stays.
    fn serve(
        &mut self,
        request: &Transfer<'_>,
        arena: &mut [i8],
    ) -> Result<Progress, TransferRefusal>;

    /// Whether the running model is on trial: what another one learned must stay in flash until it is not.
    fn on_trial(&self) -> bool;
}

/// The blob that is being received.
#[derive(Clone, Copy, Debug)]
struct Begun {
    /// Bytes of blob and claims.
    total_len: u32,
    /// Behind the last chunk written.
    next: u32,
}

/// Takes other models into the slots of an [`Updater`].
#[derive(Debug)]
pub struct Receiver<F> {
    updater: Updater<F>,
    origin: Origin,
    running: Option<Identity>,
    trial: bool,
    reverted: bool,
    begun: Option<Begun>,
}

impl<F: MappedFlash> Receiver<F> {
    /// Of the slots of `updater`, whose [`Updater::boot`] gave `boot`. `built_in` is the model that came with
    /// the program, if there is one and room for it: it runs where no slot has a model.
    pub fn new(updater: Updater<F>, boot: &Boot<F::Error>, built_in: Option<Lead>) -> Self {
        let (origin, running) = match (&boot.slot, built_in) {
            (&Ok(slot), _) => (Origin::Slot(slot), Lead::read(updater.slot(slot)).ok()),
            (Err(_), Some(_)) => (Origin::BuiltIn, built_in),
            (Err(_), None) => (Origin::Nowhere, None),
        };
        Self {
            updater,
            origin,
            running: running.map(Identity::from),
            trial: boot.trial,
            reverted: boot.reverted,
            begun: None,
        }
    }

    fn status(&mut self) -> TransferStatus {
        let record = self.updater.record();
        let (slot_bytes, page_bytes) = self.updater.room();
        let candidate = Lead::read(self.updater.slot(record.slot ^ 1)).ok();
        TransferStatus {
            origin: self.origin,
            state: record.state,
            reverted: self.reverted,
            running: self.running,
            candidate: candidate.map(Identity::from),
            least_counter: self.updater.least_counter(),
            keyed: self.updater.policy().trust != Trust::Anyone,
            slot_bytes,
            page_bytes,
            word_bytes: F::WRITE_SIZE as u32,
        }
    }

    fn begin(
        &mut self,
        header: &[u8],
        digest: &[u8; 32],
        claims: &Claims,
    ) -> Result<(), TransferRefusal> {
        let header: &[u8; HEADER_BYTES] = header.try_into().map_err(|_| {
            let (got_bytes, want_bytes) = (header.len() as u32, HEADER_BYTES as u32);
            TransferRefusal::Header {
                got_bytes,
                want_bytes,
            }
        })?;
        self.begun = None;
        let lead = self.updater.begin(header, digest, claims)?;
        self.begun = Some(Begun {
            total_len: lead.total_len + Claims::BYTES as u32,
            next: 0,
        });
        Ok(())
    }

    fn pages(&mut self, first: u32) -> Result<Progress, TransferRefusal> {
        let Begun { total_len, .. } = self.begun.ok_or(TransferRefusal::NotBegun)?;
        let (_, page_bytes) = self.updater.room();
        let mut crcs = Vec::new();
        for i in 0..MAX_PAGES as u32 {
            let page = first.checked_add(i);
            let start = page.and_then(|page| page.checked_mul(page_bytes));
            let Some(start) = start.filter(|&at| at < total_len) else {
                break;
            };
            let len = page_bytes.min(total_len - start);
            let crc = self.updater.digest(start, len).unwrap_or_default();
            // There is room: `MAX_PAGES`.
            let _ = crcs.push(crc);
        }
        Ok(Progress::Pages { first, crcs })
    }

    fn chunk(&mut self, offset: u32, bytes: &[u8]) -> Result<Progress, TransferRefusal> {
        let Begun { total_len, next } = self.begun.ok_or(TransferRefusal::NotBegun)?;
        let (_, page_bytes) = self.updater.room();
        if offset != next && !offset.is_multiple_of(page_bytes) {
            return Err(TransferRefusal::Order { offset, next });
        }
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let end = offset.saturating_add(len);
        if end > total_len.next_multiple_of(F::WRITE_SIZE as u32) {
            return Err(TransferRefusal::Place { offset, bytes: len });
        }
        self.updater.write(offset, bytes)?;
        self.begun = Some(Begun {
            total_len,
            next: end,
        });
        Ok(Progress::Written { next: end })
    }
}

impl<F: MappedFlash> Transfers for Receiver<F> {
    fn serve(
        &mut self,
        request: &Transfer<'_>,
        arena: &mut [i8],
    ) -> Result<Progress, TransferRefusal> {
        match *request {
            Transfer::Status => {}
            Transfer::Begin {
                header,
                digest,
                claims,
            } => self.begin(header, &digest, &claims)?,
            Transfer::Pages { first } => return self.pages(first),
            Transfer::Chunk { offset, bytes } => return self.chunk(offset, bytes),
            Transfer::Activate => self.updater.activate(arena)?,
            Transfer::Restart => {
                return match self.updater.record().state {
                    State::Confirmed => Err(TransferRefusal::NoTrial),
                    State::Pending | State::Trying => Ok(Progress::Restarting),
                };
            }
            Transfer::Confirm => {
                self.updater.confirm()?;
                self.trial = false;
            }
        }
        Ok(Progress::Status(self.status()))
    }

    fn on_trial(&self) -> bool {
        self.trial
    }
}

/// What of the updates belongs to a server.
#[derive(Default)]
pub(super) struct Receiving<'a> {
    transfers: Option<&'a mut dyn Transfers>,
    spare: &'a mut [i8],
    restart: bool,
}

// A derived one would put the formatting of the whole receiver into every firmware, by its vtable.
impl fmt::Debug for Receiving<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut receiving = f.debug_struct("Receiving");
        receiving.field("restart", &self.restart);
        receiving.finish_non_exhaustive()
    }
}

impl<'a> Receiving<'a> {
    pub(super) fn by(transfers: &'a mut dyn Transfers, spare: &'a mut [i8]) -> Self {
        Self {
            transfers: Some(transfers),
            spare,
            restart: false,
        }
    }

    pub(super) fn serve(
        &mut self,
        request: &Transfer<'_>,
        arena: Option<&mut [i8]>,
    ) -> Result<Progress, Refusal> {
        let transfers = self.transfers.as_mut().ok_or(TransferRefusal::NoSlots)?;
        let progress = transfers.serve(request, arena.unwrap_or(self.spare))?;
        self.restart = progress == Progress::Restarting;
        Ok(progress)
    }

    /// # Errors
    /// The running model is on trial.
    pub(super) fn settled(&self) -> Result<(), Refusal> {
        match self.transfers.as_ref().is_some_and(|t| t.on_trial()) {
            true => Err(TransferRefusal::Trial.into()),
            false => Ok(()),
        }
    }

    pub(super) fn wants_restart(&self) -> bool {
        self.restart
    }
}

impl<E> From<UpdateError<E>> for TransferRefusal {
    fn from(error: UpdateError<E>) -> Self {
        use TransferRefusal as Told;
        match error {
            UpdateError::Flash(_) | UpdateError::Record(_) | UpdateError::Layout { .. } => {
                Told::Flash
            }
            UpdateError::Trial => Told::Trial,
            UpdateError::NoTrial => Told::NoTrial,
            UpdateError::Length {
                got_bytes,
                max_bytes,
            } => Told::Length {
                got_bytes,
                max_bytes,
            },
            UpdateError::Place { offset, bytes, .. } => Told::Place { offset, bytes },
            UpdateError::Counter { got, want } => Told::Counter { got, want },
            UpdateError::Unfit(unfit) => Told::Unfit(unfit),
            UpdateError::Unmet(unmet) => Told::Unmet(unmet),
            UpdateError::SelfTest { right, n_samples } => Told::SelfTest { right, n_samples },
            UpdateError::Unclaimed => Told::Damaged,
            UpdateError::Trust(TrustError::Unsigned) => Told::Unsigned,
            UpdateError::Trust(TrustError::Wrong) => Told::Signature,
            UpdateError::Trust(TrustError::Key) => Told::Key,
            UpdateError::Trust(TrustError::Blob(error)) | UpdateError::Blob(error) => {
                damaged(error)
            }
            UpdateError::Arenas(_) => Told::Unsound,
        }
    }
}

fn damaged(error: BlobError) -> TransferRefusal {
    use TransferRefusal as Told;
    match error {
        BlobError::Magic => Told::Magic,
        BlobError::Version { got, want } => Told::Version { got, want },
        BlobError::Abi { got, want } => Told::Abi { got, want },
        BlobError::Truncated { .. } | BlobError::Crc { .. } => Told::Damaged,
        _ => Told::Unsound,
    }
}
