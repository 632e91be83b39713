//! cuGetErrorName, cuGetErrorString.

use std::ffi::c_char;

use crate::door::*;
use driver::CuResult;

fn describe(error: u32) -> driver::Cuda<(&'static str, &'static str)> {
    api::result::describe(error).ok_or(CuResult::INVALID_VALUE)
}

exports! {
    fn cuGetErrorName(error: u32, name: *mut *const c_char) {
        let target = out(name)?;
        *target = std::ptr::null();
        *target = describe(error)?.0.as_ptr().cast();
        Ok(())
    }

    fn cuGetErrorString(error: u32, text: *mut *const c_char) {
        let target = out(text)?;
        *target = std::ptr::null();
        *target = describe(error)?.1.as_ptr().cast();
        Ok(())
    }
}
