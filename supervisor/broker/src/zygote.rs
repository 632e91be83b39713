//! The broker's end of the zygote: a warm engine process that forks one engine per client.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use wire::engine::Fork;

/// A running zygote; ends when this is dropped, since its socket then ends.
pub struct Zygote {
    socket: OwnedFd,
    child: Child,
}

impl Zygote {
    /// Starts the engine's program.
    pub fn start(program: &Path) -> Result<Zygote, String> {
        let fail = |error: &dyn std::fmt::Display| {
            format!("can't start the engine `{}`: {error}", program.display())
        };
        let (ours, theirs) = pair().map_err(|error| fail(&error))?;
        let mut command = Command::new(program);
        // Nothing here may need a fork: std then spawns by vfork, which does not copy this process.
        command.stdin(theirs).stdout(Stdio::null()).env_clear();
        // The terminal's Ctrl-C is for the client, which takes its engine with it.
        command.process_group(0);
        let child = command.spawn().map_err(|error| fail(&error))?;
        Ok(Zygote { socket: ours, child })
    }

    /// Orders an engine. `descriptors`: shared area, the client's pidfd, the engine's end of its socket.
    pub fn fork(&self, order: &Fork, descriptors: [BorrowedFd; 3]) -> Result<(), Errno> {
        packet::send(self.socket.as_fd(), order, &[], &descriptors.map(|descriptor| descriptor.as_raw_fd()))
    }

    /// The next packet; `None`: it ended.
    pub fn receive(&self) -> Result<Option<packet::Packet>, Errno> {
        packet::receive(self.socket.as_fd())
    }
}

impl AsFd for Zygote {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        // Killed rather than asked: it holds nothing, and its engines end with it (PR_SET_PDEATHSIG).
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connected pair of packet sockets, close-on-exec. The first end, ours, never blocks: an engine that is stopped must not
/// stop the supervisor.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((ours, theirs))
}
