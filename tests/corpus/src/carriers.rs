//! Carriers: packages of registries that ship PTX, and where in them it lies.
//!
//! The list is `clients.md` §4 as far as packages are free to fetch. A carrier is fetched by one of `scripts/fetch-…` and then
//! searched whole: every ELF file for fat binaries, and for PTX as plain text where it has none.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use fatbin::{Kind, scan};
use memmap2::Mmap;

/// A package that carries PTX.
#[derive(Debug)]
pub struct Carrier {
    /// Short name, for the table and the command line.
    pub name: &'static str,
    /// The script under `scripts/` that fetches it, and its arguments; it prints a folder.
    fetch: &'static [&'static str],
    /// The part of that folder that is searched.
    under: &'static str,
}

macro_rules! carriers {
    ($($name:literal [$($fetch:literal)*] $under:literal;)*) => {
        /// Every carrier of the census, smaller ones first.
        pub const CARRIERS: &[Carrier] = &[$(Carrier { name: $name, fetch: &[$($fetch),*], under: $under }),*];
    };
}

carriers! {
    "mumax3" ["fetch-mumax3"] "usr/bin";
    "bart" ["fetch-debian" "bart-cuda" "bart-cuda"] "usr";
    "bitsandbytes" ["fetch-wheel" "bitsandbytes" "0.50.2"] "";
    "warp" ["fetch-wheel" "warp-lang" "1.19.0"] "";
    "jax-plugin" ["fetch-wheel" "jax-cuda12-plugin" "0.10.2"] "";
    "curand-debian" ["fetch-debian" "libcurand10" "libcurand10"] "usr";
    "curand" ["fetch-wheel" "nvidia-curand-cu12" "10.3.10.19"] "";
    "nccl" ["fetch-wheel" "nvidia-nccl-cu12" "2.32.3"] "";
    "ctranslate2" ["fetch-wheel" "ctranslate2" "4.8.5"] "";
    "mistralrs" ["fetch-wheel" "mistralrs-cuda" "0.3.2"] "";
    "cupy" ["fetch-wheel" "cupy-cuda12x" "14.2.0"] "";
    "xllamacpp" ["fetch-wheel" "xllamacpp-cuda12x" "0.1.6"] "";
    "jax-pjrt" ["fetch-wheel" "jax-cuda12-pjrt" "0.12.0.1"] "";
    "cufft-debian" ["fetch-debian" "libcufft10" "libcufft10"] "usr";
    "cublas-debian" ["fetch-debian" "libcublas11" "libcublas11"] "usr";
    "xgboost" ["fetch-wheel" "xgboost" "3.2.0"] "";
    "magma" ["fetch-debian" "libmagma2" "libmagma2"] "usr";
    "cublas-12" ["fetch-wheel" "nvidia-cublas-cu12" "12.9.3.13"] "";
    "cublas-13" ["fetch-wheel" "nvidia-cublas" "13.10.0.20"] "";
    "catboost" ["fetch-wheel" "catboost" "1.2.10"] "";
    "cusparse" ["fetch-wheel" "nvidia-cusparse-cu12" "12.5.10.65"] "";
    "cusolver" ["fetch-wheel" "nvidia-cusolver-cu12" "11.7.5.82"] "";
    "tensorflow" ["fetch-wheel" "tensorflow" "2.21.0"] "";
    "spconv" ["fetch-wheel" "spconv-cu120" "2.3.6"] "";
    "gpt4all" ["fetch-gpt4all"] "";
    "fugood-llama" ["fetch-npm" "@fugood/node-llama-linux-x64-cuda" "1.7.15"] "package";
    "fugood-whisper" ["fetch-npm" "@fugood/node-whisper-linux-x64-cuda" "1.1.3"] "package";
    "cyllama" ["fetch-wheel" "cyllama-cuda12" "0.2.18"] "";
    "lloyal" ["fetch-npm" "@lloyal-labs/lloyal.node-linux-x64-cuda" "3.1.1"] "package";
    "llama-cuda" ["fetch-llama"] "node_modules/@node-llama-cpp/linux-x64-cuda";
    "llama-cuda-ext" ["fetch-llama"] "node_modules/@node-llama-cpp/linux-x64-cuda-ext";
}

/// The carrier of this name.
pub fn carrier(name: &str) -> Option<&'static Carrier> {
    CARRIERS.iter().find(|carrier| carrier.name == name)
}

/// A file with PTX in it, mapped.
pub struct Source {
    map: Mmap,
    /// Where each image lies, and which one of its container it is.
    places: Vec<Place>,
}

enum Place {
    /// A container at this offset, and the entry's index.
    Entry(usize, usize),
    /// Plain text.
    Text(std::ops::Range<usize>),
}

impl Carrier {
    /// Fetches the package where that is still to do, and finds the files with PTX.
    pub fn sources(&self) -> Result<Vec<Source>, String> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts");
        let (script, arguments) = self.fetch.split_first().expect("the table names a script");
        let output = Command::new(scripts.join(script))
            .args(arguments)
            .output()
            .map_err(|error| format!("run scripts/{script}: {error}"))?;
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr);
            return Err(format!("scripts/{script} ended with {}: {}", output.status, reason.trim()));
        }
        let printed = String::from_utf8_lossy(&output.stdout);
        let folder = printed.lines().last().ok_or_else(|| format!("scripts/{script} printed no folder"))?;
        let mut files = Vec::new();
        list(&Path::new(folder).join(self.under), &mut files)
            .map_err(|error| format!("list {folder}: {error}"))?;
        files.sort();
        let sources =
            files.iter().map(|path| open(path).map_err(|error| format!("{}: {error}", path.display())));
        Ok(sources.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }
}

/// Regular files below a folder; links are not followed, so that none is counted twice.
fn list(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn open(path: &Path) -> std::io::Result<Option<Source>> {
    let file = File::open(path)?;
    if file.metadata()?.len() < 64 {
        return Ok(None);
    }
    // SAFETY: the cache belongs to this user and `scripts/fetch-…` never rewrites a complete package, so the file does
    // not shrink or change under the map.
    let map = unsafe { Mmap::map(&file)? };
    if !map.starts_with(b"\x7fELF") {
        return Ok(None);
    }
    let mut places = Vec::new();
    for found in scan(&map) {
        let Ok(container) = found.container else { continue };
        let is_ptx = container.entries().iter().map(|entry| entry.kind == Kind::Ptx).enumerate();
        let offset = found.offset as usize;
        places.extend(is_ptx.filter(|(_, ptx)| *ptx).map(|(index, _)| Place::Entry(offset, index)));
    }
    if places.is_empty() {
        places.extend(texts(&map).into_iter().map(Place::Text));
    }
    Ok((!places.is_empty()).then_some(Source { map, places }))
}

/// PTX as text among other data: from `.version` to the last brace before the next one, or before what is no text.
fn texts(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    const START: &[u8] = b".version ";
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some(next) = bytes[at..].iter().position(|byte| *byte == b'.') {
        at += next;
        let rest = &bytes[at..];
        if rest.starts_with(START) && rest[..rest.len().min(64)].windows(7).any(|it| it == b".target") {
            starts.push(at);
        }
        at += 1;
    }
    let limits = starts.iter().skip(1).copied().chain([bytes.len()]);
    starts.iter().zip(limits).filter_map(|(start, limit)| text(bytes, *start, limit)).collect()
}

fn text(bytes: &[u8], start: usize, limit: usize) -> Option<std::ops::Range<usize>> {
    let whole = &bytes[start..limit];
    let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    let end = whole.iter().position(|byte| !is_text(byte)).unwrap_or(whole.len());
    let end = whole[..end].iter().rposition(|byte| *byte == b'}')? + 1;
    let text = std::str::from_utf8(&whole[..end]).ok()?;
    // Another string may follow without a gap: it ends where the scan finds no PTX any more.
    let end = ptx::Module::parse(text).map_or_else(|error| error.at, |_| end);
    Some(start..start + end)
}

impl Source {
    /// How many PTX images there are.
    pub fn images(&self) -> usize {
        self.places.len()
    }

    /// The text of one; an error says what is damaged.
    pub fn image(&self, index: usize) -> Result<String, String> {
        match &self.places[index] {
            Place::Text(range) => {
                String::from_utf8(self.map[range.clone()].to_vec()).map_err(|error| error.to_string())
            }
            Place::Entry(offset, entry) => {
                let container =
                    fatbin::Container::parse(&self.map[*offset..]).map_err(|error| error.to_string())?;
                container.entries()[*entry].text().map_err(|error| error.to_string())
            }
        }
    }
}
