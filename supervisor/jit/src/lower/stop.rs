//! Stops: where code gives a warp to the interpreter, and the segments at whose beginning that is.

use std::mem::offset_of;

use interpreter::compiled::{Frame, Outcome, Stop};
use ptx::{Instruction, Op, RegisterId};

use super::{Lowering, Segment, World, aside};
use crate::graph::Set;
use crate::text::constant;

impl Lowering<'_> {
    /// Begins a segment before an instruction.
    pub(super) fn begin_segment(&mut self, start: usize) {
        self.segment = Segment { start, written: self.written.clone(), ..Segment::default() };
    }

    /// Begins another segment before an instruction.
    pub(super) fn next_segment(&mut self, start: usize) {
        self.close_segment();
        self.begin_segment(start);
    }

    /// Begins another segment if an instruction can't be done twice together with what has been done.
    pub(super) fn split_segment(&mut self, index: usize) {
        let instruction = &self.body.instructions[index];
        let (loads, stores) = self.effects(instruction);
        let segment = &self.segment;
        if loads && segment.stores || stores && segment.loads {
            self.next_segment(index);
        }
        self.segment.loads |= loads;
        self.segment.stores |= stores;
    }

    /// Goes to the segment's stop unless a condition (an `i1`) holds.
    pub(super) fn assume(&mut self, holds: &str) {
        debug_assert!(!self.recomputed.runs, "a region's beginning has no stop");
        if holds == "true" || self.assume_otherwise(holds) {
            return;
        }
        let stop = match &self.segment.label {
            Some(label) => label.clone(),
            None => {
                let label = self.text.label();
                self.segment.label = Some(label.clone());
                label
            }
        };
        let next = self.text.label();
        self.text.line(format!("br i1 {holds}, label %{next}, label %{stop}, !prof !1"));
        self.text.begin(&next);
    }

    /// Gives up now and then before an instruction, if a test forces it.
    pub(super) fn doubt(&mut self, index: usize) {
        let Some(seldom) = self.manner.forced.doubts(index) else { return };
        let dice = self.text.value("load i64, ptr %dice");
        let dice = self.text.value(format!("mul i64 {dice}, 6364136223846793005"));
        let dice = self.text.value(format!("add i64 {dice}, 1442695040888963407"));
        self.text.line(format!("store i64 {dice}, ptr %dice"));
        let high = self.text.value(format!("lshr i64 {dice}, {}", 64 - seldom));
        let goes_on = self.text.value(format!("icmp ne i64 {high}, 0"));
        self.assume(&goes_on);
    }

    /// Where what [`Lowering::doubt`] throws is kept: another one for each block and for each time that code is entered.
    pub(super) fn begin_doubts(&mut self) {
        let Some(seed) = self.manner.forced.stops else { return };
        self.text.line("%dice = alloca i64");
        let mut sum = constant(64, false, seed);
        for place in ["%index0", "%index1", "%index2", "%region", "%first"] {
            let number = self.text.value(format!("zext i32 {place} to i64"));
            let mixed = self.text.value(format!("add i64 {sum}, {number}"));
            sum = self.text.value(format!("mul i64 {mixed}, 6364136223846793005"));
        }
        self.text.line(format!("store i64 {sum}, ptr %dice"));
    }

    /// Ends a segment in the middle of a block.
    fn close_segment(&mut self) {
        if self.segment.label.is_some() {
            let next = self.text.label();
            self.text.line(format!("br label %{next}"));
            self.finish_segment();
            self.text.begin(&next);
        }
    }

    /// Writes the segment's stop, if anything leads there. What was written last must have been the end of a block.
    pub(super) fn finish_segment(&mut self) {
        let segment = std::mem::take(&mut self.segment);
        let Some(label) = segment.label else { return };
        self.text.begin(&label);
        let written = std::mem::replace(&mut self.written, segment.written);
        self.write_stop(segment.start);
        self.written = written;
    }

    /// Stores what the interpreter needs to go on before an instruction, and returns.
    pub(super) fn write_stop(&mut self, instruction: usize) {
        let mut live = self.graph.live_before(self.body, self.block, instruction);
        // Lanes that wait elsewhere have registers that these may not need any more.
        for block in self.here().frontiers[self.block].iter() {
            live.add_all(&self.graph.live_in[block]);
        }
        self.waiting.iter().for_each(|waiting| live.add_all(&self.graph.live_in[waiting.block]));
        for register in live.iter().map(|register| register as RegisterId) {
            // What the interpreter has from the start may not be written here yet: it would never get it back.
            if self.bits(register) != 0 && !self.plan.kept[register as usize] {
                self.store_out(register);
            }
        }
        let none = Set::new(self.body.register_count as usize);
        let spread = self.spread(self.world, &live, &none);
        self.stops.push(Stop { spread });
        let number = self.stops.len() - 1;
        let warp = self.text.value("load i32, ptr %warp");
        for (offset, value) in [
            (offset_of!(Frame, region), self.region.to_string()),
            (offset_of!(Frame, warp), warp),
            (offset_of!(Frame, stop), number.to_string()),
        ] {
            self.store_field(offset, &value);
        }
        self.write_fragments(instruction);
        let seen = self.text.value("load i64, ptr %seen");
        let place = self.field(offset_of!(Frame, seen));
        self.text.line(format!("store i64 {seen}, ptr {place}"));
        self.text.line(format!("ret i32 {}", Outcome::Stopped as u32));
    }

    /// The lanes that are at a stop, and those that wait elsewhere.
    fn write_fragments(&mut self, instruction: usize) {
        self.instructions.push(instruction as u32);
        let mut fragments = vec![(instruction, self.mask.clone().unwrap_or("-1".into()))];
        if self.world != World::First {
            let waiting: Vec<usize> = self.here().frontiers[self.block].iter().collect();
            for block in waiting {
                let mask = self.take_pending(block);
                let first = self.graph.blocks[block].instructions.start;
                self.instructions.push(first as u32);
                fragments.push((first, mask));
            }
        }
        if let Some(aside::Waiting { block, lanes }) = self.waiting.clone() {
            let first = self.graph.blocks[block].instructions.start;
            self.instructions.push(first as u32);
            fragments.push((first, lanes));
        }
        let start = offset_of!(Frame, fragment);
        for (place, (instruction, mask)) in fragments.iter().enumerate() {
            self.store_field(start + 8 * place, &instruction.to_string());
            self.store_field(start + 8 * place + 4, mask);
        }
        self.store_field(offset_of!(Frame, fragments), &fragments.len().to_string());
    }

    /// The address of a field of the frame.
    pub(super) fn field(&mut self, offset: usize) -> String {
        self.text.value(format!("getelementptr i8, ptr %frame, i64 {offset}"))
    }

    fn store_field(&mut self, offset: usize, value: &str) {
        let place = self.field(offset);
        self.text.line(format!("store i32 {value}, ptr {place}"));
    }

    /// Whether an instruction reads memory that may change, and whether it writes memory.
    fn effects(&self, instruction: &Instruction) -> (bool, bool) {
        use Op::*;
        let mnemonic = self.body.mnemonic(instruction);
        match mnemonic.op {
            Ld | Ldu => (!self.is_constant_load(instruction), false),
            St | Red => (false, true),
            Atom => (true, true),
            Ldmatrix => (true, false),
            Stmatrix => (false, true),
            Cp => (true, true),
            _ => (false, false),
        }
    }
}
