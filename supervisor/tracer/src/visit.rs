//! A visit: a running process that is not ours makes some calls for us, and goes on as if nobody had been there.
//!
//! ```text
//!   running ──seize, interrupt──▶ stopped, perhaps within a call ──call──▶ at the exit of ours ⟲
//!      ▲                                                                          │ registers and signals as they were
//!      └──────────detach── stopped ◀──interrupt again─────────────────────────────┘
//! ```
//!
//! One thread is visited, the others run on. Its calls are made at the `syscall` instruction of the kernel's own page (vDSO), so no
//! code of the program is touched.
//!
//! - **Why it is interrupted again**: a call that the visit broke into is repeated by the kernel, and as the kernel knows best
//!   (with what is left of its time), but only on the way from a stop for a signal, not from the exit of a call.
//! - **Restartable sequences**: a thread that is taken out of one must begin it anew; the kernel sees to that for signals
//!   and preemption, and here we do.
//! - **Signals** are blocked meanwhile, and delivered afterwards.
//! - A thread that does not stop within some seconds (uninterruptible sleep, a parent in `vfork`) can't be let go by us: the
//!   process that wanted to visit has to end, then the kernel lets it go.

use std::io;
use std::time::{Duration, Instant};

use tracee::{Memory, RemotePtr};

use crate::stopped::{Gone, Registers, Stopped, Until};
use crate::sys;
use crate::wait::{Waits, What, Why};

/// Why a process can't be visited.
#[derive(Debug, thiserror::Error)]
pub enum VisitError {
    /// The kernel does not let us trace it.
    #[error("{0}")]
    Refused(#[source] io::Error),
    /// It has ended, or the thread has.
    #[error(transparent)]
    Gone(#[from] Gone),
    /// No thread could be made to stop.
    #[error("no thread of it stops: all sleep where they can't be interrupted")]
    Busy,
    /// It runs 32-bit code.
    #[error("it is a 32-bit program")]
    NotNative,
    /// There is no `syscall` instruction where one has to be.
    #[error("the kernel's own page (vDSO) is not found in its memory")]
    NoVdso,
}

/// A visited thread, stopped.
pub struct Visit {
    waits: Waits,
    tid: i32,
    /// `None` once it is gone.
    thread: Option<Stopped>,
    /// Registers and blocked signals that it had.
    own: Registers,
    mask: u64,
    /// Address of a `syscall` instruction.
    gate: u64,
}

/// How long a thread may take to stop.
const PATIENCE: Duration = Duration::from_secs(5);

/// `cs` of 64-bit code.
const NATIVE_CODE: u64 = 0x33;

impl Visit {
    /// Stops a thread of the process `tgid`. Call from a thread that has no other traced threads.
    pub fn begin(tgid: i32) -> Result<Self, VisitError> {
        let gate = gate(tgid).ok_or(VisitError::NoVdso);
        let tid = some_thread(tgid).ok_or(VisitError::Busy)?;
        let options = libc::PTRACE_O_TRACESYSGOOD as usize;
        sys::with_numbers(libc::PTRACE_SEIZE, tid, 0, options).map_err(VisitError::Refused)?;
        sys::with_numbers(libc::PTRACE_INTERRUPT, tid, 0, 0).map_err(|_| Gone(tid))?;
        let waits = Waits::default();
        let thread = until_it_stands(&waits, tid)?;
        let mut own = thread.registers()?;
        if let Some(restart) = restart_of_sequence(&thread, own.rip) {
            own.rip = restart;
        }
        let mask = thread.signal_mask()?;
        let visit = |gate| Self { waits, tid, thread: Some(thread), own, mask, gate };
        match gate {
            _ if own.cs != NATIVE_CODE => {
                visit(0).leave().map_err(VisitError::from).and(Err(VisitError::NotNative))
            }
            Err(error) => visit(0).leave().map_err(VisitError::from).and(Err(error)),
            Ok(gate) => {
                let visit = visit(gate);
                visit.thread()?.set_signal_mask(u64::MAX)?;
                Ok(visit)
            }
        }
    }

    /// The thread.
    pub fn tid(&self) -> i32 {
        self.tid
    }

    /// The seccomp program that the process got `back` programs before its latest; `None` if it has no more. An error where that may not
    /// be asked.
    pub fn filter(&self, back: usize) -> io::Result<Option<Vec<libc::sock_filter>>> {
        const PTRACE_SECCOMP_GET_FILTER: libc::c_uint = 0x420c;
        let none =
            |error: io::Error| if error.raw_os_error() == Some(libc::ENOENT) { Ok(None) } else { Err(error) };
        // SAFETY: with null for a buffer the request only counts.
        let count =
            unsafe { libc::syscall(libc::SYS_ptrace, PTRACE_SECCOMP_GET_FILTER, self.tid, back, 0usize) };
        if count < 0 {
            return none(io::Error::last_os_error());
        }
        let empty = libc::sock_filter { code: 0, jt: 0, jf: 0, k: 0 };
        let mut program = vec![empty; count as usize];
        // SAFETY: the request writes as many instructions as it has just counted; the thread is stopped and its programs never change.
        let read = unsafe {
            libc::syscall(libc::SYS_ptrace, PTRACE_SECCOMP_GET_FILTER, self.tid, back, program.as_mut_ptr())
        };
        if read < 0 { none(io::Error::last_os_error()) } else { Ok(Some(program)) }
    }

    /// Lets the thread make a call, which must not block; what it returned.
    pub fn call(&mut self, number: i64, arguments: [u64; 6]) -> Result<i64, Gone> {
        let mut registers = self.own;
        [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9] = arguments;
        registers.rip = self.gate;
        registers.rax = number as u64;
        // Not in a call any more: nothing is to be repeated on the way.
        registers.orig_rax = u64::MAX;
        self.thread()?.set_registers(&registers)?;
        self.run_to_call()?;
        self.run_to_call()?;
        Ok(self.thread()?.registers()?.rax as i64)
    }

    /// Leaves the process as it was.
    pub fn end(mut self) -> Result<(), Gone> {
        let thread = self.thread()?;
        thread.set_registers(&self.own)?;
        thread.set_signal_mask(self.mask)?;
        thread.interrupt()?;
        let mut signal = 0;
        loop {
            self.take()?.resume(Until::Event, signal)?;
            let (thread, why) = self.waits.stop_of(self.tid)?;
            self.thread = Some(thread);
            match why {
                Why::Trap | Why::GroupStop => break,
                Why::Signal(number) => signal = number,
                _ => signal = 0,
            }
        }
        self.leave()
    }

    fn leave(mut self) -> Result<(), Gone> {
        self.take()?.detach()
    }

    fn run_to_call(&mut self) -> Result<(), Gone> {
        let mut signal = 0;
        loop {
            self.take()?.resume(Until::Call, signal)?;
            let (thread, why) = self.waits.stop_of(self.tid)?;
            self.thread = Some(thread);
            match why {
                Why::Call => return Ok(()),
                // SIGSTOP, as all others are blocked: delivered, so that the process stops when we have left.
                Why::Signal(number) => signal = number,
                _ => signal = 0,
            }
        }
    }

    fn thread(&self) -> Result<&Stopped, Gone> {
        self.thread.as_ref().ok_or(Gone(self.tid))
    }

    fn take(&mut self) -> Result<Stopped, Gone> {
        self.thread.take().ok_or(Gone(self.tid))
    }
}

/// Waits for the stop that was asked for; signals that come first are delivered.
fn until_it_stands(waits: &Waits, tid: i32) -> Result<Stopped, VisitError> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let Some(report) = waits.next() else {
            std::thread::sleep(Duration::from_micros(200));
            continue;
        };
        let reporter = report.tid;
        match report.what() {
            What::Stop(thread, Why::Trap | Why::GroupStop) if thread.tid() == tid => return Ok(thread),
            What::Stop(thread, Why::Signal(number)) => thread.resume(Until::Event, number)?,
            What::Stop(thread, _) => thread.resume(Until::Event, 0)?,
            What::Ended(_) if reporter == tid => return Err(Gone(tid).into()),
            What::Ended(_) => {}
        }
    }
    Err(VisitError::Busy)
}

/// A thread that will stop soon: one that sleeps in a call, or runs, or is stopped already.
fn some_thread(tgid: i32) -> Option<i32> {
    let state = |tid: &i32| {
        let stat = procfs::read_to_string(&format!("{tgid}/task/{tid}/stat")).ok()?;
        stat[stat.rfind(')')? + 1..].trim_start().chars().next()
    };
    let mut threads: Vec<(usize, i32)> =
        procfs::threads(tgid).into_iter().filter_map(|tid| Some(("SRTI".find(state(&tid)?)?, tid))).collect();
    threads.sort_unstable();
    threads.first().map(|(_, tid)| *tid)
}

/// A `syscall` instruction in the page that the kernel puts into every process.
fn gate(tgid: i32) -> Option<u64> {
    const SYSCALL: [u8; 2] = [0x0f, 0x05];
    let maps = procfs::read_to_string(&format!("{tgid}/maps")).ok()?;
    let line = maps.lines().find(|line| line.ends_with("[vdso]"))?;
    let (begin, end) = line.split_once(' ')?.0.split_once('-')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    let (begin, end) = (number(begin)?, number(end)?);
    let mut code = vec![0; usize::try_from(end.checked_sub(begin)?).ok()?];
    Memory::of(tgid).read_bytes(RemotePtr::new(begin), &mut code).ok()?;
    let offset = code.windows(2).position(|bytes| bytes == SYSCALL)?;
    Some(begin + offset as u64)
}

/// `struct ptrace_rseq_configuration`
#[repr(C)]
#[derive(Default)]
struct RestartableSequences {
    area: u64,
    size: u32,
    signature: u32,
    flags: u32,
    padding: u32,
}

/// Where a thread has to go on that is taken out of a restartable sequence, if it is in one.
fn restart_of_sequence(thread: &Stopped, instruction: u64) -> Option<u64> {
    const PTRACE_GET_RSEQ_CONFIGURATION: libc::c_uint = 0x420f;
    /// Of `rseq_cs` in `struct rseq`.
    const SEQUENCE: u64 = 8;
    let mut known = RestartableSequences::default();
    let size = size_of::<RestartableSequences>();
    // SAFETY: the request writes as many bytes as `address` says, of numbers. Kernels before 5.13 do not know it.
    unsafe { sys::with_memory(PTRACE_GET_RSEQ_CONFIGURATION, thread.tid(), size, &mut known) }.ok()?;
    let memory = Memory::of(thread.tid());
    let word = |address: u64| memory.read(RemotePtr::<u64>::new(address)).ok();
    // `struct rseq_cs`: version and flags, begin, length, where to go on.
    let sequence = word(known.area.checked_add(SEQUENCE)?).filter(|at| known.area != 0 && *at != 0)?;
    let [begin, length, restart] = [8, 16, 24].map(|offset| word(sequence.wrapping_add(offset)));
    (instruction.wrapping_sub(begin?) < length?).then_some(restart?)
}
