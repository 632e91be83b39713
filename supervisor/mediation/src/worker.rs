//! Processes that execute calls.
//!
//! ```text
//!   supervisor ──clone──▶ maker ──clone──▶ process for client A
//!        └──── one table of descriptors ───▶ process for client B …
//! ```
//!
//! The driver keeps objects apart by the process that made them, and takes a process for entitled to a card if it has the card open. So
//! each client has a process of its own, with the client's user and no capabilities.
//!
//! All of them have the supervisor's table of descriptors (`CLONE_FILES`): a duplicate of a client's file that the supervisor makes for
//! a call can be used there at once, and is closed with the call. A process cannot be traced or read by others of its user, and
//! ends with the one that made it.
//!
//! The maker is cloned while the supervisor has one thread, so what it clones has one as well and may do whatever it likes.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tracee::PidFd;

use crate::bell::{self, Bell};
use crate::kernel::{Handed, Kernel};
use crate::region::{AREA, Head, Region, SLOTS};

/// Whose process it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Effective.
    pub user: u32,
    /// Effective.
    pub group: u32,
    /// Supplementary.
    pub groups: Vec<u32>,
}

/// Makes processes and gives them orders.
pub struct Workers {
    region: Region,
    maker: PidFd,
    free: Vec<usize>,
    leaving: Vec<Leaving>,
    bell: Bell,
    spin: Duration,
}

/// A process that has been killed and may not have ended yet.
struct Leaving {
    slot: usize,
    handle: PidFd,
    /// Descriptors that its last call may still look up: their numbers must not be others' meanwhile.
    _files: Vec<OwnedFd>,
}

/// A process.
#[derive(Debug)]
pub struct Worker {
    slot: usize,
    handle: PidFd,
    /// Its number.
    pub pid: i32,
}

/// What a process is to do.
pub enum Order<'a> {
    /// `ioctl` with an address in its area, or any number.
    Ioctl { descriptor: RawFd, number: u32, argument: u64 },
    /// `open`, for reading and writing.
    Open(&'a CStr),
    /// For the maker: another process.
    Make { slot: usize, identity: &'a Identity },
}

/// Why an order was not executed.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The call failed.
    #[error("{0}")]
    Failed(#[source] io::Error),
    /// There is no process any more.
    #[error("the process that executes device calls was killed")]
    Gone,
    /// As many as there can be.
    #[error("{} programs use the device at once", SLOTS - 1)]
    TooMany,
}

const MAKER: usize = 0;
/// How long one that waits looks before it sleeps: a little more than a client takes between two calls of a row.
const SPIN: Duration = Duration::from_micros(40);
/// How long the supervisor waits for a call that takes longer, before it does something else: what that costs is a tenth of this.
const MOMENT: Duration = Duration::from_micros(100);
/// How often one that sleeps looks whether the other one is still there.
const PATIENCE: Duration = Duration::from_millis(100);

const IOCTL: u32 = 1;
const OPEN: u32 = 2;
const MAKE: u32 = 3;

impl Workers {
    /// Clones the maker, for processes whose calls `kernel` executes. Precondition: this process has one thread.
    pub fn begin(kernel: Kernel) -> io::Result<Self> {
        let region = Region::new()?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let spin = if cores > 1 { SPIN } else { Duration::ZERO };
        let bell = Bell::new()?;
        let own = std::process::id();
        let pid = clone_with_files()?;
        if pid == 0 {
            make(&region, Making { kernel, spin, bell: bell.number() }, own);
        }
        let maker = PidFd::open(pid)?;
        let free = (MAKER + 1..SLOTS).rev().collect();
        Ok(Self { region, maker, free, leaving: Vec::new(), bell, spin })
    }

    /// A new process.
    pub fn make(&mut self, identity: &Identity) -> Result<Worker, WorkerError> {
        self.collect();
        let slot = self.free.pop().ok_or(WorkerError::TooMany)?;
        let made = self.order(MAKER, &self.maker, &Order::Make { slot, identity });
        let pid = made.inspect_err(|_| self.free.push(slot))?;
        // The maker does not wait for it, so that the number is still its own, or nobody's.
        let handle = PidFd::open(pid).map_err(|_| WorkerError::Gone)?;
        Ok(Worker { slot, handle, pid })
    }

    /// Lets a process execute an order and waits for it; what the call returned.
    pub fn execute(&self, worker: &Worker, order: &Order) -> Result<i32, WorkerError> {
        self.order(worker.slot, &worker.handle, order)
    }

    /// Lets a process open a file.
    pub fn open(&self, worker: &Worker, path: &CStr) -> Result<OwnedFd, WorkerError> {
        let number = self.execute(worker, &Order::Open(path))?;
        // SAFETY: the process has just opened it, in the table of descriptors that is ours, too; nobody else knows of it.
        Ok(unsafe { OwnedFd::from_raw_fd(number) })
    }

    /// Lets a process execute an order; what the call returned. None if it takes longer than a moment: then the bell will ring.
    pub fn hand_over(&self, worker: &Worker, order: &Order) -> Option<Result<i32, WorkerError>> {
        let head = self.region.head(worker.slot);
        self.prepare(worker.slot, head, order);
        head.post();
        if head.is_done_within(self.spin, MOMENT) {
            return Some(result(head));
        }
        self.bell.watch(&worker.handle);
        head.ask_for_bell();
        self.settled(worker)
    }

    /// Whether an order that took longer has come to something.
    pub fn is_settled(&self, worker: &Worker) -> bool {
        self.region.head(worker.slot).has_result() || worker.handle.has_ended()
    }

    /// What an order that took longer has come to; none: it is being executed.
    pub fn settled(&self, worker: &Worker) -> Option<Result<i32, WorkerError>> {
        let head = self.region.head(worker.slot);
        let settled = match head.is_done() {
            true => result(head),
            false if worker.handle.has_ended() => Err(WorkerError::Gone),
            false => return None,
        };
        self.bell.forget(&worker.handle);
        Some(settled)
    }

    /// Ends a process. `files`: those that its call is about, if it executes one.
    pub fn end(&mut self, worker: Worker, files: Vec<OwnedFd>) {
        let _ = worker.handle.signal(libc::SIGKILL);
        self.bell.watch(&worker.handle);
        self.leaving.push(Leaving { slot: worker.slot, handle: worker.handle, _files: files });
    }

    /// Hears what has rung, and takes back the slots of those that have ended.
    pub fn hear(&mut self) {
        self.bell.silence();
        self.collect();
    }

    /// Bytes for an order, in the area of a process.
    pub fn write(&self, worker: &Worker, offset: usize, bytes: &[u8]) {
        self.region.write(worker.slot, offset, bytes);
    }

    /// What an order has left there.
    pub fn read(&self, worker: &Worker, offset: usize, bytes: &mut [u8]) {
        self.region.read(worker.slot, offset, bytes);
    }

    /// Where a place of the area is for the process.
    pub fn address(&self, worker: &Worker, offset: usize) -> u64 {
        self.region.address(worker.slot, offset)
    }

    fn order(&self, slot: usize, process: &PidFd, order: &Order) -> Result<i32, WorkerError> {
        let head = self.region.head(slot);
        self.prepare(slot, head, order);
        head.post();
        while !head.is_done_within(self.spin, PATIENCE) {
            if process.has_ended() {
                return Err(WorkerError::Gone);
            }
        }
        result(head)
    }

    fn prepare(&self, slot: usize, head: &Head, order: &Order) {
        match order {
            Order::Ioctl { descriptor, number, argument } => {
                head.operation.store(IOCTL, Relaxed);
                head.descriptor.store(*descriptor, Relaxed);
                head.number.store(*number, Relaxed);
                head.argument.store(*argument, Relaxed);
            }
            Order::Open(path) => {
                head.operation.store(OPEN, Relaxed);
                self.region.write(slot, 0, path.to_bytes_with_nul());
                head.argument.store(self.region.address(slot, 0), Relaxed);
            }
            Order::Make { slot: new, identity } => {
                head.operation.store(MAKE, Relaxed);
                head.number.store(*new as u32, Relaxed);
                self.region.write(slot, 0, &encode(identity));
            }
        }
    }

    /// How many processes there are for clients.
    #[cfg(any(test, feature = "stand-in"))]
    pub fn count(&mut self) -> usize {
        self.collect();
        SLOTS - 1 - self.free.len()
    }

    fn collect(&mut self) {
        for leaving in self.leaving.extract_if(.., |leaving| leaving.handle.has_ended()) {
            self.region.clear(leaving.slot);
            self.free.push(leaving.slot);
        }
    }
}

impl AsFd for Workers {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

/// What an executed order has come to.
fn result(head: &Head) -> Result<i32, WorkerError> {
    match head.result.load(Relaxed) {
        -1 => Err(WorkerError::Failed(io::Error::from_raw_os_error(head.error.load(Relaxed)))),
        result => Ok(result),
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let _ = self.maker.signal(libc::SIGKILL);
    }
}

/// `fork`, but with the same table of descriptors: 0 in the child.
fn clone_with_files() -> io::Result<i32> {
    let flags = libc::CLONE_FILES | libc::SIGCHLD;
    // SAFETY: without a stack the child goes on with a copy of this one, as after `fork`; all callers have one thread.
    let result = unsafe { libc::syscall(libc::SYS_clone, flags, 0usize, 0usize, 0usize, 0usize) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

/// What processes are made with.
#[derive(Clone, Copy)]
struct Making {
    kernel: Kernel,
    spin: Duration,
    bell: RawFd,
}

/// What the maker does until it is killed.
fn make(region: &Region, making: Making, parent: u32) -> ! {
    // SAFETY: these calls take numbers and constant text. Nobody waits for what is cloned here: the kernel does.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, c"vgpu-maker".as_ptr());
        libc::signal(libc::SIGCHLD, libc::SIG_IGN);
    }
    end_with(parent);
    let own = std::process::id();
    let head = region.head(MAKER);
    loop {
        // Rarely asked, so it need not be quick.
        head.wait_for_order(Duration::ZERO);
        let slot = head.number.load(Relaxed) as usize;
        let mut bytes = vec![0; GROUPS_END];
        region.read(MAKER, 0, &mut bytes);
        let made = clone_with_files();
        if matches!(made, Ok(0)) {
            serve(region, slot, making, (&decode(&bytes), own));
        }
        answer(head, made);
        head.done();
    }
}

/// What a process does until it is killed.
fn serve(region: &Region, slot: usize, making: Making, (identity, parent): (&Identity, u32)) -> ! {
    end_with(parent);
    // SAFETY: the name is constant text; ending takes a number.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, c"vgpu-device".as_ptr());
        if become_client(identity).is_err() {
            libc::_exit(1);
        }
    }
    // Once more: a change of the user has undone it.
    end_with(parent);
    let head = region.head(slot);
    loop {
        head.wait_for_order(making.spin);
        answer(head, execute(region, slot, head, making.kernel));
        if head.done() {
            bell::ring(making.bell);
        }
    }
}

fn execute(region: &Region, slot: usize, head: &Head, kernel: Kernel) -> io::Result<i32> {
    let argument = head.argument.load(Relaxed);
    match head.operation.load(Relaxed) {
        IOCTL => {
            let start = region.address(slot, 0);
            let (descriptor, number) = (head.descriptor.load(Relaxed), head.number.load(Relaxed));
            (kernel.ioctl)(&Handed { descriptor, number, argument, area: start..start + AREA as u64 })
        }
        // SAFETY: the supervisor has put a path there, with its NUL.
        OPEN => (kernel.open)(unsafe { CStr::from_ptr(argument as *const libc::c_char) }),
        _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
    }
}

fn answer(head: &Head, result: io::Result<i32>) {
    head.error.store(result.as_ref().err().and_then(io::Error::raw_os_error).unwrap_or(libc::EIO), Relaxed);
    head.result.store(result.unwrap_or(-1), Relaxed);
}

/// Killed when the one is gone that has cloned this process, also if it is gone already.
fn end_with(parent: u32) {
    // SAFETY: these calls take numbers.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        if libc::getppid() as u32 != parent {
            libc::_exit(1);
        }
    }
}

/// Takes the client's user and gives up everything else.
fn become_client(identity: &Identity) -> io::Result<()> {
    let check = |result: libc::c_long| if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
    let Identity { user, group, groups } = identity;
    // SAFETY: the calls take numbers, and a list that lives here.
    unsafe {
        if libc::geteuid() == 0 {
            // To the calls below this number says that nothing is to change.
            if [*user, *group].contains(&u32::MAX) {
                return Err(io::Error::from_raw_os_error(libc::EINVAL));
            }
            // May be forbidden in a user namespace that has no other groups anyway.
            let _ = libc::setgroups(groups.len(), groups.as_ptr());
            check(libc::syscall(libc::SYS_setresgid, *group, *group, *group))?;
            check(libc::syscall(libc::SYS_setresuid, *user, *user, *user))?;
        }
        check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0).into())?;
        check(libc::prctl(libc::PR_SET_DUMPABLE, 0).into())?;
    }
    give_up_capabilities()
}

fn give_up_capabilities() -> io::Result<()> {
    /// `_LINUX_CAPABILITY_VERSION_3`: two words of each set.
    const VERSION: u32 = 0x2008_0522;
    let header = [VERSION, 0];
    let none = [0u32; 6];
    // SAFETY: a header and two structs of three words, which the call reads.
    match unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// User, group, how many groups, and these. More than a page of them are left out.
fn encode(identity: &Identity) -> Vec<u8> {
    let groups = &identity.groups[..identity.groups.len().min(MOST_GROUPS)];
    let head = [identity.user, identity.group, groups.len() as u32];
    head.iter().chain(groups).flat_map(|word| word.to_ne_bytes()).collect()
}

const MOST_GROUPS: usize = 1021;
const GROUPS_END: usize = 4 * (3 + MOST_GROUPS);
const _: () = assert!(GROUPS_END <= AREA);

fn decode(bytes: &[u8]) -> Identity {
    let word = |index: usize| u32::from_ne_bytes(bytes[4 * index..][..4].try_into().expect("four bytes"));
    let count = (word(2) as usize).min(MOST_GROUPS);
    Identity { user: word(0), group: word(1), groups: (3..3 + count).map(word).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_survives_the_way_to_the_maker() {
        let identity = Identity { user: 7, group: 8, groups: vec![9, 10] };
        let mut bytes = encode(&identity);
        bytes.resize(GROUPS_END, 0xff);
        assert_eq!(decode(&bytes), identity);
    }
}
