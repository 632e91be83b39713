//! Types of numbers: those that operands are stored in, and those that are computed in.

use std::ops::{Add, Div, Mul, Neg, Sub};

use gemm::{c32, c64};
use half::{bf16, f16};
use wire::blas::Element;

/// A type that operands are stored in.
pub trait Stored: Copy + 'static {
    /// Real and imaginary part.
    fn parts(self) -> (f64, f64);
    /// The nearest number of this type. What was computed in `f32` is passed exactly, so nothing is rounded twice.
    fn from_parts(real: f64, imaginary: f64) -> Self;
}

macro_rules! real {
    ($($type:ty: $read:expr, $write:expr;)*) => {$(
        impl Stored for $type {
            #[inline]
            fn parts(self) -> (f64, f64) {
                let read: fn($type) -> f64 = $read;
                (read(self), 0.0)
            }
            #[inline]
            fn from_parts(real: f64, _imaginary: f64) -> Self {
                let write: fn(f64) -> $type = $write;
                write(real)
            }
        }
    )*};
}

real! {
    f32: f64::from, |value| value as f32;
    f64: |value| value, |value| value;
    // From f32: from f64 they would round differently from what f32 arithmetic gives.
    f16: f64::from, |value| f16::from_f32(value as f32);
    bf16: f64::from, |value| bf16::from_f32(value as f32);
    // Integer results are exact; they wrap nowhere below 2^53 and saturate at the type's ends.
    i8: f64::from, |value| value as i8;
    i32: f64::from, |value| value as i32;
    i64: |value| value as f64, |value| value as i64;
    E4m3: |value| Float8::E4M3.value(value.0), |value| E4m3(Float8::E4M3.nearest(value));
    E5m2: |value| Float8::E5M2.value(value.0), |value| E5m2(Float8::E5M2.nearest(value));
}

impl Stored for c32 {
    #[inline]
    fn parts(self) -> (f64, f64) {
        (f64::from(self.re), f64::from(self.im))
    }
    #[inline]
    fn from_parts(real: f64, imaginary: f64) -> Self {
        c32 { re: real as f32, im: imaginary as f32 }
    }
}

impl Stored for c64 {
    #[inline]
    fn parts(self) -> (f64, f64) {
        (self.re, self.im)
    }
    #[inline]
    fn from_parts(re: f64, im: f64) -> Self {
        c64 { re, im }
    }
}

/// `__nv_fp8_e4m3`
#[derive(Clone, Copy)]
pub struct E4m3(u8);
/// `__nv_fp8_e5m2`
#[derive(Clone, Copy)]
pub struct E5m2(u8);

/// An 8-bit float: sign, exponent, mantissa.
struct Float8 {
    mantissa: i32,
    bias: i32,
    /// Largest finite number.
    largest: f64,
    /// Whether the highest exponent is for infinity and NaN only; else only its last number is a NaN.
    infinite: bool,
}

impl Float8 {
    const E4M3: Float8 = Float8 { mantissa: 3, bias: 7, largest: 448.0, infinite: false };
    const E5M2: Float8 = Float8 { mantissa: 2, bias: 15, largest: 57344.0, infinite: true };

    fn value(&self, bits: u8) -> f64 {
        let sign = if bits & 0x80 != 0 { -1.0 } else { 1.0 };
        let magnitude = i32::from(bits & 0x7f);
        let (exponent, fraction) = (magnitude >> self.mantissa, magnitude & ((1 << self.mantissa) - 1));
        let is_special = if self.infinite { magnitude >= 0x7c } else { magnitude == 0x7f };
        if is_special {
            return if self.infinite && magnitude == 0x7c { sign * f64::INFINITY } else { f64::NAN };
        }
        let unit = f64::from(1 << self.mantissa);
        let value = match exponent {
            0 => f64::from(fraction) / unit * 2f64.powi(1 - self.bias),
            _ => (1.0 + f64::from(fraction) / unit) * 2f64.powi(exponent - self.bias),
        };
        sign * value
    }

    /// Rounds to nearest, ties to even; too large numbers become the largest one, as cuBLASLt's conversions saturate.
    fn nearest(&self, value: f64) -> u8 {
        let sign = if value.is_sign_negative() { 0x80 } else { 0 };
        let magnitude = value.abs();
        if magnitude.is_nan() {
            return sign | 0x7f;
        }
        let magnitude = magnitude.min(self.largest);
        // All magnitudes are in order of their bits: find the neighbours.
        let last = if self.infinite { 0x7b } else { 0x7e };
        let below = (0..=last).rev().find(|bits| self.value(*bits) <= magnitude).unwrap_or(0);
        let above = (below + 1).min(last);
        let (low, high) = (magnitude - self.value(below), self.value(above) - magnitude);
        let take_above = high < low || (high == low && below & 1 == 1);
        sign | if take_above { above } else { below }
    }
}

/// Runs `$body` with `$type` standing for the type of an element.
macro_rules! with_element {
    ($element:expr, $type:ident => $body:expr) => {
        match $element {
            wire::blas::Element::F32 => {
                type $type = f32;
                $body
            }
            wire::blas::Element::F64 => {
                type $type = f64;
                $body
            }
            wire::blas::Element::F16 => {
                type $type = half::f16;
                $body
            }
            wire::blas::Element::Bf16 => {
                type $type = half::bf16;
                $body
            }
            wire::blas::Element::I8 => {
                type $type = i8;
                $body
            }
            wire::blas::Element::I32 => {
                type $type = i32;
                $body
            }
            wire::blas::Element::I64 => {
                type $type = i64;
                $body
            }
            wire::blas::Element::C32 => {
                type $type = gemm::c32;
                $body
            }
            wire::blas::Element::C64 => {
                type $type = gemm::c64;
                $body
            }
            wire::blas::Element::E4m3 => {
                type $type = $crate::blas::element::E4m3;
                $body
            }
            wire::blas::Element::E5m2 => {
                type $type = $crate::blas::element::E5m2;
                $body
            }
        }
    };
}
pub(crate) use with_element;

/// A type that is computed in.
pub trait Number:
    Stored
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + PartialEq
    + Send
    + Sync
{
    /// The same as a stored type.
    const ELEMENT: Element;

    /// The complex conjugate.
    fn conjugate(self) -> Self {
        let (real, imaginary) = self.parts();
        Self::from_parts(real, -imaginary)
    }

    /// A real number.
    fn real(value: f64) -> Self {
        Self::from_parts(value, 0.0)
    }

    /// BLAS's magnitude: the sum of the parts' magnitudes.
    fn magnitude(self) -> f64 {
        let (real, imaginary) = self.parts();
        real.abs() + imaginary.abs()
    }
}

impl Number for f32 {
    const ELEMENT: Element = Element::F32;
}
impl Number for f64 {
    const ELEMENT: Element = Element::F64;
}
impl Number for c32 {
    const ELEMENT: Element = Element::C32;
}
impl Number for c64 {
    const ELEMENT: Element = Element::C64;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bit_floats_have_their_well_known_values() {
        assert_eq!(
            [0x38u8, 0x7e, 0x01, 0xb8].map(|bits| Float8::E4M3.value(bits)),
            [1.0, 448.0, 2f64.powi(-9), -1.0]
        );
        assert_eq!([0x3cu8, 0x7b, 0x7c].map(|bits| Float8::E5M2.value(bits)), [1.0, 57344.0, f64::INFINITY]);
        for float in [Float8::E4M3, Float8::E5M2] {
            for bits in (0..=255u8).filter(|bits| float.value(*bits).is_finite()) {
                assert_eq!(float.nearest(float.value(bits)), bits);
            }
        }
        // Ties go to even: 1.0625 lies between 1 and 1.125.
        assert_eq!(Float8::E4M3.nearest(1.0625), 0x38);
        assert_eq!(Float8::E4M3.nearest(1e9), 0x7e);
    }
}
