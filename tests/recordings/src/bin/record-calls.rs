//! Writes down what a command does with `/dev/nvidia*`.
//!
//! ```text
//! record-calls [--user ID] FILE.jsonl COMMAND…
//! ```

use anyhow::{Context, Result, bail};
use recording::{Recorder, User};
use std::fs::File;
use std::io::BufWriter;
use std::process::ExitCode;

fn main() -> Result<ExitCode> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let mut user = User::Same;
    if words.first().is_some_and(|word| word == "--user") && words.len() > 1 {
        user = User::Id(words[1].parse().context("a user's number")?);
        words.drain(..2);
    }
    let [file, command @ ..] = words.as_slice() else {
        bail!("record-calls [--user ID] FILE.jsonl COMMAND…")
    };
    let out = BufWriter::new(File::create(file).with_context(|| file.clone())?);
    let code = Recorder::new(out).run(command, user)?;
    Ok(ExitCode::from(code.clamp(0, 255) as u8))
}
