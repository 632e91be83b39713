//! What of this machine the client may use.

use std::fs;

/// Threads for kernels: the cores that the client's affinity and its cgroup's quota leave it, at least one.
pub fn threads_of(client: u32) -> usize {
    let cores =
        affinity_of(client).unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get()));
    cores.min(cgroup_quota(client).unwrap_or(cores)).max(1)
}

fn affinity_of(client: u32) -> Option<usize> {
    let pid = nix::unistd::Pid::from_raw(client as i32);
    let set = nix::sched::sched_getaffinity(pid).ok()?;
    // The engine runs where its client may.
    let _ = nix::sched::sched_setaffinity(nix::unistd::Pid::from_raw(0), &set);
    Some((0..nix::sched::CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false)).count())
}

/// `cpu.max` of the client's cgroup (version 2), rounded up to whole cores.
fn cgroup_quota(client: u32) -> Option<usize> {
    let membership = fs::read_to_string(format!("/proc/{client}/cgroup")).ok()?;
    let path = membership.lines().find_map(|line| line.strip_prefix("0::"))?;
    let limit = fs::read_to_string(format!("/sys/fs/cgroup{path}/cpu.max")).ok()?;
    cores_of_quota(&limit)
}

fn cores_of_quota(limit: &str) -> Option<usize> {
    let (quota, period) = limit.trim().split_once(' ')?;
    let (quota, period): (usize, usize) = (quota.parse().ok()?, period.parse().ok()?);
    Some(quota.div_ceil(period.max(1)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quota_rounds_up_and_max_means_none() {
        assert_eq!(cores_of_quota("150000 100000\n"), Some(2));
        assert_eq!(cores_of_quota("20000 100000\n"), Some(1));
        assert_eq!(cores_of_quota("max 100000\n"), None);
    }

    #[test]
    fn this_process_may_use_a_core() {
        assert!(threads_of(std::process::id()) >= 1);
    }
}
