//! Files of recordings.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Error, ErrorKind, Write};
use std::path::Path;

use crate::event::Event;

/// Reads a recording, compressed by xz if its name says so.
pub fn open(path: &Path) -> io::Result<Vec<Event>> {
    let file = BufReader::new(File::open(path)?);
    if path.extension().is_some_and(|extension| extension == "xz") {
        read(BufReader::new(lzma_rust2::XzReader::new(file, true)))
    } else {
        read(file)
    }
}

/// Writes one line of a recording.
pub fn write(event: &Event, out: &mut impl Write) -> io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    out.write_all(&line)
}

/// Reads a recording. An error names the line.
pub fn read(lines: impl BufRead) -> io::Result<Vec<Event>> {
    let event = |(number, line): (usize, io::Result<String>)| {
        serde_json::from_str(&line?)
            .map_err(|error| Error::new(ErrorKind::InvalidData, format!("line {}: {error}", number + 1)))
    };
    lines.lines().enumerate().map(event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_line_is_named() {
        let whole =
            r#"{"dev":"/dev/nvidiactl","cmd":"c00846d6","nr":214,"rc":0,"errno":0,"in":"00","out":"00"}"#;
        assert_eq!(read(format!("{whole}\n{whole}\n").as_bytes()).unwrap().len(), 2);
        for broken in ["{", r#"{"dev":"/dev/nvidiactl"}"#, &whole.replace("\"in\":\"0", "\"in\":\"")] {
            let error = read(format!("{whole}\n{broken}\n").as_bytes()).unwrap_err();
            assert!(error.to_string().starts_with("line 2: "), "{error}");
        }
    }
}
