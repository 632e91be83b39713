//! What an object holds, as far as loading it is concerned.

use object::elf::{self, RelocationType};
use object::read::elf::ElfFile64;
use object::{
    Architecture, Object as _, ObjectKind, ObjectSection, ObjectSymbol, RelocationFlags, RelocationTarget,
    SectionFlags, SymbolKind,
};

use crate::Error;
use crate::mapping::PAGE;

type File<'data> = ElfFile64<'data>;

/// An object's parts.
pub struct Object<'data> {
    pub sections: Vec<Section<'data>>,
    /// Functions that others may see.
    pub functions: Vec<(String, Symbol)>,
}

/// Bytes that lie in memory when code runs.
pub struct Section<'data> {
    pub code: bool,
    /// A power of two, at most a page.
    pub align: usize,
    pub bytes: &'data [u8],
    pub relocations: Vec<Relocation>,
}

/// A place in a section that depends on where things lie.
pub struct Relocation {
    /// In the section.
    pub offset: u64,
    pub kind: Kind,
    pub symbol: Symbol,
    pub addend: i64,
}

/// What is written there, of the relocations that LLVM makes for position independent code in the small model.
/// S is the symbol's address, A the addend, P the place, G the symbol's slot, L its stub (or S where it has none).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// R_X86_64_64: S + A.
    Absolute64,
    /// R_X86_64_32S: S + A, which must fit.
    Absolute32,
    /// R_X86_64_PC32: S + A - P.
    Relative32,
    /// R_X86_64_PC64: S + A - P.
    Relative64,
    /// R_X86_64_PLT32: L + A - P.
    Call32,
    /// R_X86_64_GOTPCREL and the forms that a linker might rewrite: G + A - P.
    Slot32,
}

impl Kind {
    /// Bytes that are written.
    pub fn size(self) -> u64 {
        match self {
            Kind::Absolute64 | Kind::Relative64 => 8,
            Kind::Absolute32 | Kind::Relative32 | Kind::Call32 | Kind::Slot32 => 4,
        }
    }
}

/// What a relocation refers to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Symbol {
    Inside {
        /// Index into [`Object::sections`].
        section: usize,
        /// Not beyond the section's end.
        offset: usize,
    },
    External(String),
}

/// Reads an object, and checks all that later steps rely on.
pub fn object(bytes: &[u8]) -> Result<Object<'_>, Error> {
    let file = File::parse(bytes)?;
    if (file.kind(), file.architecture()) != (ObjectKind::Relocatable, Architecture::X86_64) {
        return Err(Error::Kind(format!("{:?} for {:?}", file.kind(), file.architecture())));
    }
    let mut reader = Reader { file: &file, loaded: Vec::new() };
    let mut sections = Vec::new();
    for section in file.sections() {
        if let Some(loaded) = section_to_load(&section)? {
            reader.loaded.push((section.index().0, loaded.bytes.len()));
            sections.push((section, loaded));
        }
    }
    for (section, loaded) in &mut sections {
        loaded.relocations = reader.relocations(section)?;
    }
    let sections = sections.into_iter().map(|(_, loaded)| loaded).collect();
    Ok(Object { sections, functions: reader.functions()? })
}

/// The section without its relocations, if it is there when code runs. Tables for unwinding are not: nothing unwinds through kernels.
fn section_to_load<'data>(section: &impl ObjectSection<'data>) -> Result<Option<Section<'data>>, Error> {
    let SectionFlags::Elf { sh_type, sh_flags } = section.flags() else { return Ok(None) };
    let name = section.name()?;
    let has = |flag| sh_flags.0 & flag != 0;
    if !has(elf::SHF_ALLOC.0) || name == ".eh_frame" || section.size() == 0 {
        return Ok(None);
    }
    // Constants with addresses in them are writable for a loader, until it has filled them in.
    let writable = has(elf::SHF_WRITE.0) && !name.starts_with(".data.rel.ro");
    if writable || sh_type == elf::SHT_NOBITS {
        return Err(Error::Writable(name.to_owned()));
    }
    let align = section.align().max(1);
    if !align.is_power_of_two() || align > PAGE as u64 {
        return Err(Error::Outside(format!("alignment {align} of section {name}")));
    }
    let code = has(elf::SHF_EXECINSTR.0);
    Ok(Some(Section { code, align: align as usize, bytes: section.data()?, relocations: Vec::new() }))
}

struct Reader<'file, 'data> {
    file: &'file File<'data>,
    /// Index in the file and size of each section of ours.
    loaded: Vec<(usize, usize)>,
}

impl<'data> Reader<'_, 'data> {
    fn relocations(&self, section: &impl ObjectSection<'data>) -> Result<Vec<Relocation>, Error> {
        let read = |(offset, relocation): (u64, object::Relocation)| {
            let RelocationTarget::Symbol(index) = relocation.target() else {
                return Err(Error::Outside(format!("a relocation's target in section {}", section.name()?)));
            };
            let symbol = self.file.symbol_by_index(index)?;
            let kind = kind_of(relocation.flags(), symbol.name()?)?;
            Ok(Relocation { offset, kind, symbol: self.symbol(&symbol)?, addend: relocation.addend() })
        };
        section.relocations().map(read).collect()
    }

    fn symbol(&self, symbol: &impl ObjectSymbol<'data>) -> Result<Symbol, Error> {
        let name = symbol.name()?;
        if symbol.is_undefined() {
            return Ok(Symbol::External(name.to_owned()));
        }
        let found =
            symbol.section_index().and_then(|index| self.loaded.iter().position(|(own, _)| *own == index.0));
        let section = found.ok_or_else(|| Error::Outside(format!("symbol `{name}`")))?;
        let offset =
            usize::try_from(symbol.address()).ok().filter(|offset| *offset <= self.loaded[section].1);
        let offset = offset.ok_or_else(|| Error::Outside(format!("symbol `{name}`")))?;
        Ok(Symbol::Inside { section, offset })
    }

    fn functions(&self) -> Result<Vec<(String, Symbol)>, Error> {
        let visible = |symbol: &_| is_visible_function(symbol);
        let read = |symbol: object::read::elf::ElfSymbol64<'data, '_>| {
            Ok((symbol.name()?.to_owned(), self.symbol(&symbol)?))
        };
        self.file.symbols().filter(visible).map(read).collect()
    }
}

fn is_visible_function<'data>(symbol: &impl ObjectSymbol<'data>) -> bool {
    symbol.kind() == SymbolKind::Text && symbol.is_global() && !symbol.is_undefined()
}

fn kind_of(flags: RelocationFlags, symbol: &str) -> Result<Kind, Error> {
    let RelocationFlags::Elf { r_type } = flags else {
        return Err(Error::Relocation { kind: 0, symbol: symbol.to_owned() });
    };
    const KINDS: &[(RelocationType, Kind)] = &[
        (elf::R_X86_64_64, Kind::Absolute64),
        (elf::R_X86_64_32S, Kind::Absolute32),
        (elf::R_X86_64_PC32, Kind::Relative32),
        (elf::R_X86_64_PC64, Kind::Relative64),
        (elf::R_X86_64_PLT32, Kind::Call32),
        (elf::R_X86_64_GOTPCREL, Kind::Slot32),
        (elf::R_X86_64_GOTPCRELX, Kind::Slot32),
        (elf::R_X86_64_REX_GOTPCRELX, Kind::Slot32),
    ];
    let known = KINDS.iter().find(|(kind, _)| *kind == r_type).map(|(_, kind)| *kind);
    known.ok_or_else(|| Error::Relocation { kind: r_type.0, symbol: symbol.to_owned() })
}
