//! The interpreter takes the kernels of real clients. The same as a list: `cargo run --release -p corpus`.

use corpus::client;

/// Decodes every kernel; those refused are exactly so many, all for the instruction named.
fn check(name: &str, decoded: usize, refused: usize, instruction: &str) {
    let library = client(name).expect("a known client").open().expect("the package is fetched");
    let outcome = corpus::decode(&library, 61);
    let other: Vec<_> = outcome.refused.iter().filter(|(_, reason)| !reason.contains(instruction)).collect();
    assert!(other.is_empty(), "{name}: refused for another reason: {other:#?}");
    assert_eq!((outcome.decoded, outcome.refused.len()), (decoded, refused), "{name}: decoded and refused");
}

/// Barriers that also reduce a predicate are what the interpreter lacks for it.
#[test]
fn kernels_of_cuda_ext_decode() {
    check("cuda-ext", 6727, 14, "bar.red");
}

/// Packed comparisons of halves are what the interpreter lacks for it.
#[test]
fn kernels_of_gpt4all_decode() {
    check("gpt4all", 1339, 6, "set.eq.f16x2.f16x2");
}
