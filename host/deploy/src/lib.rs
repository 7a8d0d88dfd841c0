//! From a trained network to the bytes that run on the device, and what they cost.
//!
//! Owns batch-norm folding, quantization, the arena planner, the assembly of the blob, its statistics for
//! on-device learning, its costs and the model card; the import of TensorFlow Lite models (`import`); the client
//! of a device, emulated or not (`device`, `update`, `adaptation`, `comparison`); what is measured on one:
//! instructions beside CMSIS-NN (`bench`) and learning beside its baselines (`adapt_bench`); inputs from files
//! (`npy`, `samples`). Invariant: knows nothing of burn, of the search or of data sets; it receives plain numbers
//! and images, and everything integer runs through `aplysia_shared`, the code the device runs.
//!
//! Data flow: `space` (+ `learn`'s parameters and ranges) → **`deploy`** → blob → host, firmware.
//!
//! ```text
//! network → lowering ────────┐
//! params, ranges → quantize ─┤
//!            arena, plan ───┴→ export → blob → statistics → blob with statistics
//! .tflite ────────────────→ import → plain → blob
//! blob, images ────────────→ golden → blob with a golden set
//! blob, device ────────────→ update → the device runs it
//! genotype ────────────────→ cost (the same assembly, placeholder numbers)
//! ```

pub mod adapt_bench;
pub mod adaptation;
pub mod arena;
pub mod assemble;
pub mod bench;
pub mod card;
pub mod comparison;
pub mod cost;
pub mod device;
pub mod energy;
mod error;
pub mod evaluate;
pub mod export;
pub mod flash;
pub mod golden;
pub mod guarded;
pub mod import;
mod lowering;
pub mod npy;
pub mod pack;
mod parts;
pub mod plain;
pub mod plan;
pub mod plasticity;
pub mod processor;
pub mod quantize;
pub mod samples;
pub mod sign;
pub mod statistics;
pub mod update;

pub use adaptation::{Adapted, adapt, adapt_device};
pub use assemble::{Content, HomeostasisScope};
pub use card::Card;
pub use comparison::{Comparison, compare};
pub use cost::{Costs, cost, cost_of_network};
pub use error::DeployError;
pub use evaluate::{Evaluation, evaluate};
pub use export::{Calibration, Export, export, hex};
pub use import::{ImportError, import};
pub use quantize::{InputNormalization, QuantizedNetwork, quantize};
