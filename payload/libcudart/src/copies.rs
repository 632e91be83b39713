//! cudaMemcpy…, cudaMemset…
//!
//! The runtime's synchronous copies go through the driver's asynchronous ones where those have more forms; `kind` is not needed,
//! since addresses tell what they are.

use std::ffi::c_void;

use api::structs::{Memcpy3D, memory_type};

use crate::arrays::texel_bytes;
use crate::door::*;
use crate::driver::{call, call_in_context};
use crate::memory::{Extent, Pitched};
use crate::registration::variable;
use crate::streams::Stream;

/// `cudaPos`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Position {
    x: usize,
    y: usize,
    z: usize,
}

call_trace::fields! { Position { x, y, z } }

/// `cudaMemcpy3DParms`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Copy3D {
    source_array: *mut c_void,
    source_position: Position,
    source: Pitched,
    target_array: *mut c_void,
    target_position: Position,
    target: Pitched,
    extent: Extent,
    kind: u32,
}

call_trace::fields! { Copy3D { source_array, source_position, source, target_array, target_position, target, extent, kind } }

impl Copy3D {
    /// The driver's order for it.
    pub fn order(&self) -> Runtime<Memcpy3D> {
        let source = (self.source_array, self.source_position, self.source);
        box_order(source, (self.target_array, self.target_position, self.target), self.extent)
    }
}

impl From<Memcpy3D> for Copy3D {
    fn from(order: Memcpy3D) -> Copy3D {
        // What is host and what is device memory, its addresses tell.
        const DEFAULT: u32 = 4;
        let address = |kind, host: *const c_void, device| {
            if kind == memory_type::HOST { host as u64 } else { device }
        };
        Copy3D {
            source_array: order.src_array,
            source_position: Position { x: order.src_x, y: order.src_y, z: order.src_z },
            source: Pitched {
                pointer: address(order.src_type, order.src_host, order.src_device),
                pitch: order.src_pitch,
                width: order.width,
                height: order.src_height,
            },
            target_array: order.dst_array,
            target_position: Position { x: order.dst_x, y: order.dst_y, z: order.dst_z },
            target: Pitched {
                pointer: address(order.dst_type, order.dst_host, order.dst_device),
                pitch: order.dst_pitch,
                width: order.width,
                height: order.dst_height,
            },
            extent: Extent { width: order.width, height: order.height, depth: order.depth },
            kind: DEFAULT,
        }
    }
}

/// The driver's order for a row of bytes.
pub fn row_order(target: u64, source: u64, bytes: usize) -> Runtime<Memcpy3D> {
    let origin = Position { x: 0, y: 0, z: 0 };
    let side =
        |pointer| (std::ptr::null_mut(), origin, Pitched { pointer, pitch: bytes, width: bytes, height: 1 });
    box_order(side(source), side(target), Extent { width: bytes, height: 1, depth: 1 })
}

/// `cudaMemcpy3DPeerParms`
#[repr(C)]
pub struct PeerCopy3D {
    source_array: *mut c_void,
    source_position: Position,
    source: Pitched,
    source_device: i32,
    target_array: *mut c_void,
    target_position: Position,
    target: Pitched,
    target_device: i32,
    extent: Extent,
}

call_trace::fields! { PeerCopy3D { source_array, source_position, source, source_device, target_array, target_position, target, target_device, extent } }

/// One side of a box copy: array, position, memory.
type Side = (*mut c_void, Position, Pitched);

/// The driver's order for a box copy.
pub fn box_order(
    (source_array, from, source): Side,
    (target_array, to, target): Side,
    extent: Extent,
) -> Runtime<Memcpy3D> {
    // Boxes are counted in texels where an array takes part, and so are places in arrays; the driver counts bytes.
    let texel = |array: *mut c_void| match array as usize {
        0 => Ok(1),
        // SAFETY: the caller's handle, which the driver checks.
        array => unsafe { texel_bytes(array) },
    };
    let (source_texel, target_texel) = (texel(source_array)?, texel(target_array)?);
    if !source_array.is_null() && !target_array.is_null() && source_texel != target_texel {
        return Err(Error::INVALID_VALUE);
    }
    let kind = |array: *mut c_void| if array.is_null() { memory_type::UNIFIED } else { memory_type::ARRAY };
    Ok(Memcpy3D {
        src_x: from.x * source_texel,
        src_y: from.y,
        src_z: from.z,
        src_lod: 0,
        src_type: kind(source_array),
        src_host: std::ptr::null(),
        src_device: source.pointer,
        src_array: source_array,
        src_reserved: std::ptr::null_mut(),
        src_pitch: source.pitch,
        src_height: source.height,
        dst_x: to.x * target_texel,
        dst_y: to.y,
        dst_z: to.z,
        dst_lod: 0,
        dst_type: kind(target_array),
        dst_host: std::ptr::null_mut(),
        dst_device: target.pointer,
        dst_array: target_array,
        dst_reserved: std::ptr::null_mut(),
        dst_pitch: target.pitch,
        dst_height: target.height,
        width: extent.width * source_texel.max(target_texel),
        height: extent.height,
        depth: extent.depth,
    })
}

unsafe fn copy_box(source: Side, target: Side, extent: Extent, stream: Stream) -> Runtime {
    let order = box_order(source, target, extent)?;
    // SAFETY: the caller's addresses.
    unsafe { call_in_context!(copy_3d(&order, stream)) }
}

unsafe fn copy_2d(
    target: u64,
    target_pitch: usize,
    source: u64,
    source_pitch: usize,
    width: usize,
    height: usize,
    stream: Stream,
) -> Runtime {
    const INVALID_PITCH: Error = Error(12);
    if width > target_pitch || width > source_pitch {
        return Err(INVALID_PITCH);
    }
    let origin = Position { x: 0, y: 0, z: 0 };
    let side = |pointer, pitch| (std::ptr::null_mut(), origin, Pitched { pointer, pitch, width, height });
    let extent = Extent { width, height, depth: 1 };
    // SAFETY: the caller's addresses.
    unsafe { copy_box(side(source, source_pitch), side(target, target_pitch), extent, stream) }
}

/// Copies one by one; the error comes with its index.
unsafe fn copy_batch(
    targets: *const u64,
    sources: *const u64,
    sizes: *const usize,
    count: usize,
    stream: Stream,
) -> Result<(), (usize, Error)> {
    for index in 0..count {
        let copy = || -> Runtime {
            // SAFETY: the caller's lists have `count` entries.
            unsafe {
                let (target, source) = (*targets.add(index), *sources.add(index));
                call_in_context!(copy_async(target, source, *sizes.add(index), stream))
            }
        };
        copy().map_err(|error| (index, error))?;
    }
    Ok(())
}

unsafe fn fill_3d(pitched: Pitched, value: u8, extent: Extent, stream: Stream) -> Runtime {
    for slice in 0..extent.depth {
        let start = pitched.pointer + (slice * pitched.height * pitched.pitch) as u64;
        // SAFETY: the caller's address.
        unsafe {
            call_in_context!(fill_2d(start, pitched.pitch, value, extent.width, extent.height, stream))?
        };
    }
    Ok(())
}

unsafe fn copy_now(target: u64, source: u64, bytes: usize, stream: Stream) -> Runtime {
    // SAFETY: the caller's addresses.
    unsafe {
        if stream.is_null() {
            return call_in_context!(copy(target, source, bytes));
        }
        call_in_context!(copy_async(target, source, bytes, stream))?;
        call!(stream_synchronize(stream))
    }
}

exports! {
    fn cudaMemcpy |cudaMemcpy_ptds as stream (target: u64, source: u64, bytes: usize, _kind: u32) {
        copy_now(target, source, bytes, stream)
    }

    fn cudaMemcpyAsync |cudaMemcpyAsync_ptsz with stream (target: u64, source: u64, bytes: usize, _kind: u32, stream: Stream) {
        call_in_context!(copy_async(target, source, bytes, stream))
    }

    fn cudaMemcpyPeer(target: u64, _to: i32, source: u64, _from: i32, bytes: usize) {
        copy_now(target, source, bytes, std::ptr::null_mut())
    }

    fn cudaMemcpyPeerAsync(target: u64, _to: i32, source: u64, _from: i32, bytes: usize, stream: Stream) {
        call_in_context!(copy_async(target, source, bytes, stream))
    }

    fn cudaMemcpy2D |cudaMemcpy2D_ptds as stream (
        target: u64,
        target_pitch: usize,
        source: u64,
        source_pitch: usize,
        width: usize,
        height: usize,
        _kind: u32,
    ) {
        copy_2d(target, target_pitch, source, source_pitch, width, height, stream)?;
        call!(stream_synchronize(stream))
    }

    fn cudaMemcpy2DAsync |cudaMemcpy2DAsync_ptsz with stream (
        target: u64,
        target_pitch: usize,
        source: u64,
        source_pitch: usize,
        width: usize,
        height: usize,
        _kind: u32,
        stream: Stream,
    ) {
        copy_2d(target, target_pitch, source, source_pitch, width, height, stream)
    }

    fn cudaMemcpy3D |cudaMemcpy3D_ptds as stream (order: *const Copy3D) {
        let order = input(order)?;
        let source = (order.source_array, order.source_position, order.source);
        copy_box(source, (order.target_array, order.target_position, order.target), order.extent, stream)?;
        call!(stream_synchronize(stream))
    }

    fn cudaMemcpy3DAsync |cudaMemcpy3DAsync_ptsz with stream (order: *const Copy3D, stream: Stream) {
        let order = input(order)?;
        let source = (order.source_array, order.source_position, order.source);
        copy_box(source, (order.target_array, order.target_position, order.target), order.extent, stream)
    }

    fn cudaMemcpy3DPeer |cudaMemcpy3DPeer_ptds as stream (order: *const PeerCopy3D) {
        let order = input(order)?;
        let source = (order.source_array, order.source_position, order.source);
        copy_box(source, (order.target_array, order.target_position, order.target), order.extent, stream)?;
        call!(stream_synchronize(stream))
    }

    fn cudaMemcpy3DPeerAsync |cudaMemcpy3DPeerAsync_ptsz with stream (order: *const PeerCopy3D, stream: Stream) {
        let order = input(order)?;
        let source = (order.source_array, order.source_position, order.source);
        copy_box(source, (order.target_array, order.target_position, order.target), order.extent, stream)
    }

    // CUDA 12's form has a place for the index of the copy that failed.
    fn abi12_cudaMemcpyBatchAsync |abi12_cudaMemcpyBatchAsync_ptsz with stream (
        targets: *const u64,
        sources: *const u64,
        sizes: *const usize,
        count: usize,
        _attributes: *const c_void,
        _indices: *const usize,
        _attribute_count: usize,
        failed: *mut usize,
        stream: Stream,
    ) {
        copy_batch(targets, sources, sizes, count, stream).map_err(|(index, error)| {
            if let Some(failed) = failed.as_mut() {
                *failed = index;
            }
            error
        })
    }

    fn abi13_cudaMemcpyBatchAsync |abi13_cudaMemcpyBatchAsync_ptsz with stream (
        targets: *const u64,
        sources: *const u64,
        sizes: *const usize,
        count: usize,
        _attributes: *const c_void,
        _indices: *const usize,
        _attribute_count: usize,
        stream: Stream,
    ) {
        copy_batch(targets, sources, sizes, count, stream).map_err(|(_, error)| error)
    }

    fn cudaMemcpyWithAttributesAsync |cudaMemcpyWithAttributesAsync_ptsz with stream (
        target: u64,
        source: u64,
        bytes: usize,
        _attributes: *const c_void,
        stream: Stream,
    ) {
        call_in_context!(copy_async(target, source, bytes, stream))
    }

    fn cudaMemset3D |cudaMemset3D_ptds as stream (pitched: Pitched, value: i32, extent: Extent) {
        fill_3d(pitched, value as u8, extent, stream)
    }

    fn cudaMemset3DAsync |cudaMemset3DAsync_ptsz with stream (pitched: Pitched, value: i32, extent: Extent, stream: Stream) {
        fill_3d(pitched, value as u8, extent, stream)
    }

    fn cudaMemcpyToSymbol |cudaMemcpyToSymbol_ptds as stream (symbol: *const c_void, source: u64, bytes: usize, offset: usize, _kind: u32) {
        copy_now(variable(symbol)?.0 + offset as u64, source, bytes, stream)
    }

    fn cudaMemcpyFromSymbol |cudaMemcpyFromSymbol_ptds as stream (target: u64, symbol: *const c_void, bytes: usize, offset: usize, _kind: u32) {
        copy_now(target, variable(symbol)?.0 + offset as u64, bytes, stream)
    }

    fn cudaMemcpyToSymbolAsync |cudaMemcpyToSymbolAsync_ptsz with stream (
        symbol: *const c_void,
        source: u64,
        bytes: usize,
        offset: usize,
        _kind: u32,
        stream: Stream,
    ) {
        call_in_context!(copy_async(variable(symbol)?.0 + offset as u64, source, bytes, stream))
    }

    fn cudaMemcpyFromSymbolAsync |cudaMemcpyFromSymbolAsync_ptsz with stream (
        target: u64,
        symbol: *const c_void,
        bytes: usize,
        offset: usize,
        _kind: u32,
        stream: Stream,
    ) {
        call_in_context!(copy_async(target, variable(symbol)?.0 + offset as u64, bytes, stream))
    }

    fn cudaMemset |cudaMemset_ptds as stream (target: u64, value: i32, bytes: usize) {
        call_in_context!(fill(target, value as u8, bytes, stream))
    }

    fn cudaMemsetAsync |cudaMemsetAsync_ptsz with stream (target: u64, value: i32, bytes: usize, stream: Stream) {
        call_in_context!(fill(target, value as u8, bytes, stream))
    }

    fn cudaMemset2D |cudaMemset2D_ptds as stream (target: u64, pitch: usize, value: i32, width: usize, height: usize) {
        call_in_context!(fill_2d(target, pitch, value as u8, width, height, stream))
    }

    fn cudaMemset2DAsync |cudaMemset2DAsync_ptsz with stream (target: u64, pitch: usize, value: i32, width: usize, height: usize, stream: Stream) {
        call_in_context!(fill_2d(target, pitch, value as u8, width, height, stream))
    }
}
