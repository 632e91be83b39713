//! Runs kernels in both tiers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use interpreter::compiled::Compiled;
use interpreter::{Environment, Image, Launch, Pool};

const HEAD: &str = ".version 8.4\n.target sm_90\n.address_size 64\n";

/// Address of the memory in %rd1, of this thread's word in %rd2, its place in the block in %r3, in the grid in %r4.
const PROLOGUE: &str = "
    .reg .b32 %r<40>; .reg .b64 %rd<20>; .reg .pred %p<10>; .reg .f32 %f<10>; .reg .b16 %rs<10>;
    ld.param.u64 %rd1, [memory];
    mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x;
    mad.lo.s32 %r4, %r1, %r2, %r3;
    mul.wide.u32 %rd3, %r4, 4;
    add.s64 %rd2, %rd1, %rd3;
";

/// What runs the blocks of a launch.
#[derive(Clone, Copy)]
enum By {
    Interpreter,
    Code,
    /// The interpreter the first half of them, code the others.
    Both,
}

/// Runs a body in both tiers over memory that counts up, compares what they leave, and gives it.
#[allow(dead_code, reason = "not all tests of this folder ask for it")]
pub fn both(body: &str, grid: u32, block: u32) -> Vec<u32> {
    compared(body, grid, block, false).0
}

/// As [`both`], and how many warps code handed to the interpreter when it ran all blocks.
#[allow(dead_code, reason = "not all tests of this folder ask for it")]
pub fn both_with_stops(body: &str, grid: u32, block: u32) -> (Vec<u32>, u64) {
    compared(body, grid, block, false)
}

/// As [`both`], and nothing is left to the interpreter.
#[allow(dead_code, reason = "not all tests of this folder ask for it")]
pub fn both_whole(body: &str, grid: u32, block: u32) -> Vec<u32> {
    compared(body, grid, block, true).0
}

/// What lowering a body does that it does not do in every kernel.
#[allow(dead_code, reason = "not all tests of this folder ask for it")]
pub fn uses(body: &str, block: u32) -> Vec<&'static str> {
    let image = Image::load(module(body), &mut |_, _| None).expect("no variables");
    let made = jit::lower(&image, "k", [block, 1, 1], &llvm::Target::host()).expect("lowers");
    made.used.iter().collect()
}

fn module(body: &str) -> Arc<ptx::Module> {
    let text = format!("{HEAD}.visible .entry k(.param .u64 memory) {{ {PROLOGUE} {body} ret; }}");
    Arc::new(ptx::Module::parse(text).expect("PTX of this test"))
}

fn compared(body: &str, grid: u32, block: u32, whole: bool) -> (Vec<u32>, u64) {
    let image = Image::load(module(body), &mut |_, _| None).expect("no variables");
    let kernel = image.kernel("k").expect("decodes");
    if whole {
        let made = jit::lower(&image, "k", [block, 1, 1], &llvm::Target::host()).expect("lowers");
        assert_eq!(made.refused, [], "{body}");
    }
    let compile = |target: &llvm::Target| {
        let (code, _) = jit::compile(&image, "k", [block, 1, 1], target).expect("compiles");
        code
    };
    let run = |by: By, code: &Compiled| {
        let mut memory: Vec<u32> = (0..4096).collect();
        let start = memory.as_mut_ptr().expose_provenance() as u64;
        let environment = Environment {
            window: 1 << 46..1 << 47,
            print: &|_| (),
            cancel: &AtomicBool::new(false),
            watch: None,
        };
        let launch = Launch {
            grid: [grid, 1, 1],
            block: [block, 1, 1],
            dynamic_shared: 0,
            parameters: &start.to_le_bytes(),
            cooperative: false,
        };
        let pool = Pool::new(1);
        let begun = AtomicU32::new(0);
        let later = || (begun.fetch_add(1, Ordering::Relaxed) >= grid / 2).then_some(code);
        let ran = match by {
            By::Interpreter => pool.run(&kernel, &launch, &environment),
            By::Code => pool.run_compiled(code, &launch, &environment),
            By::Both => pool.run_until(&kernel, &later, &launch, &environment),
        };
        ran.expect("no fault");
        memory
    };
    let mut found = None;
    // Any processor's code, then that for this one.
    for target in [llvm::Target::avx2(), llvm::Target::host()] {
        let code = compile(&target);
        let interpreted = run(By::Interpreter, &code);
        for (by, what) in
            [(By::Code, "compiled code differs"), (By::Both, "code that came in the middle differs")]
        {
            let ran = run(by, &code);
            let differ = (0..ran.len()).find(|place| ran[*place] != interpreted[*place]);
            assert_eq!(differ.map(|place| (place, ran[place], interpreted[place])), None, "{what}");
            if matches!(by, By::Code) {
                found = Some((interpreted.clone(), code.helped.stops.load(Ordering::Relaxed)));
            }
        }
    }
    found.expect("it ran")
}
