//! Registers that differ by a constant.
//!
//! Compilers strength-reduce: instead of one pointer into a row they keep several, each a constant apart, and step them all. Here
//! 64-bit registers are taken apart into sums of others with factors, and those with equal sums but for a constant are a *class*:
//! its members' difference is known. A register counts by its sum if it is written once, is never read before, and all of the
//! sum is so too: a value that is left from an earlier turn of a loop has another sum than this turn's. One that is written
//! twice, once before a loop and once by a step in it, counts by the sum that it starts with, together with others that are
//! written in the same two blocks and step as far.

use std::collections::{BTreeMap, HashMap};

use ptx::{Body, Instruction, Modifier, Op, Operand, RegisterId, Type};

use crate::graph::Graph;

/// What a sum is made of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Atom {
    /// A 64-bit register.
    Whole(RegisterId),
    /// A 32-bit register, extended by its sign.
    Signed(RegisterId),
    /// A 32-bit register, extended by zeros.
    Unsigned(RegisterId),
}

/// A sum modulo 2^64: atoms with factors, and a constant.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
struct Sum {
    atoms: BTreeMap<Atom, i64>,
    constant: i64,
}

impl Sum {
    fn of(atom: Atom) -> Sum {
        Sum { atoms: BTreeMap::from([(atom, 1)]), constant: 0 }
    }

    fn plus(mut self, other: &Sum, factor: i64) -> Sum {
        for (atom, more) in &other.atoms {
            let sum = self.atoms.entry(*atom).or_default();
            *sum = sum.wrapping_add(more.wrapping_mul(factor));
        }
        self.atoms.retain(|_, factor| *factor != 0);
        self.constant = self.constant.wrapping_add(other.constant.wrapping_mul(factor));
        self
    }

    fn times(self, factor: i64) -> Sum {
        Sum::default().plus(&self, factor)
    }
}

/// Sums longer than this are not looked into.
const MOST_ATOMS: usize = 12;
/// Deeper chains of instructions neither.
const DEEPEST: u32 = 64;

/// Classes of registers.
#[derive(Default)]
pub(crate) struct Classes {
    /// Class, and what the register has more than others of it with 0.
    of: HashMap<RegisterId, (u32, i64)>,
    /// What a register's writes within a loop add to it.
    pub steps: HashMap<usize, i64>,
}

impl Classes {
    pub fn new(body: &Body, graph: &Graph) -> Classes {
        let mut finder = Finder::new(body, graph);
        let mut numbers: HashMap<Key, u32> = HashMap::new();
        let mut classes = Classes::default();
        for register in 0..body.register_count {
            if body.register_type(register).size() != 8 {
                continue;
            }
            let (key, constant, step) = finder.key(register);
            let next = numbers.len() as u32;
            let number = *numbers.entry(key).or_insert(next);
            classes.of.insert(register, (number, constant));
            if let Some((instruction, step)) = step {
                classes.steps.insert(instruction, step);
            }
        }
        classes
    }

    /// The class of a register, and its constant there; `None`: it is alone.
    pub fn of(&self, register: RegisterId) -> Option<(u32, i64)> {
        self.of.get(&register).copied()
    }
}

/// What members of a class have in common.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Fixed(BTreeMap<Atom, i64>),
    Loop { start: usize, step_in: usize, step: i64, atoms: BTreeMap<Atom, i64> },
    Alone(RegisterId),
}

struct Finder<'a> {
    body: &'a Body,
    /// Instructions that write each register; none for those that may be read before.
    writes: Vec<Vec<usize>>,
    block_of: Vec<usize>,
    known: HashMap<RegisterId, Sum>,
}

impl<'a> Finder<'a> {
    fn new(body: &'a Body, graph: &Graph) -> Finder<'a> {
        let mut writes = vec![Vec::new(); body.register_count as usize];
        let mut block_of = vec![0; body.instructions.len()];
        for (number, block) in graph.blocks.iter().enumerate() {
            for index in block.instructions.clone() {
                block_of[index] = number;
                for register in &graph.roles[index].writes {
                    writes[*register as usize].push(index);
                }
            }
        }
        // What may be read before it is written has a value from nowhere as well.
        for register in graph.live_in[0].iter() {
            writes[register].clear();
        }
        Finder { body, writes, block_of, known: HashMap::new() }
    }

    fn key(&mut self, register: RegisterId) -> (Key, i64, Option<(usize, i64)>) {
        match self.writes[register as usize][..] {
            [_] => {
                let sum = self.sum(register, 0);
                if self.is_fixed(&sum) {
                    return (Key::Fixed(sum.atoms), sum.constant, None);
                }
            }
            [first, second] => {
                for (start, step_at) in [(first, second), (second, first)] {
                    let Some(step) = self.step(register, step_at) else { continue };
                    let Some(sum) = self.result(&self.body.instructions[start], 0) else { continue };
                    if self.is_fixed(&sum) {
                        let (start, step_in) = (self.block_of[start], self.block_of[step_at]);
                        let key = Key::Loop { start, step_in, step, atoms: sum.atoms };
                        return (key, sum.constant, Some((step_at, step)));
                    }
                }
            }
            _ => {}
        }
        (Key::Alone(register), 0, None)
    }

    /// Whether a sum is the same wherever it is computed.
    fn is_fixed(&self, sum: &Sum) -> bool {
        sum.atoms.keys().all(|atom| {
            let (Atom::Whole(register) | Atom::Signed(register) | Atom::Unsigned(register)) = atom;
            self.writes[*register as usize].len() == 1
        })
    }

    /// What an instruction adds to a register that it reads and writes.
    fn step(&self, register: RegisterId, at: usize) -> Option<i64> {
        let instruction = &self.body.instructions[at];
        let mnemonic = self.body.mnemonic(instruction);
        match (&instruction.operands[..], mnemonic.op, instruction.guard) {
            ([Operand::Register(to), Operand::Register(from), Operand::Constant(step)], Op::Add, None)
                if *to == register && *from == register && !mnemonic.has(Modifier::Cc) =>
            {
                Some(step.bits(Type::B64) as i64)
            }
            _ => None,
        }
    }

    /// A 64-bit register as a sum.
    fn sum(&mut self, register: RegisterId, depth: u32) -> Sum {
        if let Some(known) = self.known.get(&register) {
            return known.clone();
        }
        let atom = Sum::of(Atom::Whole(register));
        let sum = match self.writes[register as usize][..] {
            [only] if depth < DEEPEST => {
                let instruction = &self.body.instructions[only];
                let sum = self.result(instruction, depth).filter(|sum| sum.atoms.len() <= MOST_ATOMS);
                sum.filter(|sum| self.is_fixed(sum)).unwrap_or(atom)
            }
            _ => atom,
        };
        self.known.insert(register, sum.clone());
        sum
    }

    /// The result of an instruction with a 64-bit result.
    fn result(&mut self, instruction: &Instruction, depth: u32) -> Option<Sum> {
        let mnemonic = self.body.mnemonic(instruction);
        if instruction.guard.is_some() || mnemonic.has(Modifier::Hi) || mnemonic.has(Modifier::Cc) {
            return None;
        }
        let operands = &instruction.operands;
        let whole = |finder: &mut Self, place: usize| finder.operand(&operands[place], depth + 1);
        let wide = mnemonic.has(Modifier::Wide);
        let signed = mnemonic.ty()?.is_signed();
        let integral = mnemonic.types.iter().all(|ty| !ty.is_float());
        Some(match mnemonic.op {
            Op::Add if integral => whole(self, 1)?.plus(&whole(self, 2)?, 1),
            Op::Sub if integral => whole(self, 1)?.plus(&whole(self, 2)?, -1),
            Op::Mov | Op::Cvta if operands.len() == 2 && !self.is_shared(instruction) => whole(self, 1)?,
            Op::Mul if wide => self.extended(&operands[1], signed)?.times(number(&operands[2])?),
            Op::Mad if wide => {
                let product = self.extended(&operands[1], signed)?.times(number(&operands[2])?);
                product.plus(&whole(self, 3)?, 1)
            }
            Op::Mul if integral => whole(self, 1)?.times(number(&operands[2])?),
            Op::Mad if integral => whole(self, 1)?.times(number(&operands[2])?).plus(&whole(self, 3)?, 1),
            Op::Shl => whole(self, 1)?.times(1i64.checked_shl(number(&operands[2])?.try_into().ok()?)?),
            Op::Cvt if integral && mnemonic.types[0].size() == 8 && mnemonic.types[1].size() == 4 => {
                self.extended(&operands[1], signed)?
            }
            _ => return None,
        })
    }

    fn is_shared(&self, instruction: &Instruction) -> bool {
        let mnemonic = self.body.mnemonic(instruction);
        mnemonic.op == Op::Cvta && !mnemonic.has(Modifier::Global)
    }

    fn operand(&mut self, operand: &Operand, depth: u32) -> Option<Sum> {
        match operand {
            Operand::Register(register) if self.body.register_type(*register).size() == 8 => {
                Some(self.sum(*register, depth))
            }
            Operand::Constant(constant) => {
                Some(Sum { constant: constant.bits(Type::B64) as i64, ..Sum::default() })
            }
            _ => None,
        }
    }

    /// A 32-bit register in 64 bits. A complement is one there too.
    fn extended(&self, operand: &Operand, signed: bool) -> Option<Sum> {
        let Operand::Register(register) = operand else { return None };
        if self.body.register_type(*register).size() != 4 {
            return None;
        }
        if !signed {
            return Some(Sum::of(Atom::Unsigned(*register)));
        }
        if let [only] = self.writes[*register as usize][..] {
            let instruction = &self.body.instructions[only];
            if self.body.mnemonic(instruction).op == Op::Not
                && instruction.guard.is_none()
                && let Some(Operand::Register(of)) = instruction.operands.get(1)
            {
                return Some(Sum { constant: -1, ..Sum::of(Atom::Signed(*of)).times(-1) });
            }
        }
        Some(Sum::of(Atom::Signed(*register)))
    }
}

/// A constant operand.
fn number(operand: &Operand) -> Option<i64> {
    match operand {
        Operand::Constant(constant) => Some(constant.bits(Type::B64) as i64),
        _ => None,
    }
}
