//! Why the store refuses.
//!
//! It owns the messages, with numbers and what to do next; it must not know how a case is found.

/// Why the store refused; what was committed before is still there. `E` is the flash driver's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StoreError<E> {
    /// The flash driver failed.
    #[error("the flash failed ({0:?}): restart, and replace the device if it stays")]
    Flash(E),
    /// The region is no pair of slots in this flash.
    #[error(
        "region {start:#x}..{end:#x} is no even number of pages of {page_bytes} bytes in a flash of \
         {flash_bytes}: fix the memory map"
    )]
    Region {
        /// First byte.
        start: u32,
        /// Behind the last byte.
        end: u32,
        /// What the flash erases at once.
        page_bytes: usize,
        /// Size of the flash.
        flash_bytes: usize,
    },
    /// The snapshot does not fit in a slot.
    #[error("snapshot has {got_bytes} bytes, a slot takes {max_bytes}: give the store more pages")]
    Length {
        /// Given.
        got_bytes: usize,
        /// [`super::Store::capacity_bytes`]
        max_bytes: usize,
    },
    /// The buffer is shorter than the committed snapshot.
    #[error("buffer has {got_bytes} bytes, the committed snapshot {want_bytes}: give a larger one")]
    Buffer {
        /// Given.
        got_bytes: usize,
        /// Needed.
        want_bytes: usize,
    },
    /// What was committed last belongs to another model.
    #[error("commit {sequence} belongs to another model: start from the base and commit again")]
    Foreign {
        /// Number of that commit.
        sequence: u32,
    },
    /// The flash does not hold what was written to it.
    #[error(
        "commit {sequence} reads back damaged, page {address:#x} may be worn: the last one stays"
    )]
    Verify {
        /// Number of the failed commit.
        sequence: u32,
        /// First byte of its slot.
        address: u32,
    },
}
