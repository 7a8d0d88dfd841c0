//! From a trained network to the bytes that run on the device, and what they cost.
//!
//! Owns batch-norm folding, quantization, the arena planner, the assembly of the blob, its statistics and plan for
//! on-device learning, its golden set, its signature, its costs and the model card; the import of TensorFlow Lite
//! models (`import`); instructions counted on the emulated cores beside CMSIS-NN's (`bench`). Invariant: knows
//! nothing of burn, of the search or of data sets; it receives plain numbers and images, and everything integer
//! runs through `aplysia_shared`, the code the device runs.
//!
//! Data flow: `space` (+ `learn`'s parameters and ranges) → **`deploy`** → blob → `live`, firmware.
//!
//! ```text
//! network → lowering ────────┐
//! params, ranges → quantize ─┤
//!            arena, plan ───┴→ export → blob → statistics → blob with statistics
//! .tflite ────────────────→ import → plain → blob → pair → blob of another form
//! blob ───────────────────→ cascade → blob in less RAM
//! blob ───────────────────→ winograd → blob in fewer instructions, more flash
//! blob, images ────────────→ golden → blob with a golden set
//! genotype ────────────────→ cost (the same assembly, placeholder numbers)
//! ```

pub mod arena;
pub mod assemble;
pub mod bench;
pub mod card;
pub mod cascade;
pub mod cost;
pub mod energy;
mod error;
pub mod export;
pub mod golden;
pub mod import;
mod lowering;
pub mod pack;
pub mod pair;
mod parts;
pub mod plain;
pub mod plan;
pub mod plasticity;
pub mod processor;
pub mod quantize;
pub mod sign;
pub mod statistics;
pub mod winograd;

pub use assemble::{Content, HomeostasisScope};
pub use card::Card;
pub use cost::{Costs, cost, cost_of_network};
pub use error::DeployError;
pub use export::{Calibration, Export, export, hex};
pub use import::{ImportError, import};
pub use quantize::{InputNormalization, QuantizedNetwork, quantize};
