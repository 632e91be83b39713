//! Passes as a loop over the lanes of a warp: their code is there once, and what they work on lies in memory between them.
//!
//! ```text
//!   a run (`passes`):                        a whole loop (`loops`):
//!     for the first lane 0, 8, 16, 24:         for the first lane 0, 8, 16, 24:
//!       the run, for eight lanes                 take the lanes of what the loop changes
//!                                                go round to its end, for eight lanes
//!                                                put them back
//! ```
//!
//! Passes that stand one behind the other are one piece of code to LLVM. It computes what they have in common once and keeps it
//! for the next, in memory where registers don't hold it, and lays their instructions over each other. A loop keeps them apart.
//!
//! The lanes of a register that varies are taken from its variable, by the number of the pass: such a variable stays in memory.
//! The base of a pattern moves by what the pattern's lanes have more there than in the first pass; so only patterns will do that
//! are the same for each pass but for that. A predicate's word has the pass's own lanes in its lowest bits; predicates that vary
//! are not taken along.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use ptx::{Op, Operand, RegisterId, Special};

use super::runs::Run;
use super::{Lowering, Value, World};
use crate::kind::{Kind, LANES, Pattern};
use crate::text::constants;

/// The loop over lanes that is being lowered.
pub(super) struct Rolled {
    /// The pass's number, and its first lane.
    number: String,
    lane: String,
    /// Where the next pass begins.
    head: String,
    /// By how much the bases of patterns of so many bits move, as far as that has been computed.
    steps: HashMap<(u32, u32), String>,
    /// Addresses that are not to be known for those of another pass, by what they are.
    hidden: HashMap<String, String>,
    /// Registers that a loop in passes writes: they have variables of their own meanwhile.
    carried: HashSet<RegisterId>,
}

impl Rolled {
    pub fn carries(&self, register: RegisterId) -> bool {
        self.carried.contains(&register)
    }
}

/// By how much the base of a pattern moves from the first pass to each one of so many lanes, if it is the same for all lanes.
fn steps(pattern: &Pattern, lanes: usize) -> Option<Vec<i64>> {
    let step = |pass: &[i64]| {
        let step = pass[0] - pattern[0];
        pass.iter().zip(pattern).all(|(more, first)| more - first == step).then_some(step)
    };
    pattern.chunks(lanes).map(step).collect()
}

impl Lowering<'_> {
    /// Begins the loop over lanes. What is lowered next is a pass.
    pub(super) fn begin_rolled(&mut self, lanes: usize, carried: HashSet<RegisterId>) {
        let head = self.text.label();
        self.text.line("store i32 0, ptr %pass");
        self.text.line(format!("br label %{head}"));
        self.text.begin(&head);
        self.text.lanes = lanes;
        let number = self.text.value("load i32, ptr %pass");
        let lane = self.text.value(format!("mul i32 {number}, {lanes}"));
        let (steps, hidden) = (HashMap::new(), HashMap::new());
        self.rolled = Some(Rolled { number, lane, head, steps, hidden, carried });
    }

    /// Ends a pass, and behind the last one the loop.
    pub(super) fn end_rolled(&mut self) {
        let Some(rolled) = self.rolled.take() else { return };
        let next = self.text.value(format!("add i32 {}, 1", rolled.number));
        self.text.line(format!("store i32 {next}, ptr %pass"));
        let more = self.text.value(format!("icmp ult i32 {next}, {}", LANES / self.text.lanes));
        let behind = self.text.label();
        self.text.line(format!("br i1 {more}, label %{}, label %{behind}", rolled.head));
        self.text.begin(&behind);
        self.text.lanes = LANES;
    }

    /// A base of a pattern where the running pass's lanes have it.
    pub(super) fn moved(&mut self, base: &str, kind: Kind, bits: u32) -> String {
        let (Some(rolled), Kind::Pattern(number)) = (&self.rolled, kind) else { return base.into() };
        let known = rolled.steps.get(&(number, bits)).cloned();
        let pass = rolled.number.clone();
        let step = known.or_else(|| {
            let steps = steps(&self.facts().patterns.get(number), self.text.lanes)?;
            if steps.iter().all(|step| *step == 0) {
                return None;
            }
            let even = (0..).zip(&steps).all(|(pass, step)| *step == pass * steps[1]);
            let step = if even {
                let pass = match bits {
                    32 => pass,
                    64 => self.text.value(format!("zext i32 {pass} to i64")),
                    _ => self.text.value(format!("trunc i32 {pass} to i{bits}")),
                };
                self.text.value(format!("mul i{bits} {pass}, {}", steps[1]))
            } else {
                let (count, list) = (steps.len(), constants(bits, steps.into_iter()));
                self.text.value(format!("extractelement <{count} x i{bits}> {list}, i32 {pass}"))
            };
            let known = self.rolled.as_mut().map(|rolled| &mut rolled.steps);
            known.and_then(|known| known.insert((number, bits), step.clone()));
            Some(step)
        });
        match step {
            Some(step) => self.text.value(format!("add i{bits} {base}, {step}")),
            None => base.into(),
        }
    }

    /// An address that all lanes share, which LLVM can't tell from that of another pass: what is there it would otherwise load
    /// once, and keep.
    pub(super) fn hidden(&mut self, address: &str) -> String {
        let Some(rolled) = self.rolled.as_ref().filter(|rolled| rolled.carried.is_empty()) else {
            return address.into();
        };
        if let Some(known) = rolled.hidden.get(address) {
            return known.clone();
        }
        let asm = format!("call i64 asm \"\", \"=r,0,r\"(i64 {address}, i32 {})", rolled.number);
        let name = self.text.value(asm);
        let known = self.rolled.as_mut().map(|rolled| &mut rolled.hidden);
        known.and_then(|known| known.insert(address.into(), name.clone()));
        name
    }

    /// The variable that a register has for a pass of so many lanes.
    pub(super) fn pass_variable(&self, register: RegisterId, lanes: usize) -> String {
        format!("%p{register}x{lanes}")
    }

    /// Variables for passes of loops.
    pub(super) fn declare_pass_variables(&mut self) {
        for (register, lanes) in std::mem::take(&mut self.pass_variables) {
            let kind = self.first.facts.kinds[register as usize];
            self.text.lanes = lanes;
            let (variable, ty) = (self.pass_variable(register, lanes), self.type_of(register, kind));
            self.text.lanes = LANES;
            self.text.line(format!("{variable} = alloca {ty}"));
        }
    }

    /// The first lane that vectors have.
    pub(super) fn first_lane_name(&self) -> String {
        self.rolled.as_ref().map_or(self.first_lane.to_string(), |rolled| rolled.lane.clone())
    }

    /// Where the running pass's lanes of a register begin: in its variable, or in the register file.
    fn place_of_lanes(&mut self, register: RegisterId) -> String {
        let lane = self.first_lane_name();
        let all = if self.is_resident(register) {
            self.file_place(register)
        } else {
            self.variable_of_warp(World::First, register)
        };
        self.text.value(format!("getelementptr i{}, ptr {all}, i32 {lane}", self.bits(register)))
    }

    /// Finds registers of which passes take lanes, and that warps have across barriers. They lie in memory here and there: so they
    /// stay in the register file all the time.
    pub(super) fn find_taken(&mut self) {
        let (mut taken, mut others) = (HashSet::new(), HashSet::new());
        for block in 0..self.graph.blocks.len() {
            (self.world, self.block) = (World::First, block);
            taken.extend(self.taken_in_block());
            others.extend(self.written_in_loop());
        }
        self.block = 0;
        let crosses = |register: &RegisterId| {
            self.regions[1..].iter().any(|entry| self.graph.live_in[*entry].has(*register as usize))
        };
        taken.retain(|register| {
            let fits = self.bits(*register) == 32 && !self.plan.kept[*register as usize];
            fits && !others.contains(register)
                && !self.is_resident(*register)
                && self.kind(*register) == Kind::Varying
                && crosses(register)
        });
        self.make_resident(&taken);
        self.taken = taken;
    }

    /// Whether a register is in the register file now.
    pub(super) fn lies_in_file(&self, register: RegisterId) -> bool {
        self.is_resident(register) && !self.rolled.as_ref().is_some_and(|rolled| rolled.carries(register))
    }

    /// Registers that a loop of one block writes for all lanes, each turn.
    fn written_in_loop(&self) -> HashSet<RegisterId> {
        let block = &self.graph.blocks[self.block];
        let is_loop = block.successors().any(|next| next == self.block) && !self.is_loop_in_passes();
        let range = if is_loop { block.instructions.clone() } else { 0..0 };
        range.flat_map(|index| self.graph.roles[index].writes.iter().copied()).collect()
    }

    /// Registers of which passes of a block take lanes, and put back.
    fn taken_in_block(&self) -> HashSet<RegisterId> {
        let block = &self.graph.blocks[self.block];
        let ranges = match self.is_loop_in_passes() {
            true => vec![block.instructions.clone()],
            false => self.runs().into_iter().filter(Run::is_rolled).map(|run| run.range).collect(),
        };
        let mut taken = HashSet::new();
        for range in ranges {
            let before = self.graph.live_before(self.body, self.block, range.start);
            let written = range.flat_map(|index| self.graph.roles[index].writes.iter().copied());
            taken.extend(written.filter(|register| before.has(*register as usize)));
        }
        taken
    }

    /// The running pass's lanes of a register that varies.
    pub(super) fn take_lanes(&mut self, register: RegisterId) -> Value {
        let (place, bits) = (self.place_of_lanes(register), self.bits(register));
        let ty = self.text.integer(bits, true);
        let name = self.text.value(format!("load {ty}, ptr {place}, align {}", bits / 8));
        Value { kind: Kind::Varying, name }
    }

    /// Puts them back.
    pub(super) fn put_lanes(&mut self, register: RegisterId, name: &str) {
        let (place, bits) = (self.place_of_lanes(register), self.bits(register));
        let ty = self.text.integer(bits, true);
        self.text.line(format!("store {ty} {name}, ptr {place}, align {}", bits / 8));
    }

    /// Whether passes of so many lanes of some instructions, each of which happens to each lane by itself, can be a loop. What they
    /// assume must be the same in all passes: where it fails they are not done again from the middle.
    pub(super) fn is_rollable(&self, run: &Range<usize>, lanes: usize) -> bool {
        let mut own: HashSet<RegisterId> = HashSet::new();
        let live = self.graph.live_before(self.body, self.block, run.end);
        run.clone().all(|index| {
            let (instruction, roles) = (&self.body.instructions[index], &self.graph.roles[index]);
            let is_load = matches!(self.body.mnemonic(instruction).op, Op::Ld | Op::Ldu);
            let guard = instruction.guard.map(|(register, _)| register);
            let varies = |register: &RegisterId| self.kind(*register) == Kind::Varying;
            let strange = |register: &RegisterId| {
                self.bits(*register) == 1 && varies(register) && !own.contains(register)
            };
            let old = roles.writes.iter().filter(|_| guard.is_some());
            if roles.reads.iter().chain(&guard).chain(old).any(strange) {
                return false;
            }
            let fits = instruction.operands.iter().all(|operand| self.is_even(operand, lanes));
            let written =
                roles.writes.iter().all(|register| self.is_even(&Operand::Register(*register), lanes));
            let address = is_load.then(|| self.facts().operand(&instruction.operands[1]).kind);
            own.extend(roles.writes.iter().filter(|register| self.bits(**register) == 1));
            fits && written && !(is_load && guard.is_some()) && address != Some(Kind::Varying)
        }) && !own
            .iter()
            .any(|register| live.has(*register as usize) && self.kind(*register) == Kind::Varying)
    }

    /// Whether an operand is the same for each pass, or vectors.
    fn is_even(&self, operand: &Operand, lanes: usize) -> bool {
        use Special::*;
        if matches!(operand, Operand::Special(LanemaskEq | LanemaskLt | LanemaskLe | LanemaskGt | LanemaskGe))
        {
            return false;
        }
        match self.facts().operand(operand).kind {
            Kind::Pattern(number) => steps(&self.facts().patterns.get(number), lanes).is_some(),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_moves_from_pass_to_pass_if_it_stays_the_same_otherwise() {
        let pattern = |of: &dyn Fn(i64) -> i64| -> Pattern { std::array::from_fn(|lane| of(lane as i64)) };
        assert_eq!(steps(&pattern(&|lane| 4 * lane), 8), Some(vec![0, 32, 64, 96]));
        assert_eq!(steps(&pattern(&|lane| lane % 4 * 8), 16), Some(vec![0, 0]));
        assert_eq!(steps(&pattern(&|lane| lane ^ 16), 8), Some(vec![0, 8, -16, -8]));
        assert_eq!(steps(&pattern(&|lane| lane / 16), 8), Some(vec![0, 0, 1, 1]));
        assert_eq!(steps(&pattern(&|lane| lane % 5), 8), None);
        assert_eq!(steps(&pattern(&|lane| lane / 12), 8), None);
    }
}
