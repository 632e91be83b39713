//! What `vgpu-run trace` is told of kernels, copies and compilers. Without it each of these functions is a look at one word.

use std::sync::OnceLock;

use wire::blas::{Blas, Matmul, Routine};
use wire::command::{self, Command};
use wire::trace::value::Writer;
use wire::trace::{Kind, Place, Ring};

use crate::area::SharedArea;
use crate::grids::Running;
use crate::work::{Launch, Work};

static RING: OnceLock<Ring> = OnceLock::new();

/// From now on what is done here is written down.
pub fn begin(area: SharedArea) {
    let _ = RING.set(area.trace());
}

fn write(ring: &Ring, kind: Kind, fixed: &[u8], name: &str, describe: impl FnOnce(&mut Writer)) {
    let mut writer = Writer::new(fixed);
    writer.name(name);
    describe(&mut writer);
    ring.write(kind, 0, nix::unistd::gettid().as_raw() as u32, writer.finish());
}

/// A thread has taken work of a stream.
pub fn work_begins(stream: u32, sequence: u64, work: &Work) {
    let Some(ring) = RING.get() else { return };
    let begins = |command: u16, name: &str, describe: &dyn Fn(&mut Writer)| {
        let place = Place { sequence, stream, command: command.into() };
        write(ring, Kind::WorkBegin, bytemuck::bytes_of(&place), name, describe);
    };
    match work {
        Work::Launch(launch) => {
            begins(command::Launch::NUMBER, launch.kernel.name(), &|to| describe_launch(launch, to));
        }
        Work::Copy(order) => begins(command::Copy::NUMBER, "copy", &|to| {
            to.unsigned("bytes", order.length);
            to.address("target", order.target);
            to.address("source", order.source);
        }),
        Work::CopyRectangle(order) => begins(command::CopyRectangle::NUMBER, "copy of a box", &|to| {
            to.unsigned("bytes", order.extent.iter().fold(1, |bytes, side| bytes.saturating_mul(*side)));
            to.list("extent", order.extent.iter().copied());
            to.address("target", order.target);
            to.address("source", order.source);
        }),
        Work::Fill(order) => begins(command::Fill::NUMBER, "fill", &|to| {
            let bytes = order.width.saturating_mul(order.height).saturating_mul(order.element.into());
            to.unsigned("bytes", bytes);
            to.unsigned("value", order.value.into());
            to.address("target", order.target);
        }),
        Work::Blas(order) => begins(Blas::NUMBER, &routine(order), &|to| {
            to.list("extent", order.extent.iter().map(|side| *side as u64));
        }),
        Work::Matmul(_) => begins(Matmul::NUMBER, "matrix product", &|_| ()),
        // What takes no time is no slice of it.
        _ => {}
    }
}

fn describe_launch(launch: &Launch, to: &mut Writer) {
    let command::Launch { grid, block, dynamic_shared, cooperative, .. } = launch.order;
    to.list("grid", grid.iter().map(|side| u64::from(*side)));
    to.list("block", block.iter().map(|side| u64::from(*side)));
    to.unsigned("dynamic_shared", dynamic_shared.into());
    to.unsigned("cooperative", cooperative.into());
    let tier = if launch.kernel.code().is_some() { "compiled" } else { "interpreted" };
    to.text("tier", tier.as_bytes());
}

fn routine(order: &Blas) -> String {
    let known = Routine::of(order.routine);
    known.map_or_else(|| format!("routine {}", order.routine), |routine| format!("{routine:?}"))
}

/// It is done; `kernel`, if it was one.
pub fn work_ends(stream: u32, sequence: u64, kernel: Option<&Running>) {
    let Some(ring) = RING.get() else { return };
    let place = Place { sequence, stream, command: 0 };
    write(ring, Kind::WorkEnd, bytemuck::bytes_of(&place), "", |to| {
        let Some(running) = kernel else { return };
        to.unsigned("blocks", running.grid.blocks() as u64);
        // Blocks that began after there was code ran in it.
        if !running.in_code && running.grid.order().kernel.code().is_some() {
            to.text("tier", b"interpreted, then compiled");
        }
        if let Err(fault) = running.grid.outcome() {
            to.text("fault", fault.to_string().as_bytes());
        }
    });
}

/// A thread begins to make code.
pub fn compile_begins(kernel: &str, block: [u32; 3]) {
    let Some(ring) = RING.get() else { return };
    write(ring, Kind::CompileBegin, &[], kernel, |to| {
        to.list("block", block.iter().map(|side| u64::from(*side)));
    });
}

/// It has come to an end with that.
pub fn compile_ends(kernel: &str, has_code: bool) {
    let Some(ring) = RING.get() else { return };
    write(ring, Kind::CompileEnd, &[], kernel, |to| to.unsigned("has_code", has_code.into()));
}
