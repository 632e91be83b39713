//! Counting, prefix sums, sorting.

use std::arch::x86_64::*;

/// 256 bins. Equal bytes beside each other go to different tables: else each would wait for the store before.
pub fn histogram(bytes: &[u8]) -> [u32; 256] {
    let mut tables = [[0u32; 256]; 4];
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
        for part in 0..8 {
            tables[part % 4][(word >> (8 * part)) as usize & 0xff] += 1;
        }
    }
    words.remainder().iter().for_each(|byte| tables[0][usize::from(*byte)] += 1);
    std::array::from_fn(|bin| tables.iter().map(|table| table[bin]).sum())
}

/// Prefix sums, each element's own value included; lengths are multiples of eight.
#[target_feature(enable = "avx2")]
pub fn scan(from: &[i32], to: &mut [i32]) {
    let mut before = _mm256_setzero_si256();
    for (from, to) in from.chunks_exact(8).zip(to.chunks_exact_mut(8)) {
        // SAFETY: eight elements of four bytes, of any alignment.
        let mut sums = unsafe { _mm256_loadu_si256(from.as_ptr().cast()) };
        sums = _mm256_add_epi32(sums, _mm256_slli_si256::<4>(sums));
        sums = _mm256_add_epi32(sums, _mm256_slli_si256::<8>(sums));
        // The lower half's last sum, in the upper half.
        let carry = _mm256_permute2x128_si256::<0x08>(sums, sums);
        sums = _mm256_add_epi32(sums, _mm256_shuffle_epi32::<0xff>(carry));
        let last = _mm256_permutevar8x32_epi32(sums, _mm256_set1_epi32(7));
        // SAFETY: as above.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), _mm256_add_epi32(sums, before)) };
        before = _mm256_add_epi32(before, last);
    }
}

/// Sorts by digits of eight bits, least significant first, all digits counted in one pass.
pub fn radix_sort(from: &[u32], to: &mut Vec<u32>, other: &mut Vec<u32>) {
    let mut counts = [[0usize; 256]; 4];
    for key in from {
        for (digit, count) in counts.iter_mut().enumerate() {
            count[(key >> (8 * digit)) as usize & 0xff] += 1;
        }
    }
    for (digit, count) in counts.iter_mut().enumerate() {
        let mut next = 0;
        for count in count.iter_mut() {
            (next, *count) = (next + *count, next);
        }
        let source: &[u32] = if digit == 0 { from } else { other };
        for key in source {
            let place = &mut count[(key >> (8 * digit)) as usize & 0xff];
            to[*place] = *key;
            *place += 1;
        }
        std::mem::swap(to, other);
    }
    std::mem::swap(to, other);
}
