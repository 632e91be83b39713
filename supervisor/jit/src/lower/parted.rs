//! The second world: lanes that have parted, and how they come together again.
//!
//! Each block has a word of lanes that wait for it (`%pending`); the lowest block with lanes runs, until all lanes are at one
//! place and registers are as the first world keeps them.

use std::mem::offset_of;

use interpreter::compiled::Place;
use ptx::RegisterId;

use super::{Lowering, Queue, Value, World};
use crate::graph::{End, Set};
use crate::kind::{Kind, LANES};
use crate::text::{constant, constants};

/// Turns of loops that lanes which have parted get.
const PATIENCE: u32 = 1 << 20;
/// Registers that are compared where lanes come together, to go on in the first world.
const MOST_COMPARED: usize = 8;

impl Lowering<'_> {
    /// From the first world to the second: lanes go two ways.
    pub(super) fn part(&mut self, word: &str, taken: Option<usize>, next: usize, queue: &mut Queue) {
        let rest = self.text.value(format!("xor i32 {word}, -1"));
        self.text.line(format!("store i32 {PATIENCE}, ptr %patience"));
        self.set_pending(next, &rest);
        if let Some(taken) = taken {
            self.set_pending(taken, word);
        }
        let mut live = self.graph.live_in[next].clone();
        taken.iter().for_each(|taken| live.add_all(&self.graph.live_in[*taken]));
        self.convert_variables(&live);
        let lower = taken.map_or(next, |taken| taken.min(next));
        let mask = if taken == Some(lower) { word.to_string() } else { rest };
        self.go_second(lower, &mask, queue);
    }

    /// From the first world to the second with all lanes, because a test forces it.
    pub(super) fn leave_first(&mut self, block: usize, queue: &mut Queue) {
        self.text.line(format!("store i32 {PATIENCE}, ptr %patience"));
        self.set_pending(block, "-1");
        let live = self.graph.live_in[block].clone();
        self.convert_variables(&live);
        queue.want(World::Second, block);
        let label = self.label(World::Second, block);
        self.text.line(format!("br label %{label}"));
    }

    /// Lanes of the block's last warp.
    pub(super) fn last_lanes(&self) -> u32 {
        match self.block_shape.iter().product::<u32>() % LANES as u32 {
            0 => u32::MAX,
            rest => (1 << rest) - 1,
        }
    }

    /// Whether the last warp is a part of one. Then any warp may lack lanes, those that have ended, also behind barriers.
    pub(super) fn has_parts(&self) -> bool {
        self.last_lanes() != u32::MAX
    }

    /// The beginning of a region, in kernels with parts of warps: a warp that lacks lanes begins in the second world.
    pub(super) fn begin_part(&mut self, entry: usize, whole: &str) {
        self.used.note("part of a warp");
        let place = self.lanes_of_warp();
        let lanes = if self.region == 0 {
            let warp = self.text.value("load i32, ptr %warp");
            let next = self.text.value(format!("add i32 {warp}, 1"));
            let last = self.text.value(format!("icmp eq i32 {next}, %count"));
            let part = constant(32, false, self.last_lanes().into());
            let lanes = self.text.value(format!("select i1 {last}, i32 {part}, i32 -1"));
            self.text.line(format!("store i32 {lanes}, ptr {place}"));
            lanes
        } else {
            self.text.value(format!("load i32, ptr {place}"))
        };
        let (all, part) = (self.text.value(format!("icmp eq i32 {lanes}, -1")), self.text.label());
        self.text.line(format!("br i1 {all}, label %{whole}, label %{part}"));
        self.text.begin(&part);
        self.text.line(format!("store i32 {PATIENCE}, ptr %patience"));
        self.set_pending(entry, &lanes);
        let live = self.graph.live_in[entry].clone();
        self.convert_variables(&live);
        let label = self.label(World::Second, entry);
        self.text.line(format!("br label %{label}"));
    }

    /// Where it says which lanes of the region's warp have not ended.
    fn lanes_of_warp(&mut self) -> String {
        let place = format!("getelementptr i8, ptr %place{}, i64 {}", self.region, offset_of!(Place, lanes));
        self.text.value(place)
    }

    /// Lets some of the lanes that have come to a block wait there for the others, if a test forces it.
    fn split(&mut self, block: usize, mask: String) -> String {
        let Some(ahead) = self.manner.forced.split(block) else { return mask };
        let ahead = self.text.value(format!("and i32 {mask}, {ahead}"));
        let none = self.text.value(format!("icmp eq i32 {ahead}, 0"));
        let ahead = self.text.value(format!("select i1 {none}, i32 {mask}, i32 {ahead}"));
        let rest = self.text.value(format!("xor i32 {mask}, {ahead}"));
        self.set_pending(block, &rest);
        ahead
    }

    /// Gives registers that the second world keeps as vectors their variables there.
    fn convert_variables(&mut self, live: &Set) {
        for register in self.kept_otherwise(live) {
            let (from, to) = (self.variable(World::First, register), self.variable(World::Second, register));
            let kind = self.first.facts.kinds[register as usize];
            let (bits, ty) = (self.bits(register), self.type_of(register, kind));
            let value = Value { kind, name: self.text.value(format!("load {ty}, ptr {from}")) };
            let name = if bits == 1 { self.word_of(&value) } else { self.shaped(&value, bits, true) };
            let ty = self.type_of(register, Kind::Varying);
            self.text.line(format!("store {ty} {name}, ptr {to}"));
        }
    }

    /// The beginning of a block in the second world: who runs it, and whether that is all lanes.
    pub(super) fn enter_second(&mut self, block: usize, queue: &mut Queue) {
        let mask = self.take_pending(block);
        let mask = self.split(block, mask);
        self.mask = Some(mask.clone());
        if self.is_loop_head(block) {
            self.spend_patience();
        }
        if self.manner.forced.leaves_first(block) {
            return;
        }
        let live = self.graph.live_in[block].clone();
        let others = self.kept_otherwise(&live);
        // Where nobody can wait elsewhere lanes are mostly all here, and it is worth a look whether registers are as before.
        let together = self.here().frontiers[block].iter().next().is_none();
        if !others.is_empty() && (!together || others.len() > MOST_COMPARED) {
            return;
        }
        self.used.note("back to the first world");
        queue.want(World::First, block);
        let (all, rest) = (self.text.value(format!("icmp eq i32 {mask}, -1")), self.text.label());
        let label = self.label(World::First, block);
        if others.is_empty() {
            self.text.line(format!("br i1 {all}, label %{label}, label %{rest}"));
        } else {
            let (test, back) = (self.text.label(), self.text.label());
            self.text.line(format!("br i1 {all}, label %{test}, label %{rest}"));
            self.text.begin(&test);
            let (alike, values) = self.as_in_first(&others, None);
            self.text.line(format!("br i1 {alike}, label %{back}, label %{rest}"));
            self.text.begin(&back);
            for (register, value) in values {
                let (ty, variable) =
                    (self.type_of(register, value.kind), self.variable(World::First, register));
                self.text.line(format!("store {ty} {}, ptr {variable}", value.name));
            }
            self.text.line(format!("br label %{label}"));
        }
        self.text.begin(&rest);
    }

    /// [`Lowering::enter_second`] in the narrow world, where only few lanes come.
    pub(super) fn enter_narrow(&mut self, block: usize) {
        let mask = self.take_pending(block);
        self.mask = Some(mask);
        if self.is_loop_head(block) {
            self.spend_patience();
        }
    }

    /// Registers of a set that the two worlds keep in different ways.
    fn kept_otherwise(&self, live: &Set) -> Vec<RegisterId> {
        let registers = live.iter().map(|register| register as RegisterId);
        registers
            .filter(|register| {
                let place = *register as usize;
                self.bits(*register) != 0 && self.first.facts.kinds[place] != self.second.facts.kinds[place]
            })
            .collect()
    }

    /// In the second world: whether lanes of some registers, all lanes or those of a mask, are as the first world keeps them, and
    /// what it would keep.
    fn as_in_first(
        &mut self,
        registers: &[RegisterId],
        lanes: Option<&str>,
    ) -> (String, Vec<(RegisterId, Value)>) {
        let mut alike = String::from("true");
        let mut values = Vec::new();
        for register in registers.iter().copied() {
            let kind = self.first.facts.kinds[register as usize];
            let value = self.register(register);
            if value.kind != Kind::Varying {
                // The first world knows nothing of it.
                return ("false".into(), Vec::new());
            }
            let bits = self.bits(register);
            let (same, name) = if bits == 1 {
                let held = self.of_lanes(value.name, lanes);
                let none = self.text.value(format!("icmp eq i32 {held}, 0"));
                let all = self.text.value(format!("icmp eq i32 {held}, {}", lanes.unwrap_or("-1")));
                (self.text.value(format!("or i1 {none}, {all}")), all)
            } else {
                self.base_of(&value.name, kind, bits, lanes)
            };
            alike = self.text.value(format!("and i1 {alike}, {same}"));
            values.push((register, Value { kind, name }));
        }
        (alike, values)
    }

    /// The bits of a word that are some lanes'.
    fn of_lanes(&mut self, word: String, lanes: Option<&str>) -> String {
        match lanes {
            Some(lanes) => self.text.value(format!("and i32 {word}, {lanes}")),
            None => word,
        }
    }

    /// Whether a vector is a base and what `kind` says of some of its lanes, and the base.
    fn base_of(&mut self, vector: &str, kind: Kind, bits: u32, lanes: Option<&str>) -> (String, String) {
        let ty = self.text.integer(bits, true);
        let pattern = self.facts().pattern(kind).unwrap_or([0; LANES]);
        let lane = match lanes {
            Some(lanes) => {
                let lane = self.text.call("llvm.cttz.i32", "i32", &[("i32", lanes), ("i1", "false")]);
                self.text.value(format!("and i32 {lane}, {}", LANES - 1))
            }
            None => "0".into(),
        };
        let table = constants(bits, pattern.into_iter());
        let [first, more] = [vector, &table]
            .map(|vector| self.text.value(format!("extractelement {ty} {vector}, i32 {lane}")));
        let base = self.text.value(format!("sub i{bits} {first}, {more}"));
        let expected = self.shaped(&Value { kind, name: base.clone() }, bits, true);
        let differ = self.text.value(format!("icmp ne {ty} {vector}, {expected}"));
        let word = self.word_of_bits(&differ);
        let word = self.of_lanes(word, lanes);
        (self.text.value(format!("icmp eq i32 {word}, 0")), base)
    }

    /// A barrier in the second world: if all lanes are here, and registers are as the first world keeps them, as there.
    fn meet_again(&mut self, next: usize) {
        let mask = self.mask.clone().unwrap_or("-1".into());
        let live = self.graph.live_in[next].clone();
        let parts = self.has_parts().then_some(mask.as_str());
        let all = match parts {
            // Whoever is not here has ended.
            Some(_) => {
                let waiting = self.waiting_elsewhere();
                self.text.value(format!("icmp eq i32 {waiting}, 0"))
            }
            None => self.text.value(format!("icmp eq i32 {mask}, -1")),
        };
        let others = self.kept_otherwise(&live);
        let (alike, values) = self.as_in_first(&others, parts);
        let fine = self.text.value(format!("and i1 {all}, {alike}"));
        let (together, stop) = (self.text.label(), self.text.label());
        self.text.line(format!("br i1 {fine}, label %{together}, label %{stop}"));
        self.text.begin(&stop);
        self.write_stop(self.at);
        self.text.begin(&together);
        if parts.is_some() {
            let place = self.lanes_of_warp();
            self.text.line(format!("store i32 {mask}, ptr {place}"));
        }
        self.written.extend(values);
        self.world = World::First;
        self.arrive(next);
        self.world = World::Second;
    }

    /// Whether lanes come to a block from behind it.
    fn is_loop_head(&self, block: usize) -> bool {
        self.graph.blocks[block..].iter().any(|behind| behind.successors().any(|next| next == block))
    }

    /// Lanes may wait for others in a loop, and only the interpreter gives each its turn.
    fn spend_patience(&mut self) {
        let left = self.text.value("load i32, ptr %patience");
        let less = self.text.value(format!("sub i32 {left}, 1"));
        self.text.line(format!("store i32 {less}, ptr %patience"));
        let some = self.text.value(format!("icmp ne i32 {left}, 0"));
        self.assume(&some);
    }

    pub(super) fn end_second(&mut self, queue: &mut Queue) {
        let mask = self.mask.clone().unwrap_or("-1".into());
        match self.graph.blocks[self.block].end {
            End::Jump(next) => {
                self.write_back();
                self.add_pending(next, &mask);
            }
            End::Exit => {}
            End::Stop => return self.write_stop(self.at),
            End::Barrier { next } => return self.meet_again(next),
            End::Branch { predicate, negated, taken, next } => {
                let condition = self.condition(predicate, negated);
                self.write_back();
                let word = self.word_of(&condition);
                let there = self.text.value(format!("and i32 {mask}, {word}"));
                let here = self.text.value(format!("xor i32 {mask}, {there}"));
                taken.iter().for_each(|taken| self.add_pending(*taken, &there));
                self.add_pending(next, &here);
            }
        }
        self.dispatch(queue);
    }

    /// Goes to the lowest block where lanes wait; if there is none, the warp has ended.
    fn dispatch(&mut self, queue: &mut Queue) {
        let block = self.block;
        let mut candidates: Vec<usize> = self.here().frontiers[block].iter().collect();
        candidates.extend(self.graph.blocks[block].successors());
        candidates.sort_unstable();
        candidates.dedup();
        for candidate in candidates {
            let place = self.pending(candidate);
            let mask = self.text.value(format!("load i32, ptr {place}"));
            let some = self.text.value(format!("icmp ne i32 {mask}, 0"));
            let (there, next) = (self.text.label(), self.text.label());
            self.text.line(format!("br i1 {some}, label %{there}, label %{next}"));
            self.text.begin(&there);
            if self.world == World::Narrow {
                self.leave_narrow(candidate, &mask, queue);
            } else {
                self.go_second(candidate, &mask, queue);
            }
            self.text.begin(&next);
        }
        self.warp_ended();
    }

    fn pending(&mut self, block: usize) -> String {
        self.text.value(format!("getelementptr i32, ptr %pending, i32 {block}"))
    }

    pub(super) fn set_pending(&mut self, block: usize, mask: &str) {
        let place = self.pending(block);
        self.text.line(format!("store i32 {mask}, ptr {place}"));
    }

    fn add_pending(&mut self, block: usize, mask: &str) {
        let place = self.pending(block);
        let old = self.text.value(format!("load i32, ptr {place}"));
        let all = self.text.value(format!("or i32 {old}, {mask}"));
        self.text.line(format!("store i32 {all}, ptr {place}"));
    }

    /// The lanes that wait for a block; then nobody does.
    pub(super) fn take_pending(&mut self, block: usize) -> String {
        let place = self.pending(block);
        let mask = self.text.value(format!("load i32, ptr {place}"));
        self.text.line(format!("store i32 0, ptr {place}"));
        mask
    }

    /// Lanes that wait elsewhere while the running block runs.
    pub(super) fn waiting_elsewhere(&mut self) -> String {
        let blocks: Vec<usize> = self.here().frontiers[self.block].iter().collect();
        let mut all = String::from("0");
        for block in blocks {
            let place = self.pending(block);
            let mask = self.text.value(format!("load i32, ptr {place}"));
            all = self.text.value(format!("or i32 {all}, {mask}"));
        }
        all
    }
}
