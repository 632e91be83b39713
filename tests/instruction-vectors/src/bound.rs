//! How far approximate functions may be from the true value, by the PTX ISA 9.0, chapters 9.7.3 and 9.7.4.

use ptx::isa::{Modifier, Op};
use ptx::{Mnemonic, Type};

/// What a result may differ by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// So many units in the last place of the true value.
    Ulp(f64),
    /// So much, relative to the true value.
    Relative(f64),
    /// So much.
    Absolute(f64),
    /// Relative, or absolute, whichever is more.
    Either(f64, f64),
}

/// A row of the manual's tables.
pub struct Approximation {
    /// The true value of the operands, if the manual bounds the error there.
    pub exact: fn(&[f64]) -> Option<f64>,
    /// How far a result may be from it.
    pub bound: Bound,
}

const fn two_to(exponent: i32) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

/// The row of an instruction, if it is an approximation.
pub fn approximation(mnemonic: &Mnemonic) -> Option<Approximation> {
    let row = |bound: Bound, exact: fn(&[f64]) -> Option<f64>| Some(Approximation { exact, bound });
    let approximate = mnemonic.has(Modifier::Approx) || mnemonic.has(Modifier::Full);
    match (mnemonic.op, mnemonic.ty()?) {
        _ if !approximate => None,
        // For divisors between 2^-126 and 2^126; `.full` for all.
        (Op::Div, _) if mnemonic.has(Modifier::Full) => row(Bound::Ulp(2.0), |x| Some(x[0] / x[1])),
        (Op::Div, _) => {
            row(Bound::Ulp(2.0), |x| (two_to(-126)..=two_to(126)).contains(&x[1].abs()).then(|| x[0] / x[1]))
        }
        (Op::Rcp, Type::F32) => row(Bound::Ulp(1.0), |x| Some(1.0 / x[0])),
        // "A gross approximation": the upper half of the bits, by the manual's example of refinement.
        (Op::Rcp, _) => row(Bound::Relative(two_to(-19)), |x| Some(1.0 / upper_half(x[0]))),
        (Op::Sqrt, _) => row(Bound::Relative(two_to(-23)), |x| Some(x[0].sqrt())),
        (Op::Rsqrt, Type::F32) => row(Bound::Relative(1.2777e-7), |x| Some(1.0 / x[0].sqrt())),
        (Op::Rsqrt, _) if mnemonic.has(Modifier::Ftz) => {
            row(Bound::Relative(two_to(-19)), |x| Some(1.0 / upper_half(x[0]).sqrt()))
        }
        (Op::Rsqrt, _) => row(Bound::Relative(two_to(-19)), |x| Some(1.0 / x[0].sqrt())),
        (Op::Sin, _) => row(Bound::Absolute(6.744e-7), |x| near_zero(x[0]).then(|| x[0].sin())),
        (Op::Cos, _) => row(Bound::Absolute(6.744e-7), |x| near_zero(x[0]).then(|| x[0].cos())),
        (Op::Lg2, _) => row(Bound::Either(two_to(-22), two_to(-22)), |x| Some(x[0].log2())),
        (Op::Ex2, Type::F32) => row(Bound::Ulp(2.0), |x| Some(x[0].exp2())),
        (Op::Ex2, Type::F16 | Type::F16x2) => {
            // A subnormal result may be the next one.
            row(Bound::Either(1.0467e-3, two_to(-24)), |x| Some(x[0].exp2()))
        }
        (Op::Ex2, _) => row(Bound::Relative(two_to(-7)), |x| Some(x[0].exp2())),
        (Op::Tanh, Type::F32) => row(Bound::Relative(two_to(-11)), |x| Some(x[0].tanh())),
        (Op::Tanh, Type::F16 | Type::F16x2) => row(Bound::Absolute(4.928e-4), |x| Some(x[0].tanh())),
        (Op::Tanh, _) => row(Bound::Absolute(two_to(-8)), |x| Some(x[0].tanh())),
        _ => None,
    }
}

/// What `.approx.ftz.f64` reads of a number.
fn upper_half(x: f64) -> f64 {
    f64::from_bits(x.to_bits() & !0xffff_ffff)
}

/// The manual bounds the error of `sin` and `cos` between -2π and 2π.
fn near_zero(x: f64) -> bool {
    x.abs() <= 2.0 * std::f64::consts::PI || x.is_infinite() || x.is_nan()
}

impl Bound {
    /// Whether a result is near enough to the true value; what the result's format cannot tell apart is.
    pub fn holds(self, exact: f64, result: f64, ty: Type, flushes: bool) -> bool {
        let (fraction, least, largest) = format(ty);
        if exact.is_nan() || result.is_nan() {
            return exact.is_nan() && result.is_nan();
        }
        let exponent = exact.abs().max(least).log2().floor();
        let ulp = (exponent - f64::from(fraction)).exp2();
        let allowed = match self {
            Bound::Ulp(ulps) => ulps * ulp,
            Bound::Relative(relative) => relative * exact.abs(),
            Bound::Absolute(absolute) => absolute,
            Bound::Either(relative, absolute) => (relative * exact.abs()).max(absolute),
        };
        let allowed = allowed + ulp / 2.0;
        if exact.abs() + allowed > largest && result.is_infinite() {
            return result.is_sign_negative() == exact.is_sign_negative();
        }
        // A subnormal number may be zero where they are flushed.
        let flushed = flushes && exact.abs() < least && result == 0.0;
        flushed || (result - exact).abs() <= allowed || result == exact
    }
}

/// Bits of the fraction, the least normal number and the largest one.
fn format(ty: Type) -> (u32, f64, f64) {
    match ty {
        Type::F16 | Type::F16x2 => (10, two_to(-14), 65504.0),
        Type::Bf16 | Type::Bf16x2 => (7, two_to(-126), f32::MAX.into()),
        Type::F32 => (23, two_to(-126), f32::MAX.into()),
        _ => (52, f64::MIN_POSITIVE, f64::MAX),
    }
}
