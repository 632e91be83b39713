//! cudaMallocArray and its kin, and copies between arrays and memory.
//!
//! Arrays are the driver's; what differs is how a texel is described, and that boxes are counted in texels.

use std::ffi::c_void;

use api::structs::{Array3DDescriptor, Memcpy3D, memory_type};
use wire::texture::format;

use crate::door::*;
use crate::driver::{call, call_in_context};
use crate::memory::Extent;
use crate::streams::Stream;

/// `cudaChannelFormatDesc`: bits of each channel, and what they are.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChannelDesc {
    pub bits: [i32; 4],
    pub kind: u32,
}

call_trace::fields! { ChannelDesc { bits, kind } }

/// `cudaChannelFormatKind`
mod kind {
    pub const SIGNED: u32 = 0;
    pub const UNSIGNED: u32 = 1;
    pub const FLOAT: u32 = 2;
}

/// Formats by kind and bits of a channel.
const FORMATS: &[(u32, i32, u32)] = &[
    (kind::SIGNED, 8, format::S8),
    (kind::SIGNED, 16, format::S16),
    (kind::SIGNED, 32, format::S32),
    (kind::UNSIGNED, 8, format::U8),
    (kind::UNSIGNED, 16, format::U16),
    (kind::UNSIGNED, 32, format::U32),
    (kind::FLOAT, 16, format::F16),
    (kind::FLOAT, 32, format::F32),
];

impl ChannelDesc {
    /// The driver's format and number of channels.
    pub fn format(&self) -> Runtime<(u32, u32)> {
        const INVALID_CHANNEL_DESCRIPTOR: Error = Error(20);
        let channels = self.bits.iter().take_while(|bits| **bits != 0).count();
        let uniform = self.bits[..channels].iter().all(|bits| *bits == self.bits[0]);
        let ends = self.bits[channels..].iter().all(|bits| *bits == 0);
        let known = FORMATS.iter().find(|(kind, bits, _)| (*kind, *bits) == (self.kind, self.bits[0]));
        match known {
            Some((_, _, format)) if uniform && ends && matches!(channels, 1 | 2 | 4) => {
                Ok((*format, channels as u32))
            }
            _ => Err(INVALID_CHANNEL_DESCRIPTOR),
        }
    }

    fn of(format: u32, channels: u32) -> ChannelDesc {
        let known = FORMATS.iter().find(|(_, _, known)| *known == format);
        let (kind, bits) = known.map_or((0, 0), |(kind, bits, _)| (*kind, *bits));
        let bits = std::array::from_fn(|channel| if (channel as u32) < channels { bits } else { 0 });
        ChannelDesc { bits, kind }
    }
}

pub unsafe fn descriptor_of(array: usize) -> Runtime<Array3DDescriptor> {
    let mut found = Array3DDescriptor { width: 0, height: 0, depth: 0, format: 0, channels: 0, flags: 0 };
    // SAFETY: a place of this frame.
    unsafe { call!(array_descriptor(&mut found, array))? };
    Ok(found)
}

/// Bytes of an array's texel.
pub unsafe fn texel_bytes(array: usize) -> Runtime<usize> {
    // SAFETY: the caller's handle, which the driver checks.
    let descriptor = unsafe { descriptor_of(array)? };
    Ok((format::bytes(descriptor.format).unwrap_or(0) * descriptor.channels) as usize)
}

/// One side of a rectangle: an array and a place in it, or memory and its pitch.
#[derive(Clone, Copy)]
enum Side {
    Array(usize, usize, usize),
    Memory(u64, usize),
}

fn rectangle(target: Side, source: Side, width: usize, height: usize) -> Memcpy3D {
    // SAFETY: numbers and pointers, for which zeros are valid.
    let mut order: Memcpy3D = unsafe { std::mem::zeroed() };
    (order.width, order.height, order.depth) = (width, height, 1);
    match source {
        Side::Array(array, x, y) => {
            (order.src_type, order.src_array) = (memory_type::ARRAY, array as *mut c_void);
            (order.src_x, order.src_y) = (x, y);
        }
        Side::Memory(address, pitch) => {
            (order.src_type, order.src_device) = (memory_type::UNIFIED, address);
            (order.src_pitch, order.src_height) = (pitch, height);
        }
    }
    match target {
        Side::Array(array, x, y) => {
            (order.dst_type, order.dst_array) = (memory_type::ARRAY, array as *mut c_void);
            (order.dst_x, order.dst_y) = (x, y);
        }
        Side::Memory(address, pitch) => {
            (order.dst_type, order.dst_device) = (memory_type::UNIFIED, address);
            (order.dst_pitch, order.dst_height) = (pitch, height);
        }
    }
    order
}

unsafe fn copy(target: Side, source: Side, width: usize, height: usize, stream: Stream) -> Runtime {
    // SAFETY: the caller's addresses and handles.
    unsafe { call_in_context!(copy_3d(&rectangle(target, source, width, height), stream)) }
}

/// Bytes that go on in the next row where one ends; `to_array`: which way.
unsafe fn copy_run(
    array: usize,
    (mut x, mut y): (usize, usize),
    mut memory: u64,
    mut bytes: usize,
    to_array: bool,
    stream: Stream,
) -> Runtime {
    // SAFETY: the caller's addresses and handle.
    unsafe {
        let row = descriptor_of(array)?.width * texel_bytes(array)?;
        while bytes > 0 {
            let part = bytes.min(row.checked_sub(x).filter(|left| *left > 0).ok_or(Error::INVALID_VALUE)?);
            let (there, here) = (Side::Array(array, x, y), Side::Memory(memory, part));
            let (target, source) = if to_array { (there, here) } else { (here, there) };
            copy(target, source, part, 1, stream)?;
            (x, y, memory, bytes) = (0, y + 1, memory + part as u64, bytes - part);
        }
    }
    Ok(())
}

exports! {
    fn cudaMallocArray(array: *mut usize, channels: *const ChannelDesc, width: usize, height: usize, flags: u32) {
        let (format, channels) = input(channels)?.format()?;
        let descriptor = Array3DDescriptor { width, height, depth: 0, format, channels, flags };
        call_in_context!(array_create(out(array)?, &descriptor))
    }

    fn cudaMalloc3DArray(array: *mut usize, channels: *const ChannelDesc, extent: Extent, flags: u32) {
        let (format, channels) = input(channels)?.format()?;
        let Extent { width, height, depth } = extent;
        let descriptor = Array3DDescriptor { width, height, depth, format, channels, flags };
        call_in_context!(array_create(out(array)?, &descriptor))
    }

    fn cudaFreeArray(array: usize) {
        if array == 0 {
            return Ok(());
        }
        call_in_context!(array_destroy(array))
    }

    fn cudaGetChannelDesc(channels: *mut ChannelDesc, array: usize) {
        let found = descriptor_of(array)?;
        *out(channels)? = ChannelDesc::of(found.format, found.channels);
        Ok(())
    }

    fn cudaArrayGetInfo(channels: *mut ChannelDesc, extent: *mut Extent, flags: *mut u32, array: usize) {
        let found = descriptor_of(array)?;
        if let Some(target) = channels.as_mut() {
            *target = ChannelDesc::of(found.format, found.channels);
        }
        if let Some(target) = extent.as_mut() {
            *target = Extent { width: found.width, height: found.height, depth: found.depth };
        }
        if let Some(target) = flags.as_mut() {
            *target = found.flags;
        }
        Ok(())
    }

    fn cudaMemcpy2DToArray |cudaMemcpy2DToArray_ptds as stream (
        array: usize,
        x: usize,
        y: usize,
        source: u64,
        pitch: usize,
        width: usize,
        height: usize,
        _kind: u32,
    ) {
        copy(Side::Array(array, x, y), Side::Memory(source, pitch), width, height, stream)?;
        call!(stream_synchronize(stream))
    }

    fn cudaMemcpy2DToArrayAsync |cudaMemcpy2DToArrayAsync_ptsz with stream (
        array: usize,
        x: usize,
        y: usize,
        source: u64,
        pitch: usize,
        width: usize,
        height: usize,
        _kind: u32,
        stream: Stream,
    ) {
        copy(Side::Array(array, x, y), Side::Memory(source, pitch), width, height, stream)
    }

    fn cudaMemcpy2DFromArray |cudaMemcpy2DFromArray_ptds as stream (
        target: u64,
        pitch: usize,
        array: usize,
        x: usize,
        y: usize,
        width: usize,
        height: usize,
        _kind: u32,
    ) {
        copy(Side::Memory(target, pitch), Side::Array(array, x, y), width, height, stream)?;
        call!(stream_synchronize(stream))
    }

    fn cudaMemcpy2DFromArrayAsync |cudaMemcpy2DFromArrayAsync_ptsz with stream (
        target: u64,
        pitch: usize,
        array: usize,
        x: usize,
        y: usize,
        width: usize,
        height: usize,
        _kind: u32,
        stream: Stream,
    ) {
        copy(Side::Memory(target, pitch), Side::Array(array, x, y), width, height, stream)
    }

    fn cudaMemcpy2DArrayToArray |cudaMemcpy2DArrayToArray_ptds as stream (
        target: usize,
        target_x: usize,
        target_y: usize,
        source: usize,
        source_x: usize,
        source_y: usize,
        width: usize,
        height: usize,
        _kind: u32,
    ) {
        let (target, source) =
            (Side::Array(target, target_x, target_y), Side::Array(source, source_x, source_y));
        copy(target, source, width, height, stream)?;
        call!(stream_synchronize(stream))
    }

    fn cudaMemcpyToArray |cudaMemcpyToArray_ptds as stream (
        array: usize,
        x: usize,
        y: usize,
        source: u64,
        bytes: usize,
        _kind: u32,
    ) {
        copy_run(array, (x, y), source, bytes, true, stream)?;
        call!(stream_synchronize(stream))
    }

    fn cudaMemcpyToArrayAsync |cudaMemcpyToArrayAsync_ptsz with stream (
        array: usize,
        x: usize,
        y: usize,
        source: u64,
        bytes: usize,
        _kind: u32,
        stream: Stream,
    ) {
        copy_run(array, (x, y), source, bytes, true, stream)
    }

    fn cudaMemcpyFromArray |cudaMemcpyFromArray_ptds as stream (
        target: u64,
        array: usize,
        x: usize,
        y: usize,
        bytes: usize,
        _kind: u32,
    ) {
        copy_run(array, (x, y), target, bytes, false, stream)?;
        call!(stream_synchronize(stream))
    }

    fn cudaMemcpyFromArrayAsync |cudaMemcpyFromArrayAsync_ptsz with stream (
        target: u64,
        array: usize,
        x: usize,
        y: usize,
        bytes: usize,
        _kind: u32,
        stream: Stream,
    ) {
        copy_run(array, (x, y), target, bytes, false, stream)
    }
}

/// Bits of each channel of a texture's elements: only a way to write them down.
#[unsafe(no_mangle)]
pub extern "C" fn cudaCreateChannelDesc(x: i32, y: i32, z: i32, w: i32, kind: u32) -> ChannelDesc {
    ChannelDesc { bits: [x, y, z, w], kind }
}
