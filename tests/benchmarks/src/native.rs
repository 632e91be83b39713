//! The native side: the best AVX2 + FMA code for one core that we know how to write.
//!
//! Precondition of every function: the CPU has AVX2, FMA and F16C (`main` asks).

use std::arch::x86_64::*;

/// 32 weights of 4 bits.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Q4 {
    /// f16 bits.
    pub scale: u16,
    /// Weight `i` in the low half of byte `i`, weight `i + 16` in the high half.
    pub nibbles: [u8; 16],
}

/// 32 activations of 8 bits.
#[derive(Clone, Copy)]
#[repr(C, align(4))]
pub struct Q8 {
    /// f16 bits.
    pub scale: u16,
    /// f16 bits of the sum of the activations.
    pub sum: u16,
    /// The activations.
    pub values: [i8; 32],
}

/// `y = a * x + y`
#[target_feature(enable = "avx2,fma")]
pub fn saxpy(a: f32, x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += a * x;
    }
}

/// Sum in four accumulators of eight lanes.
#[target_feature(enable = "avx2,fma")]
pub fn sum(x: &[f32]) -> f32 {
    let mut sums = [[0f32; 8]; 4];
    for chunk in x.chunks_exact(32) {
        for (sum, eight) in sums.iter_mut().zip(chunk.chunks_exact(8)) {
            for (sum, value) in sum.iter_mut().zip(eight) {
                *sum += value;
            }
        }
    }
    sums.as_flattened().iter().sum()
}

/// Row by row dot products with `maddubs`.
#[target_feature(enable = "avx2,fma,f16c")]
pub fn mat_vec(weights: &[Q4], vector: &[Q8], out: &mut [f32]) {
    for (out, row) in out.iter_mut().zip(weights.chunks_exact(vector.len())) {
        *out = dot(row, vector);
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn dot(row: &[Q4], vector: &[Q8]) -> f32 {
    let (low, ones) = (_mm256_set1_epi8(15), _mm256_set1_epi16(1));
    let (mut sums, mut correction) = (_mm256_setzero_ps(), 0f32);
    for (w, v) in row.iter().zip(vector) {
        // SAFETY: both arrays are exactly as long as the loads, which need no alignment.
        let (nibbles, values) = unsafe {
            (_mm_loadu_si128(w.nibbles.as_ptr().cast()), _mm256_loadu_si256(v.values.as_ptr().cast()))
        };
        let weights = _mm256_and_si256(low, _mm256_set_m128i(_mm_srli_epi16(nibbles, 4), nibbles));
        let products = _mm256_madd_epi16(_mm256_maddubs_epi16(weights, values), ones);
        let scale = widen(w.scale);
        sums = _mm256_fmadd_ps(_mm256_set1_ps(scale * widen(v.scale)), _mm256_cvtepi32_ps(products), sums);
        correction += scale * widen(v.sum);
    }
    lanes(sums).iter().sum::<f32>() - 8.0 * correction
}

#[target_feature(enable = "avx2,f16c")]
fn widen(half: u16) -> f32 {
    _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(half))))
}

fn lanes(vector: __m256) -> [f32; 8] {
    // SAFETY: both types are 32 bytes of plain floats.
    unsafe { std::mem::transmute(vector) }
}

/// `c = a * b`, n × n: 6 × 16 accumulators in registers over a packed panel of `b`.
#[target_feature(enable = "avx2,fma")]
pub fn sgemm(a: &[f32], b: &[f32], c: &mut [f32], n: usize) {
    let mut panel = vec![0f32; 16 * n];
    for column in (0..n).step_by(16) {
        for (to, from) in panel.chunks_exact_mut(16).zip(b.chunks_exact(n)) {
            to.copy_from_slice(&from[column..column + 16]);
        }
        let mut row = 0;
        while row + 6 <= n {
            tile::<6>(&a[row * n..], &panel, &mut c[row * n + column..], n);
            row += 6;
        }
        while row < n {
            tile::<1>(&a[row * n..], &panel, &mut c[row * n + column..], n);
            row += 1;
        }
    }
}

#[target_feature(enable = "avx2,fma")]
fn tile<const ROWS: usize>(a: &[f32], panel: &[f32], c: &mut [f32], n: usize) {
    assert!(a.len() >= ROWS * n && panel.len() >= 16 * n && c.len() >= (ROWS - 1) * n + 16);
    let mut sums = [[_mm256_setzero_ps(); 2]; ROWS];
    for k in 0..n {
        // SAFETY: `16 * k + 16 <= 16 * n`, which the assertion covers.
        let b = unsafe {
            [_mm256_loadu_ps(panel.as_ptr().add(16 * k)), _mm256_loadu_ps(panel.as_ptr().add(16 * k + 8))]
        };
        for (row, sum) in sums.iter_mut().enumerate() {
            // SAFETY: `row * n + k < ROWS * n`, which the assertion covers.
            let value = unsafe { _mm256_broadcast_ss(a.get_unchecked(row * n + k)) };
            sum[0] = _mm256_fmadd_ps(value, b[0], sum[0]);
            sum[1] = _mm256_fmadd_ps(value, b[1], sum[1]);
        }
    }
    for (row, sum) in sums.iter().enumerate() {
        c[row * n..][..8].copy_from_slice(&lanes(sum[0]));
        c[row * n + 8..][..8].copy_from_slice(&lanes(sum[1]));
    }
}

/// Escape times, eight pixels at a time; `width` is a multiple of eight.
#[target_feature(enable = "avx2,fma")]
pub fn divergent(out: &mut [i32], width: usize, height: usize, limit: i32) {
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
