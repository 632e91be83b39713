//! Products of integers of one, four and eight bits, summed in `s32`.
//!
//! Bytes and nibbles are widened to pairs of 16 bits, of which one instruction multiplies eight and sums each pair. It does not
//! matter which two values of a word make a pair, as long as they are the same in both factors.

use std::arch::x86_64::*;

use crate::fragment::{by_place, eight, row32, set_row32};
use crate::{Element, Fragment, Lanes, Logic, Product};

/// How words of both factors are cut into steps, and what a step adds.
pub(crate) trait Steps: Copy {
    /// Steps of a word.
    fn per_word(self) -> usize;

    /// The `place`-th step of each of eight words of the left factor.
    ///
    /// # Safety
    /// The processor must have AVX2.
    unsafe fn left(self, words: __m256i, place: usize) -> __m256i;

    /// Of the right factor.
    ///
    /// # Safety
    /// The processor must have AVX2.
    unsafe fn right(self, words: __m256i, place: usize) -> __m256i;

    /// What a step of each adds to the sum.
    ///
    /// # Safety
    /// The processor must have AVX2.
    unsafe fn term(self, left: __m256i, right: __m256i) -> __m256i;
}

/// Bytes or nibbles.
#[derive(Clone, Copy)]
pub(crate) struct Numbers {
    bits: usize,
    signed: [bool; 2],
}

impl Numbers {
    pub fn of(product: &Product) -> Numbers {
        let narrow = matches!(product.a, Element::S4 | Element::U4);
        let signed = [product.a, product.b].map(|element| matches!(element, Element::S4 | Element::S8));
        Numbers { bits: if narrow { 4 } else { 8 }, signed }
    }

    /// The `place`-th value of each half word, as 16 bits.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn pair(self, words: __m256i, place: usize, signed: bool) -> __m256i {
        let up = _mm_cvtsi32_si128((16 - self.bits * (place + 1)) as i32);
        let down = _mm_cvtsi32_si128((16 - self.bits) as i32);
        let top = _mm256_sll_epi16(words, up);
        if signed { _mm256_sra_epi16(top, down) } else { _mm256_srl_epi16(top, down) }
    }
}

impl Steps for Numbers {
    fn per_word(self) -> usize {
        16 / self.bits
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn left(self, words: __m256i, place: usize) -> __m256i {
        self.pair(words, place, self.signed[0])
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn right(self, words: __m256i, place: usize) -> __m256i {
        self.pair(words, place, self.signed[1])
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn term(self, left: __m256i, right: __m256i) -> __m256i {
        _mm256_madd_epi16(left, right)
    }
}

/// Single bits.
#[derive(Clone, Copy)]
pub(crate) struct Bits(pub Logic);

impl Steps for Bits {
    fn per_word(self) -> usize {
        1
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn left(self, words: __m256i, _: usize) -> __m256i {
        words
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn right(self, words: __m256i, _: usize) -> __m256i {
        words
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn term(self, left: __m256i, right: __m256i) -> __m256i {
        ones(match self.0 {
            Logic::And => _mm256_and_si256(left, right),
            Logic::Xor => _mm256_xor_si256(left, right),
        })
    }
}

/// `D = A × B + C`, in `STEPS` steps for each row and column.
///
/// # Safety
/// The processor must have AVX2. The fragments have the numbers of registers that the product says.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn multiply<S: Steps, const STEPS: usize>(
    product: &Product,
    steps: S,
    (a, b, c): (Fragment, Fragment, Fragment),
    d: &mut [Lanes],
) {
    let halves = product.rows() / 8;
    let (row_blocks, column_blocks) = product.blocks();
    let per_b = STEPS / (4 * steps.per_word());
    for row_block in 0..row_blocks {
        let mut values = [[0u32; 16]; STEPS];
        let a = &a[row_block * per_b * halves..][..per_b * halves];
        // SAFETY: the caller's promise.
        unsafe { spread(steps, a, values.as_flattened_mut()) };
        for column_block in 0..column_blocks {
            // SAFETY: the caller's promise.
            let columns: [__m256i; STEPS] = unsafe { columns(steps, &b[column_block * per_b..][..per_b]) };
            let block = (row_block * column_blocks + column_block) * 2 * halves;
            for half in 0..halves {
                let mut sums = [_mm256_setzero_si256(); 8];
                for (step, column) in columns.iter().enumerate() {
                    let (word, place) = (step / steps.per_word(), step % steps.per_word());
                    let register = word / 4 * halves + half;
                    let first = (register * steps.per_word() + place) * 32 + word % 4;
                    let values: &[u32; 29] = values.as_flattened()[first..]
                        .first_chunk()
                        .expect("the last row is the register's last");
                    for (row, sum) in sums.iter_mut().enumerate() {
                        let value = _mm256_set1_epi32(values[4 * row] as i32);
                        // SAFETY: the caller's promise.
                        *sum = _mm256_add_epi32(*sum, unsafe { steps.term(value, *column) });
                    }
                }
                let c = &c[block + 2 * half..][..2];
                let [even, odd] = &mut d[block + 2 * half..][..2] else { unreachable!("a slice of two") };
                for (row, sum) in sums.into_iter().enumerate() {
                    let addend = row32(c[0], c[1], row);
                    let total = if product.saturates {
                        saturated_sum(addend, sum)
                    } else {
                        _mm256_add_epi32(addend, sum)
                    };
                    set_row32(even, odd, row, total);
                }
            }
        }
    }
}

/// The steps of a block of `A`, those of a place in a word side by side.
///
/// # Safety
/// The processor must have AVX2.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn spread<S: Steps>(steps: S, a: Fragment, values: &mut [u32]) {
    for (register, lanes) in a.iter().enumerate() {
        for first in (0..32).step_by(8) {
            let words = eight(lanes, first);
            for place in 0..steps.per_word() {
                let at = (register * steps.per_word() + place) * 32 + first;
                let target: &mut [u32; 8] = values[at..].first_chunk_mut().expect("a register has 32 values");
                // SAFETY: the caller's promise; writes the eight values, of which no alignment is asked for.
                unsafe { _mm256_storeu_si256(target.as_mut_ptr().cast(), steps.left(words, place)) };
            }
        }
    }
}

/// The steps of a block of `B`, eight columns each.
///
/// # Safety
/// The processor must have AVX2.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn columns<S: Steps, const STEPS: usize>(steps: S, b: Fragment) -> [__m256i; STEPS] {
    let mut all = [_mm256_setzero_si256(); STEPS];
    for (register, lanes) in b.iter().enumerate() {
        for (word, words) in by_place(lanes).into_iter().enumerate() {
            for place in 0..steps.per_word() {
                // SAFETY: the caller's promise.
                all[(register * 4 + word) * steps.per_word() + place] = unsafe { steps.right(words, place) };
            }
        }
    }
    all
}

/// Sums that stop at the ends of `s32`.
#[inline]
#[target_feature(enable = "avx2")]
fn saturated_sum(x: __m256i, y: __m256i) -> __m256i {
    let sum = _mm256_add_epi32(x, y);
    // Overflow: both have the sign that the sum lacks.
    let over = _mm256_and_si256(_mm256_xor_si256(sum, x), _mm256_xor_si256(sum, y));
    let limit = _mm256_xor_si256(_mm256_srai_epi32::<31>(x), _mm256_set1_epi32(i32::MAX));
    _mm256_blendv_epi8(sum, limit, _mm256_srai_epi32::<31>(over))
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
