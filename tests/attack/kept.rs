//! The inputs kept for their coverage: `fuzz/corpus/TARGET.gz`, compressed, each behind its length (`u16`,
//! little-endian).
//!
//! It owns this format. Hundreds of inputs that resemble each other are a few kilobytes so.

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

/// The inputs of `file`, shortest first.
pub(crate) fn read(file: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut packed = Vec::new();
    GzDecoder::new(File::open(file)?).read_to_end(&mut packed)?;
    let mut inputs = Vec::new();
    let mut rest = packed.as_slice();
    while let Some((len, behind)) = rest.split_first_chunk() {
        let input = behind.split_at_checked(u16::from_le_bytes(*len).into());
        let (input, behind) = input.ok_or(ErrorKind::UnexpectedEof)?;
        inputs.push(input.to_vec());
        rest = behind;
    }
    Ok(inputs)
}

/// Keeps `inputs` in `file`; the same ones make the same file.
pub(crate) fn write(file: &Path, mut inputs: Vec<Vec<u8>>) -> io::Result<()> {
    inputs.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
    let mut packed = GzEncoder::new(File::create(file)?, Compression::best());
    for input in inputs {
        let len = u16::try_from(input.len()).map_err(|_| ErrorKind::InvalidInput)?;
        packed.write_all(&len.to_le_bytes())?;
        packed.write_all(&input)?;
    }
    packed.finish()?.sync_all()
}
