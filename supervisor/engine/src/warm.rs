//! Compiling ahead: what `vgpu-run warm` becomes.
//!
//! ```text
//!   vgpu-engine warm CAPABILITY PART SHAPES FILE…
//!     files ─ PTX for the capability ─▶ kernels whose names contain PART ─ for each shape of blocks ─▶ code cache
//! ```
//!
//! A fresh process of the user's, no fork of a zygote. It reads its files, and is then confined like any engine: what it
//! parses and compiles comes from strangers.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use fatbin::Image as Carrier;
use interpreter::Image;

use crate::tiers::TARGET;
use crate::{cache, confine};

/// The first argument.
pub const WORD: &str = "warm";

/// Shapes that programs often give to blocks, for kernels that say nothing of theirs.
const LIKELY: &[[u32; 3]] =
    &[[256, 1, 1], [128, 1, 1], [512, 1, 1], [1024, 1, 1], [32, 1, 1], [32, 8, 1], [16, 16, 1]];

/// What to compile.
struct Order {
    capability: u32,
    part: String,
    /// Empty: what is likely.
    shapes: Vec<[u32; 3]>,
    files: Vec<OsString>,
}

/// A kernel for one shape.
struct Job {
    image: Arc<Image>,
    name: String,
    block: [u32; 3],
}

/// Does what the arguments after the first say. The exit status is 0 if there is code for any kernel.
pub fn run(arguments: impl Iterator<Item = OsString>) -> i32 {
    let Some(order) = Order::parse(arguments) else {
        eprintln!("usage: vgpu-engine {WORD} CAPABILITY PART SHAPES FILE...");
        return 2;
    };
    match prepare(&order) {
        Ok(jobs) => compile_all(jobs),
        Err(why) => {
            eprintln!("vgpu-run: error: {why}");
            1
        }
    }
}

impl Order {
    fn parse(mut arguments: impl Iterator<Item = OsString>) -> Option<Order> {
        let mut text = || arguments.next()?.into_string().ok();
        let (capability, part, shapes) = (text()?.parse().ok()?, text()?, text()?);
        let shapes =
            shapes.split(',').filter(|shape| !shape.is_empty()).map(shape_of).collect::<Option<_>>()?;
        Some(Order { capability, part, shapes, files: arguments.collect() })
    }
}

/// `32x8x1`.
fn shape_of(text: &str) -> Option<[u32; 3]> {
    let sides: Vec<u32> = text.split('x').map(|side| side.parse().ok()).collect::<Option<_>>()?;
    sides.try_into().ok()
}

/// Opens what is needed, confines the process, and finds the kernels.
fn prepare(order: &Order) -> Result<VecDeque<Job>, String> {
    let read = |name: &OsString| fs::read(name).map(|bytes| (name.clone(), bytes));
    let files =
        order.files.iter().map(|name| read(name).map_err(|error| format!("{}: {error}", name.display())));
    let files = files.collect::<Result<Vec<_>, String>>()?;
    cache::open(nix::unistd::geteuid());
    let descriptor = cache::descriptor().map_err(|why| format!("there is no code cache: {why}"))?;
    confine::drop_privileges(Some(descriptor))?;
    let mut jobs = VecDeque::new();
    for (name, bytes) in &files {
        let before = jobs.len();
        for text in texts(bytes, order.capability) {
            let added = text.and_then(|text| add_jobs(text, order, &mut jobs));
            added.unwrap_or_else(|why| eprintln!("{}: {why}", name.display()));
        }
        if jobs.len() == before {
            eprintln!("{}: no kernel to compile for capability {}", name.display(), order.capability);
        }
    }
    Ok(jobs)
}

/// The PTX in a file: itself, a fat binary, or a program with fat binaries in it.
fn texts(bytes: &[u8], capability: u32) -> Vec<Result<String, String>> {
    match Carrier::parse(bytes) {
        Ok(image) => vec![image.best_ptx(capability).map_err(|none| none.to_string())],
        Err(_) => fatbin::scan(bytes)
            .map(|found| {
                let container = found.container.map_err(|error| error.to_string())?;
                container.best_ptx(capability).map_err(|none| none.to_string())
            })
            .collect(),
    }
}

fn add_jobs(text: String, order: &Order, jobs: &mut VecDeque<Job>) -> Result<(), String> {
    let module =
        Arc::new(ptx::Module::parse(text).map_err(|error| format!("the PTX can't be read: {error}"))?);
    let image = Image::load(module.clone(), &mut |size, align| Some(place_for(size, align)));
    let image = Arc::new(image.map_err(|error| format!("the module can't be loaded: {error}"))?);
    for entry in module.entries().filter(|entry| entry.is_defined() && entry.name.contains(&order.part)) {
        for block in shapes(order, entry.required_threads, entry.max_threads) {
            jobs.push_back(Job { image: image.clone(), name: entry.name.to_string(), block });
        }
    }
    Ok(())
}

/// Memory for a variable: loading a module writes its initial values. It stays for the life of this short process.
fn place_for(size: u64, align: u64) -> u64 {
    let memory = vec![0u8; (size + align) as usize].leak();
    (memory.as_mut_ptr().expose_provenance() as u64).next_multiple_of(align)
}

/// Those asked for, else the one that a kernel requires, else those that its bound suggests, else likely ones.
fn shapes(order: &Order, required: Option<[u32; 3]>, bound: Option<[u32; 3]>) -> Vec<[u32; 3]> {
    let threads = |shape: &[u32; 3]| shape.iter().product::<u32>();
    match (required, bound.map(|bound| threads(&bound))) {
        _ if !order.shapes.is_empty() => order.shapes.clone(),
        (Some(required), _) => vec![required],
        // nvcc writes a bound as `n, 1, 1`, however the block is made up.
        (None, Some(bound)) if bound > 32 && bound % 32 == 0 => vec![[bound, 1, 1], [32, bound / 32, 1]],
        (None, Some(bound)) => vec![[bound, 1, 1]],
        (None, None) => LIKELY.to_vec(),
    }
}

fn compile_all(jobs: VecDeque<Job>) -> i32 {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
    let (jobs, ready) = (Mutex::new(jobs), Mutex::new((0, 0)));
    let next = || jobs.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop_front();
    let work = || {
        while let Some(job) = next() {
            let done = compile(&job);
            let mut ready = ready.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if done { ready.0 += 1 } else { ready.1 += 1 }
        }
    };
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let (compiled, refused) = ready.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    println!("{compiled} compiled, {refused} left to the interpreter");
    i32::from(compiled == 0)
}

/// Says what became of it.
fn compile(job: &Job) -> bool {
    let label = cache::label(&job.name, job.block);
    let begun = Instant::now();
    match cache::made(&job.image, &job.name, job.block, &TARGET) {
        Ok((_, object)) => {
            println!("{label}: {} KiB, {} ms", object.len().div_ceil(1 << 10), begun.elapsed().as_millis());
            true
        }
        Err(error) => {
            println!("{label}: {error}");
            false
        }
    }
}

/// The arguments that come after [`WORD`], if this process is to compile ahead.
pub fn arguments() -> Option<impl Iterator<Item = OsString>> {
    let mut arguments = std::env::args_os().skip(1);
    (arguments.next()?.into_vec() == WORD.as_bytes()).then_some(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(shapes: &str) -> Order {
        let words = ["61", "", shapes, "file"].map(OsString::from);
        Order::parse(words.into_iter()).expect("an order")
    }

    #[test]
    fn shapes_asked_for_come_before_those_that_a_kernel_suggests() {
        assert_eq!(shapes(&order("32x8x1"), Some([64, 1, 1]), None), [[32, 8, 1]]);
        assert_eq!(shapes(&order(""), Some([64, 2, 1]), Some([1024, 1, 1])), [[64, 2, 1]]);
        assert_eq!(shapes(&order(""), None, Some([128, 1, 1])), [[128, 1, 1], [32, 4, 1]]);
        assert_eq!(shapes(&order(""), None, Some([32, 1, 1])), [[32, 1, 1]]);
        assert_eq!(shapes(&order(""), None, None), LIKELY);
    }

    #[test]
    fn odd_arguments_are_refused() {
        let parse = |words: &[&str]| Order::parse(words.iter().map(OsString::from)).is_some();
        assert!(parse(&["61", "", "", "file"]) && parse(&["61", "part", "1x2x3,4x5x6"]));
        assert!(!parse(&["61", ""]) && !parse(&["sm_61", "", ""]) && !parse(&["61", "", "32x8"]));
    }
}
