//! The driver, found as every CUDA program finds it.

use std::ffi::{CStr, c_char, c_void};
use std::sync::{Mutex, OnceLock};

use api::private::{TABLE, Table};

use crate::door::{Error, Runtime, result};

type Handle = usize;

/// `CUipcMemHandle`, `cudaIpcMemHandle_t`, and the same of events
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IpcHandle([u8; 64]);

call_trace::opaque! { IpcHandle }

type Stream = *mut c_void;

macro_rules! functions {
    ($($field:ident = $symbol:literal: fn($($argument:ty),*);)*) => {
        /// The driver's functions that the runtime uses.
        pub struct Driver {
            $(pub $field: unsafe extern "C" fn($($argument),*) -> u32,)*
            table: Option<&'static Table>,
        }

        impl Driver {
            /// # Safety
            /// `library` must be a handle of a driver library.
            unsafe fn resolve(library: *mut c_void) -> Option<Driver> {
                $(
                    // SAFETY: the symbol of that name has that type, by the driver API.
                    let $field = unsafe {
                        let symbol = libc::dlsym(library, concat!($symbol, "\0").as_ptr().cast());
                        if symbol.is_null() {
                            return None;
                        }
                        std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($argument),*) -> u32>(symbol)
                    };
                )*
                Some(Driver { $($field,)* table: None })
            }
        }
    };
}

functions! {
    init = "cuInit": fn(u32);
    driver_version = "cuDriverGetVersion": fn(*mut i32);
    export_table = "cuGetExportTable": fn(*mut *const c_void, *const [u8; 16]);
    proc_address = "cuGetProcAddress_v2": fn(*const c_char, *mut *const c_void, i32, u64, *mut u32);
    device_count = "cuDeviceGetCount": fn(*mut i32);
    device_name = "cuDeviceGetName": fn(*mut c_char, i32, i32);
    device_uuid = "cuDeviceGetUuid_v2": fn(*mut [u8; 16], i32);
    device_memory = "cuDeviceTotalMem_v2": fn(*mut usize, i32);
    device_attribute = "cuDeviceGetAttribute": fn(*mut i32, i32, i32);
    device_pci = "cuDeviceGetPCIBusId": fn(*mut c_char, i32, i32);
    device_by_pci = "cuDeviceGetByPCIBusId": fn(*mut i32, *const c_char);
    device_peer = "cuDeviceCanAccessPeer": fn(*mut i32, i32, i32);
    device_p2p = "cuDeviceGetP2PAttribute": fn(*mut i32, u32, i32, i32);
    device_pool = "cuDeviceGetDefaultMemPool": fn(*mut Handle, i32);
    device_current_pool = "cuDeviceGetMemPool": fn(*mut Handle, i32);
    device_set_pool = "cuDeviceSetMemPool": fn(i32, Handle);
    primary_retain = "cuDevicePrimaryCtxRetain": fn(*mut Handle, i32);
    primary_reset = "cuDevicePrimaryCtxReset_v2": fn(i32);
    primary_flags = "cuDevicePrimaryCtxSetFlags_v2": fn(i32, u32);
    context_get = "cuCtxGetCurrent": fn(*mut Handle);
    context_set = "cuCtxSetCurrent": fn(Handle);
    context_device = "cuCtxGetDevice": fn(*mut i32);
    context_synchronize = "cuCtxSynchronize": fn();
    context_limit = "cuCtxGetLimit": fn(*mut usize, u32);
    context_set_limit = "cuCtxSetLimit": fn(u32, usize);
    context_priorities = "cuCtxGetStreamPriorityRange": fn(*mut i32, *mut i32);
    module_load = "cuModuleLoadData": fn(*mut Handle, *const c_void);
    module_function = "cuModuleGetFunction": fn(*mut Handle, Handle, *const c_char);
    module_global = "cuModuleGetGlobal_v2": fn(*mut u64, *mut usize, Handle, *const c_char);
    function_attribute = "cuFuncGetAttribute": fn(*mut i32, i32, Handle);
    function_name = "cuFuncGetName": fn(*mut *const c_char, Handle);
    function_parameter = "cuFuncGetParamInfo": fn(Handle, usize, *mut usize, *mut usize);
    library_load = "cuLibraryLoadData": fn(*mut Handle, *const c_void, *const u32, *mut *mut c_void, u32, *const u32, *mut *mut c_void, u32);
    library_load_file = "cuLibraryLoadFromFile": fn(*mut Handle, *const c_char, *const u32, *mut *mut c_void, u32, *const u32, *mut *mut c_void, u32);
    library_unload = "cuLibraryUnload": fn(Handle);
    library_kernel = "cuLibraryGetKernel": fn(*mut Handle, Handle, *const c_char);
    library_kernel_count = "cuLibraryGetKernelCount": fn(*mut u32, Handle);
    library_kernels = "cuLibraryEnumerateKernels": fn(*mut Handle, u32, Handle);
    library_global = "cuLibraryGetGlobal": fn(*mut u64, *mut usize, Handle, *const c_char);
    kernel_function = "cuKernelGetFunction": fn(*mut Handle, Handle);
    function_set_attribute = "cuFuncSetAttribute": fn(Handle, i32, i32);
    occupancy = "cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags": fn(*mut i32, Handle, i32, usize, u32);
    occupancy_shared = "cuOccupancyAvailableDynamicSMemPerBlock": fn(*mut usize, Handle, i32, i32);
    launch = "cuLaunchKernel": fn(Handle, u32, u32, u32, u32, u32, u32, u32, Stream, *mut *mut c_void, *mut *mut c_void);
    launch_cooperative = "cuLaunchCooperativeKernel": fn(Handle, u32, u32, u32, u32, u32, u32, u32, Stream, *mut *mut c_void);
    launch_extended = "cuLaunchKernelEx": fn(*const api::structs::LaunchConfig, Handle, *mut *mut c_void, *mut *mut c_void);
    launch_host = "cuLaunchHostFunc": fn(Stream, Option<unsafe extern "C" fn(*mut c_void)>, *mut c_void);
    allocate = "cuMemAlloc_v2": fn(*mut u64, usize);
    allocate_pitch = "cuMemAllocPitch_v2": fn(*mut u64, *mut usize, usize, usize, u32);
    allocate_host = "cuMemHostAlloc": fn(*mut u64, usize, u32);
    allocate_managed = "cuMemAllocManaged": fn(*mut u64, usize, u32);
    allocate_async = "cuMemAllocAsync": fn(*mut u64, usize, Stream);
    allocate_from_pool = "cuMemAllocFromPoolAsync": fn(*mut u64, usize, Handle, Stream);
    free = "cuMemFree_v2": fn(u64);
    free_host = "cuMemFreeHost": fn(u64);
    free_async = "cuMemFreeAsync": fn(u64, Stream);
    address_range = "cuMemGetAddressRange_v2": fn(*mut u64, *mut usize, u64);
    memory_info = "cuMemGetInfo_v2": fn(*mut usize, *mut usize);
    host_pointer = "cuMemHostGetDevicePointer_v2": fn(*mut u64, u64, u32);
    host_flags = "cuMemHostGetFlags": fn(*mut u32, u64);
    host_register = "cuMemHostRegister_v2": fn(*mut c_void, usize, u32);
    host_unregister = "cuMemHostUnregister": fn(*mut c_void);
    pointer_attribute = "cuPointerGetAttribute": fn(*mut c_void, u32, u64);
    copy = "cuMemcpy": fn(u64, u64, usize);
    copy_async = "cuMemcpyAsync": fn(u64, u64, usize, Stream);
    copy_3d = "cuMemcpy3DAsync_v2": fn(*const api::structs::Memcpy3D, Stream);
    array_create = "cuArray3DCreate_v2": fn(*mut usize, *const api::structs::Array3DDescriptor);
    array_descriptor = "cuArray3DGetDescriptor_v2": fn(*mut api::structs::Array3DDescriptor, usize);
    array_destroy = "cuArrayDestroy": fn(usize);
    texture_create = "cuTexObjectCreate": fn(*mut u64, *const api::structs::ResourceDesc, *const api::structs::TextureDesc, *const c_void);
    texture_destroy = "cuTexObjectDestroy": fn(u64);
    reference_of = "cuModuleGetTexRef": fn(*mut Handle, Handle, *const c_char);
    reference_address = "cuTexRefSetAddress_v2": fn(*mut usize, Handle, u64, usize);
    reference_plane = "cuTexRefSetAddress2D_v3": fn(Handle, *const api::structs::ArrayDescriptor, u64, usize);
    reference_array = "cuTexRefSetArray": fn(Handle, usize, u32);
    reference_format = "cuTexRefSetFormat": fn(Handle, u32, i32);
    reference_address_mode = "cuTexRefSetAddressMode": fn(Handle, i32, u32);
    reference_filter = "cuTexRefSetFilterMode": fn(Handle, u32);
    reference_flags = "cuTexRefSetFlags": fn(Handle, u32);
    surface_create = "cuSurfObjectCreate": fn(*mut u64, *const api::structs::ResourceDesc);
    surface_destroy = "cuSurfObjectDestroy": fn(u64);
    fill = "cuMemsetD8Async": fn(u64, u8, usize, Stream);
    fill_2d = "cuMemsetD2D8Async": fn(u64, usize, u8, usize, usize, Stream);
    advise = "cuMemAdvise": fn(u64, usize, u32, i32);
    range_attribute = "cuMemRangeGetAttribute": fn(*mut c_void, usize, u32, u64, usize);
    range_attributes = "cuMemRangeGetAttributes": fn(*mut *mut c_void, *const usize, *const u32, usize, u64, usize);
    prefetch = "cuMemPrefetchAsync": fn(u64, usize, i32, Stream);
    stream_create = "cuStreamCreateWithPriority": fn(*mut Handle, u32, i32);
    stream_destroy = "cuStreamDestroy_v2": fn(Stream);
    stream_synchronize = "cuStreamSynchronize": fn(Stream);
    stream_query = "cuStreamQuery": fn(Stream);
    stream_wait = "cuStreamWaitEvent": fn(Stream, Handle, u32);
    stream_flags = "cuStreamGetFlags": fn(Stream, *mut u32);
    stream_priority = "cuStreamGetPriority": fn(Stream, *mut i32);
    stream_id = "cuStreamGetId": fn(Stream, *mut u64);
    stream_callback = "cuStreamAddCallback": fn(Stream, *const c_void, *mut c_void, u32);
    stream_attach = "cuStreamAttachMemAsync": fn(Stream, u64, usize, u32);
    capture_begin = "cuStreamBeginCapture_v2": fn(Stream, u32);
    capture_end = "cuStreamEndCapture": fn(Stream, *mut Handle);
    capture_status = "cuStreamIsCapturing": fn(Stream, *mut u32);
    capture_info = "cuStreamGetCaptureInfo_v2": fn(Stream, *mut u32, *mut u64, *mut Handle, *mut *const Handle, *mut usize);
    stream_attribute = "cuStreamGetAttribute": fn(Stream, u32, *mut [u8; 64]);
    stream_set_attribute = "cuStreamSetAttribute": fn(Stream, u32, *const [u8; 64]);
    stream_copy_attributes = "cuStreamCopyAttributes": fn(Stream, Stream);
    capture_info_with_edges = "cuStreamGetCaptureInfo_v3": fn(Stream, *mut u32, *mut u64, *mut Handle, *mut *const Handle, *mut *const c_void, *mut usize);
    capture_begin_to = "cuStreamBeginCaptureToGraph": fn(Stream, Handle, *const Handle, *const c_void, usize, u32);
    capture_update = "cuStreamUpdateCaptureDependencies": fn(Stream, *const Handle, usize, u32);
    capture_mode = "cuThreadExchangeStreamCaptureMode": fn(*mut u32);
    event_create = "cuEventCreate": fn(*mut Handle, u32);
    event_destroy = "cuEventDestroy_v2": fn(Handle);
    event_record = "cuEventRecord": fn(Handle, Stream);
    event_query = "cuEventQuery": fn(Handle);
    event_synchronize = "cuEventSynchronize": fn(Handle);
    event_elapsed = "cuEventElapsedTime": fn(*mut f32, Handle, Handle);
    graph_create = "cuGraphCreate": fn(*mut Handle, u32);
    graph_destroy = "cuGraphDestroy": fn(Handle);
    graph_clone = "cuGraphClone": fn(*mut Handle, Handle);
    graph_instantiate = "cuGraphInstantiateWithFlags": fn(*mut Handle, Handle, u64);
    graph_update = "cuGraphExecUpdate": fn(Handle, Handle, *mut Handle, *mut u32);
    graph_launch = "cuGraphLaunch": fn(Handle, Stream);
    graph_upload = "cuGraphUpload": fn(Handle, Stream);
    graph_exec_destroy = "cuGraphExecDestroy": fn(Handle);
    graph_nodes = "cuGraphGetNodes": fn(Handle, *mut Handle, *mut usize);
    graph_roots = "cuGraphGetRootNodes": fn(Handle, *mut Handle, *mut usize);
    graph_exec_flags = "cuGraphExecGetFlags": fn(Handle, *mut u64);
    graph_dependencies = "cuGraphNodeGetDependencies": fn(Handle, *mut Handle, *mut usize);
    graph_dependents = "cuGraphNodeGetDependentNodes": fn(Handle, *mut Handle, *mut usize);
    graph_edges = "cuGraphGetEdges": fn(Handle, *mut Handle, *mut Handle, *mut usize);
    graph_depend = "cuGraphAddDependencies": fn(Handle, *const Handle, *const Handle, usize);
    graph_separate = "cuGraphRemoveDependencies": fn(Handle, *const Handle, *const Handle, usize);
    graph_print = "cuGraphDebugDotPrint": fn(Handle, *const c_char, u32);
    graph_find = "cuGraphNodeFindInClone": fn(*mut Handle, Handle, Handle);
    graph_destroy_node = "cuGraphDestroyNode": fn(Handle);
    graph_enable = "cuGraphNodeSetEnabled": fn(Handle, Handle, u32);
    graph_enabled = "cuGraphNodeGetEnabled": fn(Handle, Handle, *mut u32);
    graph_child = "cuGraphChildGraphNodeGetGraph": fn(Handle, *mut Handle);
    graph_exec_child = "cuGraphExecChildGraphNodeSetParams": fn(Handle, Handle, Handle);
    graph_recorded = "cuGraphEventRecordNodeGetEvent": fn(Handle, *mut Handle);
    graph_set_recorded = "cuGraphEventRecordNodeSetEvent": fn(Handle, Handle);
    graph_exec_recorded = "cuGraphExecEventRecordNodeSetEvent": fn(Handle, Handle, Handle);
    graph_awaited = "cuGraphEventWaitNodeGetEvent": fn(Handle, *mut Handle);
    graph_set_awaited = "cuGraphEventWaitNodeSetEvent": fn(Handle, Handle);
    graph_exec_awaited = "cuGraphExecEventWaitNodeSetEvent": fn(Handle, Handle, Handle);
    graph_host = "cuGraphHostNodeGetParams": fn(Handle, *mut api::structs::HostNodeParams);
    graph_fill = "cuGraphMemsetNodeGetParams": fn(Handle, *mut api::structs::MemsetNodeParams);
    graph_copy = "cuGraphMemcpyNodeGetParams": fn(Handle, *mut api::structs::Memcpy3D);
    graph_add_allocation = "cuGraphAddMemAllocNode": fn(*mut Handle, Handle, *const Handle, usize, *mut c_void);
    graph_add_free = "cuGraphAddMemFreeNode": fn(*mut Handle, Handle, *const Handle, usize, u64);
    graph_allocation = "cuGraphMemAllocNodeGetParams": fn(Handle, *mut c_void);
    graph_free = "cuGraphMemFreeNodeGetParams": fn(Handle, *mut u64);
    graph_copy_attributes = "cuGraphKernelNodeCopyAttributes": fn(Handle, Handle);
    graph_attribute = "cuGraphKernelNodeGetAttribute": fn(Handle, u32, *mut [u8; 64]);
    graph_set_attribute = "cuGraphKernelNodeSetAttribute": fn(Handle, u32, *const [u8; 64]);
    graph_add_any = "cuGraphAddNode": fn(*mut Handle, Handle, *const Handle, usize, *mut c_void);
    graph_set_any = "cuGraphNodeSetParams": fn(Handle, *mut c_void);
    graph_exec_any = "cuGraphExecNodeSetParams": fn(Handle, Handle, *mut c_void);
    graph_retain_object = "cuGraphRetainUserObject": fn(Handle, Handle, u32, u32);
    graph_release_object = "cuGraphReleaseUserObject": fn(Handle, Handle, u32);
    object_create = "cuUserObjectCreate": fn(*mut Handle, *mut c_void, Option<unsafe extern "C" fn(*mut c_void)>, u32, u32);
    object_retain = "cuUserObjectRetain": fn(Handle, u32);
    object_release = "cuUserObjectRelease": fn(Handle, u32);
    graph_add_kernel = "cuGraphAddKernelNode_v2": fn(*mut Handle, Handle, *const Handle, usize, *const api::structs::KernelNodeParams);
    graph_add_copy = "cuGraphAddMemcpyNode": fn(*mut Handle, Handle, *const Handle, usize, *const api::structs::Memcpy3D, Handle);
    graph_add_fill = "cuGraphAddMemsetNode": fn(*mut Handle, Handle, *const Handle, usize, *const api::structs::MemsetNodeParams, Handle);
    graph_add_host = "cuGraphAddHostNode": fn(*mut Handle, Handle, *const Handle, usize, *const api::structs::HostNodeParams);
    graph_add_empty = "cuGraphAddEmptyNode": fn(*mut Handle, Handle, *const Handle, usize);
    graph_add_child = "cuGraphAddChildGraphNode": fn(*mut Handle, Handle, *const Handle, usize, Handle);
    graph_add_record = "cuGraphAddEventRecordNode": fn(*mut Handle, Handle, *const Handle, usize, Handle);
    graph_add_wait = "cuGraphAddEventWaitNode": fn(*mut Handle, Handle, *const Handle, usize, Handle);
    graph_kernel = "cuGraphKernelNodeGetParams_v2": fn(Handle, *mut api::structs::KernelNodeParams);
    graph_set_kernel = "cuGraphKernelNodeSetParams_v2": fn(Handle, *const api::structs::KernelNodeParams);
    graph_set_copy = "cuGraphMemcpyNodeSetParams": fn(Handle, *const api::structs::Memcpy3D);
    graph_set_fill = "cuGraphMemsetNodeSetParams": fn(Handle, *const api::structs::MemsetNodeParams);
    graph_set_host = "cuGraphHostNodeSetParams": fn(Handle, *const api::structs::HostNodeParams);
    graph_exec_kernel = "cuGraphExecKernelNodeSetParams_v2": fn(Handle, Handle, *const api::structs::KernelNodeParams);
    graph_exec_copy = "cuGraphExecMemcpyNodeSetParams": fn(Handle, Handle, *const api::structs::Memcpy3D, Handle);
    graph_exec_fill = "cuGraphExecMemsetNodeSetParams": fn(Handle, Handle, *const api::structs::MemsetNodeParams, Handle);
    graph_exec_host = "cuGraphExecHostNodeSetParams": fn(Handle, Handle, *const api::structs::HostNodeParams);
    graph_node_type = "cuGraphNodeGetType": fn(Handle, *mut u32);
    ipc_get = "cuIpcGetMemHandle": fn(*mut IpcHandle, u64);
    ipc_open = "cuIpcOpenMemHandle_v2": fn(*mut u64, IpcHandle, u32);
    ipc_close = "cuIpcCloseMemHandle": fn(u64);
    ipc_get_event = "cuIpcGetEventHandle": fn(*mut IpcHandle, usize);
    ipc_open_event = "cuIpcOpenEventHandle": fn(*mut usize, IpcHandle);
    pool_create = "cuMemPoolCreate": fn(*mut Handle, *const c_void);
    pool_destroy = "cuMemPoolDestroy": fn(Handle);
    pool_trim = "cuMemPoolTrimTo": fn(Handle, usize);
    pool_get = "cuMemPoolGetAttribute": fn(Handle, u32, *mut c_void);
    pool_access = "cuMemPoolGetAccess": fn(*mut u32, Handle, *const crate::memory::Location);
    pool_set_access = "cuMemPoolSetAccess": fn(Handle, *const c_void, usize);
    pool_set = "cuMemPoolSetAttribute": fn(Handle, u32, *mut c_void);
}

static DRIVER: OnceLock<Runtime<Driver>> = OnceLock::new();

/// The driver, loaded and initialised at the first call.
pub fn get() -> Runtime<&'static Driver> {
    if DRIVER.get().is_none() && DRIVER.get_or_init(load).is_ok() {
        let names = std::mem::take(&mut *LATER.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        names.into_iter().for_each(note_unsupported);
    }
    DRIVER.get_or_init(load).as_ref().map_err(|error| *error)
}

/// The driver, also where `cuInit` said no; for versions and notes.
fn open() -> Runtime<Driver> {
    // SAFETY: loading the driver runs no code of ours; its functions are typed by the driver API.
    unsafe {
        let library = libc::dlopen(c"libcuda.so.1".as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL);
        if library.is_null() {
            return Err(Error::INSUFFICIENT_DRIVER);
        }
        Driver::resolve(library).ok_or(Error::LIBRARY_MISSING)
    }
}

fn load() -> Runtime<Driver> {
    let mut driver = open()?;
    let mut table: *const c_void = std::ptr::null();
    // SAFETY: places of this frame; the table is a constant of the driver's, and its size says that it is whole.
    unsafe {
        if (driver.export_table)(&mut table, &TABLE) == 0 && !table.is_null() {
            let table = &*table.cast::<Table>();
            driver.table = (table.size >= size_of::<Table>()).then_some(table);
        }
        result((driver.init)(0))?;
    }
    Ok(driver)
}

/// Names to tell the report once the driver is there.
static LATER: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

/// Tells the report of a name once the program starts the driver itself; for calls that come before `main`. `name` is
/// NUL-terminated.
pub fn note_later(name: &'static str) {
    LATER.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(name);
}

/// Tells the report that a name was called that we lack. `name` is NUL-terminated.
pub fn note_unsupported(name: &'static str) {
    if let (Ok(Driver { table: Some(table), .. }), Ok(name)) =
        (get(), CStr::from_bytes_with_nul(name.as_bytes()))
    {
        // SAFETY: a NUL-terminated string.
        unsafe { (table.note_unsupported)(name.as_ptr()) };
    }
}

/// Tells the report how a start ended.
pub fn note_initialised(name: &'static CStr, code: i64) {
    if let Ok(Driver { table: Some(table), .. }) = get() {
        // SAFETY: a NUL-terminated string.
        unsafe { (table.note_initialised)(name.as_ptr(), code) };
    }
}

/// The driver's CUDA version; 0 where there is no driver.
pub fn version() -> i32 {
    let mut version = 0;
    let ask = |driver: &Driver| {
        let mut version = 0;
        // SAFETY: a place of this frame.
        unsafe { (driver.driver_version)(&mut version) };
        version
    };
    if let Ok(driver) = get() {
        version = ask(driver);
    } else if let Ok(driver) = open() {
        version = ask(&driver);
    }
    version
}

/// Calls a driver function and turns its result into the runtime's.
macro_rules! call {
    ($function:ident($($argument:expr),* $(,)?)) => {{
        let driver = $crate::driver::get()?;
        $crate::door::result((driver.$function)($($argument),*))
    }};
}
/// The same with the thread's device's context current.
macro_rules! call_in_context {
    ($function:ident($($argument:expr),* $(,)?)) => {{
        $crate::devices::ensure_context()?;
        let driver = $crate::driver::get()?;
        $crate::door::result((driver.$function)($($argument),*))
    }};
}
pub(crate) use {call, call_in_context};
