//! Instructions that the interpreter does for code, one at a time.
//!
//! What has no code of its own, and sends no lane elsewhere, is done by the interpreter's own operation: its registers are put
//! where that finds them, it is called for the lanes that execute, and its results are taken from there.

use interpreter::compiled::Outcome;
use ptx::{Modifier, Op, RegisterId};

use super::{Lowering, Value, World};
use crate::graph::roles;
use crate::kind::{Kind, LANES};
use crate::text::{constant, integer};

impl Lowering<'_> {
    /// Whether the interpreter may do an instruction alone: not if lanes wait for each other before it.
    pub(super) fn is_stepped(&self, index: usize) -> bool {
        let instruction = &self.body.instructions[index];
        let mnemonic = self.body.mnemonic(instruction);
        let waits =
            mnemonic.has(Modifier::Sync) || mnemonic.has(Modifier::Aligned) || mnemonic.has(Modifier::Warp);
        let odd = matches!(
            mnemonic.op,
            Op::Shfl
                | Op::Vote
                | Op::Match
                | Op::Redux
                | Op::Elect
                | Op::Activemask
                | Op::Bar
                | Op::Barrier
                | Op::Trap
                | Op::Nanosleep
                | Op::Mbarrier
                | Op::Alloca
                | Op::Stacksave
                | Op::Stackrestore
        );
        // Lanes that poll must come to the interpreter for good: it gives others their turn.
        let polls = mnemonic.op == Op::Ld || mnemonic.op == Op::Atom && self.is_in_loop();
        let known = |register: &RegisterId| {
            matches!(self.body.register_type(*register).size(), 1 | 2 | 4 | 8)
                && super::register_bits(self.body.register_type(*register)) != 0
        };
        let (reads, writes) = roles(self.body, instruction);
        !waits && !odd && !polls && reads.iter().chain(&writes).all(known)
    }

    /// Whether lanes can come back to the running block.
    fn is_in_loop(&self) -> bool {
        let mut seen = crate::graph::Set::new(self.graph.blocks.len());
        let mut waiting: Vec<usize> = self.graph.blocks[self.block].successors().collect();
        while let Some(block) = waiting.pop() {
            if block == self.block {
                return true;
            }
            if seen.insert(block) {
                waiting.extend(self.graph.blocks[block].successors());
            }
        }
        false
    }

    /// Has the interpreter do an instruction.
    pub(super) fn step(&mut self, index: usize) {
        self.next_segment(index);
        self.instructions.extend([index as u32, index as u32 + 1]);
        let instruction = &self.body.instructions[index];
        let (reads, writes) = roles(self.body, instruction);
        let partly = self.world == World::Second || instruction.guard.is_some();
        let old = writes.iter().filter(|_| partly);
        let guard = instruction.guard.map(|(register, _)| register);
        for register in reads.iter().chain(old).copied().chain(guard) {
            self.store_whole(register);
        }
        let lanes = self.mask.clone().unwrap_or("-1".into());
        let warp = self.text.value("load i32, ptr %warp");
        let number = index.to_string();
        let arguments = [("ptr", "%frame"), ("i32", warp.as_str()), ("i32", &number), ("i32", &lanes)];
        let failed = self.text.call("vgpu_step", "i32", &arguments);
        let fine = self.text.value(format!("icmp eq i32 {failed}, 0"));
        let (next, end) = (self.text.label(), self.text.label());
        self.text.line(format!("br i1 {fine}, label %{next}, label %{end}, !prof !1"));
        self.text.begin(&end);
        self.text.line(format!("ret i32 {}", Outcome::Failed as u32));
        self.text.begin(&next);
        for register in writes {
            self.load_whole(register, &lanes);
        }
        // It may not be done twice.
        self.next_segment(index + 1);
    }

    /// Puts a register's lanes where the interpreter has them.
    fn store_whole(&mut self, register: RegisterId) {
        let value = self.register(register);
        let bits = self.bits(register);
        let name = if bits == 1 { self.word_of(&value) } else { self.shaped(&value, bits, true) };
        let place = self.file_place(register);
        let (ty, name) = match bits {
            1 => ("i32".to_string(), name),
            16 => {
                let value = self.in_width(Value { kind: Kind::Varying, name }, 16, 32);
                (integer(32, true), value.name)
            }
            bits => (integer(bits, true), name),
        };
        self.text.line(format!("store {ty} {name}, ptr {place}, align 4"));
    }

    /// Takes a register's lanes from there.
    fn load_whole(&mut self, register: RegisterId, lanes: &str) {
        let (bits, kind) = (self.bits(register), self.kind(register));
        let place = self.file_place(register);
        if bits == 1 {
            let word = self.text.value(format!("load i32, ptr {place}, align 4"));
            let name = match kind {
                Kind::Varying => word,
                _ => {
                    let held = self.text.value(format!("and i32 {word}, {lanes}"));
                    self.text.value(format!("icmp ne i32 {held}, 0"))
                }
            };
            self.written.insert(register, Value { kind, name });
            return;
        }
        let stored = bits.max(32);
        let value = if kind == Kind::Varying {
            let name = self.text.value(format!("load {}, ptr {place}, align 4", integer(stored, true)));
            Value { kind, name }
        } else {
            // Of a lane that has executed.
            let lane = self.text.call("llvm.cttz.i32", "i32", &[("i32", lanes), ("i1", "false")]);
            let lane = self.text.value(format!("and i32 {lane}, {}", LANES - 1));
            let place = self.text.value(format!("getelementptr i{stored}, ptr {place}, i32 {lane}"));
            let name = self.text.value(format!("load i{stored}, ptr {place}"));
            Value { kind, name: self.without_pattern(name, kind, &lane, stored) }
        };
        let value = self.in_width(value, stored, bits);
        self.written.insert(register, value);
    }

    /// The base of a lane's value.
    fn without_pattern(&mut self, name: String, kind: Kind, lane: &str, bits: u32) -> String {
        let Kind::Pattern(number) = kind else { return name };
        let pattern = self.facts().patterns.get(number);
        let list = crate::text::constants(bits, pattern.iter().copied());
        let more = self.text.value(format!("extractelement {} {list}, i32 {lane}", integer(bits, true)));
        self.text.value(format!("sub i{bits} {name}, {more}"))
    }

    fn file_place(&mut self, register: RegisterId) -> String {
        let offset = self.plan.registers[register as usize];
        let offset = constant(32, false, offset.into());
        self.text.value(format!("getelementptr i8, ptr {}, i32 {offset}", self.file_pointer()))
    }
}
