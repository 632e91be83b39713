//! cudaBindTexture…: texture references of CUDA 11 and before, over the driver's.
//!
//! Host code has a [`TextureReference`] per texture, which the program may change before it binds memory or an array; binding gives
//! the driver's reference what it says then.

use std::ffi::c_void;

use api::structs::ArrayDescriptor;
use wire::texture::flag;

use crate::arrays::ChannelDesc;
use crate::door::*;
use crate::driver::call;
use crate::registration::{self, Texture};

/// `textureReference`
#[repr(C)]
pub struct TextureReference {
    normalized: i32,
    filter: u32,
    address: [u32; 3],
    channels: ChannelDesc,
    srgb: i32,
    anisotropy: u32,
    mipmap_filter: u32,
    mipmap_bias: f32,
    mipmap_least: f32,
    mipmap_most: f32,
    no_trilinear_optimization: i32,
    reserved: [i32; 14],
}

call_trace::fields! { TextureReference { normalized, filter, address, channels } }

/// Unbinds a texture.
fn unbind(texture: &Texture) -> Runtime {
    // SAFETY: a place of this frame; nothing is bound by no bytes.
    unsafe { call!(reference_address(&mut 0, texture.reference, 0, 0)) }
}

/// Unbinds the texture of a host-side variable and tells the driver how it is to be read; what to read is for the caller.
///
/// # Safety
/// `host`, if it was registered, must be a reference.
unsafe fn prepare(host: *const TextureReference, channels: Option<&ChannelDesc>) -> Runtime<Texture> {
    let texture = registration::texture(host.cast())?;
    // SAFETY: the caller's promise; registered variables live as long as the program.
    let said = unsafe { &*host };
    unbind(&texture)?;
    let flag = |holds: bool, flag: u32| if holds { flag } else { 0 };
    let flags = flag(!texture.reads_fractions, flag::READ_AS_INTEGER)
        | flag(said.normalized != 0, flag::NORMALIZED)
        | flag(said.srgb != 0, flag::SRGB);
    // SAFETY: all of them take numbers, and refuse those that they do not know.
    unsafe {
        if let Some(channels) = channels {
            let (format, count) = channels.format()?;
            call!(reference_format(texture.reference, format, count as i32))?;
        }
        for (axis, mode) in (0..).zip(said.address) {
            call!(reference_address_mode(texture.reference, axis, mode))?;
        }
        call!(reference_flags(texture.reference, flags))?;
        call!(reference_filter(texture.reference, said.filter))?;
    }
    Ok(texture)
}

exports! {
    fn cudaBindTexture(
        offset: *mut usize,
        host: *const TextureReference,
        address: u64,
        channels: *const ChannelDesc,
        bytes: usize,
    ) {
        let texture = prepare(host, Some(input(channels)?))?;
        // Who does not say how much means all that there is.
        let (mut start, mut length) = (0, 0);
        call!(address_range(&mut start, &mut length, address))?;
        let bytes = bytes.min(start as usize + length - address as usize);
        let mut begins = 0;
        call!(reference_address(&mut begins, texture.reference, address, bytes))?;
        if let Some(offset) = offset.as_mut() {
            *offset = begins;
        }
        Ok(())
    }

    fn cudaBindTexture2D(
        offset: *mut usize,
        host: *const TextureReference,
        address: u64,
        channels: *const ChannelDesc,
        width: usize,
        height: usize,
        pitch: usize,
    ) {
        let channels = input(channels)?;
        let texture = prepare(host, Some(channels))?;
        let (format, channels) = channels.format()?;
        let plane = ArrayDescriptor { width, height, format, channels };
        call!(reference_plane(texture.reference, &plane, address, pitch))?;
        if let Some(offset) = offset.as_mut() {
            *offset = 0;
        }
        Ok(())
    }

    fn cudaBindTextureToArray(host: *const TextureReference, array: usize, _channels: *const ChannelDesc) {
        const OVERRIDE_FORMAT: u32 = 1;
        let texture = prepare(host, None)?;
        call!(reference_array(texture.reference, array, OVERRIDE_FORMAT))
    }

    fn cudaUnbindTexture(host: *const TextureReference) {
        unbind(&registration::texture(host.cast())?)
    }

    fn cudaGetTextureAlignmentOffset(offset: *mut usize, host: *const TextureReference) {
        // Texels may begin anywhere.
        registration::texture(host.cast())?;
        *out(offset)? = 0;
        Ok(())
    }

    fn cudaGetTextureReference(reference: *mut *const c_void, symbol: *const c_void) {
        registration::texture(symbol)?;
        *out(reference)? = symbol;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_has_the_size_of_the_c_interface() {
        assert_eq!(size_of::<TextureReference>(), 124);
    }
}
