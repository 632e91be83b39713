//! Names of files that a target opens: what the overlay makes of them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|path: &[u8]| {
    let last = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    if let Some(named) = overlay::names::lookup(last) {
        // A link may have any name.
        let _ = named.library(|| Some(path.to_vec()));
    }
    let _ = overlay::names::is_hardware_probe(path);
    let _ = overlay::names::is_legacy_hardware_probe(path);
});
