//! What the kernels of a process cost: a table of the most expensive ones.

use std::fmt::Write;

use wire::figures::KernelCost;

use crate::document::Kernel;

/// Kernels that the text has a line for; JSON has all.
const MOST_LINES: usize = 20;
/// Characters of a name that the text has room for.
const MOST_NAME: usize = 60;

/// The kernels, the one that took longest first.
pub fn by_time(kernels: &[KernelCost]) -> Vec<Kernel> {
    let mut sorted: Vec<&KernelCost> = kernels.iter().collect();
    sorted.sort_by_key(|cost| std::cmp::Reverse(cost.time));
    sorted.into_iter().map(Kernel::from).collect()
}

/// The table of kernels in this order, if there are any.
pub fn write(text: &mut String, kernels: &[Kernel]) {
    if kernels.is_empty() {
        return;
    }
    let total: f64 = kernels.iter().map(|cost| cost.seconds).sum();
    let launches: u64 = kernels.iter().map(|cost| cost.launches).sum();
    let _ = writeln!(
        text,
        "  kernels: {launches} launches, {:.3} s; of each the time, and of it interpreted, launches, and of them",
        total
    );
    let _ = writeln!(text, "  compiled, instructions stepped, warps stopped, time to compile, code");
    let _ = writeln!(
        text,
        "  {:>9} {:>9} {:>8} {:>8} {:>9} {:>8} {:>8} {:>7}  kernel and block",
        "ms", "interpr.", "launches", "compiled", "stepped", "stops", "ms", "KiB"
    );
    for cost in kernels.iter().take(MOST_LINES) {
        let _ = writeln!(text, "  {}", line(cost));
    }
    if let Some(more) = kernels.get(MOST_LINES..).filter(|more| !more.is_empty()) {
        let seconds: f64 = more.iter().map(|cost| cost.seconds).sum();
        let _ = writeln!(text, "  {:>9.1} in {} more", seconds * 1e3, more.len());
    }
}

fn line(cost: &Kernel) -> String {
    let [x, y, z] = cost.block;
    let name: String = cost.kernel.chars().take(MOST_NAME).collect();
    format!(
        "{:>9.1} {:>9.1} {:>8} {:>8} {:>9} {:>8} {:>8.0} {:>7}  {name} {x}x{y}x{z}",
        cost.seconds * 1e3,
        cost.interpreted_seconds * 1e3,
        cost.launches,
        cost.compiled,
        cost.stepped,
        cost.stops,
        cost.compile_seconds * 1e3,
        cost.code_bytes.div_ceil(1 << 10),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn most_expensive_kernels_come_first_and_the_rest_is_summed() {
        let cost = |number: u64| KernelCost {
            kernel: format!("kernel{number}"),
            block: [32, 4, 1],
            launches: 1,
            time: Duration::from_millis(number),
            ..KernelCost::default()
        };
        let kernels: Vec<KernelCost> = (1..=22).map(cost).collect();
        let mut text = String::new();
        write(&mut text, &by_time(&kernels));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].contains("22 launches, 0.253 s"), "{text}");
        assert!(lines[3].contains("22.0") && lines[3].ends_with("kernel22 32x4x1"), "{text}");
        assert_eq!((lines.len(), lines[23].trim()), (24, "3.0 in 2 more"), "{text}");
    }
}
