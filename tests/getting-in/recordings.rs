//! `vgpu-run record` and `replay`: a program's calls of the driver's nodes, written down and answered again.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use tests::{Launch, Run, launch};

/// A recording that is gone with this value.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("calls.jsonl")
    }
}

/// `vgpu-run WORDS FILE -- TARGET ARGUMENTS`
fn with_file(words: &[&str], place: &Place, target: &str, arguments: &[&str]) -> Launch {
    let launch = launch(target).options(words).options([place.file()]);
    launch.real_payload().arguments(arguments)
}

fn recorded(target: &str, arguments: &[&str]) -> (Place, Run) {
    let place = Place::new();
    let run = with_file(&["record", "--gpu", "h100"], &place, target, arguments).run_in_time();
    run.assert_exit(0);
    assert_eq!(run.stderr(), "", "nothing to complain about");
    (place, run)
}

/// The example without a library, and a hostile one with children, errors and three nodes.
#[test]
fn a_recorded_program_is_answered_without_a_card() {
    let (place, run) = recorded("asks", &["8"]);
    assert!(run.stdout().ends_with(", status 0\n"), "{}", run.text());
    for card in [&[][..], &["--gpu", "gtx1080"]] {
        let again = with_file(&[&["replay"], card].concat(), &place, "asks", &["8"]).run_in_time();
        again.assert_exit(0).assert_stdout(&run.stdout());
        assert_eq!(again.stderr(), "");
    }
    for what in ["forked", "executed", "unified"] {
        let (place, run) = recorded("hostile_nodes", &[what]);
        let again = with_file(&["replay"], &place, "hostile_nodes", &[what]).run_in_time();
        again.assert_exit(0).assert_stdout(&run.stdout());
    }
}

#[test]
fn a_handle_that_the_program_chooses_otherwise_is_renamed() {
    let (place, run) = recorded("asks", &["8"]);
    let again = with_file(&["replay"], &place, "asks", &["8", "0x77"]).run_in_time();
    again.assert_exit(0).assert_stdout(&run.stdout());
}

#[test]
fn a_call_that_was_not_recorded_is_named() {
    let (place, _) = recorded("asks", &["8"]);
    let again = with_file(&["replay", "--report"], &place, "asks", &["22"]).run_in_time();
    again.assert_exit(1).assert_stdout("No data available\n");
    let said = again.stderr();
    let named: Vec<_> = said.lines().filter(|line| line.contains("the recording has no such call")).collect();
    let [line] = named[..] else { panic!("{}", again.text()) };
    for part in ["NV2080_CTRL_CMD_FB_GET_INFO_V2", "fbInfoList.index=[HEAP_FREE]", "say something else"] {
        assert!(line.contains(part), "{line}");
    }
    // A node that the recorded program did not have.
    let other = with_file(&["replay"], &place, "hostile_nodes", &["unified"]).run_in_time();
    assert!(!other.status().success(), "{}", other.text());
    other.assert_stderr_has("`/dev/nvidia-uvm` was opened and refused");
}

#[test]
fn a_recording_has_calls_and_nothing_else_of_the_program() {
    const SECRET: &str = "nobodys-business";
    let place = Place::new();
    let program = with_file(&["record", "--gpu", "h100"], &place, "asks", &["8", "0x78", SECRET]);
    program.variable("VGPU_RUN_TEST_SECRET", SECRET).run_in_time().assert_exit(0);
    let text = fs::read_to_string(place.file()).expect("a recording");
    let in_digits: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(!text.contains(SECRET) && !text.contains(&in_digits) && !text.contains("asks"), "{text}");
    let opened =
        |node: &str| text.lines().filter(|line| line.contains("\"open\"") && line.contains(node)).count();
    assert_eq!((opened("/dev/nvidiactl"), opened("/dev/nvidia0")), (1, 1), "{text}");
    assert_eq!(text.lines().count(), 8, "its beginning, two opens, three allocations, two controls: {text}");
}

#[test]
fn the_emulated_driver_answers_its_own_recording_alike() {
    let place = Place::new();
    let options = ["record", "--gpu", "h100", "--memory", "2G"];
    with_file(&options, &place, "asks", &["8"]).run_in_time().assert_exit(0);
    let check = |memory| {
        let mut command = std::process::Command::new(tests::vgpu_run());
        command.args(["replay", "--check", "--memory", memory]).arg(place.file()).output().expect("a run")
    };
    let output = check("2G");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("5 calls, 5 matches, 0 mismatches"), "{said}");
    assert_eq!(check("3G").status.code(), Some(1));
}

#[test]
fn what_cannot_be_written_or_read_is_told_before_anything_runs() {
    let place = Place::new();
    let refused = |words: &[&str], told: &str| {
        let mut command = std::process::Command::new(tests::vgpu_run());
        let output = command.args(words).current_dir(place.0.path()).output().expect("a run");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(125), 0), "{words:?}: {said}");
        assert!(said.contains(told), "{words:?}: {said}");
    };
    fs::write(place.0.path().join("broken"), "no recording\n").expect("a file");
    refused(&["record", "x.jsonl.xz", "--", "echo", "it runs"], "uncompressed");
    refused(&["record", "no/such/place", "--", "echo", "it runs"], "No such file");
    refused(&["replay", "nothing", "--", "echo", "it runs"], "No such file");
    refused(&["replay", "broken", "--", "echo", "it runs"], "line 1");
    refused(&["replay", "broken", "broken", "--", "echo", "it runs"], "several recordings");
    refused(&["replay", "broken"], "CMD");
}
