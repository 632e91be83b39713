//! The supervisor's side: starting the tracer, telling it of memory, waiting for it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use broker::Tracer;
use bytemuck::{Pod, Zeroable};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, Shutdown, SockFlag, SockType, shutdown, socketpair};
use nix::unistd::{ForkResult, Pid, fork};
use wire::engine::Message;

use crate::filter::Filter;
use crate::tracer;

/// The calls of a process are in the memory beside this.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub struct CallsOf {
    pub process: u32,
}

/// What a process's engine does is in the shared area beside this.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub struct WorkOf {
    pub process: u32,
}

/// A line of the supervisor's, whose text follows: a call on a device node.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Heard {
    /// Thread group.
    pub process: u32,
    /// Thread.
    pub thread: u32,
    /// When it came, by [`wire::trace::now`].
    pub begun: u64,
    /// When it was answered.
    pub ended: u64,
}

/// The session's terminal is not ours any more: lines go nowhere unless they go to a file.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub struct LeaveTerminal {
    pub zero: u32,
}

/// The tracer's last word: everything has been written.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub struct Done {
    pub zero: u32,
}

macro_rules! messages {
    ($($number:literal $name:ident, $descriptors:literal descriptors;)*) => {
        $(impl Message for $name { const NUMBER: u32 = $number; const DESCRIPTORS: usize = $descriptors; })*
    };
}

messages! {
    1 CallsOf, 1 descriptors;
    2 WorkOf, 1 descriptors;
    3 LeaveTerminal, 0 descriptors;
    4 Done, 0 descriptors;
    5 Heard, 0 descriptors;
}

/// Where a trace goes.
pub struct Outputs {
    /// Whether lines are asked for.
    pub(crate) has_lines: bool,
    /// Where they go; `None`: standard error.
    pub(crate) lines: Option<File>,
    /// The timeline.
    pub(crate) perfetto: Option<File>,
    /// Which calls.
    pub(crate) filter: Filter,
}

impl Outputs {
    /// Makes the files. Without `lines`, or with `-`, they go to standard error; there are none where only a timeline is asked for.
    pub fn open(lines: Option<&Path>, perfetto: Option<&Path>, filter: Filter) -> io::Result<Outputs> {
        let has_lines = lines.is_some() || perfetto.is_none();
        let lines = lines.filter(|path| *path != Path::new("-"));
        let named = |path: &Path, error: io::Error| {
            io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
        };
        let create = |path: Option<&Path>| {
            path.map(|path| File::create(path).map_err(|error| named(path, error))).transpose()
        };
        Ok(Outputs { has_lines, lines: create(lines)?, perfetto: create(perfetto)?, filter })
    }

    /// Descriptors to keep open.
    pub fn descriptors(&self) -> Vec<RawFd> {
        [&self.lines, &self.perfetto].into_iter().flatten().map(File::as_raw_fd).collect()
    }
}

/// The tracer, as the supervisor has it.
pub struct Sink {
    socket: OwnedFd,
    process: Pid,
}

/// Tells the tracer of memory.
struct Teller {
    socket: OwnedFd,
}

impl Sink {
    /// Starts the tracer. `settle` is called in it, and closes what is not among these descriptors.
    /// Precondition: this process has one thread.
    pub fn start(outputs: Outputs, settle: impl FnOnce(&[RawFd])) -> io::Result<Sink> {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        // SAFETY: the caller's promise: the child may do whatever the parent may.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(Sink { socket: ours, process: child }),
            ForkResult::Child => {
                drop(ours);
                let mut kept = outputs.descriptors();
                kept.push(theirs.as_raw_fd());
                settle(&kept);
                tracer::run(theirs, outputs)
            }
        }
    }

    /// What the broker tells of memory.
    pub fn teller(&self) -> io::Result<Box<dyn Tracer>> {
        Ok(Box::new(Teller { socket: self.socket.try_clone()? }))
    }

    /// For lines of the supervisor's.
    pub fn line_teller(&self) -> io::Result<LineTeller> {
        Ok(LineTeller { socket: self.socket.try_clone()?, lost: 0 })
    }

    /// The tracer's process.
    pub fn process(&self) -> Pid {
        self.process
    }

    /// Nobody looks at the terminal any more.
    pub fn leave_terminal(&self) {
        let _ = packet::send(self.socket.as_fd(), &LeaveTerminal { zero: 0 }, &[], &[]);
    }

    /// Waits until everything has been written. `false`: the tracer ended without that.
    pub fn finish(self) -> bool {
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Write);
        let mut is_done = false;
        while let Ok(Some(packet)) = packet::receive(self.socket.as_fd()) {
            is_done |= packet.message::<Done>().is_some();
        }
        is_done
    }
}

/// Tells the tracer of what the supervisor itself has heard.
pub struct LineTeller {
    socket: OwnedFd,
    /// Lines since the last one that could be told.
    lost: u64,
}

impl LineTeller {
    /// Tells what a call was and what came of it; of very long ones the beginning. A tracer that stands still is not waited for: the
    /// whole tree would.
    pub fn tell(&mut self, heard: &Heard, text: &str) {
        const LONGEST: usize = 7 << 10;
        let mut ready = [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)];
        if !poll(&mut ready, PollTimeout::ZERO).is_ok_and(|ready| ready > 0) {
            self.lost += 1;
            return;
        }
        let text = &text[..text.floor_char_boundary(LONGEST)];
        let text = match std::mem::take(&mut self.lost) {
            0 => text.to_owned(),
            lost => format!("{text} ({lost} calls before it were lost)"),
        };
        // A tracer that is gone is told of at the session's end.
        let _ = packet::send(self.socket.as_fd(), heard, text.as_bytes(), &[]);
    }
}

impl Tracer for Teller {
    fn calls_of(&mut self, process: u32, memory: BorrowedFd) {
        // A tracer that is gone is told of at the session's end.
        let _ = packet::send(self.socket.as_fd(), &CallsOf { process }, &[], &[memory.as_raw_fd()]);
    }

    fn work_of(&mut self, process: u32, area: BorrowedFd) {
        let _ = packet::send(self.socket.as_fd(), &WorkOf { process }, &[], &[area.as_raw_fd()]);
    }
}
