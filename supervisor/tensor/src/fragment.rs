//! How a warp's registers hold matrices.
//!
//! One law covers every shape but `m8n8k4` of `f16`. A register is 32 words, seen as 8 groups of 4 lanes: group `g` holds 16
//! bytes of row `g`. The left factor is taken in blocks of 16 rows (8 if it has no more), whose registers are, for each 16 bytes
//! of a row, rows 0 to 7, then rows 8 to 15. The right factor is taken in blocks of 8 columns, each column like a row of the
//! left. An accumulator of 32 bits has two columns in each lane: one register for the even ones, one for the odd ones; of 16
//! bits, both in one register.
//!
//! ```text
//!   lane      0    1    2    3    4    5   …          accumulator lane     0        1        2        3
//!   A, row    0 ─ 16 bytes ─ 0    1 ─ 16 bytes …      row 0, columns     0 and 1  2 and 3  4 and 5  6 and 7
//! ```

use std::arch::x86_64::*;

use crate::Lanes;

/// Eight words from lane `first` on.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn eight(lanes: &Lanes, first: usize) -> __m256i {
    let words: &[u32; 8] = lanes[first..].first_chunk().expect("the first lane is a multiple of 8 below 32");
    // SAFETY: reads the eight words; no alignment is asked for.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

/// The four words of a group.
#[inline]
#[target_feature(enable = "avx2")]
fn four(lanes: &Lanes, group: usize) -> __m128i {
    let words: &[u32; 4] = lanes[4 * group..].first_chunk().expect("there are eight groups");
    // SAFETY: reads the four words; no alignment is asked for.
    unsafe { _mm_loadu_si128(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn set_four(lanes: &mut Lanes, group: usize, words: __m128i) {
    let place: &mut [u32; 4] = lanes[4 * group..].first_chunk_mut().expect("there are eight groups");
    // SAFETY: writes the four words; no alignment is asked for.
    unsafe { _mm_storeu_si128(place.as_mut_ptr().cast(), words) };
}

/// For each of the four places in a group: the words of the even groups, then of the odd ones.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn columns_apart(lanes: &Lanes) -> [__m256i; 4] {
    let (row0, row2) = (eight(lanes, 0), eight(lanes, 8));
    let (row4, row6) = (eight(lanes, 16), eight(lanes, 24));
    let (low02, low46) = (_mm256_unpacklo_epi32(row0, row2), _mm256_unpacklo_epi32(row4, row6));
    let (high02, high46) = (_mm256_unpackhi_epi32(row0, row2), _mm256_unpackhi_epi32(row4, row6));
    [
        _mm256_unpacklo_epi64(low02, low46),
        _mm256_unpackhi_epi64(low02, low46),
        _mm256_unpacklo_epi64(high02, high46),
        _mm256_unpackhi_epi64(high02, high46),
    ]
}

/// An 8 × 8 matrix of 16-bit elements, a row to a group, with rows and columns exchanged.
pub fn transposed(lanes: &Lanes) -> Lanes {
    if !is_x86_feature_detected!("avx2") {
        let half = |row: usize, column: usize| lanes[4 * row + column / 2] >> (16 * (column % 2)) & 0xffff;
        return std::array::from_fn(|lane| {
            let (row, pair) = (lane / 4, lane % 4);
            half(2 * pair, row) | half(2 * pair + 1, row) << 16
        });
    }
    // SAFETY: the processor has AVX2.
    unsafe { transposed_by_vectors(lanes) }
}

#[target_feature(enable = "avx2")]
fn transposed_by_vectors(lanes: &Lanes) -> Lanes {
    // Loops instead of closures, which would be called and not inlined.
    let mut rows = [_mm_setzero_si128(); 8];
    for row in 0..8 {
        rows[row] = four(lanes, row);
    }
    // Each of three times, rows n and n + 4 become neighbours, element by element.
    for _ in 0..3 {
        let before = rows;
        for pair in 0..4 {
            rows[2 * pair] = _mm_unpacklo_epi16(before[pair], before[pair + 4]);
            rows[2 * pair + 1] = _mm_unpackhi_epi16(before[pair], before[pair + 4]);
        }
    }
    let mut result = [0; 32];
    for (column, values) in rows.into_iter().enumerate() {
        set_four(&mut result, column, values);
    }
    result
}
