//! What is set through the nodes, NVML tells, and the other way round; who is not root is refused as by the real driver.

use std::path::Path;
use std::process::Command;

/// What `rm-sets` prints.
const EXPECTED: &str = "\
compute mode: nodes 2: 0x0, told 2 2
compute mode: NVML 0: 0, told 0 0
persistence: nodes 0: 0x0, told 0 0
persistence: NVML 1: 0, told 1 1
accounting: nodes 1: 0x0, told 1 1
accounting: NVML 0: 0, told 0 0
drain state: nodes 1: 0x0, told 1 1
drain state: NVML 0: 0, told 0 0
pending ECC: nodes 0: 0x0, told 0 0
pending ECC: NVML 1: 0, told 1 1
pending MIG: nodes 1: 0x0, told 1 1
pending MIG: NVML 0: 0, told 0 0
application clock: nodes 1500: 0x0, told 1500 1500
application clock: NVML 1980: 0, told 1980 1980
power limit: nodes 300000: 0x0, told 300000 300000
power limit: NVML 700000: 0, told 700000 700000
locked clocks: nodes 1500: 0x0, runs at 1500
locked clocks: nodes none: 0x0, runs at 345
reset: nodes: 0x0, power limit 700000
compute mode: nobody 2: 0x1b, told 0 0
persistence: nobody 0: 0x1b, told 1 1
accounting: nobody 1: 0x1b, told 0 0
drain state: nobody 1: 0x1b, told 0 0
pending ECC: nobody 0: 0x1b, told 1 1
pending MIG: nobody 1: 0x1b, told 0 0
application clock: nobody 1500: 0x1b, told 1980 1980
power limit: nobody 300000: 0x1b, told 700000 700000
locked clocks: nodes 1500: 0x1b, runs at 345
reset: nodes: 0x1b, power limit 700000
";

#[test]
fn nodes_and_nvml_set_and_tell_the_same() {
    // SAFETY: a question without arguments.
    if unsafe { libc::geteuid() } != 0 {
        return println!("skipped: only root may set anything");
    }
    let program = env!("CARGO_BIN_EXE_rm-sets");
    for mechanism in ["notify", "ptrace"] {
        let run = Command::new(Path::new(program).with_file_name("vgpu-run"))
            .args(["--mechanism", mechanism, "--report", "--gpu", "h100", program])
            .output()
            .expect("`make build` makes it");
        let (text, report) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        assert!(run.status.success(), "{mechanism}: {text}{report}");
        assert_eq!(text, EXPECTED, "{mechanism}");
        assert!(
            report.contains("has set GPU 0, NVIDIA H100 80GB HBM3: compute mode 2"),
            "{mechanism}: {report}"
        );
    }
}
