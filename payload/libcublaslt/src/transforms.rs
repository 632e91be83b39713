//! cublasLtMatrixTransform: C = alpha · op(A) + beta · op(B), between matrices by columns and by rows.

use std::ffi::c_void;

use libcublas::door::Status;
use libcublas::driver::{self, note_unsupported};
use libcublas::routines::{element, read};
use wire::blas::{Blas as Order, Element, Place, Routine, Scalar};

use crate::descriptions::{Layout, Transform, description};
use crate::exports;

/// `CUBLASLT_ORDER_ROW`
const ROWS: i32 = 1;

/// Whether an operand is transposed where everything is seen by columns: by its flag, by its own order, by the result's.
fn transposed(flag: u32, layout: &Layout, result_by_rows: bool) -> u32 {
    let times = u32::from(flag != 0) + u32::from(layout.order == ROWS) + u32::from(result_by_rows);
    match (times % 2, flag) {
        (1, 2) => 2,
        (odd, 2) => 3 * u32::from(odd == 0),
        (odd, _) => odd,
    }
}

exports! {
    fn cublasLtMatrixTransform(
        handle: usize,
        transform: *const Transform,
        alpha: *const c_void,
        a: u64,
        a_layout: *const Layout,
        beta: *const c_void,
        b: u64,
        b_layout: *const Layout,
        c: u64,
        c_layout: *const Layout,
        stream: usize,
    ) {
        crate::library::check(handle)?;
        let (transform, target) = (description(transform)?, description(c_layout)?);
        let first = description(a_layout)?;
        // B may be missing with its factor.
        let second = b_layout.as_ref().unwrap_or(first);
        let layouts = [first, second, target];
        let scale = element(transform.scale_type).ok_or(Status::NOT_SUPPORTED)?;
        let plain = |layout: &Layout| (0..=ROWS).contains(&layout.order) && layout.batch_mode == 0;
        if !layouts.into_iter().all(plain) || layouts.iter().any(|layout| element(layout.element).is_none()) {
            note_unsupported("cublasLtMatrixTransform to or from tiles\0");
            return Err(Status::NOT_SUPPORTED);
        }
        let scalar = |address: *const c_void| {
            let element = scale as u32;
            if address.is_null() {
                return Ok(Scalar { element, ..Scalar::default() });
            }
            if transform.pointer_mode == 1 {
                return Ok(Scalar { bits: [address as u64, 0], element, on_device: 1 });
            }
            let (real, imaginary) = read(address, scale)?;
            Ok(Scalar { bits: [real.to_bits(), imaginary.to_bits()], element, on_device: 0 })
        };
        let by_rows = target.order == ROWS;
        let (rows, columns) = if by_rows { (target.columns, target.rows) } else { (target.rows, target.columns) };
        let place = |address: u64, layout: &Layout| Place { address, step: layout.leading, stride: layout.stride };
        let is_complex = matches!(scale, Element::C32 | Element::C64);
        let arithmetic = if is_complex { Element::C64 } else { Element::F64 };
        let order = Order {
            routine: Routine::Geam as u32,
            elements: [first.element, second.element, target.element, arithmetic as u32],
            transpose: [
                transposed(transform.transpose_a, first, by_rows),
                transposed(transform.transpose_b, second, by_rows),
            ],
            extent: [rows as i64, columns as i64, 0, 0, 0],
            places: [place(a, first), place(b, second), place(c, target)],
            scalars: [scalar(alpha)?, scalar(beta)?],
            batch: target.batch.max(0) as u64,
            ..Order::default()
        };
        driver::submit(stream, &order)
    }
}
