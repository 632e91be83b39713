//! Engine, supervisor, keeper and client of a small CUDA program, each killed a hundred times at moments from the start of
//! vgpu-run to the freeing of memory: no process, no memory and no hang is left, and the status or the report says what
//! happened.
//!
//! The moments are random; a failure names its seed, and VGPU_RUN_TEST_SEED sets it.

mod client;
mod moment;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Child;
use std::time::{Duration, Instant};

use client::{Phase, Progress};
use moment::{Moment, Numbers};
use tests::{Mark, Run, children, kernel_is_at_least, launch, name_of, wait_until};

/// For each victim, unless VGPU_RUN_TEST_ROUNDS says otherwise.
const ROUNDS: usize = 100;
/// Nothing here takes that long, on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Engine,
    /// The process that makes engines.
    Zygote,
    Supervisor,
    Keeper,
    /// The program itself.
    Client,
    /// A child of the program, which has a context too and looks at the memory afterwards.
    ClientBeside,
}

/// A tree that runs.
struct Tree {
    keeper: Child,
    progress: Progress,
    mark: Mark,
}

impl Tree {
    fn start(victim: Victim) -> Self {
        let (mark, progress) = (Mark::new(), Progress::new());
        let (name, value) = mark.variable();
        let mode = if victim == Victim::ClientBeside { "beside" } else { "alone" };
        let launch = launch("phases").arguments([progress.path().as_os_str(), mode.as_ref()]);
        let launch = launch.options(["--gpu", "gtx1080", "--report"]).variable(name, value);
        let keeper = launch.variable("VGPU_RUN_LIBEXEC", mark.libexec()).start();
        Self { keeper, progress, mark }
    }

    /// The victim's pid, as soon as it lives.
    fn find(&self, victim: Victim) -> i32 {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let found = match victim {
                Victim::Keeper => Some(self.keeper.id() as i32),
                Victim::Supervisor => self.supervisor(),
                Victim::Client => self.program(),
                Victim::ClientBeside => self.progress.client(),
                Victim::Engine => self.engine(),
                Victim::Zygote => self.engine().and_then(tests::parent_of),
            };
            if let Some(pid) = found {
                return pid;
            }
            // Not a sleep: some are to die young.
            std::thread::yield_now();
        }
        panic!("{victim:?} did not come to life: {}", self.describe());
    }

    fn supervisor(&self) -> Option<i32> {
        children(self.keeper.id() as i32).first().copied()
    }

    /// The supervisor's first child.
    fn program(&self) -> Option<i32> {
        children(self.supervisor()?).first().copied()
    }

    fn engine(&self) -> Option<i32> {
        let zygotes = children(self.supervisor()?).into_iter().filter(|&pid| name_of(pid) == "vgpu-zygote");
        zygotes.flat_map(children).next()
    }

    fn describe(&self) -> String {
        let keeper = self.keeper.id() as i32;
        let bearers = self.mark.bearers();
        let others = bearers.into_iter().filter(|&pid| pid != keeper);
        let processes: Vec<_> = tests::descendants(keeper).into_iter().chain(others).map(describe).collect();
        let (phase, pass) = (self.progress.phase(), self.progress.pass());
        format!("client in {phase:?} of pass {pass}; {}\n{}", describe(keeper), processes.join("\n"))
    }

    /// Waits for its end, of which nothing may be left.
    fn end(mut self) -> Run {
        let ended = wait_until(PATIENCE, || self.keeper.try_wait().expect("its status").is_some());
        assert!(ended, "it hangs: {}", self.describe());
        self.mark.assert_nobody_left();
        Run::of(self.keeper)
    }
}

/// A process, and where in the kernel it waits.
fn describe(pid: i32) -> String {
    let words = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let status = words("status");
    let state = status.lines().find(|line| line.starts_with("State:")).unwrap_or_default();
    format!(
        "{pid} {} {state} {} {}",
        name_of(pid),
        words("syscall").trim(),
        words("stack").replace('\n', " ")
    )
}

/// Kills one victim; the phase that the client was in by then, and what the tree said.
fn kill_one(victim: Victim, moment: Moment) -> (Phase, Run) {
    let tree = Tree::start(victim);
    let pid = tree.find(victim);
    moment.wait(&tree.progress);
    // A keeper that has not yet forked has no supervisor that could complain.
    let supervised = tree.supervisor().is_some();
    // SAFETY: the call takes numbers.
    let killed = unsafe { libc::kill(pid, libc::SIGKILL) };
    let phase = tree.progress.phase();
    assert_eq!(killed, 0, "{victim:?} was gone before it was killed: {}", tree.describe());
    let client = tree.progress.client();
    let run = tree.end();
    check(victim, phase, supervised, client, &run);
    (phase, run)
}

fn check(victim: Victim, phase: Phase, supervised: bool, client: Option<i32>, run: &Run) {
    match victim {
        Victim::Engine | Victim::Zygote => {
            let client = client.expect("an engine has a client");
            let ended = format!("the engine of process {client} ended; the process sees CUDA error ");
            let not_started = format!("the engine for process {client} could not be started");
            run.assert_exit(3);
            assert!(run.stdout().starts_with("CUDA error "), "{}", run.stdout());
            let told = run.stderr().contains(&ended) || run.stderr().contains(&not_started);
            assert!(told, "no word of the engine in: {}", run.stderr());
        }
        Victim::Supervisor => drop(run.assert_exit(125).assert_stderr_has("the supervisor died")),
        Victim::Keeper => {
            run.assert_signal(libc::SIGKILL);
            if supervised {
                run.assert_stderr_has("the keeper died");
            }
        }
        // Before it is the program, it is a process of ours.
        Victim::Client
            if phase == Phase::Start && run.stderr().contains("before its filter was in place") =>
        {
            run.assert_exit(125);
        }
        Victim::Client => {
            run.assert_exit(128 + libc::SIGKILL);
            check_report(phase, client, run);
        }
        Victim::ClientBeside => {
            run.assert_exit(0).assert_stdout("memory is back\n");
            // Before Linux 6.15, only its parent hears how a process ended.
            if kernel_is_at_least(6, 15) {
                check_report(phase, client, run);
            }
        }
    }
}

/// The report says how a client ended that had opened the device.
fn check_report(phase: Phase, client: Option<i32>, run: &Run) {
    if phase >= Phase::Context {
        let client = format!("(pid {})", client.expect("it said that it runs"));
        let report = run.stderr();
        let line = report.lines().find(|line| line.contains(&client)).unwrap_or_else(|| panic!("{report}"));
        assert!(line.ends_with("killed by signal 9"), "{report}");
    }
}

/// So many rounds, in which the victims take turns.
fn kill(victims: &[Victim], rounds: usize) {
    let rounds = number_in("VGPU_RUN_TEST_ROUNDS").map_or(rounds, |rounds| rounds as usize);
    let seed = number_in("VGPU_RUN_TEST_SEED").unwrap_or_else(clock);
    let memory = shared_memory();
    let mut numbers = Numbers::new(seed);
    let mut phases: BTreeMap<Phase, usize> = BTreeMap::new();
    let mut words: BTreeMap<String, usize> = BTreeMap::new();
    let begun = Instant::now();
    for round in 0..rounds {
        let victim = victims[round % victims.len()];
        let moment = Moment::random(round / victims.len(), &mut numbers);
        let _told = Context(format!("round {round} of seed {seed}: {victim:?} at {moment:?}"));
        let (phase, run) = kill_one(victim, moment);
        *phases.entry(phase).or_default() += 1;
        *words.entry(run.stdout().split(" of ").next().unwrap_or_default().trim().to_owned()).or_default() +=
            1;
    }
    // Past the test harness, which shows nothing of tests that pass.
    let _ = writeln!(
        std::io::stderr(),
        "{victims:?}: {rounds} kills in {:.1} s, seed {seed}, in {phases:?}; clients said {words:?}",
        begun.elapsed().as_secs_f32()
    );
    // Most victims held 16 MiB and the shared area when they died. Others may use memory now, but not for long.
    let room = (rounds as i64 * 8).max(500);
    let back = wait_until(Duration::from_secs(30), || shared_memory() - memory < room);
    assert!(back, "{} MiB of shared memory are left", shared_memory() - memory);
    // The phases took turns, so most of them were met; which of the short ones is the scheduler's choice.
    assert!(phases.len() >= 5, "kills fell in {phases:?} only");
}

fn number_in(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn clock() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("it is after 1970").as_nanos() as u64
}

/// Mebibytes of shared memory that the machine has in use.
fn shared_memory() -> i64 {
    let text = std::fs::read_to_string("/proc/meminfo").expect("/proc/meminfo");
    let line = text.lines().find_map(|line| line.strip_prefix("Shmem:")).expect("a figure of shared memory");
    line.trim().trim_end_matches(" kB").parse::<i64>().expect("a number") >> 10
}

/// Says where we were if the scope is left by a panic.
struct Context(String);

impl Drop for Context {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.0);
        }
    }
}

#[test]
fn killed_engine_is_an_error_for_its_client_and_the_report_names_it() {
    kill(&[Victim::Engine], ROUNDS);
}

#[test]
fn killed_zygote_takes_its_engines_with_it() {
    kill(&[Victim::Zygote], ROUNDS / 4);
}

#[test]
fn killed_supervisor_ends_the_tree_with_125() {
    kill(&[Victim::Supervisor], ROUNDS);
}

#[test]
fn killed_keeper_ends_the_tree() {
    kill(&[Victim::Keeper], ROUNDS);
}

#[test]
fn killed_client_leaves_nothing_and_its_memory_is_back() {
    kill(&[Victim::Client, Victim::ClientBeside], ROUNDS);
}

/// The other tests look for what is left by these marks.
#[test]
fn engine_and_zygote_of_a_tree_are_found() {
    let tree = Tree::start(Victim::Client);
    let engine = tree.find(Victim::Engine);
    let zygote = tests::parent_of(engine).expect("it lives");
    let program = tree.find(Victim::Client);
    let bearers = tree.mark.bearers();
    for pid in [engine, zygote, program, tree.find(Victim::Supervisor), tree.find(Victim::Keeper)] {
        assert!(bearers.contains(&pid), "{pid} {} is not among {bearers:?}", name_of(pid));
    }
    // SAFETY: the call takes numbers.
    unsafe { libc::kill(program, libc::SIGKILL) };
    tree.end().assert_exit(128 + libc::SIGKILL);
}
