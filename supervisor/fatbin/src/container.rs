//! The container's own structures: wrapper, header, entry headers.
//!
//! Layout found by walking real files (CUDA 11.0 to 13.0 builds); all numbers are little-endian.
//!
//! | container header | bytes | | entry header | bytes |
//! | --- | --- | --- | --- | --- |
//! | magic | 0..4 | | kind, version | 0..2, 2..4 |
//! | version (1) | 4..6 | | header length | 4..8 |
//! | header length (16) | 6..8 | | stored size | 8..16 |
//! | length of what follows | 8..16 | | compressed size (0: plain) | 16..20 |
//! | | | | ISA minor, major | 24..26, 26..28 |
//! | | | | architecture, `61` for `sm_61` | 28..32 |
//! | | | | name offset, length | 32..36, 36..40 |
//! | | | | flags | 40..48 |
//! | | | | uncompressed size | 56..64 |

use std::borrow::Cow;
use std::fmt;

use crate::FatbinError;
use crate::payload::{self, Compression};

/// First word of a wrapper in `.nvFatBinSegment`.
pub const WRAPPER_MAGIC: u32 = 0x4662_43b1;
/// Length of a wrapper.
pub const WRAPPER_LEN: usize = 24;
/// First word of a container.
pub const CONTAINER_MAGIC: u32 = 0xba55_ed50;
/// Length of a container's header; [`length`] needs this many bytes.
pub const HEADER_LEN: usize = 16;

/// Length of the part of an entry header that we read.
const ENTRY_LEN: usize = 64;
/// Headers grow with a name and with options; a larger one than this has not been seen and means damage.
const ENTRY_LEN_MAX: u32 = 4096;

/// What compiled host code hands to `__cudaRegisterFatBinary`. Its pointers belong to that process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wrapper {
    /// 1, or 2 when `linked` names further containers of a device link.
    pub version: u32,
    /// Address of the container.
    pub data: u64,
    /// Address of a list of containers (version 2), else of a file name or 0.
    pub linked: u64,
}

impl Wrapper {
    /// Reads a wrapper from its 24 bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, FatbinError> {
        let wrapper = need("wrapper", bytes, 0, WRAPPER_LEN as u64)?;
        match u32_at(wrapper, 0) {
            WRAPPER_MAGIC => Ok(Self {
                version: u32_at(wrapper, 4),
                data: u64_at(wrapper, 8),
                linked: u64_at(wrapper, 16),
            }),
            found => Err(FatbinError::NotAWrapper { found }),
        }
    }
}

/// Total length of the container that starts with `header` ([`HEADER_LEN`] bytes are enough).
pub fn length(header: &[u8]) -> Result<u64, FatbinError> {
    let header = need("container header", header, 0, HEADER_LEN as u64)?;
    let found = u32_at(header, 0);
    if found != CONTAINER_MAGIC {
        return Err(FatbinError::NotAContainer { found });
    }
    let (version, header_len) = (u16_at(header, 4), u16_at(header, 6));
    if version != 1 || usize::from(header_len) != HEADER_LEN {
        return Err(FatbinError::UnknownLayout { version, header: header_len });
    }
    Ok(u64_at(header, 8).saturating_add(HEADER_LEN as u64))
}

/// A container whose headers are known to be sound; payloads are looked at when asked for.
#[derive(Debug, Clone)]
pub struct Container<'a> {
    entries: Vec<Entry<'a>>,
    len: u64,
}

impl<'a> Container<'a> {
    /// Reads the headers of the container at the start of `bytes`; what follows it is ignored.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FatbinError> {
        let len = length(bytes)?;
        let bytes = need("container", bytes, 0, len)?;
        let mut entries = Vec::new();
        let mut offset = HEADER_LEN as u64;
        // Less than a header at the end is padding.
        while len - offset >= ENTRY_LEN as u64 {
            let entry = Entry::parse(bytes, offset)?;
            offset = entry.end();
            entries.push(entry);
        }
        Ok(Self { entries, len })
    }

    /// All entries, in the order of the file.
    pub fn entries(&self) -> &[Entry<'a>] {
        &self.entries
    }

    /// Length of the container with its header.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// PTX text.
    Ptx,
    /// Machine code in an ELF file.
    Cubin,
    /// Anything else (intermediate representations for link-time optimisation, archives…), by its number.
    Other(u16),
}

impl Kind {
    fn from_number(number: u16) -> Self {
        match number {
            1 => Kind::Ptx,
            2 => Kind::Cubin,
            other => Kind::Other(other),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Ptx => f.write_str("PTX"),
            Kind::Cubin => f.write_str("cubin"),
            Kind::Other(number) => write!(f, "kind {number}"),
        }
    }
}

/// One piece of code for one architecture.
#[derive(Clone)]
pub struct Entry<'a> {
    /// PTX, machine code or other.
    pub kind: Kind,
    /// Capability it was made for: 61 for `sm_61`.
    pub arch: u32,
    /// For PTX the ISA version (8, 4), for machine code the version of its ELF flavour.
    pub version: (u16, u16),
    /// How the payload is stored.
    pub compression: Compression,
    /// Bytes in the file, with padding.
    pub stored_size: u64,
    /// Bytes after decompression, as the header says; for plain entries the stored size.
    pub size: u64,
    /// Flags as stored.
    pub flags: u64,
    /// Source file name, where the compiler left one.
    pub name: Option<&'a str>,
    /// Where the entry starts in its container.
    pub offset: u64,
    header_len: u32,
    stored: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Precondition: at least [`ENTRY_LEN`] bytes of `container` follow `offset`.
    fn parse(container: &'a [u8], offset: u64) -> Result<Self, FatbinError> {
        let fixed = need("entry header", container, offset, ENTRY_LEN as u64)?;
        let header_len = u32_at(fixed, 4);
        if header_len < ENTRY_LEN as u32 || header_len > ENTRY_LEN_MAX {
            return Err(FatbinError::BadEntryHeader { offset, header: header_len });
        }
        let header = need("entry header", container, offset, u64::from(header_len))?;
        let stored_size = u64_at(fixed, 8);
        let stored = need("entry payload", container, offset + u64::from(header_len), stored_size)?;
        let (compressed, flags, claimed) =
            (u64::from(u32_at(fixed, 16)), u64_at(fixed, 40), u64_at(fixed, 56));
        if compressed > stored_size {
            return Err(FatbinError::BadCompressedSize { offset, stored: stored_size, compressed });
        }
        let compression = Compression::of(flags, compressed, claimed, stored);
        let (stored, size) = match compression {
            Compression::None => (stored, stored_size),
            _ if compressed == 0 => (stored, claimed),
            _ => (&stored[..compressed as usize], claimed),
        };
        Ok(Self {
            kind: Kind::from_number(u16_at(fixed, 0)),
            arch: u32_at(fixed, 28),
            version: (u16_at(fixed, 26), u16_at(fixed, 24)),
            compression,
            stored_size,
            size,
            flags,
            name: name(header, u32_at(fixed, 32), u32_at(fixed, 36)),
            offset,
            header_len,
            stored,
        })
    }

    /// The code itself, decompressed where needed.
    pub fn payload(&self) -> Result<Cow<'a, [u8]>, FatbinError> {
        payload::unpack(self.stored, self.compression, self.size, self.offset)
    }

    /// The payload of a PTX entry as text, without the zero bytes that pad it.
    pub fn text(&self) -> Result<String, FatbinError> {
        let mut bytes = self.payload()?.into_owned();
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        bytes.truncate(end);
        String::from_utf8(bytes).map_err(|error| FatbinError::NotText {
            offset: self.offset,
            position: error.utf8_error().valid_up_to() as u64,
        })
    }

    fn end(&self) -> u64 {
        self.offset + u64::from(self.header_len) + self.stored_size
    }
}

impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.version;
        write!(f, "{} sm_{} version {major}.{minor} {}", self.kind, self.arch, self.compression)
    }
}

fn name(header: &[u8], offset: u32, len: u32) -> Option<&str> {
    let end = offset.checked_add(len)? as usize;
    let bytes = header.get(offset as usize..end).filter(|_| offset != 0 && len != 0)?;
    std::str::from_utf8(bytes).ok().map(|text| text.trim_end_matches('\0'))
}

/// `len` bytes of `bytes` from `offset` on, or an error that says what is missing.
fn need<'a>(what: &'static str, bytes: &'a [u8], offset: u64, len: u64) -> Result<&'a [u8], FatbinError> {
    let available = (bytes.len() as u64).saturating_sub(offset);
    if len > available {
        return Err(FatbinError::Truncated { what, offset, needed: len, available });
    }
    Ok(&bytes[offset as usize..(offset + len) as usize])
}

// Precondition of the three readers: the caller took a slice that is long enough with `need`.

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
