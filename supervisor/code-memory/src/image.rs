//! The bytes of the mapping, complete, while they still lie in ordinary memory.

use crate::Error;
use crate::layout::Layout;
use crate::read::{Kind, Object, Relocation, Symbol};

/// `int3`: what falls into a gap of the code stops there.
const GAP: u8 = 0xcc;
/// `jmp *disp32(%rip)`, and the bytes of it.
const JUMP: [u8; 2] = [0xff, 0x25];
const JUMP_LENGTH: usize = 6;

/// Copies all parts to their places and relocates them for a mapping at `base`.
pub fn build(
    object: &Object,
    layout: &Layout,
    base: u64,
    externals: &dyn Fn(&str) -> Option<*const ()>,
) -> Result<Vec<u8>, Error> {
    let mut image = Image { bytes: vec![0; layout.size], layout, base, externals };
    image.bytes[..layout.code].fill(GAP);
    for (section, start) in object.sections.iter().zip(&layout.sections) {
        image.put(*start as u64, section.bytes)?;
    }
    for (symbol, slot) in &layout.slots {
        let address = image.address(symbol)?;
        image.put(*slot as u64, &address.to_le_bytes())?;
    }
    for (symbol, stub) in &layout.stubs {
        let distance = layout.slots[symbol] as i32 - (stub + JUMP_LENGTH) as i32;
        image.put(*stub as u64, &JUMP)?;
        image.put((*stub + JUMP.len()) as u64, &distance.to_le_bytes())?;
    }
    for (section, start) in object.sections.iter().zip(&layout.sections) {
        for relocation in &section.relocations {
            let end = relocation.offset.checked_add(relocation.kind.size());
            if end.is_none_or(|end| end > section.bytes.len() as u64) {
                return Err(Error::Outside(format!(
                    "the place of a relocation to {}",
                    name_of(&relocation.symbol)
                )));
            }
            image.relocate(*start as u64 + relocation.offset, relocation)?;
        }
    }
    Ok(image.bytes)
}

struct Image<'a> {
    bytes: Vec<u8>,
    layout: &'a Layout,
    base: u64,
    externals: &'a dyn Fn(&str) -> Option<*const ()>,
}

impl Image<'_> {
    fn put(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let start = usize::try_from(offset).ok();
        let place = start.and_then(|start| self.bytes.get_mut(start..)?.get_mut(..bytes.len()));
        place.ok_or_else(|| Error::Outside(format!("byte {offset}")))?.copy_from_slice(bytes);
        Ok(())
    }

    fn relocate(&mut self, place: u64, relocation: &Relocation) -> Result<(), Error> {
        let target = self.target(relocation)?.wrapping_add_signed(relocation.addend);
        let distance = target.wrapping_sub(self.base + place);
        let short = |value: u64| {
            let value = i32::try_from(value as i64).map_err(|_| Error::TooFar(name_of(&relocation.symbol)));
            value.map(i32::to_le_bytes)
        };
        match relocation.kind {
            Kind::Absolute64 => self.put(place, &target.to_le_bytes()),
            Kind::Relative64 => self.put(place, &distance.to_le_bytes()),
            Kind::Absolute32 => self.put(place, &short(target)?),
            Kind::Relative32 | Kind::Call32 | Kind::Slot32 => self.put(place, &short(distance)?),
        }
    }

    /// The address that the relocation is about: of the symbol, its stub or its slot.
    fn target(&self, relocation: &Relocation) -> Result<u64, Error> {
        let own = match relocation.kind {
            Kind::Call32 => self.layout.stubs.get(&relocation.symbol),
            Kind::Slot32 => self.layout.slots.get(&relocation.symbol),
            _ => None,
        };
        own.map_or_else(|| self.address(&relocation.symbol), |offset| Ok(self.base + *offset as u64))
    }

    fn address(&self, symbol: &Symbol) -> Result<u64, Error> {
        let Symbol::External(name) = symbol else {
            return Ok(self.base + self.layout.offset(symbol)? as u64);
        };
        let address = (self.externals)(name).ok_or_else(|| Error::External(name.clone()))?;
        Ok(address.addr() as u64)
    }
}

fn name_of(symbol: &Symbol) -> String {
    match symbol {
        Symbol::Inside { section, offset } => format!("byte {offset} of section {section}"),
        Symbol::External(name) => name.clone(),
    }
}
