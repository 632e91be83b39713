//! Compiled code that is kept from run to run: where it is, for whom, and how it is used.
//!
//! The file is opened once this process is the client's user and before it is confined (see `code_cache`). Objects are found by
//! the text that they were made of: it says all that lowering knows of PTX, entry and shape, so two programs with the same
//! kernel share its code, and another lowering makes another text.

use std::fs;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use code_cache::{Cache, Key};
use interpreter::Image;
use jit::Made;
use llvm::Target;
use nix::unistd::{Uid, geteuid};
use wire::control::NoteKind;
use wire::engine::CACHE_VARIABLE;

use crate::note;

/// Below a home directory, where no supervisor of that user says another place.
const DEFAULT: &str = ".cache/vgpu-run";

static CACHE: OnceLock<Result<Cache, String>> = OnceLock::new();

/// Opens the cache of the user that this process is now. Without one, code is compiled in each run, and the report is told.
pub fn open(supervisors_user: Uid) {
    CACHE.get_or_init(|| {
        let home = home(supervisors_user).ok_or("its user has no cache directory")?;
        Cache::open(&home).map_err(|error| error.to_string())
    });
}

/// The descriptor that stays in use; else why there is no cache.
pub fn descriptor() -> Result<RawFd, &'static str> {
    cache().map(Cache::descriptor)
}

/// Why there is no cache, if there is none.
fn cache() -> Result<&'static Cache, &'static str> {
    match CACHE.get() {
        Some(opened) => opened.as_ref().map_err(String::as_str),
        None => Err("it was not opened"),
    }
}

/// What an object is called: `saxpy 256x1x1`.
pub fn label(kernel: &str, [x, y, z]: [u32; 3]) -> String {
    format!("{kernel} {x}x{y}x{z}")
}

/// A kernel's code for blocks of a shape, and its object: kept from another time, else made and kept.
pub fn made(
    image: &Image,
    kernel: &str,
    block: [u32; 3],
    target: &Target,
) -> Result<(Made, Vec<u8>), jit::Error> {
    let made = jit::lower(image, kernel, block, target)?;
    let object = object(&made.ir, target, &label(kernel, block));
    let object = object.map_err(|error| jit::Error::Llvm(kernel.into(), error.to_string()))?;
    Ok((made, object))
}

/// The object of a text. `label` says to people what it is.
fn object(ir: &str, target: &Target, label: &str) -> Result<Vec<u8>, llvm::Error> {
    let cache = match cache() {
        Ok(cache) => cache,
        Err(why) => {
            note::tell(NoteKind::Slower, 0, &format!("compiled code is not kept for other runs: {why}"));
            return llvm::compile(ir, target);
        }
    };
    let key = Key::of(&[ir.as_bytes(), target.identity().as_bytes()]);
    if let Some(object) = cache.get(&key) {
        return Ok(object);
    }
    let object = llvm::compile(ir, target)?;
    // One that can't be kept is made again next time.
    let _ = cache.put(&key, label, &object);
    Ok(object)
}

/// The supervisor says where its own user's directory is. It speaks for no other user: that one's home is in /etc/passwd.
fn home(supervisors_user: Uid) -> Option<PathBuf> {
    if geteuid() == supervisors_user {
        return std::env::var_os(CACHE_VARIABLE).map(PathBuf::from);
    }
    let users = fs::read("/etc/passwd").ok()?;
    home_of(&users, geteuid()).map(|home| home.join(DEFAULT))
}

/// The home of a user in the text of /etc/passwd. Read here, as the C library's ways of asking want other libraries at run time.
fn home_of(users: &[u8], user: Uid) -> Option<PathBuf> {
    let number = user.to_string();
    let home = users.split(|byte| *byte == b'\n').find_map(|line| {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
        (*fields.get(2)? == number.as_bytes()).then(|| fields.get(5).copied())?
    })?;
    let home = Path::new(std::ffi::OsStr::from_bytes(home));
    (home.is_absolute() && home.is_dir()).then(|| home.to_owned())
}

/// Held by tests that compile, and by those that fork: a child in which another thread was compiling would wait for that thread for
/// ever. Engines are forked by a process of one thread.
#[cfg(test)]
pub fn alone() -> std::sync::MutexGuard<'static, ()> {
    static COMPILER: std::sync::Mutex<()> = std::sync::Mutex::new(());
    COMPILER.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_is_found_by_the_users_number() {
        let users = b"root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/nonexistent:/bin/false\ntmp:x:1000:1000::/tmp:\nodd\n";
        assert_eq!(home_of(users, Uid::from_raw(1000)), Some("/tmp".into()));
        assert_eq!(home_of(users, Uid::from_raw(65534)), None, "it is not there");
        assert_eq!(home_of(users, Uid::from_raw(5)), None);
    }

    #[test]
    fn without_a_cache_code_is_compiled() {
        let _alone = alone();
        assert!(cache().is_err());
        let object = object("define void @f() {\n  ret void\n}\n", &Target::avx2(), "f").unwrap();
        assert_eq!(&object[..4], b"\x7fELF");
    }
}
