//! Kernels by clang and by NVRTC give what the same computation gives on the CPU.

use std::fs;
use std::process::Command;

use filetests::executor::{Buffer, Loaded, Parameter, Shape};
use interpreter::Pool;
use kernels::Compiler::{Clang, Nvrtc, NvrtcWithHeaders};

const THREADS: usize = 256;
const BLOCK: usize = 64;

/// A kernel's name and what it computes; outputs beyond those given are not compared.
type Case = (&'static str, fn(&[i32]) -> Vec<i32>);

const CASES: &[Case] = &[
    ("collatz", |input| each(input, |value, _| collatz((value & 1023) + 1))),
    ("nested_branches", |input| each(input, nested_branches)),
    ("switch_by_value", |input| each(input, |value, _| switch_by_value(value))),
    ("block_sum", |input| groups(input, BLOCK, |group| vec![total(group); BLOCK])),
    ("warp_total", |input| groups(input, 32, |group| vec![total(group); 32])),
    ("warp_prefix", |input| groups(input, 32, prefix)),
    ("odd_below", |input| groups(input, 32, odd_below)),
    ("histogram", histogram),
    ("shared_histogram", histogram),
    ("largest", |input| vec![input.iter().copied().max().unwrap_or(0).max(0)]),
    ("float_total", |input| {
        vec![(input.iter().map(|value| value & 255).sum::<i32>() as f32).to_bits() as i32]
    }),
    ("lock_per_block", |input| vec![0, (input.len() / BLOCK) as i32]),
    ("bitonic_sort", |input| groups(input, BLOCK, sorted)),
    ("wide_arithmetic", |input| each(input, |value, index| wide(value, input[(index + 1) % THREADS]))),
    ("double_precision", |input| each(input, |value, _| double(value))),
    ("local_array", |input| each(input, |_, index| local_array(input, index))),
    ("bytes_and_shorts", |input| {
        each(input, |value, _| i32::from((value >> 8) as i8) * 1000 + (value >> 16 & 0xffff))
    }),
    ("transpose", |input| groups(input, BLOCK, |group| (0..64).map(|i| group[i % 8 * 8 + i / 8]).collect())),
    ("early_exit", |input| each(input, |value, _| early_exit(value))),
    ("division", |input| {
        each(input, |value, index| division(value, (input[(index + 3) % THREADS] & 63) + 1))
    }),
];

#[test]
fn kernels_by_clang_match_the_cpu() {
    check(&kernels::kernels("kernels", Clang).expect("clang-16 compiles kernels.cu"), CASES, false);
}

#[test]
fn kernels_by_nvrtc_match_the_cpu() {
    check(&kernels::kernels("kernels", Nvrtc).expect("NVRTC compiles kernels.cu"), CASES, false);
}

#[test]
fn groups_of_nvidias_headers_match_the_cpu() {
    let cases: &[Case] = &[("grid_rounds", grid_rounds), ("tiles", tiles)];
    check(&kernels::kernels("grid", NvrtcWithHeaders).expect("NVRTC compiles grid.cu"), cases, true);
}

/// The same kernels through the driver API under vgpu-run: each compiler's module becomes a fixture, whose promises are what
/// the CPU computes.
#[test]
fn kernels_match_the_cpu_through_the_driver_api() {
    let program = std::env::current_exe().expect("the test's own path");
    let build = program.ancestors().nth(2).expect("a build directory");
    let [vgpu_run, executor] = ["vgpu-run", "filetests-driver"].map(|name| {
        let path = build.join(name);
        assert!(
            path.exists(),
            "no {}; hint: `make build` and `cargo build --release -p filetests`",
            path.display()
        );
        path
    });
    let folder = build.join("kernels-as-fixtures");
    fs::create_dir_all(folder.join("generated")).expect("a folder");
    for (compiler, module) in
        [("clang", kernels::kernels("kernels", Clang)), ("nvrtc", kernels::kernels("kernels", Nvrtc))]
    {
        let text = fixture(&module.expect("the module is compiled"));
        fs::write(folder.join(compiler).with_extension("ptx"), text).expect("a fixture");
    }
    let output = Command::new(vgpu_run).args(["--gpu", "gtx1080", "--"]).arg(executor).arg(folder).output();
    let output = output.expect("vgpu-run starts");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    let runs = 2 * CASES.len();
    assert_eq!(printed, format!("{runs} runs, {runs} as promised\n"));
}

/// A module with the comments that make it a fixture.
fn fixture(ptx: &str) -> String {
    let list = |values: &[i32]| {
        let words: Vec<String> = values.iter().map(|value| (*value as u32).to_string()).collect();
        format!("u32[{}]", words.join(", "))
    };
    let input = input();
    let mut text = format!("// data: in = {}\n// data: out = u32[0 x {THREADS}]\n", list(&input));
    for (name, reference) in CASES {
        let (grid, promise) = (THREADS / BLOCK, list(&reference(&input)));
        text += &format!("// run: {name}<<<{grid}, {BLOCK}>>>(in, out, {THREADS}) -> out == {promise}\n");
    }
    text + ptx
}

/// Runs every case with one worker and with two; the result must not depend on it.
fn check(ptx: &str, cases: &[Case], cooperative: bool) {
    let loaded = Loaded::new(ptx).expect("the module loads");
    let input = input();
    let mut wrong = Vec::new();
    for (name, reference) in cases {
        for workers in [1, 2] {
            match run(&loaded, &Pool::new(workers), name, cooperative, &input) {
                Err(error) => wrong.push(format!("{name}: {error}")),
                Ok(output) => {
                    let expected = reference(&input);
                    let differs =
                        expected.iter().zip(&output).position(|(expected, actual)| expected != actual);
                    wrong.extend(
                        differs.map(|at| format!("{name}[{at}] is {}, not {}", output[at], expected[at])),
                    );
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} runs differ:\n{}", wrong.len(), 2 * cases.len(), wrong.join("\n"));
}

fn run(
    loaded: &Loaded,
    pool: &Pool,
    name: &str,
    cooperative: bool,
    input: &[i32],
) -> Result<Vec<i32>, String> {
    let mut device_input =
        Buffer::of(&input.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
    let mut output = Buffer::zeroed(4 * THREADS);
    let (grid, block) = ([(THREADS / BLOCK) as u32, 1, 1], [BLOCK as u32, 1, 1]);
    let shape = Shape { grid, block, shared: 0, cooperative };
    let count = Parameter::Value((THREADS as i32).to_le_bytes().to_vec());
    loaded.run(
        pool,
        name,
        shape,
        &mut [Parameter::Memory(&mut device_input), Parameter::Memory(&mut output), count],
    )?;
    Ok(output
        .bytes()
        .chunks_exact(4)
        .map(|word| i32::from_le_bytes([word[0], word[1], word[2], word[3]]))
        .collect())
}

/// Repeatable noise, with the edges of the type in it.
fn input() -> Vec<i32> {
    let mut state = 12345u32;
    let mut values: Vec<i32> = (0..THREADS)
        .map(|_| {
            state = state.wrapping_mul(1664525).wrapping_add(1013904223);
            state as i32 >> (state >> 28)
        })
        .collect();
    values[..5].copy_from_slice(&[0, 1, -1, i32::MAX, i32::MIN]);
    values
}

fn each(input: &[i32], function: impl Fn(i32, usize) -> i32) -> Vec<i32> {
    input.iter().enumerate().map(|(index, value)| function(*value, index)).collect()
}

fn groups(input: &[i32], len: usize, function: impl Fn(&[i32]) -> Vec<i32>) -> Vec<i32> {
    input.chunks(len).flat_map(function).collect()
}

fn grid_rounds(input: &[i32]) -> Vec<i32> {
    (0..5).fold(input.to_vec(), |values, round| {
        let other = |index: usize| values[(index * 7 + round * 64 + 1) % THREADS];
        each(&values, |value, index| value.wrapping_mul(3).wrapping_add(other(index)))
    })
}

fn tiles(input: &[i32]) -> Vec<i32> {
    let sums = groups(input, 8, |group| vec![total(group); 8]);
    let odd = groups(input, 32, |warp| {
        let count = warp.iter().filter(|value| *value & 1 == 1).count() as i32;
        vec![1000 * count; 32]
    });
    let before = groups(input, 32, odd_below);
    each(&sums, |sum, at| match input[at] & 1 {
        1 => sum.wrapping_add(odd[at] + before[at]),
        _ => sum,
    })
}

fn total(group: &[i32]) -> i32 {
    group.iter().fold(0, |sum, value| sum.wrapping_add(*value))
}

fn prefix(group: &[i32]) -> Vec<i32> {
    (1..=group.len()).map(|len| total(&group[..len])).collect()
}

fn odd_below(group: &[i32]) -> Vec<i32> {
    (0..group.len()).map(|len| group[..len].iter().filter(|value| *value & 1 == 1).count() as i32).collect()
}

fn sorted(group: &[i32]) -> Vec<i32> {
    let mut group = group.to_vec();
    group.sort_unstable();
    group
}

fn histogram(input: &[i32]) -> Vec<i32> {
    let mut counts = vec![0; 16];
    input.iter().for_each(|value| counts[(value & 15) as usize] += 1);
    counts
}

fn collatz(mut value: i32) -> i32 {
    let mut steps = 0;
    while value != 1 && steps < 500 {
        value = if value & 1 == 1 { 3 * value + 1 } else { value / 2 };
        steps += 1;
    }
    steps
}

fn nested_branches(mut value: i32, index: usize) -> i32 {
    if value & 1 != 0 {
        value = if value & 2 != 0 { value.wrapping_mul(3) } else { value.wrapping_sub(7) };
        if value > 100 { value ^ 0x55 } else { value }
    } else {
        for k in 0..(index & 7) as i32 {
            value = if value >> k & 4 != 0 { value.wrapping_add(k) } else { value.wrapping_sub(2 * k) };
        }
        value
    }
}

fn switch_by_value(value: i32) -> i32 {
    match value & 7 {
        0 => value / 3,
        1 => value % 11,
        2 => (!value).wrapping_add(5),
        3 => value.wrapping_add(5),
        5 => value.wrapping_neg(),
        6 => value << 3,
        _ => 42,
    }
}

fn wide(value: i32, next: i32) -> i32 {
    let product = i64::from(value) * i64::from(next);
    (product >> 13) as i32 ^ (product % 1_000_003) as i32
}

fn double(value: i32) -> i32 {
    let value = f64::from(value) / 7.0;
    let value = value * value - 3.25 * value + 1e-3;
    (value * 1e-4) as i32
}

fn local_array(input: &[i32], index: usize) -> i32 {
    let (mut at, mut sum) = (0, 0i32);
    for _ in 0..16 {
        let item = input[(index + at) % THREADS];
        sum = sum.wrapping_mul(3).wrapping_add(item);
        at = (at as i32).wrapping_add(item) as usize & 15;
    }
    sum
}

fn early_exit(value: i32) -> i32 {
    let found = (0..100).find(|k| value.wrapping_add(*k) % 17 == 0);
    if value % 3 == 0 { 0 } else { found.unwrap_or(0) }
}

fn division(value: i32, divisor: i32) -> i32 {
    let unsigned = (value as u32 / divisor as u32) as i32;
    (value / divisor).wrapping_add(31 * (value % divisor)).wrapping_add(unsigned)
}
