//! User objects: things of the client's that graphs keep alive.

use std::ffi::c_void;
use std::sync::{Arc, Mutex};

use crate::handle::Handles;
use crate::operation::HostFunction;
use crate::{CuResult, Cuda, get, host_function, lock};

/// A thing with a count of references and a destructor.
pub struct UserObject {
    destroy: HostFunction,
    count: Mutex<u64>,
}

static OBJECTS: Handles<UserObject> = Handles::new();

/// `cuUserObjectCreate`
pub fn create(data: *mut c_void, destroy: unsafe extern "C" fn(*mut c_void), count: u32) -> Cuda<usize> {
    get()?;
    if count == 0 {
        return Err(CuResult::INVALID_VALUE);
    }
    let destroy = HostFunction { function: destroy, data };
    Ok(OBJECTS.insert(Arc::new(UserObject { destroy, count: Mutex::new(count.into()) })))
}

/// `cuUserObjectRetain`
pub fn retain(handle: usize, count: u32) -> Cuda {
    if count == 0 {
        return Err(CuResult::INVALID_VALUE);
    }
    *lock(&OBJECTS.get(handle)?.count) += u64::from(count);
    Ok(())
}

/// `cuUserObjectRelease`: the destructor runs behind the last reference, in a thread of the driver's.
pub fn release(handle: usize, count: u32) -> Cuda {
    let object = OBJECTS.get(handle)?;
    let mut left = lock(&object.count);
    *left = left.checked_sub(u64::from(count)).ok_or(CuResult::INVALID_VALUE)?;
    if *left == 0 {
        OBJECTS.remove(handle)?;
        host_function::run_soon(object.destroy)?;
    }
    Ok(())
}

/// One reference that a graph holds.
pub struct Reference(usize);

impl Reference {
    /// A reference of its own.
    pub fn retain(handle: usize) -> Cuda<Reference> {
        retain(handle, 1)?;
        Ok(Reference(handle))
    }

    /// Takes one that the caller has.
    pub fn take_over(handle: usize) -> Cuda<Reference> {
        OBJECTS.get(handle)?;
        Ok(Reference(handle))
    }

    /// The object's handle.
    pub fn handle(&self) -> usize {
        self.0
    }
}

impl Clone for Reference {
    fn clone(&self) -> Reference {
        // It holds a reference, so the object lives and there is one to add to.
        let _ = retain(self.0, 1);
        Reference(self.0)
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = release(self.0, 1);
    }
}
