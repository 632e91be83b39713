//! Hostile clients of the driver's nodes (`targets/hostile_nodes.c`): each gets ordinary errors, the session goes on, who behaves
//! is served, and nothing is left in the supervisor.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Child;
use std::time::Duration;

use tests::{Launch, Run, children, launch, launch_path, skipped, wait_until, workshop};

const DRIVER: [&str; 4] = ["--gpu", "h100", "--log", "debug"];

fn hostile(what: &str) -> Launch {
    launch("hostile_nodes").real_payload().options(DRIVER).arguments([what])
}

/// What the supervisor told of the driver's state when the last client had ended.
fn held_at_last(run: &Run) -> String {
    let errors = run.stderr();
    let mut told = errors.lines().filter_map(|line| line.split_once("the driver holds "));
    told.next_back().unwrap_or_else(|| panic!("no line of the driver: {}", run.text())).1.to_owned()
}

fn check(what: &str, told: &str) {
    let run = hostile(what).run_in_time();
    run.assert_exit(0).assert_stdout(&format!("{told}\n"));
    let held = held_at_last(&run);
    assert!(!held.contains(|digit: char| ('1'..='9').contains(&digit)), "left: {held}");
}

#[test]
fn addresses_that_are_no_memory_of_the_programs_are_faults() {
    check("pointers", "pointers");
}

#[test]
fn sizes_and_counts_beyond_all_bounds_are_refused() {
    check("counts", "counts");
}

#[test]
fn as_many_clients_and_files_as_there_may_be_leave_room_for_others() {
    check("many", "many");
}

#[test]
fn a_thread_that_changes_a_call_under_way_gains_nothing() {
    check("racing", "racing");
}

#[test]
fn a_descriptor_that_is_swapped_under_way_is_one_file_or_the_other() {
    check("swapping", "swapping");
}

#[test]
fn odd_requests_of_unified_memory_are_refused() {
    check("unified", "unified");
}

#[test]
fn a_node_is_shared_with_children_and_outlives_who_closes_it() {
    check("forked", "forked");
}

#[test]
fn a_node_outlives_the_program_that_opened_it() {
    check("executed", "inherited");
}

#[test]
fn calls_of_32_bit_code_are_the_kernels() {
    if fs::read_to_string("/proc/kallsyms").is_ok_and(|symbols| !symbols.contains("ia32")) {
        return skipped("a kernel without 32-bit calls");
    }
    check("bits32", "bits32");
}

#[test]
fn clients_killed_in_the_middle_of_calls_leave_nothing() {
    check("killed", "killed");
}

/// A shell in a session that runs one client after another, each when it is told to.
struct Served {
    shell: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Served {
    fn start() -> Self {
        let program = workshop::target("hostile_nodes").expect("a compiler");
        let script = format!("while read what; do {} $what; done", program.display());
        let launch = launch_path("/bin/sh").real_payload().options(["--gpu", "h100"]);
        let mut shell = launch.arguments(["-c", &script]).start();
        let answers = BufReader::new(shell.stdout.take().expect("a pipe"));
        Self { shell, answers }
    }

    fn ask(&mut self, what: &str) {
        writeln!(self.shell.stdin.as_ref().expect("a pipe"), "{what}").expect("the shell reads");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the shell writes");
        assert_eq!(answer.trim(), what);
    }

    /// How many descriptors the supervisor has.
    fn descriptors(&self) -> usize {
        let supervisor = children(self.shell.id() as i32)[0];
        fs::read_dir(format!("/proc/{supervisor}/fd")).map_or(0, Iterator::count)
    }
}

#[test]
fn no_descriptor_is_left_of_hostile_clients() {
    let mut served = Served::start();
    served.ask("forked");
    let before = served.descriptors();
    for what in ["killed", "racing", "many", "swapping", "unified"] {
        served.ask(what);
    }
    served.ask("forked");
    let as_before = wait_until(Duration::from_secs(10), || served.descriptors() <= before);
    assert!(as_before, "{before} before, {} now", served.descriptors());
    drop(served.shell.stdin.take());
    Run::of(served.shell).assert_exit(0);
}
