//! Processes that were refused something because vgpu-run is there, and whether that may have been their end.

use std::collections::HashSet;

use crate::process::Exit;

/// Those that run yet, and what became of the others.
#[derive(Debug, Default)]
pub struct Refusals {
    waiting: HashSet<i32>,
    some_failed: bool,
}

/// Of more at once, each counts as failed.
const MOST: usize = 10_000;

impl Refusals {
    /// This process was.
    pub fn note(&mut self, pid: i32) {
        match self.waiting.len() {
            0..MOST => drop(self.waiting.insert(pid)),
            _ => self.some_failed = true,
        }
    }

    /// It has ended.
    pub fn ended(&mut self, pid: i32, exit: Exit) {
        if self.waiting.remove(&pid) {
            self.some_failed |= exit != Exit::Code(0);
        }
    }

    /// One of them ended with another status than 0.
    pub fn some_failed(&self) -> bool {
        self.some_failed
    }
}

#[cfg(test)]
mod tests {
    use crate::{Exit, Finding, Form, Report, Session, Severity};

    fn check(exit: Exit, is_told: bool) {
        let mut report = Report::new(Session::default());
        let pid = std::process::id() as i32;
        report.refused(pid, Finding::new(Severity::Warning, "it may not trace"));
        assert!(!report.went_wrong());
        report.exited(pid, exit);
        assert_eq!(report.went_wrong(), is_told);
        assert!(report.render(Form::Short).contains("it may not trace"));
    }

    #[test]
    fn a_refusal_is_told_when_the_process_fails() {
        check(Exit::Code(1), true);
        check(Exit::Signal(libc::SIGABRT), true);
        check(Exit::Code(0), false);
    }
}
