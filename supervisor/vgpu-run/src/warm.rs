//! `vgpu-run warm`: compiling ahead. The engine's program does it, as the compiler is in there.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

use installation::Files;
use nix::fcntl::AtFlags;
use nix::unistd::execveat;

use crate::failure::{Doing, Failure};
use crate::{cache, cli, services};

/// Becomes the engine's program with what was asked for.
pub fn warm(order: &cli::Warm) -> Result<Infallible, Failure> {
    let card = device::by_name(&order.gpu).ok_or_else(|| {
        Failure::new(format!("there is no card `{}`", order.gpu)).hint("see `vgpu-run profiles`")
    })?;
    let home = cache::home()?;
    let files = Files::find().doing("find the engine")?;
    let program = installation::open_engine(&files, Some(&home)).doing("open the engine")?;

    let [major, minor] = card.capability;
    let shapes: Vec<String> = order.blocks.iter().map(|[x, y, z]| format!("{x}x{y}x{z}")).collect();
    let words = [b"vgpu-engine".into(), b"warm".into(), (10 * major + minor).to_string().into_bytes()];
    let more = [order.kernel.clone().into_bytes(), shapes.join(",").into_bytes()];
    let named = order.files.iter().map(|file| file.as_os_str().as_bytes().to_vec());
    let arguments: Result<Vec<CString>, _> =
        words.into_iter().chain(more).chain(named).map(CString::new).collect();
    let arguments = arguments.doing("pass the arguments on")?;
    let environment = services::engine_environment(Some(&home), order.code);
    execveat(&program.file, c"", &arguments, &environment, AtFlags::AT_EMPTY_PATH).doing("execute the engine")
}
