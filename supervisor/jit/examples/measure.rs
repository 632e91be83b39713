//! Runs the prototype's kernels in both tiers, compares results and times. Throw-away.
use std::sync::{Arc, atomic::AtomicBool};
use std::time::Instant;

fn main() {
    let path = std::env::args().nth(1).expect("file");
    let only = std::env::args().nth(2).unwrap_or_default();
    let text = std::fs::read_to_string(path).expect("a file");
    let module = Arc::new(ptx::Module::parse(text).expect("PTX"));
    let words = 1usize << 26;
    let mut memory = vec![0u32; words];
    let start = memory.as_mut_ptr().expose_provenance() as u64;
    let window = start & !0xfff..start + 4 * words as u64;
    let image = interpreter::Image::load(module.clone(), &mut |_, _| Some(start)).expect("loads");
    let pool = interpreter::Pool::new(1);
    let environment = interpreter::Environment {
        window: 0..1u64 << 63,
        print: &|text| print!("{text}"),
        cancel: &AtomicBool::new(false),
    };
    let _ = window;
    // x: first quarter, y: second, out: third
    let (x, y, out) = (start, start + words as u64, start + 2 * words as u64);
    let param = |items: &[(u64, usize)]| {
        let mut bytes = Vec::new();
        for (value, size) in items {
            while bytes.len() % size != 0 {
                bytes.push(0u8);
            }
            bytes.extend_from_slice(&value.to_le_bytes()[..*size]);
        }
        bytes
    };
    let n: u64 = 1 << 20;
    let cases: Vec<(&str, [u32; 3], [u32; 3], Vec<u8>, f64, usize)> = vec![
        (
            "saxpy",
            [(n / 256) as u32, 1, 1],
            [256, 1, 1],
            param(&[(1.5f32.to_bits() as u64, 4), (x, 8), (out, 8), (n - 3, 4)]),
            12.0 * n as f64,
            n as usize,
        ),
        (
            "saxpy",
            [64, 1, 1],
            [256, 1, 1],
            param(&[(1.5f32.to_bits() as u64, 4), (x, 8), (out, 8), (16384 - 3, 4)]),
            12.0 * 16384f64,
            16384,
        ),
        ("reduce256", [64, 1, 1], [256, 1, 1], param(&[(x, 8), (out, 8), (n - 5, 4)]), 4.0 * n as f64, 64),
        (
            "reduce_smem",
            [(n / 1024) as u32, 1, 1],
            [256, 1, 1],
            param(&[(x, 8), (out, 8), (n, 4)]),
            4.0 * n as f64,
            (n / 1024) as usize,
        ),
        (
            "mmvq_q4_0",
            [4096, 1, 1],
            [32, 4, 1],
            param(&[(x, 8), (y, 8), (out, 8), (4096, 4), (4096, 4)]),
            2.0 * 4096f64 * 4096f64,
            4096,
        ),
        (
            "mmvq_q4_0",
            [512, 1, 1],
            [32, 4, 1],
            param(&[(x, 8), (y, 8), (out, 8), (2080, 4), (512, 4)]),
            2.0 * 2080f64 * 512f64,
            512,
        ),
        (
            "sgemm32",
            [16, 16, 1],
            [32, 8, 1],
            param(&[(x, 8), (y, 8), (out, 8), (512, 4), (512, 4), (512, 4)]),
            2.0 * 512f64.powi(3),
            512 * 512,
        ),
        (
            "mandel",
            [4, 256, 1],
            [256, 1, 1],
            param(&[(out, 8), (1000, 4), (256, 4), (64, 4)]),
            1000. * 256.,
            256000,
        ),
    ];
    for (name, grid, block, parameters, work, count) in cases {
        if !name.contains(&only) {
            continue;
        }
        let fill = |memory: &mut [u32]| {
            let mut seed = 1u64;
            for word in memory.iter_mut().take(words / 2 + 100_000) {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let bits = (seed >> 33) as u32;
                *word = if name.starts_with("mmvq") {
                    (bits & 0x3fff_0fff) | 0x2000_2000 & 0x3fff3fff
                } else {
                    ((bits & 0xffff) as f32 / 65536.0).to_bits()
                };
            }
        };
        fill(&mut memory);
        let launch = interpreter::Launch {
            grid,
            block,
            dynamic_shared: 0,
            parameters: &parameters,
            cooperative: false,
        };
        let kernel = image.kernel(name).expect("decodes");
        let at = ((out - start) / 4) as usize;
        let clear = |memory: &mut [u32]| memory[at..at + count].fill(0x3f800000);
        clear(&mut memory);
        let begun = Instant::now();
        pool.run(&kernel, &launch, &environment).expect("runs");
        let slow = begun.elapsed().as_secs_f64();
        let expected = memory[at..at + count].to_vec();
        let (compiled, cost) = match jit::compile(&image, name, block, &llvm::Target::host()) {
            Ok(it) => it,
            Err(error) => {
                println!("{error}");
                continue;
            }
        };
        clear(&mut memory);
        pool.run_compiled(&compiled, &launch, &environment).expect("runs");
        let got = memory[at..at + count].to_vec();
        let wrong = expected.iter().zip(&got).filter(|(a, b)| a != b).count();
        println!("enter {:p}", compiled.enter as *const ());
        if let Ok(path) = std::env::var("OBJECT") {
            let made = jit::lower(&image, name, block).expect("lowers");
            std::fs::write(path, llvm::compile(&made.ir, &llvm::Target::host()).expect("compiles"))
                .expect("writes");
        }
        let mut best = f64::MAX;
        for _ in 0..std::env::var("TIMES").map_or(20, |it| it.parse().expect("a number")) {
            clear(&mut memory);
            let begun = Instant::now();
            pool.run_compiled(&compiled, &launch, &environment).expect("runs");
            best = best.min(begun.elapsed().as_secs_f64());
        }
        println!(
            "{name:12} wrong {wrong}/{count}  interpreter {:.3} G/s  code {:.3} G/s ({:.1}x)  {} stops  {cost:?}",
            work / slow / 1e9,
            work / best / 1e9,
            slow / best,
            compiled.stops.len()
        );
    }
}
