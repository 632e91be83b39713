//! Many processes, many threads, many signals; and a target or the supervisor that stands still for a while.

use std::process::Child;
use std::time::{Duration, Instant};

use tests::{
    Mark, Run, can_be_nobody, children, descendants, is_traced, launch, launch_path, name_of, skipped,
    wait_until, workshop,
};

#[test]
fn ten_thousand_processes_one_after_another_all_run() {
    let nothing = workshop::target("nothing").unwrap();
    let storm = launch("storms").arguments(["processes", "10000"]).arguments([nothing]);
    storm.run_in_time().assert_exit(0).assert_stdout("10000 of 10000\n");
}

/// Also in a time that says that waiting threads do not wait for each other: alone these calls take one second.
#[test]
fn two_thousand_threads_open_files_at_once() {
    let begun = Instant::now();
    launch("storms")
        .arguments(["threads", "2000"])
        .run_in_time()
        .assert_exit(0)
        .assert_stdout("2000 of 2000\n");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[test]
fn a_process_bomb_is_bounded_by_its_limit_and_leaves_nothing() {
    if !can_be_nobody() {
        return;
    }
    // A user of its own: the limit counts all processes of one.
    let user = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"];
    let mark = Mark::new();
    let (name, value) = mark.variable();
    let bomb = launch("storms").arguments(["bomb", "200"]).through(user).variable(name, value);
    bomb.variable("XDG_CACHE_HOME", "/proc/no-such-directory").both().assert_works().assert_same();
    mark.assert_nobody_left();
}

#[test]
fn a_go_program_that_is_preempted_all_the_time_runs_as_ever() {
    match workshop::target("go_storm") {
        Some(program) => drop(launch_path(program).both().assert_works().assert_same()),
        None => skipped("no Go compiler"),
    }
}

/// What a listener can't hide: before the supervisor has received a call, a signal interrupts it, and one whose handler asks for no
/// restart makes it fail by EINTR (exit 3). Nothing else goes wrong, and with a tracer nothing at all.
#[test]
fn signals_without_restart_interrupt_calls_that_were_not_yet_received_and_no_others() {
    let both = launch("timer_opens").both();
    both.assert_works();
    assert_eq!(both.ours.stdout(), both.native.stdout(), "{}", both.ours.text());
    match is_traced() {
        true => drop(both.assert_same()),
        false => assert!(matches!(both.ours.status().code(), Some(0 | 3)), "{}", both.ours.text()),
    }
}

fn signal(pid: i32, signal: i32) {
    // SAFETY: the call takes numbers.
    unsafe { libc::kill(pid, signal) };
}

/// A shell whose child opens files for a second, and the pids of supervisor and child.
fn opening() -> (Child, i32, i32) {
    let storms = workshop::target("storms").unwrap();
    let script = format!("{} opens 1; exit $?", storms.display());
    let keeper = launch_path("/bin/sh").arguments(["-c", &script]).start();
    let found = || {
        let supervisor = *children(keeper.id() as i32).first()?;
        let opener = descendants(supervisor).into_iter().find(|&pid| name_of(pid) == "storms")?;
        Some((supervisor, opener))
    };
    assert!(wait_until(Duration::from_secs(20), || found().is_some()));
    let (supervisor, opener) = found().unwrap();
    (keeper, supervisor, opener)
}

/// Stops it again and again, at moments that differ.
fn stop_and_continue(pid: i32) {
    for round in 0..40u64 {
        signal(pid, libc::SIGSTOP);
        std::thread::sleep(Duration::from_micros(round * 7919 % 10_000));
        signal(pid, libc::SIGCONT);
        std::thread::sleep(Duration::from_micros(round * 6007 % 5_000));
    }
}

#[test]
fn a_target_that_is_stopped_in_its_calls_goes_on() {
    let (keeper, _supervisor, opener) = opening();
    stop_and_continue(opener);
    Run::of(keeper).assert_exit(0).assert_stdout("0 failed\n");
}

#[test]
fn calls_wait_for_a_supervisor_that_is_stopped() {
    let (keeper, supervisor, _opener) = opening();
    stop_and_continue(supervisor);
    Run::of(keeper).assert_exit(0).assert_stdout("0 failed\n");
}

/// What nobody will answer must still be possible to kill.
#[test]
fn a_target_of_a_stopped_supervisor_can_be_killed() {
    let (keeper, supervisor, opener) = opening();
    signal(supervisor, libc::SIGSTOP);
    signal(opener, libc::SIGKILL);
    let gone = || matches!(state_of(opener), None | Some('Z'));
    assert!(wait_until(Duration::from_secs(10), gone), "{:?}", state_of(opener));
    signal(supervisor, libc::SIGCONT);
    Run::of(keeper).assert_exit(128 + libc::SIGKILL);
}

/// A stopped program stops vgpu-run, which must not stay so when the program is killed: it does not continue before it ends.
#[test]
fn a_program_that_is_killed_while_it_is_stopped_ends_vgpu_run() {
    let mut keeper = launch_path("sleep").arguments(["30"]).start();
    let pid = keeper.id() as i32;
    kill_when_stopped(pid, pid);
    let ended = wait_until(Duration::from_secs(20), || keeper.try_wait().unwrap().is_some());
    signal(pid, libc::SIGCONT);
    assert!(ended, "it stays stopped");
    Run::of(keeper).assert_exit(128 + libc::SIGKILL);
}

/// The kernel hangs up on a process group that loses its last tie to the rest of its session while one of it is stopped. Without us
/// a program is no such tie; with us it must be none either.
#[test]
fn a_program_that_is_killed_while_it_is_stopped_ends_nobody_beside_it() {
    let session = ["setsid", "--wait", "/bin/sh", "-c", "\"$@\"; echo $?", "sh"];
    let shell = launch_path("sleep").arguments(["30"]).through(session).start();
    let keeper = || children(shell.id() as i32).into_iter().find(|&pid| name_of(pid) == "vgpu-run");
    assert!(wait_until(Duration::from_secs(20), || keeper().is_some()));
    kill_when_stopped(keeper().unwrap(), shell.id() as i32);
    Run::of(shell).assert_exit(0).assert_stdout("137\n");
}

/// Stops the program `sleep` and, once its keeper has stopped too, kills it.
fn kill_when_stopped(keeper: i32, above: i32) {
    let program = || descendants(above).into_iter().find(|&pid| name_of(pid) == "sleep");
    assert!(wait_until(Duration::from_secs(20), || program().is_some()));
    let program = program().unwrap();
    signal(program, libc::SIGSTOP);
    assert!(wait_until(Duration::from_secs(20), || state_of(keeper) == Some('T')), "{:?}", state_of(keeper));
    signal(program, libc::SIGKILL);
}

fn state_of(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat[stat.rfind(')')? + 2..].chars().next()
}
