//! The memory behind grants, and whether the machine can back another one.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::ftruncate;

/// Makes anonymous memory of exactly `length` bytes whose size nobody can change.
pub fn create(name: &std::ffi::CStr, length: u64) -> Result<OwnedFd, Errno> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    // MFD_NOEXEC_SEAL (Linux 6.3): the kernel else warns about memory that could be executed.
    let noexec = MFdFlags::from_bits_retain(0x0008);
    let memory = match memfd_create(name, flags | noexec) {
        Err(Errno::EINVAL) => memfd_create(name, flags)?,
        result => result?,
    };
    ftruncate(&memory, length as i64)?;
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(&memory, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(memory)
}

/// Gives the pages back now, also where a forked child still has the memory mapped.
pub fn punch(memory: &impl AsFd, length: u64) {
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    if let Err(error) = fallocate(memory, flags, 0, length as i64) {
        tracing::warn!("can't give {length} bytes of device memory back: {error}");
    }
}

/// Bytes that the machine and our cgroup can still back.
pub fn available() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| field(&text, "MemAvailable:"));
    machine.unwrap_or(u64::MAX).min(cgroup_room().unwrap_or(u64::MAX))
}

fn field(meminfo: &str, name: &str) -> Option<u64> {
    let value = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

/// What `memory.max` of our cgroup (version 2) leaves.
fn cgroup_room() -> Option<u64> {
    let membership = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = membership.lines().find_map(|line| line.strip_prefix("0::"))?;
    let read = |file: &str| {
        fs::read_to_string(format!("/sys/fs/cgroup{path}/{file}")).ok()?.trim().parse::<u64>().ok()
    };
    Some(read("memory.max")?.saturating_sub(read("memory.current")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_its_size_and_keeps_it() {
        let memory = create(c"vgpu-test", 8192).expect("memfd");
        assert_eq!(nix::sys::stat::fstat(&memory).expect("stat").st_size, 8192);
        assert_eq!(ftruncate(&memory, 4096), Err(Errno::EPERM));
        assert_eq!(ftruncate(&memory, 16384), Err(Errno::EPERM));
        punch(&memory, 8192);
    }

    #[test]
    fn meminfo_is_read_in_kibibytes() {
        assert_eq!(field("MemTotal: 5 kB\nMemAvailable:    12 kB\n", "MemAvailable:"), Some(12 << 10));
        assert!(available() > 0);
    }
}
