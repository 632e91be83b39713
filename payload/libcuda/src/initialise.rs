//! cuInit, cuDriverGetVersion, profiler.

use crate::door::*;
use driver::init;

exports! {
    fn cuInit(flags: u32) {
        init::init(flags)
    }

    fn cuDriverGetVersion(version: *mut i32) {
        *out(version)? = init::driver_version() as i32;
        Ok(())
    }

    fn cuProfilerStart() {
        driver::context::current().map(drop)
    }

    fn cuProfilerStop() {
        driver::context::current().map(drop)
    }
}
