//! Tiles of a product: 16 or 8 rows and 8 columns of the result.
//!
//! Factors are *packed* first, however many tiles use them: each word of theirs is cut into *steps*, vectors that one instruction
//! multiplies. Sums stay as registers have them: a vector holds every other column of two rows, so that nothing of `C` and `D` has
//! to change its place.
//!
//! ```text
//!   lanes of a register of C   8p … 8p + 3             8p + 4 … 8p + 7        (p: a pair of rows)
//!     even columns             row 2p,  0 2 4 6        row 2p + 1,  0 2 4 6
//!   times                      A's word of row 2p      A's word of row 2p + 1      one shuffle of a packed vector
//!   and                        B's columns 0 2 4 6     the same again              one load of half a packed vector
//! ```

use std::arch::x86_64::*;

use crate::fragment::{columns_apart, eight};
use crate::{Accumulator, Lanes};

/// The left and the right factor, packed.
pub(crate) type Factors = (*const __m256i, *const __m256i);

/// The registers of a block, or of a tile.
pub(crate) trait Registers: Copy {
    /// Where one is.
    fn at(self, number: usize) -> *mut Lanes;
}

/// By their addresses.
impl Registers for &[*mut Lanes] {
    #[inline(always)]
    fn at(self, number: usize) -> *mut Lanes {
        self[number]
    }
}

/// How words of a factor are cut into steps.
pub(crate) trait Cut: Copy + Default {
    /// Steps of a word.
    const STEPS: usize;

    /// The `place`-th step of each of eight words.
    ///
    /// # Safety
    /// The processor must have AVX2 and F16C.
    unsafe fn part(self, words: __m256i, place: usize) -> __m256i;

    /// Writes all steps of eight words, one every `stride` vectors.
    ///
    /// # Safety
    /// As [`Cut::part`]; there is room for the vectors.
    #[inline]
    #[target_feature(enable = "avx2,f16c")]
    unsafe fn put(self, words: __m256i, to: *mut __m256i, stride: usize) {
        for place in 0..Self::STEPS {
            // SAFETY: the caller's promises.
            unsafe { to.add(place * stride).write(self.part(words, place)) };
        }
    }
}

/// What is done with a step of either factor.
pub(crate) trait Term {
    /// Steps of a word.
    const STEPS: usize;
    /// Whether sums are floats.
    const FLOATS: bool;

    /// Adds what two steps give to a sum.
    ///
    /// # Safety
    /// The processor must have AVX2 and FMA.
    unsafe fn add(sum: __m256i, left: __m256i, right: __m256i) -> __m256i;
}

/// What a tile is, but for its factors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sums {
    /// Times that 16 bytes of a row of `A` and of a column of `B` are multiplied.
    pub groups: u32,
    /// Times eight rows: 1 or 2.
    pub halves: u32,
    /// Whether `C` consists of `f16`.
    pub from_half: bool,
    /// Whether `D` does.
    pub to_half: bool,
    /// See [`crate::Product::saturates`].
    pub saturates: bool,
}

impl Sums {
    /// As one number.
    pub fn word(self) -> u32 {
        let flags = [self.halves == 2, self.from_half, self.to_half, self.saturates];
        flags.iter().enumerate().fold(self.groups << 8, |word, (bit, flag)| word | u32::from(*flag) << bit)
    }

    /// From [`Sums::word`].
    pub fn of(word: u32) -> Sums {
        let flag = |bit: u32| word >> bit & 1 != 0;
        Sums {
            groups: word >> 8,
            halves: 1 + (word & 1),
            from_half: flag(1),
            to_half: flag(2),
            saturates: flag(3),
        }
    }

    /// Registers of `C`.
    pub fn sources(self) -> usize {
        registers(self.from_half, self.halves)
    }

    /// Registers of `D`.
    pub fn results(self) -> usize {
        registers(self.to_half, self.halves)
    }
}

fn registers(half: bool, halves: u32) -> usize {
    let kind = if half { Accumulator::Half } else { Accumulator::Single };
    kind.registers(8 * halves as usize)
}

/// Packs a block of the left factor: for each register and step its lanes.
///
/// # Safety
/// The processor must have AVX2 and F16C. There are `count` registers; `packed` has room for four vectors for each of them and each
/// step, and no other name.
#[target_feature(enable = "avx2,f16c")]
pub(crate) unsafe fn pack_left<C: Cut>(cut: C, a: impl Registers, count: usize, packed: *mut __m256i) {
    for register in 0..count {
        let lanes = a.at(register);
        for pair in 0..4 {
            // SAFETY: the caller's registers.
            let words = eight(unsafe { &*lanes }, 8 * pair);
            // SAFETY: the caller's promises.
            unsafe { cut.put(words, packed.add(register * C::STEPS * 4 + pair), 4) };
        }
    }
}

/// Packs a block of the right factor: for each step of its columns' words, that of the even columns, then of the odd ones.
///
/// # Safety
/// As [`pack_left`].
#[target_feature(enable = "avx2,f16c")]
pub(crate) unsafe fn pack_right<C: Cut>(cut: C, b: impl Registers, count: usize, packed: *mut __m256i) {
    for register in 0..count {
        // SAFETY: the caller's registers.
        let by_word = columns_apart(unsafe { &*b.at(register) });
        for (word, words) in by_word.into_iter().enumerate() {
            // SAFETY: the caller's promises.
            unsafe { cut.put(words, packed.add((register * 4 + word) * C::STEPS), 1) };
        }
    }
}

/// Sums a tile from packed factors. `D` may be `C`, register by register.
///
/// # Safety
/// The processor must have AVX2, FMA and F16C. The factors were packed for this many groups and halves; `c` and `d` have the
/// registers that `sums` says.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn multiply<T: Term>(
    sums: Sums,
    (left, right): Factors,
    c: impl Registers,
    d: impl Registers,
) {
    let halves = sums.halves as usize;
    for half in 0..halves {
        // Integers that stop at their ends do so once, when all products are summed.
        let late = !T::FLOATS && sums.saturates;
        let mut tile = [[_mm256_setzero_si256(); 2]; 4];
        if !late {
            for pair in 0..4 {
                // SAFETY: the caller's promises.
                tile[pair] = unsafe { read(sums, c, half, pair) };
            }
        }
        for group in 0..sums.groups as usize {
            // SAFETY: the caller's promises: packed vectors of this group.
            unsafe {
                let left = left.add((group * halves + half) * T::STEPS * 4);
                let right = right.add(group * 4 * T::STEPS);
                word::<T, 0b00_00_00_00>(&mut tile, left, right);
                word::<T, 0b01_01_01_01>(&mut tile, left, right.add(T::STEPS));
                word::<T, 0b10_10_10_10>(&mut tile, left, right.add(2 * T::STEPS));
                word::<T, 0b11_11_11_11>(&mut tile, left, right.add(3 * T::STEPS));
            }
        }
        for pair in 0..4 {
            let mut results = tile[pair];
            if sums.saturates {
                // SAFETY: the caller's promises.
                let addends = if late { unsafe { read(sums, c, half, pair) } } else { results };
                for (result, addend) in results.iter_mut().zip(addends) {
                    *result =
                        if late { saturated_sum(addend, *result) } else { finite(*result, sums.to_half) };
                }
            }
            // SAFETY: the caller's promises.
            unsafe { write(sums, d, half, pair, results) };
        }
    }
}

/// The steps of one word of each row and column; `WORD` names the word of a row four times, as shuffles want it.
///
/// # Safety
/// As [`multiply`].
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn word<T: Term, const WORD: i32>(
    tile: &mut [[__m256i; 2]; 4],
    left: *const __m256i,
    right: *const __m256i,
) {
    for place in 0..T::STEPS {
        // SAFETY: the caller's promises.
        unsafe {
            let columns: *const __m128i = right.add(place).cast();
            let even = _mm256_broadcastsi128_si256(columns.read());
            let odd = _mm256_broadcastsi128_si256(columns.add(1).read());
            for pair in 0..4 {
                let rows = _mm256_shuffle_epi32::<WORD>(left.add(4 * place + pair).read());
                tile[pair][0] = T::add(tile[pair][0], rows, even);
                tile[pair][1] = T::add(tile[pair][1], rows, odd);
            }
        }
        in_registers(tile);
    }
}

/// Makes the compiler keep the sums in registers: it would begin many steps at once, and have not enough of them.
#[inline]
#[target_feature(enable = "avx2")]
fn in_registers(tile: &mut [[__m256i; 2]; 4]) {
    let [[a, b], [c, d], [e, f], [g, h]] = tile;
    // SAFETY: no instruction.
    unsafe {
        std::arch::asm!(
            "/* {} {} {} {} {} {} {} {} */",
            inout(ymm_reg) * a,
            inout(ymm_reg) * b,
            inout(ymm_reg) * c,
            inout(ymm_reg) * d,
            inout(ymm_reg) * e,
            inout(ymm_reg) * f,
            inout(ymm_reg) * g,
            inout(ymm_reg) * h,
            options(nostack, preserves_flags)
        );
    }
}

/// A pair of rows of `C`: even and odd columns.
///
/// # Safety
/// As [`multiply`].
#[inline]
#[target_feature(enable = "avx2,f16c")]
unsafe fn read(sums: Sums, c: impl Registers, half: usize, pair: usize) -> [__m256i; 2] {
    if sums.from_half {
        // SAFETY: the caller's registers.
        let words = eight(unsafe { &*c.at(half) }, 8 * pair);
        return [from_half(words), from_half(_mm256_srli_epi32::<16>(words))];
    }
    // SAFETY: the caller's registers.
    unsafe { [eight(&*c.at(2 * half), 8 * pair), eight(&*c.at(2 * half + 1), 8 * pair)] }
}

/// # Safety
/// As [`multiply`].
#[inline]
#[target_feature(enable = "avx2,f16c")]
unsafe fn write(sums: Sums, d: impl Registers, half: usize, pair: usize, [even, odd]: [__m256i; 2]) {
    // SAFETY: the caller's registers, of 32 words each; no alignment is asked for.
    let put = |register: *mut Lanes, words: __m256i| unsafe {
        _mm256_storeu_si256(register.cast::<u32>().add(8 * pair).cast(), words)
    };
    if !sums.to_half {
        put(d.at(2 * half), even);
        return put(d.at(2 * half + 1), odd);
    }
    let [even, odd] =
        [even, odd].map(|values| _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(_mm256_castsi256_ps(values)));
    put(d.at(half), _mm256_set_m128i(_mm_unpackhi_epi16(even, odd), _mm_unpacklo_epi16(even, odd)));
}

/// From the low half of each word.
#[inline]
#[target_feature(enable = "avx2,f16c")]
pub(crate) fn from_half(words: __m256i) -> __m256i {
    let low = _mm256_and_si256(words, _mm256_set1_epi32(0xffff));
    let packed = _mm256_permute4x64_epi64::<0b1000>(_mm256_packus_epi32(low, low));
    _mm256_castps_si256(_mm256_cvtph_ps(_mm256_castsi256_si128(packed)))
}

/// `.satfinite` of floats: the greatest finite value for infinity, and zero for NaN.
#[inline]
#[target_feature(enable = "avx2")]
fn finite(sum: __m256i, to_half: bool) -> __m256i {
    let sum = _mm256_castsi256_ps(sum);
    let most = if to_half { 65504.0 } else { f32::MAX };
    let known = _mm256_and_ps(sum, _mm256_cmp_ps::<_CMP_ORD_Q>(sum, sum));
    let bounded = _mm256_max_ps(_mm256_min_ps(known, _mm256_set1_ps(most)), _mm256_set1_ps(-most));
    _mm256_castps_si256(bounded)
}

/// Of integers: sums that stop at the ends of `s32`.
#[inline]
#[target_feature(enable = "avx2")]
fn saturated_sum(x: __m256i, y: __m256i) -> __m256i {
    let sum = _mm256_add_epi32(x, y);
    // Overflow: both have the sign that the sum lacks.
    let over = _mm256_and_si256(_mm256_xor_si256(sum, x), _mm256_xor_si256(sum, y));
    let limit = _mm256_xor_si256(_mm256_srai_epi32::<31>(x), _mm256_set1_epi32(i32::MAX));
    _mm256_blendv_epi8(sum, limit, _mm256_srai_epi32::<31>(over))
}
