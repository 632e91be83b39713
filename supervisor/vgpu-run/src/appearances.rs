//! `--overlay=full`: stat, access and directory listings show the driver's files where its packages put them.
//!
//! The answers are the overlay's; here they are put into the caller's memory.

use std::collections::HashSet;
use std::io;
use std::os::fd::AsRawFd;

use interception::{Reply, Request};
use overlay::installed::{FileFacts, directory_records};
use overlay::{OpenQuery, Overlay};
use tracee::{Memory, PidFd, RemotePtr};

/// Directories of which the caller has got our names and not yet the end of the listing. Known by process and
/// descriptor.
#[derive(Default)]
pub struct Listings(HashSet<(i32, u64)>);

/// Where a call's arguments are: dirfd (if it has one), path, and what else it needs.
struct Arguments {
    dirfd: Option<usize>,
    path: usize,
    rest: usize,
}

const fn arguments(dirfd: Option<usize>, path: usize, rest: usize) -> Arguments {
    Arguments { dirfd, path, rest }
}

/// Puts facts where the caller wants them; the number is its argument for that.
type Put = fn(&Request, u64, &FileFacts) -> Reply;

/// Answers a call of the stat and access families.
pub fn look(request: &Request, overlay: &mut Overlay) -> Reply {
    let (at, put): (Arguments, Put) = match request.number {
        libc::SYS_stat | libc::SYS_lstat => (arguments(None, 0, 1), put_stat),
        libc::SYS_newfstatat => (arguments(Some(0), 1, 2), put_stat),
        libc::SYS_statx => (arguments(Some(0), 1, 4), put_statx),
        libc::SYS_access => (arguments(None, 0, 1), put_access),
        libc::SYS_faccessat | libc::SYS_faccessat2 => (arguments(Some(0), 1, 2), put_access),
        _ => return Reply::Continue,
    };
    let argument = |index: usize| request.arguments[index];
    let Ok(path) = Memory::of(request.tid).read_path(RemotePtr::new(argument(at.path))) else {
        return Reply::Continue;
    };
    // A directory as seen from itself or from below is always a real one.
    if path.is_empty() || path == b"." || path.ends_with(b"/.") || path.ends_with(b"..") {
        return Reply::Continue;
    }
    let dirfd = at.dirfd.map_or(libc::AT_FDCWD, |index| argument(index) as i32);
    match overlay.stat(&OpenQuery { pid: request.tid, dirfd, path: &path }) {
        Some(facts) => put(request, argument(at.rest), &facts),
        None => Reply::Continue,
    }
}

fn put_stat(request: &Request, address: u64, facts: &FileFacts) -> Reply {
    put_bytes(request, address, &facts.to_stat())
}

fn put_statx(request: &Request, address: u64, facts: &FileFacts) -> Reply {
    put_bytes(request, address, &facts.to_statx())
}

fn put_access(_: &Request, wanted: u64, facts: &FileFacts) -> Reply {
    match facts.access(wanted as i32) {
        Ok(()) => Reply::Return(0),
        Err(errno) => Reply::Errno(errno),
    }
}

fn put_bytes<T>(request: &Request, address: u64, value: &T) -> Reply {
    // SAFETY: `stat` and `statx` consist of integers, were zeroed as a whole before they were filled in, and
    // have explicit padding fields only.
    let bytes = unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) };
    written(request, address, bytes, 0)
}

fn written(request: &Request, address: u64, bytes: &[u8], result: i64) -> Reply {
    match Memory::of(request.tid).write_bytes(RemotePtr::new(address), bytes) {
        Ok(()) => Reply::Return(result),
        Err(error) => Reply::Errno(error.errno()),
    }
}

impl Listings {
    /// Answers getdents64: the names that are there, then ours, then the end. An error says why the descriptor of a directory
    /// with names of ours could not be shared.
    pub fn list(&mut self, request: &Request, tgid: i32, overlay: &Overlay) -> io::Result<Reply> {
        let [descriptor, buffer, capacity, ..] = request.arguments;
        let path = procfs::read_link(&format!("{}/fd/{descriptor}", request.tid));
        let listed = path.ok().and_then(|path| path.to_str().map(|path| overlay.listing(path)));
        let Some(listed) = listed.filter(|listed| !listed.is_empty()) else { return Ok(Reply::Continue) };
        let directory = PidFd::open(tgid)?.descriptor(descriptor as i32)?;
        // The position is in the open file, which we share now, so the caller goes on from where we stop.
        let mut records = vec![0u8; (capacity as usize).min(1 << 16)];
        // SAFETY: the kernel writes at most `records.len()` bytes.
        let count = unsafe {
            libc::syscall(libc::SYS_getdents64, directory.as_raw_fd(), records.as_mut_ptr(), records.len())
        };
        let key = (tgid, descriptor);
        Ok(match usize::try_from(count) {
            Err(_) => Reply::Errno(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)),
            Ok(0) if self.0.remove(&key) => Reply::Return(0),
            Ok(0) => {
                self.0.insert(key);
                let (records, _) = directory_records(&listed, records.len());
                written(request, buffer, &records, records.len() as i64)
            }
            Ok(count) => {
                self.0.remove(&key);
                written(request, buffer, &records[..count], count as i64)
            }
        })
    }
}
