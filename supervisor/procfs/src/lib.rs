//! The kernel's process files, whether or not somebody has mounted them at `/proc`.
//!
//! ```text
//!   /proc is procfs ─────────────────────────────▶ used as it is        (Place::Mounted)
//!   else may we mount one? a mount of our own, which hangs nowhere ───▶ (Place::Private)
//!   else ─▶ every question is answered with an error                    (Place::Nowhere)
//! ```
//!
//! A program in an empty root needs no `/proc` of its own, but we follow it through these files. As root we can have them
//! without touching anybody's file system: a *detached* mount (`fsopen`, `fsmount`) is a descriptor and no place.
//!
//! Paths are given from the top of procfs, like `self/exe`.

pub mod cgroup;

use std::ffi::{CStr, CString, OsString};
use std::fmt::Display;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::OnceLock;

/// Where the files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At `/proc`.
    Mounted,
    /// In a mount that only this process has.
    Private,
    /// Nowhere.
    Nowhere,
}

/// Where they are; looked for once.
pub fn place() -> Place {
    match root() {
        Root::Mounted => Place::Mounted,
        Root::Private(_) => Place::Private,
        Root::Nowhere(_) => Place::Nowhere,
    }
}

/// The descriptor of a private mount: to be left open by whoever closes everything.
pub fn descriptor() -> Option<RawFd> {
    match ROOT.get() {
        Some(Root::Private(root)) => Some(root.as_raw_fd()),
        _ => None,
    }
}

/// Opens a file for reading; through a link such as `123/exe` what it leads to.
pub fn open(path: &str) -> io::Result<File> {
    open_with(path, libc::O_RDONLY)
}

/// Opens a file or directory for reference only.
pub fn open_path(path: &str) -> io::Result<OwnedFd> {
    open_with(path, libc::O_PATH).map(OwnedFd::from)
}

/// Opens the memory of the process of thread `tid`: an offset is an address there.
pub fn open_memory(tid: i32) -> io::Result<File> {
    open_with(&format!("{tid}/mem"), libc::O_RDWR)
}

/// The bytes of a file.
pub fn read(path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a file.
pub fn read_to_string(path: &str) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// Where a link says that it leads.
pub fn read_link(path: &str) -> io::Result<PathBuf> {
    let (directory, path) = locate(path)?;
    let mut target = vec![0u8; libc::PATH_MAX as usize];
    // SAFETY: `path` ends in NUL, the call writes at most `target.len()` bytes, and both outlive it.
    let length =
        unsafe { libc::readlinkat(directory, path.as_ptr(), target.as_mut_ptr().cast(), target.len()) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    target.truncate(length);
    Ok(PathBuf::from(OsString::from_vec(target)))
}

/// What `stat` says of a file.
pub fn metadata(path: &str) -> io::Result<Metadata> {
    File::from(open_path(path)?).metadata()
}

/// A field of a process's or thread's `status`, without space around it. `process` is a number or `self`.
pub fn status_field(process: impl Display, name: &str) -> Option<String> {
    let status = read_to_string(&format!("{process}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

/// Ids of all processes that can be seen.
pub fn processes() -> Vec<i32> {
    numbers(".", usize::MAX)
}

/// Ids of the threads of a process.
pub fn threads(tgid: i32) -> Vec<i32> {
    numbers(&format!("{tgid}/task"), usize::MAX)
}

/// Descriptors that a process has open; of one that has very many, some: looking at a million takes seconds.
pub fn descriptors(tgid: i32) -> Vec<i32> {
    numbers(&format!("{tgid}/fd"), 1 << 16)
}

/// About as many as wanted.
fn numbers(directory: &str, most: usize) -> Vec<i32> {
    let Ok(top) = open_with(directory, libc::O_RDONLY | libc::O_DIRECTORY) else { return Vec::new() };
    names(top, most).into_iter().filter_map(|name| std::str::from_utf8(&name).ok()?.parse().ok()).collect()
}

/// A fresh open description, for reading, of a file that we have open.
pub fn reopen(descriptor: RawFd) -> io::Result<OwnedFd> {
    open(&format!("self/fd/{descriptor}")).map(OwnedFd::from)
}

enum Root {
    Mounted,
    Private(OwnedFd),
    /// Why there is no private mount.
    Nowhere(i32),
}

static ROOT: OnceLock<Root> = OnceLock::new();

fn root() -> &'static Root {
    ROOT.get_or_init(|| {
        if is_procfs(c"/proc") {
            return Root::Mounted;
        }
        match mount_privately() {
            Ok(root) => Root::Private(root),
            Err(error) => Root::Nowhere(error.raw_os_error().unwrap_or(libc::EIO)),
        }
    })
}

fn is_procfs(path: &CStr) -> bool {
    // SAFETY: all-zero is a valid `statfs`.
    let mut facts: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: `path` ends in NUL, `facts` is ours to write, and both outlive the call.
    let result = unsafe { libc::statfs(path.as_ptr(), &mut facts) };
    result == 0 && facts.f_type == libc::PROC_SUPER_MAGIC
}

/// Descriptor of a directory, and a path from there.
fn locate(path: &str) -> io::Result<(RawFd, CString)> {
    match root() {
        Root::Mounted => Ok((libc::AT_FDCWD, CString::new(format!("/proc/{path}"))?)),
        Root::Private(root) => Ok((root.as_raw_fd(), CString::new(path)?)),
        Root::Nowhere(errno) => Err(io::Error::from_raw_os_error(*errno)),
    }
}

fn open_with(path: &str, flags: i32) -> io::Result<File> {
    let (directory, path) = locate(path)?;
    loop {
        // SAFETY: `path` ends in NUL and outlives the call.
        let descriptor = unsafe { libc::openat(directory, path.as_ptr(), flags | libc::O_CLOEXEC) };
        if descriptor >= 0 {
            // SAFETY: the kernel has just given us this descriptor.
            return Ok(unsafe { File::from_raw_fd(descriptor) });
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// `FSCONFIG_CMD_CREATE` of linux/mount.h.
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
/// `FSOPEN_CLOEXEC` and `FSMOUNT_CLOEXEC`.
const CLOEXEC: libc::c_uint = 1;
/// `MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC`
const ATTRIBUTES: libc::c_uint = 2 | 4 | 8;

fn mount_privately() -> io::Result<OwnedFd> {
    let owned = |result: libc::c_long| {
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: both callers pass what the kernel has just given them: a new descriptor.
        Ok(unsafe { OwnedFd::from_raw_fd(result as i32) })
    };
    // SAFETY: the name ends in NUL; the other argument is a number.
    let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, c"proc".as_ptr(), CLOEXEC) })?;
    let nothing = std::ptr::null::<libc::c_void>();
    // SAFETY: this command takes neither key nor value.
    let created = unsafe {
        libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), FSCONFIG_CMD_CREATE, nothing, nothing, 0)
    };
    if created < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call takes numbers.
    owned(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), CLOEXEC, ATTRIBUTES) })
}

/// Names in a directory, until there are that many.
fn names(directory: File, most: usize) -> Vec<Vec<u8>> {
    // `linux_dirent64`: inode, offset, length of the record, type, name.
    const LENGTH: usize = 16;
    const NAME: usize = 19;
    let mut names = Vec::new();
    let mut records = vec![0u8; 32 << 10];
    loop {
        // SAFETY: the kernel writes at most `records.len()` bytes.
        let count = unsafe {
            libc::syscall(libc::SYS_getdents64, directory.as_raw_fd(), records.as_mut_ptr(), records.len())
        };
        let Ok(count @ 1..) = usize::try_from(count) else { return names };
        let mut rest = &records[..count];
        while rest.len() > NAME {
            let length = usize::from(u16::from_ne_bytes([rest[LENGTH], rest[LENGTH + 1]]));
            let name = rest[NAME..length].split(|&byte| byte == 0).next().unwrap_or_default();
            names.push(name.to_vec());
            rest = &rest[length..];
        }
        if names.len() >= most {
            return names;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Seek;

    /// Both places say the same of this process.
    fn check(read_link: impl Fn(&str) -> PathBuf) {
        assert_eq!(read_link("self/exe"), std::env::current_exe().unwrap());
    }

    #[test]
    fn files_at_their_usual_place_are_read() {
        assert_eq!(place(), Place::Mounted);
        check(|path| read_link(path).unwrap());
        assert!(processes().contains(&(std::process::id() as i32)));
        assert!(read_to_string("self/status").unwrap().contains("Tgid:"));
        assert_eq!(status_field("self", "Tgid"), Some(std::process::id().to_string()));
        assert_eq!(status_field("self", "Tgi"), None);
        assert!(read("self/no-such-file").is_err());
    }

    #[test]
    fn a_private_mount_has_the_same_files() {
        match mount_privately() {
            Ok(mount) => check(|path| {
                std::fs::read_link(format!("/proc/self/fd/{}/{path}", mount.as_raw_fd())).unwrap()
            }),
            Err(error) => println!("skipped: no private mount: {error}"),
        }
    }

    #[test]
    fn a_directory_that_is_no_procfs_is_not_taken_for_one() {
        assert!(is_procfs(c"/proc") && !is_procfs(c"/") && !is_procfs(c"/no/such/directory"));
    }

    #[test]
    fn a_reopened_file_has_an_offset_of_its_own() {
        let mut first = File::open("/proc/self/exe").unwrap();
        first.seek(io::SeekFrom::Start(7)).unwrap();
        let mut second = File::from(reopen(first.as_raw_fd()).unwrap());
        assert_eq!(second.stream_position().unwrap(), 0);
    }
}
