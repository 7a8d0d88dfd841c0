//! Batches made by a thread of their own while the one before them is worked on.
//!
//! What an item is depends on its place only, so nothing depends on who waits for whom. One is made ahead, so that
//! two are in memory.
//!
//! The maker is no worker of the pool that the caller works in: what it does in parallel it does in the common pool, so
//! that a limit of threads holds for the steps and not for making batches. Nobody may call it on a worker of the common
//! pool, which the maker needs.

use std::sync::mpsc::sync_channel;
use std::thread;

/// `work` on the items of `make`, in their order; the next one is made meanwhile.
pub(crate) fn ahead<T: Send, R>(
    make: impl Iterator<Item = T> + Send,
    work: impl FnOnce(&mut dyn Iterator<Item = T>) -> R,
) -> R {
    thread::scope(|scope| {
        // The maker keeps what is finished until it is asked for.
        let (sender, receiver) = sync_channel(0);
        scope.spawn(move || {
            for item in make {
                // Nobody wants it any more.
                if sender.send(item).is_err() {
                    break;
                }
            }
        });
        work(&mut receiver.into_iter())
    })
}
