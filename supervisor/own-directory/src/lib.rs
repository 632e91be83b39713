//! Directories that only we write to.
//!
//! What lies in them is mapped into programs or executed, so nobody else may have a say in it: the directory and what is in it
//! belong to our user and no other may write there; a link in its place is not followed. All work goes through the directory's
//! descriptor, so renaming what lies above it leads nobody astray.
//!
//! - **Ours**: of the user that this process acts as.
//! - **Trusted**: a plain file of ours to which others can't write.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, Metadata};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, renameat};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::unistd::{UnlinkatFlags, geteuid, symlinkat, unlinkat};

/// Those who may write: group and others.
const OTHERS_WRITE: u32 = 0o022;

/// A directory of ours, open.
#[derive(Debug)]
pub struct OwnDirectory {
    descriptor: OwnedFd,
}

/// Why a directory or file is not used.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is none.
    #[error("is not there")]
    Missing,
    /// Something else has its name.
    #[error("is a link or no directory")]
    NoDirectory,
    /// It is somebody else's.
    #[error("belongs to user {0}, not to us")]
    Foreign(u32),
    /// Root would make a directory that its owner's programs could not use.
    #[error("cannot be made: the directory above belongs to user {0}, and root leaves nothing there")]
    ForeignParent(u32),
    /// It is a link, a pipe, or a file that others can write to.
    #[error("is no plain file that only we can write to")]
    Untrusted,
    /// The kernel's word.
    #[error("cannot be used: {0}")]
    Failed(String),
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::ENOENT => Self::Missing,
            Errno::ELOOP | Errno::ENOTDIR => Self::NoDirectory,
            errno => Self::Failed(errno.desc().to_owned()),
        }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl OwnDirectory {
    /// Opens the directory, and makes it and those above where they are missing.
    pub fn make(path: &Path) -> Result<Self, Refusal> {
        match enter(AT_FDCWD, path) {
            Err(Refusal::Missing) => make_parents(path).and_then(|()| make_and_enter(AT_FDCWD, path)),
            entered => entered,
        }
    }

    /// Opens the directory.
    pub fn open(path: &Path) -> Result<Self, Refusal> {
        enter(AT_FDCWD, path)
    }

    /// The directory `name` in this one, made where it is missing.
    pub fn make_inside(&self, name: &str) -> Result<Self, Refusal> {
        make_and_enter(self.as_fd(), Path::new(name))
    }

    /// The directory `name` in this one.
    pub fn open_inside(&self, name: &Path) -> Result<Self, Refusal> {
        enter(self.as_fd(), name)
    }

    /// Opens a file for reading, whosever it is.
    pub fn open_file(&self, name: &str) -> nix::Result<File> {
        // A pipe in its place must not hold us up.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        openat(&self.descriptor, name, flags, Mode::empty()).map(File::from)
    }

    /// Opens a trusted file for reading and writing; an empty one is made where it is missing. Others can't read it.
    pub fn open_to_write(&self, name: &str) -> Result<File, Refusal> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = match openat(&self.descriptor, name, flags, Mode::from_bits_truncate(0o600)) {
            Err(Errno::ELOOP | Errno::ENXIO | Errno::EISDIR) => return Err(Refusal::Untrusted),
            opened => File::from(opened?),
        };
        if is_trusted(&file.metadata()?) { Ok(file) } else { Err(Refusal::Untrusted) }
    }

    /// Writes a file under a name of its own and renames it, so that nobody ever sees a part of it. Anybody may read and execute it.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let aside = format!(".{name}.{:016x}", random()?);
        let written = self
            .write_new(&aside, bytes)
            .and_then(|()| Ok(renameat(&self.descriptor, aside.as_str(), &self.descriptor, name)?));
        if written.is_err() {
            let _ = unlinkat(&self.descriptor, aside.as_str(), UnlinkatFlags::NoRemoveDir);
        }
        written
    }

    fn write_new(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        // Executable as loaders expect, and whatever our umask is.
        let mode = Mode::from_bits_truncate(0o555);
        let mut file = File::from(openat(&self.descriptor, name, flags, mode)?);
        fchmod(&file, mode)?;
        file.write_all(bytes)
    }

    /// Makes a link to a file beside it, unless something has that name.
    pub fn link(&self, name: &str, target: &str) {
        // Another run may have made it meanwhile.
        let _ = symlinkat(target, &self.descriptor, name);
    }

    /// Removes a file or link, if it is there.
    pub fn remove_file(&self, name: &Path) {
        let _ = unlinkat(&self.descriptor, name, UnlinkatFlags::NoRemoveDir);
    }

    /// Removes an empty directory, if it is there.
    pub fn remove_directory(&self, name: &Path) {
        let _ = unlinkat(&self.descriptor, name, UnlinkatFlags::RemoveDir);
    }

    /// Names of all that is in it.
    pub fn names(&self) -> Vec<PathBuf> {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let Ok(mut listing) = Dir::openat(&self.descriptor, ".", flags, Mode::empty()) else {
            return Vec::new();
        };
        let names =
            listing.iter().flatten().map(|entry| OsStr::from_bytes(entry.file_name().to_bytes()).into());
        names.filter(|name: &PathBuf| name != Path::new(".") && name != Path::new("..")).collect()
    }
}

impl AsFd for OwnDirectory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Whether it is a plain file of ours to which others can't write.
pub fn is_trusted(facts: &Metadata) -> bool {
    facts.is_file() && is_ours(facts) && facts.mode() & OTHERS_WRITE == 0
}

fn make_and_enter(above: impl AsFd, name: &Path) -> Result<OwnDirectory, Refusal> {
    match enter(above.as_fd(), name) {
        Err(Refusal::Missing) => {
            match mkdirat(above.as_fd(), name, Mode::from_bits_truncate(0o755)) {
                // Another run has made it meanwhile.
                Ok(()) | Err(Errno::EEXIST) => enter(above, name),
                Err(errno) => Err(Refusal::Failed(errno.desc().to_owned())),
            }
        }
        entered => entered,
    }
}

/// Opens a directory that is ours, and takes from others the right to write there.
fn enter(above: impl AsFd, name: &Path) -> Result<OwnDirectory, Refusal> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let directory = File::from(openat(above, name, flags, Mode::empty())?);
    let facts = directory.metadata()?;
    if !is_ours(&facts) {
        return Err(Refusal::Foreign(facts.uid()));
    }
    if facts.mode() & OTHERS_WRITE != 0 {
        fchmod(&directory, Mode::from_bits_truncate(facts.mode() & 0o7777 & !OTHERS_WRITE))?;
    }
    Ok(OwnDirectory { descriptor: directory.into() })
}

/// Makes what lies above; as root not in another user's directory, who could never write there again.
fn make_parents(path: &Path) -> Result<(), Refusal> {
    let Some(parent) = path.parent() else { return Ok(()) };
    let existing = parent.ancestors().find_map(|ancestor| std::fs::metadata(ancestor).ok());
    let owner = existing.map_or(0, |facts| facts.uid());
    if geteuid().is_root() && owner != 0 {
        return Err(Refusal::ForeignParent(owner));
    }
    Ok(DirBuilder::new().recursive(true).mode(0o700).create(parent)?)
}

fn is_ours(facts: &Metadata) -> bool {
    facts.uid() == geteuid().as_raw()
}

/// A number that no other run has, in whatever process namespace it is.
fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    // SAFETY: the call writes at most the eight bytes of `bytes`.
    let count = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if count == bytes.len() as isize {
        Ok(u64::from_ne_bytes(bytes))
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn place() -> (tempfile::TempDir, OwnDirectory) {
        let place = tempfile::tempdir().unwrap();
        let directory = OwnDirectory::make(&place.path().join("above/own")).unwrap();
        (place, directory)
    }

    #[test]
    fn file_to_write_is_made_for_us_alone() {
        let (place, directory) = place();
        directory.open_to_write("x").unwrap().write_all(b"text").unwrap();
        let path = place.path().join("above/own/x");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        drop(directory.open_to_write("x").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"text", "opened again it is as it was");
    }

    #[test]
    fn what_others_have_a_say_in_is_not_written_to() {
        let (place, directory) = place();
        let path = |name: &str| place.path().join("above/own").join(name);
        fs::write(path("open to all"), "").unwrap();
        fs::set_permissions(path("open to all"), fs::Permissions::from_mode(0o666)).unwrap();
        symlink(path("open to all"), path("link")).unwrap();
        fs::create_dir(path("directory")).unwrap();
        nix::unistd::mkfifo(&path("pipe"), Mode::from_bits_truncate(0o600)).unwrap();
        let mut names = vec!["open to all", "link", "directory", "pipe"];
        if geteuid().is_root() {
            fs::write(path("foreign"), "").unwrap();
            std::os::unix::fs::chown(path("foreign"), Some(65534), None).unwrap();
            names.push("foreign");
        }
        for name in names {
            assert!(matches!(directory.open_to_write(name), Err(Refusal::Untrusted)), "{name}");
        }
    }
}
