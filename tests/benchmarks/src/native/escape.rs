//! Escape times.

use std::arch::x86_64::*;

/// Escape times, eight pixels at a time; `width` is a multiple of eight.
#[target_feature(enable = "avx2,fma")]
pub fn escape_times(out: &mut [i32], width: usize, height: usize, limit: i32) {
    let eight = _mm256_setr_ps(0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0);
    for (index, pixels) in out.chunks_exact_mut(8).enumerate() {
        let (x, y) = (index * 8 % width, index * 8 / width);
        let x = _mm256_add_ps(_mm256_set1_ps(x as f32), eight);
        let slope = _mm256_div_ps(_mm256_mul_ps(_mm256_set1_ps(3.0), x), _mm256_set1_ps(width as f32));
        let cr = _mm256_add_ps(_mm256_set1_ps(-2.0), slope);
        let ci = _mm256_set1_ps(-1.2 + 2.4 * y as f32 / height as f32);
        let (mut zr, mut zi, mut steps) = (_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_si256());
        for _ in 0..limit {
            let (a, b) = (_mm256_mul_ps(zr, zr), _mm256_mul_ps(zi, zi));
            let inside = _mm256_cmp_ps::<_CMP_LE_OQ>(_mm256_add_ps(a, b), _mm256_set1_ps(4.0));
            if _mm256_movemask_ps(inside) == 0 {
                break;
            }
            steps = _mm256_sub_epi32(steps, _mm256_castps_si256(inside));
            zi = _mm256_fmadd_ps(_mm256_add_ps(zr, zr), zi, ci);
            zr = _mm256_add_ps(_mm256_sub_ps(a, b), cr);
        }
        // SAFETY: `pixels` has eight elements of four bytes; the store needs no alignment.
        unsafe { _mm256_storeu_si256(pixels.as_mut_ptr().cast(), steps) };
    }
}
