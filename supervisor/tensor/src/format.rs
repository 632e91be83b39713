//! Formats of factors that become `f32`: what each word of a register holds.

use std::arch::x86_64::*;

use crate::Element;

/// A format of which a word holds `ELEMENTS` values, the first in its low bits.
pub(crate) trait Format: Copy {
    /// Values in a word.
    const ELEMENTS: usize;

    /// The `place`-th value of each of eight words.
    ///
    /// # Safety
    /// The processor must have AVX2 and F16C.
    unsafe fn part(self, words: __m256i, place: usize) -> __m256;
}

/// `f16`.
#[derive(Clone, Copy)]
pub(crate) struct Half;

impl Format for Half {
    const ELEMENTS: usize = 2;

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn part(self, words: __m256i, place: usize) -> __m256 {
        from_half(if place == 0 { words } else { _mm256_srli_epi32::<16>(words) })
    }
}

/// `bf16`.
#[derive(Clone, Copy)]
pub(crate) struct Brain;

impl Format for Brain {
    const ELEMENTS: usize = 2;

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn part(self, words: __m256i, place: usize) -> __m256 {
        let high = if place == 0 { _mm256_slli_epi32::<16>(words) } else { words };
        _mm256_castsi256_ps(_mm256_and_si256(high, _mm256_set1_epi32(!0xffff)))
    }
}

/// `tf32`: `f32` whose last 13 bits are not looked at.
#[derive(Clone, Copy)]
pub(crate) struct Tensor;

impl Format for Tensor {
    const ELEMENTS: usize = 1;

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn part(self, words: __m256i, _: usize) -> __m256 {
        _mm256_castsi256_ps(_mm256_and_si256(words, _mm256_set1_epi32(!0x1fff)))
    }
}

/// A format of eight bits or fewer, each value in a byte.
#[derive(Clone, Copy)]
pub(crate) struct Narrow(pub Element);

impl Format for Narrow {
    const ELEMENTS: usize = 4;

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn part(self, words: __m256i, place: usize) -> __m256 {
        let shift = _mm_cvtsi32_si128(8 * place as i32);
        let byte = _mm256_and_si256(_mm256_srl_epi32(words, shift), _mm256_set1_epi32(0xff));
        match self.0 {
            // The upper half of an `f16`.
            Element::E5m2 => from_half(_mm256_slli_epi32::<8>(byte)),
            Element::E4m3 => {
                let nan = _mm256_cmpeq_epi32(bits(byte, 0x7f), _mm256_set1_epi32(0x7f));
                let value = scaled(byte, 0x80, 0x7f, 7, 7);
                _mm256_blendv_ps(value, _mm256_set1_ps(f32::NAN), _mm256_castsi256_ps(nan))
            }
            Element::E3m2 => scaled(byte, 0x20, 0x1f, 8, 3),
            Element::E2m3 => scaled(byte, 0x20, 0x1f, 7, 1),
            // Four bits in the middle of the byte.
            _ => scaled(_mm256_srli_epi32::<2>(byte), 0x8, 0x7, 9, 1),
        }
    }
}

/// Four bits each.
#[derive(Clone, Copy)]
pub(crate) struct Nibbles;

impl Format for Nibbles {
    const ELEMENTS: usize = 8;

    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn part(self, words: __m256i, place: usize) -> __m256 {
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
fn scaled(value: __m256i, sign: i32, magnitude: i32, shift: i32, bias: i32) -> __m256 {
    let negative = _mm256_cmpeq_epi32(bits(value, sign), _mm256_set1_epi32(sign));
    let size = _mm256_sll_epi32(bits(value, magnitude), _mm_cvtsi32_si128(shift));
    let half = _mm256_or_si256(size, bits(negative, 0x8000));
    let scale = f32::from_bits(((127 + 15 - bias) as u32) << 23);
    _mm256_mul_ps(from_half(half), _mm256_set1_ps(scale))
}

/// From the low half of each word.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn from_half(words: __m256i) -> __m256 {
    let low = bits(words, 0xffff);
    let packed = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi32(low, low));
    _mm256_cvtph_ps(_mm256_castsi256_si128(packed))
}
