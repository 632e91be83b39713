//! cuTexObject…, cuSurfObject…

use std::ffi::c_void;

use api::structs::{ResourceDesc, TextureDesc};

use crate::door::*;
use driver::{CuResult, note, texture};

exports! {
    fn cuTexObjectCreate(
        object: *mut u64,
        resource: *const ResourceDesc,
        description: *const TextureDesc,
        view: *const c_void,
    ) {
        if !view.is_null() {
            note::unsupported("cuTexObjectCreate with a view of the resource");
            return Err(CuResult::NOT_SUPPORTED);
        }
        *out(object)? = texture::create_texture(*input(resource)?, *input(description)?)?;
        Ok(())
    }

    fn cuTexObjectDestroy(object: u64) {
        texture::destroy(object)
    }

    fn cuTexObjectGetResourceDesc(resource: *mut ResourceDesc, object: u64) {
        *out(resource)? = texture::resource_of(object)?;
        Ok(())
    }

    fn cuTexObjectGetTextureDesc(description: *mut TextureDesc, object: u64) {
        *out(description)? = texture::texture_of(object)?;
        Ok(())
    }

    fn cuSurfObjectCreate(object: *mut u64, resource: *const ResourceDesc) {
        *out(object)? = texture::create_surface(*input(resource)?)?;
        Ok(())
    }

    fn cuSurfObjectDestroy(object: u64) {
        texture::destroy(object)
    }

    fn cuSurfObjectGetResourceDesc(resource: *mut ResourceDesc, object: u64) {
        *out(resource)? = texture::resource_of(object)?;
        Ok(())
    }
}
