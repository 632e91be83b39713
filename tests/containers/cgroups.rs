//! Limits of control groups, of version 1 and 2, whichever this machine has.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tests::{descendants, is_root, launch, name_of, skipped, wait_until};

/// A group below the root of a controller's hierarchy, removed when dropped.
struct Group(PathBuf);

impl Group {
    /// Of `controller` with these settings, named for version 1 and version 2.
    fn new(controller: &str, settings: &[(&str, &str, &str)]) -> Option<Self> {
        if !is_root() {
            skipped("not root");
            return None;
        }
        let mounts = Path::new("/sys/fs/cgroup");
        let first = mounts.join(controller);
        let is_second = mounts.join("cgroup.controllers").is_file();
        let group = Self(
            if is_second { mounts.to_owned() } else { first }
                .join(format!("vgpu-test-{}", std::process::id())),
        );
        let made = fs::create_dir(&group.0).and_then(|()| {
            settings.iter().try_for_each(|(first, second, value)| {
                let (name, value) = if is_second {
                    (second, *value)
                } else {
                    (first, value.split(' ').next().unwrap_or(value))
                };
                fs::write(group.0.join(name), value)
            })
        });
        match made {
            Ok(()) => Some(group),
            Err(error) => {
                skipped(&format!("no group of `{controller}` can be made: {error}"));
                None
            }
        }
    }

    /// In front of a command that is to run in it.
    fn enter(&self) -> [String; 4] {
        let script = format!("echo $$ >{}/cgroup.procs && exec \"$@\"", self.0.display());
        ["sh".into(), "-c".into(), script, "sh".into()]
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Processes leave it a moment after they have ended.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

/// Refused as a full card refuses, and nobody is killed for it.
#[test]
fn memory_beyond_a_groups_limit_is_out_of_memory() {
    let limit = (768 << 20).to_string();
    let Some(group) = Group::new("memory", &[("memory.limit_in_bytes", "memory.max", &limit)]) else {
        return;
    };
    let run = launch("device")
        .arguments(["confined", "768"])
        .options(["--gpu", "gtx1080", "--memory", "4G"])
        .real_payload()
        .through(group.enter())
        .run();
    run.assert_exit(0).assert_stdout("ok\n");
}

#[test]
fn kernels_take_no_more_cores_than_a_groups_quota() {
    let settings = [("cpu.cfs_quota_us", "cpu.max", "100000 100000")];
    let Some(group) = Group::new("cpu", &settings) else { return };
    assert_eq!(workers(&group.enter()), 0, "kernels run on the engine's first thread");
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    assert_eq!(workers(&[]) > 0, cores > 1);
}

/// Threads of a client's engine beside its first one.
fn workers(through: &[String]) -> usize {
    let launch = launch("device").arguments(["waiting"]).options(["--gpu", "gtx1080"]).real_payload();
    let mut child = launch.through(through).start();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("its output")).read_line(&mut line).expect("a line");
    assert_eq!(line, "ready\n");
    let engines = || descendants(child.id() as i32).into_iter().filter(|&pid| name_of(pid) == "vgpu-engine");
    // A new thread has its process's name until it has given itself its own.
    let are_named =
        || engines().all(|pid| threads(pid).all(|thread| thread == pid || name_of(thread) != "vgpu-engine"));
    assert!(wait_until(Duration::from_secs(10), are_named));
    let workers = engines().flat_map(threads).filter(|&thread| name_of(thread) == "vgpu-worker").count();
    drop(child.stdin.take());
    assert!(child.wait().expect("its end").success());
    workers
}

fn threads(pid: i32) -> impl Iterator<Item = i32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
