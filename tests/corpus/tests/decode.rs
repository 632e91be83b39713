//! The interpreter takes all kernels of real clients. The same as a list: `cargo run --release -p corpus`.

use corpus::client;

/// Decodes every kernel; none is refused.
fn check(name: &str, decoded: usize) {
    let library = client(name).expect("a known client").open().expect("the package is fetched");
    let outcome = corpus::decode(&library, 61);
    assert!(outcome.refused.is_empty(), "{name}: refused: {:#?}", outcome.refused);
    assert_eq!(outcome.decoded, decoded, "{name}: decoded");
}

#[test]
fn kernels_of_cuda_ext_decode() {
    check("cuda-ext", 6741);
}

#[test]
fn kernels_of_gpt4all_decode() {
    check("gpt4all", 1345);
}
