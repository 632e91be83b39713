//! Device code that nobody here wrote: the fat binaries of real clients, fetched by package name into a cache.
//!
//! A **client** is a package and the library in it that carries fat binaries; `scripts/fetch-…` puts it into
//! `${XDG_CACHE_HOME:-~/.cache}/vgpu-run-tests/`. Nothing of a client is part of this repository.

pub mod carriers;
pub mod census;
pub mod compile;

use std::path::{Path, PathBuf};
use std::process::Command;

use fatbin::{Found, NoCode, scan};
use filetests::executor::Loaded;
use memmap2::Mmap;

/// A library with fat binaries, in a package of somebody else's.
#[derive(Debug)]
pub struct Client {
    /// Short name, for messages and the command line.
    pub name: &'static str,
    /// The script under `scripts/` that fetches it and prints its folder.
    script: &'static str,
    /// The library inside that folder.
    library: &'static str,
}

/// Every client whose PTX we promise to run, each at capability 6.1.
pub const CLIENTS: &[Client] = &[
    Client {
        name: "cuda-ext",
        script: "fetch-llama",
        library: "node_modules/@node-llama-cpp/linux-x64-cuda-ext/bins/linux-x64-cuda/fallback/libggml-cuda.so",
    },
    Client {
        name: "gpt4all",
        script: "fetch-gpt4all",
        library: "gpt4all/llmodel_DO_NOT_MODIFY/build/libllamamodel-mainline-cuda.so",
    },
];

/// The client of this name.
pub fn client(name: &str) -> Option<&'static Client> {
    CLIENTS.iter().find(|client| client.name == name)
}

/// Runs `scripts/NAME`, which prints the folder that it filled.
pub fn fetch(script: &str) -> Result<PathBuf, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts").join(script);
    let output = Command::new(&path).output().map_err(|error| format!("run {}: {error}", path.display()))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(format!("scripts/{script} ended with {}: {}", output.status, reason.trim()));
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    let folder = printed.lines().last().ok_or_else(|| format!("scripts/{script} printed no folder"))?;
    Ok(PathBuf::from(folder))
}

/// A client's library, mapped.
pub struct Library {
    map: Mmap,
}

impl Client {
    /// Fetches the package where that is still to do, and maps the library.
    pub fn open(&self) -> Result<Library, String> {
        let path = fetch(self.script)?.join(self.library);
        let open = || {
            let file = std::fs::File::open(&path)?;
            // SAFETY: the cache belongs to this user and `scripts/fetch-…` never rewrites a complete package, so
            // the file does not shrink or change under the map.
            unsafe { Mmap::map(&file) }
        };
        Ok(Library { map: open().map_err(|error| format!("map {}: {error}", path.display()))? })
    }
}

impl Library {
    /// Its containers, headers only.
    pub fn containers(&self) -> impl Iterator<Item = Found<'_>> {
        scan(&self.map)
    }

    /// The PTX of every container for a device of this capability.
    pub fn images(&self, capability: u32) -> impl Iterator<Item = Result<String, NoCode>> {
        self.containers().filter_map(|found| found.container.ok()).map(move |it| it.best_ptx(capability))
    }
}

/// What became of a library's kernels.
#[derive(Debug, Default)]
pub struct Decoded {
    /// Kernels that can run.
    pub decoded: usize,
    /// Kernels (or, where a module does not load, the module by number) and why not.
    pub refused: Vec<(String, String)>,
}

/// Parses every image for `capability` and decodes all of its kernels.
pub fn decode(library: &Library, capability: u32) -> Decoded {
    let mut outcome = Decoded::default();
    for (index, text) in library.images(capability).enumerate() {
        let result =
            text.map_err(|error| error.to_string()).and_then(|text| decode_module(&text, &mut outcome));
        if let Err(error) = result {
            outcome.refused.push((format!("module {index}"), error));
        }
    }
    outcome
}

fn decode_module(text: &str, outcome: &mut Decoded) -> Result<(), String> {
    let loaded = Loaded::new(text)?;
    for name in loaded.entries() {
        match loaded.kernel(&name) {
            Ok(_) => outcome.decoded += 1,
            Err(reason) => outcome.refused.push((name, reason)),
        }
    }
    Ok(())
}
