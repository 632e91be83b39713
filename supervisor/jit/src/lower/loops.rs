//! Loops in passes: what a loop carries from turn to turn for some of the lanes stays in registers, where that of all lanes would not.
//!
//! A block that follows itself is done for the first lanes to its end, then for the next (`rolled`). That is no difference to anyone
//! where lanes have nothing to do with each other, nothing is stored, and all lanes go round as often, which must not depend on
//! what the loop loads: another block might write it meanwhile, and addresses are tested, but not again by each pass.
//! What all lanes share is computed by each pass anew.
//!
//! An assumption that fails leads to a stop before the loop: until all passes are done, registers are as they were there.

use std::collections::HashSet;

use ptx::RegisterId;

use super::memory::{Room, room};
use super::narrow::is_lane_wise;
use super::passes::Pass;
use super::{Lowering, Queue, World};
use crate::graph::{End, Set};
use crate::kind::Kind;

/// How a block that follows itself ends.
#[derive(Clone, Copy)]
struct Turn {
    predicate: RegisterId,
    negated: bool,
    /// Whether lanes go round where the predicate holds.
    again_if: bool,
    exit: usize,
}

impl Lowering<'_> {
    fn turn_of(&self, block: usize) -> Option<Turn> {
        match self.graph.blocks[block].end {
            End::Branch { predicate, negated, taken: Some(taken), next } if taken != next => {
                let turn = |again_if, exit| Turn { predicate, negated, again_if, exit };
                match (taken == block, next == block) {
                    (true, false) => Some(turn(true, next)),
                    (false, true) => Some(turn(false, taken)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Whether the block is a loop that is done in passes.
    pub(super) fn is_loop_in_passes(&self) -> bool {
        self.turn_of(self.block).is_some_and(|turn| self.lanes_of_loop(turn).is_some())
    }

    /// Lowers the block in passes, if it is a loop for which that can be done, and pays.
    pub(super) fn loop_in_passes(&mut self, queue: &mut Queue) -> bool {
        let Some(turn) = self.turn_of(self.block) else { return false };
        let Some(lanes) = self.lanes_of_loop(turn) else { return false };
        let (mark, segment) = (self.text.mark(), self.segment.clone());
        let range = self.graph.blocks[self.block].instructions.clone();
        self.doubt(range.start);
        self.segment.loads = true;
        let written: HashSet<RegisterId> =
            range.clone().flat_map(|index| self.graph.roles[index].writes.iter().copied()).collect();
        let mut carried: Vec<RegisterId> = written.iter().copied().collect();
        carried.sort_unstable();
        self.begin_rolled(lanes, written);
        let live = self.graph.live_in[self.block].clone();
        self.enter_pass(&carried, &live);
        let (again, over) = (self.text.label(), self.text.label());
        self.text.line(format!("br label %{again}"));
        self.text.begin(&again);
        self.pass = Some(Pass::default());
        for index in range {
            self.at = index;
            if self.instruction(index).is_err() {
                self.end_pass();
                self.back_to(mark);
                self.segment = segment;
                return false;
            }
        }
        self.used.note("loop in passes");
        self.at = self.graph.blocks[self.block].end_at;
        let condition = self.condition(turn.predicate, turn.negated).name;
        self.written.extend(self.pass.take().into_iter().flat_map(Pass::into_written));
        self.write_back();
        self.written.clear();
        self.fetch_ahead();
        let (yes, no) = if turn.again_if { (&again, &over) } else { (&over, &again) };
        self.text.line(format!("br i1 {condition}, label %{yes}, label %{no}"));
        self.text.begin(&over);
        let live = self.graph.live_in[turn.exit].clone();
        self.leave_pass(&carried, &live);
        self.end_pass();
        self.go_first(turn.exit, queue);
        self.finish_segment();
        true
    }

    /// Gives what the loop changes its variables: a pass's lanes, and what all lanes share.
    fn enter_pass(&mut self, carried: &[RegisterId], live: &Set) {
        for register in carried.iter().copied().filter(|register| live.has(*register as usize)) {
            let kind = self.kind(register);
            let ty = self.type_of(register, kind);
            let name = if kind == Kind::Varying {
                self.take_lanes(register).name
            } else {
                let all = self.variable_of_warp(World::First, register);
                self.text.value(format!("load {ty}, ptr {all}"))
            };
            let own = self.variable(World::First, register);
            self.text.line(format!("store {ty} {name}, ptr {own}"));
        }
        let lanes = self.text.lanes;
        self.pass_variables.extend(carried.iter().map(|register| (*register, lanes)));
    }

    /// Puts a pass's lanes back; behind the last pass also what all lanes share.
    fn leave_pass(&mut self, carried: &[RegisterId], live: &Set) {
        let needed = carried.iter().copied().filter(|register| live.has(*register as usize));
        let (vary, shared): (Vec<_>, Vec<_>) =
            needed.partition(|register| self.kind(*register) == Kind::Varying);
        let load = |this: &mut Self, register| {
            let (ty, own) =
                (this.type_of(register, this.kind(register)), this.variable(World::First, register));
            this.text.value(format!("load {ty}, ptr {own}"))
        };
        for register in vary {
            let name = load(self, register);
            self.put_lanes(register, &name);
        }
        let values: Vec<String> = shared.iter().map(|register| load(self, *register)).collect();
        self.end_rolled();
        for (register, name) in shared.into_iter().zip(values) {
            let (ty, all) =
                (self.type_of(register, self.kind(register)), self.variable_of_warp(World::First, register));
            self.text.line(format!("store {ty} {name}, ptr {all}"));
        }
    }

    /// Whatever became of the passes, the next instructions are for all lanes.
    fn end_pass(&mut self) {
        (self.pass, self.rolled) = (None, None);
        self.text.lanes = crate::kind::LANES;
        self.shared = super::passes::Shared::default();
        self.written.clear();
        self.tested.clear();
        self.fetched.clear();
        self.halves.clear();
        self.quads.clear();
    }

    /// How many lanes the passes of a loop should have, if it is to be done in passes.
    fn lanes_of_loop(&self, turn: Turn) -> Option<usize> {
        let range = self.graph.blocks[self.block].instructions.clone();
        let fits = self.world == World::First
            && self.kind(turn.predicate) == Kind::Uniform
            && !self.turns.contains_key(&self.block)
            && range.clone().all(|index| self.happens_to_each(index))
            && self.goes_round_alike(turn);
        if !fits {
            return None;
        }
        let lanes = if self.manner.forced.passes(self.block) {
            self.manner.pass
        } else {
            self.lanes_of_rolled(&self.work(range.clone()))?
        };
        self.is_rollable(&range, lanes).then_some(lanes)
    }

    /// Whether an instruction happens to each lane by itself, and leaves no trace but in registers.
    fn happens_to_each(&self, index: usize) -> bool {
        let (instruction, roles) = (&self.body.instructions[index], &self.graph.roles[index]);
        let mnemonic = self.body.mnemonic(instruction);
        is_lane_wise(mnemonic)
            && mnemonic.op != ptx::Op::St
            && roles.reads.iter().chain(&roles.writes).all(|register| self.is_plain(*register))
    }

    /// Whether neither how often lanes go round nor where they read depends on memory that might change meanwhile.
    fn goes_round_alike(&self, turn: Turn) -> bool {
        let range = self.graph.blocks[self.block].instructions.clone();
        let mut steers = HashSet::from([turn.predicate]);
        for index in range.clone().filter(|index| self.is_load(*index)) {
            steers.extend(self.graph.roles[index].reads.iter().copied());
        }
        loop {
            let before = steers.len();
            for index in range.clone() {
                let (instruction, roles) = (&self.body.instructions[index], &self.graph.roles[index]);
                if !roles.writes.iter().any(|register| steers.contains(register)) {
                    continue;
                }
                if self.is_load(index) && room(self.body.mnemonic(instruction)) != Ok(Room::Parameters) {
                    return false;
                }
                steers.extend(roles.reads.iter().copied());
                steers.extend(instruction.guard.map(|(register, _)| register));
            }
            if steers.len() == before {
                return true;
            }
        }
    }
}
