//! The kernels' PTX, made by NVRTC (`scripts/fetch-nvrtc`) when a source has changed, kept in the build directory.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use kernels::Compiler;

use crate::problem::Module;

/// Name, text and compiler of a module's source.
fn source(module: Module) -> (&'static str, &'static str, Compiler) {
    match module {
        Module::Plain => ("kernels.cu", include_str!("../kernels/kernels.cu"), Compiler::Nvrtc),
        Module::Tensor => ("tensor.cu", include_str!("../kernels/tensor.cu"), Compiler::NvrtcForLater),
    }
}

/// A module's PTX, compiled by [`compile`].
pub fn ptx(module: Module) -> Result<String, String> {
    let file = made(module);
    fs::read_to_string(&file).map_err(|error| format!("read {}: {error}", file.display()))
}

/// Compiles what has not been compiled yet.
pub fn compile() -> Result<(), String> {
    for module in Module::ALL {
        let file = made(module);
        if !file.is_file() {
            let (name, _, compiler) = source(module);
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels").join(name);
            let text = kernels::compile(&path, compiler)?;
            let folder = file.parent().ok_or("no build directory")?;
            fs::create_dir_all(folder)
                .and_then(|()| fs::write(&file, text))
                .map_err(|error| format!("write {}: {error}", file.display()))?;
        }
    }
    Ok(())
}

/// `target/bench-kernels/NAME.HASH.ptx`.
fn made(module: Module) -> PathBuf {
    let (name, text, _) = source(module);
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    build_directory().join("bench-kernels").join(format!("{name}.{:016x}.ptx", hasher.finish()))
}

/// Above the directory that this program was built into.
pub fn build_directory() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program.ancestors().nth(2).unwrap_or(Path::new(".")).to_owned()
}
