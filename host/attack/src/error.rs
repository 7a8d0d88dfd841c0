//! What can go wrong in an attack.

use crate::Cell;

/// Why a cell has no result.
#[derive(Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AttackError {
    /// An attack overstepped its own limits: a fault of this program.
    #[error(
        "{cell}: image {image} was changed by {got} {unit}, {allowed} allowed: the attack is wrong"
    )]
    Budget {
        /// Which attack.
        cell: Cell,
        /// Index of the image.
        image: usize,
        /// Largest change, or number of changed pixels.
        got: f32,
        /// What is allowed of it.
        allowed: f32,
        /// What is counted.
        unit: &'static str,
    },
    /// The loss needs the third largest output.
    #[error("{cell}: {got} classes, at least 3 needed; leave this attack out")]
    Classes {
        /// Which attack.
        cell: Cell,
        /// Outputs of the network.
        got: usize,
    },
    /// Pixels and labels do not fit together.
    #[error("{got} {what}, {want} needed")]
    Data {
        /// Which quantity.
        what: &'static str,
        /// How many there are.
        got: usize,
        /// How many there should be.
        want: usize,
    },
    /// The attack needs a network that is not there.
    #[error("{cell}: no network to take this gradient from")]
    NoGuide {
        /// Which attack.
        cell: Cell,
    },
}
