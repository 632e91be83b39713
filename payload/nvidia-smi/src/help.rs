//! What can be asked.

use crate::csv;
use crate::options::Form;
use crate::properties;

/// Below the matrix of `topo -m`.
pub const LEGEND: &str = "
Legend:

  X    = Self
  SYS  = Connection traversing PCIe as well as the SMP interconnect between NUMA nodes (e.g., QPI/UPI)
  NODE = Connection traversing PCIe as well as the interconnect between PCIe Host Bridges within a NUMA node
  PHB  = Connection traversing PCIe as well as a PCIe Host Bridge (typically the CPU)
  PXB  = Connection traversing multiple PCIe bridges (without traversing the PCIe Host Bridge)
  PIX  = Connection traversing at most a single PCIe bridge
  NV#  = Connection traversing a bonded set of # NVLinks
";

const USAGE: &str = "NVIDIA System Management Interface, as vgpu-run has it for its virtual cards

nvidia-smi [OPTION1 [ARG1]] [OPTION2 [ARG2]] ...

    -h,   --help                Print usage information and exit.
          --version             Print version information and exit.

    <no arguments>              Show a summary of the cards.
    -L,   --list-gpus           Display a list of the cards.
    -B,   --list-excluded-gpus  Display a list of excluded cards.
    -q,   --query               Display everything about the cards.
    -d,   --display=            With -q: only MEMORY, UTILIZATION, ECC, TEMPERATURE, POWER, CLOCK, COMPUTE, PIDS,
                                PERFORMANCE, SUPPORTED_CLOCKS, PAGE_RETIREMENT, ACCOUNTING, ENCODER_STATS, FBC_STATS,
                                ROW_REMAPPER, GSP_FIRMWARE_VERSION; several with commas.

          --query-gpu=          Properties of the cards; --help-query-gpu lists them.
          --query-compute-apps= Properties of processes; --help-query-compute-apps lists them.
          --query-accounted-apps= What processes used while accounting was on; --help-query-accounted-apps.
          --format=             With all of them: csv, and with commas noheader, nounits.

    -i,   --id=                 Only these cards: index, UUID, serial number or address; several with commas.
    -f,   --filename=           Write to a file.
    -l,   --loop=               Repeat after so many seconds.
    -lms, --loop-ms=            The same in milliseconds.

    -pm,  --persistence-mode=   Root only, as all that follow: 0/DISABLED, 1/ENABLED.
    -c,   --compute-mode=       Who gets contexts: 0/DEFAULT, 2/PROHIBITED, 3/EXCLUSIVE_PROCESS.
    -pl,  --power-limit=        Watts.
    -lgc, --lock-gpu-clocks=    Least and greatest MHz with a comma, or one for both; -rgc: as they come.
    -lmc, --lock-memory-clocks= The same; -rmc.
    -ac,  --applications-clocks= Memory and graphics, MHz with a comma; -rac.
    -am,  --accounting-mode=    0/DISABLED, 1/ENABLED; -caa forgets processes that have ended.
    -e,   --ecc-config=         0/DISABLED, 1/ENABLED, pending; -p resets counters: 0/VOLATILE, 1/AGGREGATE.
    -mig, --multi-instance-gpu= 0/DISABLED, 1/ENABLED, pending.
    -r,   --gpu-reset           Settings and volatile counters as after a start, if nobody has a context.

    dmon                        Cards in columns: -s pucvmet, -c lines, -d seconds.
    pmon                        Processes in columns: -s um, -c lines, -d seconds.
    topo -m                     How cards are connected.
    drain                       -p address, -m 0 or 1: whether nobody new gets contexts; -q.

Options of NVIDIA's program that are not here are refused by name.
";

/// The text of a form that is one.
pub fn text(form: Form) -> Option<String> {
    match form {
        Form::Help => Some(USAGE.to_owned()),
        Form::HelpCards => Some(names("--query-gpu", properties::queried().map(|property| property.names))),
        Form::HelpProcesses => Some(names("--query-compute-apps", csv::of_processes())),
        Form::HelpAccounts => Some(names("--query-accounted-apps", csv::of_accounts())),
        _ => None,
    }
}

fn names(switch: &str, properties: impl Iterator<Item = &'static [&'static str]>) -> String {
    let quoted =
        |names: &[&str]| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(" or ");
    let list: String = properties.map(|names| quoted(names) + "\n").collect();
    format!("List of valid properties to query for the switch \"{switch}\":\n\n{list}")
}
