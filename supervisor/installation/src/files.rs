//! Where our files come from.

use std::env;
use std::ffi::{CStr, OsStr};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::archive::{Archive, ArchiveError};
use crate::manifest::{self, Manifest, ManifestError};

/// Names a directory with `vgpu-engine` and `payload/`, to be used instead of what lies inside or beside `vgpu-run`.
pub const VGPU_RUN_LIBEXEC: &str = "VGPU_RUN_LIBEXEC";

/// File name of the engine.
pub const ENGINE: &str = "vgpu-engine";

/// All files of one version.
#[derive(Debug)]
pub struct Files {
    source: Source,
    manifest: Manifest,
}

#[derive(Debug)]
enum Source {
    Beside { payload: PathBuf, engine: PathBuf },
    Inside(Archive),
}

/// Where files come from, in a few words: `to_string` for `--version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From this directory.
    Beside(PathBuf),
    /// From the executable itself, in which they take this many bytes.
    Inside(usize),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Beside(directory) => write!(out, "payload and engine from `{}`", directory.display()),
            Origin::Inside(bytes) => write!(out, "payload and engine inside this file ({} KiB)", bytes >> 10),
        }
    }
}

/// Why a file of ours cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// Our own executable could not be opened.
    #[error("cannot open the executable of vgpu-run: {0}")]
    Executable(io::Error),
    /// The archive in the executable is damaged.
    #[error("the executable of vgpu-run is damaged: {0}")]
    Archive(#[from] ArchiveError),
    /// There is no list of libraries.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file could not be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what the list says.
    #[error("`{0}` has another hash than its list says; build or install it again")]
    Altered(String),
    /// There is no such file.
    #[error("there is no `{0}`")]
    None(String),
}

impl Files {
    /// Looks for them: where VGPU_RUN_LIBEXEC says, inside the executable, beside it.
    pub fn find() -> Result<Self, FilesError> {
        if let Some(directory) = env::var_os(VGPU_RUN_LIBEXEC).map(PathBuf::from) {
            return Self::beside(directory.join("payload"), directory.join(ENGINE));
        }
        if let Some(archive) = Archive::of(own_executable().map_err(FilesError::Executable)?)? {
            return Ok(Self::inside(archive));
        }
        let program = own_path().map_err(FilesError::Executable)?;
        let candidates = directories(&program);
        let payload =
            candidates.iter().find(|directory| directory.is_dir()).unwrap_or(&candidates[0]).clone();
        Self::beside(payload.clone(), engine_beside(&program, &payload))
    }

    /// Files of a build: the directory of the payload, with its list of hashes, and the engine.
    pub fn beside(payload: PathBuf, engine: PathBuf) -> Result<Self, FilesError> {
        let manifest = Manifest::read(&payload)?;
        Ok(Self { source: Source::Beside { payload, engine }, manifest })
    }

    /// Files of an archive.
    pub(crate) fn inside(archive: Archive) -> Self {
        let libraries = archive.members().iter().filter(|member| member.name != ENGINE);
        let entries = libraries
            .map(|member| manifest::Entry { name: member.name.clone(), hash: member.hash.clone() })
            .collect();
        let manifest = Manifest::of(entries, archive.index());
        Self { source: Source::Inside(archive), manifest }
    }

    /// The payload libraries and their hashes.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where they come from.
    pub fn origin(&self) -> Origin {
        match &self.source {
            Source::Beside { payload, .. } => Origin::Beside(payload.clone()),
            Source::Inside(archive) => Origin::Inside(archive.stored()),
        }
    }

    /// The directory below `cache` that holds these files, or would.
    pub fn directory_in(&self, cache: &Path) -> PathBuf {
        cache.join(self.manifest.identity())
    }

    /// A descriptor to be left open by whoever closes everything.
    pub fn descriptor(&self) -> Option<RawFd> {
        match &self.source {
            Source::Beside { .. } => None,
            Source::Inside(archive) => Some(archive.file().as_raw_fd()),
        }
    }

    /// Names and hashes of all files that are copied into the cache directory.
    pub(crate) fn cached(&self) -> Vec<(&str, &str)> {
        match &self.source {
            Source::Beside { .. } => {
                self.manifest.entries.iter().map(|entry| (&*entry.name, &*entry.hash)).collect()
            }
            Source::Inside(archive) => {
                archive.members().iter().map(|member| (&*member.name, &*member.hash)).collect()
            }
        }
    }

    /// The engine's file, if it is one by itself.
    pub(crate) fn loose_engine(&self) -> Option<&Path> {
        match &self.source {
            Source::Beside { engine, .. } => Some(engine),
            Source::Inside(_) => None,
        }
    }

    /// The bytes of a library, or of the engine if it has no file of its own; checked against the hash in the list.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, FilesError> {
        let listed = self.cached().into_iter().find(|(known, _)| *known == name);
        let (_, hash) = listed.ok_or_else(|| FilesError::None(name.to_owned()))?;
        let bytes = match &self.source {
            Source::Beside { payload, .. } => {
                let path = payload.join(name);
                fs::read(&path).map_err(|source| FilesError::Read { path, source })?
            }
            Source::Inside(archive) => {
                let member = archive.members().iter().find(|member| member.name == name);
                archive.read(member.ok_or_else(|| FilesError::None(name.to_owned()))?)?
            }
        };
        if manifest::hash(&bytes) != hash {
            return Err(FilesError::Altered(name.to_owned()));
        }
        Ok(bytes)
    }
}

/// Our executable as it is running, even if its file has been replaced since; without /proc by the name that we were
/// started with.
fn own_executable() -> io::Result<File> {
    procfs::open("self/exe").or_else(|_| File::open(started_as()?))
}

fn own_path() -> io::Result<PathBuf> {
    procfs::read_link("self/exe").or_else(|_| fs::canonicalize(started_as()?))
}

/// The path that `exec` was given.
fn started_as() -> io::Result<PathBuf> {
    // SAFETY: the call takes a number.
    let address = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const libc::c_char;
    if address.is_null() {
        return Err(io::ErrorKind::NotFound.into());
    }
    // SAFETY: the kernel put a text that ends in NUL there, above the stack, where nobody writes.
    let path = unsafe { CStr::from_ptr(address) };
    Ok(PathBuf::from(OsStr::from_bytes(path.to_bytes())))
}

/// Where the payload of an installed or freshly built program may lie, best first.
fn directories(program: &Path) -> Vec<PathBuf> {
    let mut places = vec![program.with_file_name("payload")];
    if let Some(prefix) = program.parent().and_then(Path::parent) {
        places.push(prefix.join("lib/vgpu-run/payload"));
        // Test programs lie one directory below the build's programs.
        places.push(prefix.join("payload"));
    }
    places
}

fn engine_beside(program: &Path, payload: &Path) -> PathBuf {
    let candidates = [program.with_file_name(ENGINE), payload.with_file_name(ENGINE)];
    candidates.iter().find(|engine| engine.is_file()).unwrap_or(&candidates[0]).clone()
}

/// Opens a file that is a program by itself.
pub(crate) fn open_program(path: &Path) -> Result<OwnedFd, FilesError> {
    let opened = File::open(path).map_err(|source| FilesError::Read { path: path.to_owned(), source });
    opened.map(OwnedFd::from)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::archive::tests::file_of;
    use crate::{Packed, append, hash};

    pub const LIBRARY: &str = "libcuda.so.1";

    /// Two libraries and an engine, inside an executable.
    pub fn inside(engine: &str) -> Files {
        let files = [
            Packed { name: LIBRARY, bytes: b"bytes of libcuda.so.1" },
            Packed { name: "libcudart.so.12", bytes: b"bytes of libcudart.so.12" },
            Packed { name: ENGINE, bytes: engine.as_bytes() },
        ];
        Files::inside(Archive::of(file_of(&append(b"\x7fELF", &files))).unwrap().unwrap())
    }

    /// The libraries beside an executable, in a directory of their own.
    pub fn beside() -> (Files, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let mut sums = String::new();
        for name in [LIBRARY, "libcudart.so.12"] {
            let bytes = format!("bytes of {name}");
            fs::write(directory.path().join(name), &bytes).unwrap();
            sums += &format!("{}  {name}\n", hash(bytes.as_bytes()));
        }
        fs::write(directory.path().join(manifest::FILE_NAME), sums).unwrap();
        let engine = directory.path().join(ENGINE);
        (Files::beside(directory.path().to_owned(), engine).unwrap(), directory)
    }

    #[test]
    fn libraries_are_read_from_either_place_and_the_engine_is_none() {
        let (beside, _directory) = beside();
        for files in [inside("engine"), beside] {
            assert_eq!(files.read(LIBRARY).unwrap(), b"bytes of libcuda.so.1");
            assert!(files.manifest().entries.iter().all(|entry| entry.name != ENGINE));
            assert_eq!(files.manifest().entries.len(), 2);
            let error = files.read("libcublas.so.12").unwrap_err().to_string();
            assert_eq!(error, "there is no `libcublas.so.12`");
        }
    }

    #[test]
    fn another_engine_is_another_version() {
        assert_ne!(inside("one").manifest().identity(), inside("two").manifest().identity());
    }

    #[test]
    fn an_altered_library_is_refused() {
        let (files, directory) = beside();
        fs::write(directory.path().join(LIBRARY), "something else").unwrap();
        let error = files.read(LIBRARY).unwrap_err().to_string();
        assert!(error.contains("another hash"), "{error}");
    }

    #[test]
    fn own_executable_is_found_with_and_without_proc() {
        use std::os::unix::fs::MetadataExt;
        let inode = |file: File| file.metadata().unwrap().ino();
        assert_eq!(inode(own_executable().unwrap()), inode(File::open(started_as().unwrap()).unwrap()));
    }
}
