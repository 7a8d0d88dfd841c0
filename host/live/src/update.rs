//! Another model for a device: sent, tried, kept, whatever was cut before.
//!
//! Owns the order of the steps and where to go on; the messages are `device`'s, the slots and the checks
//! `aplysia_shared::update`'s, on the device. Flow: blob → [`install`] → the device runs it for good.
//!
//! Every call begins by asking where the device stands, so that a call that was cut (line, power, either side
//! killed) is made good by the same call again: pages that the slot holds already are not sent.

use crate::LiveError;
use crate::device::{Device, DeviceError, Inference, Line};
use crate::evaluate::input_of_pixels;
use aplysia_shared::blob::{HEADER_BYTES, Lead};
use aplysia_shared::protocol::{Identity, Refusal, TransferStatus};
use aplysia_shared::signature::body_digest;
use aplysia_shared::update::{State, page_crc};
use aplysia_shared::{ArenaError, Claims, Model, infer};
use std::ops::ControlFlow;

/// Times that the pages of a blob are sent before the line is given up.
const ROUNDS: usize = 4;
/// Most bytes in one message: they fit a request with what goes around them.
const CHUNK_BYTES: usize = 2048;
/// Restarts after which no other model is pending or on trial: one tries it, one gives it up.
const RESTARTS: usize = 2;

/// What a transfer took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Pages of the blob and its claims.
    pub n_pages: usize,
    /// Pages written, those counted again that had to be sent again.
    pub n_sent: usize,
}

/// How an update ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Installed {
    /// The device ran this blob already.
    Already,
    /// The device runs it and will go on.
    Confirmed {
        /// What the transfer took; nothing if it was done before this call.
        sent: Sent,
        /// Of the inference by which the device was compared with the host.
        instructions: u32,
    },
    /// `on_page` ended the transfer; another call goes on.
    Interrupted,
}

/// Where a blob stands on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Its slot may be written.
    Missing,
    /// The next start tries it.
    Pending,
    /// It runs on trial.
    Trying,
    /// It is the model that counts.
    Confirmed,
}

/// Makes `blob` the model of `device`: sends what is missing, has it checked and tried, compares one inference
/// with the host's, and confirms. Another model that is pending or on trial there is given up. The claims are those
/// behind the blob; where there are none, as behind an unsigned one, the model's own.
///
/// # Errors
/// No blob of this runtime, a line that fails or damages, a device that refuses the blob or gives it up, or
/// whose inference differs; the device then keeps the model it had.
pub fn install<T: Line>(
    device: &mut Device<T>,
    blob: &[u8],
    on_page: &mut dyn FnMut(Sent) -> ControlFlow<()>,
) -> Result<Installed, LiveError> {
    let model = Model::parse(blob)?;
    let claims = Claims::behind(blob).map_or_else(|| claims(&model), Ok)?;
    let blob = &blob[..model.blob_bytes()];
    let wanted = Identity::from(Lead::read(blob)?);
    let mut standing = settle(device, &wanted)?;
    let mut sent = Sent::default();
    if standing == Standing::Confirmed {
        return Ok(Installed::Already);
    }
    if standing == Standing::Missing {
        match send(device, (blob, claims), on_page)? {
            ControlFlow::Continue(all) => sent = all,
            ControlFlow::Break(()) => return Ok(Installed::Interrupted),
        }
        device.activate()?;
        standing = Standing::Pending;
    }
    if standing == Standing::Pending {
        device.restart()?;
        let status = device.transfer_status()?;
        if stands(&status, &wanted) != Some(Standing::Trying) {
            return Err(LiveError::GivenUp);
        }
    }
    match probe(device, &model) {
        Ok(Inference { instructions, .. }) => {
            device.confirm()?;
            Ok(Installed::Confirmed { sent, instructions })
        }
        Err(error @ LiveError::Differs { .. }) => {
            device.restart()?;
            Err(error)
        }
        Err(error) => Err(error),
    }
}

/// What `model` keeps of all that is claimed of models.
///
/// # Errors
/// None that is met: the arena is as large as the model wants.
pub fn claims(model: &Model<'_>) -> Result<Claims, ArenaError> {
    Claims::of(model, &mut vec![0; model.arena_bytes()])
}

/// One inference of a ramp of grey values on the device, if it equals the host's in every score.
///
/// # Errors
/// The line, or [`LiveError::Differs`].
pub fn probe<T: Line>(device: &mut Device<T>, model: &Model<'_>) -> Result<Inference, LiveError> {
    let pixels: Vec<u8> = (0..model.input().len()).map(|i| i as u8).collect();
    let (mut arena, mut scores) = (vec![0; model.arena_bytes()], vec![0; model.n_classes()]);
    infer(model, &mut arena, &input_of_pixels(&pixels), &mut scores)?;
    let inference = device.infer(&pixels, false)?;
    match inference.scores[..] == scores[..] {
        true => Ok(inference),
        false => Err(LiveError::Differs {
            device: inference.scores,
            host: scores,
        }),
    }
}

/// Where `wanted` stands; none if another model is pending or on trial.
fn stands(status: &TransferStatus, wanted: &Identity) -> Option<Standing> {
    let (running, sent) = (
        status.running.as_ref() == Some(wanted),
        status.candidate.as_ref() == Some(wanted),
    );
    match status.state {
        State::Confirmed if running => Some(Standing::Confirmed),
        State::Confirmed => Some(Standing::Missing),
        State::Pending if sent => Some(Standing::Pending),
        State::Trying if running => Some(Standing::Trying),
        State::Pending | State::Trying => None,
    }
}

/// Where `wanted` stands, once no other model is pending or on trial.
fn settle<T: Line>(device: &mut Device<T>, wanted: &Identity) -> Result<Standing, LiveError> {
    for _ in 0..=RESTARTS {
        if let Some(standing) = stands(&device.transfer_status()?, wanted) {
            return Ok(standing);
        }
        device.restart()?;
    }
    Err(LiveError::GivenUp)
}

/// Sends the pages of `blob`, which is one, and of its claims that the device's slot does not hold, until it holds all
/// of them.
fn send<T: Line>(
    device: &mut Device<T>,
    (blob, claims): (&[u8], Claims),
    on_page: &mut dyn FnMut(Sent) -> ControlFlow<()>,
) -> Result<ControlFlow<(), Sent>, LiveError> {
    let mut header = [0; HEADER_BYTES];
    header.copy_from_slice(&blob[..HEADER_BYTES]);
    let digest = body_digest(blob)?;
    let status = again(|| device.begin_transfer(&header, digest, claims))?;
    let blob = &[blob, &claims.encode()].concat();
    let (page_bytes, word_bytes) = (status.page_bytes as usize, status.word_bytes as usize);
    let mut sent = Sent {
        n_pages: blob.len().div_ceil(page_bytes),
        n_sent: 0,
    };
    let mut missing = missing_pages(device, blob, page_bytes)?;
    for _ in 0..ROUNDS {
        for &page in &missing {
            match write_page(device, blob, page, (page_bytes, word_bytes)) {
                // What the line damaged is seen to be missing, and sent in the next round.
                Err(error) if !is_noise(&error) => return Err(error.into()),
                _ => sent.n_sent += 1,
            }
            if on_page(sent).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        missing = missing_pages(device, blob, page_bytes)?;
        if missing.is_empty() {
            return Ok(ControlFlow::Continue(sent));
        }
    }
    let (n_pages, rounds) = (missing.len(), ROUNDS);
    Err(DeviceError::Noisy { n_pages, rounds }.into())
}

/// Indices of the pages of `blob` that the device's slot does not hold.
fn missing_pages<T: Line>(
    device: &mut Device<T>,
    blob: &[u8],
    page_bytes: usize,
) -> Result<Vec<usize>, DeviceError> {
    let pages: Vec<&[u8]> = blob.chunks(page_bytes).collect();
    let mut held = Vec::new();
    while held.len() < pages.len() {
        let more = again(|| device.pages(held.len() as u32))?;
        if more.is_empty() {
            break;
        }
        held.extend(more);
    }
    let differs = |&page: &usize| held.get(page) != Some(&page_crc(pages[page]));
    Ok((0..pages.len()).filter(differs).collect())
}

/// Writes page `page` of `blob`, in chunks that are filled up to whole words.
fn write_page<T: Line>(
    device: &mut Device<T>,
    blob: &[u8],
    page: usize,
    (page_bytes, word_bytes): (usize, usize),
) -> Result<(), DeviceError> {
    let start = page * page_bytes;
    let bytes = &blob[start..blob.len().min(start + page_bytes)];
    for (offset, chunk) in (start..)
        .step_by(CHUNK_BYTES)
        .zip(bytes.chunks(CHUNK_BYTES))
    {
        let mut chunk = chunk.to_vec();
        chunk.resize(chunk.len().next_multiple_of(word_bytes), 0xFF);
        device.write_chunk(offset as u32, &chunk)?;
    }
    Ok(())
}

/// Asks what may be asked twice, until the line lets question and answer through.
fn again<R>(mut ask: impl FnMut() -> Result<R, DeviceError>) -> Result<R, DeviceError> {
    for _ in 1..ROUNDS {
        match ask() {
            Err(error) if is_noise(&error) => {}
            answer => return answer,
        }
    }
    ask()
}

/// Whether the line damaged a question or its answer, or an answer is late.
fn is_noise(error: &DeviceError) -> bool {
    matches!(
        error,
        DeviceError::Frame(_)
            | DeviceError::Unexpected { .. }
            | DeviceError::Refused(Refusal::Frame(_))
    )
}
