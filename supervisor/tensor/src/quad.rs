//! `m8n8k4` of `f16`: four products at once, each by two groups of four lanes, 16 lanes apart.
//!
//! The law of [`fragment`](crate::fragment) is not theirs: it is that of the first cards with matrix units.

use std::arch::x86_64::*;

use crate::format::Half;
use crate::fragment::eight;
use crate::tile::Cut;
use crate::{Accumulator, Fragment, Lanes, Product};

/// `D = A × B + C` in each of the four pairs of groups.
///
/// # Safety
/// The processor must have AVX2, FMA and F16C. The fragments have the numbers of registers that the product says.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn multiply(product: &Product, a: Fragment, b: Fragment, c: Fragment, d: &mut [Lanes]) {
    // SAFETY: the caller's promise.
    let (a, b) = unsafe { (halves(a), halves(b)) };
    // SAFETY: the caller's promise.
    let wide = if product.c == Accumulator::Half { unsafe { halves(c) } } else { singles(c) };
    let mut result = [[0f32; 32]; 8];
    for quad in 0..4 {
        // A lane of the pair of groups, and a place in its fragment.
        let lane_of = |place: usize| 4 * quad + place % 4 + 16 * (place / 4);
        let left = |row: usize, k: usize| match product.transposed[0] {
            false => a[k][lane_of(row)],
            true => a[row % 4][lane_of(k + row / 4 * 4)],
        };
        let right = |k: usize, column: usize| match product.transposed[1] {
            false => b[k][lane_of(column)],
            true => b[column % 4][lane_of(k + column / 4 * 4)],
        };
        for row in 0..8 {
            for column in 0..8 {
                let (from, from_place) = accumulator(product.c, row, column);
                let mut sum = wide[from_place][lane_of(from)];
                for k in 0..4 {
                    sum = left(row, k).mul_add(right(k, column), sum);
                }
                let (to, to_place) = accumulator(product.d, row, column);
                result[to_place][lane_of(to)] = sum;
            }
        }
    }
    match product.d {
        Accumulator::Half => pack(&result, d),
        _ => d.iter_mut().zip(&result).for_each(|(d, values)| *d = values.map(f32::to_bits)),
    }
}

/// Which of eight lanes holds an element of an accumulator, and where in its fragment.
fn accumulator(kind: Accumulator, row: usize, column: usize) -> (usize, usize) {
    match kind {
        Accumulator::Half => (row, column),
        _ => {
            let lane = row & 1 | column & 2 | row & 4;
            (lane, column & 4 | row & 2 | column & 1)
        }
    }
}

/// The values of a fragment of `f16`, by place and lane.
///
/// # Safety
/// The processor must have AVX2 and F16C.
#[target_feature(enable = "avx2,f16c")]
unsafe fn halves(fragment: Fragment) -> [[f32; 32]; 8] {
    let mut values = [[0f32; 32]; 8];
    for (register, lanes) in fragment.iter().enumerate() {
        for place in 0..2 {
            for first in (0..32).step_by(8) {
                let target: &mut [f32; 8] =
                    values[2 * register + place][first..].first_chunk_mut().expect("a register has 32 lanes");
                // SAFETY: the caller's promise; writes the eight values, of which no alignment is asked for.
                unsafe {
                    _mm256_storeu_si256(target.as_mut_ptr().cast(), Half.part(eight(lanes, first), place))
                };
            }
        }
    }
    values
}

fn singles(fragment: Fragment) -> [[f32; 32]; 8] {
    let mut values = [[0f32; 32]; 8];
    for (values, lanes) in values.iter_mut().zip(fragment) {
        *values = lanes.map(f32::from_bits);
    }
    values
}

/// Rounds to `f16`, two values to a word.
#[target_feature(enable = "avx2,f16c")]
fn pack(values: &[[f32; 32]; 8], d: &mut [Lanes]) {
    let half = |value: f32| {
        let packed = _mm_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(_mm_set_ss(value));
        _mm_cvtsi128_si32(packed) as u32 & 0xffff
    };
    for (register, lanes) in d.iter_mut().enumerate() {
        for (lane, word) in lanes.iter_mut().enumerate() {
            *word = half(values[2 * register][lane]) | half(values[2 * register + 1][lane]) << 16;
        }
    }
}
