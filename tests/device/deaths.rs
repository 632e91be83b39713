//! Engine and client killed: an error within milliseconds, and nothing left.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Child;
use std::time::Duration;

use tests::{Mark, Run, descendants, launch, wait_until};

use crate::alone;

/// A client that has said that it is ready.
struct Client {
    run: Child,
    said: BufReader<std::process::ChildStdout>,
    /// What it said behind the word.
    ready: String,
    mark: Mark,
}

impl Client {
    fn start(part: &str) -> Client {
        let mark = Mark::new();
        let (name, value) = mark.variable();
        let launch = launch("device").arguments([part]).options(["--gpu", "gtx1080"]).variable(name, value);
        let mut run = launch.real_payload().start();
        let mut said = BufReader::new(run.stdout.take().expect("a pipe"));
        let line = line(&mut said);
        let ready = line.strip_prefix("ready").unwrap_or_else(|| panic!("it said {line}")).trim().to_owned();
        Client { run, said, ready, mark }
    }

    /// Processes below vgpu-run with this name, parents before their children.
    fn named(&self, name: &str) -> Vec<i32> {
        let mut found = descendants(self.run.id() as i32);
        found.retain(|pid| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name)
        });
        found
    }

    fn engine(&self) -> i32 {
        let [engine] = self.named("vgpu-engine")[..] else { panic!("not one engine") };
        engine
    }

    /// The process that holds the context: the parent where it has forked.
    fn process(&self) -> i32 {
        self.named("device").first().copied().expect("the client runs")
    }
}

fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("a line from the client");
    line.trim().to_owned()
}

fn kill(pid: i32) {
    // SAFETY: the call takes numbers.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

fn is_gone(pid: i32) -> bool {
    !fs::exists(format!("/proc/{pid}")).unwrap_or(false)
}

/// CLOCK_MONOTONIC, which all processes share.
fn nanoseconds() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Mebibytes of shared memory that the machine has in use.
fn shared_memory() -> i64 {
    let text = fs::read_to_string("/proc/meminfo").expect("/proc/meminfo");
    let line = text.lines().find_map(|line| line.strip_prefix("Shmem:")).expect("a figure of shared memory");
    line.trim().trim_end_matches(" kB").parse::<i64>().expect("a number") >> 10
}

#[test]
fn client_of_a_killed_engine_sees_launch_failed_at_once() {
    let _alone = alone();
    let mut waits = vec![];
    for round in 0..10u64 {
        let mut client = Client::start("blocked");
        let engine = client.engine();
        std::thread::sleep(Duration::from_micros(round * 7919 % 10_000));
        let killed = nanoseconds();
        kill(engine);
        let answer = line(&mut client.said);
        let (result, seen) = answer.split_once(' ').unwrap_or_else(|| panic!("it said {answer}"));
        assert_eq!(result, "719", "CUDA_ERROR_LAUNCH_FAILED");
        waits.push((seen.parse::<i64>().expect("a time") - killed) / 1000);
        Run::of(client.run).assert_exit(0).assert_stderr_has("CUDA error 719");
        client.mark.assert_nobody_left();
    }
    waits.sort();
    println!("the client was told after {waits:?} us");
    // The median: a test machine may well be busy once.
    assert!(waits[waits.len() / 2] < 20_000, "the client was told after {waits:?} us");
}

#[test]
fn killed_client_leaves_neither_engine_nor_memory() {
    let _alone = alone();
    let before = shared_memory();
    let client = Client::start("hold");
    assert!(shared_memory() - before > 400, "the memory is not there to begin with");
    let engine = client.engine();
    kill(client.process());
    assert!(wait_until(Duration::from_secs(5), || is_gone(engine)), "the engine is left");
    assert!(wait_until(Duration::from_secs(5), || shared_memory() - before < 100), "memory is left");
    Run::of(client.run).assert_exit(128 + libc::SIGKILL);
    client.mark.assert_nobody_left();
}

#[test]
fn memory_comes_back_also_while_a_forked_child_of_the_killed_client_lives() {
    let _alone = alone();
    let before = shared_memory();
    let client = Client::start("hold-forked");
    let child: i32 = client.ready.parse().expect("the child's number");
    let engine = client.engine();
    kill(client.process());
    assert!(wait_until(Duration::from_secs(5), || is_gone(engine)), "the engine is left");
    assert!(wait_until(Duration::from_secs(5), || shared_memory() - before < 100), "memory is left");
    assert!(!is_gone(child), "the child is to outlive this");
    kill(child);
    drop(client.said);
    Run::of(client.run).assert_exit(128 + libc::SIGKILL);
    client.mark.assert_nobody_left();
}
