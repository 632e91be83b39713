//! `vgpu-run decode`: recordings as text.

use std::process::{Command, Output, Stdio};

use tests::vgpu_run;

fn decode(words: &[&str]) -> Output {
    let recordings = concat!(env!("CARGO_MANIFEST_DIR"), "/recordings/h100");
    Command::new(vgpu_run()).arg("decode").args(words).current_dir(recordings).output().unwrap()
}

fn lines(words: &[&str]) -> Vec<String> {
    let output = decode(words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn each_call_is_a_line_with_its_names() {
    // 1,468 calls in all; `ctx` names its driver in an answer of the GPU's firmware, `smi_L` in its first call.
    let files = ["ctx", "cuinit", "pynvml", "smi", "smi_L", "torch"].map(|name| format!("{name}.jsonl.xz"));
    let all = lines(&files.each_ref().map(String::as_str));
    assert_eq!(all.len(), 1468);
    assert!(all.iter().all(|line| line.starts_with("NV_ESC_") || line.starts_with("UVM_")), "{all:#?}");
}

#[test]
fn names_choose() {
    let name = lines(&["--filter", "*_NAME_STRING,!*SHORT*", "smi_L.jsonl.xz"]);
    let [line] = name.as_slice() else { panic!("{name:#?}") };
    assert!(line.starts_with("NV_ESC_RM_CONTROL NV2080_CTRL_CMD_GPU_GET_NAME_STRING hClient=0x"), "{line}");
    assert!(line.ends_with("→ gpuNameString.ascii=\"NVIDIA H100 80GB HBM3\" status=NV_OK"), "{line}");
}

#[test]
fn an_unknown_driver_is_refused_with_the_option_that_overrides() {
    let output = decode(&["--driver-abi", "580.173.02", "smi_L.jsonl.xz"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(125), true));
    assert!(
        said.contains("driver 580.173.02 are not known") && said.contains("hint: `--driver-abi 580.1"),
        "{said}"
    );
    assert_eq!(lines(&["--driver-abi", "580.142", "smi_L.jsonl.xz"]), lines(&["smi_L.jsonl.xz"]));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut child = Command::new(vgpu_run());
    let child =
        child.args(["decode", concat!(env!("CARGO_MANIFEST_DIR"), "/recordings/h100/torch.jsonl.xz")]);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
