//! Our cuBLAS and cuBLASLt of every major version against loops on the host: `program.c` and `matmul.c` are linked against the
//! built libraries and run by `vgpu-run`; they check every result themselves and print a line for each.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The build directory: the one above this program that holds `vgpu-run`.
fn build_directory() -> PathBuf {
    let program = std::env::current_exe().expect("the test's own path");
    let found = program.ancestors().find(|parent| parent.join("vgpu-run").is_file());
    found.unwrap_or_else(|| panic!("vgpu-run is not built; hint: run `make build`")).to_owned()
}

fn compile(build: &Path, name: &str, major: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/cublas/{name}.c"));
    let target = build.join(format!("cublas-{name}-{major}"));
    let runtime =
        if major == "11" { "libcudart.so.11.0".to_owned() } else { format!("libcudart.so.{major}") };
    let libraries = [format!("libcublas.so.{major}"), format!("libcublasLt.so.{major}"), runtime];
    let mut command = Command::new("cc");
    command.args(["-O1", "-Wall", "-o"]).arg(&target).arg(format!("-DMAJOR={major}")).arg(source);
    command.args(libraries.map(|library| build.join("payload").join(library))).arg("-lm");
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    target
}

/// Runs a program with every version; it has to get to its end with at least this many checks.
fn run(name: &str, checks: usize) {
    let build = build_directory();
    for major in ["11", "12", "13"] {
        let mut command = Command::new(build.join("vgpu-run"));
        command.args(["--gpu", "gtx1080", "--"]).arg(compile(&build, name, major));
        // Cargo sets it for tests; programs do not have it.
        command.env_remove("LD_LIBRARY_PATH");
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let said = String::from_utf8_lossy(&output.stdout);
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said.lines().last(), Some("ok end"), "CUDA {major}:\n{said}{complaints}");
        let passed = said.lines().filter(|line| line.starts_with("ok ")).count();
        assert!(passed >= checks, "only {passed} checks with CUDA {major}");
    }
}

#[test]
fn routines_of_all_levels_equal_their_definitions() {
    run("program", 230);
}

#[test]
fn products_with_layouts_and_epilogues_equal_loops() {
    run("matmul", 25);
}
