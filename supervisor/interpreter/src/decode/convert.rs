//! `cvt`: between any two number types.
//!
//! Conversions that kernels spend their time in are vector code. All others take a number apart into sign, digits and
//! exponent, and put it together again in the other format with the rounding that is asked for.

use half::{bf16, f16};
use ptx::{Mnemonic, Modifier, Operand, Type};

use super::operands::{Decoded, Decoder};
use crate::registers::{Reg, Slot};

/// How a result is chosen between its two neighbours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rounding {
    /// The nearer one, or the even one.
    Nearest,
    /// The nearer one, or that away from zero.
    Away,
    Zero,
    Down,
    Up,
}

/// A binary floating-point format of at most 64 bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    exponent_bits: u32,
    fraction_bits: u32,
    /// Whether the highest exponent stands for numbers too, but for one NaN.
    finite: bool,
}

impl Format {
    pub const F16: Format = Format { exponent_bits: 5, fraction_bits: 10, finite: false };
    pub const BF16: Format = Format { exponent_bits: 8, fraction_bits: 7, finite: false };
    pub const F32: Format = Format { exponent_bits: 8, fraction_bits: 23, finite: false };
    pub const F64: Format = Format { exponent_bits: 11, fraction_bits: 52, finite: false };
    pub const TF32: Format = Format { exponent_bits: 8, fraction_bits: 10, finite: false };
    pub const E4M3: Format = Format { exponent_bits: 4, fraction_bits: 3, finite: true };
    pub const E5M2: Format = Format { exponent_bits: 5, fraction_bits: 2, finite: false };

    fn of(ty: Type) -> Option<Format> {
        Some(match ty {
            Type::F16 | Type::F16x2 => Format::F16,
            Type::Bf16 | Type::Bf16x2 => Format::BF16,
            Type::F32 => Format::F32,
            Type::F64 => Format::F64,
            Type::Tf32 => Format::TF32,
            Type::E4m3 | Type::E4m3x2 => Format::E4M3,
            Type::E5m2 | Type::E5m2x2 => Format::E5M2,
            _ => return None,
        })
    }

    fn bias(self) -> i32 {
        (1 << (self.exponent_bits - 1)) - 1
    }

    fn sign(self, negative: bool) -> u64 {
        u64::from(negative) << (self.exponent_bits + self.fraction_bits)
    }

    fn infinity(self) -> u64 {
        ((1 << self.exponent_bits) - 1) << self.fraction_bits
    }

    fn nan(self) -> u64 {
        (1 << (self.exponent_bits + self.fraction_bits)) - 1
    }

    /// The largest number.
    fn most(self) -> u64 {
        if self.finite { self.nan() - 1 } else { self.infinity() - 1 }
    }

    fn unpack(self, bits: u64) -> Number {
        let fraction = bits & ((1 << self.fraction_bits) - 1);
        let exponent = bits >> self.fraction_bits & ((1 << self.exponent_bits) - 1);
        let negative = bits >> (self.exponent_bits + self.fraction_bits) & 1 != 0;
        let top = (1 << self.exponent_bits) - 1;
        if self.finite && bits & self.nan() == self.nan() {
            return Number::Nan;
        }
        if exponent == top && !self.finite {
            return if fraction == 0 { Number::Infinite(negative) } else { Number::Nan };
        }
        let (digits, exponent) = match exponent {
            0 => (fraction, 1),
            _ => (fraction | 1 << self.fraction_bits, exponent as i32),
        };
        let exponent = exponent - self.bias() - self.fraction_bits as i32;
        Number::Finite { negative, digits: digits.into(), exponent }
    }

    fn pack(self, number: Number, rounding: Rounding) -> u64 {
        let (negative, mut digits, mut exponent) = match number {
            Number::Nan => return self.nan(),
            Number::Infinite(negative) if self.finite => return self.sign(negative) | self.nan(),
            Number::Infinite(negative) => return self.sign(negative) | self.infinity(),
            Number::Finite { negative, digits: 0, .. } => return self.sign(negative),
            Number::Finite { negative, digits, exponent } => (negative, digits, exponent),
        };
        // The lowest exponent of the last place that the result can have.
        let lowest = 1 - self.bias() - self.fraction_bits as i32;
        let length = 128 - digits.leading_zeros() as i32;
        let wanted = (exponent + length - 1 - self.fraction_bits as i32).max(lowest);
        if wanted > exponent {
            digits = shifted(digits, wanted - exponent, negative, rounding);
            exponent = wanted;
        } else {
            digits <<= exponent - wanted;
            exponent = wanted;
        }
        // Rounding up may have given one digit more: the sum carries into the exponent.
        let biased = (exponent - lowest) as u64;
        let bits = (biased << self.fraction_bits) + digits as u64;
        if bits <= self.most() {
            return self.sign(negative) | bits;
        }
        let stays = match rounding {
            Rounding::Zero => true,
            Rounding::Down => !negative,
            Rounding::Up => negative,
            Rounding::Nearest | Rounding::Away => false,
        };
        let beyond = if self.finite { self.nan() } else { self.infinity() };
        self.sign(negative) | if stays { self.most() } else { beyond }
    }
}

/// A number on its way: `digits * 2^exponent`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    Finite { negative: bool, digits: u128, exponent: i32 },
    Infinite(bool),
    Nan,
}

impl Number {
    fn of_integer(value: i128) -> Number {
        Number::Finite { negative: value < 0, digits: value.unsigned_abs(), exponent: 0 }
    }

    /// The integer next to it.
    fn integral(self, rounding: Rounding) -> Number {
        match self {
            Number::Finite { negative, digits, exponent } if exponent < 0 => {
                let digits = shifted(digits, -exponent, negative, rounding);
                Number::Finite { negative, digits, exponent: 0 }
            }
            other => other,
        }
    }
}

/// Drops low bits and rounds.
fn shifted(digits: u128, by: i32, negative: bool, rounding: Rounding) -> u128 {
    let (kept, rest, half) = match by {
        1..=127 => (digits >> by, digits & ((1 << by) - 1), 1u128 << (by - 1)),
        _ => (0, digits, u128::MAX),
    };
    let up = match rounding {
        Rounding::Nearest => rest > half || rest == half && kept & 1 != 0,
        Rounding::Away => rest >= half,
        Rounding::Zero => false,
        Rounding::Down => negative && rest != 0,
        Rounding::Up => !negative && rest != 0,
    };
    kept + u128::from(up)
}

/// A double in another format.
pub(super) fn pack_double(value: f64, format: Format, rounding: Rounding) -> u32 {
    format.pack(Format::F64.unpack(value.to_bits()), rounding) as u32
}

/// All that a conversion's modifiers say.
#[derive(Clone, Copy)]
struct Manner {
    to: Type,
    from: Type,
    rounding: Rounding,
    /// Whether a float becomes a whole number.
    integral: bool,
    saturates: bool,
    flushes: bool,
    relu: bool,
    /// Whether what is too large becomes the largest number.
    finite: bool,
}

impl Manner {
    fn of(mnemonic: &Mnemonic, to: Type, from: Type) -> Manner {
        use Modifier::*;
        let modifier = mnemonic.modifiers.first_of(&[Rn, Rz, Rm, Rp, Rna, Rni, Rzi, Rmi, Rpi]);
        Manner {
            to,
            from,
            rounding: match modifier {
                Some(Rz | Rzi) => Rounding::Zero,
                Some(Rm | Rmi) => Rounding::Down,
                Some(Rp | Rpi) => Rounding::Up,
                Some(Rna) => Rounding::Away,
                _ => Rounding::Nearest,
            },
            integral: matches!(modifier, Some(Rni | Rzi | Rmi | Rpi)),
            saturates: mnemonic.has(Sat),
            flushes: mnemonic.has(Ftz),
            relu: mnemonic.has(Relu),
            finite: mnemonic.has(Satfinite),
        }
    }

    fn convert(self, bits: u64) -> u64 {
        let number = match Format::of(self.from) {
            // A conversion to `f16` sees subnormal sources: an H100 rounds them up or down where it is asked to.
            Some(format) if self.to == Type::F16 => format.unpack(bits),
            // Of a NaN, too, the thirteen low bits are not read.
            Some(format) if self.to == Type::Tf32 && self.rounding == Rounding::Away => {
                format.unpack(without_low_payload(bits))
            }
            Some(format) => format.unpack(self.flushed(bits, self.from)),
            None => Number::of_integer(integer_of(bits, self.from)),
        };
        let Some(format) = Format::of(self.to) else { return self.to_integer(number) };
        let number = if self.integral { number.integral(self.rounding) } else { number };
        let number = self.clamped(number);
        let result = format.pack(number, self.rounding);
        let result = if self.finite && matches!(number, Number::Infinite(_) | Number::Finite { .. }) {
            let sign = result & format.sign(true);
            sign | (result & !sign).min(format.most())
        } else {
            result
        };
        match self.to {
            // Its thirteen low bits are not there.
            Type::Tf32 => result << 13,
            to => self.flushed(result, to),
        }
    }

    fn flushed(self, bits: u64, ty: Type) -> u64 {
        let subnormal = self.flushes && ty == Type::F32 && bits & 0x7f80_0000 == 0;
        if subnormal { bits & 0x8000_0000 } else { bits }
    }

    /// `.sat` on floats, and `.relu`.
    fn clamped(self, number: Number) -> Number {
        const ZERO: Number = Number::Finite { negative: false, digits: 0, exponent: 0 };
        const ONE: Number = Number::Finite { negative: false, digits: 1, exponent: 0 };
        let negative = matches!(number, Number::Finite { negative: true, .. } | Number::Infinite(true));
        let above_one = match number {
            Number::Finite { digits, exponent, .. } => {
                exponent + 128 - digits.leading_zeros() as i32 > 0 && digits != 0
            }
            Number::Infinite(_) => true,
            Number::Nan => false,
        };
        match (self.saturates, self.relu) {
            (true, _) if negative || number == Number::Nan => ZERO,
            (true, _) if above_one => ONE,
            (_, true) if negative => ZERO,
            _ => number,
        }
    }

    fn to_integer(self, number: Number) -> u64 {
        let size = self.to.size() * 8;
        let (low, high) = if self.to.is_signed() {
            (-(1i128 << (size - 1)), (1i128 << (size - 1)) - 1)
        } else {
            (0, (1i128 << size) - 1)
        };
        let is_float = self.from.is_float();
        let value = match number.integral(self.rounding) {
            // What an H100 gives: the highest bit alone in 64 bits, and from `f64`; else 0.
            Number::Nan if size == 64 || self.from == Type::F64 => 1 << (size - 1),
            Number::Nan => 0,
            Number::Infinite(negative) => {
                if negative {
                    low
                } else {
                    high
                }
            }
            Number::Finite { negative, digits, exponent } => {
                // More than 64 digits are beyond every bound.
                let large = digits != 0 && exponent + 128 - digits.leading_zeros() as i32 > 100;
                let magnitude = if large { 1 << 100 } else { (digits << exponent.max(0)) as i128 };
                if negative { -magnitude } else { magnitude }
            }
        };
        let value = match number {
            Number::Nan => value,
            _ if self.saturates || is_float => value.clamp(low, high),
            _ => value,
        };
        // A narrower type in a wider register is extended.
        match (self.to.size(), self.to.is_signed()) {
            (1, true) => value as i8 as i64 as u64,
            (1, false) => value as u8 as u64,
            (2, true) => value as i16 as i64 as u64,
            (2, false) => value as u16 as u64,
            (4, true) => value as i32 as i64 as u64,
            (4, false) => value as u32 as u64,
            _ => value as u64,
        }
    }
}

/// A single-precision infinity in place of a NaN that has no more than the digits that `tf32` lacks.
fn without_low_payload(bits: u64) -> u64 {
    const LOW: u64 = (1 << 13) - 1;
    let infinite = bits & 0x7fff_ffff & !LOW == 0x7f80_0000;
    if infinite { bits & !LOW } else { bits }
}

fn integer_of(bits: u64, ty: Type) -> i128 {
    match (ty.size(), ty.is_signed()) {
        (1, false) => (bits as u8).into(),
        (1, true) => (bits as i8).into(),
        (2, false) => (bits as u16).into(),
        (2, true) => (bits as i16).into(),
        (4, false) => (bits as u32).into(),
        (4, true) => (bits as i32).into(),
        (_, false) => bits.into(),
        (_, true) => (bits as i64).into(),
    }
}

/// Converts every type to one other by a cast.
macro_rules! from_integers {
    ($decoder:ident, $operands:ident, $from:expr, |$x:ident| $value:expr) => {
        match $from {
            Type::U8 | Type::B8 => $decoder.unary($operands, |$x: u8| $value),
            Type::S8 => $decoder.unary($operands, |$x: i8| $value),
            Type::U16 | Type::B16 => $decoder.unary($operands, |$x: u16| $value),
            Type::S16 => $decoder.unary($operands, |$x: i16| $value),
            Type::U32 | Type::B32 => $decoder.unary($operands, |$x: u32| $value),
            Type::S32 => $decoder.unary($operands, |$x: i32| $value),
            Type::U64 | Type::B64 => $decoder.unary($operands, |$x: u64| $value),
            _ => $decoder.unary($operands, |$x: i64| $value),
        }
    };
}

impl Decoder<'_> {
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn convert(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let [to, from] = mnemonic.types[..] else {
            return Err("this form of conversion is not implemented".into());
        };
        if to.is_float() && Format::of(to).is_none() || from.is_float() && Format::of(from).is_none() {
            return Err("this form of conversion is not implemented".into());
        }
        let manner = Manner::of(mnemonic, to, from);
        let is_pair = |ty| matches!(ty, Type::F16x2 | Type::Bf16x2 | Type::E4m3x2 | Type::E5m2x2);
        if is_pair(to) || is_pair(from) {
            return self.convert_pair(manner, operands);
        }
        match self.converted_fast(manner, operands) {
            Some(done) => done,
            None => self.convert_each(manner, operands),
        }
    }

    /// Number by number.
    fn convert_each(&mut self, manner: Manner, operands: &[Operand]) -> Decoded<()> {
        let a = self.source_slot(&operands[1], manner.from)?;
        let d = self.target_slot(&operands[0])?;
        self.push(move |w| {
            let mut values = w.slot_values(a);
            for lane in w.active() {
                values[lane] = manner.convert(values[lane]);
            }
            w.write_slot(d, &values);
        });
        Ok(())
    }

    /// Two numbers to a pair, the first one above (`cvt.rn.f16x2.f32 d, a, b`), or a pair to a pair.
    fn convert_pair(&mut self, manner: Manner, operands: &[Operand]) -> Decoded<()> {
        let to_bits = manner.to.size() * 4;
        let sources: Result<Vec<Reg<u32>>, _> =
            operands[1..].iter().map(|operand| self.source_as(operand, manner.from)).collect();
        let sources = sources?;
        let d = self.target::<u32>(&operands[0])?;
        match sources[..] {
            [high, low] => self.push(move |w| {
                w.write(d, |w, lane| {
                    let part = |register: Reg<u32>| manner.convert(w.value(register, lane).into()) as u32;
                    part(low) | part(high) << to_bits
                });
            }),
            [pair] => {
                let from_bits = manner.from.size() * 4;
                self.push(move |w| {
                    w.write(d, |w, lane| {
                        let word = u64::from(w.value(pair, lane));
                        let mask = (1 << from_bits) - 1;
                        let part = |index: u32| manner.convert(word >> (index * from_bits) & mask) as u32;
                        part(0) | part(1) << to_bits
                    });
                });
            }
            _ => return Err("this form of conversion is not implemented".into()),
        }
        Ok(())
    }

    /// The conversions that kernels spend their time in.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn converted_fast(&mut self, manner: Manner, operands: &[Operand]) -> Option<Decoded<()>> {
        use Type::*;
        let Manner { to, from, rounding, .. } = manner;
        if manner.saturates || manner.relu || manner.finite {
            return None;
        }
        if !to.is_float() && !from.is_float() {
            return Some(self.convert_integers(to, from, operands));
        }
        if !from.is_float() && rounding == Rounding::Nearest {
            return match to {
                F32 => Some(from_integers!(self, operands, from, |x| x as f32)),
                F64 => Some(from_integers!(self, operands, from, |x| x as f64)),
                _ => None,
            };
        }
        if manner.flushes && self.program.flush == crate::code::Flush::Each {
            return None;
        }
        Some(match (to, from, rounding) {
            (S32, F32, Rounding::Zero) => self.unary(operands, |x: f32| x as i32),
            (S32, F32, Rounding::Nearest) => self.unary(operands, |x: f32| x.round_ties_even() as i32),
            (S32, F32, Rounding::Down) => self.unary(operands, |x: f32| x.floor() as i32),
            (S32, F32, Rounding::Up) => self.unary(operands, |x: f32| x.ceil() as i32),
            (U32, F32, Rounding::Zero) => self.unary(operands, |x: f32| x as u32),
            (F32, F32, Rounding::Zero) if manner.integral => self.unary(operands, |x: f32| x.trunc()),
            (F32, F32, Rounding::Nearest) if manner.integral => {
                self.unary(operands, |x: f32| x.round_ties_even())
            }
            (F32, F32, Rounding::Down) if manner.integral => self.unary(operands, |x: f32| x.floor()),
            (F32, F32, Rounding::Up) if manner.integral => self.unary(operands, |x: f32| x.ceil()),
            (F64, F32, _) if !manner.integral => self.unary(operands, |x: f32| f64::from(x)),
            (F32, F64, Rounding::Nearest) if !manner.integral => self.unary(operands, |x: f64| x as f32),
            (F32, F16, _) if !manner.integral => self.widen_half(operands),
            (F16, F32, Rounding::Nearest) if !manner.integral => self.narrow_to_half(operands),
            (F32, Bf16, _) if !manner.integral && !manner.flushes => {
                self.unary(operands, |x: bf16| f32::from_bits(u32::from(x.to_bits()) << 16))
            }
            (F16, F16, _) if !manner.integral => self.unary(operands, |x: f16| x),
            _ => return None,
        })
    }

    /// Integers: the low bits, or the number extended by its sign.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn convert_integers(&mut self, to: Type, from: Type, operands: &[Operand]) -> Decoded<()> {
        let reader = if to.size() <= from.size() { to } else { from };
        // Unsigned numbers of a narrower type than their register must not inherit a sign.
        let mask = if to.size() > from.size() && !to.is_signed() && from.is_signed() {
            u64::MAX >> (64 - 8 * to.size())
        } else {
            u64::MAX
        };
        match self.target_slot(&operands[0])? {
            Slot::Wide(_) => from_integers!(self, operands, reader, |x| x as i64 as u64),
            Slot::Narrow(_) if mask as u32 == u32::MAX => {
                from_integers!(self, operands, reader, |x| x as i64 as u32)
            }
            Slot::Narrow(_) => {
                from_integers!(self, operands, reader, |x| x as i64 as u32)?;
                self.adjust(&operands[0], move |x: u32| x & mask as u32)
            }
            Slot::Predicate(_) => Err("a predicate where a number is needed".into()),
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn widen_half(&mut self, operands: &[Operand]) -> Decoded<()> {
        let a = self.source::<f16>(&operands[1])?;
        let d = self.target::<u32>(&operands[0])?;
        self.push(move |w| {
            w.write_chunks(d, |w, first| {
                super::half_float::from_half(std::array::from_fn(|lane| w.value(a, first + lane)))
            });
        });
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn narrow_to_half(&mut self, operands: &[Operand]) -> Decoded<()> {
        let a = self.source::<f32>(&operands[1])?;
        let d = self.target::<u32>(&operands[0])?;
        self.push(move |w| {
            w.write_chunks(d, |w, first| {
                super::half_float::to_half(std::array::from_fn(|lane| w.value(a, first + lane)))
            });
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every `f16` survives a trip through the digits, and rounding agrees with the processor's.
    #[test]
    fn packs_what_it_unpacks() {
        for bits in 0..=u16::MAX {
            let number = Format::F16.unpack(bits.into());
            let back = Format::F16.pack(number, Rounding::Nearest) as u16;
            let same = f16::from_bits(bits).is_nan() && f16::from_bits(back).is_nan() || back == bits;
            assert!(same, "{bits:#06x} became {back:#06x}");
        }
        let mut bits = 1u32;
        for _ in 0..100_000 {
            bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = f32::from_bits(bits);
            if !value.is_nan() {
                let packed = Format::F16.pack(Format::F32.unpack(bits.into()), Rounding::Nearest);
                assert_eq!(packed as u16, f16::from_f32(value).to_bits(), "{value:e}");
            }
        }
    }
}
