//! Which runs of instructions are done in passes (`passes`), and in which order.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use ptx::{Op, RegisterId};

use super::abreast::Part;
use super::narrow::is_lane_wise;
use super::{Lowering, World};
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

/// What there is to do in a run.
pub(super) struct Work {
    /// Instructions of which each lane has its own.
    count: usize,
    /// Of these, loads.
    loads: usize,
    /// The longest chain of them that wait for each other, in the processor's turns.
    deepest: usize,
    /// How often they read what all lanes share.
    shared: usize,
    /// See [`Lowering::alive_behind`].
    alive: Vec<u32>,
}

impl Work {
    fn most_alive(&self) -> u32 {
        self.alive.iter().copied().max().unwrap_or(0)
    }

    /// Whether passes would keep the processor busy, each by itself: enough instructions of which each lane has its own, no chain
    /// of them that is as long as all are in sum, and few that read what lanes share, which each pass would spread anew.
    fn keeps_busy(&self) -> bool {
        self.count >= SHORTEST && self.deepest <= self.count && self.shared * SHARE <= self.count
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
        } else {
            self.order(&range)?
        };
        (!range.is_empty()).then_some(Run { range, order })
    }

    fn order(&self, range: &Range<usize>) -> Option<Order> {
        let work = self.work(range.clone());
        let rolled = || {
            let lanes = self.lanes_of_rolled(&work)?;
            self.can_be_rolled(range, lanes).then_some(Order::Rolled(lanes))
        };
        let is_crowded = work.most_alive() > self.manner.room;
        if is_crowded && work.keeps_busy() {
            return Some(Order::Whole);
        }
        let abreast = || self.parts(range.clone(), &work.alive).filter(|_| is_crowded).map(Order::Abreast);
        rolled().or_else(abreast)
    }

    fn forced_order(&self, range: Range<usize>) -> Order {
        let lanes = self.manner.pass;
        if self.manner.forced.rolled(self.block) && self.can_be_rolled(&range, lanes) {
            return Order::Rolled(lanes);
        }
        let alive = self.alive_behind(range.clone());
        self.parts(range, &alive).map_or(Order::Whole, Order::Abreast)
    }

    fn can_be_rolled(&self, range: &Range<usize>, lanes: usize) -> bool {
        self.world == World::First && self.is_rollable(range, lanes)
    }

    /// How many lanes each pass of some instructions should have, if passes are a loop, and if that pays: as many as registers
    /// have room for. What all lanes share is read by each pass anew, so that loads must not come to much more than the rest.
    pub(super) fn lanes_of_rolled(&self, work: &Work) -> Option<usize> {
        let live = if work.count < SHORTEST { 0 } else { work.most_alive() as usize };
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
            && !self.mixes(index)
            && roles.reads.iter().chain(&roles.writes).all(|register| self.is_plain(*register))
    }

    /// Whether an instruction has to do with what each lane has and writes what all share, which passes compute before all else: a
    /// load of several registers, of which one varies elsewhere.
    fn mixes(&self, index: usize) -> bool {
        let roles = &self.graph.roles[index];
        let varies = |register: &RegisterId| self.kind(*register) == Kind::Varying;
        !roles.writes.iter().all(varies) && roles.reads.iter().chain(&roles.writes).any(varies)
    }

    /// Whether a register is one that passes can have.
    pub(super) fn is_plain(&self, register: RegisterId) -> bool {
        self.bits(register) != 0 && (!self.is_resident(register) || self.taken.contains(&register))
    }

    /// Bits of each lane that are alive behind each instruction of a run, of what it touches.
    fn alive_behind(&self, run: Range<usize>) -> Vec<u32> {
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

    pub(super) fn work(&self, run: Range<usize>) -> Work {
        let alive = self.alive_behind(run.clone());
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
        Work { count, loads, deepest, shared, alive }
    }

    /// Whether all lanes share what an instruction writes, or its base.
    pub(super) fn is_shared(&self, index: usize) -> bool {
        let writes = &self.graph.roles[index].writes;
        writes.iter().all(|register| self.kind(*register) != Kind::Varying)
    }

    pub(super) fn is_load(&self, index: usize) -> bool {
        matches!(self.body.mnemonic(&self.body.instructions[index]).op, Op::Ld | Op::Ldu)
    }
}
