//! What each type of argument looks like.

use std::ffi::{c_char, c_void};

use api::structs::*;
use wire::trace::value::{LONGEST_LIST, Writer};

use crate::memory::{read, read_text};

/// Something that is passed to a function.
pub trait Argument {
    /// What was passed.
    fn given(&self, to: &mut Writer, name: &str);

    /// What a call that has succeeded wrote through it; nothing, if it is none that can be written through.
    fn told(&self, _to: &mut Writer, _name: &str) {}
}

/// Something that can lie behind an address. Any bytes of its size must be one: what is there may be anything.
pub trait Shown {
    /// It is one thing, and none of a list: shown also where a call is only given it.
    const IS_WHOLE: bool = false;

    /// Shows it.
    fn show(&self, to: &mut Writer, name: &str);

    /// Shows what lies at an address, if that can be read.
    fn show_at(address: *const Self, to: &mut Writer, name: &str) -> bool
    where
        Self: Sized,
    {
        let Some(value) = read(address) else { return false };
        // SAFETY: any bytes are one, by the trait's text. It is looked at, and never dropped.
        unsafe { value.assume_init_ref() }.show(to, name);
        true
    }
}

impl<T: Shown> Argument for *mut T {
    fn given(&self, to: &mut Writer, name: &str) {
        to.address(name, *self as u64);
    }

    fn told(&self, to: &mut Writer, name: &str) {
        T::show_at(*self, to, name);
    }
}

impl<T: Shown> Argument for *const T {
    fn given(&self, to: &mut Writer, name: &str) {
        match T::IS_WHOLE && !self.is_null() && T::show_at(*self, to, name) {
            true => {}
            false => to.address(name, *self as u64),
        }
    }
}

/// Behind an address of this type lies whatever the function says.
impl Shown for c_void {
    fn show(&self, _to: &mut Writer, _name: &str) {}

    fn show_at(_address: *const Self, _to: &mut Writer, _name: &str) -> bool {
        false
    }
}

/// Behind an address of this type lies a text.
impl Shown for c_char {
    const IS_WHOLE: bool = true;

    fn show(&self, to: &mut Writer, name: &str) {
        to.signed(name, i64::from(*self));
    }

    fn show_at(address: *const Self, to: &mut Writer, name: &str) -> bool {
        let text = read_text(address);
        text.map(|text| to.text(name, &text)).is_some()
    }
}

impl Argument for c_char {
    fn given(&self, to: &mut Writer, name: &str) {
        self.show(to, name);
    }
}

macro_rules! numbers {
    ($($type:ty: $show:ident as $wide:ty;)*) => {$(
        impl Shown for $type {
            fn show(&self, to: &mut Writer, name: &str) {
                to.$show(name, *self as $wide);
            }
        }
        crate::by_value!($type);
    )*};
}

numbers! {
    u8: unsigned as u64;
    u16: unsigned as u64;
    u32: unsigned as u64;
    u64: unsigned as u64;
    usize: unsigned as u64;
    i32: signed as i64;
    i64: signed as i64;
    f32: float as f64;
    f64: float as f64;
}

/// Addresses behind addresses are shown, and not followed.
impl<T> Shown for *mut T {
    fn show(&self, to: &mut Writer, name: &str) {
        to.address(name, *self as u64);
    }
}

impl<T> Shown for *const T {
    fn show(&self, to: &mut Writer, name: &str) {
        to.address(name, *self as u64);
    }
}

macro_rules! lists {
    ($($element:ty),*) => {$(
        impl<const N: usize> Shown for [$element; N] {
            fn show(&self, to: &mut Writer, name: &str) {
                let shown = &self[..N.min(LONGEST_LIST)];
                to.fields(name, shown.len());
                shown.iter().for_each(|element| element.show(to, ""));
            }
        }
    )*};
}

lists! { u32, i32, u64, f32 }

/// Bytes are an identity, or mean what another argument says.
impl<const N: usize> Shown for [u8; N] {
    fn show(&self, to: &mut Writer, name: &str) {
        to.opaque(name);
    }
}

macro_rules! functions {
    ($($type:ty),*) => {$(
        impl Shown for $type {
            fn show(&self, to: &mut Writer, name: &str) {
                to.address(name, self.map_or(0, |function| function as usize as u64));
            }
        }
        crate::by_value!($type);
    )*};
}

functions! {
    Option<unsafe extern "C" fn(*mut c_void)>,
    Option<unsafe extern "C" fn(usize, u32, *mut c_void)>,
    Option<unsafe extern "C" fn(i32) -> usize>
}

crate::fields! {
    Memcpy2D {
        src_x, src_y, src_type, src_host, src_device, src_array, src_pitch,
        dst_x, dst_y, dst_type, dst_host, dst_device, dst_array, dst_pitch, width, height,
    }
    Memcpy3D {
        src_x, src_y, src_z, src_type, src_host, src_device, src_array, src_pitch, src_height,
        dst_x, dst_y, dst_z, dst_type, dst_host, dst_device, dst_array, dst_pitch, dst_height, width, height, depth,
    }
    ArrayDescriptor { width, height, format, channels }
    Array3DDescriptor { width, height, depth, format, channels, flags }
    TextureDesc { address, filter, flags, anisotropy, border }
    ResourceDesc { kind, flags }
    KernelNodeParams { function, grid, block, shared, parameters, extra }
    MemsetNodeParams { target, pitch, value, element, width, height }
    HostNodeParams { function, data }
    MemPoolProps { allocation_type, handle_types, location_type, location, max_size }
    MemAllocNodeParams { pool, bytes, address }
    BatchMemOpNodeParams { context, count, operations, flags }
    StreamMemOp { operation, address, value, flags }
    GraphNodeParams { kind }
    LaunchConfig { grid, block, shared, stream, attributes, attribute_count }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::trace::value::{Named, Reader};

    fn shown(describe: impl FnOnce(&mut Writer)) -> String {
        let mut writer = Writer::new(&[]);
        describe(&mut writer);
        let (values, _) = Reader::new(writer.finish()).values();
        values.iter().map(Named::to_string).collect::<Vec<_>>().join("; ")
    }

    fn given(argument: &dyn Argument) -> String {
        shown(|to| argument.given(to, "a"))
    }

    fn told(argument: &dyn Argument) -> String {
        shown(|to| argument.told(to, "a"))
    }

    #[test]
    fn numbers_are_given_and_told_through_addresses() {
        let mut place = 5u64;
        let address = &raw mut place;
        assert_eq!((given(&7u32), told(&7u32)), ("a: 7".into(), String::new()));
        assert_eq!(given(&address), format!("a: {:#x}", address as usize));
        assert_eq!(told(&address), "a: 5");
        assert_eq!(told(&std::ptr::null_mut::<u64>()), "");
        assert_eq!(told(&(16 as *mut u64)), "");
        assert_eq!(given(&(16 as *const u64)), "a: 0x10", "a list is not looked into");
    }

    #[test]
    fn texts_and_structures_are_given() {
        assert_eq!(given(&c"saxpy".as_ptr()), "a: \"saxpy\"");
        let plane = ArrayDescriptor { width: 4, height: 2, format: 0x20, channels: 1 };
        assert_eq!(given(&(&raw const plane)), "a: {width: 4, height: 2, format: 32, channels: 1}");
        assert_eq!(given(&std::ptr::null::<ArrayDescriptor>()), "a: NULL");
        assert_eq!(given(&(16 as *const ArrayDescriptor)), "a: 0x10", "what can't be read is an address");
    }
}
