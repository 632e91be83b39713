//! Heuristics: which algorithms would do a product. There is one; it has no tiles, stages or clusters to choose.

use std::ffi::c_void;
use std::mem::offset_of;

use libcublas::door::{Blas, Status};

use crate::descriptions::{Layout, Product};
use crate::exports;
use crate::products::{self, Layouts};

/// `cublasLtMatmulAlgo_t`: the settings that programs may read and write.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Algorithm {
    id: i32,
    tile: u32,
    split: i32,
    reduction: u32,
    swizzle: u32,
    option: u32,
    stages: u32,
    inner_shape: u16,
    cluster_shape: u16,
    reserved: [u32; 8],
}

call_trace::fields! { Algorithm { id, tile, split, reduction, stages } }
const _: () = assert!(size_of::<Algorithm>() == 64);

/// `cublasLtMatmulAlgoConfigAttributes_t`: number, offset, bytes.
const SETTINGS: &[(u32, usize, usize)] = &[
    (0, offset_of!(Algorithm, id), 4),
    (1, offset_of!(Algorithm, tile), 4),
    (2, offset_of!(Algorithm, split), 4),
    (3, offset_of!(Algorithm, reduction), 4),
    (4, offset_of!(Algorithm, swizzle), 4),
    (5, offset_of!(Algorithm, option), 4),
    (6, offset_of!(Algorithm, stages), 4),
    (7, offset_of!(Algorithm, inner_shape), 2),
    (8, offset_of!(Algorithm, cluster_shape), 2),
];

/// `cublasLtMatmulAlgoCapAttributes_t` that are one 32-bit number: number, value.
const CAPABILITIES: &[(u32, u32)] = &[
    // No split of the inner extent, no reduction schemes, no swizzling.
    (0, 0),
    (1, 0),
    (2, 0),
    // Strided batches, D apart from C, no triangles, no options.
    (3, 1),
    (4, 1),
    (5, 0),
    (7, 0),
    // Scalars on host and device, alpha by rows; the default epilogue, ReLU, bias, GELU.
    (11, 1 | 2 | 8 | 16),
    (12, 1 | 2 | 4 | 32),
    // No alignment needed.
    (16, 1),
    (17, 1),
    (18, 1),
    (19, 1),
];

/// `cublasLtMatmulHeuristicResult_t`
#[repr(C)]
pub struct Found {
    algorithm: Algorithm,
    workspace: usize,
    state: u32,
    waves: f32,
    reserved: [i32; 4],
}

call_trace::fields! { Found { algorithm, workspace, state, waves } }
const _: () = assert!(size_of::<Found>() == 96);

/// # Safety
/// Descriptions must be null or valid, `count` null or a place.
unsafe fn heuristic(
    product: *const Product,
    layouts: Layouts,
    wanted: i32,
    found: *mut Found,
    count: *mut i32,
) -> Blas {
    if wanted < 1 || found.is_null() || count.is_null() {
        return Err(Status::INVALID_VALUE);
    }
    // SAFETY: the caller's places; `found` has room for at least one.
    unsafe {
        *count = 0;
        products::order(product, layouts)?;
        found.write(Found {
            algorithm: Algorithm::default(),
            workspace: 0,
            state: 0,
            waves: 1.0,
            reserved: [0; 4],
        });
        *count = 1;
    }
    Ok(())
}

exports! {
    fn cublasLtMatmulAlgoGetHeuristic(
        handle: usize,
        product: *const Product,
        a: *const Layout,
        b: *const Layout,
        c: *const Layout,
        d: *const Layout,
        _preference: *const c_void,
        wanted: i32,
        found: *mut Found,
        count: *mut i32,
    ) {
        crate::library::check(handle)?;
        heuristic(product, [a, b, c, d], wanted, found, count)
    }

    fn cublasLtMatmulAlgoGetHeuristicForStream(
        handle: usize,
        product: *const Product,
        a: *const Layout,
        b: *const Layout,
        c: *const Layout,
        d: *const Layout,
        _preference: *const c_void,
        wanted: i32,
        found: *mut Found,
        count: *mut i32,
        _stream: usize,
    ) {
        crate::library::check(handle)?;
        heuristic(product, [a, b, c, d], wanted, found, count)
    }

    fn cublasLtMatmulAlgoCheck(
        handle: usize,
        product: *const Product,
        a: *const Layout,
        b: *const Layout,
        c: *const Layout,
        d: *const Layout,
        _algorithm: *const Algorithm,
        found: *mut Found,
    ) {
        crate::library::check(handle)?;
        heuristic(product, [a, b, c, d], 1, found, &mut 0)
    }

    fn cublasLtMatmulAlgoCheckForStream(
        handle: usize,
        product: *const Product,
        a: *const Layout,
        b: *const Layout,
        c: *const Layout,
        d: *const Layout,
        _algorithm: *const Algorithm,
        found: *mut Found,
        _stream: usize,
    ) {
        crate::library::check(handle)?;
        heuristic(product, [a, b, c, d], 1, found, &mut 0)
    }

    fn cublasLtMatmulAlgoGetIds(
        handle: usize,
        _compute: u32,
        _scale: u32,
        _a: u32,
        _b: u32,
        _c: u32,
        _d: u32,
        wanted: i32,
        ids: *mut i32,
        count: *mut i32,
    ) {
        crate::library::check(handle)?;
        if wanted < 1 || ids.is_null() {
            return Err(Status::INVALID_VALUE);
        }
        *ids = 0;
        if let Some(count) = count.as_mut() {
            *count = 1;
        }
        Ok(())
    }

    fn cublasLtMatmulAlgoInit(
        handle: usize,
        _compute: u32,
        _scale: u32,
        _a: u32,
        _b: u32,
        _c: u32,
        _d: u32,
        id: i32,
        algorithm: *mut Algorithm,
    ) {
        crate::library::check(handle)?;
        if id != 0 || algorithm.is_null() {
            return Err(Status::INVALID_VALUE);
        }
        algorithm.write(Algorithm::default());
        Ok(())
    }

    fn cublasLtMatmulAlgoConfigSetAttribute(algorithm: *mut Algorithm, number: u32, value: *const c_void, bytes: usize) {
        let (_, offset, length) = SETTINGS.iter().find(|(known, _, _)| *known == number).ok_or(Status::INVALID_VALUE)?;
        if algorithm.is_null() || value.is_null() || bytes != *length {
            return Err(Status::INVALID_VALUE);
        }
        std::ptr::copy_nonoverlapping(value.cast::<u8>(), algorithm.cast::<u8>().add(*offset), *length);
        Ok(())
    }

    fn cublasLtMatmulAlgoConfigGetAttribute(algorithm: *const Algorithm, number: u32, value: *mut c_void, bytes: usize, written: *mut usize) {
        let (_, offset, length) = SETTINGS.iter().find(|(known, _, _)| *known == number).ok_or(Status::INVALID_VALUE)?;
        if let Some(written) = written.as_mut() {
            *written = *length;
        }
        if bytes == 0 {
            return Ok(());
        }
        if algorithm.is_null() || value.is_null() || bytes < *length {
            return Err(Status::INVALID_VALUE);
        }
        std::ptr::copy_nonoverlapping(algorithm.cast::<u8>().add(*offset), value.cast::<u8>(), *length);
        Ok(())
    }

    fn cublasLtMatmulAlgoCapGetAttribute(_algorithm: *const Algorithm, number: u32, value: *mut c_void, bytes: usize, written: *mut usize) {
        let Some((_, answer)) = CAPABILITIES.iter().find(|(known, _)| *known == number) else {
            libcublas::driver::note_unsupported("cublasLtMatmulAlgoCapGetAttribute of this attribute\0");
            return Err(Status::NOT_SUPPORTED);
        };
        if let Some(written) = written.as_mut() {
            *written = 4;
        }
        if bytes == 0 {
            return Ok(());
        }
        if value.is_null() || bytes < 4 {
            return Err(Status::INVALID_VALUE);
        }
        value.cast::<u32>().write_unaligned(*answer);
        Ok(())
    }
}
