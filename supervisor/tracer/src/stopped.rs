//! A traced thread that waits for us, as a value.

use std::io;
use std::marker::PhantomData;

use crate::sys;

/// The registers of a stopped thread, as the kernel lays them out.
pub type Registers = libc::user_regs_struct;

/// A traced thread that is stopped. Only waiting makes one, only resuming consumes it, and it stays in the tracer's thread.
#[must_use = "a stopped thread stays stopped until it is resumed"]
#[derive(Debug)]
pub struct Stopped {
    tid: i32,
    in_tracers_thread: PhantomData<*const ()>,
}

/// The thread was killed, or another thread of its process has called exec: it was stopped and is no more.
///
/// This is what ESRCH means for a thread that is known to be stopped; nothing else ends a stop behind the tracer's back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("thread {0} is gone")]
pub struct Gone(pub i32);

/// How far a thread runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// To the next event: a call that the filter names, a signal, an end.
    Event,
    /// The same, and to the next entry or exit of any call.
    Call,
}

impl Stopped {
    /// Precondition: waiting has just told that this thread is stopped.
    pub(crate) fn new(tid: i32) -> Self {
        Self { tid, in_tracers_thread: PhantomData }
    }

    /// Its number.
    pub fn tid(&self) -> i32 {
        self.tid
    }

    /// Its registers.
    pub fn registers(&self) -> Result<Registers, Gone> {
        // SAFETY: the registers are numbers.
        let mut registers: Registers = unsafe { std::mem::zeroed() };
        // SAFETY: the request writes one `user_regs_struct`.
        self.checked(unsafe { sys::with_memory(libc::PTRACE_GETREGS, self.tid, 0, &mut registers) })?;
        Ok(registers)
    }

    /// Sets them.
    pub fn set_registers(&self, registers: &Registers) -> Result<(), Gone> {
        // SAFETY: the request reads one `user_regs_struct`.
        self.checked(unsafe { sys::with_memory(libc::PTRACE_SETREGS, self.tid, 0, &mut { *registers }) })
    }

    /// What belongs to an event: the number of a new thread, or the one that it had before an exec.
    pub(crate) fn message(&self) -> Result<i32, Gone> {
        let mut message: libc::c_ulong = 0;
        // SAFETY: the request writes one `unsigned long`.
        self.checked(unsafe { sys::with_memory(libc::PTRACE_GETEVENTMSG, self.tid, 0, &mut message) })?;
        Ok(message as i32)
    }

    /// Its blocked signals.
    pub(crate) fn signal_mask(&self) -> Result<u64, Gone> {
        let mut mask = 0u64;
        // SAFETY: the request writes as many bytes as `address` says: a `u64`.
        self.checked(unsafe {
            sys::with_memory(libc::PTRACE_GETSIGMASK, self.tid, size_of::<u64>(), &mut mask)
        })?;
        Ok(mask)
    }

    /// Blocks these signals and no others.
    pub(crate) fn set_signal_mask(&self, mut mask: u64) -> Result<(), Gone> {
        // SAFETY: the request reads as many bytes as `address` says: a `u64`.
        self.checked(unsafe {
            sys::with_memory(libc::PTRACE_SETSIGMASK, self.tid, size_of::<u64>(), &mut mask)
        })
    }

    /// Writes a word into its memory, also into a page that it may only read itself.
    pub(crate) fn poke(&self, address: u64, word: u64) -> Result<(), Gone> {
        self.checked(sys::with_numbers(libc::PTRACE_POKEDATA, self.tid, address as usize, word as usize))
    }

    /// It is still there.
    pub fn is_alive(&self) -> bool {
        self.message().is_ok()
    }

    /// Lets it run, with a signal if it was stopped for one (0: none).
    pub(crate) fn resume(self, until: Until, signal: i32) -> Result<(), Gone> {
        let request = match until {
            Until::Event => libc::PTRACE_CONT,
            Until::Call => libc::PTRACE_SYSCALL,
        };
        self.checked(sys::with_numbers(request, self.tid, 0, signal as usize))
    }

    /// Lets a stop signal of the whole process take effect: the thread sleeps until SIGCONT, and tells then.
    pub(crate) fn listen(self) -> Result<(), Gone> {
        self.checked(sys::with_numbers(libc::PTRACE_LISTEN, self.tid, 0, 0))
    }

    /// Once resumed, it stops at once and tells whether its process is in a group-stop.
    pub(crate) fn interrupt(&self) -> Result<(), Gone> {
        self.checked(sys::with_numbers(libc::PTRACE_INTERRUPT, self.tid, 0, 0))
    }

    /// Lets it go on untraced.
    pub(crate) fn detach(self) -> Result<(), Gone> {
        self.checked(sys::with_numbers(libc::PTRACE_DETACH, self.tid, 0, 0))
    }

    fn checked(&self, result: io::Result<()>) -> Result<(), Gone> {
        // Other errors than ESRCH mean that a request is not known to the kernel. Linux knows all of these since 3.11;
        // where something else stands in for it, the thread is of no more use to us than one that is gone.
        result.map_err(|_| Gone(self.tid))
    }
}
