//! `mov`: copies, packing and unpacking, addresses of variables, special registers.

use ptx::{Mnemonic, Operand, Special, Type};

use super::layout::Place;
use super::operands::{Decoded, Decoder};
use crate::memory::{RESERVED_SHARED, local_addresses};
use crate::registers::{LANES, Slot, Word};
use crate::warp::Warp;

impl Decoder<'_> {
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn mov(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let ty = mnemonic.ty().ok_or("a move without a type")?;
        if self.known(&operands[0], ty).is_some() {
            return Ok(());
        }
        match (&operands[0], &operands[1]) {
            (Operand::Vector(targets), Operand::Vector(sources)) => self.move_vector(targets, sources, ty),
            (Operand::Vector(parts), source) => self.unpack(parts, source, ty),
            (target, Operand::Vector(parts)) => self.pack(target, parts, ty),
            (target, source) => match self.target_slot(target)? {
                Slot::Predicate(_) => self.move_predicate(target, source),
                slot if matches!(
                    source,
                    Operand::Special(_) | Operand::Variable(..) | Operand::Symbol(..)
                ) =>
                {
                    self.move_address(slot, source)
                }
                Slot::Narrow(_) => self.copy::<u32>(target, source, ty),
                Slot::Wide(_) => self.copy::<u64>(target, source, ty),
            },
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn copy<W: Word>(&mut self, target: &Operand, source: &Operand, ty: Type) -> Decoded<()> {
        let (d, a) = (self.target::<W>(target)?, self.source_as::<W>(source, ty)?);
        self.push(move |w| w.write(d, |w, lane| w.value(a, lane)));
        Ok(())
    }

    fn move_predicate(&mut self, target: &Operand, source: &Operand) -> Decoded<()> {
        let d = self.target_predicate(target)?;
        if let Operand::Constant(constant) = source {
            let bits = if constant.bits(Type::U64) != 0 { u32::MAX } else { 0 };
            self.push(move |w| w.set_predicate(d, bits));
            return Ok(());
        }
        let a = self.condition(source)?;
        self.push(move |w| w.set_predicate(d, w.holds(a)));
        Ok(())
    }

    /// `mov.v2.u32 {c, d}, {a, b}`: element by element.
    fn move_vector(&mut self, targets: &[Operand], sources: &[Operand], ty: Type) -> Decoded<()> {
        let mut pairs = Vec::new();
        for (target, source) in targets.iter().zip(sources) {
            pairs.push((self.target_slot(target)?, self.source_slot(source, ty)?));
        }
        self.push(move |w| {
            // An element may be the target of another, so all are read before the first is written.
            let values: Vec<[u64; LANES]> = pairs.iter().map(|(_, source)| w.slot_values(*source)).collect();
            for ((target, _), values) in pairs.iter().zip(&values) {
                w.write_slot(*target, values);
            }
        });
        Ok(())
    }

    /// `mov.b64 d, {a, b}`: the first part lowest.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn pack(&mut self, target: &Operand, parts: &[Operand], ty: Type) -> Decoded<()> {
        if ty.size() > 8 {
            return Err("moves of this type are not implemented".into());
        }
        let bits = ty.size() * 8 / parts.len() as u32;
        let mut sources = Vec::new();
        for part in parts {
            sources.push(self.source_slot(part, Type::B32)?);
        }
        let d = self.target_slot(target)?;
        if let ([Slot::Narrow(low), Slot::Narrow(high)], Slot::Wide(d), 32) = (&sources[..], d, bits) {
            let (low, high) = (*low, *high);
            self.push(move |w| {
                w.write(d, |w, lane| u64::from(w.value(low, lane)) | u64::from(w.value(high, lane)) << 32);
            });
            return Ok(());
        }
        if let ([Slot::Narrow(low), Slot::Narrow(high)], Slot::Narrow(d), 16) = (&sources[..], d, bits) {
            let (low, high) = (*low, *high);
            self.push(move |w| {
                w.write(d, |w, lane| w.value(low, lane) & 0xffff | w.value(high, lane) << 16);
            });
            return Ok(());
        }
        let mask = (1 << bits) - 1;
        self.push(move |w| {
            let mut values = [0u64; LANES];
            for (index, source) in sources.iter().enumerate() {
                let parts = w.slot_values(*source);
                for lane in 0..LANES {
                    values[lane] |= (parts[lane] & mask) << (bits * index as u32);
                }
            }
            w.write_slot(d, &values);
        });
        Ok(())
    }

    /// `mov.b64 {a, b}, d`.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn unpack(&mut self, parts: &[Operand], source: &Operand, ty: Type) -> Decoded<()> {
        if ty.size() > 8 {
            return Err("moves of this type are not implemented".into());
        }
        let bits = ty.size() * 8 / parts.len() as u32;
        let from = self.source_slot(source, ty)?;
        let mask = (1u64 << bits) - 1;
        // A part may be the source itself, so all parts are cut before the first is written.
        let mut cut = Vec::new();
        for (index, part) in parts.iter().enumerate().filter(|(_, part)| **part != Operand::Sink) {
            let (d, shift) = (self.target_slot(part)?, bits * index as u32);
            cut.push((d, shift));
        }
        if let (Slot::Wide(a), [(Slot::Narrow(low), 0), (Slot::Narrow(high), 32)]) = (from, &cut[..]) {
            let (low, high) = (*low, *high);
            self.push(move |w| {
                // The source is wide, so neither part overwrites it.
                w.write(low, |w, lane| w.value(a, lane) as u32);
                w.write(high, |w, lane| (w.value(a, lane) >> 32) as u32);
            });
            return Ok(());
        }
        self.push(move |w| {
            let whole = w.slot_values(from);
            for (d, shift) in &cut {
                match *d {
                    Slot::Narrow(d) => w.write(d, |_, lane| (whole[lane] >> shift & mask) as u32),
                    Slot::Wide(d) => w.write(d, |_, lane| whole[lane] >> shift & mask),
                    Slot::Predicate(_) => {}
                }
            }
        });
        Ok(())
    }

    /// A special register, or the address of a variable or function, into a register.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn address_of(&mut self, slot: Slot, operand: &Operand) -> Decoded<()> {
        let fixed = match operand {
            Operand::Special(special) => return self.move_special(slot, *special),
            Operand::Variable(index, offset) => {
                let offset = *offset as u64;
                match self.places[*index as usize] {
                    Place::Shared(place) => place.wrapping_add(offset),
                    Place::Local(place) => {
                        self.push(move |w| {
                            let values = local_addresses(w, place.wrapping_add(offset));
                            w.write_slot(slot, &values);
                        });
                        return Ok(());
                    }
                    Place::Parameter(place) => {
                        self.push(move |w| {
                            let address =
                                w.memory().parameters.start.wrapping_add(place).wrapping_add(offset);
                            w.write_slot(slot, &[address; LANES]);
                        });
                        return Ok(());
                    }
                    Place::Register => return Err("the address of a register".into()),
                }
            }
            Operand::Symbol(name, offset) => {
                let place = self.program.shared_offset(name).or_else(|| self.image.symbol(name));
                place.ok_or_else(|| format!("`{name}` is not defined"))?.wrapping_add(*offset as u64)
            }
            _ => return Err("an operand without an address".into()),
        };
        self.push(move |w| w.write_slot(slot, &[fixed; LANES]));
        Ok(())
    }

    pub(super) fn move_address(&mut self, slot: Slot, operand: &Operand) -> Decoded<()> {
        // SAFETY: decoding begins with a check that the processor has the features.
        unsafe { self.address_of(slot, operand) }
    }

    fn move_special(&mut self, slot: Slot, special: Special) -> Decoded<()> {
        let values = special_values(special)
            .ok_or_else(|| format!("special register %{} is not implemented", special.name()))?;
        self.push(move |w| {
            let values = values(w);
            w.write_slot(slot, &values);
        });
        Ok(())
    }
}

/// What a special register shows to each lane.
type Values = fn(&Warp) -> [u64; LANES];

fn special_values(special: Special) -> Option<Values> {
    use Special::*;
    fn same(value: u32) -> [u64; LANES] {
        [value.into(); LANES]
    }
    fn nanoseconds() -> u64 {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.unwrap_or_default().as_nanos() as u64
    }
    Some(match special {
        TidX => |w| w.positions[0].map(u64::from),
        TidY => |w| w.positions[1].map(u64::from),
        TidZ => |w| w.positions[2].map(u64::from),
        NtidX => |w| same(w.memory().size[0]),
        NtidY => |w| same(w.memory().size[1]),
        NtidZ => |w| same(w.memory().size[2]),
        CtaidX => |w| same(w.memory().index[0]),
        CtaidY => |w| same(w.memory().index[1]),
        CtaidZ => |w| same(w.memory().index[2]),
        NctaidX => |w| same(w.memory().grid[0]),
        NctaidY => |w| same(w.memory().grid[1]),
        NctaidZ => |w| same(w.memory().grid[2]),
        // Each block is a cluster of its own.
        ClusterIdX => |w| same(w.memory().index[0]),
        ClusterIdY => |w| same(w.memory().index[1]),
        ClusterIdZ => |w| same(w.memory().index[2]),
        NclusterIdX => |w| same(w.memory().grid[0]),
        NclusterIdY => |w| same(w.memory().grid[1]),
        NclusterIdZ => |w| same(w.memory().grid[2]),
        ClusterNctaidX | ClusterNctaidY | ClusterNctaidZ | ClusterNctarank => |_| same(1),
        LaneId => |_| std::array::from_fn(|lane| lane as u64),
        WarpId => |w| same(w.index),
        NwarpId => |w| same(w.memory().size.iter().product::<u32>().div_ceil(LANES as u32)),
        LanemaskEq => |_| std::array::from_fn(|lane| 1 << lane),
        LanemaskLt => |_| std::array::from_fn(|lane| (1 << lane) - 1),
        LanemaskLe => |_| std::array::from_fn(|lane| (2 << lane) - 1),
        LanemaskGt => |_| std::array::from_fn(|lane| u64::from(u32::MAX) & !((2 << lane) - 1)),
        LanemaskGe => |_| std::array::from_fn(|lane| u64::from(u32::MAX) & !((1 << lane) - 1)),
        NsmId => |_| same(1),
        TotalSmemSize => |w| same(w.memory().user_shared),
        ReservedSmemBegin | ReservedSmem0 => |w| same(w.memory().reserved_shared),
        ReservedSmem1 => |w| same(w.memory().reserved_shared + RESERVED_SHARED / 2),
        ReservedSmemEnd => |w| same(w.memory().reserved_shared + RESERVED_SHARED),
        ReservedSmemCap => |_| same(RESERVED_SHARED),
        DynamicSmemSize => |w| same(w.memory().dynamic_shared),
        Clock | Clock64 | GlobalTimer | GlobalTimerLo => |_| [nanoseconds(); LANES],
        ClockHi | GlobalTimerHi => |_| [nanoseconds() >> 32; LANES],
        // Where the blocks of a cooperative launch meet: the address's high and low half, as cooperative_groups.h reads them.
        Envreg1 => |w| [w.memory().workspace.start >> 32; LANES],
        Envreg2 => |w| [w.memory().workspace.start & u64::from(u32::MAX); LANES],
        TidW | NtidW | CtaidW | NctaidW | ClusterCtaidX | ClusterCtaidY | ClusterCtaidZ | ClusterCtarank
        | IsExplicitCluster | SmId | GridId | Envreg0 | Envreg3 | Envreg4 | Envreg5 | Envreg6 | Envreg7 => {
            |_| same(0)
        }
        _ => return None,
    })
}
