//! Sound containers: what is read, which code is chosen, what is found in a file.

mod builder;

use builder::{container, cubin, cubin_file, ptx};
use fatbin::{Compression, Container, Cubin, FatbinError, Image, Kind, Wrapper, length, scan};

#[test]
fn every_compression_gives_the_text_back() {
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        let bytes = container(&[ptx("61", "the one", compression)]);
        let container = Container::parse(&bytes).expect("a sound container");
        let [entry] = container.entries() else { panic!("one entry: {container:?}") };
        assert_eq!(
            (entry.kind, entry.arch, entry.version, entry.compression),
            (Kind::Ptx, 61, (8, 4), compression)
        );
        let text = entry.text().expect("a sound payload");
        assert!(text.starts_with(".version 8.4") && text.contains("the one") && text.ends_with(".visible\n"));
    }
}

#[test]
fn length_needs_only_the_header() {
    let bytes = container(&[ptx("61", "", Compression::Lz4), cubin(86)]);
    assert_eq!(length(&bytes[..16]), Ok(bytes.len() as u64));
}

#[test]
fn the_highest_ptx_at_or_below_the_capability_is_chosen() {
    let bytes = container(&[
        ptx("50", "fifty", Compression::Lz4),
        cubin(86),
        ptx("75", "seventy-five", Compression::Zstd),
        ptx("61", "sixty-one", Compression::None),
    ]);
    let container = Container::parse(&bytes).expect("a sound container");
    for (capability, tag) in [
        (50, "fifty"),
        (52, "fifty"),
        (61, "sixty-one"),
        (70, "sixty-one"),
        (75, "seventy-five"),
        (120, "seventy-five"),
    ] {
        assert!(container.best_ptx(capability).expect("code").contains(tag), "capability {capability}");
    }
}

#[test]
fn no_code_lists_what_there_was() {
    let bytes = container(&[cubin(86), ptx("75", "", Compression::Lz4), cubin(89), cubin(86)]);
    let error = Container::parse(&bytes).expect("a sound container").best_ptx(61).expect_err("nothing fits");
    assert_eq!((error.capability, &error.ptx[..], &error.sass[..]), (61, &[75][..], &[86, 89][..]));
    assert_eq!(error.to_string(), "no PTX for capability 6.1: PTX for 7.5, machine code for 8.6 8.9");
}

#[test]
fn code_for_one_architecture_only_is_not_given_to_another() {
    let bytes = container(&[ptx("90a", "arch", Compression::Lz4), ptx("80", "base", Compression::Lz4)]);
    let container = Container::parse(&bytes).expect("a sound container");
    assert!(container.best_ptx(90).expect("code").contains("arch"));
    assert!(container.best_ptx(100).expect("code").contains("base"));
}

#[test]
fn damaged_code_is_passed_over_and_named_when_nothing_else_fits() {
    let mut bytes = container(&[ptx("61", "", Compression::Lz4)]);
    let size = 16 + 56;
    bytes[size..size + 4].copy_from_slice(&7u32.to_le_bytes());
    let error = Container::parse(&bytes).expect("sound headers").best_ptx(61).expect_err("damaged");
    assert!(error.to_string().contains("entry at offset 0x10 "), "{error}");
}

#[test]
fn images_are_told_apart() {
    let fatbin = container(&[ptx("61", "in a container", Compression::Lz4)]);
    assert!(
        Image::parse(&fatbin).expect("a container").best_ptx(61).expect("code").contains("in a container")
    );

    let text = b"// made by hand\n/* twice */ .version 8.4\n.target sm_61\n\0garbage \xff";
    let Ok(Image::Ptx(ptx)) = Image::parse(text) else { panic!("PTX text") };
    assert!(ptx.ends_with("sm_61\n"));

    for abi in [7, 8] {
        let file = cubin_file(86, abi);
        let Ok(Image::Cubin(cubin)) = Image::parse(&file) else { panic!("a cubin") };
        assert_eq!(cubin, Cubin { arch: 86, len: file.len() as u64 });
        assert_eq!(Image::Cubin(cubin).best_ptx(90).expect_err("machine code only").sass, [86]);
    }
    assert_eq!(
        Image::parse(b"#!/bin/sh").expect_err("a script"),
        FatbinError::UnknownImage { start: b"#!/bin/s".to_vec() }
    );
}

#[test]
fn wrapper_gives_the_container_address() {
    let mut bytes = fatbin::WRAPPER_MAGIC.to_le_bytes().to_vec();
    bytes.extend([1, 0, 0, 0]);
    bytes.extend(0x7f00_1234_5678u64.to_le_bytes());
    bytes.extend(0u64.to_le_bytes());
    assert_eq!(Wrapper::parse(&bytes), Ok(Wrapper { version: 1, data: 0x7f00_1234_5678, linked: 0 }));
    assert_eq!(
        Wrapper::parse(&bytes[..20]).expect_err("short").to_string(),
        "wrapper at offset 0x0 needs 24 bytes, only 20 are there"
    );
}

#[test]
fn scan_finds_every_container_in_a_plain_file() {
    let first = container(&[ptx("61", "", Compression::Lz4)]);
    let second = container(&[cubin(86), ptx("75", "", Compression::Zstd)]);
    let mut file = vec![0xaa; 24];
    file.extend(&first);
    file.extend([0; 40]);
    file.extend(&second);
    let found: Vec<_> = scan(&file).map(|it| (it.offset, it.container.expect("sound").ptx_archs())).collect();
    assert_eq!(found, [(24, vec![61]), (24 + first.len() as u64 + 40, vec![75])]);
}

#[test]
fn scan_looks_only_at_fat_binary_sections_of_an_elf_file() {
    let inside = container(&[ptx("61", "", Compression::Lz4)]);
    let decoy = container(&[ptx("90", "", Compression::Lz4)]);
    let file = elf_with_section(b".nv_fatbin", &inside, &decoy);
    let found: Vec<_> = scan(&file).map(|it| it.container.expect("sound").ptx_archs()).collect();
    assert_eq!(found, [[61]]);
    assert_eq!(
        scan(&elf_with_section(b".rodata", &inside, &decoy)).count(),
        2,
        "no such section: search the file"
    );
}

/// header, `outside`, `inside`, names, section table of three: null, the named one, the names.
fn elf_with_section(name: &[u8], inside: &[u8], outside: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 64];
    file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    let mut append = |bytes: &[u8]| {
        let start = file.len().next_multiple_of(8);
        file.resize(start, 0);
        file.extend(bytes);
        start as u64
    };
    append(outside);
    let inside_at = append(inside);
    let names_at = append(&[b"\0", name, b"\0"].concat());
    let section = |name: u32, offset: u64, len: usize| {
        let mut section = vec![0; 64];
        section[..4].copy_from_slice(&name.to_le_bytes());
        section[24..32].copy_from_slice(&offset.to_le_bytes());
        section[32..40].copy_from_slice(&(len as u64).to_le_bytes());
        section
    };
    let table = [section(0, 0, 0), section(1, inside_at, inside.len()), section(0, names_at, name.len() + 2)]
        .concat();
    let table_at = append(&table);
    file[40..48].copy_from_slice(&table_at.to_le_bytes());
    file[60..64].copy_from_slice(&[3, 0, 2, 0]);
    file
}
