//! Writes small containers: the layout of `container.rs` in the other direction.

use fatbin::{CONTAINER_MAGIC, Compression};

/// One entry to be written.
pub struct Piece {
    kind: u16,
    arch: u32,
    isa: (u16, u16),
    payload: Vec<u8>,
    compression: Compression,
}

/// PTX for one architecture; `tag` ends up in the text, so that a test can tell which one it got.
pub fn ptx(target: &str, tag: &str, compression: Compression) -> Piece {
    let arch = target.trim_end_matches(|letter: char| !letter.is_ascii_digit()).parse().expect("a number");
    let text =
        format!(".version 8.4\n.target sm_{target}\n.address_size 64\n// {tag}\n{}", ".visible\n".repeat(40));
    Piece { kind: 1, arch, isa: (8, 4), payload: text.into_bytes(), compression }
}

/// Machine code: an ELF header is all that anybody looks at.
pub fn cubin(arch: u32) -> Piece {
    Piece { kind: 2, arch, isa: (1, 7), payload: cubin_file(arch, 7), compression: Compression::None }
}

/// A cubin of nothing but headers, in one of the two ABI versions.
pub fn cubin_file(arch: u32, abi: u8) -> Vec<u8> {
    let mut file = vec![0; 64 + 56];
    file[..9].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0x33, abi]);
    file[18..20].copy_from_slice(&190u16.to_le_bytes());
    file[32..40].copy_from_slice(&64u64.to_le_bytes());
    let flags = if abi >= 8 { arch << 8 } else { arch };
    file[48..52].copy_from_slice(&flags.to_le_bytes());
    file[54..58].copy_from_slice(&[56, 0, 1, 0]);
    file
}

/// A container of these pieces.
pub fn container(pieces: &[Piece]) -> Vec<u8> {
    let body: Vec<u8> = pieces.iter().flat_map(entry).collect();
    let mut bytes = CONTAINER_MAGIC.to_le_bytes().to_vec();
    bytes.extend([1, 0, 16, 0]);
    bytes.extend((body.len() as u64).to_le_bytes());
    bytes.extend(body);
    bytes
}

fn entry(piece: &Piece) -> Vec<u8> {
    let (flags, compressed, mut stored) = match piece.compression {
        Compression::None => (0x11u64, 0, piece.payload.clone()),
        Compression::Lz4 => (0x2011, 1, lz4_flex::block::compress(&piece.payload)),
        Compression::Zstd => (0x8011, 1, zstd(&piece.payload)),
    };
    let compressed = compressed * stored.len() as u32;
    stored.resize(stored.len().next_multiple_of(8), 0);
    let size = if compressed == 0 { 0 } else { piece.payload.len() as u64 };
    let mut bytes = Vec::new();
    bytes.extend(piece.kind.to_le_bytes());
    bytes.extend(0x101u16.to_le_bytes());
    bytes.extend(64u32.to_le_bytes());
    bytes.extend((stored.len() as u64).to_le_bytes());
    bytes.extend(compressed.to_le_bytes());
    bytes.extend(0u32.to_le_bytes());
    bytes.extend(piece.isa.1.to_le_bytes());
    bytes.extend(piece.isa.0.to_le_bytes());
    bytes.extend(piece.arch.to_le_bytes());
    bytes.extend([0; 8]);
    bytes.extend(flags.to_le_bytes());
    bytes.extend([0; 8]);
    bytes.extend(size.to_le_bytes());
    bytes.extend(stored);
    bytes
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}
