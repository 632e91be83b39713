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

use super::abreast::Part;
use super::narrow::is_lane_wise;
use super::{Lowering, Value, World, quads};
use crate::kind::{Kind, LANES};

/// Shorter runs are not worth it.
pub(super) const SHORTEST: usize = 16;
/// Of so many instructions one may read what lanes share.
const SHARE: usize = 4;

/// Bits of the processor's registers, of 16 of 256 bits, and of 32 of 512; and what passes may fill of them with what is alive.
const REGISTERS: [usize; 2] = [16 * 256, 32 * 512];
const FILLED: [usize; 2] = [13 * 256, 28 * 512];

/// Instructions that are done in passes.
pub(super) struct Run {
    pub range: Range<usize>,
    pub order: Order,
}

impl Run {
    pub fn is_rolled(&self) -> bool {
        matches!(self.order, Order::Rolled(_))
    }
}

/// How passes follow each other.
pub(super) enum Order {
    /// Each does all of the run.
    Whole,
    /// Each does a part of it before the next part (`abreast`).
    Abreast(Vec<Part>),
    /// As a loop, of so many lanes each.
    Rolled(usize),
}

/// What a pass has done so far, while others have their turn.
#[derive(Default)]
struct Paused {
    pass: Pass,
    written: HashMap<RegisterId, Value>,
}

/// What there is to do in a run.
struct Work {
    /// Instructions of which each lane has its own.
    count: usize,
    /// Of these, loads.
    loads: usize,
    /// The longest chain of them that wait for each other, in the processor's turns.
    deepest: usize,
    /// How often they read what all lanes share.
    shared: usize,
}

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

impl Pass {
    pub fn written(&self, register: RegisterId) -> Option<Value> {
        self.written.get(&register).cloned()
    }

    pub fn into_written(self) -> HashMap<RegisterId, Value> {
        self.written
    }
}

impl Lowering<'_> {
    /// The runs of the block that are done in passes.
    pub(super) fn runs(&self) -> Vec<Run> {
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
        runs.into_iter().filter_map(|range| self.as_passes(range)).collect()
    }

    /// A run, if it is done in passes.
    fn as_passes(&self, range: Range<usize>) -> Option<Run> {
        let order = if self.manner.forced.passes(self.block) {
            self.forced_order(range.clone())
        } else if !self.is_crowded(range.clone()) {
            self.as_rolled(range.clone())?
        } else if self.is_worth(range.clone()) {
            Order::Whole
        } else {
            self.as_rolled(range.clone()).or_else(|| self.parts(range.clone()).map(Order::Abreast))?
        };
        (!range.is_empty()).then_some(Run { range, order })
    }

    fn as_rolled(&self, range: Range<usize>) -> Option<Order> {
        let lanes = self.lanes_of_rolled(range.clone())?;
        self.can_be_rolled(&range, lanes).then_some(Order::Rolled(lanes))
    }

    fn forced_order(&self, range: Range<usize>) -> Order {
        let lanes = self.manner.pass;
        if self.manner.forced.rolled(self.block) && self.can_be_rolled(&range, lanes) {
            return Order::Rolled(lanes);
        }
        self.parts(range).map_or(Order::Whole, Order::Abreast)
    }

    fn can_be_rolled(&self, range: &Range<usize>, lanes: usize) -> bool {
        self.world == World::First && self.is_rollable(range, lanes)
    }

    /// How many lanes each pass of some instructions should have, if passes are a loop, and if that pays: as many as registers
    /// have room for. What all lanes share is read by each pass anew, so that loads must not come to much more than the rest.
    pub(super) fn lanes_of_rolled(&self, run: Range<usize>) -> Option<usize> {
        let work = self.work(run.clone());
        let live = if work.count < SHORTEST { 0 } else { self.most_alive(run) as usize };
        let least = self.manner.pass;
        let kind = usize::from(least > 8);
        if live * LANES <= REGISTERS[kind] {
            return None;
        }
        let lanes = if 2 * least < LANES && live * 2 * least <= FILLED[kind] { 2 * least } else { least };
        let (vectors, passes) = (LANES / least, LANES / lanes);
        let busy = work.deepest * least <= work.count * lanes;
        let loads = work.loads * vectors + work.shared * passes;
        (busy && loads <= 2 * (work.count - work.loads) * vectors).then_some(lanes)
    }

    fn is_passable(&self, index: usize) -> bool {
        let (instruction, roles) = (&self.body.instructions[index], &self.graph.roles[index]);
        let mnemonic = self.body.mnemonic(instruction);
        // One whose ends tell enough is done once.
        let by_ends = mnemonic.op == Op::Setp
            && instruction.operands[1..3]
                .iter()
                .all(|operand| self.facts().operand(operand).kind != Kind::Varying);
        is_lane_wise(mnemonic)
            && mnemonic.op != Op::St
            && !by_ends
            && roles.reads.iter().chain(&roles.writes).all(|register| self.is_plain(*register))
    }

    /// Whether a register is one that passes can have.
    pub(super) fn is_plain(&self, register: RegisterId) -> bool {
        self.bits(register) != 0 && (!self.is_resident(register) || self.taken.contains(&register))
    }

    /// Whether a run needs more vectors at once than the processor has registers.
    fn is_crowded(&self, run: Range<usize>) -> bool {
        self.most_alive(run) > self.manner.room
    }

    /// Bits of each lane that are alive at once in a run, at most, of what it touches.
    fn most_alive(&self, run: Range<usize>) -> u32 {
        self.alive_behind(run).into_iter().max().unwrap_or(0)
    }

    /// The same behind each of its instructions.
    pub(super) fn alive_behind(&self, run: Range<usize>) -> Vec<u32> {
        let mut live = self.graph.live_before(self.body, self.block, run.end);
        let roles = run.clone().map(|index| &self.graph.roles[index]);
        let touched: HashSet<RegisterId> =
            roles.flat_map(|roles| roles.reads.iter().chain(&roles.writes).copied()).collect();
        let size = |register: usize| {
            let (kind, bits) = (self.facts().kinds[register], self.bits(register as RegisterId));
            let counts = kind == Kind::Varying && bits > 1 && touched.contains(&(register as RegisterId));
            if counts { bits.max(32) } else { 0 }
        };
        let mut alive = Vec::new();
        for index in run.rev() {
            alive.push(live.iter().map(size).sum());
            self.graph.step_back(self.body, index, &mut live);
        }
        alive.reverse();
        alive
    }

    /// Whether passes of a run would keep the processor busy, each by itself: enough instructions of which each lane has its own,
    /// no chain of them that is as long as all are in sum, and few that read what lanes share, which each pass would spread
    /// anew.
    fn is_worth(&self, run: Range<usize>) -> bool {
        let Work { count, deepest, shared, .. } = self.work(run);
        count >= SHORTEST && deepest <= count && shared * SHARE <= count
    }

    fn work(&self, run: Range<usize>) -> Work {
        let mut depths: HashMap<RegisterId, usize> = HashMap::new();
        let (mut count, mut loads, mut deepest, mut shared) = (0, 0, 0, 0);
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
            loads += usize::from(is_load);
            count += 1;
        }
        Work { count, loads, deepest, shared }
    }

    /// Lowers a run in passes. False: that can't be, and nothing has been done.
    pub(super) fn in_passes(&mut self, run: &Run) -> bool {
        self.next_segment(run.range.start);
        let range = run.range.clone();
        let parts = match &run.order {
            Order::Rolled(lanes) => return self.in_rolled_passes(range, *lanes),
            Order::Whole => vec![Part::whole(range.clone())],
            Order::Abreast(parts) => parts.clone(),
        };
        let (mark, segment, ahead) = (self.text.mark(), self.segment.clone(), self.ahead.clone());
        let before = (self.written.clone(), self.tested.clone(), self.quads.clone());
        self.text.lanes = self.manner.pass;
        let passes = match self.first_pass(range.clone()) {
            true => self.passes(&range, &parts, &before.0),
            false => None,
        };
        (self.text.lanes, self.first_lane, self.pass) = (LANES, 0, None);
        self.shared = Shared::default();
        let Some(passes) = passes else {
            self.back_to(mark);
            (self.written, self.tested, self.quads) = before;
            (self.segment, self.ahead) = (segment, ahead);
            return false;
        };
        self.used.note(if parts.len() > 1 { "passes abreast" } else { "passes" });
        self.join(&range, passes);
        true
    }

    /// The passes, with what was written before the run; all do each part before the next part.
    fn passes(
        &mut self,
        run: &Range<usize>,
        parts: &[Part],
        before: &HashMap<RegisterId, Value>,
    ) -> Option<Vec<Pass>> {
        let lanes = self.manner.pass;
        let mut paused: Vec<Paused> = (0..LANES / lanes).map(|_| Paused::default()).collect();
        for part in parts {
            for (number, paused) in paused.iter_mut().enumerate() {
                self.first_lane = number * lanes;
                self.written = std::mem::take(&mut paused.written);
                self.pass = Some(std::mem::take(&mut paused.pass));
                if part.range.start == run.start {
                    self.written.clone_from(before);
                    self.begin_pass(run.clone());
                }
                if !self.go_on_with_pass(part.range.clone()) {
                    return None;
                }
                self.settle(part);
                paused.pass = self.pass.take().unwrap_or_default();
                paused.written = std::mem::take(&mut self.written);
            }
        }
        self.written.clone_from(&paused.last()?.written);
        Some(paused.into_iter().map(|paused| paused.pass).collect())
    }

    /// [`Lowering::in_passes`] in a loop.
    fn in_rolled_passes(&mut self, run: Range<usize>, lanes: usize) -> bool {
        let (mark, segment, ahead) = (self.text.mark(), self.segment.clone(), self.ahead.clone());
        let before = (self.written.clone(), self.tested.clone(), self.quads.clone());
        self.text.lanes = lanes;
        let mut done = self.first_pass(run.clone());
        if done {
            self.text.lanes = LANES;
            self.pass = None;
            self.store_for_passes(&run);
            self.written.clone_from(&before.0);
            self.begin_rolled(lanes, HashSet::new());
            self.begin_pass(run.start..run.start);
            done = self.go_on_with_pass(run.clone());
        }
        let pass = self.pass.take().unwrap_or_default();
        self.shared = Shared::default();
        if !done {
            self.rolled = None;
            self.text.lanes = LANES;
            self.back_to(mark);
            (self.written, self.tested, self.quads) = before;
            (self.segment, self.ahead) = (segment, ahead);
            return false;
        }
        self.used.note("passes in a loop");
        let live = self.graph.live_before(self.body, self.block, run.end);
        let mut results: Vec<(RegisterId, Value)> = pass.written.into_iter().collect();
        results.sort_by_key(|(register, _)| *register);
        for (register, value) in results {
            if live.has(register as usize) {
                self.put_lanes(register, &value.name);
            }
            self.written.remove(&register);
        }
        self.end_rolled();
        // Registers are not any more what they were at the segment's beginning.
        self.next_segment(run.end);
        true
    }

    /// Stores registers where passes take their lanes from.
    fn store_for_passes(&mut self, run: &Range<usize>) {
        let mut registers: Vec<RegisterId> =
            run.clone().flat_map(|index| self.graph.roles[index].reads.iter().copied()).collect();
        // A guarded instruction leaves the old value to some lanes.
        registers.extend(run.clone().flat_map(|index| self.graph.roles[index].writes.iter().copied()));
        registers.sort_unstable();
        registers.dedup();
        for register in registers {
            let Some(value) = self.written.get(&register).cloned() else { continue };
            if self.is_resident(register) {
                self.store_lanes(register, &value);
            } else if value.kind == Kind::Varying && self.bits(register) > 1 {
                let (name, ty) = (value.name, self.type_of(register, Kind::Varying));
                let variable = self.variable(World::First, register);
                self.text.line(format!("store {ty} {name}, ptr {variable}"));
            }
        }
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

    /// Begins a pass, with its lanes of what was fetched of these loads before.
    fn begin_pass(&mut self, loads: Range<usize>) {
        let mut pass = Pass::default();
        for index in loads {
            if let Some(values) = self.fetched.get(&index).cloned() {
                let bits = self.loaded_bits(index);
                let values = values.iter().map(|name| self.lanes_of_pass(name, bits)).collect();
                pass.fetched.insert(index, values);
            }
        }
        self.pass = Some(pass);
    }

    fn go_on_with_pass(&mut self, part: Range<usize>) -> bool {
        for index in part {
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

    pub(super) fn is_load(&self, index: usize) -> bool {
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
        if let Some(rolled) = &self.rolled {
            let own = rolled.carries(register) || self.kind(register) != Kind::Varying;
            return Some(if own { self.whole(register) } else { self.take_lanes(register) });
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
