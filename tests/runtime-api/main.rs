//! The runtime interface as compiled CUDA programs use it: registration, launch, graphs, errors, beside the driver interface.
//!
//! `target.c` and `blas.c` are linked against the built libraries and run by `vgpu-run`; they check every result
//! themselves and print a line for each.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The build directory: the one above this program that holds `vgpu-run`.
fn build_directory() -> PathBuf {
    let program = std::env::current_exe().expect("the test's own path");
    let found = program.ancestors().find(|parent| parent.join("vgpu-run").is_file());
    found.unwrap_or_else(|| panic!("vgpu-run is not built; hint: run `make build`")).to_owned()
}

fn compile(build: &Path, name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/runtime-api/{name}.c"));
    let target = build.join(format!("runtime-api-{name}"));
    let mut command = Command::new("cc");
    command.args(["-O1", "-Wall", "-o"]).arg(&target).arg(source);
    command.args(
        ["libcudart.so.12", "libcublas.so.12", "libcuda.so.1"].map(|name| build.join("payload").join(name)),
    );
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    target
}

fn run(name: &str) {
    let build = build_directory();
    let mut command = Command::new(build.join("vgpu-run"));
    command.args(["--gpu", "gtx1080", "--"]).arg(compile(&build, name));
    // Cargo sets it for tests; programs do not have it.
    command.env_remove("LD_LIBRARY_PATH");
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}{complaints}", output.status);
    assert_eq!(said.lines().last(), Some("ok end"), "{said}{complaints}");
}

#[test]
fn registered_kernel_runs_and_both_interfaces_share_contexts_and_streams() {
    run("target");
}

#[test]
fn matrix_products_are_right_alone_and_in_graphs() {
    run("blas");
}

#[test]
fn context_that_another_thread_has_reset_comes_again() {
    run("reset");
}
