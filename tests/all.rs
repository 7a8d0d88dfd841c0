//! Table of contents of the tests.

/// The figures of README.md against the files that they are taken from.
mod figures;
/// The source tree itself: module docs, file sizes, unfinished code, arrows between the crates.
mod tidy;

/// Learning on the device: rules against their equations, state, snapshots, extremes.
mod adapt;
/// Learning below the head against its equations.
mod deep;
/// A whole device on the host, with a flash that loses power.
mod desk;
/// The guard over learning: liars, rollbacks, commits, restarts.
mod guard;
/// The rules of the head against their equations.
mod heads;
/// A flash that loses power where a test wants it.
mod nor;
/// The flash store: power cut at every step, damage, worn cells, misuse.
mod power;
/// A device with two model slots.
mod slots;
/// A small random network that can learn, for the tests of plasticity.
mod toy;
/// Another model: refusals, power cut at every step of an update.
mod update;

/// Orders of layers against all orders, what lies over what, the same scores.
mod arena;
/// Layers that run together, some rows at a time: the same scores in less RAM.
mod cascade;
/// Export: int8 follows float, predicted costs equal exported costs, statistics, evaluation.
mod deploy;
/// Slow float networks, the oracle of quantization.
mod float_network;
/// Float learning from streams, the baselines of the device.
mod float_stream;
/// The arena planner against brute force.
mod plan;
/// Multipliers, zero points, dead channels.
mod quantize;

/// The wire form: round trip, truncation, bit flips, fuzz, the golden blob.
mod blob;
/// The fast depthwise convolutions, of every window, against the generic one.
mod depthwise;
/// The fast kernels against the generic ones.
mod dsp;
/// The golden set in the blob: round trip, every rule broken, the kept blob.
mod golden;
/// Integer kernels and requantization against their references.
mod kernel;
/// Weights of -128: every kernel at the ends of its range, parsing, import.
mod least;
/// A whole model against a chain of references; hooks.
mod network;
/// Slow references of every kernel, sharing no code with them.
mod oracle;
/// The fast 1×1 convolution of unpacked weights against the generic one.
mod pointwise;
/// Every rule of parsing, broken one at a time.
mod refusal;
mod sums;
/// Winograd's form of 3×3 convolutions: the generic kernel's bits, what parsing refuses, networks in more flash.
mod winograd;

/// Means compared: Welch's test and Holm's correction.
mod comparison;
/// The evidence for mixed rules as a page, from the stored results.
mod evidence_page;
/// Reports: every trial shown, well-formed, nothing from outside, hostile names, the Optuna journal.
mod report;

/// Adversarial images of a victim whose worst case is known; losses, budgets, seeds.
mod adversarial;
/// The protocol of a robustness evaluation: worst case, masking, checks on planted violations.
mod adversarial_protocol;
/// A linear classifier, the oracle of the attacks.
mod linear_victim;
/// What a trained network's feedback brings back to pixels, for attacks.
mod pullback;
/// Robustness on the command line: cut and resumed, added to, refused.
mod robust_cli;
/// Run folders on the command line: what a training says at its start, damaged files.
mod run_folder;

/// Where the built programs are.
mod program;

/// The cell spaces on the command line: cut and resumed, by name, by string.
mod cells_cli;
/// The command line tool: killed and resumed, interrupted, out of disk, misused.
mod cli;
/// The whole way at a tiny budget, twice.
mod demo;
/// Presets: each one searches and trains, the user's flags win, unknown ones are listed.
mod presets;
/// Signatures of blobs, and the commands that make keys and signatures.
mod signing;
/// The evidence for mixed rules at its smallest: killed and continued, grown, refused.
mod study_paper;

/// Learning methods compared: kept features, wrong labels, the table, cut and gone on.
mod adapt_bench;
/// Its parts beside the shifts, and its targets.
mod adapt_bench_parts;
/// Learning from streams: host against single steps, device against host.
mod adaptation;
/// Stored instruction counts of layers and networks, and the cost model against them.
mod bench;
/// A guard within the schedule's budget: commits, and what its checks take.
mod budget;
/// What is claimed of a model, its known answers, and models refused by them.
mod claims;
/// A program that dies says why.
mod deaths;
/// The firmware in the emulator: equal to the host bit for bit, and hard to bring down.
mod device;
/// The program that learns: no panic and no formatting in it, the host's bits without a debugger.
mod device_image;
/// Domain slots: a slow reference, the device, the guard.
mod domains;
/// What a program's file says of its functions and calls.
mod elf;
/// Estimated instructions of learning against the emulated board's.
mod estimates;
/// The guard and the flash of the emulated board: host's bits, restarts, kills.
mod field;
/// Models sent to the emulated board: kept over restarts, refused, killed at random moments.
mod flashing;
/// The smallest program that runs a model: no panic and no formatting in it, the host's bits.
mod inference_image;
/// The device program built with a public key: it takes what the key signed and nothing else.
mod keyed;
/// Networks that others made, on the device: images longer than a frame, host's bits.
mod large_images;
/// What a genotype plans to learn on the device, and the search that asks for it.
mod plasticity;
/// Frames of the serial line: round trip, damage, noise.
mod protocol;
/// When and how much a device learns: the schedule.
mod schedule;
/// A board behind a serial port.
mod serial;
/// Starts that come to nothing, and what was learned.
mod starts;
/// What a restart goes on by: the guard's limits and the schedule in a commit.
mod terms;
/// Models sent over the line: power cut at every write, noise, either side killed, refusals.
mod transfer;
/// Models that are sound and too large for a device.
mod unfit;

/// Channels that no output depends on: without them the same bits.
mod constant_channels;
/// TensorFlow Lite files: the bits of TensorFlow Lite Micro, refusals by name, damage.
mod import;
/// Inputs from files: what NumPy writes, what is refused, the scores that `run` writes.
mod inputs;
/// Models as stock Keras converts them: imported, the bits of TensorFlow Lite Micro; refusals.
mod keras;
/// MLPerf Tiny's models: imported, the bits of TensorFlow Lite Micro.
mod mlperf_tiny;
/// Paired weights against the generic kernel, the proof's bounds, what parsing refuses of them.
mod paired;
/// Small TensorFlow Lite files.
mod tflite;

/// Networks of cells in int8: references, the float network, predicted costs, the emulated device.
mod cells_deploy;
/// Kernels whose output lies over an input, and what parsing refuses of them.
mod over;
/// Placings against their reference, and what parsing refuses of them.
mod place;

/// What an attacker can reach: blob, serial line, flash image, import.
mod attack;
/// The space `darts`: published sizes, counts by hand, rules where they belong, a search.
mod cells;
/// How long tests of endurance run, and what they saw.
mod endure;
/// Short runs of every attack.
mod smoke;
/// The emulated device under thousands of hostile frames.
mod soak;

/// Random crops and colours of training against slow references.
mod augmentation;
/// Files of a dataset: put in place, damaged, put back.
mod damage;
/// Loading in the true format, damaged files, splits, corruptions.
mod data;
/// Folders of JPEG pictures, datasets by name, padding, shared normalization.
mod data_folders;
/// CIFAR and ImageNet16 in the publishers' formats, damaged files.
mod data_formats;
/// Pictures that are decoded when they are read.
mod data_pictures;
/// Architectures by evolution: fitness, one CMA-ES, a planted operation, cut and resumed.
mod eg_nas;
/// The space `nasbench201`: published sizes, string form, operators that stay in the space.
mod nasbench201;
/// Ranking of candidates against its definition.
mod pareto;
/// Python pickles, written opcode by opcode.
mod pickle;
/// Studies: limits, halving, interruption and resumption at every place.
mod search;
/// The space `mcu`: every genotype it makes is valid; text forms, shapes and counts.
mod space;
/// The supernet of `darts`: published sizes, columns, discretization.
mod supernet;
/// Gradients by logits against finite differences, a planted operation found.
mod supernet_gradient;
/// Searches by supernet: coefficients, draws, early stop, cut and resumed, the command line.
mod supernet_search;

/// The cell spaces in training: gradients of whole networks, every rule, drop-path, auxiliary head.
mod cell_training;
/// Convolutions without gradients of weights.
mod convolution;
/// How long the gradient by direct feedback is.
mod direct;
/// The kernels of GPUs against the operations composed of burn's and slow loops.
#[cfg(any(feature = "cuda", feature = "wgpu"))]
mod gpu;
/// Gradients of the trained layers against autodiff and f64 loops; fast kernels against composed ones.
mod gradient;
/// Rules with a state or an update of their own.
mod local;
/// Variance of the gradient between the batches of a run.
mod noise;
/// Momentum and the fall of the learning rate: what training moves under other settings.
mod optimizer;
/// Pooling and batch norm on their own against autodiff.
mod pool_norm;
/// A task small enough for tests of training.
mod quadrants;
/// Learning rules: the feedback of each against its definition.
mod rule;
/// Networks of the cell spaces on burn's own tape.
mod tape_reference;
/// Training runs: every rule learns, same seed same bits, stopped and resumed equals uninterrupted.
mod training;
