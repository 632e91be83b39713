//! Launches as CUDA had them before 4.0: block, shared memory and parameters are set on the function, one call each, and then it is
//! launched.

use std::sync::Arc;

use crate::launch::{self, Launch};
use crate::module::{self, Function};
use crate::{CuResult, Cuda, lock};

/// What has been set on a function. A function on which nothing has been set has blocks of no threads, and can't be launched so.
#[derive(Default)]
pub struct Staged {
    block: [u32; 3],
    shared: u32,
    parameters: Vec<u8>,
}

fn change(handle: usize, change: impl FnOnce(&Function, &mut Staged) -> Cuda) -> Cuda {
    let function: Arc<Function> = module::function(handle)?;
    change(&function, &mut lock(&function.staged))
}

/// `cuFuncSetBlockShape`
pub fn set_block_shape(handle: usize, block: [i32; 3]) -> Cuda {
    let block = block.map(|size| u32::try_from(size).unwrap_or(0));
    if block.contains(&0) {
        return Err(CuResult::INVALID_VALUE);
    }
    change(handle, |_, staged| {
        staged.block = block;
        Ok(())
    })
}

/// `cuFuncSetSharedSize`
pub fn set_shared_size(handle: usize, bytes: u32) -> Cuda {
    change(handle, |_, staged| {
        staged.shared = bytes;
        Ok(())
    })
}

/// `cuParamSetSize`: no more than the kernel has.
pub fn set_parameter_size(handle: usize, bytes: u32) -> Cuda {
    change(handle, |function, staged| {
        if bytes > function.parameter_length {
            return Err(CuResult::INVALID_VALUE);
        }
        staged.parameters.resize(bytes as usize, 0);
        Ok(())
    })
}

/// `cuParamSeti`, `cuParamSetf`, `cuParamSetv`
pub fn set_parameter(handle: usize, offset: i32, value: &[u8]) -> Cuda {
    change(handle, |function, staged| {
        let start = usize::try_from(offset).map_err(|_| CuResult::INVALID_VALUE)?;
        let end = start.checked_add(value.len()).ok_or(CuResult::INVALID_VALUE)?;
        if end > function.parameter_length as usize {
            return Err(CuResult::INVALID_VALUE);
        }
        // The size may be set after the values.
        if staged.parameters.len() < end {
            staged.parameters.resize(end, 0);
        }
        staged.parameters[start..end].copy_from_slice(value);
        Ok(())
    })
}

/// `cuLaunch`, `cuLaunchGrid`, `cuLaunchGridAsync`
pub fn enqueue(stream: usize, handle: usize, grid: [i32; 2]) -> Cuda {
    let function = module::function(handle)?;
    // A negative size is one that no card has.
    let grid = [grid[0] as u32, grid[1] as u32, 1];
    let (block, shared, mut parameters) = {
        let staged = lock(&function.staged);
        (staged.block, staged.shared, staged.parameters.clone())
    };
    parameters.resize(function.parameter_length as usize, 0);
    launch::enqueue(stream, Launch::new(handle, grid, block, shared, parameters.into(), false)?)
}
