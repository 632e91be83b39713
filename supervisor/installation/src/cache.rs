//! A directory of our own, in which one version's files lie under their names.
//!
//! Loaders map these files into every program of the tree, so nobody else may have a say in them: the directory and what is
//! in it belong to our user and no other may write there; a link in its place is not followed. All work goes through the
//! directory's descriptor, so renaming what lies above it leads nobody astray. What the disk did to a file, its hash shows.

use std::fs::{DirBuilder, File, Metadata};
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, renameat};
use nix::sys::stat::{Mode, fchmod, mkdirat};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use nix::unistd::{UnlinkatFlags, geteuid, symlinkat, unlinkat};

use crate::manifest;

/// Versions that nobody has used for this long are removed.
const KEEP: Duration = Duration::from_secs(30 * 24 * 3600);

/// Lies in a directory that holds all files of its version. Its time says when they were last used.
const COMPLETE: &str = manifest::FILE_NAME;

/// Those who may write: group and others.
const OTHERS_WRITE: u32 = 0o022;

/// The directory of one version.
#[derive(Debug)]
pub struct CacheDirectory {
    path: PathBuf,
    /// The directory that holds all versions.
    home: OwnedFd,
    directory: OwnedFd,
}

impl CacheDirectory {
    /// The directory `version` below `home`, made where it is missing. The error says why there is none.
    pub fn open(home: &Path, version: &str) -> Result<Self, String> {
        let at_home = |why: String| format!("`{}` {why}", home.display());
        let entered = match enter(AT_FDCWD, home) {
            Err(Refusal::Missing) => make_parents(home).and_then(|()| make_and_enter(AT_FDCWD, home)),
            entered => entered,
        };
        let home_directory = entered.map_err(|refusal| at_home(refusal.to_string()))?;
        let path = home.join(version);
        let directory = make_and_enter(home_directory.as_fd(), Path::new(version))
            .map_err(|refusal| format!("`{}` {refusal}", path.display()))?;
        let flags = fstatvfs(&directory).map_err(|errno| at_home(errno.desc().to_owned()))?.flags();
        if flags.contains(FsFlags::ST_NOEXEC) {
            return Err(at_home("is on a file system mounted noexec".to_owned()));
        }
        Ok(Self { path, home: home_directory, directory })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether all files of the version were put here once. Says that the version is in use.
    pub fn is_complete(&self) -> bool {
        let complete = self.open_file(COMPLETE);
        // Only its owner can set the time, and a read-only file system keeps what it has.
        complete.is_ok_and(|complete| {
            let _ = complete.set_modified(SystemTime::now());
            true
        })
    }

    /// All files are here now.
    pub fn complete(&self, list: &str) -> io::Result<()> {
        self.write(COMPLETE, list.as_bytes())?;
        self.remove_old_versions();
        Ok(())
    }

    /// A file, if it is ours and has this hash.
    pub fn open_verified(&self, name: &str, hash: &str) -> Option<File> {
        let mut file = self.open_file(name).ok()?;
        let facts = file.metadata().ok()?;
        let trusted = facts.is_file() && is_ours(&facts) && facts.mode() & OTHERS_WRITE == 0;
        let sound = trusted && manifest::hash_of(&mut file).ok()? == hash;
        file.rewind().ok()?;
        sound.then_some(file)
    }

    /// A fresh open description of a file that was opened before, if it is still the same.
    pub fn open_again(&self, name: &str, before: &File) -> Option<OwnedFd> {
        let again = self.open_file(name).ok()?;
        let identity = |facts: Metadata| (facts.dev(), facts.ino());
        (identity(again.metadata().ok()?) == identity(before.metadata().ok()?)).then(|| again.into())
    }

    /// Writes a file under a name of its own and renames it, so that nobody ever sees a part of it.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let aside = format!(".{name}.{:016x}", random()?);
        let written = self
            .write_new(&aside, bytes)
            .and_then(|()| Ok(renameat(&self.directory, aside.as_str(), &self.directory, name)?));
        if written.is_err() {
            let _ = unlinkat(&self.directory, aside.as_str(), UnlinkatFlags::NoRemoveDir);
        }
        written
    }

    /// Makes a link to a file beside it, unless something has that name.
    pub fn link(&self, name: &str, target: &str) {
        // Another run may have made it meanwhile.
        let _ = symlinkat(target, &self.directory, name);
    }

    fn write_new(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        // Executable as loaders expect, and whatever our umask is.
        let mode = Mode::from_bits_truncate(0o555);
        let mut file = File::from(openat(&self.directory, name, flags, mode)?);
        fchmod(&file, mode)?;
        file.write_all(bytes)
    }

    fn open_file(&self, name: &str) -> nix::Result<File> {
        // A pipe in its place must not hold us up.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        openat(&self.directory, name, flags, Mode::empty()).map(File::from)
    }

    fn remove_old_versions(&self) {
        let own = self.path.file_name();
        for name in names(&self.home) {
            if Some(name.as_os_str()) == own {
                continue;
            }
            let Ok(directory) = enter(self.home.as_fd(), &name) else { continue };
            let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
            let complete = openat(&directory, COMPLETE, flags, Mode::empty()).map(File::from);
            let last_use = complete.ok().and_then(|complete| complete.metadata().ok()?.modified().ok());
            if last_use.is_some_and(|time| time.elapsed().is_ok_and(|age| age > KEEP)) {
                for file in names(&directory) {
                    let _ = unlinkat(&directory, &file, UnlinkatFlags::NoRemoveDir);
                }
                let _ = unlinkat(&self.home, &name, UnlinkatFlags::RemoveDir);
            }
        }
    }
}

/// Why a directory is not used.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("is not there")]
    Missing,
    #[error("is a link or no directory")]
    NoDirectory,
    #[error("belongs to user {0}, not to us")]
    Foreign(u32),
    #[error("cannot be made: the directory above belongs to user {0}, and root leaves nothing there")]
    ForeignParent(u32),
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

fn make_and_enter(above: impl AsFd, name: &Path) -> Result<OwnedFd, Refusal> {
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
fn enter(above: impl AsFd, name: &Path) -> Result<OwnedFd, Refusal> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let directory = File::from(openat(above, name, flags, Mode::empty())?);
    let facts = directory.metadata()?;
    if !is_ours(&facts) {
        return Err(Refusal::Foreign(facts.uid()));
    }
    if facts.mode() & OTHERS_WRITE != 0 {
        fchmod(&directory, Mode::from_bits_truncate(facts.mode() & 0o7777 & !OTHERS_WRITE))?;
    }
    Ok(directory.into())
}

/// Makes what lies above; as root not in another user's directory, who could never write there again.
fn make_parents(home: &Path) -> Result<(), Refusal> {
    let Some(parent) = home.parent() else { return Ok(()) };
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

fn names(directory: &OwnedFd) -> Vec<PathBuf> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let Ok(mut listing) = Dir::openat(directory, ".", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
    else {
        return Vec::new();
    };
    let names = listing.iter().flatten().map(|entry| OsStr::from_bytes(entry.file_name().to_bytes()).into());
    names.filter(|name: &PathBuf| name != Path::new(".") && name != Path::new("..")).collect()
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
    use crate::manifest::hash;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn home() -> (tempfile::TempDir, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let home = place.path().join("made/vgpu-run");
        (place, home)
    }

    fn refused(home: &Path) -> String {
        CacheDirectory::open(home, "1").unwrap_err()
    }

    #[test]
    fn what_was_written_is_there_for_all_to_read_and_for_nobody_to_write() {
        let (_place, home) = home();
        let cache = CacheDirectory::open(&home, "1").unwrap();
        cache.write("x", b"text").unwrap();
        assert!(cache.open_verified("x", &hash(b"text")).is_some());
        assert!(cache.open_verified("x", &hash(b"other")).is_none());
        assert!(cache.open_verified("y", &hash(b"text")).is_none());
        for (path, mode) in [(home.clone(), 0o755), (home.join("1"), 0o755), (home.join("1/x"), 0o555)] {
            let facts = fs::metadata(&path).unwrap();
            assert_eq!(facts.mode() & 0o777 & !mode, 0, "{}", path.display());
            assert_eq!(facts.uid(), geteuid().as_raw());
        }
        assert_eq!(fs::read_dir(home.join("1")).unwrap().count(), 1, "nothing is left aside");
    }

    #[test]
    fn a_link_or_a_file_in_its_place_is_refused() {
        let (place, home) = home();
        fs::create_dir_all(home.parent().unwrap()).unwrap();
        symlink(place.path(), &home).unwrap();
        assert!(refused(&home).contains("is a link or no directory"), "{}", refused(&home));
        fs::remove_file(&home).unwrap();
        fs::write(&home, "").unwrap();
        assert!(refused(&home).contains("is a link or no directory"));
        fs::remove_file(&home).unwrap();
        fs::create_dir(&home).unwrap();
        symlink(place.path(), home.join("1")).unwrap();
        assert!(refused(&home).contains("is a link or no directory"));
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "nothing was written through a link");
    }

    #[test]
    fn a_link_in_a_files_place_is_not_followed_and_replaced() {
        let (place, home) = home();
        let elsewhere = place.path().join("elsewhere");
        fs::write(&elsewhere, "text").unwrap();
        let cache = CacheDirectory::open(&home, "1").unwrap();
        symlink(&elsewhere, home.join("1/x")).unwrap();
        assert!(cache.open_verified("x", &hash(b"text")).is_none());
        cache.write("x", b"new").unwrap();
        assert!(cache.open_verified("x", &hash(b"new")).is_some());
        assert_eq!(fs::read_to_string(elsewhere).unwrap(), "text");
    }

    #[test]
    fn another_users_directory_is_refused() {
        if !geteuid().is_root() {
            println!("skipped: not root");
            return;
        }
        let (_place, home) = home();
        fs::create_dir_all(&home).unwrap();
        std::os::unix::fs::chown(&home, Some(65534), None).unwrap();
        assert!(refused(&home).contains("belongs to user 65534"), "{}", refused(&home));
        fs::remove_dir(&home).unwrap();
        std::os::unix::fs::chown(home.parent().unwrap(), Some(65534), None).unwrap();
        assert!(refused(&home).contains("root leaves nothing there"), "{}", refused(&home));
    }

    #[test]
    fn others_lose_the_right_to_write() {
        let (_place, home) = home();
        fs::create_dir_all(home.join("1")).unwrap();
        for path in [&home, &home.join("1")] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        let cache = CacheDirectory::open(&home, "1").unwrap();
        for path in [&home, &home.join("1")] {
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o755);
        }
        fs::write(home.join("1/x"), "text").unwrap();
        fs::set_permissions(home.join("1/x"), fs::Permissions::from_mode(0o666)).unwrap();
        assert!(cache.open_verified("x", &hash(b"text")).is_none(), "a file that others can write");
    }

    #[test]
    fn old_versions_go_and_others_stay() {
        let (_place, home) = home();
        fs::create_dir_all(&home).unwrap();
        for (name, age) in [("old", KEEP * 2), ("recent", Duration::from_secs(60))] {
            fs::create_dir(home.join(name)).unwrap();
            let mark = File::create(home.join(name).join(COMPLETE)).unwrap();
            mark.set_modified(SystemTime::now() - age).unwrap();
        }
        fs::create_dir(home.join("not ours")).unwrap();
        let cache = CacheDirectory::open(&home, "1").unwrap();
        assert!(!cache.is_complete());
        cache.complete("list").unwrap();
        assert!(cache.is_complete());
        let there = |name| home.join(name).exists();
        assert!(!there("old") && there("recent") && there("not ours") && there("1"));
    }
}
