//! Why the program cannot serve a model. It owns the messages; what is checked is `server`'s.

use crate::adapt::AdaptError;

/// Why a model cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum LoadError {
    /// A buffer the program gives is too small.
    #[error("the model needs {need_bytes} bytes of {buffer}, the program has {have_bytes}")]
    Buffer {
        /// Name of the buffer.
        buffer: &'static str,
        /// Needed by the model.
        need_bytes: usize,
        /// Given by the program.
        have_bytes: usize,
    },
    /// The model is beyond the limits of plasticity, through which every inference goes.
    #[error(transparent)]
    Plastic(#[from] AdaptError),
}
