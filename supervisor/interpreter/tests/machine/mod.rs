//! Runs a kernel's text over an array of words.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use interpreter::{Environment, Fault, Image, Launch, Pool};

pub const HEAD: &str = ".version 8.0\n.target sm_61\n.address_size 64\n";

/// Address of the memory in %rd1, of this thread's word in %rd2, its global number in %r4.
const PROLOGUE: &str = "
    .reg .b32 %r<40>; .reg .b64 %rd<10>; .reg .pred %p<10>; .reg .f32 %f<10>;
    ld.param.u64 %rd1, [memory];
    mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x;
    mad.lo.s32 %r4, %r1, %r2, %r3;
    mul.wide.u32 %rd3, %r4, 4;
    add.s64 %rd2, %rd1, %rd3;
";

/// A kernel of this body.
pub fn kernel(body: &str) -> String {
    format!(".visible .entry k(.param .u64 memory) {{ {PROLOGUE} {body} ret; }}")
}

/// How a kernel is launched.
#[derive(Clone, Copy)]
pub struct Shape {
    pub grid: u32,
    pub block: u32,
    pub threads: usize,
    pub cooperative: bool,
}

/// Runs the only kernel of `text` over `memory`, whose address is the first parameter, and tells what it printed.
pub fn launch(text: &str, shape: Shape, memory: &mut [u32]) -> (Result<(), Fault>, String) {
    const VARIABLES: usize = 1 << 10;
    let module = Arc::new(ptx::Module::parse(format!("{HEAD}{text}")).expect("PTX of this test"));
    let name = module.entries().next().expect("a kernel").name.to_string();
    // The module's variables lie behind the memory, in the same window.
    let mut window = vec![0u64; memory.len().div_ceil(2) + VARIABLES];
    let start = window.as_mut_ptr().expose_provenance() as u64;
    let end = start + 8 * window.len() as u64;
    let mut free = end - 8 * VARIABLES as u64;
    let image = Image::load(module, &mut |size, align| {
        let place = free.next_multiple_of(align);
        free = place + size;
        (free <= end).then_some(place)
    });
    let image = image.expect("variables fit");
    let kernel = image.kernel(&name).unwrap_or_else(|refusal| panic!("{refusal}"));
    let printed = Mutex::new(String::new());
    let print = |text: &str| printed.lock().expect("unpoisoned").push_str(text);
    let environment =
        Environment { window: start..end, print: &print, cancel: &AtomicBool::new(false), watch: None };
    let order = Launch {
        grid: [shape.grid, 1, 1],
        block: [shape.block, 1, 1],
        dynamic_shared: 0,
        parameters: &start.to_le_bytes(),
        cooperative: shape.cooperative,
    };
    let target = start as *mut u32;
    // SAFETY: the window holds at least as many words as `memory`, and no kernel is running.
    unsafe { std::ptr::copy_nonoverlapping(memory.as_ptr(), target, memory.len()) };
    let outcome = Pool::new(shape.threads).run(&kernel, &order, &environment);
    // SAFETY: as above; the launch is over.
    unsafe { std::ptr::copy_nonoverlapping(target, memory.as_mut_ptr(), memory.len()) };
    (outcome, printed.into_inner().expect("unpoisoned"))
}

/// [`launch`] of a plain kernel.
pub fn run(
    text: &str,
    grid: u32,
    block: u32,
    memory: &mut [u32],
    threads: usize,
) -> (Result<(), Fault>, String) {
    launch(text, Shape { grid, block, threads, cooperative: false }, memory)
}
