//! A directory of our own, in which one version's files lie under their names.
//!
//! Loaders map these files into every program of the tree, so nobody else may have a say in them (see `own_directory`). What the
//! disk did to a file, its hash shows.

use std::fs::{File, Metadata};
use std::io::{self, Seek};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::sys::statvfs::{FsFlags, fstatvfs};
use own_directory::{OwnDirectory, is_trusted};

use crate::manifest;

/// Versions that nobody has used for this long are removed.
const KEEP: Duration = Duration::from_secs(30 * 24 * 3600);

/// Lies in a directory that holds all files of its version. Its time says when they were last used.
const COMPLETE: &str = manifest::FILE_NAME;

/// The directory of one version.
#[derive(Debug)]
pub struct CacheDirectory {
    path: PathBuf,
    /// The directory that holds all versions.
    home: OwnDirectory,
    directory: OwnDirectory,
}

impl CacheDirectory {
    /// The directory `version` below `home`, made where it is missing. The error says why there is none.
    pub fn open(home: &Path, version: &str) -> Result<Self, String> {
        let at_home = |why: String| format!("`{}` {why}", home.display());
        let home_directory = OwnDirectory::make(home).map_err(|refusal| at_home(refusal.to_string()))?;
        let path = home.join(version);
        let directory = home_directory
            .make_inside(version)
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
        let complete = self.directory.open_file(COMPLETE);
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
        let mut file = self.directory.open_file(name).ok()?;
        let sound = is_trusted(&file.metadata().ok()?) && manifest::hash_of(&mut file).ok()? == hash;
        file.rewind().ok()?;
        sound.then_some(file)
    }

    /// A fresh open description of a file that was opened before, if it is still the same.
    pub fn open_again(&self, name: &str, before: &File) -> Option<OwnedFd> {
        let again = self.directory.open_file(name).ok()?;
        let identity = |facts: Metadata| (facts.dev(), facts.ino());
        (identity(again.metadata().ok()?) == identity(before.metadata().ok()?)).then(|| again.into())
    }

    /// Writes a file, of which nobody ever sees a part.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.directory.write(name, bytes)
    }

    /// Makes a link to a file beside it, unless something has that name.
    pub fn link(&self, name: &str, target: &str) {
        self.directory.link(name, target);
    }

    fn remove_old_versions(&self) {
        let own = self.path.file_name();
        for name in self.home.names() {
            if Some(name.as_os_str()) == own {
                continue;
            }
            let Ok(directory) = self.home.open_inside(&name) else { continue };
            let complete = directory.open_file(COMPLETE);
            let last_use = complete.ok().and_then(|complete| complete.metadata().ok()?.modified().ok());
            if last_use.is_some_and(|time| time.elapsed().is_ok_and(|age| age > KEEP)) {
                for file in directory.names() {
                    directory.remove_file(&file);
                }
                self.home.remove_directory(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::hash;
    use nix::unistd::geteuid;
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
