//! `vgpu-run` against what the card and its driver said: the same program again, and the recordings.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn recordings() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Built beside our programs.
fn vgpu_run() -> Command {
    Command::new(Path::new(env!("CARGO_BIN_EXE_rm-client")).with_file_name("vgpu-run"))
}

/// Without what differs: clients' handles, and two requests of another type or direction, which the driver takes for its own and
/// the filter does not bring to us.
fn comparable(text: &str) -> Vec<String> {
    let word = |word: &str| if word.contains("c1d000") { "(client)".to_owned() } else { word.to_owned() };
    let lines = text.lines().filter(|line| !line.starts_with("another "));
    lines.map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn program_that_does_everything_wrong_hears_the_same() {
    // SAFETY: a question without arguments.
    if unsafe { libc::geteuid() } != 0 {
        return println!("skipped: the recorded program was root's");
    }
    let run = vgpu_run().args(["--gpu", "h100", env!("CARGO_BIN_EXE_rm-client"), "errors"]).output();
    let run = run.expect("`make build` makes it");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let recorded = fs::read_to_string(recordings().join("h100-2/rm-errors.stdout")).expect("there");
    let (heard, recorded) = (comparable(&String::from_utf8_lossy(&run.stdout)), comparable(&recorded));
    for (heard, recorded) in heard.iter().zip(&recorded) {
        assert_eq!(heard, recorded);
    }
    assert_eq!((heard.len(), heard.len() > 150), (recorded.len(), true));
}

#[test]
fn replay_tells_by_its_exit_status_whether_answers_are_the_same() {
    let replay = |file: &str| -> Output {
        let file: PathBuf = recordings().join(file);
        vgpu_run()
            .args(["replay", "--gpu", "h100", "--check"])
            .arg(file)
            .output()
            .expect("`make build` makes it")
    };
    let same = replay("h100/smi_L.jsonl.xz");
    let text = String::from_utf8_lossy(&same.stdout);
    assert!(same.status.success() && text.contains(", 0 mismatches"), "{text}");
    // Its list of processes is another program's doing.
    let different = replay("h100-2/nvml-busy.jsonl.xz");
    let text = String::from_utf8_lossy(&different.stdout);
    assert!(different.status.code() == Some(1) && !text.contains(", 0 mismatches"), "{text}");
}
