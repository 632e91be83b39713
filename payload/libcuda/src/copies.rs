//! cuMemcpy…

use std::ffi::c_void;

use api::structs::{Memcpy2D, Memcpy3D, memory_type};

use crate::door::*;
use driver::{CuResult, Cuda, array, memory, stream};
use wire::command::CopyRectangle;

fn asynchronous(stream: *mut c_void, target: u64, source: u64, bytes: usize) -> Cuda {
    memory::copy_async(&*stream::by_handle(stream as usize)?, target, source, bytes as u64)
}

fn synchronous(per_thread: bool, target: u64, source: u64, bytes: usize) -> Cuda {
    memory::copy(&*memory::default_stream(per_thread)?, target, source, bytes as u64)
}

/// One side of a box copy: where it begins, and from row to row and slice to slice.
struct Side {
    address: u64,
    row_pitch: usize,
    slice_pitch: usize,
}

/// What the caller says of one side; which of the addresses counts follows from the kind.
struct Given {
    kind: u32,
    host: u64,
    device: u64,
    array: *mut c_void,
    /// Of memory that is no array; 0 means rows and slices without gaps.
    pitch: usize,
    height: usize,
    at: [usize; 3],
}

fn side(given: Given, extent: [usize; 3]) -> Cuda<Side> {
    let [x, y, z] = given.at;
    let (start, row_pitch, slice_pitch) = match given.kind {
        memory_type::ARRAY => {
            let array = array::by_handle(given.array as usize)?;
            array.check_box(given.at, extent)?;
            (array.address, array.row_pitch as usize, array.slice_pitch as usize)
        }
        kind @ (memory_type::HOST | memory_type::DEVICE | memory_type::UNIFIED) => {
            let row = if given.pitch == 0 { extent[0] } else { given.pitch };
            let height = if given.height == 0 { extent[1] } else { given.height };
            if extent[1] > 1 && row < extent[0] {
                return Err(CuResult::INVALID_VALUE);
            }
            (if kind == memory_type::HOST { given.host } else { given.device }, row, row * height)
        }
        _ => return Err(CuResult::INVALID_VALUE),
    };
    let address = start + (z * slice_pitch + y * row_pitch + x) as u64;
    Ok(Side { address, row_pitch, slice_pitch })
}

fn rectangle(target: Side, source: Side, extent: [usize; 3]) -> CopyRectangle {
    CopyRectangle {
        target: target.address,
        source: source.address,
        row_pitch: [target.row_pitch as u64, source.row_pitch as u64],
        slice_pitch: [target.slice_pitch as u64, source.slice_pitch as u64],
        extent: extent.map(|size| size as u64),
    }
}

fn rectangle_2d(order: &Memcpy2D) -> Cuda<CopyRectangle> {
    let extent = [order.width, order.height, 1];
    let source = Given {
        kind: order.src_type,
        host: order.src_host as u64,
        device: order.src_device,
        array: order.src_array,
        pitch: order.src_pitch,
        height: order.height,
        at: [order.src_x, order.src_y, 0],
    };
    let target = Given {
        kind: order.dst_type,
        host: order.dst_host as u64,
        device: order.dst_device,
        array: order.dst_array,
        pitch: order.dst_pitch,
        height: order.height,
        at: [order.dst_x, order.dst_y, 0],
    };
    Ok(rectangle(side(target, extent)?, side(source, extent)?, extent))
}

pub fn rectangle_3d(order: &Memcpy3D) -> Cuda<CopyRectangle> {
    let extent = [order.width, order.height, order.depth];
    let source = Given {
        kind: order.src_type,
        host: order.src_host as u64,
        device: order.src_device,
        array: order.src_array,
        pitch: order.src_pitch,
        height: order.src_height,
        at: [order.src_x, order.src_y, order.src_z],
    };
    let target = Given {
        kind: order.dst_type,
        host: order.dst_host as u64,
        device: order.dst_device,
        array: order.dst_array,
        pitch: order.dst_pitch,
        height: order.dst_height,
        at: [order.dst_x, order.dst_y, order.dst_z],
    };
    Ok(rectangle(side(target, extent)?, side(source, extent)?, extent))
}

fn run_2d(order: *const Memcpy2D, stream: &driver::stream::Stream, wait: bool) -> Cuda {
    // SAFETY: the exported functions' callers promise a structure.
    memory::copy_rectangle(stream, rectangle_2d(unsafe { input(order) }?)?, wait)
}

fn run_3d(order: *const Memcpy3D, stream: &driver::stream::Stream, wait: bool) -> Cuda {
    // SAFETY: as above.
    memory::copy_rectangle(stream, rectangle_3d(unsafe { input(order) }?)?, wait)
}

exports! {
    fn cuMemcpy |cuMemcpy_ptds as per_thread (target: u64, source: u64, bytes: usize) {
        synchronous(per_thread, target, source, bytes)
    }

    fn cuMemcpyAsync |cuMemcpyAsync_ptsz with stream (target: u64, source: u64, bytes: usize, stream: *mut c_void) {
        asynchronous(stream, target, source, bytes)
    }

    fn cuMemcpyHtoD_v2 |cuMemcpyHtoD_v2_ptds as per_thread (target: u64, source: u64, bytes: usize) {
        synchronous(per_thread, target, source, bytes)
    }

    fn cuMemcpyHtoDAsync_v2 |cuMemcpyHtoDAsync_v2_ptsz with stream (target: u64, source: u64, bytes: usize, stream: *mut c_void) {
        asynchronous(stream, target, source, bytes)
    }

    fn cuMemcpyDtoH_v2 |cuMemcpyDtoH_v2_ptds as per_thread (target: u64, source: u64, bytes: usize) {
        synchronous(per_thread, target, source, bytes)
    }

    fn cuMemcpyDtoHAsync_v2 |cuMemcpyDtoHAsync_v2_ptsz with stream (target: u64, source: u64, bytes: usize, stream: *mut c_void) {
        asynchronous(stream, target, source, bytes)
    }

    fn cuMemcpyDtoD_v2 |cuMemcpyDtoD_v2_ptds as per_thread (target: u64, source: u64, bytes: usize) {
        synchronous(per_thread, target, source, bytes)
    }

    fn cuMemcpyDtoDAsync_v2 |cuMemcpyDtoDAsync_v2_ptsz with stream (target: u64, source: u64, bytes: usize, stream: *mut c_void) {
        asynchronous(stream, target, source, bytes)
    }

    fn cuMemcpyPeer |cuMemcpyPeer_ptds as per_thread (target: u64, _to: usize, source: u64, _from: usize, bytes: usize) {
        synchronous(per_thread, target, source, bytes)
    }

    fn cuMemcpyPeerAsync |cuMemcpyPeerAsync_ptsz with stream (
        target: u64,
        _to: usize,
        source: u64,
        _from: usize,
        bytes: usize,
        stream: *mut c_void,
    ) {
        asynchronous(stream, target, source, bytes)
    }

    fn cuMemcpyBatchAsync |cuMemcpyBatchAsync_ptsz with stream (
        targets: *const u64,
        sources: *const u64,
        sizes: *const usize,
        count: usize,
        _attributes: *const c_void,
        _indices: *const usize,
        _attribute_count: usize,
        failed: *mut usize,
        stream: *mut c_void,
    ) {
        maybe(failed, usize::MAX);
        let (targets, sources, sizes) = (list(targets, count), list(sources, count), list(sizes, count));
        for (index, ((target, source), size)) in targets.iter().zip(sources).zip(sizes).enumerate() {
            let outcome = asynchronous(stream, *target, *source, *size);
            if outcome.is_err() {
                maybe(failed, index);
            }
            outcome?;
        }
        Ok(())
    }

    fn cuMemcpyBatchAsync_v2 |cuMemcpyBatchAsync_v2_ptsz with stream (
        targets: *const u64,
        sources: *const u64,
        sizes: *const usize,
        count: usize,
        _attributes: *const c_void,
        _indices: *const usize,
        _attribute_count: usize,
        stream: *mut c_void,
    ) {
        let (targets, sources, sizes) = (list(targets, count), list(sources, count), list(sizes, count));
        for ((target, source), size) in targets.iter().zip(sources).zip(sizes) {
            asynchronous(stream, *target, *source, *size)?;
        }
        Ok(())
    }

    fn cuMemcpy2D_v2 |cuMemcpy2D_v2_ptds as per_thread (order: *const Memcpy2D) {
        run_2d(order, &*memory::default_stream(per_thread)?, true)
    }

    fn cuMemcpy2DUnaligned_v2 |cuMemcpy2DUnaligned_v2_ptds as per_thread (order: *const Memcpy2D) {
        run_2d(order, &*memory::default_stream(per_thread)?, true)
    }

    fn cuMemcpy2DAsync_v2 |cuMemcpy2DAsync_v2_ptsz with stream (order: *const Memcpy2D, stream: *mut c_void) {
        run_2d(order, &*stream::by_handle(stream as usize)?, false)
    }

    fn cuMemcpy3D_v2 |cuMemcpy3D_v2_ptds as per_thread (order: *const Memcpy3D) {
        run_3d(order, &*memory::default_stream(per_thread)?, true)
    }

    fn cuMemcpy3DAsync_v2 |cuMemcpy3DAsync_v2_ptsz with stream (order: *const Memcpy3D, stream: *mut c_void) {
        run_3d(order, &*stream::by_handle(stream as usize)?, false)
    }

    fn cuMemcpy3DPeer |cuMemcpy3DPeer_ptds as per_thread (order: *const Memcpy3D) {
        run_3d(order, &*memory::default_stream(per_thread)?, true)
    }

    fn cuMemcpy3DPeerAsync |cuMemcpy3DPeerAsync_ptsz with stream (order: *const Memcpy3D, stream: *mut c_void) {
        run_3d(order, &*stream::by_handle(stream as usize)?, false)
    }
}
