//! Advice on ranges of memory: kept and told, without effect. Client and engine share one copy of every page.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use crate::{CuResult, Cuda, context, lock, memory};

/// `CUmemLocation`
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// `CUmemLocationType`
    pub kind: u32,
    /// Device ordinal or NUMA node.
    pub id: i32,
}

call_trace::fields! { Location { kind, id } }

/// `CU_DEVICE_CPU`
const CPU: i32 = -1;
/// `CU_DEVICE_INVALID`
pub const NO_DEVICE: i32 = -2;
const KIND_NONE: u32 = 0;
const KIND_DEVICE: u32 = 1;
const KIND_HOST: u32 = 2;
/// `CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT`, the last one.
const KIND_LAST: u32 = 4;

impl Location {
    /// What the older interface means by a number.
    pub fn of_device(device: i32) -> Location {
        if device == CPU {
            Location { kind: KIND_HOST, id: 0 }
        } else {
            Location { kind: KIND_DEVICE, id: device }
        }
    }

    fn check(self) -> Cuda {
        match self.kind {
            KIND_DEVICE => crate::get()?.device(self.id).map(drop),
            KIND_HOST..=KIND_LAST => Ok(()),
            _ => Err(CuResult::INVALID_VALUE),
        }
    }

    fn device(self) -> i32 {
        match self.kind {
            KIND_DEVICE => self.id,
            KIND_NONE => NO_DEVICE,
            _ => CPU,
        }
    }
}

/// `CUmem_advise`
mod advice {
    pub const SET_READ_MOSTLY: u32 = 1;
    pub const UNSET_READ_MOSTLY: u32 = 2;
    pub const SET_PREFERRED_LOCATION: u32 = 3;
    pub const UNSET_PREFERRED_LOCATION: u32 = 4;
    pub const SET_ACCESSED_BY: u32 = 5;
    pub const UNSET_ACCESSED_BY: u32 = 6;
}

/// What was advised for an allocation.
#[derive(Clone)]
struct Advice {
    /// Number of the allocation that it was for: addresses come again.
    allocation: u64,
    read_mostly: bool,
    preferred: Location,
    accessed_by: BTreeSet<i32>,
    prefetched: Location,
}

const NOWHERE: Location = Location { kind: KIND_NONE, id: 0 };

static ADVICE: Mutex<BTreeMap<u64, Advice>> = Mutex::new(BTreeMap::new());

fn with<T>(address: u64, length: u64, action: impl FnOnce(&mut Advice) -> Cuda<T>) -> Cuda<T> {
    context::current()?;
    memory::check_seen(address, length)?;
    let (start, found) = memory::find(address).ok_or(CuResult::INVALID_VALUE)?;
    let none = || Advice {
        allocation: found.id,
        read_mostly: false,
        preferred: NOWHERE,
        accessed_by: BTreeSet::new(),
        prefetched: NOWHERE,
    };
    let mut all = lock(&ADVICE);
    let advice = all.entry(start).or_insert_with(none);
    if advice.allocation != found.id {
        *advice = none();
    }
    action(advice)
}

/// `cuMemAdvise`
pub fn advise(address: u64, length: u64, number: u32, location: Location) -> Cuda {
    use advice::*;
    with(address, length, |advice| {
        match number {
            SET_READ_MOSTLY => advice.read_mostly = true,
            UNSET_READ_MOSTLY => advice.read_mostly = false,
            UNSET_PREFERRED_LOCATION => advice.preferred = NOWHERE,
            SET_PREFERRED_LOCATION => {
                location.check()?;
                advice.preferred = location;
            }
            SET_ACCESSED_BY | UNSET_ACCESSED_BY => {
                location.check()?;
                let device = location.device();
                let set = number == SET_ACCESSED_BY;
                if set {
                    advice.accessed_by.insert(device)
                } else {
                    advice.accessed_by.remove(&device)
                };
            }
            _ => return Err(CuResult::INVALID_VALUE),
        }
        Ok(())
    })
}

/// `cuMemPrefetchAsync`
pub fn prefetch(address: u64, length: u64, location: Location) -> Cuda {
    location.check()?;
    with(address, length, |advice| {
        advice.prefetched = location;
        Ok(())
    })
}

/// `cuMemRangeGetAttribute`: one number, or for `ACCESSED_BY` as many as there are.
pub fn attribute(address: u64, length: u64, number: u32) -> Cuda<Vec<i32>> {
    with(address, length, |advice| {
        Ok(match number {
            1 => vec![advice.read_mostly.into()],
            2 => vec![advice.preferred.device()],
            3 => advice.accessed_by.iter().copied().collect(),
            4 => vec![advice.prefetched.device()],
            5 => vec![advice.preferred.kind as i32],
            6 => vec![advice.preferred.id],
            7 => vec![advice.prefetched.kind as i32],
            8 => vec![advice.prefetched.id],
            _ => return Err(CuResult::INVALID_VALUE),
        })
    })
}
