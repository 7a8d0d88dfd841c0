//! The grammar of `aplysia device`.

pub(crate) mod update;

use super::deep::DeepArgs;
use super::domains::DomainArgs;
use super::plan::PlanArgs;
use super::samples::SampleArgs;
use super::{DataArgs, at_least_one};
use aplysia_data::Corruption;
use aplysia_live::adaptation::{
    DEFAULT, DEFAULT_SEED, DELTA_RATE, INSTAR_SHIFT, MOMENTUM_SHIFT, PERCEPTRON_MARGIN,
    PERCEPTRON_RATE, REWARD_RATE,
};
use aplysia_shared::adapt::Head;
use clap::{Args, Subcommand, ValueEnum, value_parser};
use std::path::PathBuf;

#[derive(Subcommand)]
pub(crate) enum DeviceCommand {
    /// Start an emulated board with the model and check one inference against the host.
    #[command(after_help = "Examples:\n  aplysia device emulate model.blob\n  \
                            aplysia device emulate model.blob --socket board.sock")]
    Emulate(EmulateArgs),
    /// Classify test images, or inputs from a file, on the device and compare every score with the host's.
    #[command(
        after_help = "Examples:\n  aplysia device infer model.blob --images 100\n  \
                            aplysia device infer kws.blob --input sounds.npy --output scores.npy\n  \
                            aplysia device infer model.blob --connect board.sock\n  \
                            aplysia device infer model.blob --connect /dev/ttyACM0   # or /dev/ttyUSB0:921600"
    )]
    Infer(InferArgs),
    /// Let the device learn from shifted images and measure what it gained and forgot.
    #[command(
        after_help = "Examples:\n  aplysia device adapt model.blob --corruption rotation --severity 3\n  \
                      aplysia device adapt model.blob --corruption contrast --head base\n  \
                      aplysia device adapt model.blob --no-homeostasis --head delta --save learned.bin\n  \
                      aplysia device adapt model.blob --rule reward --reward-rate 1311\n  \
                      aplysia device adapt model.blob --learn-unsure 16 --budget-images 100 --budget-updates 40\n\n\
                      The labelled stream is drawn from the validation images, so that no test image is \
                      ever learned from."
    )]
    Adapt(Box<AdaptArgs>),
    /// What the device has seen and learned, and the memory it uses.
    #[command(after_help = "Examples:\n  aplysia device stats model.blob\n  \
                            aplysia device stats --connect /dev/ttyACM0")]
    Stats(StatsArgs),
    /// Give the device another model: send it, have it checked and tried, keep it or take it back.
    #[command(after_help = update::HELP)]
    Update(update::UpdateArgs),
}

/// Which device.
#[derive(Args)]
pub(crate) struct BoardArgs {
    /// Program of the emulated board [default: $APLYSIA_FIRMWARE, else what `cargo xtask firmware` builds].
    #[arg(long, value_name = "ELF")]
    pub(crate) firmware: Option<PathBuf>,
    /// Use a running board instead: behind a serial port, at 115200 baud unless PATH:BAUD is given, or behind
    /// the socket file of `aplysia device emulate --socket`.
    #[arg(long, value_name = "PATH", conflicts_with = "firmware")]
    pub(crate) connect: Option<PathBuf>,
    /// File that stands for the emulated board's flash: what is committed or sent there is loaded at the
    /// next start. Made if missing [default: a flash that forgets].
    #[arg(long, value_name = "FILE", conflicts_with = "connect")]
    pub(crate) flash: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct EmulateArgs {
    /// The blob.
    pub(crate) blob: PathBuf,
    /// Program of the board [default: $APLYSIA_FIRMWARE, else what `cargo xtask firmware` builds].
    #[arg(long, value_name = "ELF")]
    pub(crate) firmware: Option<PathBuf>,
    /// File that stands for the board's flash: what is committed or sent there is loaded at the next start.
    /// Made if missing [default: a flash that forgets].
    #[arg(long, value_name = "FILE")]
    pub(crate) flash: Option<PathBuf>,
    /// Keep the board running, its serial line at this socket file, until Ctrl-C.
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct InferArgs {
    /// The blob.
    pub(crate) blob: PathBuf,
    #[command(flatten)]
    pub(crate) board: BoardArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// How many test images.
    #[arg(long, default_value_t = 100, value_parser = at_least_one)]
    pub(crate) images: usize,
    #[command(flatten)]
    pub(crate) samples: SampleArgs,
}

/// The part that learns from labels.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HeadKind {
    /// The model's own head; labels teach nothing.
    Base,
    /// One prototype per class, moved towards each image of its class.
    Instar,
    /// Gradient steps on the last layer.
    Delta,
    /// Gradient steps on two classes of the last layer, after mistakes only.
    Perceptron,
    /// Steps on the last layer from right or wrong alone.
    Reward,
    /// As delta, and pointwise and fully connected layers below learn from errors fed back to them.
    Deep,
}

impl HeadKind {
    fn of(head: Head) -> Self {
        match head {
            Head::Base => Self::Base,
            Head::Instar { .. } => Self::Instar,
            Head::Delta { .. } => Self::Delta,
            Head::Perceptron { .. } => Self::Perceptron,
            Head::Reward { .. } => Self::Reward,
            Head::Deep { .. } => Self::Deep,
        }
    }
}

#[derive(Args)]
pub(crate) struct AdaptArgs {
    /// The blob.
    pub(crate) blob: PathBuf,
    #[command(flatten)]
    pub(crate) board: BoardArgs,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// How the images are shifted.
    #[arg(long, default_value_t = Corruption::Rotation)]
    pub(crate) corruption: Corruption,
    /// Severity of the shift, 1 to 5.
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u8).range(1..=5))]
    pub(crate) severity: u8,
    /// Images of the stream; 0 to set and commit what learns, the guard's limits and the schedule alone.
    #[arg(long, default_value_t = 300)]
    pub(crate) samples: usize,
    /// Shifted test images to measure on, and as many clean ones.
    #[arg(long, default_value_t = 2000, value_parser = at_least_one)]
    pub(crate) test_images: usize,
    /// Momentum shift of homeostasis, 1 to 10: it follows about the last 2^S images.
    #[arg(
        long,
        value_name = "S",
        default_value_t = MOMENTUM_SHIFT,
        value_parser = value_parser!(u8).range(1..=10)
    )]
    pub(crate) homeostasis: u8,
    /// Channels do not keep their statistics.
    #[arg(long, conflicts_with = "homeostasis")]
    pub(crate) no_homeostasis: bool,
    /// What the labels teach.
    #[arg(long, visible_alias = "rule", value_enum, default_value_t = HeadKind::of(DEFAULT.head))]
    pub(crate) head: HeadKind,
    /// Rate 2^-N of the instar head, 2 to 6.
    #[arg(
        long,
        value_name = "N",
        default_value_t = INSTAR_SHIFT,
        value_parser = value_parser!(u8).range(2..=6)
    )]
    pub(crate) instar_shift: u8,
    /// Learning rate of the last layer in 1/65536: only with `--head delta` and `--head deep`.
    #[arg(
        long,
        value_name = "N",
        default_value_t = DELTA_RATE,
        value_parser = value_parser!(u16).range(1..),
        requires = "head"
    )]
    pub(crate) delta_rate: u16,
    /// Learning rate of the perceptron head in 1/65536: only with `--head perceptron`.
    #[arg(
        long,
        value_name = "N",
        default_value_t = PERCEPTRON_RATE,
        value_parser = value_parser!(u16).range(1..),
        requires = "head"
    )]
    pub(crate) perceptron_rate: u16,
    /// The perceptron also learns from right classes that lead by fewer steps of the scores.
    #[arg(long, value_name = "M", default_value_t = PERCEPTRON_MARGIN, requires = "head")]
    pub(crate) perceptron_margin: u8,
    /// Learning rate of the reward head in 1/65536: only with `--head reward`.
    #[arg(
        long,
        value_name = "N",
        default_value_t = REWARD_RATE,
        value_parser = value_parser!(u16).range(1..),
        requires = "head"
    )]
    pub(crate) reward_rate: u16,
    #[command(flatten)]
    pub(crate) deep: DeepArgs,
    #[command(flatten)]
    pub(crate) plan: PlanArgs,
    #[command(flatten)]
    pub(crate) domains: DomainArgs,
    /// Learn without the guard, also where the model has a golden set.
    #[arg(long)]
    pub(crate) no_guard: bool,
    /// Updates between two checks of the guard.
    #[arg(long, value_name = "K", default_value_t = 10, value_parser = value_parser!(u16).range(1..))]
    pub(crate) guard_every: u16,
    /// Golden samples that may be lost before the guard takes back what was learned.
    #[arg(long, value_name = "P", default_value_t = 0)]
    pub(crate) guard_drop: u16,
    /// Fewest updates between two commits, for the sake of the flash; the commit that brings other limits or another
    /// schedule is never too soon. At 100, 10,000 erases of each page last for 2 million updates.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) commit_every: u32,
    /// Commit what is left to the flash, if it passes, with the guard's limits and the schedule: the next start goes on
    /// by them.
    #[arg(long, conflicts_with = "no_guard")]
    pub(crate) commit: bool,
    /// Teach wrong labels only.
    #[arg(long)]
    pub(crate) liar: bool,
    /// Seed of the stream's order and of stochastic rounding.
    #[arg(long, default_value_t = DEFAULT_SEED)]
    pub(crate) seed: u32,
    /// Write the learned state to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct StatsArgs {
    /// The blob for an emulated board.
    #[arg(required_unless_present = "connect")]
    pub(crate) blob: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) board: BoardArgs,
}
