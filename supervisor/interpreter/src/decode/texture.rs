//! Texture and surface instructions.

use ptx::{AddressBase, Mnemonic, Modifier, Op, Operand, Type};

use super::memory::elements;
use super::operands::{Decoded, Decoder};
use crate::launch::FaultKind;
use crate::registers::{Reg, Slot};
use crate::texture::{Coordinates, Outside, Texture, Wanted};
use crate::warp::Warp;

/// Where an instruction looks: handle, layer, coordinates.
#[derive(Clone, Copy)]
struct Place {
    handle: Handle,
    layer: Option<Reg<u32>>,
    at: [Option<Reg<u32>>; 3],
    dimensions: usize,
}

/// Where the handle comes from.
#[derive(Clone, Copy)]
enum Handle {
    /// A register.
    Register(Reg<u64>),
    /// The variable of a texture reference, which holds it.
    Variable(u64),
}

impl Place {
    fn handle(&self, w: &Warp, lane: usize) -> Result<u64, Outside> {
        match self.handle {
            Handle::Register(register) => Ok(w.value(register, lane)),
            Handle::Variable(address) if w.memory().allows(address, 8) => {
                // SAFETY: the kernel may read these bytes, as was just checked.
                Ok(unsafe { (address as *const u64).read() })
            }
            Handle::Variable(address) => Err(Outside(address)),
        }
    }

    fn layer(&self, w: &Warp, lane: usize) -> u32 {
        self.layer.map_or(0, |layer| w.value(layer, lane))
    }

    fn words(&self, w: &Warp, lane: usize) -> [u32; 3] {
        self.at.map(|register| register.map_or(0, |register| w.value(register, lane)))
    }
}

impl Decoder<'_> {
    pub(super) fn texture(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        match mnemonic.op {
            Op::Tex => self.tex(mnemonic, operands),
            Op::Tld4 => self.tld4(mnemonic, operands),
            Op::Suld => self.suld(mnemonic, operands),
            Op::Sust => self.sust(mnemonic, operands),
            Op::Txq | Op::Suq => self.query(mnemonic, operands),
            _ => Err("not implemented".into()),
        }
    }

    /// `[handle, {coordinates}]`
    fn place(&mut self, mnemonic: &Mnemonic, operand: &Operand) -> Decoded<Place> {
        use Modifier::{A1d, A2d, Dim1, Dim2, Dim3};
        let Operand::Address { base, extra, .. } = operand else {
            return Err("a texture without a handle".into());
        };
        let handle = self.handle(base)?;
        let coordinates: &[Operand] = match &extra[..] {
            [] => &[],
            [Operand::Vector(parts)] => parts,
            [single] => std::slice::from_ref(single),
            _ => return Err("a sampler apart from its texture is not implemented".into()),
        };
        let geometry = mnemonic.modifiers.first_of(&[Dim1, Dim2, Dim3, A1d, A2d]);
        let (dimensions, layered) = match geometry {
            Some(Dim1) => (1, false),
            Some(Dim2) => (2, false),
            Some(Dim3) => (3, false),
            Some(A1d) => (1, true),
            Some(A2d) => (2, true),
            _ => return Err("this geometry of a texture is not implemented".into()),
        };
        let mut registers = Vec::new();
        for coordinate in coordinates {
            registers.push(self.source_as::<u32>(coordinate, Type::B32)?);
        }
        let first = usize::from(layered);
        if registers.len() < first + dimensions {
            return Err("a texture with too few coordinates".into());
        }
        let at = std::array::from_fn(|axis| (axis < dimensions).then(|| registers[first + axis]));
        Ok(Place { handle, layer: layered.then(|| registers[0]), at, dimensions })
    }

    fn handle(&mut self, base: &AddressBase) -> Decoded<Handle> {
        match base {
            AddressBase::Register(register) => {
                Ok(Handle::Register(self.source_as(&Operand::Register(*register), Type::B64)?))
            }
            AddressBase::Global(name) => {
                let address = self.image.symbol(name).ok_or_else(|| format!("`{name}` is not defined"))?;
                Ok(Handle::Variable(address))
            }
            _ => Err("a texture that is a parameter is not implemented".into()),
        }
    }

    /// The registers that a lookup or a surface's bytes go to or come from.
    fn parts(&mut self, operand: &Operand) -> Decoded<Vec<Option<Slot>>> {
        let one = |decoder: &mut Self, operand: &Operand| match operand {
            Operand::Sink => Ok(None),
            other => decoder.target_slot(other).map(Some),
        };
        match operand {
            Operand::Vector(parts) => parts.iter().map(|part| one(self, part)).collect(),
            Operand::Pair(..) => Err("residency of textures is not implemented".into()),
            single => Ok(vec![one(self, single)?]),
        }
    }

    /// What a lookup gives and how its coordinates are read.
    fn kinds(mnemonic: &Mnemonic) -> Decoded<(Wanted, bool)> {
        let wanted = |ty| match ty {
            Type::F32 => Ok(Wanted::Float),
            Type::U32 | Type::S32 | Type::B32 => Ok(Wanted::Integer),
            _ => Err("a texture of this type is not implemented"),
        };
        match mnemonic.types[..] {
            [result, coordinates] => Ok((wanted(result)?, coordinates == Type::S32)),
            _ => Err("a texture instruction without its types".into()),
        }
    }

    /// `tex`, also with a level or gradients: there is one level.
    fn tex(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let (wanted, whole) = Self::kinds(mnemonic)?;
        let targets = self.parts(&operands[0])?;
        let place = self.place(mnemonic, &operands[1])?;
        self.push_lookup(targets, place, move |texture, words, layer| {
            let at = if whole {
                Coordinates::Whole(words.map(|word| word as i32))
            } else {
                Coordinates::Real(words.map(f32::from_bits))
            };
            texture.lookup(at, place.dimensions, layer, wanted)
        });
        Ok(())
    }

    fn tld4(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let (wanted, _) = Self::kinds(mnemonic)?;
        let channels = [Modifier::R, Modifier::G, Modifier::B, Modifier::A];
        let channel = channels.iter().position(|channel| mnemonic.has(*channel));
        let channel = channel.ok_or("a gathering of no channel")?;
        let targets = self.parts(&operands[0])?;
        let place = self.place(mnemonic, &operands[1])?;
        self.push_lookup(targets, place, move |texture, words, layer| {
            texture.gather(words.map(f32::from_bits), layer, channel, wanted)
        });
        Ok(())
    }

    fn push_lookup(
        &mut self,
        targets: Vec<Option<Slot>>,
        place: Place,
        look: impl Fn(&Texture, [u32; 3], u32) -> Result<[u32; 4], Outside> + Send + Sync + 'static,
    ) {
        let origin = self.origin();
        self.push(move |w| {
            for lane in w.active() {
                let (words, layer) = (place.words(w, lane), place.layer(w, lane));
                let found = place
                    .handle(w, lane)
                    .and_then(|handle| Texture::open(w.memory(), handle))
                    .and_then(|texture| look(&texture, words, layer));
                match found {
                    Ok(values) => put(w, lane, &targets, values.map(u64::from)),
                    Err(Outside(address)) => {
                        return w.fail(FaultKind::IllegalAddress, address, lane, origin);
                    }
                }
            }
        });
    }

    fn suld(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let surface = self.surface(mnemonic, &operands[1])?;
        let targets = self.parts(&operands[0])?;
        let origin = self.origin();
        self.push(move |w| {
            for lane in w.active() {
                match surface.address(w, lane, targets.len()) {
                    Ok(Some(address)) => {
                        let mut values = [0; 4];
                        for (index, value) in values.iter_mut().enumerate().take(targets.len()) {
                            let at = address + index as u64 * u64::from(surface.bytes);
                            // SAFETY: `address` has checked all elements.
                            *value = unsafe { read(at, surface.bytes) };
                        }
                        put(w, lane, &targets, values);
                    }
                    Ok(None) => put(w, lane, &targets, [0; 4]),
                    Err(Outside(address)) => {
                        return w.fail(FaultKind::IllegalAddress, address, lane, origin);
                    }
                }
            }
        });
        Ok(())
    }

    fn sust(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let surface = self.surface(mnemonic, &operands[0])?;
        let ty = mnemonic.ty().ok_or("a surface without a type")?;
        let parts = elements(&operands[1]);
        let sources: Result<Vec<Slot>, _> = parts.iter().map(|part| self.source_slot(part, ty)).collect();
        let (sources, origin) = (sources?, self.origin());
        self.push(move |w| {
            for lane in w.active() {
                match surface.address(w, lane, sources.len()) {
                    Ok(Some(address)) => {
                        for (index, source) in sources.iter().enumerate() {
                            let at = address + index as u64 * u64::from(surface.bytes);
                            let value = w.slot_values(*source)[lane];
                            // SAFETY: `address` has checked all elements.
                            unsafe { write(at, surface.bytes, value) };
                        }
                    }
                    Ok(None) => {}
                    Err(Outside(address)) => {
                        return w.fail(FaultKind::IllegalAddress, address, lane, origin);
                    }
                }
            }
        });
        Ok(())
    }

    fn surface(&mut self, mnemonic: &Mnemonic, operand: &Operand) -> Decoded<Surface> {
        if !mnemonic.has(Modifier::B) {
            return Err("formatted surface accesses are not implemented".into());
        }
        let ty = mnemonic.ty().ok_or("a surface without a type")?;
        let beyond = match mnemonic.modifiers.first_of(&[Modifier::Trap, Modifier::Clamp, Modifier::Zero]) {
            Some(Modifier::Clamp) => Beyond::Clamps,
            Some(Modifier::Zero) => Beyond::Nothing,
            _ => Beyond::Traps,
        };
        Ok(Surface { place: self.place(mnemonic, operand)?, bytes: ty.size(), beyond })
    }

    /// `txq`, `suq`: extents.
    fn query(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        use Modifier::{Depth, Height, Width};
        let axis = match mnemonic.modifiers.first_of(&[Width, Height, Depth]) {
            Some(Width) => 0,
            Some(Height) => 1,
            Some(Depth) => 2,
            _ => return Err("this question about a texture is not implemented".into()),
        };
        let targets = self.parts(&operands[0])?;
        let Operand::Address { base, .. } = &operands[1] else {
            return Err("a texture without a handle".into());
        };
        let place = Place { handle: self.handle(base)?, layer: None, at: [None; 3], dimensions: 0 };
        self.push_lookup(targets, place, move |texture, _, _| Ok([texture.descriptor.extent[axis], 0, 0, 0]));
        Ok(())
    }
}

/// What happens outside a surface.
#[derive(Clone, Copy, PartialEq)]
enum Beyond {
    Traps,
    Clamps,
    Nothing,
}

/// A surface access: bytes of an element.
#[derive(Clone, Copy)]
struct Surface {
    place: Place,
    bytes: u32,
    beyond: Beyond,
}

impl Surface {
    /// Address of a lane's elements, all of which the kernel may touch; `None`: nothing is read or written.
    fn address(&self, w: &Warp, lane: usize, count: usize) -> Result<Option<u64>, Outside> {
        let handle = self.place.handle(w, lane)?;
        let surface = Texture::open(w.memory(), handle)?;
        let at = self.place.words(w, lane).map(|word| word as i32);
        let bytes = self.bytes * count as u32;
        let clamps = self.beyond == Beyond::Clamps;
        match surface.surface_address(at, self.place.layer(w, lane), bytes, clamps) {
            Some(address) if w.memory().allows(address, bytes.into()) => Ok(Some(address)),
            Some(address) => Err(Outside(address)),
            None if self.beyond == Beyond::Traps => Err(Outside(handle)),
            None => Ok(None),
        }
    }
}

fn put(w: &mut Warp, lane: usize, targets: &[Option<Slot>], values: [u64; 4]) {
    for (target, value) in targets.iter().zip(values) {
        match *target {
            Some(Slot::Narrow(d)) => w.set_value(d, lane, value as u32),
            Some(Slot::Wide(d)) => w.set_value(d, lane, value),
            _ => {}
        }
    }
}

/// # Safety
/// `bytes` bytes must be readable.
unsafe fn read(address: u64, bytes: u32) -> u64 {
    // SAFETY: the caller's promise.
    unsafe {
        match bytes {
            1 => (address as *const u8).read_volatile().into(),
            2 => (address as *const u16).read_unaligned().into(),
            4 => (address as *const u32).read_unaligned().into(),
            _ => (address as *const u64).read_unaligned(),
        }
    }
}

/// # Safety
/// `bytes` bytes must be writable.
unsafe fn write(address: u64, bytes: u32, value: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        match bytes {
            1 => (address as *mut u8).write_volatile(value as u8),
            2 => (address as *mut u16).write_unaligned(value as u16),
            4 => (address as *mut u32).write_unaligned(value as u32),
            _ => (address as *mut u64).write_unaligned(value),
        }
    }
}
