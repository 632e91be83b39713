//! `vgpu-run top` beside a session that runs kernels (`tests/targets/traced.c steady`): as JSON, as text, and on a terminal that is
//! resized and left by a key, by ctrl-c and by a signal.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::{
    AS_NOBODY, Terminal, attach, can_be_nobody, children, launch_path, name_of, vgpu_run, wait_until,
    workshop,
};

/// A session that runs kernels until it is dropped. Others may run on this machine: its command has a word of its own.
struct Session {
    keeper: Child,
    /// It has a line to write at its end.
    output: BufReader<ChildStdout>,
    word: String,
}

struct Stopped(i32);

impl Drop for Stopped {
    fn drop(&mut self) {
        // SAFETY: the call takes numbers.
        unsafe { libc::kill(self.0, libc::SIGCONT) };
    }
}

impl Session {
    fn start(test: &str) -> Session {
        let word = format!("top-test-{test}-{}", std::process::id());
        let program = workshop::target("traced").expect("a compiler");
        let launch = launch_path("/bin/sh").arguments(["-c", "\"$0\" steady"]).arguments([program]);
        let launch = launch.arguments([&word]).options(["--gpu", "t4", "--memory", "1G"]).real_payload();
        let mut keeper = launch.start();
        let mut ready = String::new();
        let mut output = BufReader::new(keeper.stdout.take().expect("piped"));
        output.read_line(&mut ready).expect("a line");
        assert_eq!(ready, "ready\n");
        Session { keeper, output, word }
    }

    /// Waits for its end: its input ends.
    fn supervisor(&self) -> i32 {
        let keeper = self.keeper.id() as i32;
        let found = children(keeper).into_iter().find(|&pid| name_of(pid) == "vgpu-supervisor");
        found.expect("a supervisor")
    }

    /// Its supervisor answers nobody as long as this is alive.
    fn stop(&self) -> Stopped {
        let supervisor = self.supervisor();
        // SAFETY: the call takes numbers.
        unsafe { libc::kill(supervisor, libc::SIGSTOP) };
        Stopped(supervisor)
    }

    fn end(mut self) {
        drop(self.keeper.stdin.take());
        let mut right = String::new();
        self.output.read_line(&mut right).expect("a line");
        assert_eq!(right, "right\n");
        assert!(self.keeper.wait().expect("its end").success());
    }
}

fn top(options: &[&str]) -> Command {
    let mut command = Command::new(vgpu_run());
    command.arg("top").args(options);
    command
}

fn output(options: &[&str]) -> String {
    let output = top(options).stdin(Stdio::null()).output().expect("vgpu-run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The session of this word, as JSON.
fn found(word: &str, options: &[&str]) -> Option<Value> {
    let all: Value = serde_json::from_str(&output(options)).expect("JSON");
    let is_it = |session: &&Value| {
        session["command"].as_array().is_some_and(|words| words.iter().any(|one| one == word))
    };
    all["sessions"].as_array()?.iter().find(is_it).cloned()
}

#[test]
fn session_is_found_with_device_process_memory_and_rates() {
    let session = Session::start("json");
    let shown = found(&session.word, &["--json", "--interval", "0.5"]).expect("the session");
    assert_eq!(shown["devices"][0]["name"], "Tesla T4");
    assert_eq!(shown["devices"][0]["total"], 1 << 30);
    let process = &shown["processes"][0];
    assert_eq!(process["name"], "traced");
    assert!(process["memory"][0].as_u64() >= Some(64 << 20), "{process}");
    assert!(process["kernels_per_second"].as_f64() > Some(10.0), "{process}");
    assert!(process["busy"].as_f64() > Some(0.0), "{process}");
    assert_eq!(process["busiest"][0]["name"], "twice");
    let word = session.word.clone();
    session.end();
    assert_eq!(found(&word, &["--json", "--interval", "0.05"]), None);
}

#[test]
fn tiers_are_told_apart() {
    // Kernels of a few microseconds are left to the interpreter until it has spent five milliseconds on them.
    let session = Session::start("tiers");
    let begun = Instant::now();
    loop {
        let shown = found(&session.word, &["--json", "--interval", "0.2"]).expect("the session");
        if shown["processes"][0]["compiled_share"].as_f64() > Some(0.9) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{shown}");
    }
    session.end();
}

#[test]
fn text_has_a_line_for_each() {
    let session = Session::start("text");
    let text = output(&["--once", "--interval", "0.2"]);
    let lines: Vec<&str> = text.lines().skip_while(|line| !line.contains(&session.word)).collect();
    assert!(lines[1].starts_with("  GPU 0 Tesla T4: "), "{text}");
    assert!(lines[2].starts_with("    PID PROGRAM ") && lines[2].ends_with("BUSIEST KERNEL"), "{text}");
    assert!(lines[3].contains(" traced ") && lines[3].ends_with(" twice"), "{text}");
    session.end();
}

/// The first line.
const TITLE: &str = "vgpu-run top   sessions: ";

/// High enough for the sessions of all tests.
const HIGH: u16 = 200;

/// A screen and what is on it.
struct Screen {
    terminal: Terminal,
    parser: vt100::Parser,
    /// The terminal's, before `top` had it.
    modes: [libc::tcflag_t; 4],
}

impl Screen {
    /// The live view on a terminal of this size.
    fn start(rows: u16, columns: u16) -> Screen {
        Self::every("0.2", rows, columns)
    }

    /// The same, brought up to date after so many seconds.
    fn every(interval: &str, rows: u16, columns: u16) -> Screen {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "read go; exec \"$0\" top --interval \"$1\""])
            .arg(vgpu_run())
            .arg(interval)
            .env("TERM", "xterm-256color");
        let mut terminal = Terminal::start(command);
        terminal.resize(rows, columns);
        let modes = terminal.modes();
        terminal.press("\n");
        Screen { terminal, parser: vt100::Parser::new(rows, columns, 0), modes }
    }

    fn expect(&mut self, what: &str, holds: impl Fn(&vt100::Screen) -> bool) {
        let parser = &mut self.parser;
        let seen = self.terminal.show(|bytes| {
            parser.process(bytes);
            holds(parser.screen())
        });
        assert!(seen, "not {what}:\n{}", self.parser.screen().contents());
    }

    /// Waits for the screen from before, and the end.
    fn expect_end(&mut self, how: &str) {
        self.expect(how, |screen| !screen.alternate_screen() && !screen.hide_cursor());
        assert!(self.terminal.end().success(), "{how}");
        assert_eq!(self.terminal.modes(), self.modes, "{how}");
    }

    fn expect_text(&mut self, text: &str) {
        self.expect(text, |screen| screen.contents().contains(text));
    }
}

#[test]
fn live_view_shows_the_session_follows_the_window_and_leaves_the_terminal_as_it_was() {
    let session = Session::start("screen");
    let mut screen = Screen::start(HIGH, 160);
    screen.expect_text(&session.word);
    screen.expect("a busy process", |screen| {
        let contents = screen.contents();
        let process = contents.lines().find(|line| line.contains(" traced ") && line.ends_with("twice"));
        process.is_some_and(|line| !line.contains(" 0% "))
    });
    assert!(screen.parser.screen().alternate_screen() && screen.parser.screen().hide_cursor());
    screen.terminal.resize(12, 60);
    screen.parser.screen_mut().set_size(12, 60);
    screen.expect("a title as wide as the window", |screen| {
        screen.contents().lines().next().is_some_and(|line| line.starts_with(TITLE))
            && screen.rows(0, 60).all(|row| row.chars().count() <= 60)
    });
    screen.terminal.press("q");
    screen.expect_end("a key");
    session.end();
}

/// Both come while it waits for a supervisor that does not answer, which it does nearly all the time here.
#[test]
fn a_key_that_comes_with_a_change_of_size_is_heard() {
    let session = Session::start("silent");
    let stopped = session.stop();
    for _ in 0..5 {
        let mut screen = Screen::every("0.05", HIGH, 80);
        screen.expect_text(TITLE);
        // Now it waits for the second time.
        std::thread::sleep(Duration::from_millis(100));
        screen.terminal.resize(12, 60);
        screen.terminal.press("q");
        screen.expect_end("a key");
    }
    drop(stopped);
    session.end();
}

#[test]
fn ctrl_c_and_signals_leave_the_terminal_as_it_was() {
    for how in ["ctrl-c", "terminated", "hung up"] {
        let mut screen = Screen::start(24, 80);
        screen.expect_text(TITLE);
        match how {
            "ctrl-c" => screen.terminal.press("\x03"),
            "terminated" => screen.terminal.signal(libc::SIGTERM),
            _ => screen.terminal.signal(libc::SIGHUP),
        }
        screen.expect_end(how);
    }
}

#[test]
fn a_terminal_that_is_gone_ends_it() {
    let mut screen = Screen::start(24, 80);
    screen.expect_text(TITLE);
    screen.terminal.hang_up();
}

#[test]
fn a_session_that_ends_leaves_the_screen() {
    let session = Session::start("ends");
    let word = session.word.clone();
    let mut screen = Screen::start(HIGH, 160);
    screen.expect_text(&word);
    session.end();
    screen.expect("no such session", |screen| !screen.contents().contains(&word));
    screen.terminal.press("q");
    assert!(screen.terminal.end().success());
}

#[test]
fn a_stopped_supervisor_is_named_and_does_not_hold_up_the_others() {
    let [stopped, other] = ["stopped", "other"].map(Session::start);
    let supervisor = stopped.supervisor();
    let silence = stopped.stop();
    let all: Value = serde_json::from_str(&output(&["--json", "--interval", "0.05"])).expect("JSON");
    drop(silence);
    assert!(all["silent"].as_array().is_some_and(|all| all.iter().any(|one| one == supervisor)), "{all}");
    assert!(all.to_string().contains(&other.word) && !all.to_string().contains(&stopped.word), "{all}");
    stopped.end();
    other.end();
}

#[test]
fn an_attachment_names_its_process() {
    let program = workshop::target("attached").expect("a compiler");
    let mut daemon = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it");
    let pid = daemon.id() as i32;
    let mut attachment = attach(pid, &[]).stderr(Stdio::piped()).spawn().expect("vgpu-run");
    let mut shown = None;
    let found = wait_until(Duration::from_secs(10), || {
        let all: Value = serde_json::from_str(&output(&["--json", "--interval", "0.05"])).expect("JSON");
        let mut sessions = all["sessions"].as_array().into_iter().flatten();
        shown = sessions.find(|session| session["attached"] == pid).cloned();
        shown.is_some()
    });
    drop(daemon.stdin.take());
    daemon.wait().expect("its end");
    assert!(attachment.wait().expect("its end").success());
    assert!(found, "not found");
    let command = shown.map(|session| session["command"][0].to_string());
    assert!(command.as_deref().is_some_and(|word| word.ends_with("attached\"")), "{command:?}");
}

/// Theirs, and not ours; root sees both.
#[test]
fn an_ordinary_user_sees_the_own_sessions_only() {
    if !can_be_nobody() {
        return;
    }
    let roots = Session::start("roots");
    let word = format!("top-test-nobodys-{}", std::process::id());
    let waits = launch_path("/bin/sh").arguments(["-c", "echo ready; read line", &word]).through(AS_NOBODY);
    let mut nobodys = waits.start();
    let mut ready = String::new();
    BufReader::new(nobodys.stdout.take().expect("piped")).read_line(&mut ready).expect("a line");
    let mut command = Command::new(AS_NOBODY[0]);
    command.args(&AS_NOBODY[1..]).arg(vgpu_run()).args(["top", "--once", "--interval", "0.05"]);
    let theirs = command.output().expect("vgpu-run");
    let theirs = String::from_utf8_lossy(&theirs.stdout).into_owned();
    let all = output(&["--once", "--interval", "0.05"]);
    drop(nobodys.stdin.take());
    nobodys.wait().expect("its end");
    assert!(theirs.contains(&word) && !theirs.contains(&roots.word), "{theirs}");
    assert!(all.contains(&roots.word), "{all}");
    assert!(all.lines().any(|line| line.contains(" of user 65534 ") && line.contains(&word)), "{all}");
    roots.end();
}

#[test]
fn without_a_terminal_the_live_view_says_what_to_do() {
    let output = top(&[]).stdin(Stdio::null()).stdout(Stdio::piped()).output().expect("vgpu-run");
    assert_eq!(output.status.code(), Some(125));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("no terminal") && complaint.contains("--once"), "{complaint}");
}
