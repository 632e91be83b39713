//! Calls that a thread makes for us while a call of its own waits.

use std::rc::Rc;

use crate::filters::{Installation, OwnFilters};
use crate::stopped::{Gone, Registers, Stopped, Until};
use crate::tracer::{Shared, call_of};
use crate::wait::Why;

/// Length of the `syscall` instruction, which the thread's instruction pointer is behind.
const INSTRUCTION: u64 = 2;

/// A thread that is held in a call of its own.
///
/// ```text
///   at entry ──call──▶ at exit ⟲ call
///      │ │                │ └─ finish: the own call returns this
///      │ └─ finish        └─── repeat: back to the entry, and let through
///      └─── let_through
/// ```
pub struct Injection {
    shared: Rc<Shared>,
    tid: i32,
    /// `None` once it is gone.
    thread: Option<Stopped>,
    /// Registers at the entry of its own call.
    own: Registers,
    /// Signals that the program blocks; known once we block all, with the first injected call.
    mask: Option<u64>,
    /// The process was being stopped meanwhile.
    group_stop: bool,
    /// Programs that it has besides ours.
    filters: OwnFilters,
}

impl Injection {
    /// Precondition: the thread is at the entry of a call, with these registers.
    pub fn new(shared: Rc<Shared>, thread: Stopped, own: Registers) -> Self {
        let tid = thread.tid();
        let filters = shared.table.borrow().filters(tid);
        Self { shared, tid, thread: Some(thread), own, mask: None, group_stop: false, filters }
    }

    /// The thread.
    pub fn tid(&self) -> i32 {
        self.tid
    }

    /// What belongs to its tracer.
    pub fn shared(&self) -> &Rc<Shared> {
        &self.shared
    }

    /// Registers at the entry of its own call.
    pub fn own(&self) -> &Registers {
        &self.own
    }

    /// It still waits.
    pub fn is_alive(&self) -> bool {
        self.thread.as_ref().is_some_and(Stopped::is_alive)
    }

    /// Whether its own filters let it make this call.
    pub fn may_call(&self, number: i64, arguments: [u64; 6]) -> bool {
        self.filters.permit(number, arguments)
    }

    /// Lets the thread make a call, which must not block; what it returned. One that its own filters forbid is not made.
    pub fn call(&mut self, number: i64, arguments: [u64; 6]) -> Result<i64, Gone> {
        if !self.may_call(number, arguments) {
            return Ok(-i64::from(libc::EPERM));
        }
        let mut registers = self.own;
        [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9] = arguments;
        if self.mask.is_none() {
            // At the entry of its own call, in whose place ours comes.
            self.mask = Some(self.thread()?.signal_mask()?);
            self.thread()?.set_signal_mask(u64::MAX)?;
            registers.orig_rax = number as u64;
            self.thread()?.set_registers(&registers)?;
        } else {
            self.enter(registers, number as u64)?;
        }
        self.run_to(Why::Call)?;
        Ok(self.thread()?.registers()?.rax as i64)
    }

    /// The own call returns this without having been made, or after calls of ours.
    pub fn finish(mut self, result: i64) -> Result<(), Gone> {
        let mut registers = self.own;
        registers.rax = result as u64;
        if self.mask.is_none() && self.shared.scope.is_filtered() {
            // The kernel skips a call of this number and leaves the result alone.
            registers.orig_rax = u64::MAX;
        } else if self.mask.is_none() {
            // Filters of others are still to be asked, and would refuse such a number. Nobody refuses this call, which fails.
            self.call(libc::SYS_read, [u64::MAX, 0, 0, 0, 0, 0])?;
        }
        self.thread()?.set_registers(&registers)?;
        self.let_go(false)
    }

    /// The own call is made as if nobody had looked.
    pub fn let_through(mut self) -> Result<(), Gone> {
        let (number, arguments) = call_of(&self.own);
        if let Some(installation) = Installation::of(self.tid, number, arguments) {
            return self.let_install(installation);
        }
        if self.mask.is_some() {
            self.enter(self.own, self.own.orig_rax)?;
            if self.shared.scope.is_filtered() {
                self.run_to(Why::Filter)?;
            }
        }
        self.let_go(true)
    }

    /// The same for a call by which it gets another filter. Precondition: the thread is at the entry of it.
    fn let_install(mut self, installation: Installation) -> Result<(), Gone> {
        self.run_to(Why::Call)?;
        let result = self.thread()?.registers()?.rax as i64;
        let for_all = installation.for_all;
        if let Some(filters) = installation.done(result, &self.filters) {
            self.shared.set_filters(self.tid, &filters, for_all);
        }
        self.let_go(false)
    }

    /// From the exit of a call to the entry of another, by executing the instruction again.
    fn enter(&mut self, mut registers: Registers, number: u64) -> Result<(), Gone> {
        registers.rip = self.own.rip - INSTRUCTION;
        registers.rax = number;
        // Not in a call any more: nothing is to be restarted on the way.
        registers.orig_rax = u64::MAX;
        self.thread()?.set_registers(&registers)?;
        self.run_to(Why::Call)
    }

    fn run_to(&mut self, wanted: Why) -> Result<(), Gone> {
        let mut signal = 0;
        loop {
            let thread = self.thread.take().ok_or(Gone(self.tid))?;
            thread.resume(Until::Call, signal)?;
            let (thread, why) = self.shared.waits.stop_of(self.tid)?;
            self.thread = Some(thread);
            signal = 0;
            match why {
                why if why == wanted => return Ok(()),
                // The process is being stopped. Our calls go on; the thread is told afterwards.
                Why::GroupStop | Why::Trap => self.group_stop = true,
                // SIGSTOP, as all others are blocked: delivered, so that the process stops.
                Why::Signal(number) => signal = number,
                Why::Call | Why::Filter | Why::NewTask | Why::Exec => {}
            }
        }
    }

    fn let_go(mut self, in_call: bool) -> Result<(), Gone> {
        let thread = self.thread.take().ok_or(Gone(self.tid))?;
        if let Some(mask) = self.mask {
            thread.set_signal_mask(mask)?;
        }
        if self.group_stop {
            thread.interrupt()?;
        }
        self.shared.table.borrow_mut().set_in_call(self.tid, in_call);
        thread.resume(self.shared.scope.until(), 0)
    }

    fn thread(&self) -> Result<&Stopped, Gone> {
        self.thread.as_ref().ok_or(Gone(self.tid))
    }
}
