//! On a terminal: job control, Ctrl-C, window size.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use tests::{Launch, Terminal, has_program, launch_path};

fn on_terminal(launch: Launch) -> Terminal {
    Terminal::start(launch.command())
}

fn shell(script: &str) -> Launch {
    launch_path("/bin/sh").arguments(["-c", script])
}

#[test]
fn ctrl_c_reaches_the_program_once() {
    let script = "n=0; trap 'n=$((n+1))' INT; echo ready; sleep 1; sleep 1; echo count $n; exit 3";
    let mut terminal = on_terminal(shell(script));
    terminal.expect("ready");
    terminal.press("\x03");
    terminal.expect("count 1");
    assert_eq!(terminal.end().code(), Some(3));
}

#[test]
fn ctrl_c_ends_a_program_that_does_not_care() {
    // exec: between its fork and its child's exec, dash can lose the signal, also without vgpu-run (31 of 60 times).
    let mut terminal = on_terminal(shell("echo ready; exec sleep 30"));
    terminal.expect("ready");
    // A shell that is interrupted between fork and exec of its child goes on waiting, without us as well.
    std::thread::sleep(std::time::Duration::from_millis(300));
    terminal.press("\x03");
    assert_eq!(terminal.end().signal(), Some(libc::SIGINT));
}

#[test]
fn window_size_reaches_the_program() {
    let script = "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done";
    let mut terminal = on_terminal(shell(script));
    terminal.expect("ready");
    terminal.resize(33, 77);
    terminal.expect("33 77");
    assert_eq!(terminal.end().code(), Some(0));
}

/// Starts bash, which does job control, and in it a program under vgpu-run.
fn in_bash(program: &[&str]) -> Option<Terminal> {
    if !has_program("bash") {
        return None;
    }
    let launch = launch_path(program[0]).arguments(&program[1..]).command();
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "--noediting", "-i"]).env("PS1", "prompt> ");
    for (name, value) in launch.get_envs() {
        match value {
            Some(value) => bash.env(name, value),
            None => bash.env_remove(name),
        };
    }
    let mut terminal = Terminal::start(bash);
    terminal.expect("prompt> ");
    let words: Vec<_> = [launch.get_program()]
        .into_iter()
        .chain(launch.get_args())
        .map(|word| word.to_string_lossy())
        .collect();
    terminal.press(&format!("{}\n", words.join(" ")));
    Some(terminal)
}

#[test]
fn ctrl_z_stops_the_job_and_fg_continues_it() {
    let Some(mut terminal) = in_bash(&["cat"]) else { return };
    terminal.press("one\n");
    terminal.expect("one\r\none\r\n");
    terminal.press("\x1a");
    terminal.expect("Stopped");
    terminal.expect("prompt> ");
    terminal.press("fg\n");
    terminal.expect("-- cat\r\n");
    terminal.press("two\n");
    terminal.expect("two\r\ntwo\r\n");
    terminal.press("\x04");
    terminal.expect("prompt> ");
    terminal.press("echo status $?; exit\n");
    terminal.expect("status 0");
    terminal.end();
}

#[test]
fn shell_under_vgpu_run_has_job_control() {
    let Some(mut terminal) = in_bash(&["bash", "--norc", "--noprofile", "--noediting", "-i"]) else { return };
    terminal.expect("prompt> ");
    terminal.press("cat\n");
    terminal.press("one\n");
    terminal.expect("one\r\none\r\n");
    terminal.press("\x1a");
    terminal.expect("Stopped");
    terminal.expect("prompt> ");
    terminal.press("fg\n");
    terminal.expect("cat\r\n");
    terminal.press("two\n");
    terminal.expect("two\r\ntwo\r\n");
    terminal.press("\x03");
    terminal.expect("prompt> ");
    terminal.press("exit 6\n");
    terminal.expect("prompt> ");
    terminal.press("echo status $?; exit\n");
    terminal.expect("status 6");
    terminal.end();
}
