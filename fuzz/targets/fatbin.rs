//! What `cuModuleLoadData` is given: fat binaries, compressed or not, cubins, text.

#![no_main]

use fatbin::{Container, Image};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(image) = Image::parse(data) {
        for capability in [50, 61, 75, 80, 90, 120] {
            let _ = image.best_ptx(capability);
        }
    }
    let Ok(container) = Container::parse(data) else { return };
    assert!(container.len() <= data.len() as u64);
    for entry in container.entries() {
        let _ = entry.payload();
        let _ = entry.text();
    }
});
