//! As much of ELF as it takes to find `.nv_fatbin` without reading the file.
//!
//! (A whole parser would have to be told to ignore damage everywhere else in the file.)

use crate::container::{u16_at, u32_at, u64_at};

/// `e_machine` of NVIDIA's machine code.
pub(crate) const EM_CUDA: u16 = 190;

const HEADER_LEN: usize = 64;
const SECTION_LEN: usize = 64;

/// Sections that hold containers: of the final link, and of relocatable device code.
const FATBIN_SECTIONS: [&[u8]; 2] = [b".nv_fatbin", b"__nv_relfatbin"];

/// The header of a 64-bit little-endian ELF file.
pub(crate) fn header(file: &[u8]) -> Option<&[u8]> {
    let header = file.get(..HEADER_LEN)?;
    header.starts_with(b"\x7fELF\x02\x01").then_some(header)
}

/// File ranges of the sections that hold fat binaries; empty where the section table says nothing usable.
pub(crate) fn fatbin_sections(file: &[u8]) -> Vec<std::ops::Range<usize>> {
    let Some(sections) = header(file).and_then(|header| Sections::parse(file, header)) else {
        return Vec::new();
    };
    (0..sections.count).filter_map(|index| sections.fatbin_range(index)).collect()
}

struct Sections<'a> {
    file: &'a [u8],
    table: &'a [u8],
    count: usize,
    names: usize,
}

impl<'a> Sections<'a> {
    fn parse(file: &'a [u8], header: &[u8]) -> Option<Self> {
        let start = usize::try_from(u64_at(header, 40)).ok()?;
        let count = usize::from(u16_at(header, 60));
        let table = file.get(start..start.checked_add(count * SECTION_LEN)?)?;
        let names = table.get(usize::from(u16_at(header, 62)) * SECTION_LEN..)?.get(..SECTION_LEN)?;
        Some(Self { file, table, count, names: usize::try_from(u64_at(names, 24)).ok()? })
    }

    fn fatbin_range(&self, index: usize) -> Option<std::ops::Range<usize>> {
        let section = &self.table[index * SECTION_LEN..][..SECTION_LEN];
        let name = self.file.get(self.names.checked_add(u32_at(section, 0) as usize)?..)?;
        let named = |wanted: &&[u8]| name.strip_prefix(*wanted).is_some_and(|rest| rest.first() == Some(&0));
        FATBIN_SECTIONS.iter().find(|wanted| named(wanted))?;
        let start = usize::try_from(u64_at(section, 24)).ok()?;
        let end = start.checked_add(usize::try_from(u64_at(section, 32)).ok()?)?;
        (end <= self.file.len()).then_some(start..end)
    }
}
