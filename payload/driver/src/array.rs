//! CUDA arrays: device memory that textures and surfaces read by coordinates.
//!
//! Ours are rows of texels one behind the other; a GPU's order is its own, and no program can see either.

use std::sync::Arc;

use api::structs::Array3DDescriptor;
use wire::control::MemoryKind;
use wire::texture::format;

use crate::handle::Handles;
use crate::{CuResult, Cuda, context, memory, note};

/// `CUDA_ARRAY3D_LAYERED`
pub const LAYERED: u32 = 0x01;
/// `CUDA_ARRAY3D_CUBEMAP`
const CUBEMAP: u32 = 0x04;
/// `CUDA_ARRAY3D_SURFACE_LDST`, `CUDA_ARRAY3D_TEXTURE_GATHER`: any array can do both.
const ALWAYS: u32 = 0x02 | 0x08;
/// Rows begin at multiples of it.
const ROW: u64 = 32;

/// A CUDA array.
pub struct Array {
    /// As the caller described it.
    pub descriptor: Array3DDescriptor,
    /// Address of the first texel.
    pub address: u64,
    /// Bytes from row to row.
    pub row_pitch: u64,
    /// Bytes from slice to slice, or layer to layer.
    pub slice_pitch: u64,
    context: u64,
}

static ARRAYS: Handles<Array> = Handles::new();

/// `cuArrayCreate`, `cuArray3DCreate`
pub fn create(descriptor: Array3DDescriptor) -> Cuda<usize> {
    let channel = format::bytes(descriptor.format);
    if descriptor.flags & !(LAYERED | ALWAYS) != 0 || channel.is_none() {
        let what = if descriptor.flags & CUBEMAP != 0 { "a cube map" } else { "an array of this format" };
        note::unsupported(&format!("cuArray3DCreate of {what}"));
        return Err(CuResult::NOT_SUPPORTED);
    }
    let layered = descriptor.flags & LAYERED != 0;
    let misshapen = descriptor.width == 0 || layered && descriptor.depth == 0;
    if misshapen || !matches!(descriptor.channels, 1 | 2 | 4) {
        return Err(CuResult::INVALID_VALUE);
    }
    let texel = u64::from(channel.unwrap_or(0) * descriptor.channels);
    let row_pitch = (descriptor.width as u64 * texel).next_multiple_of(ROW);
    let slice_pitch = row_pitch * descriptor.height.max(1) as u64;
    let bytes = slice_pitch.checked_mul(descriptor.depth.max(1) as u64).ok_or(CuResult::INVALID_VALUE)?;
    let address = memory::allocate(MemoryKind::Device, bytes, 0)?;
    let context = context::current()?.id;
    Ok(ARRAYS.insert(Arc::new(Array { descriptor, address, row_pitch, slice_pitch, context })))
}

/// `cuArrayDestroy`
pub fn destroy(handle: usize) -> Cuda {
    memory::free(ARRAYS.remove(handle)?.address)
}

/// The array of a handle.
pub fn by_handle(handle: usize) -> Cuda<Arc<Array>> {
    ARRAYS.get(handle)
}

/// A context ends, and its memory with it.
pub(crate) fn forget_context(context: u64) {
    ARRAYS.remove_if(|array| array.context == context);
}

impl Array {
    /// Bytes of a texel.
    pub fn texel_bytes(&self) -> u64 {
        u64::from(format::bytes(self.descriptor.format).unwrap_or(0) * self.descriptor.channels)
    }

    /// Whether a box of a copy lies inside; the first coordinate counts bytes.
    pub fn check_box(&self, at: [usize; 3], extent: [usize; 3]) -> Cuda {
        let d = &self.descriptor;
        let have = [d.width * self.texel_bytes() as usize, d.height.max(1), d.depth.max(1)];
        let fits = |axis: usize| at[axis].checked_add(extent[axis]).is_some_and(|end| end <= have[axis]);
        if (0..3).all(fits) { Ok(()) } else { Err(CuResult::INVALID_VALUE) }
    }

    /// Address of a range of a one-dimensional array.
    pub fn range(&self, offset: usize, bytes: usize) -> Cuda<u64> {
        self.check_box([offset, 0, 0], [bytes, 1, 1])?;
        Ok(self.address + offset as u64)
    }
}
