//! Texture references: variables of a module (`.texref`) that a program binds to memory or arrays, as was done before there
//! were texture objects.
//!
//! The variable holds a handle like a texture object's. Each change waits for the work that may use the old state, and writes
//! the whole descriptor anew.

use std::sync::{Arc, Mutex};

use api::structs::{LinearResource, PitchedResource, Resource, ResourceDesc, TextureDesc, resource_type};
use wire::control::MemoryKind;
use wire::texture::{Descriptor, address, format};

use crate::handle::Handles;
use crate::{CuResult, Cuda, array, context, gone, lock, memory, module, texture};

/// A texture reference.
pub struct Reference {
    /// Id of the module.
    module: u64,
    /// Address of its variable.
    variable: u64,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
struct State {
    resource: Option<ResourceDesc>,
    texture: TextureDesc,
    /// `CUarray_format` and channels of plain memory.
    format: (u32, u32),
    /// Where the descriptor lies; 0 before the first binding.
    descriptor: u64,
}

static REFERENCES: Handles<Reference> = Handles::new();

/// `cuModuleGetTexRef`: the same handle for the same variable.
pub fn of_module(module: usize, name: &str) -> Cuda<usize> {
    const VARIABLE: u64 = size_of::<u64>() as u64;
    let (variable, length) = module::get_global(module, name)?;
    if length != VARIABLE {
        return Err(CuResult::NOT_FOUND);
    }
    context::current()?;
    let known = REFERENCES.all().into_iter().find(|known| known.variable == variable);
    if let Some(known) = known {
        return Ok(Handles::of(&known));
    }
    let texture = TextureDesc {
        address: [address::CLAMP; 3],
        filter: 0,
        flags: 0,
        anisotropy: 0,
        mipmap_filter: 0,
        mipmap_bias: 0.0,
        mipmap_least: 0.0,
        mipmap_most: 0.0,
        border: [0.0; 4],
        reserved: [0; 12],
    };
    let state = State { resource: None, texture, format: (format::F32, 1), descriptor: 0 };
    let module = module::by_handle(module)?.id;
    Ok(REFERENCES.insert(Arc::new(Reference { module, variable, state: Mutex::new(state) })))
}

/// Whether a handle is a reference's.
pub fn check(handle: usize) -> Cuda {
    REFERENCES.get(handle).map(drop)
}

/// A module ends, and its variables with it.
pub(crate) fn forget_module(module: u64) {
    for reference in REFERENCES.remove_if(|reference| reference.module == module) {
        let _ = memory::free(lock(&reference.state).descriptor);
    }
}

/// Changes how a reference is read; `change` may refuse.
pub fn set(handle: usize, change: impl FnOnce(&mut TextureDesc) -> Cuda) -> Cuda {
    update(handle, |state| change(&mut state.texture))
}

/// `cuTexRefSetFormat`, before or after plain memory is bound.
pub fn set_format(handle: usize, format: u32, channels: u32) -> Cuda {
    update(handle, |state| {
        state.format = (format, channels);
        if let Some(bound) = &mut state.resource
            && bound.kind == resource_type::LINEAR
        {
            // SAFETY: the kind says which member is meant; it is numbers.
            let linear = unsafe { bound.resource.linear };
            bound.resource = Resource { linear: LinearResource { format, channels, ..linear } };
        }
        Ok(())
    })
}

/// `cuTexRefSetArray`
pub fn set_array(handle: usize, array: usize) -> Cuda {
    array::by_handle(array)?;
    update(handle, |state| {
        let resource = Resource { array };
        state.resource = Some(ResourceDesc { kind: resource_type::ARRAY, resource, flags: 0 });
        Ok(())
    })
}

/// `cuTexRefSetAddress`; nothing is bound by no bytes.
pub fn set_address(handle: usize, address: u64, bytes: usize) -> Cuda {
    update(handle, |state| {
        let (format, channels) = state.format;
        let resource = Resource { linear: LinearResource { address, format, channels, bytes } };
        let bound = ResourceDesc { kind: resource_type::LINEAR, resource, flags: 0 };
        state.resource = (bytes > 0).then_some(bound);
        Ok(())
    })
}

/// `cuTexRefSetAddress2D`
pub fn set_plane(handle: usize, plane: PitchedResource) -> Cuda {
    update(handle, |state| {
        state.format = (plane.format, plane.channels);
        let resource = Resource { pitched: plane };
        state.resource = Some(ResourceDesc { kind: resource_type::PITCH2D, resource, flags: 0 });
        Ok(())
    })
}

fn update(handle: usize, change: impl FnOnce(&mut State) -> Cuda) -> Cuda {
    let reference = REFERENCES.get(handle)?;
    let mut state = lock(&reference.state);
    let mut fresh = *state;
    change(&mut fresh)?;
    context::current()?.engine.wait_all().map_err(gone)?;
    let handle = match &fresh.resource {
        None => 0,
        Some(resource) => {
            let descriptor = texture::texture_descriptor(resource, &fresh.texture)?;
            if fresh.descriptor == 0 {
                let bytes = size_of::<Descriptor>() as u64;
                fresh.descriptor = memory::allocate(MemoryKind::Device, bytes, 0)?;
            }
            // SAFETY: device memory of this size, mapped here; no kernel runs that could read it.
            unsafe { (fresh.descriptor as *mut Descriptor).write(descriptor) };
            fresh.descriptor
        }
    };
    // SAFETY: the module's variable, eight bytes of device memory, mapped here.
    unsafe { (reference.variable as *mut u64).write(handle) };
    *state = fresh;
    Ok(())
}
