//! What a step of either factor adds to a sum.

use std::arch::x86_64::*;

use crate::tile::Term;

/// Floats, `N` to a word: `f32` once they are cut.
pub(crate) struct Fused<const N: usize>;

/// Integers of `2 * N` to a word: two of 16 bits in each step.
pub(crate) struct Pairs<const N: usize>;

/// Bits that both factors have.
pub(crate) struct And;

/// Bits in which they differ.
pub(crate) struct Xor;

impl<const N: usize> Term for Fused<N> {
    const STEPS: usize = N;
    const FLOATS: bool = true;

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn add(sum: __m256i, left: __m256i, right: __m256i) -> __m256i {
        let (left, right) = (_mm256_castsi256_ps(left), _mm256_castsi256_ps(right));
        _mm256_castps_si256(_mm256_fmadd_ps(left, right, _mm256_castsi256_ps(sum)))
    }
}

impl<const N: usize> Term for Pairs<N> {
    const STEPS: usize = N;
    const FLOATS: bool = false;

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn add(sum: __m256i, left: __m256i, right: __m256i) -> __m256i {
        _mm256_add_epi32(sum, _mm256_madd_epi16(left, right))
    }
}

impl Term for And {
    const STEPS: usize = 1;
    const FLOATS: bool = false;

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn add(sum: __m256i, left: __m256i, right: __m256i) -> __m256i {
        _mm256_add_epi32(sum, ones(_mm256_and_si256(left, right)))
    }
}

impl Term for Xor {
    const STEPS: usize = 1;
    const FLOATS: bool = false;

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn add(sum: __m256i, left: __m256i, right: __m256i) -> __m256i {
        _mm256_add_epi32(sum, ones(_mm256_xor_si256(left, right)))
    }
}

/// The number of ones in each word.
#[inline]
#[target_feature(enable = "avx2")]
fn ones(words: __m256i) -> __m256i {
    let counts = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    let nibble = _mm256_set1_epi8(0xf);
    let low = _mm256_shuffle_epi8(counts, _mm256_and_si256(words, nibble));
    let high = _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi32::<4>(words), nibble));
    let pairs = _mm256_maddubs_epi16(_mm256_add_epi8(low, high), _mm256_set1_epi8(1));
    _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))
}
