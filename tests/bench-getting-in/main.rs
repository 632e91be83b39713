//! What being followed costs: each workload without and with `vgpu-run`, alternating, in one run; and beside it what others
//! cost: the least that any supervisor with a listener does, and two other ways of seeing every open, a preloaded library and `strace -f`.
//!
//! What a trap consists of (Linux 6.18 in a virtual machine, two cores): in a loop that does nothing else an open and its close take 2.7 us,
//! with a listener that answers at once 7.8. Polling beside it, for all the rest that a supervisor hears of, makes that 8.8, reading the
//! path 10. In a program that does something between its calls each costs it some 20 us of its own besides: it goes on with the caches
//! and the translations of addresses that the supervisor has left. That is why column `least` is far above 1 for Python.
//!
//! The rows `, traced` and `, every call traced` are of the mechanisms for where there is no listener.
//!
//! Where the kernel's autogroups are in force a supervisor, which is a session of its own, is scheduled beside the program as a whole:
//! an open costs 1.3 us more, a process some 70 us. In a cgroup with a share of the processor they are not.
//!
//! Prints a table and appends rows to `bench.json` in the build directory. `--quick` makes workloads small;
//! `--overlay=full` measures the rows of the full overlay; other words choose the workloads whose names contain one of them. The
//! payload is that of stand-ins: no GPU is used; except in the rows of the release's one file, which has its payload inside and
//! gives it from its cache directory or from memory.

mod peers;
mod workloads;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::{bench_json, launch_path, one_file, workshop};

use peers::Peer;
use workloads::{Size, Way, Workload};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    let names: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|part| name.contains(part.as_str()));
    let bench = Bench { full: has("--overlay=full"), peers: peers::found() };
    let heads = bench.peers.iter().map(|peer| format!("{:>9}", peer.name)).collect::<String>();
    println!("{:<48} {:>7} {:>11} {:>11}      {:>9}{heads}", "workload", "ratio", "ours", "native", "traps");
    let size = if has("--quick") { Size::Quick } else { Size::Full };
    let mut rows = if names.is_empty() { bench.call_costs(size) } else { vec![] };
    let workloads = workloads::all(size, wanted);
    rows.extend(workloads.iter().map(|workload| bench.measure(workload)));
    bench_json::append(&rows);
}

/// Short workloads are run until so much time has passed.
const LONG_ENOUGH: Duration = Duration::from_secs(3);

struct Bench {
    full: bool,
    peers: Vec<Peer>,
}

impl Bench {
    fn options(&self) -> &'static [&'static str] {
        if self.full { &["--overlay", "full"] } else { &[] }
    }

    fn native(&self, words: &[String]) -> Command {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_remove("LD_LIBRARY_PATH");
        command
    }

    fn ours(&self, words: &[String], mechanism: &str) -> Command {
        let launch = launch_path(&words[0]).arguments(&words[1..]).options(self.options());
        // As it is typed: the usual one is not named.
        let named = if mechanism == NOTIFIED { vec![] } else { vec!["--mechanism", mechanism] };
        let mut command = launch.options(named).command();
        command.env_remove("VGPU_RUN_MECHANISM");
        command
    }

    fn in_its_way(&self, workload: &Workload) -> Command {
        let cache = match workload.way {
            Way::Build => return self.ours(&workload.words, NOTIFIED),
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
        let peers: &[Peer] = if matches!(workload.way, Way::Build) { &self.peers } else { &[] };
        let mut theirs = vec![vec![]; peers.len()];
        let begun = Instant::now();
        for round in (0..).take_while(|round| *round < workload.rounds || begun.elapsed() < LONG_ENOUGH) {
            native.push(milliseconds(self.native(&workload.words)));
            ours.push(milliseconds(self.in_its_way(workload)));
            // Theirs are many times ours, so fewer samples tell enough.
            if round % 3 == 0 {
                for (peer, times) in peers.iter().zip(&mut theirs) {
                    times.push(milliseconds(peer.command(&workload.words)));
                }
            }
        }
        let mut row = row(&workload.name, "ms", &mut ours, &mut native, Some(self.traps(workload)));
        for (peer, times) in peers.iter().zip(&mut theirs) {
            let ratio = median(times) / median(&mut native);
            print!("{ratio:>9.2}");
            row[peer.name] = json!(ratio);
        }
        println!();
        row
    }

    /// Counted in a run of its own, as telling of each slows it down.
    fn traps(&self, Workload { words, way, .. }: &Workload) -> usize {
        let launch = launch_path(&words[0]).arguments(&words[1..]).options(self.options());
        let mechanism = if let Way::By(mechanism) = way { mechanism } else { NOTIFIED };
        let output = launch
            .options(["--log", "debug", "--mechanism", mechanism])
            .command()
            .stdin(Stdio::null())
            .output();
        let text = String::from_utf8_lossy(&output.expect("a run").stderr).into_owned();
        text.lines().filter(|line| line.starts_with("vgpu-run: call ")).count()
    }

    fn call_costs(&self, size: Size) -> Vec<Value> {
        let program = workshop::target("call_costs").expect("a C compiler");
        let words = |rounds: usize| {
            vec![program.display().to_string(), rounds.to_string(), wire::PROTOCOL.to_string()]
        };
        let mut rows = call_costs_by(self, &words(size.of(20_000, 4_000)), size, "", NOTIFIED);
        for (by, mechanism) in workloads::TRACED {
            // Fewer: each of twenty times as many plain calls is two stops where every call is traced.
            rows.extend(call_costs_by(
                self,
                &words(size.of(1_000, 500)),
                size,
                &format!(", {by}"),
                mechanism,
            ));
        }
        rows
    }
}

/// The usual mechanism.
const NOTIFIED: &str = "notify";

fn call_costs_by(bench: &Bench, words: &[String], size: Size, by: &str, mechanism: &str) -> Vec<Value> {
    let names = [
        "call without a row (getppid)",
        "open passed on, and close",
        "control call",
        "control call in registers",
    ];
    let (mut ours, mut native) = (names.map(|_| vec![]), names.map(|_| vec![]));
    for _ in 0..size.of(7, 3) {
        collect(&mut native, bench.native(words));
        collect(&mut ours, bench.ours(words, mechanism));
    }
    let columns = names.iter().zip(ours.iter_mut().zip(native.iter_mut()));
    let rows = columns.map(|(name, (ours, native))| {
        let row = row(&format!("{name}{by}"), "ns", ours, native, None);
        println!();
        row
    });
    rows.collect()
}

fn collect(columns: &mut [Vec<f64>], mut command: Command) {
    let output = command.output().expect("a run");
    assert!(output.status.success(), "{command:?}: {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(numbers.len(), columns.len(), "{text}");
    columns.iter_mut().zip(numbers).for_each(|(column, number)| column.push(number));
}

fn milliseconds(mut command: Command) -> f64 {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let begin = Instant::now();
    let status = command.status().expect("a run");
    assert!(status.success(), "{command:?}: {status}");
    begin.elapsed().as_secs_f64() * 1e3
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Medians and their ratio; the spread is the middle half of our times relative to their median. Ends no line.
fn row(name: &str, unit: &str, ours: &mut [f64], native: &mut [f64], traps: Option<usize>) -> Value {
    let (our, their) = (median(ours), median(native));
    let spread = (ours[ours.len() * 3 / 4] - ours[ours.len() / 4]) / our;
    let trapped = traps.map_or_else(String::new, |traps| traps.to_string());
    print!("{name:<48} {:>7.3} {our:>11.2} {their:>11.2} {unit}  {trapped:>9}", our / their);
    json!({"name": name, "ratio": our / their, "ours": our, "native": their, "unit": unit, "spread": spread, "traps": traps})
}
