//! Containers of device code, as programs register them: compressed, truncated, overlapping.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = fatbin::length(bytes);
    let Ok(container) = fatbin::Container::parse(bytes) else { return };
    for entry in container.entries() {
        let _ = entry.payload();
        let _ = entry.text();
    }
});
