//! What this machine can give.

use std::fs;

/// This machine, as far as it limits the cards that we announce.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// Bytes of memory that we may use: the machine's, or less by our cgroup.
    pub usable_memory: u64,
    /// Cores that we may use.
    pub cores: u32,
}

impl Host {
    /// Looks at the machine.
    pub fn probe() -> Host {
        let machine =
            procfs::read_to_string("meminfo").ok().and_then(|text| total(&text)).unwrap_or_else(installed);
        let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
        Host { usable_memory: machine.min(cgroup_limit().unwrap_or(u64::MAX)), cores }
    }
}

fn total(meminfo: &str) -> Option<u64> {
    let value = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

/// What the kernel says of all memory where there is no /proc.
fn installed() -> u64 {
    nix::sys::sysinfo::sysinfo().map_or(4 << 30, |machine| machine.ram_total())
}

/// `memory.max` of our cgroup, version 2.
fn cgroup_limit() -> Option<u64> {
    let membership = procfs::read_to_string("self/cgroup").ok()?;
    let path = membership.lines().find_map(|line| line.strip_prefix("0::"))?;
    fs::read_to_string(format!("/sys/fs/cgroup{path}/memory.max")).ok()?.trim().parse().ok()
}
