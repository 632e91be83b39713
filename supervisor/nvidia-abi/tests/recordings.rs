//! Every ioctl that a real card's clients made has a row of its name and size.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use nvidia_abi::{Abi, Access, Behind, Call, Kind, Node};
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

/// What the tables say of nodes, parameters and parents is what a real driver let its clients do.
#[test]
fn what_succeeded_was_allowed() {
    let abi = Abi::of(DRIVER).unwrap();
    for path in recordings() {
        // Handle -> the class of the object, which clients choose handles for themselves and use again.
        let mut objects = HashMap::new();
        for ioctl in ioctls(&path).iter().filter(|ioctl| ioctl.rc == 0) {
            let call = call(ioctl);
            let row = abi.of_call(&call).unwrap();
            match row.node {
                Some(Node::Control) => assert_eq!(call.node, "/dev/nvidiactl", "{row:?}"),
                Some(Node::Gpu) => assert_ne!(call.node, "/dev/nvidiactl", "{row:?}"),
                _ => {}
            }
            let read = |name| row.read(call.after, name).unwrap() as u32;
            let Some((_, Some(class))) = abi.of_parameters(&call).filter(|_| class_of(&call)) else {
                continue;
            };
            if read("status") != 0 {
                continue;
            }
            assert!(class.is_optional || !call.parameters_before.is_empty(), "{class:?}");
            let place = class.place.as_ref().unwrap();
            if let Some(parent) = objects.get(&read("hObjectParent")) {
                assert!(place.any_parent || place.parents.contains(parent), "{class:?} below {parent}");
            } else {
                assert!(place.parents.is_empty(), "{class:?} has a parent that nobody made");
            }
            objects.insert(read("hObjectNew"), place.internal);
        }
        assert!(objects.len() > 3, "{path:?}");
    }
}

fn class_of(call: &Call) -> bool {
    !call.is_uvm() && call.number() == nvidia_abi::escape::NV_ESC_RM_ALLOC
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
