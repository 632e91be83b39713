//! Our `nvidia-smi`: found however a program looks for it, and printed as an H100's prints (`recorded/`: driver 580.159.04; made-up
//! serial number, UUID and path).

use std::collections::BTreeMap;
use std::path::Path;

use tests::{Launch, Run, launch_path, skipped};

const TABLE: &str = include_str!("recorded/table.txt");
const LOG: &str = include_str!("recorded/log.txt");
const DMON: &str = include_str!("recorded/dmon.txt");
const PMON: &str = include_str!("recorded/pmon.txt");
/// Each property of `--query-gpu`: its heading and its value on the idle card.
const PROPERTIES: &str = include_str!("recorded/properties.txt");

/// What differs from the recorded card in a way that no layout shows: what moves, who the card is, where it lies, and what the
/// board of that machine was.
const NOT_COMPARED: &[&str] = &[
    "Timestamp",
    "timestamp",
    "Serial Number",
    "serial",
    "GPU UUID",
    "uuid",
    "GPU PDI",
    "Board ID",
    "Board Part Number",
    "GPU Part Number",
    "Module Id",
    "platform.",
    "Bus",
    "Bus Id",
    "Device",
    "pci.bus",
    "pci.bus_id",
    "pci.device",
    "Replays Since Reset",
    "Tx Throughput",
    "Rx Throughput",
    "GPU Current Temp",
    "GPU T.Limit Temp",
    "Memory Current Temp",
    "temperature.",
    "Average Power Draw",
    "Instantaneous Power Draw",
    "power.draw",
    "Used",
    "Free",
    "Graphics",
    "SM",
    "Video",
    "clocks.current",
    "GPU",
    "Idle",
    "driver_version",
    "memory.total",
    "memory.used",
    "memory.free",
];

fn is_compared(name: &str) -> bool {
    !NOT_COMPARED.iter().any(|it| if it.ends_with('.') { name.starts_with(it) } else { name.trim() == *it })
        && !name.starts_with("power.draw")
        && !name.starts_with("clocks.current")
}

fn machine_has_one() -> bool {
    let has = Path::new("/usr/bin/nvidia-smi").exists();
    if has {
        skipped("this machine has NVIDIA's nvidia-smi");
    }
    has
}

fn h100(program: &str, arguments: &[&str]) -> Launch {
    launch_path(program).options(["--gpu", "h100"]).arguments(arguments).real_payload()
}

fn ours(arguments: &[&str]) -> Run {
    h100("nvidia-smi", arguments).run()
}

/// Digits and letters count, not which: words are of the same kind at the same place.
fn shape(line: &str) -> String {
    line.chars().map(|it| if it.is_ascii_digit() { '0' } else { it }).collect()
}

#[test]
fn it_is_found_however_a_program_looks() {
    if machine_has_one() {
        return;
    }
    let direct = ours(&["-L"]);
    direct.assert_exit(0);
    let expected = direct.stdout();
    assert!(expected.starts_with("GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-"), "{expected}");
    let mut ways = vec![
        h100("sh", &["-c", "nvidia-smi -L"]),
        h100("sh", &["-c", "/usr/bin/nvidia-smi -L"]),
        h100("/usr/bin/nvidia-smi", &["-L"]),
        h100("env", &["-i", "/usr/bin/nvidia-smi", "-L"]),
        // Twice: of the second time the path must be as it was.
        h100("sh", &["-c", "/usr/bin/nvidia-smi -L >/dev/null && /usr/bin/nvidia-smi -L"]),
    ];
    if tests::has_program("python3") {
        let script = "import shutil, subprocess, sys
assert shutil.which('nvidia-smi'), 'not in PATH'
path = '/usr/bin/nvidia-smi'
first = subprocess.check_output([path, '-L'])
assert path == '/usr/bin/nvidia-smi' and subprocess.check_output(['nvidia-smi', '-L']) == first
sys.stdout.buffer.write(first)";
        ways.push(h100("python3", &["-c", script]));
    }
    if tests::has_program("bash") {
        ways.push(h100("bash", &["-c", "command -v nvidia-smi >/dev/null && nvidia-smi -L"]));
    }
    for way in ways {
        way.run().assert_exit(0).assert_stdout(&expected);
    }
}

#[test]
fn where_there_is_one_ours_stays_away() {
    let place = tempfile::tempdir().expect("a directory");
    let other = place.path().join("nvidia-smi");
    std::fs::write(&other, "#!/bin/sh\necho another\n").expect("a program");
    std::fs::set_permissions(&other, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("its mode");
    let path = format!("{}:{}", std::env::var("PATH").expect("PATH"), place.path().display());
    let run = h100("sh", &["-c", "nvidia-smi -L"]).variable("PATH", path).run();
    if !machine_has_one() {
        run.assert_exit(0).assert_stdout("another\n");
    }
}

#[test]
fn the_table_is_laid_out_as_recorded() {
    if machine_has_one() {
        return;
    }
    let text = ours(&[]).stdout();
    let (head, recorded): (Vec<&str>, Vec<&str>) = (text.lines().collect(), TABLE.lines().collect());
    assert_eq!(head.len(), recorded.len(), "{text}");
    // Frames, headings and blank lines are the same to the letter; cells are where they were.
    for (line, expected) in head.iter().zip(&recorded).skip(1).take(13) {
        match shape(expected).contains('0') {
            false => assert_eq!(line, expected),
            true => assert_eq!(line.chars().count(), expected.chars().count(), "{line}\n{expected}"),
        }
    }
    assert_eq!(head[2], recorded[2]);
    assert!(head[8].starts_with("|   0  NVIDIA H100 80GB HBM3          On  |   00000000:"), "{text}");
    assert_eq!(head[8][62..], recorded[8][62..]);
    assert!(head[9].contains("C    P0    ") && head[9].contains("W /  700W |"), "{text}");
    assert_eq!(head[10], recorded[10]);
    assert_eq!(
        head[18],
        "|  No running processes found                                                             |"
    );
}

/// Labels of a log with their depth, in order, and values by label; of labels that come again the last.
fn read_log(text: &str) -> (Vec<&str>, BTreeMap<&str, &str>) {
    let lines: Vec<&str> =
        text.lines().take_while(|line| line.trim() != "Processes" && !line.contains(": None\n")).collect();
    let label = |line: &&'_ str| -> usize { line.find(" : ").or(line.find(": ")).unwrap_or(line.len()) };
    let labels = lines.iter().map(|line| line[..label(line)].trim_end()).collect();
    let values = lines.iter().filter_map(|line| {
        let at = label(line);
        (at < line.len()).then(|| (line[..at].trim_end(), line[at..].trim_start_matches([' ', ':'])))
    });
    (labels, values.collect())
}

#[test]
fn the_log_has_the_recorded_lines_and_values() {
    if machine_has_one() {
        return;
    }
    let run = ours(&["-q"]);
    run.assert_exit(0);
    let text = run.stdout();
    let text = &text[..text.find("    Processes").expect("processes")];
    let ((labels, values), (expected, recorded)) = (read_log(text), read_log(LOG));
    let name = |labels: &[&str]| {
        labels
            .iter()
            .map(|it| if it.starts_with("GPU ") && it.contains(':') { "GPU" } else { it }.to_owned())
            .collect::<Vec<_>>()
    };
    let (labels, expected) = (name(&labels), name(&expected));
    let labels: Vec<_> = labels.iter().filter(|it| !it.starts_with("GPU 0")).collect();
    let expected: Vec<_> = expected.iter().filter(|it| !it.starts_with("GPU 0")).collect();
    assert_eq!(labels, expected);
    for (label, value) in
        recorded.iter().filter(|(label, _)| is_compared(label) && !label.starts_with("GPU 0"))
    {
        assert_eq!(values[label], *value, "{label}");
    }
    let memory = ours(&["-q", "-d", "MEMORY"]).stdout();
    assert!(
        memory.contains("    FB Memory Usage\n        Total ") && !memory.contains("Processes"),
        "{memory}"
    );
    ours(&["-q", "-d", "VOLUME"]).assert_exit(2).assert_stdout("Failed to parse --display/-d flags\n");
}

#[test]
fn every_property_is_answered_as_recorded() {
    if machine_has_one() {
        return;
    }
    let rows: Vec<(&str, &str)> = PROPERTIES.lines().filter_map(|line| line.split_once(" | ")).collect();
    assert!(rows.len() > 200);
    let names: Vec<&str> =
        rows.iter().map(|(heading, _)| heading.split(' ').next().unwrap_or_default()).collect();
    let run = ours(&[&format!("--query-gpu={}", names.join(",")), "--format=csv"]);
    run.assert_exit(0);
    let text = run.stdout();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(", ").collect()).collect();
    assert_eq!((lines.len(), lines[0].len(), lines[1].len()), (2, rows.len(), rows.len()), "{text}");
    for (index, (heading, value)) in rows.iter().enumerate() {
        assert_eq!(lines[0][index], *heading);
        if is_compared(names[index]) {
            assert_eq!(lines[1][index], *value, "{heading}");
        }
    }
    let plain = ours(&["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader,nounits"]);
    plain.assert_exit(0);
    assert!(plain.stdout().starts_with("NVIDIA H100 80GB HBM3, 580.159.04, "), "{}", plain.stdout());
    let unknown = ours(&["--query-gpu=name,no.such.thing", "--format=csv"]);
    unknown.assert_exit(2).assert_stdout("Field \"no.such.thing\" is not a valid field to query.\n\n");
}

#[test]
fn what_it_lacks_is_named() {
    if machine_has_one() {
        return;
    }
    let unknown = ours(&["--no-such-option"]);
    unknown.assert_exit(255);
    assert_eq!(
        unknown.stdout(),
        "ERROR: Option --no-such-option is not recognized. Please run 'nvidia-smi -h'.\n\n"
    );
    let lacking = ours(&["--gom", "0"]);
    lacking.assert_exit(3);
    assert!(lacking.stdout().contains("Option --gom is not supported"), "{}", lacking.stdout());
    ours(&["-i", "9"]).assert_exit(6).assert_stdout("No devices were found\n");
}

/// The head of a monitor is the same to the letter; a row is as long.
fn assert_columns(text: &str, recorded: &str) {
    let (text, recorded): (Vec<&str>, Vec<&str>) = (text.lines().collect(), recorded.lines().collect());
    assert_eq!(text[..2], recorded[..2]);
    assert_eq!(text[2].len(), recorded[2].len(), "{}\n{}", text[2], recorded[2]);
}

#[test]
fn a_process_with_memory_is_in_every_list() {
    if machine_has_one() || !tests::has_program("python3") {
        return;
    }
    let session = Path::new(env!("CARGO_MANIFEST_DIR")).join("nvml-clients/session.py");
    let beside = |arguments: &[&str]| {
        let holder = tests::workshop::directory()
            .join(format!("smi-holder-{}", arguments[0].trim_matches('-').replace('=', "-")));
        let words = [&[session.to_str().expect("a path"), "nvidia-smi"], arguments].concat();
        let run = h100("python3", &words).options(["--memory", "4G"]).variable("HOLDER_FILE", &holder).run();
        run.assert_exit(0);
        (run.stdout(), std::fs::read_to_string(holder).expect("the other process's id"))
    };
    let (list, holder) = beside(&["--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"]);
    let (pid, used) = list.trim().split_once(", ").expect("one line");
    assert_eq!(pid, holder);
    assert!((256..1024).contains(&used.parse::<u64>().expect("MiB")), "{list}");
    let (log, holder) = beside(&["-q", "-d", "PIDS,MEMORY"]);
    let process =
        log.lines().filter_map(|line| line.split_once(" : ")).find(|(name, _)| name.trim() == "Process ID");
    assert_eq!(process.map(|(_, id)| id), Some(&holder[..]), "{log}");
    let (table, holder) = beside(&["-i", "0"]);
    let row = table.lines().find(|line| line.contains(&holder) && line.contains("MiB |"));
    let recorded = TABLE.lines().find(|line| line.contains("cuda-start")).expect("a row");
    assert_eq!(row.map(str::len), Some(recorded.len()), "{table}");
    let (rows, holder) = beside(&["pmon", "-c", "1", "-s", "um"]);
    assert_columns(&rows, PMON);
    assert!(rows.contains(&holder), "{rows}");
    let (rows, _) = beside(&["dmon", "-c", "1", "-s", "pucvmet"]);
    assert_columns(&rows, DMON);
}
