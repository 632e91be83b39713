//! cuMemcpy…

use std::ffi::c_void;

use api::structs::{Memcpy2D, Memcpy3D, memory_type};

use crate::door::*;
use driver::{CuResult, Cuda, memory, stream};
use wire::command::CopyRectangle;

fn asynchronous(stream: *mut c_void, target: u64, source: u64, bytes: usize) -> Cuda {
    memory::copy_async(&*stream::by_handle(stream as usize)?, target, source, bytes as u64)
}

fn synchronous(per_thread: bool, target: u64, source: u64, bytes: usize) -> Cuda {
    memory::copy(&*memory::default_stream(per_thread)?, target, source, bytes as u64)
}

/// Address of one side of a box copy.
fn side(kind: u32, host: u64, device: u64) -> Cuda<u64> {
    match kind {
        memory_type::HOST => Ok(host),
        memory_type::DEVICE | memory_type::UNIFIED => Ok(device),
        _ => {
            driver::note::unsupported("cuMemcpy2D/3D of a CUDA array");
            Err(CuResult::NOT_SUPPORTED)
        }
    }
}

fn rectangle_2d(order: &Memcpy2D) -> Cuda<CopyRectangle> {
    let at = |base: u64, x: usize, y: usize, pitch: usize| base + (y * pitch + x) as u64;
    let source = side(order.src_type, order.src_host as u64, order.src_device)?;
    let target = side(order.dst_type, order.dst_host as u64, order.dst_device)?;
    // A pitch of 0 means rows without a gap.
    let pitch = |given: usize| if given == 0 { order.width } else { given };
    let (source_pitch, target_pitch) = (pitch(order.src_pitch), pitch(order.dst_pitch));
    if order.height > 1 && (source_pitch < order.width || target_pitch < order.width) {
        return Err(CuResult::INVALID_VALUE);
    }
    Ok(CopyRectangle {
        target: at(target, order.dst_x, order.dst_y, target_pitch),
        source: at(source, order.src_x, order.src_y, source_pitch),
        row_pitch: [target_pitch as u64, source_pitch as u64],
        slice_pitch: [0, 0],
        extent: [order.width as u64, order.height as u64, 1],
    })
}

pub fn rectangle_3d(order: &Memcpy3D) -> Cuda<CopyRectangle> {
    let source = side(order.src_type, order.src_host as u64, order.src_device)?;
    let target = side(order.dst_type, order.dst_host as u64, order.dst_device)?;
    let pitch = |given: usize| if given == 0 { order.width } else { given };
    let height = |given: usize| if given == 0 { order.height } else { given };
    let (source_pitch, target_pitch) = (pitch(order.src_pitch), pitch(order.dst_pitch));
    let slices = [target_pitch * height(order.dst_height), source_pitch * height(order.src_height)];
    let at = |base: u64, x: usize, y: usize, z: usize, pitch: usize, slice: usize| {
        base + (z * slice + y * pitch + x) as u64
    };
    Ok(CopyRectangle {
        target: at(target, order.dst_x, order.dst_y, order.dst_z, target_pitch, slices[0]),
        source: at(source, order.src_x, order.src_y, order.src_z, source_pitch, slices[1]),
        row_pitch: [target_pitch as u64, source_pitch as u64],
        slice_pitch: [slices[0] as u64, slices[1] as u64],
        extent: [order.width as u64, order.height as u64, order.depth as u64],
    })
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
