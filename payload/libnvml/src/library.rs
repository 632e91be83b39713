//! nvmlInit, nvmlShutdown, nvmlSystem…, nvmlErrorString, units.

use std::ffi::c_char;

use crate::door::*;
use crate::session;
use wire::device::unpadded;

/// Texts of `nvmlReturn_t`, NUL-terminated.
const TEXTS: &[(u32, &str)] = &[
    (0, "Success\0"),
    (1, "Uninitialized\0"),
    (2, "Invalid Argument\0"),
    (3, "Not Supported\0"),
    (4, "Insufficient Permissions\0"),
    (5, "Already Initialized\0"),
    (6, "Not Found\0"),
    (7, "Insufficient Size\0"),
    (8, "Insufficient External Power\0"),
    (9, "Driver Not Loaded\0"),
    (10, "Timeout\0"),
    (11, "Interrupt Request Issue\0"),
    (12, "NVML Shared Library Not Found\0"),
    (13, "Function Not Found\0"),
    (14, "Corrupted infoROM\0"),
    (15, "GPU is lost\0"),
    (16, "GPU requires reset\0"),
    (17, "GPU access blocked by the operating system\0"),
    (18, "Driver/library version mismatch\0"),
    (19, "In use by another client\0"),
    (20, "Insufficient Memory\0"),
    (21, "No data\0"),
    (22, "vGPU ECC not supported\0"),
    (23, "Insufficient Resources\0"),
    (24, "Invalid Frequency\0"),
    (25, "Argument version mismatch\0"),
    (26, "Requested functionality has been deprecated\0"),
    (27, "System is not in ready state\0"),
    (28, "No supported GPUs were found\0"),
    (29, "Resource not in correct state to perform requested operation\0"),
    (999, "Unknown Error\0"),
];

#[unsafe(no_mangle)]
pub extern "C" fn nvmlErrorString(result: u32) -> *const c_char {
    let found = TEXTS.iter().find(|(number, _)| *number == result);
    found.map_or("Unknown Error\0", |(_, text)| text).as_ptr().cast()
}

exports! {
    fn nvmlInit() {
        session::open()
    }

    fn nvmlInit_v2() {
        session::open()
    }

    fn nvmlInitWithFlags(_flags: u32) {
        session::open()
    }

    fn nvmlShutdown() {
        session::close()
    }

    fn nvmlSystemGetDriverVersion(target: *mut c_char, length: u32) {
        session::with(|session| put_text(target, length, &unpadded(&session.connection().welcome().driver_version)))
    }

    fn nvmlSystemGetNVMLVersion(target: *mut c_char, length: u32) {
        session::with(|session| {
            let welcome = session.connection().welcome();
            let text = format!("{}.{}", welcome.cuda_version / 1000, unpadded(&welcome.driver_version));
            put_text(target, length, &text)
        })
    }

    fn nvmlSystemGetCudaDriverVersion(version: *mut i32) {
        session::with(|session| {
            *out(version)? = session.connection().welcome().cuda_version as i32;
            Ok(())
        })
    }

    fn nvmlSystemGetCudaDriverVersion_v2(version: *mut i32) {
        session::with(|session| {
            *out(version)? = session.connection().welcome().cuda_version as i32;
            Ok(())
        })
    }

    fn nvmlSystemGetProcessName(pid: u32, target: *mut c_char, length: u32) {
        let name = std::fs::read(format!("/proc/{pid}/cmdline")).map_err(|_| Error::NOT_FOUND)?;
        put_text(target, length, &unpadded(&name))
    }

    fn nvmlUnitGetCount(count: *mut u32) {
        *out(count)? = 0;
        Ok(())
    }
}
