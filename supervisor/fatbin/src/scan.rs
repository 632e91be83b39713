//! Listing the containers in a program or library without reading more than their headers.

use std::ops::Range;

use crate::container::{CONTAINER_MAGIC, Container, HEADER_LEN, length};
use crate::elf;
use crate::error::FatbinError;

/// Containers are linked at multiples of this.
const ALIGNMENT: usize = 8;

/// One container in a file, or the damage found where one begins.
#[derive(Debug, Clone)]
pub struct Found<'a> {
    /// Where it starts in the file.
    pub offset: u64,
    /// Its headers.
    pub container: Result<Container<'a>, FatbinError>,
}

/// Iterator over the containers in a file; see [`scan`].
#[derive(Debug, Clone)]
pub struct Scan<'a> {
    file: &'a [u8],
    ranges: std::vec::IntoIter<Range<usize>>,
    range: Range<usize>,
}

/// Every container in `file`, in file order.
///
/// In an ELF file with section headers only the sections for fat binaries are looked at, hopping from header to
/// header; other files (`.fatbin`, stripped programs) are searched from start to end. Map the file rather than
/// reading it: most of its pages are never touched.
pub fn scan(file: &[u8]) -> Scan<'_> {
    let mut ranges = elf::fatbin_sections(file);
    if ranges.is_empty() {
        ranges.push(0..file.len());
    }
    Scan { file, ranges: ranges.into_iter(), range: 0..0 }
}

impl<'a> Iterator for Scan<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        loop {
            if let Some(offset) = self.find_magic() {
                let container = Container::parse(&self.file[offset..self.range.end]);
                self.range.start = offset + step(&self.file[offset..self.range.end], &container);
                return Some(Found { offset: offset as u64, container });
            }
            self.range = self.ranges.next()?;
        }
    }
}

impl Scan<'_> {
    fn find_magic(&self) -> Option<usize> {
        let start = self.range.start.next_multiple_of(ALIGNMENT);
        let words = self.file.get(start..self.range.end)?.chunks_exact(ALIGNMENT);
        let magic = CONTAINER_MAGIC.to_le_bytes();
        words
            .map(|word| word.starts_with(&magic))
            .position(|is_magic| is_magic)
            .map(|index| start + index * ALIGNMENT)
    }
}

/// How far to go on: behind a sound container, or behind a damaged one's header, which may be no header at all.
fn step(bytes: &[u8], container: &Result<Container, FatbinError>) -> usize {
    match container {
        Ok(container) => container.len() as usize,
        Err(_) => {
            length(bytes).ok().filter(|len| *len <= bytes.len() as u64).map_or(HEADER_LEN, |len| len as usize)
        }
    }
}
