//! A row of the table: medians of the samples of several processes.

use serde_json::{Value, json};

use crate::measure::Sample;

/// What a row says.
#[derive(Debug)]
pub struct Row {
    /// Its name in `bench.json`.
    pub name: String,
    /// Units of work per second.
    pub unit: &'static str,
    /// On the virtual GPU, beside native code in the same process.
    pub ours: Vec<Sample>,
    /// On the peer, likewise; or why not.
    pub peer: Result<Vec<Sample>, String>,
    /// What else has to be known to read it; may be empty.
    pub note: String,
}

/// Ratios' median, and the distance of the extremes by it.
fn ratio(samples: &[Sample]) -> (f64, f64) {
    let ratios = sorted(samples.iter().map(|sample| sample.device / sample.native));
    let ratio = ratios[ratios.len() / 2];
    (ratio, (ratios[ratios.len() - 1] - ratios[0]) / ratio)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let values = sorted(values);
    values[values.len() / 2]
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The table's first line.
pub fn print_header() {
    println!(
        "{:<24} {:>9} {:>7} {:>10} {:>10}  {:<10} {:>9}",
        "row", "of native", "spread", "ours", "native", "", "peer"
    );
}

impl Row {
    /// As a line of the table.
    pub fn print(&self) {
        let (ratio, spread) = ratio(&self.ours);
        let peer = match &self.peer {
            Ok(samples) => format!("{:>7.1} %", 100.0 * self::ratio(samples).0),
            Err(_) => format!("{:>9}", "-"),
        };
        let notes = [self.peer.as_ref().err().map(String::as_str).unwrap_or_default(), &self.note];
        let notes: Vec<&str> = notes.into_iter().filter(|note| !note.is_empty()).collect();
        println!(
            "{:<24} {:>7.1} % {:>5.0} % {:>10.2} {:>10.2}  {:<10} {peer}  {}",
            self.name,
            100.0 * ratio,
            100.0 * spread,
            self.of(|sample| sample.device),
            self.of(|sample| sample.native),
            self.unit,
            notes.join("; "),
        );
    }

    fn of(&self, side: fn(&Sample) -> f64) -> f64 {
        median(self.ours.iter().map(side))
    }

    /// As an element of `bench.json`.
    pub fn json(&self) -> Value {
        let (ratio, spread) = ratio(&self.ours);
        let mut row = json!({
            "name": self.name,
            "ratio": ratio,
            "ours": self.of(|sample| sample.device),
            "native": self.of(|sample| sample.native),
            "unit": self.unit,
            "spread": spread,
        });
        if let Ok(samples) = &self.peer {
            row["peer_ratio"] = json!(self::ratio(samples).0);
        }
        if !self.note.is_empty() {
            row["note"] = json!(self.note);
        }
        row
    }
}
