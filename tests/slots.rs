//! A device with two model slots on the simulated flash, releases for it with their claims, and the host's side of a
//! transfer.

use crate::nor::{Fault, Nor, PAGE};
use crate::toy;
use aplysia_live::device::{Device, DeviceError, Line};
use aplysia_live::update::claims;
use aplysia_shared::blob::{HEADER_BYTES, set_counter, set_signature};
use aplysia_shared::protocol::TransferStatus;
use aplysia_shared::signature::{PublicKey, Trust, body_digest, message};
use aplysia_shared::update::{Boot, Layout, Policy, UpdateError, Updater};
use aplysia_shared::{Claims, Model, Room};
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

/// The toy model `seed` with an update counter and its claims, signed.
pub(crate) fn release(seed: u64, counter: u64) -> Vec<u8> {
    let mut blob = toy::measured(seed);
    set_counter(&mut blob, counter);
    blob = claiming(&blob, |_| ());
    sign(&mut blob, &key(1));
    blob
}

/// The blob at the start of `bytes` with its claims behind it, as far as `lie` leaves them as they are.
pub(crate) fn claiming(bytes: &[u8], lie: impl FnOnce(&mut Claims)) -> Vec<u8> {
    let model = Model::parse(bytes).unwrap();
    let mut claims = claims(&model).unwrap();
    lie(&mut claims);
    [&bytes[..model.blob_bytes()], &claims.encode()].concat()
}

/// The claims behind `blob`, else its own, else none that are true.
pub(crate) fn claims_of(blob: &[u8]) -> Claims {
    let own = || claims(&Model::parse(blob).ok()?).ok();
    let none = Claims {
        input: [toy::SIDE, toy::SIDE, 2],
        outputs: toy::N_CLASSES as u16,
        features: 1,
        answers: 0,
    };
    Claims::behind(blob).or_else(own).unwrap_or(none)
}

/// Opens the transfer of `blob`.
pub(crate) fn begin<T: Line>(
    device: &mut Device<T>,
    blob: &[u8],
) -> Result<TransferStatus, DeviceError> {
    let header: [u8; HEADER_BYTES] = *blob.first_chunk().unwrap();
    let digest = body_digest(blob).unwrap_or_default();
    device.begin_transfer(&header, digest, claims_of(blob))
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
    updater.begin(blob.first_chunk().unwrap(), &digest, &claims_of(blob))?;
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

/// What this start does, and the blob in its slot with its claims.
pub(crate) fn started<const WRITE: usize>(
    updater: &mut Updater<Nor<WRITE>>,
) -> (Boot<Fault>, Vec<u8>) {
    let boot = updater.boot();
    let slot = updater.slot(boot.slot.unwrap());
    let len = Model::parse(slot).unwrap().blob_bytes();
    (boot, slot[..len + Claims::BYTES].to_vec())
}
