//! Every ioctl that a real card's clients made has a row of its name and size.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use nvidia_abi::{Abi, Access, Call, Kind};
use recording::{Event, Ioctl};

/// The recordings, and the driver that they are of.
const FOLDER: &str = "../../tests/recordings/h100";
const DRIVER: &str = "580.159.04";

fn recordings() -> Vec<PathBuf> {
    let files = Path::new(FOLDER).read_dir().expect("recordings are in the repository");
    let mut files: Vec<_> =
        files.map(|file| file.unwrap().path()).filter(|path| path.extension().unwrap() == "xz").collect();
    files.sort();
    files
}

fn ioctls(path: &Path) -> Vec<Ioctl> {
    let events = recording::open(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    events
        .into_iter()
        .filter_map(|event| if let Event::Ioctl(ioctl) = event { Some(ioctl) } else { None })
        .collect()
}

fn call(ioctl: &Ioctl) -> Call<'_> {
    Call {
        node: &ioctl.dev,
        request: u32::from_str_radix(&ioctl.cmd, 16).unwrap(),
        errno: ioctl.errno,
        before: &ioctl.outer_before,
        after: &ioctl.outer_after,
        parameters_before: &ioctl.parameters_before,
        parameters_after: &ioctl.parameters_after,
        behind: &[],
    }
}

#[test]
fn every_call_is_known_by_name_and_size() {
    let abi = Abi::of(DRIVER).unwrap();
    let mut seen = BTreeSet::new();
    let recordings: Vec<_> = recordings().into_iter().map(|path| (ioctls(&path), path)).collect();
    let ioctls = recordings
        .iter()
        .flat_map(|(ioctls, path)| ioctls.iter().zip(1..).map(move |(ioctl, line)| (ioctl, path, line)));
    let calls: Vec<_> =
        ioctls.map(|(ioctl, path, line)| (format!("{}:{line}", path.display()), call(ioctl))).collect();
    for (at, call) in &calls {
        let row = abi.of_call(call).unwrap_or_else(|| panic!("{at}: {:#x} has no row", call.request));
        assert!(row.name.is_some(), "{at}: {row:?}");
        seen.insert((row.kind, row.number));
        if call.is_uvm() {
            // The recorder took what lay behind the argument as well, which the module does not write.
            let behind = row.size.min(call.before.len());
            assert_eq!(
                call.before[behind..],
                call.after[behind..],
                "{at}: written behind {} bytes",
                row.size
            );
        }
    }
    for (at, call) in &calls {
        let Some((number, row)) = abi.of_parameters(call) else { continue };
        let row = row.unwrap_or_else(|| panic!("{at}: {number:#x} has no row"));
        seen.insert((row.kind, row.number));
        let size = abi.of_call(call).unwrap().read(call.before, "paramsSize").unwrap() as usize;
        match row.kind {
            Kind::Control => {
                assert_eq!((size, call.parameters_before.len()), (row.size, row.size), "{at}: {row:?}")
            }
            // Clients leave the size out, and the recorder took more.
            _ => {
                assert!(size == 0 || size == row.size, "{at}: {size} bytes for {row:?}");
                let behind = row.size.min(call.parameters_before.len());
                assert_eq!(
                    call.parameters_before[behind..],
                    call.parameters_after[behind..],
                    "{at}: {row:?}"
                );
            }
        }
    }
    let count = |kind| seen.iter().filter(|(of, _)| *of == kind).count();
    assert_eq!(calls.len(), 1468);
    assert_eq!([Kind::Escape, Kind::Uvm, Kind::Class, Kind::Control].map(count), [13, 16, 25, 129]);
}

/// A number that a header names is not kept by hand, so that its size comes from the compiler.
#[test]
fn what_only_recordings_show_is_said_to_be_so() {
    let abi = Abi::of(DRIVER).unwrap();
    let recorded: Vec<_> = abi.rows().filter(|row| row.access == Some(Access::Recorded)).collect();
    assert_eq!(recorded.len(), 30);
    for row in recorded {
        assert_eq!((row.name, row.fields().len()), (None, 0), "{row:?}");
    }
}

#[test]
fn lines_say_what_was_asked_and_answered() {
    let abi = Abi::of(DRIVER).unwrap();
    for name in ["smi_L", "cuinit"] {
        let ioctls = ioctls(&Path::new(FOLDER).join(format!("{name}.jsonl.xz")));
        let lines: String = ioctls.iter().map(|ioctl| abi.line(&call(ioctl)) + "\n").collect();
        let expected = Path::new("tests/lines").join(format!("{name}.txt"));
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::write(&expected, &lines).unwrap();
        }
        let expected = std::fs::read_to_string(expected).unwrap();
        for (line, expected) in lines.lines().zip(expected.lines()) {
            assert_eq!(line, expected, "UPDATE_EXPECTED=1 takes the new lines");
        }
        assert_eq!(lines.lines().count(), expected.lines().count());
    }
}
