//! Memory of another process.
//!
//! Two ways lead there and ask the kernel for the same permission: `process_vm_readv` with its sibling, and the file
//! `mem` of the process. The calls need nothing opened before; the file is for containers whose seccomp profile refuses
//! the calls, as Docker 20.10's does where CAP_SYS_PTRACE is not granted.

use std::io;
use std::marker::PhantomData;
use std::os::unix::fs::FileExt;

use bytemuck::Pod;

/// An address in another process. It cannot be dereferenced here.
#[derive(Debug)]
pub struct RemotePtr<T> {
    address: u64,
    pointee: PhantomData<fn() -> T>,
}

impl<T> RemotePtr<T> {
    /// An argument of a system call, taken as a pointer.
    pub fn new(address: u64) -> Self {
        Self { address, pointee: PhantomData }
    }

    /// The address as a number.
    pub fn address(self) -> u64 {
        self.address
    }

    /// The same address with another type behind it.
    pub fn cast<U>(self) -> RemotePtr<U> {
        RemotePtr::new(self.address)
    }
}

// Not derived: that would ask for `T: Copy`.
impl<T> Clone for RemotePtr<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for RemotePtr<T> {}

/// Why memory of a process could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {length} bytes at {address:#x} of thread {tid}: {cause}")]
pub struct MemoryError {
    operation: &'static str,
    length: usize,
    address: u64,
    tid: i32,
    #[source]
    cause: io::Error,
}

impl MemoryError {
    /// The errno, for an answer to the process itself.
    pub fn errno(&self) -> i32 {
        self.cause.raw_os_error().unwrap_or(libc::EFAULT)
    }

    /// We were not permitted to; there may well be something at that address.
    pub fn is_refusal(&self) -> bool {
        is_refusal(&self.cause)
    }
}

/// The memory of the process that a thread belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    tid: i32,
}

/// Longest path that the kernel accepts, with its NUL.
const PATH_MAX: usize = 4096;
/// Most paths are shorter than this; one call then suffices.
const USUAL_PATH: usize = 256;
const PAGE: u64 = 4096;

impl Memory {
    /// Of the process of thread `tid`.
    pub fn of(tid: i32) -> Self {
        Self { tid }
    }

    /// Reads one value.
    pub fn read<T: Pod>(&self, from: RemotePtr<T>) -> Result<T, MemoryError> {
        let mut value = T::zeroed();
        self.read_bytes(from.cast(), bytemuck::bytes_of_mut(&mut value))?;
        Ok(value)
    }

    /// Writes one value.
    pub fn write<T: Pod>(&self, to: RemotePtr<T>, value: &T) -> Result<(), MemoryError> {
        self.write_bytes(to.cast(), bytemuck::bytes_of(value))
    }

    /// Fills `buffer`.
    pub fn read_bytes(&self, from: RemotePtr<u8>, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let result = self.read_at(from.address, buffer);
        let length = buffer.len();
        self.complete("read", from, length, result)
    }

    /// Fills the beginning of `buffer` with what is there; its length.
    pub fn read_some(&self, from: RemotePtr<u8>, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        let result = self.read_at(from.address, buffer);
        result.map_err(|cause| self.error("read", from, buffer.len(), cause))
    }

    /// Writes all of `bytes`.
    pub fn write_bytes(&self, to: RemotePtr<u8>, bytes: &[u8]) -> Result<(), MemoryError> {
        self.write_parts([(to, bytes)])
    }

    /// Writes all parts, in order, by one system call: each call costs more than a small part.
    pub fn write_parts<const N: usize>(&self, parts: [(RemotePtr<u8>, &[u8]); N]) -> Result<(), MemoryError> {
        let iovec = |base, bytes: &[u8]| libc::iovec { iov_base: base, iov_len: bytes.len() };
        let local = parts.map(|(_, bytes)| iovec(bytes.as_ptr().cast_mut().cast(), bytes));
        let remote = parts.map(|(to, bytes)| iovec(to.address as *mut _, bytes));
        let count = N as libc::c_ulong;
        // SAFETY: `local` are live slices, which the call only reads; `remote` are addresses in another process, which the
        // kernel checks.
        let written =
            unsafe { libc::process_vm_writev(self.tid, local.as_ptr(), count, remote.as_ptr(), count, 0) };
        let written = transferred(written).or_else(|error| match is_refusal(&error) {
            true => self.write_to_file(&parts, error),
            false => Err(error),
        });
        let length = parts.iter().map(|(_, bytes)| bytes.len()).sum();
        self.complete("write", parts[0].0, length, written)
    }

    /// Reads a path up to its NUL, which is not included.
    pub fn read_path(&self, from: RemotePtr<u8>) -> Result<Vec<u8>, MemoryError> {
        // Not of the heap, which is asked for as many bytes as the path has: this happens for each call that we see.
        let mut usual = [0; USUAL_PATH];
        match self.read_to_nul(from, &mut usual)? {
            Some(length) => Ok(usual[..length].to_vec()),
            None => self.read_long_path(from),
        }
    }

    fn read_long_path(&self, from: RemotePtr<u8>) -> Result<Vec<u8>, MemoryError> {
        let mut path = vec![0; PATH_MAX];
        let length = self.read_to_nul(from, &mut path)?;
        let too_long =
            || self.error("read", from, PATH_MAX, io::Error::from_raw_os_error(libc::ENAMETOOLONG));
        path.truncate(length.ok_or_else(too_long)?);
        Ok(path)
    }

    /// The number of bytes before the NUL; `None` if there is none in a whole buffer.
    fn read_to_nul(&self, from: RemotePtr<u8>, buffer: &mut [u8]) -> Result<Option<usize>, MemoryError> {
        let read = self.read_some(from, buffer)?;
        let nul = buffer[..read].iter().position(|&byte| byte == 0);
        if nul.is_none() && read < buffer.len() {
            let cause = io::Error::from_raw_os_error(libc::EFAULT);
            return Err(self.error("read", from, buffer.len(), cause));
        }
        Ok(nul)
    }

    /// Reads up to `buffer.len()` bytes, fewer if the next page is not there. The request is split at the
    /// first page boundary, as the kernel transfers whole parts only.
    fn read_at(&self, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        let first = buffer.len().min((PAGE - address % PAGE) as usize);
        let part = |offset: usize, length| libc::iovec {
            iov_base: (address.wrapping_add(offset as u64)) as *mut _,
            iov_len: length,
        };
        let remote = [part(0, first), part(first, buffer.len() - first)];
        // SAFETY: `local` is the live, exclusively borrowed `buffer`; `remote` is checked by the kernel.
        let read = unsafe { libc::process_vm_readv(self.tid, &local, 1, remote.as_ptr(), 2, 0) };
        transferred(read).or_else(|error| match is_refusal(&error) {
            true => self.read_from_file(address, buffer, error),
            false => Err(error),
        })
    }

    /// What [`Self::read_at`] does, without the call that was `refused`.
    fn read_from_file(&self, address: u64, buffer: &mut [u8], refused: io::Error) -> io::Result<usize> {
        let memory = procfs::open_memory(self.tid).map_err(|_| refused)?;
        memory.read_at(buffer, address).map_err(as_of_a_call)
    }

    /// What [`Self::write_parts`] does, without the call that was `refused`. Unlike the call, this also writes to pages that
    /// the process itself may only read: it is for the process to pass buffers that can be written.
    fn write_to_file(&self, parts: &[(RemotePtr<u8>, &[u8])], refused: io::Error) -> io::Result<usize> {
        let memory = procfs::open_memory(self.tid).map_err(|_| refused)?;
        let mut written = 0;
        for (to, bytes) in parts {
            memory.write_all_at(bytes, to.address).map_err(as_of_a_call)?;
            written += bytes.len();
        }
        Ok(written)
    }

    fn complete(
        &self,
        operation: &'static str,
        at: RemotePtr<u8>,
        length: usize,
        result: io::Result<usize>,
    ) -> Result<(), MemoryError> {
        match result {
            Ok(count) if count == length => Ok(()),
            Ok(_) => Err(self.error(operation, at, length, io::Error::from_raw_os_error(libc::EFAULT))),
            Err(cause) => Err(self.error(operation, at, length, cause)),
        }
    }

    fn error(
        &self,
        operation: &'static str,
        at: RemotePtr<u8>,
        length: usize,
        cause: io::Error,
    ) -> MemoryError {
        MemoryError { operation, length, address: at.address, tid: self.tid, cause }
    }
}

/// By a seccomp profile, or for want of the permission that a debugger needs.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS))
}

/// Where nothing can be read the file says EIO, and system calls say EFAULT.
fn as_of_a_call(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EIO) => io::Error::from_raw_os_error(libc::EFAULT),
        _ => error,
    }
}

fn transferred(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Memory {
        Memory::of(std::process::id() as i32)
    }

    /// Two pages, of which the second is not readable; returns the end of the first.
    fn edge() -> *mut u8 {
        let page = PAGE as usize;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping, of which the second half is then closed; it is never unmapped.
        unsafe {
            let start =
                libc::mmap(std::ptr::null_mut(), 2 * page, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
            assert_ne!(start, libc::MAP_FAILED);
            assert_eq!(libc::mprotect(start.add(page), page, libc::PROT_NONE), 0);
            start.cast::<u8>().add(page)
        }
    }

    fn put(end: *mut u8, bytes: &[u8]) -> RemotePtr<u8> {
        // SAFETY: `bytes` fits into the readable page that ends at `end`.
        unsafe {
            let start = end.sub(bytes.len());
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len());
            RemotePtr::new(start as u64)
        }
    }

    #[test]
    fn a_path_at_the_edge_of_readable_memory_is_read() {
        let at = put(edge(), b"/lib/libcuda.so.1\0");
        assert_eq!(own().read_path(at).unwrap(), b"/lib/libcuda.so.1");
    }

    #[test]
    fn a_path_that_runs_out_of_readable_memory_is_an_error() {
        let at = put(edge(), b"/lib/no-end");
        assert_eq!(own().read_path(at).unwrap_err().errno(), libc::EFAULT);
    }

    #[test]
    fn long_paths_are_read_and_too_long_ones_refused() {
        let mut path = vec![b'a'; 3000];
        path.push(0);
        assert_eq!(own().read_path(RemotePtr::new(path.as_ptr() as u64)).unwrap().len(), 3000);
        let endless = vec![b'a'; 2 * PATH_MAX];
        let error = own().read_path(RemotePtr::new(endless.as_ptr() as u64)).unwrap_err();
        assert_eq!(error.errno(), libc::ENAMETOOLONG);
    }

    #[test]
    fn values_are_read_and_written() {
        let mut value = 17u64;
        let at = RemotePtr::new(&raw mut value as u64);
        assert_eq!(own().read::<u64>(at).unwrap(), 17);
        own().write(at, &18u64).unwrap();
        assert_eq!(value, 18);
    }

    /// As if the calls were refused.
    fn refused() -> io::Error {
        io::Error::from_raw_os_error(libc::EPERM)
    }

    #[test]
    fn the_file_gives_what_is_there_and_no_more() {
        let at = put(edge(), b"/lib/libcuda.so.1\0");
        let mut path = [0; 18];
        assert_eq!(own().read_from_file(at.address, &mut path, refused()).unwrap(), 18);
        assert_eq!(&path, b"/lib/libcuda.so.1\0");
        let error = own().read_from_file(8, &mut path, refused()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EFAULT));
    }

    #[test]
    fn the_file_takes_all_parts() {
        let (mut first, mut second) = (0u32, 0u64);
        let (to_first, to_second) = (&raw mut first as u64, &raw mut second as u64);
        let parts: [(RemotePtr<u8>, &[u8]); 2] = [
            (RemotePtr::new(to_first), &[1, 0, 0, 0]),
            (RemotePtr::new(to_second), &[2, 0, 0, 0, 0, 0, 0, 0]),
        ];
        assert_eq!(own().write_to_file(&parts, refused()).unwrap(), 12);
        assert_eq!((first, second), (1, 2));
    }

    #[test]
    fn without_both_ways_the_refusal_is_told() {
        // A process that cannot be: numbers end below this one.
        let error = Memory::of(i32::MAX).read_from_file(0, &mut [0], refused()).unwrap_err();
        assert!(is_refusal(&error), "{error}");
    }

    #[test]
    fn an_error_names_the_operation_and_the_place() {
        let error = own().read::<u64>(RemotePtr::new(8)).unwrap_err().to_string();
        assert!(error.starts_with("cannot read 8 bytes at 0x8 of thread"), "{error}");
    }
}
