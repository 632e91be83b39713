//! What is set on cards, through nvidia-ml-py and our `nvidia-smi`: every process of the session sees it, the cards behave so, and
//! only root may. `subject.py` (in `tests/src`) is the program: it says what NVML and CUDA answer.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tests::{Subject, is_root, skipped};

/// Errors of NVML, as the program says them.
const INVALID_ARGUMENT: i64 = -2;
const NOT_SUPPORTED: i64 = -3;
const NO_PERMISSION: i64 = -4;
const NOT_FOUND: i64 = -6;

/// `CUDA_ERROR_DEVICE_UNAVAILABLE`
const UNAVAILABLE: u32 = 46;

/// The program, as root; `None`: it cannot be here.
fn start(gpu: &str, options: &[&str]) -> Option<Subject> {
    if !is_root() {
        skipped("only root may set anything");
        return None;
    }
    Subject::start(gpu, options)
}

/// Sets something that can be set.
fn set(subject: &mut Subject, setter: &str) {
    let answer = subject.ask(&format!("of(0, {setter})"));
    // Some setters of nvidia-ml-py answer nothing, some `NVML_SUCCESS`, this one whether the mode is in force.
    let is_done = answer.is_null() || answer == 0 || setter.starts_with("'SetMigMode'");
    assert!(is_done, "{setter}: {answer}");
}

/// What our nvidia-smi says to root; its status is 0.
fn smi(subject: &mut Subject, arguments: &str) -> String {
    let (status, text) = subject.smi(arguments);
    assert_eq!(status, 0, "{arguments}: {text}");
    text
}

#[test]
fn what_one_process_sets_others_see() {
    let Some(mut subject) = start("h100", &[]) else { return };
    let as_it_comes = json!({
        "power": [700_000, 700_000], "applications": [2619, 1980], "compute": 0, "persistence": 1,
        "accounting": 0, "ecc": [1, 1], "mig": [0, 0],
    });
    assert_eq!(subject.ask("settings(0)"), as_it_comes);
    for setter in [
        "'SetPowerManagementLimit', 300000",
        "'SetApplicationsClocks', 1593, 1200",
        "'SetComputeMode', nvml.NVML_COMPUTEMODE_PROHIBITED",
        "'SetPersistenceMode', 0",
        "'SetAccountingMode', 1",
        "'SetEccMode', 0",
        "'SetMigMode', 1",
    ] {
        set(&mut subject, setter);
    }
    let changed = json!({
        "power": [300_000, 300_000], "applications": [1593, 1200], "compute": 2, "persistence": 0,
        "accounting": 1, "ecc": [1, 0], "mig": [0, 1],
    });
    assert_eq!(
        [subject.ask("settings(0)"), subject.ask("elsewhere('settings(0)')")],
        [changed.clone(), changed]
    );
    assert_eq!(subject.ask("of(0, 'GetDefaultApplicationsClock', nvml.NVML_CLOCK_GRAPHICS)"), 1980);
    assert_eq!(subject.ask("of(0, 'GetPowerManagementDefaultLimit')"), 700_000);
    if subject.has_our_smi() {
        let query = "power.limit,clocks.applications.memory,compute_mode,persistence_mode,accounting.mode,ecc.mode.pending,mig.mode.pending";
        let told = smi(&mut subject, &format!("'--query-gpu={query}', '--format=csv,noheader'"));
        assert_eq!(told, "300.00 W, 1593 MHz, Prohibited, Disabled, Enabled, Disabled, Enabled\n");
    }
    let report = subject.end();
    assert!(report.contains("has set GPU 0, NVIDIA H100 80GB HBM3: power limit, mW 300000"), "{report}");
}

#[test]
fn two_cards_are_set_apart() {
    let Some(mut subject) = start("t4", &["--gpus", "2"]) else { return };
    set(&mut subject, "'SetPowerManagementLimit', 60000");
    assert_eq!(
        subject.ask("[of(card, 'GetPowerManagementLimit') for card in (0, 1)]"),
        json!([60_000, 70_000])
    );
    subject.end();
}

#[test]
fn values_that_a_card_cannot_have_are_refused() {
    let Some(mut subject) = start("h100", &[]) else { return };
    for wrong in [
        "'SetPowerManagementLimit', 199999",
        "'SetPowerManagementLimit', 700001",
        "'SetGpuLockedClocks', 1500, 1000",
        "'SetApplicationsClocks', 2619, 1979",
        "'SetApplicationsClocks', 1000, 1980",
        "'SetComputeMode', 1",
        "'SetPersistenceMode', 2",
        "'ClearEccErrorCounts', 2",
    ] {
        assert_eq!(subject.ask(&format!("of(0, {wrong})")), INVALID_ARGUMENT, "{wrong}");
    }
    for lacking in [
        "'SetDefaultAutoBoostedClocksEnabled', 1, 0",
        "'SetAutoBoostedClocksEnabled', 1",
        "'SetTemperatureThreshold', 4, 80",
        "'SetGpuOperationMode', 0",
        "'SetAPIRestriction', 0, 1",
    ] {
        assert_eq!(subject.ask(&format!("of(0, {lacking})")), NOT_SUPPORTED, "{lacking}");
    }
    subject.end();
}

#[test]
fn a_card_is_set_to_what_its_kind_has() {
    let Some(mut pascal) = start("gtx1080", &[]) else { return };
    for lacking in [
        "'SetEccMode', 1",
        "'SetMigMode', 1",
        "'SetGpuLockedClocks', 1500, 1500",
        "'SetMemoryLockedClocks', 405, 405",
        "'SetApplicationsClocks', 5005, 1911",
        "'GetApplicationsClock', 0",
    ] {
        assert_eq!(pascal.ask(&format!("of(0, {lacking})")), NOT_SUPPORTED, "{lacking}");
    }
    set(&mut pascal, "'SetPowerManagementLimit', 150000");
    let fan =
        "[of(0, 'GetFanSpeed_v2', 0), of(0, 'GetTargetFanSpeed', 0), of(0, 'GetFanControlPolicy_v2', 0)]";
    assert_eq!(pascal.ask(fan), json!([0, 0, 0]));
    set(&mut pascal, "'SetFanSpeed_v2', 0, 55");
    assert_eq!(pascal.ask(fan), json!([55, 55, 1]));
    set(&mut pascal, "'SetDefaultFanSpeed_v2', 0");
    assert_eq!(pascal.ask(fan), json!([0, 0, 0]));
    assert_eq!(
        pascal.ask("[of(0, 'SetFanSpeed_v2', 0, 101), of(0, 'SetFanSpeed_v2', 1, 50)]"),
        json!([INVALID_ARGUMENT, INVALID_ARGUMENT])
    );
    pascal.end();
    let Some(mut turing) = start("t4", &[]) else { return };
    set(&mut turing, "'SetGpuLockedClocks', 1200, 1200");
    assert_eq!(turing.ask("of(0, 'SetMemoryLockedClocks', 405, 405)"), NOT_SUPPORTED);
    assert_eq!(turing.ask("of(0, 'GetClockInfo', nvml.NVML_CLOCK_SM)"), 1200);
    set(&mut turing, "'ResetGpuLockedClocks'");
    assert_eq!(turing.ask("of(0, 'GetClockInfo', nvml.NVML_CLOCK_SM)"), 300);
    turing.end();
}

#[test]
fn compute_modes_keep_processes_out() {
    let Some(mut subject) = start("t4", &["--gpus", "2"]) else { return };
    const COMPUTE_MODE: u32 = 20;
    assert_eq!(subject.ask("begin(0)"), 0);
    set(&mut subject, "'SetComputeMode', nvml.NVML_COMPUTEMODE_EXCLUSIVE_PROCESS");
    assert_eq!(subject.ask(&format!("[attribute(card, {COMPUTE_MODE}) for card in (0, 1)]")), json!([3, 0]));
    assert_eq!(subject.ask("[another(0), another(1), work()]"), json!([UNAVAILABLE, 0, 0]));
    assert_eq!(subject.ask("begin(0)"), 0, "who is in may have another context");
    set(&mut subject, "'SetComputeMode', nvml.NVML_COMPUTEMODE_PROHIBITED");
    assert_eq!(subject.ask("[another(0), work()]"), json!([UNAVAILABLE, 0]), "who is in stays");
    set(&mut subject, "'SetComputeMode', nvml.NVML_COMPUTEMODE_DEFAULT");
    assert_eq!(subject.ask("another(0)"), 0);
    let report = subject.end();
    assert!(
        report.contains("gets no context: GPU 0: its compute mode lets one process in, and process"),
        "{report}"
    );
    assert!(report.contains("gets no context: GPU 0: its compute mode prohibits all"), "{report}");

    // One after the other is let in: an end counts.
    let Some(mut subject) = start("t4", &[]) else { return };
    set(&mut subject, "'SetComputeMode', nvml.NVML_COMPUTEMODE_EXCLUSIVE_PROCESS");
    assert_eq!(subject.ask("[another(0), another(0)]"), json!([0, 0]));
    subject.end();
}

#[test]
fn accounts_are_kept_of_processes_that_have_ended() {
    const BYTES: u64 = 64 << 20;
    let Some(mut subject) = start("h100", &[]) else { return };
    assert_eq!(subject.ask("[of(0, 'GetAccountingPids'), account(0, 1)]"), json!([[], NOT_FOUND]));
    subject.ask(&format!("elsewhere('hold(0, {BYTES})')"));
    assert_eq!(subject.ask("of(0, 'GetAccountingPids')"), json!([]), "nobody has asked for it yet");
    set(&mut subject, "'SetAccountingMode', 1");
    assert_eq!(subject.ask("begin(0)"), 0);
    let pid = subject.ask(&format!("elsewhere('hold(0, {BYTES})')"));
    let own = subject.ask("os.getpid()");
    assert_eq!(subject.ask("of(0, 'GetAccountingPids')"), json!([own, pid]));
    let account = subject.ask(&format!("account(0, {pid})"));
    let figures: Vec<u64> = account.as_array().expect("stats").iter().filter_map(Value::as_u64).collect();
    let [is_running, peak, time, start, busy, copying] = figures[..] else { panic!("{account}") };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros() as u64;
    assert!(is_running == 0 && (BYTES..2 * BYTES + (1 << 29)).contains(&peak), "{account}");
    assert!((1..60_000).contains(&time) && (now - 60_000_000..now).contains(&start), "{account}");
    assert!(busy <= 100 && copying <= busy, "{account}");
    if subject.has_our_smi() {
        let told = smi(
            &mut subject,
            "'--query-accounted-apps=gpu_name,pid,time,gpu_util,mem_util,max_memory_usage', '--format=csv'",
        );
        let (heading, lines) = told.split_once('\n').expect("a heading");
        assert_eq!(
            heading,
            "gpu_name, pid, time [ms], gpu_utilization [%], mem_utilization [%], max_memory_usage [MiB]"
        );
        let expected =
            format!("NVIDIA H100 80GB HBM3, {pid}, {time} ms, {busy} %, {copying} %, {} MiB", peak >> 20);
        assert!(lines.lines().any(|line| line == expected), "{told}{expected}");
    }
    let running = subject.ask(&format!("account(0, {own})"));
    assert_eq!([&running[0], &running[2]], [1, 0], "{running}");
    set(&mut subject, "'ClearAccountingPids'");
    assert_eq!(subject.ask("of(0, 'GetAccountingPids')"), json!([own]), "who runs keeps its account");
    subject.end();
}

#[test]
fn counters_of_errors_begin_anew_and_rows_stay_replaced() {
    let Some(mut subject) = start("h100", &[]) else { return };
    subject.inject("ecc corrected 3");
    subject.inject("ecc uncorrected 1");
    set(&mut subject, "'ClearEccErrorCounts', nvml.NVML_VOLATILE_ECC");
    assert_eq!(subject.ask("errors(0)"), json!([0, 1, 3, 0, 0]));
    assert_eq!(subject.ask("rows(0)[0]"), json!([0, 1, 1, 0]));
    subject.inject("ecc corrected 2");
    set(&mut subject, "'ClearEccErrorCounts', nvml.NVML_AGGREGATE_ECC");
    assert_eq!(subject.ask("errors(0)"), json!([2, 0, 0, 0, 0]));
    subject.end();
}

#[test]
fn a_reset_takes_settings_and_counters_back_where_nobody_works() {
    let Some(mut subject) = start("h100", &[]) else { return };
    if !subject.has_our_smi() {
        return skipped("NVIDIA's nvidia-smi is installed here");
    }
    subject.inject("ecc corrected 3");
    for setter in ["'SetPowerManagementLimit', 300000", "'SetGpuLockedClocks', 1500, 1500", "'SetEccMode', 0"]
    {
        set(&mut subject, setter);
    }
    let text = smi(&mut subject, "'--gpu-reset', '-i', '0'");
    assert!(text.contains(" was successfully reset.\nAll done.\n"), "{text}");
    assert_eq!(
        subject.ask("[settings(0)['power'], settings(0)['ecc'], of(0, 'GetClockInfo', 0), errors(0)]"),
        json!([[700_000, 700_000], [1, 0], 345, [0, 0, 3, 0, 0]]),
        "what waits for the machine's start goes on waiting"
    );
    set(&mut subject, "'SetPowerManagementLimit', 300000");
    assert_eq!(subject.ask("begin(0)"), 0);
    let (status, text) = subject.smi("'-r'");
    assert!(status != 0 && text.contains("is currently in use by another process"), "{text}");
    assert_eq!(subject.ask("settings(0)['power']"), json!([300_000, 300_000]), "nothing was reset");
    subject.end();
}

#[test]
fn a_card_that_is_drained_is_not_there_for_who_comes_later() {
    const INVALID_DEVICE: u32 = 101;
    let Some(mut subject) = start("t4", &["--gpus", "2"]) else { return };
    assert_eq!(subject.ask("[begin(0), drain(0, 1)]"), json!([0, 0]));
    assert_eq!(
        subject.ask("[another(0), another(1)]"),
        json!([0, INVALID_DEVICE]),
        "the second is the first"
    );
    assert_eq!(subject.ask("elsewhere('len(cards)')"), 1);
    assert_eq!(subject.ask("[work(), begin(0), len(cards)]"), json!([0, 0, 2]), "who is in stays");
    if subject.has_our_smi() {
        let place = subject.ask("of(0, 'GetPciInfo_v3').busId");
        assert_eq!(smi(&mut subject, "'-L'").lines().count(), 1);
        let told = smi(&mut subject, &format!("'drain', '-p', {place}, '-q', '-m', '0', '-q'"));
        let id = "GPU 00000000:01:00.0";
        let expected = format!(
            "The current drain state of {id} is: draining.\nSuccessfully set {id} drain state to: not draining.\n\
             The current drain state of {id} is: not draining.\n"
        );
        assert_eq!(told, expected);
    }
    assert_eq!(subject.ask("[drain(0, 0), another(1), drain(0, 2)]"), json!([0, 0, INVALID_ARGUMENT]));
    subject.end();
    // One that knows of the card already, and comes too late.
    let Some(mut subject) = start("t4", &[]) else { return };
    assert_eq!(
        subject.ask("[cuda.cuInit(0), drain(0, 1), begin(0), another(0)]"),
        json!([0, 0, UNAVAILABLE, 100])
    );
    let report = subject.end();
    assert!(report.contains("gets no context: GPU 0: it is being drained"), "{report}");
}

#[test]
fn who_is_not_root_is_refused() {
    let Some(mut subject) = start("h100", &[]) else { return };
    for setter in [
        "'SetPowerManagementLimit', 300000",
        "'SetPowerManagementLimit', 1",
        "'SetGpuLockedClocks', 1500, 1500",
        "'ResetGpuLockedClocks'",
        "'SetApplicationsClocks', 2619, 1980",
        "'SetComputeMode', 2",
        "'SetPersistenceMode', 0",
        "'SetAccountingMode', 1",
        "'ClearAccountingPids'",
        "'SetEccMode', 0",
        "'ClearEccErrorCounts', 0",
        "'SetMigMode', 1",
        "'SetAPIRestriction', 1, 1",
    ] {
        let ask = format!("as_nobody(\"of(0, {setter})\")");
        assert_eq!(subject.ask(&ask), NO_PERMISSION, "{setter}");
    }
    assert_eq!(subject.ask("as_nobody(\"of(0, 'SetGpuOperationMode', 0)\")"), NOT_SUPPORTED);
    assert_eq!(subject.ask("as_nobody('settings(0)') == settings(0)"), true);
    assert_eq!(subject.ask("settings(0)['power'][0]"), 700_000, "nothing has changed");
    subject.end();
}

#[test]
fn nvidia_smi_changes_cards_in_the_real_ones_words() {
    let Some(mut subject) = start("h100", &[]) else { return };
    if !subject.has_our_smi() {
        return;
    }
    let card = "00000000:01:00.0";
    for (arguments, told) in [
        ("'-pl', '300'", format!("Power limit for GPU {card} was set to 300.00 W from 700.00 W.\n")),
        (
            "'-lgc', '300,1500'",
            format!("GPU clocks set to \"(gpuClkMin 300, gpuClkMax 1500)\" for GPU {card}\n"),
        ),
        ("'-rgc'", String::new()),
        (
            "'-lmc', '1593'",
            format!("Memory clocks set to \"(memClkMin 1593, memClkMax 1593)\" for GPU {card}\n"),
        ),
        ("'--reset-memory-clocks'", String::new()),
        (
            "'-ac', '2619,1500'",
            format!("Applications clocks set to \"(MEM 2619, SM 1500)\" for GPU {card}\n"),
        ),
        ("'-rac'", String::new()),
        ("'-c', 'EXCLUSIVE_PROCESS'", format!("Set compute mode to EXCLUSIVE_PROCESS for GPU {card}.\n")),
        ("'-c', '3'", format!("Compute mode is already set to EXCLUSIVE_PROCESS for GPU {card}.\n")),
        ("'-pm', '0'", format!("Disabled persistence mode for GPU {card}.\n")),
        ("'-pm', '0'", format!("Persistence mode is already Disabled for GPU {card}.\n")),
        ("'-am', '1'", format!("Enabled Accounting Mode for GPU {card}.\n")),
        ("'-caa'", String::new()),
        ("'-p', '0'", String::new()),
    ] {
        assert_eq!(smi(&mut subject, arguments), format!("{told}All done.\n"), "{arguments}");
    }
    assert_eq!(
        smi(&mut subject, "'-e', '0'"),
        format!("Disabled ECC support for GPU {card}.\nAll done.\nReboot required.\n")
    );
    let pending = format!(
        "Warning: MIG mode is in pending enable state for GPU {card}:In use by another client\n{card} is currently being used by one or more other processes (e.g. CUDA application or a monitoring application such as another instance of nvidia-smi). Please first kill all processes using the device and retry the command or reboot the system to make MIG mode effective.\nAll done.\n"
    );
    assert_eq!(smi(&mut subject, "'-mig', '1'"), pending);
    assert!(smi(&mut subject, "'-mig=0'").starts_with(&format!("Disabled MIG Mode for GPU {card}\n")));
    assert_eq!(
        subject.ask("[of(0, 'GetPowerManagementLimit'), of(0, 'GetComputeMode')]"),
        json!([300_000, 3])
    );
    let unlike = smi(&mut subject, "'-ac', '1000,10'");
    assert!(unlike.starts_with(&format!(
        "Specified clock combination \"(MEM 1000, SM 10)\" is not supported for GPU {card}. "
    )));
    let (status, text) = subject.smi("'-pl', '100'");
    let range = format!(
        "Provided power limit 100.00 W is not a valid power limit which should be between 200.00 W and 700.00 W for GPU {card}\nTerminating early due to previous errors.\n"
    );
    assert_eq!((status, text), (2, range));
    let (status, text) = subject.smi("'-pm', '7'");
    assert_eq!(
        (status, &*text),
        (2, "Option -pm takes 0/DISABLED or 1/ENABLED. Please run 'nvidia-smi -h'.\n")
    );
    subject.end();
}

#[test]
fn nvidia_smi_tells_who_may_not_and_what_a_card_has_not() {
    let Some(mut subject) = start("gtx1080", &[]) else { return };
    if !subject.has_our_smi() {
        return;
    }
    let card = "00000000:01:00.0";
    let passed_over = "Treating as warning and moving on.\nAll done.\n";
    for (arguments, told) in [
        ("'-lgc', '1500'", format!("Setting locked GPU clocks is not supported for GPU {card}.\n")),
        ("'-mig', '1'", format!("Unable to enable MIG Mode for GPU {card}: Not Supported\n")),
        ("'-ac', '5005,1911'", format!("Setting applications clocks is not supported for GPU {card}.\n")),
    ] {
        assert_eq!(smi(&mut subject, arguments), told + passed_over, "{arguments}");
    }
    let ended = "Terminating early due to previous errors.\n";
    for (arguments, told) in [
        (
            "'-pl', '150'",
            format!("Failed to set power management limit for GPU {card}: Insufficient Permissions\n"),
        ),
        ("'-pm', '0'", format!("Unable to set persistence mode for GPU {card}: Insufficient Permissions\n")),
    ] {
        let answer = subject.ask(&format!("smi_as_nobody({arguments})"));
        assert_eq!(answer, json!([4, told + ended]), "{arguments}");
    }
    subject.end();
    let Some(mut turing) = start("t4", &[]) else { return };
    let clocks = format!("The current user does not have permission to change clocks for GPU {card}.\n");
    assert_eq!(turing.ask("smi_as_nobody('-lgc', '1500')"), json!([4, clocks + ended]));
    turing.end();
}
