//! Who uses a device.

use crate::door::*;
use crate::session;
use wire::control::{ListProcesses, ProcessEntry};

/// `nvmlProcessInfo_v1_t`
#[repr(C)]
pub struct Process1 {
    pid: u32,
    used: u64,
}

call_trace::fields! { Process1 { pid, used } }

/// `nvmlProcessInfo_v2_t`, and `nvmlProcessInfo_t` of version 3
#[repr(C)]
pub struct Process2 {
    pid: u32,
    used: u64,
    gpu_instance: u32,
    compute_instance: u32,
}

call_trace::fields! { Process2 { pid, used, gpu_instance, compute_instance } }

/// Longest list: more processes than a machine can run engines.
const MOST: usize = 4096;

/// Who has a context on a card.
pub fn holders(handle: usize) -> Nvml<Vec<ProcessEntry>> {
    session::with(|session| {
        let (index, _) = session.device(handle)?;
        session.list(&ListProcesses { index, reserved: 0 }, MOST)
    })
}

/// Fills a caller's list, or says how long it has to be.
unsafe fn fill<T>(handle: usize, count: *mut u32, list: *mut T, make: impl Fn(&ProcessEntry) -> T) -> Nvml {
    let entries = holders(handle)?;
    // SAFETY: the caller's place.
    let count = unsafe { out(count) }?;
    let room = std::mem::replace(count, entries.len() as u32) as usize;
    if entries.len() > room || list.is_null() && !entries.is_empty() {
        return Err(Error::INSUFFICIENT_SIZE);
    }
    for (index, entry) in entries.iter().enumerate() {
        // SAFETY: the caller's list has room for that many, by its own word.
        unsafe { list.add(index).write(make(entry)) };
    }
    Ok(())
}

impl From<&ProcessEntry> for Process2 {
    fn from(entry: &ProcessEntry) -> Self {
        Self { pid: entry.pid, used: entry.bytes, gpu_instance: u32::MAX, compute_instance: u32::MAX }
    }
}

unsafe fn none(handle: usize, count: *mut u32) -> Nvml {
    session::check(handle)?;
    // SAFETY: the caller's place.
    *unsafe { out(count) }? = 0;
    Ok(())
}

exports! {
    fn nvmlDeviceGetComputeRunningProcesses(handle: usize, count: *mut u32, list: *mut Process1) {
        fill(handle, count, list, |entry| Process1 { pid: entry.pid, used: entry.bytes })
    }

    fn nvmlDeviceGetComputeRunningProcesses_v2(handle: usize, count: *mut u32, list: *mut Process2) {
        fill(handle, count, list, |entry| entry.into())
    }

    fn nvmlDeviceGetComputeRunningProcesses_v3(handle: usize, count: *mut u32, list: *mut Process2) {
        fill(handle, count, list, |entry| entry.into())
    }

    fn nvmlDeviceGetGraphicsRunningProcesses(handle: usize, count: *mut u32, _list: *mut Process1) {
        none(handle, count)
    }

    fn nvmlDeviceGetGraphicsRunningProcesses_v2(handle: usize, count: *mut u32, _list: *mut Process2) {
        none(handle, count)
    }

    fn nvmlDeviceGetGraphicsRunningProcesses_v3(handle: usize, count: *mut u32, _list: *mut Process2) {
        none(handle, count)
    }

    fn nvmlDeviceGetMPSComputeRunningProcesses(handle: usize, count: *mut u32, _list: *mut Process1) {
        none(handle, count)
    }

    fn nvmlDeviceGetMPSComputeRunningProcesses_v2(handle: usize, count: *mut u32, _list: *mut Process2) {
        none(handle, count)
    }

    fn nvmlDeviceGetMPSComputeRunningProcesses_v3(handle: usize, count: *mut u32, _list: *mut Process2) {
        none(handle, count)
    }
}
