//! One descriptor for everything that can happen without a call.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

/// What became readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A client ended (its pidfd).
    Client(u32),
    /// A client's engine ended (its pidfd).
    Engine(u32),
    /// A client's engine has sent a packet.
    EngineSocket(u32),
    /// The zygote has sent a packet, or ended.
    Zygote,
    /// A descriptor that stood for memory was closed everywhere.
    Export(u32),
    /// A process whose calls are traced ended (its pidfd).
    Traced(u32),
}

impl Source {
    fn encode(self) -> u64 {
        let (kind, process) = match self {
            Source::Client(process) => (0, process),
            Source::Engine(process) => (1, process),
            Source::EngineSocket(process) => (2, process),
            Source::Zygote => (3, 0),
            Source::Export(export) => (4, export),
            Source::Traced(process) => (5, process),
        };
        kind << 32 | u64::from(process)
    }

    fn decode(data: u64) -> Source {
        let process = data as u32;
        match data >> 32 {
            0 => Source::Client(process),
            1 => Source::Engine(process),
            2 => Source::EngineSocket(process),
            3 => Source::Zygote,
            4 => Source::Export(process),
            _ => Source::Traced(process),
        }
    }
}

/// An epoll instance. What is closed leaves it by itself.
pub struct Watch(Epoll);

impl Watch {
    pub fn new() -> Result<Watch, Errno> {
        Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map(Watch)
    }

    /// Tells when `descriptor` is readable or hung up.
    pub fn add(&self, descriptor: impl AsFd, source: Source) -> Result<(), Errno> {
        self.0.add(descriptor, EpollEvent::new(EpollFlags::EPOLLIN, source.encode()))
    }

    /// Tells when `socket` has hung up, and nothing else: what its peer might send stays there.
    pub fn add_hang_up(&self, socket: impl AsFd, source: Source) -> Result<(), Errno> {
        self.0.add(socket, EpollEvent::new(EpollFlags::empty(), source.encode()))
    }

    /// Tells no more of `descriptor`.
    pub fn remove(&self, descriptor: impl AsFd) {
        let _ = self.0.delete(descriptor);
    }

    /// What is ready now.
    pub fn ready(&self) -> Vec<Source> {
        let mut events = [EpollEvent::empty(); 64];
        let count = self.0.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
        events[..count].iter().map(|event| Source::decode(event.data())).collect()
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_survives_its_number() {
        for source in [
            Source::Client(7),
            Source::Engine(u32::MAX),
            Source::EngineSocket(1),
            Source::Zygote,
            Source::Export(9),
            Source::Traced(3),
        ] {
            assert_eq!(Source::decode(source.encode()), source);
        }
    }

    #[test]
    fn readable_descriptor_is_told_with_its_source() {
        let watch = Watch::new().expect("epoll");
        let (reader, writer) = nix::unistd::pipe().expect("pipe");
        watch.add(&reader, Source::Client(5)).expect("add");
        assert!(watch.ready().is_empty());
        nix::unistd::write(&writer, b"x").expect("write");
        assert_eq!(watch.ready(), [Source::Client(5)]);
    }
}
