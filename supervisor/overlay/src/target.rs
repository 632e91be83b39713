//! What a path means to the process that uses it, and which loader that process has.

use std::ffi::CString;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::OpenQuery;

/// The kind of program that asks, by its interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loader {
    /// x86-64 with glibc's loader, or a static program, which only reads the file.
    Glibc,
    /// A 32-bit program.
    Bits32,
    /// Another loader, by its path: musl's, for example.
    Other(String),
    /// It could not be found out.
    Unknown,
}

impl Loader {
    /// Our libraries are x86-64 and need glibc. When in doubt they are given.
    pub fn can_load_payload(&self) -> bool {
        matches!(self, Loader::Glibc | Loader::Unknown)
    }
}

/// A path as one process sees it.
pub struct Target<'a> {
    query: &'a OpenQuery<'a>,
}

impl<'a> Target<'a> {
    pub fn of(query: &'a OpenQuery<'a>) -> Self {
        Self { query }
    }

    /// The path from the process's root, with `.` and empty components removed. Links are not followed: names decide.
    pub fn absolute(&self) -> Vec<u8> {
        let mut path = Vec::new();
        if !self.query.path.starts_with(b"/") {
            path = self.base().unwrap_or_default().into_os_string().into_vec();
        }
        path.push(b'/');
        path.extend_from_slice(self.query.path);
        normalize(&path)
    }

    /// Whether something lies at the path.
    pub fn exists(&self) -> bool {
        self.open_path(0).is_ok()
    }

    /// Whether the path's directory is that one under another name: by a link, or mounted at a second place.
    pub fn lies_in(&self, directory: &str) -> bool {
        let path = self.absolute();
        let parent = path.iter().rposition(|&byte| byte == b'/').map_or(&path[..0], |slash| &path[..slash]);
        let place = |path: &[u8]| {
            use std::os::unix::fs::MetadataExt;
            let opened = open_in_root(self.query.pid, path, libc::O_PATH | libc::O_DIRECTORY).ok()?;
            File::from(opened).metadata().ok().map(|facts| (facts.dev(), facts.ino()))
        };
        place(parent).is_some_and(|parent| Some(parent) == place(directory.as_bytes()))
    }

    /// The name that a symbolic link at the path points to.
    pub fn link_name(&self) -> Option<Vec<u8>> {
        let link = self.open_path(libc::O_NOFOLLOW).ok()?;
        let mut name = vec![0u8; 4096];
        // SAFETY: the empty path makes the call read the link that `link` is; `name` is as long as told.
        let length =
            unsafe { libc::readlinkat(link.as_raw_fd(), c"".as_ptr(), name.as_mut_ptr().cast(), name.len()) };
        name.truncate(usize::try_from(length).ok()?);
        crate::last_component(&name).map(<[u8]>::to_vec)
    }

    /// The loader of the process.
    pub fn loader(&self) -> Loader {
        procfs::open(&format!("{}/exe", self.query.pid)).map_or(Loader::Unknown, |exe| loader_of(&exe))
    }

    fn base(&self) -> Option<PathBuf> {
        let Self { query } = self;
        let link = match query.dirfd {
            libc::AT_FDCWD => format!("{}/cwd", query.pid),
            fd => format!("{}/fd/{fd}", query.pid),
        };
        let seen_by_us = procfs::read_link(&link).ok()?;
        // Of a process in a chroot we see the path from our root.
        match procfs::read_link(&format!("{}/root", query.pid)) {
            Ok(root) if root != Path::new("/") => {
                seen_by_us.strip_prefix(root).ok().map(|inside| Path::new("/").join(inside))
            }
            _ => Some(seen_by_us),
        }
    }

    /// Opens the path for reference only, inside the process's root so that its links lead where they lead for it.
    fn open_path(&self, flags: i32) -> std::io::Result<OwnedFd> {
        open_in_root(self.query.pid, self.absolute(), libc::O_PATH | flags)
    }
}

/// The root of a process. Without process files ours is taken for it: only root could have given it another.
fn root_of(pid: i32) -> std::io::Result<OwnedFd> {
    match procfs::place() {
        procfs::Place::Nowhere => File::open("/").map(OwnedFd::from),
        _ => procfs::open(&format!("{pid}/root")).map(OwnedFd::from),
    }
}

fn open_in_root(pid: i32, path: impl Into<Vec<u8>>, flags: i32) -> std::io::Result<OwnedFd> {
    let root = root_of(pid)?;
    let path = CString::new(path)?;
    // SAFETY: all-zero is a valid `open_how`.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_CLOEXEC | flags) as u64;
    how.resolve = libc::RESOLVE_IN_ROOT;
    // SAFETY: `path` ends in NUL, `how` is an `open_how` of the size told, and both outlive the call.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            root.as_raw_fd(),
            path.as_ptr(),
            &how as *const libc::open_how,
            size_of::<libc::open_how>(),
        )
    };
    if fd < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Reads the loader from a program's header.
pub fn loader_of(program: &File) -> Loader {
    read_loader(program).unwrap_or(Loader::Unknown)
}

fn read_loader(program: &File) -> Option<Loader> {
    let mut header = [0u8; 64];
    program.read_exact_at(&mut header, 0).ok()?;
    if header[..4] != *b"\x7fELF" {
        return None;
    }
    if header[4] == 1 {
        return Some(Loader::Bits32);
    }
    let offset = u64::from_le_bytes(header[32..40].try_into().ok()?);
    let size = u16::from_le_bytes(header[54..56].try_into().ok()?);
    let count = u16::from_le_bytes(header[56..58].try_into().ok()?);
    for index in 0..u64::from(count) {
        let mut segment = [0u8; 56];
        program.read_exact_at(&mut segment, offset + index * u64::from(size)).ok()?;
        // PT_INTERP
        if segment[..4] == [3, 0, 0, 0] {
            let at = u64::from_le_bytes(segment[8..16].try_into().ok()?);
            let length = u64::from_le_bytes(segment[32..40].try_into().ok()?).min(4096);
            let mut path = vec![0u8; length as usize];
            program.read_exact_at(&mut path, at).ok()?;
            return Some(loader_by_path(&path));
        }
    }
    Some(Loader::Glibc)
}

fn loader_by_path(path: &[u8]) -> Loader {
    let path = path.split(|&byte| byte == 0).next().unwrap_or_default();
    let name = crate::last_component(path).unwrap_or_default();
    if name.starts_with(b"ld-linux-x86-64.so") || name.starts_with(b"ld-2.") {
        Loader::Glibc
    } else {
        Loader::Other(String::from_utf8_lossy(path).into_owned())
    }
}

fn normalize(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let mut normal = Vec::with_capacity(path.len());
    for part in parts {
        normal.push(b'/');
        normal.extend_from_slice(part);
    }
    normal
}

/// Reads a whole file of a process's root, and what identifies this version of it.
pub fn read_in_root(pid: i32, path: &str) -> std::io::Result<(Vec<u8>, FileIdentity)> {
    let mut file = File::from(open_in_root(pid, path, libc::O_RDONLY)?);
    let identity = FileIdentity::of(&file)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok((bytes, identity))
}

/// What changes when a file changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl FileIdentity {
    /// Identity of an open file.
    pub fn of(file: &File) -> std::io::Result<Self> {
        file.metadata().map(Self::from)
    }

    /// Identity of a file in our own root.
    pub fn here(path: &str) -> std::io::Result<Self> {
        std::fs::metadata(path).map(Self::from)
    }

    /// Identity of a file in a process's root.
    pub fn in_root(pid: i32, path: &str) -> std::io::Result<Self> {
        Self::of(&File::from(open_in_root(pid, path, libc::O_PATH)?))
    }
}

impl From<Metadata> for FileIdentity {
    fn from(facts: Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let modified = (facts.mtime(), facts.mtime_nsec());
        Self { device: facts.dev(), inode: facts.ino(), size: facts.size(), modified }
    }
}

/// The bytes of a path.
pub fn bytes_of(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(path: &[u8]) -> OpenQuery<'_> {
        OpenQuery { pid: std::process::id() as i32, dirfd: libc::AT_FDCWD, path }
    }

    #[test]
    fn paths_are_made_absolute() {
        assert_eq!(Target::of(&query(b"//etc/./ld.so.cache")).absolute(), b"/etc/ld.so.cache");
        assert_eq!(Target::of(&query(b"/a/../../etc/x")).absolute(), b"/etc/x");
        let mut expected = bytes_of(&std::env::current_dir().unwrap()).to_vec();
        expected.extend_from_slice(b"/libcuda.so.1");
        assert_eq!(Target::of(&query(b"libcuda.so.1")).absolute(), expected);
    }

    #[test]
    fn this_process_has_the_loader_of_glibc() {
        assert_eq!(Target::of(&query(b"x")).loader(), Loader::Glibc);
    }

    #[test]
    fn loaders_are_told_by_their_name() {
        assert_eq!(loader_by_path(b"/lib64/ld-linux-x86-64.so.2\0"), Loader::Glibc);
        assert_eq!(loader_by_path(b"/nix/store/x/lib/ld-linux-x86-64.so.2\0"), Loader::Glibc);
        assert_eq!(
            loader_by_path(b"/lib/ld-musl-x86_64.so.1\0"),
            Loader::Other("/lib/ld-musl-x86_64.so.1".into())
        );
    }

    #[test]
    fn a_32_bit_program_is_recognised() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program");
        let mut header = [0u8; 64];
        header[..6].copy_from_slice(b"\x7fELF\x01\x01");
        std::fs::write(&path, header).unwrap();
        assert_eq!(loader_of(&File::open(path).unwrap()), Loader::Bits32);
    }

    #[test]
    fn a_directory_is_recognised_by_another_name() {
        let place = tempfile::tempdir().unwrap();
        let (real, link) = (place.path().join("real"), place.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        let file = link.join("nvidiactl");
        let query = query(bytes_of(&file));
        assert!(Target::of(&query).lies_in(real.to_str().unwrap()));
        assert!(!Target::of(&query).lies_in(place.path().to_str().unwrap()));
        assert!(!Target::of(&query).lies_in("/no/such/directory"));
    }

    #[test]
    fn links_are_read_and_missing_files_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("libcudart.so");
        let path = bytes_of(&link);
        assert!(!Target::of(&query(path)).exists());
        std::fs::write(directory.path().join("libcudart.so.12.1.105"), b"").unwrap();
        std::os::unix::fs::symlink("libcudart.so.12.1.105", &link).unwrap();
        assert!(Target::of(&query(path)).exists());
        assert_eq!(Target::of(&query(path)).link_name().unwrap(), b"libcudart.so.12.1.105");
    }
}
