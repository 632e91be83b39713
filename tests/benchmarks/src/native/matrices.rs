//! Dense products: the `gemm` crate for floats, a register-blocked tile for bytes.

use std::arch::x86_64::*;

use super::Aligned;

/// `c = a · b`, n × n, row by row; with `transposed`, `c = a · bᵀ`. By the `gemm` crate, built without AVX-512.
pub fn sgemm(a: &[f32], b: &[f32], c: &mut [f32], n: usize, transposed: bool) {
    assert!(a.len() == n * n && b.len() == n * n && c.len() == n * n);
    let pitch = n as isize;
    let (across, down) = if transposed { (pitch, 1) } else { (1, pitch) };
    // SAFETY: three n × n matrices with these strides, of which only `c` is written.
    unsafe {
        gemm::gemm(
            n,
            n,
            n,
            c.as_mut_ptr(),
            1,
            pitch,
            false,
            a.as_ptr(),
            1,
            pitch,
            b.as_ptr(),
            across,
            down,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Where the parts of [`int8_product`] are put.
pub struct Packed {
    rows: Aligned<i16>,
    panel: Aligned<i16>,
}

impl Packed {
    /// Room for n × n.
    pub fn new(n: usize) -> Self {
        Self { rows: Aligned::zeros(n * n), panel: Aligned::zeros(16 * n) }
    }
}

/// `c = a · bᵀ`, n × n; n is a multiple of 16. Exact for all bytes: as 16 bits, in pairs, 6 × 16 sums in registers.
#[target_feature(enable = "avx2")]
pub fn int8_product(a: &[i8], b: &[i8], c: &mut [i32], n: usize, packed: &mut Packed) {
    widen(a, &mut packed.rows);
    for column in (0..n).step_by(16) {
        pack(&b[column * n..][..16 * n], &mut packed.panel, n);
        let mut row = 0;
        while row + 6 <= n {
            tile::<6>(&packed.rows[row * n..], &packed.panel, &mut c[row * n + column..], n);
            row += 6;
        }
        while row < n {
            tile::<1>(&packed.rows[row * n..], &packed.panel, &mut c[row * n + column..], n);
            row += 1;
        }
    }
}

#[target_feature(enable = "avx2")]
fn widen(from: &[i8], to: &mut [i16]) {
    for (from, to) in from.chunks_exact(16).zip(to.chunks_exact_mut(16)) {
        // SAFETY: 16 elements on either side, of any alignment.
        unsafe {
            let wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(from.as_ptr().cast()));
            _mm256_storeu_si256(to.as_mut_ptr().cast(), wide);
        }
    }
}

/// 16 rows of b as columns, pair by pair of their depth.
#[target_feature(enable = "avx2")]
fn pack(rows: &[i8], panel: &mut [i16], n: usize) {
    for column in 0..16 {
        let row = &rows[column * n..][..n];
        for (pair, two) in row.chunks_exact(2).enumerate() {
            panel[32 * pair + 2 * column] = i16::from(two[0]);
            panel[32 * pair + 2 * column + 1] = i16::from(two[1]);
        }
    }
}

#[target_feature(enable = "avx2")]
fn tile<const ROWS: usize>(rows: &[i16], panel: &[i16], c: &mut [i32], n: usize) {
    assert!(rows.len() >= ROWS * n && panel.len() >= 16 * n && c.len() >= (ROWS - 1) * n + 16);
    let mut sums = [[_mm256_setzero_si256(); 2]; ROWS];
    for k in (0..n).step_by(2) {
        let at = |half: usize| {
            // SAFETY: 16 * (k + 2) <= 16 * n, which the assertion covers.
            unsafe { _mm256_loadu_si256(panel.as_ptr().add(16 * k + 16 * half).cast()) }
        };
        let columns = [at(0), at(1)];
        for (row, sum) in sums.iter_mut().enumerate() {
            // SAFETY: `row * n + k + 2 <= ROWS * n`, which the assertion covers.
            let pair = unsafe { rows.as_ptr().add(row * n + k).cast::<i32>().read_unaligned() };
            let pair = _mm256_set1_epi32(pair);
            sum[0] = _mm256_add_epi32(sum[0], _mm256_madd_epi16(pair, columns[0]));
            sum[1] = _mm256_add_epi32(sum[1], _mm256_madd_epi16(pair, columns[1]));
        }
    }
    for (row, sum) in sums.iter().enumerate() {
        for (half, sum) in sum.iter().enumerate() {
            let to = &mut c[row * n + 8 * half..][..8];
            // SAFETY: eight elements of four bytes, of any alignment.
            unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), *sum) };
        }
    }
}
