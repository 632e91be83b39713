//! The broker's end of the zygote: a warm engine process that forks one engine per client.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, FcntlArg, OFlag, fcntl};
use nix::sys::signal::{SigHandler, SigSet, Signal, kill, signal};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, dup2_stdin, dup2_stdout, execveat, fork};
use wire::engine::{Fork, StartFailed, ZYGOTE_SOCKET};

/// The engine's program, open for execution.
pub struct Program {
    /// The file.
    pub file: OwnedFd,
    /// What it is called in lists of processes.
    pub name: CString,
    /// Its environment, and all of it.
    pub environment: Vec<CString>,
}

/// Opens the engine's program, or says why there is none.
pub type OpenProgram = dyn Fn() -> Result<Program, String>;

/// A running zygote; ends when this is dropped, since its socket then ends.
pub struct Zygote {
    socket: OwnedFd,
    process: Pid,
}

impl Zygote {
    /// Starts the engine's program. Opening it may take a while, as it may have to be unpacked and is checked: the new process
    /// does that, so that the supervisor goes on answering.
    pub fn start(program: &OpenProgram) -> Result<Zygote, String> {
        let fail = |error: Errno| format!("can't start the engine: {error}");
        let (ours, theirs) = pair().map_err(fail)?;
        // SAFETY: other threads of this process only give memory back and hold no lock but the allocator's, which the C
        // library puts in order after a fork. The child needs nothing else of theirs.
        match unsafe { fork() }.map_err(fail)? {
            ForkResult::Parent { child } => Ok(Zygote { socket: ours, process: child }),
            ForkResult::Child => {
                drop(ours);
                let Err(why) = become_zygote(program, &theirs);
                // A supervisor that is gone needs no answer.
                let _ = packet::send(theirs.as_fd(), &StartFailed::default(), why.as_bytes(), &[]);
                // SAFETY: ends this process without the parent's clean-up.
                unsafe { libc::_exit(1) }
            }
        }
    }

    /// Orders an engine. `descriptors`: shared area, the client's pidfd, the engine's end of its socket.
    pub fn fork(&self, order: &Fork, descriptors: [BorrowedFd; 3]) -> Result<(), Errno> {
        packet::send(self.socket.as_fd(), order, &[], &descriptors.map(|descriptor| descriptor.as_raw_fd()))
    }

    /// The next packet; `None`: it ended.
    pub fn receive(&self) -> Result<Option<packet::Packet>, Errno> {
        packet::receive(self.socket.as_fd())
    }

    /// Why it could not start, if that is what it said. Precondition: it has ended.
    pub fn last_words(&self) -> Option<String> {
        failure_to_start(&self.receive().ok().flatten()?)
    }
}

/// What a packet says if it tells why the zygote could not start.
pub fn failure_to_start(packet: &packet::Packet) -> Option<String> {
    packet.message::<StartFailed>()?;
    Some(String::from_utf8_lossy(packet.tail::<StartFailed>()).into_owned())
}

impl AsFd for Zygote {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Zygote {
    fn drop(&mut self) {
        // Killed rather than asked: it holds nothing, and its engines end with it (PR_SET_PDEATHSIG).
        let _ = kill(self.process, Signal::SIGKILL);
        let _ = waitpid(self.process, None);
    }
}

const _: () = assert!(ZYGOTE_SOCKET == libc::STDIN_FILENO);

fn become_zygote(program: &OpenProgram, socket: &OwnedFd) -> Result<Infallible, String> {
    let program = program().map_err(|why| format!("can't start the engine: {why}"))?;
    execute(&program, socket).map_err(|errno| {
        format!("can't execute the engine `{}`: {}", program.name.to_string_lossy(), errno.desc())
    })
}

fn execute(program: &Program, socket: &OwnedFd) -> Result<Infallible, Errno> {
    // The supervisor holds signals off; the engine is to be stopped and ended like any process.
    // SAFETY: the default disposition is no handler of ours.
    unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }?;
    SigSet::empty().thread_set_mask()?;
    dup2_stdin(socket)?;
    // It writes nothing there. What a library of it might write goes where complaints go, if they go anywhere.
    // SAFETY: borrowed for this call only, which says so if nothing is open there.
    let _ = dup2_stdout(unsafe { BorrowedFd::borrow_raw(libc::STDERR_FILENO) });
    execveat(&program.file, c"", &[&program.name], &program.environment, AtFlags::AT_EMPTY_PATH)
}

/// A connected pair of packet sockets, close-on-exec. The first end, ours, never blocks: an engine that is stopped must not
/// stop the supervisor.
pub fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    fcntl(&ours, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((ours, theirs))
}
