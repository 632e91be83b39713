//! A line for each call.

use std::collections::HashMap;
use std::io::Read;
use std::time::Duration;

use tests::{descendants, name_of, wait_until};

use crate::{Place, ends_right, lines_of, traced};

/// A line's parts.
#[derive(Debug)]
struct Line<'a> {
    time: f64,
    process: &'a str,
    depth: usize,
    call: &'a str,
    result: &'a str,
}

impl<'a> Line<'a> {
    /// `    0.001234 4711/4712   cuInit(flags: 0) = CUDA_SUCCESS <1.2µs>`
    fn new(line: &'a str) -> Line<'a> {
        let parse = || {
            let (time, rest) = line.trim_start().split_once(' ')?;
            let (process, rest) = rest.split_once(' ')?;
            let call = rest.trim_start_matches(' ');
            let depth = (rest.len() - call.len()) / 2;
            let (call, result) = call.rsplit_once(" = ")?;
            Some(Line { time: time.parse().ok()?, process, depth, call, result })
        };
        parse().unwrap_or_else(|| panic!("`{line}` is no line of a trace"))
    }

    fn is_of(&self, function: &str) -> bool {
        self.call.strip_prefix(function).is_some_and(|rest| rest.starts_with('('))
    }
}

fn parsed(lines: &[String]) -> Vec<Line<'_>> {
    lines.iter().map(|line| Line::new(line)).collect()
}

/// The only call of a function.
fn only<'a>(lines: &'a [Line<'a>], function: &str) -> &'a Line<'a> {
    let found: Vec<_> = lines.iter().filter(|line| line.is_of(function)).collect();
    let [line] = found[..] else { panic!("{function}: {found:?}") };
    line
}

/// Both texts, with anything between them.
fn check(text: &str, begin: &str, end: &str) {
    assert!(text.starts_with(begin) && text.ends_with(end), "`{text}` is not `{begin}…{end}`");
}

#[test]
fn arguments_and_results_are_named() {
    let lines = lines_of("arguments", &[], ends_right);
    let lines = parsed(&lines);
    assert_eq!(only(&lines, "cuInit").call, "cuInit(flags: 0)");
    check(only(&lines, "cuInit").result, "CUDA_SUCCESS <", "s>");
    check(only(&lines, "cuDeviceGetName").call, "cuDeviceGetName(name: 0x", ", length: 64, device: 0)");
    assert!(only(&lines, "cuDeviceGetName").call.contains(" -> \"NVIDIA GeForce GTX 1080\""));
    let attributes: Vec<_> = lines.iter().filter(|line| line.is_of("cuDeviceGetAttribute")).collect();
    let known = "attribute: CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, device: ";
    check(attributes[0].call, "cuDeviceGetAttribute(value: 0x", &format!(" -> 20, {known}0)"));
    check(attributes[1].call, "cuDeviceGetAttribute(value: 0x", &format!(", {known}77)"));
    assert!(!attributes[1].call.contains("->"), "a call that failed has written nothing");
    check(attributes[1].result, "CUDA_ERROR_INVALID_DEVICE <", "s>");
    check(
        only(&lines, "cuEventCreate").call,
        "cuEventCreate(created: 0x",
        ", flags: CU_EVENT_DISABLE_TIMING|CU_EVENT_INTERPROCESS)",
    );
    check(only(&lines, "cuMemAlloc_v2").call, "cuMemAlloc_v2(address: 0x", ", bytes: 123456)");
    let freed: Vec<_> = lines.iter().filter(|line| line.is_of("cuMemFree_v2")).collect();
    let given =
        only(&lines, "cuMemAlloc_v2").call.split(" -> ").nth(1).and_then(|rest| rest.split(',').next());
    assert_eq!(freed[0].call, format!("cuMemFree_v2(address: {})", given.expect("what was allocated")));
    check(freed[1].result, "CUDA_ERROR_INVALID_VALUE <", "s>");
    check(lines.last().expect("a line").call, "cuDeviceGetCount(count: NULL)", "");
}

#[test]
fn every_call_of_every_thread_is_there_in_its_order() {
    const THREADS: usize = 4;
    const CALLS: usize = 20_000;
    let lines = lines_of("many", &["--filter", "cuDeviceGetAttribute"], ends_right);
    check_many(&parsed(&lines), THREADS, CALLS);
}

fn check_many(lines: &[Line], threads: usize, calls: usize) {
    let mut of_threads: HashMap<&str, Vec<f64>> = HashMap::new();
    for line in lines {
        assert!(line.is_of("cuDeviceGetAttribute"), "{line:?}");
        of_threads.entry(line.process).or_default().push(line.time);
    }
    assert_eq!(of_threads.len(), threads);
    for (thread, times) in of_threads {
        assert_eq!(times.len(), calls, "{thread}");
        assert!(times.is_sorted(), "{thread}");
    }
}

#[test]
fn slow_reader_makes_the_program_wait_and_loses_nothing() {
    let place = Place::new();
    let pipe = place.file("pipe");
    let name = std::ffi::CString::new(pipe.to_str().expect("a path")).expect("no NUL");
    // SAFETY: a path of ours.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let options = ["--filter", "cuDeviceGetAttribute", "-o", pipe.to_str().expect("a path")];
    let child = traced("many", &options).start();
    let mut text = String::new();
    let mut file = std::fs::File::open(&pipe).expect("the pipe");
    // Longer than it takes until a reader that shows no sign of life is given up.
    std::thread::sleep(Duration::from_secs(4));
    file.read_to_string(&mut text).expect("lines");
    ends_right(&tests::Run::of(child));
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    check_many(&parsed(&lines), 4, 20_000);
}

#[test]
fn calls_of_libraries_of_ours_lie_in_those_that_made_them() {
    let lines = lines_of("libraries", &[], ends_right);
    let lines = parsed(&lines);
    let at = |function: &str| {
        let found = lines.iter().position(|line| line.is_of(function));
        found.unwrap_or_else(|| panic!("no {function} in {lines:#?}"))
    };
    check(lines[at("nvmlInit_v2")].result, "NVML_SUCCESS <", "s>");
    assert!(lines[at("nvmlDeviceGetCount_v2")].call.contains(" -> 1"));
    check(lines[at("cudaMalloc")].result, "cudaSuccess <", "s>");
    assert_eq!(lines[at("cudaMalloc")].depth, 0);
    let inner = lines[at("cudaMalloc")..].iter().skip(1).take_while(|line| line.depth > 0);
    let inner: Vec<_> = inner.collect();
    assert!(inner.iter().any(|line| line.is_of("cuMemAlloc_v2")), "{inner:#?}");
    assert!(inner.iter().all(|line| line.call.starts_with("cu")), "{inner:#?}");
    check(
        lines[at("cublasSetPointerMode_v2")].call,
        "cublasSetPointerMode_v2(handle: ",
        "mode: CUBLAS_POINTER_MODE_DEVICE)",
    );
    check(lines[at("cublasDestroy_v2")].result, "CUBLAS_STATUS_SUCCESS <", "s>");
}

#[test]
fn filters_choose_functions_and_libraries() {
    let lines = lines_of("libraries", &["--filter", "nvml,cudaF*,!nvmlInit*"], ends_right);
    let names: Vec<_> = parsed(&lines).iter().filter_map(|line| Some(line.call.split_once('(')?.0)).collect();
    assert_eq!(names, ["nvmlDeviceGetCount_v2", "cudaFree"]);
}

#[test]
fn call_that_a_killed_program_was_in_is_told() {
    let lines = lines_of("killed", &[], |run| _ = run.assert_signal(libc::SIGKILL));
    let lines = parsed(&lines);
    let unfinished: Vec<_> = lines.iter().filter(|line| line.result == "? <unfinished>").collect();
    assert_eq!(unfinished.len(), 1, "{unfinished:#?}");
    assert_eq!(unfinished[0].call, "cuCtxSynchronize()");
    check(only(&lines, "cuLaunchKernel").result, "CUDA_SUCCESS <", "s>");
}

#[test]
fn child_after_fork_and_exec_has_lines_of_its_own() {
    let lines = lines_of("forked", &[], |run| _ = run.assert_exit(0).assert_stdout("right\nright\n"));
    let lines = parsed(&lines);
    let parent = lines[0].process;
    let of_child: Vec<_> = lines.iter().filter(|line| line.process != parent).collect();
    let of_parent = lines.iter().filter(|line| line.process == parent && line.is_of("cuDeviceGetCount"));
    assert_eq!(of_parent.count(), 2);
    check(of_child[0].result, "CUDA_ERROR_NOT_INITIALIZED <", "s>");
    assert!(of_child.iter().any(|line| line.is_of("cuMemAlloc_v2")));
}

#[test]
fn without_a_file_lines_go_to_standard_error() {
    let run = traced("arguments", &["--filter", "cuInit"]).run();
    run.assert_exit(0).assert_stdout("right\n");
    let text = run.stderr();
    assert_eq!(Line::new(text.trim_end()).call, "cuInit(flags: 0)");
}

#[test]
fn program_goes_on_when_the_tracer_is_killed_and_that_is_told() {
    let place = Place::new();
    let file = place.file("lines");
    let launch = tests::launch_path("/bin/sh").arguments(["-c", "read go; \"$0\" arguments"]);
    let launch = launch.arguments([tests::workshop::target("traced").expect("a compiler")]);
    let launch = launch.options(["trace", "--gpu", "gtx1080", "-o"]).options([&file]).real_payload();
    let mut child = launch.start();
    let tracer = || descendants(child.id() as i32).into_iter().find(|pid| name_of(*pid) == "vgpu-tracer");
    assert!(wait_until(Duration::from_secs(10), || tracer().is_some()));
    // SAFETY: a process of this test's own.
    unsafe { libc::kill(tracer().expect("it is there"), libc::SIGKILL) };
    std::io::Write::write_all(&mut child.stdin.take().expect("piped"), b"\n").expect("written");
    let run = tests::Run::of(child);
    run.assert_exit(0).assert_stdout("right\n").assert_stderr_has("the trace is incomplete");
}

#[test]
fn file_that_cannot_be_written_is_an_error_before_anything_runs() {
    let run = traced("arguments", &["-o", "/nowhere/at/all"]).run();
    run.assert_exit(125).assert_stdout("").assert_stderr_has("`/nowhere/at/all`");
}
