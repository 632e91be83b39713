//! cuModuleGetTexRef, cuTexRefSet…

use std::ffi::c_char;

use api::structs::{ArrayDescriptor, PitchedResource};

use crate::door::*;
use driver::{CuResult, texture_reference};

exports! {
    fn cuModuleGetTexRef(reference: *mut usize, module: usize, name: *const c_char) {
        *out(reference)? = texture_reference::of_module(module, text(name)?)?;
        Ok(())
    }

    fn cuTexRefSetArray(reference: usize, array: usize, _flags: u32) {
        texture_reference::set_array(reference, array)
    }

    fn cuTexRefSetAddress_v2(offset: *mut usize, reference: usize, address: u64, bytes: usize) {
        // Texels may begin anywhere.
        maybe(offset, 0);
        texture_reference::set_address(reference, address, bytes)
    }

    fn cuTexRefSetAddress2D_v3(reference: usize, plane: *const ArrayDescriptor, address: u64, pitch: usize) {
        let ArrayDescriptor { width, height, format, channels } = *input(plane)?;
        let plane = PitchedResource { address, format, channels, width, height, pitch };
        texture_reference::set_plane(reference, plane)
    }

    fn cuTexRefSetFormat(reference: usize, format: u32, channels: i32) {
        texture_reference::set_format(reference, format, channels.try_into().map_err(|_| CuResult::INVALID_VALUE)?)
    }

    fn cuTexRefSetAddressMode(reference: usize, dimension: i32, mode: u32) {
        texture_reference::set(reference, |texture| {
            let axis = usize::try_from(dimension).map_err(|_| CuResult::INVALID_VALUE)?;
            *texture.address.get_mut(axis).ok_or(CuResult::INVALID_VALUE)? = mode;
            Ok(())
        })
    }

    fn cuTexRefSetFilterMode(reference: usize, mode: u32) {
        texture_reference::set(reference, |texture| {
            texture.filter = mode;
            Ok(())
        })
    }

    fn cuTexRefSetFlags(reference: usize, flags: u32) {
        texture_reference::set(reference, |texture| {
            texture.flags = flags;
            Ok(())
        })
    }

    fn cuTexRefSetBorderColor(reference: usize, color: *const [f32; 4]) {
        let color = *input(color)?;
        texture_reference::set(reference, |texture| {
            texture.border = color;
            Ok(())
        })
    }
}
