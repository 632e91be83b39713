//! The tables agree with themselves.

use std::collections::{HashMap, HashSet};

use nvidia_abi::{Abi, Count, Form, Kept, Kind, Row, class, control, escape, index, status, uvm, versions};

fn every_release() -> impl Iterator<Item = Abi> {
    versions().into_iter().map(|version| Abi::of(version).unwrap())
}

#[test]
fn releases_of_each_branch_are_known() {
    let versions = versions();
    for branch in ["550.", "555.", "560.", "565.", "570.", "575.", "580.", "590.", "595."] {
        assert!(versions.iter().any(|version| version.starts_with(branch)), "{branch}");
    }
    assert!(versions.contains(&"580.159.04"));
    assert_eq!(versions.iter().collect::<HashSet<_>>().len(), versions.len(), "a release has two nodes");
}

/// A node says nothing that its parent says already, and nothing twice.
#[test]
fn a_node_states_differences_only() {
    for file in std::fs::read_dir("tables").unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for node in text.split("\nversion ").skip(1) {
            let (head, lines) = node.split_once('\n').unwrap_or((node, ""));
            let mut versions = head.split('#').next().unwrap().split_whitespace();
            let version = versions.next().unwrap();
            let own = rows(&Abi::of(version).unwrap());
            let inherited = versions.next().map(|parent| rows(&Abi::of(parent).unwrap())).unwrap_or_default();
            let mut stated = HashSet::new();
            for line in lines.lines().filter(|line| !line.starts_with('#')) {
                let words: Vec<_> = line.trim_start_matches("no ").split(' ').collect();
                let key = (words[0].to_owned(), u32::from_str_radix(&words[1][2..], 16).unwrap());
                assert!(own.get(&key) != inherited.get(&key), "{version} inherits {line}");
                assert!(stated.insert(key), "{version} says twice: {line}");
            }
        }
    }
}

fn rows(abi: &Abi) -> HashMap<(String, u32), Row> {
    abi.rows().map(|row| ((format!("{:?}", row.kind).to_lowercase(), row.number), row.clone())).collect()
}

#[test]
fn names_are_unique_in_a_release() {
    for abi in every_release() {
        let mut names = HashMap::new();
        for row in abi.rows().filter(|row| row.kind != Kind::Form) {
            if let Some(name) = row.name {
                let other = names.insert(name, row);
                assert!(other.is_none(), "{}: {row:?} and {other:?}", abi.version());
                assert_eq!(abi.named(name), Some(row));
            }
        }
    }
}

/// Fields lie in their structs, counts are numbers there, and no pointer overlaps a descriptor.
#[test]
fn fields_lie_in_their_structs() {
    for abi in every_release() {
        for row in abi.rows() {
            for field in row.fields() {
                let last = field.range(field.len().saturating_sub(1)).unwrap();
                assert!(last.end <= row.size, "{}: {} of {row:?}", abi.version(), field.name);
                assert!(field.range(field.len().max(1)).is_none(), "{}", field.name);
            }
            for (field, pointee) in row.pointers() {
                if let Some(Count::Field(count) | Count::Square(count)) = pointee.map(|pointee| pointee.count)
                {
                    assert!(is_count(row, count), "{}: {} of {row:?}", abi.version(), field.name);
                }
            }
        }
    }
}

fn is_count(row: &Row, name: &str) -> bool {
    // Where fields are left out, so is the count: whoever follows such a pointer needs the row described.
    row.field(name).map_or(
        row.fields().iter().all(|field| matches!(field.form, Form::Pointer(_) | Form::Descriptor(_))),
        |field| matches!(field.form, Form::Unsigned(_)) && field.dimensions.is_empty(),
    )
}

/// Parents of a class are objects of other classes.
#[test]
fn parents_exist() {
    for abi in every_release() {
        let internal: HashSet<_> = abi.rows().filter_map(|row| Some(row.place.as_ref()?.internal)).collect();
        for row in abi.rows().filter(|row| row.kind == Kind::Class) {
            let place = row.place.as_ref().unwrap();
            let reachable = place.parents.iter().any(|parent| internal.contains(parent));
            let is_client =
                [class::NV01_ROOT, class::NV01_ROOT_NON_PRIV, class::NV01_ROOT_CLIENT].contains(&row.number);
            assert!(reachable || place.any_parent || is_client, "{}: {row:?}", abi.version());
        }
    }
}

/// Figures that `cc` and a real H100's clients gave by other ways, and what is known to have changed between branches.
#[test]
fn sizes_are_the_compilers() {
    let sizes = [
        ("550.54.14", "NV_ESC_RM_MAP_MEMORY_DMA", 56),
        ("580.65.06", "NV_ESC_RM_MAP_MEMORY_DMA", 64),
        ("570.172.08", "FERMI_VASPACE_A", 48),
        ("580.142", "FERMI_VASPACE_A", 56),
        ("580.142", "UVM_MAP_EXTERNAL_ALLOCATION", 9264),
        ("580.142", "UVM_FREE", 24),
        ("590.48.01", "UVM_FREE", 16),
        ("580.159.04", "NV2080_CTRL_CMD_FB_GET_INFO_V2", 1028),
        ("580.159.04", "NV2080_CTRL_CMD_GPU_GET_PID_INFO", 14408),
        ("580.159.04", "NV01_MEMORY_LOCAL_USER", 128),
        ("580.159.04", "NV_ESC_RM_VID_HEAP_CONTROL", 184),
    ];
    for (version, name, size) in sizes {
        assert_eq!(Abi::of(version).unwrap().named(name).unwrap().size, size, "{version} {name}");
    }
}

#[test]
fn rm_alloc_has_two_forms() {
    let abi = Abi::of("580.159.04").unwrap();
    let fields = |bytes| {
        abi.escape_of_size(escape::NV_ESC_RM_ALLOC, bytes).map(|row| row.field("pRightsRequested").is_some())
    };
    assert_eq!((fields(48), fields(32), fields(40)), (Some(true), Some(false), None));
    let cards = |bytes| abi.escape_of_size(escape::NV_ESC_CARD_INFO, bytes).is_some();
    assert_eq!((cards(72), cards(2304), cards(73), cards(0)), (true, true, false, false));
}

#[test]
fn constants_are_the_rows_numbers() {
    for abi in every_release() {
        assert_eq!(abi.escape(escape::NV_ESC_RM_CONTROL).unwrap().name, Some("NV_ESC_RM_CONTROL"));
        assert_eq!(abi.class(class::NV20_SUBDEVICE_0).unwrap().name, Some("NV20_SUBDEVICE_0"));
        assert_eq!(abi.uvm(uvm::UVM_REGISTER_GPU).unwrap().name, Some("UVM_REGISTER_GPU"));
        assert_eq!(
            abi.control(control::NV2080_CTRL_CMD_FB_GET_INFO_V2).unwrap().name,
            Some("NV2080_CTRL_CMD_FB_GET_INFO_V2")
        );
        assert_eq!(abi.status(status::NV_ERR_NO_MEMORY), Some("NV_ERR_NO_MEMORY"));
    }
}

#[test]
fn fields_are_read_and_written() {
    let abi = Abi::of("580.159.04").unwrap();
    let row = abi.control(control::NV2080_CTRL_CMD_FB_GET_INFO_V2).unwrap();
    let mut bytes = vec![0; row.size];
    let data = row.field("fbInfoList.data").unwrap();
    assert!(data.write(&mut bytes, 2, 0x1_2345_6789));
    assert_eq!(data.read(&bytes, 2), Some(0x2345_6789), "cut to its width");
    assert_eq!(bytes.iter().filter(|byte| **byte != 0).count(), 4);
    assert_eq!(data.range(2), Some(24..28));
    assert_eq!((data.read(&bytes, 127), data.read(&bytes, 128)), (Some(0), None));
    assert!(!data.write(&mut bytes[..20], 2, 1), "behind the bytes");

    let registered = abi.uvm(uvm::UVM_REGISTER_GPU).unwrap();
    let mut bytes = vec![0xff; registered.size];
    assert_eq!(registered.read(&bytes, "numaNodeId"), Some(u64::MAX), "sign-extended");
    assert!(registered.write(&mut bytes, "numaNodeId", 3) && !registered.write(&mut bytes, "nothing", 3));
    assert_eq!(registered.read(&bytes, "numaNodeId"), Some(3));
}

#[test]
fn pointers_say_what_is_behind_them() {
    let abi = Abi::of("580.159.04").unwrap();
    let pointee = |row: Option<&Row>, name: &str| {
        let Form::Pointer(Some(pointee)) = row.unwrap().field(name).unwrap().form else { panic!("{name}") };
        (pointee.count, pointee.element, pointee.read, pointee.written)
    };
    let channels = abi.control(control::NV0080_CTRL_CMD_FIFO_GET_CHANNELLIST);
    assert_eq!(pointee(channels, "pChannelHandleList"), (Count::Field("numChannels"), 4, true, false));
    let version = abi.control(control::NV0000_CTRL_CMD_SYSTEM_GET_BUILD_VERSION);
    assert_eq!(pointee(version, "pTitleBuffer"), (Count::Field("sizeOfStrings"), 1, false, true));
    let peers = abi.control(control::NV0000_CTRL_CMD_SYSTEM_GET_P2P_CAPS);
    assert_eq!(pointee(peers, "busPeerIds"), (Count::Square("gpuCount"), 4, false, true));
    assert_eq!(pointee(abi.escape(escape::NV_ESC_RM_ALLOC), "pAllocParms"), (Count::OfClass, 1, true, true));
    let cookie = pointee(abi.escape(escape::NV_ESC_RM_UNMAP_MEMORY), "pLinearAddress");
    assert_eq!(cookie.0, Count::Fixed(0), "nobody looks there");
    let queue = abi.uvm(uvm::UVM_TOOLS_INIT_EVENT_TRACKER).unwrap().field("queueBuffer").unwrap();
    assert_eq!(queue.form, Form::Pointer(None), "UVM looks there as long as it lives");
}

#[test]
fn objects_take_controls_of_what_they_are() {
    let abi = Abi::of("580.159.04").unwrap();
    assert_eq!(abi.takes(class::NV20_SUBDEVICE_0, control::NV2080_CTRL_CMD_FB_GET_INFO_V2), Some(true));
    assert_eq!(abi.takes(class::NV01_DEVICE_0, control::NV2080_CTRL_CMD_FB_GET_INFO_V2), Some(false));
    // A memory object of any class, and a channel of a later class than the one that the number has.
    assert_eq!(
        abi.takes(class::NV01_MEMORY_LOCAL_USER, control::NV0041_CTRL_CMD_GET_SURFACE_INFO),
        Some(true)
    );
    assert_eq!(
        abi.takes(class::HOPPER_CHANNEL_GPFIFO_A, control::NVC36F_CTRL_CMD_GPFIFO_GET_WORK_SUBMIT_TOKEN),
        Some(true)
    );
    assert_eq!(abi.takes(class::NV20_SUBDEVICE_0, control::NV2080_CTRL_CMD_FB_GET_INFO), None, "rewritten");
    assert_eq!(abi.takes(class::NV20_SUBDEVICE_0, 0x2080_8159), None, "recorded");
    let kept = |number| abi.control(number).unwrap().kept;
    assert_eq!(kept(control::NV2080_CTRL_CMD_GPU_GET_NAME_STRING), Some(Kept::ByInput));
    assert_eq!(kept(control::NV2080_CTRL_CMD_MC_GET_ARCH_INFO), Some(Kept::Always));
    assert_eq!(kept(control::NV2080_CTRL_CMD_FB_GET_INFO_V2), None);
}

#[test]
fn indices_have_names() {
    let abi = Abi::of("580.159.04").unwrap();
    let name = |value| abi.index(control::NV2080_CTRL_CMD_FB_GET_INFO_V2, "fbInfoList.index", value);
    assert_eq!(
        (name(index::NV2080_CTRL_FB_INFO_INDEX_HEAP_FREE), name(0), name(999)),
        (Some("HEAP_FREE"), Some("TILE_REGION_COUNT"), None)
    );
    assert_eq!(abi.index(control::NV2080_CTRL_CMD_FB_GET_INFO_V2, "fbInfoList.data", 0), None);
}

/// The page that libraries map is longer in the release that was recorded than in the one whose headers stand for it.
#[test]
fn the_page_of_user_shared_data_is_known_as_far_as_it_was_seen() {
    let page = |version| Abi::of(version).unwrap().page(class::RM_USER_SHARED_DATA).unwrap().clone();
    assert_eq!((page("570.172.08").size, page("580.142").size, page("580.159.04").size), (464, 2600, 2608));
    for version in ["580.142", "580.159.04"] {
        let offset = |name| page(version).field(name).unwrap().offset;
        assert_eq!((offset("pmaMemoryInfo.totalPmaMemory"), offset("pmaMemoryInfo.freePmaMemory")), (24, 32));
    }
}

/// A filter may let the usual requests of terminals and files through by number and size alone.
#[test]
fn usual_requests_are_no_escapes() {
    let usual = [
        libc::TCGETS,
        libc::TCSETS,
        libc::TCSETSW,
        libc::TCSBRK,
        libc::TCFLSH,
        libc::TIOCGPGRP,
        libc::TIOCSPGRP,
        libc::TIOCGSID,
        libc::TIOCGWINSZ,
        libc::TIOCSWINSZ,
        libc::TIOCSCTTY,
        libc::TIOCNOTTY,
        libc::TIOCINQ,
        libc::TIOCOUTQ,
        libc::FIONREAD,
        libc::FIONBIO,
        libc::FIOASYNC,
        libc::FIOCLEX,
        libc::FIONCLEX,
        libc::FICLONE,
        libc::FS_IOC_GETFLAGS,
        libc::FS_IOC_SETFLAGS,
        libc::BLKSSZGET,
        libc::TUNSETIFF,
        libc::SIOCGIFCONF,
        libc::SIOCGIFINDEX,
        0x802c_542a, // TCGETS2
    ];
    for abi in every_release() {
        for request in usual {
            assert!(!abi.is_escape(request as u32), "{}: {request:#x}", abi.version());
        }
        // The kernel module looks at number and size only, so a request with another type is one.
        assert!(abi.is_escape(0xc020_462a) && abi.is_escape(0x0020_002a) && abi.is_escape(0xc900_46c8));
    }
}

#[test]
fn an_unknown_release_is_refused_with_the_nearest() {
    let nearest = |asked| Abi::of(asked).err().unwrap_or_else(|| panic!("{asked} is known")).nearest;
    assert_eq!(nearest("580.173.02"), "580.159.04");
    assert_eq!(nearest("580.64"), "580.65.06");
    assert_eq!(nearest("535.129.03"), "550.54.14");
    assert_eq!(nearest("610.43.02"), "595.45.04");
    assert_eq!(nearest("580"), "580.65.06");
    assert_eq!(nearest("nonsense"), "550.54.14");
    let error = Abi::of("580.173.02").err().unwrap();
    assert_eq!(
        error.to_string(),
        "the ioctls of NVIDIA's driver 580.173.02 are not known; the nearest release that is known is 580.159.04"
    );
    assert_eq!(
        error.hint(),
        "`--driver-abi 580.159.04` takes the driver for that one; a call that differs may then fail"
    );
}
