//! `make bench`, kernels: the CPU engine against native AVX2 code of one core, as ratios measured in the same run.
//!
//! Each measurement runs in a process of its own, because placement in memory differs between processes; a row is the
//! median of them, its spread is the distance of the extremes by the median. Puts rows into `target/bench.json`.
//! `--once PART` measures the rows named so in this process, for a profiler.

mod native;
mod rows;

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::{Value, json};

/// Processes that measure.
const PROCESSES: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if !(is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c"))
    {
        println!("skipped: the native side needs AVX2, FMA and F16C");
        return Ok(());
    }
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some("--once") {
        let part = std::env::args().nth(2).unwrap_or_default();
        let rows: Vec<Value> =
            rows::all(&part).iter().map(|it| json!([it.name, it.unit, it.ours, it.native])).collect();
        println!("{}", Value::from(rows));
        return Ok(());
    }
    let table: Vec<Value> = measure()?;
    for row in &table {
        println!(
            "{:22} {:5.1} %  (ours {:.2}, native {:.2} {}, spread {:.0} %)",
            row["name"].as_str().unwrap_or_default(),
            100.0 * row["ratio"].as_f64().unwrap_or_default(),
            row["ours"].as_f64().unwrap_or_default(),
            row["native"].as_f64().unwrap_or_default(),
            row["unit"].as_str().unwrap_or_default(),
            100.0 * row["spread"].as_f64().unwrap_or_default(),
        );
    }
    tests::bench_json::append(&table);
    Ok(())
}

/// Runs this program several times and takes medians, row by row.
fn measure() -> Result<Vec<Value>, Box<dyn std::error::Error>> {
    let mut samples: BTreeMap<usize, Vec<Value>> = BTreeMap::new();
    for _ in 0..PROCESSES {
        let output = Command::new(std::env::current_exe()?).arg("--once").output()?;
        if !output.status.success() {
            return Err(
                format!("a measuring process failed: {}", String::from_utf8_lossy(&output.stderr)).into()
            );
        }
        let rows: Vec<Value> = serde_json::from_slice(&output.stdout)?;
        rows.into_iter().enumerate().for_each(|(index, row)| samples.entry(index).or_default().push(row));
    }
    Ok(samples.into_values().map(|rows| summary(&rows)).collect())
}

fn summary(rows: &[Value]) -> Value {
    let column = |index: usize| sorted(rows.iter().map(|row| row[index].as_f64().unwrap_or_default()));
    let ratios =
        sorted(rows.iter().map(|row| row[2].as_f64().unwrap_or_default() / row[3].as_f64().unwrap_or(1.0)));
    let ratio = ratios[ratios.len() / 2];
    json!({
        "name": rows[0][0],
        "ratio": ratio,
        "ours": column(2)[rows.len() / 2],
        "native": column(3)[rows.len() / 2],
        "unit": rows[0][1],
        "spread": (ratios[ratios.len() - 1] - ratios[0]) / ratio,
    })
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}
