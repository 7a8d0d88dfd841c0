//! Inputs from a file in place of a data set's images.

use clap::Args;
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct SampleArgs {
    /// Inputs in place of test images: NumPy's .npy of int8 (as they are), uint8 (less 128, as of a uint8 model) or
    /// float32 (quantized by the input's scale), one sample or [n, ...] of them; or raw int8 bytes.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["images", "dataset", "data", "first_classes"]
    )]
    pub(crate) input: Option<PathBuf>,
    /// Write the scores there, int8 [n, outputs]: as .npy if the name ends so, else as raw bytes.
    #[arg(long, value_name = "FILE", requires = "input")]
    pub(crate) output: Option<PathBuf>,
}
