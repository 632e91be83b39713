//! Scalar video instructions (PTX ISA, "Video instructions"): arithmetic on a chosen byte or half of each source, then a second
//! operation with a third source, or its bytes around the result.
//!
//! ```text
//!   vop.dtype.atype.btype{.sat}{.add|.min|.max}  d{.part}, a{.part}, b{.part}{, c}
//!      part of a ─┐
//!      part of b ─┴▶ operation ─▶ saturation ─▶ with c: sum, minimum, maximum, or c with this part replaced
//! ```

use ptx::{Mnemonic, Modifier, Op, Operand, Type};

use super::compare::{Test, holds_wide, test_of};
use super::operands::{Decoded, Decoder};

/// Bits of a word: where they begin, and how many there are.
#[derive(Clone, Copy)]
struct Part {
    shift: u32,
    bits: u32,
}

impl Part {
    const WHOLE: Part = Part { shift: 0, bits: 32 };

    /// The part that an operand names, and the operand without it.
    fn of(operand: &Operand) -> Decoded<(Part, Operand)> {
        let Operand::Part(register, name) = operand else { return Ok((Part::WHOLE, operand.clone())) };
        let part = match &**name {
            "b0" => Part { shift: 0, bits: 8 },
            "b1" => Part { shift: 8, bits: 8 },
            "b2" => Part { shift: 16, bits: 8 },
            "b3" => Part { shift: 24, bits: 8 },
            "h0" => Part { shift: 0, bits: 16 },
            "h1" => Part { shift: 16, bits: 16 },
            _ => return Err("this selection of a part is not implemented".into()),
        };
        Ok((part, Operand::Register(*register)))
    }

    #[inline(always)]
    fn read(self, word: u32, signed: bool) -> i64 {
        let top = word << (32 - self.bits - self.shift);
        let down = 32 - self.bits;
        if signed { i64::from(top as i32 >> down) } else { i64::from(top >> down) }
    }

    /// The nearest number that has room in it.
    #[inline(always)]
    fn saturate(self, value: i64, signed: bool) -> i64 {
        let (low, high) = if signed {
            (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1)
        } else {
            (0, (1 << self.bits) - 1)
        };
        value.clamp(low, high)
    }

    #[inline(always)]
    fn replace(self, word: u32, value: u32) -> u32 {
        let mask = (u32::MAX >> (32 - self.bits)) << self.shift;
        word & !mask | value << self.shift & mask
    }
}

/// What happens to the result of the first operation and the third source.
#[derive(Clone, Copy)]
enum Second {
    Nothing,
    Sum,
    Minimum,
    Maximum,
    Replace,
}

#[derive(Clone, Copy)]
struct Video {
    op: Op,
    test: Option<Test>,
    /// Shift counts wrap; else they end at 32.
    wraps: bool,
    saturates: bool,
    result: Part,
    result_signed: bool,
    second: Second,
}

impl Video {
    #[inline(always)]
    fn first(self, a: i64, b: i64) -> i64 {
        let count = if self.wraps { b & 31 } else { b.min(32) };
        match self.op {
            Op::Vadd => a + b,
            Op::Vsub => a - b,
            Op::Vabsdiff => (a - b).abs(),
            Op::Vmin => a.min(b),
            Op::Vmax => a.max(b),
            Op::Vshl => a << count,
            Op::Vshr => a >> count,
            _ => self.test.map_or(0, |test| holds_wide(test, a, b).into()),
        }
    }

    #[inline(always)]
    fn apply(self, a: i64, b: i64, c: u32) -> u32 {
        let value = self.first(a, b);
        let value =
            if self.saturates { self.result.saturate(value, self.result_signed) } else { value } as u32;
        match (self.second, self.result_signed) {
            (Second::Nothing, _) => value,
            (Second::Sum, _) => value.wrapping_add(c),
            (Second::Minimum, true) => (value as i32).min(c as i32) as u32,
            (Second::Minimum, false) => value.min(c),
            (Second::Maximum, true) => (value as i32).max(c as i32) as u32,
            (Second::Maximum, false) => value.max(c),
            (Second::Replace, _) => self.result.replace(c, value),
        }
    }
}

impl Decoder<'_> {
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn video(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let [result_type, a_type, b_type] = match mnemonic.types[..] {
            [result, a, b] => [result, a, b],
            // Truth is compared with the third source as what the first source is.
            [a, b] if mnemonic.op == Op::Vset => [if a.is_signed() { Type::S32 } else { Type::U32 }, a, b],
            _ => return Err("this form of a video instruction is not implemented".into()),
        };
        if mnemonic.op == Op::Vmad {
            return self.video_product(mnemonic, operands, a_type.is_signed(), b_type.is_signed());
        }
        let (result, target) = Part::of(&operands[0])?;
        let (a_part, a) = Part::of(&operands[1])?;
        let (b_part, b) = Part::of(&operands[2])?;
        let second = match operands.get(3) {
            None => Second::Nothing,
            Some(_) if mnemonic.has(Modifier::Add) => Second::Sum,
            Some(_) if mnemonic.has(Modifier::Min) => Second::Minimum,
            Some(_) if mnemonic.has(Modifier::Max) => Second::Maximum,
            Some(_) => Second::Replace,
        };
        let video = Video {
            op: mnemonic.op,
            test: test_of(mnemonic),
            wraps: mnemonic.has(Modifier::Wrap),
            saturates: mnemonic.has(Modifier::Sat),
            result,
            result_signed: result_type.is_signed(),
            second,
        };
        if video.op == Op::Vset && video.test.is_none() {
            return Err("a comparison without a test".into());
        }
        let (a_signed, b_signed) = (a_type.is_signed(), b_type.is_signed());
        let third = operands.get(3).unwrap_or(&operands[1]);
        let (_, third) = Part::of(third)?;
        self.ternary(&[target, a, b, third], move |a: u32, b: u32, c: u32| {
            video.apply(a_part.read(a, a_signed), b_part.read(b, b_signed), c)
        })
    }

    /// `vmad`: a product of 64 bits and an addend, scaled down. Negating a product is complementing it and adding one, for
    /// which there is one place: `.po` and a negated addend want it too, and no form has two of them.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn video_product(
        &mut self,
        mnemonic: &Mnemonic,
        operands: &[Operand],
        a_signed: bool,
        b_signed: bool,
    ) -> Decoded<()> {
        let positive = |operand: &Operand| match operand {
            Operand::Negated(operand) => (true, (**operand).clone()),
            operand => (false, operand.clone()),
        };
        let [(minus_a, a), (minus_b, b), (minus_c, c)] =
            [positive(&operands[1]), positive(&operands[2]), positive(&operands[3])];
        let (a_part, a) = Part::of(&a)?;
        let (b_part, b) = Part::of(&b)?;
        let (minus_product, plus_one) = (minus_a != minus_b, mnemonic.has(Modifier::Po));
        if u32::from(minus_product) + u32::from(minus_c) + u32::from(plus_one) > 1 {
            return Err("a product and its addend can't both be negated, nor with .po".into());
        }
        let signed = a_signed || b_signed || minus_product || minus_c;
        let saturates = mnemonic.has(Modifier::Sat);
        let scale = match mnemonic.modifiers.first_of(&[Modifier::Shr7, Modifier::Shr15]) {
            Some(Modifier::Shr7) => 7,
            Some(_) => 15,
            None => 0,
        };
        self.ternary(&[operands[0].clone(), a, b, c], move |a: u32, b: u32, c: u32| {
            let product = i128::from(a_part.read(a, a_signed)) * i128::from(b_part.read(b, b_signed));
            let product = if minus_product { !product } else { product };
            let addend = i128::from(Part::WHOLE.read(if minus_c { !c } else { c }, signed));
            let one = i128::from(minus_product || minus_c || plus_one);
            let scaled = (product + addend + one) >> scale;
            let (low, high) = if signed { (i32::MIN.into(), i32::MAX.into()) } else { (0, u32::MAX.into()) };
            (if saturates { scaled.clamp(low, high) } else { scaled }) as u32
        })
    }
}
