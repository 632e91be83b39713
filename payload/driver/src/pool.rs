//! Memory pools: each device has its default pool, and more can be made. All take from the device's memory as it is; a pool's
//! attributes are kept and told, and its usage figures count what came from it.

use std::collections::HashMap;
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
static DEFAULTS: Mutex<Option<HashMap<i32, usize>>> = Mutex::new(None);

/// `CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES` … `CU_MEMPOOL_ATTR_USED_MEM_HIGH`, and their first values.
const ATTRIBUTES: [(u32, u64); 8] = [(1, 1), (2, 1), (3, 1), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0)];

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

    /// `cuMemPoolSetAttribute`
    pub fn set(&self, number: u32, value: u64) -> Cuda {
        *lock(&self.attributes).get_mut(&number).ok_or(CuResult::INVALID_VALUE)? = value;
        Ok(())
    }
}
