//! Programs and libraries that are looked into: for their needed libraries, their symbols and their device code.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = report::inspect::read(data);
    for found in fatbin::scan(data).take(64) {
        if let Ok(container) = found.container {
            assert!(found.offset + container.len() <= data.len() as u64, "at {}", found.offset);
        }
    }
});
