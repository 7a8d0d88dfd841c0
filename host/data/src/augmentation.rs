//! Random changes of a picture that training sees: crops of random size, colours.
//!
//! A change is drawn first and applied later, so that draws happen in order and pictures are made in
//! parallel. Shifts, mirroring and erased squares are made where pixels become numbers: `learn`.

pub mod colour;
pub mod crop;

pub use colour::{ColourChange, ColourJitter};
pub use crop::CropWindow;
