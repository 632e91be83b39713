//! Tests of many accesses at once: what is linear is tested at its two ends.
//!
//! A *course* is a number of times that the same instructions are done: the warps of a block that goes straight through ([`sweep`]),
//! or the rounds of a warp's turn in a loop ([`rounds`]). The warps of several blocks in a row are a course too: there a value has a step
//! from warp to warp, and one from block to block. A value is *linear* if each time it is by the same *step* more than
//! the last time, beside its pattern: a thread's place in the grid, a loop's counter, most addresses. What is tested of a linear
//! value, whether it is below a bound or within memory, holds each time if it holds the first and the last time.
//!
//! ```text
//!   proof ── holds ──▶ the instructions, as often as the course has it, without tests
//!     └── fails ──▶ the usual way
//! ```
//!
//! Both are the usual lowering of the same instructions: of the proof for the first time and without what varies, where an assumption
//! that fails leads to the usual way; behind it assumptions of instructions that are proven are left out. One of any other
//! instruction means that the course is not taken.
//!
//! [`sweep`]: super::sweep
//! [`rounds`]: super::rounds

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use interpreter::VariablePlace;
use ptx::{AddressBase, Instruction, Mnemonic, Modifier, Op, Operand, RegisterId, Special, Type};

use super::memory::{Access, Room, elements, room};
use super::narrow::is_lane_wise;
use super::{Lowered, Lowering};
use crate::kind::{Kind, LANES, Positions, positions};

/// Bits that a step has at most: a course is no longer than a few dozens, so that its last value does not overflow.
const MOST_BITS: u32 = 50;
/// Bits that a step from block to block has at most: a row is shorter than 2³¹ blocks.
const MOST_BITS_BY_BLOCK: u32 = 30;

/// What a linear value has more from time to time.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Step {
    /// This.
    Known(i64),
    /// This from warp to warp, and that, which is not zero, from block to block.
    Both(i64, i64),
    /// What a value of 64 bits in code says; it has no more than so many bits beside its sign.
    Told(String, u32),
}

/// No step.
pub(super) const SAME: Step = Step::Known(0);

/// What an assumption comes to.
#[derive(Default)]
pub(super) enum Assumptions {
    /// A stop, where it fails.
    #[default]
    Stop,
    /// A way to this label.
    Proof(String),
    /// Nothing, where it has been proven.
    Proven,
}

/// What is known of the course that is being lowered.
#[derive(Default)]
pub(super) struct Proof {
    pub assumptions: Assumptions,
    /// How many times it has.
    pub times: i64,
    /// Whether times are the warps of a block.
    by_warps: bool,
    /// Of a row of blocks, how many there are behind the first: a value of 64 bits in code.
    row: Option<String>,
    /// Registers that are linear.
    pub steps: HashMap<RegisterId, Step>,
    /// Which instruction wrote a register last.
    pub writers: HashMap<RegisterId, usize>,
    /// Instructions whose assumptions the proof has tested.
    pub proven: HashSet<usize>,
    /// Something was assumed that was not proven.
    pub in_doubt: bool,
}

impl Proof {
    /// One of a course of so many times, which goes to a label where it fails.
    pub fn new(usual: &str, times: u32, by_warps: bool) -> Proof {
        let assumptions = Assumptions::Proof(usual.into());
        Proof { assumptions, times: times.into(), by_warps, ..Proof::default() }
    }

    /// One of so many warps in each block of a row, which has `more` behind the first one.
    pub fn of_row(usual: &str, warps: u32, more: String) -> Proof {
        Proof { row: Some(more), ..Proof::new(usual, warps, true) }
    }
}

/// On which side a number must be tested for not wrapping.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Side {
    /// Below.
    Low,
    /// Above.
    High,
    /// On both.
    Both,
}

/// A linear number of twice its bits, the first and the last time, and what lanes have beside it.
pub(super) struct Linear {
    pub ends: Vec<String>,
    pub range: RangeInclusive<i64>,
}

impl Lowering<'_> {
    /// Whether what is being lowered has been proven.
    pub(super) fn is_proven(&self) -> bool {
        matches!(self.proof.assumptions, Assumptions::Proven)
    }

    /// Goes where an assumption leads, if that is no stop; `false`: it is one.
    pub(super) fn assume_otherwise(&mut self, holds: &str) -> bool {
        match &self.proof.assumptions {
            Assumptions::Stop => return false,
            Assumptions::Proof(usual) => {
                let next = self.text.label();
                self.text.line(format!("br i1 {holds}, label %{next}, label %{usual}, !prof !1"));
                self.text.begin(&next);
            }
            Assumptions::Proven => self.proof.in_doubt |= !self.proof.proven.contains(&self.at),
        }
        true
    }

    /// Tests what an instruction assumes, each time, and computes what it gives the first time, if that is linear.
    pub(super) fn prove(&mut self, index: usize) -> Lowered<()> {
        let instruction = &self.body.instructions[index];
        let mnemonic = self.body.mnemonic(instruction);
        if !is_lane_wise(mnemonic) {
            return Err("lanes that do something together".into());
        }
        let operands = &instruction.operands;
        let step = match mnemonic.op {
            Op::Ld | Op::Ldu => self.prove_access(index, &operands[1], &operands[0])?,
            Op::St => {
                self.prove_access(index, &operands[0], &operands[1])?;
                None
            }
            _ => self.step_of_result(instruction),
        };
        let writes = &self.graph.roles[index].writes;
        let varies = writes.iter().any(|register| self.kind(*register) == Kind::Varying);
        let step = step.filter(|_| instruction.guard.is_none() && !varies);
        if step.is_some() {
            self.prove_widening(index)?;
            self.instruction(index)?;
        }
        for register in writes {
            self.proof.writers.insert(*register, index);
            match &step {
                Some(step) => self.proof.steps.insert(*register, step.clone()),
                None => self.proof.steps.remove(register),
            };
        }
        Ok(())
    }

    /// The step of an instruction's result; `None` if it is not linear.
    fn step_of_result(&mut self, instruction: &Instruction) -> Option<Step> {
        let mnemonic = self.body.mnemonic(instruction);
        let operands = &instruction.operands;
        let steps: Vec<Option<Step>> = operands.iter().skip(1).map(|operand| self.step_of(operand)).collect();
        if steps.iter().all(|step| *step == Some(SAME)) {
            return Some(SAME);
        }
        if !self.is_whole_integer(instruction) {
            return None;
        }
        let of = |place: usize| steps.get(place)?.clone();
        match mnemonic.op {
            Op::Mov | Op::Cvta if steps.len() == 1 => of(0),
            Op::Cvt => of(0),
            Op::Add => self.sum_of(&of(0)?, &of(1)?),
            Op::Sub => {
                let less = self.times(&of(1)?, -1)?;
                self.sum_of(&of(0)?, &less)
            }
            Op::Mul => self.step_of_product(mnemonic, &operands[1..3]),
            Op::Mad => {
                let product = self.step_of_product(mnemonic, &operands[1..3])?;
                self.sum_of(&product, &of(2)?)
            }
            Op::Shl => {
                let count = self.facts().operand(&operands[2]).constant.filter(|count| *count < 32)?;
                self.times(&of(0)?, 1 << count)
            }
            _ => None,
        }
    }

    /// Whether an instruction is one on whole integers, of all bits of its registers.
    pub(super) fn is_whole_integer(&self, instruction: &Instruction) -> bool {
        let mnemonic = self.body.mnemonic(instruction);
        let odd = [Modifier::Hi, Modifier::Sat, Modifier::Cc].iter().any(|modifier| mnemonic.has(*modifier));
        let (Some(to), Some(from)) = (mnemonic.types.first(), mnemonic.types.last()) else { return false };
        let bits = if mnemonic.has(Modifier::Wide) { 16 * to.size() } else { 8 * to.size() };
        let mut sources = instruction.operands.iter().skip(1).take(2);
        !odd && mnemonic.types.iter().all(|ty| !ty.is_float() && matches!(ty.size(), 4 | 8))
            && matches!(instruction.operands[0], Operand::Register(target) if self.bits(target) == bits)
            && sources.all(|operand| match operand {
                // The count of a shift has a width of its own.
                Operand::Register(register) if self.step_of(operand) != Some(SAME) => {
                    self.bits(*register) == 8 * from.size()
                }
                _ => true,
            })
    }

    /// The step of the product of two numbers, one of which is a constant, or both are the same each time.
    fn step_of_product(&mut self, mnemonic: &Mnemonic, factors: &[Operand]) -> Option<Step> {
        let ty = mnemonic.ty()?;
        let signed = |value: u64| if ty.size() == 4 { i64::from(value as i32) } else { value as i64 };
        let (step, factor) = match (self.step_of(&factors[0])?, self.step_of(&factors[1])?) {
            (SAME, SAME) => return Some(SAME),
            (step, SAME) => (step, &factors[1]),
            (SAME, step) => (step, &factors[0]),
            _ => return None,
        };
        let factor = signed(self.constant_of(factor)?);
        // The high half of a product of unsigned numbers is another than that of signed ones.
        if factor < 0 && !ty.is_signed() && mnemonic.has(Modifier::Wide) {
            return None;
        }
        self.times(&step, factor)
    }

    /// A number that is known, also by way of a register: mostly how many threads a block has.
    fn constant_of(&self, operand: &Operand) -> Option<u64> {
        let known = self.facts().operand(operand).constant;
        let Operand::Register(register) = operand else { return known };
        known.or_else(|| {
            let writer = &self.body.instructions[*self.proof.writers.get(register)?];
            let is_copy = self.body.mnemonic(writer).op == Op::Mov && writer.guard.is_none();
            match &writer.operands[..] {
                [target, source] if is_copy && target == operand => self.facts().operand(source).constant,
                _ => None,
            }
        })
    }

    fn sum_of(&mut self, first: &Step, second: &Step) -> Option<Step> {
        if let (Some((a, by_a)), Some((b, by_b))) = (first.known(), second.known()) {
            return known(a.checked_add(b)?, by_a.checked_add(by_b)?);
        }
        match (first, second) {
            (&SAME, other) | (other, &SAME) => Some(other.clone()),
            (Step::Both(..), _) | (_, Step::Both(..)) => None,
            _ => {
                let bits = first.bits().max(second.bits()) + 1;
                let name = self.text.value(format!("add i64 {}, {}", first.name(), second.name()));
                (bits <= MOST_BITS).then_some(Step::Told(name, bits))
            }
        }
    }

    pub(super) fn times(&mut self, step: &Step, factor: i64) -> Option<Step> {
        match step {
            Step::Known(step) => known(step.checked_mul(factor)?, 0),
            Step::Both(step, by_block) => known(step.checked_mul(factor)?, by_block.checked_mul(factor)?),
            Step::Told(name, bits) => {
                let bits = bits + self::bits(factor);
                let name = self.text.value(format!("mul i64 {name}, {factor}"));
                (bits <= MOST_BITS).then_some(Step::Told(name, bits))
            }
        }
    }

    pub(super) fn step_of(&self, operand: &Operand) -> Option<Step> {
        use Special::*;
        match operand {
            Operand::Register(register) | Operand::NotRegister(register) => {
                self.proof.steps.get(register).cloned()
            }
            Operand::Constant(_) | Operand::Symbol(..) => Some(SAME),
            Operand::Variable(index, _) => Some(self.step_of_variable(*index)),
            Operand::Special(TidX | TidY | TidZ | WarpId) if !self.proof.by_warps => Some(SAME),
            Operand::Special(special) => match special {
                TidX => self.step_of_position(0),
                TidY => self.step_of_position(1),
                TidZ => self.step_of_position(2),
                WarpId => Some(Step::Known(1)),
                CtaidX if self.proof.row.is_some() => known(0, 1),
                LaneId | NtidX | NtidY | NtidZ | CtaidX | CtaidY | CtaidZ | NctaidX | NctaidY | NctaidZ => {
                    Some(SAME)
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn step_of_variable(&self, index: u32) -> Step {
        match self.plan.variables[index as usize] {
            VariablePlace::Local(_) if self.proof.by_warps => {
                Step::Known(LANES as i64 * self.plan.stack_bytes as i64)
            }
            _ => SAME,
        }
    }

    fn step_of_position(&self, dimension: usize) -> Option<Step> {
        let Positions::Regular(bases, _) = positions(self.block_shape, dimension) else { return None };
        let step = i64::from(bases[1]) - i64::from(bases[0]);
        let is_even = |pair: &[u32]| i64::from(pair[1]) - i64::from(pair[0]) == step;
        bases.windows(2).all(is_even).then_some(Step::Known(step))
    }

    /// What the lanes of a linear value have more than its base at least and at most: each time, if its step is known.
    fn range(&self, kind: Kind, step: &Step) -> Lowered<RangeInclusive<i64>> {
        let pattern = self.facts().pattern(kind).ok_or("lanes that have anything")?;
        let (Some(least), Some(most)) = (pattern.iter().min(), pattern.iter().max()) else {
            return Err("no lanes".into());
        };
        let last = step.known().map_or(0, |(step, _)| step * (self.proof.times - 1));
        Ok(least + last.min(0)..=most + last.max(0))
    }

    /// What a value has more the last time than the first, where that is not in its [`Lowering::range`].
    fn drift(&mut self, step: &Step) -> Option<String> {
        match step {
            Step::Known(_) => None,
            Step::Both(_, by_block) => {
                let more = self.proof.row.as_ref()?;
                Some(self.text.value(format!("mul i64 {more}, {by_block}")))
            }
            Step::Told(name, _) => Some(self.text.value(format!("mul i64 {name}, {}", self.proof.times - 1))),
        }
    }

    /// Tests where an access goes. Answers the step of what is loaded: a parameter is the same each time.
    fn prove_access(&mut self, index: usize, operand: &Operand, values: &Operand) -> Lowered<Option<Step>> {
        let instruction = &self.body.instructions[index];
        let mnemonic = self.body.mnemonic(instruction);
        if instruction.guard.is_some() {
            return Err("an access of some lanes".into());
        }
        let Operand::Address { base, .. } = operand else { return Err("no address".into()) };
        let step = match base {
            AddressBase::Register(register) => self.proof.steps.get(register).cloned(),
            AddressBase::Variable(index) => Some(self.step_of_variable(*index)),
            _ => Some(SAME),
        };
        let step = step.ok_or("an address that is not linear")?;
        let (access, _) = self.access(mnemonic, elements(values).len())?;
        let address = self.address(operand, room(mnemonic)?, access)?;
        self.proof.proven.insert(index);
        let kind = address.value.kind;
        if address.room == Room::Sure {
            let is_parameter = self.is_constant_load(instruction) && kind == Kind::Uniform;
            return Ok(is_parameter.then_some(step).filter(|step| *step == SAME));
        }
        let room = match address.room {
            // Any other room is the usual way's.
            Room::Window | Room::Generic => Room::Window,
            Room::Shared => Room::Shared,
            _ => return Err("an access to this space".into()),
        };
        self.prove_places(room, &address.value.name, kind, &step, access)?;
        Ok(None)
    }

    fn prove_places(
        &mut self,
        room: Room,
        base: &str,
        kind: Kind,
        step: &Step,
        access: Access,
    ) -> Lowered<()> {
        let pattern = self.facts().pattern(kind).ok_or("lanes that are anywhere")?;
        let total = access.total();
        let is_even = step.known().is_none_or(|(step, by_block)| step % total == 0 && by_block % total == 0);
        if !is_even || pattern.iter().any(|more| (more - pattern[0]) % total != 0) {
            return Err("accesses that are aligned in different ways".into());
        }
        let range = self.range(kind, step)?;
        let even = (total > 1).then_some((pattern[0], total));
        let Some(drift) = self.drift(step) else {
            self.reachable(room, base, range, access, even, None);
            return Ok(());
        };
        let last = self.text.value(format!("add i64 {base}, {drift}"));
        let is_known = step.known().is_some();
        // As far as an odd number of steps is aligned, each step is.
        if room == Room::Window && (is_known || self.proof.times % 2 == 0) {
            self.assume_in_window([base, &last], &range, access);
        } else {
            self.reachable(room, base, range.clone(), access, even, None);
            self.reachable(room, &last, range, access, None, None);
            if is_known {
                return Ok(());
            }
            let rest = self.text.value(format!("and i64 {}, {}", step.name(), total - 1));
            let even = self.text.value(format!("icmp eq i64 {rest}, 0"));
            self.assume(&even);
        }
        Ok(())
    }

    /// Where an instruction widens a linear number: tests that it never wraps.
    fn prove_widening(&mut self, index: usize) -> Lowered<()> {
        let instruction = &self.body.instructions[index];
        let mnemonic = self.body.mnemonic(instruction);
        let (operands, ty) = match (mnemonic.op, &mnemonic.types[..]) {
            (Op::Mul | Op::Mad, [ty]) if mnemonic.has(Modifier::Wide) => (&instruction.operands[1..3], ty),
            (Op::Cvt, [to, from]) if !from.is_float() && to.size() > from.size() => {
                (&instruction.operands[1..2], from)
            }
            _ => return Ok(()),
        };
        for operand in operands {
            self.prove_number(operand, *ty, Side::Both)?;
        }
        self.proof.proven.insert(index);
        Ok(())
    }

    /// A linear number; tests that it never wraps, on the side that nothing else tells of.
    pub(super) fn prove_number(&mut self, operand: &Operand, ty: Type, side: Side) -> Lowered<Linear> {
        let (bits, kind) = (8 * ty.size(), self.facts().operand(operand).kind);
        let wide = format!("i{}", 2 * bits);
        let step = self.step_of(operand).ok_or("a number that is not linear")?;
        let range = self.range(kind, &step)?;
        let base = self.source(operand, bits, false)?;
        let how = if ty.is_signed() { "sext" } else { "zext" };
        let mut ends = vec![self.text.value(format!("{how} i{bits} {base} to {wide}"))];
        if let Some(mut drift) = self.drift(&step) {
            if bits == 64 {
                drift = self.text.value(format!("sext i64 {drift} to i128"));
            }
            ends.push(self.text.value(format!("add {wide} {}, {drift}", ends[0])));
        }
        let low = if ty.is_signed() { -1i128 << (bits - 1) } else { 0 };
        let high = low + (1 << bits) - 1;
        for (place, end) in ends.iter().enumerate() {
            // What the number begins with alone is a number.
            if side != Side::High && (place > 0 || *range.start() < 0) {
                let least = low - i128::from(*range.start());
                let holds = self.text.value(format!("icmp sge {wide} {end}, {least}"));
                self.assume(&holds);
            }
            if side != Side::Low && (place > 0 || *range.end() > 0) {
                let most = high - i128::from(*range.end());
                let holds = self.text.value(format!("icmp sle {wide} {end}, {most}"));
                self.assume(&holds);
            }
        }
        Ok(Linear { ends, range })
    }
}

/// A step that is known, if it has not too many bits.
fn known(step: i64, by_block: i64) -> Option<Step> {
    let fits = bits(step) <= MOST_BITS && bits(by_block) <= MOST_BITS_BY_BLOCK;
    fits.then_some(if by_block == 0 { Step::Known(step) } else { Step::Both(step, by_block) })
}

/// Bits that a number has beside its sign.
fn bits(number: i64) -> u32 {
    64 - number.unsigned_abs().leading_zeros()
}

impl Step {
    /// What it is from time to time, and from block to block.
    fn known(&self) -> Option<(i64, i64)> {
        match self {
            Step::Known(step) => Some((*step, 0)),
            Step::Both(step, by_block) => Some((*step, *by_block)),
            Step::Told(..) => None,
        }
    }

    /// Bits that it has at most beside its sign.
    fn bits(&self) -> u32 {
        match self {
            Step::Known(step) | Step::Both(step, _) => bits(*step),
            Step::Told(_, bits) => *bits,
        }
    }

    fn name(&self) -> String {
        match self {
            Step::Known(step) | Step::Both(step, _) => step.to_string(),
            Step::Told(name, _) => name.clone(),
        }
    }
}
