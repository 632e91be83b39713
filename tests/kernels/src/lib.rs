//! CUDA C++ kernels, compiled by compilers that nobody here wrote.
//!
//! `cuda/kernels.cu` and the files of `cuda/suite` go through Debian's clang, with a header of our own instead of NVIDIA's, and
//! through NVRTC (`scripts/fetch-nvrtc`), whose code looks different: two compilers, one expected result. What clang lacks
//! without NVIDIA's headers and libraries goes through NVRTC alone.
//!
//! ```text
//!   suite/FILE.cu ──clang, NVRTC──▶ PTX ──────────────────────────┐
//!        └──g++, EXPECTATIONS──▶ program ──prints──▶ `// run:` … ──┴─▶ a fixture (tests/filetests)
//! ```

use std::path::{Path, PathBuf};
use std::process::Command;

/// Who makes PTX of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiler {
    /// Debian's clang 16.
    Clang,
    /// NVRTC 12.9.
    Nvrtc,
    /// NVRTC 12.9 with the CUDA runtime's headers.
    NvrtcWithHeaders,
    /// The same for capability 8.0; those above are for 6.1.
    NvrtcForLater,
    /// The same for capability 9.0.
    NvrtcForHopper,
    /// The same for capability 12.0.
    NvrtcForBlackwell,
}

impl Compiler {
    /// The card, by its profile's name, that runs what it makes.
    pub fn card(self) -> &'static str {
        match self {
            Compiler::NvrtcForLater => "a100",
            Compiler::NvrtcForHopper => "h100",
            Compiler::NvrtcForBlackwell => "rtx5090",
            _ => "gtx1080",
        }
    }

    fn capability(self) -> &'static str {
        match self {
            Compiler::NvrtcForLater => "80",
            Compiler::NvrtcForHopper => "90",
            Compiler::NvrtcForBlackwell => "120",
            _ => "61",
        }
    }
}

/// A file of the suite, and who compiles it.
pub struct Source {
    /// Its name under `cuda/suite`, without `.cu`.
    pub name: &'static str,
    /// The compilers.
    pub compilers: &'static [Compiler],
}

const BOTH: &[Compiler] = &[Compiler::Clang, Compiler::Nvrtc];

/// The suite.
pub const SUITE: &[Source] = &[
    Source { name: "control", compilers: BOTH },
    Source { name: "integers", compilers: BOTH },
    Source { name: "floats", compilers: BOTH },
    Source { name: "memory", compilers: BOTH },
    Source { name: "warps", compilers: BOTH },
    Source { name: "atomics", compilers: BOTH },
    Source { name: "language", compilers: BOTH },
    Source { name: "instructions", compilers: BOTH },
    Source { name: "printing", compilers: BOTH },
    // clang has neither mathematics nor these headers without NVIDIA's toolkit.
    Source { name: "math", compilers: &[Compiler::Nvrtc] },
    Source { name: "headers", compilers: &[Compiler::NvrtcWithHeaders] },
    Source { name: "later", compilers: &[Compiler::NvrtcForLater] },
    Source { name: "matrices", compilers: &[Compiler::NvrtcForLater] },
    Source { name: "asynchronous", compilers: &[Compiler::NvrtcForLater] },
    Source { name: "hopper", compilers: &[Compiler::NvrtcForHopper] },
    Source { name: "blackwell", compilers: &[Compiler::NvrtcForBlackwell] },
];

impl Source {
    fn path(&self) -> PathBuf {
        sources().join("suite").join(self.name).with_extension("cu")
    }

    /// The comment that makes a fixture of the file's kernels: inputs, and what each kernel has to do, computed by the host.
    /// `program`: where the host's program is put.
    pub fn expectations(&self, program: &Path) -> Result<String, String> {
        let mut compiler = Command::new("g++");
        compiler.args([
            "-std=c++17",
            "-x",
            "c++",
            "-DEXPECTATIONS",
            "-O1",
            "-w",
            "-fwrapv",
            "-ffp-contract=off",
        ]);
        text_of(compiler.arg("-o").arg(program).arg(self.path()))?;
        text_of(&mut Command::new(program))
    }

    /// The file's kernels as PTX.
    pub fn compile(&self, compiler: Compiler) -> Result<String, String> {
        compile(&self.path(), compiler)
    }
}

/// `cuda/NAME.cu` as PTX for sm_61.
pub fn kernels(name: &str, compiler: Compiler) -> Result<String, String> {
    compile(&sources().join(name).with_extension("cu"), compiler)
}

fn sources() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cuda")
}

/// `cuda/NAME.cu` as PTX that names the lines that its instructions come from.
pub fn kernels_with_lines(name: &str, compiler: Compiler) -> Result<String, String> {
    let source = sources().join(name).with_extension("cu");
    match compiler {
        Compiler::Clang => by_clang(&source, &["-gline-tables-only"]),
        _ => text_of(nvrtc(&source, compiler)?.env("NVRTC_OPTIONS", "--generate-line-info")),
    }
}

/// A file as PTX.
pub fn compile(source: &Path, compiler: Compiler) -> Result<String, String> {
    if compiler == Compiler::Clang {
        return by_clang(source, &[]);
    }
    text_of(&mut nvrtc(source, compiler)?)
}

fn nvrtc(source: &Path, compiler: Compiler) -> Result<Command, String> {
    let mut command = Command::new("python3");
    command.arg(sources().join("nvrtc.py")).arg(corpus::fetch("fetch-nvrtc")?);
    command.arg(compiler.capability()).arg(source);
    if compiler != Compiler::Nvrtc {
        command.arg(corpus::fetch("fetch-cuda-headers")?);
    }
    Ok(command)
}

fn by_clang(source: &Path, options: &[&str]) -> Result<String, String> {
    let mut command = Command::new("clang-16");
    command.args(["-x", "cuda", "--cuda-device-only", "--cuda-gpu-arch=sm_61", "-nocudainc", "-nocudalib"]);
    command.args(["-std=c++17", "-O2", "-S", "-w", "-Xclang", "-target-feature", "-Xclang", "+ptx64"]);
    text_of(command.args(options).args(["-ffp-contract=off", "-o", "-"]).arg(source))
}

fn text_of(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("run {command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}
