//! Monitoring tools that everybody has: nvidia-ml-py, gpustat, nvitop and nvtop, unmodified, on one card and on two.
//!
//! Each runs while another process of the tree holds a context and 256 MiB (`session.py`), and has to show the card, the
//! driver, the memory, and that process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;
use tests::{Launch, Terminal, launch_path, skipped};

/// What the recorded card's driver calls itself; every profile is of this driver.
const DRIVER: &str = "580.159.04";

/// Of each card, by `--memory`.
const MEMORY: u64 = 4 << 30;

/// What the other process allocates; a context takes some more.
const HELD: u64 = 256 << 20;

struct Cards {
    gpu: &'static str,
    count: usize,
    name: &'static str,
}

const CARDS: &[Cards] = &[
    Cards { gpu: "h100", count: 1, name: "NVIDIA H100 80GB HBM3" },
    Cards { gpu: "t4", count: 2, name: "Tesla T4" },
];

/// What a script in `scripts/` prints; `None`, and a word why, if what it fetches can't be had.
fn fetched(script: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts").join(script);
    let output = Command::new(&path).output().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if output.status.success() {
        return Some(String::from_utf8_lossy(&output.stdout).trim().into());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    skipped(&format!("{script}: {}", complaint.lines().last().unwrap_or("no word why")));
    None
}

fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    PYTHON.get_or_init(|| fetched("fetch-nvml-clients")).as_deref()
}

/// A client on some cards, beside the process that holds memory.
struct Session {
    launch: Launch,
    holder: PathBuf,
}

impl Session {
    fn new(python: &Path, cards: &Cards, test: &str, arguments: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("nvml-clients/session.py");
        let holder = tests::workshop::directory().join(format!("holder-{test}-{}", cards.gpu));
        let count = cards.count.to_string();
        let launch = launch_path(python)
            .options(["--gpu", cards.gpu, "--gpus", &count, "--memory", "4G"])
            .arguments([script.as_os_str()])
            .arguments(arguments)
            .variable("HOLDER_FILE", &holder)
            .real_payload();
        Self { launch, holder }
    }

    /// What the client prints, and the id of the process that held memory.
    fn run(self) -> (String, u64) {
        let run = self.launch.run();
        run.assert_exit(0);
        let holder = fs::read_to_string(self.holder).expect("the other process's id");
        (run.stdout(), holder.parse().expect("a number"))
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

fn numbers(value: &Value) -> Vec<u64> {
    value.as_array().expect("an array").iter().map(|it| it.as_u64().expect("a number")).collect()
}

/// How many bytes each form of a getter writes. hashcat uses the first one, with a structure of that age on its stack.
#[test]
fn older_forms_of_a_structure_stay_within_it() {
    let script = r#"
import ctypes
nvml, device = ctypes.CDLL("libnvidia-ml.so.1"), ctypes.c_void_p()
assert nvml.nvmlInit_v2() == 0 and nvml.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(device)) == 0
for form in ("", "_v2", "_v3"):
    place = (ctypes.c_ubyte * 256)(*[0xAA] * 256)
    assert getattr(nvml, "nvmlDeviceGetPciInfo" + form)(device, place) == 0
    print(len(bytes(place).rstrip(b"\xaa")), end=" ")
"#;
    if tests::has_program("python3") {
        let run =
            launch_path("python3").options(["--gpu", "h100"]).arguments(["-c", script]).real_payload().run();
        // The first two as a real H100's library does it; of the third it leaves what is behind the text as it was.
        run.assert_exit(0).assert_stdout("32 36 68 ");
    }
}

#[test]
fn nvidia_ml_py_tells_of_cards_memory_and_the_process() {
    let Some(python) = python() else { return };
    for cards in CARDS {
        let (text, holder) = Session::new(python, cards, "ask", &["--ask"]).run();
        let told = json(&text);
        assert_eq!(told["driver"], DRIVER);
        let devices = told["devices"].as_array().expect("the devices");
        assert_eq!(devices.len(), cards.count);
        for (index, device) in devices.iter().enumerate() {
            let (memory, detailed) = (|name| device[name].as_u64().unwrap(), &device["detailed"]);
            assert_eq!(device["name"], cards.name);
            assert!(
                devices[..index].iter().all(|other| other["uuid"] != device["uuid"]),
                "one UUID twice: {text}"
            );
            // The newer form keeps what the driver takes for itself apart; programs can have the rest.
            assert_eq!(detailed["total"].as_u64().unwrap() - detailed["reserved"].as_u64().unwrap(), MEMORY);
            assert_eq!(memory("total"), detailed["total"].as_u64().unwrap());
            assert_eq!(memory("used") + memory("free"), memory("total"));
            let processes = device["processes"].as_array().expect("a list");
            if index > 0 {
                assert!(processes.is_empty(), "{text}");
                continue;
            }
            assert_eq!(processes.len(), 1, "{text}");
            let process = numbers(&processes[0]);
            assert_eq!(process[0], holder);
            assert!((HELD..2 * HELD).contains(&process[1]), "{text}");
            assert!(detailed["used"].as_u64().unwrap() >= process[1], "{text}");
        }
    }
}

#[test]
fn gpustat_shows_the_same() {
    let Some(python) = python() else { return };
    let gpustat = python.with_file_name("gpustat");
    for cards in CARDS {
        let (text, holder) =
            Session::new(python, cards, "gpustat", &[gpustat.to_str().unwrap(), "--json"]).run();
        let told = json(&text);
        assert_eq!(told["driver_version"], DRIVER);
        let devices = told["gpus"].as_array().expect("the devices");
        assert_eq!(devices.len(), cards.count);
        assert!(devices.iter().all(|device| device["name"] == cards.name), "{text}");
        assert!(
            devices.iter().all(|device| device["memory.total"].as_u64().unwrap() >= MEMORY >> 20),
            "{text}"
        );
        let processes = devices[0]["processes"].as_array().expect("a list");
        assert_eq!(processes.len(), 1, "{text}");
        assert_eq!(processes[0]["pid"], holder);
        let held = processes[0]["gpu_memory_usage"].as_u64().expect("MiB");
        assert!((HELD >> 20..HELD >> 19).contains(&held), "{text}");
    }
}

#[test]
fn nvitop_shows_the_same() {
    let Some(python) = python() else { return };
    let nvitop = python.with_file_name("nvitop");
    for cards in CARDS {
        let arguments = [nvitop.to_str().unwrap(), "--once", "--no-unicode"];
        let (text, holder) = Session::new(python, cards, "nvitop", &arguments).run();
        assert!(text.contains(&format!("Driver Version: {DRIVER}")), "{text}");
        // It leaves out the maker's name.
        let name = cards.name.trim_start_matches("NVIDIA ");
        assert_eq!(text.matches(name).count(), cards.count, "{text}");
        let row = text.lines().find(|line| line.contains(&format!(" {holder} C ")));
        assert!(row.is_some_and(|row| row.contains("MiB")), "no row for process {holder} in:\n{text}");
    }
}

#[test]
fn nvtop_draws_the_cards_and_the_process() {
    let (Some(python), Some(nvtop)) = (python(), fetched("fetch-nvtop")) else { return };
    for cards in CARDS {
        let session = Session::new(python, cards, "nvtop", &[nvtop.to_str().unwrap()]);
        let command =
            session.launch.variable("TERM", "xterm").variable("LINES", "40").variable("COLUMNS", "160");
        let mut terminal = Terminal::start(command.command());
        for index in 0..cards.count {
            terminal.expect(&format!("Device {index}"));
            terminal.expect(&format!("[{}]", cards.name));
        }
        let holder = fs::read_to_string(&session.holder).expect("the other process's id");
        terminal.expect(&holder);
        terminal.expect("MiB");
        terminal.press("q");
        assert!(terminal.end().success());
    }
}
