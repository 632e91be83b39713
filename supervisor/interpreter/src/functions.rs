//! Functions without an instruction that both tiers compute in the same way, step by step, so that their results are equal to the
//! bit: here for the interpreter, in crate `jit` for vectors.

/// Steps and constants of [`exp2`], in `f64`: the whole part of a number is taken out by an addition that has no room for the
/// fraction, the rest goes into a polynomial (error 1e-12), and the whole part into the exponent.
pub mod exp2 {
    /// Smaller numbers give zero.
    pub const LEAST: f64 = -160.0;
    /// Larger ones give infinity.
    pub const MOST: f64 = 130.0;
    /// 1.5 × 2^52: added to a number it leaves the nearest whole one in the low bits.
    pub const SHIFTER: f64 = 6_755_399_441_055_744.0;
    /// Of the first to the eighth power; that of the zeroth is one.
    pub const POLYNOMIAL: [f64; 8] = [
        0.693_147_180_546_589_6,
        0.240_226_506_977_363_42,
        0.055_504_109_391_013_155,
        0.009_618_128_695_329_006,
        0.001_333_345_225_537_404_4,
        0.000_154_037_751_966_941_56,
        1.530_969_315_985_160_8e-5,
        1.318_882_396_395_285_4e-6,
    ];
}

/// 2 to the power of a number, to the nearest but for ties.
#[inline(always)]
pub(crate) fn exp2(x: f32) -> f32 {
    use exp2::{LEAST, MOST, POLYNOMIAL, SHIFTER};
    // NaN passes both.
    let x = f64::from(x);
    let x = if x < LEAST { LEAST } else { x };
    let x = if x > MOST { MOST } else { x };
    let shifted = x + SHIFTER;
    let rest = x - (shifted - SHIFTER);
    let [lower @ .., highest] = POLYNOMIAL;
    let sum = lower.iter().rev().fold(highest, |sum, factor| sum.mul_add(rest, *factor));
    let power = sum.mul_add(rest, 1.0);
    // Of the low bits only those of the exponent are left.
    let scale = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    (power * scale) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_the_nearest_numbers() {
        for step in -150_000..128_000 {
            let x = step as f32 / 1000.0;
            let exact = f64::from(x).exp2();
            let ulp = f64::from((exact as f32).next_up()) - f64::from(exact as f32);
            assert!((f64::from(exp2(x)) - exact).abs() <= 0.501 * ulp, "{x}");
        }
        let ends = [f32::NEG_INFINITY, -151.0, 128.0, f32::INFINITY].map(exp2);
        assert_eq!(ends, [0.0, 0.0, f32::INFINITY, f32::INFINITY]);
        assert!(exp2(f32::NAN).is_nan() && exp2(-149.0) == f32::from_bits(1));
    }
}
