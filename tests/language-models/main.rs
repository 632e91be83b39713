//! llama.cpp's CUDA build, unmodified, through the real process: a fast selection of what `make clients` runs in full.
//!
//! The programs in `tests/clients` compare with exact arithmetic and with llama.cpp's CPU build, on a card of capability 6.1 and on
//! one of 5.0, and end with an error at the first thing that is wrong.

use std::path::Path;
use std::process::{Command, Stdio};

/// What a client says of its results, once all of them are right.
fn result_of(client: &str, selection: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new(root.join("tests/clients").join(client));
    command
        .args(selection)
        .current_dir(&root)
        .env("VGPU_RUN", tests::vgpu_run())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    // Cargo sets it for tests; programs do not have it.
    command.env_remove("LD_LIBRARY_PATH").stdin(Stdio::null());
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{client} ended with {}\n{said}{complaints}", output.status);
    let result = said.lines().find_map(|line| line.strip_prefix("result "));
    result.unwrap_or_else(|| panic!("{client} tells no result\n{said}{complaints}")).to_owned()
}

#[test]
fn operations_of_llama_cpp_agree_with_exact_arithmetic() {
    let groups = [
        "product Q4_1",
        "product Q6_K",
        "product IQ3_S",
        "product F16",
        "attention F16",
        "norm",
        "rope",
        "soft_max",
        "argsort",
    ];
    let result = result_of("llama-operations", &groups);
    assert!(result.contains("gtx1080 ") && result.contains("gtx750ti "), "{result}");
}

#[test]
fn logits_of_random_models_agree_with_exact_weights_and_the_cpu_build() {
    let result = result_of("llama-quantisations", &["F32", "Q4_K"]);
    assert!(result.starts_with("2 types") && result.contains("gtx750ti "), "{result}");
}
