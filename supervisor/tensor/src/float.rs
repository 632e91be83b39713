//! Products of floats, summed in `f32`.

use std::arch::x86_64::*;

use crate::format::Format;
use crate::fragment::{by_place, eight, row16, row32, set_row16, set_row32};
use crate::{Accumulator, Fragment, Lanes, Product};

/// `D = A × B + C` with `K` columns of `A`; see the crate's documentation for the order of sums.
///
/// # Safety
/// The processor must have AVX2, FMA and F16C. The fragments have the numbers of registers that the product says.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn multiply<F: Format, G: Format, const K: usize>(
    product: &Product,
    (left, right): (F, G),
    (a, b, c): (Fragment, Fragment, Fragment),
    d: &mut [Lanes],
) {
    let rows = product.rows();
    let (row_blocks, column_blocks) = product.blocks();
    let per_a = K / (4 * F::ELEMENTS) * (rows / 8);
    let per_b = K / (4 * F::ELEMENTS);
    let (per_c, per_d) = (product.c.registers(rows), product.d.registers(rows));
    for row_block in 0..row_blocks {
        let mut values = [[0f32; 16]; K];
        // SAFETY: the caller's promise.
        unsafe { spread(left, &a[row_block * per_a..][..per_a], values.as_flattened_mut()) };
        for column_block in 0..column_blocks {
            // SAFETY: the caller's promise.
            let columns: [__m256; K] = unsafe { columns(right, &b[column_block * per_b..][..per_b]) };
            let block = row_block * column_blocks + column_block;
            let c = &c[block * per_c..][..per_c];
            let d = &mut d[block * per_d..][..per_d];
            for half in 0..rows / 8 {
                // A closure that uses the features would be called, not inlined.
                let mut sums = [_mm256_setzero_ps(); 8];
                for row in 0..8 {
                    sums[row] = read(product.c, c, half, row);
                }
                let places = Places { rows: rows / 8, half };
                accumulate::<F, K>(values.as_flattened(), places, &columns, &mut sums);
                for (row, sum) in sums.into_iter().enumerate() {
                    let sum = if product.saturates { finite(sum, product.d) } else { sum };
                    write(product.d, d, half, row, sum);
                }
            }
        }
    }
}

/// Where the values of eight rows of a block lie.
#[derive(Clone, Copy)]
struct Places {
    /// Registers for 16 bytes of each row of the block.
    rows: usize,
    half: usize,
}

/// Eight rows, a column of `A` at a time; a row's values lie four behind those of the row before.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn accumulate<F: Format, const K: usize>(
    a: &[f32],
    Places { rows, half }: Places,
    columns: &[__m256; K],
    sums: &mut [__m256; 8],
) {
    let elements = F::ELEMENTS;
    for (number, columns) in columns.chunks_exact(4 * elements).enumerate() {
        let register = &a[(number * rows + half) * elements * 32..][..elements * 32];
        for (k, column) in columns.iter().enumerate() {
            let first = k % elements * 32 + k / elements;
            let values: &[f32; 29] =
                register[first..].first_chunk().expect("the last row's value is the last of its place");
            for (row, sum) in sums.iter_mut().enumerate() {
                *sum = _mm256_fmadd_ps(_mm256_set1_ps(values[4 * row]), *column, *sum);
            }
        }
    }
}

/// The values of a block of `A`, those of a place in a word side by side.
///
/// # Safety
/// The processor must have AVX2 and F16C.
#[inline]
#[target_feature(enable = "avx2,f16c")]
unsafe fn spread<F: Format>(format: F, a: Fragment, values: &mut [f32]) {
    for (register, lanes) in a.iter().enumerate() {
        for first in (0..32).step_by(8) {
            let words = eight(lanes, first);
            for place in 0..F::ELEMENTS {
                // SAFETY: the caller's promise.
                let part = unsafe { format.part(words, place) };
                let at = (register * F::ELEMENTS + place) * 32 + first;
                let place: &mut [f32; 8] = values[at..].first_chunk_mut().expect("a register has 32 values");
                // SAFETY: writes the eight values; no alignment is asked for.
                unsafe { _mm256_storeu_ps(place.as_mut_ptr(), part) };
            }
        }
    }
}

/// The rows of a block of `B`, eight columns each.
///
/// # Safety
/// The processor must have AVX2 and F16C.
#[inline]
#[target_feature(enable = "avx2,f16c")]
unsafe fn columns<F: Format, const K: usize>(format: F, b: Fragment) -> [__m256; K] {
    let mut rows = [_mm256_setzero_ps(); K];
    for (register, lanes) in b.iter().enumerate() {
        for (word, words) in by_place(lanes).into_iter().enumerate() {
            for place in 0..F::ELEMENTS {
                // SAFETY: the caller's promise.
                rows[(register * 4 + word) * F::ELEMENTS + place] = unsafe { format.part(words, place) };
            }
        }
    }
    rows
}

#[inline]
#[target_feature(enable = "avx2,f16c")]
fn read(kind: Accumulator, c: Fragment, half: usize, row: usize) -> __m256 {
    match kind {
        Accumulator::Half => row16(c[half], row),
        _ => _mm256_castsi256_ps(row32(c[2 * half], c[2 * half + 1], row)),
    }
}

#[inline]
#[target_feature(enable = "avx2,f16c")]
fn write(kind: Accumulator, d: &mut [Lanes], half: usize, row: usize, sum: __m256) {
    match (kind, d) {
        (Accumulator::Half, d) => set_row16(&mut d[half], row, sum),
        (_, d) => {
            let [even, odd] = &mut d[2 * half..][..2] else { unreachable!("a slice of two") };
            set_row32(even, odd, row, _mm256_castps_si256(sum));
        }
    }
}

/// `.satfinite`: the greatest finite value for infinity, and zero for NaN.
#[inline]
#[target_feature(enable = "avx2")]
fn finite(sum: __m256, kind: Accumulator) -> __m256 {
    let most = if kind == Accumulator::Half { 65504.0 } else { f32::MAX };
    let known = _mm256_and_ps(sum, _mm256_cmp_ps::<_CMP_ORD_Q>(sum, sum));
    _mm256_max_ps(_mm256_min_ps(known, _mm256_set1_ps(most)), _mm256_set1_ps(-most))
}
