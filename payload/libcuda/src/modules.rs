//! cuModule…, cuLibrary…, cuKernel…

use std::borrow::Cow;
use std::ffi::{c_char, c_void};

use crate::door::*;
use driver::module::{self, LoadFailure};
use driver::{CuResult, Cuda, context};

/// Longest image whose length nothing but its own end tells (PTX text).
const LONGEST_TEXT: usize = 1 << 30;

/// First word of the structure by which host code names its fat binary: then a version, the container, and a list.
const WRAPPER: u32 = 0x4662_43b1;
/// First word of a fat binary.
pub const CONTAINER: u32 = 0xba55_ed50;

/// What was compiled separately (`nvcc -rdc=true`) and linked: machine code in one container, and beside it a list of the
/// objects' own ones, ended by null. They have the PTX; the engine links it.
///
/// # Safety
/// `wrapper` must be such a structure.
unsafe fn separately_compiled<'a>(wrapper: *const u8) -> Cuda<Option<Cow<'a, [u8]>>> {
    const LINKED: u32 = 2;
    // SAFETY: the caller's promise; the list is ended by null.
    unsafe {
        let list = wrapper.add(16).cast::<*const *const c_void>().read();
        if wrapper.add(4).cast::<u32>().read() != LINKED || list.is_null() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        for index in 0.. {
            let object = *list.add(index);
            if object.is_null() {
                break;
            }
            bytes.extend_from_slice(&image_bytes(object)?);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        Ok((!bytes.is_empty()).then_some(Cow::Owned(bytes)))
    }
}

/// The bytes of an image that is passed by address alone: its own header tells how many.
///
/// # Safety
/// `image` must be PTX text ended by NUL, a fat binary, a wrapper of one, or an ELF image.
pub unsafe fn image_bytes<'a>(image: *const c_void) -> Cuda<Cow<'a, [u8]>> {
    if image.is_null() {
        return Err(CuResult::INVALID_VALUE);
    }
    let start = image.cast::<u8>();
    // SAFETY: every kind of image has four bytes; text shorter than that is no PTX, and its NUL is among them.
    let head: [u8; 4] = unsafe {
        let length = (0..4).take_while(|index| *start.add(*index) != 0).count();
        let mut head = [0; 4];
        std::ptr::copy_nonoverlapping(start, head.as_mut_ptr(), length);
        if length == 4 || !head.starts_with(&[0x50]) { head } else { *start.cast() }
    };
    // SAFETY: by the header's own figures.
    unsafe {
        Ok(Cow::Borrowed(match (u32::from_le_bytes(head), &head) {
            (WRAPPER, _) => {
                return match separately_compiled(start)? {
                    Some(objects) => Ok(objects),
                    None => image_bytes(*start.add(8).cast::<*const c_void>()),
                };
            }
            (CONTAINER, _) => {
                // Header: magic, version u16, header length u16, content length u64.
                let header = usize::from(start.add(6).cast::<u16>().read_unaligned());
                let content = start.add(8).cast::<u64>().read_unaligned() as usize;
                std::slice::from_raw_parts(start, header + content)
            }
            (_, b"\x7fELF") => std::slice::from_raw_parts(start, elf_length(start)),
            _ => std::slice::from_raw_parts(start, libc::strnlen(start.cast(), LONGEST_TEXT)),
        }))
    }
}

/// End of an ELF image: behind its section headers, or its last section.
unsafe fn elf_length(start: *const u8) -> usize {
    // SAFETY: a 64-bit ELF image has its header; section headers lie where it says (ELF-64 object file format).
    unsafe {
        let read64 = |offset: usize| start.add(offset).cast::<u64>().read_unaligned() as usize;
        let read16 = |offset: usize| usize::from(start.add(offset).cast::<u16>().read_unaligned());
        let (table, size, count) = (read64(0x28), read16(0x3a), read16(0x3c));
        let section_end = |index: usize| {
            let header = table + index * size;
            const SHT_NOBITS: u32 = 8;
            let kind = start.add(header + 4).cast::<u32>().read_unaligned();
            if kind == SHT_NOBITS { 0 } else { read64(header + 0x18) + read64(header + 0x20) }
        };
        (0..count).map(section_end).max().unwrap_or(0).max(table + size * count).max(64)
    }
}

/// `CUjit_option` numbers of the log buffers.
mod jit {
    pub const INFO_LOG_SIZE: u32 = 4;
    pub const ERROR_LOG: u32 = 5;
    pub const ERROR_LOG_SIZE: u32 = 6;
}

/// Writes the engine's text into the caller's error log, and empties its info log.
unsafe fn write_logs(options: &[u32], values: *mut *mut c_void, text: &str) {
    let value = |option: u32| {
        let index = options.iter().position(|known| *known == option)?;
        // SAFETY: the caller passes as many values as options.
        Some(unsafe { values.add(index) })
    };
    if let (Some(buffer), Some(size)) = (value(jit::ERROR_LOG), value(jit::ERROR_LOG_SIZE)) {
        // SAFETY: the log's address and its capacity, as the caller gives them; the size is an answer too.
        unsafe {
            let capacity = *size as usize as i32;
            let _ = put_text((*buffer).cast(), capacity, text);
            *size = text.len().min(capacity.max(1) as usize - 1) as *mut c_void;
        }
    }
    if let Some(size) = value(jit::INFO_LOG_SIZE) {
        // SAFETY: as above.
        unsafe { *size = std::ptr::null_mut() };
    }
}

fn load(image: &[u8]) -> Cuda<usize> {
    module::load(image).map_err(|failure| failure.result)
}

fn load_file(path: &str) -> Cuda<usize> {
    let image = std::fs::read(path).map_err(|_| CuResult::FILE_NOT_FOUND)?;
    load(&image)
}

exports! {
    fn cuModuleLoad(loaded: *mut usize, path: *const c_char) {
        *out(loaded)? = load_file(text(path)?)?;
        Ok(())
    }

    fn cuModuleLoadData(loaded: *mut usize, image: *const c_void) {
        *out(loaded)? = load(&image_bytes(image)?)?;
        Ok(())
    }

    fn cuModuleLoadDataEx(
        loaded: *mut usize,
        image: *const c_void,
        count: u32,
        options: *const u32,
        values: *mut *mut c_void,
    ) {
        let (target, options) = (out(loaded)?, list(options, count as usize));
        match module::load(&image_bytes(image)?) {
            Ok(handle) => {
                write_logs(options, values, "");
                *target = handle;
                Ok(())
            }
            Err(LoadFailure { result, text }) => {
                write_logs(options, values, &text);
                Err(result)
            }
        }
    }

    fn cuModuleLoadFatBinary(loaded: *mut usize, image: *const c_void) {
        *out(loaded)? = load(&image_bytes(image)?)?;
        Ok(())
    }

    fn cuModuleUnload(handle: usize) {
        module::unload(handle)
    }

    fn cuModuleGetLoadingMode(mode: *mut u32) {
        // Lazy: a kernel is decoded when it is first used.
        *out(mode)? = 2;
        Ok(())
    }

    fn cuModuleGetFunction(function: *mut usize, handle: usize, name: *const c_char) {
        *out(function)? = module::get_function(handle, text(name)?)?;
        Ok(())
    }

    fn cuModuleGetFunctionCount(count: *mut u32, handle: usize) {
        *out(count)? = module::by_handle(handle)?.functions.len() as u32;
        Ok(())
    }

    fn cuModuleEnumerateFunctions(functions: *mut usize, count: u32, handle: usize) {
        let found = module::by_handle(handle)?;
        for (index, function) in found.functions.iter().take(count as usize).enumerate() {
            *out(functions.add(index))? = driver::handle::Handles::of(function);
        }
        Ok(())
    }

    fn cuModuleGetGlobal_v2(address: *mut u64, bytes: *mut usize, handle: usize, name: *const c_char) {
        let (place, length) = module::get_global(handle, text(name)?)?;
        maybe(address, place);
        maybe(bytes, length as usize);
        Ok(())
    }

    // A library is a module of the context that is current when it is loaded; a kernel is its function.

    fn cuLibraryLoadData(
        loaded: *mut usize,
        code: *const c_void,
        _jit_options: *const u32,
        _jit_values: *mut *mut c_void,
        _jit_count: u32,
        _options: *const u32,
        _values: *mut *mut c_void,
        _count: u32,
    ) {
        *out(loaded)? = load(&image_bytes(code)?)?;
        Ok(())
    }

    fn cuLibraryLoadFromFile(
        loaded: *mut usize,
        path: *const c_char,
        _jit_options: *const u32,
        _jit_values: *mut *mut c_void,
        _jit_count: u32,
        _options: *const u32,
        _values: *mut *mut c_void,
        _count: u32,
    ) {
        *out(loaded)? = load_file(text(path)?)?;
        Ok(())
    }

    fn cuLibraryUnload(handle: usize) {
        module::unload(handle)
    }

    fn cuLibraryGetModule(found: *mut usize, handle: usize) {
        module::by_handle(handle)?;
        *out(found)? = handle;
        Ok(())
    }

    fn cuLibraryGetKernel(kernel: *mut usize, handle: usize, name: *const c_char) {
        *out(kernel)? = module::get_function(handle, text(name)?)?;
        Ok(())
    }

    fn cuLibraryGetKernelCount(count: *mut u32, handle: usize) {
        *out(count)? = module::by_handle(handle)?.functions.len() as u32;
        Ok(())
    }

    fn cuLibraryEnumerateKernels(kernels: *mut usize, count: u32, handle: usize) {
        let found = module::by_handle(handle)?;
        for (index, function) in found.functions.iter().take(count as usize).enumerate() {
            *out(kernels.add(index))? = driver::handle::Handles::of(function);
        }
        Ok(())
    }

    fn cuLibraryGetGlobal(address: *mut u64, bytes: *mut usize, handle: usize, name: *const c_char) {
        let (place, length) = module::get_global(handle, text(name)?)?;
        maybe(address, place);
        maybe(bytes, length as usize);
        Ok(())
    }

    fn cuLibraryGetManaged(_address: *mut u64, _bytes: *mut usize, handle: usize, _name: *const c_char) {
        // Managed variables are placed like all others, and found by cuLibraryGetGlobal.
        module::by_handle(handle)?;
        Err(CuResult::NOT_FOUND)
    }

    fn cuLibraryGetUnifiedFunction(_function: *mut *mut c_void, handle: usize, _symbol: *const c_char) {
        module::by_handle(handle)?;
        Err(CuResult::NOT_FOUND)
    }

    fn cuKernelGetFunction(function: *mut usize, kernel: usize) {
        module::function(kernel)?;
        *out(function)? = kernel;
        Ok(())
    }

    fn cuKernelGetLibrary(library: *mut usize, kernel: usize) {
        *out(library)? = module::function(kernel)?.module_handle.get().copied().unwrap_or(0);
        Ok(())
    }

    fn cuKernelGetName(name: *mut *const c_char, kernel: usize) {
        *out(name)? = module::function(kernel)?.name.as_ptr().cast();
        Ok(())
    }

    fn cuKernelGetAttribute(value: *mut i32, attribute: i32, kernel: usize, _device: i32) {
        *out(value)? = module::get_function_attribute(&*module::function(kernel)?, attribute)?;
        Ok(())
    }

    fn cuKernelSetAttribute(attribute: i32, value: i32, kernel: usize, _device: i32) {
        module::set_function_attribute(&*module::function(kernel)?, attribute, value)
    }

    fn cuKernelSetCacheConfig(kernel: usize, _config: u32, _device: i32) {
        module::function(kernel).map(drop)
    }

    fn cuKernelGetParamInfo(kernel: usize, index: usize, offset: *mut usize, size: *mut usize) {
        let function = module::function(kernel)?;
        let row = function.parameters.get(index).ok_or(CuResult::INVALID_VALUE)?;
        *out(offset)? = row.offset as usize;
        maybe(size, row.length as usize);
        context::current().map(drop)
    }
}
