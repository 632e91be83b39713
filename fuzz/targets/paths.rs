//! Names that a program opens: whatever they are, an answer, and none for what is no concern of ours.

#![no_main]

use std::sync::{Arc, LazyLock, Mutex};

use installation::Files;
use libfuzzer_sys::fuzz_target;
use overlay::{Answer, Config, DriverFile, Engine, OpenQuery, Overlay};

/// A payload of two libraries, kept for all inputs.
static OVERLAY: LazyLock<Mutex<Overlay>> = LazyLock::new(|| {
    let directory = std::env::temp_dir().join(format!("vgpu-run-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let mut sums = String::new();
    for name in ["libcuda.so.1", "libcudart.so.12"] {
        std::fs::write(directory.join(name), name).expect("a file");
        sums += &format!("{}  {name}\n", installation::hash(name.as_bytes()));
    }
    std::fs::write(directory.join(installation::FILE_NAME), sums).expect("a file");
    let payload =
        Arc::new(Files::beside(directory.clone(), directory.join("vgpu-engine")).expect("a payload"));
    let files = vec![DriverFile { path: "/proc/driver/nvidia/version".into(), content: b"580".to_vec() }];
    Mutex::new(Overlay::new(Config { payload, cache: None, engine: Engine::Cpu, devices: 2, files }))
});

fuzz_target!(|data: &[u8]| {
    let Some((&choice, path)) = data.split_first() else { return };
    // The kernel passes no NUL and nothing longer.
    let path = &path[..path.iter().position(|byte| *byte == 0).unwrap_or(path.len()).min(4095)];
    let dirfd = if choice & 1 == 0 { libc::AT_FDCWD } else { i32::from(choice) - 2 };
    let query = OpenQuery { pid: std::process::id() as i32, dirfd, path };
    let outcome = OVERLAY.lock().expect("nobody panicked").open(&query);
    let names_us = |word: &[u8]| path.windows(word.len()).any(|part| part == word);
    let is_ours = [&b"nvidia"[..], b"cuda", b"ld.so.cache", b"nv"].iter().any(|word| names_us(word));
    assert!(
        is_ours || matches!(outcome.answer, Answer::Continue),
        "an answer for {:?}",
        path.escape_ascii().to_string()
    );
});
