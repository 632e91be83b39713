//! Runs a command and writes down what it and everything it starts does with the nodes.

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Pid, Uid, execvp, fork, setgid, setgroups, setuid};
use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::io::Write;

use crate::capture::{Entered, read};
use crate::event::{Call, Event, Ioctl, MARK};
use crate::trace_filter;

/// Whom the command runs as.
#[derive(Clone, Copy)]
pub enum User {
    /// Whoever we are.
    Same,
    /// Another user and group, without the groups of ours.
    Id(u32),
}

/// Writes the calls of one command's tree.
pub struct Recorder<W> {
    out: W,
    /// Thread groups by number, in the order of appearance: real numbers say nothing and differ from run to run.
    processes: HashMap<i32, u32>,
    /// The call that each thread is in.
    entered: HashMap<Pid, Waiting>,
    /// Where nodes are mapped: process and address.
    mapped: HashSet<(u32, u64)>,
}

/// A call that the kernel is executing.
enum Waiting {
    Ioctl(Box<Entered>),
    /// Completed by its result.
    Other(Box<dyn FnOnce(Pid, i64) -> Call>),
}

impl<W: Write> Recorder<W> {
    /// Writes to `out`, a line per call.
    pub fn new(out: W) -> Self {
        Self { out, processes: HashMap::new(), entered: HashMap::new(), mapped: HashSet::new() }
    }

    /// Runs `command` to its end and that of all it started. Returns its exit code, 128 + the signal if one killed it.
    pub fn run(mut self, command: &[String], user: User) -> Result<i32> {
        let arguments: Vec<CString> =
            command.iter().map(|word| CString::new(word.as_str())).collect::<Result<_, _>>()?;
        let program = arguments.first().context("no command")?;
        // SAFETY: this process has one thread; the child only makes system calls until it execs or exits.
        let child = match unsafe { fork() }? {
            ForkResult::Parent { child } => child,
            ForkResult::Child => {
                let error = become_traced(program, &arguments, user);
                eprintln!("{}: {error}", program.to_string_lossy());
                // SAFETY: exits at once, without handlers of the parent's.
                unsafe { libc::_exit(127) }
            }
        };
        let id = match user {
            User::Same => Uid::current().as_raw(),
            User::Id(id) => id,
        };
        self.write(&Event::Other(Call::Begin { user: id, command: command.to_vec() }))?;
        waitpid(child, None).context("waiting for the child to stop")?;
        let options = Options::PTRACE_O_TRACESECCOMP
            | Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_EXITKILL;
        ptrace::setoptions(child, options).context("options of the tracer")?;
        ptrace::cont(child, None)?;
        let code = self.follow(child)?;
        self.out.flush()?;
        Ok(code)
    }

    fn follow(&mut self, child: Pid) -> Result<i32> {
        let mut code = 0;
        loop {
            let status = match waitpid(None, Some(WaitPidFlag::__WALL)) {
                Err(Errno::ECHILD) => return Ok(code),
                Err(Errno::EINTR) => continue,
                status => status?,
            };
            let resumed = match status {
                WaitStatus::Exited(pid, status) => {
                    self.entered.remove(&pid);
                    if pid == child {
                        code = status;
                    }
                    continue;
                }
                WaitStatus::Signaled(pid, signal, _) => {
                    self.entered.remove(&pid);
                    if pid == child {
                        code = 128 + signal as i32;
                    }
                    continue;
                }
                WaitStatus::PtraceEvent(pid, _, libc::PTRACE_EVENT_SECCOMP) => {
                    if self.enter(pid) {
                        ptrace::syscall(pid, None)
                    } else {
                        ptrace::cont(pid, None)
                    }
                }
                WaitStatus::PtraceSyscall(pid) => {
                    self.leave(pid)?;
                    ptrace::cont(pid, None)
                }
                WaitStatus::PtraceEvent(pid, ..) => ptrace::cont(pid, None),
                // A new thread or process begins with a stop that is ours, not its own.
                WaitStatus::Stopped(pid, Signal::SIGSTOP) => self.resume(pid, None),
                WaitStatus::Stopped(pid, Signal::SIGTRAP) => self.resume(pid, None),
                WaitStatus::Stopped(pid, signal) => self.resume(pid, Some(signal)),
                _ => continue,
            };
            // ESRCH: it was killed while it stood; its end comes as an event of its own.
            if !matches!(resumed, Ok(()) | Err(Errno::ESRCH)) {
                resumed.context("resuming")?;
            }
        }
    }

    /// A signal that arrives within a call must not lose the stop at the call's end.
    fn resume(&self, pid: Pid, signal: Option<Signal>) -> nix::Result<()> {
        if self.entered.contains_key(&pid) { ptrace::syscall(pid, signal) } else { ptrace::cont(pid, signal) }
    }

    /// Notes a call that is about to run. False: its end is of no interest.
    fn enter(&mut self, tid: Pid) -> bool {
        let Ok(registers) = ptrace::getregs(tid) else { return false };
        let arguments =
            [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9];
        let Some(waiting) = self.waiting(tid, registers.orig_rax as libc::c_long, arguments) else {
            return false;
        };
        self.entered.insert(tid, waiting);
        true
    }

    fn leave(&mut self, tid: Pid) -> Result<()> {
        let Some(waiting) = self.entered.remove(&tid) else { return Ok(()) };
        let Ok(registers) = ptrace::getregs(tid) else { return Ok(()) };
        let result = registers.rax as i64;
        let event = match waiting {
            Waiting::Ioctl(entered) => Event::Ioctl(entered.finish(tid, result)),
            Waiting::Other(complete) => Event::Other(complete(tid, result)),
        };
        if let Event::Other(Call::Mmap { process, rc, .. }) = &event {
            self.mapped.insert((*process, *rc as u64));
        }
        self.write(&event)
    }

    fn write(&mut self, event: &Event) -> Result<()> {
        serde_json::to_writer(&mut self.out, event)?;
        self.out.write_all(b"\n")?;
        Ok(())
    }

    fn process(&mut self, tid: Pid) -> u32 {
        let tgid = procfs::status_field(tid, "Tgid").and_then(|number| number.parse().ok());
        let next = self.processes.len() as u32 + 1;
        *self.processes.entry(tgid.unwrap_or(tid.as_raw())).or_insert(next)
    }

    fn waiting(&mut self, tid: Pid, number: libc::c_long, arguments: [u64; 6]) -> Option<Waiting> {
        let [a, b, c, d, e, f] = arguments;
        let node = |fd: u64| node(tid, fd as i32);
        match number {
            libc::SYS_ioctl => {
                let dev = node(a)?;
                let request = b as u32;
                let ioctl = Ioctl {
                    process: self.process(tid),
                    fd: a as i32,
                    dev,
                    cmd: format!("{request:08x}"),
                    nr: request & 0xff,
                    ..Ioctl::default()
                };
                Some(Waiting::Ioctl(Box::new(Entered::capture(tid, ioctl, request, c as usize))))
            }
            libc::SYS_open => self.open(tid, a, c_int(b)),
            libc::SYS_openat => self.open(tid, b, c_int(c)),
            libc::SYS_stat | libc::SYS_lstat | libc::SYS_access | libc::SYS_readlink | libc::SYS_mknod => {
                self.look(tid, number, a)
            }
            libc::SYS_newfstatat
            | libc::SYS_statx
            | libc::SYS_faccessat
            | libc::SYS_faccessat2
            | libc::SYS_readlinkat
            | libc::SYS_mknodat => self.look(tid, number, b),
            libc::SYS_close => {
                let dev = node(a)?;
                let process = self.process(tid);
                Some(other(move |_, _| Call::Close { process, fd: a as i32, dev }))
            }
            libc::SYS_mmap => {
                let dev = node(e)?;
                let process = self.process(tid);
                Some(other(move |_, rc| Call::Mmap {
                    process,
                    fd: e as i32,
                    dev,
                    length: b,
                    protection: c as u32,
                    flags: d as u32,
                    offset: f,
                    rc,
                }))
            }
            libc::SYS_munmap => {
                let process = self.process(tid);
                let was_mapped = self.mapped.remove(&(process, a));
                was_mapped.then(|| other(move |_, _| Call::Munmap { process, address: a, length: b }))
            }
            libc::SYS_read | libc::SYS_pread64 => {
                let dev = node(a)?;
                let process = self.process(tid);
                Some(other(move |_, rc| Call::Read { process, dev, length: c, rc }))
            }
            libc::SYS_poll | libc::SYS_ppoll => self.poll(tid, a as usize, b as usize, number, c),
            libc::SYS_prctl if a as i32 == MARK => {
                let (process, text) = (self.process(tid), text(tid, b));
                Some(other(move |_, _| Call::Mark { process, text }))
            }
            _ => None,
        }
    }

    fn open(&mut self, tid: Pid, path: u64, flags: u32) -> Option<Waiting> {
        let (process, path) = (self.process(tid), text(tid, path));
        Some(other(move |_, rc| Call::Open { process, path, flags, rc }))
    }

    fn look(&mut self, tid: Pid, number: libc::c_long, path: u64) -> Option<Waiting> {
        let path = text(tid, path);
        if path.is_empty() {
            return None; // fstat
        }
        let by = match number {
            libc::SYS_access | libc::SYS_faccessat | libc::SYS_faccessat2 => "access",
            libc::SYS_readlink | libc::SYS_readlinkat => "readlink",
            libc::SYS_mknod | libc::SYS_mknodat => "mknod",
            _ => "stat",
        };
        let process = self.process(tid);
        Some(other(move |_, rc| Call::Look { process, by: by.into(), path, rc }))
    }

    fn poll(
        &mut self,
        tid: Pid,
        array: usize,
        count: usize,
        number: libc::c_long,
        timeout: u64,
    ) -> Option<Waiting> {
        let entries = move |tid| read(tid, array, count.min(64) * 8);
        let nodes: Vec<(usize, String)> = entries(tid)
            .chunks_exact(8)
            .enumerate()
            .filter_map(|(at, entry)| Some((at, node(tid, i32_at(entry, 0))?)))
            .collect();
        if nodes.is_empty() {
            return None;
        }
        let process = self.process(tid);
        let timeout = if number == libc::SYS_poll { i64::from(timeout as i32) } else { -1 };
        Some(other(move |tid, rc| {
            let after = entries(tid);
            let events = |at: usize| {
                after.chunks_exact(8).nth(at).map_or((0, 0), |entry| (i16_at(entry, 4), i16_at(entry, 6)))
            };
            let nodes = nodes.into_iter().map(|(at, name)| (name, events(at).0, events(at).1)).collect();
            Call::Poll { process, nodes, timeout, rc }
        }))
    }
}

fn become_traced(program: &CString, arguments: &[CString], user: User) -> Errno {
    let prepare = || {
        ptrace::traceme()?;
        if let User::Id(id) = user {
            setgroups(&[])?;
            setgid(Gid::from_raw(id))?;
            setuid(Uid::from_raw(id))?;
        }
        raise(Signal::SIGSTOP)?;
        trace_filter::install()
    };
    match prepare() {
        Ok(()) => match execvp(program, arguments) {
            Ok(never) => match never {},
            Err(error) => error,
        },
        Err(error) => error,
    }
}

fn other(complete: impl FnOnce(Pid, i64) -> Call + 'static) -> Waiting {
    Waiting::Other(Box::new(complete))
}

/// The name of the node that `fd` of the process is open on.
fn node(tid: Pid, fd: i32) -> Option<String> {
    if fd < 0 {
        return None;
    }
    let name = std::fs::read_link(format!("/proc/{tid}/fd/{fd}")).ok()?;
    let name = name.to_str()?;
    name.starts_with("/dev/nvidia").then(|| name.to_owned())
}

fn text(tid: Pid, address: u64) -> String {
    let bytes = read(tid, address as usize, 4096);
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(0);
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn c_int(value: u64) -> u32 {
    value as u32
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}

fn i16_at(bytes: &[u8], at: usize) -> i16 {
    i16::from_le_bytes(bytes[at..at + 2].try_into().expect("2 bytes"))
}
