//! Attention by tiles: scores and sums of 6 queries × 16 columns in registers, exponentials eight at a time.

use std::arch::x86_64::*;

use super::{Aligned, load, store, total, widen};

/// Dimensions of a head.
pub const DIMENSIONS: usize = 64;
/// Queries and keys of a tile.
const QUERIES: usize = 48;
const KEYS: usize = 64;

/// Where one head's parts are put.
pub struct Attention {
    rows: usize,
    /// By tile of keys: dimension by dimension, the tile's keys side by side.
    keys: Aligned<f32>,
    values: Aligned<f32>,
    wide: Aligned<f32>,
    scores: Aligned<f32>,
}

impl Attention {
    /// For heads of that many rows, a multiple of 64.
    pub fn new(rows: usize) -> Self {
        let head = || Aligned::zeros(rows * DIMENSIONS);
        Self { rows, keys: head(), values: head(), wide: head(), scores: Aligned::zeros(QUERIES * KEYS) }
    }

    /// One head: `out = softmax(queries · keysᵀ) · values`; all `[row][dimension]`, keys and values f16.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub fn head(&mut self, queries: &[f32], keys: &[u16], values: &[u16], out: &mut [f32]) {
        widen(values, &mut self.values);
        widen(keys, &mut self.wide);
        transpose(&self.wide, &mut self.keys);
        let tiles = queries.chunks(QUERIES * DIMENSIONS).zip(out.chunks_mut(QUERIES * DIMENSIONS));
        for (queries, out) in tiles {
            self.tile(queries, out);
        }
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    fn tile(&mut self, queries: &[f32], out: &mut [f32]) {
        let count = queries.len() / DIMENSIONS;
        let (mut maxima, mut totals) = ([f32::MIN; QUERIES], [0f32; QUERIES]);
        out.fill(0.0);
        for key in (0..self.rows).step_by(KEYS) {
            let part = key * DIMENSIONS..(key + KEYS) * DIMENSIONS;
            let scores = &mut self.scores[..count * KEYS];
            scores.fill(0.0);
            product(queries, DIMENSIONS, &self.keys[part.clone()], scores);
            for (query, row) in scores.chunks_exact_mut(KEYS).enumerate() {
                let out = &mut out[query * DIMENSIONS..][..DIMENSIONS];
                soften(row, out, &mut maxima[query], &mut totals[query]);
            }
            product(&self.scores[..count * KEYS], KEYS, &self.values[part], out);
        }
        for (out, total) in out.chunks_exact_mut(DIMENSIONS).zip(totals) {
            out.iter_mut().for_each(|value| *value /= total);
        }
    }
}

/// Tile by tile of keys, `[key][dimension]` to `[dimension][key]`.
fn transpose(from: &[f32], to: &mut [f32]) {
    let tile = KEYS * DIMENSIONS;
    for (from, to) in from.chunks_exact(tile).zip(to.chunks_exact_mut(tile)) {
        for (key, row) in from.chunks_exact(DIMENSIONS).enumerate() {
            for (dimension, value) in row.iter().enumerate() {
                to[dimension * KEYS + key] = *value;
            }
        }
    }
}

/// One query's scores become weights, and what is summed up so far fades to the new maximum.
#[target_feature(enable = "avx2,fma")]
fn soften(row: &mut [f32], out: &mut [f32], maximum: &mut f32, sum: &mut f32) {
    let mut most = _mm256_set1_ps(*maximum);
    for part in (0..KEYS).step_by(8) {
        most = _mm256_max_ps(most, load(row, part));
    }
    let mut lanes = [0f32; 8];
    store(&mut lanes, 0, most);
    let before = std::mem::replace(maximum, lanes.into_iter().fold(f32::MIN, f32::max));
    let (fade, base) = (exponential(_mm256_set1_ps(before - *maximum)), _mm256_set1_ps(*maximum));
    let mut weights = _mm256_setzero_ps();
    for part in (0..KEYS).step_by(8) {
        let weight = exponential(_mm256_sub_ps(load(row, part), base));
        weights = _mm256_add_ps(weights, weight);
        store(row, part, weight);
    }
    *sum = *sum * _mm256_cvtss_f32(fade) + total(weights);
    for part in (0..DIMENSIONS).step_by(8) {
        let faded = _mm256_mul_ps(load(out, part), fade);
        store(out, part, faded);
    }
}

/// eˣ for x ≤ 0: 2ⁿ by the exponent's bits, the rest by a polynomial of the fifth degree.
#[target_feature(enable = "avx2,fma")]
fn exponential(x: __m256) -> __m256 {
    let x = _mm256_mul_ps(_mm256_max_ps(x, _mm256_set1_ps(-87.0)), _mm256_set1_ps(std::f32::consts::LOG2_E));
    let whole = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x);
    let rest = _mm256_sub_ps(x, whole);
    let coefficients =
        [0.001_339_887_4, 0.009_618_437, 0.055_503_33, 0.240_226_5, std::f32::consts::LN_2, 1.0];
    let mut result = _mm256_set1_ps(coefficients[0]);
    for coefficient in &coefficients[1..] {
        result = _mm256_fmadd_ps(result, rest, _mm256_set1_ps(*coefficient));
    }
    let power = _mm256_slli_epi32::<23>(_mm256_add_epi32(_mm256_cvtps_epi32(whole), _mm256_set1_epi32(127)));
    _mm256_mul_ps(result, _mm256_castsi256_ps(power))
}

/// `c += a · b`: rows of `a` are `depth` long, `b` and `c` have 64 columns.
#[target_feature(enable = "avx2,fma")]
fn product(a: &[f32], depth: usize, b: &[f32], c: &mut [f32]) {
    for column in (0..64).step_by(16) {
        let (mut row, rows) = (0, a.len() / depth);
        while row + 6 <= rows {
            accumulate::<6>(&a[row * depth..], depth, &b[column..], &mut c[row * 64 + column..]);
            row += 6;
        }
        while row < rows {
            accumulate::<1>(&a[row * depth..], depth, &b[column..], &mut c[row * 64 + column..]);
            row += 1;
        }
    }
}

#[target_feature(enable = "avx2,fma")]
fn accumulate<const ROWS: usize>(a: &[f32], depth: usize, b: &[f32], c: &mut [f32]) {
    assert!(a.len() >= ROWS * depth && b.len() >= (depth - 1) * 64 + 16 && c.len() >= (ROWS - 1) * 64 + 16);
    let mut sums = [[_mm256_setzero_ps(); 2]; ROWS];
    for (row, sum) in sums.iter_mut().enumerate() {
        *sum = [load(c, row * 64), load(c, row * 64 + 8)];
    }
    for k in 0..depth {
        // SAFETY: `k * 64 + 16 <= (depth - 1) * 64 + 16`, which the assertion covers.
        let columns =
            unsafe { [_mm256_loadu_ps(b.as_ptr().add(k * 64)), _mm256_loadu_ps(b.as_ptr().add(k * 64 + 8))] };
        for (row, sum) in sums.iter_mut().enumerate() {
            // SAFETY: `row * depth + k < ROWS * depth`, which the assertion covers.
            let value = unsafe { _mm256_broadcast_ss(a.get_unchecked(row * depth + k)) };
            sum[0] = _mm256_fmadd_ps(value, columns[0], sum[0]);
            sum[1] = _mm256_fmadd_ps(value, columns[1], sum[1]);
        }
    }
    for (row, sum) in sums.iter().enumerate() {
        store(c, row * 64, sum[0]);
        store(c, row * 64 + 8, sum[1]);
    }
}
