//! The device node and the control calls on it: what connects the broker with our requests.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use broker::{Caller, CallerFd};
use interception::Request;
use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use nix::sys::stat::fstat;
use resource_manager::{FileId, Node, ResourceManager};
use tracee::{Memory, PidFd, RemotePtr};

use crate::shown::Shown;

/// The asker of a control call, as the broker wants to see it.
pub struct Asker<'a> {
    request: &'a Request,
    tgid: i32,
    not_installed: RefCell<Option<io::Error>>,
}

impl<'a> Asker<'a> {
    /// The thread behind `request`, of process `tgid`.
    pub fn new(request: &'a Request, tgid: i32) -> Self {
        Self { request, tgid, not_installed: RefCell::default() }
    }

    /// Why it did not get a descriptor that the broker had for it. One that was killed meanwhile misses nothing.
    pub fn not_installed(&self) -> Option<io::Error> {
        self.not_installed.take().filter(|_| self.request.is_alive())
    }

    fn memory(&self) -> Memory {
        Memory::of(self.request.tid)
    }
}

impl Caller for Asker<'_> {
    fn process(&self) -> u32 {
        self.tgid as u32
    }

    fn identity(&self) -> (u32, u32) {
        // The owner of this directory is the effective user, or root for one that must not be looked into.
        let owner = procfs::metadata(&self.tgid.to_string()).map(|owner| (owner.uid(), owner.gid())).ok();
        let owner = owner.or_else(|| PidFd::open(self.tgid).ok()?.owner());
        owner.unwrap_or((u32::MAX, u32::MAX))
    }

    fn is_root(&self) -> bool {
        // Real, effective, saved, of the file system; unlike the owner of the directory also of one that must not be looked into.
        let users = procfs::status_field(self.request.tid, "Uid");
        let effective = users.and_then(|text| text.split_whitespace().nth(1)?.parse::<u32>().ok());
        effective.unwrap_or_else(|| self.identity().0) == 0
    }

    fn read(&self, address: u64, target: &mut [u8]) -> Result<(), Errno> {
        let result = self.memory().read_bytes(RemotePtr::new(address), target);
        result.map_err(|error| Errno::from_raw(error.errno()))
    }

    fn read_some(&self, address: u64, target: &mut [u8]) -> Result<usize, Errno> {
        let result = self.memory().read_some(RemotePtr::new(address), target);
        result.map_err(|error| Errno::from_raw(error.errno()))
    }

    fn write(&self, parts: [(u64, &[u8]); 2]) -> Result<(), Errno> {
        let parts = parts.map(|(address, source)| (RemotePtr::new(address), source));
        let result = self.memory().write_parts(parts);
        result.map_err(|error| Errno::from_raw(error.errno()))
    }

    fn install(&self, descriptor: BorrowedFd) -> Result<CallerFd, Errno> {
        self.request.give(&descriptor, true).map_err(|error| {
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            self.not_installed.replace(Some(error));
            Errno::from_raw(errno)
        })
    }

    fn descriptor(&self, number: CallerFd) -> Result<OwnedFd, Errno> {
        let duplicate = PidFd::open(self.tgid).and_then(|process| process.descriptor(number));
        duplicate.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
    }

    fn is_waiting(&self) -> bool {
        self.request.is_alive()
    }
}

/// Open files of `/dev/nvidiactl` and its like. Each is one end of a socket pair: polling it waits, reading
/// and mapping it fail, and our end hangs up when the last duplicate in the last process is closed.
pub struct Nodes {
    open: Vec<Open>,
    /// How many of them each process opened.
    of_openers: HashMap<i32, usize>,
    /// How many there may be: some of our descriptors are left for what else a client needs of us.
    most: usize,
    /// Those that the resource manager knew.
    closed: Vec<FileId>,
    /// Descriptors that show a page.
    pub shown: Shown,
}

struct Open {
    ours: OwnedFd,
    /// Of their end: what `/proc/TID/fd` tells of a descriptor.
    inode: u64,
    node: Node,
    opener: i32,
    /// Once the resource manager has heard of it.
    file: Option<FileId>,
    /// Whoever polls it wakes up.
    is_awake: bool,
}

impl Default for Nodes {
    fn default() -> Self {
        let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft as usize);
        Self::at_most(descriptors - descriptors.min(1024) / 4)
    }
}

impl Nodes {
    fn at_most(most: usize) -> Self {
        Self {
            open: Vec::new(),
            of_openers: HashMap::new(),
            most,
            closed: Vec::new(),
            shown: Shown::default(),
        }
    }

    /// A new open file for that process. We keep the other end, so that it does not see a hang-up while we live. One that opens as
    /// many as it can leaves some to others.
    pub fn open(&mut self, node: Node, opener: i32) -> Result<OwnedFd, Errno> {
        if self.open.len() >= self.open.capacity() || !self.has_room(opener) {
            self.forget_closed();
        }
        if !self.has_room(opener) {
            return Err(Errno::EMFILE);
        }
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let pair = || socketpair(AddressFamily::Unix, SockType::Stream, None, flags);
        let (ours, theirs) = pair().or_else(|_| {
            self.forget_closed();
            pair()
        })?;
        let inode = fstat(theirs.as_fd())?.st_ino;
        self.open.push(Open { ours, inode, node, opener, file: None, is_awake: false });
        *self.of_openers.entry(opener).or_default() += 1;
        Ok(theirs)
    }

    fn has_room(&self, opener: i32) -> bool {
        /// Nobody has more than a part of all.
        const PART: usize = 4;
        let own = self.of_openers.get(&opener).copied().unwrap_or(0);
        self.open.len() < self.most && own < self.most.div_ceil(PART)
    }

    /// Lets go of those that nobody has open any more. Done when a client has ended, and before the list grows.
    pub fn forget_closed(&mut self) {
        self.shown.forget_closed();
        let watched = |open: &Open| libc::pollfd { fd: open.ours.as_raw_fd(), events: 0, revents: 0 };
        let mut polled: Vec<_> = self.open.iter().map(watched).collect();
        // SAFETY: as many pollfds as told, alive here.
        unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, 0) };
        let mut looks = polled.iter();
        let closed =
            self.open.extract_if(.., |_| looks.next().is_some_and(|look| look.revents & libc::POLLHUP != 0));
        for open in closed {
            self.closed.extend(open.file);
            if let Entry::Occupied(mut own) = self.of_openers.entry(open.opener) {
                *own.get_mut() -= 1;
                if *own.get() == 0 {
                    own.remove();
                }
            }
        }
        self.open.reserve(self.open.len().max(64));
    }

    /// Tells the resource manager what was opened and closed since it last heard.
    pub fn settle(&mut self, manager: &mut ResourceManager) {
        self.forget_closed();
        self.closed.drain(..).for_each(|file| manager.close(file));
        for open in &mut self.open {
            open.file.get_or_insert_with(|| manager.open(open.node));
        }
    }

    /// Whoever polls that file has something to hear.
    pub fn wake(&mut self, file: FileId) {
        let Some(open) = self.open.iter_mut().find(|open| open.file == Some(file) && !open.is_awake) else {
            return;
        };
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let tell = |flags| send(open.ours.as_raw_fd(), &[0], flags);
        // A driver's node is readable and urgent; a kernel may have no urgent data of such sockets.
        open.is_awake = tell(flags | MsgFlags::MSG_OOB).or_else(|_| tell(flags)).is_ok();
    }

    /// There is nothing more to hear: polling waits again. `descriptor`: one of the process's that stands for the file.
    pub fn quieten(&mut self, inode: u64, tgid: i32, descriptor: i32) {
        let Some(open) = self.open.iter_mut().find(|open| open.inode == inode && open.is_awake) else {
            return;
        };
        let Ok(theirs) = PidFd::open(tgid).and_then(|process| process.descriptor(descriptor)) else { return };
        for flags in [MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_OOB, MsgFlags::MSG_DONTWAIT] {
            let _ = recv(theirs.as_raw_fd(), &mut [0; 8], flags);
        }
        open.is_awake = false;
    }

    /// Whether it is one of ours.
    pub fn knows(&self, inode: u64) -> bool {
        self.node(inode).is_some()
    }

    /// Which node it is an open file of.
    pub fn node(&self, inode: u64) -> Option<Node> {
        self.find(inode).map(|open| open.node)
    }

    /// As the resource manager knows it.
    pub fn file(&self, inode: u64) -> Option<FileId> {
        self.find(inode)?.file
    }

    fn find(&self, inode: u64) -> Option<&Open> {
        self.open.iter().find(|open| open.inode == inode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks until it is so: children that another test forks have our descriptors for a moment.
    fn until(mut is_so: impl FnMut() -> bool) {
        let begun = std::time::Instant::now();
        while !is_so() {
            assert!(begun.elapsed().as_secs() < 10, "it does not become so");
        }
    }

    fn until_left(nodes: &mut Nodes, count: usize) {
        until(|| {
            nodes.forget_closed();
            nodes.open.len() == count
        });
    }

    #[test]
    fn ends_of_closed_nodes_are_forgotten() {
        let mut nodes = Nodes::default();
        let kept = nodes.open(Node::Control, 1).unwrap();
        for _ in 0..1000 {
            drop(nodes.open(Node::Gpu(0), 1).unwrap());
        }
        assert!(nodes.open.len() < 200, "{} are held", nodes.open.len());
        until_left(&mut nodes, 1);
        let inode = fstat(kept.as_fd()).unwrap().st_ino;
        assert_eq!((nodes.node(inode), nodes.file(inode)), (Some(Node::Control), None));
        drop(kept);
    }

    #[test]
    fn a_file_is_readable_from_its_waking_until_it_is_quiet() {
        let mut manager = ResourceManager::new(device::DRIVER_VERSION, Vec::new()).unwrap();
        let mut nodes = Nodes::default();
        let theirs = nodes.open(Node::Gpu(0), 1).unwrap();
        nodes.settle(&mut manager);
        let inode = fstat(theirs.as_fd()).unwrap().st_ino;
        let file = nodes.file(inode).unwrap();
        let events = libc::POLLIN | libc::POLLPRI;
        let poll = || {
            let mut look = libc::pollfd { fd: theirs.as_raw_fd(), events, revents: 0 };
            // SAFETY: one entry that lives until the return.
            unsafe { libc::poll(&raw mut look, 1, 0) };
            look.revents
        };
        assert_eq!(poll(), 0);
        for _ in 0..3 {
            nodes.wake(file);
            nodes.wake(file);
            assert_eq!(poll() & libc::POLLIN, libc::POLLIN);
            nodes.quieten(inode, std::process::id() as i32, theirs.as_raw_fd());
            assert_eq!(poll(), 0);
        }
    }

    #[test]
    fn a_process_that_opens_all_it_can_leaves_some_to_others() {
        let mut nodes = Nodes::at_most(16);
        let open = |nodes: &mut Nodes, process| nodes.open(Node::Control, process);
        let own: Vec<_> = (0..4).map(|_| open(&mut nodes, 1).unwrap()).collect();
        assert_eq!(open(&mut nodes, 1).err(), Some(Errno::EMFILE));
        let others: Vec<_> = (2..5).flat_map(|process| [process; 4]).map(|of| open(&mut nodes, of)).collect();
        assert!(others.iter().all(Result::is_ok));
        assert_eq!(open(&mut nodes, 9).err(), Some(Errno::EMFILE));
        drop(own);
        until_left(&mut nodes, 12);
        assert!(open(&mut nodes, 9).is_ok() && open(&mut nodes, 1).is_ok());
        drop(others);
        until_left(&mut nodes, 0);
        assert!(nodes.of_openers.is_empty());
    }

    #[test]
    fn resource_manager_hears_of_what_is_opened_and_closed() {
        let mut manager = ResourceManager::new(device::DRIVER_VERSION, Vec::new()).unwrap();
        let mut nodes = Nodes::default();
        let inode_of = |end: &OwnedFd| fstat(end.as_fd()).unwrap().st_ino;
        let (first, second) =
            (nodes.open(Node::Control, 1).unwrap(), nodes.open(Node::UnifiedMemory, 1).unwrap());
        nodes.settle(&mut manager);
        let files = [&first, &second].map(|end| nodes.file(inode_of(end)).expect("heard of"));
        assert_ne!(files[0], files[1]);
        let gone = inode_of(&first);
        drop(first);
        until(|| {
            nodes.settle(&mut manager);
            !nodes.knows(gone)
        });
        assert!(nodes.closed.is_empty());
        assert_eq!(nodes.file(inode_of(&second)), Some(files[1]));
    }
}
