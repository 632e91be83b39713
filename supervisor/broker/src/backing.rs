//! Whether the machine can back another grant: its memory, and the limits of the client's cgroup and all above it.

use std::fs;
use std::path::Path;

use procfs::cgroup::{self, Group, MOUNTS, Version};

/// Limits of memory that a process is under, found once: a process seldom moves.
#[derive(Default)]
pub struct Cgroup {
    /// Those that have a limit, the process's own first.
    limited: Vec<Group>,
}

impl Cgroup {
    /// The limits of a process; none where no hierarchy has memory.
    pub fn of(process: u32) -> Cgroup {
        let membership = procfs::read_to_string(&format!("{process}/cgroup")).unwrap_or_default();
        Cgroup::in_mounts(Path::new(MOUNTS), &membership)
    }

    /// The limits in the hierarchies below `mounts`, of a process whose `/proc/…/cgroup` this is.
    fn in_mounts(mounts: &Path, membership: &str) -> Cgroup {
        let groups = cgroup::groups(membership, mounts, "memory").into_iter();
        Cgroup { limited: groups.filter(|group| limit(group).is_some()).collect() }
    }

    /// Bytes that machine and limits leave now.
    pub fn available(&self) -> u64 {
        self.limited.iter().filter_map(room).fold(machine(), u64::min)
    }
}

/// A group's limit, in bytes.
fn limit(group: &Group) -> Option<u64> {
    /// Version 1 writes no limit as the largest multiple of a page.
    const NONE: u64 = 1 << 62;
    let file = match group.version {
        Version::First => "memory.limit_in_bytes",
        Version::Second => "memory.max",
    };
    number(&group.directory.join(file)).filter(|limit| *limit < NONE)
}

/// What a group's limit leaves. Pages of files count as used and give way, as in the machine's `MemAvailable`: a program that has just read
/// its model must not be refused the memory for it.
fn room(group: &Group) -> Option<u64> {
    // The counters of `memory.stat` are those of the group and what is below it. Shared memory is in neither.
    let (usage, file_pages) = match group.version {
        Version::First => ("memory.usage_in_bytes", ["total_inactive_file", "total_active_file"]),
        Version::Second => ("memory.current", ["inactive_file", "active_file"]),
    };
    let used = number(&group.directory.join(usage))?;
    let text = fs::read_to_string(group.directory.join("memory.stat")).unwrap_or_default();
    let file: u64 = file_pages.iter().filter_map(|name| counter(&text, name)).sum();
    Some(limit(group)?.saturating_sub(used.saturating_sub(file)))
}

fn counter(stat: &str, name: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
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

    fn mounted(files: &[(&str, &str)]) -> tempfile::TempDir {
        let mounts = tempfile::tempdir().expect("a directory");
        for (path, text) in files {
            let file = mounts.path().join(path);
            fs::create_dir_all(file.parent().expect("a group")).expect("directories");
            fs::write(file, text).expect("a file");
        }
        mounts
    }

    /// Also a slice far above may be the one that is full.
    #[test]
    fn narrowest_limit_on_the_way_up_counts() {
        let mounts = mounted(&[
            ("service/worker/memory.max", "max\n"),
            ("service/worker/memory.current", "4096\n"),
            ("service/memory.max", "1000000\n"),
            ("service/memory.current", "400000\n"),
        ]);
        let cgroup = Cgroup::in_mounts(mounts.path(), "0::/service/worker\n");
        let service = Group { version: Version::Second, directory: mounts.path().join("service") };
        assert_eq!(cgroup.limited, [service]);
        assert_eq!(cgroup.available(), 600_000);
        fs::write(mounts.path().join("service/memory.current"), "1000001\n").expect("a file");
        assert_eq!(cgroup.available(), 0);
    }

    #[test]
    fn limit_of_version_1_counts_and_its_word_for_none_is_none() {
        let mounts = mounted(&[
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/memory.usage_in_bytes", "5000000\n"),
            ("memory/own/memory.limit_in_bytes", "1000000\n"),
            ("memory/own/memory.usage_in_bytes", "300000\n"),
        ]);
        let cgroup = Cgroup::in_mounts(mounts.path(), "5:cpu:/other\n4:memory:/own\n0::/\n");
        assert_eq!((cgroup.limited.len(), cgroup.available()), (1, 700_000));
    }

    #[test]
    fn pages_of_files_give_way() {
        let mounts = mounted(&[
            ("memory.max", "1000000\n"),
            ("memory.current", "900000\n"),
            (
                "memory.stat",
                "anon 100000\nfile 800000\ninactive_file 500000\nactive_file 200000\nshmem 100000\n",
            ),
        ]);
        assert_eq!(Cgroup::in_mounts(mounts.path(), "0::/\n").available(), 800_000);
    }
}
