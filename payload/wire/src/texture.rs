//! What the handle of a texture or surface object means: the address of a [`Descriptor`] in device memory.
//!
//! The driver writes it when the object is made, kernels read it through their memory like anything else; so making one costs
//! no command, and a stale or wrong handle is a wrong address. Numbers are those of the driver API (`cuda.h`, names only).

use bytemuck::{Pod, Zeroable};

/// Where texels lie and how they are read.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
pub struct Descriptor {
    /// [`MAGIC`]; other bytes are no descriptor.
    pub magic: u64,
    /// Address of the first texel.
    pub memory: u64,
    /// Bytes from one row to the next.
    pub row_pitch: u64,
    /// Bytes from one slice, or layer, to the next.
    pub slice_pitch: u64,
    /// Texels in x, y, z; 1 in dimensions that do not exist.
    pub extent: [u32; 3],
    /// Layers; 0 if it is not layered.
    pub layers: u32,
    /// `CUarray_format`: [`mod@format`].
    pub format: u32,
    /// Channels of a texel: 1, 2 or 4.
    pub channels: u32,
    /// `CUaddress_mode` in x, y, z: [`address`].
    pub address: [u32; 3],
    /// `CUfilter_mode`: 0 takes the nearest texel, 1 interpolates.
    pub filter: u32,
    /// `CU_TRSF_…`: [`flag`].
    pub flags: u32,
    /// Not 0: plain memory, which reads as 0 outside.
    pub linear: u32,
    /// What border addressing gives.
    pub border: [f32; 4],
}

/// Begins every descriptor.
pub const MAGIC: u64 = 0x7465_7874_7572_6531;

/// `CUarray_format`
pub mod format {
    /// `CU_AD_FORMAT_UNSIGNED_INT8`
    pub const U8: u32 = 0x01;
    /// `CU_AD_FORMAT_UNSIGNED_INT16`
    pub const U16: u32 = 0x02;
    /// `CU_AD_FORMAT_UNSIGNED_INT32`
    pub const U32: u32 = 0x03;
    /// `CU_AD_FORMAT_SIGNED_INT8`
    pub const S8: u32 = 0x08;
    /// `CU_AD_FORMAT_SIGNED_INT16`
    pub const S16: u32 = 0x09;
    /// `CU_AD_FORMAT_SIGNED_INT32`
    pub const S32: u32 = 0x0a;
    /// `CU_AD_FORMAT_HALF`
    pub const F16: u32 = 0x10;
    /// `CU_AD_FORMAT_FLOAT`
    pub const F32: u32 = 0x20;

    /// Bytes of a channel, for the formats above.
    pub const fn bytes(format: u32) -> Option<u32> {
        match format {
            U8 | S8 => Some(1),
            U16 | S16 | F16 => Some(2),
            U32 | S32 | F32 => Some(4),
            _ => None,
        }
    }
}

/// `CUaddress_mode`
pub mod address {
    /// `CU_TR_ADDRESS_MODE_WRAP`
    pub const WRAP: u32 = 0;
    /// `CU_TR_ADDRESS_MODE_CLAMP`
    pub const CLAMP: u32 = 1;
    /// `CU_TR_ADDRESS_MODE_MIRROR`
    pub const MIRROR: u32 = 2;
    /// `CU_TR_ADDRESS_MODE_BORDER`
    pub const BORDER: u32 = 3;
}

/// `CU_TRSF_…`
pub mod flag {
    /// `CU_TRSF_READ_AS_INTEGER`: narrow integers are not turned into numbers between -1 and 1.
    pub const READ_AS_INTEGER: u32 = 0x01;
    /// `CU_TRSF_NORMALIZED_COORDINATES`
    pub const NORMALIZED: u32 = 0x02;
    /// `CU_TRSF_SRGB`
    pub const SRGB: u32 = 0x10;
}

impl Descriptor {
    /// Bytes of a texel.
    pub fn texel_bytes(&self) -> u64 {
        u64::from(format::bytes(self.format).unwrap_or(0) * self.channels)
    }
}
