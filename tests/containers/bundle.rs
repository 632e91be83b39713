//! OCI bundles: this machine's programs and libraries, read-only, in a root of their own, with what container engines take away.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use tests::{has_program, is_root, one_file, skipped, workshop};

/// Paths that Docker and containerd hide, of those that matter to us.
const MASKED: [&str; 6] =
    ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi", "/sys/firmware"];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// System calls that the default profile of Docker and containerd refuses to a container without added capabilities, of
/// those that vgpu-run could want (as in `targets/container_profile.c`).
const REFUSED: [&str; 13] = [
    "bpf",
    "fsopen",
    "kcmp",
    "mount",
    "move_mount",
    "open_tree",
    "perf_event_open",
    "pidfd_getfd",
    "pivot_root",
    "process_vm_readv",
    "process_vm_writev",
    "setns",
    "userfaultfd",
];

/// Whether containers can be run here.
pub fn can_contain() -> bool {
    if !is_root() {
        skipped("not root");
        return false;
    }
    has_program("crun")
}

/// A container without capabilities, below a seccomp profile, its root read-only, its user nobody; removed when dropped.
pub struct Container {
    directory: PathBuf,
    id: String,
    config: Value,
}

impl Container {
    /// Of vgpu-run as one file and these words.
    pub fn new(words: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = format!("vgpu-run-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let directory = workshop::directory().join(&id);
        let arguments: Vec<&str> = ["/bin/vgpu-run"].iter().chain(words).copied().collect();
        Self { config: config(&arguments), directory, id }
    }

    /// With another configuration.
    pub fn with(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.config);
        self
    }

    /// Runs it to its end.
    pub fn run(&self) -> Output {
        self.start().wait_with_output().expect("its output")
    }

    /// Starts it.
    pub fn start(&self) -> Child {
        self.write().expect("a bundle");
        let mut command = self.crun(&["run", "--bundle"]);
        command.arg(&self.directory).arg(&self.id);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("crun starts")
    }

    /// Sends a signal to its first process.
    pub fn signal(&self, name: &str) {
        let status = self.crun(&["kill", &self.id, name]).status();
        assert!(status.expect("crun starts").success());
    }

    fn crun(&self, words: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        // Groups of processes are another test's matter; crun wants version 2 alone, which not every host has.
        let script = "mount -t cgroup2 none /sys/fs/cgroup && exec crun \"$@\"";
        command
            .args(["--mount", "sh", "-c", script, "crun"])
            .arg("--root")
            .arg(self.directory.join("state"))
            .arg("--cgroup-manager=disabled")
            .args(words);
        command
    }

    fn write(&self) -> io::Result<()> {
        let root = self.directory.join("root");
        for directory in ["bin", "usr", "etc", "proc", "sys", "dev", "build"] {
            fs::create_dir_all(root.join(directory))?;
        }
        fs::create_dir_all(self.directory.join("state"))?;
        fs::copy(one_file(), root.join("bin/vgpu-run"))?;
        // As on this machine: `/lib` and its like are links into `/usr`.
        for name in ["lib", "lib64"] {
            let _ = symlink(fs::read_link(Path::new("/").join(name))?, root.join(name));
        }
        let _ = symlink("/usr/bin/sh", root.join("bin/sh"));
        fs::write(self.directory.join("config.json"), self.config.to_string())
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.crun(&["delete", "--force", &self.id]).output();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn config(arguments: &[&str]) -> Value {
    let bind = |source: &Path, destination: &str| json!({ "destination": destination, "source": source, "type": "bind", "options": ["rbind", "ro"] });
    let temporary = json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] });
    json!({
        "ociVersion": "1.0.0",
        "process": {
            "user": { "uid": 65534, "gid": 65534 },
            "args": arguments,
            "env": environment(),
            "cwd": "/",
            "capabilities": { "bounding": [], "effective": [], "inheritable": [], "permitted": [], "ambient": [] },
            "noNewPrivileges": true,
        },
        "root": { "path": "root", "readonly": true },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            temporary,
            { "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"] },
            bind(Path::new("/usr"), "/usr"),
            bind(Path::new("/etc"), "/etc"),
            bind(workshop::directory(), "/build"),
        ],
        "linux": {
            "namespaces": [{ "type": "pid" }, { "type": "network" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" }],
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
            "seccomp": {
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [
                    { "names": REFUSED, "action": "SCMP_ACT_ERRNO", "errnoRet": libc::EPERM },
                    { "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": libc::ENOSYS },
                ],
            },
        },
    })
}

/// Little, and how the tests want programs to be followed.
fn environment() -> Vec<String> {
    let mechanism = "VGPU_RUN_MECHANISM";
    let named = std::env::var(mechanism).map(|value| format!("{mechanism}={value}"));
    ["PATH=/usr/bin:/bin".to_owned()].into_iter().chain(named).collect()
}

/// What a run said.
pub fn said(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    format!("{:?}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr))
}
