//! The fat binaries of real clients hold what NVIDIA's own tools find in them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use corpus::{Library, client};
use fatbin::{Compression, Container, Kind};

fn open(name: &str) -> Library {
    client(name).expect("a known client").open().expect("the package is fetched")
}

fn count(library: &Library, kind: Kind) -> BTreeMap<u32, usize> {
    let mut counts = BTreeMap::new();
    for found in library.containers() {
        let container: Container = found.container.expect("a sound container");
        for entry in container.entries().iter().filter(|entry| entry.kind == kind) {
            *counts.entry(entry.arch).or_default() += 1;
        }
    }
    counts
}

#[test]
fn cuda_ext_has_ptx_for_five_architectures_and_machine_code_for_one() {
    let library = open("cuda-ext");
    let each = |archs: &[u32]| BTreeMap::from_iter(archs.iter().map(|arch| (*arch, 143)));
    assert_eq!(count(&library, Kind::Ptx), each(&[50, 61, 70, 75, 80]));
    assert_eq!(count(&library, Kind::Cubin), each(&[86]));
}

#[test]
fn gpt4all_has_ptx_only() {
    let library = open("gpt4all");
    assert_eq!(count(&library, Kind::Ptx), BTreeMap::from([(52, 57), (61, 57), (70, 57), (75, 57)]));
    assert_eq!(count(&library, Kind::Cubin), BTreeMap::new());
    assert_eq!(library.images(50).filter(Result::is_err).count(), 57, "nothing for capability 5.0");
}

#[test]
fn every_image_of_capability_6_1_is_whole_text() {
    for (name, modules, bytes) in [("cuda-ext", 143, 119_567_184), ("gpt4all", 57, 56_612_609)] {
        let texts: Vec<String> = open(name).images(61).map(|text| text.expect("PTX")).collect();
        assert_eq!(texts.len(), modules, "{name}");
        // The sizes of the headers count the padding, at most a word each.
        let total: usize = texts.iter().map(String::len).sum();
        assert!((bytes - 8 * modules..=bytes).contains(&total), "{name}: {total} bytes of text");
        let whole = |text: &String| text.contains(".target sm_61") && text.trim_end().ends_with(['}', ';']);
        assert!(texts.iter().all(whole), "{name}");
    }
}

#[test]
fn machine_code_names_the_architecture_that_its_container_names() {
    let library = open("cuda-ext");
    for found in library.containers() {
        let container = found.container.expect("a sound container");
        for entry in container.entries().iter().filter(|entry| entry.kind == Kind::Cubin) {
            assert_eq!(entry.compression, Compression::None);
            let code = entry.payload().expect("a payload");
            let cubin = fatbin::Cubin::parse(&code).expect("a cubin");
            assert_eq!(cubin.arch, entry.arch);
            assert!(
                cubin.len <= code.len() as u64 && code.len() as u64 - cubin.len < 8,
                "{cubin:?} of {}",
                code.len()
            );
        }
    }
}

#[test]
fn listing_a_large_library_reads_only_headers() {
    let library = open("cuda-ext");
    let started = Instant::now();
    assert_eq!(library.containers().count(), 143);
    // Decompressing one image takes longer than this; reading 375 MB too.
    assert!(started.elapsed() < Duration::from_millis(50), "{:?}", started.elapsed());
}
