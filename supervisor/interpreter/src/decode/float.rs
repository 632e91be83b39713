//! `f32` and `f64` arithmetic.
//!
//! Sums, products, quotients, roots and `fma` are exact IEEE results, rounded as asked. Approximations (`.approx`, `.full`)
//! are the exact result rounded, which lies within what the PTX manual allows.

use ptx::{Mnemonic, Modifier, Op, Operand};

use super::operands::{Decoded, Decoder};
use crate::functions::exp2;
use crate::registers::{Flushed, Lane};

/// A single-precision number that flushes subnormal values, or does not.
trait Single: Lane<Word = u32> {
    fn get(self) -> f32;
    fn put(value: f32) -> Self;
}

impl Single for f32 {
    #[inline(always)]
    fn get(self) -> f32 {
        self
    }
    #[inline(always)]
    fn put(value: f32) -> f32 {
        value
    }
}

impl Single for Flushed<f32> {
    #[inline(always)]
    fn get(self) -> f32 {
        self.0
    }
    #[inline(always)]
    fn put(value: f32) -> Self {
        Flushed(value)
    }
}

/// The smaller one; a number beats NaN, and -0 is less than +0.
#[inline(always)]
pub(super) fn minimum(x: f32, y: f32) -> f32 {
    let smaller = if x < y || x == y && x.is_sign_negative() { x } else { y };
    if x.is_nan() {
        y
    } else if y.is_nan() {
        x
    } else {
        smaller
    }
}

#[inline(always)]
pub(super) fn maximum(x: f32, y: f32) -> f32 {
    -minimum(-x, -y)
}

#[inline(always)]
fn minimum64(x: f64, y: f64) -> f64 {
    let smaller = if x < y || x == y && x.is_sign_negative() { x } else { y };
    if x.is_nan() {
        y
    } else if y.is_nan() {
        x
    } else {
        smaller
    }
}

/// NaN as GPUs write it.
pub(super) const NAN: f32 = f32::from_bits(0x7fff_ffff);

/// `.sat`: clamped to [0, 1]; NaN becomes 0.
#[inline(always)]
pub(super) fn saturated(value: f32) -> f32 {
    // `value > 0.0` is false for NaN and -0.
    if value > 0.0 { if value < 1.0 { value } else { 1.0 } } else { 0.0 }
}

impl Decoder<'_> {
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn single(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        if self.rounds_directed(mnemonic) {
            self.directed_single(mnemonic, operands)?;
        } else if self.flushes(mnemonic) || mnemonic.has(Modifier::Ftz) && !is_computed(mnemonic.op) {
            // The processor does not flush what it only moves or compares bit by bit, nor for a library's function.
            self.rounded_single::<Flushed<f32>>(mnemonic, operands)?;
        } else {
            self.rounded_single::<f32>(mnemonic, operands)?;
        }
        if mnemonic.has(Modifier::Sat) {
            self.adjust(&operands[0], saturated)?;
        }
        Ok(())
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn rounded_single<T: Single>(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        use Op::*;
        match mnemonic.op {
            Add => self.binary(operands, |x: T, y: T| T::put(x.get() + y.get())),
            Sub => self.binary(operands, |x: T, y: T| T::put(x.get() - y.get())),
            Mul => self.binary(operands, |x: T, y: T| T::put(x.get() * y.get())),
            Fma | Mad => self.ternary(operands, |x: T, y: T, z: T| T::put(x.get().mul_add(y.get(), z.get()))),
            Div => self.binary(operands, |x: T, y: T| T::put(x.get() / y.get())),
            Min | Max => self.extreme::<T>(mnemonic, operands),
            Abs => self.unary(operands, |x: T| T::put(x.get().abs())),
            Neg => self.unary(operands, |x: T| T::put(-x.get())),
            Rcp => self.unary(operands, |x: T| T::put(1.0 / x.get())),
            Sqrt => self.unary(operands, |x: T| T::put(x.get().sqrt())),
            Rsqrt => self.unary(operands, |x: T| T::put(1.0 / x.get().sqrt())),
            Sin => self.unary(operands, |x: T| T::put(x.get().sin())),
            Cos => self.unary(operands, |x: T| T::put(x.get().cos())),
            Lg2 => self.unary(operands, |x: T| T::put(x.get().log2())),
            Ex2 => self.unary(operands, |x: T| T::put(exp2(x.get()))),
            Tanh => self.unary(operands, |x: T| T::put(x.get().tanh())),
            Copysign => self.binary(operands, |x: f32, y: f32| y.copysign(x)),
            _ => Err("not implemented".into()),
        }
    }

    /// `f32x2`: two numbers in 64 bits.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn pair_of_singles(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        if self.rounds_directed(mnemonic) {
            return Err("this rounding of pairs is not implemented".into());
        }
        match self.flushes(mnemonic) {
            true => self.rounded_pair::<Flushed<f32>>(mnemonic.op, operands),
            false => self.rounded_pair::<f32>(mnemonic.op, operands),
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn rounded_pair<T: Single>(&mut self, op: Op, operands: &[Operand]) -> Decoded<()> {
        let on_two = |f: fn(f32, f32) -> f32| move |x: u64, y: u64| both::<T>([x, y, 0], |[x, y, _]| f(x, y));
        match op {
            Op::Add => self.binary(operands, on_two(|x, y| x + y)),
            Op::Sub => self.binary(operands, on_two(|x, y| x - y)),
            Op::Mul => self.binary(operands, on_two(|x, y| x * y)),
            Op::Fma => self.ternary(operands, |x: u64, y: u64, z: u64| {
                both::<T>([x, y, z], |[x, y, z]| x.mul_add(y, z))
            }),
            _ => Err("not implemented".into()),
        }
    }

    /// `min` and `max`, of two or three, with NaN and the signs combined if asked.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn extreme<T: Single>(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        let greatest = mnemonic.op == Op::Max;
        let plain = !mnemonic.has(Modifier::NaN) && !mnemonic.has(Modifier::XorSign) && operands.len() == 3;
        match (plain, greatest) {
            (true, true) => {
                return self.binary(operands, |x: T, y: T| T::put(maximum(x.get(), y.get())));
            }
            (true, false) => {
                return self.binary(operands, |x: T, y: T| T::put(minimum(x.get(), y.get())));
            }
            _ => {}
        }
        let (nan, by_sign) = (mnemonic.has(Modifier::NaN), mnemonic.has(Modifier::XorSign));
        let choose = move |x: f32, y: f32| {
            if nan && (x.is_nan() || y.is_nan()) {
                return NAN;
            }
            let (a, b) = if by_sign { (x.abs(), y.abs()) } else { (x, y) };
            let chosen = if greatest { maximum(a, b) } else { minimum(a, b) };
            let negative = x.is_sign_negative() != y.is_sign_negative();
            if by_sign && negative { -chosen } else { chosen }
        };
        if operands.len() == 4 {
            let all = move |x: T, y: T, z: T| T::put(choose(choose(x.get(), y.get()), z.get()));
            return self.ternary(operands, all);
        }
        self.binary(operands, move |x: T, y: T| T::put(choose(x.get(), y.get())))
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn double(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        use Op::*;
        if self.rounds_directed(mnemonic) {
            return self.directed_double(mnemonic, operands);
        }
        let coarse = mnemonic.has(Modifier::Approx) && mnemonic.has(Modifier::Ftz);
        match mnemonic.op {
            Rcp if coarse => self.unary(operands, |x: f64| upper_half(1.0 / upper_half(x))),
            Rsqrt if coarse => self.unary(operands, |x: f64| upper_half(1.0 / upper_half(x).sqrt())),
            Add => self.binary(operands, |x: f64, y: f64| x + y),
            Sub => self.binary(operands, |x: f64, y: f64| x - y),
            Mul => self.binary(operands, |x: f64, y: f64| x * y),
            Fma | Mad => self.ternary(operands, |x: f64, y: f64, z: f64| x.mul_add(y, z)),
            Div => self.binary(operands, |x: f64, y: f64| x / y),
            Min => self.binary(operands, minimum64),
            Max => self.binary(operands, |x: f64, y: f64| -minimum64(-x, -y)),
            Abs => self.unary(operands, |x: f64| x.abs()),
            Neg => self.unary(operands, |x: f64| -x),
            Rcp => self.unary(operands, |x: f64| 1.0 / x),
            Sqrt => self.unary(operands, |x: f64| x.sqrt()),
            Rsqrt => self.unary(operands, |x: f64| 1.0 / x.sqrt()),
            Copysign => self.binary(operands, |x: f64, y: f64| y.copysign(x)),
            _ => Err("not implemented".into()),
        }
    }
}

/// A function on the low numbers of three pairs, and on the high ones.
#[inline(always)]
fn both<T: Single>(pairs: [u64; 3], f: impl Fn([f32; 3]) -> f32) -> u64 {
    let half = |shift: u32| {
        let values = pairs.map(|pair| T::of((pair >> shift) as u32).get());
        u64::from(T::put(f(values)).word()) << shift
    };
    half(0) | half(32)
}

/// Operations that the processor's arithmetic does by itself.
fn is_computed(op: Op) -> bool {
    matches!(op, Op::Add | Op::Sub | Op::Mul | Op::Fma | Op::Mad | Op::Div | Op::Rcp | Op::Sqrt | Op::Rsqrt)
}

/// What `.approx.ftz.f64` reads and writes of a number: its upper half, and no subnormal value.
#[inline(always)]
fn upper_half(value: f64) -> f64 {
    const SIGN: u64 = 1 << 63;
    let bits = value.to_bits() & !0xffff_ffff;
    f64::from_bits(if bits >> 52 & 0x7ff == 0 { bits & SIGN } else { bits })
}
