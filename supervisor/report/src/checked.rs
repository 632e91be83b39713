//! What `--check` found, as text and as data.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::document::Checked;
use crate::process::Process;

/// All findings, process by process, and a line that counts them; the line alone where there are none.
pub fn text<'a>(processes: impl Iterator<Item = &'a Process>) -> String {
    let (mut text, mut counts, mut total) = (String::new(), BTreeMap::new(), 0);
    for process in processes.filter(|process| !process.checked.is_empty()) {
        let _ = writeln!(text, "{}: checks found:", process.title());
        for (found, times) in &process.checked {
            let (first, rest) = found.split_once('\n').unwrap_or((found, ""));
            let _ = writeln!(text, "{first}{}", times_text(*times));
            for line in rest.lines() {
                let _ = writeln!(text, "{line}");
            }
            *counts.entry(check_of(found)).or_insert(0) += 1;
            total += 1;
        }
    }
    let each: Vec<String> = counts.iter().map(|(check, count)| format!("{check} {count}")).collect();
    let _ = match total {
        0 => writeln!(text, "checks: no findings"),
        1 => writeln!(text, "checks: 1 finding: {}", each.join(", ")),
        _ => writeln!(text, "checks: {total} findings: {}", each.join(", ")),
    };
    text
}

/// The findings of a process.
pub fn all(process: &Process) -> Vec<Checked> {
    let one = |(text, times): &(String, u64)| {
        let mut lines = text.lines().map(|line| line.trim().to_owned());
        Checked {
            check: check_of(text).to_owned(),
            what: lines.next().unwrap_or_default(),
            r#where: lines.collect(),
            times: *times,
        }
    };
    process.checked.iter().map(one).collect()
}

fn times_text(times: u64) -> String {
    if times > 1 { format!(" ({times} times)") } else { String::new() }
}

/// `memory`, `race`, `init` or `leak`: what a finding's text begins with.
fn check_of(text: &str) -> &str {
    text.split_once(':').map_or("other", |(check, _)| check)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use wire::control::NoteKind;

    use super::*;

    #[test]
    fn a_finding_is_listed_once_with_its_newest_count() {
        let mut process = Process::new(7, Path::new("/usr/bin/client"));
        let found = "memory: write of 4 bytes at 0x1000: no allocation is near\n  kernel `k`";
        process.noted(NoteKind::Checked, 1, found);
        process.noted(NoteKind::Checked, 64, found);
        process.noted(NoteKind::Checked, 1, "race: read of 1 byte");
        let expected = "\
`client` (pid 7): checks found:
memory: write of 4 bytes at 0x1000: no allocation is near (64 times)
  kernel `k`
race: read of 1 byte
checks: 2 findings: memory 1, race 1
";
        assert_eq!(text([process].iter()), expected);
        assert_eq!(text([].into_iter()), "checks: no findings\n");
    }
}
