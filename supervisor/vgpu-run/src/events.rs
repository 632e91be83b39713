//! All that can wake the supervisor, and waiting for it.
//!
//! The listener is polled directly, next to one epoll descriptor for everything else: the kernel hands the
//! core over to a thread that waits on the listener itself (sync wake-up), not to one behind an epoll.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use notification::{Listener, Request};

/// Something to handle.
pub enum Event {
    /// A system call of the tree waits for our answer.
    Notification(Request),
    /// A child of ours has ended, stopped or continued: the program, an orphan of the tree, an engine.
    ChildChanged,
    /// The broker's descriptor is readable: a client or an engine has ended or spoken.
    Broker,
    /// A client of the device has ended.
    ClientEnded,
    /// The keeper is gone.
    KeeperGone,
    /// No process of the tree is left.
    TreeGone,
    /// Nothing happened for the given time.
    TimeOut,
}

impl fmt::Display for Event {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Notification(request) => write!(out, "call {} of thread {}", request.number, request.tid),
            Event::ChildChanged => write!(out, "a child changed"),
            Event::Broker => write!(out, "the broker has something to do"),
            Event::ClientEnded => write!(out, "a client has ended"),
            Event::KeeperGone => write!(out, "the keeper is gone"),
            Event::TreeGone => write!(out, "the tree is gone"),
            Event::TimeOut => write!(out, "nothing happened"),
        }
    }
}

/// Everything except the listener.
#[derive(Clone, Copy)]
enum Token {
    Child,
    Broker,
    Exits,
    Keeper,
}

const TOKENS: [Token; 4] = [Token::Child, Token::Broker, Token::Exits, Token::Keeper];

/// Waits for events.
pub struct Events {
    listener: Listener,
    others: Epoll,
    children: SignalFd,
    /// Kept for as long as the epoll refers to it.
    keeper: OwnedFd,
}

impl Events {
    /// Watches these sources. `keeper` is our end of the link.
    pub fn new(
        listener: Listener,
        broker: &impl AsFd,
        exits: &impl AsFd,
        keeper: OwnedFd,
    ) -> io::Result<Self> {
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let children = SignalFd::with_flags(&SigSet::from(Signal::SIGCHLD), flags)?;
        let others = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let watch = |token: Token| EpollEvent::new(EpollFlags::EPOLLIN, token as u64);
        others.add(&children, watch(Token::Child))?;
        others.add(broker, watch(Token::Broker))?;
        others.add(exits, watch(Token::Exits))?;
        others.add(&keeper, watch(Token::Keeper))?;
        Ok(Self { listener, others, children, keeper })
    }

    /// The keeper's end no longer matters.
    pub fn ignore_keeper(&self) {
        let _ = self.others.delete(&self.keeper);
    }

    /// Waits for the next event, at most `timeout` milliseconds (-1: for ever).
    pub fn next(&self, timeout: i32) -> io::Result<Event> {
        loop {
            let [others, listener] = self.poll(timeout)?;
            // The rare things first, so that a flood of notifications cannot keep them waiting.
            if others != 0 {
                if let Some(event) = self.other()? {
                    return Ok(event);
                }
            } else if listener & libc::POLLIN != 0 {
                if let Some(request) = self.listener.receive()? {
                    return Ok(Event::Notification(request));
                }
            } else if listener & libc::POLLHUP != 0 {
                return Ok(Event::TreeGone);
            } else {
                return Ok(Event::TimeOut);
            }
        }
    }

    fn poll(&self, timeout: i32) -> io::Result<[i16; 2]> {
        let watched = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let mut polled = [watched(self.others.0.as_raw_fd()), watched(self.listener.as_fd().as_raw_fd())];
        let next_waits = self.listener.next_waits();
        let (count, timeout) = if next_waits { (1, 0) } else { (2, timeout) };
        // SAFETY: no more pollfds than there are, alive here.
        let ready = unsafe { libc::poll(polled.as_mut_ptr(), count, timeout) };
        if next_waits {
            polled[1].revents = libc::POLLIN;
        }
        match ready {
            0.. => Ok(polled.map(|fd| fd.revents)),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn other(&self) -> io::Result<Option<Event>> {
        let mut ready = [EpollEvent::empty()];
        if self.others.wait(&mut ready, EpollTimeout::ZERO)? == 0 {
            return Ok(None);
        }
        Ok(Some(match TOKENS[ready[0].data() as usize] {
            Token::Child => {
                while let Ok(Some(_)) = self.children.read_signal() {}
                Event::ChildChanged
            }
            Token::Broker => Event::Broker,
            Token::Exits => Event::ClientEnded,
            Token::Keeper => Event::KeeperGone,
        }))
    }
}
