//! Microjoules of an inference on chips that were measured, as an estimate.
//!
//! Owns the chips' constants; it must not know layers. `energy = instructions · cycles per instruction ·
//! energy per cycle`. The energy of a cycle is a constant of chip and operating point: MLPerf Tiny's
//! measured runs (`tiny_results` v0.7 to v1.3: energy over time times clock, of image classification,
//! keyword spotting, visual wake words and anomaly detection) differ between these networks by the limits
//! below. Another engine at other settings of the same chip (microTVM on the L4R5) was 25 % off, so an
//! estimate stands for these settings only and is no measurement. Instructions are the M4's, which those of
//! M7 and M33 equal within 1 % (`models/bench`).

use crate::processor::{Band, M4, M7, M33, Processor};

/// A chip at one operating point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chip {
    /// To name it by.
    pub name: &'static str,
    /// Supply and clock, and the round of MLPerf Tiny.
    pub conditions: &'static str,
    /// What it runs.
    pub processor: Processor,
    /// Picojoules of a cycle.
    pub pj_per_cycle: Band,
}

const fn chip(
    name: &'static str,
    conditions: &'static str,
    processor: Processor,
    [low, mid, high]: [f64; 3],
) -> Chip {
    Chip {
        name,
        conditions,
        processor,
        pj_per_cycle: Band { low, mid, high },
    }
}

/// The chips.
pub const CHIPS: [Chip; 6] = [
    chip(
        "stm32l4r5",
        "1.8 V, LDO, 120 MHz, v1.2",
        M4,
        [322.0, 347.0, 365.0],
    ),
    chip(
        "stm32l4r5-smps",
        "3 V, external SMPS, 120 MHz, v1.3",
        M4,
        [275.0, 278.0, 282.0],
    ),
    chip(
        "stm32u575",
        "1.8 V, SMPS, 160 MHz, v1.3",
        M33,
        [143.0, 146.0, 150.0],
    ),
    chip(
        "stm32u385",
        "1.8 V, SMPS, 96 MHz, v1.3",
        M33,
        [53.0, 56.0, 61.0],
    ),
    chip(
        "stm32h7a3",
        "SMPS, 280 MHz, v1.2",
        M7,
        [434.0, 451.0, 481.0],
    ),
    chip("ra6m4", "3 V, 200 MHz, v0.7", M33, [352.0, 363.0, 375.0]),
];

impl Chip {
    /// The chip `name`, if it is known.
    pub fn named(name: &str) -> Option<&'static Chip> {
        CHIPS.iter().find(|chip| chip.name == name)
    }

    /// Microjoules of an inference of `instructions`.
    pub fn energy_uj(&self, instructions: u64) -> Band {
        let per_instruction = self.pj_per_instruction();
        per_instruction.times(instructions as f64 / 1e6)
    }

    /// Most instructions whose energy, by the middle of the band, is within `energy_uj`.
    pub fn instructions_within(&self, energy_uj: f64) -> u64 {
        (energy_uj.max(0.0) * 1e6 / self.pj_per_instruction().mid).floor() as u64
    }

    fn pj_per_instruction(&self) -> Band {
        let (cpi, pj) = (self.processor.cpi, self.pj_per_cycle);
        Band {
            low: cpi.low * pj.low,
            mid: cpi.mid * pj.mid,
            high: cpi.high * pj.high,
        }
    }
}
