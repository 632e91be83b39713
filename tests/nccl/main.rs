//! Our NCCL as programs use it: `program.c` is linked against the built libraries and run by `vgpu-run`; it checks every result
//! itself and prints a line for each. What it was refused has to be in the report by name.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The build directory: the one above this program that holds `vgpu-run`.
fn build_directory() -> PathBuf {
    let program = std::env::current_exe().expect("the test's own path");
    let found = program.ancestors().find(|parent| parent.join("vgpu-run").is_file());
    found.unwrap_or_else(|| panic!("vgpu-run is not built; hint: run `make build`")).to_owned()
}

#[test]
fn one_rank_sees_its_own_numbers_and_more_are_refused_by_name() {
    let build = build_directory();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/nccl/program.c");
    let program = build.join("nccl-program");
    let mut command = Command::new("cc");
    command.args(["-O1", "-Wall", "-o"]).arg(&program).arg(source);
    command.args(["libnccl.so.2", "libcudart.so.12"].map(|library| build.join("payload").join(library)));
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));

    let mut command = Command::new(build.join("vgpu-run"));
    command.args(["--gpu", "gtx1080", "--report", "--"]).arg(&program);
    // Cargo sets it for tests; programs do not have it.
    command.env_remove("LD_LIBRARY_PATH");
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout);
    let report = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.lines().last(), Some("ok end"), "{said}{report}");
    assert!(report.contains("NCCL communicator of several ranks"), "{report}");
}
