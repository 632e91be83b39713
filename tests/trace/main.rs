//! `vgpu-run trace`: lines and timelines of a program whose calls are known (`tests/targets/traced.c`), of one that is killed, of a
//! reader that is slow, of a tracer that is killed.

mod lines;
mod nodes;
mod perfetto;

use std::path::PathBuf;

use tests::{Launch, Run, launch};

/// The program in one of its parts, traced into a file by these options.
fn traced(part: &str, options: &[&str]) -> Launch {
    launch("traced").arguments([part]).options(["trace", "--gpu", "gtx1080"]).options(options).real_payload()
}

/// A place for a trace, gone with this value.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().expect("a directory"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// Runs a part to its end, and gives what is in the file of lines.
fn lines_of(part: &str, options: &[&str], expect: impl FnOnce(&Run)) -> Vec<String> {
    let place = Place::new();
    let file = place.file("lines");
    let options = [options, &["-o", file.to_str().expect("a path")]].concat();
    expect(&traced(part, &options).run());
    let text = std::fs::read_to_string(&file).expect("the trace");
    text.lines().map(str::to_owned).collect()
}

fn ends_right(run: &Run) {
    run.assert_exit(0).assert_stdout("right\n");
    assert_eq!(run.stderr(), "", "the trace goes to its file alone");
}
