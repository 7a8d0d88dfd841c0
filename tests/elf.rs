//! What an ELF file says of a program for the device: its functions, what they call, which of them are `core`'s
//! panics.
//!
//! Sources: Tool Interface Standard, "Executable and Linking Format" 1.2: section headers of 40 bytes, symbols of 16,
//! 32 bits, little-endian; Arm, "ARMv7-M Architecture Reference Manual" (DDI 0403), A7.7.18 (BL) and A7.7.12 (B).

use std::ops::Range;
use std::path::Path;

/// Parts of the names of `core`'s panics in either mangling, and of the handler that every one of them calls.
const PANICS: [&str; 4] = ["9panicking", "_fail", "unwrap_failed", "rust_begin_unwind"];
/// Of the names of formatting.
const FORMATTING: &str = "4core3fmt";

/// A named place of the program.
#[derive(Debug)]
pub(crate) struct Symbol {
    /// Mangled.
    pub(crate) name: String,
    address: u32,
    /// In the file: empty but for functions.
    code: Range<usize>,
}

/// A program with its symbols, which are those left after the linker took out what nothing calls.
#[derive(Debug)]
pub(crate) struct Program {
    bytes: Vec<u8>,
    pub(crate) symbols: Vec<Symbol>,
}

impl Program {
    /// That in the file `elf`.
    pub(crate) fn read(elf: &Path) -> Self {
        const SYMBOLS: u32 = 2;
        const FUNCTION: u8 = 2;
        let bytes = std::fs::read(elf).unwrap();
        assert_eq!(bytes[..6], *b"\x7fELF\x01\x01");
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let half = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        let (start, n) = (word(32), half(48));
        let header = |section: usize| start + 40 * section;
        let place = |section: usize| {
            let (from, len) = (word(header(section) + 16), word(header(section) + 20));
            from..from + len
        };
        let table = (0..n).find(|&s| word(header(s) + 4) as u32 == SYMBOLS);
        let table = table.unwrap();
        let names = place(word(header(table) + 24));
        let symbol = |at: usize| {
            let text = &bytes[names.start + word(at)..names.end];
            let end = text.iter().position(|&byte| byte == 0).unwrap();
            // The lowest bit says Thumb.
            let (address, len, section) = (word(at + 4) & !1, word(at + 8), half(at + 14));
            let code = match bytes[at + 12] & 0xF {
                FUNCTION if section < n => {
                    let from = place(section).start + address - word(header(section) + 12);
                    from..from + len
                }
                _ => 0..0,
            };
            Symbol {
                name: String::from_utf8_lossy(&text[..end]).into_owned(),
                address: address as u32,
                code,
            }
        };
        let symbols = place(table).step_by(16).map(symbol).collect();
        Self { bytes, symbols }
    }

    /// The names of what is there of `core`'s panics.
    pub(crate) fn panics(&self) -> Vec<&str> {
        self.named(&PANICS)
    }

    /// The names of what formats.
    pub(crate) fn formatting(&self) -> Vec<&str> {
        self.named(&[FORMATTING])
    }

    fn named(&self, parts: &[&str]) -> Vec<&str> {
        let names = self.symbols.iter().map(|symbol| &symbol.name[..]);
        names
            .filter(|name| parts.iter().any(|part| name.contains(part)))
            .collect()
    }

    /// For every call or branch to `name`, the function that it stands in, mangled.
    pub(crate) fn callers(&self, name: &str) -> Vec<&str> {
        let to = self.symbols.iter().find(|symbol| symbol.name == name);
        let to = to.unwrap().address;
        let mut callers = Vec::new();
        for symbol in &self.symbols {
            let code = &self.bytes[symbol.code.clone()];
            let halves = code.as_chunks::<2>().0;
            for (pair, at) in halves.windows(2).zip((symbol.address..).step_by(2)) {
                let [high, low] = [pair[0], pair[1]].map(u16::from_le_bytes);
                if target(at, high.into(), low.into()) == Some(to) {
                    callers.push(&symbol.name[..]);
                }
            }
        }
        callers
    }
}

/// Where the instruction `high`, `low` at `at` goes, if it is a BL, or a B with 24 bits of offset.
fn target(at: u32, high: u32, low: u32) -> Option<u32> {
    if high & 0xF800 != 0xF000 || low & 0x9000 != 0x9000 {
        return None;
    }
    let sign = high >> 10 & 1;
    let [first, second] = [low >> 13, low >> 11].map(|bit| !(bit ^ sign) & 1);
    let offset =
        sign << 24 | first << 23 | second << 22 | (high & 0x3FF) << 12 | (low & 0x7FF) << 1;
    let offset = (offset << 7).cast_signed() >> 7;
    Some(at.wrapping_add(4).wrapping_add_signed(offset))
}

#[test]
fn calls_are_told_from_other_instructions() {
    // As LLVM assembles at 0x1000: `bl 0x1000`, `bl 0x2000`, `b.w 0x800`, `beq.w 0x1000`, `mov.w r0, #1`.
    for (high, low, to) in [
        (0xF7FF, 0xFFFE, Some(0x1000)),
        (0xF000, 0xFFFE, Some(0x2000)),
        (0xF7FF, 0xBBFE, Some(0x800)),
        (0xF43F, 0xAFFE, None),
        (0xF04F, 0x0001, None),
    ] {
        assert_eq!(target(0x1000, high, low), to, "{high:#x} {low:#x}");
    }
}
