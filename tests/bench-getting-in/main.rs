//! What being followed costs: each workload without and with `vgpu-run`, alternating, in one run.
//!
//! The rows `, traced` and `, every call traced` are of the mechanisms for where there is no listener.
//!
//! Prints a table and appends rows to `bench.json` in the build directory. `--quick` makes workloads small;
//! `--overlay=full` measures the rows of the full overlay. The payload is that of stand-ins: no GPU is used; except in the rows
//! of the release's one file, which has its payload inside and gives it from its cache directory or from memory.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};
use tests::{bench_json, has_program, launch_path, one_file, workshop};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    let bench = Bench { quick: has("--quick"), full: has("--overlay=full") };
    println!("{:<48} {:>7} {:>11} {:>11}      {:>9}", "workload", "ratio", "ours", "native", "traps");
    let mut rows = bench.call_costs();
    rows.extend(bench.workloads().iter().map(|workload| bench.measure(workload)));
    bench_json::append(&rows);
}

/// The mechanisms without a listener.
const TRACED: [(&str, &str); 2] = [("traced", "ptrace"), ("every call traced", "ptrace-syscalls")];

struct Bench {
    quick: bool,
    full: bool,
}

/// A command to be timed.
struct Workload {
    name: String,
    words: Vec<String>,
    rounds: usize,
    way: Way,
}

/// What a command is run by.
#[derive(Clone, Copy)]
enum Way {
    /// `vgpu-run` as it was built, with stand-ins.
    Build,
    /// The same, with this mechanism.
    By(&'static str),
    /// The one file.
    OneFile,
    /// The one file without a cache directory.
    Memory,
}

impl Bench {
    fn size(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    fn options(&self) -> &'static [&'static str] {
        if self.full { &["--overlay", "full"] } else { &[] }
    }

    fn workloads(&self) -> Vec<Workload> {
        let rounds = self.size(7, 3);
        let shell = |name: String, script: String| Workload {
            name,
            words: vec!["/bin/sh".into(), "-c".into(), script],
            rounds,
            way: Way::Build,
        };
        let start_up = |name: &str, way| Workload {
            name: format!("start-up: true{name}"),
            words: vec!["/bin/true".into()],
            rounds: self.size(101, 31),
            way,
        };
        let mut workloads = vec![
            start_up("", Way::Build),
            start_up(", one file", Way::OneFile),
            start_up(", one file, no cache", Way::Memory),
        ];
        if has_program("python3") {
            let modules = "json,email.message,http.client,xml.dom.minidom,unittest,asyncio,sqlite3,decimal,ctypes,logging.config";
            workloads.push(shell("python, many imports".into(), format!("python3 -c 'import {modules}'")));
        }
        if has_program("git") {
            let count = self.size(20_000, 4_000);
            let tree = git_tree(count);
            workloads.push(shell(
                format!("git status, {count} files"),
                format!("git -C {} status >/dev/null", tree.display()),
            ));
        }
        let sources = c_sources(10);
        let build = format!("cd {}; for f in *.c; do cc -O1 -c $f; done", sources.display());
        workloads.push(shell("C build, 10 files".into(), build));
        let trues = |count| {
            let script = format!("i=0; while [ $i -lt {count} ]; do /bin/true; i=$((i+1)); done");
            shell(format!("{count} x /bin/true"), script)
        };
        workloads.push(trues(self.size(10_000, 1_000)));
        for (by, mechanism) in TRACED {
            // Short, as nobody is to wait for every call of ten thousand processes.
            let workload = trues(500);
            let name = format!("{}, {by}", workload.name);
            workloads.push(Workload { name, way: Way::By(mechanism), rounds: 3, ..workload });
            workloads.push(start_up(&format!(", {by}"), Way::By(mechanism)));
        }
        workloads
    }

    fn native(&self, words: &[String]) -> Command {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_remove("LD_LIBRARY_PATH");
        command
    }

    fn ours(&self, words: &[String], mechanism: &str) -> Command {
        let launch = launch_path(&words[0]).arguments(&words[1..]).options(self.options());
        launch.options(["--mechanism", mechanism]).command()
    }

    fn in_its_way(&self, workload: &Workload) -> Command {
        let cache = match workload.way {
            Way::Build => return self.ours(&workload.words, "notify"),
            Way::By(mechanism) => return self.ours(&workload.words, mechanism),
            Way::OneFile => workshop::directory().join("cache"),
            Way::Memory => PathBuf::from("/dev/null"),
        };
        let mut command = Command::new(one_file());
        command.args(self.options()).arg("--").args(&workload.words).env("XDG_CACHE_HOME", cache);
        command
    }

    fn measure(&self, workload: &Workload) -> Value {
        let (mut ours, mut native) = (vec![], vec![]);
        for _ in 0..workload.rounds {
            native.push(milliseconds(self.native(&workload.words)));
            ours.push(milliseconds(self.in_its_way(workload)));
        }
        row(&workload.name, "ms", &mut ours, &mut native, Some(self.traps(workload)))
    }

    /// Counted in a run of its own, as telling of each slows it down.
    fn traps(&self, Workload { words, way, .. }: &Workload) -> usize {
        let launch = launch_path(&words[0]).arguments(&words[1..]).options(self.options());
        let mechanism = if let Way::By(mechanism) = way { mechanism } else { "notify" };
        let output = launch
            .options(["--log", "debug", "--mechanism", mechanism])
            .command()
            .stdin(Stdio::null())
            .output();
        let text = String::from_utf8_lossy(&output.expect("a run").stderr).into_owned();
        text.lines().filter(|line| line.starts_with("vgpu-run: call ")).count()
    }

    fn call_costs(&self) -> Vec<Value> {
        let program = workshop::target("call_costs").expect("a C compiler");
        let words = vec![program.display().to_string(), self.size(20_000, 4_000).to_string()];
        let mut rows = self.call_costs_by(&words, "", "notify");
        // A twentieth: each of 80,000 calls is two stops where every call is traced.
        let few = vec![words[0].clone(), self.size(1_000, 500).to_string()];
        for (by, mechanism) in TRACED {
            rows.extend(self.call_costs_by(&few, &format!(", {by}"), mechanism));
        }
        rows
    }

    fn call_costs_by(&self, words: &[String], by: &str, mechanism: &str) -> Vec<Value> {
        let names = ["call without a row (getppid)", "open passed on, and close", "control call"];
        let (mut ours, mut native) = ([vec![], vec![], vec![]], [vec![], vec![], vec![]]);
        for _ in 0..self.size(7, 3) {
            collect(&mut native, self.native(words));
            collect(&mut ours, self.ours(words, mechanism));
        }
        let columns = names.iter().zip(ours.iter_mut().zip(native.iter_mut()));
        columns.map(|(name, (ours, native))| row(&format!("{name}{by}"), "ns", ours, native, None)).collect()
    }
}

fn collect(columns: &mut [Vec<f64>; 3], mut command: Command) {
    let output = command.output().expect("a run");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(numbers.len(), 3, "{text}");
    columns.iter_mut().zip(numbers).for_each(|(column, number)| column.push(number));
}

fn milliseconds(mut command: Command) -> f64 {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let begin = Instant::now();
    let status = command.status().expect("a run");
    assert!(status.success(), "{command:?}: {status}");
    begin.elapsed().as_secs_f64() * 1e3
}

/// Medians and their ratio; the spread is the middle half of our times relative to their median.
fn row(name: &str, unit: &str, ours: &mut [f64], native: &mut [f64], traps: Option<usize>) -> Value {
    ours.sort_by(f64::total_cmp);
    native.sort_by(f64::total_cmp);
    let median = |times: &[f64]| times[times.len() / 2];
    let (our, their) = (median(ours), median(native));
    let spread = (ours[ours.len() * 3 / 4] - ours[ours.len() / 4]) / our;
    let trapped = traps.map_or_else(String::new, |traps| traps.to_string());
    println!("{name:<48} {:>7.3} {our:>11.2} {their:>11.2} {unit}  {trapped:>9}", our / their);
    json!({"name": name, "ratio": our / their, "ours": our, "native": their, "unit": unit, "spread": spread, "traps": traps})
}

fn git_tree(count: usize) -> PathBuf {
    let tree = workshop::directory().join(format!("git-{count}"));
    if !tree.join("done").exists() {
        for index in 0..count {
            let directory = tree.join(format!("d{}", index % 100));
            fs::create_dir_all(&directory).expect("a directory");
            fs::write(directory.join(format!("f{index}")), format!("{index}\n")).expect("a file");
        }
        let script = "git init -q . && git add . && git -c user.name=x -c user.email=x@x commit -q -m all && touch done";
        let status = Command::new("sh").args(["-c", script]).current_dir(&tree).status();
        assert!(status.is_ok_and(|status| status.success()), "cannot make a git tree");
    }
    tree
}

fn c_sources(count: usize) -> PathBuf {
    let directory = workshop::directory().join("sources");
    fs::create_dir_all(&directory).expect("a directory");
    for index in 0..count {
        let text = format!(
            "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <math.h>\nint f{index}(int x) {{ return printf(\"%d\", x); }}\n"
        );
        fs::write(directory.join(format!("s{index}.c")), text).expect("a source file");
    }
    directory
}
