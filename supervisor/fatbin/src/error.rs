//! What can be wrong with a fat binary, always with the offset at which it is wrong.

use crate::Compression;

/// Why bytes could not be read as a fat binary. Offsets count from the start of the container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FatbinError {
    /// The first word is not a container's magic number.
    #[error("not a fat binary: starts with {found:#010x}, a container starts with 0xba55ed50")]
    NotAContainer {
        /// The first four bytes as a little-endian word.
        found: u32,
    },
    /// The first word is not a wrapper's magic number.
    #[error("not a fat binary wrapper: starts with {found:#010x}, a wrapper starts with 0x466243b1")]
    NotAWrapper {
        /// The first four bytes as a little-endian word.
        found: u32,
    },
    /// A container of a layout that we do not know.
    #[error(
        "container version {version} with a header of {header} bytes; only version 1 with 16 bytes is known"
    )]
    UnknownLayout {
        /// The version field.
        version: u16,
        /// The header length field.
        header: u16,
    },
    /// Fewer bytes than a structure or a length field demands.
    #[error("{what} at offset {offset:#x} needs {needed} bytes, only {available} are there")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Where it starts.
        offset: u64,
        /// How long it has to be.
        needed: u64,
        /// How many bytes there are from `offset` on.
        available: u64,
    },
    /// An entry header with a length that cannot be.
    #[error("entry at offset {offset:#x} says that its header has {header} bytes; 64 to 4096 are possible")]
    BadEntryHeader {
        /// Where the entry starts.
        offset: u64,
        /// Its header length field.
        header: u32,
    },
    /// An entry header says that more bytes are compressed than are stored.
    #[error("entry at offset {offset:#x} stores {stored} bytes, but says that {compressed} are compressed")]
    BadCompressedSize {
        /// Where the entry starts.
        offset: u64,
        /// The stored size field.
        stored: u64,
        /// The compressed size field.
        compressed: u64,
    },
    /// A payload size that no compressor could have produced from what is stored.
    #[error("entry at offset {offset:#x} claims {claimed} bytes out of {compressed} compressed by {method}")]
    ImpossibleSize {
        /// Where the entry starts.
        offset: u64,
        /// The uncompressed size field.
        claimed: u64,
        /// How many bytes are stored.
        compressed: u64,
        /// The compression.
        method: Compression,
    },
    /// Compressed bytes that do not decompress.
    #[error("entry at offset {offset:#x} does not decompress ({method}): {reason}")]
    Decompress {
        /// Where the entry starts.
        offset: u64,
        /// The compression.
        method: Compression,
        /// What the decompressor said.
        reason: String,
    },
    /// Decompressed bytes of another length than the header says.
    #[error("entry at offset {offset:#x} decompresses to {actual} bytes, its header says {claimed}")]
    WrongSize {
        /// Where the entry starts.
        offset: u64,
        /// The uncompressed size field.
        claimed: u64,
        /// What came out.
        actual: u64,
    },
    /// A PTX entry that is not text.
    #[error("PTX at offset {offset:#x} is not text: byte {position} is not valid UTF-8")]
    NotText {
        /// Where the entry starts.
        offset: u64,
        /// Index of the first bad byte in the decompressed text.
        position: u64,
    },
    /// An image that is neither a container, PTX text nor a cubin.
    #[error("image is neither a fat binary, PTX text nor a CUDA ELF file: it starts with {start:02x?}")]
    UnknownImage {
        /// Its first bytes.
        start: Vec<u8>,
    },
}
