//! The grammar of `aplysia run`.

use super::samples::SampleArgs;
use super::{DataArgs, at_least_one};
use clap::Args;
use std::path::PathBuf;

pub(crate) const HELP: &str = "Examples:\n  aplysia run model.blob --images 10\n  \
    aplysia run kws.blob --input sounds.npy\n  \
    aplysia run kws.blob --input sounds.npy --output scores.npy\n\n\
    Against TensorFlow Lite Micro, in Python (packages numpy and tflite-micro), for int8 at both ends and sounds [n, ...]:\n  \
    import numpy; from tflite_micro import runtime\n  \
    net = runtime.Interpreter.from_file('kws.tflite')\n  \
    want = [(net.set_input(x[None], 0), net.invoke(), net.get_output(0)[0])[2] for x in numpy.load('sounds.npy')]\n  \
    assert (numpy.load('scores.npy') == want).all()";

#[derive(Args)]
pub(crate) struct RunArgs {
    /// The blob.
    pub(crate) blob: PathBuf,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// How many test images.
    #[arg(long, default_value_t = 10, value_parser = at_least_one)]
    pub(crate) images: usize,
    #[command(flatten)]
    pub(crate) samples: SampleArgs,
}
