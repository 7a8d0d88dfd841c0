//! A device with two model slots on the simulated flash, releases for it, and the host's side of a transfer.

use crate::nor::{Fault, Nor, PAGE};
use crate::toy;
use aplysia_shared::blob::{set_counter, set_signature};
use aplysia_shared::signature::{PublicKey, Trust, body_digest, message};
use aplysia_shared::update::{Boot, Layout, Policy, UpdateError, Updater};
use aplysia_shared::{Model, Room};
use ed25519_dalek::{Signer as _, SigningKey};
use embedded_storage::nor_flash::NorFlash as _;
use std::ops::Range;

pub(crate) const SLOT_PAGES: u32 = 28;
pub(crate) const RECORD: Range<u32> = 0..2 * PAGE as u32;

pub(crate) fn layout() -> Layout {
    Layout::halves(RECORD.end + 2 * SLOT_PAGES * PAGE as u32, PAGE as u32)
}

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(crate) fn trust(key: &SigningKey) -> Trust {
    Trust::Key(PublicKey::new(key.verifying_key().to_bytes()))
}

pub(crate) fn policy(trust: Trust) -> Policy {
    Policy {
        trust,
        input: Some([toy::SIDE, toy::SIDE, 2]),
        counter: None,
        room: Room {
            arena_bytes: 4096,
            state_bytes: 4096,
        },
    }
}

pub(crate) fn sign(blob: &mut [u8], key: &SigningKey) {
    let signature = key.sign(&message(blob).unwrap());
    set_signature(blob, &signature.to_bytes());
}

/// The toy model `seed` with an update counter, signed.
pub(crate) fn release(seed: u64, counter: u64) -> Vec<u8> {
    let mut blob = toy::measured(seed);
    set_counter(&mut blob, counter);
    sign(&mut blob, &key(1));
    blob
}

/// A device that was made with `blob`.
pub(crate) fn made_with<const WRITE: usize>(blob: &[u8]) -> Nor<WRITE> {
    let layout = layout();
    let mut flash = Nor::new(layout.slots[1].end as usize / PAGE);
    let mut padded = blob.to_vec();
    padded.resize(blob.len().next_multiple_of(32), 0xFF);
    flash.write(layout.slots[0].start, &padded).unwrap();
    flash
}

pub(crate) fn updater<const WRITE: usize>(flash: Nor<WRITE>) -> Updater<Nor<WRITE>> {
    Updater::open(flash, layout(), policy(trust(&key(1)))).unwrap()
}

pub(crate) type Refused = UpdateError<Fault>;

/// What the host does: sends the pages that differ.
pub(crate) fn send<const WRITE: usize>(
    updater: &mut Updater<Nor<WRITE>>,
    blob: &[u8],
) -> Result<usize, Refused> {
    let digest = body_digest(blob).unwrap_or_default();
    updater.begin(blob.first_chunk().unwrap(), &digest)?;
    let mut n_sent = 0;
    for (offset, page) in (0..).step_by(PAGE).zip(blob.chunks(PAGE)) {
        let mut bytes = page.to_vec();
        bytes.resize(PAGE, 0xFF);
        let crc = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&bytes);
        if updater.digest(offset, PAGE as u32) != Some(crc) {
            // In two parts, as a line with short frames would.
            let (front, back) = bytes.split_at(PAGE / 2);
            updater.write(offset, front)?;
            updater.write(offset + PAGE as u32 / 2, back)?;
            n_sent += 1;
        }
    }
    Ok(n_sent)
}

/// What this start does, and the blob in its slot.
pub(crate) fn started<const WRITE: usize>(
    updater: &mut Updater<Nor<WRITE>>,
) -> (Boot<Fault>, Vec<u8>) {
    let boot = updater.boot();
    let slot = updater.slot(boot.slot.unwrap());
    let len = Model::parse(slot).unwrap().blob_bytes();
    (boot, slot[..len].to_vec())
}
