//! Open files to give away: one inode per library, from the cache directory, else a sealed memory file.
//!
//! ```text
//!   file in the cache, ours, hash as listed? ── yes ─▶ given
//!                      └─ no ─▶ written again; still no ─▶ sealed memory file
//! ```
//!
//! Hashes are checked at the first use, which costs more than all the rest of starting; what has been opened stays.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cache::CacheDirectory;
use crate::files::{ENGINE, Files, FilesError, open_program};
use crate::memory::{Use, memory_file};

/// Where the bytes of a given file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// A file of the cache directory.
    Cache,
    /// A sealed memory file: there was no usable cache directory.
    Memory,
}

/// Why a file cannot be given.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Its bytes are not to be had.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// No memory file could be made.
    #[error("cannot make a memory file for `{name}`: {source}")]
    Memory {
        /// Name of the file.
        name: String,
        /// Why.
        source: std::io::Error,
    },
    /// The engine could be put nowhere from where it can be executed.
    #[error(
        "it can be executed neither from memory (`vm.memfd_noexec` forbids it) nor from a cache directory ({cache}); let XDG_CACHE_HOME name a directory that can be written"
    )]
    Engine {
        /// Why there is no cache directory.
        cache: String,
    },
    /// It could not be opened a second time.
    #[error(
        "cannot open `{name}` anew: {source}; that takes /proc or a cache directory ({cache}): mount /proc, or let XDG_CACHE_HOME name a directory that can be written"
    )]
    Again {
        /// Name of the file.
        name: String,
        /// Why there is no cache directory.
        cache: String,
        /// Why not from the descriptor that we have.
        source: std::io::Error,
    },
}

/// Links that a driver's packages bring beside the library.
const LINKS: &[(&str, &str)] = &[("libcuda.so", "libcuda.so.1"), ("libnvidia-ml.so", "libnvidia-ml.so.1")];

/// The directory that is named where there is no real one. Opens of its files are answered like any other.
const NOWHERE: &str = "/run/vgpu-run";

/// `$XDG_CACHE_HOME/vgpu-run`, or `~/.cache/vgpu-run`.
pub fn default_cache() -> Option<PathBuf> {
    let absolute =
        |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("vgpu-run"))
}

/// The payload, ready to be given.
#[derive(Debug)]
pub struct Store {
    files: Arc<Files>,
    cache: Result<CacheDirectory, String>,
    directory: PathBuf,
    open: HashMap<String, (File, Storage)>,
}

impl Store {
    /// Makes sure that a directory of this version below `cache` holds the files; `None` keeps them in memory.
    pub fn new(files: Arc<Files>, cache: Option<&Path>) -> Self {
        let cache = open_cache(&files, cache);
        let version = files.manifest().identity();
        let directory =
            cache.as_ref().map_or_else(|_| Path::new(NOWHERE).join(version), |cache| cache.path().to_owned());
        Self { files, cache, directory, open: HashMap::new() }
    }

    /// The directory that holds the files, or would.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Why the files are in memory, if they are.
    pub fn why_in_memory(&self) -> Option<&str> {
        self.cache.as_ref().err().map(String::as_str)
    }

    /// SONAMEs of the libraries.
    pub fn libraries(&self) -> impl Iterator<Item = &str> {
        self.files.manifest().entries.iter().map(|entry| entry.name.as_str()).filter(|name| is_library(name))
    }

    /// File names that the loader cache lists: the SONAMEs and the driver's links.
    pub fn listed(&self) -> Vec<&str> {
        let has = |name: &str| self.libraries().any(|library| library == name);
        let links = LINKS.iter().filter(|(_, library)| has(library)).map(|(link, _)| *link);
        self.libraries().chain(links).collect()
    }

    /// A fresh open description of a library or program; `None` if the payload has none of that name.
    pub fn open(&mut self, library: &str) -> Result<Option<(OwnedFd, Storage)>, StoreError> {
        let manifest = self.files.manifest();
        let Some(entry) = manifest.entries.iter().find(|entry| entry.name == library) else {
            return Ok(None);
        };
        if !self.open.contains_key(library) {
            let purpose = if is_library(library) { Use::Read } else { Use::Execute };
            let prepared = prepare(&self.files, self.cache.as_ref().ok(), library, &entry.hash, purpose)?;
            self.open.insert(library.to_owned(), prepared);
        }
        let (file, storage) = &self.open[library];
        let from_cache = || self.cache.as_ref().ok()?.open_again(library, file);
        let again = procfs::reopen(file.as_raw_fd()).or_else(|source| {
            from_cache().ok_or_else(|| StoreError::Again {
                name: library.to_owned(),
                cache: self.why_in_memory().unwrap_or("its file can't be opened, or was replaced").to_owned(),
                source,
            })
        })?;
        Ok(Some((again, *storage)))
    }
}

/// The payload's other files are programs.
fn is_library(name: &str) -> bool {
    name.contains(".so")
}

/// The engine's program, open for execution.
#[derive(Debug)]
pub struct Program {
    /// The file.
    pub file: OwnedFd,
    /// What it is called in lists of processes.
    pub name: CString,
}

/// Opens the engine: its own file if it has one, else from the cache directory or memory.
pub fn open_engine(files: &Files, cache: Option<&Path>) -> Result<Program, StoreError> {
    let named = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap_or_default();
    if let Some(path) = files.loose_engine() {
        return Ok(Program { file: open_program(path)?, name: named(path) });
    }
    let cache = open_cache(files, cache);
    let hash = files.cached().into_iter().find(|(name, _)| *name == ENGINE).map_or("", |(_, hash)| hash);
    let (file, storage) = match prepare(files, cache.as_ref().ok(), ENGINE, hash, Use::Execute) {
        Err(StoreError::Memory { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
            let cache = cache.err().unwrap_or_else(|| "its file cannot be written".to_owned());
            return Err(StoreError::Engine { cache });
        }
        prepared => prepared?,
    };
    let path = cache.ok().filter(|_| storage == Storage::Cache).map(|cache| cache.path().join(ENGINE));
    Ok(Program { file: file.into(), name: named(path.as_deref().unwrap_or(Path::new(ENGINE))) })
}

/// The directory of this version with all its files. The error says why there is none.
fn open_cache(files: &Files, home: Option<&Path>) -> Result<CacheDirectory, String> {
    let home = home.ok_or("neither XDG_CACHE_HOME nor HOME is set")?;
    let cache = CacheDirectory::open(home, files.manifest().identity())?;
    if !cache.is_complete() {
        fill(files, &cache).map_err(|why| format!("`{}` cannot be filled: {why}", cache.path().display()))?;
    }
    Ok(cache)
}

fn fill(files: &Files, cache: &CacheDirectory) -> Result<(), String> {
    let mut list = String::new();
    for (name, hash) in files.cached() {
        let bytes = files.read(name).map_err(|error| error.to_string())?;
        cache.write(name, &bytes).map_err(|error| error.to_string())?;
        if let Some((link, _)) = LINKS.iter().find(|(_, library)| *library == name) {
            cache.link(link, name);
        }
        list += &format!("{hash}  {name}\n");
    }
    cache.complete(&list).map_err(|error| error.to_string())
}

fn prepare(
    files: &Files,
    cache: Option<&CacheDirectory>,
    name: &str,
    hash: &str,
    purpose: Use,
) -> Result<(File, Storage), StoreError> {
    if let Some(file) = cache.and_then(|cache| cache.open_verified(name, hash)) {
        return Ok((file, Storage::Cache));
    }
    let bytes = files.read(name)?;
    if let Some(cache) = cache
        && cache.write(name, &bytes).is_ok()
        && let Some(file) = cache.open_verified(name, hash)
    {
        return Ok((file, Storage::Cache));
    }
    let file = memory_file(name, &bytes, purpose)
        .map_err(|source| StoreError::Memory { name: name.to_owned(), source })?;
    Ok((File::from(file), Storage::Memory))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::{LIBRARY, beside, inside};
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::MetadataExt;

    fn read(descriptor: OwnedFd) -> (String, u64) {
        let mut file = File::from(descriptor);
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        (text, file.metadata().unwrap().ino())
    }

    fn open(store: &mut Store, name: &str) -> (OwnedFd, Storage) {
        store.open(name).unwrap().unwrap()
    }

    fn stored(engine: &str, cache: Option<&Path>) -> Store {
        Store::new(Arc::new(inside(engine)), cache)
    }

    #[test]
    fn two_opens_share_the_inode_but_not_the_offset() {
        let place = tempfile::tempdir().unwrap();
        for cache in [Some(place.path()), None] {
            let mut store = stored("engine", cache);
            let (first, storage) = open(&mut store, LIBRARY);
            assert_eq!(storage, if cache.is_some() { Storage::Cache } else { Storage::Memory });
            let (second, _) = open(&mut store, LIBRARY);
            let (first, second) = (read(first), read(second));
            assert_eq!(first, second);
            assert_eq!(first.0, "bytes of libcuda.so.1");
            assert_ne!(first.1, read(open(&mut store, "libcudart.so.12").0).1);
        }
    }

    #[test]
    fn two_runs_share_the_file_and_two_versions_do_not() {
        let place = tempfile::tempdir().unwrap();
        let inode = |engine| read(open(&mut stored(engine, Some(place.path())), LIBRARY).0).1;
        assert_eq!(inode("one"), inode("one"));
        assert_ne!(inode("one"), inode("two"));
    }

    #[test]
    fn an_altered_file_is_written_again() {
        let place = tempfile::tempdir().unwrap();
        let mut store = stored("engine", Some(place.path()));
        let path = store.directory().join(LIBRARY);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "something else").unwrap();
        assert_eq!(read(open(&mut store, LIBRARY).0).0, "bytes of libcuda.so.1");
        assert_eq!(fs::read_to_string(&path).unwrap(), "bytes of libcuda.so.1");
    }

    #[test]
    fn an_altered_payload_is_refused() {
        let (files, directory) = beside();
        fs::write(directory.path().join(LIBRARY), "something else").unwrap();
        let mut store = Store::new(Arc::new(files), None);
        let error = store.open(LIBRARY).unwrap_err().to_string();
        assert!(error.contains("another hash"), "{error}");
        assert!(store.open("libcublas.so.12").unwrap().is_none());
    }

    #[test]
    fn an_unusable_cache_leads_to_memory_and_the_reason_is_kept() {
        let place = tempfile::tempdir().unwrap();
        let in_the_way = place.path().join("file");
        fs::write(&in_the_way, "").unwrap();
        let mut store = stored("engine", Some(&in_the_way));
        assert_eq!(open(&mut store, LIBRARY).1, Storage::Memory);
        assert!(store.directory().starts_with(NOWHERE));
        assert!(store.why_in_memory().unwrap().contains("no directory"), "{:?}", store.why_in_memory());
    }

    #[test]
    fn driver_links_are_made_and_listed() {
        let place = tempfile::tempdir().unwrap();
        let store = stored("engine", Some(place.path()));
        assert_eq!(fs::read_link(store.directory().join("libcuda.so")).unwrap(), Path::new(LIBRARY));
        assert_eq!(store.listed(), [LIBRARY, "libcudart.so.12", "libcuda.so"]);
    }

    #[test]
    fn the_engine_is_a_file_of_the_cache_or_of_memory() {
        let place = tempfile::tempdir().unwrap();
        let files = inside("an engine");
        for cache in [Some(place.path()), None] {
            let program = open_engine(&files, cache).unwrap();
            let name = program.name.to_str().unwrap();
            match cache {
                Some(cache) => {
                    assert!(Path::new(name).starts_with(cache) && name.ends_with(ENGINE), "{name}")
                }
                None => assert_eq!(name, ENGINE),
            }
            assert_eq!(read(program.file).0, "an engine");
        }
    }
}
