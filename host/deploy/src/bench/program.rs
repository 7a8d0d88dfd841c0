//! What a firmware says of itself.
//!
//! Owns the reading of an ELF file's sections. Source: Tool Interface Standard, "Executable and Linking Format" 1.2:
//! headers of sections of 40 bytes, words of 32 bits, little-endian.

/// The compiler of a firmware `elf`, as it names itself in the file's section of comments.
pub fn toolchain(elf: &[u8]) -> Option<String> {
    const NAME: &[u8] = b"rustc version ";
    let at = elf.windows(NAME.len()).position(|bytes| bytes == NAME)? + NAME.len();
    let version = elf[at..].split(|&byte| byte == 0).next()?;
    Some(format!("rustc {}", String::from_utf8_lossy(version)))
}

/// Bytes of flash that a firmware `elf` takes: vectors, code, constants and what statics begin with.
pub fn program_bytes(elf: &[u8]) -> Option<u64> {
    const BITS: u32 = 1;
    const IN_MEMORY: u32 = 2;
    elf.starts_with(b"\x7fELF\x01\x01").then_some(())?;
    let bytes = |at: usize| elf.get(at..)?.first_chunk();
    let word = |at: usize| bytes(at).map(|word| u32::from_le_bytes(*word));
    let n = u16::from_le_bytes(*elf.get(48..)?.first_chunk()?);
    let start = word(32)? as usize;
    let of_section = |i: usize| {
        let header = start + 40 * i;
        let [kind, flags, size] = [4, 8, 20].map(|field| word(header + field));
        let counts = kind? == BITS && flags? & IN_MEMORY != 0;
        Some(if counts { size?.into() } else { 0 })
    };
    (0..n.into()).map(of_section).sum()
}
