//! Textures, surfaces and CUDA arrays: kernels by NVRTC, a C program over both interfaces.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kernels::Compiler;

fn build_folder() -> PathBuf {
    let program = std::env::current_exe().expect("the test's own path");
    program.ancestors().nth(2).expect("a build directory").into()
}

fn finished(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn compiled(build: &Path) -> PathBuf {
    let target = build.join("textures");
    let libraries = ["libcudart.so.12", "libcuda.so.1"].map(|name| build.join("payload").join(name));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/cuda/textures.c");
    let mut command = Command::new("cc");
    command.args(["-O1", "-Wall", "-o"]).arg(&target).arg(source).args(libraries).arg("-lm");
    let output = finished(&mut command);
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    target
}

#[test]
fn textures_surfaces_and_arrays_give_what_the_programming_guide_says() {
    let build = build_folder();
    let module = build.join("textures.ptx");
    let text = kernels::kernels("textures", Compiler::Nvrtc).expect("NVRTC compiles textures.cu");
    std::fs::write(&module, text).expect("a module");
    let vgpu_run = build.join("vgpu-run");
    assert!(vgpu_run.exists(), "no {}; hint: `make build`", vgpu_run.display());
    let mut command = Command::new(vgpu_run);
    command.args(["--gpu", "gtx1080", "--"]).arg(compiled(&build)).arg(module);
    // Cargo sets it for tests; programs do not have it.
    let output = finished(command.env_remove("LD_LIBRARY_PATH"));
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    println!("{printed}");
    assert!(printed.starts_with("49 kinds of lookups; ") && printed.ends_with(" 0 failed\n"), "{printed}");
}
