//! Two snapshots of a session make rates.

use std::time::Instant;

use serde::Serialize;

use crate::sessions::Found;
use crate::snapshot::{Process, Snapshot};

/// All sessions now and the last time.
#[derive(Default)]
pub struct Sessions {
    now: Found,
    before: Vec<Snapshot>,
    asked: Option<Instant>,
    /// Between them, seconds.
    between: f64,
}

/// All that is shown.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// In the order of their supervisors' numbers.
    pub sessions: Vec<Session>,
    /// Supervisors that did not answer in time.
    pub silent: Vec<u32>,
}

/// A session as it is shown.
pub type Session = Snapshot<Row>;

/// A process as it is shown.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Sums since the session's start.
    #[serde(flatten)]
    pub process: Process,
    /// Kernels that ended, each second.
    pub kernels_per_second: f64,
    /// Share of the time in which kernels ran.
    pub busy: f64,
    /// Share of the kernels' time in compiled code; none if none has ended.
    pub compiled_share: Option<f64>,
}

impl Sessions {
    /// Takes what all sessions tell now.
    pub fn update(&mut self, now: Found) {
        let asked = Instant::now();
        self.between = self.asked.map_or(0.0, |before| (asked - before).as_secs_f64());
        self.asked = Some(asked);
        self.before = std::mem::replace(&mut self.now, now).sessions;
    }

    /// Everything with its rates.
    pub fn shown(&self) -> Shown {
        let sessions = self.now.sessions.iter().map(|session| self.show(session)).collect();
        Shown { sessions, silent: self.now.silent.clone() }
    }

    fn show(&self, session: &Snapshot) -> Session {
        let before = self.before.iter().find(|before| before.supervisor == session.supervisor);
        let row = |process: &Process| {
            let before = before.and_then(|before| before.processes.iter().find(|old| old.pid == process.pid));
            row(process, before, self.between)
        };
        Session {
            supervisor: session.supervisor,
            keeper: session.keeper,
            program: session.program,
            faults: session.faults.clone(),
            user: session.user,
            command: session.command.clone(),
            attached: session.attached,
            seconds: session.seconds,
            devices: session.devices.clone(),
            processes: session.processes.iter().map(row).collect(),
        }
    }
}

fn row(process: &Process, before: Option<&Process>, seconds: f64) -> Row {
    let (mut kernels_per_second, mut busy) = (0.0, 0.0);
    // One that exec has made another program of counts from zero again.
    if let Some(before) = before.filter(|before| before.kernels <= process.kernels && seconds > 0.0) {
        kernels_per_second = (process.kernels - before.kernels) as f64 / seconds;
        let nanoseconds = process.kernel_nanoseconds.saturating_sub(before.kernel_nanoseconds);
        busy = (nanoseconds as f64 / 1e9 / seconds).min(1.0);
    }
    let share = |nanoseconds: u64, interpreted: u64| {
        (nanoseconds > 0).then(|| 1.0 - interpreted.min(nanoseconds) as f64 / nanoseconds as f64)
    };
    let recent = before.and_then(|before| {
        share(
            process.nanoseconds.saturating_sub(before.nanoseconds),
            process.interpreted_nanoseconds.saturating_sub(before.interpreted_nanoseconds),
        )
    });
    let compiled_share = recent.or_else(|| share(process.nanoseconds, process.interpreted_nanoseconds));
    Row { process: process.clone(), kernels_per_second, busy, compiled_share }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_differences_over_time() {
        let before = Process { pid: 1, kernels: 10, kernel_nanoseconds: 1_000_000_000, ..Process::default() };
        let now = Process {
            kernels: 30,
            kernel_nanoseconds: 2_000_000_000,
            nanoseconds: 800,
            interpreted_nanoseconds: 200,
            ..before.clone()
        };
        let found = row(&now, Some(&before), 2.0);
        assert_eq!((found.kernels_per_second, found.busy, found.compiled_share), (10.0, 0.5, Some(0.75)));
        let first = row(&now, None, 2.0);
        assert_eq!((first.kernels_per_second, first.busy, first.compiled_share), (0.0, 0.0, Some(0.75)));
        let begun_anew = row(&before, Some(&now), 2.0);
        assert_eq!((begun_anew.kernels_per_second, begun_anew.compiled_share), (0.0, None));
    }
}
