//! Kernel launches.

use std::ffi::c_void;
use std::sync::{Arc, OnceLock};

use wire::command;

use crate::device::attribute;
use crate::module::{self, Function};
use crate::operation::Operation;
use crate::stream::{self, Stream};
use crate::{CuResult, Cuda, context, device, gone, occupancy};

/// A launch with its parameters taken.
pub struct Launch {
    /// The kernel.
    pub function: Arc<Function>,
    /// Its handle.
    pub function_handle: usize,
    /// Blocks.
    pub grid: [u32; 3],
    /// Threads per block.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub shared: u32,
    /// All blocks at once.
    pub cooperative: bool,
    /// The parameter block.
    pub parameters: Box<[u8]>,
    /// Where each parameter lies in it, once somebody has asked.
    addresses: OnceLock<Box<[usize]>>,
}

impl Launch {
    /// Checks a launch against kernel and card, as the driver does before it launches.
    pub fn new(
        function_handle: usize,
        grid: [u32; 3],
        block: [u32; 3],
        shared: u32,
        parameters: Box<[u8]>,
        cooperative: bool,
    ) -> Cuda<Launch> {
        let function = module::function(function_handle)?;
        let card = device::description(function.device)?;
        let within = |sizes: [u32; 3], first: usize| {
            sizes
                .iter()
                .enumerate()
                .all(|(axis, size)| *size >= 1 && *size <= card.attributes[first + axis] as u32)
        };
        if !within(grid, attribute::MAX_GRID_DIM_X) || !within(block, attribute::MAX_BLOCK_DIM_X) {
            return Err(CuResult::INVALID_VALUE);
        }
        let threads = block.iter().map(|size| u64::from(*size)).product::<u64>();
        if threads > u64::from(function.attributes()?.max_threads.min(1024)) {
            return Err(CuResult::INVALID_VALUE);
        }
        if function.attributes()?.uses_heap != 0 {
            context::by_handle(function.context_handle)?.ensure_heap()?;
        }
        let limit = module::dynamic_shared_limit(&function)?;
        if shared > limit {
            return Err(module::too_much_shared(&function, shared, limit));
        }
        if cooperative {
            if card.attributes[attribute::COOPERATIVE_LAUNCH] == 0 {
                return Err(CuResult::NOT_SUPPORTED);
            }
            let a_multiprocessor = occupancy::max_active_blocks(&function, threads as i32, shared.into())?;
            let room = a_multiprocessor as u64 * card.attributes[attribute::MULTIPROCESSOR_COUNT] as u64;
            if grid.iter().map(|size| u64::from(*size)).product::<u64>() > room {
                return Err(CuResult::COOPERATIVE_LAUNCH_TOO_LARGE);
            }
        }
        Ok(Launch {
            function,
            function_handle,
            grid,
            block,
            shared,
            cooperative,
            parameters,
            addresses: OnceLock::new(),
        })
    }

    /// The parameters as an array of addresses, as `cuLaunchKernel` takes them; it lives as long as the launch.
    pub fn addresses(&self) -> *mut *mut c_void {
        let start = self.parameters.as_ptr() as usize;
        let address = |row: &wire::command::ParameterRow| start + row.offset as usize;
        self.addresses.get_or_init(|| self.function.parameters.iter().map(address).collect()).as_ptr()
            as *mut *mut c_void
    }

    pub(crate) fn submit(&self, stream: &Stream) -> Cuda {
        let order = command::Launch {
            module: self.function.module,
            function: self.function.index,
            parameter_length: self.parameters.len() as u32,
            grid: self.grid,
            block: self.block,
            dynamic_shared: self.shared,
            cooperative: self.cooperative.into(),
        };
        stream.engine.submit_with(stream.slot, &order, &self.parameters).map(drop).map_err(gone)
    }
}

/// Copies a kernel's parameters out of the caller's array of addresses.
///
/// # Safety
/// `addresses` must hold as many addresses as the kernel has parameters, each of as many readable bytes as that parameter.
pub unsafe fn gather(function: &Function, addresses: *const *mut c_void) -> Cuda<Box<[u8]>> {
    let mut block = vec![0u8; function.parameter_length as usize];
    if !function.parameters.is_empty() && addresses.is_null() {
        return Err(CuResult::INVALID_VALUE);
    }
    for (index, row) in function.parameters.iter().enumerate() {
        // SAFETY: the caller's promise.
        let source = unsafe { *addresses.add(index) } as *const u8;
        let target = block.get_mut(row.offset as usize..(row.offset + row.length) as usize);
        let (Some(target), false) = (target, source.is_null()) else { return Err(CuResult::INVALID_VALUE) };
        // SAFETY: the caller's promise; the target is a slice of that length.
        unsafe { std::ptr::copy_nonoverlapping(source, target.as_mut_ptr(), target.len()) };
    }
    Ok(block.into())
}

/// Copies a parameter block given whole (`CU_LAUNCH_PARAM_BUFFER_POINTER`).
///
/// # Safety
/// `extra` must be a list of (number, value) pairs ended by `CU_LAUNCH_PARAM_END`, as `cuLaunchKernel` asks for.
pub unsafe fn gather_extra(function: &Function, extra: *const *mut c_void) -> Cuda<Box<[u8]>> {
    const END: usize = 0;
    const POINTER: usize = 1;
    const SIZE: usize = 2;
    let (mut buffer, mut size) = (std::ptr::null::<u8>(), 0usize);
    let mut place = extra;
    loop {
        // SAFETY: the caller's promise: the list is ended.
        let key = unsafe { *place } as usize;
        match key {
            END => break,
            // SAFETY: a key is followed by its value; the size is given by address.
            POINTER => buffer = unsafe { *place.add(1) }.cast(),
            // SAFETY: as above.
            SIZE => size = unsafe { *(*place.add(1)).cast::<usize>() },
            _ => return Err(CuResult::INVALID_VALUE),
        }
        // SAFETY: pairs up to the end.
        place = unsafe { place.add(2) };
    }
    let mut block = vec![0u8; function.parameter_length as usize];
    if buffer.is_null() && !block.is_empty() {
        return Err(CuResult::INVALID_VALUE);
    }
    let length = size.min(block.len());
    if length > 0 {
        // SAFETY: the caller says that the buffer has that size.
        unsafe { std::ptr::copy_nonoverlapping(buffer, block.as_mut_ptr(), length) };
    }
    Ok(block.into())
}

/// `cuLaunchKernel`, `cuLaunchKernelEx`, `cuLaunchCooperativeKernel`
pub fn enqueue(stream: usize, launch: Launch) -> Cuda {
    stream::by_handle(stream)?.enqueue(Operation::Launch(Arc::new(launch)))
}
