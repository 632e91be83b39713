//! Integer arithmetic, shifts, logic, bits and bytes.

use ptx::{Mnemonic, Modifier, Op, Operand, Type};

use super::operands::{Decoded, Decoder};
use crate::registers::{Lane, Reg, Word};

/// What arithmetic needs to know of an integer type.
trait Integer: Lane + Ord {
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn mul_high(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    fn rem(self, other: Self) -> Self;
    fn difference(self, other: Self) -> Self;
    fn abs(self) -> Self;
    fn not(self) -> Self;
    fn is_zero(self) -> bool;
    fn truth(value: bool) -> Self;
    /// Shifts by more bits than there are give zeros, or copies of the sign.
    fn shl(self, count: u32) -> Self;
    fn shr(self, count: u32) -> Self;
}

macro_rules! integers {
    ($($type:ident $double:ident;)*) => {$(
        impl Integer for $type {
            #[inline(always)]
            fn add(self, other: $type) -> $type { self.wrapping_add(other) }
            #[inline(always)]
            fn sub(self, other: $type) -> $type { self.wrapping_sub(other) }
            #[inline(always)]
            fn mul(self, other: $type) -> $type { self.wrapping_mul(other) }
            #[inline(always)]
            fn mul_high(self, other: $type) -> $type {
                ($double::from(self).wrapping_mul($double::from(other)) >> $type::BITS) as $type
            }
            // Division by zero is undefined; an H100 gives all ones, as remainder too.
            #[inline(always)]
            fn div(self, other: $type) -> $type {
                if other == 0 { !0 } else { self.wrapping_div(other) }
            }
            #[inline(always)]
            fn rem(self, other: $type) -> $type {
                if other == 0 { !0 } else { self.wrapping_rem(other) }
            }
            #[inline(always)]
            fn difference(self, other: $type) -> $type { self.abs_diff(other) as $type }
            #[inline(always)]
            fn abs(self) -> $type { if self.below_zero() { self.wrapping_neg() } else { self } }
            #[inline(always)]
            fn not(self) -> $type { !self }
            #[inline(always)]
            fn is_zero(self) -> bool { self == 0 }
            #[inline(always)]
            fn truth(value: bool) -> $type { value.into() }
            #[inline(always)]
            fn shl(self, count: u32) -> $type {
                if count >= $type::BITS { 0 } else { self << (count & ($type::BITS - 1)) }
            }
            #[inline(always)]
            fn shr(self, count: u32) -> $type {
                if count >= $type::BITS {
                    if self.below_zero() { !0 } else { 0 }
                } else {
                    self >> (count & ($type::BITS - 1))
                }
            }
        }
    )*};
}

/// Whether a value is below zero; never for unsigned types.
trait Sign {
    fn below_zero(self) -> bool;
}

macro_rules! signs {
    ($($type:ident $value:ident => $negative:expr;)*) => {$(
        impl Sign for $type {
            #[inline(always)]
            fn below_zero(self) -> bool { let $value = self; $negative }
        }
    )*};
}

signs! {
    u16 _value => false; u32 _value => false; u64 _value => false;
    i16 value => value < 0; i32 value => value < 0; i64 value => value < 0;
}

integers! { u16 u32; i16 i32; u32 u64; i32 i64; u64 u128; i64 i128; }

/// Calls a method for the type that an instruction names.
macro_rules! by_type {
    ($ty:expr, $decoder:ident.$method:ident($($argument:expr),*)) => {
        match $ty {
            Type::U16 | Type::B16 => $decoder.$method::<u16>($($argument),*),
            Type::S16 => $decoder.$method::<i16>($($argument),*),
            Type::U32 | Type::B32 => $decoder.$method::<u32>($($argument),*),
            Type::S32 => $decoder.$method::<i32>($($argument),*),
            Type::U64 | Type::B64 => $decoder.$method::<u64>($($argument),*),
            Type::S64 => $decoder.$method::<i64>($($argument),*),
            _ => Err("this type is not implemented".into()),
        }
    };
}

impl Decoder<'_> {
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn integer(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        use Op::*;
        let ty = mnemonic.ty().ok_or("an instruction without a type")?;
        match mnemonic.op {
            Dp4a | Dp2a => self.dot(mnemonic, operands),
            Prmt => self.permute(mnemonic, operands),
            Lop3 => self.lop3(mnemonic, operands),
            Shf => self.funnel(mnemonic, operands),
            Bfe | Bfi | Szext | Bmsk => self.bit_field(mnemonic, operands, ty),
            Popc | Clz | Bfind | Brev | Fns => self.bits(mnemonic, operands, ty),
            Addc | Subc | Madc => self.with_carry(mnemonic, operands, ty),
            Add | Sub | Mad if mnemonic.has(Modifier::Cc) => self.with_carry(mnemonic, operands, ty),
            Mul | Mad if mnemonic.has(Modifier::Wide) => self.wide_product(mnemonic, operands, ty),
            Mul24 | Mad24 => self.product24(mnemonic, operands, ty),
            Add | Sub | Mad if mnemonic.has(Modifier::Sat) => self.saturating(mnemonic, operands),
            Vadd | Vsub | Vabsdiff | Vmin | Vmax | Vshl | Vshr | Vset | Vmad => {
                self.video(mnemonic, operands)
            }
            Vadd2 | Vsub2 | Vavrg2 | Vabsdiff2 | Vmin2 | Vmax2 | Vset2 => self.packed(mnemonic, operands, 2),
            Vadd4 | Vsub4 | Vavrg4 | Vabsdiff4 | Vmin4 | Vmax4 | Vset4 => self.packed(mnemonic, operands, 4),
            Add | Sub | Min | Max if matches!(ty, Type::U16x2 | Type::S16x2) => {
                self.pairs(mnemonic, operands, ty)
            }
            _ => by_type!(ty, self.simple(mnemonic, operands)),
        }
    }

    /// Two numbers of 16 bits in a word.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn pairs(&mut self, mnemonic: &Mnemonic, operands: &[Operand], ty: Type) -> Decoded<()> {
        let (op, signed, relu) = (mnemonic.op, ty.is_signed(), mnemonic.has(Modifier::Relu));
        let one = move |x: u16, y: u16| {
            let least = if signed { (x as i16).min(y as i16) as u16 } else { x.min(y) };
            let value = match op {
                Op::Add => x.wrapping_add(y),
                Op::Sub => x.wrapping_sub(y),
                Op::Min => least,
                // The other one of the two.
                _ => x ^ y ^ least,
            };
            if relu && (value as i16) < 0 { 0 } else { value }
        };
        self.binary(operands, move |x: u32, y: u32| {
            u32::from(one(x as u16, y as u16)) | u32::from(one((x >> 16) as u16, (y >> 16) as u16)) << 16
        })
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn simple<T: Integer>(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        use Op::*;
        match (mnemonic.op, mnemonic.has(Modifier::Hi)) {
            (Add, _) => self.binary(operands, |x: T, y: T| x.add(y)),
            (Sub, _) => self.binary(operands, |x: T, y: T| x.sub(y)),
            (Mul, false) => self.binary(operands, |x: T, y: T| x.mul(y)),
            (Mul, true) => self.binary(operands, |x: T, y: T| x.mul_high(y)),
            (Mad, false) => self.ternary(operands, |x: T, y: T, z: T| x.mul(y).add(z)),
            (Mad, true) => self.ternary(operands, |x: T, y: T, z: T| x.mul_high(y).add(z)),
            (Sad, _) => self.ternary(operands, |x: T, y: T, z: T| x.difference(y).add(z)),
            (Div, _) => self.binary(operands, |x: T, y: T| x.div(y)),
            (Rem, _) => self.binary(operands, |x: T, y: T| x.rem(y)),
            (Min, _) => {
                self.binary(operands, |x: T, y: T| x.min(y))?;
                self.relu::<T>(mnemonic, operands)
            }
            (Max, _) => {
                self.binary(operands, |x: T, y: T| x.max(y))?;
                self.relu::<T>(mnemonic, operands)
            }
            (Abs, _) => self.unary(operands, |x: T| x.abs()),
            (Neg, _) => self.unary(operands, |x: T| T::truth(false).sub(x)),
            (And, _) => self.binary(operands, |x: T, y: T| T::of(and(x.word(), y.word()))),
            (Or, _) => self.binary(operands, |x: T, y: T| T::of(or(x.word(), y.word()))),
            (Xor, _) => self.binary(operands, |x: T, y: T| T::of(xor(x.word(), y.word()))),
            (Not, _) => self.unary(operands, |x: T| x.not()),
            (Cnot, _) => self.unary(operands, |x: T| T::truth(x.is_zero())),
            (Shl, _) => self.binary(operands, |x: T, n: u32| x.shl(n)),
            (Shr, _) => self.binary(operands, |x: T, n: u32| x.shr(n)),
            _ => Err("not implemented".into()),
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn relu<T: Integer>(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        if !mnemonic.has(Modifier::Relu) {
            return Ok(());
        }
        self.adjust(&operands[0], |x: T| x.max(T::truth(false)))
    }

    /// `.sat`: signed 32-bit only.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn saturating(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        match mnemonic.op {
            Op::Add => self.binary(operands, |x: i32, y: i32| x.saturating_add(y)),
            Op::Sub => self.binary(operands, |x: i32, y: i32| x.saturating_sub(y)),
            _ => self.ternary(operands, |x: i32, y: i32, z: i32| x.mul_high(y).saturating_add(z)),
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn wide_product(&mut self, mnemonic: &Mnemonic, operands: &[Operand], ty: Type) -> Decoded<()> {
        if mnemonic.op == Op::Mul {
            return match ty {
                Type::S16 => self.binary(operands, |x: i16, y: i16| i32::from(x) * i32::from(y)),
                Type::U16 => self.binary(operands, |x: u16, y: u16| u32::from(x) * u32::from(y)),
                Type::S32 => self.binary(operands, |x: i32, y: i32| i64::from(x) * i64::from(y)),
                _ => self.binary(operands, |x: u32, y: u32| u64::from(x) * u64::from(y)),
            };
        }
        match ty {
            Type::S16 => {
                self.ternary(operands, |x: i16, y: i16, z: i32| (i32::from(x) * i32::from(y)).wrapping_add(z))
            }
            Type::U16 => {
                self.ternary(operands, |x: u16, y: u16, z: u32| (u32::from(x) * u32::from(y)).wrapping_add(z))
            }
            Type::S32 => {
                self.ternary(operands, |x: i32, y: i32, z: i64| (i64::from(x) * i64::from(y)).wrapping_add(z))
            }
            _ => {
                self.ternary(operands, |x: u32, y: u32, z: u64| (u64::from(x) * u64::from(y)).wrapping_add(z))
            }
        }
    }

    /// Products of 24-bit numbers: the low 32 of their 48 bits, or the high ones.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn product24(&mut self, mnemonic: &Mnemonic, operands: &[Operand], ty: Type) -> Decoded<()> {
        let shift = if mnemonic.has(Modifier::Hi) { 16 } else { 0 };
        let signed =
            move |x: i32, y: i32| ((i64::from(x << 8 >> 8) * i64::from(y << 8 >> 8)) >> shift) as i32;
        let unsigned =
            move |x: u32, y: u32| ((u64::from(x & 0xff_ffff) * u64::from(y & 0xff_ffff)) >> shift) as u32;
        let saturate = mnemonic.has(Modifier::Sat);
        match (mnemonic.op, ty.is_signed()) {
            (Op::Mul24, true) => self.binary(operands, signed),
            (Op::Mul24, false) => self.binary(operands, unsigned),
            (_, true) if saturate => {
                self.ternary(operands, move |x: i32, y: i32, z: i32| signed(x, y).saturating_add(z))
            }
            (_, true) => self.ternary(operands, move |x: i32, y: i32, z: i32| signed(x, y).wrapping_add(z)),
            (_, false) => {
                self.ternary(operands, move |x: u32, y: u32, z: u32| unsigned(x, y).wrapping_add(z))
            }
        }
    }

    /// Sums, differences and products that read or write the carry.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn with_carry(&mut self, mnemonic: &Mnemonic, operands: &[Operand], ty: Type) -> Decoded<()> {
        if ty.size() == 8 {
            self.carrying::<u64>(mnemonic, operands, ty)
        } else {
            self.carrying::<u32>(mnemonic, operands, ty)
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn carrying<W: Word>(&mut self, mnemonic: &Mnemonic, operands: &[Operand], ty: Type) -> Decoded<()> {
        let reads = matches!(mnemonic.op, Op::Addc | Op::Subc | Op::Madc);
        let writes = mnemonic.has(Modifier::Cc);
        let subtracts = matches!(mnemonic.op, Op::Sub | Op::Subc);
        let multiplies = matches!(mnemonic.op, Op::Mad | Op::Madc);
        let (high, signed, width) = (mnemonic.has(Modifier::Hi), ty.is_signed(), ty.size() * 8);
        let sources: Result<Vec<Reg<W>>, _> =
            operands[1..].iter().map(|operand| self.source_as(operand, ty)).collect();
        let sources = sources?;
        let d: Reg<W> = self.target(&operands[0])?;
        let flag = self.carry();
        self.push(move |w| {
            let before = if reads { w.predicate(flag) } else { 0 };
            let mut after = 0;
            let mut results = w.values(d);
            for (lane, result) in results.iter_mut().enumerate() {
                let value = |index: usize| w.value(sources[index], lane).widen();
                let (x, y) = if multiplies {
                    (multiply(value(0), value(1), width, high, signed), value(2))
                } else {
                    (value(0), value(1))
                };
                let (x, y, carry) = (u128::from(x), u128::from(y), u128::from(before >> lane & 1));
                let whole = if subtracts { x.wrapping_sub(y).wrapping_sub(carry) } else { x + y + carry };
                *result = W::narrow(whole as u64);
                after |= ((whole >> width & 1) as u32) << lane;
            }
            if writes {
                w.set_predicate(flag, after);
            }
            w.write(d, |_, lane| results[lane]);
        });
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn lop3(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let Some(Operand::Constant(table)) = operands.get(4) else {
            return Err("lop3 without a table".into());
        };
        if mnemonic.has(Modifier::And) || mnemonic.has(Modifier::Or) {
            return Err("lop3 with a predicate is not implemented".into());
        }
        let table = table.bits(Type::B32) as u32;
        // The tables of a ^ b ^ c, a & b & c, and (a & b) | c: common, and cheaper said directly.
        match table {
            0x96 => self.ternary(operands, |x: u32, y: u32, z: u32| x ^ y ^ z),
            0x80 => self.ternary(operands, |x: u32, y: u32, z: u32| x & y & z),
            0xf8 => self.ternary(operands, |x: u32, y: u32, z: u32| x | y & z),
            0xea => self.ternary(operands, |x: u32, y: u32, z: u32| x & y | z),
            0xfe => self.ternary(operands, |x: u32, y: u32, z: u32| x | y | z),
            _ => {
                let bit = |index: u32| 0u32.wrapping_sub(table >> index & 1);
                let rows: [u32; 8] = std::array::from_fn(|index| bit(index as u32));
                self.ternary(operands, move |x: u32, y: u32, z: u32| {
                    let pick = |low: u32, high: u32, chooser: u32| low & !chooser | high & chooser;
                    let [a, b, c, d] =
                        std::array::from_fn(|half| pick(rows[2 * half], rows[2 * half + 1], z));
                    pick(pick(a, b, y), pick(c, d, y), x)
                })
            }
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn funnel(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let clamps = mnemonic.has(Modifier::Clamp);
        let count = move |n: u32| if clamps { n.min(32) } else { n & 31 };
        let both = |x: u32, y: u32| u64::from(y) << 32 | u64::from(x);
        if mnemonic.has(Modifier::L) {
            self.ternary(operands, move |x: u32, y: u32, n: u32| ((both(x, y) << count(n)) >> 32) as u32)
        } else {
            self.ternary(operands, move |x: u32, y: u32, n: u32| (both(x, y) >> count(n)) as u32)
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn bit_field(&mut self, mnemonic: &Mnemonic, operands: &[Operand], ty: Type) -> Decoded<()> {
        let (signed, bits) = (ty.is_signed(), ty.size() * 8);
        match (mnemonic.op, bits) {
            (Op::Bfe, 64) => {
                self.ternary(operands, move |x: u64, p: u32, n: u32| extract(x, p, n, 64, signed))
            }
            (Op::Bfe, _) => self
                .ternary(operands, move |x: u32, p: u32, n: u32| extract(x.into(), p, n, 32, signed) as u32),
            (Op::Bfi, 64) => self.insert::<u64>(operands, 64),
            (Op::Bfi, _) => self.insert::<u32>(operands, 32),
            (Op::Bmsk, _) => {
                let clamps = mnemonic.has(Modifier::Clamp);
                self.binary(operands, move |p: u32, n: u32| {
                    let (p, n) = if clamps { (p, n) } else { (p & 31, n & 31) };
                    let ones = if n >= 32 { u32::MAX } else { (1 << n) - 1 };
                    ones.shl(p)
                })
            }
            _ => {
                let clamps = mnemonic.has(Modifier::Clamp);
                self.binary(operands, move |x: u32, n: u32| {
                    let n = if clamps { n.min(32) } else { n & 31 };
                    extract(x.into(), 0, n, 32, signed) as u32
                })
            }
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn insert<T: Lane>(&mut self, operands: &[Operand], bits: u32) -> Decoded<()> {
        let (a, b) = (self.source::<T>(&operands[1])?, self.source::<T>(&operands[2])?);
        let (p, n) = (self.source::<u32>(&operands[3])?, self.source::<u32>(&operands[4])?);
        let d = self.target(&operands[0])?;
        self.push(move |w| {
            w.write(d, |w, lane| {
                let (value, base) = (w.value(a, lane).widen(), w.value(b, lane).widen());
                let (position, length) = (w.value(p, lane) & 255, w.value(n, lane) & 255);
                if position >= bits || length == 0 {
                    return T::Word::narrow(base);
                }
                let mask = if length >= 64 { u64::MAX } else { (1u64 << length) - 1 };
                T::Word::narrow(base & !(mask << position) | (value & mask) << position)
            });
        });
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn bits(&mut self, mnemonic: &Mnemonic, operands: &[Operand], ty: Type) -> Decoded<()> {
        let as_shift = mnemonic.has(Modifier::ShiftAmt);
        match (mnemonic.op, ty) {
            (Op::Popc, Type::B64) => self.unary(operands, |x: u64| x.count_ones()),
            (Op::Popc, _) => self.unary(operands, |x: u32| x.count_ones()),
            (Op::Clz, Type::B64) => self.unary(operands, |x: u64| x.leading_zeros()),
            (Op::Clz, _) => self.unary(operands, |x: u32| x.leading_zeros()),
            (Op::Brev, Type::B64) => self.unary(operands, |x: u64| x.reverse_bits()),
            (Op::Brev, _) => self.unary(operands, |x: u32| x.reverse_bits()),
            (Op::Bfind, Type::U64) => self.unary(operands, move |x: u64| find(x, 64, as_shift)),
            (Op::Bfind, Type::S64) => {
                self.unary(operands, move |x: i64| find(unsign(x) as u64, 64, as_shift))
            }
            (Op::Bfind, Type::U32) => self.unary(operands, move |x: u32| find(x.into(), 32, as_shift)),
            (Op::Bfind, Type::S32) => {
                self.unary(operands, move |x: i32| find(unsign(x.into()) as u32 as u64, 32, as_shift))
            }
            (Op::Fns, _) => self.ternary(operands, nth_set_bit),
            _ => Err("not implemented".into()),
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn dot(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let [first, second] = mnemonic.types[..] else {
            return Err("a dot product without two types".into());
        };
        let (x_signed, y_signed) = (first == Type::S32, second == Type::S32);
        if mnemonic.op == Op::Dp2a {
            let start = if mnemonic.has(Modifier::Hi) { 2 } else { 0 };
            return self.ternary(operands, move |x: u32, y: u32, z: u32| {
                let half = |index: u32| part(x, index, 16, x_signed);
                let byte = |index: u32| part(y, index, 8, y_signed);
                (half(0).wrapping_mul(byte(start)))
                    .wrapping_add(half(1).wrapping_mul(byte(start + 1)))
                    .wrapping_add(z as i32) as u32
            });
        }
        // One closure per pair of signs, so that each loop over lanes becomes vector code.
        macro_rules! four {
            ($x:literal, $y:literal) => {
                self.ternary(operands, |x: u32, y: u32, z: u32| {
                    let product = |index| part(x, index, 8, $x).wrapping_mul(part(y, index, 8, $y));
                    let sum = product(0).wrapping_add(product(1)).wrapping_add(product(2));
                    sum.wrapping_add(product(3)).wrapping_add(z as i32) as u32
                })
            };
        }
        match (x_signed, y_signed) {
            (true, true) => self.dot_of_signed(operands),
            (true, false) => four!(true, false),
            (false, true) => four!(false, true),
            (false, false) => four!(false, false),
        }
    }

    /// `dp4a.s32.s32`, where quantised models spend their time: odd and even bytes as 16-bit numbers.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn dot_of_signed(&mut self, operands: &[Operand]) -> Decoded<()> {
        use std::arch::x86_64::*;
        let (a, b) = (self.source::<u32>(&operands[1])?, self.source::<u32>(&operands[2])?);
        let c = self.source::<u32>(&operands[3])?;
        let d = self.target::<u32>(&operands[0])?;
        self.push(move |w| {
            w.write_chunks(d, |w, first| {
                let [x, y, z] = [a, b, c].map(|register| {
                    let values: [u32; 8] = std::array::from_fn(|lane| w.value(register, first + lane));
                    // SAFETY: eight words are a vector.
                    unsafe { std::mem::transmute::<[u32; 8], __m256i>(values) }
                });
                let low = |v| _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(v));
                let odd = _mm256_madd_epi16(_mm256_srai_epi16::<8>(x), _mm256_srai_epi16::<8>(y));
                let even = _mm256_madd_epi16(low(x), low(y));
                let sum = _mm256_add_epi32(_mm256_add_epi32(odd, even), z);
                // SAFETY: as above.
                unsafe { std::mem::transmute::<__m256i, [u32; 8]>(sum) }
            });
        });
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn permute(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        use Modifier::*;
        let Some(mode) = mnemonic.modifiers.first_of(&[F4e, B4e, Rc8, Ecl, Ecr, Rc16]) else {
            return self.ternary(operands, |x: u32, y: u32, z: u32| permuted(x, y, z));
        };
        // What each value of the last two bits selects, a digit per byte (PTX ISA, prmt).
        let selectors: [u32; 4] = match mode {
            F4e => [0x3210, 0x4321, 0x5432, 0x6543],
            B4e => [0x5670, 0x6701, 0x7012, 0x0123],
            Rc8 => [0x0000, 0x1111, 0x2222, 0x3333],
            Ecl => [0x3210, 0x3211, 0x3222, 0x3333],
            Ecr => [0x0000, 0x1110, 0x2210, 0x3210],
            _ => [0x1010, 0x3232, 0x1010, 0x3232],
        };
        self.ternary(operands, move |x: u32, y: u32, z: u32| permuted(x, y, selectors[z as usize & 3]))
    }

    /// Arithmetic on two halves or four bytes side by side.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn packed(&mut self, mnemonic: &Mnemonic, operands: &[Operand], count: u32) -> Decoded<()> {
        use Op::*;
        let [to, x_type, y_type] = match mnemonic.types[..] {
            [to, x, y] => [to, x, y],
            [x, y] => [Type::U32, x, y],
            _ => return Err("this form of packed arithmetic is not implemented".into()),
        };
        let selected = operands[1..].iter().any(|operand| matches!(operand, Operand::Part(..)));
        if selected {
            return Err("packed arithmetic on selected parts is not implemented".into());
        }
        let bits = 32 / count;
        let (x_signed, y_signed, d_signed) = (x_type.is_signed(), y_type.is_signed(), to.is_signed());
        let (op, adds) = (mnemonic.op, mnemonic.has(Modifier::Add));
        let saturates = mnemonic.has(Modifier::Sat);
        let how = super::compare::test_of(mnemonic);
        if matches!(op, Vset2 | Vset4) && how.is_none() {
            return Err("a comparison without a test".into());
        }
        let (low, high) =
            if d_signed { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) };
        self.ternary(operands, move |x: u32, y: u32, z: u32| {
            let (mut out, mut sum) = (0u32, z);
            for index in 0..count {
                let (a, b) = (part(x, index, bits, x_signed), part(y, index, bits, y_signed));
                let value = match op {
                    Vadd2 | Vadd4 => a + b,
                    Vsub2 | Vsub4 => a - b,
                    Vavrg2 | Vavrg4 => (a + b + i32::from(a + b >= 0)) >> 1,
                    Vabsdiff2 | Vabsdiff4 => (a - b).abs(),
                    Vmin2 | Vmin4 => a.min(b),
                    Vmax2 | Vmax4 => a.max(b),
                    _ => how.map_or(0, |how| super::compare::holds(how, a, b).into()),
                };
                let value = if saturates { value.clamp(low, high) } else { value };
                sum = sum.wrapping_add(value as u32);
                out |= (value as u32 & ((1 << bits) - 1)) << (bits * index);
            }
            if adds { sum } else { out }
        })
    }
}

#[inline(always)]
fn and<W: Word>(x: W, y: W) -> W {
    W::narrow(x.widen() & y.widen())
}

#[inline(always)]
fn or<W: Word>(x: W, y: W) -> W {
    W::narrow(x.widen() | y.widen())
}

#[inline(always)]
fn xor<W: Word>(x: W, y: W) -> W {
    W::narrow(x.widen() ^ y.widen())
}

/// A part of a word, from the low end.
#[inline(always)]
fn part(word: u32, index: u32, bits: u32, signed: bool) -> i32 {
    let top = word << (32 - bits - bits * index);
    if signed { top as i32 >> (32 - bits) } else { (top >> (32 - bits)) as i32 }
}

/// The field of `length` bits at `position`; the sign is that of its last bit that exists.
#[inline(always)]
fn extract(value: u64, position: u32, length: u32, bits: u32, signed: bool) -> u64 {
    let (position, length) = (position & 255, length & 255);
    if length == 0 {
        return 0;
    }
    let top = (position + length - 1).min(bits - 1);
    let fill = if signed && value >> top & 1 != 0 { u64::MAX } else { 0 };
    if position >= bits {
        return fill;
    }
    let have = length.min(bits - position);
    let kept = if have >= 64 { u64::MAX } else { (1 << have) - 1 };
    value >> position & kept | fill & !kept
}

/// All bits that differ from the sign.
fn unsign(value: i64) -> i64 {
    value ^ value >> 63
}

#[inline(always)]
fn find(value: u64, bits: u32, as_shift: bool) -> u32 {
    match value {
        0 => u32::MAX,
        _ if as_shift => value.leading_zeros() - (64 - bits),
        _ => 63 - value.leading_zeros(),
    }
}

/// `fns`: the position of the n-th set bit from a base on, upwards or downwards.
fn nth_set_bit(mask: u32, base: u32, n: i32) -> u32 {
    let base = base & 31;
    if n == 0 {
        return if mask >> base & 1 != 0 { base } else { u32::MAX };
    }
    let mut left = n.unsigned_abs();
    let mut place = i64::from(base);
    while (0..32).contains(&place) {
        left -= mask >> place & 1;
        if left == 0 {
            return place as u32;
        }
        place += i64::from(n.signum());
    }
    u32::MAX
}

#[inline(always)]
fn permuted(x: u32, y: u32, selectors: u32) -> u32 {
    let bytes = u64::from(x) | u64::from(y) << 32;
    let byte = |index: u32| {
        let selector = selectors >> (4 * index) & 15;
        let byte = (bytes >> (8 * (selector & 7))) as u8;
        let chosen = if selector & 8 != 0 { ((byte as i8) >> 7) as u8 } else { byte };
        u32::from(chosen) << (8 * index)
    };
    byte(0) | byte(1) | byte(2) | byte(3)
}

fn multiply(x: u64, y: u64, width: u32, high: bool, signed: bool) -> u64 {
    let product = match (width, signed) {
        (32, true) => (i128::from(x as u32 as i32) * i128::from(y as u32 as i32)) as u128,
        (32, false) => u128::from(x as u32) * u128::from(y as u32),
        (_, true) => (i128::from(x as i64) * i128::from(y as i64)) as u128,
        (_, false) => u128::from(x) * u128::from(y),
    };
    let part = if high { product >> width } else { product };
    if width == 32 { part as u32 as u64 } else { part as u64 }
}
