//! Descriptions of matrices, products and preferences, and their attributes.
//!
//! Programs may keep a description in memory of their own (`…Init`), so it holds no more than the words that CUDA 11's headers
//! give it, and points to nothing. Each attribute is a row: its number, and the field that holds it.

use std::ffi::c_void;
use std::mem::offset_of;

use libcublas::door::{Blas, Status};

use crate::exports;

/// A description that programs see as words without meaning.
///
/// # Safety
/// Every bit pattern must be a value, and attributes must lie inside.
pub unsafe trait Description: Copy {
    /// Bytes that the headers of CUDA 11 give it.
    const ROOM: usize;
    /// Number, offset, bytes.
    const ATTRIBUTES: &'static [(u32, usize, usize)];
}

macro_rules! attributes {
    ($type:ident, $room:literal, $($number:literal: $field:ident $bytes:literal,)*) => {
        // SAFETY: plain numbers; the fields are its own.
        unsafe impl Description for $type {
            const ROOM: usize = $room;
            const ATTRIBUTES: &'static [(u32, usize, usize)] =
                &[$(($number, offset_of!($type, $field), $bytes)),*];
        }
        const _: () = assert!(size_of::<$type>() <= $room);
    };
}

/// `cublasLtMatrixLayout_t`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    pub element: u32,
    pub order: i32,
    pub rows: u64,
    pub columns: u64,
    pub leading: i64,
    pub batch: i32,
    pub batch_mode: u32,
    pub stride: i64,
    pub plane: i64,
}

call_trace::fields! { Layout { element, order, rows, columns, leading, batch, stride } }

attributes! { Layout, 64,
    0: element 4, 1: order 4, 2: rows 8, 3: columns 8, 4: leading 8, 5: batch 4, 6: stride 8, 7: plane 8, 8: batch_mode 4,
}

/// `cublasLtMatmulDesc_t`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Product {
    pub compute: u32,
    pub scale_type: u32,
    pub pointer_mode: u32,
    pub transpose_a: u32,
    pub transpose_b: u32,
    pub transpose_c: u32,
    pub fill: u32,
    pub epilogue: u32,
    pub bias: u64,
    pub bias_stride: i64,
    pub auxiliary: u64,
    pub auxiliary_leading: i64,
    pub auxiliary_stride: i64,
    pub alpha_stride: i64,
    pub sm_count: i32,
    pub fast_accumulation: u32,
    pub scales: [u64; 4],
    pub largest: u64,
    pub auxiliary_type: i32,
    pub bias_type: i32,
    pub auxiliary_scale: u64,
    pub auxiliary_largest: u64,
    /// Of A, B, C, D, the auxiliary operand, D's own.
    pub scale_modes: [i32; 4],
    pub emulation: u64,
}

call_trace::fields! { Product { compute, scale_type, pointer_mode, transpose_a, transpose_b, epilogue, bias } }

impl Product {
    const SCALE_A: usize = offset_of!(Product, scales);
    const MODE_A: usize = offset_of!(Product, scale_modes);
}

// SAFETY: plain numbers; the offsets are those of its own fields, arrays by their elements.
unsafe impl Description for Product {
    const ROOM: usize = 23 * 8;
    const ATTRIBUTES: &'static [(u32, usize, usize)] = &[
        (0, offset_of!(Product, compute), 4),
        (1, offset_of!(Product, scale_type), 4),
        (2, offset_of!(Product, pointer_mode), 4),
        (3, offset_of!(Product, transpose_a), 4),
        (4, offset_of!(Product, transpose_b), 4),
        (5, offset_of!(Product, transpose_c), 4),
        (6, offset_of!(Product, fill), 4),
        (7, offset_of!(Product, epilogue), 4),
        (8, offset_of!(Product, bias), 8),
        (10, offset_of!(Product, bias_stride), 8),
        (11, offset_of!(Product, auxiliary), 8),
        (12, offset_of!(Product, auxiliary_leading), 8),
        (13, offset_of!(Product, auxiliary_stride), 8),
        (14, offset_of!(Product, alpha_stride), 8),
        (15, offset_of!(Product, sm_count), 4),
        (17, Product::SCALE_A, 8),
        (18, Product::SCALE_A + 8, 8),
        (19, Product::SCALE_A + 16, 8),
        (20, Product::SCALE_A + 24, 8),
        (21, offset_of!(Product, largest), 8),
        (22, offset_of!(Product, auxiliary_type), 4),
        (23, offset_of!(Product, auxiliary_scale), 8),
        (24, offset_of!(Product, auxiliary_largest), 8),
        (25, offset_of!(Product, fast_accumulation), 1),
        (26, offset_of!(Product, bias_type), 4),
        (31, Product::MODE_A, 4),
        (32, Product::MODE_A + 4, 4),
        (33, Product::MODE_A + 8, 4),
        (34, Product::MODE_A + 12, 4),
        (38, offset_of!(Product, emulation), 8),
    ];
}
const _: () = assert!(size_of::<Product>() <= Product::ROOM);

/// `cublasLtMatmulPreference_t`: kept, and looked at by nobody; there is one algorithm, and it needs no workspace.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Preference {
    search: u32,
    reductions: u32,
    workspace: u64,
    alignment_a: u32,
    alignment_b: u32,
    alignment_c: u32,
    alignment_d: u32,
    waves: f32,
    reserved: u32,
    implementations: u64,
}

call_trace::fields! { Preference { search, workspace } }

attributes! { Preference, 64,
    0: search 4, 1: workspace 8, 3: reductions 4, 5: alignment_a 4, 6: alignment_b 4, 7: alignment_c 4, 8: alignment_d 4,
    9: waves 4, 12: implementations 8,
}

/// `cublasLtMatrixTransformDesc_t`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Transform {
    pub scale_type: u32,
    pub pointer_mode: u32,
    pub transpose_a: u32,
    pub transpose_b: u32,
}

call_trace::fields! { Transform { scale_type, pointer_mode, transpose_a, transpose_b } }

attributes! { Transform, 64, 0: scale_type 4, 1: pointer_mode 4, 2: transpose_a 4, 3: transpose_b 4, }

impl Layout {
    fn new(element: u32, rows: u64, columns: u64, leading: i64) -> Layout {
        Layout { element, order: 0, rows, columns, leading, batch: 1, batch_mode: 0, stride: 0, plane: 0 }
    }
}

impl Product {
    fn new(compute: u32, scale_type: u32) -> Product {
        const FULL: u32 = 2;
        const DEFAULT_EPILOGUE: u32 = 1;
        const AS_D: i32 = -1;
        Product {
            compute,
            scale_type,
            pointer_mode: 0,
            transpose_a: 0,
            transpose_b: 0,
            transpose_c: 0,
            fill: FULL,
            epilogue: DEFAULT_EPILOGUE,
            bias: 0,
            bias_stride: 0,
            auxiliary: 0,
            auxiliary_leading: 0,
            auxiliary_stride: 0,
            alpha_stride: 0,
            sm_count: 0,
            fast_accumulation: 0,
            scales: [0; 4],
            largest: 0,
            auxiliary_type: AS_D,
            bias_type: AS_D,
            auxiliary_scale: 0,
            auxiliary_largest: 0,
            scale_modes: [0; 4],
            emulation: 0,
        }
    }
}

impl Preference {
    fn new() -> Preference {
        Preference {
            search: 0,
            reductions: 7,
            workspace: 0,
            alignment_a: 256,
            alignment_b: 256,
            alignment_c: 256,
            alignment_d: 256,
            waves: 0.0,
            reserved: 0,
            implementations: u64::MAX,
        }
    }
}

/// A description by its address.
///
/// # Safety
/// `address` must be null or that of such a description.
pub unsafe fn description<'a, T: Description>(address: *const T) -> Blas<&'a T> {
    // SAFETY: the caller's promise.
    unsafe { address.as_ref() }.ok_or(Status::INVALID_VALUE)
}

unsafe fn create<T: Description>(target: *mut *mut T, value: T) -> Blas {
    // SAFETY: the caller's place.
    let target = unsafe { target.as_mut() }.ok_or(Status::INVALID_VALUE)?;
    *target = Box::into_raw(Box::new(value));
    Ok(())
}

unsafe fn destroy<T: Description>(address: *mut T) -> Blas {
    if !address.is_null() {
        // SAFETY: what `create` has made, as the documentation makes the caller promise.
        drop(unsafe { Box::from_raw(address) });
    }
    Ok(())
}

/// Writes a description into the caller's memory.
unsafe fn init<T: Description>(target: *mut T, room: usize, value: T) -> Blas {
    if target.is_null() || room < size_of::<T>() {
        return Err(Status::INVALID_VALUE);
    }
    // SAFETY: the caller's memory has that many bytes.
    unsafe { target.write(value) };
    Ok(())
}

fn attribute<T: Description>(number: u32) -> Blas<(usize, usize)> {
    let row = T::ATTRIBUTES.iter().find(|(known, _, _)| *known == number);
    row.map(|(_, offset, bytes)| (*offset, *bytes)).ok_or_else(|| {
        libcublas::driver::note_unsupported("an attribute of a cuBLASLt description\0");
        Status::NOT_SUPPORTED
    })
}

unsafe fn set<T: Description>(target: *mut T, number: u32, value: *const c_void, bytes: usize) -> Blas {
    let (offset, length) = attribute::<T>(number)?;
    if target.is_null() || value.is_null() || bytes != length {
        return Err(Status::INVALID_VALUE);
    }
    // SAFETY: the field lies inside of the description, the value has that many bytes.
    unsafe { std::ptr::copy_nonoverlapping(value.cast::<u8>(), target.cast::<u8>().add(offset), length) };
    Ok(())
}

unsafe fn get<T: Description>(
    source: *const T,
    number: u32,
    value: *mut c_void,
    bytes: usize,
    written: *mut usize,
) -> Blas {
    let (offset, length) = attribute::<T>(number)?;
    // SAFETY: a place of the caller's, or null.
    if let Some(written) = unsafe { written.as_mut() } {
        *written = length;
        if bytes == 0 {
            return Ok(());
        }
    }
    if source.is_null() || value.is_null() || bytes < length {
        return Err(Status::INVALID_VALUE);
    }
    // SAFETY: as `set`.
    unsafe { std::ptr::copy_nonoverlapping(source.cast::<u8>().add(offset), value.cast::<u8>(), length) };
    Ok(())
}

exports! {
    fn cublasLtMatrixLayoutCreate(made: *mut *mut Layout, element: u32, rows: u64, columns: u64, leading: i64) {
        create(made, Layout::new(element, rows, columns, leading))
    }

    fn cublasLtMatrixLayoutInit_internal(target: *mut Layout, room: usize, element: u32, rows: u64, columns: u64, leading: i64) {
        init(target, room, Layout::new(element, rows, columns, leading))
    }

    fn cublasLtMatrixLayoutDestroy(layout: *mut Layout) {
        destroy(layout)
    }

    fn cublasLtMatrixLayoutSetAttribute(layout: *mut Layout, number: u32, value: *const c_void, bytes: usize) {
        set(layout, number, value, bytes)
    }

    fn cublasLtMatrixLayoutGetAttribute(layout: *const Layout, number: u32, value: *mut c_void, bytes: usize, written: *mut usize) {
        get(layout, number, value, bytes, written)
    }

    fn cublasLtMatmulDescCreate(made: *mut *mut Product, compute: u32, scale_type: u32) {
        create(made, Product::new(compute, scale_type))
    }

    fn cublasLtMatmulDescInit_internal(target: *mut Product, room: usize, compute: u32, scale_type: u32) {
        init(target, room, Product::new(compute, scale_type))
    }

    fn cublasLtMatmulDescDestroy(product: *mut Product) {
        destroy(product)
    }

    fn cublasLtMatmulDescSetAttribute(product: *mut Product, number: u32, value: *const c_void, bytes: usize) {
        set(product, number, value, bytes)
    }

    fn cublasLtMatmulDescGetAttribute(product: *const Product, number: u32, value: *mut c_void, bytes: usize, written: *mut usize) {
        get(product, number, value, bytes, written)
    }

    fn cublasLtMatmulPreferenceCreate(made: *mut *mut Preference) {
        create(made, Preference::new())
    }

    fn cublasLtMatmulPreferenceInit_internal(target: *mut Preference, room: usize) {
        init(target, room, Preference::new())
    }

    fn cublasLtMatmulPreferenceDestroy(preference: *mut Preference) {
        destroy(preference)
    }

    fn cublasLtMatmulPreferenceSetAttribute(preference: *mut Preference, number: u32, value: *const c_void, bytes: usize) {
        set(preference, number, value, bytes)
    }

    fn cublasLtMatmulPreferenceGetAttribute(preference: *const Preference, number: u32, value: *mut c_void, bytes: usize, written: *mut usize) {
        get(preference, number, value, bytes, written)
    }

    fn cublasLtMatrixTransformDescCreate(made: *mut *mut Transform, scale_type: u32) {
        create(made, Transform { scale_type, pointer_mode: 0, transpose_a: 0, transpose_b: 0 })
    }

    fn cublasLtMatrixTransformDescInit_internal(target: *mut Transform, room: usize, scale_type: u32) {
        init(target, room, Transform { scale_type, pointer_mode: 0, transpose_a: 0, transpose_b: 0 })
    }

    fn cublasLtMatrixTransformDescDestroy(transform: *mut Transform) {
        destroy(transform)
    }

    fn cublasLtMatrixTransformDescSetAttribute(transform: *mut Transform, number: u32, value: *const c_void, bytes: usize) {
        set(transform, number, value, bytes)
    }

    fn cublasLtMatrixTransformDescGetAttribute(transform: *const Transform, number: u32, value: *mut c_void, bytes: usize, written: *mut usize) {
        get(transform, number, value, bytes, written)
    }
}
