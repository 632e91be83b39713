//! Sessions of `--engine host` on a machine without a GPU, whose files say that it has one: what needs no driver's answer.
//!
//! The files lie in a mount namespace: /sys/module/nvidia, /proc/devices, /proc/driver/nvidia, and a /dev with a card's node that cannot be
//! opened, and a device of another driver as /dev/nvidia-uvm. Needs root.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use tests::{has_program, is_root, skipped, vgpu_run, workshop};

/// Mounts the machine that lies in its first argument, and executes the rest. The node has the number in the second one.
const ENTER: &str = r#"set -e
machine=$1 number=$2
shift 2
mount --make-rprivate /
mount --bind "$machine/module" /sys/module
mount --bind "$machine/devices" /proc/devices
mount --bind "$machine/driver" /proc/driver
mount -t tmpfs none "$machine/dev"
cd "$machine/dev"
mknod -m 666 null c 1 3
mknod -m 666 zero c 1 5
mknod -m 666 urandom c 1 9
mknod -m 666 nvidia0 c 195 0
mknod -m 666 nvidia-uvm c "$number" 0
cd /
mount --move "$machine/dev" /dev
: <>/dev/nvidia-uvm
exec "$@""#;

/// Devices with the minor number 0, which every open leaves as they are: the processor's identity, a console's screen.
const NUMBERS: [u32; 2] = [203, 7];
const CARD: &str = "0000:00:06.0";
const INFORMATION: &str =
    "Model: \t\t NVIDIA H100\nGPU UUID: \t GPU-c0ffee00-1234-5678-9abc-def012345678\nDevice Minor: \t 0\n";

/// A machine for one test.
struct Machine {
    directory: PathBuf,
    number: u32,
    /// Others may run at the same time: the program has it in its arguments.
    test: &'static str,
}

impl Machine {
    /// One that can be entered; none, and why is said, if there can be none here.
    fn new(test: &'static str) -> Option<Self> {
        if !is_root() || !has_program("unshare") {
            skipped("not root, or no `unshare`");
            return None;
        }
        let found = NUMBERS.into_iter().map(|number| Self::with(test, number));
        let found = found
            .into_iter()
            .find(|machine| machine.enter("true").status().is_ok_and(|status| status.success()));
        if found.is_none() {
            skipped("no mount namespace, or no device that can stand for the driver's");
        }
        found
    }

    fn with(test: &'static str, number: u32) -> Self {
        let directory = workshop::directory().join(format!("host-sessions-{test}"));
        let _ = fs::remove_dir_all(&directory);
        let card = directory.join("driver/nvidia/gpus").join(CARD);
        for part in [&directory.join("module/nvidia"), &directory.join("dev"), &card] {
            fs::create_dir_all(part).expect("a directory");
        }
        let write = |file: PathBuf, text: &str| fs::write(file, text).expect("written");
        write(directory.join("module/nvidia/version"), "580.159.04\n");
        write(directory.join("devices"), &format!("Character devices:\n195 nvidia\n{number} nvidia-uvm\n"));
        write(card.join("information"), INFORMATION);
        Self { directory, number, test }
    }

    fn enter(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", ENTER, "sh"]).arg(&self.directory).arg(self.number.to_string());
        command.arg(program).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A session that runs, once it has asked for all its mappings.
    fn start(&self, options: &[&str]) -> Session {
        let program = workshop::target("mappings").expect("a compiler");
        let mut command = self.enter(vgpu_run());
        command.args(["--engine", "host"]).args(options).arg("--").arg(program).arg(self.test);
        let mut keeper = command.spawn().expect("runs");
        let output = BufReader::new(keeper.stdout.take().expect("piped"));
        let errors = keeper.stderr.take().expect("piped");
        let mut session = Session { keeper, output, errors, lines: vec![] };
        for _ in 0..ASKED {
            let mut line = String::new();
            session.output.read_line(&mut line).expect("a line");
            session.lines.push(line.trim_end().to_owned());
        }
        session
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// So many mappings the program asks for.
const ASKED: usize = 7;

struct Session {
    keeper: Child,
    output: BufReader<ChildStdout>,
    errors: ChildStderr,
    lines: Vec<String>,
}

impl Session {
    /// What another vgpu-run says.
    fn ask(&self, arguments: &[&str]) -> String {
        let output = Command::new(vgpu_run()).args(arguments).output().expect("vgpu-run");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// Lets it end; what it has said on its standard error.
    fn end(mut self) -> String {
        drop(self.keeper.stdin.take());
        let mut errors = String::new();
        self.errors.read_to_string(&mut errors).expect("text");
        assert!(self.keeper.wait().expect("its end").success(), "{errors}");
        errors
    }
}

/// The kernel itself says that there is nothing to map.
const LET_THROUGH: [&str; ASKED] = [
    "node 2048 MiB: ENODEV",
    "node 2048 MiB: ENODEV",
    "node 512 MiB: ENODEV",
    "other 2048 MiB: mapped",
    "other 2048 MiB: mapped",
    "node 2048 MiB: ENODEV",
    "node 256 MiB: ENODEV",
];

#[test]
fn managed_memory_beyond_the_limit_is_refused_and_said_once() {
    let Some(machine) = Machine::new("limit") else { return };
    let session = machine.start(&["--memory", "1G", "--report"]);
    let expected =
        LET_THROUGH.map(|line| if line.starts_with("node 2048") { "node 2048 MiB: ENOMEM" } else { line });
    assert_eq!(session.lines, expected);
    let said = session.end();
    assert_eq!(said.matches("got no more memory of the card").count(), 1, "{said}");
    assert!(said.contains("2048 MiB were refused, where 0 MiB are held and the limit is 1024 MiB"), "{said}");
}

#[test]
fn without_a_limit_and_where_calls_are_only_looked_at_all_is_the_kernels() {
    let Some(machine) = Machine::new("none") else { return };
    for options in [&[] as &[&str], &["--observe"]] {
        let session = machine.start(options);
        assert_eq!(session.lines, LET_THROUGH, "{options:?}");
        session.end();
    }
}

#[test]
fn top_shows_what_a_process_holds_of_the_card_and_limit_changes_how_much_it_may() {
    let Some(machine) = Machine::new("top") else { return };
    let session = machine.start(&[]);
    let keeper = session.keeper.id().to_string();
    let shown = |session: &Session| {
        let all = session.ask(&["top", "--once", "--interval", "0.05"]);
        let own = all.lines().skip_while(|line| !line.ends_with("/mappings top"));
        own.skip(1).take(3).map(str::to_owned).collect::<Vec<_>>()
    };
    // What it has asked for last counts until it asks for something else.
    let lines = shown(&session);
    assert_eq!(lines[0], "  GPU 0 NVIDIA H100: 256 MiB");
    assert!(lines[2].contains(" mappings   256 MiB  ") && lines[2].ends_with(" - "), "{lines:?}");
    let said = session.ask(&["limit", &keeper, "--memory", "1G"]);
    assert!(said.starts_with("1024 MiB of each card"), "{said}");
    assert_eq!(shown(&session)[0], "  GPU 0 NVIDIA H100: 256 MiB of 1.0 GiB");
    session.end();
}
