//! CUDA C++ kernels, compiled by compilers that nobody here wrote.
//!
//! `cuda/kernels.cu` goes through Debian's clang, with a header of our own instead of NVIDIA's, and through NVRTC
//! (`scripts/fetch-nvrtc`), whose code looks different: two compilers, one expected result.

use std::path::PathBuf;
use std::process::Command;

fn sources() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cuda")
}

/// The kernels as PTX for sm_61 by Debian's clang 16.
pub fn by_clang() -> Result<String, String> {
    let mut command = Command::new("clang-16");
    command.args([
        "-x",
        "cuda",
        "--cuda-device-only",
        "--cuda-gpu-arch=sm_61",
        "-nocudainc",
        "-nocudalib",
        "-O2",
        "-S",
    ]);
    command.args(["-Xclang", "-target-feature", "-Xclang", "+ptx64", "-ffp-contract=off", "-o", "-"]);
    text_of(command.arg(sources().join("kernels.cu")))
}

/// The kernels as PTX for sm_61 by NVRTC 12.9, through a few lines of Python.
pub fn by_nvrtc() -> Result<String, String> {
    let folder = corpus::fetch("fetch-nvrtc")?;
    text_of(
        Command::new("python3").arg(sources().join("nvrtc.py")).arg(folder).arg(sources().join("kernels.cu")),
    )
}

/// `cuda/grid.cu`, which uses NVIDIA's headers, as PTX for sm_61 by NVRTC.
pub fn with_nvidias_headers() -> Result<String, String> {
    let (compiler, headers) = (corpus::fetch("fetch-nvrtc")?, corpus::fetch("fetch-cuda-headers")?);
    let mut command = Command::new("python3");
    text_of(command.arg(sources().join("nvrtc.py")).arg(compiler).arg(sources().join("grid.cu")).arg(headers))
}

fn text_of(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("run {command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}
