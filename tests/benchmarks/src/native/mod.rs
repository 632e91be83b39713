//! The native side: the best code for one core with AVX2, FMA and F16C that we know how to write, or a library's.
//!
//! Precondition of every function with `target_feature`: the CPU has AVX2, FMA and F16C (`main` asks).

pub mod attention;
pub mod escape;
pub mod integers;
pub mod mat_vec;
pub mod matrices;
pub mod streams;

use std::arch::x86_64::*;

/// Plain numbers that begin at a cache line.
#[derive(Clone, Default)]
pub struct Aligned<T> {
    lines: Vec<Line>,
    length: usize,
    element: std::marker::PhantomData<T>,
}

#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C, align(64))]
struct Line([u8; 64]);

impl<T: bytemuck::Pod> Aligned<T> {
    /// Zeros.
    pub fn zeros(length: usize) -> Self {
        let lines = vec![Line([0; 64]); (length * size_of::<T>()).div_ceil(64)];
        Self { lines, length, element: std::marker::PhantomData }
    }

    /// A copy.
    pub fn of(values: &[T]) -> Self {
        let mut copy = Self::zeros(values.len());
        copy.copy_from_slice(values);
        copy
    }

    /// As they lie in memory.
    pub fn bytes(&self) -> Vec<u8> {
        bytemuck::cast_slice(self).to_vec()
    }
}

impl<T: bytemuck::Pod> std::ops::Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let bytes: &[u8] = bytemuck::cast_slice(&self.lines);
        bytemuck::cast_slice(&bytes[..self.length * size_of::<T>()])
    }
}

impl<T: bytemuck::Pod> std::ops::DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.lines);
        bytemuck::cast_slice_mut(&mut bytes[..self.length * size_of::<T>()])
    }
}

/// The sum of the lanes.
#[target_feature(enable = "avx2")]
fn total(vector: __m256) -> f32 {
    let half = _mm_add_ps(_mm256_castps256_ps128(vector), _mm256_extractf128_ps::<1>(vector));
    let quarter = _mm_add_ps(half, _mm_movehl_ps(half, half));
    _mm_cvtss_f32(_mm_add_ss(quarter, _mm_movehdup_ps(quarter)))
}

/// Eight floats of a slice, from `index` on.
#[target_feature(enable = "avx2")]
fn load(from: &[f32], index: usize) -> __m256 {
    let eight = &from[index..index + 8];
    // SAFETY: eight floats, of any alignment.
    unsafe { _mm256_loadu_ps(eight.as_ptr()) }
}

/// Puts eight floats into a slice, from `index` on.
#[target_feature(enable = "avx2")]
fn store(to: &mut [f32], index: usize, value: __m256) {
    let eight = &mut to[index..index + 8];
    // SAFETY: eight floats, of any alignment.
    unsafe { _mm256_storeu_ps(eight.as_mut_ptr(), value) }
}

/// Many f16 as f32; a multiple of eight.
#[target_feature(enable = "avx2,f16c")]
pub fn widen(from: &[u16], to: &mut [f32]) {
    for (from, to) in from.chunks_exact(8).zip(to.chunks_exact_mut(8)) {
        // SAFETY: eight elements on either side, of any alignment.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().cast()))) }
    }
}
