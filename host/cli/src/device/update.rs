//! `aplysia device update`, and what a device says of its model slots. Owns the words; the steps are
//! `aplysia_live::update`'s.

use super::{AnyDevice, connect};
use crate::args::device::update::UpdateArgs;
use crate::{Outcome, blob, progress};
use anyhow::{Context, Result, ensure};
use aplysia_deploy::hex;
use aplysia_live::LiveError;
use aplysia_live::device::DeviceError;
use aplysia_live::update::{Installed, install};
use aplysia_shared::protocol::{Identity, Origin, Refusal, TransferRefusal, TransferStatus};
use aplysia_shared::update::State;
use std::sync::atomic::AtomicBool;

const UNKEYED: &str = "trust         ANYBODY: a development build, which takes unsigned models; build it with \
                       APLYSIA_PUBLIC_KEY to refuse them";

/// Makes the blob the device's model.
///
/// # Errors
/// No sound blob, a board without a lasting flash, a line that fails, or a device that refuses.
pub(super) fn run(args: &UpdateArgs, stop: &AtomicBool) -> Result<Outcome> {
    let bytes = blob::read(&args.blob)?;
    let model = blob::parse(&bytes, &args.blob)?;
    ensure!(
        args.board.flash.is_some() || args.board.connect.is_some(),
        "an emulated board forgets its model without a flash: name one with --flash FILE, or a running \
         board with --connect PATH"
    );
    let (mut device, hello) = connect(&args.board, args.built_in.as_deref())?;
    say!(
        "device        {}, protocol {}, runtime {}",
        hello.board,
        hello.protocol,
        hello.abi
    );
    print_status(&device.transfer_status().context("update")?);
    say!(
        "new model     {}, counter {}, {} bytes",
        hex(&model.id()),
        model.counter(),
        model.blob_bytes()
    );
    let bar = progress::bar(0, "pages");
    let mut on_page = |sent: aplysia_live::update::Sent| {
        bar.set_length(sent.n_pages as u64);
        bar.set_position(sent.n_sent as u64);
        progress::flow(stop)
    };
    let installed = install(&mut device, &bytes, &mut on_page).map_err(advised)?;
    bar.finish_and_clear();
    match installed {
        Installed::Already => say!("update        nothing to do: the device runs this model"),
        Installed::Interrupted => return Ok(Outcome::Interrupted),
        Installed::Confirmed { sent, instructions } => {
            say!("sent          {} of {} pages", sent.n_sent, sent.n_pages);
            say!(
                "trial         passed: equal to the host, {instructions} instructions, {} predicted",
                model.instructions()
            );
            print_status(&device.transfer_status()?);
        }
    }
    Ok(Outcome::Done)
}

/// What to do next, where the error does not say so itself.
fn advised(error: LiveError) -> anyhow::Error {
    let says_itself = matches!(
        error,
        LiveError::Device(DeviceError::Refused(_)) | LiveError::GivenUp | LiveError::Differs { .. }
    );
    match (error, says_itself) {
        (LiveError::Device(error), true) => anyhow::Error::new(error).context("the update stopped, the old model stays"),
        (error, true) => error.into(),
        (error, false) => anyhow::Error::new(error).context(
            "the update was cut: the same command goes on where it was, and the device starts with a whole model",
        ),
    }
}

/// Prints where the update of `device` stands, if it has slots at all.
///
/// # Errors
/// The line.
pub(super) fn print(device: &mut AnyDevice) -> Result<()> {
    match device.transfer_status() {
        Ok(status) => print_status(&status),
        Err(DeviceError::Refused(Refusal::Transfer(TransferRefusal::NoSlots))) => {
            say!("slots         none");
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn print_status(status: &TransferStatus) {
    match status.keyed {
        true => say!("trust         models signed with the key of its program"),
        false => say!("{UNKEYED}"),
    }
    let whence = match status.origin {
        Origin::Nowhere => "no model".to_owned(),
        Origin::BuiltIn => "the model that came with the program".to_owned(),
        Origin::Slot(slot) => format!("the model in slot {slot}"),
    };
    let what = match status.state {
        State::Confirmed if status.reverted => "; gave up the one it tried last, unconfirmed",
        State::Confirmed => "",
        State::Pending => "; another one is tried by the next start",
        State::Trying => ", on trial",
    };
    say!("runs          {whence}{what}");
    if let Some(Identity {
        model_id, counter, ..
    }) = status.running
    {
        say!("              {}, counter {counter}", hex(&model_id));
    }
    say!(
        "takes         counter {} and newer, up to {} bytes",
        status.least_counter,
        status.slot_bytes
    );
}
