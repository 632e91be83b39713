//! Comparisons and what is chosen by them.

use half::{bf16, f16};
use ptx::{Mnemonic, Modifier, Op, Operand, Type};

use super::operands::{Decoded, Decoder};
use crate::registers::{Condition, Flushed, Lane, Predicate, Word};

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Test {
    Equal,
    /// Both are numbers, and differ.
    Different,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// The same, or either is NaN.
    EqualUnordered,
    DifferentUnordered,
    LessUnordered,
    LessOrEqualUnordered,
    GreaterUnordered,
    GreaterOrEqualUnordered,
    Numbers,
    NotNumbers,
}

/// The comparison that a mnemonic names.
pub(super) fn test_of(mnemonic: &Mnemonic) -> Option<Test> {
    use Modifier::*;
    mnemonic.order.iter().find_map(|modifier| {
        Some(match modifier {
            Eq => Test::Equal,
            Ne => Test::Different,
            Lt | Lo => Test::Less,
            Le | Ls => Test::LessOrEqual,
            Gt | Hi => Test::Greater,
            Ge | Hs => Test::GreaterOrEqual,
            Equ => Test::EqualUnordered,
            Neu => Test::DifferentUnordered,
            Ltu => Test::LessUnordered,
            Leu => Test::LessOrEqualUnordered,
            Gtu => Test::GreaterUnordered,
            Geu => Test::GreaterOrEqualUnordered,
            Num => Test::Numbers,
            Nan => Test::NotNumbers,
            _ => return None,
        })
    })
}

/// Whether integers compare so.
pub(super) fn holds(test: Test, x: i32, y: i32) -> bool {
    holds_wide(test, x.into(), y.into())
}

/// The same for numbers that 32 bits, with or without a sign, hold.
pub(super) fn holds_wide(test: Test, x: i64, y: i64) -> bool {
    match test {
        Test::Equal | Test::EqualUnordered => x == y,
        Test::Different | Test::DifferentUnordered => x != y,
        Test::Less | Test::LessUnordered => x < y,
        Test::LessOrEqual | Test::LessOrEqualUnordered => x <= y,
        Test::Greater | Test::GreaterUnordered => x > y,
        Test::GreaterOrEqual | Test::GreaterOrEqualUnordered => x >= y,
        Test::Numbers => true,
        Test::NotNumbers => false,
    }
}

impl PartialEq for Flushed<f32> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl PartialOrd for Flushed<f32> {
    #[inline(always)]
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.0.partial_cmp(&other.0)
    }
    #[inline(always)]
    fn lt(&self, other: &Self) -> bool {
        self.0 < other.0
    }
    #[inline(always)]
    fn le(&self, other: &Self) -> bool {
        self.0 <= other.0
    }
    #[inline(always)]
    fn gt(&self, other: &Self) -> bool {
        self.0 > other.0
    }
    #[inline(always)]
    fn ge(&self, other: &Self) -> bool {
        self.0 >= other.0
    }
}

impl Decoder<'_> {
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn compare(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        match mnemonic.op {
            Op::Setp => self.setp(mnemonic, operands),
            Op::Set => self.set(mnemonic, operands),
            Op::Selp | Op::Slct => self.select(mnemonic, operands),
            _ => self.testp(mnemonic, operands),
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn setp(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let ty = mnemonic.ty().ok_or("a comparison without a type")?;
        if matches!(ty, Type::F16x2 | Type::Bf16x2) {
            return self.setp_of_pairs(mnemonic, operands, ty);
        }
        let (p, q) = match &operands[0] {
            Operand::Pair(p, q) => (*p, *q),
            Operand::Register(register) => (Some(*register), None),
            _ => (None, None),
        };
        let mut place = |register: Option<u32>| match register {
            Some(register) => self.target_predicate(&Operand::Register(register)).map(Some),
            None => Ok(None),
        };
        let (p, q) = (place(p)?, place(q)?);
        if let (Some(p), None, None) = (p, q, operands.get(3)) {
            return self.test(mnemonic, ty, &operands[1..3], p);
        }
        let test = self.layout.predicate();
        self.test(mnemonic, ty, &operands[1..3], test)?;
        let join = self.joined(mnemonic, operands.get(3))?;
        self.push(move |w| {
            let mask = w.predicate(test);
            let (yes, no) = (join(w, mask), join(w, !mask));
            if let Some(p) = p {
                w.set_predicate(p, yes);
            }
            if let Some(q) = q {
                w.set_predicate(q, no);
            }
        });
        Ok(())
    }

    /// Combines a comparison's outcome with another predicate, if the instruction says so.
    fn joined(
        &mut self,
        mnemonic: &Mnemonic,
        other: Option<&Operand>,
    ) -> Decoded<impl Fn(&crate::warp::Warp, u32) -> u32 + Send + Sync + Copy + use<>> {
        let how = mnemonic.modifiers.first_of(&[Modifier::And, Modifier::Or, Modifier::Xor]);
        let other = match (how, other) {
            (Some(_), Some(operand)) => Some(self.condition(operand)?),
            _ => None,
        };
        Ok(move |w: &crate::warp::Warp, mask: u32| match (other, how) {
            (Some(other), Some(Modifier::And)) => mask & w.holds(other),
            (Some(other), Some(Modifier::Or)) => mask | w.holds(other),
            (Some(other), _) => mask ^ w.holds(other),
            (None, _) => mask,
        })
    }

    /// `setp.f16x2 p|q`: low and high halves.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn setp_of_pairs(&mut self, mnemonic: &Mnemonic, operands: &[Operand], ty: Type) -> Decoded<()> {
        let (p, q) = match &operands[0] {
            Operand::Pair(p, q) => (*p, *q),
            Operand::Register(register) => (Some(*register), None),
            _ => (None, None),
        };
        let join = self.joined(mnemonic, operands.get(3))?;
        for (register, high) in [(p, false), (q, true)] {
            let Some(register) = register else { continue };
            let d = self.target_predicate(&Operand::Register(register))?;
            let test = self.layout.predicate();
            self.test_of_halves(mnemonic, ty, &operands[1..3], high, test)?;
            self.push(move |w| {
                let bits = join(w, w.predicate(test));
                w.set_predicate(d, bits);
            });
        }
        Ok(())
    }

    /// Compares one half of packed values.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn test_of_halves(
        &mut self,
        mnemonic: &Mnemonic,
        ty: Type,
        operands: &[Operand],
        high: bool,
        d: Predicate,
    ) -> Decoded<()> {
        let how = test_of(mnemonic).ok_or("a comparison without a test")?;
        let flushes = mnemonic.has(Modifier::Ftz);
        let (a, b) = (self.source::<u32>(&operands[0])?, self.source::<u32>(&operands[1])?);
        let shift = if high { 16 } else { 0 };
        let value = move |word: u32| {
            let bits = (word >> shift) as u16;
            match ty {
                Type::F16x2 if flushes => super::half_float::flushed(f16::from_bits(bits)).to_f32(),
                Type::F16x2 => f16::from_bits(bits).to_f32(),
                _ => bf16::from_bits(bits).to_f32(),
            }
        };
        self.push(move |w| {
            let bits = w.test2::<u32>(a, b, |x, y| holds_for_floats(how, value(x), value(y)));
            w.set_predicate(d, bits);
        });
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn set(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let [to, ty] = mnemonic.types[..] else { return Err("a comparison without two types".into()) };
        let join = self.joined(mnemonic, operands.get(3))?;
        if matches!(ty, Type::F16x2 | Type::Bf16x2) {
            let (low, high) = (self.layout.predicate(), self.layout.predicate());
            self.test_of_halves(mnemonic, ty, &operands[1..3], false, low)?;
            self.test_of_halves(mnemonic, ty, &operands[1..3], true, high)?;
            let d = self.target::<u32>(&operands[0])?;
            let yes = match to {
                Type::F16x2 => 0x3c00,
                Type::Bf16x2 => 0x3f80,
                _ => 0xffff,
            };
            self.push(move |w| {
                let (low, high) = (join(w, w.predicate(low)), join(w, w.predicate(high)));
                let pick = |bits: u32, lane: usize| if bits >> lane & 1 != 0 { yes } else { 0u32 };
                w.write(d, |_, lane| pick(low, lane) | pick(high, lane) << 16);
            });
            return Ok(());
        }
        let test = self.layout.predicate();
        self.test(mnemonic, ty, &operands[1..3], test)?;
        let d = self.target::<u32>(&operands[0])?;
        let yes = match to {
            Type::F32 => 1f32.to_bits(),
            Type::F16 => 0x3c00,
            Type::Bf16 => 0x3f80,
            Type::U16 | Type::S16 => 0xffff,
            _ => u32::MAX,
        };
        self.push(move |w| {
            let bits = join(w, w.predicate(test));
            w.write(d, |_, lane| if bits >> lane & 1 != 0 { yes } else { 0 });
        });
        Ok(())
    }

    /// Writes which lanes compare as a mnemonic says.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn test(&mut self, mnemonic: &Mnemonic, ty: Type, operands: &[Operand], d: Predicate) -> Decoded<()> {
        use Type::*;
        let how = test_of(mnemonic).ok_or("a comparison without a test")?;
        if matches!(ty, F16 | Bf16) {
            let pair = if ty == F16 { F16x2 } else { Bf16x2 };
            return self.test_of_halves(mnemonic, pair, operands, false, d);
        }
        match ty {
            U16 | B16 => self.test_integers::<u16>(how, operands, d),
            S16 => self.test_integers::<i16>(how, operands, d),
            U32 | B32 => self.test_integers::<u32>(how, operands, d),
            S32 => self.test_integers::<i32>(how, operands, d),
            U64 | B64 => self.test_integers::<u64>(how, operands, d),
            S64 => self.test_integers::<i64>(how, operands, d),
            F32 if self.flushes(mnemonic) => self.test_floats::<Flushed<f32>>(how, operands, d),
            F32 => self.test_floats::<f32>(how, operands, d),
            F64 => self.test_floats::<f64>(how, operands, d),
            _ => Err("comparisons of this type are not implemented".into()),
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn test_integers<T: Lane + PartialOrd>(
        &mut self,
        how: Test,
        operands: &[Operand],
        d: Predicate,
    ) -> Decoded<()> {
        match how {
            Test::Equal => self.tested(operands, d, |x: T, y: T| x == y),
            Test::Different => self.tested(operands, d, |x: T, y: T| x != y),
            Test::Less => self.tested(operands, d, |x: T, y: T| x < y),
            Test::LessOrEqual => self.tested(operands, d, |x: T, y: T| x <= y),
            Test::Greater => self.tested(operands, d, |x: T, y: T| x > y),
            Test::GreaterOrEqual => self.tested(operands, d, |x: T, y: T| x >= y),
            _ => Err("integers can't be compared so".into()),
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    #[allow(
        clippy::neg_cmp_op_on_partial_ord,
        clippy::double_comparisons,
        clippy::eq_op,
        reason = "NaN is what these tell apart"
    )]
    fn test_floats<T: Lane + PartialOrd>(
        &mut self,
        how: Test,
        operands: &[Operand],
        d: Predicate,
    ) -> Decoded<()> {
        match how {
            Test::Equal => self.tested(operands, d, |x: T, y: T| x == y),
            Test::Different => self.tested(operands, d, |x: T, y: T| x < y || x > y),
            Test::Less => self.tested(operands, d, |x: T, y: T| x < y),
            Test::LessOrEqual => self.tested(operands, d, |x: T, y: T| x <= y),
            Test::Greater => self.tested(operands, d, |x: T, y: T| x > y),
            Test::GreaterOrEqual => self.tested(operands, d, |x: T, y: T| x >= y),
            Test::EqualUnordered => self.tested(operands, d, |x: T, y: T| !(x < y || x > y)),
            Test::DifferentUnordered => self.tested(operands, d, |x: T, y: T| x != y),
            Test::LessUnordered => self.tested(operands, d, |x: T, y: T| !(x >= y)),
            Test::LessOrEqualUnordered => self.tested(operands, d, |x: T, y: T| !(x > y)),
            Test::GreaterUnordered => self.tested(operands, d, |x: T, y: T| !(x <= y)),
            Test::GreaterOrEqualUnordered => self.tested(operands, d, |x: T, y: T| !(x < y)),
            Test::Numbers => self.tested(operands, d, |x: T, y: T| x == x && y == y),
            Test::NotNumbers => self.tested(operands, d, |x: T, y: T| x != x || y != y),
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn tested<T: Lane>(
        &mut self,
        operands: &[Operand],
        d: Predicate,
        test: impl Fn(T, T) -> bool + Send + Sync + Copy + 'static,
    ) -> Decoded<()> {
        let (a, b) = (self.source::<T>(&operands[0])?, self.source::<T>(&operands[1])?);
        self.push(move |w| {
            let bits = w.test2::<T>(a, b, test);
            w.set_predicate(d, bits);
        });
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn select(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let ty = *mnemonic.types.first().ok_or("a selection without a type")?;
        let slct = mnemonic.op == Op::Slct;
        let condition = if slct {
            let predicate = self.layout.predicate();
            let c = self.source::<u32>(&operands[3])?;
            match mnemonic.ty() {
                Some(Type::F32) if mnemonic.has(Modifier::Ftz) => self.push(move |w| {
                    let bits = w.test2::<Flushed<f32>>(c, c, |x, _| x.0 >= 0.0);
                    w.set_predicate(predicate, bits);
                }),
                // By its bits, since the processor may be flushing for other instructions.
                Some(Type::F32) => self.push(move |w| {
                    let bits = w.test2::<u32>(c, c, |x, _| x <= 0x7f80_0000 || x == 0x8000_0000);
                    w.set_predicate(predicate, bits);
                }),
                _ => self.push(move |w| {
                    let bits = w.test2::<i32>(c, c, |x, _| x >= 0);
                    w.set_predicate(predicate, bits);
                }),
            }
            Condition { predicate, negated: false }
        } else {
            self.condition(&operands[3])?
        };
        if ty.size() == 8 {
            self.selected::<u64>(operands, ty, condition)
        } else {
            self.selected::<u32>(operands, ty, condition)
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn selected<W: Word>(&mut self, operands: &[Operand], ty: Type, condition: Condition) -> Decoded<()> {
        let (a, b) = (self.source_as::<W>(&operands[1], ty)?, self.source_as::<W>(&operands[2], ty)?);
        let d = self.target::<W>(&operands[0])?;
        self.push(move |w| {
            let bits = w.holds(condition);
            w.write(d, |w, lane| w.value(a, lane).blend(w.value(b, lane), bits >> lane & 1 != 0));
        });
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn testp(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        use Modifier::*;
        use std::num::FpCategory;
        let d = self.target_predicate(&operands[0])?;
        let class = mnemonic
            .modifiers
            .first_of(&[Finite, Infinite, Number, NotANumber, Normal, Subnormal])
            .ok_or("a class test without a class")?;
        let test = move |category: FpCategory| match class {
            Finite => !matches!(category, FpCategory::Nan | FpCategory::Infinite),
            Infinite => category == FpCategory::Infinite,
            Number => category != FpCategory::Nan,
            NotANumber => category == FpCategory::Nan,
            // Zero counts as normal here (PTX ISA, testp).
            Normal => matches!(category, FpCategory::Normal | FpCategory::Zero),
            _ => category == FpCategory::Subnormal,
        };
        if mnemonic.ty() == Some(Type::F64) {
            let a = self.source::<f64>(&operands[1])?;
            self.push(move |w| {
                let bits = w.test2::<f64>(a, a, |x, _| test(x.classify()));
                w.set_predicate(d, bits);
            });
        } else {
            let a = self.source::<f32>(&operands[1])?;
            self.push(move |w| {
                let bits = w.test2::<f32>(a, a, |x, _| test(x.classify()));
                w.set_predicate(d, bits);
            });
        }
        Ok(())
    }
}

fn holds_for_floats(test: Test, x: f32, y: f32) -> bool {
    let unordered = x.is_nan() || y.is_nan();
    match test {
        Test::Equal => x == y,
        Test::Different => !unordered && x != y,
        Test::Less => x < y,
        Test::LessOrEqual => x <= y,
        Test::Greater => x > y,
        Test::GreaterOrEqual => x >= y,
        Test::EqualUnordered => unordered || x == y,
        Test::DifferentUnordered => x != y,
        Test::LessUnordered => unordered || x < y,
        Test::LessOrEqualUnordered => unordered || x <= y,
        Test::GreaterUnordered => unordered || x > y,
        Test::GreaterOrEqualUnordered => unordered || x >= y,
        Test::Numbers => !unordered,
        Test::NotNumbers => unordered,
    }
}
