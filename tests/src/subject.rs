//! A session whose program, `subject.py`, says what NVML and CUDA answer it.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output};
use std::sync::OnceLock;

use crate::{children, launch_path, name_of, skipped, vgpu_run};
use serde_json::Value;

/// Python with nvidia-ml-py; `None`, and a word why, if that cannot be had.
fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    let fetch = || {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/fetch-nvml-clients");
        let output = Command::new(script).output().expect("the script");
        let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        let complaint = String::from_utf8_lossy(&output.stderr);
        let found = output.status.success().then_some(path);
        found.or_else(|| {
            skipped(&format!("nvidia-ml-py: {}", complaint.lines().last().unwrap_or("no word why")));
            None
        })
    };
    PYTHON.get_or_init(fetch).as_deref()
}

/// `vgpu-run --report OPTIONS subject.py`, ended when dropped.
pub struct Subject {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Subject {
    /// With these cards; `None` if it cannot be started here.
    pub fn start(gpu: &str, options: &[&str]) -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/subject.py");
        let launch = launch_path(python()?).arguments([script]).real_payload();
        let launch = launch.options(["--gpu", gpu, "--memory", "1G", "--report"]).options(options);
        let mut child = launch.start();
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("piped"));
        let mut subject = Self { child, input, output: BufReader::new(output) };
        subject.await_line("ready\n");
        Some(subject)
    }

    /// Says an expression, and does not wait for its value.
    pub fn say(&mut self, expression: &str) {
        writeln!(self.input.as_mut().expect("not ended"), "{expression}").expect("it listens");
    }

    /// The value of what was said.
    pub fn hear(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{error} in `{line}`{}", self.complaint(&line)))
    }

    /// The value of an expression.
    pub fn ask(&mut self, expression: &str) -> Value {
        self.say(expression);
        self.hear()
    }

    /// Waits for a line that it says by itself.
    pub fn await_line(&mut self, expected: &str) {
        let line = self.line();
        assert_eq!(line, expected, "{}", self.complaint(&line));
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("text");
        line
    }

    /// Why it has ended, if it has.
    fn complaint(&mut self, line: &str) -> String {
        let mut text = String::new();
        if line.is_empty()
            && let Some(stderr) = &mut self.child.stderr
        {
            let _ = stderr.read_to_string(&mut text);
        }
        text
    }

    /// What the shell started.
    pub fn keeper(&self) -> u32 {
        self.child.id()
    }

    /// Its supervisor.
    pub fn supervisor(&self) -> i32 {
        let own = children(self.keeper() as i32);
        own.into_iter().find(|&pid| name_of(pid) == "vgpu-supervisor").expect("a supervisor")
    }

    /// Orders a fault of this session.
    pub fn try_inject(&self, words: &str) -> Output {
        let mut command = Command::new(vgpu_run());
        command.args(["inject", "--session", &self.keeper().to_string()]).args(words.split(' '));
        command.output().expect("vgpu-run")
    }

    /// The same, which works; what it says.
    pub fn inject(&self, words: &str) -> String {
        let output = self.try_inject(words);
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// What `vgpu-run top` shows here.
    pub fn shown_by_top(&self) -> String {
        let mut command = Command::new(vgpu_run());
        let output = command.args(["top", "--once", "--interval", "0.05"]).output().expect("vgpu-run");
        let text = String::from_utf8(output.stdout).expect("text");
        let own = format!("{} for ", self.supervisor());
        text.lines().skip_while(|line| !line.starts_with(&own)).collect::<Vec<_>>().join("\n")
    }

    /// Whether `nvidia-smi` is ours.
    pub fn has_our_smi(&self) -> bool {
        let has_another = Path::new("/usr/bin/nvidia-smi").exists();
        if has_another {
            skipped("this machine has NVIDIA's nvidia-smi");
        }
        !has_another
    }

    /// Status and text of `nvidia-smi` with these arguments, quoted.
    pub fn smi(&mut self, arguments: &str) -> (i64, String) {
        let answer = self.ask(&format!("smi({arguments})"));
        let (status, text) = (answer[0].as_i64(), answer[1].as_str());
        (status.expect("a status"), text.expect("a text").to_owned())
    }

    /// Ends it in order; the report.
    pub fn end(mut self) -> String {
        drop(self.input.take());
        let mut report = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut report).expect("text");
        assert!(self.child.wait().expect("its end").success(), "{report}");
        report
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        // Its input has ended, or ends now: so does it.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}
