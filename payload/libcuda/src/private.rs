//! cuGetExportTable, and the table that our own libraries get.

use std::ffi::{CStr, c_char, c_void};

use api::private::{TABLE, Table};

use crate::door::*;
use driver::operation::Operation;
use driver::{CuResult, note, stream};
use wire::blas::{Blas, Matmul};
use wire::control::NoteKind;

static OURS: Table =
    Table { size: size_of::<Table>(), blas, matmul, note_unsupported, note_initialised, per_thread_stream };

unsafe extern "C" fn blas(stream: *mut c_void, order: *const c_void) -> u32 {
    enter("blas", || {
        // SAFETY: our own libraries pass a `Blas`.
        let order = *unsafe { input(order.cast::<Blas>()) }?;
        stream::by_handle(stream as usize)?.enqueue(Operation::Blas(Box::new(order)))
    })
}

unsafe extern "C" fn matmul(stream: *mut c_void, order: *const c_void) -> u32 {
    enter("matmul", || {
        // SAFETY: our own libraries pass a `Matmul`.
        let order = *unsafe { input(order.cast::<Matmul>()) }?;
        stream::by_handle(stream as usize)?.enqueue(Operation::Matmul(Box::new(order)))
    })
}

unsafe extern "C" fn note_unsupported(name: *const c_char) {
    // SAFETY: our own libraries pass a string.
    note::unsupported(&unsafe { CStr::from_ptr(name) }.to_string_lossy());
}

unsafe extern "C" fn note_initialised(name: *const c_char, result: i64) {
    // SAFETY: as above.
    note::once(NoteKind::Initialised, result, &unsafe { CStr::from_ptr(name) }.to_string_lossy());
}

unsafe extern "C" fn per_thread_stream(stream: *mut c_void) -> *mut c_void {
    stream::per_thread(stream as usize) as *mut c_void
}

exports! {
    fn cuGetExportTable(table: *mut *const c_void, id: *const [u8; 16]) {
        let (target, id) = (out(table)?, input(id)?);
        *target = std::ptr::null();
        if *id == TABLE {
            *target = (&raw const OURS).cast();
            return Ok(());
        }
        // NVIDIA's own tables. One of them is a proof of validity, which we do not forge.
        note::once(NoteKind::ExportTable, 0, &wire::device::uuid_text(id));
        Err(CuResult::NOT_FOUND)
    }
}
