//! The processors that layers are counted on: where they are emulated, and how long an instruction takes.
//!
//! Owns the table and the model of cycles; it must not know layers. Cycles are estimates,
//! `instructions · cycles per instruction`, because QEMU has no pipeline and no flash; the band covers
//! single and multiple loads, branches and wait states. Sources:
//!
//! - M4: Arm Cortex-M4 TRM (100166), table of processor instructions (load 2 or, behind another one, 1;
//!   load of two 3; taken branch 2 to 4; all else 1) over our kernels' loops: 1.34 to 1.43 without wait
//!   states; MLPerf Tiny v1.0, microTVM with CMSIS-NN on an STM32L4R5, cycles over counted instructions:
//!   1.46 to 1.78;
//! - M33: the same round on an nRF5340: 1.21 to 1.39;
//! - M7: the M4's, times 0.58 to 0.70, cycles of one engine (X-CUBE-AI, MLPerf Tiny v1.2) on an STM32H7A3
//!   over those on an STM32L4R5;
//! - M3, M0: not calibrated: their TRMs' timings (M3: MLA and load 2, M0: load and store 2, taken branch 3)
//!   over our kernels' loops.

use aplysia_live::device::Board;

/// A number known within limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// Least.
    pub low: f64,
    /// To reckon with.
    pub mid: f64,
    /// Most.
    pub high: f64,
}

impl Band {
    /// All three times `factor`.
    pub fn times(self, factor: f64) -> Self {
        Self {
            low: self.low * factor,
            mid: self.mid * factor,
            high: self.high * factor,
        }
    }
}

/// A processor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Processor {
    /// Short name: that of the file of counts.
    pub name: &'static str,
    /// Rust's name of the instruction set.
    pub target: &'static str,
    /// Where it is emulated.
    pub board: Board,
    /// Whether it has the DSP extension; weights are [paired](mod@crate::pair) for those that have not.
    pub dsp: bool,
    /// Cycles per instruction.
    pub cpi: Band,
}

const fn band(low: f64, mid: f64, high: f64) -> Band {
    Band { low, mid, high }
}

const AN385: Board = Board {
    machine: "mps2-an385",
    ..Board::MPS2_AN386
};

/// Cortex-M4.
pub const M4: Processor = Processor {
    name: "m4",
    target: "thumbv7em-none-eabihf",
    board: Board::MPS2_AN386,
    dsp: true,
    cpi: band(1.2, 1.4, 1.6),
};
/// Cortex-M7; it runs the M4's program.
pub const M7: Processor = Processor {
    name: "m7",
    board: Board {
        machine: "mps2-an500",
        ..Board::MPS2_AN386
    },
    cpi: band(0.7, 0.9, 1.1),
    ..M4
};
/// Cortex-M33 with the DSP extension.
pub const M33: Processor = Processor {
    name: "m33",
    target: "thumbv8m.main-none-eabihf",
    board: Board {
        machine: "mps2-an505",
        model_address: 0x1010_0000,
    },
    dsp: true,
    cpi: band(1.2, 1.3, 1.4),
};
/// Cortex-M3.
pub const M3: Processor = Processor {
    name: "m3",
    target: "thumbv7m-none-eabi",
    board: AN385,
    dsp: false,
    cpi: band(1.5, 1.7, 1.9),
};
/// Cortex-M0 and M0+: their code, counted on an M3.
pub const M0: Processor = Processor {
    name: "m0",
    target: "thumbv6m-none-eabi",
    board: AN385,
    dsp: false,
    cpi: band(1.3, 1.5, 1.7),
};

/// All of them.
pub const PROCESSORS: [Processor; 5] = [M4, M7, M33, M3, M0];
