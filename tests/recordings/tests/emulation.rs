//! `vgpu-run` against what the card and its driver said: the same program again, and the recordings.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

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
    // Another copy of the card.
    let different = vgpu_run()
        .args(["replay", "--gpu", "h100", "--check"])
        .arg(recordings().join("h100-2/cuda-start.jsonl.xz"))
        .arg("--unit")
        .arg(recordings().join("h100/unit.toml"))
        .output()
        .expect("`make build` makes it");
    let text = String::from_utf8_lossy(&different.stdout);
    assert!(different.status.code() == Some(1) && !text.contains(", 0 mismatches"), "{text}");
}

/// The real driver's answers to the same program, where there is no driver.
#[test]
fn a_real_drivers_recording_answers_the_program_again() {
    let run = vgpu_run()
        .args(["replay", "--gpu", "h100"])
        .arg(recordings().join("h100-2/rm-errors.jsonl.xz"))
        .args(["--", env!("CARGO_BIN_EXE_rm-client"), "errors"])
        .output()
        .expect("`make build` makes it");
    let recorded = fs::read_to_string(recordings().join("h100-2/rm-errors.stdout")).expect("there");
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success() && errors.is_empty(), "{errors}");
    assert_eq!(comparable(&String::from_utf8_lossy(&run.stdout)), comparable(&recorded));
}

/// Nothing that the emulation says of a card is in the recording: it is there all the same.
#[test]
fn files_of_the_driver_are_where_the_recorded_card_was() {
    let information = "/proc/driver/nvidia/gpus/0000:00:06.0/information";
    let run = vgpu_run()
        .arg("replay")
        .arg(recordings().join("h100-2/smi-q.jsonl.xz"))
        .args(["--", "cat", information, "/sys/bus/pci/devices/0000:00:06.0/device"])
        .output()
        .expect("`make build` makes it");
    let text = String::from_utf8_lossy(&run.stdout);
    for part in ["NVIDIA H100 80GB HBM3", "GPU-c0ffee00-1234-5678-9abc-def012345678", "0x2330\n"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// Both ways in which calls come to us.
const MECHANISMS: [&str; 2] = ["notify", "ptrace"];

fn words(page: &[u8], at: usize) -> (u64, u64) {
    let word = |at: usize| u64::from_le_bytes(page[at..at + 8].try_into().expect("8 bytes"));
    (word(at), word(at + 8))
}

#[test]
fn the_shared_page_can_be_mapped_and_is_kept_up() {
    /// Places on the page of 580.159.04: memory, clocks, temperatures.
    const MEMORY: usize = 24;
    const CLOCKS: usize = 72;
    const TEMPERATURES: usize = 2296;
    /// `RUSD_SEQ_START`
    const COUNTED: u64 = 0xff << 56;
    for mechanism in MECHANISMS {
        let run = vgpu_run()
            .args([
                "--mechanism",
                mechanism,
                "--gpu",
                "h100",
                "--memory",
                "4G",
                env!("CARGO_BIN_EXE_rm-client"),
                "page",
                "2",
            ])
            .output()
            .expect("`make build` makes it");
        let text = String::from_utf8_lossy(&run.stdout);
        let pages = text.lines().filter_map(|line| line.strip_prefix("page [")?.strip_suffix(']'));
        let pages: Vec<Vec<u8>> = pages.map(|page| hex::decode(page).expect("hexadecimal")).collect();
        assert!(run.status.success() && pages.len() == 10 && pages[0].len() == 2608, "{mechanism}: {text}");
        assert_eq!(words(&pages[0], MEMORY), (4 << 30, 4 << 30), "{mechanism}");
        assert_eq!(words(&pages[0], MEMORY - 8).0, COUNTED, "{mechanism}");
        // Nobody asks for clocks; then one object does, then another asks for something else.
        let clocks: Vec<u64> = pages.iter().map(|page| words(page, CLOCKS).0).collect();
        assert!(clocks[0] == 0 && clocks[1] != 0 && clocks[2] == 0, "{mechanism}: {clocks:x?}");
        let [before, after] = [8, 9].map(|at| words(&pages[at], TEMPERATURES).0);
        let passed = after - before;
        assert!((100_000_000..3_000_000_000).contains(&passed), "{mechanism}: {passed} ns between two pages");
    }
}

#[test]
fn a_program_that_is_answered_from_a_recording_maps_the_page_too() {
    let place = std::env::temp_dir().join(format!("page-{}.jsonl", std::process::id()));
    for mechanism in MECHANISMS {
        let pages = |words: &[&str]| {
            let program = [env!("CARGO_BIN_EXE_rm-client"), "page", "1"];
            let mut run = vgpu_run();
            run.args(words).args(["--mechanism", mechanism]).arg(&place).arg("--").args(program);
            let run = run.output().expect("`make build` makes it");
            let (text, errors) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
            assert!(run.status.success() && errors.is_empty(), "{mechanism}: {errors}");
            text.lines().filter(|line| line.starts_with("page [")).count()
        };
        let recorded = pages(&["record", "--gpu", "h100", "--memory", "4G"]);
        assert!(recorded > 1 && recorded == pages(&["replay"]), "{mechanism}: {recorded}");
    }
    let _ = fs::remove_file(place);
}

#[test]
fn an_injected_fault_wakes_who_polls_a_node() {
    for mechanism in MECHANISMS {
        let mut run = vgpu_run()
            .args(["--mechanism", mechanism, "--gpu", "h100", env!("CARGO_BIN_EXE_rm-client"), "wait", "20"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("`make build` makes it");
        let mut lines = BufReader::new(run.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        assert!(lines.by_ref().any(|line| line == "waits"), "{mechanism}");
        let session = run.id().to_string();
        let inject = vgpu_run().args(["inject", "--session", &session, "xid", "31"]).output().expect("built");
        assert!(inject.status.success(), "{mechanism}: {}", String::from_utf8_lossy(&inject.stderr));
        let rest: Vec<String> = lines.collect();
        assert!(run.wait().expect("waited for").success(), "{mechanism}");
        // POLLIN and POLLPRI, until the event was fetched; then there is none, through whichever node. Recorded on a card, but for the
        // part of it that it came from.
        let expected = [
            "poll: (1, 3)",
            "poll again: (1, 3)",
            "event data: (0, 0, 0)",
            "  [0300005c250000001f00000000000000]",
            "event data: (0, 0, 59)",
        ];
        assert_eq!(rest[..expected.len()], expected, "{mechanism}");
        assert!(rest.contains(&"poll after that: (0, 0)".to_owned()), "{mechanism}: {rest:?}");
    }
}
