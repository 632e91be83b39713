//! Loads and stores.
//!
//! An address that all lanes share is one access; one with a pattern becomes as few as the pattern allows: a vector if lanes
//! lie side by side, a window of which lanes take their parts, or one access per different place. Anything else is a gather.
//! That lanes only touch what they may is tested once for all of them; where the test fails the interpreter finds out.
//! Lanes that do not execute go to the frame's scratch memory.

use std::ops::RangeInclusive;

use interpreter::VariablePlace;
use ptx::{AddressBase, Instruction, Mnemonic, Modifier, Op, Operand, Type};

use super::{Lowered, Lowering, Value};
use crate::kind::{Kind, LANES, Pattern};
use crate::text::{constant, constants, integer};

/// Where an access may go.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Room {
    /// Device memory.
    Window,
    /// Shared memory, by offsets into it.
    Shared,
    /// The threads' own memory.
    Local,
    /// The launch's parameters.
    Parameters,
    /// Any of these, where an address in local memory is one that all lanes have in common, or anyhow: to each lane it means its
    /// own memory, which is for the interpreter to find.
    Generic,
    /// Any of these, where lanes' addresses lie as their own memories do.
    Stacked,
    /// Known to be there.
    Sure,
}

/// The address of an access.
pub(super) struct Address {
    room: Room,
    /// 64 bits; for [`Room::Shared`] an offset.
    pub value: Value,
    /// Bytes that are known to be a multiple of the base.
    zeros: u32,
    /// A vector of 32 bits that was widened to the value.
    pub narrow: Option<String>,
}

/// An access of each lane.
#[derive(Clone, Copy)]
pub(crate) struct Access {
    /// Bits of an element.
    pub bits: u32,
    /// Elements side by side.
    pub count: usize,
    /// Whether what is there never changes.
    pub constant: bool,
}

impl Access {
    pub fn size(self) -> i64 {
        i64::from(self.bits / 8)
    }

    pub fn total(self) -> i64 {
        self.size() * self.count as i64
    }

    pub fn note(self) -> &'static str {
        if self.constant { ", !invariant.load !0" } else { "" }
    }
}

/// The space that an instruction names.
pub(crate) fn room(mnemonic: &Mnemonic) -> Lowered<Room> {
    use Modifier::*;
    let spaces = [Global, Shared, SharedCta, SharedCluster, Local, Const, Param, ParamEntry, ParamFunc];
    Ok(match mnemonic.modifiers.first_of(&spaces) {
        None => Room::Generic,
        Some(Global | Const) => Room::Window,
        Some(Shared | SharedCta) => Room::Shared,
        Some(Local) => Room::Local,
        Some(Param | ParamEntry) => Room::Parameters,
        Some(_) => return Err("an access of this space".into()),
    })
}

fn elements(operand: &Operand) -> Vec<Operand> {
    match operand {
        Operand::Vector(parts) => parts.clone(),
        other => vec![other.clone()],
    }
}

impl Lowering<'_> {
    /// Whether a load gives the same whenever it is done.
    pub(super) fn is_constant_load(&self, instruction: &Instruction) -> bool {
        let mnemonic = self.body.mnemonic(instruction);
        let constant = [Modifier::Nc, Modifier::Const, Modifier::Param, Modifier::ParamEntry];
        mnemonic.op == Op::Ldu || constant.iter().any(|modifier| mnemonic.has(*modifier))
    }

    /// What an access looks like, or why it has no code.
    fn access(&self, mnemonic: &Mnemonic, count: usize) -> Lowered<(Access, Type)> {
        use Modifier::*;
        if mnemonic.modifiers.first_of(&[Volatile, Relaxed, Acquire, Release, Mmio, Async, Bulk]).is_some() {
            return Err("an access in an order".into());
        }
        let ty = mnemonic.ty().ok_or("an access without a type")?;
        if ty.size() > 8 {
            return Err("an access of this type".into());
        }
        let constant = [Nc, Const, Param, ParamEntry].iter().any(|modifier| mnemonic.has(*modifier));
        Ok((Access { bits: 8 * ty.size(), count, constant }, ty))
    }

    pub(super) fn address(&mut self, operand: &Operand, room: Room, access: Access) -> Lowered<Address> {
        let Operand::Address { base, offset, extra } = operand else { return Err("no address".into()) };
        if !extra.is_empty() {
            return Err("an address of this form".into());
        }
        let shared = room == Room::Shared;
        let sure = |value| Ok(Address { room: Room::Sure, value, zeros: 0, narrow: None });
        match base {
            AddressBase::Register(register) => {
                let bits = self.bits(*register);
                let zeros = self.facts().register(*register).zeros.min(offset.trailing_zeros());
                let value = self.register(*register);
                let wide = value.kind == Kind::Varying;
                if bits == 64 && !shared {
                    let name = self.plus(&value.name, *offset, wide);
                    return Ok(Address { room, value: Value { name, ..value }, zeros, narrow: None });
                }
                if !shared {
                    return Err("an address in a register of 32 bits".into());
                }
                // Offsets wrap as the registers do, before they are widened.
                let (ty, more) = (integer(bits, wide), constant(bits, wide, *offset as u64));
                let name = self.text.value(format!("add {ty} {}, {more}", value.name));
                let narrow = (wide && bits == 32).then(|| name.clone());
                let value = self.in_width(Value { name, ..value }, bits, 64);
                Ok(Address { room, value, zeros, narrow })
            }
            AddressBase::Variable(index) => {
                let place = self.plan.variables[*index as usize];
                let value = self.variable_address(*index, *offset)?;
                let end = offset.saturating_add(access.total());
                let size = self.body.variables[*index as usize].size() as i64;
                match place {
                    VariablePlace::Parameter(_) if *offset >= 0 && end <= size => sure(value),
                    VariablePlace::Local(_) if *offset >= 0 && end <= size => sure(value),
                    VariablePlace::Shared(place) => Ok(Address {
                        room: Room::Shared,
                        value,
                        zeros: place.trailing_zeros().min(offset.trailing_zeros()),
                        narrow: None,
                    }),
                    _ => Err("an access beyond its variable".into()),
                }
            }
            AddressBase::Global(name) => {
                let in_shared = self.plan.shared.contains_key(name);
                let name = self.symbol_address(name, *offset)?;
                let room = if in_shared { Room::Shared } else { Room::Window };
                Ok(Address { room, value: Value { kind: Kind::Uniform, name }, zeros: 0, narrow: None })
            }
            AddressBase::Absolute(_) => Err("an absolute address".into()),
        }
    }

    /// An address with some bytes more.
    pub(super) fn plus(&mut self, name: &str, more: i64, wide: bool) -> String {
        if more == 0 {
            return name.to_string();
        }
        self.text.value(format!("add {} {name}, {}", integer(64, wide), constant(64, wide, more as u64)))
    }

    /// Tests that an access with the lowest and highest of some offsets stays where it may go, and answers its real address.
    pub(super) fn checked(
        &mut self,
        address: &Address,
        access: Access,
        lanes: Option<&str>,
    ) -> Lowered<Value> {
        if address.value.kind == Kind::Varying {
            return self.checked_vector(address, access, lanes);
        }
        let pattern = self.facts().pattern(address.value.kind).unwrap_or([0; LANES]);
        let least = *pattern.iter().min().unwrap_or(&0);
        let most = *pattern.iter().max().unwrap_or(&0);
        let base = address.value.name.clone();
        let aligned = address.zeros >= access.total().trailing_zeros()
            && pattern.iter().all(|more| more % access.total() == 0);
        if pattern.iter().any(|more| (more - pattern[0]) % access.total() != 0) {
            return Err("lanes that are aligned in different ways".into());
        }
        let even = (!aligned && access.total() > 1).then_some((pattern[0], access.total()));
        let step = self.plan.stack_bytes as i64;
        let own = (0..).zip(pattern).all(|(lane, more)| more - pattern[0] == lane * step);
        let room = match address.room {
            Room::Generic if own && step > 0 => Room::Stacked,
            room => room,
        };
        let any = matches!(room, Room::Generic | Room::Stacked);
        let name = match (room, lanes) {
            (Room::Sure, _) => base,
            // A range for all lanes would have to lie in one of the rooms: only of a single room its ends say all.
            (room, Some(lanes)) if !any && least != most && rises(&pattern) => {
                self.reachable_by(room, &base, &pattern, access, even.is_some(), lanes)
            }
            (room, lanes) => self.reachable(room, &base, least..=most, access, even, lanes),
        };
        Ok(Value { kind: address.value.kind, name })
    }

    /// [`Lowering::reachable`] for the lanes that execute, of which the others may be beyond the end: at the first and the last
    /// one of a pattern that rises.
    fn reachable_by(
        &mut self,
        room: Room,
        base: &str,
        pattern: &Pattern,
        access: Access,
        even: bool,
        lanes: &str,
    ) -> String {
        let flag = ("i1", "false");
        let first = self.text.call("llvm.cttz.i32", "i32", &[("i32", lanes), flag]);
        let above = self.text.call("llvm.ctlz.i32", "i32", &[("i32", lanes), flag]);
        let last = self.text.value(format!("sub i32 31, {above}"));
        let (ty, table) = (integer(64, true), constants(64, pattern.iter().copied()));
        let mut even = even.then_some((0, access.total()));
        for lane in [first, last] {
            // Without lanes any of them will do: nothing is assumed then.
            let lane = self.text.value(format!("and i32 {lane}, {}", LANES - 1));
            let more = self.text.value(format!("extractelement {ty} {table}, i32 {lane}"));
            let place = self.text.value(format!("add i64 {base}, {more}"));
            self.reachable(room, &place, 0..=0, access, even.take(), Some(lanes));
        }
        let shared = room == Room::Shared;
        if shared { self.text.value(format!("add i64 {base}, %shared")) } else { base.to_string() }
    }

    /// Assumes that accesses from the first to the last of a range behind a base stay in a room, and that the address `even.0`
    /// behind the base is a multiple of `even.1`. Answers the base's real address.
    pub(super) fn reachable(
        &mut self,
        room: Room,
        base: &str,
        range: RangeInclusive<i64>,
        access: Access,
        even: Option<(i64, i64)>,
        lanes: Option<&str>,
    ) -> String {
        let (least, most) = range.into_inner();
        let shared = room == Room::Shared;
        if shared {
            let end = self.plus(base, most + access.total(), false);
            let inside = self.text.value(format!("icmp sle i64 {end}, %shared_bytes"));
            self.assume_for(&inside, lanes);
            let start = self.plus(base, least.min(0), false);
            let inside = self.text.value(format!("icmp sge i64 {start}, 0"));
            self.assume_for(&inside, lanes);
        } else {
            let inside = self.inside(room, base, least, most, access);
            self.assume_for(&inside, lanes);
        }
        if let Some((place, multiple)) = even {
            let start = self.plus(base, place, false);
            let rest = self.text.value(format!("and i64 {start}, {}", multiple - 1));
            let even = self.text.value(format!("icmp eq i64 {rest}, 0"));
            self.assume_for(&even, lanes);
        }
        if shared { self.text.value(format!("add i64 {base}, %shared")) } else { base.to_string() }
    }

    /// [`Lowering::assume`], or that no lane executes.
    fn assume_for(&mut self, test: &str, lanes: Option<&str>) {
        match lanes {
            Some(lanes) if self.guard.is_some() => {
                let none = self.text.value(format!("icmp eq i32 {lanes}, 0"));
                let test = self.text.value(format!("or i1 {none}, {test}"));
                self.assume(&test);
            }
            _ => self.assume(test),
        }
    }

    /// Whether lanes from `least` to `most` behind a base lie in a room.
    fn inside(&mut self, room: Room, base: &str, least: i64, most: i64, access: Access) -> String {
        let mut tests = Vec::new();
        if matches!(room, Room::Window | Room::Generic | Room::Stacked) {
            let offset = self.text.value(format!("sub i64 {base}, %window"));
            let first = self.plus(&offset, least, false);
            let last = self.plus(&offset, most, false);
            let both = if least == most { first } else { self.text.value(format!("or i64 {first}, {last}")) };
            let wrong = self.text.value(format!("and i64 {both}, %outside"));
            tests.push(self.text.value(format!("icmp eq i64 {wrong}, 0")));
        }
        let mut between = |lowering: &mut Self, start: &str, bytes: String| {
            let offset = lowering.text.value(format!("sub i64 {base}, {start}"));
            let first = lowering.plus(&offset, least, false);
            let end = lowering.plus(&offset, most + access.total(), false);
            let low = lowering.text.value(format!("icmp sge i64 {first}, 0"));
            let high = lowering.text.value(format!("icmp sle i64 {end}, {bytes}"));
            tests.push(lowering.text.value(format!("and i1 {low}, {high}")));
        };
        if matches!(room, Room::Generic | Room::Stacked) {
            between(self, "%shared", "%shared_bytes".into());
        }
        if room == Room::Parameters {
            let bytes = self.plan.parameter_bytes.to_string();
            between(self, "%parameters", bytes);
        }
        if room == Room::Local {
            let bytes = self.local_bytes().to_string();
            between(self, "%local", bytes);
        }
        if room == Room::Stacked {
            let start = self.local_of_warp();
            between(self, &start, (LANES as u64 * self.plan.stack_bytes).to_string());
        }
        let mut all = tests.remove(0);
        for test in tests {
            all = self.text.value(format!("or i1 {all}, {test}"));
        }
        all
    }

    fn local_bytes(&self) -> u64 {
        let warps = self.block_shape.iter().product::<u32>().div_ceil(LANES as u32);
        u64::from(warps) * LANES as u64 * self.plan.stack_bytes
    }

    /// [`Lowering::checked`] where each lane has an address of its own. Lanes that do not execute get the scratch memory's.
    fn checked_vector(&mut self, address: &Address, access: Access, lanes: Option<&str>) -> Lowered<Value> {
        let ty = integer(64, true);
        let mut name = address.value.name.clone();
        let chosen = lanes.map(|lanes| self.vector_of(lanes));
        let (start, bytes) = match address.room {
            Room::Sure => (None, String::new()),
            Room::Shared => (Some("0"), "%shared_bytes".into()),
            Room::Window | Room::Generic | Room::Stacked => (Some("%window"), String::new()),
            Room::Local => (Some("%local"), self.local_bytes().to_string()),
            Room::Parameters => (Some("%parameters"), self.plan.parameter_bytes.to_string()),
        };
        if let (Room::Shared, Some(narrow)) = (address.room, &address.narrow) {
            self.assume_inside_shared(narrow, access, chosen.as_deref());
        } else if let Some(start) = start {
            let far = self.splat(start, 64);
            let mut offset = self.text.value(format!("sub {ty} {name}, {far}"));
            if let Some(chosen) = &chosen {
                offset = self
                    .text
                    .value(format!("select <{LANES} x i1> {chosen}, {ty} {offset}, {ty} zeroinitializer"));
            }
            self.assume_inside(address.room, &offset, &bytes, access);
        }
        if address.room == Room::Shared {
            let far = self.splat("%shared", 64);
            name = self.text.value(format!("add {ty} {name}, {far}"));
        }
        if let Some(chosen) = &chosen {
            let scratch = self.splat("%scratch_address", 64);
            name = self.text.value(format!("select <{LANES} x i1> {chosen}, {ty} {name}, {ty} {scratch}"));
        }
        Ok(Value { kind: Kind::Varying, name })
    }

    /// [`Lowering::assume_inside`] of offsets of 32 bits into shared memory.
    fn assume_inside_shared(&mut self, offset: &str, access: Access, chosen: Option<&str>) {
        let ty = integer(32, true);
        let offset = match chosen {
            Some(chosen) => self
                .text
                .value(format!("select <{LANES} x i1> {chosen}, {ty} {offset}, {ty} zeroinitializer")),
            None => offset.to_string(),
        };
        if access.total() > 1 {
            let all = self.text.call(&format!("llvm.vector.reduce.or.v{LANES}i32"), "i32", &[(&ty, &offset)]);
            let rest = self.text.value(format!("and i32 {all}, {}", access.total() - 1));
            let aligned = self.text.value(format!("icmp eq i32 {rest}, 0"));
            self.assume(&aligned);
        }
        let most = self.text.call(&format!("llvm.vector.reduce.umax.v{LANES}i32"), "i32", &[(&ty, &offset)]);
        let most = self.text.value(format!("zext i32 {most} to i64"));
        let end = self.text.value(format!("add i64 {most}, {}", access.total()));
        let inside = self.text.value(format!("icmp ule i64 {end}, %shared_bytes"));
        self.assume(&inside);
    }

    fn assume_inside(&mut self, room: Room, offset: &str, bytes: &str, access: Access) {
        let ty = integer(64, true);
        let reduce = |lowering: &mut Self, how: &str| {
            lowering.text.call(&format!("llvm.vector.reduce.{how}.v{LANES}i64"), "i64", &[(&ty, offset)])
        };
        let all = reduce(self, "or");
        if matches!(room, Room::Window | Room::Generic) {
            let wrong = self.text.value(format!("or i64 %outside, {}", access.total() - 1));
            let wrong = self.text.value(format!("and i64 {all}, {wrong}"));
            let right = self.text.value(format!("icmp eq i64 {wrong}, 0"));
            return self.assume(&right);
        }
        if access.total() > 1 {
            let rest = self.text.value(format!("and i64 {all}, {}", access.total() - 1));
            let aligned = self.text.value(format!("icmp eq i64 {rest}, 0"));
            self.assume(&aligned);
        }
        let most = reduce(self, "umax");
        let end = self.text.value(format!("add i64 {most}, {}", access.total()));
        let inside = self.text.value(format!("icmp ule i64 {end}, {bytes}"));
        // An offset near the end of all addresses would wrap.
        let small = self.text.value(format!("icmp ult i64 {most}, {}", 1u64 << 40));
        let both = self.text.value(format!("and i1 {inside}, {small}"));
        self.assume(&both);
    }

    pub(super) fn load(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Lowered<()> {
        let targets = elements(&operands[0]);
        let (access, ty) = self.access(mnemonic, targets.len())?;
        if let Some(values) = self.fetched(self.at) {
            for (target, name) in targets.iter().zip(values) {
                self.assign_loaded(target, Kind::Varying, name, ty)?;
            }
            return Ok(());
        }
        let address = self.address(&operands[1], room(mnemonic)?, access)?;
        let lanes = self.lanes();
        let place = self.checked(&address, access, lanes.as_deref())?;
        if place.kind == Kind::Varying && access.is_row() && ty.size() == 4 {
            let rows = self.load_rows(&place, access, lanes.as_deref());
            let columns = self.columns_of_rows(&rows);
            for (target, name) in targets.iter().zip(columns) {
                self.assign_loaded(target, Kind::Varying, name, ty)?;
            }
            if lanes.is_none() {
                self.remember_rows(&targets, rows);
            }
            return Ok(());
        }
        let values = match place.kind {
            Kind::Uniform => self.load_one(&place.name, access, lanes.as_deref()),
            Kind::Pattern(number) if lanes.is_none() => {
                let pattern = *self.facts().patterns.get(number);
                self.load_pattern(&place.name, &pattern, access)
            }
            _ => self.load_each(&place, access, lanes.as_deref()),
        };
        let kind = if place.kind == Kind::Uniform { Kind::Uniform } else { Kind::Varying };
        for (target, name) in targets.iter().zip(values) {
            self.assign_loaded(target, kind, name, ty)?;
        }
        Ok(())
    }

    /// A value from memory is extended to its register.
    fn assign_loaded(&mut self, target: &Operand, kind: Kind, name: String, ty: Type) -> Lowered<()> {
        let Operand::Register(register) = target else { return Ok(()) };
        let (have, bits, wide) = (self.bits(*register), 8 * ty.size(), kind == Kind::Varying);
        if have <= bits {
            return self.assign(target, kind, name, bits);
        }
        let how = if ty.is_signed() { "sext" } else { "zext" };
        let name =
            self.text.value(format!("{how} {} {name} to {}", integer(bits, wide), integer(have, wide)));
        self.assign(target, kind, name, have)
    }

    pub(super) fn pointer(&mut self, address: &str) -> String {
        self.text.value(format!("inttoptr i64 {address} to ptr"))
    }

    /// One place for all lanes.
    fn load_one(&mut self, address: &str, access: Access, lanes: Option<&str>) -> Vec<String> {
        let address = self.real_or_scratch(address, lanes);
        (0..access.count)
            .map(|index| {
                let place = self.plus(&address, index as i64 * access.size(), false);
                let pointer = self.pointer(&place);
                let ty = integer(access.bits, false);
                self.text.value(format!("load {ty}, ptr {pointer}, align {}{}", access.size(), access.note()))
            })
            .collect()
    }

    /// Scratch memory if no lane executes, which only a guard can bring about.
    fn real_or_scratch(&mut self, address: &str, lanes: Option<&str>) -> String {
        match lanes {
            Some(lanes) if self.guard.is_some() => {
                let some = self.text.value(format!("icmp ne i32 {lanes}, 0"));
                self.text.value(format!("select i1 {some}, i64 {address}, i64 %scratch_address"))
            }
            _ => address.to_string(),
        }
    }

    /// A base and a pattern, all lanes executing.
    fn load_pattern(&mut self, base: &str, pattern: &Pattern, access: Access) -> Vec<String> {
        let lists: Vec<Vec<i64>> = (0..access.count as i64)
            .map(|element| pattern.iter().map(|more| more + element * access.size()).collect())
            .collect();
        self.fetch(base, &lists, access, access.size())
    }

    /// Any addresses, or lanes that do not all execute.
    fn load_each(&mut self, place: &Value, access: Access, lanes: Option<&str>) -> Vec<String> {
        let ty = integer(access.bits, true);
        if let (Kind::Pattern(number), Some(lanes)) = (place.kind, lanes) {
            let pattern = *self.facts().patterns.get(number);
            if access.count == 1 && access.bits >= 32 && is_row(&pattern, access.size()) {
                let start = self.plus(&place.name, pattern[0], false);
                let (pointer, chosen) = (self.pointer(&start), self.vector_of(lanes));
                let (name, mask) =
                    (format!("llvm.masked.load.v{LANES}i{}.p0", access.bits), integer(1, true));
                let align = access.size().to_string();
                let arguments =
                    [("ptr", pointer.as_str()), ("i32", &align), (&mask, &chosen), (&ty, "zeroinitializer")];
                return vec![self.text.call(&name, &ty, &arguments)];
            }
        }
        let addresses = self.each_address(place, lanes);
        (0..access.count)
            .map(|index| {
                let addresses = self.plus(&addresses, index as i64 * access.size(), true);
                let pointers =
                    self.text.value(format!("inttoptr {} {addresses} to <{LANES} x ptr>", integer(64, true)));
                let name = format!("llvm.masked.gather.v{LANES}i{}.v{LANES}p0", access.bits);
                let (vector, mask) = (format!("<{LANES} x ptr>"), integer(1, true));
                let align = access.size().to_string();
                let arguments = [
                    (vector.as_str(), pointers.as_str()),
                    ("i32", &align),
                    (&mask, "splat (i1 true)"),
                    (&ty, "poison"),
                ];
                self.text.call(&name, &ty, &arguments)
            })
            .collect()
    }

    /// The address of each lane; scratch memory's for those that do not execute.
    pub(super) fn each_address(&mut self, place: &Value, lanes: Option<&str>) -> String {
        if place.kind == Kind::Varying {
            return place.name.clone();
        }
        let addresses = self.shaped(place, 64, true);
        let Some(lanes) = lanes else { return addresses };
        let (ty, chosen, scratch) =
            (integer(64, true), self.vector_of(lanes), self.splat("%scratch_address", 64));
        self.text.value(format!("select <{LANES} x i1> {chosen}, {ty} {addresses}, {ty} {scratch}"))
    }

    pub(super) fn store(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Lowered<()> {
        let sources = elements(&operands[1]);
        let (access, _) = self.access(mnemonic, sources.len())?;
        let address = self.address(&operands[0], room(mnemonic)?, access)?;
        let lanes = self.lanes();
        let place = self.checked(&address, access, lanes.as_deref())?;
        if place.kind != Kind::Uniform
            && access.is_row()
            && let Some(rows) = self.remembered_rows(&sources)
        {
            self.store_rows(&place, &rows, access, lanes.as_deref());
            return Ok(());
        }
        let mut values = Vec::new();
        for source in &sources {
            let have = match source {
                Operand::Register(register) => self.bits(*register),
                _ => access.bits.max(16),
            };
            let value = self.operand(source, have)?;
            values.push(self.in_width(value, have, access.bits));
        }
        match place.kind {
            Kind::Uniform => self.store_one(&place.name, &values, access, lanes.as_deref()),
            Kind::Pattern(number) if lanes.is_none() => {
                let pattern = *self.facts().patterns.get(number);
                self.store_pattern(&place.name, &pattern, &values, access)
            }
            _ => self.store_each(&place, &values, access, lanes.as_deref()),
        }
        Ok(())
    }

    /// One place for all lanes: the last one's value stays.
    fn store_one(&mut self, address: &str, values: &[Value], access: Access, lanes: Option<&str>) {
        let address = self.real_or_scratch(address, lanes);
        let last = match lanes {
            None => "31".to_string(),
            Some(lanes) => {
                let above = self.text.call("llvm.ctlz.i32", "i32", &[("i32", lanes), ("i1", "false")]);
                let last = self.text.value(format!("sub i32 31, {above}"));
                self.text.value(format!("and i32 {last}, 31"))
            }
        };
        for (index, value) in values.iter().enumerate() {
            let place = self.plus(&address, index as i64 * access.size(), false);
            let pointer = self.pointer(&place);
            let name = if value.kind == Kind::Uniform {
                value.name.clone()
            } else {
                let vector = self.shaped(value, access.bits, true);
                self.text.value(format!("extractelement {} {vector}, i32 {last}", integer(access.bits, true)))
            };
            self.text.line(format!("store i{} {name}, ptr {pointer}, align {}", access.bits, access.size()));
        }
    }

    fn store_pattern(&mut self, base: &str, pattern: &Pattern, values: &[Value], access: Access) {
        let vectors: Vec<String> = values.iter().map(|value| self.shaped(value, access.bits, true)).collect();
        if is_row(pattern, access.total()) {
            let start = self.plus(base, pattern[0], false);
            let pointer = self.pointer(&start);
            let (mixed, length) = self.interleaved(vectors, access.bits);
            let ty = format!("<{length} x i{}>", access.bits);
            return self.text.line(format!("store {ty} {mixed}, ptr {pointer}, align {}", access.size()));
        }
        if access.is_row() {
            let rows = self.rows_of_columns(&vectors);
            for (more, row) in pattern.iter().zip(rows) {
                let place = self.plus(base, *more, false);
                let pointer = self.pointer(&place);
                self.text.line(format!("store <4 x i32> {row}, ptr {pointer}, align {}", access.total()));
            }
            return;
        }
        for (lane, more) in pattern.iter().enumerate() {
            for (index, vector) in vectors.iter().enumerate() {
                let place = self.plus(base, more + index as i64 * access.size(), false);
                let pointer = self.pointer(&place);
                let name = self
                    .text
                    .value(format!("extractelement {} {vector}, i32 {lane}", integer(access.bits, true)));
                self.text.line(format!(
                    "store i{} {name}, ptr {pointer}, align {}",
                    access.bits,
                    access.size()
                ));
            }
        }
    }

    /// Vectors as one, lane after lane, and its length.
    fn interleaved(&mut self, vectors: Vec<String>, bits: u32) -> (String, usize) {
        let count = vectors.len();
        let length = count * LANES;
        let joined = self.text.joined(vectors, LANES, bits);
        if count == 1 {
            return (joined, length);
        }
        let order = (0..length).map(|place| Some(place % count * LANES + place / count));
        (self.text.shuffle(&format!("<{length} x i{bits}>"), &joined, "poison", order), length)
    }

    /// Any addresses, or lanes that do not all execute.
    fn store_each(&mut self, place: &Value, values: &[Value], access: Access, lanes: Option<&str>) {
        let ty = integer(access.bits, true);
        let mask = integer(1, true);
        let align = access.size().to_string();
        let vectors: Vec<String> = values.iter().map(|value| self.shaped(value, access.bits, true)).collect();
        if let (Kind::Pattern(number), Some(lanes)) = (place.kind, lanes) {
            let pattern = *self.facts().patterns.get(number);
            if access.count == 1 && access.bits >= 32 && is_row(&pattern, access.size()) {
                let start = self.plus(&place.name, pattern[0], false);
                let (pointer, chosen) = (self.pointer(&start), self.vector_of(lanes));
                let name = format!("llvm.masked.store.v{LANES}i{}.p0", access.bits);
                let arguments = [
                    (ty.as_str(), vectors[0].as_str()),
                    ("ptr", &pointer),
                    ("i32", &align),
                    (&mask, &chosen),
                ];
                return self.text.perform(&name, &arguments);
            }
        }
        if access.is_row() {
            let rows = self.rows_of_columns(&vectors);
            return self.store_rows(place, &rows, access, lanes);
        }
        let addresses = self.each_address(place, lanes);
        for (index, vector) in vectors.iter().enumerate() {
            let addresses = self.plus(&addresses, index as i64 * access.size(), true);
            let pointers =
                self.text.value(format!("inttoptr {} {addresses} to <{LANES} x ptr>", integer(64, true)));
            let name = format!("llvm.masked.scatter.v{LANES}i{}.v{LANES}p0", access.bits);
            let pointer_type = format!("<{LANES} x ptr>");
            let arguments = [
                (ty.as_str(), vector.as_str()),
                (&pointer_type, &pointers),
                ("i32", &align),
                (&mask, "splat (i1 true)"),
            ];
            self.text.perform(&name, &arguments);
        }
    }
}

/// Whether no lane lies before the one before it.
fn rises(pattern: &Pattern) -> bool {
    pattern.windows(2).all(|pair| pair[0] <= pair[1])
}

/// Whether each lane lies one access behind the one before.
fn is_row(pattern: &Pattern, size: i64) -> bool {
    pattern.windows(2).all(|pair| pair[1] - pair[0] == size)
}

/// Lanes' numbers.
pub(super) fn lane_numbers() -> String {
    constants(32, 0..LANES as i64)
}
