//! Looking at other processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::{vgpu_run, workshop};

/// What all processes of one run carry, to find those that are left: an environment variable that the tree inherits, and,
/// as engines have no environment, the directory that [`Mark::libexec`] makes for them.
pub struct Mark {
    text: String,
    libexec: OnceLock<PathBuf>,
}

/// Its name.
const VARIABLE: &str = "VGPU_RUN_TEST_MARK";

impl Mark {
    /// One that nobody else has.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { text: format!("mark-{}-{number}.", std::process::id()), libexec: OnceLock::new() }
    }

    /// For `Launch::variable`.
    pub fn variable(&self) -> (&'static str, &str) {
        (VARIABLE, &self.text)
    }

    /// A directory for VGPU_RUN_LIBEXEC that names the real engine and payload in such a way that engines carry the mark.
    pub fn libexec(&self) -> &Path {
        self.libexec.get_or_init(|| {
            let directory = workshop::directory().join(&self.text);
            fs::create_dir(&directory).expect("a directory for this run");
            for name in ["vgpu-engine", "payload"] {
                let real = vgpu_run().with_file_name(name);
                std::os::unix::fs::symlink(real, directory.join(name)).expect("a link");
            }
            directory
        })
    }

    /// Processes that carry it now.
    pub fn bearers(&self) -> Vec<i32> {
        let wanted = format!("{VARIABLE}={}", self.text);
        let carries = |pid: &i32| {
            let words = |file| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            let has = |words: &[u8], wanted: &str| {
                words.split(|&byte| byte == 0).any(|word| word == wanted.as_bytes())
            };
            let engine = self.libexec.get().map(|libexec| libexec.join("vgpu-engine"));
            has(&words("environ"), &wanted)
                || engine.is_some_and(|engine| has(&words("cmdline"), &engine.to_string_lossy()))
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

impl Drop for Mark {
    fn drop(&mut self) {
        if let Some(libexec) = self.libexec.get() {
            let _ = fs::remove_dir_all(libexec);
        }
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

/// Children of a process; those of one thread in the order in which they were made.
pub fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return vec![] };
    let lists = threads.flatten().map(|thread| fs::read_to_string(thread.path().join("children")));
    match lists.collect::<Result<Vec<_>, _>>() {
        Ok(lists) => lists.join(" ").split_whitespace().filter_map(|child| child.parse().ok()).collect(),
        // A kernel without these files, or a thread has just ended.
        Err(_) => pids().filter(|&child| parent_of(child) == Some(pid)).collect(),
    }
}

/// Its children, theirs, and so on.
pub fn descendants(pid: i32) -> Vec<i32> {
    children(pid).into_iter().flat_map(|child| [vec![child], descendants(child)].concat()).collect()
}

/// The name that a process shows.
pub fn name_of(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
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
