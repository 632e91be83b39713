//! Loads, stores, atomics, addresses.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use ptx::{AddressBase, Mnemonic, Modifier, Op, Operand, Space, Special, Type};

use super::{Decoded, Decoder, Slot};
use crate::exec::{local_addresses, thread_positions};
use crate::warp::{V64, Warp};

/// Where an access's addresses come from.
#[derive(Clone, Copy)]
enum Addresses {
    /// A register of real addresses, and an offset.
    Real(usize, u64),
    /// A narrow or wide register of offsets into shared memory, and an offset.
    Shared(Slot, u64),
    /// The same place for all lanes: offset into shared memory.
    SharedFixed(u64),
    /// An offset into each thread's local memory.
    Local(u64),
    /// One real address.
    Fixed(u64),
}

impl Addresses {
    #[inline(always)]
    fn of(self, w: &Warp) -> V64 {
        match self {
            Addresses::Real(register, offset) => {
                let base = &w.wide[register];
                std::array::from_fn(|lane| base[lane].wrapping_add(offset))
            }
            Addresses::Shared(Slot::Narrow(register), offset) => {
                let start = w.context().shared_base();
                let base = &w.narrow[register];
                std::array::from_fn(|lane| start + u64::from(base[lane].wrapping_add(offset as u32)))
            }
            Addresses::Shared(Slot::Wide(register), offset) => {
                let start = w.context().shared_base();
                let base = &w.wide[register];
                std::array::from_fn(|lane| start.wrapping_add(base[lane]).wrapping_add(offset))
            }
            Addresses::Shared(Slot::Predicate(_), _) => [0; 32],
            Addresses::SharedFixed(offset) => [w.context().shared_base() + offset; 32],
            Addresses::Local(offset) => local_addresses(w, offset),
            Addresses::Fixed(address) => [address; 32],
        }
    }
}

/// The space that an instruction names; `None`: generic.
fn space(mnemonic: &Mnemonic) -> Option<Space> {
    use Modifier::*;
    match mnemonic
        .modifiers
        .first_of(&[Global, Shared, SharedCta, Local, Const, Param, ParamEntry, ParamFunc])?
    {
        Global => Some(Space::Global),
        Shared | SharedCta => Some(Space::Shared),
        Local => Some(Space::Local),
        Const => Some(Space::Const),
        _ => Some(Space::Param),
    }
}

impl Decoder<'_> {
    fn addresses(&mut self, operand: &Operand, space: Option<Space>) -> Decoded<Addresses> {
        let Operand::Address { base, offset, .. } = operand else {
            return Err("an operand that is no address".into());
        };
        let offset = *offset as u64;
        let shared = space == Some(Space::Shared);
        Ok(match base {
            AddressBase::Register(register) => match (self.slot(*register), shared) {
                (slot @ (Slot::Narrow(_) | Slot::Wide(_)), true) => Addresses::Shared(slot, offset),
                (Slot::Wide(register), false) => Addresses::Real(register, offset),
                _ => return Err("an address in a register of another width".into()),
            },
            AddressBase::Variable(index) => {
                let variable = &self.body.variables[*index as usize];
                match variable.space {
                    Space::Shared => {
                        let place =
                            self.shared_offset(&variable.name).ok_or("a shared variable without a place")?;
                        Addresses::SharedFixed(place.wrapping_add(offset))
                    }
                    _ => {
                        let place = self.local_offset(*index).ok_or("a variable without a place")?;
                        Addresses::Local(place.wrapping_add(offset))
                    }
                }
            }
            AddressBase::Global(name) => match self.shared_offset(name) {
                Some(place) => Addresses::SharedFixed(place.wrapping_add(offset)),
                None => {
                    let address =
                        self.image.symbol(name).ok_or_else(|| format!("`{name}` is not defined"))?;
                    Addresses::Fixed(address.wrapping_add(offset))
                }
            },
            AddressBase::Absolute(address) if shared => Addresses::SharedFixed(address.wrapping_add(offset)),
            AddressBase::Absolute(address) => Addresses::Fixed(address.wrapping_add(offset)),
        })
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn memory(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        match mnemonic.op {
            Op::Ld | Op::Ldu => self.load(mnemonic, operands),
            Op::St => self.store(mnemonic, operands),
            Op::Atom | Op::Red => self.atomic(mnemonic, operands),
            Op::Cvta => self.cvta(mnemonic, operands),
            Op::Isspacep => self.isspacep(mnemonic, operands),
            _ => Ok(()),
        }
    }

    fn elements(operand: &Operand) -> Vec<Operand> {
        match operand {
            Operand::Vector(elements) => elements.clone(),
            other => vec![other.clone()],
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn load(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let ty = mnemonic.ty().ok_or("a load without a type")?;
        let targets = Decoder::elements(&operands[0]);
        let space = space(mnemonic);
        if space == Some(Space::Param)
            && let Operand::Address { base: AddressBase::Variable(index), offset, .. } = &operands[1]
            && (*index as usize) < self.parameters.len()
        {
            return self.load_parameter(&targets, *index, *offset, ty);
        }
        let addresses = self.addresses(&operands[1], space)?;
        let origin = self.index as u32;
        let size = u64::from(ty.size());
        let total = size * targets.len() as u64;
        if let [target] = &targets[..] {
            return self.load_one(target, addresses, ty, origin);
        }
        let places: Vec<Option<Slot>> = targets
            .iter()
            .map(|target| match target {
                Operand::Register(register) => Some(self.slot(*register)),
                _ => None,
            })
            .collect();
        let signed = ty.is_signed();
        self.push(move |w| {
            let at = addresses.of(w);
            if !w.check(&at, total, origin) {
                return;
            }
            for (index, place) in places.iter().enumerate() {
                if let Some(place) = place {
                    // SAFETY: all active lanes' bytes were checked.
                    unsafe { load_lanes(w, *place, &at, index as u64 * size, size, signed) };
                }
            }
        });
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn load_one(&mut self, target: &Operand, addresses: Addresses, ty: Type, origin: u32) -> Decoded<()> {
        let Operand::Register(register) = target else { return Ok(()) };
        let place = self.slot(*register);
        let (size, signed) = (u64::from(ty.size()), ty.is_signed());
        self.push(move |w| {
            let at = addresses.of(w);
            if w.check(&at, size, origin) {
                // SAFETY: all active lanes' bytes were checked.
                unsafe { load_lanes(w, place, &at, 0, size, signed) };
            }
        });
        Ok(())
    }

    fn load_parameter(&mut self, targets: &[Operand], index: u32, offset: i64, ty: Type) -> Decoded<()> {
        let start = self.parameters[index as usize].offset as usize + offset as usize;
        let size = ty.size() as usize;
        for (number, target) in targets.iter().enumerate() {
            let Operand::Register(register) = target else { continue };
            let (slot, at) = (self.slot(*register), start + number * size);
            let signed = ty.is_signed();
            self.push(move |w| {
                let mut bytes = [0; 8];
                let source = w.context().parameters;
                let end = (at + size).min(source.len());
                if at < end {
                    bytes[..end - at].copy_from_slice(&source[at..end]);
                }
                let value = extend(u64::from_le_bytes(bytes), size as u64, signed);
                match slot {
                    Slot::Narrow(register) => w.set32(register, &[value as u32; 32]),
                    Slot::Wide(register) => w.set64(register, &[value; 32]),
                    Slot::Predicate(_) => {}
                }
            });
        }
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn store(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let ty = mnemonic.ty().ok_or("a store without a type")?;
        let addresses = self.addresses(&operands[0], space(mnemonic))?;
        let sources = Decoder::elements(&operands[1]);
        let size = u64::from(ty.size());
        let total = size * sources.len() as u64;
        let mut places = Vec::new();
        for source in &sources {
            places.push(match source {
                Operand::Register(register) => self.slot(*register),
                other if size == 8 => Slot::Wide(self.source64(other, ty)?),
                other => Slot::Narrow(self.source32(other, ty)?),
            });
        }
        let origin = self.index as u32;
        self.push(move |w| {
            let at = addresses.of(w);
            if !w.check(&at, total, origin) {
                return;
            }
            for (index, place) in places.iter().enumerate() {
                // SAFETY: all active lanes' bytes were checked.
                unsafe { store_lanes(w, *place, &at, index as u64 * size, size) };
            }
        });
        Ok(())
    }

    fn cvta(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let shared = space(mnemonic) == Some(Space::Shared);
        let to = mnemonic.has(Modifier::To);
        let ty = mnemonic.ty().unwrap_or(Type::U64);
        let d = self.target64(&operands[0])?;
        let a = self.source64(&operands[1], ty)?;
        self.push(move |w| {
            let base = if shared { w.context().shared_base() } else { 0 };
            let source = &w.wide[a];
            let values = std::array::from_fn(|lane| {
                if to { source[lane].wrapping_sub(base) } else { source[lane].wrapping_add(base) }
            });
            w.set64(d, &values);
        });
        Ok(())
    }

    fn isspacep(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let asked = space(mnemonic);
        let d = self.target_predicate(&operands[0])?;
        let a = self.source64(&operands[1], Type::U64)?;
        self.push(move |w| {
            let mut bits = 0;
            for lane in 0..32 {
                let address = w.wide[a][lane];
                let context = w.context();
                let shared = address.wrapping_sub(context.shared_base()) < context.shared_bytes;
                let local = address.wrapping_sub(context.local_base()) < context.local.len() as u64 * 8;
                let inside = match asked {
                    Some(Space::Shared) => shared,
                    Some(Space::Local) => local,
                    _ => !shared && !local,
                };
                bits |= u32::from(inside) << lane;
            }
            w.set_predicate(d, bits);
        });
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn atomic(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let ty = mnemonic.ty().ok_or("an atomic without a type")?;
        let reduce = mnemonic.op == Op::Red;
        let place = if reduce { &operands[0] } else { &operands[1] };
        let addresses = self.addresses(place, space(mnemonic))?;
        let values = &operands[if reduce { 1 } else { 2 }..];
        let operation = mnemonic
            .modifiers
            .first_of(&[
                Modifier::Cas,
                Modifier::Exch,
                Modifier::Add,
                Modifier::Inc,
                Modifier::Dec,
                Modifier::Min,
                Modifier::Max,
                Modifier::And,
                Modifier::Or,
                Modifier::Xor,
            ])
            .ok_or("an atomic without an operation")?;
        let known = matches!(ty.size(), 4 | 8) && !matches!(ty, Type::F16x2 | Type::Bf16x2);
        if !known {
            return Err("atomics of this type are not implemented".into());
        }
        let wide = ty.size() == 8;
        let target = match (&operands[0], reduce) {
            (Operand::Register(register), false) => Some(self.slot(*register)),
            _ => None,
        };
        let mut sources = Vec::new();
        for value in values {
            sources.push(if wide {
                Slot::Wide(self.source64(value, ty)?)
            } else {
                Slot::Narrow(self.source32(value, ty)?)
            });
        }
        let origin = self.index as u32;
        self.push(move |w| {
            let at = addresses.of(w);
            if !w.check(&at, u64::from(ty.size()), origin) {
                return;
            }
            let value = |w: &Warp, index: usize, lane: usize| match sources.get(index) {
                Some(Slot::Narrow(register)) => u64::from(w.narrow[*register][lane]),
                Some(Slot::Wide(register)) => w.wide[*register][lane],
                _ => 0,
            };
            for lane in 0..32 {
                if w.mask >> lane & 1 == 0 {
                    continue;
                }
                let (a, b) = (value(w, 0, lane), value(w, 1, lane));
                // SAFETY: the lane's bytes were checked, alignment included; other workers use atomics as well.
                let old = unsafe { apply(at[lane], ty, operation, a, b) };
                match target {
                    Some(Slot::Narrow(register)) => w.narrow[register][lane] = old as u32,
                    Some(Slot::Wide(register)) => w.wide[register][lane] = old,
                    _ => {}
                }
            }
        });
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn mov(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let ty = mnemonic.ty().ok_or("a move without a type")?;
        match (&operands[0], &operands[1]) {
            (Operand::Vector(parts), source) => self.unpack(parts, source, ty),
            (target, Operand::Vector(parts)) => self.pack(target, parts, ty),
            (Operand::Register(register), source) => match (self.slot(*register), source) {
                (Slot::Predicate(d), Operand::Constant(constant)) => {
                    let bits = if constant.bits(Type::U64) != 0 { u32::MAX } else { 0 };
                    self.push(move |w| w.set_predicate(d, bits));
                    Ok(())
                }
                (Slot::Predicate(d), source) => {
                    let (a, negated) = self.source_predicate(source)?;
                    self.push(move |w| {
                        let bits = w.predicates[a];
                        w.set_predicate(d, if negated { !bits } else { bits });
                    });
                    Ok(())
                }
                (slot, Operand::Special(_) | Operand::Variable(..) | Operand::Symbol(..)) => {
                    self.move_address(slot, source)
                }
                (Slot::Narrow(d), source) => {
                    let a = self.source32(source, ty)?;
                    self.push(move |w| {
                        let values = w.narrow[a];
                        w.set32(d, &values);
                    });
                    Ok(())
                }
                (Slot::Wide(d), source) => {
                    let a = self.source64(source, ty)?;
                    self.push(move |w| {
                        let values = w.wide[a];
                        w.set64(d, &values);
                    });
                    Ok(())
                }
            },
            _ => Err("this form of move is not implemented".into()),
        }
    }

    fn pack(&mut self, target: &Operand, parts: &[Operand], ty: Type) -> Decoded<()> {
        let bits = ty.size() * 8 / parts.len() as u32;
        let mut sources = Vec::new();
        for part in parts {
            sources.push(match part {
                Operand::Register(register) => self.slot(*register),
                other => Slot::Narrow(self.source32(other, Type::B32)?),
            });
        }
        let Operand::Register(register) = target else {
            return Err("a destination that is no register".into());
        };
        let place = self.slot(*register);
        let mask = if bits >= 64 { u64::MAX } else { (1 << bits) - 1 };
        self.push(move |w| {
            let mut values = [0u64; 32];
            for (index, source) in sources.iter().enumerate() {
                for (lane, value) in values.iter_mut().enumerate() {
                    let part = match source {
                        Slot::Narrow(register) => u64::from(w.narrow[*register][lane]),
                        Slot::Wide(register) => w.wide[*register][lane],
                        Slot::Predicate(_) => 0,
                    };
                    *value |= (part & mask) << (bits * index as u32);
                }
            }
            match place {
                Slot::Narrow(register) => w.set32(register, &values.map(|value| value as u32)),
                Slot::Wide(register) => w.set64(register, &values),
                Slot::Predicate(_) => {}
            }
        });
        Ok(())
    }

    fn unpack(&mut self, parts: &[Operand], source: &Operand, ty: Type) -> Decoded<()> {
        let bits = ty.size() * 8 / parts.len() as u32;
        let wide = ty.size() == 8;
        let from = if wide {
            Slot::Wide(self.source64(source, ty)?)
        } else {
            Slot::Narrow(self.source32(source, ty)?)
        };
        let mask = (1u64 << bits) - 1;
        for (index, part) in parts.iter().enumerate() {
            let Operand::Register(register) = part else { continue };
            let (place, shift) = (self.slot(*register), bits * index as u32);
            self.push(move |w| {
                let values: V64 = std::array::from_fn(|lane| {
                    let whole = match from {
                        Slot::Narrow(register) => u64::from(w.narrow[register][lane]),
                        Slot::Wide(register) => w.wide[register][lane],
                        Slot::Predicate(_) => 0,
                    };
                    whole >> shift & mask
                });
                match place {
                    Slot::Narrow(register) => w.set32(register, &values.map(|value| value as u32)),
                    Slot::Wide(register) => w.set64(register, &values),
                    Slot::Predicate(_) => {}
                }
            });
        }
        Ok(())
    }

    /// A special register, or the address of a variable, into a register.
    pub(super) fn move_address(&mut self, slot: Slot, operand: &Operand) -> Decoded<()> {
        match operand {
            Operand::Special(special) => {
                let special = *special;
                if !is_known(special) {
                    return Err(format!("special register %{} is not implemented", special.name()));
                }
                self.push(move |w| {
                    let values = special_values(w, special);
                    set(w, slot, &values);
                });
            }
            Operand::Variable(index, offset) => {
                let variable = &self.body.variables[*index as usize];
                let offset = *offset as u64;
                if variable.space == Space::Shared {
                    let place =
                        self.shared_offset(&variable.name).ok_or("a shared variable without a place")?;
                    self.push(move |w| set(w, slot, &[place.wrapping_add(offset); 32]));
                } else {
                    let place =
                        self.local_offset(*index).ok_or("the address of a parameter is not implemented")?;
                    self.push(move |w| {
                        let values = local_addresses(w, place.wrapping_add(offset));
                        set(w, slot, &values);
                    });
                }
            }
            Operand::Symbol(name, offset) => {
                let value = match self.shared_offset(name) {
                    Some(place) => place,
                    None => self.image.symbol(name).ok_or_else(|| format!("`{name}` is not defined"))?,
                };
                let value = value.wrapping_add(*offset as u64);
                self.push(move |w| set(w, slot, &[value; 32]));
            }
            _ => return Err("an operand without an address".into()),
        }
        Ok(())
    }
}

pub(super) fn set(w: &mut Warp, slot: Slot, values: &V64) {
    match slot {
        Slot::Narrow(register) => w.set32(register, &values.map(|value| value as u32)),
        Slot::Wide(register) => w.set64(register, values),
        Slot::Predicate(_) => {}
    }
}

fn is_known(special: Special) -> bool {
    use Special::*;
    matches!(
        special,
        TidX | TidY
            | TidZ
            | NtidX
            | NtidY
            | NtidZ
            | CtaidX
            | CtaidY
            | CtaidZ
            | NctaidX
            | NctaidY
            | NctaidZ
            | LaneId
            | WarpId
            | NwarpId
            | SmId
            | NsmId
            | GridId
            | LanemaskEq
            | LanemaskLe
            | LanemaskLt
            | LanemaskGe
            | LanemaskGt
            | Clock
            | Clock64
            | ClockHi
            | GlobalTimer
            | GlobalTimerLo
            | GlobalTimerHi
            | DynamicSmemSize
            | TotalSmemSize
            | Envreg1
            | Envreg2
    )
}

fn special_values(w: &Warp, special: Special) -> V64 {
    use Special::*;
    let context = w.context();
    let same = |value: u32| [u64::from(value); 32];
    let nanoseconds = || {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        now.as_nanos() as u64
    };
    match special {
        TidX => thread_positions(w)[0].map(u64::from),
        TidY => thread_positions(w)[1].map(u64::from),
        TidZ => thread_positions(w)[2].map(u64::from),
        NtidX => same(context.size[0]),
        NtidY => same(context.size[1]),
        NtidZ => same(context.size[2]),
        CtaidX => same(context.index[0]),
        CtaidY => same(context.index[1]),
        CtaidZ => same(context.index[2]),
        NctaidX => same(context.grid[0]),
        NctaidY => same(context.grid[1]),
        NctaidZ => same(context.grid[2]),
        LaneId => std::array::from_fn(|lane| lane as u64),
        WarpId => same(w.index),
        NwarpId => same(context.size.iter().product::<u32>().div_ceil(32)),
        LanemaskEq => std::array::from_fn(|lane| 1 << lane),
        LanemaskLt => std::array::from_fn(|lane| (1 << lane) - 1),
        LanemaskLe => std::array::from_fn(|lane| (2 << lane) - 1),
        LanemaskGt => std::array::from_fn(|lane| u64::from(u32::MAX) & !((2 << lane) - 1)),
        LanemaskGe => std::array::from_fn(|lane| u64::from(u32::MAX) & !((1 << lane) - 1)),
        NsmId => same(1),
        TotalSmemSize | DynamicSmemSize => same(context.shared_bytes as u32),
        Clock | Clock64 | GlobalTimer | GlobalTimerLo => [nanoseconds(); 32],
        ClockHi | GlobalTimerHi => [nanoseconds() >> 32; 32],
        _ => [0; 32],
    }
}

fn extend(value: u64, size: u64, signed: bool) -> u64 {
    match (size, signed) {
        (1, true) => value as u8 as i8 as i64 as u64,
        (2, true) => value as u16 as i16 as i64 as u64,
        (4, true) => value as u32 as i32 as i64 as u64,
        _ => value,
    }
}

/// # Safety
/// `size` bytes at each active lane's address plus `offset` must be readable.
#[inline(always)]
unsafe fn load_lanes(w: &mut Warp, place: Slot, at: &V64, offset: u64, size: u64, signed: bool) {
    let full = w.mask == u32::MAX;
    // SAFETY: the caller's promise; inactive lanes' addresses are not touched.
    unsafe {
        match (place, size) {
            (Slot::Narrow(register), 4) if full => {
                let target = &mut w.narrow[register];
                for lane in 0..32 {
                    target[lane] = (at[lane].wrapping_add(offset) as *const u32).read();
                }
            }
            (Slot::Wide(register), 8) if full => {
                let target = &mut w.wide[register];
                for lane in 0..32 {
                    target[lane] = (at[lane].wrapping_add(offset) as *const u64).read();
                }
            }
            (Slot::Narrow(register), 2) if full && !signed => {
                let target = &mut w.narrow[register];
                for lane in 0..32 {
                    target[lane] = u32::from((at[lane].wrapping_add(offset) as *const u16).read());
                }
            }
            _ => {
                for lane in 0..32 {
                    if w.mask >> lane & 1 == 0 {
                        continue;
                    }
                    let address = at[lane].wrapping_add(offset);
                    let value = match size {
                        1 => u64::from((address as *const u8).read()),
                        2 => u64::from((address as *const u16).read()),
                        4 => u64::from((address as *const u32).read()),
                        _ => (address as *const u64).read(),
                    };
                    let value = extend(value, size, signed);
                    match place {
                        Slot::Narrow(register) => w.narrow[register][lane] = value as u32,
                        Slot::Wide(register) => w.wide[register][lane] = value,
                        Slot::Predicate(_) => {}
                    }
                }
            }
        }
    }
}

/// # Safety
/// `size` bytes at each active lane's address plus `offset` must be writable.
#[inline(always)]
unsafe fn store_lanes(w: &Warp, place: Slot, at: &V64, offset: u64, size: u64) {
    for lane in 0..32 {
        if w.mask >> lane & 1 == 0 {
            continue;
        }
        let address = at[lane].wrapping_add(offset);
        let value = match place {
            Slot::Narrow(register) => u64::from(w.narrow[register][lane]),
            Slot::Wide(register) => w.wide[register][lane],
            Slot::Predicate(_) => 0,
        };
        // SAFETY: the caller's promise.
        unsafe {
            match size {
                1 => (address as *mut u8).write(value as u8),
                2 => (address as *mut u16).write(value as u16),
                4 => (address as *mut u32).write(value as u32),
                _ => (address as *mut u64).write(value),
            }
        }
    }
}

/// # Safety
/// The address must be valid and aligned for the type.
unsafe fn apply(address: u64, ty: Type, operation: Modifier, a: u64, b: u64) -> u64 {
    let step = |old: u64| next_value(ty, operation, old, a, b);
    // SAFETY: the caller's promise.
    unsafe {
        if ty.size() == 4 {
            let word = AtomicU32::from_ptr(address as *mut u32);
            let update = |old: u32| Some(step(u64::from(old)) as u32);
            u64::from(word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, update).unwrap_or_default())
        } else {
            let word = AtomicU64::from_ptr(address as *mut u64);
            word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |old| Some(step(old))).unwrap_or_default()
        }
    }
}

fn next_value(ty: Type, operation: Modifier, old: u64, a: u64, b: u64) -> u64 {
    use Modifier::*;
    let (x, y) = (old as u32, a as u32);
    match (operation, ty) {
        (Cas, _) => {
            if old == a {
                b
            } else {
                old
            }
        }
        (Exch, _) => a,
        (And, _) => old & a,
        (Or, _) => old | a,
        (Xor, _) => old ^ a,
        (Add, Type::F32) => u64::from((f32::from_bits(x) + f32::from_bits(y)).to_bits()),
        (Add, Type::F64) => (f64::from_bits(old) + f64::from_bits(a)).to_bits(),
        (Add, _) => old.wrapping_add(a),
        (Inc, _) => {
            if x >= y {
                0
            } else {
                u64::from(x + 1)
            }
        }
        (Dec, _) => {
            if x == 0 || x > y {
                u64::from(y)
            } else {
                u64::from(x - 1)
            }
        }
        (Min, Type::S32) => u64::from((x as i32).min(y as i32) as u32),
        (Max, Type::S32) => u64::from((x as i32).max(y as i32) as u32),
        (Min, Type::S64) => (old as i64).min(a as i64) as u64,
        (Max, Type::S64) => (old as i64).max(a as i64) as u64,
        (Min, _) => old.min(a),
        (Max, _) => old.max(a),
        _ => old,
    }
}
