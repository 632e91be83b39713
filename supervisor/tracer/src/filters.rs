//! Seccomp programs that traced processes install themselves.
//!
//! Calls that a thread makes for us pass by them like its own: one that they forbid would end the process, and one that they hand
//! to a listener in the tree would wait for somebody who may be waiting for us. Where every call is traced we see calls before any
//! program does, and what a process forbids itself must stay forbidden. So their verdicts are asked for here first.

use std::rc::Rc;

use syscall_filter::{Instruction, judge};
use tracee::{Memory, OwnFilter, read_program};

/// The programs of one thread. Threads and processes that it makes have them as well.
#[derive(Clone, Debug, Default)]
pub struct OwnFilters(Option<Rc<Installed>>);

#[derive(Debug)]
struct Installed {
    program: Vec<Instruction>,
    before: OwnFilters,
}

impl OwnFilters {
    /// There is none.
    pub fn are_none(&self) -> bool {
        self.0.is_none()
    }

    /// All let this call through. One that asks where the call comes from is believed to forbid it.
    pub fn permit(&self, number: i64, arguments: [u64; 6]) -> bool {
        let mut programs = std::iter::successors(self.0.as_ref(), |installed| installed.before.0.as_ref());
        programs.all(|installed| judge(&installed.program, number, arguments).is_some_and(lets_through))
    }
}

/// One for a tracer comes to us, who lets it through.
fn lets_through(verdict: u32) -> bool {
    let action = verdict & libc::SECCOMP_RET_ACTION_FULL;
    [libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_LOG, libc::SECCOMP_RET_TRACE].contains(&action)
}

/// What a call that installs a program leads to.
pub struct Installation {
    program: Vec<Instruction>,
    /// For all threads of the process.
    pub for_all: bool,
}

impl Installation {
    /// What this call of the thread asks for. `None` also for what the kernel will not be able to read.
    pub fn of(tid: i32, number: i64, arguments: [u64; 6]) -> Option<Self> {
        let OwnFilter::Program { flags, at } = OwnFilter::of(number, arguments)? else { return None };
        let program = read_program(Memory::of(tid), at)?;
        Some(Self { program, for_all: flags & libc::SECCOMP_FILTER_FLAG_TSYNC != 0 })
    }

    /// What the thread has afterwards, if the call's result says that it was installed. The number of another thread says that
    /// that one could not have it.
    pub fn done(self, result: i64, before: &OwnFilters) -> Option<OwnFilters> {
        let is_done = if self.for_all { result == 0 } else { result >= 0 };
        is_done
            .then(|| OwnFilters(Some(Rc::new(Installed { program: self.program, before: before.clone() }))))
    }
}

#[cfg(test)]
impl OwnFilters {
    /// One that kills for each call.
    pub fn forbid_all() -> Self {
        let kills = Instruction { code: 0x06, jt: 0, jf: 0, k: libc::SECCOMP_RET_KILL_PROCESS };
        Self(Some(Rc::new(Installed { program: vec![kills], before: Self::default() })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `verdict` for a call, all others are allowed.
    fn installation(number: i64, verdict: u32) -> Installation {
        let instruction = |code, jf, k| Instruction { code, jt: 0, jf, k };
        let program = vec![
            instruction(0x20, 0, 0),
            instruction(0x15, 1, number as u32),
            instruction(0x06, 0, verdict),
            instruction(0x06, 0, libc::SECCOMP_RET_ALLOW),
        ];
        Installation { program, for_all: false }
    }

    #[test]
    fn what_one_of_them_forbids_is_not_permitted() {
        let none = OwnFilters::default();
        let first = installation(libc::SYS_openat, libc::SECCOMP_RET_LOG).done(0, &none).unwrap();
        let both = installation(libc::SYS_socket, libc::SECCOMP_RET_TRAP).done(7, &first).unwrap();
        for (number, expected) in
            [(libc::SYS_openat, true), (libc::SYS_socket, false), (libc::SYS_read, true)]
        {
            assert_eq!(both.permit(number, [0; 6]), expected);
            assert!(first.permit(number, [0; 6]) && none.permit(number, [0; 6]));
        }
    }

    #[test]
    fn a_program_that_was_refused_does_not_count() {
        let program = || installation(libc::SYS_socket, libc::SECCOMP_RET_TRAP);
        assert!(program().done(-1, &OwnFilters::default()).is_none());
        let for_all = Installation { for_all: true, ..program() };
        assert!(for_all.done(4711, &OwnFilters::default()).is_none());
    }
}
