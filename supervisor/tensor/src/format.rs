//! Formats of factors: what each word of a register holds, and the steps that it is cut into. A step of a float is its value as
//! `f32`; of bytes and nibbles two of them as 16 bits; of single bits the word itself.

use std::arch::x86_64::*;

use crate::tile::{Cut, from_half};

/// `f16`.
#[derive(Clone, Copy, Default)]
pub(crate) struct Half;

impl Cut for Half {
    const STEPS: usize = 2;

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn part(self, words: __m256i, place: usize) -> __m256i {
        from_half(if place == 0 { words } else { _mm256_srli_epi32::<16>(words) })
    }

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn put(self, words: __m256i, to: *mut __m256i, stride: usize) {
        let order = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
        let apart = _mm256_shuffle_epi8(words, _mm256_broadcastsi128_si256(order));
        let apart = _mm256_permute4x64_epi64::<0b11_01_10_00>(apart);
        let halves = [_mm256_castsi256_si128(apart), _mm256_extracti128_si256::<1>(apart)];
        for (place, half) in halves.into_iter().enumerate() {
            // SAFETY: the caller's promises.
            unsafe { to.add(place * stride).write(_mm256_castps_si256(_mm256_cvtph_ps(half))) };
        }
    }
}

/// `bf16`.
#[derive(Clone, Copy, Default)]
pub(crate) struct Brain;

impl Cut for Brain {
    const STEPS: usize = 2;

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn part(self, words: __m256i, place: usize) -> __m256i {
        let high = if place == 0 { _mm256_slli_epi32::<16>(words) } else { words };
        _mm256_and_si256(high, _mm256_set1_epi32(!0xffff))
    }
}

/// `tf32`: `f32` whose last 13 bits are not looked at.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tensor;

impl Cut for Tensor {
    const STEPS: usize = 1;

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn part(self, words: __m256i, _: usize) -> __m256i {
        _mm256_and_si256(words, _mm256_set1_epi32(!0x1fff))
    }
}

/// Floats of eight bits or fewer, each in a byte.
macro_rules! narrow {
    ($($(#[$doc:meta])* $name:ident |$byte:ident| $value:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Default)]
        pub(crate) struct $name;

        impl Cut for $name {
            const STEPS: usize = 4;

            #[inline]
            #[target_feature(enable = "avx2,f16c")]
            unsafe fn part(self, words: __m256i, place: usize) -> __m256i {
                let shift = _mm_cvtsi32_si128(8 * place as i32);
                let $byte = _mm256_and_si256(_mm256_srl_epi32(words, shift), _mm256_set1_epi32(0xff));
                $value
            }
        }
    )*};
}

narrow! {
    /// `e5m2`: the upper half of an `f16`.
    E5m2 |byte| from_half(_mm256_slli_epi32::<8>(byte));
    /// `e4m3`.
    E4m3 |byte| {
        let nan = _mm256_cmpeq_epi32(bits(byte, 0x7f), _mm256_set1_epi32(0x7f));
        _mm256_blendv_epi8(scaled(byte, 0x80, 0x7f, 7, 7), _mm256_set1_epi32(NAN), nan)
    };
    /// `e3m2`.
    E3m2 |byte| scaled(byte, 0x20, 0x1f, 8, 3);
    /// `e2m3`.
    E2m3 |byte| scaled(byte, 0x20, 0x1f, 7, 1);
    /// `e2m1`: four bits in the middle of the byte.
    E2m1 |byte| scaled(_mm256_srli_epi32::<2>(byte), 0x8, 0x7, 9, 1);
}

/// As `f32` has it.
const NAN: i32 = f32::NAN.to_bits() as i32;

/// Four bits each.
#[derive(Clone, Copy, Default)]
pub(crate) struct Nibbles;

impl Cut for Nibbles {
    const STEPS: usize = 8;

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn part(self, words: __m256i, place: usize) -> __m256i {
        let shift = _mm_cvtsi32_si128(4 * place as i32);
        scaled(bits(_mm256_srl_epi32(words, shift), 0xf), 0x8, 0x7, 9, 1)
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn bits(words: __m256i, mask: i32) -> __m256i {
    _mm256_and_si256(words, _mm256_set1_epi32(mask))
}

/// A float with a sign bit, and exponent and fraction in `magnitude`: shifted to where `f16` has them, and scaled by what the
/// exponents' biases differ. Subnormal values are right as well.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn scaled(value: __m256i, sign: i32, magnitude: i32, shift: i32, bias: i32) -> __m256i {
    let negative = _mm256_cmpeq_epi32(bits(value, sign), _mm256_set1_epi32(sign));
    let size = _mm256_sll_epi32(bits(value, magnitude), _mm_cvtsi32_si128(shift));
    let half = _mm256_or_si256(size, bits(negative, 0x8000));
    let scale = f32::from_bits(((127 + 15 - bias) as u32) << 23);
    _mm256_castps_si256(_mm256_mul_ps(_mm256_castsi256_ps(from_half(half)), _mm256_set1_ps(scale)))
}

/// Integers of so many bits; `SIGNED`: with a sign.
#[derive(Clone, Copy, Default)]
pub(crate) struct Integers<const BITS: usize, const SIGNED: bool>;

/// Single bits.
#[derive(Clone, Copy, Default)]
pub(crate) struct Bits;

impl<const BITS: usize, const SIGNED: bool> Cut for Integers<BITS, SIGNED> {
    const STEPS: usize = 16 / BITS;

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn part(self, words: __m256i, place: usize) -> __m256i {
        pair::<SIGNED>(words, BITS, place)
    }
}

impl Cut for Bits {
    const STEPS: usize = 1;

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn part(self, words: __m256i, _: usize) -> __m256i {
        words
    }
}

/// The `place`-th number of so many bits of each half word, as 16 bits. It does not matter which two numbers of a word make a
/// pair, as long as they are the same in both factors.
#[inline]
#[target_feature(enable = "avx2")]
fn pair<const SIGNED: bool>(words: __m256i, bits: usize, place: usize) -> __m256i {
    let up = _mm_cvtsi32_si128((16 - bits * (place + 1)) as i32);
    let down = _mm_cvtsi32_si128((16 - bits) as i32);
    let top = _mm256_sll_epi16(words, up);
    if SIGNED { _mm256_sra_epi16(top, down) } else { _mm256_srl_epi16(top, down) }
}
