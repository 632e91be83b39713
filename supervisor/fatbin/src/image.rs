//! What `cuModuleLoadData` was given: a container, PTX text or a bare cubin.

use crate::container::{CONTAINER_MAGIC, Container, u16_at, u32_at, u64_at};
use crate::elf::{self, EM_CUDA};
use crate::error::FatbinError;
use crate::select::NoCode;

/// A module image of any of the three kinds.
#[derive(Debug, Clone)]
pub enum Image<'a> {
    /// A fat binary container.
    Fatbin(Container<'a>),
    /// PTX text, up to its zero byte if it has one.
    Ptx(&'a str),
    /// Machine code.
    Cubin(Cubin),
}

/// What a cubin's ELF header tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cubin {
    /// Capability it was made for.
    pub arch: u32,
    /// Length of the file.
    pub len: u64,
}

impl<'a> Image<'a> {
    /// Tells which kind of image starts at `bytes`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FatbinError> {
        if bytes.starts_with(&CONTAINER_MAGIC.to_le_bytes()) {
            return Container::parse(bytes).map(Image::Fatbin);
        }
        if let Some(cubin) = Cubin::parse(bytes) {
            return Ok(Image::Cubin(cubin));
        }
        match ptx_text(bytes) {
            Some(text) => Ok(Image::Ptx(text)),
            None => Err(FatbinError::UnknownImage { start: bytes[..bytes.len().min(8)].to_vec() }),
        }
    }

    /// The PTX in this image for a device of `capability`; see [`Container::best_ptx`]. Text is taken as it is:
    /// its own `.target` is for the compiler to judge.
    pub fn best_ptx(&self, capability: u32) -> Result<String, NoCode> {
        match self {
            Image::Fatbin(container) => container.best_ptx(capability),
            Image::Ptx(text) => Ok((*text).to_owned()),
            Image::Cubin(cubin) => {
                Err(NoCode { capability, ptx: vec![], sass: vec![cubin.arch], damaged: vec![] })
            }
        }
    }
}

impl Cubin {
    /// Reads an ELF header for NVIDIA's machine; `None` if it is something else.
    pub fn parse(header: &[u8]) -> Option<Self> {
        let header = elf::header(header).filter(|header| u16_at(header, 18) == EM_CUDA)?;
        let flags = u32_at(header, 48);
        // The architecture is in the flags' lowest byte, since ABI version 8 (CUDA 13) in the next one.
        let arch = if header[8] >= 8 { flags >> 8 & 0xff } else { flags & 0xff };
        Some(Self { arch, len: cubin_len(header) })
    }
}

/// In a cubin the program headers come last, behind the section headers.
fn cubin_len(header: &[u8]) -> u64 {
    let table = |start: usize, entry: usize| {
        u64_at(header, start)
            .saturating_add(u64::from(u16_at(header, entry)) * u64::from(u16_at(header, entry + 2)))
    };
    table(32, 54).max(table(40, 58))
}

/// PTX begins with comments and white space, then `.version`.
fn ptx_text(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    skip_comments(text).starts_with(".version").then_some(text)
}

fn skip_comments(text: &str) -> &str {
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        let after = match rest.get(..2) {
            Some("//") => rest.split_once('\n'),
            Some("/*") => rest[2..].split_once("*/"),
            _ => return rest,
        };
        rest = after.map_or("", |(_, after)| after).trim_start();
    }
}
