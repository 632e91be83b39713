//! Keeps one inode per library: a verified file of the cache directory, else a sealed memory file.
//!
//! ```text
//!   payload/SHA256SUMS ─▶ <cache>/<hash>/       copied once per version: written aside, then renamed
//!   first use ─▶ file there, hash as listed, directory executable? ── yes ─▶ given
//!                                  └─ no ─▶ written again; still no ─▶ sealed memory file
//! ```
//!
//! Whoever owns the files can alter them, hence the check at the first use; what has been opened stays.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::manifest::{self, Manifest, ManifestError};

/// Where the bytes of a given library are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// A file of the cache directory.
    Cache,
    /// A sealed memory file: there was no usable cache directory.
    Memory,
}

/// Why the payload could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// There is no list of libraries.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file of the payload could not be read.
    #[error("cannot read payload library `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of the payload is not what the list says.
    #[error("payload library `{}` has another hash than its list says; build or install it again", path.display())]
    Altered {
        /// The file.
        path: PathBuf,
    },
    /// No memory file could be made.
    #[error("cannot make a memory file for `{name}`: {source}")]
    Memory {
        /// SONAME of the library.
        name: String,
        /// Why.
        source: std::io::Error,
    },
}

/// Links that a driver's packages bring beside the library.
const LINKS: &[(&str, &str)] = &[("libcuda.so", "libcuda.so.1"), ("libnvidia-ml.so", "libnvidia-ml.so.1")];

/// Versions that nobody has used for this long are removed.
const KEEP: Duration = Duration::from_secs(30 * 24 * 3600);

/// The directory that is named where there is no real one. Opens of its files are answered like any other.
const NOWHERE: &str = "/run/vgpu-run";

/// The payload, ready to be given.
#[derive(Debug)]
pub struct Installation {
    source: PathBuf,
    manifest: Manifest,
    directory: PathBuf,
    on_disk: bool,
    open: HashMap<String, (File, Storage)>,
}

impl Installation {
    /// Prepares the payload of `source` for use from a directory below `cache`.
    pub fn new(source: &Path, cache: Option<&Path>) -> Result<Self, InstallError> {
        let manifest = Manifest::read(source)?;
        let installed = cache.and_then(|cache| {
            let directory = cache.join(manifest.identity());
            install(source, &manifest, cache, &directory).ok()?;
            may_be_executed(&directory).then_some(directory)
        });
        let on_disk = installed.is_some();
        let directory = installed.unwrap_or_else(|| Path::new(NOWHERE).join(manifest.identity()));
        Ok(Self { source: source.to_owned(), manifest, directory, on_disk, open: HashMap::new() })
    }

    /// No payload at all.
    pub fn empty() -> Self {
        Self {
            source: PathBuf::new(),
            manifest: Manifest::default(),
            directory: PathBuf::from(NOWHERE),
            on_disk: false,
            open: HashMap::new(),
        }
    }

    /// The directory that holds the files, or would.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// SONAMEs of the libraries.
    pub fn libraries(&self) -> impl Iterator<Item = &str> {
        self.manifest.entries.iter().map(|entry| entry.name.as_str())
    }

    /// File names that the loader cache lists: the SONAMEs and the driver's links.
    pub fn listed(&self) -> Vec<&str> {
        let has = |name: &str| self.libraries().any(|library| library == name);
        let links = LINKS.iter().filter(|(_, library)| has(library)).map(|(link, _)| *link);
        self.libraries().chain(links).collect()
    }

    /// A fresh open description of a library; `None` if the payload has no such library.
    pub fn open(&mut self, library: &str) -> Result<Option<(OwnedFd, Storage)>, InstallError> {
        let Some(entry) = self.manifest.entries.iter().find(|entry| entry.name == library) else {
            return Ok(None);
        };
        if !self.open.contains_key(library) {
            let prepared = self.prepare(&entry.name, &entry.hash)?;
            self.open.insert(library.to_owned(), prepared);
        }
        let (file, storage) = &self.open[library];
        let copy = crate::reopen(file)
            .map_err(|source| InstallError::Memory { name: library.to_owned(), source })?;
        Ok(Some((copy, *storage)))
    }

    fn prepare(&self, name: &str, hash: &str) -> Result<(File, Storage), InstallError> {
        let installed = self.directory.join(name);
        if self.on_disk
            && let Some(file) = open_verified(&installed, hash)
        {
            return Ok((file, Storage::Cache));
        }
        let path = self.source.join(name);
        let bytes = fs::read(&path).map_err(|source| InstallError::Read { path: path.clone(), source })?;
        if manifest::hash(&bytes) != hash {
            return Err(InstallError::Altered { path });
        }
        if self.on_disk
            && write_aside(&installed, &bytes).is_ok()
            && let Some(file) = open_verified(&installed, hash)
        {
            return Ok((file, Storage::Cache));
        }
        let file = memory_file(name, &bytes)
            .map_err(|source| InstallError::Memory { name: name.to_owned(), source })?;
        Ok((File::from(file), Storage::Memory))
    }
}

/// A sealed memory file.
pub fn memory_file(name: &str, bytes: &[u8]) -> std::io::Result<OwnedFd> {
    let name = CString::new(name)?;
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // Libraries are mapped, never executed. Kernels before 6.3 do not know the flag that says so.
    let fd = [flags | libc::MFD_NOEXEC_SEAL, flags]
        .into_iter()
        // SAFETY: `name` ends in NUL and outlives the call.
        .map(|flags| unsafe { libc::memfd_create(name.as_ptr(), flags) })
        .find(|&fd| fd >= 0)
        .ok_or_else(std::io::Error::last_os_error)?;
    // SAFETY: the kernel has just given us this descriptor.
    let mut file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    file.write_all(bytes)?;
    let seals = libc::F_SEAL_WRITE | libc::F_SEAL_GROW | libc::F_SEAL_SHRINK | libc::F_SEAL_SEAL;
    // SAFETY: adds seals to a descriptor of ours; no memory is involved.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } < 0 {
        return Err(std::io::Error::last_os_error());
    }
    crate::reopen(&file)
}

/// Copies the payload into its directory unless a complete one is there.
fn install(source: &Path, manifest: &Manifest, cache: &Path, directory: &Path) -> std::io::Result<()> {
    let complete = directory.join(manifest::FILE_NAME);
    if complete.exists() {
        // Its time says when this version was last used. Only its owner can set that, which is as it should be.
        let _ = File::open(&complete).and_then(|file| file.set_modified(SystemTime::now()));
        return Ok(());
    }
    fs::create_dir_all(directory)?;
    for entry in &manifest.entries {
        write_aside(&directory.join(&entry.name), &fs::read(source.join(&entry.name))?)?;
    }
    for (link, library) in LINKS {
        if directory.join(library).exists() && !directory.join(link).exists() {
            // Another run may have made it meanwhile.
            let _ = std::os::unix::fs::symlink(library, directory.join(link));
        }
    }
    write_aside(&complete, &fs::read(source.join(manifest::FILE_NAME))?)?;
    remove_old_versions(cache, directory);
    Ok(())
}

/// Writes a file under a name of its own and renames it, so that nobody ever sees a part of it.
fn write_aside(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{}", std::process::id()));
    let written = (|| {
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o555).open(&aside)?;
        file.write_all(bytes)?;
        fs::rename(&aside, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&aside);
    }
    written
}

fn open_verified(path: &Path, hash: &str) -> Option<File> {
    let mut file = File::open(path).ok()?;
    (manifest::hash_of(&mut file).ok()? == hash).then_some(file)
}

/// A loader must be able to map code from the directory.
fn may_be_executed(directory: &Path) -> bool {
    let Ok(path) = CString::new(directory.as_os_str().as_bytes()) else { return false };
    // SAFETY: all-zero is a valid `statvfs`.
    let mut facts: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: `path` ends in NUL, `facts` is ours to write, and both outlive the call.
    unsafe { libc::statvfs(path.as_ptr(), &mut facts) == 0 && facts.f_flag & libc::ST_NOEXEC == 0 }
}

fn remove_old_versions(cache: &Path, current: &Path) {
    let Ok(entries) = fs::read_dir(cache) else { return };
    for directory in entries.flatten().map(|entry| entry.path()).filter(|path| path != current) {
        let last_use = directory.join(manifest::FILE_NAME).metadata().and_then(|facts| facts.modified());
        if last_use.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > KEEP)) {
            let _ = fs::remove_dir_all(directory);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::fs::{FileExt, MetadataExt};

    /// A payload of two libraries and its manifest, in a directory of its own.
    pub fn payload() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let mut sums = String::new();
        for name in ["libcuda.so.1", "libcudart.so.12"] {
            let bytes = format!("bytes of {name}");
            fs::write(directory.path().join(name), &bytes).unwrap();
            sums += &format!("{}  {name}\n", manifest::hash(bytes.as_bytes()));
        }
        fs::write(directory.path().join(manifest::FILE_NAME), sums).unwrap();
        directory
    }

    fn read(fd: OwnedFd) -> (String, u64) {
        let mut file = File::from(fd);
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        (text, file.metadata().unwrap().ino())
    }

    fn open(installation: &mut Installation, name: &str) -> (OwnedFd, Storage) {
        installation.open(name).unwrap().unwrap()
    }

    #[test]
    fn two_opens_share_the_inode_but_not_the_offset() {
        let (source, cache) = (payload(), tempfile::tempdir().unwrap());
        for cache in [Some(cache.path()), None] {
            let mut installation = Installation::new(source.path(), cache).unwrap();
            let (first, storage) = open(&mut installation, "libcuda.so.1");
            assert_eq!(storage, if cache.is_some() { Storage::Cache } else { Storage::Memory });
            let (second, _) = open(&mut installation, "libcuda.so.1");
            let (first, second) = (read(first), read(second));
            assert_eq!(first, second);
            assert_eq!(first.0, "bytes of libcuda.so.1");
            assert_ne!(first.1, read(open(&mut installation, "libcudart.so.12").0).1);
        }
    }

    #[test]
    fn two_runs_share_the_file() {
        let (source, cache) = (payload(), tempfile::tempdir().unwrap());
        let inode = || {
            read(open(&mut Installation::new(source.path(), Some(cache.path())).unwrap(), "libcuda.so.1").0).1
        };
        assert_eq!(inode(), inode());
    }

    #[test]
    fn an_altered_file_is_written_again() {
        let (source, cache) = (payload(), tempfile::tempdir().unwrap());
        let mut installation = Installation::new(source.path(), Some(cache.path())).unwrap();
        let path = installation.directory().join("libcuda.so.1");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "something else").unwrap();
        assert_eq!(read(open(&mut installation, "libcuda.so.1").0).0, "bytes of libcuda.so.1");
        assert_eq!(fs::read_to_string(&path).unwrap(), "bytes of libcuda.so.1");
    }

    #[test]
    fn an_altered_payload_is_refused() {
        let source = payload();
        fs::write(source.path().join("libcuda.so.1"), "something else").unwrap();
        let mut installation = Installation::new(source.path(), None).unwrap();
        let error = installation.open("libcuda.so.1").unwrap_err().to_string();
        assert!(error.contains("another hash"), "{error}");
        assert!(installation.open("libcublas.so.12").unwrap().is_none());
    }

    #[test]
    fn an_unusable_cache_leads_to_memory() {
        let (source, cache) = (payload(), tempfile::tempdir().unwrap());
        let in_the_way = cache.path().join("file");
        fs::write(&in_the_way, "").unwrap();
        let mut installation = Installation::new(source.path(), Some(&in_the_way)).unwrap();
        assert_eq!(open(&mut installation, "libcuda.so.1").1, Storage::Memory);
        assert!(installation.directory().starts_with(NOWHERE));
    }

    #[test]
    fn driver_links_are_made_and_listed() {
        let (source, cache) = (payload(), tempfile::tempdir().unwrap());
        let installation = Installation::new(source.path(), Some(cache.path())).unwrap();
        assert_eq!(
            fs::read_link(installation.directory().join("libcuda.so")).unwrap(),
            Path::new("libcuda.so.1")
        );
        assert_eq!(installation.listed(), ["libcuda.so.1", "libcudart.so.12", "libcuda.so"]);
    }

    #[test]
    fn old_versions_go_and_others_stay() {
        let (source, cache) = (payload(), tempfile::tempdir().unwrap());
        for (name, age) in [("old", KEEP * 2), ("recent", Duration::from_secs(60))] {
            fs::create_dir(cache.path().join(name)).unwrap();
            let mark = File::create(cache.path().join(name).join(manifest::FILE_NAME)).unwrap();
            mark.set_modified(SystemTime::now() - age).unwrap();
        }
        fs::create_dir(cache.path().join("not ours")).unwrap();
        Installation::new(source.path(), Some(cache.path())).unwrap();
        let there = |name| cache.path().join(name).exists();
        assert!(!there("old") && there("recent") && there("not ours"));
    }

    #[test]
    fn memory_files_are_sealed() {
        let file = File::from(memory_file("x", b"text").unwrap());
        assert!(file.write_at(b"y", 0).is_err());
        let again = File::options().write(true).open(format!("/proc/self/fd/{}", file.as_raw_fd()));
        assert!(again.is_err() || again.unwrap().write_at(b"y", 0).is_err());
    }
}
