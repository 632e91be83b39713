//! What is none of anybody's business is in no recording.

use std::path::Path;

use recording::{Event, Ioctl};

/// What a process's environment has at least.
const VARIABLES: [&[u8]; 3] = [b"PATH=", b"HOME=", b"PWD="];

fn buffers(call: &Ioctl) -> impl Iterator<Item = &Vec<u8>> {
    let behind = call.indirect.iter().flat_map(|buffer| [&buffer.before, &buffer.after]);
    [&call.outer_before, &call.outer_after, &call.parameters_before, &call.parameters_after]
        .into_iter()
        .chain(behind)
}

#[test]
fn no_recording_has_a_piece_of_an_environment() {
    let mut calls = 0;
    for folder in ["h100", "h100-2"] {
        for entry in Path::new(folder).read_dir().expect("a folder") {
            let path = entry.expect("readable").path();
            if path.extension().is_none_or(|end| end != "xz") {
                continue;
            }
            for event in recording::open(&path).expect("a recording") {
                let Event::Ioctl(call) = event else { continue };
                let has = |variable: &[u8]| {
                    buffers(&call).any(|bytes| bytes.windows(variable.len()).any(|piece| piece == variable))
                };
                assert!(!VARIABLES.into_iter().any(has), "{}: {}", path.display(), call.cmd);
                calls += 1;
            }
        }
    }
    assert!(calls > 10_000, "{calls}");
}
