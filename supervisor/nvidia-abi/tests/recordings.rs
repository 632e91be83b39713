//! Every ioctl that a real card's clients made has a row of its name and size.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use nvidia_abi::{Abi, Access, Behind, Call, Form, Kind, Node, Row};
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

/// Rows by their keys.
type Seen = BTreeSet<(Kind, u32)>;

fn assert_known(abi: &Abi, at: &str, call: &Call, seen: &mut Seen) {
    let outer = abi.of_call(call).unwrap_or_else(|| panic!("{at}: {:#x} has no row", call.request));
    assert!(outer.name.is_some(), "{at}: {outer:?}");
    seen.insert((outer.kind, outer.number));
    if call.is_uvm() {
        assert_unchanged_behind(outer.size, call.before, call.after, at);
    }
    let Some((number, row)) = abi.of_parameters(call) else { return };
    let row = row.unwrap_or_else(|| panic!("{at}: {number:#x} has no row"));
    seen.insert((row.kind, row.number));
    let size = outer.read(call.before, "paramsSize").unwrap() as usize;
    let (before, after) = (call.parameters_before, call.parameters_after);
    if row.kind == Kind::Control {
        assert_eq!((size, before.len()), (row.size, row.size), "{at}: {row:?}");
    } else {
        // RM ignores it and clients leave it out.
        assert!(size == 0 || size == row.size, "{at}: {size} bytes for {row:?}");
        assert_unchanged_behind(row.size, before, after, at);
    }
}

/// Where the size is not said the recorder took what lies behind a struct as well, which the module does not write.
fn assert_unchanged_behind(size: usize, before: &[u8], after: &[u8], at: &str) {
    let size = size.min(before.len());
    assert_eq!(before[size..], after[size..], "{at}: written behind {size} bytes");
}

#[test]
fn every_call_of_the_first_recordings_is_known_by_name_and_size() {
    let abi = Abi::of(DRIVER).unwrap();
    let (mut seen, mut calls) = (Seen::new(), 0);
    for name in ["ctx", "cuinit", "pynvml", "smi", "smi_L", "torch"] {
        for ioctl in ioctls(&Path::new(FOLDER).join(format!("{name}.jsonl.xz"))) {
            calls += 1;
            assert_known(&abi, &format!("{name}, call {calls}"), &call(&ioctl), &mut seen);
        }
    }
    let count = |kind| seen.iter().filter(|(of, _)| *of == kind).count();
    assert_eq!(calls, 1468);
    assert_eq!([Kind::Escape, Kind::Uvm, Kind::Class, Kind::Control].map(count), [13, 16, 25, 129]);
}

fn succeeded(abi: &Abi, call: &Call) -> bool {
    let status =
        |row: &Row| row.fields().iter().find(|field| field.form == Form::Status)?.read(call.after, 0);
    call.errno == 0 && abi.of_call(call).and_then(status).unwrap_or(0) == 0
}

/// What the tables say of sizes, nodes, parameters and parents is what a real driver let its clients do.
#[test]
fn what_succeeded_was_allowed() {
    let abi = Abi::of(DRIVER).unwrap();
    let (mut parents, mut taken) = (0, 0);
    for path in recordings() {
        // Client and handle -> class.
        let mut objects = HashMap::new();
        for (ioctl, line) in ioctls(&path).iter().zip(1..) {
            let (call, at) = (call(ioctl), format!("{}:{line}", path.display()));
            if !succeeded(&abi, &call) {
                continue;
            }
            assert_known(&abi, &at, &call, &mut Seen::new());
            let outer = abi.of_call(&call).unwrap();
            match outer.node {
                Some(Node::Control) => assert_eq!(call.node, "/dev/nvidiactl", "{at}"),
                Some(Node::Gpu) => assert_ne!(call.node, "/dev/nvidiactl", "{at}"),
                _ => {}
            }
            let Some((number, Some(row))) = abi.of_parameters(&call) else { continue };
            if !is_allocation(&call) {
                let of = ["hClient", "hObject"].map(|name| outer.read(call.before, name).unwrap());
                let class = objects.get(&(of[0], of[1])).filter(|_| row.kept.is_none());
                let is_taken = class.and_then(|class| abi.takes(*class, number));
                assert_ne!(is_taken, Some(false), "{at}: {class:x?} took {row:?}");
                taken += u32::from(is_taken.is_some());
                continue;
            }
            let class = row;
            assert!(class.is_optional || !call.parameters_before.is_empty(), "{at}: {class:?}");
            let place = class.place.as_ref().unwrap();
            let [root, parent, new] =
                ["hRoot", "hObjectParent", "hObjectNew"].map(|name| outer.read(call.after, name).unwrap());
            let is_client = place.parents.is_empty() && !place.any_parent;
            if let Some(parent) = objects.get(&(root, parent)) {
                parents += 1;
                let internal = abi.class(*parent).unwrap().place.as_ref().unwrap().internal;
                assert!(
                    place.any_parent || place.parents.contains(&internal),
                    "{at}: {class:?} below {internal}"
                );
            }
            objects.insert((if is_client { new } else { root }, new), number);
        }
    }
    assert!(parents > 200 && taken > 500, "{parents} {taken}");
}

fn is_allocation(call: &Call) -> bool {
    !call.is_uvm() && call.number() == nvidia_abi::escape::NV_ESC_RM_ALLOC
}

/// Controls that no header names are kept by hand: their numbers and sizes, nothing that the compiler could tell.
#[test]
fn what_only_recordings_show_is_in_recorded_txt() {
    let abi = Abi::of(DRIVER).unwrap();
    let mut missing = BTreeSet::new();
    for ioctl in recordings().iter().flat_map(|path| ioctls(path)) {
        let call = call(&ioctl);
        if let Some((number, None)) = abi.of_parameters(&call)
            && succeeded(&abi, &call)
        {
            missing.insert(format!("control {number:#x} ? {} recorded -\n", call.parameters_before.len()));
        }
    }
    assert!(
        missing.is_empty(),
        "tables/recorded.txt lacks\n{}",
        missing.iter().map(String::as_str).collect::<String>()
    );
    let recorded: Vec<_> = abi.rows().filter(|row| row.access == Some(Access::Recorded)).collect();
    assert!(recorded.len() >= 30);
    assert!(recorded.iter().all(|row| row.name.is_none() && row.fields().is_empty()), "{recorded:?}");
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

/// A call of RM_CONTROL with these parameters before and after.
fn control(before: &[u8], number: u32, status: u32) -> Vec<u8> {
    let mut outer = vec![0; 32];
    outer[..4].copy_from_slice(&0xc1d0_0001_u32.to_le_bytes());
    outer[8..12].copy_from_slice(&number.to_le_bytes());
    outer[24..28].copy_from_slice(&(before.len() as u32).to_le_bytes());
    outer[28..].copy_from_slice(&status.to_le_bytes());
    outer
}

#[test]
fn buffers_behind_pointers_are_told() {
    let abi = Abi::of(DRIVER).unwrap();
    let list = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0];
    let number = nvidia_abi::control::NV2080_CTRL_CMD_FB_GET_INFO;
    let outer = control(&list, number, 0);
    let call = Call {
        node: "/dev/nvidiactl",
        request: 0xc020_462a,
        errno: 0,
        before: &outer,
        after: &outer,
        parameters_before: &list,
        parameters_after: &list,
        behind: &[Behind {
            at: 8,
            before: &[8, 0, 0, 0, 0, 0, 0, 0],
            after: &[8, 0, 0, 0, 0, 0x5c, 0xfa, 4],
        }],
    };
    assert_eq!(
        abi.line(&call),
        "NV_ESC_RM_CONTROL NV2080_CTRL_CMD_FB_GET_INFO hClient=0xc1d00001 fbInfoListSize=3 fbInfoList=0x1000 \
         *fbInfoList=[8:0] → *fbInfoList=[8:0x4fa5c00] status=NV_OK"
    );
    let behind = &[Behind { at: 0, before: b"", after: b"580.159.04\0" }];
    assert_eq!(
        abi.line(&Call { behind, ..call }),
        "NV_ESC_RM_CONTROL NV2080_CTRL_CMD_FB_GET_INFO hClient=0xc1d00001 fbInfoListSize=3 fbInfoList=0x1000 \
         → *[0]=\"580.159.04\" status=NV_OK"
    );
}

#[test]
fn what_is_not_known_is_told_by_numbers() {
    let abi = Abi::of(DRIVER).unwrap();
    let call = |request, errno| Call {
        node: "/dev/nvidia0",
        request,
        errno,
        before: &[],
        after: &[],
        parameters_before: &[],
        parameters_after: &[],
        behind: &[],
    };
    assert_eq!(
        abi.line(&call(0xc008_4601, libc::EINVAL)),
        "/dev/nvidia0 0xc0084601: no such ioctl in 580.159.04 = EINVAL"
    );
    // RM_CONTROL with a byte too few is no RM_CONTROL.
    assert_eq!(abi.line(&call(0xc01f_462a, 0)), "/dev/nvidia0 0xc01f462a: no such ioctl in 580.159.04");
    let outer = control(&[1, 2], 0x2080_abcd, 0x56);
    let unknown = Call {
        before: &outer,
        after: &outer,
        parameters_before: &[1, 2],
        parameters_after: &[1, 3],
        ..call(0xc020_462a, 0)
    };
    assert_eq!(
        abi.line(&unknown),
        "NV_ESC_RM_CONTROL 0x2080abcd hClient=0xc1d00001 bytes=2 → changed=1 status=NV_ERR_NOT_SUPPORTED"
    );
}

/// A hostile program's calls are decoded too.
#[test]
fn nonsense_is_decoded_without_a_panic() {
    let abi = Abi::of(DRIVER).unwrap();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for row in abi.rows() {
        for length in [0, row.size.saturating_sub(1), row.size, row.size + 1, 7] {
            let mut bytes = |length: usize| (0..length).map(|_| random() as u8).collect::<Vec<_>>();
            let (node, request, before) = match row.kind {
                Kind::Uvm => ("/dev/nvidia-uvm", row.number, bytes(length)),
                Kind::Control => ("/dev/nvidiactl", 0xc020_462a, control(&[], row.number, 1)),
                Kind::Class => (
                    "/dev/nvidiactl",
                    0xc030_462b,
                    [&[0; 12], &row.number.to_le_bytes()[..], &[9; 32]].concat(),
                ),
                _ => ("/dev/nvidia0", (length as u32) << 16 | row.number, bytes(length)),
            };
            let (parameters_before, parameters_after, after) =
                (bytes(length), bytes(length / 2), bytes(before.len()));
            let behind = &[Behind { at: 8, before: &bytes(5), after: &bytes(9) }];
            let call = Call {
                node,
                request,
                errno: 0,
                before: &before,
                after: &after,
                parameters_before: &parameters_before,
                parameters_after: &parameters_after,
                behind,
            };
            assert!(!abi.line(&call).contains('\n'), "{row:?}");
        }
    }
}
