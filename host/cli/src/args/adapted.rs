//! The grammar of a search for networks that learn well on the device.

use aplysia_data::Corruption;
use clap::{Args, ValueEnum, value_parser};

/// What a candidate is told of the images that it learns from on the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Labels {
    /// Nothing.
    #[default]
    Unlabelled,
    /// The right class of each.
    Labelled,
}

/// Without `--adapt-samples` no such objective.
#[derive(Args, Clone)]
pub(crate) struct AdaptedArgs {
    /// Also search for accuracy on shifted validation images after N others of the same shift were learned from in
    /// the int8 engine, as on the device; what learns there becomes part of the genotype (space mcu only).
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    pub(crate) adapt_samples: Option<u32>,
    /// Whether these come with labels.
    #[arg(long, value_enum, default_value_t, requires = "adapt_samples")]
    pub(crate) adapt: Labels,
    /// Their shifts, each a stream of its own.
    #[arg(
        long,
        value_name = "NAME,...",
        value_delimiter = ',',
        default_value = "gaussian-noise,contrast,rotation,translation",
        requires = "adapt_samples"
    )]
    pub(crate) adapt_corruptions: Vec<Corruption>,
    /// Severity of the shifts, 1 to 5.
    #[arg(
        long,
        value_name = "S",
        default_value_t = 3,
        value_parser = value_parser!(u8).range(1..=5),
        requires = "adapt_samples"
    )]
    pub(crate) adapt_severity: u8,
    /// Validation images that each is measured on.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 500,
        value_parser = super::at_least_one,
        requires = "adapt_samples"
    )]
    pub(crate) adapt_images: usize,
}
