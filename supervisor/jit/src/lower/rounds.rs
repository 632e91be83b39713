//! Rounds of a warp's turn in a loop, without tests.
//!
//! Where a loop's warps take turns (`turns`), a warp goes round some times in a row. What it tests meanwhile, whether it goes on and
//! where it reads, is mostly linear in the round: a counter, or a pointer, to which the loop adds something that it does not
//! change. Then the first and the last round of the turn tell of all (`proof`). Whether the loop goes on behind the last round is
//! not asked beforehand but there: where rounds are a multiple of a turn's, the last turn is proven too.

use ptx::{Op, Operand, RegisterId, Type};

use super::proof::{Assumptions, Proof, SAME, Step};
use super::{Lowered, Lowering, Queue, World};
use crate::graph::End;
use crate::kind::Kind;

/// Bits that a step of 64 bits is tested for.
const FAR: u32 = 40;

/// Instructions of rounds that are made one behind the other, without a branch between them: the less there is to do between loads,
/// the farther the processor looks ahead.
const STRAIGHT: usize = 32;

/// How many rounds are made one behind the other.
fn copies(rounds: u32, instructions: usize) -> u32 {
    let fits = |copies: u32| rounds.is_multiple_of(copies) && copies as usize * instructions <= STRAIGHT;
    [8, 4, 2].into_iter().find(|copies| fits(*copies)).unwrap_or(1)
}

impl Lowering<'_> {
    /// Where a turn begins in a loop of one block: rounds without tests, or with them.
    pub(super) fn lower_rounds(&mut self, block: usize, rounds: u32, queue: &mut Queue) {
        let (before, used) = (self.text.take(), self.used.clone());
        let usual = self.label(World::First, block);
        let made = self.proof_and_rounds(block, rounds, &usual, queue).is_ok() && !self.proof.in_doubt;
        self.proof = Proof::default();
        if made {
            self.used.note("rounds proven");
        } else {
            self.used = used;
            self.text.take();
            self.text.begin(&self.rounds_label());
            self.text.line(format!("br label %{usual}"));
        }
        self.text.put_before(before);
    }

    /// The label at which a turn begins.
    pub(super) fn rounds_label(&self) -> String {
        format!("r{}p", self.region)
    }

    fn proof_and_rounds(&mut self, block: usize, rounds: u32, usual: &str, queue: &mut Queue) -> Lowered<()> {
        let End::Branch { predicate, negated, taken, next } = self.graph.blocks[block].end else {
            return Err("no loop".into());
        };
        // Its code is made once, by the usual way.
        if self.detour(taken, next).is_some() {
            return Err("a loop whose exit leads back to it".into());
        }
        if !self.manner.forced.is_straight() {
            return Err("a test that wants the usual way".into());
        }
        let range = self.graph.blocks[block].instructions.clone();
        self.proof = Proof::new(usual, rounds, false);
        self.text.begin(&self.rounds_label());
        self.begin_block(World::First, block);
        self.find_steps(block)?;
        for index in range.clone() {
            self.at = index;
            self.prove(index)?;
        }
        if rounds > 1 {
            self.proof.times -= 1;
            self.prove_predicate(&Operand::Register(predicate), (taken == Some(block)) != negated)?;
        }
        let (round, over) = (self.text.label(), self.text.label());
        self.text.line(format!("br label %{round}"));
        self.text.begin(&round);
        self.proof.assumptions = Assumptions::Proven;
        self.begin_block(World::First, block);
        let copies = copies(rounds, range.len());
        for _ in 0..copies {
            self.next_of_way(block);
            self.lower_proven(range.clone())?;
        }
        self.write_back();
        let rounds = self.text.value("load i32, ptr %rounds");
        let left = self.text.value(format!("sub i32 {rounds}, {copies}"));
        self.text.line(format!("store i32 {left}, ptr %rounds"));
        let last = self.text.value(format!("icmp eq i32 {left}, 0"));
        self.text.line(format!("br i1 {last}, label %{over}, label %{round}"));
        self.text.begin(&over);
        self.at = self.graph.blocks[block].end_at;
        self.end(queue);
        Ok(())
    }

    /// Steps of what the loop finds: nothing, or what it adds to a register itself.
    fn find_steps(&mut self, block: usize) -> Lowered<()> {
        let live = self.graph.live_in[block].clone();
        for register in live.iter().map(|register| register as RegisterId) {
            if self.kind(register) == Kind::Varying || self.bits(register) == 0 {
                continue;
            }
            let range = self.graph.blocks[block].instructions.clone();
            let mut writers = range.filter(|index| self.graph.roles[*index].writes.contains(&register));
            let step = match (writers.next(), writers.next()) {
                (None, _) => Some(SAME),
                (Some(writer), None) => self.step_of_counter(block, register, writer)?,
                _ => None,
            };
            if let Some(step) = step {
                self.proof.steps.insert(register, step);
            }
        }
        Ok(())
    }

    /// What an instruction adds to its own register.
    fn step_of_counter(
        &mut self,
        block: usize,
        register: RegisterId,
        writer: usize,
    ) -> Lowered<Option<Step>> {
        let instruction = &self.body.instructions[writer];
        let mnemonic = self.body.mnemonic(instruction);
        let own = Operand::Register(register);
        let more = match (mnemonic.op, &instruction.operands[..]) {
            (Op::Add | Op::Sub, [_, first, more]) if *first == own => more,
            (Op::Add, [_, more, second]) if *second == own => more,
            _ => return Ok(None),
        };
        if instruction.guard.is_some() || !self.is_whole_integer(instruction) {
            return Ok(None);
        }
        let bits = self.bits(register);
        let step = match more {
            Operand::Constant(number) if bits == 32 => Step::Known((number.bits(Type::B32) as i32).into()),
            Operand::Constant(number) => Step::Known(number.bits(Type::B64) as i64),
            Operand::Register(more) => {
                let mut range = self.graph.blocks[block].instructions.clone();
                let is_written = range.any(|index| self.graph.roles[index].writes.contains(more));
                if is_written || self.kind(*more) != Kind::Uniform || self.bits(*more) != bits {
                    return Ok(None);
                }
                let name = self.register(*more).name;
                if bits == 32 {
                    Step::Told(self.text.value(format!("sext i32 {name} to i64")), 31)
                } else {
                    let high = self.text.value(format!("add i64 {name}, {}", 1u64 << FAR));
                    let near = self.text.value(format!("icmp ult i64 {high}, {}", 2u64 << FAR));
                    self.assume(&near);
                    Step::Told(name, FAR)
                }
            }
            _ => return Ok(None),
        };
        Ok(if mnemonic.op == Op::Sub { self.times(&step, -1) } else { self.times(&step, 1) })
    }
}
