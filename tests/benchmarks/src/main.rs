//! `make bench`, kernels and language models: the CPU engine against native AVX2 code, as ratios measured in the same run.
//!
//! *Row*: a name of the table and of `target/bench.json`; of rates, so that more is better, and its ratio is ours by native.
//! *Problem*: buffers, launches, and the same work natively. *Device*: who runs the launches. *Peer*: PoCL, the other way to run
//! such kernels on a CPU, beside ours in the table. *Sample*: what one process measured.
//!
//! ```text
//!   benchmarks ─┬─ vgpu-run ─▶ benchmarks --sample ROW --on driver     driver API, ring, engine ┐ each a process of its own,
//!               ├─────────────▶ benchmarks --sample ROW --on opencl    PoCL                     ├ with native code in turn on
//!               │                                                                               ┘ the same core
//!               └─ llama.mjs: llama.cpp's CUDA build under vgpu-run, and its CPU build
//! ```
//!
//! Several processes for each row, because placement in memory differs between them: a row is their median, and its spread is
//! the distance of the extremes by the median. Each process compares its results with the native side's before it times.
//! Kernels are compiled at their first launch (`VGPU_RUN_TIER=compiled`), which is not timed: rows say how fast code is, also with an empty code
//! cache. What waiting for code costs a program is in the rows of language models, whose engine compiles when it finds that worth it.
//! Nothing here gates anything.
//!
//! `benchmarks NAME…` measures the rows with such a word in their names; `--in-process` measures them here and now, without
//! driver and engine process, for a profiler; `--ptx` prints the kernels.

mod cores;
mod device;
mod llama;
mod measure;
mod native;
mod problem;
mod problems;
mod row;
mod sources;

use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};

use crate::device::Kind;
use crate::measure::{Sample, measure};
use crate::problem::{Benchmark, Module};
use crate::row::Row;

/// Ratios of the CPU engine to native code.
#[derive(Parser)]
struct Options {
    /// Rows with one of these words in their names; all if there is none.
    rows: Vec<String>,
    /// Processes that measure each row.
    #[arg(long, default_value_t = 3)]
    processes: usize,
    /// Seconds for which each process times a kernel, and again the native side.
    #[arg(long, default_value_t = 0.25)]
    seconds: f64,
    /// Measure in this process, through the executor alone.
    #[arg(long)]
    in_process: bool,
    /// Print the PTX of the kernels, of capability 6.1 and of 8.0, and measure nothing.
    #[arg(long)]
    ptx: bool,
    /// Measure one row once and print the two rates.
    #[arg(long, hide = true)]
    sample: Option<String>,
    /// On which device.
    #[arg(long, hide = true, default_value_t = Kind::InProcess)]
    on: Kind,
}

impl Options {
    fn time(&self) -> Duration {
        Duration::try_from_secs_f64(self.seconds).unwrap_or_default()
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    if !(is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c"))
    {
        println!("skipped: the native side needs AVX2, FMA and F16C");
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    if let Some(name) = &options.sample {
        let benchmark = problems::ALL.iter().find(|benchmark| benchmark.name == name);
        let benchmark = benchmark.ok_or_else(|| format!("there is no row `{name}`"))?;
        let sample = measure(benchmark, options.on, options.time())?;
        println!("{}", json!([sample.device, sample.native]));
        return Ok(());
    }
    sources::compile()?;
    if options.ptx {
        return Module::ALL.into_iter().try_for_each(|module| {
            println!("{}", sources::ptx(module)?);
            Ok(())
        });
    }
    measure_all(options)
}

/// Prints the rows as they come and puts them into `bench.json`; a row that can't be measured says why.
fn measure_all(options: &Options) -> Result<(), String> {
    // Whole words: `mma` is no part of `gemma`.
    let has = |name: &str, part: &str| format!("_{name}").contains(&format!("_{part}"));
    let wanted = |name: &str| options.rows.is_empty() || options.rows.iter().any(|part| has(name, part));
    let known = || problems::ALL.iter().map(|benchmark| benchmark.name).chain(llama::ROWS);
    if !known().any(wanted) {
        let names: Vec<&str> = known().collect();
        return Err(format!("no such row\n\nhint: the rows are {}", names.join(", ")));
    }
    row::print_header();
    let mut measured = Vec::new();
    let mut tell = |name: &str, row: Result<Row, String>| match row {
        Ok(row) => {
            row.print();
            measured.push(row.json());
        }
        Err(reason) => println!("{name:<24} skipped: {}", reason.trim()),
    };
    for benchmark in problems::ALL.iter().filter(|benchmark| wanted(benchmark.name)) {
        let row = if options.in_process { here(benchmark, options) } else { elsewhere(benchmark, options) };
        tell(benchmark.name, row);
    }
    if !options.in_process {
        // A run of a model takes as long as many samples of a kernel.
        llama::rows(options.processes.div_ceil(3).max(1), &wanted, &mut tell);
        tests::bench_json::append(&measured);
    }
    Ok(())
}

/// One sample of this process.
fn here(benchmark: &Benchmark, options: &Options) -> Result<Row, String> {
    let sample = measure(benchmark, Kind::InProcess, options.time())?;
    Ok(row_of(benchmark, vec![sample], Err(String::new())))
}

/// Samples of processes on the virtual GPU and of as many on the peer, in turn.
fn elsewhere(benchmark: &Benchmark, options: &Options) -> Result<Row, String> {
    let (mut ours, mut peer) = (Vec::new(), Ok(Vec::new()));
    for _ in 0..options.processes.max(1) {
        ours.push(sample(benchmark, Kind::Driver, options)?);
        peer = peer.and_then(|mut samples: Vec<Sample>| {
            samples.push(sample(benchmark, Kind::OpenCl, options)?);
            Ok(samples)
        });
    }
    Ok(row_of(benchmark, ours, peer))
}

fn row_of(benchmark: &Benchmark, ours: Vec<Sample>, peer: Result<Vec<Sample>, String>) -> Row {
    Row { name: benchmark.name.into(), unit: benchmark.unit, ours, peer, note: String::new() }
}

/// A process that measures one row on one device.
fn sample(benchmark: &Benchmark, kind: Kind, options: &Options) -> Result<Sample, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let seconds = options.seconds.to_string();
    let arguments =
        ["--sample", benchmark.name, "--on", &kind.to_string(), "--seconds", &seconds].map(String::from);
    let mut command = if kind == Kind::Driver {
        // A card for which both modules' PTX is good.
        tests::launch_path(program).options(["--gpu", "a100"]).arguments(arguments).real_payload().command()
    } else {
        let mut command = Command::new(program);
        command.args(arguments);
        command
    };
    // The native side has no more.
    command.env(wire::engine::ISA_VARIABLE, "avx2");
    // Rows tell how fast code is, not how soon it is there: the first launch, which is not timed, waits for it.
    command.env(wire::engine::TIER_VARIABLE, "compiled");
    // The peer keeps what it compiled in its own place, and has one thread, as ours.
    command.env("POCL_CACHE_DIR", sources::build_directory().join("bench-kernels/pocl"));
    command.env("POCL_MAX_PTHREAD_COUNT", "1").stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        // The process's own error, then vgpu-run's explanation.
        let reasons: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
        let reason = reasons.join("; ");
        return Err(if reason.is_empty() { format!("{} {text}", output.status) } else { reason });
    }
    let rates: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    match (rates[0].as_f64(), rates[1].as_f64()) {
        (Some(device), Some(native)) => Ok(Sample { device, native }),
        _ => Err(format!("a measuring process says {rates}")),
    }
}
