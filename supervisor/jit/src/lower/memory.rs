//! Loads and stores.
//!
//! An address that all lanes share is one access; one with a pattern becomes as few as the pattern allows: a vector if lanes
//! lie side by side, a window of which lanes take their parts, or one access per different place. Anything else is a gather.
//! That lanes only touch what they may is tested first (`reach`).
//! Lanes that do not execute go to the frame's scratch memory.

use interpreter::VariablePlace;
use ptx::{AddressBase, Instruction, Mnemonic, Modifier, Op, Operand, Type};

use super::{Lowered, Lowering, Value};
use crate::kind::Kind;
use crate::text::{constant, constants};

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
    pub room: Room,
    /// 64 bits; for [`Room::Shared`] an offset.
    pub value: Value,
    /// Bytes that are known to be a multiple of the base.
    pub zeros: u32,
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

pub(super) fn elements(operand: &Operand) -> Vec<Operand> {
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
    pub(super) fn access(&self, mnemonic: &Mnemonic, count: usize) -> Lowered<(Access, Type)> {
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
                let (ty, more) = (self.text.integer(bits, wide), constant(bits, wide, *offset as u64));
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
        self.text.value(format!(
            "add {} {name}, {}",
            self.text.integer(64, wide),
            constant(64, wide, more as u64)
        ))
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
        let lanes = self.lanes();
        let place = self.load_place(mnemonic, operands, access, lanes.as_deref())?;
        if place.kind == Kind::Varying && access.is_row() && ty.size() == 4 {
            self.used.note("a row of each lane");
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
            Kind::Pattern(number) => {
                let pattern = self.pattern_here(Kind::Pattern(number));
                let base = self.moved(&place.name, place.kind, 64);
                self.load_pattern(&base, &pattern, access, lanes.as_deref())
            }
            _ => self.load_each(&place, access, lanes.as_deref()),
        };
        let kind = if place.kind == Kind::Uniform { Kind::Uniform } else { Kind::Varying };
        for (target, name) in targets.iter().zip(values) {
            self.assign_loaded(target, kind, name, ty)?;
        }
        Ok(())
    }

    /// Where a load finds what it reads: tested.
    fn load_place(
        &mut self,
        mnemonic: &Mnemonic,
        operands: &[Operand],
        access: Access,
        lanes: Option<&str>,
    ) -> Lowered<Value> {
        if let Some(name) = self.shared_place(self.at) {
            return Ok(Value { kind: Kind::Uniform, name });
        }
        let place = match self.tested_before() {
            Some(place) => place,
            None => {
                let address = self.address(&operands[1], room(mnemonic)?, access)?;
                let place = self.checked(&address, access, lanes)?;
                self.keep_tested(&place);
                place
            }
        };
        Ok(match place.kind {
            Kind::Uniform => Value { name: self.hidden(&place.name), ..place },
            _ => place,
        })
    }

    /// Tests where a load reads, if all lanes' places are known by one, for passes to come.
    pub(super) fn test_load(&mut self, index: usize) -> Lowered<()> {
        let instruction = &self.body.instructions[index];
        let (mnemonic, operands) = (self.body.mnemonic(instruction), &instruction.operands);
        if instruction.guard.is_some() || self.facts().operand(&operands[1]).kind == Kind::Varying {
            return Ok(());
        }
        let number = self.groups.of.get(&index).copied();
        if number.and_then(|number| self.real_base(number)).is_some() {
            return Ok(());
        }
        let (access, _) = self.access(mnemonic, elements(&operands[0]).len())?;
        let lanes = self.lanes();
        self.load_place(mnemonic, operands, access, lanes.as_deref()).map(drop)
    }

    /// A value from memory is extended to its register.
    fn assign_loaded(&mut self, target: &Operand, kind: Kind, name: String, ty: Type) -> Lowered<()> {
        let Operand::Register(register) = target else { return Ok(()) };
        let (have, bits, wide) = (self.bits(*register), 8 * ty.size(), kind == Kind::Varying);
        if have <= bits {
            return self.assign(target, kind, name, bits);
        }
        let how = if ty.is_signed() { "sext" } else { "zext" };
        let name = self.text.value(format!(
            "{how} {} {name} to {}",
            self.text.integer(bits, wide),
            self.text.integer(have, wide)
        ));
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
                let ty = self.text.integer(access.bits, false);
                self.text.value(format!("load {ty}, ptr {pointer}, align {}{}", access.size(), access.note()))
            })
            .collect()
    }

    /// Scratch memory if no lane executes, which only a guard can bring about.
    pub(super) fn real_or_scratch(&mut self, address: &str, lanes: Option<&str>) -> String {
        match lanes {
            Some(lanes) if self.guard.is_some() => {
                let some = self.text.value(format!("icmp ne i32 {lanes}, 0"));
                self.text.value(format!("select i1 {some}, i64 {address}, i64 %scratch_address"))
            }
            _ => address.to_string(),
        }
    }

    /// A base and a pattern.
    fn load_pattern(
        &mut self,
        base: &str,
        pattern: &[i64],
        access: Access,
        lanes: Option<&str>,
    ) -> Vec<String> {
        let lists: Vec<Vec<i64>> = (0..access.count as i64)
            .map(|element| pattern.iter().map(|more| more + element * access.size()).collect())
            .collect();
        self.fetch(base, &lists, access, access.size(), lanes)
    }

    /// Any addresses, or lanes that do not all execute.
    fn load_each(&mut self, place: &Value, access: Access, lanes: Option<&str>) -> Vec<String> {
        let (ty, width) = (self.text.integer(access.bits, true), self.text.lanes);
        self.used.note("gather");
        let addresses = self.each_address(place, lanes);
        (0..access.count)
            .map(|index| {
                let addresses = self.plus(&addresses, index as i64 * access.size(), true);
                let pointers = self.text.value(format!(
                    "inttoptr {} {addresses} to <{width} x ptr>",
                    self.text.integer(64, true)
                ));
                let name = format!("llvm.masked.gather.v{width}i{}.v{width}p0", access.bits);
                let (vector, mask) = (format!("<{width} x ptr>"), self.text.integer(1, true));
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
            (self.text.integer(64, true), self.vector_of(lanes), self.splat("%scratch_address", 64));
        self.text.value(format!(
            "select {} {chosen}, {ty} {addresses}, {ty} {scratch}",
            self.text.integer(1, true)
        ))
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
            self.used.note("rows stored as loaded");
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
                let pattern = self.pattern_here(Kind::Pattern(number));
                self.store_pattern(&place.name, &pattern, &values, access)
            }
            _ => self.store_each(address.room, &place, &values, access, lanes.as_deref()),
        }
        Ok(())
    }

    /// One place for all lanes: the last one's value stays.
    fn store_one(&mut self, address: &str, values: &[Value], access: Access, lanes: Option<&str>) {
        let address = self.real_or_scratch(address, lanes);
        let last = match lanes {
            None => (self.text.lanes - 1).to_string(),
            Some(lanes) => {
                let above = self.text.call("llvm.ctlz.i32", "i32", &[("i32", lanes), ("i1", "false")]);
                let last = self.text.value(format!("sub i32 31, {above}"));
                self.text.value(format!("and i32 {last}, {}", self.text.lanes - 1))
            }
        };
        for (index, value) in values.iter().enumerate() {
            let place = self.plus(&address, index as i64 * access.size(), false);
            let pointer = self.pointer(&place);
            let name = if value.kind == Kind::Uniform {
                value.name.clone()
            } else {
                let vector = self.shaped(value, access.bits, true);
                self.text.value(format!(
                    "extractelement {} {vector}, i32 {last}",
                    self.text.integer(access.bits, true)
                ))
            };
            self.text.line(format!("store i{} {name}, ptr {pointer}, align {}", access.bits, access.size()));
        }
    }

    fn store_pattern(&mut self, base: &str, pattern: &[i64], values: &[Value], access: Access) {
        let vectors: Vec<String> = values.iter().map(|value| self.shaped(value, access.bits, true)).collect();
        if is_row(pattern, access.total()) {
            let start = self.plus(base, pattern[0], false);
            let pointer = self.pointer(&start);
            self.used.note(if vectors.len() > 1 { "interleaved store" } else { "row stored" });
            let (mixed, length) = match self.converted_halves(&vectors) {
                Some(mixed) => mixed,
                None => self.interleaved(vectors, access.bits),
            };
            let ty = format!("<{length} x i{}>", access.bits);
            return self.text.line(format!("store {ty} {mixed}, ptr {pointer}, align {}", access.size()));
        }
        if access.is_row() {
            self.used.note("rows stored at a pattern");
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
                let name = self.text.value(format!(
                    "extractelement {} {vector}, i32 {lane}",
                    self.text.integer(access.bits, true)
                ));
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
        let width = self.text.lanes;
        let length = count * width;
        let joined = self.text.joined(vectors, width, bits);
        if count == 1 {
            return (joined, length);
        }
        let order = (0..length).map(|place| Some(place % count * width + place / count));
        (self.text.shuffle(&format!("<{length} x i{bits}>"), &joined, "poison", order), length)
    }

    /// Any addresses, or lanes that do not all execute.
    fn store_each(
        &mut self,
        room: Room,
        place: &Value,
        values: &[Value],
        access: Access,
        lanes: Option<&str>,
    ) {
        let (ty, width) = (self.text.integer(access.bits, true), self.text.lanes);
        let vectors: Vec<String> = values.iter().map(|value| self.shaped(value, access.bits, true)).collect();
        if let (Kind::Pattern(number), Some(lanes)) = (place.kind, lanes) {
            let pattern = *self.facts().patterns.get(number);
            if access.count == 1 && access.bits >= 32 && is_row(&pattern, access.size()) {
                let start = self.plus(&place.name, pattern[0], false);
                return match room {
                    Room::Shared => self.store_shared_row(&start, &vectors[0], access.bits, lanes),
                    _ => self.store_row(&start, &vectors[0], access.bits, lanes, false),
                };
            }
        }
        if access.is_row() {
            self.used.note("a row of each lane stored");
            let rows = self.rows_of_columns(&vectors);
            return self.store_rows(place, &rows, access, lanes);
        }
        self.used.note("scatter");
        let (mask, align) = (self.text.integer(1, true), access.size().to_string());
        let addresses = self.each_address(place, lanes);
        for (index, vector) in vectors.iter().enumerate() {
            let addresses = self.plus(&addresses, index as i64 * access.size(), true);
            let pointers = self
                .text
                .value(format!("inttoptr {} {addresses} to <{width} x ptr>", self.text.integer(64, true)));
            let name = format!("llvm.masked.scatter.v{width}i{}.v{width}p0", access.bits);
            let pointer_type = format!("<{width} x ptr>");
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

/// Whether each lane lies one access behind the one before.
fn is_row(pattern: &[i64], size: i64) -> bool {
    pattern.windows(2).all(|pair| pair[1] - pair[0] == size)
}

/// Numbers of so many lanes from a first one on.
pub(super) fn lane_numbers(first: usize, lanes: usize) -> String {
    constants(32, (first as i64..).take(lanes))
}
