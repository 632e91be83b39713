//! Running a target program under `vgpu-run`.

use std::ffi::{OsStr, OsString};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use report::document::{Document, SCHEMA};

use crate::workshop;

/// The program under test.
pub fn vgpu_run() -> PathBuf {
    workshop::directory().with_file_name("vgpu-run")
}

/// The same with payload and engine inside, as `scripts/one-file` makes it.
pub fn one_file() -> PathBuf {
    let file = workshop::directory().with_file_name("one-file").join("vgpu-run");
    assert!(file.is_file(), "`{}` is not built; hint: run `make build`", file.display());
    file
}

/// A run of a program, to be described further.
pub struct Launch {
    before: Vec<OsString>,
    options: Vec<OsString>,
    program: OsString,
    arguments: Vec<OsString>,
    libexec: PathBuf,
    variables: Vec<(OsString, OsString)>,
}

/// A run of the target program of this name.
pub fn launch(target: &str) -> Launch {
    let program = workshop::target(target).unwrap_or_else(|| panic!("no compiler for `{target}`"));
    launch_path(program)
}

/// A run of any program.
pub fn launch_path(program: impl AsRef<OsStr>) -> Launch {
    Launch {
        before: vec![],
        options: vec![],
        program: program.as_ref().to_owned(),
        arguments: vec![],
        libexec: workshop::stand_ins(),
        variables: vec![],
    }
}

fn strings<S: AsRef<OsStr>>(parts: impl IntoIterator<Item = S>) -> impl Iterator<Item = OsString> {
    parts.into_iter().map(|part| part.as_ref().to_owned())
}

/// `vgpu-run attach` to this process, with the payload of stand-ins; by notification, whatever mechanism the tests are run with, as there is
/// no other for it.
pub fn attach(pid: i32, options: &[&str]) -> Command {
    let mut command = Command::new(vgpu_run());
    command.arg("attach").args(options).arg(pid.to_string());
    command
        .env_remove("LD_LIBRARY_PATH")
        .env_remove("VGPU_RUN_MECHANISM")
        .env("VGPU_RUN_LIBEXEC", launch_path("").libexec)
        .stdin(Stdio::null());
    command
}

impl Launch {
    /// Arguments of the program.
    pub fn arguments<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(strings(arguments));
        self
    }

    /// Options of vgpu-run.
    pub fn options<S: AsRef<OsStr>>(mut self, options: impl IntoIterator<Item = S>) -> Self {
        self.options.extend(strings(options));
        self
    }

    /// A program and arguments in front of vgpu-run, such as `setpriv …`.
    pub fn through<S: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.before.extend(strings(words));
        self
    }

    /// An environment variable.
    pub fn variable(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// The real payload and engine that were built, instead of stand-ins.
    pub fn real_payload(mut self) -> Self {
        self.libexec = vgpu_run().parent().unwrap_or(Path::new(".")).to_owned();
        self
    }

    /// As a command, for what this does not offer.
    pub fn command(&self) -> Command {
        let mut words: Vec<&OsStr> = self.before.iter().map(OsString::as_os_str).collect();
        let program = vgpu_run();
        words.push(program.as_os_str());
        words.extend(self.options.iter().map(OsString::as_os_str));
        words.extend([OsStr::new("--"), self.program.as_os_str()]);
        words.extend(self.arguments.iter().map(OsString::as_os_str));
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        // Cargo sets it for tests; programs do not have it.
        command.env_remove("LD_LIBRARY_PATH");
        command.env("VGPU_RUN_LIBEXEC", &self.libexec);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The same without vgpu-run.
    pub fn native_command(&self) -> Command {
        let mut words = self.before.iter().chain([&self.program]).chain(&self.arguments);
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words).env_remove("LD_LIBRARY_PATH");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts it with piped standard streams.
    pub fn start(self) -> Child {
        let mut command = self.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
    }

    /// Runs it to its end, with nothing on standard input.
    pub fn run(self) -> Run {
        let mut command = self.command();
        command.stdin(Stdio::null());
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let run = Run { what: format!("{command:?}"), output };
        if self.options.iter().any(|option| option == "--report=json") {
            // Whatever the test is about: each report has the fields and types that its schema tells.
            run.report();
        }
        run
    }
}

/// A program that has ended.
pub struct Run {
    what: String,
    output: Output,
}

impl Run {
    /// Of a child that was started before.
    pub fn of(child: Child) -> Self {
        Self { what: "started before".into(), output: child.wait_with_output().expect("its output") }
    }

    /// The same, told by its command line when something is wrong.
    pub(crate) fn named(self, what: String) -> Self {
        Self { what, ..self }
    }

    /// How it ended.
    pub fn status(&self) -> ExitStatus {
        self.output.status
    }

    /// It must have ended with this code; as a shell sees it, so 128 + n for signal n.
    pub fn assert_exit(&self, code: i32) -> &Self {
        let status = self.output.status;
        let seen = status.code().or(status.signal().map(|signal| 128 + signal));
        assert_eq!(seen, Some(code), "{}", self.text());
        self
    }

    /// It must have been ended by this signal.
    pub fn assert_signal(&self, signal: i32) -> &Self {
        assert_eq!(self.output.status.signal(), Some(signal), "{}", self.text());
        self
    }

    /// It must have printed exactly this.
    pub fn assert_stdout(&self, expected: &str) -> &Self {
        assert_eq!(self.stdout(), expected, "{}", self.text());
        self
    }

    /// Its standard error must contain this.
    pub fn assert_stderr_has(&self, expected: &str) -> &Self {
        assert!(self.stderr().contains(expected), "no `{expected}` in: {}", self.text());
        self
    }

    /// What it printed.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// What it and vgpu-run complained about.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// The report of `--report=json`.
    pub fn report(&self) -> Document {
        let report = Document::last_in(&self.stderr()).unwrap_or_else(|why| panic!("{why}: {}", self.text()));
        assert_eq!(report.schema, SCHEMA);
        report
    }

    /// All that is known of it.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}{}", self.what, self.output.status, self.stdout(), self.stderr())
    }
}
