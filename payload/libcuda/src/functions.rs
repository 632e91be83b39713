//! cuFunc…, cuOccupancy…

use std::ffi::c_char;

use crate::door::*;
use driver::{CuResult, module, occupancy};

/// `CUoccupancyB2DSize`
type SharedOfBlock = unsafe extern "C" fn(block: i32) -> usize;

exports! {
    fn cuFuncGetAttribute(value: *mut i32, attribute: i32, handle: usize) {
        *out(value)? = module::get_function_attribute(&*module::function(handle)?, attribute)?;
        Ok(())
    }

    fn cuFuncSetAttribute(handle: usize, attribute: i32, value: i32) {
        module::set_function_attribute(&*module::function(handle)?, attribute, value)
    }

    fn cuFuncSetCacheConfig(handle: usize, _config: u32) {
        module::function(handle).map(drop)
    }

    fn cuFuncSetSharedMemConfig(handle: usize, _config: u32) {
        module::function(handle).map(drop)
    }

    fn cuFuncGetModule(owner: *mut usize, handle: usize) {
        *out(owner)? = module::function(handle)?.module_handle.get().copied().unwrap_or(0);
        Ok(())
    }

    fn cuFuncGetName(name: *mut *const c_char, handle: usize) {
        *out(name)? = module::function(handle)?.name.as_ptr().cast();
        Ok(())
    }

    fn cuFuncGetParamInfo(handle: usize, index: usize, offset: *mut usize, size: *mut usize) {
        let function = module::function(handle)?;
        let row = function.parameters.get(index).ok_or(CuResult::INVALID_VALUE)?;
        *out(offset)? = row.offset as usize;
        maybe(size, row.length as usize);
        Ok(())
    }

    fn cuFuncIsLoaded(state: *mut u32, handle: usize) {
        module::function(handle)?;
        *out(state)? = 1;
        Ok(())
    }

    fn cuFuncLoad(handle: usize) {
        module::function(handle)?.attributes().map(drop)
    }

    fn cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks: *mut i32, handle: usize, block_size: i32, shared: usize) {
        *out(blocks)? = occupancy::max_active_blocks(&*module::function(handle)?, block_size, shared as u64)?;
        Ok(())
    }

    fn cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        blocks: *mut i32,
        handle: usize,
        block_size: i32,
        shared: usize,
        _flags: u32,
    ) {
        *out(blocks)? = occupancy::max_active_blocks(&*module::function(handle)?, block_size, shared as u64)?;
        Ok(())
    }

    fn cuOccupancyMaxPotentialBlockSize(
        grid: *mut i32,
        block: *mut i32,
        handle: usize,
        shared_of_block: Option<SharedOfBlock>,
        shared: usize,
        limit: i32,
    ) {
        let function = module::function(handle)?;
        let shared = |block: i32| shared_of_block.map_or(shared, |function| function(block)) as u64;
        (*out(grid)?, *out(block)?) = occupancy::max_potential_block_size(&function, shared, limit)?;
        Ok(())
    }

    fn cuOccupancyMaxPotentialBlockSizeWithFlags(
        grid: *mut i32,
        block: *mut i32,
        handle: usize,
        shared_of_block: Option<SharedOfBlock>,
        shared: usize,
        limit: i32,
        _flags: u32,
    ) {
        let function = module::function(handle)?;
        let shared = |block: i32| shared_of_block.map_or(shared, |function| function(block)) as u64;
        (*out(grid)?, *out(block)?) = occupancy::max_potential_block_size(&function, shared, limit)?;
        Ok(())
    }

    fn cuOccupancyAvailableDynamicSMemPerBlock(bytes: *mut usize, handle: usize, blocks: i32, block_size: i32) {
        *out(bytes)? = occupancy::available_dynamic_shared(&*module::function(handle)?, blocks, block_size)? as usize;
        Ok(())
    }
}
