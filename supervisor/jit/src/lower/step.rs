//! Instructions that the interpreter does for code, one at a time.
//!
//! What has no code of its own, and sends no lane elsewhere, is done by the interpreter's own operation: its registers are put
//! where that finds them, it is called for the lanes that execute, and its results are taken from there.

use interpreter::compiled::Outcome;
use ptx::{Modifier, Op, RegisterId, Roles};

use super::{Lowering, Value};
use crate::kind::{Kind, LANES};
use crate::text::constants;

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
        let roles = &self.graph.roles[index];
        let matrices =
            matches!(mnemonic.op, Op::Mma | Op::Wmma | Op::Ldmatrix | Op::Stmatrix | Op::Movmatrix);
        // All lanes are there.
        let met = matrices && self.mask.is_none() && instruction.guard.is_none();
        (!waits || met)
            && !odd
            && !polls
            && roles.reads.iter().chain(&roles.writes).all(|register| self.bits(*register) != 0)
    }

    /// Whether lanes can come back to the running block.
    pub(super) fn is_in_loop(&self) -> bool {
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
        let Roles { reads, writes } = &self.graph.roles[index];
        let partly = self.mask.is_some() || instruction.guard.is_some();
        let old = writes.iter().filter(|_| partly);
        let guard = instruction.guard.map(|(register, _)| register);
        // What the interpreter has from the start it keeps: it does not do the write again.
        let given = reads.iter().chain(old).copied().chain(guard);
        for register in given.filter(|register| !self.plan.kept[*register as usize]) {
            let value = self.register(register);
            self.store_lanes(register, &value);
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
            self.take_back(*register, &lanes);
        }
        // It may not be done twice.
        self.next_segment(index + 1);
    }

    /// Takes a register from where the interpreter has its lanes.
    fn take_back(&mut self, register: RegisterId, lanes: &str) {
        let kind = self.kind(register);
        let name = match (kind, self.bits(register)) {
            (Kind::Varying, _) => self.load_lanes(register),
            (_, 1) => {
                let word = self.load_lanes(register);
                let held = self.text.value(format!("and i32 {word}, {lanes}"));
                self.text.value(format!("icmp ne i32 {held}, 0"))
            }
            (_, bits) => self.load_base(register, kind, lanes, bits),
        };
        self.write(register, Value { kind, name });
    }

    /// What all lanes share of a register, from a lane that has executed.
    fn load_base(&mut self, register: RegisterId, kind: Kind, lanes: &str, bits: u32) -> String {
        let stored = bits.max(32);
        let lane = self.text.call("llvm.cttz.i32", "i32", &[("i32", lanes), ("i1", "false")]);
        let lane = self.text.value(format!("and i32 {lane}, {}", LANES - 1));
        let place = self.file_place(register);
        let place = self.text.value(format!("getelementptr i{stored}, ptr {place}, i32 {lane}"));
        let mut name = self.text.value(format!("load i{stored}, ptr {place}"));
        if let Kind::Pattern(number) = kind {
            let list =
                constants(stored, self.facts().patterns.get(number).iter().take(self.text.lanes).copied());
            let more = self
                .text
                .value(format!("extractelement {} {list}, i32 {lane}", self.text.integer(stored, true)));
            name = self.text.value(format!("sub i{stored} {name}, {more}"));
        }
        self.in_width(Value { kind, name }, stored, bits).name
    }
}
