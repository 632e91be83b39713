//! The generator, on headers that were made up for it: a table says what they say, and of a later release what differs.

use std::fs;
use std::path::Path;
use std::process::Command;

const HEADERS: &str = "tests/headers";
const TABLE: &str = "\
version 550.54.14
class 0x80 NV01_DEVICE_0 16 optional user Device:Base<RmClientResource,Other deviceId@0:u32 vaSize@8:u64
class 0xffff0001 NV01_MEMORY 4 required admin Memory:Base<any value@0:handle
control 0x20800145 subdeviceCtrlCmdGpuAcquire 0 nice Subdevice
control 0x20800b01 NV2080_CTRL_CMD_OLD_GET_TEXT 16 none - text@8:ptr
control 0x20801303 NV2080_CTRL_CMD_FB_GET_INFO_V2 28 user Subdevice,Base/kept fbInfoListSize@0:u32 fbInfoList.index[3*8]@4:u32 fbInfoList.data[3*8]@8:u32
control 0x2080220c NV2080_CTRL_CMD_RC_RELEASE 0 user Subdevice
control 0x20802a01 NV2080_CTRL_CMD_CE_GET_CAPS 32 admin Subdevice/by-input ceEngineType@0:u32 capsTblSize@4:u32 capsTbl@8:ptr>capsTblSize*8:out \
fd@16:fd low@20:bits0:3 high@20:bits3:5 text.name[8]@24:char text.words[2]@24:u32
escape 0x29 NV_ESC_RM_FREE 12 one control hRoot@0:handle hObject@4:handle status@8:status
escape 0x2a NV_ESC_RM_CONTROL 24 one any hClient@0:handle cmd@4:u32 params@8:ptr>paramsSize*1:inout paramsSize@16:u32 status@20:status
escape 0xc9 NV_ESC_REGISTER_FD 4 one gpu ctl_fd@0:fd
escape 0xd4 NV_ESC_ATTACH_GPUS_TO_FD 4 many any value@0:u32
index 0x20801303 NV2080_CTRL_FB_INFO_INDEX_ fbInfoList.index BAR1_SIZE=5 HEAP_FREE=22
status 0x0 NV_OK
status 0x56 NV_ERR_NOT_SUPPORTED
uvm 0x25 UVM_REGISTER_GPU 24 gpu_uuid[16]@0:u8 rmCtrlFd@16:fd rmStatus@20:status
uvm 0x30000002 UVM_DEINITIALIZE 0
version 550.54.15 550.54.14
control 0x20801303 NV2080_CTRL_CMD_FB_GET_INFO_V2 36 user Subdevice,Base/kept fbInfoListSize@0:u32 fbInfoList.index[4*8]@4:u32 fbInfoList.data[4*8]@8:u32
no control 0x20800145
";

fn git(checkout: &Path, words: &[&str]) {
    let identity =
        ["-c", "user.name=nobody", "-c", "user.email=nobody@localhost", "-c", "commit.gpgsign=false"];
    let run = Command::new("git")
        .current_dir(checkout)
        .args(identity)
        .args(words)
        .output()
        .expect("git is installed");
    assert!(run.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&run.stderr));
}

fn release(checkout: &Path, tag: &str) {
    git(checkout, &["add", "--all"]);
    git(checkout, &["commit", "--quiet", "--allow-empty", "--message", tag]);
    git(checkout, &["tag", tag]);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn edit(path: &Path, old: &str, new: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(old), "{path:?} has no {old}");
    fs::write(path, text.replace(old, new)).unwrap();
}

#[test]
fn a_table_says_what_the_headers_say() {
    let folder = tempfile::tempdir().unwrap();
    let (checkout, tables) = (folder.path().join("module"), folder.path().join("tables"));
    copy(Path::new(HEADERS), &checkout);
    git(&checkout, &["init", "--quiet"]);
    release(&checkout, "550.54.14");
    let control = checkout.join("src/common/sdk/nvidia/inc/ctrl/ctrl2080/ctrl2080fb.h");
    edit(&control, "fbInfoList[3]", "fbInfoList[4]");
    // Nothing handles the control without a name any more.
    let handlers = checkout.join("src/nvidia/generated/g_subdevice_nvoc.c");
    edit(&handlers, "/*methodId=*/   0x20800145u", "");
    release(&checkout, "550.54.15");
    // Older than the oldest branch, and a release for developers of Vulkan.
    release(&checkout, "535.104.05");
    release(&checkout, "580.94.02");

    let run = Command::new("python3")
        .args(["-B", "generator/generate.py"])
        .args([&checkout, &tables])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let written: Vec<_> = fs::read_dir(&tables).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(written, ["550.txt"]);
    let table = fs::read_to_string(tables.join("550.txt")).unwrap();
    let (head, rows) = table.split_once('\n').unwrap();
    assert!(head.starts_with("# Written by generator/generate.py"), "{head}");
    for (row, expected) in rows.lines().zip(TABLE.lines()) {
        assert_eq!(row, expected);
    }
    assert_eq!(rows.lines().count(), TABLE.lines().count(), "{rows}");
}
