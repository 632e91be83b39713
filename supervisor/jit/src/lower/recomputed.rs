//! Registers that are computed anew in every region instead of being kept in memory across barriers.
//!
//! What a few instructions make of the thread's place, parameters and constants is the same wherever it is needed, and cheaper to
//! make than to load: most of it once for all warps, as LLVM takes it out of the loop over them. Such a register is written once
//! in the kernel. The interpreter, which is given warps at a barrier, does the same instructions ([`Lowering::recomputing`]).

use std::collections::HashMap;

use ptx::{AddressBase, Modifier, Op, Operand, RegisterId, Special};

use super::{Lowering, World};
use crate::graph::Set;
use crate::kind::Kind;
use crate::text::Text;

/// Longer chains of instructions are not done again.
const LONGEST: usize = 8;
/// For all that a region needs at most so many instructions are done again.
const MOST: usize = 64;

/// The instructions that make a register, those that others need first.
#[derive(Clone)]
struct Chain {
    instructions: Vec<usize>,
    /// Whether any of them widens a number, of which code assumes that the lanes' pattern does not wrap.
    widens: bool,
}

/// Registers that may be computed anew.
#[derive(Default)]
pub(super) struct Recomputed {
    chains: HashMap<RegisterId, Chain>,
    /// Whether that is being done.
    pub runs: bool,
}

impl Lowering<'_> {
    /// Finds registers that can be computed anew.
    pub(super) fn find_recomputed(&mut self) {
        let mut writers: HashMap<RegisterId, Vec<usize>> = HashMap::new();
        for (index, roles) in self.graph.roles.iter().enumerate() {
            roles.writes.iter().for_each(|register| writers.entry(*register).or_default().push(index));
        }
        let mut candidates = Vec::new();
        for (register, writers) in writers {
            if let [writer] = writers[..]
                && self.may_be_recomputed(register, writer)
                && self.has_code(writer)
            {
                candidates.push((register, writer));
            }
        }
        // A register's sources may come behind it in the list.
        for _ in 0..LONGEST {
            for (register, writer) in &candidates {
                if let Some(chain) = self.chain(*writer) {
                    self.recomputed.chains.insert(*register, chain);
                }
            }
        }
        // Where a pattern is lost, code has found out, or the interpreter will; of a vector nobody asks that.
        let kinds = &self.first.facts.kinds;
        let is_sure =
            |register: RegisterId, chain: &Chain| kinds[register as usize] != Kind::Varying || !chain.widens;
        self.recomputed.chains.retain(|register, chain| is_sure(*register, chain));
    }

    /// Whether what the only instruction that writes a register makes is worth making again, given its sources.
    fn may_be_recomputed(&self, register: RegisterId, writer: usize) -> bool {
        let instruction = &self.body.instructions[writer];
        let mnemonic = self.body.mnemonic(instruction);
        let is_integer = mnemonic.types.iter().all(|ty| !ty.is_float());
        let is_cheap = match mnemonic.op {
            Op::Mov => true,
            Op::Cvta | Op::Add | Op::Sub | Op::Shl | Op::Shr | Op::And | Op::Or | Op::Xor => is_integer,
            Op::Mul | Op::Mad => is_integer && !mnemonic.has(Modifier::Hi),
            Op::Cvt | Op::Setp => is_integer,
            Op::Ld => mnemonic.has(Modifier::Param) || mnemonic.has(Modifier::ParamEntry),
            _ => false,
        };
        let is_constant = |operand: &Operand| match operand {
            Operand::Special(special) => is_place(*special),
            Operand::Address { base, .. } => matches!(base, AddressBase::Variable(_)),
            Operand::Register(_) | Operand::NotRegister(_) | Operand::Constant(_) => true,
            Operand::Variable(..) | Operand::Symbol(..) => true,
            _ => false,
        };
        let varies = self.first.facts.kinds[register as usize] == Kind::Varying;
        is_cheap
            && instruction.guard.is_none()
            && instruction.operands.iter().all(is_constant)
            && matches!(instruction.operands[0], Operand::Register(_))
            && !self.is_resident(register)
            && (!varies || self.bits(register) == 1)
    }

    /// Whether an instruction has code, tried out.
    fn has_code(&mut self, index: usize) -> bool {
        self.at = index;
        let has_code = self.instruction(index).is_ok();
        self.text = Text::default();
        self.written.clear();
        self.ends = None;
        has_code
    }

    /// The instructions that make a register, if those of the sources of its only writer are known.
    fn chain(&self, writer: usize) -> Option<Chain> {
        let mnemonic = self.body.mnemonic(&self.body.instructions[writer]);
        let widens = mnemonic.op == Op::Cvt || mnemonic.has(Modifier::Wide);
        let mut chain = Chain { instructions: Vec::new(), widens };
        for source in &self.graph.roles[writer].reads {
            let before = self.recomputed.chains.get(source)?;
            chain.widens |= before.widens;
            add_missing(&mut chain.instructions, &before.instructions);
        }
        chain.instructions.push(writer);
        (chain.instructions.len() <= LONGEST).then_some(chain)
    }

    /// Of the registers that a region needs those that it computes anew, and the instructions that do so, in their order.
    pub(super) fn recomputing(&self, entry: usize) -> (Set, Vec<usize>) {
        let mut registers = Set::new(self.body.register_count as usize);
        let mut instructions = Vec::new();
        if self.turns.contains_key(&entry) || entry == self.regions[0] {
            return (registers, instructions);
        }
        for register in self.graph.live_in[entry].iter() {
            let Some(chain) = self.recomputed.chains.get(&(register as RegisterId)) else { continue };
            let before = instructions.len();
            add_missing(&mut instructions, &chain.instructions);
            if instructions.len() <= MOST {
                registers.insert(register);
            } else {
                instructions.truncate(before);
            }
        }
        (registers, instructions)
    }

    /// Computes them, at the region's beginning.
    pub(super) fn recompute(&mut self, entry: usize) {
        let (registers, instructions) = self.recomputing(entry);
        if instructions.is_empty() {
            return;
        }
        self.used.note("recomputed");
        (self.world, self.block, self.recomputed.runs) = (World::First, entry, true);
        self.written.clear();
        for index in instructions {
            self.at = index;
            // What has no code had none where it was first.
            let done = self.instruction(index);
            debug_assert!(done.is_ok(), "{done:?}");
        }
        for register in registers.iter().map(|register| register as RegisterId) {
            let value = self.register(register);
            let (ty, variable) = (self.type_of(register, value.kind), self.variable(World::First, register));
            self.text.line(format!("store {ty} {}, ptr {variable}", value.name));
        }
        self.written.clear();
        (self.ends, self.recomputed.runs) = (None, false);
    }
}

/// Adds those that are not there yet.
fn add_missing(list: &mut Vec<usize>, more: &[usize]) {
    let known = list.len();
    list.extend(more.iter().filter(|index| !list[..known].contains(index)).copied().collect::<Vec<usize>>());
}

/// Special registers that say where a thread is: they stay the same.
fn is_place(special: Special) -> bool {
    use Special::*;
    let thread = matches!(special, TidX | TidY | TidZ | NtidX | NtidY | NtidZ | LaneId);
    thread || matches!(special, CtaidX | CtaidY | CtaidZ | NctaidX | NctaidY | NctaidZ)
}
