//! Integer arithmetic, shifts, logic, bits and bytes.

use ptx::{Mnemonic, Modifier, Op, Operand, Type};

use super::{Lowered, Lowering};
use crate::kind::Kind;
use crate::text::{constant, integer};

/// An integer type in one shape.
#[derive(Clone, Copy)]
struct Shape {
    bits: u32,
    signed: bool,
    wide: bool,
    /// Lanes of a vector.
    lanes: usize,
}

impl Shape {
    fn ty(self) -> String {
        integer(self.bits, self.wide, self.lanes)
    }

    fn constant(self, value: u64) -> String {
        constant(self.bits, self.wide, value)
    }

    fn twice(self) -> Shape {
        Shape { bits: 2 * self.bits, ..self }
    }

    fn bit(self) -> String {
        integer(1, self.wide, self.lanes)
    }
}

impl Lowering<'_> {
    pub(super) fn arithmetic(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Lowered<()> {
        let ty = mnemonic.ty().ok_or("an instruction without a type")?;
        let has_carry = mnemonic.has(Modifier::Cc) || matches!(mnemonic.op, Op::Addc | Op::Subc | Op::Madc);
        if has_carry || mnemonic.has(Modifier::Sat) || mnemonic.has(Modifier::Relu) {
            return Err("carry and saturation".into());
        }
        if !matches!(ty.size(), 2 | 4 | 8) || matches!(ty, Type::U16x2 | Type::S16x2) {
            return Err("arithmetic on this type".into());
        }
        let fact = self.facts().value(mnemonic, operands);
        let wide = fact.kind == Kind::Varying;
        let lanes = self.text.lanes;
        let shape = Shape { bits: 8 * ty.size(), signed: ty.is_signed(), wide, lanes };
        let (name, bits) = self.integer(mnemonic, operands, shape)?;
        self.assign(&operands[0], fact.kind, name, bits)
    }

    /// The result, and its bits.
    fn integer(&mut self, mnemonic: &Mnemonic, operands: &[Operand], shape: Shape) -> Lowered<(String, u32)> {
        use Op::*;
        let Shape { bits, wide, .. } = shape;
        let ty = shape.ty();
        if matches!(mnemonic.op, Mul | Mad) && mnemonic.has(Modifier::Wide) {
            return self.wide_product(mnemonic, operands, shape).map(|name| (name, 2 * bits));
        }
        match mnemonic.op {
            Shl | Shr => return self.shift(mnemonic, operands, shape).map(|name| (name, bits)),
            Shf => return self.funnel(mnemonic, operands, wide).map(|name| (name, 32)),
            Bfe | Bfi => return self.bit_field(mnemonic, operands, shape).map(|name| (name, bits)),
            Prmt => return self.permute(mnemonic, operands, wide).map(|name| (name, 32)),
            Lop3 => return self.lop3(mnemonic, operands, wide).map(|name| (name, 32)),
            Dp4a => return self.dot(mnemonic, operands, wide).map(|name| (name, 32)),
            Popc | Clz | Bfind | Brev => return self.count(mnemonic, operands, shape),
            _ => {}
        }
        let mut sources = Vec::new();
        for operand in &operands[1..] {
            sources.push(self.source(operand, bits, wide)?);
        }
        let pair = |how: &str| format!("{how} {ty} {}, {}", sources[0], sources[1]);
        let name = match mnemonic.op {
            Add => self.text.value(pair("add")),
            Sub => self.text.value(pair("sub")),
            Mul if !mnemonic.has(Modifier::Hi) => self.text.value(pair("mul")),
            And => {
                let name = self.text.value(pair("and"));
                for place in [1, 2] {
                    if let Some(number) = self.facts().operand(&operands[place]).constant {
                        self.follow(&name, "and", &sources[2 - place], number);
                    }
                }
                name
            }
            Or => self.text.value(pair("or")),
            Xor => self.xor(mnemonic, operands, &sources, shape),
            Mul => self.high_product(&sources, shape),
            Mad => {
                let product = if mnemonic.has(Modifier::Hi) {
                    self.high_product(&sources, shape)
                } else {
                    self.text.value(pair("mul"))
                };
                self.text.value(format!("add {ty} {product}, {}", sources[2]))
            }
            Sad => {
                let (most, least) = (self.extreme(Max, &sources, shape), self.extreme(Min, &sources, shape));
                let difference = self.text.value(format!("sub {ty} {most}, {least}"));
                self.text.value(format!("add {ty} {difference}, {}", sources[2]))
            }
            Min | Max => self.extreme(mnemonic.op, &sources, shape),
            Div | Rem => self.quotient(mnemonic.op, operands, &sources, shape),
            Not => self.text.value(format!("xor {ty} {}, {}", sources[0], shape.constant(u64::MAX))),
            Neg => self.text.value(format!("sub {ty} {}, {}", shape.constant(0), sources[0])),
            Abs => {
                let name = format!("llvm.abs.{}", suffix(shape));
                self.text.call(&name, &ty, &[(&ty, &sources[0]), ("i1", "false")])
            }
            Cnot => {
                let zero = self.text.value(format!("icmp eq {ty} {}, {}", sources[0], shape.constant(0)));
                self.text.value(format!("zext {} {zero} to {ty}", shape.bit()))
            }
            _ => return Err("not in code".into()),
        };
        Ok((name, bits))
    }

    /// Where the pattern lies in low bits that the base lacks, the base changes in its own bits only.
    fn xor(&mut self, mnemonic: &Mnemonic, operands: &[Operand], sources: &[String], shape: Shape) -> String {
        let facts = [&operands[1], &operands[2]].map(|operand| self.facts().operand(operand));
        let ty = shape.ty();
        let patterned = facts.iter().position(|fact| matches!(fact.kind, Kind::Pattern(_)));
        match (patterned, shape.wide) {
            (Some(place), false) => {
                let low = self.facts().low_bits(facts[place], 8 * mnemonic.ty().map_or(4, Type::size));
                let number = facts[1 - place].constant.unwrap_or(0) & !low;
                self.text.value(format!("xor {ty} {}, {}", sources[place], shape.constant(number)))
            }
            _ => self.text.value(format!("xor {ty} {}, {}", sources[0], sources[1])),
        }
    }

    fn extreme(&mut self, op: Op, sources: &[String], shape: Shape) -> String {
        let name = match (op, shape.signed) {
            (Op::Min, true) => "smin",
            (Op::Min, false) => "umin",
            (_, true) => "smax",
            (_, false) => "umax",
        };
        self.text.intrinsic(name, &shape.ty(), &sources[..2])
    }

    fn extended(&mut self, name: &str, from: Shape, to: Shape) -> String {
        let how = if from.signed { "sext" } else { "zext" };
        self.text.value(format!("{how} {} {name} to {}", from.ty(), to.ty()))
    }

    fn high_product(&mut self, sources: &[String], shape: Shape) -> String {
        let double = shape.twice();
        let (x, y) = (self.extended(&sources[0], shape, double), self.extended(&sources[1], shape, double));
        let ty = double.ty();
        let product = self.text.value(format!("mul {ty} {x}, {y}"));
        let high = self.text.value(format!("lshr {ty} {product}, {}", double_shift(double)));
        self.text.value(format!("trunc {ty} {high} to {}", shape.ty()))
    }

    /// `mul.wide`, `mad.wide`. A pattern stays one if no lane's factor wraps.
    fn wide_product(&mut self, mnemonic: &Mnemonic, operands: &[Operand], shape: Shape) -> Lowered<String> {
        let double = shape.twice();
        let mut factors = Vec::new();
        for operand in &operands[1..3] {
            self.assume_no_wrap(operand, shape.bits, shape.signed, shape.wide)?;
            let source = self.source(operand, shape.bits, shape.wide)?;
            factors.push(self.extended(&source, shape, double));
        }
        let ty = double.ty();
        let product = self.text.value(format!("mul {ty} {}, {}", factors[0], factors[1]));
        if mnemonic.op == Op::Mul {
            return Ok(product);
        }
        let more = self.source(&operands[3], double.bits, shape.wide)?;
        Ok(self.text.value(format!("add {ty} {product}, {more}")))
    }

    /// Where a pattern's base is widened alone, no lane may wrap. What can't be seen beforehand is tested.
    pub(super) fn assume_no_wrap(
        &mut self,
        operand: &Operand,
        bits: u32,
        signed: bool,
        wide: bool,
    ) -> Lowered<()> {
        let fact = self.facts().operand(operand);
        let Kind::Pattern(number) = fact.kind else { return Ok(()) };
        // What is computed anew has been tested before.
        if wide || self.recomputed.runs || self.facts().is_apart(fact, if signed { bits - 1 } else { bits }) {
            return Ok(());
        }
        let pattern = self.facts().patterns.get(number);
        let base = self.source(operand, bits, false)?;
        let how = if signed { "sext" } else { "zext" };
        let base = self.text.value(format!("{how} i{bits} {base} to i{}", 2 * bits));
        for bound in [pattern.iter().min(), pattern.iter().max()].into_iter().flatten().filter(|it| **it != 0)
        {
            let end = self.text.value(format!("add i{} {base}, {bound}", 2 * bits));
            let cut = self.text.value(format!("trunc i{} {end} to i{bits}", 2 * bits));
            let back = self.text.value(format!("{how} i{bits} {cut} to i{}", 2 * bits));
            let same = self.text.value(format!("icmp eq i{} {end}, {back}", 2 * bits));
            self.assume(&same);
        }
        Ok(())
    }

    /// Division by zero gives all ones, as remainder too; the least number by -1 gives itself, and 0.
    fn quotient(&mut self, op: Op, operands: &[Operand], sources: &[String], shape: Shape) -> String {
        let ty = shape.ty();
        let how = match (op, shape.signed) {
            (Op::Div, true) => "sdiv",
            (Op::Div, false) => "udiv",
            (_, true) => "srem",
            (_, false) => "urem",
        };
        let divisor =
            self.facts().operand(&operands[2]).constant.map(|it| it & (u64::MAX >> (64 - shape.bits)));
        let minus_one = u64::MAX >> (64 - shape.bits);
        if divisor.is_some_and(|divisor| divisor != 0 && divisor != minus_one) {
            return self.text.value(format!("{how} {ty} {}, {}", sources[0], sources[1]));
        }
        let (bit, one) = (shape.bit(), shape.constant(1));
        let zero = self.text.value(format!("icmp eq {ty} {}, {}", sources[1], shape.constant(0)));
        let odd = if shape.signed {
            let least = shape.constant(1 << (shape.bits - 1));
            let least = self.text.value(format!("icmp eq {ty} {}, {least}", sources[0]));
            let minus = self.text.value(format!("icmp eq {ty} {}, {}", sources[1], shape.constant(u64::MAX)));
            let wraps = self.text.value(format!("and {bit} {least}, {minus}"));
            self.text.value(format!("or {bit} {zero}, {wraps}"))
        } else {
            zero.clone()
        };
        let divisor = self.text.value(format!("select {bit} {odd}, {ty} {one}, {ty} {}", sources[1]));
        let result = self.text.value(format!("{how} {ty} {}, {divisor}", sources[0]));
        let ones = shape.constant(u64::MAX);
        self.text.value(format!("select {bit} {zero}, {ty} {ones}, {ty} {result}"))
    }

    /// Shifts by more bits than there are give zeros, or copies of the sign.
    fn shift(&mut self, mnemonic: &Mnemonic, operands: &[Operand], shape: Shape) -> Lowered<String> {
        let ty = shape.ty();
        let left = mnemonic.op == Op::Shl;
        let value = self.source(&operands[1], shape.bits, shape.wide)?;
        let most = u64::from(shape.bits - 1);
        let how = match (left, shape.signed) {
            (true, _) => "shl",
            (false, true) => "ashr",
            (false, false) => "lshr",
        };
        if let Some(count) = self.facts().operand(&operands[2]).constant {
            let count = count & u64::from(u32::MAX);
            if count > most && how != "ashr" {
                return Ok(self.text.value(format!("and {ty} {value}, {}", shape.constant(0))));
            }
            let count = count.min(most);
            let name = self.text.value(format!("{how} {ty} {value}, {}", shape.constant(count)));
            self.follow(&name, how, &value, count);
            return Ok(name);
        }
        let count = self.source(&operands[2], 32, shape.wide)?;
        let narrow = Shape { bits: 32, ..shape };
        let bounded = self.text.intrinsic("umin", &narrow.ty(), &[count.clone(), narrow.constant(most)]);
        let bounded = match shape.bits {
            16 => self.text.value(format!("trunc {} {bounded} to {ty}", narrow.ty())),
            64 => self.text.value(format!("zext {} {bounded} to {ty}", narrow.ty())),
            _ => bounded,
        };
        let shifted = self.text.value(format!("{how} {ty} {value}, {bounded}"));
        if how == "ashr" {
            return Ok(shifted);
        }
        let fits = self.text.value(format!("icmp ule {} {count}, {}", narrow.ty(), narrow.constant(most)));
        Ok(self.text.value(format!(
            "select {} {fits}, {ty} {shifted}, {ty} {}",
            shape.bit(),
            shape.constant(0)
        )))
    }

    fn funnel(&mut self, mnemonic: &Mnemonic, operands: &[Operand], wide: bool) -> Lowered<String> {
        let shape = Shape { bits: 32, signed: false, wide, lanes: self.text.lanes };
        let (ty, bit) = (shape.ty(), shape.bit());
        let (low, high) = (self.source(&operands[1], 32, wide)?, self.source(&operands[2], 32, wide)?);
        let count = self.source(&operands[3], 32, wide)?;
        let left = mnemonic.has(Modifier::L);
        let name = if left { "fshl" } else { "fshr" };
        let shifted = self.text.intrinsic(name, &ty, &[high.clone(), low.clone(), count.clone()]);
        if !mnemonic.has(Modifier::Clamp) {
            return Ok(shifted);
        }
        let beyond = self.text.value(format!("icmp ugt {ty} {count}, {}", shape.constant(31)));
        let whole = if left { low } else { high };
        Ok(self.text.value(format!("select {bit} {beyond}, {ty} {whole}, {ty} {shifted}")))
    }

    /// `bfe` and `bfi` at places that are known.
    fn bit_field(&mut self, mnemonic: &Mnemonic, operands: &[Operand], shape: Shape) -> Lowered<String> {
        let (ty, bits) = (shape.ty(), u64::from(shape.bits));
        let count = operands.len();
        let known = |lowering: &Self, place: usize| lowering.facts().operand(&operands[place]).constant;
        let (Some(place), Some(length)) = (known(self, count - 2), known(self, count - 1)) else {
            return Err("a bit field at a place that is not known".into());
        };
        let (place, length) = (place & 255, length & 255);
        if length == 0 || place + length > bits {
            return Err("a bit field beyond the register".into());
        }
        if mnemonic.op == Op::Bfe {
            let value = self.source(&operands[1], shape.bits, shape.wide)?;
            let up = shape.constant(bits - place - length);
            let top = self.text.value(format!("shl {ty} {value}, {up}"));
            let how = if shape.signed { "ashr" } else { "lshr" };
            return Ok(self.text.value(format!("{how} {ty} {top}, {}", shape.constant(bits - length))));
        }
        let (field, base) = (
            self.source(&operands[1], shape.bits, shape.wide)?,
            self.source(&operands[2], shape.bits, shape.wide)?,
        );
        let ones = if length >= 64 { u64::MAX } else { (1 << length) - 1 };
        let rest = self.text.value(format!("and {ty} {base}, {}", shape.constant(!(ones << place))));
        let kept = self.text.value(format!("and {ty} {field}, {}", shape.constant(ones)));
        let moved = self.text.value(format!("shl {ty} {kept}, {}", shape.constant(place)));
        Ok(self.text.value(format!("or {ty} {rest}, {moved}")))
    }

    /// `prmt` with a selector that is known. Its bytes are copied, or made of copies of their signs.
    fn permute(&mut self, mnemonic: &Mnemonic, operands: &[Operand], wide: bool) -> Lowered<String> {
        use Modifier::*;
        let selector = self.facts().operand(&operands[3]).constant;
        let plain = mnemonic.modifiers.first_of(&[F4e, B4e, Rc8, Ecl, Ecr, Rc16]).is_none();
        let Some(selector) = selector.filter(|_| plain) else {
            return Err("a permutation that is not known".into());
        };
        let (x, y) = (self.source(&operands[1], 32, wide)?, self.source(&operands[2], 32, wide)?);
        let lanes = if wide { self.text.lanes } else { 1 };
        let places = (0..4 * lanes).map(|byte| {
            let (lane, chosen) = (byte / 4, (selector >> (4 * (byte % 4)) & 7) as usize);
            Some(if chosen < 4 { 4 * lane + chosen } else { 4 * lanes + 4 * lane + chosen - 4 })
        });
        let (ty, bytes) = (self.text.integer(32, wide), format!("<{} x i8>", 4 * lanes));
        let x = self.text.value(format!("bitcast {ty} {x} to {bytes}"));
        let y = self.text.value(format!("bitcast {ty} {y} to {bytes}"));
        let mut mixed = self.text.shuffle(&bytes, &x, &y, places);
        if selector & 0x8888 != 0 {
            let signs = self.text.value(format!("ashr {bytes} {mixed}, splat (i8 7)"));
            let places = (0..4 * lanes).map(|byte| {
                let is_sign = selector >> (4 * (byte % 4)) & 8 != 0;
                Some(if is_sign { 4 * lanes + byte } else { byte })
            });
            mixed = self.text.shuffle(&bytes, &mixed, &signs, places);
        }
        Ok(self.text.value(format!("bitcast {bytes} {mixed} to {ty}")))
    }

    /// Any logic of three operands: chosen by the first, then by the second, from what the third gives.
    fn lop3(&mut self, mnemonic: &Mnemonic, operands: &[Operand], wide: bool) -> Lowered<String> {
        let Some(Operand::Constant(table)) = operands.get(4) else {
            return Err("lop3 without a table".into());
        };
        if mnemonic.has(Modifier::And) || mnemonic.has(Modifier::Or) {
            return Err("lop3 with a predicate".into());
        }
        let table = table.bits(Type::B32);
        let shape = Shape { bits: 32, signed: false, wide, lanes: self.text.lanes };
        let ty = shape.ty();
        let [x, y, z] = [
            self.source(&operands[1], 32, wide)?,
            self.source(&operands[2], 32, wide)?,
            self.source(&operands[3], 32, wide)?,
        ];
        let inverse = |lowering: &mut Self, name: &str| {
            lowering.text.value(format!("xor {ty} {name}, {}", shape.constant(u64::MAX)))
        };
        let mut rows = Vec::new();
        for pair in 0..4 {
            rows.push(match table >> (2 * pair) & 3 {
                0 => shape.constant(0),
                1 => inverse(self, &z),
                2 => z.clone(),
                _ => shape.constant(u64::MAX),
            });
        }
        let choose = |lowering: &mut Self, low: &str, high: &str, by: &str| {
            let not = inverse(lowering, by);
            let low = lowering.text.value(format!("and {ty} {low}, {not}"));
            let high = lowering.text.value(format!("and {ty} {high}, {by}"));
            lowering.text.value(format!("or {ty} {low}, {high}"))
        };
        let first = choose(self, &rows[0], &rows[1], &y);
        let second = choose(self, &rows[2], &rows[3], &y);
        Ok(choose(self, &first, &second, &x))
    }

    fn count(&mut self, mnemonic: &Mnemonic, operands: &[Operand], shape: Shape) -> Lowered<(String, u32)> {
        let (ty, bits) = (shape.ty(), shape.bits);
        let mut value = self.source(&operands[1], bits, shape.wide)?;
        if mnemonic.op == Op::Brev {
            return Ok((self.text.intrinsic("bitreverse", &ty, &[value]), bits));
        }
        if mnemonic.op == Op::Bfind && shape.signed {
            let sign = self.text.value(format!("ashr {ty} {value}, {}", shape.constant(u64::from(bits) - 1)));
            value = self.text.value(format!("xor {ty} {value}, {sign}"));
        }
        let result = if mnemonic.op == Op::Popc {
            self.text.intrinsic("ctpop", &ty, &[value])
        } else {
            let name = format!("llvm.ctlz.{}", suffix(shape));
            let zeros = self.text.call(&name, &ty, &[(&ty, &value), ("i1", "false")]);
            match (mnemonic.op, mnemonic.has(Modifier::ShiftAmt)) {
                (Op::Clz, _) => zeros,
                // No bit at all gives all ones.
                (_, false) => {
                    self.text.value(format!("sub {ty} {}, {zeros}", shape.constant(u64::from(bits) - 1)))
                }
                (_, true) => {
                    let none =
                        self.text.value(format!("icmp eq {ty} {zeros}, {}", shape.constant(bits.into())));
                    let ones = shape.constant(u64::MAX);
                    self.text.value(format!("select {} {none}, {ty} {ones}, {ty} {zeros}", shape.bit()))
                }
            }
        };
        if bits == 64 {
            return Ok((
                self.text.value(format!("trunc {ty} {result} to {}", self.text.integer(32, shape.wide))),
                32,
            ));
        }
        Ok((result, bits))
    }
}

fn suffix(shape: Shape) -> String {
    if shape.wide { format!("v{}i{}", shape.lanes, shape.bits) } else { format!("i{}", shape.bits) }
}

/// The bits of the lower half.
fn double_shift(double: Shape) -> String {
    double.constant(u64::from(double.bits / 2))
}
