//! How an entry's bytes are stored, and getting them back.
//!
//! Builds by CUDA 11 and 12 use bare LZ4 blocks, builds by CUDA 13 use zstd frames.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;

use crate::FatbinError;

/// The compression of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Stored as it is.
    None,
    /// One LZ4 block without a frame.
    Lz4,
    /// One zstd frame.
    Zstd,
}

const FLAG_LZ4: u64 = 0x2000;
const FLAG_ZSTD: u64 = 0x8000;
const ZSTD_FRAME: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// An LZ4 token of one length byte yields at most 255 bytes, so no block expands further.
const LZ4_MAX_RATIO: u64 = 255;
/// More code than this in one entry is damage: the largest seen has 30 MB.
const MAX_SIZE: u64 = 1 << 30;

impl Compression {
    /// Sizes decide whether there is compression at all, flags and the frame's magic number decide which.
    pub(crate) fn of(flags: u64, compressed: u64, uncompressed: u64, stored: &[u8]) -> Self {
        if compressed == 0 && uncompressed == 0 && flags & (FLAG_LZ4 | FLAG_ZSTD) == 0 {
            Compression::None
        } else if flags & FLAG_ZSTD != 0 || stored.starts_with(&ZSTD_FRAME) {
            Compression::Zstd
        } else {
            Compression::Lz4
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compression::None => "plain",
            Compression::Lz4 => "LZ4",
            Compression::Zstd => "zstd",
        })
    }
}

/// The bytes behind `stored`; `size` is what the header promises and `offset` names the entry in errors.
pub(crate) fn unpack(
    stored: &[u8],
    method: Compression,
    size: u64,
    offset: u64,
) -> Result<Cow<'_, [u8]>, FatbinError> {
    let compressed = stored.len() as u64;
    let possible = match method {
        Compression::None => return Ok(Cow::Borrowed(stored)),
        Compression::Lz4 => MAX_SIZE.min(compressed.saturating_mul(LZ4_MAX_RATIO)),
        Compression::Zstd => MAX_SIZE,
    };
    if size > possible {
        return Err(FatbinError::ImpossibleSize { offset, claimed: size, compressed, method });
    }
    let bytes = match method {
        Compression::Zstd => unzstd(stored, size),
        _ => lz4_flex::block::decompress(stored, size as usize).map_err(|error| error.to_string()),
    };
    let bytes = bytes.map_err(|reason| FatbinError::Decompress { offset, method, reason })?;
    if bytes.len() as u64 != size {
        return Err(FatbinError::WrongSize { offset, claimed: size, actual: bytes.len() as u64 });
    }
    Ok(Cow::Owned(bytes))
}

/// Reads at most one byte more than promised, so that a damaged frame cannot fill the memory.
fn unzstd(stored: &[u8], size: u64) -> Result<Vec<u8>, String> {
    let frame = ruzstd::decoding::StreamingDecoder::new(stored).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    frame.take(size + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}
