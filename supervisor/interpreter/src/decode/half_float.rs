//! `f16` and `bf16` arithmetic, single and in pairs.
//!
//! Operands are widened to `f32`, where sums and products of so few bits are exact or round without harm, and the result is
//! rounded once more. Only `fma` needs more: there the sum is rounded to odd in `f64` first, so that the second rounding sees
//! on which side of a tie it lies.

use std::arch::x86_64::*;

use half::f16;
use ptx::{Mnemonic, Modifier, Op, Operand, Type};

use super::convert::{Format, Rounding, pack_double};
use super::float::saturated;
use super::operands::{Decoded, Decoder};
use crate::registers::{Reg, flush};
use crate::warp::Warp;

/// Eight numbers on their way.
type Chunk = [f32; 8];

/// One of the two formats.
trait Half: Copy + Send + Sync + 'static {
    const EXPONENT: u32;
    fn widen(bits: [u32; 8]) -> Chunk;
    fn narrow(values: Chunk) -> [u32; 8];
    /// `flushes`: a result that is too small for a normal number before it is rounded becomes zero.
    fn fused(x: Chunk, y: Chunk, z: Chunk, flushes: bool) -> [u32; 8];
}

#[derive(Clone, Copy)]
struct Ieee;

#[derive(Clone, Copy)]
struct Brain;

impl Half for Ieee {
    const EXPONENT: u32 = 0x7c00;

    #[inline(always)]
    fn widen(bits: [u32; 8]) -> Chunk {
        // SAFETY: eight words are a vector, eight floats too; decoding has checked that the processor has F16C and AVX2.
        unsafe {
            let words: __m256i = std::mem::transmute(bits.map(|bits| bits & 0xffff));
            let packed = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi32(words, words));
            std::mem::transmute(_mm256_cvtph_ps(_mm256_castsi256_si128(packed)))
        }
    }

    #[inline(always)]
    fn narrow(values: Chunk) -> [u32; 8] {
        // SAFETY: as in `widen`.
        unsafe {
            let packed =
                _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(std::mem::transmute::<Chunk, __m256>(values));
            std::mem::transmute(_mm256_cvtepu16_epi32(packed))
        }
    }

    #[inline(always)]
    fn fused(x: Chunk, y: Chunk, z: Chunk, flushes: bool) -> [u32; 8] {
        Ieee::narrow(std::array::from_fn(|lane| {
            let product = f64::from(x[lane]) * f64::from(y[lane]);
            let sum = odd_single(odd_sum(product, z[lane].into()));
            if flushes { vanishing(sum) } else { sum }
        }))
    }
}

impl Half for Brain {
    const EXPONENT: u32 = 0x7f80;

    #[inline(always)]
    fn widen(bits: [u32; 8]) -> Chunk {
        bits.map(|bits| f32::from_bits(bits << 16))
    }

    #[inline(always)]
    fn narrow(values: Chunk) -> [u32; 8] {
        values.map(|value| {
            let bits = value.to_bits();
            let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
            if value.is_nan() { 0x7fff } else { rounded }
        })
    }

    #[inline(always)]
    fn fused(x: Chunk, y: Chunk, z: Chunk, _flushes: bool) -> [u32; 8] {
        std::array::from_fn(|lane| {
            let product = f64::from(x[lane]) * f64::from(y[lane]);
            pack_double(odd_sum(product, z[lane].into()), Format::BF16, Rounding::Nearest)
        })
    }
}

/// The sum, with its last bit set if it is not exact.
#[inline(always)]
fn odd_sum(x: f64, y: f64) -> f64 {
    let sum = x + y;
    // What the sum lacks, exactly (Knuth's two-sum).
    let back = sum - x;
    let lack = (x - (sum - back)) + (y - back);
    let inexact = lack != 0.0 && sum.is_finite();
    let bits = sum.to_bits();
    if !inexact || bits & 1 != 0 {
        return sum;
    }
    let toward_zero = (lack < 0.0) != (sum < 0.0);
    f64::from_bits(if toward_zero { bits - 1 } else { bits | 1 })
}

/// In single precision, with the last bit set if it is not exact.
#[inline(always)]
fn odd_single(value: f64) -> f32 {
    const LOST: u64 = (1 << 29) - 1;
    let bits = value.to_bits();
    let kept = bits & !LOST | u64::from(bits & LOST != 0) << 29;
    (if value.is_finite() { f64::from_bits(kept) } else { value }) as f32
}

/// A number that `f16` holds as a normal one, else zero. A result counts as subnormal if it is so with eleven digits and any
/// exponent, though rounding it as `f16` would give the least normal number.
#[inline(always)]
fn vanishing(value: f32) -> f32 {
    const LEAST: f32 = (1.0 - 1.0 / 4096.0) / 16384.0;
    if value.abs() < LEAST { 0f32.copysign(value) } else { value }
}

/// Only the sign of a subnormal number.
pub(super) fn flushed(value: f16) -> f16 {
    f16::from_bits(flush(value.to_bits().into(), Ieee::EXPONENT, 0x8000) as u16)
}

/// What the modifiers change.
#[derive(Clone, Copy)]
struct Manner {
    flushes: bool,
    saturates: bool,
    clamps: bool,
    nan: bool,
    by_sign: bool,
}

impl Manner {
    #[inline(always)]
    fn read<H: Half>(self, bits: [u32; 8]) -> [u32; 8] {
        if self.flushes { bits.map(|bits| flush(bits, H::EXPONENT, 0x8000)) } else { bits }
    }

    /// Applies `.relu`, `.sat` and `.ftz` to a result.
    #[inline(always)]
    fn finish<H: Half>(self, bits: [u32; 8]) -> [u32; 8] {
        if !(self.flushes || self.saturates || self.clamps) {
            return bits;
        }
        let bits =
            if self.flushes { bits.map(|bits| flush(bits & 0xffff, H::EXPONENT, 0x8000)) } else { bits };
        let value = H::widen(bits);
        if self.saturates {
            return H::narrow(value.map(saturated));
        }
        let clamped = |value: f32| if value > 0.0 || value.is_nan() { value } else { 0.0 };
        if self.clamps { H::narrow(value.map(clamped)) } else { bits }
    }
}

impl Decoder<'_> {
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) fn half(&mut self, mnemonic: &Mnemonic, operands: &[Operand]) -> Decoded<()> {
        match mnemonic.ty() {
            Some(Type::F16) => self.of_half::<Ieee, false>(mnemonic, operands),
            Some(Type::F16x2) => self.of_half::<Ieee, true>(mnemonic, operands),
            Some(Type::Bf16) => self.of_half::<Brain, false>(mnemonic, operands),
            _ => self.of_half::<Brain, true>(mnemonic, operands),
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn of_half<H: Half, const PAIR: bool>(
        &mut self,
        mnemonic: &Mnemonic,
        operands: &[Operand],
    ) -> Decoded<()> {
        use Op::*;
        let manner = Manner {
            flushes: mnemonic.has(Modifier::Ftz),
            saturates: mnemonic.has(Modifier::Sat),
            clamps: mnemonic.has(Modifier::Relu),
            nan: mnemonic.has(Modifier::NaN),
            by_sign: mnemonic.has(Modifier::XorSign),
        };
        match mnemonic.op {
            Add => self.halves::<H, PAIR>(operands, manner, |[x, y, _]| H::narrow(each(x, y, |x, y| x + y))),
            Sub => self.halves::<H, PAIR>(operands, manner, |[x, y, _]| H::narrow(each(x, y, |x, y| x - y))),
            Mul if manner.flushes => self.halves::<H, PAIR>(operands, manner, |[x, y, _]| {
                H::narrow(each(x, y, |x, y| vanishing(x * y)))
            }),
            Mul => self.halves::<H, PAIR>(operands, manner, |[x, y, _]| H::narrow(each(x, y, |x, y| x * y))),
            Fma => {
                self.halves::<H, PAIR>(operands, manner, move |[x, y, z]| H::fused(x, y, z, manner.flushes))
            }
            Min | Max => {
                let greatest = mnemonic.op == Max;
                let three = operands.len() == 4;
                self.halves::<H, PAIR>(operands, manner, move |[x, y, z]| {
                    let pair = each(x, y, |x, y| extreme(x, y, greatest, manner));
                    H::narrow(if three {
                        each(pair, z, |x, y| extreme(x, y, greatest, manner))
                    } else {
                        pair
                    })
                })
            }
            Abs => self.halves::<H, PAIR>(operands, manner, |[x, ..]| H::narrow(x.map(f32::abs))),
            Neg => self.halves::<H, PAIR>(operands, manner, |[x, ..]| H::narrow(x.map(|x| -x))),
            Ex2 => self.halves::<H, PAIR>(operands, manner, |[x, ..]| H::narrow(x.map(f32::exp2))),
            Tanh => self.halves::<H, PAIR>(operands, manner, |[x, ..]| H::narrow(x.map(f32::tanh))),
            _ => Err("not implemented".into()),
        }
    }

    /// An operation on one half of a word, or on both.
    #[target_feature(enable = "avx2,fma,f16c")]
    fn halves<H: Half, const PAIR: bool>(
        &mut self,
        operands: &[Operand],
        manner: Manner,
        compute: impl Fn([Chunk; 3]) -> [u32; 8] + Send + Sync + Copy + 'static,
    ) -> Decoded<()> {
        let ty = if PAIR { Type::B32 } else { Type::B16 };
        let sources: Result<Vec<Reg<u32>>, _> =
            operands[1..].iter().map(|operand| self.source_as(operand, ty)).collect();
        let sources = sources?;
        let sources: [Reg<u32>; 3] = std::array::from_fn(|index| sources[index.min(sources.len() - 1)]);
        let d = self.target::<u32>(&operands[0])?;
        self.push(move |w| {
            w.write_chunks(d, |w, first| {
                let words = sources.map(|register| words_of(w, register, first));
                let low = words.map(|words| words.map(|word| word & 0xffff));
                let low = manner.finish::<H>(compute(low.map(|bits| H::widen(manner.read::<H>(bits)))));
                if !PAIR {
                    return low;
                }
                let high = words.map(|words| words.map(|word| word >> 16));
                let high = manner.finish::<H>(compute(high.map(|bits| H::widen(manner.read::<H>(bits)))));
                std::array::from_fn(|lane| low[lane] & 0xffff | high[lane] << 16)
            });
        });
        Ok(())
    }
}

#[inline(always)]
fn words_of(w: &Warp, register: Reg<u32>, first: usize) -> [u32; 8] {
    std::array::from_fn(|lane| w.value(register, first + lane))
}

#[inline(always)]
fn each(x: Chunk, y: Chunk, f: impl Fn(f32, f32) -> f32) -> Chunk {
    std::array::from_fn(|lane| f(x[lane], y[lane]))
}

#[inline(always)]
fn extreme(x: f32, y: f32, greatest: bool, manner: Manner) -> f32 {
    let (a, b) = if manner.by_sign { (x.abs(), y.abs()) } else { (x, y) };
    let first = match (x.is_nan(), y.is_nan()) {
        (true, true) => return x,
        (first, second) if first || second => first == manner.nan,
        _ if greatest => a > b || a == b && b.is_sign_negative(),
        _ => a < b || a == b && a.is_sign_negative(),
    };
    // Of a number and a NaN, too, both signs count.
    let chosen = if first { a } else { b };
    let negative = manner.by_sign && x.is_sign_negative() != y.is_sign_negative();
    if negative { -chosen } else { chosen }
}

/// Eight `f16` as bits of `f32`.
#[inline(always)]
pub(super) fn from_half(words: [u32; 8]) -> [u32; 8] {
    Ieee::widen(words).map(f32::to_bits)
}

/// Eight `f32` as bits of `f16`, rounded to nearest.
#[inline(always)]
pub(super) fn to_half(words: [u32; 8]) -> [u32; 8] {
    Ieee::narrow(words.map(f32::from_bits))
}
