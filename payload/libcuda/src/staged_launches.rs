//! cuFuncSetBlockShape, cuFuncSetSharedSize, cuParamSet…, cuLaunch, cuLaunchGrid…

use std::ffi::c_void;

use crate::door::*;
use driver::{CuResult, module, staged_launch, texture_reference};

/// `CU_PARAM_TR_DEFAULT`, the only texture unit that there is.
const DEFAULT_TEXTURE_UNIT: i32 = -1;

exports! {
    fn cuFuncSetBlockShape(function: usize, x: i32, y: i32, z: i32) {
        staged_launch::set_block_shape(function, [x, y, z])
    }

    fn cuFuncSetSharedSize(function: usize, bytes: u32) {
        staged_launch::set_shared_size(function, bytes)
    }

    fn cuParamSetSize(function: usize, bytes: u32) {
        staged_launch::set_parameter_size(function, bytes)
    }

    fn cuParamSeti(function: usize, offset: i32, value: u32) {
        staged_launch::set_parameter(function, offset, &value.to_ne_bytes())
    }

    fn cuParamSetf(function: usize, offset: i32, value: f32) {
        staged_launch::set_parameter(function, offset, &value.to_ne_bytes())
    }

    fn cuParamSetv(function: usize, offset: i32, value: *mut c_void, bytes: u32) {
        if value.is_null() && bytes > 0 {
            return Err(CuResult::INVALID_VALUE);
        }
        staged_launch::set_parameter(function, offset, list(value.cast::<u8>(), bytes as usize))
    }

    fn cuParamSetTexRef(function: usize, unit: i32, reference: usize) {
        // A kernel finds its texture references by itself; what can be wrong is told.
        module::function(function)?;
        texture_reference::check(reference)?;
        if unit == DEFAULT_TEXTURE_UNIT { Ok(()) } else { Err(CuResult::INVALID_VALUE) }
    }

    fn cuLaunch(function: usize) {
        staged_launch::enqueue(0, function, [1, 1])
    }

    fn cuLaunchGrid(function: usize, width: i32, height: i32) {
        staged_launch::enqueue(0, function, [width, height])
    }

    fn cuLaunchGridAsync(function: usize, width: i32, height: i32, stream: *mut c_void) {
        staged_launch::enqueue(stream as usize, function, [width, height])
    }
}
