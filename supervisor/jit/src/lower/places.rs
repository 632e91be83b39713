//! Where registers lie in memory: a word for each that is kept as one, lanes in the interpreter's register file for all others.

use ptx::RegisterId;

use super::{Lowering, Value, World};
use crate::kind::Kind;

impl Lowering<'_> {
    /// The number of a register's word.
    pub(super) fn word(&mut self, register: RegisterId) -> u32 {
        let next = self.words.len() as u32;
        *self.words.entry(register).or_insert(next)
    }

    fn word_place(&mut self, register: RegisterId) -> String {
        let (region, word) = (self.region, self.word(register));
        self.text.value(format!("getelementptr i64, ptr %words{region}, i32 {word}"))
    }

    pub(super) fn file_place(&mut self, register: RegisterId) -> String {
        let (region, offset) = (self.region, self.plan.registers[register as usize]);
        self.text.value(format!("getelementptr i8, ptr %file{region}, i32 {offset}"))
    }

    /// Puts a value, whatever its kind, where the interpreter has a register's lanes.
    pub(super) fn store_lanes(&mut self, register: RegisterId, value: &Value) {
        let bits = self.bits(register);
        let (ty, name) = match bits {
            1 => ("i32".into(), self.word_of(value)),
            // The interpreter has 16-bit values in words.
            16 => {
                let name = self.shaped(value, 16, true);
                (self.text.integer(32, true), self.in_width(Value { kind: Kind::Varying, name }, 16, 32).name)
            }
            bits => (self.text.integer(bits, true), self.shaped(value, bits, true)),
        };
        let place = self.file_place(register);
        self.text.line(format!("store {ty} {name}, ptr {place}, align 4"));
    }

    /// Takes a register's lanes from there: a vector, or a predicate's word.
    pub(super) fn load_lanes(&mut self, register: RegisterId) -> String {
        let (place, bits) = (self.file_place(register), self.bits(register));
        let ty = if bits == 1 { "i32".into() } else { self.text.integer(bits.max(32), true) };
        let name = self.text.value(format!("load {ty}, ptr {place}, align 4"));
        if bits == 16 { self.in_width(Value { kind: Kind::Varying, name }, 32, 16).name } else { name }
    }

    /// Stores a register where the interpreter, or the next region, finds it.
    pub(super) fn store_out(&mut self, register: RegisterId) {
        if self.is_resident(register) && !self.written.contains_key(&register) {
            return;
        }
        let value = self.register(register);
        if self.world == World::Narrow && self.is_narrow(register) {
            let name = self.widened(register, &value.name);
            return self.on_all_lanes(|this| this.store_lanes(register, &Value { name, ..value }));
        }
        if value.kind == Kind::Varying {
            return self.store_lanes(register, &value);
        }
        let whole = if self.bits(register) == 64 {
            value.name
        } else {
            self.text.value(format!("zext {} {} to i64", self.type_of(register, value.kind), value.name))
        };
        let place = self.word_place(register);
        self.text.line(format!("store i64 {whole}, ptr {place}"));
    }

    /// Loads a register that a region finds in memory.
    pub(super) fn load_in(&mut self, register: RegisterId) {
        if self.is_resident(register) {
            return;
        }
        let kind = self.first.facts.kinds[register as usize];
        let ty = self.type_of(register, kind);
        let name = if kind == Kind::Varying {
            self.load_lanes(register)
        } else {
            let place = self.word_place(register);
            let whole = self.text.value(format!("load i64, ptr {place}"));
            if self.bits(register) == 64 {
                whole
            } else {
                self.text.value(format!("trunc i64 {whole} to {ty}"))
            }
        };
        let variable = self.variable(World::First, register);
        self.text.line(format!("store {ty} {name}, ptr {variable}"));
    }
}
