//! Structures that callers pass by address.

use std::ffi::c_void;

/// `CUDA_MEMCPY2D` (version 2).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Memcpy2D {
    pub src_x: usize,
    pub src_y: usize,
    pub src_type: u32,
    pub src_host: *const c_void,
    pub src_device: u64,
    pub src_array: *mut c_void,
    pub src_pitch: usize,
    pub dst_x: usize,
    pub dst_y: usize,
    pub dst_type: u32,
    pub dst_host: *mut c_void,
    pub dst_device: u64,
    pub dst_array: *mut c_void,
    pub dst_pitch: usize,
    pub width: usize,
    pub height: usize,
}

/// `CUDA_MEMCPY3D` (version 2); `CUDA_MEMCPY3D_PEER` has contexts where this has `reserved`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Memcpy3D {
    pub src_x: usize,
    pub src_y: usize,
    pub src_z: usize,
    pub src_lod: usize,
    pub src_type: u32,
    pub src_host: *const c_void,
    pub src_device: u64,
    pub src_array: *mut c_void,
    pub src_reserved: *mut c_void,
    pub src_pitch: usize,
    pub src_height: usize,
    pub dst_x: usize,
    pub dst_y: usize,
    pub dst_z: usize,
    pub dst_lod: usize,
    pub dst_type: u32,
    pub dst_host: *mut c_void,
    pub dst_device: u64,
    pub dst_array: *mut c_void,
    pub dst_reserved: *mut c_void,
    pub dst_pitch: usize,
    pub dst_height: usize,
    pub width: usize,
    pub height: usize,
    pub depth: usize,
}

/// `CUmemorytype`.
pub mod memory_type {
    /// `CU_MEMORYTYPE_HOST`
    pub const HOST: u32 = 1;
    /// `CU_MEMORYTYPE_DEVICE`
    pub const DEVICE: u32 = 2;
    /// `CU_MEMORYTYPE_ARRAY`
    pub const ARRAY: u32 = 3;
    /// `CU_MEMORYTYPE_UNIFIED`
    pub const UNIFIED: u32 = 4;
}

/// `CUDA_ARRAY_DESCRIPTOR` (version 2).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct ArrayDescriptor {
    pub width: usize,
    pub height: usize,
    pub format: u32,
    pub channels: u32,
}

/// `CUDA_ARRAY3D_DESCRIPTOR` (version 2).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Array3DDescriptor {
    pub width: usize,
    pub height: usize,
    pub depth: usize,
    pub format: u32,
    pub channels: u32,
    pub flags: u32,
}

/// `CUDA_RESOURCE_DESC`: its kind, and what the kind says.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub struct ResourceDesc {
    pub kind: u32,
    pub resource: Resource,
    pub flags: u32,
}

/// The union in `CUDA_RESOURCE_DESC`.
#[repr(C)]
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub union Resource {
    pub array: usize,
    pub linear: LinearResource,
    pub pitched: PitchedResource,
    pub reserved: [u64; 16],
}

/// `CU_RESOURCE_TYPE_LINEAR`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct LinearResource {
    pub address: u64,
    pub format: u32,
    pub channels: u32,
    pub bytes: usize,
}

/// `CU_RESOURCE_TYPE_PITCH2D`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct PitchedResource {
    pub address: u64,
    pub format: u32,
    pub channels: u32,
    pub width: usize,
    pub height: usize,
    pub pitch: usize,
}

/// `CUresourcetype`.
pub mod resource_type {
    /// `CU_RESOURCE_TYPE_ARRAY`
    pub const ARRAY: u32 = 0;
    /// `CU_RESOURCE_TYPE_MIPMAPPED_ARRAY`
    pub const MIPMAPPED_ARRAY: u32 = 1;
    /// `CU_RESOURCE_TYPE_LINEAR`
    pub const LINEAR: u32 = 2;
    /// `CU_RESOURCE_TYPE_PITCH2D`
    pub const PITCH2D: u32 = 3;
}

/// `CUDA_TEXTURE_DESC`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct TextureDesc {
    pub address: [u32; 3],
    pub filter: u32,
    pub flags: u32,
    pub anisotropy: u32,
    pub mipmap_filter: u32,
    pub mipmap_bias: f32,
    pub mipmap_least: f32,
    pub mipmap_most: f32,
    pub border: [f32; 4],
    pub reserved: [u32; 12],
}

/// `CUDA_KERNEL_NODE_PARAMS` (version 2; version 1 ends before `kernel`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct KernelNodeParams {
    pub function: usize,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub shared: u32,
    pub parameters: *mut *mut c_void,
    pub extra: *mut *mut c_void,
    pub kernel: usize,
    pub context: usize,
}

/// `CUDA_MEMSET_NODE_PARAMS`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct MemsetNodeParams {
    pub target: u64,
    pub pitch: usize,
    pub value: u32,
    pub element: u32,
    pub width: usize,
    pub height: usize,
}

/// `CUDA_HOST_NODE_PARAMS`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct HostNodeParams {
    pub function: Option<unsafe extern "C" fn(*mut c_void)>,
    pub data: *mut c_void,
}

/// `CUmemPoolProps`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct MemPoolProps {
    pub allocation_type: u32,
    pub handle_types: u32,
    pub location_type: u32,
    pub location: i32,
    pub security: *mut c_void,
    pub max_size: usize,
    pub usage: u16,
    pub reserved: [u8; 54],
}

/// `CUDA_MEM_ALLOC_NODE_PARAMS`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct MemAllocNodeParams {
    pub pool: MemPoolProps,
    pub access: *const c_void,
    pub access_count: usize,
    pub bytes: usize,
    pub address: u64,
}

/// `CUDA_BATCH_MEM_OP_NODE_PARAMS`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct BatchMemOpNodeParams {
    pub context: usize,
    pub count: u32,
    pub operations: *mut StreamMemOp,
    pub flags: u32,
}

/// `CUstreamBatchMemOpParams`: the layout of its wait and write members.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct StreamMemOp {
    pub operation: u32,
    pub address: u64,
    pub value: u64,
    pub flags: u32,
    pub alias: u64,
    pub reserved: u64,
}

/// `CUDA_MEMCPY_NODE_PARAMS`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct MemcpyNodeParams {
    pub flags: i32,
    pub reserved: i32,
    pub context: usize,
    pub copy: Memcpy3D,
}

/// `CUgraphNodeParams`: the kind, and 29 words that mean what the kind says.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct GraphNodeParams {
    pub kind: u32,
    pub reserved0: [i32; 3],
    pub body: [u64; 29],
    pub reserved2: u64,
}

/// `CUlaunchConfig`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct LaunchConfig {
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub shared: u32,
    pub stream: usize,
    pub attributes: *const LaunchAttribute,
    pub attribute_count: u32,
}

/// `CUlaunchAttribute`.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct LaunchAttribute {
    pub id: u32,
    pub padding: [u8; 4],
    pub value: [u8; 64],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_have_the_sizes_of_the_c_interface() {
        assert_eq!(size_of::<Memcpy2D>(), 128);
        assert_eq!(size_of::<Memcpy3D>(), 200);
        assert_eq!(size_of::<ArrayDescriptor>(), 24);
        assert_eq!(size_of::<Array3DDescriptor>(), 40);
        assert_eq!(size_of::<ResourceDesc>(), 144);
        assert_eq!(size_of::<TextureDesc>(), 104);
        assert_eq!(size_of::<KernelNodeParams>(), 72);
        assert_eq!(size_of::<MemPoolProps>(), 88);
        assert_eq!(size_of::<MemAllocNodeParams>(), 120);
        assert_eq!(size_of::<BatchMemOpNodeParams>(), 32);
        assert_eq!(size_of::<StreamMemOp>(), 48);
        assert_eq!(size_of::<MemcpyNodeParams>(), 216);
        assert_eq!(size_of::<GraphNodeParams>(), 256);
        assert_eq!(size_of::<LaunchAttribute>(), 72);
        assert_eq!(size_of::<LaunchConfig>(), 56);
    }
}
