//! Where the driver's files seem to be installed: `stat` and directory listings of these, for `--overlay=full`.
//!
//! The default overlay answers opens only, as trapping `stat` makes a compiler run half again as long. Programs that look with
//! `stat` or a glob at fixed places see nothing then; with `--overlay=full` they see what a driver's packages would have put
//! there. A file that is really there is always left alone.

use std::path::Path;

use installation::Store;

use crate::nodes::{self, Node};
use crate::numbers::{CARDS, Majors};
use crate::target::Target;
use crate::{DriverFile, Engine, OpenQuery, Overlay, names, programs};

/// Library directories in which distributions put the driver's libraries. `/lib` is usually a link to `/usr/lib`.
const DIRECTORIES: &[&str] =
    &["/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64", "/lib64", "/usr/local/cuda/compat"];

const CONTROL_MINOR: u32 = 255;

/// What `stat` says of a file that seems to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// Type and permissions.
    pub mode: u32,
    /// Bytes.
    pub size: u64,
    /// Device and inode of the file that an open gives, or made-up ones.
    pub device: u64,
    /// See `device`.
    pub inode: u64,
    /// Device number of a node.
    pub node: u64,
}

/// One name of a directory listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// File name.
    pub name: String,
    /// Its inode number.
    pub inode: u64,
    /// `DT_REG`, `DT_CHR` or `DT_DIR`.
    pub kind: u8,
}

impl Overlay {
    /// What `stat` and `access` should say of a path; `None` leaves the call to the kernel.
    pub fn stat(&mut self, query: &OpenQuery) -> Option<FileFacts> {
        if self.engine == Engine::Host {
            return None;
        }
        let target = Target::of(query);
        let path = String::from_utf8(target.absolute()).ok()?;
        if programs::is_missing(query, &path) {
            return self.facts_of(programs::NVIDIA_SMI);
        }
        let facts = self.facts(&path)?;
        (!target.exists()).then_some(facts)
    }

    /// The names that seem to be in a directory besides those that are.
    pub fn listing(&self, directory: &str) -> Vec<Listed> {
        if self.engine == Engine::Host {
            return Vec::new();
        }
        let mut listed = Vec::new();
        if DIRECTORIES.contains(&directory) {
            let names = self.store.iter().flat_map(driver_names);
            listed.extend(names.map(|name| entry(directory, name, libc::DT_REG)));
        }
        if directory == "/dev" {
            let nodes = (0..self.devices).map(|minor| format!("nvidia{minor}"));
            let nodes = nodes.chain(["nvidiactl".to_owned(), "nvidia-uvm".to_owned()]);
            listed.extend(nodes.map(|name| entry(directory, &name, libc::DT_CHR)));
            listed.push(entry(directory, "nvidia-caps", libc::DT_DIR));
        }
        if directory == nodes::CAPABILITIES {
            let names = ["nvidia-cap1", "nvidia-cap2"];
            listed.extend(names.map(|name| entry(directory, name, libc::DT_CHR)));
        }
        for path in self.files.keys() {
            let inside =
                std::str::from_utf8(path).ok().and_then(|path| Path::new(path).strip_prefix(directory).ok());
            let mut parts = inside.into_iter().flat_map(Path::components);
            let Some(name) = parts.next().and_then(|part| part.as_os_str().to_str()) else { continue };
            let kind = if parts.next().is_some() { libc::DT_DIR } else { libc::DT_REG };
            let found = entry(directory, name, kind);
            if !listed.contains(&found) {
                listed.push(found);
            }
        }
        listed.retain(|entry| Path::new(directory).join(&entry.name).symlink_metadata().is_err());
        listed
    }

    fn facts(&mut self, path: &str) -> Option<FileFacts> {
        if let Some(node) = nodes::node(path.as_bytes(), self.devices) {
            return Some(node_facts(&node, path));
        }
        if path == nodes::CAPABILITIES {
            return Some(made_up(path, libc::S_IFDIR | 0o555, 0));
        }
        if let Some(content) = self.files.get(path.as_bytes()) {
            return Some(made_up(path, libc::S_IFREG | 0o444, content.len() as u64));
        }
        let directory = format!("{path}/");
        if self.files.keys().any(|file| file.starts_with(directory.as_bytes())) {
            return Some(made_up(path, libc::S_IFDIR | 0o555, 0));
        }
        let (directory, name) = path.rsplit_once('/')?;
        let store = self.store.as_mut()?;
        let is_ours = DIRECTORIES.contains(&directory) && driver_names(store).any(|ours| ours == name);
        let library = names::lookup(name.as_bytes())?.library(|| None).filter(|_| is_ours)?;
        self.facts_of(library)
    }

    /// Of a file of the payload.
    fn facts_of(&mut self, name: &str) -> Option<FileFacts> {
        let (file, _) = self.store.as_mut()?.open(name).ok()??;
        use std::os::unix::fs::MetadataExt;
        let facts = std::fs::File::from(file).metadata().ok()?;
        let mode = libc::S_IFREG | 0o755;
        Some(FileFacts { mode, size: facts.size(), device: facts.dev(), inode: facts.ino(), node: 0 })
    }
}

impl FileFacts {
    /// As `struct stat`. It has no pointer, so its bytes can be copied to the caller.
    pub fn to_stat(&self) -> libc::stat {
        // SAFETY: all-zero is a valid `stat`.
        let mut stat: libc::stat = unsafe { std::mem::zeroed() };
        stat.st_mode = self.mode;
        stat.st_size = self.size as i64;
        stat.st_dev = self.device;
        stat.st_ino = self.inode;
        stat.st_rdev = self.node;
        stat.st_nlink = 1;
        stat.st_blksize = 4096;
        stat.st_blocks = self.size.div_ceil(512) as i64;
        stat
    }

    /// As `struct statx` with the basic facts.
    pub fn to_statx(&self) -> libc::statx {
        // SAFETY: all-zero is a valid `statx`.
        let mut statx: libc::statx = unsafe { std::mem::zeroed() };
        statx.stx_mask = libc::STATX_BASIC_STATS;
        statx.stx_mode = self.mode as u16;
        statx.stx_size = self.size;
        statx.stx_dev_major = libc::major(self.device);
        statx.stx_dev_minor = libc::minor(self.device);
        statx.stx_ino = self.inode;
        statx.stx_rdev_major = libc::major(self.node);
        statx.stx_rdev_minor = libc::minor(self.node);
        statx.stx_nlink = 1;
        statx.stx_blksize = 4096;
        statx.stx_blocks = self.size.div_ceil(512);
        statx
    }

    /// What `access` answers: the files can be read, libraries also executed, nodes also written.
    pub fn access(&self, wanted: i32) -> Result<(), i32> {
        let allowed = (self.mode >> 6 | self.mode) & 0o7;
        if wanted as u32 & !allowed & 0o7 == 0 { Ok(()) } else { Err(libc::EACCES) }
    }
}

/// Directory records as `getdents64` writes them, for names that are not in the directory anyway; as many as fit.
/// The number says how many of the names that is.
pub fn directory_records(listed: &[Listed], capacity: usize) -> (Vec<u8>, usize) {
    let mut records = Vec::new();
    for (index, entry) in listed.iter().enumerate() {
        let length = (19 + entry.name.len() + 1).next_multiple_of(8);
        if records.len() + length > capacity {
            return (records, index);
        }
        records.extend_from_slice(&entry.inode.to_ne_bytes());
        records.extend_from_slice(&i64::MAX.to_ne_bytes());
        records.extend_from_slice(&(length as u16).to_ne_bytes());
        records.push(entry.kind);
        records.extend_from_slice(entry.name.as_bytes());
        records.resize(records.len() + length - 19 - entry.name.len(), 0);
    }
    (records, listed.len())
}

/// The names that a driver's packages bring; toolkit libraries belong to programs.
fn driver_names(store: &Store) -> impl Iterator<Item = &str> {
    store
        .listed()
        .into_iter()
        .filter(|name| names::lookup(name.as_bytes()).is_some_and(|named| named.role == names::Role::Driver))
}

fn node_facts(node: &Node, path: &str) -> FileFacts {
    let majors = Majors::of(&std::fs::read_to_string("/proc/devices").unwrap_or_default());
    let (major, minor, mode) = match node {
        Node::Control => (CARDS, CONTROL_MINOR, 0o666),
        Node::Gpu(minor) => (CARDS, *minor, 0o666),
        Node::UnifiedMemory => (majors.unified_memory, 0, 0o666),
        Node::Capability(number) => (majors.capabilities, *number, 0o444),
        Node::Raw(_) => (CARDS, 0, 0o666),
    };
    FileFacts { node: libc::makedev(major, minor), ..made_up(path, libc::S_IFCHR | mode, 0) }
}

fn made_up(path: &str, mode: u32, size: u64) -> FileFacts {
    FileFacts { mode, size, device: 0, inode: inode(path), node: 0 }
}

fn entry(directory: &str, name: &str, kind: u8) -> Listed {
    Listed { name: name.to_owned(), inode: inode(&format!("{directory}/{name}")), kind }
}

/// A number that is the same each time; above 32 bits, where small file systems have none.
fn inode(path: &str) -> u64 {
    path.bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
        >> 8
        | 1 << 40
}

/// Driver files under their paths.
pub fn by_path(files: Vec<DriverFile>) -> std::collections::HashMap<Vec<u8>, Vec<u8>> {
    files.into_iter().map(|file| (file.path.into_os_string().into_encoded_bytes(), file.content)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::tests::payload;
    use installation::Files;
    use std::sync::Arc;

    fn overlay(payload: Arc<Files>) -> Overlay {
        let files = vec![DriverFile { path: "/proc/driver/nvidia/version".into(), content: b"580".to_vec() }];
        Overlay::new(Config { payload, cache: None, engine: Engine::Cpu, devices: 2, files })
    }

    fn stat(overlay: &mut Overlay, path: &str) -> Option<FileFacts> {
        let pid = std::process::id() as i32;
        overlay.stat(&OpenQuery { pid, dirfd: libc::AT_FDCWD, path: path.as_bytes() })
    }

    fn names(overlay: &Overlay, directory: &str) -> Vec<String> {
        overlay.listing(directory).into_iter().map(|entry| entry.name).collect()
    }

    #[test]
    fn driver_files_seem_to_be_there() {
        let (payload, _place) = payload();
        let mut overlay = overlay(payload);
        let kind = |facts: FileFacts| facts.mode & libc::S_IFMT;
        for (path, expected) in [
            ("/usr/lib64/../lib64/libcuda.so.1", libc::S_IFREG),
            ("/usr/local/cuda/compat/libcuda.so", libc::S_IFREG),
            ("/dev/nvidia1", libc::S_IFCHR),
            ("/dev/nvidiactl", libc::S_IFCHR),
            ("/proc/driver/nvidia", libc::S_IFDIR),
            ("/proc/driver/nvidia/version", libc::S_IFREG),
        ] {
            assert_eq!(stat(&mut overlay, path).map(kind), Some(expected), "{path}");
        }
        for path in
            ["/dev/nvidia2", "/opt/libcuda.so.1", "/usr/lib64/libcudart.so.12", "/etc/passwd", "/dev/null"]
        {
            assert_eq!(stat(&mut overlay, path), None, "{path}");
        }
    }

    #[test]
    fn a_library_has_the_inode_that_an_open_gives() {
        use std::os::unix::fs::MetadataExt;
        let (payload, _place) = payload();
        let mut overlay = overlay(payload);
        let facts = stat(&mut overlay, "/usr/lib64/libcuda.so.1").unwrap();
        let query =
            OpenQuery { pid: std::process::id() as i32, dirfd: libc::AT_FDCWD, path: b"/x/libcuda.so.1" };
        let crate::Answer::File(file) = overlay.open(&query).answer else { panic!("no file") };
        assert_eq!(std::fs::File::from(file).metadata().unwrap().ino(), facts.inode);
        assert_eq!(facts.to_stat().st_ino, facts.to_statx().stx_ino);
        assert_eq!(facts.access(libc::R_OK), Ok(()));
        assert_eq!(
            stat(&mut overlay, "/proc/driver/nvidia/version").unwrap().access(libc::W_OK),
            Err(libc::EACCES)
        );
    }

    #[test]
    fn listings_agree_with_stat() {
        let (payload, _place) = payload();
        let overlay = overlay(payload);
        assert_eq!(names(&overlay, "/usr/lib64"), ["libcuda.so.1", "libcuda.so"]);
        assert_eq!(names(&overlay, "/dev"), ["nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-caps"]);
        assert_eq!(names(&overlay, "/proc/driver"), ["nvidia"]);
        assert_eq!(names(&overlay, "/proc/driver/nvidia"), ["version"]);
        assert!(names(&overlay, "/home").is_empty());
    }

    #[test]
    fn records_are_those_of_getdents64() {
        let listed = [entry("/dev", "nvidia0", libc::DT_CHR), entry("/dev", "nvidiactl", libc::DT_CHR)];
        let (records, count) = directory_records(&listed, 4096);
        assert_eq!((records.len(), count), (32 + 32, 2));
        assert_eq!((records[16], records[18]), (32, libc::DT_CHR));
        assert_eq!(&records[19..27], b"nvidia0\0");
        assert_eq!(directory_records(&listed, 40).1, 1);
    }
}
