//! What one file leaves in its cache directory, and whom it trusts there.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use installation::{ENGINE, Packed, append};
use tests::{AS_NOBODY, can_be_nobody, can_unshare_pids, is_root, one_file, skipped, workshop};

use crate::root::NOBODY;

const MEMFD_NOEXEC: &str = "/proc/sys/vm/memfd_noexec";

/// A directory for one test, removed when dropped, and programs that are run with a cache below it.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let place = Self(workshop::directory().join(format!("place-{}-{number}", std::process::id())));
        fs::create_dir_all(&place.0).expect("a directory");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The directory that holds all versions.
    fn versions(&self) -> PathBuf {
        self.path("cache/vgpu-run")
    }

    fn command(&self, program: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(words).env_remove("LD_LIBRARY_PATH").env("XDG_CACHE_HOME", self.path("cache"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// `vgpu-run --report device identity`.
    fn identity(&self, program: &Path) -> Output {
        let device = workshop::target("device").expect("a C compiler");
        let words = ["--report", device.to_str().expect("a plain path"), "identity"];
        self.command(program, &words).output().expect("a run")
    }

    /// Directories of versions, each with its files.
    fn contents(&self) -> Vec<(PathBuf, Vec<String>)> {
        // Compiled code lies beside the versions, and is no business of theirs.
        let list = |directory: &Path| {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            let mut names: Vec<_> =
                entries.map(|entry| entry.path()).filter(|path| !path.ends_with("code")).collect();
            names.sort();
            names
        };
        let name = |path: PathBuf| path.file_name().expect("a name").to_string_lossy().into_owned();
        let versions = list(&self.versions()).into_iter();
        versions.map(|version| (version.clone(), list(&version).into_iter().map(name).collect())).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn said(output: &Output) -> String {
    format!("{}\n{}", output.status, String::from_utf8_lossy(&output.stderr))
}

/// It computed, with libraries from where they were expected.
fn assert_ran(output: &Output, from_memory: bool) {
    assert!(output.status.success() && output.stdout.len() == 33, "{}", said(output));
    assert_eq!(said(output).contains("our libcuda.so.1, from memory"), from_memory, "{}", said(output));
}

/// Another version: the same program with a payload of stand-ins.
fn another_version(place: &Place) -> PathBuf {
    let payload = workshop::stand_ins().join("payload");
    let read = |path: PathBuf| fs::read(path).expect("a file of the build");
    let (cuda, nvml) = (read(payload.join("libcuda.so.1")), read(payload.join("libnvidia-ml.so.1")));
    let members = [
        Packed { name: "libcuda.so.1", bytes: &cuda },
        Packed { name: "libnvidia-ml.so.1", bytes: &nvml },
        Packed { name: ENGINE, bytes: b"no engine" },
    ];
    let made = place.path("another-version");
    fs::write(&made, append(&read(one_file()), &members)).expect("another version");
    fs::set_permissions(&made, fs::Permissions::from_mode(0o755)).expect("its permissions");
    made
}

#[test]
fn files_lie_there_once_and_belong_to_the_user_alone() {
    let place = Place::new();
    assert_ran(&place.identity(&one_file()), false);
    let before = place.contents();
    let [(version, names)] = &before[..] else { panic!("{before:?}") };
    for expected in ["SHA256SUMS", "libcuda.so.1", "libcuda.so", ENGINE] {
        assert!(names.iter().any(|name| name == expected), "{names:?}");
    }
    // SAFETY: the call takes nothing.
    let own = unsafe { libc::geteuid() };
    for path in names.iter().map(|name| version.join(name)).chain([version.clone(), place.versions()]) {
        let facts = fs::symlink_metadata(&path).expect("a file");
        assert_eq!(facts.uid(), own, "{}", path.display());
        assert!(facts.is_symlink() || facts.mode() & 0o022 == 0, "{}: {:o}", path.display(), facts.mode());
    }
    assert_ran(&place.identity(&one_file()), false);
    assert_eq!(place.contents(), before);
}

#[test]
fn sums_are_those_of_the_files() {
    let place = Place::new();
    assert_ran(&place.identity(&one_file()), false);
    let (version, _) = &place.contents()[0];
    let output =
        Command::new("sha256sum").args(["--strict", "-c", "SHA256SUMS"]).current_dir(version).output();
    let output = output.expect("sha256sum");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn an_ordinary_users_files_are_that_users() {
    if !can_be_nobody() {
        return;
    }
    let place = Place::new();
    chown(&place.0, Some(NOBODY), Some(NOBODY)).expect("a directory for nobody");
    let program = one_file();
    let mut words = AS_NOBODY[1..].to_vec();
    words.extend([program.to_str().expect("a plain path"), "true"]);
    let output = place.command(Path::new(AS_NOBODY[0]), &words).output().expect("a run");
    assert!(output.status.success(), "{}", said(&output));
    let contents = place.contents();
    assert!(contents[0].1.len() > 3, "{contents:?}");
    for path in contents[0].1.iter().map(|name| contents[0].0.join(name)) {
        assert_eq!(fs::symlink_metadata(&path).expect("a file").uid(), NOBODY, "{}", path.display());
    }
    // Root uses its own or none: what nobody can write to could change under a running program.
    let output = place.identity(&one_file());
    assert_ran(&output, true);
    assert!(said(&output).contains("belongs to user 65534, not to us"), "{}", said(&output));
}

#[test]
fn two_versions_do_not_disturb_each_other() {
    let place = Place::new();
    let other = another_version(&place);
    let sees = workshop::target("sees").expect("a C compiler");
    let sees = |program: &Path| {
        let output = place.command(program, &[sees.to_str().expect("a plain path")]).output().expect("a run");
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for _ in 0..2 {
        assert_eq!(sees(&other), "payload device\n");
        assert_eq!(sees(&one_file()), "no-payload device\n");
        assert_ran(&place.identity(&one_file()), false);
    }
    assert_eq!(place.contents().len(), 2);
}

#[test]
fn damaged_and_missing_files_are_replaced() {
    let place = Place::new();
    assert_ran(&place.identity(&one_file()), false);
    let (version, _) = place.contents().remove(0);
    let sound = fs::read(version.join("libcuda.so.1")).expect("the library");
    let damage: [&dyn Fn(&Path); 4] = [
        &|path| {
            let mut bytes = fs::read(path).expect("a file");
            bytes.truncate(4096);
            fs::remove_file(path).expect("removed");
            fs::write(path, bytes).expect("shortened");
        },
        &|path| {
            let mut bytes = fs::read(path).expect("a file");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::remove_file(path).expect("removed");
            fs::write(path, bytes).expect("one bit changed");
        },
        &|path| fs::remove_file(path).expect("removed"),
        &|path| {
            fs::remove_file(path).expect("removed");
            symlink("/dev/zero", path).expect("a link in its place");
        },
    ];
    for (number, damage) in damage.iter().enumerate() {
        for name in ["libcuda.so.1", ENGINE] {
            damage(&version.join(name));
            assert_ran(&place.identity(&one_file()), false);
            assert!(fs::symlink_metadata(version.join(name)).expect("a file").is_file(), "{number}: {name}");
        }
        assert_eq!(fs::read(version.join("libcuda.so.1")).expect("the library"), sound, "{number}");
    }
}

#[test]
fn parallel_first_starts_end_in_one_sound_directory() {
    let place = Place::new();
    let device = workshop::target("device").expect("a C compiler");
    let words = ["--report", device.to_str().expect("a plain path"), "identity"];
    let start = |_| place.command(&one_file(), &words).spawn().expect("a run");
    let runs: Vec<Child> = (0..8).map(start).collect();
    for run in runs {
        assert_ran(&run.wait_with_output().expect("its output"), false);
    }
    let contents = place.contents();
    let [(version, names)] = &contents[..] else { panic!("{contents:?}") };
    assert!(names.iter().all(|name| !name.starts_with('.')), "left aside: {names:?}");
    let output = Command::new("sha256sum").args(["-c", "SHA256SUMS"]).current_dir(version).output();
    assert!(output.expect("sha256sum").status.success());
}

#[test]
fn a_hostile_directory_is_refused_and_left_alone() {
    let place = Place::new();
    let trap = place.path("trap");
    fs::create_dir(&trap).expect("a directory");
    fs::create_dir(place.path("cache")).expect("a directory");
    symlink(&trap, place.versions()).expect("a link");
    let output = place.identity(&one_file());
    assert_ran(&output, true);
    assert!(said(&output).contains("is a link or no directory"), "{}", said(&output));
    assert_eq!(fs::read_dir(&trap).expect("the trap").count(), 0);
    if !is_root() {
        return skipped("not root: nothing can be given to another user");
    }
    fs::remove_file(place.versions()).expect("removed");
    fs::create_dir(place.versions()).expect("a directory");
    chown(place.versions(), Some(NOBODY), None).expect("given to another user");
    let output = place.identity(&one_file());
    assert_ran(&output, true);
    assert!(said(&output).contains("belongs to user 65534, not to us"), "{}", said(&output));
    assert_eq!(place.contents(), []);
}

#[test]
fn the_file_may_be_replaced_while_it_runs() {
    let place = Place::new();
    let running = place.path("vgpu-run");
    fs::copy(one_file(), &running).expect("a copy");
    let other = another_version(&place);
    let device = workshop::target("device").expect("a C compiler");
    // No cache: all is read from the file that was started.
    let script =
        format!("mv {} {} && exec {} identity", other.display(), running.display(), device.display());
    let mut command = place.command(&running, &["--report", "sh", "-c", &script]);
    assert_ran(&command.env("XDG_CACHE_HOME", "/dev/null").output().expect("a run"), true);
}

#[test]
fn engine_that_must_not_be_executed_from_memory_is_told_what_to_do() {
    if !is_root() || !can_unshare_pids() || !Path::new(MEMFD_NOEXEC).exists() {
        return skipped("not root, or no vm.memfd_noexec");
    }
    let place = Place::new();
    let device = workshop::target("device").expect("a C compiler");
    // The setting is the process namespace's.
    let script =
        format!("echo 2 >{MEMFD_NOEXEC} && exec {} {} cooperating", one_file().display(), device.display());
    let words = ["--pid", "--fork", "--mount-proc", "sh", "-c", &script];
    let with_cache = place.command(Path::new("unshare"), &words).output().expect("a run");
    assert_eq!(String::from_utf8_lossy(&with_cache.stdout), "ok\n", "{}", said(&with_cache));
    let mut without = place.command(Path::new("unshare"), &words);
    let without = without.env("XDG_CACHE_HOME", "/dev/null").output().expect("a run");
    let expected = "executed neither from memory (`vm.memfd_noexec` forbids it) nor from a cache directory";
    assert!(!without.status.success() && said(&without).contains(expected), "{}", said(&without));
}

#[test]
fn version_says_where_the_files_are() {
    let version = |program: &Path| {
        let output = Command::new(program).arg("--version").output().expect("a run");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(version(&one_file()).contains("\npayload and engine inside this file ("));
    assert!(version(&tests::vgpu_run()).contains("\npayload and engine from `/"));
}
