//! Loads, stores, atomics, and addresses of state spaces.

use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

use half::{bf16, f16};
use ptx::{AddressBase, Mnemonic, Modifier, Op, Operand, Space, Type};

use super::layout::Place;
use super::operands::{Decoded, Decoder};
use super::watch::Watched;
use crate::memory::{Memory, Region, check, load, local_addresses, store};
use crate::registers::{LANES, Lane, Reg, Slot, flush};
use crate::warp::Warp;
use crate::watch::Deed;

/// Where an access's addresses come from.
#[derive(Clone, Copy)]
pub(super) enum Addresses {
    /// A register of addresses, and an offset.
    Real(Reg<u64>, u64),
    /// A register of offsets into shared memory, and an offset.
    Shared(Reg<u32>, u32),
    SharedWide(Reg<u64>, u64),
    /// The same place for all lanes: an offset into shared memory.
    SharedFixed(u64),
    /// An offset into the launch's parameters.
    Parameter(u64),
    /// An offset into each thread's frame.
    Local(u64),
    /// One address.
    Fixed(u64),
}

impl Addresses {
    #[inline(always)]
    pub fn of(self, w: &Warp) -> [u64; LANES] {
        match self {
            Addresses::Real(register, offset) => {
                std::array::from_fn(|lane| w.value(register, lane).wrapping_add(offset))
            }
            Addresses::Shared(register, offset) => {
                let start = w.memory().shared.start;
                std::array::from_fn(|lane| start + u64::from(w.value(register, lane).wrapping_add(offset)))
            }
            Addresses::SharedWide(register, offset) => {
                let start = w.memory().shared.start.wrapping_add(offset);
                std::array::from_fn(|lane| start.wrapping_add(w.value(register, lane)))
            }
            Addresses::SharedFixed(offset) => [w.memory().shared.start.wrapping_add(offset); LANES],
            Addresses::Parameter(offset) => [w.memory().parameters.start.wrapping_add(offset); LANES],
            Addresses::Local(offset) => local_addresses(w, offset),
            Addresses::Fixed(address) => [address; LANES],
        }
    }

    /// Whether they are meant for shared memory, and for no other.
    pub fn are_shared(self) -> bool {
        matches!(self, Addresses::Shared(..) | Addresses::SharedWide(..) | Addresses::SharedFixed(_))
    }

    /// Where the addresses most probably lie.
    #[inline(always)]
    pub fn region(self, memory: &Memory) -> Region {
        match self {
            Addresses::Real(..) | Addresses::Fixed(_) => memory.window,
            Addresses::Shared(..) | Addresses::SharedWide(..) | Addresses::SharedFixed(_) => memory.shared,
            Addresses::Parameter(_) => memory.parameters,
            Addresses::Local(_) => memory.local,
        }
    }
}

/// Addresses of a kind that is known when the closure is made.
trait Source: Copy + Send + Sync + 'static {
    fn of(self, w: &Warp) -> [u64; LANES];
    /// Where the addresses most probably lie.
    fn region(self, memory: &Memory) -> Region;
}

impl Source for Addresses {
    #[inline(always)]
    fn of(self, w: &Warp) -> [u64; LANES] {
        Addresses::of(self, w)
    }
    #[inline(always)]
    fn region(self, memory: &Memory) -> Region {
        Addresses::region(self, memory)
    }
}

/// [`Addresses::Real`], by far the most frequent kind.
#[derive(Clone, Copy)]
struct Real(Reg<u64>, u64);

impl Source for Real {
    #[inline(always)]
    fn of(self, w: &Warp) -> [u64; LANES] {
        Addresses::Real(self.0, self.1).of(w)
    }
    #[inline(always)]
    fn region(self, memory: &Memory) -> Region {
        memory.window
    }
}

/// The space that an instruction names; `None`: generic.
pub(super) fn space(mnemonic: &Mnemonic) -> Option<Space> {
    use Modifier::*;
    let spaces = [Global, Shared, SharedCta, SharedCluster, Local, Const, Param, ParamEntry, ParamFunc];
    match mnemonic.modifiers.first_of(&spaces)? {
        Global => Some(Space::Global),
        Shared | SharedCta | SharedCluster => Some(Space::Shared),
        Local => Some(Space::Local),
        Const => Some(Space::Const),
        _ => Some(Space::Param),
    }
}

/// What a look at memory that others write takes of a warp's turn, in backward branches.
const POLL: u32 = 31;

/// Whether an instruction reads what other blocks, other kernels or the client may write meanwhile.
fn may_poll(mnemonic: &Mnemonic) -> bool {
    use Modifier::*;
    let ordered = mnemonic.modifiers.first_of(&[Volatile, Relaxed, Acquire, Mmio]).is_some();
    let looks = mnemonic.op == Op::Ld && ordered || mnemonic.op == Op::Atom;
    looks && !matches!(space(mnemonic), Some(Space::Shared | Space::Local))
}

/// The entries of a vector operand.
pub(super) fn elements(operand: &Operand) -> Vec<Operand> {
    match operand {
        Operand::Vector(elements) => elements.clone(),
        other => vec![other.clone()],
    }
}

/// Calls a macro with the type that memory holds and a type of the same bits in a register: `size`, `signed`.
macro_rules! by_memory_type {
    ($ty:expr, $run:ident) => {
        match ($ty.size(), $ty.is_signed()) {
            (1, false) => $run!(u8),
            (1, true) => $run!(i8),
            (2, false) => $run!(u16),
            (2, true) => $run!(i16),
            (4, false) => $run!(u32),
            (4, true) => $run!(i32),
            _ => $run!(u64),
        }
    };
}

impl Decoder<'_> {
    pub(super) fn addresses(&mut self, operand: &Operand, space: Option<Space>) -> Decoded<Addresses> {
        let Operand::Address { base, offset, .. } = operand else {
            return Err("an operand that is no address".into());
        };
        let offset = *offset as u64;
        let shared = space == Some(Space::Shared);
        Ok(match base {
            AddressBase::Register(register) => match (self.slot(*register), shared) {
                (Slot::Narrow(register), true) => Addresses::Shared(register, offset as u32),
                (Slot::Wide(register), true) => Addresses::SharedWide(register, offset),
                (Slot::Wide(register), false) => Addresses::Real(register, offset),
                _ => return Err("an address in a register of another width".into()),
            },
            AddressBase::Variable(index) => match self.places[*index as usize] {
                Place::Shared(place) => Addresses::SharedFixed(place.wrapping_add(offset)),
                Place::Local(place) => Addresses::Local(place.wrapping_add(offset)),
                Place::Parameter(place) => Addresses::Parameter(place.wrapping_add(offset)),
                Place::Register => return Err("the address of a register".into()),
            },
            AddressBase::Global(name) => match self.program.shared_offset(name) {
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
            _ => self.isspacep(mnemonic, operands),
        }?;
        if may_poll(mnemonic) {
            // What others write is looked at: perhaps again and again, and whoever is waited for gets a turn the sooner.
            self.push(|w| w.budget = w.budget.saturating_sub(POLL).max(1));
        }
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn load(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let ty = mnemonic.ty().ok_or("a load without a type")?;
        if ty.size() > 8 {
            return Err("loads of this type are not implemented".into());
        }
        let addresses = self.addresses(&operands[1], space(mnemonic))?;
        let targets = elements(&operands[0]);
        if let Addresses::Parameter(offset) = addresses {
            return self.load_parameter(&targets, offset, ty);
        }
        let size = u64::from(ty.size()) * targets.len() as u64;
        self.watch(mnemonic, Watched { deed: Deed::Read, addresses, size, align: size });
        if targets.len() > 1 {
            return self.load_vector(&targets, addresses, ty);
        }
        let d = self.target_slot(&targets[0])?;
        let origin = self.origin();
        macro_rules! push {
            ($memory:ty, $word:ty, $d:ident) => {
                match addresses {
                    Addresses::Real(register, offset) => {
                        let addresses = Real(register, offset);
                        self.push(move |w| {
                            load_one(w, $d, addresses, origin, |value: $memory| value as i64 as $word)
                        })
                    }
                    _ => self.push(move |w| {
                        load_one(w, $d, addresses, origin, |value: $memory| value as i64 as $word)
                    }),
                }
            };
        }
        macro_rules! run {
            ($memory:ty) => {
                match d {
                    Slot::Narrow(d) => push!($memory, u32, d),
                    Slot::Wide(d) => push!($memory, u64, d),
                    Slot::Predicate(_) => return Err("a load into a predicate".into()),
                }
            };
        }
        by_memory_type!(ty, run);
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn load_vector(&mut self, targets: &[Operand], addresses: Addresses, ty: Type) -> Decoded<()> {
        let slots: Result<Vec<Option<Slot>>, String> = targets
            .iter()
            .map(|target| match target {
                Operand::Sink => Ok(None),
                other => self.target_slot(other).map(Some),
            })
            .collect();
        let (slots, origin) = (slots?, self.origin());
        let (size, total) = (u64::from(ty.size()), u64::from(ty.size()) * targets.len() as u64);
        macro_rules! run {
            ($memory:ty) => {
                self.push(move |w| {
                    let mut at = addresses.of(w);
                    let region = addresses.region(w.memory());
                    let Some(pattern) = check(w, &mut at, total, region, origin) else { return };
                    for (index, slot) in slots.iter().enumerate() {
                        let access = (pattern, index as u64 * size, false);
                        // SAFETY: all elements of the active lanes' vectors were checked.
                        unsafe {
                            match *slot {
                                Some(Slot::Narrow(d)) => {
                                    load::<$memory, u32>(w, d, &at, access, |value| value as i64 as u32)
                                }
                                Some(Slot::Wide(d)) => {
                                    load::<$memory, u64>(w, d, &at, access, |value| value as i64 as u64)
                                }
                                _ => {}
                            }
                        }
                    }
                })
            };
        }
        by_memory_type!(ty, run);
        Ok(())
    }

    /// A launch's parameter: the same for all lanes, and within the buffer whose size `check` of the launch has seen.
    fn load_parameter(&mut self, targets: &[Operand], offset: u64, ty: Type) -> Decoded<()> {
        let size = u64::from(ty.size());
        let entry = &self.image.module().functions()[self.program.functions[0].position];
        let bytes = u64::from(entry.parameter_bytes());
        for (number, target) in targets.iter().enumerate() {
            let at = offset.wrapping_add(number as u64 * size);
            if at.saturating_add(size) > bytes {
                return Err(format!("reads byte {at} of {bytes} bytes of parameters"));
            }
            let d = self.target_slot(target)?;
            let signed = ty.is_signed();
            self.push(move |w| {
                let place = w.memory().parameters.start + at;
                // SAFETY: within the launch's parameters, by the test above and that of the launch.
                let value = unsafe { read_extended(place, size, signed) };
                match d {
                    Slot::Narrow(d) => w.fill(d, value as u32),
                    Slot::Wide(d) => w.fill(d, value),
                    Slot::Predicate(_) => {}
                }
            });
        }
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn store(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let ty = mnemonic.ty().ok_or("a store without a type")?;
        if ty.size() > 8 {
            return Err("stores of this type are not implemented".into());
        }
        let addresses = self.addresses(&operands[0], space(mnemonic))?;
        let mut sources = Vec::new();
        for source in &elements(&operands[1]) {
            sources.push(self.source_slot(source, ty)?);
        }
        let origin = self.origin();
        let size = u64::from(ty.size());
        let (total, single) = (size * sources.len() as u64, sources.len() == 1);
        let watched = Watched { deed: Deed::Write, addresses, size: total, align: total };
        self.watch_written(mnemonic, watched, (&sources, size));
        macro_rules! run {
            ($memory:ty) => {
                self.push(move |w| {
                    let mut at = addresses.of(w);
                    let region = addresses.region(w.memory());
                    let Some(pattern) = check(w, &mut at, total, region, origin) else { return };
                    for (index, source) in sources.iter().enumerate() {
                        let access = (pattern, index as u64 * size, single);
                        // SAFETY: all elements of the active lanes' vectors were checked.
                        unsafe {
                            match *source {
                                Slot::Narrow(a) => store(w, a, &at, access, |value| value as $memory),
                                Slot::Wide(a) => store(w, a, &at, access, |value| value as $memory),
                                Slot::Predicate(_) => {}
                            }
                        }
                    }
                })
            };
        }
        match ty.size() {
            1 => run!(u8),
            2 => run!(u16),
            4 => run!(u32),
            _ => run!(u64),
        }
        Ok(())
    }

    /// Between generic addresses, which are real ones, and offsets into shared memory; other spaces have real addresses too.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn cvta(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let d = self.target::<u64>(&operands[0])?;
        let a = self.source::<u64>(&operands[1])?;
        if space(mnemonic) != Some(Space::Shared) {
            self.push(move |w| w.write(d, |w, lane| w.value(a, lane)));
        } else if mnemonic.has(Modifier::To) {
            self.push(move |w| {
                let start = w.memory().shared.start;
                w.write(d, |w, lane| w.value(a, lane).wrapping_sub(start));
            });
        } else {
            self.push(move |w| {
                let start = w.memory().shared.start;
                w.write(d, |w, lane| w.value(a, lane).wrapping_add(start));
            });
        }
        Ok(())
    }

    fn isspacep(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let asked = space(mnemonic);
        let d = self.target_predicate(&operands[0])?;
        let a = self.source::<u64>(&operands[1])?;
        self.push(move |w| {
            let memory = w.memory();
            let (shared, local, parameters) = (memory.shared, memory.local, memory.parameters);
            let bits = w.test2::<u64>(a, a, |address, _| {
                let is = |region: Region| region.holds(address, 1);
                match asked {
                    Some(Space::Shared) => is(shared),
                    Some(Space::Local) => is(local),
                    Some(Space::Param) => is(parameters),
                    Some(Space::Const) => false,
                    _ => !is(shared) && !is(local) && !is(parameters),
                }
            });
            w.set_predicate(d, bits);
        });
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn atomic(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        use Modifier::*;
        let ty = mnemonic.ty().ok_or("an atomic without a type")?;
        let reduces = mnemonic.op == Op::Red;
        let (target, place) = if reduces { (None, 0) } else { (Some(&operands[0]), 1) };
        let addresses = self.addresses(&operands[place], space(mnemonic))?;
        let operation = mnemonic
            .modifiers
            .first_of(&[Cas, Exch, Add, Inc, Dec, Min, Max, And, Or, Xor])
            .ok_or("an atomic without an operation")?;
        if !matches!(ty.size(), 2 | 4 | 8) {
            return Err("atomics of this type are not implemented".into());
        }
        // In global memory sums of `f32` flush subnormal numbers (PTX ISA, atom), in shared memory they do not.
        let flushes = operation == Add && ty == Type::F32 && space(mnemonic) != Some(Space::Shared);
        let size = u64::from(ty.size()) * mnemonic.vector() as u64;
        self.watch(mnemonic, Watched { deed: Deed::Atomic, addresses, size, align: size });
        if mnemonic.vector() > 1 {
            return self.atomic_vector(ty, operation, flushes, addresses, target, &operands[place + 1]);
        }
        let target = target.map(|target| self.target_slot(target)).transpose()?;
        let mut sources = Vec::new();
        for value in &operands[place + 1..] {
            sources.push(self.source_slot(value, ty)?);
        }
        let first = *sources.first().ok_or("an atomic without a value")?;
        let second = sources.get(1).copied();
        let origin = self.origin();
        self.push(move |w| {
            let mut at = addresses.of(w);
            let region = addresses.region(w.memory());
            if check(w, &mut at, ty.size().into(), region, origin).is_none() {
                return;
            }
            let shared = w.memory().shared;
            for lane in w.active() {
                let (a, b) = (value_of(w, first, lane), second.map_or(0, |slot| value_of(w, slot, lane)));
                let flushes = flushes && !shared.holds(at[lane], 1);
                // SAFETY: the lane's bytes were checked, alignment included; other workers use atomics as well.
                let old = unsafe { apply(at[lane], ty, (operation, flushes), a, b) };
                match target {
                    Some(Slot::Narrow(d)) => w.set_value(d, lane, old as u32),
                    Some(Slot::Wide(d)) => w.set_value(d, lane, old),
                    _ => {}
                }
            }
        });
        Ok(())
    }
}

impl Decoder<'_> {
    /// `.v2` and more: each element by itself.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn atomic_vector(
        &mut self,
        ty: Type,
        operation: Modifier,
        flushes: bool,
        addresses: Addresses,
        target: Option<&Operand>,
        source: &Operand,
    ) -> Decoded<()> {
        let Operand::Vector(sources) = source else { return Err("an atomic without a vector".into()) };
        let sources: Result<Vec<Slot>, _> = sources.iter().map(|it| self.source_slot(it, ty)).collect();
        let sources = sources?;
        let targets: Vec<Slot> = match target {
            Some(Operand::Vector(list)) => {
                list.iter().map(|it| self.target_slot(it)).collect::<Result<_, _>>()?
            }
            _ => Vec::new(),
        };
        let size = u64::from(ty.size());
        let origin = self.origin();
        self.push(move |w| {
            let mut at = addresses.of(w);
            let region = addresses.region(w.memory());
            if check(w, &mut at, size * sources.len() as u64, region, origin).is_none() {
                return;
            }
            // An element's target may be another's source, so all are read before the first is written.
            let values: Vec<[u64; LANES]> = sources.iter().map(|source| w.slot_values(*source)).collect();
            for lane in w.active() {
                for (index, values) in values.iter().enumerate() {
                    let value = values[lane];
                    // SAFETY: the lane's whole vector was checked, alignment included; other workers use atomics as well.
                    let old =
                        unsafe { apply(at[lane] + index as u64 * size, ty, (operation, flushes), value, 0) };
                    match targets.get(index) {
                        Some(Slot::Narrow(d)) => w.set_value(*d, lane, old as u32),
                        Some(Slot::Wide(d)) => w.set_value(*d, lane, old),
                        _ => {}
                    }
                }
            }
        });
        Ok(())
    }
}

#[inline(always)]
fn load_one<T: Lane, D: Lane>(
    w: &mut Warp,
    d: Reg<D::Word>,
    addresses: impl Source,
    origin: crate::code::Origin,
    convert: impl Fn(T) -> D,
) {
    let mut at = addresses.of(w);
    let region = addresses.region(w.memory());
    if let Some(pattern) = check(w, &mut at, size_of::<T>() as u64, region, origin) {
        // SAFETY: all active lanes' bytes were checked.
        unsafe { load::<T, D>(w, d, &at, (pattern, 0, true), convert) };
    }
}

/// One lane of a register of any width.
#[inline(always)]
fn value_of(w: &Warp, slot: Slot, lane: usize) -> u64 {
    match slot {
        Slot::Narrow(register) => w.value(register, lane).into(),
        Slot::Wide(register) => w.value(register, lane),
        Slot::Predicate(_) => 0,
    }
}

/// # Safety
/// `size` bytes must be readable.
unsafe fn read_extended(place: u64, size: u64, signed: bool) -> u64 {
    // SAFETY: the caller's promise; parameters may lie at any address.
    unsafe {
        match (size, signed) {
            (1, false) => (place as *const u8).read().into(),
            (1, true) => (place as *const i8).read() as u64,
            (2, false) => (place as *const u16).read_unaligned().into(),
            (2, true) => (place as *const i16).read_unaligned() as u64,
            (4, false) => (place as *const u32).read_unaligned().into(),
            (4, true) => (place as *const i32).read_unaligned() as u64,
            _ => (place as *const u64).read_unaligned(),
        }
    }
}

/// # Safety
/// The address must be valid and aligned for the type.
unsafe fn apply(address: u64, ty: Type, (operation, flushes): (Modifier, bool), a: u64, b: u64) -> u64 {
    let step = |old: u64| match flushes {
        true => flushed(next_value(ty, operation, flushed(old), flushed(a), b)),
        false => next_value(ty, operation, old, a, b),
    };
    let both = (Ordering::SeqCst, Ordering::SeqCst);
    // SAFETY: the caller's promise.
    unsafe {
        match ty.size() {
            2 => {
                let word = AtomicU16::from_ptr(address as *mut u16);
                word.fetch_update(both.0, both.1, |old| Some(step(old.into()) as u16))
                    .unwrap_or_default()
                    .into()
            }
            4 => {
                let word = AtomicU32::from_ptr(address as *mut u32);
                match (operation, ty) {
                    (Modifier::Add, Type::U32 | Type::S32) => word.fetch_add(a as u32, both.0).into(),
                    (Modifier::Exch, _) => word.swap(a as u32, both.0).into(),
                    _ => word
                        .fetch_update(both.0, both.1, |old| Some(step(old.into()) as u32))
                        .unwrap_or_default()
                        .into(),
                }
            }
            _ => {
                let word = AtomicU64::from_ptr(address as *mut u64);
                word.fetch_update(both.0, both.1, |old| Some(step(old))).unwrap_or_default()
            }
        }
    }
}

/// The bits of an `f32`, or of a zero in place of a subnormal number.
fn flushed(bits: u64) -> u64 {
    flush(bits as u32, 0x7f80_0000, 0x8000_0000).into()
}

fn next_value(ty: Type, operation: Modifier, old: u64, a: u64, b: u64) -> u64 {
    use Modifier::*;
    let (x, y) = (old as u32, a as u32);
    let low = if ty.size() == 8 { u64::MAX } else { (1 << (8 * ty.size())) - 1 };
    match (operation, ty) {
        (Cas, _) if old == a & low => b,
        (Cas, _) => old,
        (Exch, _) => a,
        (And, _) => old & a,
        (Or, _) => old | a,
        (Xor, _) => old ^ a,
        (_, Type::F32 | Type::F64 | Type::F16 | Type::Bf16 | Type::F16x2 | Type::Bf16x2) => {
            next_float(ty, operation, old, a)
        }
        (Add, _) => old.wrapping_add(a),
        (Inc, _) => {
            if x >= y {
                0
            } else {
                (x + 1).into()
            }
        }
        (Dec, _) => {
            if x == 0 || x > y {
                y.into()
            } else {
                (x - 1).into()
            }
        }
        (Min, Type::S32) => ((x as i32).min(y as i32) as u32).into(),
        (Max, Type::S32) => ((x as i32).max(y as i32) as u32).into(),
        (Min, Type::S64) => (old as i64).min(a as i64) as u64,
        (Max, Type::S64) => (old as i64).max(a as i64) as u64,
        (Min, _) => old.min(a),
        (Max, _) => old.max(a),
        _ => old,
    }
}

fn next_float(ty: Type, operation: Modifier, old: u64, a: u64) -> u64 {
    let join = |x: f32, y: f32| match operation {
        Modifier::Min => super::float::minimum(x, y),
        Modifier::Max => super::float::maximum(x, y),
        _ => x + y,
    };
    let half = |x: u64, y: u64| {
        let (x, y) = (f16::from_bits(x as u16), f16::from_bits(y as u16));
        u64::from(f16::from_f32(join(x.to_f32(), y.to_f32())).to_bits())
    };
    let brain = |x: u64, y: u64| {
        let (x, y) = (bf16::from_bits(x as u16), bf16::from_bits(y as u16));
        u64::from(bf16::from_f32(join(x.to_f32(), y.to_f32())).to_bits())
    };
    match ty {
        Type::F64 => (f64::from_bits(old) + f64::from_bits(a)).to_bits(),
        Type::F32 => join(f32::from_bits(old as u32), f32::from_bits(a as u32)).to_bits().into(),
        Type::F16 => half(old, a),
        Type::Bf16 => brain(old, a),
        Type::F16x2 => half(old, a) | half(old >> 16, a >> 16) << 16,
        _ => brain(old, a) | brain(old >> 16, a >> 16) << 16,
    }
}
