//! What reads its memory once.

use std::arch::x86_64::*;

use super::{load, store, total};

/// `y = a * x + y`; lengths are multiples of 32.
#[target_feature(enable = "avx2,fma")]
pub fn saxpy(a: f32, x: &[f32], y: &mut [f32]) {
    let a = _mm256_set1_ps(a);
    for (y, x) in y.chunks_exact_mut(32).zip(x.chunks_exact(32)) {
        for part in (0..32).step_by(8) {
            let sum = _mm256_fmadd_ps(a, load(x, part), load(y, part));
            store(y, part, sum);
        }
    }
}

/// Sum in eight accumulators of eight lanes; the length is a multiple of 64.
#[target_feature(enable = "avx2,fma")]
pub fn sum(x: &[f32]) -> f32 {
    let mut sums = [_mm256_setzero_ps(); 8];
    for chunk in x.chunks_exact(64) {
        for (part, sum) in sums.iter_mut().enumerate() {
            *sum = _mm256_add_ps(*sum, load(chunk, 8 * part));
        }
    }
    let all = sums.into_iter().fold(_mm256_setzero_ps(), |all, sum| _mm256_add_ps(all, sum));
    total(all)
}
