//! Passes: runs of instructions that happen to each lane by itself, done for a few lanes after the other.
//!
//! A processor with sixteen registers of eight lanes holds four values of a warp. Where a run of instructions needs more at once,
//! it is done in *passes*: all of it for the first lanes, then all of it for the next, in the order in which LLVM finds it. What
//! all lanes share, and what is the base of a pattern, is computed in the first pass, tests of addresses too.
//!
//! A run has no stores, so that it may be done again from its beginning where an assumption fails.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use ptx::{Op, RegisterId};

use super::narrow::is_lane_wise;
use super::{Lowering, Value, World, quads};
use crate::kind::{Kind, LANES};

/// Shorter runs are not worth it.
const SHORTEST: usize = 16;
/// Of so many instructions one may read what lanes share.
const SHARE: usize = 4;

/// The pass that is being lowered.
#[derive(Default)]
pub(super) struct Pass {
    /// What the run has written so far, of this pass's lanes.
    written: HashMap<RegisterId, Value>,
    /// Values of loads that were done with others of their group.
    fetched: HashMap<usize, Vec<String>>,
    /// Rows that registers were loaded from.
    pub rows: quads::Known,
}

/// What passes of a run have in common.
#[derive(Default)]
pub(super) struct Shared {
    /// Instructions that are done.
    done: HashSet<usize>,
    /// What was written for all lanes, and by which instruction.
    written: Vec<(usize, RegisterId, Value)>,
    /// Places that have been tested, by the load.
    tested: HashMap<usize, Value>,
}

impl Lowering<'_> {
    /// The runs of the block that are done in passes.
    pub(super) fn runs(&self) -> Vec<Range<usize>> {
        let block = self.graph.blocks[self.block].instructions.clone();
        let mut runs = Vec::new();
        let mut start = block.start;
        for index in block.clone() {
            if !self.is_passable(index) {
                runs.push(start..index);
                start = index + 1;
            }
        }
        runs.push(start..block.end);
        let forced = self.manner.forced.passes(self.block);
        runs.retain(|run| {
            !run.is_empty() && (forced || self.is_worth(run.clone()) && self.is_crowded(run.clone()))
        });
        runs
    }

    fn is_passable(&self, index: usize) -> bool {
        let (instruction, roles) = (&self.body.instructions[index], &self.graph.roles[index]);
        let mnemonic = self.body.mnemonic(instruction);
        // One whose ends tell enough is done once.
        let by_ends = mnemonic.op == Op::Setp
            && instruction.operands[1..3]
                .iter()
                .all(|operand| self.facts().operand(operand).kind != Kind::Varying);
        let plain = |register: &RegisterId| self.bits(*register) != 0 && !self.is_resident(*register);
        is_lane_wise(mnemonic)
            && mnemonic.op != Op::St
            && !by_ends
            && roles.reads.iter().chain(&roles.writes).all(plain)
    }

    /// Whether a run needs more vectors at once than the processor has registers.
    fn is_crowded(&self, run: Range<usize>) -> bool {
        let mut live = self.graph.live_before(self.body, self.block, run.end);
        let roles = run.clone().map(|index| &self.graph.roles[index]);
        let touched: HashSet<RegisterId> =
            roles.flat_map(|roles| roles.reads.iter().chain(&roles.writes).copied()).collect();
        let size = |register: usize| {
            let (kind, bits) = (self.facts().kinds[register], self.bits(register as RegisterId));
            let counts = kind == Kind::Varying && bits > 1 && touched.contains(&(register as RegisterId));
            if counts { bits.max(32) } else { 0 }
        };
        for index in run.rev() {
            let bits: u32 = live.iter().map(size).sum();
            if bits > self.manner.room {
                return true;
            }
            self.graph.step_back(self.body, index, &mut live);
        }
        false
    }

    /// Whether passes of a run would keep the processor busy, each by itself: enough instructions of which each lane has its own,
    /// no chain of them that is as long as all are in sum, and few that read what lanes share, which each pass would spread
    /// anew.
    fn is_worth(&self, run: Range<usize>) -> bool {
        let mut depths: HashMap<RegisterId, usize> = HashMap::new();
        let (mut count, mut deepest, mut shared) = (0, 0, 0);
        for index in run {
            let (instruction, roles) = (&self.body.instructions[index], &self.graph.roles[index]);
            if self.is_shared(index) {
                continue;
            }
            let mnemonic = self.body.mnemonic(instruction);
            let is_load = self.is_load(index);
            let latency = match mnemonic.op {
                Op::Ld | Op::Ldu | Op::Mov => 0,
                _ if mnemonic.types.iter().any(|ty| ty.is_float()) => 4,
                _ => 1,
            };
            let spread = |register: &&RegisterId| {
                let constant = self.plan.constants.contains_key(*register);
                !is_load && !constant && self.kind(**register) == Kind::Uniform
            };
            let before = roles.reads.iter().filter_map(|register| depths.get(register)).max();
            let depth = before.copied().unwrap_or(0) + latency;
            depths.extend(roles.writes.iter().map(|register| (*register, depth)));
            deepest = deepest.max(depth);
            shared += roles.reads.iter().filter(spread).count();
            count += 1;
        }
        count >= SHORTEST && deepest <= count && shared * SHARE <= count
    }

    /// Lowers a run in passes. False: that can't be, and nothing has been done.
    pub(super) fn in_passes(&mut self, run: Range<usize>) -> bool {
        self.next_segment(run.start);
        let (mark, segment, ahead) = (self.text.mark(), self.segment.clone(), self.ahead.clone());
        let before = (self.written.clone(), self.tested.clone(), self.quads.clone());
        let lanes = self.manner.pass;
        let mut passes = Vec::new();
        self.text.lanes = lanes;
        let mut done = self.first_pass(run.clone());
        for first in (0..LANES).step_by(lanes) {
            if !done {
                break;
            }
            self.written.clone_from(&before.0);
            self.first_lane = first;
            done = self.one_pass(run.clone());
            passes.extend(self.pass.take());
        }
        (self.text.lanes, self.first_lane, self.pass) = (LANES, 0, None);
        self.shared = Shared::default();
        if !done {
            self.text.back_to(mark);
            self.raw.clear();
            (self.written, self.tested, self.quads) = before;
            (self.segment, self.ahead) = (segment, ahead);
            return false;
        }
        self.used.note("passes");
        self.join(&run, passes);
        true
    }

    /// What is done once for all passes, with tests of all addresses that can be tested now, so that passes have no branches: LLVM
    /// would move what is computed before them behind them, and need registers for all that it is computed of.
    fn first_pass(&mut self, run: Range<usize>) -> bool {
        self.pass = Some(Pass::default());
        // Loads of which others that are done now need the result.
        let mut needed: HashSet<RegisterId> = HashSet::new();
        for index in run.clone().filter(|index| self.is_shared(*index) || self.is_load(*index)) {
            let guard = self.body.instructions[index].guard.map(|(register, _)| register);
            needed.extend(self.graph.roles[index].reads.iter().copied().chain(guard));
        }
        for index in run {
            self.at = index;
            self.split_segment(index);
            self.doubt(index);
            if self.is_load(index) && self.test_load(index).is_err() {
                return false;
            }
            let early = self.graph.roles[index].writes.iter().any(|register| needed.contains(register));
            if self.is_shared(index) && (early || !self.is_load(index)) {
                self.shared.done.insert(index);
                if self.instruction(index).is_err() {
                    return false;
                }
            }
        }
        true
    }

    fn one_pass(&mut self, run: Range<usize>) -> bool {
        let mut pass = Pass::default();
        for index in run.clone() {
            if let Some(values) = self.fetched.get(&index).cloned() {
                let bits = self.loaded_bits(index);
                let values = values.iter().map(|name| self.lanes_of_pass(name, bits)).collect();
                pass.fetched.insert(index, values);
            }
        }
        self.pass = Some(pass);
        for index in run {
            self.at = index;
            if self.is_shared(index) && (self.first_lane > 0 || self.shared.done.contains(&index)) {
                let known = self.shared.written.iter().filter(|(at, ..)| *at == index);
                self.written.extend(known.map(|(_, register, value)| (*register, value.clone())));
                continue;
            }
            if self.instruction(index).is_err() {
                return false;
            }
        }
        true
    }

    /// Whether all lanes share what an instruction writes, or its base.
    fn is_shared(&self, index: usize) -> bool {
        let writes = &self.graph.roles[index].writes;
        writes.iter().all(|register| self.kind(*register) != Kind::Varying)
    }

    fn is_load(&self, index: usize) -> bool {
        matches!(self.body.mnemonic(&self.body.instructions[index]).op, Op::Ld | Op::Ldu)
    }

    /// Bits of what a load gives, before it is extended.
    fn loaded_bits(&self, index: usize) -> u32 {
        let mnemonic = self.body.mnemonic(&self.body.instructions[index]);
        mnemonic.ty().map_or(32, |ty| 8 * ty.size())
    }

    /// The lanes of a pass from a vector of all.
    fn lanes_of_pass(&mut self, name: &str, bits: u32) -> String {
        let whole = format!("<{LANES} x i{bits}>");
        let lanes = self.first_lane..self.first_lane + self.text.lanes;
        self.text.shuffle(&whole, name, "poison", lanes.map(Some))
    }

    /// What the run has written, put together.
    fn join(&mut self, run: &Range<usize>, passes: Vec<Pass>) {
        let lanes = self.manner.pass;
        let live = self.graph.live_before(self.body, self.block, run.end);
        let mut registers: Vec<RegisterId> = passes[0].written.keys().copied().collect();
        registers.retain(|register| live.has(*register as usize));
        registers.sort_unstable();
        for register in registers {
            let parts = passes.iter().map(|pass| pass.written[&register].name.clone());
            let name = match self.bits(register) {
                1 => self.joined_words(parts.collect()),
                bits => self.text.joined(parts.collect(), lanes, bits),
            };
            self.written.insert(register, Value { kind: Kind::Varying, name });
        }
        for (registers, rows) in &passes[0].rows {
            let others = passes[1..].iter().map(|pass| pass.rows.get(registers));
            if let Some(others) = others.collect::<Option<Vec<_>>>() {
                let all = rows.iter().chain(others.into_iter().flatten()).cloned().collect();
                self.quads.insert(registers.clone(), all);
            }
        }
        let mut later: Vec<usize> = passes[0].fetched.keys().copied().collect();
        later.retain(|load| *load >= run.end);
        later.sort_unstable();
        for load in later {
            let bits = self.loaded_bits(load);
            let values = (0..passes[0].fetched[&load].len()).map(|element| {
                let parts = passes.iter().map(|pass| pass.fetched[&load][element].clone()).collect();
                self.text.joined(parts, lanes, bits)
            });
            let values = values.collect();
            self.fetched.insert(load, values);
        }
    }

    /// A predicate's word from each pass's, of which only that one's lanes count.
    fn joined_words(&mut self, words: Vec<String>) -> String {
        let lanes = self.manner.pass;
        let mut all = String::from("0");
        for (number, word) in words.iter().enumerate() {
            let own = ((1u64 << lanes) - 1) << (number * lanes);
            let part = self.text.value(format!("and i32 {word}, {}", own as u32 as i32));
            all = self.text.value(format!("or i32 {all}, {part}"));
        }
        all
    }

    /// A register's value in a pass: what the run has written, or the pass's lanes of what there was.
    pub(super) fn register_in_pass(&mut self, register: RegisterId) -> Option<Value> {
        let pass = self.pass.as_ref()?;
        if let Some(value) = pass.written.get(&register) {
            return Some(value.clone());
        }
        let value = self.on_all_lanes(|this| this.whole(register));
        let bits = self.bits(register);
        if value.kind != Kind::Varying || bits == 1 {
            return Some(value);
        }
        Some(Value { name: self.lanes_of_pass(&value.name, bits), ..value })
    }

    /// Remembers what a register has from now on: in a pass, what varies is the pass's own.
    pub(super) fn keep(&mut self, register: RegisterId, value: Value) {
        match &mut self.pass {
            Some(pass) if value.kind == Kind::Varying => {
                pass.written.insert(register, value);
            }
            Some(_) => {
                self.shared.written.push((self.at, register, value.clone()));
                self.written.insert(register, value);
            }
            None => {
                self.written.insert(register, value);
            }
        }
    }

    /// Values of a load that was done with others, in a pass the pass's own.
    pub(super) fn known_fetched(&self, load: usize) -> Option<Vec<String>> {
        self.pass.as_ref().map_or(&self.fetched, |pass| &pass.fetched).get(&load).cloned()
    }

    pub(super) fn keep_fetched(&mut self, load: usize, values: Vec<String>) {
        self.pass.as_mut().map_or(&mut self.fetched, |pass| &mut pass.fetched).insert(load, values);
    }

    /// The real place of a load that has been tested in an earlier pass.
    pub(super) fn tested_before(&self) -> Option<Value> {
        self.pass.as_ref()?;
        self.shared.tested.get(&self.at).cloned()
    }

    /// Remembers the real place of a load for the passes to come, if all lanes were tested.
    pub(super) fn keep_tested(&mut self, place: &Value) {
        if self.pass.is_some() && place.kind != Kind::Varying {
            self.shared.tested.insert(self.at, place.clone());
        }
    }

    /// The pattern of a kind, of all lanes that a test is for: in a pass those of the others too.
    pub(super) fn pattern_tested(&self, kind: Kind) -> Vec<i64> {
        let pattern = self.facts().pattern(kind).unwrap_or([0; LANES]);
        let lanes = if self.world == World::Narrow { self.text.lanes } else { LANES };
        pattern[..lanes].to_vec()
    }
}
