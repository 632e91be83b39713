//! cublasSetVector, cublasGetMatrix and their kin: copies between strided memory of host and device.

use api::structs::{Memcpy2D, memory_type};

use crate::door::{Blas, Status};
use crate::driver;

/// A rectangle of `rows` runs of `width` bytes.
struct Rectangle {
    width: usize,
    rows: usize,
    source: u64,
    source_pitch: usize,
    target: u64,
    target_pitch: usize,
}

impl Rectangle {
    fn order(&self) -> Memcpy2D {
        Memcpy2D {
            src_x: 0,
            src_y: 0,
            src_type: memory_type::UNIFIED,
            src_host: std::ptr::null(),
            src_device: self.source,
            src_array: std::ptr::null_mut(),
            src_pitch: self.source_pitch,
            dst_x: 0,
            dst_y: 0,
            dst_type: memory_type::UNIFIED,
            dst_host: std::ptr::null_mut(),
            dst_device: self.target,
            dst_array: std::ptr::null_mut(),
            dst_pitch: self.target_pitch,
            width: self.width,
            height: self.rows,
        }
    }

    /// Copies at once, or on a stream.
    fn copy(&self, stream: Option<usize>) -> Blas {
        if self.width == 0 || self.rows == 0 {
            return Ok(());
        }
        let driver = driver::get().ok_or(Status::NOT_INITIALIZED)?;
        let order = self.order();
        // SAFETY: the caller's addresses, which the driver checks.
        let result = unsafe {
            match stream {
                None => (driver.copy_2d)(&order),
                Some(stream) => (driver.copy_2d_async)(&order, stream),
            }
        };
        if result == 0 { Ok(()) } else { Err(Status::MAPPING_ERROR) }
    }
}

/// `n` elements, each `step` elements from the one before.
fn vector(
    n: i64,
    size: i64,
    source: u64,
    source_step: i64,
    target: u64,
    target_step: i64,
) -> Blas<Rectangle> {
    if n < 0 || size <= 0 || source_step <= 0 || target_step <= 0 {
        return Err(Status::INVALID_VALUE);
    }
    Ok(Rectangle {
        width: size as usize,
        rows: n as usize,
        source,
        source_pitch: (source_step * size) as usize,
        target,
        target_pitch: (target_step * size) as usize,
    })
}

/// `columns` columns of `rows` elements.
fn matrix(
    rows: i64,
    columns: i64,
    size: i64,
    source: u64,
    source_leading: i64,
    target: u64,
    target_leading: i64,
) -> Blas<Rectangle> {
    if rows < 0 || columns < 0 || size <= 0 || source_leading < rows || target_leading < rows {
        return Err(Status::INVALID_VALUE);
    }
    Ok(Rectangle {
        width: (rows * size) as usize,
        rows: columns as usize,
        source,
        source_pitch: (source_leading * size) as usize,
        target,
        target_pitch: (target_leading * size) as usize,
    })
}

exports! {
    fn cublasSetVector(n: i32, size: i32, x: u64, incx: i32, y: u64, incy: i32) {
        vector(n.into(), size.into(), x, incx.into(), y, incy.into())?.copy(None)
    }

    fn cublasSetVector_64(n: i64, size: i64, x: u64, incx: i64, y: u64, incy: i64) {
        vector(n, size, x, incx, y, incy)?.copy(None)
    }

    fn cublasGetVector(n: i32, size: i32, x: u64, incx: i32, y: u64, incy: i32) {
        vector(n.into(), size.into(), x, incx.into(), y, incy.into())?.copy(None)
    }

    fn cublasGetVector_64(n: i64, size: i64, x: u64, incx: i64, y: u64, incy: i64) {
        vector(n, size, x, incx, y, incy)?.copy(None)
    }

    fn cublasSetVectorAsync(n: i32, size: i32, x: u64, incx: i32, y: u64, incy: i32, stream: usize) {
        vector(n.into(), size.into(), x, incx.into(), y, incy.into())?.copy(Some(stream))
    }

    fn cublasSetVectorAsync_64(n: i64, size: i64, x: u64, incx: i64, y: u64, incy: i64, stream: usize) {
        vector(n, size, x, incx, y, incy)?.copy(Some(stream))
    }

    fn cublasGetVectorAsync(n: i32, size: i32, x: u64, incx: i32, y: u64, incy: i32, stream: usize) {
        vector(n.into(), size.into(), x, incx.into(), y, incy.into())?.copy(Some(stream))
    }

    fn cublasGetVectorAsync_64(n: i64, size: i64, x: u64, incx: i64, y: u64, incy: i64, stream: usize) {
        vector(n, size, x, incx, y, incy)?.copy(Some(stream))
    }

    fn cublasSetMatrix(rows: i32, columns: i32, size: i32, a: u64, lda: i32, b: u64, ldb: i32) {
        matrix(rows.into(), columns.into(), size.into(), a, lda.into(), b, ldb.into())?.copy(None)
    }

    fn cublasSetMatrix_64(rows: i64, columns: i64, size: i64, a: u64, lda: i64, b: u64, ldb: i64) {
        matrix(rows, columns, size, a, lda, b, ldb)?.copy(None)
    }

    fn cublasGetMatrix(rows: i32, columns: i32, size: i32, a: u64, lda: i32, b: u64, ldb: i32) {
        matrix(rows.into(), columns.into(), size.into(), a, lda.into(), b, ldb.into())?.copy(None)
    }

    fn cublasGetMatrix_64(rows: i64, columns: i64, size: i64, a: u64, lda: i64, b: u64, ldb: i64) {
        matrix(rows, columns, size, a, lda, b, ldb)?.copy(None)
    }

    fn cublasSetMatrixAsync(rows: i32, columns: i32, size: i32, a: u64, lda: i32, b: u64, ldb: i32, stream: usize) {
        matrix(rows.into(), columns.into(), size.into(), a, lda.into(), b, ldb.into())?.copy(Some(stream))
    }

    fn cublasSetMatrixAsync_64(rows: i64, columns: i64, size: i64, a: u64, lda: i64, b: u64, ldb: i64, stream: usize) {
        matrix(rows, columns, size, a, lda, b, ldb)?.copy(Some(stream))
    }

    fn cublasGetMatrixAsync(rows: i32, columns: i32, size: i32, a: u64, lda: i32, b: u64, ldb: i32, stream: usize) {
        matrix(rows.into(), columns.into(), size.into(), a, lda.into(), b, ldb.into())?.copy(Some(stream))
    }

    fn cublasGetMatrixAsync_64(rows: i64, columns: i64, size: i64, a: u64, lda: i64, b: u64, ldb: i64, stream: usize) {
        matrix(rows, columns, size, a, lda, b, ldb)?.copy(Some(stream))
    }
}
