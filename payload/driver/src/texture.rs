//! Texture and surface objects, and texture references.
//!
//! A handle is the address of a [`Descriptor`] in device memory, which kernels read; see there.

use std::collections::HashMap;
use std::sync::Mutex;

use api::structs::{ResourceDesc, TextureDesc, resource_type};
use wire::control::MemoryKind;
use wire::texture::{Descriptor, MAGIC, address, flag, format};

use crate::{CuResult, Cuda, array, context, lock, memory, note};

/// A live object, as the caller described it.
#[derive(Clone, Copy)]
struct Object {
    resource: ResourceDesc,
    texture: Option<TextureDesc>,
    context: u64,
}

static OBJECTS: Mutex<Option<HashMap<u64, Object>>> = Mutex::new(None);

fn with_objects<T>(action: impl FnOnce(&mut HashMap<u64, Object>) -> T) -> T {
    action(lock(&OBJECTS).get_or_insert_default())
}

/// `cuTexObjectCreate`
pub fn create_texture(resource: ResourceDesc, texture: TextureDesc) -> Cuda<u64> {
    let mut descriptor = described(&resource)?;
    let known = address::WRAP..=address::BORDER;
    if texture.filter > 1 || texture.address.iter().any(|mode| !known.contains(mode)) {
        return Err(CuResult::INVALID_VALUE);
    }
    let integers = !matches!(descriptor.format, format::F16 | format::F32);
    let as_integers =
        texture.flags & flag::READ_AS_INTEGER != 0 || matches!(descriptor.format, format::U32 | format::S32);
    if texture.filter == 1 && integers && as_integers && resource.kind != resource_type::LINEAR {
        // Only numbers can be interpolated.
        return Err(CuResult::INVALID_VALUE);
    }
    (descriptor.address, descriptor.filter) = (texture.address, texture.filter);
    (descriptor.flags, descriptor.border) = (texture.flags, texture.border);
    place(descriptor, Object { resource, texture: Some(texture), context: context::current()?.id })
}

/// `cuSurfObjectCreate`
pub fn create_surface(resource: ResourceDesc) -> Cuda<u64> {
    if resource.kind != resource_type::ARRAY {
        return Err(CuResult::INVALID_VALUE);
    }
    let descriptor = described(&resource)?;
    place(descriptor, Object { resource, texture: None, context: context::current()?.id })
}

fn place(descriptor: Descriptor, object: Object) -> Cuda<u64> {
    let handle = memory::allocate(MemoryKind::Device, size_of::<Descriptor>() as u64, 0)?;
    // SAFETY: device memory of this size, mapped here and not yet known to anybody.
    unsafe { (handle as *mut Descriptor).write(descriptor) };
    with_objects(|objects| objects.insert(handle, object));
    Ok(handle)
}

/// `cuTexObjectDestroy`, `cuSurfObjectDestroy`
pub fn destroy(handle: u64) -> Cuda {
    with_objects(|objects| objects.remove(&handle)).ok_or(CuResult::INVALID_VALUE)?;
    memory::free(handle)
}

/// `cuTexObjectGetResourceDesc`, `cuSurfObjectGetResourceDesc`
pub fn resource_of(handle: u64) -> Cuda<ResourceDesc> {
    with_objects(|objects| objects.get(&handle).copied())
        .map(|object| object.resource)
        .ok_or(CuResult::INVALID_VALUE)
}

/// `cuTexObjectGetTextureDesc`
pub fn texture_of(handle: u64) -> Cuda<TextureDesc> {
    with_objects(|objects| objects.get(&handle).copied())
        .and_then(|object| object.texture)
        .ok_or(CuResult::INVALID_VALUE)
}

/// A context ends, and its memory with it.
pub(crate) fn forget_context(context: u64) {
    with_objects(|objects| objects.retain(|_, object| object.context != context));
}

/// Where a resource's texels lie.
fn described(resource: &ResourceDesc) -> Cuda<Descriptor> {
    let mut descriptor = Descriptor {
        magic: MAGIC,
        memory: 0,
        row_pitch: 0,
        slice_pitch: 0,
        extent: [1; 3],
        layers: 0,
        format: 0,
        channels: 0,
        address: [address::CLAMP; 3],
        filter: 0,
        flags: 0,
        linear: 0,
        border: [0.0; 4],
    };
    let count = |size: usize| u32::try_from(size).map_err(|_| CuResult::INVALID_VALUE);
    match resource.kind {
        resource_type::ARRAY => {
            // SAFETY: the kind says which member is meant; any bytes are a handle.
            let array = array::by_handle(unsafe { resource.resource.array })?;
            let d = &array.descriptor;
            let layered = d.flags & array::LAYERED != 0;
            descriptor.memory = array.address;
            (descriptor.row_pitch, descriptor.slice_pitch) = (array.row_pitch, array.slice_pitch);
            let depth = if layered { 1 } else { d.depth.max(1) };
            descriptor.extent = [count(d.width)?, count(d.height.max(1))?, count(depth)?];
            descriptor.layers = if layered { count(d.depth)? } else { 0 };
            (descriptor.format, descriptor.channels) = (d.format, d.channels);
        }
        resource_type::LINEAR => {
            // SAFETY: as above; any bytes are numbers.
            let linear = unsafe { resource.resource.linear };
            (descriptor.memory, descriptor.linear) = (linear.address, 1);
            (descriptor.format, descriptor.channels) = (linear.format, linear.channels);
            let texel = checked_texel(&descriptor)?;
            descriptor.extent[0] = count(linear.bytes / texel as usize)?;
            check_memory(linear.address, linear.bytes as u64)?;
        }
        resource_type::PITCH2D => {
            // SAFETY: as above.
            let pitched = unsafe { resource.resource.pitched };
            (descriptor.memory, descriptor.row_pitch) = (pitched.address, pitched.pitch as u64);
            (descriptor.format, descriptor.channels) = (pitched.format, pitched.channels);
            descriptor.extent = [count(pitched.width)?, count(pitched.height)?, 1];
            let row = checked_texel(&descriptor)? * pitched.width as u64;
            if row > descriptor.row_pitch || pitched.height == 0 {
                return Err(CuResult::INVALID_VALUE);
            }
            let bytes = descriptor.row_pitch * (pitched.height as u64 - 1) + row;
            check_memory(pitched.address, bytes)?;
        }
        _ => {
            note::unsupported("textures and surfaces of mipmapped arrays");
            return Err(CuResult::NOT_SUPPORTED);
        }
    }
    checked_texel(&descriptor)?;
    Ok(descriptor)
}

fn checked_texel(descriptor: &Descriptor) -> Cuda<u64> {
    if format::bytes(descriptor.format).is_none() {
        note::unsupported("textures of compressed, planar and packed formats");
        return Err(CuResult::NOT_SUPPORTED);
    }
    match descriptor.channels {
        1 | 2 | 4 => Ok(descriptor.texel_bytes()),
        _ => Err(CuResult::INVALID_VALUE),
    }
}

fn check_memory(address: u64, bytes: u64) -> Cuda {
    let (start, allocation) = memory::find(address).ok_or(CuResult::INVALID_VALUE)?;
    if address - start + bytes <= allocation.length { Ok(()) } else { Err(CuResult::INVALID_VALUE) }
}
