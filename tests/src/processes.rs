//! Looking at other processes.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// An environment variable that all processes of one run inherit, to find those that are left.
pub struct Mark(String);

/// Its name.
const VARIABLE: &str = "VGPU_RUN_TEST_MARK";

impl Mark {
    /// One that nobody else has.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self(format!("{}-{}.", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// For `Launch::variable`.
    pub fn variable(&self) -> (&'static str, &str) {
        (VARIABLE, &self.0)
    }

    /// Processes that carry it now.
    pub fn bearers(&self) -> Vec<i32> {
        let wanted = format!("{VARIABLE}={}", self.0);
        let carries = |pid: &i32| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|&byte| byte == 0).any(|variable| variable == wanted.as_bytes())
        };
        pids().filter(carries).collect()
    }

    /// Within some seconds nobody carries it any more.
    pub fn assert_nobody_left(&self) {
        let gone = wait_until(Duration::from_secs(10), || self.bearers().is_empty());
        let describe = |pid| {
            let word = |file| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
            format!("{pid} {} {}", word("comm").trim(), word("cmdline").replace('\0', " "))
        };
        let left: Vec<_> = self.bearers().into_iter().map(describe).collect();
        assert!(gone, "left: {left:?}");
    }
}

impl Default for Mark {
    fn default() -> Self {
        Self::new()
    }
}

fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The parent of a process.
pub fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat[stat.rfind(')')? + 1..].split_whitespace().nth(1)?.parse().ok()
}

/// Children of a process.
pub fn children(pid: i32) -> Vec<i32> {
    pids().filter(|&child| parent_of(child) == Some(pid)).collect()
}

/// Asks again and again; false if it did not become true in time.
pub fn wait_until(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < patience {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    condition()
}
