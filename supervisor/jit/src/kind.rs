//! How the lanes of a register are related: all the same, the same but for a constant pattern, or anyhow.
//!
//! A register has one kind for the whole kernel (compilers write registers once, but for loop variables, whose writes agree).
//! There are two worlds. In the first no lanes have parted, so a value that is computed from values which all lanes share is
//! shared. In the second, lanes may wait elsewhere while others run: a register that they will still need must not be written
//! for all lanes at once, so it is varying ([`Facts::solve`] with frontiers).
//!
//! Addition, and multiplication by constants, keep patterns also when they wrap. Shifting right and masking keep them where the
//! pattern lies in bits that the base does not have (`zeros`: how many low bits of the base are zero). Widening keeps them if
//! nothing wraps: where that can't be seen here, code tests it and stops.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use interpreter::{Plan, VariablePlace};
use ptx::{AddressBase, Body, Instruction, Mnemonic, Modifier, Op, Operand, RegisterId, Special, Type};

use crate::counters::{self, Step};
use crate::graph::{Graph, Set};

/// Lanes of a warp.
pub(crate) const LANES: usize = 32;

/// What each lane has more than its register's base.
pub(crate) type Pattern = [i64; LANES];

/// How the lanes of a register are related.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Not known yet: nothing has been written.
    Unset,
    /// All lanes have the same.
    Uniform,
    /// A base, and the pattern of this number on top.
    Pattern(u32),
    /// Anyhow.
    Varying,
}

/// What is known of a value.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Fact {
    pub kind: Kind,
    /// Low bits of the base that are zero; 64: it is zero.
    pub zeros: u32,
    /// Bits that the value has at most in any lane, if it is not negative; 64: it may be anything.
    pub bits: u32,
    /// The value, if it is a constant.
    pub constant: Option<u64>,
}

/// [`Fact::bits`] of a value that may be anything.
pub(crate) const ANY: u32 = 64;

/// Where the sign of a 32-bit number may be set, nothing is known.
fn capped(bits: u32) -> u32 {
    if bits > 31 { ANY } else { bits }
}

impl Fact {
    /// A value of at most so many bits.
    pub fn below(self, bits: u32) -> Fact {
        Fact { bits: self.bits.min(bits), ..self }
    }

    pub fn varying() -> Fact {
        Fact { kind: Kind::Varying, zeros: 0, bits: ANY, constant: None }
    }

    pub fn uniform(zeros: u32) -> Fact {
        Fact { kind: Kind::Uniform, zeros, bits: ANY, constant: None }
    }

    pub fn constant(value: u64) -> Fact {
        Fact {
            kind: Kind::Uniform,
            zeros: value.trailing_zeros(),
            bits: capped(64 - value.leading_zeros()),
            constant: Some(value),
        }
    }
}

/// What is left of a number when multiples of a power of two are taken from it.
struct Rest {
    /// Bits of the power.
    bits: u32,
    /// Whether the number's base is such a multiple.
    whole: bool,
}

impl Rest {
    /// More of what is known of the difference.
    fn of(self, fact: Fact) -> Fact {
        let zeros = if self.whole && fact.kind != Kind::Varying { 64 } else { fact.zeros };
        Fact { zeros, ..fact.below(self.bits) }
    }
}

/// How far back [`Facts::rest`] looks.
const FAR_BACK: usize = 64;

/// The pattern table; equal patterns have one number.
#[derive(Default)]
pub(crate) struct Patterns(RefCell<Vec<Arc<Pattern>>>);

/// Offsets beyond this are not worth a pattern, and could overflow.
const FAR: i64 = 1 << 40;

impl Patterns {
    pub fn get(&self, number: u32) -> Arc<Pattern> {
        self.0.borrow()[number as usize].clone()
    }

    /// The kind of a base with a pattern.
    pub fn kind(&self, pattern: &Pattern) -> Kind {
        if pattern.iter().any(|more| more.abs() > FAR) {
            return Kind::Varying;
        }
        if pattern.iter().all(|more| *more == 0) {
            return Kind::Uniform;
        }
        let mut known = self.0.borrow_mut();
        let place = known.iter().position(|other| **other == *pattern).unwrap_or_else(|| {
            known.push(Arc::new(*pattern));
            known.len() - 1
        });
        Kind::Pattern(place as u32)
    }
}

/// Where the threads of each warp lie in a dimension of the block.
pub(crate) enum Positions {
    /// A base for each warp, and a pattern.
    Regular(Vec<u32>, Box<Pattern>),
    /// For each warp, each lane.
    Irregular(Vec<[u32; LANES]>),
}

/// Positions of the threads of a block of this shape.
pub(crate) fn positions(block: [u32; 3], dimension: usize) -> Positions {
    let [x, y, _] = block;
    let warps = block.iter().product::<u32>().div_ceil(LANES as u32);
    let place = |linear: u32| [linear % x, linear / x % y, linear / x / y][dimension];
    let lanes: Vec<[u32; LANES]> =
        (0..warps).map(|warp| std::array::from_fn(|lane| place(warp * LANES as u32 + lane as u32))).collect();
    let pattern_of = |lanes: &[u32; LANES]| lanes.map(|value| i64::from(value) - i64::from(lanes[0]));
    let pattern = pattern_of(&lanes[0]);
    if lanes.iter().all(|lanes| pattern_of(lanes) == pattern) {
        Positions::Regular(lanes.iter().map(|lanes| lanes[0]).collect(), Box::new(pattern))
    } else {
        Positions::Irregular(lanes)
    }
}

/// What is known of a kernel's registers in one world.
pub(crate) struct Facts<'a> {
    pub body: &'a Body,
    pub plan: &'a Plan,
    pub block: [u32; 3],
    pub patterns: &'a Patterns,
    pub kinds: Vec<Kind>,
    zeros: Vec<u32>,
    bits: Vec<u32>,
}

impl<'a> Facts<'a> {
    /// Nothing yet.
    pub fn new(body: &'a Body, plan: &'a Plan, block: [u32; 3], patterns: &'a Patterns) -> Facts<'a> {
        let count = body.register_count as usize;
        Facts {
            body,
            plan,
            block,
            patterns,
            kinds: vec![Kind::Unset; count],
            zeros: vec![64; count],
            bits: vec![0; count],
        }
    }

    /// Finds the kinds of all registers, given where lanes can wait while each block runs.
    pub fn solve(&mut self, graph: &Graph, frontiers: &[Set]) {
        let steps = counters::steps(self.body, graph);
        loop {
            while self.pass(graph, frontiers, &steps) {}
            // What nobody writes has any value. So has at first what is only written where it is read as well; what becomes of it
            // there is found in the next passes.
            let mut unset = self.kinds.iter_mut().filter(|kind| **kind == Kind::Unset).peekable();
            if unset.peek().is_none() {
                return;
            }
            unset.for_each(|kind| *kind = Kind::Uniform);
        }
    }

    fn pass(&mut self, graph: &Graph, frontiers: &[Set], steps: &HashMap<usize, Step>) -> bool {
        let mut changed = false;
        for (number, block) in graph.blocks.iter().enumerate() {
            for index in block.instructions.clone() {
                let instruction = &self.body.instructions[index];
                let roles = &graph.roles[index];
                if roles.reads.iter().any(|register| self.kinds[*register as usize] == Kind::Unset) {
                    continue;
                }
                let mut fact = self.result(instruction);
                if let Some(rest) = self.rest(graph, block.instructions.start, index) {
                    fact = rest.of(fact);
                }
                if let Some(bits) = steps.get(&index).and_then(|step| self.counted_bits(step)) {
                    fact = fact.below(bits);
                }
                for register in roles.writes.iter().copied() {
                    let waits = |block: usize| graph.live_in[block].has(register as usize);
                    let needed = frontiers[number].iter().any(waits);
                    changed |= self.join(register, if needed { Fact::varying() } else { fact });
                }
            }
        }
        changed
    }

    /// Bits of what a register that counts gets by a step, at most.
    fn counted_bits(&self, step: &Step) -> Option<u32> {
        let begins = step.begins.iter().map(|index| self.result(&self.body.instructions[*index]).bits);
        step.bits(begins.max()?)
    }

    /// Whether an instruction takes the multiples of a power of two from a number, as compilers do for `%`: `x - ((x + 0) & -32)`,
    /// where the 0 is what the sign of `x` would make of it.
    fn rest(&self, graph: &Graph, first: usize, index: usize) -> Option<Rest> {
        let Instruction { operands, guard: None, .. } = &self.body.instructions[index] else { return None };
        let mnemonic = self.body.mnemonic(&self.body.instructions[index]);
        let narrow = mnemonic.ty().is_some_and(|ty| ty.size() == 4 && !ty.is_float());
        let (Op::Sub, true, [_, Operand::Register(number), Operand::Register(multiple)]) =
            (mnemonic.op, narrow, &operands[..])
        else {
            return None;
        };
        // The instruction before another of the block that writes a register, if the number stays what it is meanwhile; or the
        // only one, if the number never changes.
        let writer = |register: RegisterId, before: usize| {
            let near = first.max(index.saturating_sub(FAR_BACK))..before;
            let near = near.rev().find(|place| {
                let writes = &graph.roles[*place].writes;
                writes.contains(&register) || writes.contains(number)
            });
            let only = || graph.only_write[register as usize].filter(|_| graph.is_settled(*number));
            let place = near.or_else(only)?;
            let kept = register == *number || !graph.roles[place].writes.contains(number);
            let found = &self.body.instructions[place];
            (kept && found.guard.is_none()).then_some((place, self.body.mnemonic(found).op, &found.operands))
        };
        let (place, Op::And, masked) = writer(*multiple, index)? else { return None };
        let [_, Operand::Register(sum), mask] = &masked[..] else { return None };
        if sum != number {
            let (_, Op::Add, terms) = writer(*sum, place)? else { return None };
            let same = |place: usize| terms[place] == Operand::Register(*number);
            let zero = |place: usize| {
                let fact = self.operand(&terms[place]);
                fact.kind == Kind::Uniform && fact.zeros >= 64
            };
            if terms.len() != 3 || !(same(1) && zero(2) || same(2) && zero(1)) {
                return None;
            }
        }
        let mask = self.operand(mask).constant? as u32;
        let number = self.register(*number);
        let bits = mask.trailing_zeros();
        // The number has no bits that the mask lacks but for the lowest.
        let room = u64::from(!mask) >> bits << bits;
        (bits < 32 && room & ((1u64 << number.bits.min(32)) - 1) == 0)
            .then_some(Rest { bits, whole: number.zeros >= bits })
    }

    /// A register gets one value more.
    fn join(&mut self, register: RegisterId, fact: Fact) -> bool {
        let place = register as usize;
        let ty = self.body.register_type(register);
        let fits = match fact.kind {
            Kind::Pattern(_) if ty == Type::Pred || ty.size() < 4 => Kind::Varying,
            kind => kind,
        };
        let kind = match self.kinds[place] {
            Kind::Unset => fits,
            old if old == fits => old,
            _ => Kind::Varying,
        };
        let zeros = self.zeros[place].min(fact.zeros);
        let bits = self.bits[place].max(capped(fact.bits));
        let changed = (kind, zeros, bits) != (self.kinds[place], self.zeros[place], self.bits[place]);
        (self.kinds[place], self.zeros[place], self.bits[place]) = (kind, zeros, bits);
        changed
    }

    /// What is known of an operand.
    pub fn operand(&self, operand: &Operand) -> Fact {
        match operand {
            Operand::Register(register) | Operand::NotRegister(register) => self.register(*register),
            Operand::Constant(constant) => Fact::constant(constant.bits(Type::B64)),
            Operand::Special(special) => self.special(*special),
            Operand::Variable(index, _) => self.variable(*index),
            Operand::Symbol(..) => Fact::uniform(0),
            Operand::Address { base, .. } => match base {
                AddressBase::Register(register) => self.register(*register),
                AddressBase::Variable(index) => self.variable(*index),
                _ => Fact::uniform(0),
            },
            Operand::Vector(parts) | Operand::List(parts) => {
                let uniform = parts.iter().all(|part| self.operand(part).kind == Kind::Uniform);
                if uniform { Fact::uniform(0) } else { Fact::varying() }
            }
            _ => Fact::varying(),
        }
    }

    pub fn register(&self, register: RegisterId) -> Fact {
        let place = register as usize;
        let kind = self.kinds[place];
        // In the second world lanes that have not come by its only writer yet may have something else: then code has a vector for it.
        let constant = self.plan.constants.get(&register).copied().filter(|_| kind == Kind::Uniform);
        Fact { kind, zeros: self.zeros[place], bits: self.bits[place], constant }
    }

    fn variable(&self, index: u32) -> Fact {
        match self.plan.variables[index as usize] {
            VariablePlace::Local(_) => {
                let step = self.plan.stack_bytes as i64;
                Fact {
                    kind: self.patterns.kind(&std::array::from_fn(|lane| lane as i64 * step)),
                    ..Fact::uniform(0)
                }
            }
            VariablePlace::Shared(place) => Fact::uniform(place.trailing_zeros()),
            _ => Fact::uniform(0),
        }
    }

    fn special(&self, special: Special) -> Fact {
        use Special::*;
        let row = || self.patterns.kind(&std::array::from_fn(|lane| lane as i64));
        match special {
            TidX => self.position(0),
            TidY => self.position(1),
            TidZ => self.position(2),
            LaneId => Fact { kind: row(), zeros: 64, bits: 5, constant: None },
            LanemaskEq | LanemaskLt | LanemaskLe | LanemaskGt | LanemaskGe => Fact::varying(),
            NtidX => Fact::constant(self.block[0].into()),
            NtidY => Fact::constant(self.block[1].into()),
            NtidZ => Fact::constant(self.block[2].into()),
            CtaidX | CtaidY | CtaidZ | NctaidX | NctaidY | NctaidZ => Fact::uniform(0).below(31),
            _ => Fact::uniform(0),
        }
    }

    fn position(&self, dimension: usize) -> Fact {
        let bits = 32 - (self.block[dimension] - 1).leading_zeros();
        match positions(self.block, dimension) {
            Positions::Regular(bases, pattern) => {
                let zeros = bases.iter().map(|base| u64::from(*base).trailing_zeros()).min().unwrap_or(64);
                Fact { kind: self.patterns.kind(&pattern), zeros, bits, constant: None }
            }
            Positions::Irregular(_) => Fact::varying().below(bits),
        }
    }

    /// The pattern of a kind that has one.
    pub fn pattern(&self, kind: Kind) -> Option<Pattern> {
        match kind {
            Kind::Uniform => Some([0; LANES]),
            Kind::Pattern(number) => Some(*self.patterns.get(number)),
            _ => None,
        }
    }

    /// Whether a pattern lies in bits that its base does not have, and not in the highest of so many.
    pub fn is_apart(&self, fact: Fact, bits: u32) -> bool {
        let most = 1i64 << fact.zeros.min(bits - 1).min(62);
        self.pattern(fact.kind).is_some_and(|pattern| pattern.iter().all(|more| (0..most).contains(more)))
    }

    /// The bits in which a pattern of a value of so many bits can lie.
    pub fn low_bits(&self, fact: Fact, bits: u32) -> u64 {
        (1u64 << fact.zeros.min(bits - 1).min(62)) - 1
    }

    /// What an instruction's results are before they are joined with what its registers are elsewhere.
    pub fn result(&self, instruction: &Instruction) -> Fact {
        let mnemonic = self.body.mnemonic(instruction);
        let guarded =
            instruction.guard.is_some_and(|(register, _)| self.register(register).kind != Kind::Uniform);
        if guarded {
            return Fact::varying();
        }
        self.value(mnemonic, &instruction.operands)
    }

    /// [`Facts::result`] of an instruction without a guard.
    pub fn value(&self, mnemonic: &Mnemonic, operands: &[Operand]) -> Fact {
        let facts: Vec<Fact> = operands.iter().skip(1).map(|operand| self.operand(operand)).collect();
        let bits = bits_of(mnemonic, &facts);
        let fact = self.related(mnemonic, operands, &facts);
        // Of a value without any bits the base is zero: it has no pattern either.
        let zeros = if bits == 0 && fact.kind == Kind::Uniform { 64 } else { fact.zeros };
        Fact { bits, zeros, ..fact }
    }

    fn related(&self, mnemonic: &Mnemonic, operands: &[Operand], facts: &[Fact]) -> Fact {
        use Op::*;
        let uniform = facts.iter().all(|fact| fact.kind == Kind::Uniform);
        match mnemonic.op {
            // Loads and what lanes do together.
            Ld | Ldu => match facts.first() {
                Some(fact) if fact.kind == Kind::Uniform => Fact::uniform(0),
                _ => Fact::varying(),
            },
            Vote | Activemask => Fact::uniform(0),
            Redux => Fact::uniform(0),
            Shfl => self.shuffled(mnemonic, matches!(operands[0], Operand::Pair(..)), facts),
            Atom | Match | Elect | Tex | Suld | Tld4 | Txq | Suq => Fact::varying(),
            Mov if facts.len() == 1 && !operands[..2].iter().any(|it| matches!(it, Operand::Vector(_))) => {
                facts[0]
            }
            Cvta => Fact { zeros: facts[0].zeros.min(4), constant: None, ..facts[0] },
            _ if !mnemonic.is_pure() => Fact::varying(),
            _ if uniform => Fact::uniform(self.zeros_of(mnemonic, facts)),
            _ if mnemonic.ty().is_some_and(Type::is_float) => Fact::varying(),
            _ => self.patterned(mnemonic, facts).unwrap_or(Fact::varying()),
        }
    }

    /// A lane that all lanes read gives all the same; not so whether there is one, which is `told` in a second destination.
    fn shuffled(&self, mnemonic: &Mnemonic, told: bool, facts: &[Fact]) -> Fact {
        let [value, lane, limit, ..] = facts else { return Fact::varying() };
        let whole = limit.constant.is_some_and(|limit| limit >> 8 & 31 == 0 && limit & 31 == 31);
        let there = mnemonic.has(Modifier::Idx) && whole;
        if value.kind == Kind::Uniform && (there || !told) || lane.kind == Kind::Uniform && there {
            return Fact::uniform(0);
        }
        Fact::varying()
    }

    /// Low zero bits of a result of uniform operands. A number's bits say nothing of those of another type's, or of the
    /// nearest that there is.
    fn zeros_of(&self, mnemonic: &Mnemonic, facts: &[Fact]) -> u32 {
        if mnemonic.types.iter().any(|ty| ty.is_float()) || mnemonic.has(Modifier::Sat) {
            return 0;
        }
        let zeros = |place: usize| facts.get(place).map_or(0, |fact| fact.zeros);
        let constant = |place: usize| facts.get(place).and_then(|fact| fact.constant);
        let high = mnemonic.has(Modifier::Hi);
        let zeros = match mnemonic.op {
            Op::Add | Op::Sub | Op::Or | Op::Xor => zeros(0).min(zeros(1)),
            Op::And => zeros(0).max(zeros(1)),
            Op::Mul if !high => zeros(0) + zeros(1),
            Op::Mad if !high => (zeros(0) + zeros(1)).min(zeros(2)),
            Op::Shl => zeros(0) + constant(1).unwrap_or(0).min(64) as u32,
            Op::Shr => constant(1).map_or(0, |count| zeros(0).saturating_sub(count.min(64) as u32)),
            Op::Cvt => zeros(0),
            _ => 0,
        };
        zeros.min(64)
    }

    /// Integer instructions that keep patterns.
    fn patterned(&self, mnemonic: &Mnemonic, facts: &[Fact]) -> Option<Fact> {
        let pattern = |place: usize| self.pattern(facts.get(place)?.kind);
        let constant = |place: usize| facts.get(place)?.constant;
        // Constants are read as signed numbers: what is added modulo 2^32 is the same.
        let narrow = mnemonic.ty().is_some_and(|ty| ty.size() == 4);
        let signed = |value: u64| if narrow { i64::from(value as i32) } else { value as i64 };
        // What 64 bits don't hold has other low bits as well: no pattern.
        let times = |pattern: Pattern, factor: i64| lanes(|lane| pattern[lane].checked_mul(factor));
        let plus = |a: Pattern, b: Pattern| lanes(|lane| a[lane].checked_add(b[lane]));
        let wide_unsigned = mnemonic.has(Modifier::Wide) && !mnemonic.ty()?.is_signed();
        // Two halves in a word carry nothing to each other.
        let halves = matches!(mnemonic.ty()?, Type::U16x2 | Type::S16x2);
        let odd = [Modifier::Hi, Modifier::Sat, Modifier::Cc].iter().any(|modifier| mnemonic.has(*modifier));
        if halves || odd {
            return None;
        }
        let result: Pattern = match mnemonic.op {
            Op::Add => plus(pattern(0)?, pattern(1)?)?,
            Op::Sub => plus(pattern(0)?, times(pattern(1)?, -1)?)?,
            Op::Neg => times(pattern(0)?, -1)?,
            Op::Not => times(pattern(0)?, -1)?,
            Op::Mul => self.product(facts, &signed, wide_unsigned)?,
            Op::Mad => plus(self.product(facts, &signed, wide_unsigned)?, pattern(2)?)?,
            Op::Shl => times(pattern(0)?, 1i64.checked_shl(constant(1)?.try_into().ok()?)?)?,
            Op::Cvt if is_integral(mnemonic) => pattern(0)?,
            Op::Selp if facts.get(2)?.kind == Kind::Uniform && facts[0].kind == facts[1].kind => pattern(0)?,
            _ => return self.in_low_bits(mnemonic, facts),
        };
        let zeros = match mnemonic.op {
            Op::Neg => facts[0].zeros,
            Op::Not => 0,
            Op::Selp => facts[0].zeros.min(facts[1].zeros),
            _ => self.zeros_of(mnemonic, facts),
        };
        Some(Fact { kind: self.patterns.kind(&result), zeros, bits: ANY, constant: None })
    }

    /// The pattern of the product of the first two operands, one of which must be a constant (or both uniform).
    fn product(&self, facts: &[Fact], signed: &impl Fn(u64) -> i64, wide_unsigned: bool) -> Option<Pattern> {
        let (first, second) = (self.pattern(facts[0].kind)?, self.pattern(facts[1].kind)?);
        let times = |pattern: Pattern, factor: u64| lanes(|lane| pattern[lane].checked_mul(signed(factor)));
        if facts[0].kind == Kind::Uniform && facts[1].kind == Kind::Uniform {
            return Some([0; LANES]);
        }
        // The high half of a product of unsigned numbers is another than that of signed ones.
        let plain = |factor: u64| if signed(factor) >= 0 { Some(factor) } else { None };
        if wide_unsigned {
            facts[0].constant.or(facts[1].constant).and_then(plain)?;
        }
        match (facts[0].constant, facts[1].constant) {
            (_, Some(factor)) => times(first, factor),
            (Some(factor), _) => times(second, factor),
            _ => None,
        }
    }

    /// Instructions on bits, where the pattern lies in bits that the base does not have.
    fn in_low_bits(&self, mnemonic: &Mnemonic, facts: &[Fact]) -> Option<Fact> {
        let (first, second) = (*facts.first()?, *facts.get(1)?);
        let (value, constant) = match (first.constant, second.constant) {
            (None, Some(constant)) => (first, constant),
            (Some(constant), None) if mnemonic.op != Op::Shr => (second, constant),
            _ => return None,
        };
        let bits = mnemonic.ty()?.size() * 8;
        if !self.is_apart(value, bits) {
            return None;
        }
        let pattern = self.pattern(value.kind)?;
        let low = self.low_bits(value, bits);
        let (result, zeros): (Pattern, u32) = match mnemonic.op {
            Op::Shr => {
                let count = u32::try_from(constant).ok().filter(|count| *count < 32)?;
                (pattern.map(|more| more >> count), value.zeros.saturating_sub(count))
            }
            Op::And => {
                (pattern.map(|more| more & constant as i64), value.zeros.max(constant.trailing_zeros()))
            }
            Op::Or => {
                (pattern.map(|more| more & !(constant as i64)), value.zeros.min(constant.trailing_zeros()))
            }
            Op::Xor => (
                pattern.map(|more| (more ^ constant as i64) & low as i64),
                value.zeros.min((constant & !low).trailing_zeros()),
            ),
            _ => return None,
        };
        let none_of_base = mnemonic.op == Op::And && constant & !low == 0;
        let stays_zero = value.zeros >= 64 && matches!(mnemonic.op, Op::Shr | Op::And) || none_of_base;
        let zeros = if stays_zero { 64 } else { zeros };
        Some(Fact { kind: self.patterns.kind(&result), zeros, bits: ANY, constant: None })
    }
}

/// A pattern, if each lane has a number.
fn lanes(number: impl Fn(usize) -> Option<i64>) -> Option<Pattern> {
    let mut pattern = [0; LANES];
    for (lane, place) in pattern.iter_mut().enumerate() {
        *place = number(lane)?;
    }
    Some(pattern)
}

/// How many bits an instruction's result has at most.
fn bits_of(mnemonic: &Mnemonic, facts: &[Fact]) -> u32 {
    use Op::*;
    let bits = |place: usize| facts.get(place).map_or(ANY, |fact| fact.bits);
    let constant = |place: usize| facts.get(place).and_then(|fact| fact.constant);
    let known = |count: u64| count.min(64) as u32;
    let plain = mnemonic.ty().is_some_and(|ty| !ty.is_float());
    if !plain || mnemonic.has(Modifier::Hi) || mnemonic.has(Modifier::Cc) {
        return ANY;
    }
    capped(match mnemonic.op {
        Mov | Selp if facts.len() == 3 => bits(0).max(bits(1)),
        Mov if facts.len() == 1 => bits(0),
        Cvt => converted_bits(mnemonic, bits(0)),
        Add => bits(0).max(bits(1)) + 1,
        Mul => bits(0) + bits(1),
        Mad => (bits(0) + bits(1)).max(bits(2)) + 1,
        Or | Xor => bits(0).max(bits(1)),
        And => bits(0).min(bits(1)),
        Min => bits(0).max(bits(1)),
        Max => bits(0).max(bits(1)),
        Div if constant(1).is_some_and(|divisor| (1..1 << 31).contains(&divisor)) => bits(0),
        // By zero it gives all ones.
        Rem if constant(1).is_some_and(|divisor| divisor != 0) => bits(0),
        Shl => constant(1).map_or(ANY, |count| bits(0) + known(count)),
        Shr => match (constant(1), bits(0)) {
            (Some(count), ANY) if !mnemonic.ty().is_some_and(Type::is_signed) => {
                (8 * mnemonic.ty().map_or(8, Type::size)).saturating_sub(known(count))
            }
            (_, ANY) => ANY,
            (Some(count), bits) => bits.saturating_sub(known(count)),
            (None, bits) => bits,
        },
        Ld | Ldu if !mnemonic.ty().is_some_and(Type::is_signed) => 8 * mnemonic.ty().map_or(8, Type::size),
        Popc | Clz => 7,
        Bfe if !mnemonic.ty().is_some_and(Type::is_signed) => constant(2).map_or(ANY, known),
        _ => ANY,
    })
}

/// Bits of an integer of so many bits in another type.
fn converted_bits(mnemonic: &Mnemonic, bits: u32) -> u32 {
    let [to, from] = mnemonic.types[..] else { return ANY };
    if to.is_float() || from.is_float() {
        return ANY;
    }
    // A number that reaches the sign's place is negative.
    let read = match from.is_signed() {
        true if bits >= 8 * from.size() => ANY,
        true => bits,
        false => bits.min(8 * from.size()),
    };
    let room = 8 * to.size();
    match to.is_signed() {
        true if read >= room => ANY,
        true => read,
        false => read.min(room),
    }
}

/// Whether a conversion is one between integers of at least 32 bits.
fn is_integral(mnemonic: &Mnemonic) -> bool {
    mnemonic.types.iter().all(|ty| !ty.is_float() && ty.size() >= 4)
}
