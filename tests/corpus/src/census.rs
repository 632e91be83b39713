//! The census: every kernel of every PTX image of a carrier, parsed, verified, decoded, and some of them compiled.
//!
//! An image is decompressed, its kernels are worked through and counted, and it is dropped again, so memory is bounded by the
//! largest image for each thread. A **sample** takes kernels by a hash of a seed, so that it is the same everywhere.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use interpreter::{Image, Unsupported};
use ptx::{Function, Module};

use crate::carriers::Source;
use crate::compile::Compiled;

/// Which kernels are taken, and what is done with them.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Of how many images one is taken; 1 takes all.
    pub images_one_in: u64,
    /// Of how many of their kernels one is taken.
    pub one_in: u64,
    /// Decides which.
    pub seed: u64,
    /// Whether kernels are also written and parsed again.
    pub round_trip: bool,
    /// Whether kernels are also decoded by the interpreter.
    pub decode: bool,
    /// Of how many decoded kernels one is compiled; 0 compiles none.
    pub compile_one_in: u64,
}

/// What a census found.
#[derive(Debug, Default)]
pub struct Census {
    /// PTX images.
    pub images: usize,
    /// Bytes of their text.
    pub bytes: u64,
    /// Kernels that were parsed and verified, or should have been.
    pub kernels: usize,
    /// Bytes of the bodies of those kernels.
    pub body_bytes: u64,
    /// Kernels that are parsed.
    pub parsed: usize,
    /// Why others are not, and how often; images that do not parse, too.
    pub refused: BTreeMap<String, usize>,
    /// Parsed kernels that break a rule of the verifier, by rule.
    pub invalid: BTreeMap<String, usize>,
    /// Kernels that differ after printing and parsing again.
    pub changed: BTreeMap<String, usize>,
    /// Parsed kernels that the interpreter can run.
    pub decoded: usize,
    /// Why it can't run others: instruction and how often.
    pub undecoded: BTreeMap<String, usize>,
    /// Processor time in module scans and body parsing.
    pub parsing: Duration,
    /// Processor time in module scans alone.
    pub scanning: Duration,
    /// Largest image in bytes.
    pub largest: usize,
    /// What was compiled.
    pub compiled: Compiled,
}

impl Census {
    /// Adds what another found.
    pub fn add(&mut self, other: Census) {
        self.images += other.images;
        self.bytes += other.bytes;
        self.kernels += other.kernels;
        self.body_bytes += other.body_bytes;
        self.parsed += other.parsed;
        self.decoded += other.decoded;
        self.parsing += other.parsing;
        self.scanning += other.scanning;
        self.largest = self.largest.max(other.largest);
        self.compiled.add(other.compiled);
        let merge = |into: &mut BTreeMap<String, usize>, from: BTreeMap<String, usize>| {
            from.into_iter().for_each(|(reason, count)| *into.entry(reason).or_default() += count);
        };
        merge(&mut self.refused, other.refused);
        merge(&mut self.invalid, other.invalid);
        merge(&mut self.changed, other.changed);
        merge(&mut self.undecoded, other.undecoded);
    }

    /// Text of bodies that one core parses in a second, in MB.
    pub fn parse_speed(&self) -> f64 {
        speed(self.body_bytes, self.parsing - self.scanning)
    }

    /// Text of modules that one core scans in a second, in MB.
    pub fn scan_speed(&self) -> f64 {
        speed(self.bytes, self.scanning)
    }
}

fn speed(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / 1e6 / time.as_secs_f64().max(1e-9)
}

/// Works through all images with as many threads as there are cores.
pub fn take(sources: &[Source], plan: Plan) -> Census {
    let jobs: Vec<(usize, usize)> = sources
        .iter()
        .enumerate()
        .flat_map(|(source, it)| (0..it.images()).map(move |image| (source, image)))
        .collect();
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, |threads| threads.get());
    let work = || {
        let mut census = Census::default();
        while let Some((source, image)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut random = Random::new(plan.seed, *source as u64, *image as u64);
            if !random.next().is_multiple_of(plan.images_one_in) {
                continue;
            }
            match sources[*source].image(*image) {
                Ok(text) => census.image(text, plan, random),
                Err(error) => *census.refused.entry(format!("an image: {error}")).or_default() += 1,
            }
        }
        census
    };
    let mut total = Census::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().for_each(|worker| total.add(worker.join().expect("no parser panics")));
    });
    total
}

impl Census {
    fn image(&mut self, text: String, plan: Plan, mut random: Random) {
        self.images += 1;
        self.bytes += text.len() as u64;
        self.largest = self.largest.max(text.len());
        let started = processor_time();
        let parsed = Module::parse(text);
        let scanned = processor_time() - started;
        self.parsing += scanned;
        self.scanning += scanned;
        let module = match parsed {
            Ok(module) => Arc::new(module),
            Err(error) => return *self.refused.entry(format!("a module: {}", error.what)).or_default() += 1,
        };
        let chosen: Vec<&Function> = module
            .functions()
            .iter()
            .filter(|function| function.is_defined() && random.next().is_multiple_of(plan.one_in))
            .collect();
        let runnable: Vec<&Function> =
            chosen.into_iter().filter(|it| self.function(&module, it, plan)).collect();
        if plan.decode && !runnable.is_empty() {
            self.decode(&module, &runnable, plan, random);
        }
    }

    /// Parses one function; whether it is a kernel that was parsed.
    fn function(&mut self, module: &Module, function: &Function, plan: Plan) -> bool {
        let started = processor_time();
        let parsed = module.body(function);
        self.parsing += processor_time() - started;
        self.kernels += usize::from(function.entry);
        self.body_bytes += module.body_text(function).len() as u64;
        let body = match parsed {
            Ok(body) => body,
            Err(error) => {
                *self.refused.entry(error.what).or_default() += 1;
                return false;
            }
        };
        self.parsed += usize::from(function.entry);
        if let Err((_, rule)) = body.verify() {
            *self.invalid.entry(rule).or_default() += 1;
        }
        if plan.round_trip
            && let Err(difference) = module.round_trip(function, &body)
        {
            *self.changed.entry(difference).or_default() += 1;
        }
        function.entry
    }

    fn decode(&mut self, module: &Arc<Module>, kernels: &[&Function], plan: Plan, mut random: Random) {
        let mut memory = Vec::new();
        let mut place = |size: u64, align: u64| {
            let mut words = vec![0u128; ((size + align) / 16 + 1) as usize];
            let start = words.as_mut_ptr().expose_provenance() as u64;
            memory.push(words);
            Some(start.next_multiple_of(align.max(1)))
        };
        let image = match Image::load(module.clone(), &mut place) {
            Ok(image) => image,
            Err(error) => return *self.undecoded.entry(error.to_string()).or_default() += kernels.len(),
        };
        for kernel in kernels {
            match image.kernel(&kernel.name) {
                Ok(_) => {
                    self.decoded += 1;
                    if plan.compile_one_in > 0 && random.next().is_multiple_of(plan.compile_one_in) {
                        self.compiled.kernel(&image, kernel);
                    }
                }
                Err(reason) => *self.undecoded.entry(short(&reason)).or_default() += 1,
            }
        }
    }
}

/// The instruction that the interpreter lacks, without operands.
fn short(reason: &Unsupported) -> String {
    match reason {
        Unsupported::Instruction { instruction, what, .. } => {
            let words = instruction.split_whitespace().find(|word| !word.starts_with('@'));
            format!("{} ({what})", words.unwrap_or("").trim_end_matches(';'))
        }
        Unsupported::Parse(error) => error.what.clone(),
        Unsupported::NoKernel(_) => reason.to_string(),
    }
}

/// What this thread has computed so far; other programs on the machine don't count.
pub(crate) fn processor_time() -> Duration {
    // SAFETY: an all-zero `timespec` is a value of that type.
    let mut time = unsafe { std::mem::zeroed::<libc::timespec>() };
    // SAFETY: `time` is valid for writing, and the clock exists since Linux 2.6.12; should it fail, the time stays 0.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A stream of numbers that a seed and an image decide.
struct Random(u64);

impl Random {
    fn new(seed: u64, source: u64, image: u64) -> Self {
        let mut random = Random(seed ^ source.wrapping_mul(0x9e37_79b9) ^ image << 32);
        random.next();
        random
    }

    /// The next number (splitmix64).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}
