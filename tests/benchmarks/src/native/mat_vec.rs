//! Row dots of quantised weights with a quantised vector: `maddubs`, eight scales at a time, several rows over one pass of the vector.

use std::arch::x86_64::*;

use half::f16;

use super::{load, total};

/// 32 weights of 4 bits.
#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C)]
pub struct Q4_0 {
    /// f16 bits.
    pub scale: u16,
    /// Weight `i` in the low half of byte `i`, weight `i + 16` in the high half; a weight is eight less.
    pub nibbles: [u8; 16],
}

/// 32 weights of 8 bits.
#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C)]
pub struct Q8_0 {
    /// f16 bits.
    pub scale: u16,
    /// The weights.
    pub values: [i8; 32],
}

/// 256 weights of 4 bits in eight groups, each with scale and offset of 6 bits.
#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C)]
pub struct Q4K {
    /// f16 bits: what the groups' scales are multiplied by.
    pub scale: u16,
    /// f16 bits: what the groups' offsets are multiplied by.
    pub offset: u16,
    /// Eight scales and eight offsets, packed.
    pub scales: [u8; 12],
    /// 32 bytes for each two groups.
    pub nibbles: [u8; 128],
}

/// 32 activations of 8 bits.
#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C, align(4))]
pub struct Q8_1 {
    /// f16 bits.
    pub scale: u16,
    /// f16 bits of the sum of the activations.
    pub sum: u16,
    /// The activations.
    pub values: [i8; 32],
}

/// A vector of activations with its scales and sums widened, side by side; a multiple of 256 of them.
pub struct Vector<'a> {
    blocks: &'a [Q8_1],
    scales: Vec<f32>,
    sums: Vec<f32>,
}

impl<'a> Vector<'a> {
    /// Widens.
    pub fn new(blocks: &'a [Q8_1]) -> Self {
        let widen = |half: u16| f16::from_bits(half).to_f32();
        let scales = blocks.iter().map(|block| widen(block.scale)).collect();
        Self { blocks, scales, sums: blocks.iter().map(|block| widen(block.sum)).collect() }
    }
}

/// A format of weights.
pub trait Weights: Copy {
    /// Blocks that hold 256 weights.
    const BLOCKS: usize;

    /// Of 256 weights, eight groups of 32: the groups' scales and what to add of the activations' sums, by group.
    ///
    /// # Safety
    /// The CPU has AVX2, FMA and F16C.
    unsafe fn scales(blocks: &[Self]) -> (__m256, __m256);

    /// The products of group `group` with 32 activations, in eight sums.
    ///
    /// # Safety
    /// The CPU has AVX2, FMA and F16C.
    unsafe fn products(blocks: &[Self], group: usize, activations: __m256i) -> __m256i;
}

/// `out = weights · vector`, `ROWS` rows together, which divides their number: more streams from memory at a time.
#[target_feature(enable = "avx2,fma,f16c")]
pub fn mat_vec<W: Weights, const ROWS: usize>(weights: &[W], vector: &[Q8_1], out: &mut [f32]) {
    let vector = Vector::new(vector);
    let row = vector.blocks.len() / 8 * W::BLOCKS;
    for (out, rows) in out.chunks_exact_mut(ROWS).zip(weights.chunks_exact(ROWS * row)) {
        dots::<W, ROWS>(rows, row, &vector, out);
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn dots<W: Weights, const ROWS: usize>(rows: &[W], row: usize, vector: &Vector, out: &mut [f32]) {
    let mut sums = [_mm256_setzero_ps(); ROWS];
    let mut corrections = [_mm256_setzero_ps(); ROWS];
    for (index, activations) in vector.blocks.chunks_exact(8).enumerate() {
        let (scales, offsets) = (load(&vector.scales, 8 * index), load(&vector.sums, 8 * index));
        for line in 0..ROWS {
            let blocks = &rows[line * row + index * W::BLOCKS..][..W::BLOCKS];
            // SAFETY: this function has the features.
            let (scale, offset) = unsafe { W::scales(blocks) };
            corrections[line] = _mm256_fmadd_ps(offset, offsets, corrections[line]);
            let mut spread = [0f32; 8];
            // SAFETY: eight floats, of any alignment.
            unsafe { _mm256_storeu_ps(spread.as_mut_ptr(), _mm256_mul_ps(scale, scales)) };
            for group in 0..8 {
                // SAFETY: 32 bytes, of any alignment; and this function has the features.
                let products = unsafe {
                    let values = _mm256_loadu_si256(activations[group].values.as_ptr().cast());
                    W::products(blocks, group, values)
                };
                let products = _mm256_cvtepi32_ps(products);
                sums[line] = _mm256_fmadd_ps(_mm256_set1_ps(spread[group]), products, sums[line]);
            }
        }
    }
    for line in 0..ROWS {
        out[line] = total(_mm256_add_ps(sums[line], corrections[line]));
    }
}

#[target_feature(enable = "avx2,f16c")]
fn widen_eight(halves: [u16; 8]) -> __m256 {
    _mm256_cvtph_ps(_mm_setr_epi16(
        halves[0] as i16,
        halves[1] as i16,
        halves[2] as i16,
        halves[3] as i16,
        halves[4] as i16,
        halves[5] as i16,
        halves[6] as i16,
        halves[7] as i16,
    ))
}

/// Bytes without sign by bytes with sign, added by fours.
#[target_feature(enable = "avx2")]
fn fours(unsigned: __m256i, signed: __m256i) -> __m256i {
    _mm256_madd_epi16(_mm256_maddubs_epi16(unsigned, signed), _mm256_set1_epi16(1))
}

impl Weights for Q4_0 {
    const BLOCKS: usize = 8;

    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn scales(blocks: &[Self]) -> (__m256, __m256) {
        let scales = widen_eight(std::array::from_fn(|block| blocks[block].scale));
        (scales, _mm256_mul_ps(scales, _mm256_set1_ps(-8.0)))
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn products(blocks: &[Self], group: usize, activations: __m256i) -> __m256i {
        // SAFETY: 16 bytes, of any alignment.
        let nibbles = unsafe { _mm_loadu_si128(blocks[group].nibbles.as_ptr().cast()) };
        let both = _mm256_set_m128i(_mm_srli_epi16::<4>(nibbles), nibbles);
        fours(_mm256_and_si256(both, _mm256_set1_epi8(15)), activations)
    }
}

impl Weights for Q8_0 {
    const BLOCKS: usize = 8;

    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn scales(blocks: &[Self]) -> (__m256, __m256) {
        (widen_eight(std::array::from_fn(|block| blocks[block].scale)), _mm256_setzero_ps())
    }

    /// Weights without their signs, which go to the activations; no value is -128.
    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn products(blocks: &[Self], group: usize, activations: __m256i) -> __m256i {
        // SAFETY: 32 bytes, of any alignment.
        let weights = unsafe { _mm256_loadu_si256(blocks[group].values.as_ptr().cast()) };
        fours(_mm256_abs_epi8(weights), _mm256_sign_epi8(activations, weights))
    }
}

impl Weights for Q4K {
    const BLOCKS: usize = 1;

    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn scales(blocks: &[Self]) -> (__m256, __m256) {
        let block = &blocks[0];
        let word =
            |index: usize| u32::from_le_bytes(block.scales[4 * index..][..4].try_into().expect("four"));
        let (a, b, c) = (word(0), word(1), word(2));
        // Six bits each: the first four complete, the last four with their upper two bits elsewhere.
        let scales = [a & 0x3f3f_3f3f, c & 0x0f0f_0f0f | (a & 0xc0c0_c0c0) >> 2];
        let offsets = [b & 0x3f3f_3f3f, c >> 4 & 0x0f0f_0f0f | (b & 0xc0c0_c0c0) >> 2];
        let by_group = |words: [u32; 2]| {
            let bytes = _mm_set_epi64x(0, i64::from(words[0]) | i64::from(words[1]) << 32);
            _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes))
        };
        let factor =
            |half: u16| _mm256_set1_ps(_mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(i32::from(half)))));
        let offset = _mm256_mul_ps(by_group(offsets), factor(block.offset));
        let scale = _mm256_mul_ps(by_group(scales), factor(block.scale));
        (scale, _mm256_sub_ps(_mm256_setzero_ps(), offset))
    }

    #[target_feature(enable = "avx2,fma,f16c")]
    unsafe fn products(blocks: &[Self], group: usize, activations: __m256i) -> __m256i {
        // SAFETY: 32 bytes, of any alignment.
        let nibbles =
            unsafe { _mm256_loadu_si256(blocks[0].nibbles[group / 2 * 32..][..32].as_ptr().cast()) };
        let own = if group.is_multiple_of(2) { nibbles } else { _mm256_srli_epi16::<4>(nibbles) };
        fours(_mm256_and_si256(own, _mm256_set1_epi8(15)), activations)
    }
}
