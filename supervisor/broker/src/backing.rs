//! Whether the machine can back another grant: its memory, and the limits of the client's cgroup and all above it.

use std::fs;
use std::path::{Path, PathBuf};

/// Limits of memory that a process is under (cgroup version 2), found once: a process seldom moves.
#[derive(Default)]
pub struct Cgroup {
    /// Directories that have a limit, the process's own first.
    limited: Vec<PathBuf>,
}

impl Cgroup {
    /// The limits of a process; none where there is no version 2 hierarchy.
    pub fn of(process: u32) -> Cgroup {
        let membership = procfs::read_to_string(&format!("{process}/cgroup")).unwrap_or_default();
        let path = membership.lines().find_map(|line| line.strip_prefix("0::/"));
        path.map_or_else(Cgroup::default, |path| Cgroup::below(Path::new("/sys/fs/cgroup"), path))
    }

    /// The limits of the group `path` in the hierarchy at `root`.
    fn below(root: &Path, path: &str) -> Cgroup {
        let group = root.join(path);
        let groups = group.ancestors().take_while(|ancestor| ancestor.starts_with(root));
        let limited = groups.filter(|group| number(&group.join("memory.max")).is_some());
        Cgroup { limited: limited.map(Path::to_owned).collect() }
    }

    /// Bytes that machine and limits leave now.
    pub fn available(&self) -> u64 {
        self.limited.iter().filter_map(|group| room(group)).fold(machine(), u64::min)
    }
}

/// What a group's limit leaves.
fn room(group: &Path) -> Option<u64> {
    let (limit, used) = (number(&group.join("memory.max"))?, number(&group.join("memory.current"))?);
    Some(limit.saturating_sub(used))
}

/// The number in a file; `None` also for the word `max`.
fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Bytes that the machine can give without swapping.
fn machine() -> u64 {
    let text = procfs::read_to_string("meminfo").unwrap_or_default();
    field(&text, "MemAvailable:").unwrap_or_else(free)
}

/// What is free at once: less than can be made free, and all that is known without /proc.
fn free() -> u64 {
    nix::sys::sysinfo::sysinfo().map_or(u64::MAX, |machine| machine.ram_unused())
}

fn field(meminfo: &str, name: &str) -> Option<u64> {
    let value = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_is_read_in_kibibytes() {
        assert_eq!(field("MemTotal: 5 kB\nMemAvailable:    12 kB\n", "MemAvailable:"), Some(12 << 10));
        assert!(machine() > 0);
        assert!((1 << 20..machine() * 2).contains(&free()), "{} of {}", free(), machine());
    }

    /// Also a slice far above may be the one that is full.
    #[test]
    fn narrowest_limit_on_the_way_up_counts() {
        let root = std::env::temp_dir().join(format!("vgpu-cgroup-{}", std::process::id()));
        let inner = root.join("service/worker");
        fs::create_dir_all(&inner).expect("directories");
        let write = |path: PathBuf, text: &str| fs::write(path, text).expect("a file");
        write(inner.join("memory.max"), "max\n");
        write(inner.join("memory.current"), "4096\n");
        write(root.join("service/memory.max"), "1000000\n");
        write(root.join("service/memory.current"), "400000\n");
        let cgroup = Cgroup::below(&root, "service/worker");
        assert_eq!(cgroup.limited, [root.join("service")]);
        assert_eq!(cgroup.available(), 600_000);
        write(root.join("service/memory.current"), "1000001\n");
        assert_eq!(cgroup.available(), 0);
        fs::remove_dir_all(root).expect("removed");
    }
}
