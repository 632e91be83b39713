//! The tracer: what it does with each stop, and what it tells.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use interception::Request;
use syscall_filter::{Action, Coverage, Row, rows};
use tracee::{Facts, Memory, RemotePtr, ThreadGroups};

use crate::filters::OwnFilters;
use crate::held::Held;
use crate::inject::Injection;
use crate::page::Pages;
use crate::pass::Ways;
use crate::stopped::{Gone, Registers, Stopped, Until};
use crate::sys;
use crate::table::Table;
use crate::wait::{Report, Waits, What, Why, soon};

/// Which calls stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those that the installed program names.
    Filtered,
    /// All; here it is decided which are brought to the supervisor.
    Everything {
        /// The rows in force.
        coverage: Coverage,
        /// The ioctl numbers of the payload.
        requests: &'static [u32],
    },
}

impl Scope {
    pub(crate) fn is_filtered(self) -> bool {
        self == Scope::Filtered
    }

    pub(crate) fn until(self) -> Until {
        match self {
            Scope::Filtered => Until::Event,
            Scope::Everything { .. } => Until::Call,
        }
    }
}

/// Something that the supervisor wants to know.
pub enum News {
    /// A call of the tree waits for our answer.
    Call(Request),
    /// A thread, a process or a child that is not traced has ended, with this wait status.
    Ended {
        /// Its number.
        tid: i32,
        /// Its wait status.
        status: i32,
    },
    /// A thread sleeps, as its process is being stopped.
    Stopped(i32),
    /// It goes on.
    Continued(i32),
}

/// What all held calls share with their tracer.
pub(crate) struct Shared {
    pub scope: Scope,
    pub waits: Waits,
    pub table: RefCell<Table>,
    pub ways: Ways,
    pub pages: Pages,
    groups: RefCell<ThreadGroups>,
}

impl Shared {
    pub fn process_of(&self, tid: i32) -> io::Result<i32> {
        let process = self.groups.borrow_mut().of(tid);
        process.ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))
    }

    /// A thread has these filters now; with `for_all` those of its process as well.
    pub fn set_filters(&self, tid: i32, filters: &OwnFilters, for_all: bool) {
        let others = self.process_of(tid).ok().filter(|_| for_all).map(procfs::threads);
        let mut table = self.table.borrow_mut();
        for thread in others.into_iter().flatten().chain([tid]) {
            table.set_filters(thread, filters.clone());
        }
    }
}

/// Traces a tree. To be used by the thread that made it, which alone may wait for children.
pub struct Tracer {
    shared: Rc<Shared>,
    /// The program before its exec.
    waiting: Option<Stopped>,
}

const OPTIONS: i32 = libc::PTRACE_O_TRACESECCOMP
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_EXITKILL;

impl Tracer {
    /// Becomes the tracer of a child of ours, which runs on; and of all that it will start.
    pub fn attach(child: i32, scope: Scope) -> io::Result<Self> {
        sys::with_numbers(libc::PTRACE_SEIZE, child, 0, OPTIONS as usize)?;
        let mut table = Table::default();
        table.insert(child);
        let shared = Shared {
            scope,
            waits: Waits::default(),
            table: RefCell::new(table),
            ways: Ways::default(),
            pages: Pages::default(),
            groups: RefCell::default(),
        };
        Ok(Self { shared: Rc::new(shared), waiting: None })
    }

    /// Waits until the child stops itself by SIGSTOP, which is never delivered. With the number of each call that the filter
    /// brings to us meanwhile, `at_call` is asked. An error is the child's wait status, if it could be had.
    pub fn until_it_stops(&mut self, child: i32, mut at_call: impl FnMut(i64)) -> Result<(), Option<i32>> {
        loop {
            let stop = self.shared.waits.stop_of(child);
            let Ok((thread, why)) = stop else { return Err(self.status_of(child)) };
            let gone = |_: Gone| self.status_of(child);
            let signal = match why {
                Why::Signal(libc::SIGSTOP) => {
                    self.waiting = Some(thread);
                    return Ok(());
                }
                Why::Signal(signal) => signal,
                Why::Filter => {
                    at_call(thread.registers().map_err(gone)?.orig_rax as i64);
                    0
                }
                _ => 0,
            };
            thread.resume(Until::Event, signal).map_err(gone)?;
        }
    }

    fn status_of(&self, child: i32) -> Option<i32> {
        while let Some(report) = self.shared.waits.next() {
            let tid = report.tid;
            if let What::Ended(status) = report.what()
                && tid == child
            {
                return Some(status);
            }
        }
        None
    }

    /// Lets the child go on to its exec.
    pub fn start(&mut self) {
        if let Some(thread) = self.waiting.take() {
            self.resume(thread, 0);
        }
    }

    /// No thread is left.
    pub fn is_done(&self) -> bool {
        self.shared.table.borrow().is_empty()
    }

    /// What has happened, if something has that is news, or does in a moment: a thread that goes on often makes another call
    /// soon. SIGCHLD tells when to ask again.
    pub fn next(&self) -> Option<News> {
        while let Some(report) = soon(|| self.shared.waits.next()) {
            if let Some(news) = self.handle(report) {
                return Some(news);
            }
        }
        None
    }

    fn handle(&self, report: Report) -> Option<News> {
        let tid = report.tid;
        let (thread, why) = match report.what() {
            What::Ended(status) => {
                let mut table = self.shared.table.borrow_mut();
                table.ended(tid);
                table.forget_lost();
                self.shared.pages.forget(tid);
                return Some(News::Ended { tid, status });
            }
            What::Stop(thread, why) => (thread, why),
        };
        if self.shared.table.borrow_mut().seen(tid) && self.shared.table.borrow().knows_filters() {
            self.take_filters_of_maker(tid);
        }
        match why {
            Why::Filter if self.shared.scope.is_filtered() => self.handle_call(thread),
            Why::Call if !self.shared.scope.is_filtered() => self.handle_any_call(thread),
            Why::GroupStop => self.handle_group_stop(thread),
            Why::Trap => self.handle_trap(thread),
            Why::NewTask => {
                if let Ok(child) = thread.message() {
                    self.shared.table.borrow_mut().announced(child, tid);
                }
                self.resume(thread, 0)
            }
            Why::Exec => {
                if let Ok(former) = thread.message() {
                    self.shared.table.borrow_mut().executed(former, tid);
                    self.shared.pages.forget(tid);
                }
                self.resume(thread, 0)
            }
            Why::Signal(signal) => self.resume(thread, signal),
            Why::Filter | Why::Call => self.resume(thread, 0),
        }
    }

    /// A thread that is seen before its maker tells of it has the maker's filters already, and may make a call.
    fn take_filters_of_maker(&self, tid: i32) {
        let Ok(process) = self.shared.process_of(tid) else { return };
        let maker = if process == tid { Facts::of(tid).parent } else { Some(process) };
        let filters = maker.map(|maker| self.shared.table.borrow().filters(maker)).unwrap_or_default();
        self.shared.table.borrow_mut().set_filters(tid, filters);
    }

    /// One that is gone has an end, which is reported.
    fn resume(&self, thread: Stopped, signal: i32) -> Option<News> {
        let _ = thread.resume(self.shared.scope.until(), signal);
        None
    }

    fn handle_group_stop(&self, thread: Stopped) -> Option<News> {
        let tid = thread.tid();
        let slept = self.shared.table.borrow_mut().set_sleeps(tid, true);
        let _ = thread.listen();
        (!slept).then_some(News::Stopped(tid))
    }

    fn handle_trap(&self, thread: Stopped) -> Option<News> {
        let tid = thread.tid();
        let slept = self.shared.table.borrow_mut().set_sleeps(tid, false);
        self.resume(thread, 0);
        slept.then_some(News::Continued(tid))
    }

    fn handle_call(&self, thread: Stopped) -> Option<News> {
        let tid = thread.tid();
        let registers = thread.registers().ok()?;
        let (number, arguments) = call_of(&registers);
        match number {
            libc::SYS_clone | libc::SYS_clone3 => self.handle_clone(thread, registers),
            _ => {
                let injection = Injection::new(self.shared.clone(), thread, registers);
                Some(News::Call(Request::new(tid, number, arguments, Box::new(Held::new(injection)))))
            }
        }
    }

    /// Where every call is traced: at the entry of one that a row names.
    fn handle_any_call(&self, thread: Stopped) -> Option<News> {
        let at_entry = self.shared.table.borrow_mut().toggle_call(thread.tid());
        if at_entry && self.is_named(&thread) {
            return self.handle_call(thread);
        }
        self.resume(thread, 0)
    }

    fn is_named(&self, thread: &Stopped) -> bool {
        let Scope::Everything { coverage, requests } = self.shared.scope else { return false };
        let Ok(registers) = thread.registers() else { return false };
        let (number, arguments) = call_of(&registers);
        let names = |row: &Row| row.names(number, &arguments, requests);
        let tid = thread.tid();
        rows(coverage, Action::Trace).any(names)
            && is_of_64_bits(tid, &registers)
            // Filters are asked after us here, and what a program forbids itself stays forbidden.
            && self.shared.table.borrow().filters(tid).permit(number, arguments)
    }

    /// A child must not leave us.
    fn handle_clone(&self, thread: Stopped, mut registers: Registers) -> Option<News> {
        const UNTRACED: u64 = libc::CLONE_UNTRACED as u64;
        if registers.orig_rax as i64 == libc::SYS_clone {
            if registers.rdi & UNTRACED != 0 {
                registers.rdi &= !UNTRACED;
                let _ = thread.set_registers(&registers);
            }
        } else {
            // The flags are the first field of `struct clone_args` (linux/sched.h).
            let flags = RemotePtr::<u64>::new(registers.rdi);
            if let Ok(value) = Memory::of(thread.tid()).read(flags)
                && value & UNTRACED != 0
            {
                let _ = thread.poke(flags.address(), value & !UNTRACED);
            }
        }
        self.resume(thread, 0)
    }
}

/// The call at whose entry a thread with these registers is.
pub fn call_of(registers: &Registers) -> (i64, [u64; 6]) {
    let Registers { rdi, rsi, rdx, r10, r8, r9, .. } = *registers;
    (registers.orig_rax as i64, [rdi, rsi, rdx, r10, r8, r9])
}

/// Whether the call was made through the 64-bit interface: a 64-bit program may also say `int $0x80`, which has other numbers.
fn is_of_64_bits(tid: i32, registers: &Registers) -> bool {
    /// `__USER_CS`
    const CODE_SEGMENT: u64 = 0x33;
    const SYSCALL: [u8; 2] = [0x0f, 0x05];
    let mut instruction = [0; 2];
    let at = RemotePtr::new(registers.rip.wrapping_sub(2));
    registers.cs == CODE_SEGMENT
        && (Memory::of(tid).read_bytes(at, &mut instruction).is_err() || instruction == SYSCALL)
}
