//! `vgpu-run inject` and `--inject`: what a program that watches its cards through nvidia-ml-py, and one that uses them, see of each
//! fault, while it waits and from the start.
//!
//! `subject.py` (in `tests/src`) is the program: it says what NVML and CUDA answer. Whatever is injected names its session, as others may run here.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use tests::{AS_NOBODY, Subject, can_be_nobody, vgpu_run};

/// NVML's kinds of events, and all of them that faults bring.
const CORRECTED: u64 = 1;
const UNCORRECTED: u64 = 2;
const XID: u64 = 8;
const ALL: u64 = CORRECTED | UNCORRECTED | XID;

/// Errors of NVML, as the program says them.
const INVALID_ARGUMENT: i64 = -2;
const NOT_SUPPORTED: i64 = -3;
const TIMEOUT: i64 = -10;
const LOST: i64 = -15;

fn inject(words: &[&str]) -> Output {
    Command::new(vgpu_run()).arg("inject").args(words).output().expect("vgpu-run")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a refused order says.
fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stdout));
    text(&output.stderr)
}

/// Card, kind and data of an event that came.
fn told(event: &Value) -> Value {
    assert!(event.is_array(), "no event, but {event}");
    json!([event[0], event[1], event[2]])
}

#[test]
fn an_xid_wakes_who_waits_and_ends_contexts() {
    let Some(mut subject) = Subject::start("h100", &[]) else { return };
    assert_eq!(subject.ask("begin(0)"), 0);
    let set = subject.ask(&format!("watch(0, {XID})"));
    assert_eq!(subject.ask(&format!("wait({set}, 0)")), TIMEOUT, "nothing has happened");
    subject.say(&format!("wait({set}, 20000)"));
    let done = subject.inject("xid 31");
    let event = subject.hear();
    assert_eq!(told(&event), json!([0, XID, 31]));
    assert!(event[3].as_f64() < Some(10.0), "{event}");
    assert_eq!(
        done,
        "GPU 0: Xid 31, GPU memory page fault; processes that lost their contexts (CUDA error 700): 1\n"
    );
    assert_eq!([subject.ask("work()"), subject.ask("work()")], [700, 700], "it sticks");
    assert_eq!(subject.ask("another(0)"), 0, "others begin anew");
    // One that ends nothing, and one that the catalogue does not have.
    for xid in [63, 555] {
        assert_eq!(subject.inject(&format!("xid {xid}")), format!("GPU 0: Xid {xid}\n"));
        assert_eq!(told(&subject.ask(&format!("wait({set}, 5000)"))), json!([0, XID, xid]));
    }
    let report = subject.end();
    assert!(report.contains("injected fault 1: GPU 0: Xid 31, GPU memory page fault\n"), "{report}");
    assert!(report.contains("the process sees CUDA error 700"), "{report}");
}

#[test]
fn a_kernel_that_does_not_end_is_ended() {
    let Some(mut subject) = Subject::start("t4", &[]) else { return };
    assert_eq!(subject.ask("begin(0)"), 0);
    subject.say("spin()");
    subject.await_line("spinning\n");
    subject.inject("xid 8");
    assert_eq!(subject.hear(), 702);
    subject.end();
}

#[test]
fn ecc_errors_are_counted_told_and_remapped() {
    let Some(mut subject) = Subject::start("h100", &[]) else { return };
    assert_eq!(subject.ask("begin(0)"), 0);
    let [one, other] =
        [format!("watch(0, {ALL})"), format!("watch(0, {UNCORRECTED})")].map(|order| subject.ask(&order));
    assert_eq!(subject.ask("rows(0)"), json!([[0, 0, 0, 0], [2560, 0, 0, 0, 0]]));
    subject.inject("ecc corrected 3");
    assert_eq!(subject.ask("errors(0)"), json!([3, 0, 3, 0, 0]));
    assert_eq!(subject.ask("work()"), 0, "a corrected error harms nobody");
    subject.inject("ecc uncorrected");
    assert_eq!(subject.ask("errors(0)"), json!([3, 1, 3, 1, 1]));
    assert_eq!(subject.ask("rows(0)"), json!([[0, 1, 1, 0], [2559, 1, 0, 0, 0]]));
    assert_eq!([subject.ask("work()"), subject.ask("work()")], [214, 214]);
    let named = json!(["CUDA_ERROR_ECC_UNCORRECTABLE", "uncorrectable ECC error encountered"]);
    assert_eq!(subject.ask("name(214)"), named);
    let events = [0; 4].map(|_| told(&subject.ask(&format!("wait({one}, 5000)"))));
    assert_eq!(
        events,
        [[0, CORRECTED, 0], [0, UNCORRECTED, 0], [0, XID, 48], [0, XID, 63]].map(|it| json!(it))
    );
    assert_eq!(told(&subject.ask(&format!("wait({other}, 5000)"))), json!([0, UNCORRECTED, 0]));
    assert_eq!(subject.ask(&format!("wait({other}, 0)")), TIMEOUT, "not what it did not ask for");
    subject.inject("ecc uncorrected 8");
    assert_eq!(subject.ask("rows(0)"), json!([[0, 8, 1, 1], [2559, 0, 0, 0, 1]]), "out of rows");
    if subject.has_our_smi() {
        let [errors, rows] =
            ["ECC", "ROW_REMAPPER"].map(|section| subject.smi(&format!("'-q', '-d', '{section}'")).1);
        let value = |(log, label): (&str, &str)| {
            let line = log.lines().find(|line| line.trim_start().starts_with(label)).expect("a line");
            line.rsplit(": ").next().unwrap_or_default().to_owned()
        };
        let labels = [
            (&*errors, "DRAM Correctable"),
            (&errors, "DRAM Uncorrectable"),
            (&rows, "Uncorrectable Error"),
            (&rows, "Pending"),
            (&rows, "Remapping Failure Occurred"),
        ];
        assert_eq!(labels.map(value), ["3", "9", "8", "Yes", "Yes"], "{errors}{rows}");
        let (_, table) = subject.smi("");
        assert!(table.lines().any(|line| line.ends_with("                   9 |")), "{table}");
    }
    subject.inject("clear");
    assert_eq!(subject.ask("errors(0)"), json!([0, 0, 0, 0, 0]));
    assert_eq!(subject.ask("rows(0)"), json!([[0, 0, 0, 0], [2560, 0, 0, 0, 0]]));
    assert_eq!(subject.ask("work()"), 214, "a context that has ended does not come back");
    subject.end();
}

#[test]
fn a_card_without_remapper_retires_pages_and_one_without_ecc_has_no_errors() {
    let Some(mut turing) = Subject::start("t4", &[]) else { return };
    assert_eq!(turing.ask("of(0, 'GetRemappedRows')"), NOT_SUPPORTED);
    turing.inject("ecc uncorrected 2");
    assert_eq!(
        turing.ask("len(of(0, 'GetRetiredPages', nvml.NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR))"),
        2
    );
    assert_eq!(turing.ask("of(0, 'GetRetiredPagesPendingStatus')"), 1);
    turing.end();
    let Some(mut pascal) = Subject::start("gtx1080", &[]) else { return };
    let refused = refusal(&pascal.try_inject("ecc corrected 1"));
    assert!(refused.contains("GPU 0, NVIDIA GeForce GTX 1080, has no ECC"), "{refused}");
    assert_eq!(pascal.ask(&format!("watch(0, {UNCORRECTED})")), NOT_SUPPORTED);
    assert_eq!(pascal.ask(&format!("watch(0, {XID})")), 1, "the second set");
    pascal.end();
}

#[test]
fn a_lost_card_is_gone_for_nvml_and_cuda_and_the_others_go_on() {
    let Some(mut subject) = Subject::start("t4", &["--gpus", "2"]) else { return };
    assert_eq!(subject.ask("begin(0)"), 0);
    let set = subject.ask(&format!("watch(1, {ALL})"));
    subject.say(&format!("wait({set}, 20000)"));
    subject.inject("lost 1");
    assert_eq!(told(&subject.hear()), json!([1, XID, 79]));
    assert_eq!(subject.ask(&format!("wait({set}, 20000)")), LOST);
    for getter in ["Name", "MemoryInfo", "UUID", "SupportedEventTypes", "ComputeRunningProcesses", "PciInfo"]
    {
        assert_eq!(subject.ask(&format!("of(1, 'Get{getter}')")), LOST, "{getter}");
    }
    assert_eq!(subject.ask("heat(1)"), json!([LOST, LOST, LOST, LOST]));
    assert_eq!(subject.ask("ask('DeviceGetHandleByIndex', 1)"), LOST);
    assert_eq!(subject.ask("[ask('DeviceGetCount'), of(0, 'GetName')]"), json!([2, "Tesla T4"]));
    assert_eq!(subject.ask("work()"), 0, "it has no context on that card");
    assert_eq!(subject.ask("[another(0), another(1)]"), json!([0, 46]));
    if subject.has_our_smi() {
        let (status, text) = subject.smi("");
        assert_eq!(status, 15, "{text}");
        let line = "Unable to determine the device handle for GPU1: GPU is lost.  Reboot the system to recover this GPU\n";
        assert!(text.starts_with(line) && text.contains("|   0  Tesla T4 "), "{text}");
    }
    assert!(
        subject.shown_by_top().contains("GPU 1 Tesla T4: 0 KiB of 1.0 GiB, lost"),
        "{}",
        subject.shown_by_top()
    );
    let refused = refusal(&subject.try_inject("thermal 95 1"));
    assert!(refused.contains("GPU 1 is lost: `clear` brings it back"), "{refused}");
    assert_eq!(subject.inject("clear"), "GPU 0: it is as new\nGPU 1: it is as new\n");
    assert_eq!(subject.ask("[of(1, 'GetName'), another(1)]"), json!(["Tesla T4", 0]));
    subject.inject("xid 79");
    assert_eq!([subject.ask("work()"), subject.ask("of(0, 'GetName')")], [json!(999), json!(LOST)]);
    subject.end();
}

#[test]
fn heat_is_read_and_slows_the_card_down() {
    let Some(mut subject) = Subject::start("h100", &[]) else { return };
    const IDLE: u64 = 1;
    const SLOWED: u64 = 0x8 | 0x20 | 0x40;
    let cold = subject.ask("heat(0)");
    assert_eq!((&cold[1], subject.ask("slowed(0)")), (&json!(IDLE), json!(false)));
    subject.inject("thermal");
    let hot = subject.ask("heat(0)");
    assert_eq!(hot[0], subject.ask("slowdown(0)"));
    assert_eq!(hot[1].as_u64().map(|reasons| reasons & SLOWED), Some(SLOWED), "{hot}");
    assert_eq!(hot[2].as_u64(), cold[2].as_u64().map(|clock| clock / 2));
    assert_eq!((&hot[3], subject.ask("slowed(0)")), (&cold[3], json!(true)));
    subject.inject("thermal 50");
    assert_eq!(subject.ask("heat(0)"), json!([50, IDLE, cold[2], cold[3]]));
    assert_eq!(subject.ask("slowed(0)"), false);
    subject.inject("clear 0");
    assert_eq!(subject.ask("heat(0)"), cold);
    subject.end();
}

#[test]
fn event_sets_have_the_documented_errors() {
    let Some(mut subject) = Subject::start("h100", &[]) else { return };
    let set = subject.ask("watch(0, 0)");
    assert_eq!(subject.ask("of(0, 'GetSupportedEventTypes')"), 0xff9f);
    assert_eq!(subject.ask(&format!("of(0, 'RegisterEvents', 1 << 16, sets[{set}])")), NOT_SUPPORTED);
    subject.inject("xid 13");
    assert_eq!(subject.ask(&format!("wait({set}, 1)")), TIMEOUT, "it is registered for nothing");
    assert_eq!(subject.ask(&format!("of(0, 'RegisterEvents', {XID}, sets[{set}])")), Value::Null);
    assert_eq!(subject.ask(&format!("wait({set}, 1)")), TIMEOUT, "that was before");
    subject.inject("xid 13");
    assert_eq!(told(&subject.ask(&format!("wait({set}, 5000)"))), json!([0, XID, 13]));
    assert_eq!(subject.ask(&format!("free({set})")), Value::Null);
    assert_eq!(subject.ask(&format!("free({set})")), INVALID_ARGUMENT);
    assert_eq!(subject.ask(&format!("wait({set}, 1)")), INVALID_ARGUMENT);
    subject.end();
}

#[test]
fn faults_from_the_start_are_there_when_a_program_looks() {
    let options = ["--inject", "ecc corrected 5", "--inject", "lost 1", "--gpus", "2"];
    let Some(mut subject) = Subject::start("t4", &options) else { return };
    assert_eq!(subject.ask("[errors(0)[0], cards[1]]"), json!([5, LOST]));
    assert_eq!(subject.ask("another(1)"), 46);
    let report = subject.end();
    assert!(report.contains("injected fault 1: GPU 0: 5 corrected ECC errors\n"), "{report}");
    assert!(report.contains("injected fault 2: GPU 1: it is lost\n"), "{report}");

    let Some(subject) = Subject::start("gtx1080", &["--inject", "ecc corrected"]) else { return };
    let report = subject.end();
    assert!(report.contains("what --inject says did not happen: 1 corrected ECC error"), "{report}");
    let run =
        |options: &[&str]| Command::new(vgpu_run()).args(options).arg("true").output().expect("vgpu-run");
    let none = refusal(&run(&["--inject", "lost 3"]));
    assert!(none.contains("there is no GPU 3") && none.contains("--gpus"), "{none}");
    let wrong = refusal(&run(&["--inject", "fire"]));
    assert!(wrong.contains("there is no fault `fire`; faults are: xid N"), "{wrong}");
}

#[test]
fn of_several_sessions_one_is_named() {
    let (Some(mut one), Some(mut other)) = (Subject::start("t4", &[]), Subject::start("t4", &[])) else {
        return;
    };
    let several = refusal(&inject(&["ecc", "corrected", "1"]));
    assert!(several.contains("several sessions run: choose one with `--session PID`"), "{several}");
    for subject in [&one, &other] {
        assert!(several.contains(&format!("--session {}: ", subject.supervisor())), "{several}");
    }
    one.inject("ecc corrected 1");
    let by_supervisor = inject(&["--session", &other.supervisor().to_string(), "ecc", "corrected", "2"]);
    assert!(by_supervisor.status.success(), "{}", text(&by_supervisor.stderr));
    assert_eq!([one.ask("errors(0)[0]"), other.ask("errors(0)[0]")], [1, 2]);
    let nobody = refusal(&inject(&["--session", "1", "lost"]));
    assert!(nobody.contains("no session of this user is of process 1\n"), "{nobody}");
    one.end();
    other.end();
}

/// The order comes to the session of a process that is neither its program nor has a context. What it does beside a real GPU
/// `scripts/host-engine` shows.
#[test]
fn only_a_real_gpu_has_a_limit_to_change() {
    let mut session = Command::new(vgpu_run())
        .args(["sh", "-c", "sleep 60 & echo $!; read line; kill $!"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("vgpu-run");
    let mut grandchild = String::new();
    BufReader::new(session.stdout.take().expect("a pipe")).read_line(&mut grandchild).expect("its number");
    let limit = |pid: &str| {
        let mut command = Command::new(vgpu_run());
        command.args(["limit", pid, "--memory", "1G"]).output().expect("vgpu-run")
    };
    let virtual_gpu = refusal(&limit(grandchild.trim()));
    assert!(virtual_gpu.contains("the session does not run with `--engine host`\n"), "{virtual_gpu}");
    let nobody = refusal(&limit("1"));
    assert!(nobody.contains("no session of this user is of process 1\n"), "{nobody}");
    drop(session.stdin.take());
    session.wait().expect("it ends");
}

/// By its name no other user finds it; and who knows the socket is refused by what the kernel says of the sender.
#[test]
fn other_users_are_refused() {
    if !can_be_nobody() {
        return;
    }
    let Some(mut subject) = Subject::start("t4", &[]) else { return };
    let keeper = subject.keeper().to_string();
    let mut command = Command::new(AS_NOBODY[0]);
    command.args(&AS_NOBODY[1..]).arg(vgpu_run()).args(["inject", "--session", &keeper, "lost"]);
    let refused = refusal(&command.output().expect("setpriv"));
    assert!(refused.contains(&format!("no session of this user is of process {keeper}")), "{refused}");
    let script = "
import os, re, socket, sys
os.setgroups([])
os.setuid(65534)
find = lambda kind: re.search(r'@(vgpu-run/%s/0/%s\\.\\d+)' % (kind, sys.argv[1]), open('/proc/net/unix').read()).group(1)
one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
one.bind('')
one.settimeout(10)
one.sendto(b'lost', '\\0' + find('inject'))
print(one.recv(4096).decode())
viewer = socket.socket(socket.AF_UNIX)
viewer.settimeout(10)
viewer.connect('\\0' + find('top'))
print(len(viewer.recv(4096)))";
    let mut command = Command::new("python3");
    let answer = command.args(["-c", script, &subject.supervisor().to_string()]).output().expect("python3");
    assert_eq!(
        text(&answer.stdout),
        "{\"Err\":\"the session is another user's\"}\n0\n",
        "{}",
        text(&answer.stderr)
    );
    assert_eq!(subject.ask("of(0, 'GetName')"), "Tesla T4", "nothing has happened");
    subject.end();
}

#[test]
fn wrong_words_are_named_and_the_right_ones_told() {
    for (words, mistake) in [
        (&["fire"][..], "there is no fault `fire`"),
        (&["xid"], "`xid` needs a number"),
        (&["ecc", "1"], "`ecc` needs `corrected` or `uncorrected`"),
        (&["thermal", "hot"], "`hot` is no temperature from 1 to 200"),
        (&["lost", "0", "1"], "`1` is a word too many"),
    ] {
        let refused = refusal(&inject(words));
        let expected =
            format!("`{}` is no fault\n  caused by: {mistake}\nhint: faults are: xid N", words.join(" "));
        assert!(refused.contains(&expected), "{refused}");
    }
    let nothing = inject(&[]);
    assert_eq!(nothing.status.code(), Some(125));
}
