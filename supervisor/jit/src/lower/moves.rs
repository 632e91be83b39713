//! `mov`, selection, comparison, and logic on predicates.

use ptx::{Mnemonic, Modifier, Op, Operand, Type};

use super::{Ends, Lowered, Lowering, Value};
use crate::graph::End;
use crate::kind::{Fact, Kind, LANES};
use crate::text::constant;

impl Lowering<'_> {
    pub(super) fn mov(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Lowered<()> {
        let ty = mnemonic.ty().ok_or("a move without a type")?;
        match (&operands[0], &operands[1]) {
            (Operand::Vector(parts), source) => self.unpack(parts, source, ty),
            (target, Operand::Vector(parts)) => self.pack(target, parts, ty),
            (target, source) if ty == Type::Pred => {
                let value = self.predicate(source)?;
                self.assign_predicate(target, value)
            }
            (target, source) => {
                let bits = 8 * ty.size();
                if bits > 64 {
                    return Err("a move of this type".into());
                }
                let mut value = self.operand(source, bits)?;
                if self.is_of(target, Type::F32) {
                    value.name = match source {
                        Operand::Register(_) if bits == 32 && !self.is_of(source, Type::F32) => {
                            self.fenced(value.name, value.kind == Kind::Varying)
                        }
                        _ => self.unfolded(value.name),
                    };
                }
                self.assign(target, value.kind, value.name, bits)
            }
        }
    }

    /// A register of that type.
    fn is_of(&self, operand: &Operand, ty: Type) -> bool {
        matches!(operand, Operand::Register(register) if self.body.register_type(*register) == ty)
    }

    /// `mov.b64 d, {a, b}`: the first part lowest.
    fn pack(&mut self, target: &Operand, parts: &[Operand], ty: Type) -> Lowered<()> {
        let whole = 8 * ty.size();
        if whole > 64 || whole / (parts.len() as u32) < 16 {
            return Err("a move of this type".into());
        }
        let bits = whole / parts.len() as u32;
        let mut values = Vec::new();
        for part in parts {
            values.push(self.operand(part, bits)?);
        }
        let names: Vec<String> = values.iter().map(|value| value.name.clone()).collect();
        if (whole, bits) == (32, 16)
            && let Some(word) = self.halves.whole(&names).map(str::to_string)
        {
            return self.assign(target, Kind::Varying, word, whole);
        }
        let wide = values.iter().any(|value| value.kind != Kind::Uniform);
        let (from, to) = (self.text.integer(bits, wide), self.text.integer(whole, wide));
        let mut result = constant(whole, wide, 0);
        for (index, value) in values.iter().enumerate() {
            let part = self.shaped(value, bits, wide);
            let part = self.text.value(format!("zext {from} {part} to {to}"));
            let shift = constant(whole, wide, u64::from(bits) * index as u64);
            let part = self.text.value(format!("shl {to} {part}, {shift}"));
            result = self.text.value(format!("or {to} {result}, {part}"));
        }
        self.assign(target, if wide { Kind::Varying } else { Kind::Uniform }, result, whole)
    }

    /// `mov.b64 {a, b}, d`.
    fn unpack(&mut self, parts: &[Operand], source: &Operand, ty: Type) -> Lowered<()> {
        let whole = 8 * ty.size();
        if whole > 64 || whole / (parts.len() as u32) < 16 {
            return Err("a move of this type".into());
        }
        let bits = whole / parts.len() as u32;
        let value = self.operand(source, whole)?;
        let wide = value.kind != Kind::Uniform;
        let name = self.shaped(&value, whole, wide);
        let (from, to) = (self.text.integer(whole, wide), self.text.integer(bits, wide));
        for (index, part) in parts.iter().enumerate() {
            let shift = constant(whole, wide, u64::from(bits) * index as u64);
            let cut = self.text.value(format!("lshr {from} {name}, {shift}"));
            let cut = self.text.value(format!("trunc {from} {cut} to {to}"));
            if (whole, bits, wide) == (32, 16, true) {
                self.halves.note_part(&cut, &name, index);
            }
            self.assign(part, if wide { Kind::Varying } else { Kind::Uniform }, cut, bits)?;
        }
        Ok(())
    }

    /// Between generic addresses and offsets into shared memory; other spaces have real addresses.
    pub(super) fn cvta(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Lowered<()> {
        let bits = 8 * mnemonic.ty().map_or(8, Type::size);
        if bits != 64 {
            return Err("an address of 32 bits".into());
        }
        let value = self.operand(&operands[1], 64)?;
        let shared = [Modifier::Shared, Modifier::SharedCta, Modifier::SharedCluster];
        if !shared.iter().any(|modifier| mnemonic.has(*modifier)) {
            return self.assign(&operands[0], value.kind, value.name, 64);
        }
        let how = if mnemonic.has(Modifier::To) { "sub" } else { "add" };
        let wide = value.kind == Kind::Varying;
        let start = if wide { self.splat("%shared", 64) } else { "%shared".into() };
        let name = self.text.value(format!("{how} {} {}, {start}", self.text.integer(64, wide), value.name));
        self.assign(&operands[0], value.kind, name, 64)
    }

    /// Whether any of some operands differs between lanes in another way than by a pattern that its instruction keeps.
    pub(super) fn is_wide(&self, operands: &[Operand]) -> bool {
        operands.iter().any(|operand| self.facts().operand(operand).kind != Kind::Uniform)
    }

    pub(super) fn selp(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Lowered<()> {
        let bits = 8 * mnemonic.ty().ok_or("a selection without a type")?.size();
        let condition = self.predicate(&operands[3])?;
        let (first, second) = (self.operand(&operands[1], bits)?, self.operand(&operands[2], bits)?);
        if condition.kind == Kind::Uniform && first.kind == second.kind {
            let ty = self.text.integer(bits, first.kind == Kind::Varying);
            let name = self
                .text
                .value(format!("select i1 {}, {ty} {}, {ty} {}", condition.name, first.name, second.name));
            return self.assign(&operands[0], first.kind, name, bits);
        }
        let word = self.word_of(&condition);
        let chosen = self.vector_of(&word);
        let ty = self.text.integer(bits, true);
        let (first, second) = (self.shaped(&first, bits, true), self.shaped(&second, bits, true));
        let name = self
            .text
            .value(format!("select {} {chosen}, {ty} {first}, {ty} {second}", self.text.integer(1, true)));
        self.assign(&operands[0], Kind::Varying, name, bits)
    }

    /// `slct d, a, b, c`: `a` where `c` is not negative.
    pub(super) fn slct(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Lowered<()> {
        let bits = 8 * mnemonic.types[0].size();
        let wide = self.is_wide(&operands[1..]);
        let (first, second) =
            (self.source(&operands[1], bits, wide)?, self.source(&operands[2], bits, wide)?);
        let chooser = self.source(&operands[3], 32, wide)?;
        let test = if mnemonic.ty() == Some(Type::F32) {
            self.is_not_negative(&chooser, mnemonic.has(Modifier::Ftz), wide)
        } else {
            let ty = self.text.integer(32, wide);
            self.text.value(format!("icmp sge {ty} {chooser}, {}", constant(32, wide, 0)))
        };
        let (ty, bit) = (self.text.integer(bits, wide), self.text.integer(1, wide));
        let name = self.text.value(format!("select {bit} {test}, {ty} {first}, {ty} {second}"));
        self.assign(&operands[0], if wide { Kind::Varying } else { Kind::Uniform }, name, bits)
    }

    /// Whether an f32 is zero or more, by its bits: the processor may be flushing for other instructions, and a negative subnormal is
    /// zero for those alone that flush.
    fn is_not_negative(&mut self, number: &str, flush: bool, wide: bool) -> String {
        const SIGN: u32 = 0x8000_0000;
        const INFINITY: u32 = 0x7f80_0000;
        const LEAST_NORMAL: u32 = 0x0080_0000;
        let (ty, bit) = (self.text.integer(32, wide), self.text.integer(1, wide));
        let word = |word: u32| constant(32, wide, word.into());
        let is_positive = self.text.value(format!("icmp ule {ty} {number}, {}", word(INFINITY)));
        let past_zero = self.text.value(format!("sub {ty} {number}, {}", word(SIGN)));
        let zeros = if flush { LEAST_NORMAL } else { 1 };
        let is_zero = self.text.value(format!("icmp ult {ty} {past_zero}, {}", word(zeros)));
        self.text.value(format!("or {bit} {is_positive}, {is_zero}"))
    }

    /// A comparison: an `i1`, or a vector of them.
    fn compared(&mut self, mnemonic: &Mnemonic, operands: &[Operand], wide: bool) -> Lowered<String> {
        use Modifier::*;
        let ty = mnemonic.ty().ok_or("a comparison without a type")?;
        let tests = [Eq, Ne, Lt, Le, Gt, Ge, Lo, Ls, Hi, Hs, Equ, Neu, Ltu, Leu, Gtu, Geu, Num, Nan];
        let test = mnemonic.modifiers.first_of(&tests).ok_or("a comparison without a test")?;
        let bits = 8 * ty.size();
        let (x, y) = (self.source(&operands[0], bits, wide)?, self.source(&operands[1], bits, wide)?);
        if ty.is_float() {
            if !matches!(ty, Type::F32 | Type::F64 | Type::F16) || ty == Type::F16 && mnemonic.has(Ftz) {
                return Err("a comparison of this type".into());
            }
            let flush = mnemonic.has(Ftz) && !self.plan.flushes && ty == Type::F32;
            let (x, y) = if flush { (self.flushed(&x, wide), self.flushed(&y, wide)) } else { (x, y) };
            let (from, to) = (self.text.integer(bits, wide), self.text.float(bits, wide));
            let x = self.text.value(format!("bitcast {from} {x} to {to}"));
            let y = self.text.value(format!("bitcast {from} {y} to {to}"));
            let how = match test {
                Eq => "oeq",
                Ne => "one",
                Lt => "olt",
                Le => "ole",
                Gt => "ogt",
                Ge => "oge",
                Equ => "ueq",
                Neu => "une",
                Ltu => "ult",
                Leu => "ule",
                Gtu => "ugt",
                Geu => "uge",
                Num => "ord",
                Nan => "uno",
                _ => return Err("a comparison of numbers as if they were unsigned".into()),
            };
            return Ok(self.text.value(format!("fcmp {how} {to} {x}, {y}")));
        }
        let signed = ty.is_signed();
        let how = match (test, signed) {
            (Eq, _) => "eq",
            (Ne, _) => "ne",
            (Lt, true) => "slt",
            (Le, true) => "sle",
            (Gt, true) => "sgt",
            (Ge, true) => "sge",
            (Lt | Lo, _) => "ult",
            (Le | Ls, _) => "ule",
            (Gt | Hi, _) => "ugt",
            (Ge | Hs, _) => "uge",
            _ => return Err("a test of integers that is one of floats".into()),
        };
        Ok(self.text.value(format!("icmp {how} {} {x}, {y}", self.text.integer(bits, wide))))
    }

    /// A comparison of a pattern that does not wrap with a number that all lanes share: the lanes with the least and the most
    /// tell of all, as a rule.
    fn ends(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Lowered<Option<Ends>> {
        use Modifier::*;
        let Some((test, ty)) =
            mnemonic.modifiers.first_of(&[Eq, Ne, Lt, Le, Gt, Ge, Lo, Ls, Hi, Hs]).zip(mnemonic.ty())
        else {
            return Ok(None);
        };
        let bits = 8 * ty.size();
        if ty.is_float() || bits < 32 || self.mask.is_some() || self.pass.is_some() {
            return Ok(None);
        }
        let facts = [0, 1].map(|place| self.facts().operand(&operands[place]));
        let first = match facts.map(|fact| fact.kind) {
            [Kind::Pattern(_), Kind::Uniform] => true,
            [Kind::Uniform, Kind::Pattern(_)] => false,
            _ => return Ok(None),
        };
        let varying = facts[usize::from(!first)];
        let parted = self.parted_by(test, ty, facts, first);
        if matches!(test, Eq | Ne) {
            return self.ends_of_equality(test == Eq, operands, bits, first, parted);
        }
        let usable = if ty.is_signed() { bits - 1 } else { bits };
        if varying.bits == crate::kind::ANY && !self.facts().is_apart(varying, usable) {
            return Ok(None);
        }
        let pattern = self.facts().pattern(varying.kind).unwrap_or([0; LANES]);
        let (Some(least), Some(most)) = (pattern.iter().min(), pattern.iter().max()) else { return Ok(None) };
        let sign = if ty.is_signed() { "s" } else { "u" };
        let how = match test {
            Lt | Lo => format!("{sign}lt"),
            Le | Ls => format!("{sign}le"),
            Gt | Hi => format!("{sign}gt"),
            _ => format!("{sign}ge"),
        };
        let (x, y) = (self.source(&operands[0], bits, false)?, self.source(&operands[1], bits, false)?);
        let ends = [*least, *most].map(|more| {
            let base = if first { &x } else { &y };
            let end = self.text.value(format!("add i{bits} {base}, {more}"));
            let (a, b) = if first { (end.as_str(), y.as_str()) } else { (x.as_str(), end.as_str()) };
            self.text.value(format!("icmp {how} i{bits} {a}, {b}"))
        });
        // A lower bound holds for all lanes if it does for the least, and for any if it does for the most.
        let is_lower = matches!(test, Gt | Ge | Hi | Hs) == first;
        let [all, any] = if is_lower { ends } else { [ends[1].clone(), ends[0].clone()] };
        Ok(Some(Ends { any, all, parted }))
    }

    /// [`Lowering::ends`] of a test for (in)equality, where each lane has one more than the one before.
    fn ends_of_equality(
        &mut self,
        equal: bool,
        operands: &[Operand],
        bits: u32,
        first: bool,
        parted: Option<u32>,
    ) -> Lowered<Option<Ends>> {
        let varying = self.facts().operand(&operands[usize::from(!first)]);
        let pattern = self.facts().pattern(varying.kind).unwrap_or([0; LANES]);
        if pattern.windows(2).any(|pair| pair[1] - pair[0] != 1) {
            return Ok(None);
        }
        let (x, y) = (self.source(&operands[0], bits, false)?, self.source(&operands[1], bits, false)?);
        let (base, number) = if first { (x, y) } else { (y, x) };
        let lane = self.text.value(format!("sub i{bits} {number}, {base}"));
        let lane = self.text.value(format!("sub i{bits} {lane}, {}", pattern[0]));
        let how = if equal { "ult" } else { "uge" };
        let one = self.text.value(format!("icmp {how} i{bits} {lane}, {LANES}"));
        Ok(Some(match equal {
            true => Ends { any: one, all: "false".into(), parted },
            false => Ends { any: "true".into(), all: one, parted },
        }))
    }

    /// The lanes for which a comparison with a constant holds if it does not for all alike: where the pattern lies in bits that the
    /// base does not have, only one base can be that of such a warp.
    fn parted_by(&self, test: Modifier, ty: Type, facts: [Fact; 2], first: bool) -> Option<u32> {
        use Modifier::*;
        let (varying, other) = (facts[usize::from(!first)], facts[usize::from(first)]);
        let bits = 8 * ty.size();
        let constant = other.constant? as i64;
        let constant = if bits == 32 { i64::from(constant as i32) } else { constant };
        // Numbers of either type that are alike in both.
        let number = u64::try_from(constant).ok()?;
        let zeros = varying.zeros.min(bits - 1).min(62);
        let pattern = self.facts().pattern(varying.kind)?;
        let room = 1u64 << zeros;
        let base = number & !(room - 1);
        if base.checked_add(room)? > 1 << (bits - 1).min(62)
            || pattern.iter().any(|more| !(0..room as i64).contains(more))
        {
            return None;
        }
        let holds = |more: i64| {
            let value = base + more as u64;
            let (x, y) = if first { (value, number) } else { (number, value) };
            match test {
                Eq => x == y,
                Ne => x != y,
                Lt | Lo => x < y,
                Le | Ls => x <= y,
                Gt | Hi => x > y,
                _ => x >= y,
            }
        };
        Some((0..LANES).fold(0, |word, lane| word | u32::from(holds(pattern[lane])) << lane))
    }

    /// Whether a comparison's result is there for the branch at the block's end alone.
    fn only_parts(&self, target: &Operand) -> bool {
        let End::Branch { predicate, taken, next, .. } = self.graph.blocks[self.block].end else {
            return false;
        };
        let behind = self.at + 1..self.graph.blocks[self.block].instructions.end;
        let is_touched = |index: usize| {
            let roles = &self.graph.roles[index];
            roles.reads.contains(&predicate) || roles.writes.contains(&predicate)
        };
        matches!(target, Operand::Register(register) if *register == predicate)
            && self.guard.is_none()
            && ![Some(next), taken]
                .iter()
                .flatten()
                .any(|next| self.graph.live_in[*next].has(predicate as usize))
            && !behind.into_iter().any(is_touched)
    }

    /// A word with a bit per lane, for which vectors are compared only where the ends do not tell.
    fn compared_beside(&mut self, ends: &Ends, mnemonic: &Mnemonic, operands: &[Operand]) -> Lowered<Value> {
        let same = self.text.value(format!("icmp eq i1 {}, {}", ends.any, ends.all));
        let all = self.text.value(format!("sext i1 {} to i32", ends.all));
        let (before, apart, join) = (self.text.label(), self.text.label(), self.text.label());
        self.text.line(format!("br label %{before}"));
        self.text.begin(&before);
        self.text.line(format!("br i1 {same}, label %{join}, label %{apart}, !prof !1"));
        self.text.begin(&apart);
        let word = match ends.parted {
            Some(word) => (word as i32).to_string(),
            None => {
                let bit = self.compared(mnemonic, operands, true)?;
                self.as_predicate(bit, true).name
            }
        };
        self.text.line(format!("br label %{join}"));
        self.text.begin(&join);
        let name = self.text.value(format!("phi i32 [ {all}, %{before} ], [ {word}, %{apart} ]"));
        Ok(Value { kind: Kind::Varying, name })
    }

    /// A vector of bits, or a bit, as a predicate's value.
    fn as_predicate(&mut self, bit: String, wide: bool) -> Value {
        if wide {
            let name = self.word_of_bits(&bit);
            Value { kind: Kind::Varying, name }
        } else {
            Value { kind: Kind::Uniform, name: bit }
        }
    }

    /// Combines two predicates.
    fn combined(&mut self, how: &str, first: &Value, second: &Value) -> Value {
        if first.kind != Kind::Varying && second.kind != Kind::Varying {
            let name = self.text.value(format!("{how} i1 {}, {}", first.name, second.name));
            return Value { kind: Kind::Uniform, name };
        }
        let (first, second) = (self.word_of(first), self.word_of(second));
        Value { kind: Kind::Varying, name: self.text.value(format!("{how} i32 {first}, {second}")) }
    }

    fn complement(&mut self, value: &Value) -> Value {
        let all = Value { kind: Kind::Uniform, name: "true".into() };
        self.combined("xor", value, &all)
    }

    /// `setp.lt.and.s32 p|q, a, b, c`.
    pub(super) fn setp(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Lowered<()> {
        let wide = self.is_wide(&operands[1..3]);
        let boolean = mnemonic.modifiers.first_of(&[Modifier::And, Modifier::Or, Modifier::Xor]);
        // Of what a comparison is combined with the ends say nothing.
        let ends = if boolean.is_none() { self.ends(mnemonic, &operands[1..3])? } else { None };
        let held = match ends {
            Some(ends) if self.only_parts(&operands[0]) => {
                self.ends = Some(ends);
                let bit = self.compared(mnemonic, &operands[1..3], wide)?;
                self.as_predicate(bit, wide)
            }
            Some(ends) => self.compared_beside(&ends, mnemonic, &operands[1..3])?,
            None => {
                let bit = self.compared(mnemonic, &operands[1..3], wide)?;
                self.as_predicate(bit, wide)
            }
        };
        let how = match boolean {
            Some(Modifier::And) => "and",
            Some(Modifier::Or) => "or",
            Some(_) => "xor",
            None => "",
        };
        let (first, second) = match &operands[0] {
            Operand::Pair(first, second) => (*first, *second),
            Operand::Register(register) => (Some(*register), None),
            _ => (None, None),
        };
        let other = if second.is_some() { Some(self.complement(&held)) } else { None };
        let mut results = Vec::new();
        for (target, value) in [(first, Some(held)), (second, other)] {
            let (Some(target), Some(mut value)) = (target, value) else { continue };
            if boolean.is_some() {
                let more = self.predicate(operands.get(3).ok_or("a comparison without its predicate")?)?;
                value = self.combined(how, &value, &more);
            }
            results.push((target, value));
        }
        // Both are made before either is written: the predicate that they are combined with may be a destination.
        for (target, value) in results {
            self.assign_predicate(&Operand::Register(target), value)?;
        }
        Ok(())
    }

    /// `set.lt.u32.f32 d, a, b`: all ones, or 1.0.
    pub(super) fn set(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Lowered<()> {
        let boolean = mnemonic.modifiers.first_of(&[Modifier::And, Modifier::Or, Modifier::Xor]);
        let yes = match mnemonic.types[0] {
            Type::U32 | Type::S32 => u64::from(u32::MAX),
            Type::F32 => u64::from(1f32.to_bits()),
            _ => return Err("a comparison with a result of this type".into()),
        };
        if boolean.is_some() {
            return Err("a comparison that is combined".into());
        }
        let wide = self.is_wide(&operands[1..3]);
        let bit = self.compared(mnemonic, &operands[1..3], wide)?;
        let ty = self.text.integer(32, wide);
        let (yes, no) = (constant(32, wide, yes), constant(32, wide, 0));
        let name =
            self.text.value(format!("select {} {bit}, {ty} {yes}, {ty} {no}", self.text.integer(1, wide)));
        self.assign(&operands[0], if wide { Kind::Varying } else { Kind::Uniform }, name, 32)
    }

    /// Logic on predicates.
    pub(super) fn logic(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Lowered<()> {
        let first = self.predicate(&operands[1])?;
        let value = match mnemonic.op {
            Op::Not => self.complement(&first),
            Op::And | Op::Or | Op::Xor => {
                let second = self.predicate(&operands[2])?;
                let how = match mnemonic.op {
                    Op::And => "and",
                    Op::Or => "or",
                    _ => "xor",
                };
                self.combined(how, &first, &second)
            }
            _ => return Err("logic of this kind".into()),
        };
        self.assign_predicate(&operands[0], value)
    }
}
