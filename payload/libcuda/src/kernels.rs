//! cuLaunch…

use std::ffi::c_void;

use api::structs::LaunchConfig;

use crate::door::*;
use driver::launch::{self, Launch};
use driver::{CuResult, Cuda, module};

/// What a launch is described by in every interface that has one.
pub struct Order {
    pub function: usize,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub shared: u32,
    pub parameters: *const *mut c_void,
    pub extra: *const *mut c_void,
    pub cooperative: bool,
}

/// Takes a launch's parameters and checks it.
///
/// # Safety
/// `parameters` or `extra` as `cuLaunchKernel` asks for.
pub unsafe fn prepare(order: &Order) -> Cuda<Launch> {
    let function = module::function(order.function)?;
    // SAFETY: the caller's promise.
    let parameters = unsafe {
        match (order.parameters.is_null(), order.extra.is_null()) {
            (false, false) => return Err(CuResult::INVALID_VALUE),
            (true, false) => launch::gather_extra(&function, order.extra)?,
            _ => launch::gather(&function, order.parameters)?,
        }
    };
    Launch::new(order.function, order.grid, order.block, order.shared, parameters, order.cooperative)
}

/// `CU_LAUNCH_ATTRIBUTE_COOPERATIVE`
pub const ATTRIBUTE_COOPERATIVE: u32 = 2;
/// `CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION`
pub const ATTRIBUTE_CLUSTER: u32 = 4;

exports! {
    fn cuLaunchKernel |cuLaunchKernel_ptsz with stream (
        function: usize,
        grid_x: u32,
        grid_y: u32,
        grid_z: u32,
        block_x: u32,
        block_y: u32,
        block_z: u32,
        shared: u32,
        stream: *mut c_void,
        parameters: *mut *mut c_void,
        extra: *mut *mut c_void,
    ) {
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        let order = Order { function, grid, block, shared, parameters, extra, cooperative: false };
        launch::enqueue(stream as usize, prepare(&order)?)
    }

    fn cuLaunchCooperativeKernel |cuLaunchCooperativeKernel_ptsz with stream (
        function: usize,
        grid_x: u32,
        grid_y: u32,
        grid_z: u32,
        block_x: u32,
        block_y: u32,
        block_z: u32,
        shared: u32,
        stream: *mut c_void,
        parameters: *mut *mut c_void,
    ) {
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        let order = Order { function, grid, block, shared, parameters, extra: std::ptr::null(), cooperative: true };
        launch::enqueue(stream as usize, prepare(&order)?)
    }

    fn cuLaunchKernelEx(config: *const LaunchConfig, function: usize, parameters: *mut *mut c_void, extra: *mut *mut c_void) {
        launch_extended(input(config)?, function, parameters, extra, false)
    }

    fn cuLaunchKernelEx_ptsz(config: *const LaunchConfig, function: usize, parameters: *mut *mut c_void, extra: *mut *mut c_void) {
        launch_extended(input(config)?, function, parameters, extra, true)
    }
}

/// # Safety
/// As `cuLaunchKernelEx`.
unsafe fn launch_extended(
    config: &LaunchConfig,
    function: usize,
    parameters: *mut *mut c_void,
    extra: *mut *mut c_void,
    per_thread: bool,
) -> Cuda {
    let mut cooperative = false;
    // SAFETY: the caller passes as many attributes as it says.
    for attribute in unsafe { list(config.attributes, config.attribute_count as usize) } {
        let first = u32::from_ne_bytes([
            attribute.value[0],
            attribute.value[1],
            attribute.value[2],
            attribute.value[3],
        ]);
        match attribute.id {
            ATTRIBUTE_COOPERATIVE => cooperative = first != 0,
            ATTRIBUTE_CLUSTER if attribute.value[..12].chunks(4).any(|size| size[0] > 1) => {
                driver::note::unsupported("cuLaunchKernelEx with thread-block clusters");
                return Err(CuResult::NOT_SUPPORTED);
            }
            // The others tune caches, priorities and overlap: without effect here.
            _ => {}
        }
    }
    let stream = if per_thread { driver::stream::per_thread(config.stream) } else { config.stream };
    let LaunchConfig { grid, block, shared, .. } = *config;
    let order = Order { function, grid, block, shared, parameters, extra, cooperative };
    // SAFETY: the caller's promise.
    launch::enqueue(stream, unsafe { prepare(&order) }?)
}
