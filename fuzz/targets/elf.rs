//! Programs and libraries: what `doctor` and the report read of them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = report::inspect::read(bytes);
});
