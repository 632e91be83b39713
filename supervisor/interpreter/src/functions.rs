//! Functions without an instruction that both tiers compute in the same way, step by step, so that their results are equal to the
//! bit: here for the interpreter, in crate `jit` for vectors.

/// Steps and constants of [`exp2`]: the whole part of a number is taken out by an addition that has no room for the fraction, the
/// rest goes into a polynomial (error 2e-9), and the whole part into exponents, in halves, so that either is a normal number.
pub mod exp2 {
    /// Smaller numbers give zero.
    pub const LEAST: f32 = -150.0;
    /// Larger ones give infinity.
    pub const MOST: f32 = 129.0;
    /// 1.5 × 2^23: added to a number it leaves the nearest whole one in the low bits.
    pub const SHIFTER: f32 = 12_582_912.0;
    /// Of the first to the sixth power; that of the zeroth is one.
    pub const POLYNOMIAL: [f32; 6] =
        [0.693_147_2, 0.240_226_48, 0.055_503_324, 0.009_618_437, 0.001_339_887_5, 0.000_153_533_59];
}

/// 2 to the power of a number, within one unit of the last place.
#[inline(always)]
pub(crate) fn exp2(x: f32) -> f32 {
    use exp2::{LEAST, MOST, POLYNOMIAL, SHIFTER};
    // NaN passes both.
    let x = if x < LEAST { LEAST } else { x };
    let x = if x > MOST { MOST } else { x };
    let shifted = x + SHIFTER;
    let rest = x - (shifted - SHIFTER);
    let [lower @ .., highest] = POLYNOMIAL;
    let sum = lower.iter().rev().fold(highest, |sum, factor| sum.mul_add(rest, *factor));
    let power = sum.mul_add(rest, 1.0);
    let whole = shifted.to_bits().wrapping_sub(SHIFTER.to_bits()) as i32;
    let half = whole >> 1;
    let scale = |exponent: i32| f32::from_bits((exponent.wrapping_add(127) as u32) << 23);
    power * scale(half) * scale(whole.wrapping_sub(half))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_within_a_unit_of_the_last_place() {
        for step in -150_000..128_000 {
            let x = step as f32 / 1000.0;
            let exact = f64::from(x).exp2();
            let ulp = f64::from((exact as f32).next_up()) - f64::from(exact as f32);
            assert!((f64::from(exp2(x)) - exact).abs() <= ulp, "{x}");
        }
        let ends = [f32::NEG_INFINITY, -151.0, 128.0, f32::INFINITY].map(exp2);
        assert_eq!(ends, [0.0, 0.0, f32::INFINITY, f32::INFINITY]);
        assert!(exp2(f32::NAN).is_nan() && exp2(-149.0) == f32::from_bits(1));
    }
}
