//! cudaCreateTextureObject, cudaCreateSurfaceObject

use std::ffi::c_void;

use api::structs::{LinearResource, PitchedResource, Resource, ResourceDesc, TextureDesc, resource_type};
use wire::texture::flag;

use crate::arrays::ChannelDesc;
use crate::door::*;
use crate::driver::{call, call_in_context};

/// `cudaResourceDesc`: its kind, and what the kind says. Kinds have the driver's numbers.
#[repr(C)]
pub struct RuntimeResource {
    kind: u32,
    resource: RuntimeUnion,
}

call_trace::fields! { RuntimeResource { kind } }

#[repr(C)]
union RuntimeUnion {
    array: usize,
    linear: RuntimeLinear,
    pitched: RuntimePitched,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct RuntimeLinear {
    address: u64,
    channels: ChannelDesc,
    bytes: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct RuntimePitched {
    address: u64,
    channels: ChannelDesc,
    width: usize,
    height: usize,
    pitch: usize,
}

/// `cudaTextureDesc`, without what newer versions have behind it.
#[repr(C)]
pub struct RuntimeTexture {
    address: [u32; 3],
    filter: u32,
    read_mode: u32,
    srgb: i32,
    border: [f32; 4],
    normalized: i32,
    anisotropy: u32,
    mipmap_filter: u32,
    mipmap_bias: f32,
    mipmap_least: f32,
    mipmap_most: f32,
}

call_trace::fields! { RuntimeTexture { address, filter, read_mode, srgb, border, normalized } }

fn resource(given: &RuntimeResource) -> Runtime<ResourceDesc> {
    let resource = match given.kind {
        // SAFETY: the kind says which member is meant; each is numbers.
        resource_type::ARRAY | resource_type::MIPMAPPED_ARRAY => unsafe {
            Resource { array: given.resource.array }
        },
        resource_type::LINEAR => {
            // SAFETY: as above.
            let linear = unsafe { given.resource.linear };
            let (format, channels) = linear.channels.format()?;
            Resource {
                linear: LinearResource { address: linear.address, format, channels, bytes: linear.bytes },
            }
        }
        resource_type::PITCH2D => {
            // SAFETY: as above.
            let RuntimePitched { address, channels, width, height, pitch } =
                unsafe { given.resource.pitched };
            let (format, channels) = channels.format()?;
            Resource { pitched: PitchedResource { address, format, channels, width, height, pitch } }
        }
        _ => return Err(Error::INVALID_VALUE),
    };
    Ok(ResourceDesc { kind: given.kind, resource, flags: 0 })
}

fn texture(given: &RuntimeTexture) -> TextureDesc {
    const AS_ELEMENTS: u32 = 0;
    let flag = |holds: bool, flag: u32| if holds { flag } else { 0 };
    TextureDesc {
        address: given.address,
        filter: given.filter,
        flags: flag(given.read_mode == AS_ELEMENTS, flag::READ_AS_INTEGER)
            | flag(given.normalized != 0, flag::NORMALIZED)
            | flag(given.srgb != 0, flag::SRGB),
        anisotropy: given.anisotropy,
        mipmap_filter: given.mipmap_filter,
        mipmap_bias: given.mipmap_bias,
        mipmap_least: given.mipmap_least,
        mipmap_most: given.mipmap_most,
        border: given.border,
        reserved: [0; 12],
    }
}

exports! {
    fn cudaCreateTextureObject(
        object: *mut u64,
        given: *const RuntimeResource,
        description: *const RuntimeTexture,
        view: *const c_void,
    ) {
        let (resource, texture) = (resource(input(given)?)?, texture(input(description)?));
        call_in_context!(texture_create(out(object)?, &resource, &texture, view))
    }

    fn cudaCreateTextureObject_v2(
        object: *mut u64,
        given: *const RuntimeResource,
        description: *const RuntimeTexture,
        view: *const c_void,
    ) {
        let (resource, texture) = (resource(input(given)?)?, texture(input(description)?));
        call_in_context!(texture_create(out(object)?, &resource, &texture, view))
    }

    fn cudaDestroyTextureObject(object: u64) {
        if object == 0 {
            return Ok(());
        }
        call!(texture_destroy(object))
    }

    fn cudaCreateSurfaceObject(object: *mut u64, given: *const RuntimeResource) {
        call_in_context!(surface_create(out(object)?, &resource(input(given)?)?))
    }

    fn cudaDestroySurfaceObject(object: u64) {
        if object == 0 {
            return Ok(());
        }
        call!(surface_destroy(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_have_the_sizes_of_the_c_interface() {
        assert_eq!(size_of::<RuntimeResource>(), 64);
        assert_eq!(size_of::<RuntimeLinear>(), 40);
        assert_eq!(size_of::<RuntimePitched>(), 56);
        assert_eq!(size_of::<RuntimeTexture>(), 64);
    }
}
