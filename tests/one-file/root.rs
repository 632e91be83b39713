//! Roots with nothing in them but vgpu-run, a program and its libraries.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use tests::{one_file, workshop};

/// User and group of an ordinary user.
pub const NOBODY: u32 = 65534;

/// What our driver's library needs besides the C library's main file, as NVIDIA's does; programs of glibc 2.34 or newer no longer
/// name them.
const NEEDED_BY_THE_DRIVER: [&str; 2] = ["libpthread.so.0", "libdl.so.2"];

/// How a process finds itself in a root.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings {
    /// `/proc` is mounted.
    pub proc: bool,
    /// The root can be written to.
    pub writable: bool,
    /// HOME names a directory that belongs to the user.
    pub home: bool,
    /// An ordinary user.
    pub ordinary: bool,
}

impl Surroundings {
    /// The user's own directory.
    pub fn home_directory(&self) -> &'static str {
        if self.ordinary { "/home" } else { "/root" }
    }
}

/// An empty root, removed when dropped.
pub struct Root(PathBuf);

impl Root {
    /// With vgpu-run and these programs under `/bin`, each with the libraries that it needs.
    pub fn new(programs: &[PathBuf]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let root = Self(workshop::directory().join(format!("root-{}-{number}", std::process::id())));
        for directory in ["bin", "proc", "home", "root"] {
            fs::create_dir_all(root.0.join(directory)).expect("a directory in the root");
        }
        chown(root.0.join("home"), Some(NOBODY), Some(NOBODY)).expect("a home for nobody");
        root.copy(&one_file(), "bin/vgpu-run");
        for program in programs {
            let name = program.file_name().expect("a program").to_str().expect("a plain name");
            root.copy(program, &format!("bin/{name}"));
            for library in libraries(program) {
                root.copy(&library, library.to_str().expect("a plain path").trim_start_matches('/'));
            }
        }
        root
    }

    /// Adds what the driver's library needs, where the C library of the root is.
    pub fn with_what_the_driver_needs(self) -> Self {
        let place = self.files("").into_iter().find(|path| path.ends_with("/libc.so.6"));
        let place = PathBuf::from(place.expect("the C library in the root"));
        for name in NEEDED_BY_THE_DRIVER {
            let library = place.with_file_name(name);
            self.copy(&Path::new("/").join(&library), library.to_str().expect("a plain path"));
        }
        self
    }

    /// Paths of all files below a directory of the root.
    pub fn files(&self, below: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut directories = vec![self.0.join(below)];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                match entry.file_type().expect("its type").is_dir() {
                    true => directories.push(entry.path()),
                    false => {
                        let path = entry.path();
                        let inside = path.strip_prefix(&self.0).expect("below the root");
                        found.insert(inside.to_str().expect("a plain path").to_owned());
                    }
                }
            }
        }
        found
    }

    /// Runs `/bin/vgpu-run` with these words in the root.
    pub fn run(&self, surroundings: Surroundings, words: &[&str]) -> Output {
        let mut command = Command::new("/bin/vgpu-run");
        command.args(words).env_clear();
        if surroundings.home {
            command.env("HOME", surroundings.home_directory());
        }
        let root = CString::new(self.0.as_os_str().as_bytes()).expect("a path without NUL");
        // SAFETY: `enter` makes system calls only and allocates nothing.
        unsafe { command.pre_exec(move || enter(&root, surroundings)) };
        command.output().unwrap_or_else(|error| panic!("{surroundings:?}: {error}"))
    }

    fn copy(&self, from: &Path, to: &str) {
        let to = self.0.join(to);
        fs::create_dir_all(to.parent().expect("a directory")).expect("a directory in the root");
        fs::copy(from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).expect("its permissions");
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The libraries that a dynamic program is linked with, its loader among them.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().expect("ldd");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

/// Makes `root` the root of this process in a mount namespace of its own, so that nothing else can be reached.
fn enter(root: &CString, surroundings: Surroundings) -> io::Result<()> {
    let Surroundings { proc, writable, ordinary, .. } = surroundings;
    let (none, here) = (c"none".as_ptr(), c".".as_ptr());
    let nothing = std::ptr::null();
    let only_reading = if writable { 0 } else { libc::MS_RDONLY };
    // SAFETY: all texts end in NUL and outlive the calls; the other arguments are numbers.
    unsafe {
        checked(libc::unshare(libc::CLONE_NEWNS))?;
        checked(libc::mount(none, c"/".as_ptr(), nothing, libc::MS_REC | libc::MS_PRIVATE, nothing.cast()))?;
        checked(libc::mount(root.as_ptr(), root.as_ptr(), nothing, libc::MS_BIND, nothing.cast()))?;
        checked(libc::chdir(root.as_ptr()))?;
        if proc {
            checked(libc::mount(none, c"proc".as_ptr(), c"proc".as_ptr(), 0, nothing.cast()))?;
        }
        let flags = libc::MS_REMOUNT | libc::MS_BIND | only_reading;
        checked(libc::mount(none, here, nothing, flags, nothing.cast()))?;
        checked(libc::syscall(libc::SYS_pivot_root, here, here) as i32)?;
        checked(libc::umount2(here, libc::MNT_DETACH))?;
        checked(libc::chdir(c"/".as_ptr()))?;
        if ordinary {
            checked(libc::setgroups(0, std::ptr::null()))?;
            checked(libc::setresgid(NOBODY, NOBODY, NOBODY))?;
            checked(libc::setresuid(NOBODY, NOBODY, NOBODY))?;
        }
    }
    Ok(())
}

fn checked(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
