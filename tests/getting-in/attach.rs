//! Processes that run already: they get the GPU, do not notice how, and go on when we leave.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use tests::{
    AS_NOBODY, attach, can_be_nobody, children, has_program, launch_path, name_of, vgpu_run, wait_until,
    workshop,
};

/// A process with threads in all kinds of calls, which we did not start under vgpu-run.
struct Daemon {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Daemon {
    fn start(through: &[&str]) -> Self {
        let program = workshop::target("attached").expect("a C compiler");
        let words: Vec<String> =
            through.iter().map(|word| (*word).to_owned()).chain([program.display().to_string()]).collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().expect("its output")));
        let mut daemon = Self { child, input, output };
        assert_eq!(daemon.line(), "ready");
        daemon
    }

    fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    fn ask(&mut self, what: &str) -> String {
        let input = self.input.as_mut().expect("not ended yet");
        writeln!(input, "{what}").and_then(|()| input.flush()).expect("it reads");
        self.line()
    }

    fn end(mut self) {
        drop(self.input.take());
        assert_eq!(self.child.wait().expect("its end").code(), Some(3));
    }
}

/// Not left behind by a test that failed, least of all stopped: the kernel would hang up on our whole process group.
impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// vgpu-run, attached and serving.
struct Attachment(Child);

impl Attachment {
    fn to(daemon: &Daemon, options: &[&str]) -> Self {
        let mut command = attach(daemon.pid(), options);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("vgpu-run starts");
        let attached =
            wait_until(Duration::from_secs(10), || is_filtered(daemon.pid()) || has_ended(&mut child));
        assert!(attached && is_filtered(daemon.pid()), "{:?}", child.wait_with_output());
        Self(child)
    }

    fn signal(&self, number: i32) {
        // SAFETY: the call takes numbers.
        unsafe { libc::kill(self.0.id() as i32, number) };
    }

    fn end(self) -> Output {
        self.0.wait_with_output().expect("its end")
    }
}

fn has_ended(child: &mut Child) -> bool {
    child.try_wait().expect("a child").is_some()
}

/// All of its threads have a seccomp program.
fn is_filtered(pid: i32) -> bool {
    every_thread(pid, |status| status.contains("Seccomp:\t2"))
}

/// What `/proc` says of each thread is so.
fn every_thread(pid: i32, is_so: impl Fn(&str) -> bool) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a process").flatten();
    threads
        .map(|thread| std::fs::read_to_string(thread.path().join("status")))
        .all(|status| is_so(&status.unwrap_or_default()))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_running_process_and_its_later_children_see_the_gpu_and_no_call_is_interrupted() {
    let mut daemon = Daemon::start(&[]);
    let attachment = Attachment::to(&daemon, &["--report"]);
    assert_eq!(daemon.ask("child"), "payload device");
    assert_eq!(daemon.ask("sees"), "payload device");
    assert_eq!(daemon.ask("waits"), "0 interrupted, spun");
    daemon.end();
    let output = attachment.end();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("attached"), "the report names the program: {}", text(&output));
}

#[test]
fn threads_are_interrupted_in_no_way_however_often_one_attaches() {
    let mut daemon = Daemon::start(&[]);
    // The second time another program listens, and refusing must leave no trace either.
    let attachment = Attachment::to(&daemon, &[]);
    for _ in 0..20 {
        let refused = attach(daemon.pid(), &[]).output().expect("vgpu-run starts");
        assert_eq!(refused.status.code(), Some(125), "{}", text(&refused));
        assert!(text(&refused).contains(&format!("(pid {})", daemon.pid())), "{}", text(&refused));
    }
    assert_eq!(daemon.ask("waits"), "0 interrupted, spun");
    daemon.end();
    attachment.end();
}

#[test]
fn after_ctrl_c_the_process_goes_on_without_a_gpu() {
    let mut daemon = Daemon::start(&[]);
    let attachment = Attachment::to(&daemon, &[]);
    attachment.signal(libc::SIGINT);
    let output = attachment.end();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("detached from pid"), "{}", text(&output));
    assert_eq!(daemon.ask("child"), "no-payload no-device");
    assert_eq!(daemon.ask("waits"), "0 interrupted, spun");
    daemon.end();
}

#[test]
fn a_killed_supervisor_or_keeper_costs_the_process_its_gpu_only() {
    for victim in ["supervisor", "keeper"] {
        let mut daemon = Daemon::start(&[]);
        let attachment = Attachment::to(&daemon, &[]);
        // Both have all that they need once somebody is served.
        assert_eq!(daemon.ask("child"), "payload device");
        let keeper = attachment.0.id() as i32;
        let supervisor = children(keeper).into_iter().find(|&pid| name_of(pid) == "vgpu-supervisor");
        let pid = if victim == "keeper" { keeper } else { supervisor.expect("a supervisor") };
        // SAFETY: the call takes numbers.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        if victim == "supervisor" {
            let output = attachment.end();
            assert_eq!(output.status.code(), Some(125), "{}", text(&output));
            assert!(text(&output).contains("the process goes on"), "{}", text(&output));
        } else {
            drop(attachment.end());
        }
        assert_eq!(daemon.ask("child"), "no-payload no-device", "{victim}");
        daemon.end();
    }
}

#[test]
fn a_stopped_process_stays_stopped_until_it_is_continued() {
    let mut daemon = Daemon::start(&[]);
    // SAFETY: the calls take numbers.
    unsafe { libc::kill(daemon.pid(), libc::SIGSTOP) };
    let state = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    assert!(wait_until(Duration::from_secs(5), || state(daemon.pid()).contains("State:\tT")));
    let attachment = Attachment::to(&daemon, &[]);
    assert!(
        wait_until(Duration::from_secs(5), || state(daemon.pid()).contains("State:\tT")),
        "{}",
        state(daemon.pid())
    );
    // SAFETY: as above.
    unsafe { libc::kill(daemon.pid(), libc::SIGCONT) };
    assert_eq!(daemon.ask("sees"), "payload device");
    daemon.end();
    attachment.end();
}

#[test]
fn processes_of_others_and_nobodys_are_refused_with_the_reason() {
    let output = attach(i32::MAX, &[]).output().expect("vgpu-run starts");
    assert_eq!(output.status.code(), Some(125));
    assert!(text(&output).contains("no process of that number"), "{}", text(&output));
    if !can_be_nobody() {
        return;
    }
    let daemon = Daemon::start(&[]);
    let mut command = Command::new(AS_NOBODY[0]);
    command.args(&AS_NOBODY[1..]).arg(vgpu_run()).args(["attach", &daemon.pid().to_string()]);
    let output = command.env_remove("VGPU_RUN_MECHANISM").output().expect("vgpu-run starts");
    assert_eq!(output.status.code(), Some(125));
    assert!(
        text(&output).contains("it belongs to user 0, and vgpu-run runs as user 65534"),
        "{}",
        text(&output)
    );
    assert!(text(&output).contains("hint: run `sudo vgpu-run attach"), "{}", text(&output));
    daemon.end();
}

#[test]
fn root_attaches_to_an_ordinary_users_process() {
    if !can_be_nobody() {
        return;
    }
    let mut daemon = Daemon::start(&AS_NOBODY);
    let attachment = Attachment::to(&daemon, &[]);
    assert_eq!(daemon.ask("sees"), "payload device");
    daemon.end();
    attachment.end();
}

#[test]
fn a_process_that_is_traced_already_is_refused_with_the_tracers_name() {
    if !has_program("strace") {
        return;
    }
    let daemon = Daemon::start(&[]);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o", "/dev/null", "-p", &daemon.pid().to_string()]).stderr(Stdio::null());
    let mut strace = strace.spawn().expect("strace starts");
    // One that is not traced yet would do for getting in.
    let traced = || every_thread(daemon.pid(), |status| !status.contains("TracerPid:\t0\n"));
    assert!(wait_until(Duration::from_secs(5), traced));
    let output = attach(daemon.pid(), &[]).output().expect("vgpu-run starts");
    assert_eq!(output.status.code(), Some(125));
    assert!(text(&output).contains("strace) traces it already"), "{}", text(&output));
    strace.kill().and_then(|()| strace.wait()).expect("strace ends");
    daemon.end();
}

/// A filter that permits everything but `seccomp(2)`, for which it ends the process: found out without ending it.
#[test]
fn a_process_whose_filter_would_end_it_is_refused_and_lives() {
    let through = workshop::target("outer_filter").expect("a C compiler");
    let mut daemon = Daemon::start(&[&through.display().to_string(), "ends"]);
    let output = attach(daemon.pid(), &[]).output().expect("vgpu-run starts");
    assert_eq!(output.status.code(), Some(125));
    // Only root may read filters.
    let known = ["ends the process for `seccomp`", "which vgpu-run may not read"];
    assert!(known.iter().any(|reason| text(&output).contains(reason)), "{}", text(&output));
    assert_eq!(daemon.ask("waits"), "0 interrupted, spun");
    daemon.end();
}

#[test]
fn attaching_from_inside_a_session_is_refused() {
    let daemon = Daemon::start(&[]);
    let run = launch_path(vgpu_run()).arguments(["attach".to_owned(), daemon.pid().to_string()]).run();
    run.assert_exit(125).assert_stderr_has("cannot attach to a process from inside another vgpu-run");
    daemon.end();
}
