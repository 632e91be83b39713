//! Handles: what C holds as an opaque pointer.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, RwLock};

use crate::{CuResult, Cuda};

/// Live objects of one kind by their handle, which is the object's address: unique while it lives, and unguessed by accident.
pub struct Handles<T> {
    live: RwLock<HashMap<usize, Arc<T>, BuildHasherDefault<AddressHasher>>>,
}

impl<T> Handles<T> {
    /// An empty table.
    pub const fn new() -> Handles<T> {
        Handles { live: RwLock::new(HashMap::with_hasher(BuildHasherDefault::new())) }
    }

    /// Enters an object; answers its handle.
    pub fn insert(&self, object: Arc<T>) -> usize {
        let handle = Arc::as_ptr(&object) as *const () as usize;
        self.live.write().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(handle, object);
        handle
    }

    /// The object of a handle.
    pub fn get(&self, handle: usize) -> Cuda<Arc<T>> {
        let live = self.live.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        live.get(&handle).cloned().ok_or(CuResult::INVALID_HANDLE)
    }

    /// Takes an object out: its handle is stale from now on.
    pub fn remove(&self, handle: usize) -> Cuda<Arc<T>> {
        let mut live = self.live.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        live.remove(&handle).ok_or(CuResult::INVALID_HANDLE)
    }

    /// Every live object.
    pub fn all(&self) -> Vec<Arc<T>> {
        self.live.read().unwrap_or_else(|poisoned| poisoned.into_inner()).values().cloned().collect()
    }

    /// Takes out all that `which` says.
    pub fn remove_if(&self, which: impl Fn(&T) -> bool) -> Vec<Arc<T>> {
        let mut live = self.live.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        let handles: Vec<usize> =
            live.iter().filter(|(_, object)| which(object)).map(|(handle, _)| *handle).collect();
        handles.iter().filter_map(|handle| live.remove(handle)).collect()
    }

    /// The handle of a live object.
    pub fn of(object: &Arc<T>) -> usize {
        Arc::as_ptr(object) as *const () as usize
    }
}

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Handles::new()
    }
}

/// Addresses differ in their middle bits; one multiplication spreads them, and a launch needs two look-ups.
#[derive(Default)]
pub struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_usize(usize::from(*byte));
        }
    }

    fn write_usize(&mut self, value: usize) {
        self.0 = (self.0 ^ value as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_and_foreign_handles_are_errors() {
        let handles = Handles::new();
        let handle = handles.insert(Arc::new(7));
        assert_eq!(*handles.get(handle).expect("live"), 7);
        handles.remove(handle).expect("live");
        assert_eq!(handles.get(handle).err(), Some(CuResult::INVALID_HANDLE));
        assert_eq!(handles.remove(0x1234).err(), Some(CuResult::INVALID_HANDLE));
    }
}
