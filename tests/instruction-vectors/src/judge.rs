//! Whether two results are the same.

use std::fmt;

use ptx::Type;
use ptx::isa::{Modifier, Op};

use crate::bound::{Approximation, approximation};
use crate::case::Case;
use crate::values;

/// A result with every NaN written alike, where the instruction computes floating-point numbers.
pub fn normal(case: &Case, output: usize, bits: u64) -> u64 {
    let half = |bits: u64, infinity: u64| if bits & 0x7fff > infinity { 0x7fff } else { bits & 0xffff };
    let both = |bits: u64, infinity: u64| half(bits, infinity) | half(bits >> 16, infinity) << 16;
    if matches!(case.mnemonic.op, Op::Mov | Op::Selp | Op::Slct | Op::Copysign) {
        return bits;
    }
    match case.outputs[output].ty {
        Type::F32 | Type::Tf32 if f32::from_bits(bits as u32).is_nan() => 0x7fff_ffff,
        Type::F64 if f64::from_bits(bits).is_nan() => u64::MAX >> 1,
        Type::F16 => half(bits, 0x7c00),
        Type::Bf16 => half(bits, 0x7f80),
        Type::F16x2 => both(bits, 0x7c00),
        Type::Bf16x2 => both(bits, 0x7f80),
        _ => bits,
    }
}

/// Where results differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The operands.
    pub operands: Vec<u64>,
    /// Which result.
    pub output: usize,
    /// As it should be.
    pub expected: u64,
    /// As it is.
    pub actual: u64,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operands: Vec<String> = self.operands.iter().map(|bits| format!("{bits:#x}")).collect();
        let (operands, output) = (operands.join(", "), self.output);
        write!(f, "{operands} -> %o{output} = {:#x}, not {:#x}", self.expected, self.actual)
    }
}

/// Compares results at some threads; both have a value for each thread and output (output after output, `threads` long).
pub fn differences(case: &Case, threads: &[usize], expected: &[u64], actual: &[u64]) -> Vec<Difference> {
    let (words, count) = (values::words(case), case.count());
    let approximation = approximation(&case.mnemonic);
    let mut out = Vec::new();
    for output in 0..case.outputs.len() {
        for (place, thread) in threads.iter().enumerate() {
            let at = output * threads.len() + place;
            let operands: Vec<u64> =
                (0..case.inputs.len()).map(|input| words[input * count + thread]).collect();
            let alike = match &approximation {
                Some(row) => near(case, row, &operands, [expected[at], actual[at]]),
                None => normal(case, output, expected[at]) == normal(case, output, actual[at]),
            };
            if !alike {
                out.push(Difference { operands, output, expected: expected[at], actual: actual[at] });
            }
        }
    }
    out
}

/// Whether both results are near the true one.
fn near(case: &Case, row: &Approximation, operands: &[u64], results: [u64; 2]) -> bool {
    let ty = case.mnemonic.ty().unwrap_or(Type::F32);
    let parts = if matches!(ty, Type::F16x2 | Type::Bf16x2) { 2 } else { 1 };
    let flushes = case.mnemonic.has(Modifier::Ftz);
    (0..parts).all(|part| {
        let read = |bits: &u64| number(bits >> (16 * part), ty, flushes);
        let operands: Vec<f64> = operands.iter().map(read).collect();
        let Some(exact) = (row.exact)(&operands) else { return true };
        results.iter().all(|bits| row.bound.holds(exact, number(bits >> (16 * part), ty, false), ty, flushes))
    })
}

/// The number that bits stand for.
fn number(bits: u64, ty: Type, flushes: bool) -> f64 {
    let single = |bits: u32| {
        let value = f32::from_bits(bits);
        f64::from(if flushes && value.is_subnormal() { 0.0f32.copysign(value) } else { value })
    };
    match ty {
        Type::F16 | Type::F16x2 => half(bits as u16),
        Type::Bf16 | Type::Bf16x2 => single((bits as u32 & 0xffff) << 16),
        Type::F32 => single(bits as u32),
        _ => {
            let value = f64::from_bits(bits);
            if flushes && value.is_subnormal() { 0.0f64.copysign(value) } else { value }
        }
    }
}

fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction / 1024.0 * (-14f64).exp2(),
        31 if fraction != 0.0 => f64::NAN,
        31 => f64::INFINITY,
        _ => (1.0 + fraction / 1024.0) * f64::from(exponent - 15).exp2(),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}
