//! Where each part of an object will lie, as offsets into the mapping.

use std::collections::BTreeMap;

use crate::Error;
use crate::mapping::PAGE;
use crate::read::{Kind, Object, Section, Symbol};

/// Bytes of a stub: `jmp *disp32(%rip)`, padded.
pub const STUB: usize = 8;
/// Bytes of an address slot.
pub const SLOT: usize = 8;

/// All of an object must lie within the reach of 32 bits; ours have a small part of that.
const LARGEST: usize = 1 << 29;

/// A place for everything.
pub struct Layout {
    /// Of each section, in the object's order.
    pub sections: Vec<usize>,
    pub stubs: BTreeMap<Symbol, usize>,
    pub slots: BTreeMap<Symbol, usize>,
    /// Bytes of the executable part, in whole pages; the constants follow.
    pub code: usize,
    /// Bytes of all, in whole pages.
    pub size: usize,
}

impl Layout {
    /// Code and stubs first; from the next page on, constants and slots.
    pub fn of(object: &Object) -> Result<Layout, Error> {
        let mut layout = Layout {
            sections: vec![0; object.sections.len()],
            stubs: BTreeMap::new(),
            slots: BTreeMap::new(),
            code: 0,
            size: 0,
        };
        let mut end = End(0);
        layout.place_sections(object, true, &mut end)?;
        for symbol in referred(object, Kind::Call32).filter(|symbol| matches!(symbol, Symbol::External(_))) {
            layout.slots.insert(symbol.clone(), 0);
            if !layout.stubs.contains_key(symbol) {
                layout.stubs.insert(symbol.clone(), end.take(STUB, STUB)?);
            }
        }
        layout.code = end.take(0, PAGE)?;
        layout.place_sections(object, false, &mut end)?;
        layout.slots.extend(referred(object, Kind::Slot32).map(|symbol| (symbol.clone(), 0)));
        for offset in layout.slots.values_mut() {
            *offset = end.take(SLOT, SLOT)?;
        }
        layout.size = end.take(0, PAGE)?;
        Ok(layout)
    }

    /// Where a symbol of the object lies.
    pub fn offset(&self, symbol: &Symbol) -> Result<usize, Error> {
        match symbol {
            Symbol::Inside { section, offset } => Ok(self.sections[*section] + offset),
            Symbol::External(name) => Err(Error::External(name.clone())),
        }
    }

    fn place_sections(&mut self, object: &Object, code: bool, end: &mut End) -> Result<(), Error> {
        for (place, section) in self.sections.iter_mut().zip(&object.sections) {
            if section.code == code {
                *place = end.take(section.bytes.len(), section.align)?;
            }
        }
        Ok(())
    }
}

/// Symbols of all relocations of a kind.
fn referred<'object>(object: &'object Object, kind: Kind) -> impl Iterator<Item = &'object Symbol> {
    let of_kind =
        move |section: &'object Section| section.relocations.iter().filter(move |one| one.kind == kind);
    object.sections.iter().flat_map(of_kind).map(|relocation| &relocation.symbol)
}

/// The end of what is placed so far.
struct End(usize);

impl End {
    /// The next multiple of `align`, with `size` bytes from there on taken.
    fn take(&mut self, size: usize, align: usize) -> Result<usize, Error> {
        let start = self.0.next_multiple_of(align);
        self.0 = start.saturating_add(size);
        if self.0 > LARGEST { Err(Error::Outside(format!("byte {} of the code", self.0))) } else { Ok(start) }
    }
}
