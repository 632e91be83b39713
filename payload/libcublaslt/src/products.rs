//! cublasLtMatmul: from descriptions to the engine's order.

use std::ffi::c_void;

use libcublas::door::{Blas, Status};
use libcublas::driver::{self, note_unsupported};
use libcublas::routines::{element, read};
use wire::blas::{self, Element, Matmul, Scalar, epilogue};

use crate::descriptions::{Layout, Product, description};
use crate::exports;

/// Descriptions of a product's four matrices.
pub type Layouts = [*const Layout; 4];

fn refused<T>(what: &'static str) -> Blas<T> {
    note_unsupported(what);
    Err(Status::NOT_SUPPORTED)
}

/// The order for a product, without addresses and scalars; an error where the engine cannot do it.
///
/// # Safety
/// Descriptions must be null or valid.
pub unsafe fn order(product: *const Product, layouts: Layouts) -> Blas<Matmul> {
    // SAFETY: the caller's promise.
    let (product, [a, b, c, d]) = unsafe {
        let [a, b, c, d] = layouts;
        (description(product)?, [description(a)?, description(b)?, description(c)?, description(d)?])
    };
    let seen = |layout: &Layout, transpose: u32| {
        if transpose == 0 { (layout.rows, layout.columns) } else { (layout.columns, layout.rows) }
    };
    let ((m, k), (inner, n)) = (seen(a, product.transpose_a), seen(b, product.transpose_b));
    if k != inner || (d.rows, d.columns) != (m, n) || (c.rows, c.columns) != (m, n) {
        return Err(Status::INVALID_VALUE);
    }
    if [a, b, c, d].iter().any(|layout| layout.batch != d.batch) || d.batch < 0 {
        return Err(Status::INVALID_VALUE);
    }
    const FULL: u32 = 2;
    if product.transpose_c != 0 || product.fill != FULL {
        return refused("cublasLtMatmul with a transposed or triangular C\0");
    }
    if product.scale_modes != [0; 4] || product.auxiliary_scale != 0 || product.auxiliary_largest != 0 {
        return refused("cublasLtMatmul with vectors of scales, or scales of the auxiliary operand\0");
    }
    let mut order = Matmul {
        extent: [m, n, k],
        transpose: [product.transpose_a, product.transpose_b],
        arithmetic: arithmetic(product, a)? as u32,
        epilogue: flags(product, d)?,
        batch: d.batch as u64,
        bias: product.bias,
        bias_stride: product.bias_stride,
        bias_element: bias_type(product, [a, c, d]),
        largest: product.largest,
        ..Matmul::default()
    };
    for ((target, layout), scale) in order.layouts.iter_mut().zip([a, b, c, d]).zip(product.scales) {
        *target = wire_layout(layout)?;
        target.scale = scale;
    }
    order.auxiliary = blas::Layout {
        address: product.auxiliary,
        leading: product.auxiliary_leading,
        stride: product.auxiliary_stride,
        element: u32::try_from(product.auxiliary_type).unwrap_or(d.element),
        ..blas::Layout::default()
    };
    if element(order.auxiliary.element).is_none() || element(order.bias_element).is_none() {
        return refused("cublasLtMatmul with this type of bias or auxiliary operand\0");
    }
    Ok(order)
}

fn wire_layout(layout: &Layout) -> Blas<blas::Layout> {
    const ROWS: i32 = 1;
    if !(0..=ROWS).contains(&layout.order) || layout.batch_mode != 0 || layout.plane != 0 {
        return refused("a cuBLASLt matrix in tiles, planes or an array of addresses\0");
    }
    if element(layout.element).is_none() {
        return refused("a cuBLASLt matrix of this element type\0");
    }
    Ok(blas::Layout {
        leading: layout.leading,
        stride: layout.stride,
        element: layout.element,
        row_major: (layout.order == ROWS).into(),
        ..blas::Layout::default()
    })
}

/// What a product is computed in.
fn arithmetic(product: &Product, a: &Layout) -> Blas<Element> {
    let is_complex = matches!(element(a.element), Some(Element::C32 | Element::C64));
    match (product.compute, is_complex) {
        (64 | 65 | 68 | 69 | 74 | 75 | 77 | 78, false) => Ok(Element::F32),
        (68 | 69 | 74 | 75 | 77 | 78, true) => Ok(Element::C32),
        (70 | 71 | 79, false) => Ok(Element::F64),
        (70 | 71 | 79, true) => Ok(Element::C64),
        (72 | 73, false) => Ok(Element::I32),
        _ => refused("cublasLtMatmul with this compute type\0"),
    }
}

/// The epilogue as the engine has it. 1 is the default: nothing.
fn flags(product: &Product, d: &Layout) -> Blas<u32> {
    use epilogue::*;
    const KNOWN: u32 = RELU | BIAS | DRELU | BIAS_GRADIENT | GELU | DGELU | AUXILIARY;
    let flags = product.epilogue & !1;
    if flags & !KNOWN != 0 {
        return refused("cublasLtMatmul with the gradient of a bias of A or B\0");
    }
    let is_complex = matches!(element(d.element), Some(Element::C32 | Element::C64));
    if flags != 0 && is_complex {
        return refused("cublasLtMatmul with an epilogue of complex numbers\0");
    }
    let lacks = |flag, address| flags & flag != 0 && address == 0;
    if lacks(BIAS | BIAS_GRADIENT, product.bias) || lacks(AUXILIARY, product.auxiliary) {
        return Err(Status::INVALID_VALUE);
    }
    Ok(flags)
}

/// The bias's type where none is set: D's; with 8-bit operands that of C or what C would be.
fn bias_type(product: &Product, [a, c, d]: [&Layout; 3]) -> u32 {
    if let Ok(number) = u32::try_from(product.bias_type) {
        return number;
    }
    match element(a.element) {
        Some(Element::E4m3 | Element::E5m2) if c.element == Element::F32 as u32 => Element::Bf16 as u32,
        Some(Element::E4m3 | Element::E5m2) => c.element,
        Some(Element::I8) => product.scale_type,
        _ => d.element,
    }
}

/// `alpha` and `beta` as the description says where they are.
///
/// # Safety
/// Scalars on the host must be readable as the scale type.
unsafe fn scalars(product: &Product, alpha: *const c_void, beta: *const c_void) -> Blas<([Scalar; 2], bool)> {
    let kind = element(product.scale_type).ok_or(Status::NOT_SUPPORTED)?;
    let on_device =
        |address: *const c_void| Scalar { bits: [address as u64, 0], element: kind as u32, on_device: 1 };
    let on_host = |address: *const c_void| -> Blas<Scalar> {
        if address.is_null() {
            return Err(Status::INVALID_VALUE);
        }
        // SAFETY: the caller's promise.
        let (real, imaginary) = unsafe { read(address, kind)? };
        Ok(Scalar { bits: [real.to_bits(), imaginary.to_bits()], element: kind as u32, on_device: 0 })
    };
    let zero = Scalar { element: kind as u32, ..Scalar::default() };
    match product.pointer_mode {
        0 => Ok(([on_host(alpha)?, on_host(beta)?], false)),
        1 => Ok(([on_device(alpha), on_device(beta)], false)),
        3 => Ok(([on_device(alpha), zero], true)),
        4 => Ok(([on_device(alpha), on_host(beta)?], true)),
        _ => refused("cublasLtMatmul with a vector beta\0"),
    }
}

exports! {
    fn cublasLtMatmul(
        handle: usize,
        product: *const Product,
        alpha: *const c_void,
        a: u64,
        a_layout: *const Layout,
        b: u64,
        b_layout: *const Layout,
        beta: *const c_void,
        c: u64,
        c_layout: *const Layout,
        d: u64,
        d_layout: *const Layout,
        _algorithm: *const c_void,
        _workspace: *mut c_void,
        _workspace_bytes: usize,
        stream: usize,
    ) {
        crate::library::check(handle)?;
        let mut order = order(product, [a_layout, b_layout, c_layout, d_layout])?;
        let (scalars, by_row) = scalars(description(product)?, alpha, beta)?;
        (order.scalars, order.alpha_by_row) = (scalars, by_row.into());
        for (layout, address) in order.layouts.iter_mut().zip([a, b, c, d]) {
            layout.address = address;
        }
        let driver = driver::get().ok_or(Status::NOT_INITIALIZED)?;
        driver::outcome((driver.table.matmul)(stream as *mut c_void, (&raw const order).cast()))
    }
}
