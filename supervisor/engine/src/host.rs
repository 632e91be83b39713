//! What of this machine the client may use.

use std::fs;
use std::path::Path;

use procfs::cgroup::{self, Group, MOUNTS, Version};

/// Threads for kernels: the cores that the client's affinity and its cgroup's quota leave it, at least one.
pub fn threads_of(client: u32) -> usize {
    let cores =
        affinity_of(client).unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get()));
    let membership = fs::read_to_string(format!("/proc/{client}/cgroup")).unwrap_or_default();
    let quota = quota_of(&membership, Path::new(MOUNTS));
    cores.min(quota.unwrap_or(cores)).max(1)
}

fn affinity_of(client: u32) -> Option<usize> {
    let pid = nix::unistd::Pid::from_raw(client as i32);
    let set = nix::sched::sched_getaffinity(pid).ok()?;
    // The engine runs where its client may.
    let _ = nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set);
    Some((0..nix::sched::CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false)).count())
}

/// The least quota of a process's cgroup and of those around it, in whole cores, rounded up. `membership` is its `/proc/…/cgroup`,
/// `mounts` where cgroups are mounted.
fn quota_of(membership: &str, mounts: &Path) -> Option<usize> {
    let groups = cgroup::groups(membership, mounts, "cpu").into_iter();
    let quotas = groups.filter_map(|Group { version, directory }| match version {
        Version::First => first_version(&directory),
        Version::Second => second_version(&directory),
    });
    quotas.min()
}

/// `cpu.max` of version 2: quota, or the word `max`, and period.
fn second_version(group: &Path) -> Option<usize> {
    let limit = fs::read_to_string(group.join("cpu.max")).ok()?;
    let (quota, period) = limit.trim().split_once(' ')?;
    cores(quota, period)
}

/// Version 1 has a file for each; a quota of -1 is none.
fn first_version(group: &Path) -> Option<usize> {
    let read = |name: &str| fs::read_to_string(group.join(name)).ok();
    cores(read("cpu.cfs_quota_us")?.trim(), read("cpu.cfs_period_us")?.trim())
}

fn cores(quota: &str, period: &str) -> Option<usize> {
    let (quota, period): (usize, usize) = (quota.parse().ok()?, period.parse().ok()?);
    Some(quota.div_ceil(period.max(1)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::unistd::Pid;

    /// Cgroups with files, by path and content.
    fn mounted(files: &[(&str, &str)]) -> tempfile::TempDir {
        let mounts = tempfile::tempdir().expect("a directory");
        for (path, content) in files {
            let file = mounts.path().join(path);
            fs::create_dir_all(file.parent().expect("a group")).expect("a group");
            fs::write(file, content).expect("a file");
        }
        mounts
    }

    fn quota(membership: &str, files: &[(&str, &str)]) -> Option<usize> {
        quota_of(membership, mounted(files).path())
    }

    #[test]
    fn quota_of_version_2_rounds_up_and_max_means_none() {
        let of = |limit| quota("0::/own\n", &[("own/cpu.max", limit)]);
        assert_eq!(of("150000 100000\n"), Some(2));
        assert_eq!(of("20000 100000\n"), Some(1));
        assert_eq!(of("max 100000\n"), None);
    }

    #[test]
    fn least_quota_of_the_groups_around_counts() {
        let files = [
            ("a/cpu.max", "300000 100000"),
            ("a/b/cpu.max", "max 100000"),
            ("a/b/c/cpu.max", "800000 100000"),
        ];
        assert_eq!(quota("0::/a/b/c\n", &files), Some(3));
        // A container sees its own group at the top, whatever its path outside.
        assert_eq!(quota("0::/not/seen\n", &[("cpu.max", "200000 100000")]), Some(2));
    }

    #[test]
    fn quota_of_version_1_counts_and_minus_one_means_none() {
        let membership = "5:memory:/own\n4:cpu,cpuacct:/own\n1:name=systemd:/own\n0::/own\n";
        let of = |quota_us| {
            let period = ("cpu,cpuacct/own/cpu.cfs_period_us", "100000\n");
            quota(membership, &[("cpu,cpuacct/own/cpu.cfs_quota_us", quota_us), period])
        };
        assert_eq!(of("250000\n"), Some(3));
        assert_eq!(of("-1\n"), None);
    }

    #[test]
    fn process_bound_to_one_core_gets_one_thread() {
        // Of this thread alone; the engine's own affinity follows the client's, which is this thread too.
        let before = sched_getaffinity(Pid::from_raw(0)).expect("this thread's cores");
        let one = (0..CpuSet::count()).find(|core| before.is_set(*core).unwrap_or(false)).expect("a core");
        let mut set = CpuSet::new();
        set.set(one).expect("a core that there is");
        sched_setaffinity(Pid::from_raw(0), &set).expect("one of its cores");
        assert_eq!(threads_of(nix::unistd::gettid().as_raw() as u32), 1);
        sched_setaffinity(Pid::from_raw(0), &before).expect("as before");
        assert!(threads_of(nix::unistd::gettid().as_raw() as u32) >= 1);
    }
}
