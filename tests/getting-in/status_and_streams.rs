//! Exit status, signals, streams, descriptors and children are those of a good init wrapper.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tests::{Mark, Run, can_unshare_pids, children, launch, launch_path, wait_until, workshop};

fn shell(script: &str) -> tests::Launch {
    launch_path("/bin/sh").arguments(["-c", script])
}

#[test]
fn exit_status_is_passed_through() {
    launch_path("true").run().assert_exit(0);
    shell("exit 7").run().assert_exit(7);
    shell("exit 255").run().assert_exit(255);
}

#[test]
fn death_by_signal_is_passed_through() {
    shell("kill -TERM $$").run().assert_exit(128 + 15).assert_signal(15);
    shell("kill -KILL $$").run().assert_exit(128 + 9);
    shell("kill -SEGV $$").run().assert_exit(128 + 11);
}

#[test]
fn missing_program_is_127_and_no_program_126() {
    launch_path("no-such-program").run().assert_exit(127).assert_stderr_has("cannot run `no-such-program`");
    let plain = workshop::directory().join("no-program");
    fs::write(&plain, "text").unwrap();
    launch_path(plain).run().assert_exit(126).assert_stderr_has("cannot run");
}

#[test]
fn wrong_options_are_125() {
    launch_path("true").options(["--no-such-option"]).run().assert_exit(125);
    launch_path("true").options(["--gpu", "voodoo2"]).run().assert_exit(125).assert_stderr_has("gtx1080");
}

#[test]
fn missing_payload_is_125_with_a_hint_and_the_program_does_not_run() {
    let run = launch_path("echo").arguments(["ran"]).variable("VGPU_RUN_LIBEXEC", "/nowhere").run();
    run.assert_exit(125).assert_stdout("").assert_stderr_has("hint: run `make build`");
}

#[test]
fn script_without_interpreter_line_runs_in_a_shell() {
    use std::os::unix::fs::PermissionsExt;
    let script = workshop::directory().join("script-without-line");
    fs::write(&script, "exit 11\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    launch_path(script).run().assert_exit(11);
}

#[test]
fn what_goes_in_comes_out() {
    let mut child = launch_path("cat").start();
    let text: String = (0..50_000).map(|line| format!("line {line}\n")).collect();
    let mut stdin = child.stdin.take().unwrap();
    let input = text.clone();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let run = Run::of(child);
    writer.join().unwrap();
    run.assert_exit(0).assert_stdout(&text);
}

#[test]
fn reader_that_goes_ends_the_writer_by_sigpipe() {
    let mut child = launch_path("yes").start();
    drop(child.stdout.take());
    Run::of(child).assert_signal(libc::SIGPIPE);
}

/// Keeper and supervisor do not hold what the program has closed.
#[test]
fn stream_that_the_program_closes_is_closed() {
    let begin = Instant::now();
    let mut child = shell("exec >&-; sleep 5").start();
    let mut nothing = String::new();
    child.stdout.take().unwrap().read_to_string(&mut nothing).unwrap();
    assert!(begin.elapsed() < Duration::from_secs(4), "the end of the stream came after the program's");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn descriptors_limits_and_directory_are_inherited() {
    let script = "exec sh -c \"$0\" 7</etc/hostname";
    let seen = |command: &mut Command| {
        let output = command.output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let look = "ls -l /proc/self/fd | grep -c hostname; ulimit -n; ulimit -Hn; ulimit -f; pwd; umask; \
                grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status";
    let natively = seen(Command::new("sh").args(["-c", script, look]).current_dir("/tmp"));
    let mut ours = launch_path("sh").arguments(["-c", look]).command();
    ours.current_dir("/tmp");
    // The shell in front opens descriptor 7 for vgpu-run.
    let mut through = Command::new("sh");
    through.args(["-c", "exec \"$@\" 7</etc/hostname", "sh"]).arg(ours.get_program()).args(ours.get_args());
    through.current_dir("/tmp");
    for (name, value) in ours.get_envs() {
        match value {
            Some(value) => through.env(name, value),
            None => through.env_remove(name),
        };
    }
    assert_eq!(seen(&mut through), natively);
}

#[test]
fn signals_are_passed_on() {
    for (name, number) in
        [("TERM", libc::SIGTERM), ("USR1", libc::SIGUSR1), ("HUP", libc::SIGHUP), ("INT", libc::SIGINT)]
    {
        let mut child =
            shell(&format!("trap 'echo got; exit 3' {name}; echo ready; while :; do sleep 0.05; done"))
                .start();
        let mut ready = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        // SAFETY: the call takes numbers; the child is ours and not yet waited for.
        unsafe { libc::kill(child.id() as i32, number) };
        Run::of(child).assert_exit(3).assert_stdout("got\n");
    }
}

#[test]
fn signal_right_at_the_start_is_not_lost() {
    for _ in 0..10 {
        let child = launch_path("sleep").arguments(["30"]).start();
        // SAFETY: as above.
        unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
        Run::of(child).assert_exit(128 + libc::SIGTERM);
    }
}

#[test]
fn stopped_program_stops_us_and_goes_on_with_us() {
    let child = launch_path("sleep").arguments(["0.5"]).start();
    let keeper = child.id() as i32;
    let state = || fs::read_to_string(format!("/proc/{keeper}/stat")).unwrap();
    let program = || children(*children(keeper).first()?).first().copied();
    assert!(wait_until(Duration::from_secs(5), || program().is_some()));
    let program = program().unwrap();
    let signal = |pid, number| {
        // SAFETY: as above.
        assert_eq!(unsafe { libc::kill(pid, number) }, 0);
    };
    std::thread::sleep(Duration::from_millis(50));
    signal(program, libc::SIGSTOP);
    assert!(wait_until(Duration::from_secs(5), || state().contains(") T ")), "{}", state());
    signal(keeper, libc::SIGCONT);
    Run::of(child).assert_exit(0);
}

#[test]
fn orphans_are_taken_in_and_reaped() {
    let run = shell(
        "for i in 1 2 3 4 5; do (sh -c 'sleep 0.05' &); done; sleep 0.3; \
         supervisor=$(cut -d' ' -f4 /proc/$$/stat); \
         for stat in /proc/[0-9]*/stat; do cat $stat 2>/dev/null; done | awk -v s=$supervisor '$4 == s && $3 == \"Z\"' | wc -l",
    )
    .run();
    run.assert_exit(0).assert_stdout("0\n");
}

#[test]
fn process_1_of_a_container_ends_as_the_program_does() {
    if !can_unshare_pids() {
        return;
    }
    let inside = ["unshare", "--pid", "--fork", "--mount-proc"];
    shell("exit 7").through(inside).run().assert_exit(7);
    shell("kill -TERM $$").through(inside).run().assert_exit(128 + 15);
    let child = shell("trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done").through(inside).start();
    let mut child = child;
    let mut ready = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    let keeper = children(child.id() as i32)[0];
    // SAFETY: as above.
    unsafe { libc::kill(keeper, libc::SIGTERM) };
    Run::of(child).assert_exit(5);
}

/// vgpu-run returns with the program's status; what it left behind is served on.
#[test]
fn daemon_that_is_left_behind_is_served_on() {
    let mark = Mark::new();
    let (name, value) = mark.variable();
    let sees = workshop::target("sees").unwrap();
    let result = workshop::directory().join(format!("daemon-{}", std::process::id()));
    let script = format!(
        "(sleep 0.6; {} >{} 2>&1) >/dev/null 2>&1 </dev/null & exit 4",
        sees.display(),
        result.display()
    );
    let begin = Instant::now();
    shell(&script).variable(name, value).run().assert_exit(4);
    assert!(begin.elapsed() < Duration::from_millis(500), "it waited for the daemon");
    assert!(!mark.bearers().is_empty());
    mark.assert_nobody_left();
    assert_eq!(fs::read_to_string(&result).unwrap(), "payload device\n");
    fs::remove_file(result).unwrap();
}

#[test]
fn closed_standard_streams_stay_closed() {
    let mut command = shell("[ -e /proc/$$/fd/0 ] && echo open >&2 || echo closed >&2").command();
    // SAFETY: close is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            libc::close(0);
            Ok(())
        })
    };
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "closed\n");
}

#[test]
fn empty_command_line_explains_itself() {
    let output = Command::new(tests::vgpu_run()).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&output.stderr).contains("Usage: vgpu-run [OPTIONS] [--] CMD"));
}

#[test]
fn trees_do_not_share_sessions() {
    let first = launch("sees").start();
    let second = launch("sees").start();
    Run::of(first).assert_stdout("payload device\n");
    Run::of(second).assert_stdout("payload device\n");
}
