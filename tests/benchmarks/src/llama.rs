//! Rows of real language models: llama.cpp's CUDA build under vgpu-run beside the CPU build of the same version, with the same
//! threads on the same cores, both without instructions beyond AVX2.
//!
//! Rates are tokens per second: a prompt of 512 tokens in one batch, and 128 tokens one by one behind it. Where ours would take
//! too long, both sides do fewer, and the row says how many.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cores;
use crate::measure::Sample;
use crate::row::Row;

/// Names of the rows: those of SmolLM2-135M Q4_1, then those of Gemma-3-270M Q4_K_M.
pub const ROWS: [&str; 8] = [
    "llama_decode_1t",
    "llama_decode_2t",
    "llama_prompt_1t",
    "llama_prompt_2t",
    "llama_decode_1t_gemma",
    "llama_decode_2t_gemma",
    "llama_prompt_1t_gemma",
    "llama_prompt_2t_gemma",
];

/// Tokens of a complete row, by what is measured.
const FULL: [(&str, u64); 2] = [("decode", 128), ("prompt", 512)];
/// Seconds that ours may take for a prompt, and again for decoding.
const PATIENCE: &str = "12";

/// Both sides' JSON in one run after the other.
type Run = [Value; 2];

/// Measures the wanted rows; one run gives a model's two rows for a number of threads.
pub fn rows(runs: usize, wanted: &dyn Fn(&str) -> bool, tell: &mut dyn FnMut(&str, Result<Row, String>)) {
    for model in ["", "_gemma"] {
        for threads in [1, 2] {
            let name = |what: &str| format!("llama_{what}_{threads}t{model}");
            let names = FULL.map(|(what, _)| name(what));
            if !names.iter().any(|name| wanted(name)) {
                continue;
            }
            let runs: Result<Vec<Run>, String> = (0..runs).map(|_| both(model, threads)).collect();
            for ((what, full), name) in FULL.iter().zip(&names).filter(|(_, name)| wanted(name)) {
                tell(
                    name,
                    runs.as_ref().map_err(String::clone).and_then(|runs| row(name, what, *full, runs)),
                );
            }
        }
    }
}

/// What `llama.mjs` says on the virtual GPU, and on the CPU with as many tokens.
fn both(model: &str, threads: usize) -> Result<Run, String> {
    if cores::all().len() < threads {
        return Err(format!("{threads} threads need as many cores"));
    }
    let home = corpus::fetch("fetch-llama")?.join("avx2");
    let model = match model {
        "" => home.join("model.gguf"),
        _ => corpus::fetch("fetch-gemma")?,
    };
    let run = |backend: &str, counts: &[String]| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/llama.mjs");
        let text = concat!(env!("CARGO_MANIFEST_DIR"), "/../clients/perplexity.txt");
        let threads_text = threads.to_string();
        let model = model.to_string_lossy();
        let mut words: Vec<&str> = vec![folder, backend, &threads_text, &model, text, PATIENCE];
        words.extend(counts.iter().map(String::as_str));
        let node = home.join("node-binary");
        let command = match backend {
            "cuda" => tests::launch_path(node)
                .options(["--gpu", "gtx1080"])
                .arguments(words)
                .real_payload()
                .through(taskset(threads))
                .command(),
            _ => {
                let mut command = Command::new("taskset");
                command.args(&taskset(threads)[1..]).arg(node).args(words);
                command
            }
        };
        said(command, &home)
    };
    let ours = run("cuda", &[])?;
    let counts = ["prompt", "decode"].map(|what| ours[what]["tokens"].to_string());
    let native = run("cpu", &counts)?;
    Ok([ours, native])
}

/// In front of a command that is to run on the first cores.
fn taskset(threads: usize) -> [String; 3] {
    let cores: Vec<String> = cores::all()[..threads].iter().map(usize::to_string).collect();
    ["taskset".into(), "-c".into(), cores.join(",")]
}

/// The JSON that a command prints last.
fn said(mut command: Command, home: &Path) -> Result<Value, String> {
    command.env("LLAMA_HOME", home).stdin(Stdio::null());
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last)
        .map_err(|_| format!("{} {last} {}", output.status, String::from_utf8_lossy(&output.stderr)))
}

fn row(name: &str, what: &str, full: u64, runs: &[Run]) -> Result<Row, String> {
    let rate = |side: &Value| {
        let (tokens, seconds) = (side[what]["tokens"].as_f64(), side[what]["seconds"].as_f64());
        tokens.zip(seconds).map(|(tokens, seconds)| tokens / seconds).ok_or("llama.mjs tells no rates")
    };
    let sample = |[ours, native]: &Run| Ok(Sample { device: rate(ours)?, native: rate(native)? });
    let ours = runs.iter().map(sample).collect::<Result<Vec<Sample>, String>>()?;
    let mut notes = Vec::new();
    let tokens = |[ours, _]: &Run| ours[what]["tokens"].as_u64().unwrap_or_default();
    let fewest = runs.iter().map(tokens).min().unwrap_or_default();
    if fewest != full {
        notes.push(format!("of {fewest} tokens instead of {full}"));
    }
    if what == "decode" {
        notes.extend(runs.first().map(agreement));
    }
    Ok(Row { name: name.into(), unit: "token/s", ours, peer: Err(String::new()), note: notes.join(", ") })
}

/// How far the two builds' greedy texts are the same: they round differently, and part where the model is unsure.
fn agreement([ours, native]: &Run) -> String {
    let empty = Vec::new();
    let tokens = |run: &Value| run["generated"].as_array().unwrap_or(&empty).clone();
    let (ours, native) = (tokens(ours), tokens(native));
    let same = ours.iter().zip(&native).take_while(|(ours, native)| ours == native).count();
    format!("first {same} of {} tokens as the CPU build's", native.len())
}
