//! `cvt`: between number types.

use ptx::{Mnemonic, Modifier, Operand, Type};

use super::{Lowered, Lowering};
use crate::kind::Kind;
use crate::text::constant;

impl Lowering<'_> {
    pub(super) fn convert(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Lowered<()> {
        use Modifier::*;
        let [to, from] = mnemonic.types[..] else { return Err("a conversion of this form".into()) };
        if mnemonic.modifiers.first_of(&[Relu, Satfinite, Rna, Rs, Pack]).is_some() {
            return Err("a conversion of this form".into());
        }
        let plain = |ty| matches!(ty, Type::F16 | Type::F32 | Type::F64) || !ty_is_odd(ty);
        if (to, from) == (Type::F16x2, Type::F32) && operands.len() == 3 {
            return self.convert_pair(mnemonic, operands);
        }
        if (to, from) == (Type::F32, Type::Bf16) {
            return self.widen_bf16(mnemonic, operands);
        }
        if !plain(to) || !plain(from) || operands.len() != 2 {
            return Err("a conversion between these types".into());
        }
        match (to.is_float(), from.is_float()) {
            (false, false) => self.convert_integers(mnemonic, operands, to, from),
            (true, false) => self.integer_to_float(mnemonic, operands, to, from),
            (false, true) => self.float_to_integer(mnemonic, operands, to, from),
            (true, true) => self.convert_floats(mnemonic, operands, to, from),
        }
    }

    /// A source of a type that may be narrower than its register, as an integer of the type's own bits.
    fn cut(&mut self, operand: &Operand, ty: Type, wide: bool) -> Lowered<String> {
        let bits = 8 * ty.size();
        if bits != 8 {
            return self.source(operand, bits, wide);
        }
        let have = match operand {
            Operand::Register(register) => self.bits(*register),
            _ => 32,
        };
        let source = self.source(operand, have, wide)?;
        Ok(self.text.value(format!(
            "trunc {} {source} to {}",
            self.text.integer(have, wide),
            self.text.integer(8, wide)
        )))
    }

    /// A result narrower than its register is extended.
    fn assign_extended(&mut self, target: &Operand, kind: Kind, name: String, ty: Type) -> Lowered<()> {
        let Operand::Register(register) = target else { return self.assign(target, kind, name, 32) };
        let (have, bits, wide) = (self.bits(*register), 8 * ty.size(), kind == Kind::Varying);
        if bits >= have {
            return self.assign(target, kind, name, bits);
        }
        let how = if ty.is_signed() { "sext" } else { "zext" };
        let name = self.text.value(format!(
            "{how} {} {name} to {}",
            self.text.integer(bits, wide),
            self.text.integer(have, wide)
        ));
        self.assign(target, kind, name, have)
    }

    fn convert_integers(
        &mut self,
        mnemonic: &Mnemonic,
        operands: &[Operand],
        to: Type,
        from: Type,
    ) -> Lowered<()> {
        if mnemonic.has(Modifier::Sat) {
            return Err("a conversion that saturates".into());
        }
        let kind = self.facts().value(mnemonic, operands).kind;
        let wide = kind == Kind::Varying;
        let (from_bits, to_bits) = (8 * from.size(), 8 * to.size());
        if to_bits > from_bits {
            self.assume_no_wrap(&operands[1], from_bits, from.is_signed(), wide)?;
        }
        let source = self.cut(&operands[1], from, wide)?;
        let (a, b) = (self.text.integer(from_bits, wide), self.text.integer(to_bits, wide));
        let name = match to_bits.cmp(&from_bits) {
            std::cmp::Ordering::Equal => source,
            std::cmp::Ordering::Less => self.text.value(format!("trunc {a} {source} to {b}")),
            std::cmp::Ordering::Greater => {
                let how = if from.is_signed() { "sext" } else { "zext" };
                self.text.value(format!("{how} {a} {source} to {b}"))
            }
        };
        self.assign_extended(&operands[0], kind, name, to)
    }

    fn integer_to_float(
        &mut self,
        mnemonic: &Mnemonic,
        operands: &[Operand],
        to: Type,
        from: Type,
    ) -> Lowered<()> {
        use Modifier::*;
        if mnemonic.modifiers.first_of(&[Rz, Rm, Rp, Sat]).is_some() || to == Type::F16 {
            return Err("a conversion with this rounding".into());
        }
        let wide = self.is_wide(&operands[1..]);
        let source = self.cut(&operands[1], from, wide)?;
        let how = if from.is_signed() { "sitofp" } else { "uitofp" };
        let (bits, ty) = (8 * to.size(), self.text.float(8 * to.size(), wide));
        let number =
            self.text.value(format!("{how} {} {source} to {ty}", self.text.integer(8 * from.size(), wide)));
        let name = self.text.value(format!("bitcast {ty} {number} to {}", self.text.integer(bits, wide)));
        self.assign(&operands[0], kind_of(wide), name, bits)
    }

    /// A float operand.
    fn number(&mut self, mnemonic: &Mnemonic, operand: &Operand, ty: Type, wide: bool) -> Lowered<String> {
        let bits = 8 * ty.size();
        let source = self.source(operand, bits, wide)?;
        let flushes = mnemonic.has(Modifier::Ftz) && ty == Type::F32 && !self.plan.flushes;
        let source = if flushes { self.flushed(&source, wide) } else { source };
        Ok(self.text.value(format!(
            "bitcast {} {source} to {}",
            self.text.integer(bits, wide),
            self.text.float(bits, wide)
        )))
    }

    /// A whole number next to another, if the rounding says so.
    fn integral(&mut self, mnemonic: &Mnemonic, name: String, ty: &str) -> String {
        use Modifier::*;
        let how = match mnemonic.modifiers.first_of(&[Rni, Rzi, Rmi, Rpi]) {
            Some(Rni) => "roundeven",
            Some(Rmi) => "floor",
            Some(Rpi) => "ceil",
            Some(_) => "trunc",
            None => return name,
        };
        self.text.intrinsic(how, ty, &[name])
    }

    /// Numbers that are too large become the largest; NaN becomes 0, or the highest bit where 64 bits are on either side.
    fn float_to_integer(
        &mut self,
        mnemonic: &Mnemonic,
        operands: &[Operand],
        to: Type,
        from: Type,
    ) -> Lowered<()> {
        let wide = self.is_wide(&operands[1..]);
        let (bits, ty) = (8 * to.size(), self.text.float(8 * from.size(), wide));
        let number = self.number(mnemonic, &operands[1], from, wide)?;
        let whole = self.integral(mnemonic, number.clone(), &ty);
        let how = if to.is_signed() { "fptosi.sat" } else { "fptoui.sat" };
        let result = self.text.integer(bits, wide);
        let mut name = self.text.converting(how, &result, &ty, &whole);
        if bits == 64 || from == Type::F64 {
            let nan = self.text.value(format!("fcmp uno {ty} {number}, {number}"));
            let high = constant(bits, wide, 1 << (bits - 1));
            name = self.text.value(format!(
                "select {} {nan}, {result} {high}, {result} {name}",
                self.text.integer(1, wide)
            ));
        }
        self.assign_extended(&operands[0], kind_of(wide), name, to)
    }

    fn convert_floats(
        &mut self,
        mnemonic: &Mnemonic,
        operands: &[Operand],
        to: Type,
        from: Type,
    ) -> Lowered<()> {
        use Modifier::*;
        if (to, from) == (Type::F16, Type::F64) {
            return Err("a conversion that processors do not have".into());
        }
        let narrows = to.size() < from.size();
        if narrows && mnemonic.modifiers.first_of(&[Rz, Rm, Rp]).is_some() {
            return Err("a conversion with this rounding".into());
        }
        let wide = self.is_wide(&operands[1..]);
        let (a, b) = (self.text.float(8 * from.size(), wide), self.text.float(8 * to.size(), wide));
        let number = self.number(mnemonic, &operands[1], from, wide)?;
        let whole = self.integral(mnemonic, number.clone(), &a);
        let plain = whole == number && !mnemonic.has(Sat);
        let number = whole;
        let number = match to.size().cmp(&from.size()) {
            std::cmp::Ordering::Equal => number,
            std::cmp::Ordering::Less => self.text.value(format!("fptrunc {a} {number} to {b}")),
            std::cmp::Ordering::Greater => self.text.value(format!("fpext {a} {number} to {b}")),
        };
        let bits = 8 * to.size();
        let number = if mnemonic.has(Sat) { self.saturated(&number, bits, wide) } else { number };
        let name = self.text.value(format!("bitcast {b} {number} to {}", self.text.integer(bits, wide)));
        // Between equal formats the processor computes nothing, and so flushes nothing.
        let flushes = mnemonic.has(Ftz) && to == Type::F32 && (!self.plan.flushes || from == Type::F32);
        let name = if flushes { self.flushed(&name, wide) } else { name };
        if (to, from) == (Type::F32, Type::F16) && wide && plain && !flushes {
            let half = self.source(&operands[1], 16, true)?;
            self.halves.note_converted(&name, &half);
        }
        self.assign(&operands[0], kind_of(wide), name, bits)
    }

    /// `cvt.rn.f16x2.f32 d, a, b`: the first one above.
    fn convert_pair(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Lowered<()> {
        if !mnemonic.has(Modifier::Rn) {
            return Err("a conversion with this rounding".into());
        }
        let wide = self.is_wide(&operands[1..]);
        let (single, half) = (self.text.float(32, wide), self.text.float(16, wide));
        let (narrow, word) = (self.text.integer(16, wide), self.text.integer(32, wide));
        let mut parts = Vec::new();
        for operand in &operands[1..] {
            let number = self.number(mnemonic, operand, Type::F32, wide)?;
            let number = self.text.value(format!("fptrunc {single} {number} to {half}"));
            let bits = self.text.value(format!("bitcast {half} {number} to {narrow}"));
            parts.push(self.text.value(format!("zext {narrow} {bits} to {word}")));
        }
        let high = self.text.value(format!("shl {word} {}, {}", parts[0], constant(32, wide, 16)));
        let name = self.text.value(format!("or {word} {high}, {}", parts[1]));
        self.assign(&operands[0], kind_of(wide), name, 32)
    }

    fn widen_bf16(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Lowered<()> {
        let wide = self.is_wide(&operands[1..]);
        let source = self.source(&operands[1], 16, wide)?;
        let word = self.text.integer(32, wide);
        let whole = self.text.value(format!("zext {} {source} to {word}", self.text.integer(16, wide)));
        let name = self.text.value(format!("shl {word} {whole}, {}", constant(32, wide, 16)));
        let name = if mnemonic.has(Modifier::Ftz) { self.flushed(&name, wide) } else { name };
        self.assign(&operands[0], kind_of(wide), name, 32)
    }
}

/// The kind of a result whose operands are all uniform, or not.
fn kind_of(wide: bool) -> Kind {
    if wide { Kind::Varying } else { Kind::Uniform }
}

/// Types that are neither plain integers nor IEEE numbers.
fn ty_is_odd(ty: Type) -> bool {
    use Type::*;
    !matches!(ty, U8 | U16 | U32 | U64 | S8 | S16 | S32 | S64 | B8 | B16 | B32 | B64)
}
