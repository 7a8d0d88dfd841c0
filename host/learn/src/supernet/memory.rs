//! How much memory the process has taken at most.
//!
//! Peaks of `aplysia search --space darts --strategy darts --dataset fashion-mnist-32 --flat --coverage paper
//! --channels 16 --cells 8 --batch 64 --images 128 --supernet-epochs 1 --clip-norm 5` (the 22 columns as published,
//! one rule drawn per operation, edge and step; one step of architecture and weights; x86-64, 2 threads, `cpu`,
//! 27 November 2026):
//!
//! | channels through the candidates | peak |
//! |---|--:|
//! | all | 9.15 GB |
//! | a quarter (`--partial 4`) | 3.15 GB |

/// Largest resident set of this process so far in bytes, where the system tells (Linux: `VmHWM`).
pub fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}
