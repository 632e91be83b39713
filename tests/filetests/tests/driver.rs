//! Every fixture through the driver API, on the virtual GPU.

use std::path::Path;
use std::process::Command;

#[test]
fn every_fixture_gives_what_it_promises_through_the_driver_api() {
    let program = Path::new(env!("CARGO_BIN_EXE_filetests-driver"));
    let vgpu_run = program.with_file_name("vgpu-run");
    assert!(vgpu_run.exists(), "no {}: run `make build`", vgpu_run.display());
    let output = Command::new(vgpu_run)
        .args(["--gpu", "h100", "--"])
        .arg(program)
        .arg(format!("{}/../ptx", env!("CARGO_MANIFEST_DIR")))
        .output()
        .expect("vgpu-run starts");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    let runs = printed.split_whitespace().next().and_then(|word| word.parse::<usize>().ok());
    assert!(runs.is_some_and(|runs| runs > 700), "{printed}");
}
