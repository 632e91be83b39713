//! Damaged containers: every truncation, every flipped bit, and bytes at random give an error or a value, never a panic.

mod builder;

use builder::{container, cubin, ptx};
use fatbin::{Compression, Container, FatbinError, Image, length, scan};

/// Everything a caller can ask of bytes.
fn exercise(bytes: &[u8]) {
    let _ = length(bytes);
    let _ = Image::parse(bytes).map(|image| image.best_ptx(61));
    for found in scan(bytes) {
        let Ok(container) = found.container else { continue };
        for entry in container.entries() {
            let _ = (entry.payload(), format!("{entry:?}"));
        }
    }
}

fn sample() -> Vec<u8> {
    container(&[
        ptx("61", "one", Compression::Lz4),
        cubin(86),
        ptx("75", "two", Compression::Zstd),
        ptx("50", "three", Compression::None),
    ])
}

#[test]
fn every_truncation_is_an_error_that_says_what_is_missing() {
    let whole = sample();
    for len in 0..whole.len() {
        exercise(&whole[..len]);
        match Container::parse(&whole[..len]) {
            Err(FatbinError::Truncated { needed, available, .. }) => assert!(available < needed, "at {len}"),
            other => panic!("cut at {len}: {other:?}"),
        }
    }
    assert!(Container::parse(&whole).is_ok());
}

#[test]
fn no_flipped_bit_panics() {
    let mut bytes = sample();
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        exercise(&bytes);
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn random_damage_does_not_panic() {
    let whole = sample();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..1 + next() % 8 {
            // Half of the hits go into the first headers, where they matter most.
            let span = if next() % 2 == 0 { 80 } else { bytes.len() as u64 };
            let at = (next() % span) as usize;
            bytes[at] = next() as u8;
        }
        bytes.truncate((next() % (whole.len() as u64 * 4)) as usize);
        exercise(&bytes);
    }
}

#[test]
fn impossible_sizes_are_refused_before_memory_is_taken() {
    for (index, compression) in [Compression::Lz4, Compression::Zstd].into_iter().enumerate() {
        let mut bytes = container(&[ptx("61", "", compression)]);
        bytes[16 + 56..16 + 64].copy_from_slice(&(u64::MAX / 2).to_le_bytes());
        let error =
            Container::parse(&bytes).expect("sound headers").entries()[0].payload().expect_err("too large");
        assert!(matches!(error, FatbinError::ImpossibleSize { offset: 16, .. }), "{index}: {error}");
    }
}

#[test]
fn entry_that_is_longer_than_its_container_is_named() {
    let mut bytes = sample();
    bytes[16 + 8..16 + 16].copy_from_slice(&0x1_0000_0000u64.to_le_bytes());
    let error = Container::parse(&bytes).expect_err("too long").to_string();
    assert!(error.starts_with("entry payload at offset 0x50 needs 4294967296 bytes"), "{error}");
}
