//! What the tree sees of a driver installation: the answer to each trapped open.
//!
//! *Payload*: the libraries that stand in for NVIDIA's, one file per SONAME (crate `installation`).
//! *Cache directory*: where these files lie; loaders, gdb and perf see that path.
//! *Driver library*: `libcuda`, `libnvidia-ml`; ours is given wherever a program looks for one.
//! *Replaced library*: `libcudart`, `libcublas`, `libcublasLt`, `libnccl`; programs bring their own, ours is given in its place.
//!
//! ```text
//!   open("/etc/ld.so.cache")            the system's cache plus our libraries   (ldcache)
//!   open(".../libcuda.so.1")            the payload file                        (names)
//!   open(".../glibc-hwcaps/.../lib*")   left alone: the plain directory follows
//!   open("/dev/nvidiactl")              the broker's end of a socket pair       (nodes)
//!   open("/proc/driver/nvidia/...")     text from the device model              (nodes)
//!   exec("/usr/bin/nvidia-smi")         our program, where there is none        (programs)
//!   anything else                       left alone
//! ```
//!
//! An answer is always a fresh open description, as two readers of one description would share its offset; and always of
//! the same inode for one library, as loaders recognise an object by its inode.

pub mod driver_text;
pub mod installed;
mod ldcache;
pub mod names;
mod nodes;
mod numbers;
pub mod pci;
pub mod programs;
mod target;

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

pub use installation::Storage;
pub use ldcache::LoaderCacheError;
pub use nodes::Node;
pub use target::{Loader, loader_of};

use installation::{Files, Store, Use, memory_file};
use ldcache::LoaderCaches;
use names::{Named, Role};
use target::Target;

/// Which engine stands behind the device; the table of answers depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Kernels run on the CPU: every library of the payload is given.
    Cpu,
    /// The machine's own driver and libraries are used: nothing is replaced.
    Host,
    /// No kernel runs. The driver is emulated for NVIDIA's own libraries: nodes and its text files are given, no library.
    Nodes,
}

/// A text file of the driver, such as `/proc/driver/nvidia/version`.
#[derive(Clone, Debug)]
pub struct DriverFile {
    /// Absolute path at which programs look for it.
    pub path: PathBuf,
    /// What they read.
    pub content: Vec<u8>,
}

/// What an [`Overlay`] is built from.
#[derive(Clone, Debug)]
pub struct Config {
    /// Our files.
    pub payload: Arc<Files>,
    /// Directory for the installed copies, usually [`installation::default_cache`]; `None` keeps them in memory.
    pub cache: Option<PathBuf>,
    /// The engine in use.
    pub engine: Engine,
    /// How many devices `/dev/nvidia0`… are there.
    pub devices: u32,
    /// Text files of the driver, from the device model.
    pub files: Vec<DriverFile>,
}

/// One trapped open, as its caller put it.
#[derive(Clone, Copy, Debug)]
pub struct OpenQuery<'a> {
    /// The thread that asks, in our pid namespace.
    pub pid: i32,
    /// `AT_FDCWD` or the directory that a relative path starts from.
    pub dirfd: i32,
    /// The path without its final NUL.
    pub path: &'a [u8],
}

/// What an open gets.
#[derive(Debug)]
pub enum Answer {
    /// The kernel's own answer.
    Continue,
    /// This file: install it with the caller's `O_CLOEXEC`.
    File(OwnedFd),
    /// A node that the session answers for: it installs an open file of its own, or refuses.
    Node(Node),
    /// This error number.
    Errno(i32),
}

/// An answer and what the report should know of it; `seen` is `None` for the many opens that are none of our business.
#[derive(Debug)]
pub struct Outcome {
    /// What the open gets.
    pub answer: Answer,
    /// What was asked for, when it has to do with CUDA.
    pub seen: Option<Seen>,
}

/// A CUDA-related open, for the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A payload library was given.
    Given {
        /// SONAME of the library.
        library: &'static str,
        /// A library of that name lies at the path and was replaced.
        replaced: bool,
        /// Where its bytes are.
        storage: Storage,
    },
    /// The extended loader cache was given.
    LoaderCache,
    /// A device node was opened.
    Node(Node),
    /// A text file of the driver was given.
    DriverFile,
    /// A library that we have was left to the kernel.
    Left {
        /// SONAME of the library.
        library: &'static str,
        /// Why.
        reason: Reason,
    },
}

/// Why a library was not given although its name is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The process has another loader than x86-64 glibc's.
    Loader(Loader),
    /// The payload holds no such library.
    NotInPayload,
    /// The payload file could not be prepared.
    Failed(String),
}

/// Whether a path from the root means the same file to the processes of the tree as to us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// To all of them.
    Ours,
    /// Nobody knows: each is asked.
    #[default]
    Any,
}

/// Decides what each trapped open gets.
#[derive(Debug)]
pub struct Overlay {
    roots: Roots,
    engine: Engine,
    devices: u32,
    /// `None`: nothing is given.
    store: Option<Store>,
    caches: LoaderCaches,
    files: HashMap<Vec<u8>, Vec<u8>>,
}

impl Overlay {
    /// Makes sure that the cache directory holds the payload. Hashes are checked when a library is first given, not here:
    /// starting must stay cheap.
    pub fn new(config: Config) -> Self {
        let store = match config.engine {
            Engine::Cpu => Some(Store::new(config.payload, config.cache.as_deref())),
            Engine::Host | Engine::Nodes => None,
        };
        let files = installed::by_path(config.files);
        let caches = LoaderCaches::default();
        let roots = Roots::default();
        Self { roots, engine: config.engine, devices: config.devices, store, caches, files }
    }

    /// From now on.
    pub fn set_roots(&mut self, roots: Roots) {
        self.roots = roots;
    }

    /// Now.
    pub fn roots(&self) -> Roots {
        self.roots
    }

    /// Replaces the driver's text files, once the devices are known.
    pub fn set_files(&mut self, files: Vec<DriverFile>) {
        self.files = installed::by_path(files);
    }

    /// Why the libraries are given from memory, if they are.
    pub fn why_in_memory(&self) -> Option<&str> {
        self.store.as_ref().and_then(Store::why_in_memory)
    }

    /// Makes the extended loader cache for the root of a process, so that it is there when a loader asks for it.
    pub fn prepare(&mut self, pid: i32) {
        if let Some(store) = &self.store {
            // Should it fail, it is tried again when it is asked for.
            let _ = self.caches.for_root_of(pid, self.roots, store);
        }
    }

    /// Answers one open.
    pub fn open(&mut self, query: &OpenQuery) -> Outcome {
        let Some(last) = last_component(query.path) else { return Outcome::none() };
        if last == b"ld.so.cache" {
            return self.open_loader_cache(query);
        }
        if let Some(named) = names::lookup(last) {
            return self.open_library(query, named);
        }
        if nodes::may_be_ours(last) || self.files.keys().any(|path| path.ends_with(last)) {
            return self.open_driver_file(query);
        }
        Outcome::none()
    }

    fn open_loader_cache(&mut self, query: &OpenQuery) -> Outcome {
        let Some(store) = self.store.as_ref().filter(|_| Target::of(query).absolute() == b"/etc/ld.so.cache")
        else {
            return Outcome::none();
        };
        match self.caches.for_root_of(query.pid, self.roots, store) {
            Ok(file) => Outcome::of(Answer::File(file), Seen::LoaderCache),
            // Without our cache the loader still probes directories, where it is answered.
            Err(_) => Outcome::none(),
        }
    }

    fn open_library(&mut self, query: &OpenQuery, named: Named) -> Outcome {
        let Some(store) = self.store.as_mut().filter(|_| !names::is_hardware_probe(query.path)) else {
            return Outcome::none();
        };
        let target = Target::of(query);
        let exists = target.exists();
        let Some(library) = named.library(|| target.link_name()) else { return Outcome::none() };
        if !exists && (named.only_if_present || names::is_legacy_hardware_probe(query.path)) {
            return Outcome::none();
        }
        let left = |reason| Outcome::of(Answer::Continue, Seen::Left { library, reason });
        let loader = target.loader();
        if !loader.can_load_payload() {
            return left(Reason::Loader(loader));
        }
        match store.open(library) {
            Ok(Some((file, storage))) => {
                let replaced = exists && named.role == Role::Replaced;
                Outcome::of(Answer::File(file), Seen::Given { library, replaced, storage })
            }
            Ok(None) => left(Reason::NotInPayload),
            Err(error) => left(Reason::Failed(error.to_string())),
        }
    }

    fn open_driver_file(&self, query: &OpenQuery) -> Outcome {
        if self.engine == Engine::Host {
            return Outcome::none();
        }
        let target = Target::of(query);
        let mut path = target.absolute();
        if let Some(last) = last_component(&path).filter(|last| nodes::may_be_ours(last))
            && !path.starts_with(b"/dev/")
            && target.lies_in("/dev")
        {
            path = [b"/dev/", last].concat();
        }
        if let Some(node @ Node::Capability(_)) = nodes::node(&path, self.devices) {
            let file = memory_file("nvidia-cap", b"", Use::Read);
            return file
                .map_or_else(|_| Outcome::none(), |file| Outcome::of(Answer::File(file), Seen::Node(node)));
        }
        if let Some(node) = nodes::node(&path, self.devices) {
            return Outcome::of(node.answer(), Seen::Node(node));
        }
        match self.files.get(&path) {
            Some(content) => match memory_file("driver-file", content, Use::Read) {
                Ok(file) => Outcome::of(Answer::File(file), Seen::DriverFile),
                Err(_) => Outcome::none(),
            },
            None => Outcome::none(),
        }
    }
}

impl Outcome {
    fn none() -> Self {
        Self { answer: Answer::Continue, seen: None }
    }

    fn of(answer: Answer, seen: Seen) -> Self {
        Self { answer, seen: Some(seen) }
    }
}

/// The part of a path after its last slash, if there is one to speak of.
fn last_component(path: &[u8]) -> Option<&[u8]> {
    let start = path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    Some(&path[start..]).filter(|last| !last.is_empty())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;

    /// A payload of two libraries, and the directory that it lies in.
    pub fn payload() -> (Arc<Files>, tempfile::TempDir) {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path();
        let mut sums = String::new();
        for name in ["libcuda.so.1", "libcudart.so.12"] {
            let bytes = format!("bytes of {name}");
            std::fs::write(directory.join(name), &bytes).unwrap();
            sums += &format!("{}  {name}\n", installation::hash(bytes.as_bytes()));
        }
        std::fs::write(directory.join(installation::FILE_NAME), sums).unwrap();
        let files = Files::beside(directory.to_owned(), directory.join("vgpu-engine")).unwrap();
        (Arc::new(files), place)
    }

    struct Fixture {
        overlay: Overlay,
        _payload: tempfile::TempDir,
        place: tempfile::TempDir,
    }

    fn fixture(engine: Engine) -> Fixture {
        let files = vec![DriverFile { path: "/proc/driver/nvidia/version".into(), content: b"580".to_vec() }];
        let (payload, _payload) = payload();
        let config = Config { payload, cache: None, engine, devices: 1, files };
        Fixture { overlay: Overlay::new(config), _payload, place: tempfile::tempdir().unwrap() }
    }

    impl Fixture {
        fn open(&mut self, path: &str) -> Outcome {
            let pid = std::process::id() as i32;
            self.overlay.open(&OpenQuery { pid, dirfd: libc::AT_FDCWD, path: path.as_bytes() })
        }

        fn text(&mut self, path: &str) -> Option<String> {
            let Answer::File(file) = self.open(path).answer else { return None };
            let mut text = String::new();
            File::from(file).read_to_string(&mut text).unwrap();
            Some(text)
        }

        /// A file that the program brought.
        fn place(&self, name: &str) -> String {
            let path = self.place.path().join(name);
            std::fs::write(&path, "the program's own").unwrap();
            path.into_os_string().into_string().unwrap()
        }
    }

    #[test]
    fn driver_library_is_given_at_any_place() {
        let mut fixture = fixture(Engine::Cpu);
        for path in ["/opt/nowhere/libcuda.so.1", "libcuda.so", "/usr/lib/libcuda.so.1"] {
            assert_eq!(fixture.text(path).as_deref(), Some("bytes of libcuda.so.1"), "{path}");
        }
        assert_eq!(fixture.text("/usr/lib/glibc-hwcaps/x86-64-v3/libcuda.so.1"), None);
    }

    #[test]
    fn program_s_own_runtime_is_replaced() {
        let mut fixture = fixture(Engine::Cpu);
        let path = fixture.place("libcudart-16e8815a.so.12");
        assert_eq!(fixture.text(&path).as_deref(), Some("bytes of libcudart.so.12"));
        assert!(matches!(fixture.open(&path).seen, Some(Seen::Given { replaced: true, .. })));
        assert_eq!(fixture.text("/nowhere/libcudart-16e8815a.so.12"), None);
    }

    #[test]
    fn library_that_the_payload_lacks_is_named() {
        let mut fixture = fixture(Engine::Cpu);
        let path = fixture.place("libcublas.so.12");
        let outcome = fixture.open(&path);
        assert!(matches!(outcome.answer, Answer::Continue));
        let expected = Seen::Left { library: "libcublas.so.12", reason: Reason::NotInPayload };
        assert_eq!(outcome.seen, Some(expected));
    }

    #[test]
    fn nodes_and_driver_files_are_answered() {
        let mut fixture = fixture(Engine::Cpu);
        assert!(matches!(fixture.open("/dev/nvidiactl").answer, Answer::Node(Node::Control)));
        assert!(matches!(fixture.open("/dev/nvidia0").answer, Answer::Node(Node::Gpu(0))));
        assert!(matches!(fixture.open("/dev/nvidia7").answer, Answer::Continue));
        assert_eq!(fixture.text("/proc/driver/nvidia/version").as_deref(), Some("580"));
    }

    #[test]
    fn loader_cache_is_extended_only_at_its_place() {
        let mut fixture = fixture(Engine::Cpu);
        assert_eq!(fixture.open("/etc/ld.so.cache").seen, Some(Seen::LoaderCache));
        assert_eq!(fixture.open("/tmp/ld.so.cache").seen, None);
    }

    #[test]
    fn host_engine_changes_nothing() {
        let mut fixture = fixture(Engine::Host);
        for path in ["/etc/ld.so.cache", "/lib/libcuda.so.1", "/dev/nvidiactl", "/proc/driver/nvidia/version"]
        {
            let outcome = fixture.open(path);
            assert!(matches!(outcome.answer, Answer::Continue) && outcome.seen.is_none(), "{path}");
        }
    }

    #[test]
    fn nodes_without_libraries_leave_libraries_alone() {
        let mut fixture = fixture(Engine::Nodes);
        for path in ["/etc/ld.so.cache", "/lib/libcuda.so.1"] {
            assert!(matches!(fixture.open(path).answer, Answer::Continue), "{path}");
        }
        assert_eq!(fixture.open("/dev/nvidiactl").seen, Some(Seen::Node(Node::Control)));
    }

    #[test]
    fn other_files_are_left_alone() {
        let mut fixture = fixture(Engine::Cpu);
        for path in ["/etc/passwd", "/dev/null", "libc.so.6", "", "/", "/usr/lib/libcudart.so.10.2"] {
            let outcome = fixture.open(path);
            assert!(matches!(outcome.answer, Answer::Continue) && outcome.seen.is_none(), "{path:?}");
        }
    }
}
