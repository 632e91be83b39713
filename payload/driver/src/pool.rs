//! Memory pools: each device has its default pool, and more can be made. All take from the device's memory as it is and keep
//! nothing back: what is in use is what is reserved.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use crate::handle::Handles;
use crate::{CuResult, Cuda, get, lock};

/// A pool.
pub struct Pool {
    /// Device ordinal.
    pub device: i32,
    attributes: Mutex<HashMap<u32, u64>>,
}

static POOLS: Handles<Pool> = Handles::new();
static CURRENT: Mutex<BTreeMap<i32, usize>> = Mutex::new(BTreeMap::new());
static DEFAULTS: Mutex<Option<HashMap<i32, usize>>> = Mutex::new(None);

/// `CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES` … `CU_MEMPOOL_ATTR_USED_MEM_HIGH`, and their first values.
const ATTRIBUTES: [(u32, u64); 8] =
    [(1, 1), (2, 1), (3, 1), (4, 0), (RESERVED, 0), (RESERVED + 1, 0), (USED, 0), (USED + 1, 0)];
/// `CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT` and `CU_MEMPOOL_ATTR_USED_MEM_CURRENT`; the highest value so far follows each.
const RESERVED: u32 = 5;
const USED: u32 = 7;

/// `cuMemPoolCreate`
pub fn create(device: i32) -> Cuda<usize> {
    get()?.device(device)?;
    Ok(POOLS.insert(Arc::new(Pool { device, attributes: Mutex::new(ATTRIBUTES.into()) })))
}

/// `cuDeviceGetDefaultMemPool`
pub fn default_of(device: i32) -> Cuda<usize> {
    get()?.device(device)?;
    let mut defaults = lock(&DEFAULTS);
    let defaults = defaults.get_or_insert_with(HashMap::new);
    if let Some(handle) = defaults.get(&device) {
        return Ok(*handle);
    }
    let handle = create(device)?;
    defaults.insert(device, handle);
    Ok(handle)
}

/// `cuDeviceGetMemPool`: where `cuMemAllocAsync` takes from.
pub fn current_of(device: i32) -> Cuda<usize> {
    match lock(&CURRENT).get(&device) {
        Some(handle) if POOLS.get(*handle).is_ok() => Ok(*handle),
        _ => default_of(device),
    }
}

/// `cuDeviceSetMemPool`
pub fn set_current(device: i32, handle: usize) -> Cuda {
    if by_handle(handle)?.device != device {
        return Err(CuResult::INVALID_VALUE);
    }
    lock(&CURRENT).insert(device, handle);
    Ok(())
}

/// `cuMemPoolDestroy`
pub fn destroy(handle: usize) -> Cuda {
    if lock(&DEFAULTS).as_ref().is_some_and(|defaults| defaults.values().any(|default| *default == handle)) {
        return Err(CuResult::INVALID_VALUE);
    }
    POOLS.remove(handle).map(drop)
}

/// The pool of a handle.
pub fn by_handle(handle: usize) -> Cuda<Arc<Pool>> {
    get()?;
    POOLS.get(handle)
}

impl Pool {
    /// `cuMemPoolGetAttribute`; attributes 1 to 3 are ints, the others 64-bit.
    pub fn get(&self, number: u32) -> Cuda<u64> {
        lock(&self.attributes).get(&number).copied().ok_or(CuResult::INVALID_VALUE)
    }

    /// `cuMemPoolSetAttribute`: of the usage figures, the highest values can be set back to what is.
    pub fn set(&self, number: u32, value: u64) -> Cuda {
        let mut attributes = lock(&self.attributes);
        let value = match number {
            RESERVED | USED => return Err(CuResult::INVALID_VALUE),
            _ if number > RESERVED && value != 0 => return Err(CuResult::INVALID_VALUE),
            _ if number > RESERVED => attributes.get(&(number - 1)).copied().unwrap_or_default(),
            _ => value,
        };
        *attributes.get_mut(&number).ok_or(CuResult::INVALID_VALUE)? = value;
        Ok(())
    }

    /// So many bytes more or less are in use.
    pub(crate) fn count(&self, change: i64) {
        let mut attributes = lock(&self.attributes);
        for current in [RESERVED, USED] {
            let now = attributes.get(&current).copied().unwrap_or_default().saturating_add_signed(change);
            attributes.insert(current, now);
            let highest = attributes.entry(current + 1).or_default();
            *highest = now.max(*highest);
        }
    }
}
