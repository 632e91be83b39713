//! Opening one of our files by its name in procfs.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use tracee::{Memory, RemotePtr};

use crate::inject::Injection;
use crate::page;
use crate::pass::PassError;

/// The directory of our descriptors, as seen from outside.
pub struct OwnFiles {
    /// From the root of whoever has our procfs.
    path: String,
    /// Kept open, so that it stays the same file.
    directory: File,
}

impl OwnFiles {
    fn find() -> Option<Self> {
        let pid = std::process::id();
        let directory = procfs::open_path(&format!("{pid}/fd")).ok()?;
        Some(Self { path: format!("proc/{pid}/fd"), directory: File::from(directory) })
    }

    /// Whether the path leads there for this thread, which may have another root, or see other processes.
    fn are_seen_by(&self, tid: i32) -> bool {
        let identity = |file: &File| file.metadata().map(|facts| (facts.dev(), facts.ino())).ok();
        let theirs = self.open_from(tid).map(File::from);
        theirs
            .is_ok_and(|theirs| identity(&theirs).is_some() && identity(&theirs) == identity(&self.directory))
    }

    fn open_from(&self, tid: i32) -> io::Result<OwnedFd> {
        let root = procfs::open_path(&format!("{tid}/root"))?;
        let path = CString::new(self.path.as_str())?;
        // SAFETY: all-zero is a valid `open_how`.
        let mut how: libc::open_how = unsafe { std::mem::zeroed() };
        how.flags = (libc::O_PATH | libc::O_CLOEXEC) as u64;
        // A link might lead elsewhere for us than for the thread.
        how.resolve = libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_BENEATH;
        // SAFETY: `path` ends in NUL, `how` is an `open_how` of the size told, and both outlive the call.
        let opened = unsafe {
            libc::syscall(
                libc::SYS_openat2,
                root.as_raw_fd(),
                path.as_ptr(),
                &raw const how,
                size_of_val(&how),
            )
        };
        if opened < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given us this descriptor.
        Ok(unsafe { OwnedFd::from_raw_fd(opened as i32) })
    }
}

/// What a function may keep below its stack pointer (the ABI's red zone).
const RED_ZONE: u64 = 128;
/// Room for the path.
const ROOM: usize = 64;

/// The thread opens the file for itself. Nothing if that is not possible here.
pub fn open(thread: &mut Injection, file: BorrowedFd, cloexec: bool) -> Result<Option<i32>, PassError> {
    let (shared, tid) = (thread.shared().clone(), thread.tid());
    let own_files = shared.ways.own_files.get_or_init(OwnFiles::find).as_ref();
    let Some(own_files) = own_files.filter(|own_files| is_readable(file) && own_files.are_seen_by(tid))
    else {
        return Ok(None);
    };
    let alone = shared.table.borrow().is_alone(tid);
    let at = match alone {
        // Nobody else has this memory, so it may be used, if it is put back.
        true => (thread.own().rsp - RED_ZONE - ROOM as u64) & !15,
        false => page::of(thread)?,
    };
    let mut path = format!("/{}/{}", own_files.path, file.as_raw_fd()).into_bytes();
    path.resize(ROOM, 0);
    let (memory, at) = (Memory::of(tid), RemotePtr::new(at));
    let mut before = [0; ROOM];
    if memory.read_bytes(at, &mut before).is_err() || memory.write_bytes(at, &path).is_err() {
        return Ok(None);
    }
    let flags = libc::O_RDONLY | if cloexec { libc::O_CLOEXEC } else { 0 };
    let arguments = [libc::AT_FDCWD as u64, at.address(), flags as u64, 0, 0, 0];
    let opened = thread.call(libc::SYS_openat, arguments)?;
    // It was written to before.
    let _ = memory.write_bytes(at, &before);
    Ok(i32::try_from(opened).ok().filter(|number| *number >= 0))
}

/// A plain file that we have open for reading: opened again it is the same to a reader.
fn is_readable(file: BorrowedFd) -> bool {
    // SAFETY: all-zero is a valid `stat`, which the call fills.
    let (known, facts) = unsafe {
        let mut facts: libc::stat = std::mem::zeroed();
        (libc::fstat(file.as_raw_fd(), &mut facts) == 0, facts)
    };
    // SAFETY: F_GETFL takes numbers only.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    known && facts.st_mode & libc::S_IFMT == libc::S_IFREG && flags & libc::O_ACCMODE == libc::O_RDONLY
}
