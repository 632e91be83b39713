//! What cards and processes did lately. The broker keeps no past but the last sample period, so that each list has one sample: the
//! newest.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::door::*;
use crate::now::Now;
use crate::processes::{Process2, holders};
use crate::session;
use wire::control::ProcessEntry;

/// `nvmlSample_t`; the value is a union.
#[repr(C)]
pub struct Sample {
    time: u64,
    value: u64,
}

call_trace::fields! { Sample { time, value } }

/// `nvmlProcessUtilizationSample_t`
#[repr(C)]
pub struct ProcessSample {
    pid: u32,
    time: u64,
    sm: u32,
    memory: u32,
    encoder: u32,
    decoder: u32,
}

call_trace::fields! { ProcessSample { pid, time, sm, memory } }

/// `nvmlProcessUtilizationInfo_v1_t`
#[repr(C)]
pub struct ProcessLoad {
    time: u64,
    pid: u32,
    sm: u32,
    memory: u32,
    others: [u32; 4],
}

/// `nvmlProcessesUtilizationInfo_v1_t`
#[repr(C)]
pub struct ProcessLoads {
    version: u32,
    count: u32,
    since: u64,
    list: *mut ProcessLoad,
}

call_trace::fields! { ProcessLoads { count, since } }

/// `nvmlProcessDetail_v1_t`
#[repr(C)]
pub struct ProcessDetail {
    process: Process2,
    protected: u64,
}

/// `nvmlProcessDetailList_v1_t`
#[repr(C)]
pub struct ProcessDetails {
    version: u32,
    mode: u32,
    count: u32,
    list: *mut ProcessDetail,
}

call_trace::fields! { ProcessDetails { mode, count } }

/// Entries that lists of processes' load have to have room for, however few there are: more than 64 (recorded).
const ROOM: u32 = 100;

/// us since 1970.
fn time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}

/// Per cent in which memory was copied: half of what the kernels took, as for the whole card.
fn copying(entry: &ProcessEntry) -> u32 {
    entry.utilisation / 2
}

/// Fills a list with what there is of the processes of a card. `count`: its room, then how many there are.
unsafe fn fill<T>(handle: usize, count: &mut u32, list: *mut T, of: impl Fn(&ProcessEntry) -> T) -> Nvml {
    let entries = holders(handle)?;
    if std::mem::replace(count, ROOM) < ROOM || list.is_null() {
        return Err(Error::INSUFFICIENT_SIZE);
    }
    if entries.is_empty() {
        return Err(Error::NOT_FOUND);
    }
    let shown = entries.len().min(ROOM as usize);
    for (place, entry) in entries[..shown].iter().enumerate() {
        // SAFETY: the caller's list has room for that many, by its own word.
        unsafe { list.add(place).write(of(entry)) };
    }
    *count = shown as u32;
    Ok(())
}

/// The newest sample of a kind, `nvmlSamplingType_t`; `None`: nobody keeps it.
fn sample(now: &Now, kind: u32) -> Option<u32> {
    match kind {
        0 => Some(now.power()),
        1 => Some(now.usage.utilisation),
        2 => Some(now.usage.memory_utilisation),
        // Encoder and decoder.
        3 | 4 => Some(0),
        5 => Some(now.clocks()[1]),
        6 => Some(now.clocks()[2]),
        _ => None,
    }
}

exports! {
    fn nvmlDeviceGetSamples(handle: usize, kind: u32, since: u64, value_kind: *mut u32, count: *mut u32, list: *mut Sample) {
        /// `NVML_VALUE_TYPE_UNSIGNED_INT`
        const UNSIGNED_INT: u32 = 1;
        let value = session::with(|session| sample(&session.now(handle)?, kind).ok_or(Error::NOT_SUPPORTED))?;
        let time = time();
        if time <= since {
            return Err(Error::NOT_FOUND);
        }
        *out(value_kind)? = UNSIGNED_INT;
        let room = std::mem::replace(out(count)?, 1);
        if list.is_null() {
            return Ok(());
        }
        if room == 0 {
            return Err(Error::INSUFFICIENT_SIZE);
        }
        list.write(Sample { time, value: value.into() });
        Ok(())
    }

    fn nvmlDeviceGetProcessUtilization(handle: usize, list: *mut ProcessSample, count: *mut u32, _since: u64) {
        let time = time();
        fill(handle, out(count)?, list, |entry| {
            ProcessSample { pid: entry.pid, time, sm: entry.utilisation, memory: copying(entry), encoder: 0, decoder: 0 }
        })
    }

    fn nvmlDeviceGetProcessesUtilizationInfo(handle: usize, target: *mut ProcessLoads) {
        versioned(target.cast(), 0x0100_0018)?;
        let (target, time) = (out(target)?, time());
        let list = target.list;
        fill(handle, &mut target.count, list, |entry| {
            ProcessLoad { time, pid: entry.pid, sm: entry.utilisation, memory: copying(entry), others: [0; 4] }
        })
    }

    fn nvmlDeviceGetRunningProcessDetailList(handle: usize, target: *mut ProcessDetails) {
        /// `NVML_PROCESS_MODE_COMPUTE`: nobody draws, and there is no MPS.
        const COMPUTE: u32 = 0;
        versioned(target.cast(), 0x0100_0018)?;
        let target = out(target)?;
        let entries = if target.mode == COMPUTE { holders(handle)? } else { Vec::new() };
        let room = std::mem::replace(&mut target.count, entries.len() as u32) as usize;
        if entries.len() > room || target.list.is_null() && !entries.is_empty() {
            return Err(Error::INSUFFICIENT_SIZE);
        }
        for (place, entry) in entries.iter().enumerate() {
            target.list.add(place).write(ProcessDetail { process: entry.into(), protected: 0 });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_sizes_of_the_c_interface() {
        assert_eq!((size_of::<Sample>(), size_of::<ProcessSample>()), (16, 32));
        assert_eq!((size_of::<ProcessLoad>(), size_of::<ProcessLoads>()), (40, 24));
        assert_eq!((size_of::<ProcessDetail>(), size_of::<ProcessDetails>()), (32, 24));
    }
}
