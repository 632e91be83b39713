//! cuArray…, and copies between arrays and memory in one dimension.

use std::ffi::c_void;

use api::structs::{Array3DDescriptor, ArrayDescriptor};

use crate::door::*;
use driver::{Cuda, array, memory, stream};

/// Where one side of a copy begins.
enum End {
    Memory(u64),
    Array(usize, usize),
}

fn address(end: End, bytes: usize) -> Cuda<u64> {
    match end {
        End::Memory(address) => Ok(address),
        End::Array(handle, offset) => array::by_handle(handle)?.range(offset, bytes),
    }
}

fn synchronous(per_thread: bool, target: End, source: End, bytes: usize) -> Cuda {
    let (target, source) = (address(target, bytes)?, address(source, bytes)?);
    memory::copy(&*memory::default_stream(per_thread)?, target, source, bytes as u64)
}

fn asynchronous(stream: *mut c_void, target: End, source: End, bytes: usize) -> Cuda {
    let (target, source) = (address(target, bytes)?, address(source, bytes)?);
    memory::copy_async(&*stream::by_handle(stream as usize)?, target, source, bytes as u64)
}

exports! {
    fn cuArrayCreate_v2(handle: *mut usize, descriptor: *const ArrayDescriptor) {
        let ArrayDescriptor { width, height, format, channels } = *input(descriptor)?;
        *out(handle)? = array::create(Array3DDescriptor { width, height, depth: 0, format, channels, flags: 0 })?;
        Ok(())
    }

    fn cuArray3DCreate_v2(handle: *mut usize, descriptor: *const Array3DDescriptor) {
        *out(handle)? = array::create(*input(descriptor)?)?;
        Ok(())
    }

    fn cuArrayGetDescriptor_v2(descriptor: *mut ArrayDescriptor, handle: usize) {
        let Array3DDescriptor { width, height, format, channels, .. } = array::by_handle(handle)?.descriptor;
        *out(descriptor)? = ArrayDescriptor { width, height, format, channels };
        Ok(())
    }

    fn cuArray3DGetDescriptor_v2(descriptor: *mut Array3DDescriptor, handle: usize) {
        *out(descriptor)? = array::by_handle(handle)?.descriptor;
        Ok(())
    }

    fn cuArrayDestroy(handle: usize) {
        array::destroy(handle)
    }

    fn cuMemcpyHtoA_v2 |cuMemcpyHtoA_v2_ptds as per_thread (target: usize, offset: usize, source: u64, bytes: usize) {
        synchronous(per_thread, End::Array(target, offset), End::Memory(source), bytes)
    }

    fn cuMemcpyDtoA_v2 |cuMemcpyDtoA_v2_ptds as per_thread (target: usize, offset: usize, source: u64, bytes: usize) {
        synchronous(per_thread, End::Array(target, offset), End::Memory(source), bytes)
    }

    fn cuMemcpyAtoH_v2 |cuMemcpyAtoH_v2_ptds as per_thread (target: u64, source: usize, offset: usize, bytes: usize) {
        synchronous(per_thread, End::Memory(target), End::Array(source, offset), bytes)
    }

    fn cuMemcpyAtoD_v2 |cuMemcpyAtoD_v2_ptds as per_thread (target: u64, source: usize, offset: usize, bytes: usize) {
        synchronous(per_thread, End::Memory(target), End::Array(source, offset), bytes)
    }

    fn cuMemcpyAtoA_v2 |cuMemcpyAtoA_v2_ptds as per_thread (target: usize, to: usize, source: usize, from: usize, bytes: usize) {
        synchronous(per_thread, End::Array(target, to), End::Array(source, from), bytes)
    }

    fn cuMemcpyHtoAAsync_v2 |cuMemcpyHtoAAsync_v2_ptsz with stream (
        target: usize,
        offset: usize,
        source: u64,
        bytes: usize,
        stream: *mut c_void,
    ) {
        asynchronous(stream, End::Array(target, offset), End::Memory(source), bytes)
    }

    fn cuMemcpyAtoHAsync_v2 |cuMemcpyAtoHAsync_v2_ptsz with stream (
        target: u64,
        source: usize,
        offset: usize,
        bytes: usize,
        stream: *mut c_void,
    ) {
        asynchronous(stream, End::Memory(target), End::Array(source, offset), bytes)
    }
}
