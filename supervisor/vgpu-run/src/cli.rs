//! Options and arguments: what is typed, and what variables and files set ([`settings`]).

mod plain;
mod printing;
mod session;
mod settings;
mod subcommands;
mod values;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use crate::failure::{FAILED, Failure};

use plain::parse_plain_run;
pub use session::{Check, Code, Engine, Gpus, Log, Mechanism, Overlay, Report, Session, Target};
pub use subcommands::{Cache, Decode, Inject, Learn, Limit, Replay, Top, Trace, Warm};

/// What the command line asks for.
pub enum Action {
    /// Run a program.
    Run(Box<Session>),
    /// Check this machine, or explain programs.
    Doctor { files: Vec<PathBuf>, markdown: bool },
    /// List the cards.
    Profiles,
    /// Show what sessions do.
    Top(Top),
    /// Order a fault of a session.
    Inject(Inject),
    /// Change the limit of a session.
    Limit(Limit),
    /// Compile kernels ahead.
    Warm(Warm),
    /// Look into the code cache, or empty it.
    Cache(Cache),
    /// Print recordings as text.
    Decode(Decode),
    /// Compare recorded calls with the emulated driver.
    Replay(Replay),
    /// Print something made of the options themselves.
    Print(Text),
    /// Say which version this is.
    Version,
}

impl Action {
    fn run(session: Session) -> Self {
        Self::Run(Box::new(session))
    }
}

/// What is printed and ends.
pub struct Text(Vec<u8>);

impl Text {
    /// Writes it to standard output.
    pub fn print(&self) -> ExitCode {
        match std::io::stdout().write_all(&self.0) {
            Ok(()) => ExitCode::SUCCESS,
            // A reader that has seen enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(_) => ExitCode::from(FAILED),
        }
    }
}

/// Gives an unmodified program an NVIDIA GPU that this machine does not have.
#[derive(Parser)]
#[command(name = "vgpu-run", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "\
Environment:
  XDG_CACHE_HOME    where a directory `vgpu-run` for our libraries and compiled code is made (default: ~/.cache); without
                    one that can be written libraries are given from memory, and code is compiled in each run
  VGPU_RUN_LIBEXEC  directory with `vgpu-engine` and `payload/`, instead of those inside or beside vgpu-run
  VGPU_RUN_CONFIG   configuration file, instead of ~/.config/vgpu-run/config.toml and /etc/vgpu-run/config.toml
  VGPU_RUN_GPU ...  each option has a variable of its name, and a key in the configuration file: see `vgpu-run config`

Exit status: that of CMD, 128 + N if signal N ended it, or
  125  vgpu-run itself failed, and said why (also: wrong options, a wrong configuration)
  126  CMD is there and cannot be executed
  127  there is no such CMD
  --check-exit-code's, if a check found something")]
#[command(
    override_usage = "vgpu-run [OPTIONS] [--] CMD [ARGS]...\n       vgpu-run attach [OPTIONS] PID\n       vgpu-run trace [OPTIONS] [--] CMD [ARGS]...\n       vgpu-run top [--once|--json]\n       vgpu-run inject [--session PID] FAULT...\n       vgpu-run limit PID [--memory SIZE] [--cores PERCENT]\n       vgpu-run doctor [FILE]...\n       vgpu-run profiles\n       vgpu-run warm [OPTIONS] FILE...\n       vgpu-run cache list|size|clear\n       vgpu-run record [OPTIONS] FILE -- CMD [ARGS]...\n       vgpu-run learn [OPTIONS] FILE -- CMD [ARGS]...\n       vgpu-run replay FILE -- CMD [ARGS]...\n       vgpu-run replay --check FILE...\n       vgpu-run config\n       vgpu-run completions SHELL\n       vgpu-run man [SUBCOMMAND]"
)]
struct CommandLine {
    #[command(subcommand)]
    question: Option<Question>,
    #[command(flatten)]
    run: Run,
}

/// A run of a program.
#[derive(Args)]
struct Run {
    #[command(flatten)]
    session: Session,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// What can be asked without a run. A program of such a name is run with `vgpu-run -- NAME`.
#[derive(Subcommand)]
enum Question {
    /// Give the GPU to a process that runs already, its threads and what it starts from now on, until it ends or Ctrl-C
    #[command(after_help = "\
A service: `sudo vgpu-run attach $(systemctl show --value --property MainPID NAME)`. What systemd starts in its place later is
another process, to be attached to again; for good, put vgpu-run into the unit (examples/ollama-vgpu-run.conf).")]
    Attach {
        /// The process
        #[arg(value_parser = clap::value_parser!(i32).range(1..))]
        pid: i32,
        /// Also if the process has a seccomp filter that can't be read: one that kills for `seccomp(2)` ends it
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        session: Box<Session>,
    },
    /// Check what this machine offers, or explain programs and libraries: what they need and whether they get it
    #[command(after_help = "\
Exit status:
  0    the machine is fit, or every file would work
  1    a file would not work, for a reason that is said
  125  the machine is not fit, or vgpu-run itself failed")]
    Doctor {
        /// Programs and libraries to explain
        files: Vec<PathBuf>,
        /// As Markdown, to paste into an issue
        #[arg(long = "report")]
        markdown: bool,
    },
    /// Run a program, and print each call that it makes of CUDA, NVML, and the driver's nodes
    #[command(override_usage = "vgpu-run trace [OPTIONS] [--] CMD [ARGS]...")]
    Trace {
        #[command(flatten)]
        trace: Trace,
        #[command(flatten)]
        session: Box<Session>,
        /// The program and its arguments
        #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
    /// Print the device calls of recordings (.jsonl, .jsonl.xz) as lines of text: names, fields, what was answered
    Decode(Decode),
    /// List the cards that can be announced
    Profiles,
    /// Show what this user's sessions do, live (to root, all sessions): processes, memory, kernels, queues; `q` ends it
    #[command(after_help = "\
Columns, of each process that has a context:
  MEMORY          what it holds of each GPU
  KERNELS/S BUSY  kernels that ended, and the share of the time in which some ran
  COMPILED        share of the kernels' time that went by in compiled code
  QUEUE           commands in streams that are not done; `+`: and some that nobody has looked at yet
  COMPILER        kernels that are being compiled, and those that wait for it
  BUSIEST KERNEL  the one that took the most time since the start

Sessions in other network namespaces, as those of containers may be, are not seen: run it in there.")]
    Top(Top),
    /// Make a fault happen to a GPU of a session that runs, to test what watches GPUs and what uses them
    #[command(override_usage = "vgpu-run inject [--session PID] FAULT... [GPU]")]
    #[command(after_help = "\
Faults, of GPU 0 if none is named:
  xid N [GPU]                           the driver tells of Xid N; those that end contexts do (8, 13, 31, 43, 45, 48, 79, 94, 95, 109,
                                        119, 120: NVIDIA's catalogue of Xids)
  ecc corrected [N [GPU]]               N errors of memory that the GPU corrects: counters and an event of NVML
  ecc uncorrected [N [GPU]]             N that it cannot: also Xid 48, rows to be remapped, CUDA error 214 in programs with a context
  lost [GPU]                            it falls off the bus: Xid 79, NVML_ERROR_GPU_IS_LOST, CUDA errors 999 and, of new contexts, 46
  thermal [CELSIUS [GPU]]               its sensor shows that (default: what makes it slow down)
  clear [GPU]                           all faults are over (default: of all GPUs); contexts that ended stay so

From the start: `vgpu-run --inject 'ecc corrected 3' CMD...`. The session's user and root may do this. The report says what was done.")]
    Inject(Inject),
    /// Change how much of this machine's GPU a session that runs with `--engine host` may have
    #[command(after_help = "\
Less than what is used is allowed: then nothing more is given until enough is freed. What is free changes at once; libcuda
asks for the total once, so programs that run already go on to say the former one. The session's user and root may do this.")]
    Limit(Limit),
    /// Compile the kernels of programs and libraries ahead, into the cache that all later runs use
    Warm(Warm),
    /// Look after compiled code that is kept for later runs
    Cache {
        #[command(subcommand)]
        what: Cache,
    },
    /// Run a program, and write down its calls of the driver's nodes with what they were answered
    #[command(override_usage = "vgpu-run record [OPTIONS] FILE -- CMD [ARGS]...")]
    #[command(after_help = "\
The recording has the calls' own structures and parameters, and nothing else of the program: not its arguments, environment or memory.
`vgpu-run decode FILE` prints it, `vgpu-run replay FILE -- CMD` answers a program from it.")]
    Record {
        #[command(flatten)]
        session: Box<Session>,
        /// The recording, as JSON lines
        file: PathBuf,
        /// The program and its arguments
        #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
    /// Run a program on this machine's GPU, and write down what it asks of the driver, as a policy for `--policy`
    #[command(override_usage = "vgpu-run learn [OPTIONS] FILE -- CMD [ARGS]...")]
    #[command(after_help = "\
Sets, of which all are allowed if nothing is said (`--deny ipc,p2p`, `--allow compute,utility`):
  compute    contexts, memory, kernels, copies
  utility    what monitoring asks and sets: load, clocks, power, temperatures, errors, processes
  managed    moving managed memory, and advice where it should be
  ipc        memory of other processes
  p2p        other cards and nodes directly: peer access, fabric, multicast
  profiling  counters and tools that watch programs
  debugging  debuggers, and memory of programs that they read and write
  graphics, video, display, vgpu; other: what is in no other set

The policy names each thing that was asked, so that a program that does other things another time may be refused some; `--sets` is more
patient. It is a text file, to be read and changed. What is refused is said in the report, with what would allow it.")]
    Learn {
        #[command(flatten)]
        learn: Learn,
        #[command(flatten)]
        session: Box<Session>,
        /// The program and its arguments
        #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
    /// Answer a program's calls of the driver's nodes from a recording; or compare recordings with the emulated driver
    Replay(Replay),
    /// Print the configuration in force, as a configuration file, and where each value comes from
    Config,
    /// Print the script that completes the options in a shell
    Completions {
        /// For which one
        shell: Shell,
    },
    /// Print the manual page, in roff
    Man {
        /// Of this subcommand
        subcommand: Option<String>,
    },
}

impl From<Run> for Action {
    fn from(run: Run) -> Self {
        Action::run(Session { target: Target::Command(run.command), ..run.session })
    }
}

/// Parses the command line, with what variables and files set; for `--help` and mistakes, prints and returns the exit code.
pub fn parse() -> Result<Action, ExitCode> {
    let failed = |failure: Failure| {
        eprint!("{failure}");
        ExitCode::from(FAILED)
    };
    let sources = settings::Sources::find().map_err(failed)?;
    let words: Vec<OsString> = std::env::args_os().collect();
    if let Some(run) = sources.set_nothing().then(|| parse_plain_run(&words)).flatten() {
        return Ok(run.into());
    }
    let command = CommandLine::command();
    let settings = settings::Settings::read(&command, sources).map_err(failed)?;
    let matches = settings.applied(command.clone()).try_get_matches_from(words);
    let line = match matches.and_then(|matches| CommandLine::from_arg_matches(&matches)) {
        Ok(line) => line,
        Err(error) if error.kind() == ErrorKind::DisplayVersion => return Ok(Action::Version),
        Err(error) => {
            // Nothing is left to do if even that cannot be printed.
            let _ = error.print();
            return Err(if error.use_stderr() { ExitCode::from(FAILED) } else { ExitCode::SUCCESS });
        }
    };
    let mut text = Vec::new();
    Ok(match line.question {
        Some(Question::Attach { pid, force, session }) => {
            Action::run(Session { target: Target::Process { pid, force }, ..*session })
        }
        Some(Question::Doctor { files, markdown }) => Action::Doctor { files, markdown },
        Some(Question::Trace { trace, session, command }) => {
            Action::run(Session { trace: Some(trace), target: Target::Command(command), ..*session })
        }
        Some(Question::Decode(order)) => Action::Decode(order),
        Some(Question::Top(order)) => Action::Top(order),
        Some(Question::Inject(order)) => Action::Inject(order),
        Some(Question::Limit(order)) => Action::Limit(order),
        Some(Question::Profiles) => Action::Profiles,
        Some(Question::Warm(order)) => Action::Warm(order),
        Some(Question::Cache { what }) => Action::Cache(what),
        Some(Question::Record { session, file, command }) => {
            Action::run(Session { record: Some(file), target: Target::Command(command), ..*session })
        }
        Some(Question::Learn { learn, session, command }) => {
            let (learn, engine) = (Some(learn), Engine::Host);
            Action::run(Session { learn, engine, target: Target::Command(command), ..*session })
        }
        Some(Question::Replay(order)) => replay(order).map_err(failed)?,
        Some(Question::Config) => {
            printing::configuration(&command, &settings, &mut text).expect("memory takes all");
            Action::Print(Text(text))
        }
        Some(Question::Completions { shell }) => {
            printing::completions(command, shell, &mut text);
            Action::Print(Text(text))
        }
        Some(Question::Man { subcommand }) => {
            let unknown =
                || failed(Failure::new("there is no such subcommand").hint("see `vgpu-run --help`"));
            let page = printing::manual(command, subcommand.as_deref(), &mut text);
            page.ok_or_else(unknown)?.expect("memory takes all");
            Action::Print(Text(text))
        }
        None => line.run.into(),
    })
}

/// A comparison, or a run that one recording answers.
fn replay(order: Replay) -> Result<Action, Failure> {
    if order.check {
        return Ok(Action::Replay(order));
    }
    let several = || {
        Failure::new("several recordings cannot answer one program")
            .hint("name one, then `--` and the program")
    };
    order.run().map(Action::run).ok_or_else(several)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_after_the_program_are_the_programs() {
        let line = CommandLine::try_parse_from(["vgpu-run", "--gpus", "2", "ls", "--report", "-l"]).unwrap();
        assert_eq!(line.run.command, ["ls", "--report", "-l"]);
        assert_eq!((line.run.session.gpus, line.run.session.report), (Some(Gpus::Count(2)), None));
    }

    #[test]
    fn checks_are_listed_with_commas() {
        let parse = |words: &[&str]| CommandLine::try_parse_from([&["vgpu-run"], words].concat());
        let line = parse(&["--check", "memory,race", "--check-exit-code", "9", "ls"]).unwrap();
        assert_eq!(line.run.session.check, [Check::Memory, Check::Race]);
        assert_eq!(line.run.session.check_exit_code, Some(9));
        assert!(parse(&["--check", "luck", "ls"]).is_err());
        assert!(parse(&["--check-exit-code", "9", "ls"]).is_err(), "without a check");
    }

    #[test]
    fn a_double_dash_ends_the_options() {
        let line = CommandLine::try_parse_from(["vgpu-run", "--report", "--", "--odd-name"]).unwrap();
        assert_eq!(line.run.command, ["--odd-name"]);
        assert_eq!(line.run.session.report, Some(Report::Human));
    }

    #[test]
    fn a_trace_has_options_of_its_own_and_those_of_a_run() {
        let words =
            ["vgpu-run", "trace", "--filter", "cuMem*,nvml", "--gpus", "2", "-o", "x", "ls", "-o", "y"];
        let line = CommandLine::try_parse_from(words).unwrap();
        let Some(Question::Trace { trace, session, command }) = line.question else { panic!("no trace") };
        assert_eq!(
            (trace.filter.as_slice(), session.announced()),
            (&["cuMem*".to_owned(), "nvml".to_owned()][..], 2)
        );
        assert_eq!(command, ["ls", "-o", "y"]);
        let line = CommandLine::try_parse_from(["vgpu-run", "--", "trace", "x"]).unwrap();
        assert_eq!(line.run.command, ["trace", "x"]);
    }

    #[test]
    fn recordings_are_written_and_answer_programs() {
        let parse = |words: &[&str]| CommandLine::try_parse_from([&["vgpu-run"], words].concat());
        let line = parse(&["record", "--gpu", "h100", "x.jsonl", "--", "ls", "-o"]).unwrap();
        let Some(Question::Record { session, file, command }) = line.question else { panic!("no record") };
        assert_eq!((session.gpu.as_str(), file), ("h100", PathBuf::from("x.jsonl")));
        assert_eq!(command, ["ls", "-o"]);
        let line = parse(&["replay", "--report", "x.jsonl", "--", "ls", "--check"]).unwrap();
        let Some(Question::Replay(order)) = line.question else { panic!("no replay") };
        assert_eq!((order.check, &order.files[..]), (false, &[PathBuf::from("x.jsonl")][..]));
        assert_eq!(order.command, ["ls", "--check"]);
        assert!(parse(&["replay", "--check", "--gpu", "h100", "a", "b"]).is_ok());
        for wrong in [&["replay", "a"][..], &["replay", "--check", "a", "--", "ls"], &["record", "a"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn unknown_options_are_no_programs() {
        assert!(CommandLine::try_parse_from(["vgpu-run", "--no-such-option", "true"]).is_err());
    }

    #[test]
    fn a_program_is_required() {
        assert!(CommandLine::try_parse_from(["vgpu-run"]).is_err());
    }
}
