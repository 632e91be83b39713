//! All that can wake the supervisor, and waiting for it.
//!
//! The listener is polled directly, next to one epoll descriptor for everything else: the kernel hands the
//! core over to a thread that waits on the listener itself (sync wake-up), not to one behind an epoll. Where the tree is
//! traced, the signal that a child has news takes the listener's place.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use interception::Request;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use notification::{InFlight, Listener};
use tracer::{News, Tracer};

/// Something to handle.
pub enum Event {
    /// A system call of the tree waits for our answer.
    Notification(Request),
    /// A child of ours has ended, stopped or continued: the program, an orphan of the tree, an engine.
    ChildChanged,
    /// A traced thread or process, or another child, has ended, with this wait status.
    Ended(i32, i32),
    /// A traced process is being stopped; the number is a thread's of it.
    Stopped(i32),
    /// It goes on.
    Continued(i32),
    /// The broker's descriptor is readable: a client or an engine has ended or spoken.
    Broker,
    /// A client of the device has ended.
    ClientEnded,
    /// Calls of this machine's driver that took longer have been executed.
    Settled,
    /// Somebody wants to know what this session does.
    Viewer,
    /// Somebody has ordered something of it.
    Order,
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
            Event::Ended(tid, status) => write!(out, "thread {tid} has ended with status {status:#x}"),
            Event::Stopped(tid) => write!(out, "thread {tid} is stopped"),
            Event::Continued(tid) => write!(out, "thread {tid} goes on"),
            Event::Broker => write!(out, "the broker has something to do"),
            Event::ClientEnded => write!(out, "a client has ended"),
            Event::Settled => write!(out, "calls of the driver have been executed"),
            Event::Viewer => write!(out, "a viewer has come"),
            Event::Order => write!(out, "an order has come"),
            Event::KeeperGone => write!(out, "the keeper is gone"),
            Event::TreeGone => write!(out, "the tree is gone"),
            Event::TimeOut => write!(out, "nothing happened"),
        }
    }
}

impl From<News> for Event {
    fn from(news: News) -> Self {
        match news {
            News::Call(request) => Event::Notification(request),
            News::Ended { tid, status } => Event::Ended(tid, status),
            News::Stopped(tid) => Event::Stopped(tid),
            News::Continued(tid) => Event::Continued(tid),
        }
    }
}

/// Where calls of the tree come from.
pub enum Calls {
    /// The kernel notifies us.
    Notified(Listener),
    /// Its threads stop for us.
    Traced(Tracer),
}

/// Everything except calls of the tree.
#[derive(Clone, Copy)]
enum Token {
    Child,
    Broker,
    Exits,
    Keeper,
    Viewers,
    Orders,
    Mediator,
}

const TOKENS: [Token; 7] = [
    Token::Child,
    Token::Broker,
    Token::Exits,
    Token::Keeper,
    Token::Viewers,
    Token::Orders,
    Token::Mediator,
];

/// Waits for events.
pub struct Events {
    calls: Calls,
    turn: Cell<u32>,
    others: Epoll,
    children: SignalFd,
    /// Kept for as long as the epoll refers to it.
    keeper: OwnedFd,
}

impl Events {
    /// Watches these sources. `keeper` is our end of the link.
    pub fn new(calls: Calls, broker: &impl AsFd, exits: &impl AsFd, keeper: OwnedFd) -> io::Result<Self> {
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let children = SignalFd::with_flags(&SigSet::from(Signal::SIGCHLD), flags)?;
        let others = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let watch = |token: Token| EpollEvent::new(EpollFlags::EPOLLIN, token as u64);
        if matches!(calls, Calls::Notified(_)) {
            others.add(&children, watch(Token::Child))?;
        }
        others.add(broker, watch(Token::Broker))?;
        others.add(exits, watch(Token::Exits))?;
        others.add(&keeper, watch(Token::Keeper))?;
        Ok(Self { calls, turn: Cell::new(0), others, children, keeper })
    }

    /// Watches for viewers, too.
    pub fn watch_viewers(&self, viewers: &impl AsFd) -> io::Result<()> {
        Ok(self.others.add(viewers, EpollEvent::new(EpollFlags::EPOLLIN, Token::Viewers as u64))?)
    }

    /// Watches for orders, too.
    pub fn watch_orders(&self, inbox: &impl AsFd) -> io::Result<()> {
        Ok(self.others.add(inbox, EpollEvent::new(EpollFlags::EPOLLIN, Token::Orders as u64))?)
    }

    /// Watches for calls that took longer, too.
    pub fn watch_mediator(&self, mediator: &impl AsFd) -> io::Result<()> {
        Ok(self.others.add(mediator, EpollEvent::new(EpollFlags::EPOLLIN, Token::Mediator as u64))?)
    }

    /// Calls come by stops, not by a listener.
    pub fn are_of_a_tracer(&self) -> bool {
        matches!(self.calls, Calls::Traced(_))
    }

    /// From now on whoever was answered goes on on the core that answered.
    pub fn wake_on_this_core(&self) {
        if let Calls::Notified(listener) = &self.calls {
            listener.wake_on_this_core();
        }
    }

    /// The keeper's end no longer matters.
    pub fn ignore_keeper(&self) {
        let _ = self.others.delete(&self.keeper);
    }

    /// Lets all calls of the tree through until none of its processes is left.
    pub fn let_everything_through(&self) -> io::Result<()> {
        if let Calls::Notified(listener) = &self.calls {
            listener.let_everything_through(&InFlight::new()?);
        }
        Ok(())
    }

    /// Waits for the next event, at most `timeout` milliseconds (-1: for ever).
    pub fn next(&self, timeout: i32) -> io::Result<Event> {
        match &self.calls {
            Calls::Notified(listener) => self.next_notified(listener, timeout),
            Calls::Traced(tracer) => self.next_traced(tracer, timeout),
        }
    }

    fn next_notified(&self, notifier: &Listener, timeout: i32) -> io::Result<Event> {
        loop {
            let [others, listener] = self.poll_listener(notifier, timeout)?;
            // The rare things first, so that a flood of notifications cannot keep them waiting.
            if others != 0 {
                if let Some(event) = self.other()? {
                    return Ok(event);
                }
            } else if listener & libc::POLLIN != 0 {
                if let Some(request) = notifier.receive()? {
                    return Ok(Event::Notification(request));
                }
            } else if listener & libc::POLLHUP != 0 {
                return Ok(Event::TreeGone);
            } else {
                return Ok(Event::TimeOut);
            }
        }
    }

    fn next_traced(&self, tracer: &Tracer, timeout: i32) -> io::Result<Event> {
        /// Turns after which the rare things are looked at, however many calls there are.
        const OFTEN_ENOUGH: u32 = 32;
        self.turn.set(self.turn.get().wrapping_add(1));
        if self.turn.get().is_multiple_of(OFTEN_ENOUGH)
            && let Some(event) = self.other()?
        {
            return Ok(event);
        }
        loop {
            if let Some(news) = tracer.next() {
                return Ok(news.into());
            }
            if tracer.is_done() {
                return Ok(Event::TreeGone);
            }
            let [children, others] = self.poll([&self.children, &self.others.0], timeout)?;
            if children != 0 {
                // Once is enough: the signal does not queue.
                let _ = self.children.read_signal();
            } else if others == 0 {
                return Ok(Event::TimeOut);
            } else if let Some(event) = self.other()? {
                return Ok(event);
            }
        }
    }

    /// The rare things and the listener; not that one where its next request is known to wait.
    fn poll_listener(&self, listener: &Listener, timeout: i32) -> io::Result<[i16; 2]> {
        match listener.next_waits() {
            true => self.poll([&self.others.0], 0).map(|[others]| [others, libc::POLLIN]),
            false => self.poll([&self.others.0, listener], timeout),
        }
    }

    fn poll<const N: usize>(&self, sources: [&dyn AsFd; N], timeout: i32) -> io::Result<[i16; N]> {
        let watched = |source: &dyn AsFd| libc::pollfd {
            fd: source.as_fd().as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let mut polled = sources.map(watched);
        // SAFETY: as many pollfds as there are, alive here.
        let ready = unsafe { libc::poll(polled.as_mut_ptr(), N as libc::nfds_t, timeout) };
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
            Token::Viewers => Event::Viewer,
            Token::Orders => Event::Order,
            Token::Mediator => Event::Settled,
        }))
    }
}
