//! Supervisor, keeper and program killed: nothing hangs, nothing is left, the status says what happened.

use std::process::Child;
use std::time::Duration;

use tests::{Mark, Run, children, launch_path, name_of, wait_until, workshop};

/// A tree that is busy with trapped calls and short processes, and has an orphan.
const BUSY: &str = "(setsid sh -c 'while :; do cat /etc/hostname; done' >/dev/null 2>&1 &); \
                    while :; do cat /etc/hostname >/dev/null; done";

struct Busy {
    child: Child,
    mark: Mark,
    supervisor: i32,
    program: i32,
}

fn busy() -> Busy {
    let mark = Mark::new();
    let (name, value) = mark.variable();
    let child = launch_path("/bin/sh").arguments(["-c", BUSY]).variable(name, value).start();
    let first_child = |pid| children(pid).first().copied().unwrap_or(0);
    let (mut supervisor, mut program) = (0, 0);
    assert!(wait_until(Duration::from_secs(5), || {
        supervisor = first_child(child.id() as i32);
        program = if supervisor == 0 { 0 } else { first_child(supervisor) };
        // Before its exec, the program's process is one of ours.
        program != 0 && name_of(program) == "sh"
    }));
    Busy { child, mark, supervisor, program }
}

fn kill(pid: i32) {
    // SAFETY: the call takes numbers.
    unsafe { libc::kill(pid, libc::SIGKILL) };
}

/// A time between nothing and some milliseconds, different for each round.
fn wait_a_while(round: u64) {
    std::thread::sleep(Duration::from_micros(round * 7919 % 20_000));
}

const ROUNDS: u64 = 25;

#[test]
fn killed_supervisor_ends_the_tree_with_125() {
    for round in 0..ROUNDS {
        let busy = busy();
        wait_a_while(round);
        kill(busy.supervisor);
        Run::of(busy.child).assert_exit(125).assert_stderr_has("the supervisor died");
        busy.mark.assert_nobody_left();
    }
}

#[test]
fn killed_keeper_ends_the_tree() {
    for round in 0..ROUNDS {
        let busy = busy();
        wait_a_while(round);
        kill(busy.child.id() as i32);
        Run::of(busy.child).assert_signal(libc::SIGKILL).assert_stderr_has("the keeper died");
        busy.mark.assert_nobody_left();
    }
}

#[test]
fn killed_program_is_told_and_what_it_left_goes_on_being_served() {
    for round in 0..ROUNDS {
        let busy = busy();
        wait_a_while(round);
        kill(busy.program);
        Run::of(busy.child).assert_exit(128 + libc::SIGKILL);
        let leftovers = busy.mark.bearers();
        leftovers.iter().filter(|&&pid| !is_ours(pid)).for_each(|&pid| kill(pid));
        assert!(wait_until(Duration::from_secs(10), || {
            busy.mark.bearers().iter().filter(|&&pid| !is_ours(pid)).for_each(|&pid| kill(pid));
            busy.mark.bearers().is_empty()
        }));
    }
}

/// Keeper or supervisor, by the name that it shows.
fn is_ours(pid: i32) -> bool {
    name_of(pid).starts_with("vgpu-")
}

/// Without the process that stands by, each of the daemon's opens would fail with ENOSYS.
#[test]
fn daemon_goes_on_when_its_supervisor_is_killed() {
    if tests::is_traced() {
        return tests::skipped("the kernel ends traced processes with their tracer");
    }
    let mark = Mark::new();
    let (name, value) = mark.variable();
    let result = workshop::directory().join(format!("survivor-{}", std::process::id()));
    let script = format!(
        "(sleep 0.5; cat /etc/hostname >{0}.new && mv {0}.new {0}) >/dev/null 2>&1 </dev/null & exit 0",
        result.display()
    );
    launch_path("/bin/sh").arguments(["-c", &script]).variable(name, value).run().assert_exit(0);
    let supervisor = mark.bearers().into_iter().find(|&pid| name_of(pid) == "vgpu-supervisor");
    kill(supervisor.expect("the supervisor stays for the daemon"));
    mark.assert_nobody_left();
    assert_eq!(std::fs::read(&result).unwrap(), std::fs::read("/etc/hostname").unwrap());
    std::fs::remove_file(result).unwrap();
}
