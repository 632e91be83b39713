//! Passing a descriptor into a thread that is held in a call: it receives a message that carries it.

use std::cell::{Cell, OnceCell};
use std::io;
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use bytemuck::{Pod, Zeroable};
use syscall_filter::handover;
use tracee::{Memory, MemoryError, PidFd, RemotePtr};

use crate::inject::Injection;
use crate::page;
use crate::path::{self, OwnFiles};
use crate::stopped::Gone;

/// Why a descriptor did not get in.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// There is nobody any more.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// The process has no descriptor left, or fewer than this takes.
    #[error("the process has no room for another descriptor")]
    NoRoom,
    /// A call that the process made for us failed: it has a filter of its own, or a limit.
    #[error("the process, which has a filter or a limit of its own, cannot {doing}: {error}")]
    Refused { doing: &'static str, error: io::Error },
    /// A call of our own failed.
    #[error("cannot {doing}: {error}")]
    Failed { doing: &'static str, error: io::Error },
    /// Its memory cannot be read or written.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

impl From<PassError> for io::Error {
    fn from(error: PassError) -> Self {
        match error {
            PassError::Gone(_) => io::Error::from_raw_os_error(libc::ESRCH),
            PassError::NoRoom => io::Error::from_raw_os_error(libc::EMFILE),
            error => io::Error::other(error),
        }
    }
}

/// How threads are reached, as far as that has been found out.
#[derive(Default)]
pub struct Ways {
    /// `pidfd_getfd` was refused before.
    no_duplicates: Cell<bool>,
    address: OnceCell<Address>,
    /// Where threads find our descriptors; nothing without procfs.
    pub own_files: OnceCell<Option<OwnFiles>>,
}

/// Puts a descriptor into the thread's process; its number there, the lowest that was free.
pub fn give(thread: &mut Injection, file: BorrowedFd, cloexec: bool) -> Result<i32, PassError> {
    match path::open(thread, file, cloexec)? {
        Some(number) => Ok(number),
        None => {
            let page = page::of(thread)?;
            receive(thread, page, file, cloexec)
        }
    }
}

/// The same under that number; what had it is closed.
pub fn give_as(
    thread: &mut Injection,
    file: BorrowedFd,
    number: i32,
    cloexec: bool,
) -> Result<(), PassError> {
    let received = give(thread, file, cloexec)?;
    if received == number {
        return Ok(());
    }
    let flags = if cloexec { libc::O_CLOEXEC } else { 0 };
    let arguments = [received as u64, number as u64, flags as u64, 0, 0, 0];
    let done = call(thread, "replace a descriptor", libc::SYS_dup3, arguments);
    close(thread, received)?;
    done.map(drop)
}

/// What `recvmsg` works on, in the process's memory: its arguments, and behind them where they point.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Mailbox {
    header: Header,
    part: Part,
    control: Control,
    byte: u64,
}

/// `struct msghdr`
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Header {
    name: u64,
    name_length: u64,
    parts: u64,
    part_count: u64,
    control: u64,
    control_length: u64,
    flags: u64,
}

/// `struct iovec`
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Part {
    base: u64,
    length: u64,
}

/// `struct cmsghdr` with one descriptor.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Control {
    length: u64,
    level: i32,
    kind: i32,
    descriptor: i32,
    padding: i32,
}

const _: () = assert!(size_of::<Header>() == size_of::<libc::msghdr>());

impl Mailbox {
    fn at(page: u64) -> Self {
        let at = |offset: usize| page + offset as u64;
        let mut mailbox = Self::zeroed();
        mailbox.header.parts = at(offset_of!(Self, part));
        mailbox.header.part_count = 1;
        mailbox.header.control = at(offset_of!(Self, control));
        mailbox.header.control_length = size_of::<Control>() as u64;
        mailbox.part = Part { base: at(offset_of!(Self, byte)), length: 1 };
        mailbox
    }

    /// The descriptor that came; none if there was no room for it.
    fn descriptor(&self) -> Option<i32> {
        let came = self.header.control_length >= offset_of!(Control, padding) as u64
            && (self.control.level, self.control.kind) == (libc::SOL_SOCKET, libc::SCM_RIGHTS);
        came.then_some(self.control.descriptor)
    }
}

/// A stream between the process and us.
struct Connection {
    /// Its descriptor there, the lowest that was free.
    theirs: i32,
    ours: OwnedFd,
}

fn receive(thread: &mut Injection, page: u64, file: BorrowedFd, cloexec: bool) -> Result<i32, PassError> {
    if !may_receive(thread) {
        return Err(PassError::Refused {
            doing: "receive a descriptor",
            error: io::Error::from_raw_os_error(libc::EPERM),
        });
    }
    let Connection { theirs, ours } = connect(thread, page)?;
    match receive_through(thread, theirs, &ours, page, file) {
        Ok(received) => {
            let flags = if cloexec { libc::O_CLOEXEC } else { 0 };
            let arguments = [received as u64, theirs as u64, flags as u64, 0, 0, 0];
            let number = call(thread, "duplicate a descriptor", libc::SYS_dup3, arguments)?;
            close(thread, received)?;
            Ok(number as i32)
        }
        Err(error) => {
            if !matches!(error, PassError::Gone(_)) {
                close(thread, theirs)?;
            }
            Err(error)
        }
    }
}

/// Whether its own filters let the thread make the calls that come last: nothing is to be left in it half done.
fn may_receive(thread: &Injection) -> bool {
    let last = [libc::SYS_recvmsg, libc::SYS_dup3, libc::SYS_close];
    last.iter().all(|number| thread.may_call(*number, [3, 4, 0, 0, 0, 0]))
}

fn receive_through(
    thread: &mut Injection,
    theirs: i32,
    ours: &OwnedFd,
    page: u64,
    file: BorrowedFd,
) -> Result<i32, PassError> {
    handover::send(ours, &[0], &[file.as_raw_fd()])
        .map_err(|error| PassError::Failed { doing: "send a descriptor", error })?;
    let memory = Memory::of(thread.tid());
    memory.write(RemotePtr::new(page), &Mailbox::at(page))?;
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    call(thread, "receive a descriptor", libc::SYS_recvmsg, [theirs as u64, page, flags as u64, 0, 0, 0])?;
    memory.read::<Mailbox>(RemotePtr::new(page))?.descriptor().ok_or(PassError::NoRoom)
}

fn connect(thread: &mut Injection, page: u64) -> Result<Connection, PassError> {
    let shared = thread.shared().clone();
    if !shared.ways.no_duplicates.get() {
        match connect_by_pair(thread, page) {
            Err(PassError::Failed { error, .. }) if is_refusal(&error) => shared.ways.no_duplicates.set(true),
            result => return result,
        }
    }
    connect_by_name(thread, page)
}

/// The kernel does not know the call, or a profile forbids it: that will not change.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES | libc::ENOSYS))
}

/// The process makes both ends, and we take one.
fn connect_by_pair(thread: &mut Injection, page: u64) -> Result<Connection, PassError> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
    let arguments = [libc::AF_UNIX as u64, kind as u64, 0, page, 0, 0];
    call(thread, "make a socket pair", libc::SYS_socketpair, arguments)?;
    let [theirs, other]: [i32; 2] = Memory::of(thread.tid()).read(RemotePtr::new(page))?;
    let duplicate =
        thread.shared().process_of(thread.tid()).and_then(|tgid| PidFd::open(tgid)?.descriptor(other));
    close(thread, other)?;
    match duplicate {
        Ok(ours) => Ok(Connection { theirs, ours }),
        Err(error) => {
            close(thread, theirs)?;
            Err(PassError::Failed { doing: "duplicate a descriptor of the process", error })
        }
    }
}

/// The process connects to us.
fn connect_by_name(thread: &mut Injection, page: u64) -> Result<Connection, PassError> {
    let shared = thread.shared().clone();
    let failed = |error| PassError::Failed { doing: "be reached by the process", error };
    let address = shared.ways.address(shared.pages.mark())?;
    // Not blocking: strangers might fill the queue.
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let arguments = [libc::AF_UNIX as u64, kind as u64, 0, 0, 0, 0];
    let theirs = call(thread, "make a socket", libc::SYS_socket, arguments)? as i32;
    let memory = Memory::of(thread.tid());
    memory.write_bytes(RemotePtr::new(page), &address.name)?;
    let arguments = [theirs as u64, page, address.name.len() as u64, 0, 0, 0];
    let connected = call(thread, "connect to vgpu-run", libc::SYS_connect, arguments);
    let tgid = shared.process_of(thread.tid());
    let ours = connected.and_then(|_| tgid.and_then(|tgid| address.accept(tgid)).map_err(failed));
    match ours {
        Ok(ours) => Ok(Connection { theirs, ours }),
        Err(error) => {
            if !matches!(error, PassError::Gone(_)) {
                close(thread, theirs)?;
            }
            Err(error)
        }
    }
}

fn close(thread: &mut Injection, descriptor: i32) -> Result<(), PassError> {
    call(thread, "close a descriptor", libc::SYS_close, [descriptor as u64, 0, 0, 0, 0, 0]).map(drop)
}

/// A call of the thread, whose failure is an error.
pub fn call(
    thread: &mut Injection,
    doing: &'static str,
    number: i64,
    arguments: [u64; 6],
) -> Result<i64, PassError> {
    match thread.call(number, arguments)? {
        result @ 0.. => Ok(result),
        // The highest page of addresses are error numbers.
        errno if errno < -4095 => Ok(errno),
        errno if errno == -i64::from(libc::EMFILE) => Err(PassError::NoRoom),
        errno => Err(PassError::Refused { doing, error: io::Error::from_raw_os_error(-errno as i32) }),
    }
}

/// Where processes connect to, under a name that is in no file system.
struct Address {
    listener: UnixListener,
    /// `struct sockaddr_un`, as far as it is used.
    name: Vec<u8>,
}

impl Ways {
    /// With a name made of a number that nobody can guess.
    fn address(&self, mark: u128) -> Result<&Address, PassError> {
        if self.address.get().is_none() {
            let address =
                Address::new(mark).map_err(|error| PassError::Failed { doing: "make a socket", error })?;
            let _ = self.address.set(address);
        }
        Ok(self.address.get().expect("set above"))
    }
}

impl Address {
    fn new(mark: u128) -> io::Result<Self> {
        let name = format!("vgpu-run-{mark:032x}");
        let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?;
        listener.set_nonblocking(true)?;
        let family = (libc::AF_UNIX as u16).to_ne_bytes();
        Ok(Self { listener, name: [&family, &[0][..], name.as_bytes()].concat() })
    }

    /// The connection of this process, which has just been made. Anybody may connect, so others are dropped.
    fn accept(&self, tgid: i32) -> io::Result<OwnedFd> {
        loop {
            let (stream, _) = self.listener.accept()?;
            if peer(stream.as_fd())? == tgid {
                return Ok(stream.into());
            }
        }
    }
}

/// The process at the other end.
fn peer(stream: BorrowedFd) -> io::Result<i32> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the call writes at most `length` bytes, the size of `peer`.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &mut length,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(peer.pid) }
}
