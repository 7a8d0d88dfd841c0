//! The host's side of a transfer, message by message; the order of the steps is `crate::update`'s.

use super::{Device, DeviceError, Line};
use aplysia_shared::Claims;
use aplysia_shared::blob::HEADER_BYTES;
use aplysia_shared::protocol::{Hello, Progress, Request, Response, Transfer, TransferStatus};
use aplysia_shared::signature::DIGEST_BYTES;

impl<T: Line> Device<T> {
    /// Where the update stands.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn transfer_status(&mut self) -> Result<TransferStatus, DeviceError> {
        self.transfer(&Transfer::Status, status)
    }

    /// Opens the transfer of the blob with this header, SHA-256 of what follows it, and claims behind it, or goes on
    /// with it.
    ///
    /// # Errors
    /// [`DeviceError`]; refused if the device would not use that blob.
    pub fn begin_transfer(
        &mut self,
        header: &[u8; HEADER_BYTES],
        digest: [u8; DIGEST_BYTES],
        claims: Claims,
    ) -> Result<TransferStatus, DeviceError> {
        let begin = Transfer::Begin {
            header,
            digest,
            claims,
        };
        self.transfer(&begin, status)
    }

    /// CRC-32 of what the slot holds of the pages of the blob begun, from page `first` on; not always of all.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn pages(&mut self, first: u32) -> Result<Vec<u32>, DeviceError> {
        self.transfer(&Transfer::Pages { first }, |progress| match progress {
            Progress::Pages { first: got, crcs } if got == first => Some(crcs.to_vec()),
            _ => None,
        })
    }

    /// Writes `bytes` of the blob begun at `offset`.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn write_chunk(&mut self, offset: u32, bytes: &[u8]) -> Result<(), DeviceError> {
        let end = offset.saturating_add(bytes.len() as u32);
        self.transfer(&Transfer::Chunk { offset, bytes }, |progress| {
            (progress == Progress::Written { next: end }).then_some(())
        })
    }

    /// Has the device check the blob begun, and try it when it starts next.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn activate(&mut self) -> Result<TransferStatus, DeviceError> {
        self.transfer(&Transfer::Activate, status)
    }

    /// Keeps the model on trial.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn confirm(&mut self) -> Result<TransferStatus, DeviceError> {
        self.transfer(&Transfer::Confirm, status)
    }

    /// Restarts the device and meets it again.
    ///
    /// # Errors
    /// [`DeviceError`]; refused if no model is pending or on trial.
    pub fn restart(&mut self) -> Result<Hello, DeviceError> {
        self.transfer(&Transfer::Restart, |progress| {
            (progress == Progress::Restarting).then_some(())
        })?;
        self.meet()
    }

    fn transfer<R>(
        &mut self,
        transfer: &Transfer<'_>,
        mut pick: impl FnMut(Progress) -> Option<R>,
    ) -> Result<R, DeviceError> {
        let request = Request::Transfer(transfer.clone());
        self.ask(&request, |response| match response {
            Response::Transfer(progress) => pick(progress),
            _ => None,
        })
    }
}

fn status(progress: Progress) -> Option<TransferStatus> {
    match progress {
        Progress::Status(status) => Some(status),
        _ => None,
    }
}
