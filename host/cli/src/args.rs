//! The command line's grammar: every flag, its default and its help.

pub(crate) mod adapt_bench;
mod adapted;
mod deep;
pub(crate) mod demo;
pub(crate) mod device;
mod domains;
mod export;
mod memory;
mod plan;
mod recipe;
mod robust;
mod run;
pub(crate) mod samples;
mod search;
pub(crate) mod sign;
pub(crate) mod study;
mod supernet;
mod train;
mod unused;

pub(crate) use adapted::{AdaptedArgs, Labels};
pub(crate) use export::{ExportArgs, GoldenArgs};
pub(crate) use memory::MemoryArgs;
pub(crate) use recipe::{RecipeArgs, SkeletonArgs};
use robust::RobustArgs;
pub(crate) use run::RunArgs;
pub(crate) use search::SearchArgs;
pub(crate) use supernet::SupernetArgs;
pub(crate) use train::TrainArgs;
pub(crate) use unused::parse;

use aplysia_data::{Corruption, Source};
use aplysia_deploy::processor::{PROCESSORS, Processor};
use clap::{Args, Parser, Subcommand, value_parser};
use std::path::PathBuf;

/// What `--device` takes.
const DEVICES: [&str; 4] = ["cpu", "ndarray", "cuda", "wgpu"];

/// A number of things of which there must be one.
fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1 is needed".into()),
        Ok(n) => Ok(n),
        Err(e) => Err(e.to_string()),
    }
}

/// Networks found on a workstation, run on a microcontroller, and still learning there.
#[derive(Parser)]
#[command(
    name = "aplysia",
    version,
    about,
    propagate_version = true,
    args_override_self = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// The whole way once: search, train, export, run and learn on an emulated Cortex-M4.
    #[command(after_help = "Examples:\n  cargo xtask demo --json story.json\n  \
                            aplysia demo --trials 4 --epochs 2 --out quick")]
    Demo(demo::DemoArgs),
    /// Search architectures with a learning rule per layer; the study folder can be resumed.
    #[command(
        after_help = "Examples:\n  aplysia search studies/first --trials 24\n  \
                            aplysia search studies/first --resume\n  \
                            aplysia search studies/small --strategy random --flash-bytes 32768\n  \
                            aplysia search studies/cells --space nasbench201 --channels 8 --cells 1\n  \
                            aplysia search studies/darts --space darts --strategy darts --channels 8 \
                            --cells 3\n  \
                            aplysia search studies/small --preset fashion-minutes\n  \
                            aplysia search studies/learners --adapt-samples 100 --adapt labelled"
    )]
    Search(Box<SearchArgs>),
    /// Train one genotype and write its parameters.
    #[command(
        after_help = "Examples:\n  aplysia train genotype.toml --out run --epochs 20\n  \
                            aplysia train genotype.toml --out bp --rule bp --seed 2\n  \
                            aplysia train BIODARTS --out cells --dataset fashion-mnist-32 --channels 8 --cells 5\n  \
                            aplysia train BIODARTS --out paper --preset cifar10 --data cifar-10-batches-bin"
    )]
    Train(TrainArgs),
    /// A study as one HTML page: Pareto front, history, networks by rule, costs; with runs and models. Of a
    /// `study paper` the claims, accuracies, alignment, gradients, attacks.
    #[command(after_help = "Examples:\n  aplysia report studies/first\n  \
                      aplysia report studies/first --run run-1,run-2 --model models/mine --svg figures\n  \
                      aplysia report studies/first --optuna first.log   # optuna-dashboard first.log\n  \
                      aplysia report studies/paper   # of `aplysia study paper`")]
    Report(ReportArgs),
    /// Accuracy of a trained run (float) or of a blob (int8) on the test images.
    #[command(after_help = "Examples:\n  aplysia evaluate run\n  \
                            aplysia evaluate model.blob --corruption rotation --severity 3\n  \
                            aplysia evaluate run --robust --twin bp-run --images 500")]
    Evaluate(Box<EvaluateArgs>),
    /// Quantize a trained run to int8 and write model.blob and card.toml.
    #[command(after_help = "Examples:\n  aplysia export run --out models/mine\n  \
                            aplysia export run-1 --repeats run-2,run-3 --out models/mine")]
    Export(ExportArgs),
    /// Give a blob a golden set, on which the guard scores what a device learns.
    #[command(
        after_help = "Examples:\n  aplysia golden model.blob --out guarded.blob\n  \
                            aplysia golden model.blob --golden 256 --golden-features --out guarded.blob\n\n\
                            The blob becomes another model: overlays of the old one do not fit it."
    )]
    Golden(GoldenArgs),
    /// Convert a full-int8 TensorFlow Lite model to a blob that computes the same bits.
    #[command(
        after_help = "Examples:\n  aplysia import model.tflite --out model.blob\n  \
                            aplysia import kws.tflite --out kws.blob --classes yes,no,silence\n  \
                            aplysia import ad.tflite --out ad.blob --processor m3\n  \
                            aplysia run kws.blob --input sounds.npy   # the scores, as TensorFlow Lite Micro's\n\n\
                            Supported: CONV_2D, DEPTHWISE_CONV_2D (multiplier 1, or one input channel), \
                            FULLY_CONNECTED, ADD, CONCATENATION (of channels), MAX_POOL_2D, AVERAGE_POOL_2D, \
                            MEAN and REDUCE_MAX (of all rows and columns), SOFTMAX (511 classes), RELU, RELU6, \
                            PAD (before convolutions, and MAX_POOL_2D behind a RELU), RESHAPE, SQUEEZE, \
                            EXPAND_DIMS, SHAPE, STRIDED_SLICE and PACK (for a RESHAPE), QUANTIZE, DEQUANTIZE (at \
                            the output). The batch may be open. The blob's input and output are int8: bytes of a \
                            uint8 model less 128, numbers of a float model in the blob's scale and zero point."
    )]
    Import(ImportArgs),
    /// What a blob or a genotype is and costs: layers, flash, RAM, MACs; of a blob the memory map, of a
    /// genotype the rules.
    #[command(after_help = "Examples:\n  aplysia inspect model.blob\n  \
                            aplysia inspect genotype.toml --dataset fashion-mnist-32\n  \
                            aplysia inspect run")]
    Inspect(InspectArgs),
    /// Run a blob on test images, or on inputs from a file, with the device's own int8 kernels.
    #[command(after_help = run::HELP)]
    Run(RunArgs),
    /// The model on a device: an emulated board, checked bit for bit against the host.
    #[command(
        subcommand,
        after_help = "Examples:\n  aplysia device infer model.blob --images 100\n  \
                      aplysia device adapt model.blob --corruption rotation --severity 3\n  \
                      aplysia device stats model.blob"
    )]
    Device(device::DeviceCommand),
    /// Keys that models are signed with.
    #[command(
        subcommand,
        after_help = "Examples:\n  aplysia key new release.pem\n  \
                      APLYSIA_PUBLIC_KEY=$(aplysia key show release.pem) cargo xtask firmware"
    )]
    Key(sign::KeyCommand),
    /// Sign a blob, or check its signature.
    #[command(
        subcommand,
        after_help = "Examples:\n  aplysia model sign model.blob --key release.pem --counter 2\n  \
                      aplysia model verify model.blob --key $(aplysia key show release.pem)"
    )]
    Model(sign::ModelCommand),
    /// Learning on the device against its baselines: every corruption, severity and seed; can be resumed.
    #[command(
        after_help = "Examples:\n  aplysia adapt-bench --out bench --seeds 1 --severities 3 --test-images 200 --parts shifts\n  \
                      aplysia adapt-bench model.blob --out bench --seeds 2 --severities 3 --validation\n\n\
                      The streams are drawn from the validation images, so that no test image is ever \
                      learned from."
    )]
    AdaptBench(adapt_bench::AdaptBenchArgs),
    /// Evidence from many searches and trainings, by one command; can be resumed.
    #[command(subcommand)]
    Study(study::StudyCommand),
    /// What this machine has, what is missing, and how to get it.
    Doctor,
    /// Print a shell completion script.
    Completions {
        /// bash, zsh, fish, elvish or powershell.
        shell: clap_complete::Shell,
    },
}

/// Where the images come from.
#[derive(Args, Clone)]
pub(crate) struct DataArgs {
    /// `fashion-mnist`, `fashion-mnist-32`, `cifar10`, `cifar100`, `imagenet16-120`, `tiny-imagenet` or
    /// `image-folder:SIDE`.
    #[arg(long, value_name = "NAME", default_value_t = Source::FashionMnist)]
    pub(crate) dataset: Source,
    /// Folder with its files as published [default: $APLYSIA_DATA, else Debian's for Fashion-MNIST].
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Only images of the first N classes; networks keep an output for every class [default: all].
    #[arg(long, value_name = "N")]
    pub(crate) first_classes: Option<u16>,
}

#[derive(Args)]
pub(crate) struct ReportArgs {
    /// The folder of a search, which may be running in it, or of a `study paper` or its results.
    pub(crate) study: PathBuf,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// The page to write [default: report.html in the study folder].
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Finished training runs: accuracy by seed, curves, alignment angles.
    #[arg(long = "run", value_delimiter = ',', value_name = "RUN,...")]
    pub(crate) runs: Vec<PathBuf>,
    /// Exported models: accuracy by seed on the test images, costs.
    #[arg(long = "model", value_delimiter = ',', value_name = "MODEL,...")]
    pub(crate) models: Vec<PathBuf>,
    /// Folders that `evaluate --robust` wrote: robustness curves and the share of gradient masking.
    #[arg(long = "robust", value_delimiter = ',', value_name = "DIR,...")]
    pub(crate) robust: Vec<PathBuf>,
    /// Folder for the figures, one SVG file each.
    #[arg(long, value_name = "DIR")]
    pub(crate) svg: Option<PathBuf>,
    /// The study as an Optuna journal (for `optuna-dashboard FILE`).
    #[arg(long, value_name = "FILE")]
    pub(crate) optuna: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct EvaluateArgs {
    /// A run folder (float), or a blob or the folder of an export (int8).
    pub(crate) what: PathBuf,
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// Shift the test images by this corruption first.
    #[arg(long)]
    pub(crate) corruption: Option<Corruption>,
    /// Its severity, 1 to 5.
    #[arg(
        long,
        default_value_t = 3,
        value_parser = value_parser!(u8).range(1..=5),
        requires = "corruption"
    )]
    pub(crate) severity: u8,
    /// `cpu`, `ndarray`, `cuda` or `wgpu` (float only).
    #[arg(long, default_value = "cpu", value_parser = DEVICES)]
    pub(crate) device: String,
    #[command(flatten)]
    pub(crate) robust: RobustArgs,
}

#[derive(Args)]
pub(crate) struct ImportArgs {
    /// The TensorFlow Lite model.
    pub(crate) model: PathBuf,
    /// The blob to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Names of the classes, one per output [default: none].
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    pub(crate) classes: Vec<String>,
    /// Processor that the blob is for; it runs on all, with the same bits and length. For m3 and m0 fully connected
    /// layers are stored so that one multiplication makes two products: 0.8 times the instructions in these layers
    /// there, 3.6 times on the others.
    #[arg(long, default_value = "m4", value_name = "m4|m7|m33|m3|m0", value_parser = processor)]
    pub(crate) processor: Processor,
    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
}

/// A processor by its short name.
fn processor(name: &str) -> Result<Processor, String> {
    let found = PROCESSORS.into_iter().find(|p| p.name == name);
    found.ok_or_else(|| "not one of m4, m7, m33, m3, m0".to_owned())
}

#[derive(Args)]
pub(crate) struct InspectArgs {
    /// A blob, or a genotype: a TOML file, the folder of a run or a model, a published name.
    pub(crate) what: PathBuf,
    /// A genotype says neither shape nor classes of its images: the training images do.
    #[command(flatten)]
    pub(crate) data: DataArgs,
}
