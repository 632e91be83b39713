//! Atomics: `atom` and `red` on words of 32 and 64 bits.
//!
//! Lanes come one after the other, in the interpreter's order, so that old values and sums of floats are the same:
//!
//! ```text
//!   one place for all lanes ─▶ one operation with what all of them bring; of `add`, each lane's old value by its rank
//!   anything else ─▶ a loop over the lanes that execute
//! ```
//!
//! In shared memory they are plain loads and stores: a block runs on one thread, and nobody else is there. Elsewhere they are the
//! processor's atomics.
//!
//! None of this may be done twice: a segment ends before an atomic, and behind it.
//!
//! **Polls.** Lanes that try again and again until others have done something must come to the interpreter, which gives others
//! their turn. An atomic in a loop that leaves memory as it was so often in a row is taken for one that does.

use ptx::{Mnemonic, Modifier, Op, Operand, Type};

use super::memory::{Access, Address, Room, room};
use super::{Lowered, Lowering, Value};
use crate::kind::Kind;
use crate::text::{constant, constants};

/// How often an atomic in a loop may find, without others in between, that it has changed nothing.
const POLLS: u32 = 1 << 12;

/// What code for atomics needs of the function.
#[derive(Default)]
pub(super) struct Needs {
    /// Atomics whose polls are counted.
    polls: usize,
    /// Memory for what the lanes of a loop have.
    lanes: bool,
}

/// What is done to a word in memory.
struct Atomic {
    operation: Modifier,
    ty: Type,
    /// Whether no other thread can touch the word.
    alone: bool,
    /// Where sums flush subnormal numbers.
    flushes: Flushes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flushes {
    Nowhere,
    Everywhere,
    OutsideShared,
}

/// What lanes bring.
struct Brought {
    first: Value,
    /// Of `cas`.
    second: Option<Value>,
}

/// Where lanes have their words: addresses of 64 bits, or offsets of 32 into shared memory.
struct Places {
    of: Value,
    bits: u32,
}

impl Atomic {
    fn new(mnemonic: &Mnemonic) -> Lowered<Atomic> {
        use Modifier::*;
        let ty = mnemonic.ty().ok_or("an atomic without a type")?;
        let known = [Cas, Exch, Add, Inc, Dec, Min, Max, And, Or, Xor];
        let operation = mnemonic.modifiers.first_of(&known).ok_or("an atomic without an operation")?;
        let plain = !ty.is_float() && matches!(ty.size(), 4 | 8);
        let sum = operation == Add && matches!(ty, Type::F32 | Type::F64);
        if !(plain || sum) || mnemonic.vector() > 1 || mnemonic.has(Async) {
            return Err("an atomic of this type".into());
        }
        let flushes = match room(mnemonic)? {
            _ if ty != Type::F32 || operation != Add => Flushes::Nowhere,
            Room::Shared => Flushes::Nowhere,
            Room::Generic => Flushes::OutsideShared,
            _ => Flushes::Everywhere,
        };
        Ok(Atomic { operation, ty, alone: false, flushes })
    }

    fn bits(&self) -> u32 {
        8 * self.ty.size()
    }

    /// LLVM's name of the operation; none of what it has otherwise.
    fn name(&self) -> Option<&'static str> {
        use Modifier::*;
        Some(match (self.operation, self.ty.is_signed()) {
            _ if self.ty.is_float() => return None,
            (Exch, _) => "xchg",
            (Add, _) => "add",
            (Inc, _) => "uinc_wrap",
            (Dec, _) => "udec_wrap",
            (Min, true) => "min",
            (Max, true) => "max",
            (Min, false) => "umin",
            (Max, false) => "umax",
            (And, _) => "and",
            (Or, _) => "or",
            (Xor, _) => "xor",
            _ => return None,
        })
    }

    /// Where the order of lanes does not matter for what is in memory behind them: LLVM's name of the operation on a vector's elements, and
    /// what changes nothing.
    fn reduction(&self) -> Option<(&'static str, u64)> {
        use Modifier::*;
        let bits = self.bits();
        Some(match (self.operation, self.ty.is_signed()) {
            _ if self.ty.is_float() => return None,
            (Add, _) => ("add", 0),
            (And, _) => ("and", u64::MAX),
            (Or, _) => ("or", 0),
            (Xor, _) => ("xor", 0),
            (Min, true) => ("smin", u64::MAX >> (65 - bits)),
            (Max, true) => ("smax", 1 << (bits - 1)),
            (Min, false) => ("umin", u64::MAX),
            (Max, false) => ("umax", 0),
            _ => return None,
        })
    }
}

impl Lowering<'_> {
    pub(super) fn atomic(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Lowered<()> {
        let mut atomic = Atomic::new(mnemonic)?;
        let bits = atomic.bits();
        let (target, operands) = match mnemonic.op {
            Op::Atom => (Some(&operands[0]), &operands[1..]),
            _ => (None, operands),
        };
        let target = self.needed(target)?;
        let access = Access { bits, count: 1, constant: false };
        let lanes = self.lanes();
        self.next_segment(self.at);
        let first = self.operand(&operands[1], bits)?;
        let is_cas = atomic.operation == Modifier::Cas;
        let second = is_cas.then(|| self.operand(&operands[2], bits)).transpose()?;
        let brought = Brought { first, second };
        let address = self.address(&operands[0], room(mnemonic)?, access)?;
        atomic.alone = address.room == Room::Shared;
        let place = self.checked(&address, access, lanes.as_deref())?;
        let olds = match self.at_one_place(&atomic, &place, &brought, lanes.as_deref(), target.is_some()) {
            Some(olds) => olds,
            None => {
                let places = self.places_of_lanes(&address, &place, lanes.as_deref());
                self.round_the_lanes(&atomic, places, &brought, lanes.as_deref(), target.is_some())
            }
        };
        let Some(target) = target else {
            self.next_segment(self.at + 1);
            return Ok(());
        };
        let polls = self.is_in_loop().then(|| self.changes(&atomic, &olds, &brought, lanes.as_deref()));
        self.assign(target, Kind::Varying, olds, bits)?;
        self.next_segment(self.at + 1);
        if let Some(changes) = polls {
            self.count_polls(&changes);
        }
        Ok(())
    }

    /// Where the result goes, if anybody needs it.
    fn needed<'o>(&self, target: Option<&'o Operand>) -> Lowered<Option<&'o Operand>> {
        match target {
            None | Some(Operand::Sink) => Ok(None),
            Some(Operand::Register(register)) if self.bits(*register) > 1 => {
                let behind = self.graph.live_before(self.body, self.block, self.at + 1);
                Ok(target.filter(|_| behind.has(*register as usize)))
            }
            Some(_) => Err("an atomic with such a destination".into()),
        }
    }

    /// All lanes at once, if they have one place, and nobody could tell their order. Answers what each lane found, if that is needed.
    fn at_one_place(
        &mut self,
        atomic: &Atomic,
        place: &Value,
        brought: &Brought,
        lanes: Option<&str>,
        needed: bool,
    ) -> Option<String> {
        let (how, nothing) = atomic.reduction()?;
        let is_same = brought.first.kind == Kind::Uniform;
        if place.kind != Kind::Uniform || needed && !(is_same && how == "add") {
            return None;
        }
        let bits = atomic.bits();
        let all = match (is_same, how) {
            (true, "add" | "xor") => {
                let count = self.count_of(lanes, bits);
                // Of lanes that all bring the same to `xor` two undo each other.
                let count =
                    if how == "xor" { self.text.value(format!("and i{bits} {count}, 1")) } else { count };
                self.text.value(format!("mul i{bits} {count}, {}", brought.first.name))
            }
            (true, _) => brought.first.name.clone(),
            (false, _) => self.reduced(&brought.first, how, nothing, bits, lanes),
        };
        let place = self.real_or_scratch(&place.name, lanes);
        let old = self.once(atomic, &place, &all, None);
        if !needed {
            self.used.note("atomic of all lanes");
            return Some(String::new());
        }
        self.used.note("atomic with ranks");
        let ranks = self.ranks(lanes, bits);
        let (ty, each, old) =
            (self.text.integer(bits, true), self.splat(&brought.first.name, bits), self.splat(&old, bits));
        let before = self.text.value(format!("mul {ty} {ranks}, {each}"));
        Some(self.text.value(format!("add {ty} {old}, {before}")))
    }

    /// What lanes bring as one number.
    fn reduced(&mut self, value: &Value, how: &str, nothing: u64, bits: u32, lanes: Option<&str>) -> String {
        let ty = self.text.integer(bits, true);
        let mut vector = self.shaped(value, bits, true);
        if let Some(lanes) = lanes {
            let (chosen, bit) = (self.vector_of(lanes), self.text.integer(1, true));
            let nothing = constant(bits, true, nothing);
            vector = self.text.value(format!("select {bit} {chosen}, {ty} {vector}, {ty} {nothing}"));
        }
        let name = format!("llvm.vector.reduce.{how}.v{}i{bits}", self.text.lanes);
        self.text.call(&name, &format!("i{bits}"), &[(&ty, &vector)])
    }

    /// How many lanes execute.
    fn count_of(&mut self, lanes: Option<&str>, bits: u32) -> String {
        let Some(lanes) = lanes else { return self.text.lanes.to_string() };
        let count = self.text.call("llvm.ctpop.i32", "i32", &[("i32", lanes)]);
        self.in_width(Value { kind: Kind::Uniform, name: count }, 32, bits).name
    }

    /// How many lanes execute before each.
    fn ranks(&mut self, lanes: Option<&str>, bits: u32) -> String {
        let numbers = 0..self.text.lanes as i64;
        let Some(lanes) = lanes else { return constants(bits, numbers) };
        let ty = self.text.integer(32, true);
        let (before, lanes) = (constants(32, numbers.map(|lane| (1 << lane) - 1)), self.splat(lanes, 32));
        let before = self.text.value(format!("and {ty} {lanes}, {before}"));
        let ranks = self.text.intrinsic("ctpop", &ty, &[before]);
        self.in_width(Value { kind: Kind::Varying, name: ranks }, 32, bits).name
    }

    /// Where lanes have their words, for a loop over them.
    fn places_of_lanes(&mut self, address: &Address, place: &Value, lanes: Option<&str>) -> Places {
        let varying = |name| Value { kind: Kind::Varying, name };
        let (of, bits) = match (place.kind, &address.narrow) {
            (Kind::Uniform, _) => (place.clone(), 64),
            // Half as much to lay out.
            (_, Some(offsets)) if address.room == Room::Shared => (varying(offsets.clone()), 32),
            _ => (varying(self.each_address(place, lanes)), 64),
        };
        Places { of: self.laid_out(&of, bits, "%lanes_places"), bits }
    }

    /// Any lanes, one after the other. Code for each lane by itself would be slower: where a lane has the word of one shortly before, a
    /// processor that has gone ahead must begin again, and it learns to wait by the instruction.
    fn round_the_lanes(
        &mut self,
        atomic: &Atomic,
        places: Places,
        brought: &Brought,
        lanes: Option<&str>,
        needed: bool,
    ) -> String {
        self.used.note(if atomic.alone { "shared atomics of lanes" } else { "atomics of lanes" });
        self.atomics.lanes = true;
        let bits = atomic.bits();
        let first = self.laid_out(&brought.first, bits, "%lanes_first");
        let second = brought.second.as_ref().map(|second| self.laid_out(second, bits, "%lanes_second"));
        let (turn, over) = (self.text.label(), self.text.label());
        self.text.line(format!("store i32 {}, ptr %lanes_left", lanes.unwrap_or(&self.all_lanes())));
        match lanes {
            Some(lanes) if self.guard.is_some() => {
                let some = self.text.value(format!("icmp ne i32 {lanes}, 0"));
                self.text.line(format!("br i1 {some}, label %{turn}, label %{over}"));
            }
            _ => self.text.line(format!("br label %{turn}")),
        }
        self.text.begin(&turn);
        let left = self.text.value("load i32, ptr %lanes_left");
        let lane = self.text.call("llvm.cttz.i32", "i32", &[("i32", &left), ("i1", "true")]);
        let place = match (self.taken_up(&places.of, places.bits, &lane), places.bits) {
            (offset, 32) => {
                let offset = self.text.value(format!("zext i32 {offset} to i64"));
                self.text.value(format!("add i64 %shared, {offset}"))
            }
            (place, _) => place,
        };
        let first = self.taken_up(&first, bits, &lane);
        let second = second.map(|second| self.taken_up(&second, bits, &lane));
        let old = self.once(atomic, &place, &first, second.as_deref());
        if needed {
            let place = self.text.value(format!("getelementptr i{bits}, ptr %lanes_old, i32 {lane}"));
            self.text.line(format!("store i{bits} {old}, ptr {place}"));
        }
        let lowest = self.text.value(format!("sub i32 {left}, 1"));
        let left = self.text.value(format!("and i32 {left}, {lowest}"));
        self.text.line(format!("store i32 {left}, ptr %lanes_left"));
        let more = self.text.value(format!("icmp ne i32 {left}, 0"));
        self.text.line(format!("br i1 {more}, label %{turn}, label %{over}"));
        self.text.begin(&over);
        if !needed {
            return String::new();
        }
        self.text.value(format!("load {}, ptr %lanes_old, align 32", self.text.integer(bits, true)))
    }

    /// A mask of all lanes that vectors have.
    fn all_lanes(&self) -> String {
        constant(32, false, (1u64 << self.text.lanes) - 1)
    }

    /// Puts what differs between lanes where a loop over them finds it.
    fn laid_out(&mut self, value: &Value, bits: u32, place: &str) -> Value {
        if value.kind == Kind::Uniform {
            return value.clone();
        }
        let vector = self.shaped(value, bits, true);
        self.text.line(format!("store {} {vector}, ptr {place}, align 32", self.text.integer(bits, true)));
        Value { kind: Kind::Varying, name: place.into() }
    }

    /// What a lane of the loop has of what was laid out.
    fn taken_up(&mut self, value: &Value, bits: u32, lane: &str) -> String {
        if value.kind == Kind::Uniform {
            return value.name.clone();
        }
        let place = self.text.value(format!("getelementptr i{bits}, ptr {}, i32 {lane}", value.name));
        self.text.value(format!("load i{bits}, ptr {place}"))
    }

    /// One lane's. Answers what was there.
    fn once(&mut self, atomic: &Atomic, place: &str, first: &str, second: Option<&str>) -> String {
        let (pointer, bits) = (self.pointer(place), atomic.bits());
        if atomic.alone {
            let old = self.text.value(format!("load i{bits}, ptr {pointer}"));
            let new = self.next(atomic, [&old, first, second.unwrap_or("0")], false);
            self.text.line(format!("store i{bits} {new}, ptr {pointer}"));
            return old;
        }
        match (atomic.name(), second) {
            (Some(name), _) => {
                self.text.value(format!("atomicrmw {name} ptr {pointer}, i{bits} {first} seq_cst"))
            }
            (None, Some(second)) => self.compared_and_exchanged(&pointer, first, second, bits).0,
            (None, None) => self.summed(atomic, place, &pointer, first),
        }
    }

    /// Compare and exchange: what was there, and whether that was what it was compared with.
    fn compared_and_exchanged(
        &mut self,
        pointer: &str,
        expected: &str,
        new: &str,
        bits: u32,
    ) -> (String, String) {
        let both = self
            .text
            .value(format!("cmpxchg ptr {pointer}, i{bits} {expected}, i{bits} {new} seq_cst seq_cst"));
        let ty = format!("{{ i{bits}, i1 }}");
        let old = self.text.value(format!("extractvalue {ty} {both}, 0"));
        (old, self.text.value(format!("extractvalue {ty} {both}, 1")))
    }

    /// A sum of floats: again until nobody has come between.
    fn summed(&mut self, atomic: &Atomic, place: &str, pointer: &str, more: &str) -> String {
        let (bits, size) = (atomic.bits(), atomic.ty.size());
        let found = format!("%found{bits}");
        let seen = self.text.value(format!("load atomic i{bits}, ptr {pointer} monotonic, align {size}"));
        self.text.line(format!("store i{bits} {seen}, ptr {found}"));
        let (again, done) = (self.text.label(), self.text.label());
        self.text.line(format!("br label %{again}"));
        self.text.begin(&again);
        let seen = self.text.value(format!("load i{bits}, ptr {found}"));
        let sum = self.next(atomic, [&seen, more, "0"], false);
        let new = match atomic.flushes {
            Flushes::Nowhere => sum,
            Flushes::Everywhere => self.flushed_sum(atomic, &seen, more),
            Flushes::OutsideShared => {
                let offset = self.text.value(format!("sub i64 {place}, %shared"));
                let inside = self.text.value(format!("icmp ult i64 {offset}, %shared_bytes"));
                let flushed = self.flushed_sum(atomic, &seen, more);
                self.text.value(format!("select i1 {inside}, i32 {sum}, i32 {flushed}"))
            }
        };
        let (old, fits) = self.compared_and_exchanged(pointer, &seen, &new, bits);
        self.text.line(format!("store i{bits} {old}, ptr {found}"));
        self.text.line(format!("br i1 {fits}, label %{done}, label %{again}"));
        self.text.begin(&done);
        old
    }

    /// A sum of `f32` without subnormal numbers.
    fn flushed_sum(&mut self, atomic: &Atomic, old: &str, more: &str) -> String {
        let [old, more] = [old, more].map(|name| self.flushed(name, false));
        let sum = self.next(atomic, [&old, &more, "0"], false);
        self.flushed(&sum, false)
    }

    /// What is in memory behind an atomic, of what was there and what was brought.
    fn next(&mut self, atomic: &Atomic, [old, first, second]: [&str; 3], wide: bool) -> String {
        use Modifier::*;
        let bits = atomic.bits();
        let (ty, bit) = (self.text.integer(bits, wide), self.text.integer(1, wide));
        let number = |number| constant(bits, wide, number);
        if atomic.ty.is_float() {
            let float = self.text.float(bits, wide);
            let [old, first] =
                [old, first].map(|name| self.text.value(format!("bitcast {ty} {name} to {float}")));
            let sum = self.text.value(format!("fadd {float} {old}, {first}"));
            return self.text.value(format!("bitcast {float} {sum} to {ty}"));
        }
        let sign = if atomic.ty.is_signed() { "s" } else { "u" };
        let mut test = |how: &str, a: &str, b: &str| self.text.value(format!("icmp {how} {ty} {a}, {b}"));
        let (holds, then, otherwise) = match atomic.operation {
            Exch => return first.into(),
            Cas => (test("eq", old, first), second.to_string(), old.to_string()),
            Min => (test(&format!("{sign}lt"), old, first), old.into(), first.into()),
            Max => (test(&format!("{sign}gt"), old, first), old.into(), first.into()),
            Inc => {
                let wraps = test("uge", old, first);
                (wraps, number(0), self.text.value(format!("add {ty} {old}, {}", number(1))))
            }
            Dec => {
                let (zero, beyond) = (test("eq", old, &number(0)), test("ugt", old, first));
                let wraps = self.text.value(format!("or {bit} {zero}, {beyond}"));
                (wraps, first.into(), self.text.value(format!("sub {ty} {old}, {}", number(1))))
            }
            Add => return self.text.value(format!("add {ty} {old}, {first}")),
            And => return self.text.value(format!("and {ty} {old}, {first}")),
            Or => return self.text.value(format!("or {ty} {old}, {first}")),
            _ => return self.text.value(format!("xor {ty} {old}, {first}")),
        };
        self.text.value(format!("select {bit} {holds}, {ty} {then}, {ty} {otherwise}"))
    }

    /// Whether memory is another behind some lane's atomic.
    fn changes(&mut self, atomic: &Atomic, olds: &str, brought: &Brought, lanes: Option<&str>) -> String {
        let bits = atomic.bits();
        let first = self.shaped(&brought.first, bits, true);
        let second = match &brought.second {
            Some(second) => self.shaped(second, bits, true),
            None => constant(bits, true, 0),
        };
        let (old, new) = match atomic.ty.is_float() {
            // Nearly always; who only wants to know a sum adds nothing.
            true => (constant(bits, true, 0), first),
            false => (olds.to_string(), self.next(atomic, [olds, &first, &second], true)),
        };
        let differ = self.text.value(format!("icmp ne {} {old}, {new}", self.text.integer(bits, true)));
        let mut word = self.word_of_bits(&differ);
        if let Some(lanes) = lanes {
            word = self.text.value(format!("and i32 {word}, {lanes}"));
        }
        self.text.value(format!("icmp ne i32 {word}, 0"))
    }

    /// Gives up where nothing has changed too often.
    fn count_polls(&mut self, changes: &str) {
        self.used.note("polls counted");
        let counter = format!("%polls{}", self.atomics.polls);
        self.atomics.polls += 1;
        let left = self.text.value(format!("load i32, ptr {counter}"));
        let less = self.text.value(format!("sub i32 {left}, 1"));
        let left = self.text.value(format!("select i1 {changes}, i32 {POLLS}, i32 {less}"));
        self.text.line(format!("store i32 {left}, ptr {counter}"));
        let some = self.text.value(format!("icmp ne i32 {left}, 0"));
        self.assume(&some);
    }

    /// The function's own memory for atomics.
    pub(super) fn begin_atomics(&mut self) {
        for counter in 0..self.atomics.polls {
            self.text.line(format!("%polls{counter} = alloca i32"));
            self.text.line(format!("store i32 {POLLS}, ptr %polls{counter}"));
        }
        if self.atomics.lanes {
            self.text.line("%lanes_left = alloca i32");
            self.text.line("%found32 = alloca i32");
            self.text.line("%found64 = alloca i64");
            for name in ["places", "first", "second", "old"] {
                self.text.line(format!("%lanes_{name} = alloca [32 x i64], align 32"));
            }
        }
    }
}
