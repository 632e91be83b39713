//! Functions without an instruction that both tiers compute in the same way, step by step, so that their results are equal to the
//! bit: here for the interpreter, in crate `jit` for vectors.

/// Steps and constants of [`exp2`]: the whole part of a number is taken out by an addition that has no room for the fraction, the
/// rest goes into a polynomial (error 3e-9), and each half of the whole part into a factor: one alone cannot be as small or as large
/// as results are.
pub mod exp2 {
    /// Smaller numbers give zero.
    pub const LEAST: f32 = -160.0;
    /// Larger ones give infinity.
    pub const MOST: f32 = 130.0;
    /// 1.5 × 2^23: added to a number it leaves the nearest whole one in the low bits.
    pub const SHIFTER: f32 = 12_582_912.0;
    /// Of the first to the sixth power; that of the zeroth is one.
    pub const POLYNOMIAL: [f32; 6] =
        [std::f32::consts::LN_2, 0.240_226_48, 0.055_503_596, 0.009_618_499, 0.001_339_097, 0.000_153_293_12];
    /// One, as bits.
    pub const ONE: u32 = 0x3f80_0000;
    /// Where a number's exponent begins.
    pub const EXPONENT: u32 = 23;
}

/// 2 to the power of a number: within 0.79 units in the last place, and another half where it is subnormal (the PTX ISA asks for two).
#[inline(always)]
pub(crate) fn exp2(x: f32) -> f32 {
    use exp2::{EXPONENT, LEAST, MOST, ONE, POLYNOMIAL, SHIFTER};
    // NaN passes both.
    let x = if x < LEAST { LEAST } else { x };
    let x = if x > MOST { MOST } else { x };
    let shifted = x + SHIFTER;
    let rest = x - (shifted - SHIFTER);
    let [lower @ .., highest] = POLYNOMIAL;
    let sum = lower.iter().rev().fold(highest, |sum, factor| sum.mul_add(rest, *factor));
    let power = sum.mul_add(rest, 1.0);
    let whole = shifted.to_bits().wrapping_sub(SHIFTER.to_bits());
    let half = (whole as i32 >> 1) as u32;
    let factor = |whole: u32| f32::from_bits((whole << EXPONENT).wrapping_add(ONE));
    power * factor(half) * factor(whole.wrapping_sub(half))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_as_near_as_said() {
        for step in -1_500_000..1_280_000 {
            let x = step as f32 / 10_000.0;
            let exact = f64::from(x).exp2();
            let ulp = f64::from((exact as f32).next_up()) - f64::from(exact as f32);
            let bound = if exact < f64::from(f32::MIN_POSITIVE) { 1.29 } else { 0.79 };
            assert!((f64::from(exp2(x)) - exact).abs() <= bound * ulp, "{x}");
        }
        assert_eq!(
            [-149.0, -126.0, -1.0, 0.0, 1.0, 127.0].map(exp2),
            [-149, -126, -1, 0, 1, 127].map(|n| 2f32.powi(n))
        );
        let ends = [f32::NEG_INFINITY, -151.0, 128.0, f32::INFINITY].map(exp2);
        assert_eq!(ends, [0.0, 0.0, f32::INFINITY, f32::INFINITY]);
        assert!(exp2(f32::NAN).is_nan() && exp2(-149.0) == f32::from_bits(1));
    }
}
