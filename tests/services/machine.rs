//! A systemd of our own: first process of namespaces in which this machine's files are read-only.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tests::{children, has_program, is_root, skipped, wait_until, workshop};

/// Where Debian and others have it.
const SYSTEMD: [&str; 2] = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"];

/// Enters a control group of its own, so that what systemd does to the topmost one it sees is done to that.
const GROUP: &str = r#"set -e
mount -t cgroup2 none "$1"
mkdir "$1/$2"
echo $$ >"$1/$2/cgroup.procs"
umount "$1"
shift 2
exec unshare --cgroup --pid --fork --kill-child --ipc --uts --mount "$@""#;

/// Removes it and what systemd has made below.
const REMOVE_GROUP: &str = r#"mount -t cgroup2 none "$1" && find "$1/$2" -depth -type d -exec rmdir {} +"#;

/// Becomes systemd in a view of this machine, in which what was built is where it is, also below /tmp.
const BOOT: &str = r#"set -e
root=$1 systemd=$2 units=$3 build=$4
mount --rbind / "$root"
mount -o remount,bind,ro "$root"
for place in tmp var/tmp var/cache run; do mount -t tmpfs none "$root/$place"; done
mkdir -p "$root$build"
mount --rbind "$build" "$root$build"
mount -t proc proc "$root/proc"
mount -t cgroup2 none "$root/sys/fs/cgroup"
mkdir -p "$root/run/systemd/system" "$root/run/daemon"
cp "$units"/* "$root/run/systemd/system"
mkfifo -m 666 "$root/run/daemon/in" "$root/run/daemon/out"
cd "$root"
pivot_root . .
umount -l .
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin "$systemd" --system --unit=test.target --log-target=null"#;

/// Of the files that each machine has.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Ends with this value.
pub struct Machine {
    unshare: Child,
    systemd: i32,
    directory: PathBuf,
    group: String,
}

impl Machine {
    /// One with this service, whose name is `daemon`; `None`, said: not here.
    pub fn start(service: &str) -> Option<Machine> {
        let systemd = SYSTEMD.into_iter().find(|path| Path::new(path).is_file());
        let Some(systemd) = systemd else {
            skipped("no systemd");
            return None;
        };
        if !is_root() || !has_program("nsenter") || !can_have_groups() {
            skipped("no namespaces for a systemd");
            return None;
        }
        let group = format!("vgpu-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let directory = workshop::directory().join(&group);
        let (root, units) = (directory.join("root"), directory.join("units"));
        for made in [&root, &units] {
            std::fs::create_dir_all(made).expect("a directory");
        }
        std::fs::write(units.join("daemon.service"), service).expect("a unit");
        let target =
            "[Unit]\nDescription=a test\nDefaultDependencies=no\nAllowIsolate=yes\nWants=daemon.service\n";
        std::fs::write(units.join("test.target"), target).expect("a unit");

        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", GROUP, "sh"]).arg(&directory).arg(&group);
        command.args(["sh", "-c", BOOT, "sh"]).arg(&root).arg(systemd).arg(&units).arg(build());
        command.stdin(Stdio::null());
        let mut machine =
            Machine { unshare: command.spawn().expect("unshare starts"), systemd: 0, directory, group };
        let is_up = wait_until(Duration::from_secs(20), || machine.has_booted());
        assert!(is_up, "systemd does not start");
        Some(machine)
    }

    /// Its parent has become `unshare`, and itself systemd, which has made its socket.
    fn has_booted(&mut self) -> bool {
        self.systemd = children(self.unshare.id() as i32).first().copied().unwrap_or(0);
        self.systemd != 0 && self.path("/run/systemd/private").exists()
    }

    /// Where a file of this machine is for us.
    fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.systemd))
    }

    /// What systemd says of the service, and what that said itself.
    pub fn status(&self) -> String {
        let status = self.systemctl(&["status", "daemon.service"]).stdout;
        let said = std::fs::read_to_string(self.path("/run/daemon/said")).unwrap_or_default();
        format!("{}\n{said}", String::from_utf8_lossy(&status))
    }

    /// A command in there.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.systemd.to_string(), "--all", "--"]).arg(program);
        command.stdin(Stdio::null()).env_remove("LD_LIBRARY_PATH").env_remove("VGPU_RUN_MECHANISM");
        // Our caches are read-only here.
        command.env("VGPU_RUN_LIBEXEC", workshop::stand_ins()).env("XDG_CACHE_HOME", "/var/cache");
        command
    }

    /// Runs `systemctl` to its end.
    pub fn systemctl(&self, words: &[&str]) -> Output {
        self.command("systemctl").args(words).output().expect("systemctl starts")
    }

    /// A property of the service.
    pub fn property(&self, name: &str) -> String {
        let output = self.systemctl(&["show", "--value", "--property", name, "daemon.service"]);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The service's process, by the machine's numbers.
    pub fn main_pid(&self) -> i32 {
        self.property("MainPID").parse().expect("a number")
    }

    /// The service, once it is ready.
    pub fn daemon(&self) -> Daemon {
        // For reading and writing: so nobody waits for the other end.
        let open = |name| {
            OpenOptions::new().read(true).write(true).open(self.path(name)).expect("a pipe of the daemon")
        };
        let mut daemon =
            Daemon { input: open("/run/daemon/in"), output: BufReader::new(open("/run/daemon/out")) };
        assert_eq!(daemon.line(), "ready", "{}", self.status());
        daemon
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The namespace's first process ends with it, and all others with that.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
        wait_until(Duration::from_secs(10), || !Path::new(&format!("/proc/{}", self.systemd)).exists());
        let mut remove = Command::new("unshare");
        remove
            .args(["--mount", "sh", "-c", REMOVE_GROUP, "sh"])
            .arg(self.directory.join("root"))
            .arg(&self.group);
        let removed = remove.output().expect("unshare starts");
        let _ = std::fs::remove_dir_all(&self.directory);
        if !std::thread::panicking() {
            assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
        }
    }
}

/// `targets/attached.c`, as a service.
pub struct Daemon {
    input: File,
    output: BufReader<File>,
}

impl Daemon {
    /// The shell command that starts it with its streams.
    pub fn shell() -> String {
        let program = workshop::target("attached").expect("a C compiler");
        format!("exec {} <>/run/daemon/in 1<>/run/daemon/out", program.display())
    }

    /// Waits for a line; empty if there is none in time. None is asked for while one is unread.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        let mut poll =
            libc::pollfd { fd: self.output.get_ref().as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd, alive here.
        if unsafe { libc::poll(&mut poll, 1, 20_000) } <= 0 {
            return line;
        }
        self.output.read_line(&mut line).expect("a line");
        line.trim_end().to_owned()
    }

    /// Asks for something.
    pub fn ask(&mut self, what: &str) -> String {
        writeln!(self.input, "{what}").expect("it reads");
        self.line()
    }
}

/// All that was built.
pub fn build() -> &'static Path {
    workshop::directory().parent().expect("a directory above it")
}

fn can_have_groups() -> bool {
    let directory = tempfile::tempdir_in(workshop::directory()).expect("a directory");
    let script = r#"mount -t cgroup2 none "$1" && mkdir "$1/$2" && rmdir "$1/$2""#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "sh", "-c", script, "sh"]).arg(directory.path());
    command.arg(format!("vgpu-test-{}", std::process::id()));
    command.output().is_ok_and(|output| output.status.success())
}
