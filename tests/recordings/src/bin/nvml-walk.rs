//! Calls every function of NVML and prints what each answered.
//!
//! ```text
//! nvml-walk [refused]
//! ```
//!
//! A function that crashes ends its child process; the walk goes on behind it.

use anyhow::{Context, Result, bail};
use recordings::library::Library;
use recordings::mark::mark;
use recordings::nvml::{Answer, GETTERS, REFUSED, Row, rows};
use std::io::Write;

fn main() -> Result<()> {
    let table = match std::env::args().nth(1).as_deref() {
        None => GETTERS,
        Some("refused") => REFUSED,
        Some(other) => bail!("{other}: not a table"),
    };
    let rows = rows(table);
    let mut from = 0;
    while from < rows.len() {
        let mut done = std::io::pipe()?;
        std::io::stdout().flush()?;
        // SAFETY: this process has one thread and has not loaded the library.
        match unsafe { libc::fork() } {
            -1 => bail!("fork failed"),
            0 => {
                drop(done.0);
                let result = walk(&rows[from..], &mut done.1, from == 0 && table == GETTERS);
                if let Err(error) = &result {
                    println!("{error:#}");
                }
                std::io::stdout().flush()?;
                std::process::exit(result.is_err().into());
            }
            child => {
                drop(done.1);
                let count = std::io::read_to_string(done.0)?.len();
                let status = wait_for(child)?;
                from += count;
                if status == 0 {
                    break;
                }
                if libc::WIFEXITED(status) {
                    bail!("the walk cannot start");
                }
                println!(
                    "{} killed by signal {}",
                    rows.get(from).map_or("after the last", |row| row.name),
                    libc::WTERMSIG(status)
                );
                from += 1;
            }
        }
    }
    Ok(())
}

/// Writes one byte to `done` for each row that it survived.
fn walk(rows: &[Row<'_>], done: &mut impl Write, with_specials: bool) -> Result<()> {
    let library = Library::open("libnvidia-ml.so.1")?;
    let mut device = 0_u64;
    mark("nvmlInit_v2");
    // SAFETY: the functions take these arguments; `device` is as large as a handle.
    unsafe {
        let result = library.call("nvmlInit_v2", &[]);
        println!("nvmlInit_v2 = {result}");
        if result != 0 {
            bail!("no NVML");
        }
        library.call("nvmlDeviceGetHandleByIndex_v2", &[0, &raw mut device as u64]);
    }
    if with_specials {
        specials(&library, device);
    }
    for row in rows {
        mark(row.name);
        // SAFETY: the tables were made from NVML's header.
        for answer in unsafe { row.call(&library, device) } {
            print(row.name, &answer);
        }
        std::io::stdout().flush()?;
        done.write_all(b".").context("telling how far the walk is")?;
    }
    mark("nvmlShutdown");
    // SAFETY: takes nothing.
    unsafe { library.call("nvmlShutdown", &[]) };
    Ok(())
}

fn print(name: &str, answer: &Answer) {
    let values: Vec<String> = answer.values.iter().map(u64::to_string).collect();
    print!("{name}({}) = {}", values.join(", "), answer.result);
    if let Some(version) = answer.version {
        print!(" version {:#x}", version);
    }
    for buffer in &answer.buffers {
        print!(" [{}]", hex::encode(buffer));
    }
    println!();
}

/// What one row cannot say: structures to fill, objects to make and free.
fn specials(library: &Library, device: u64) {
    field_values(library, device);
    events(library, device);
    handles(library, device);
    samples(library, device);
}

/// `nvmlFieldValue_t`: 40 bytes, the field's number first.
fn field_values(library: &Library, device: u64) {
    const FIELD: usize = 40;
    mark("nvmlDeviceGetFieldValues");
    for first in (0..400_u32).step_by(40) {
        let mut values = vec![0_u8; 40 * FIELD];
        for (at, number) in (first..first + 40).enumerate() {
            values[at * FIELD..at * FIELD + 4].copy_from_slice(&number.to_le_bytes());
        }
        // SAFETY: a device, how many fields, and room for as many.
        let result =
            unsafe { library.call("nvmlDeviceGetFieldValues", &[device, 40, values.as_mut_ptr() as u64]) };
        for field in values.chunks_exact(FIELD) {
            println!(
                "nvmlDeviceGetFieldValues {} = {result} [{}]",
                u32::from_le_bytes([field[0], field[1], field[2], field[3]]),
                hex::encode(field)
            );
        }
    }
}

fn events(library: &Library, device: u64) {
    let (mut set, mut types) = (0_u64, 0_u64);
    let mut data = [0_u8; 256];
    mark("events");
    // SAFETY: the functions take these arguments; the buffer is larger than `nvmlEventData_t`.
    unsafe {
        println!("nvmlEventSetCreate = {}", library.call("nvmlEventSetCreate", &[&raw mut set as u64]));
        println!(
            "nvmlDeviceGetSupportedEventTypes = {} {types:#x}",
            library.call("nvmlDeviceGetSupportedEventTypes", &[device, &raw mut types as u64])
        );
        println!(
            "nvmlDeviceRegisterEvents 0 = {}",
            library.call("nvmlDeviceRegisterEvents", &[device, 0, set])
        );
        for bit in 0..20 {
            println!(
                "nvmlDeviceRegisterEvents {:#x} = {}",
                1 << bit,
                library.call("nvmlDeviceRegisterEvents", &[device, 1 << bit, set])
            );
        }
        println!(
            "nvmlEventSetWait_v2 = {}",
            library.call("nvmlEventSetWait_v2", &[set, data.as_mut_ptr() as u64, 200])
        );
        println!("nvmlEventSetFree = {}", library.call("nvmlEventSetFree", &[set]));
    }
}

/// Ways to a handle, right and wrong.
fn handles(library: &Library, device: u64) {
    let mut uuid = [0_u8; 96];
    let mut serial = [0_u8; 96];
    let mut pci = [0_u8; 256];
    let mut found = 0_u64;
    mark("handles");
    // SAFETY: the functions take these arguments; the buffers are larger than what they write.
    unsafe {
        library.call("nvmlDeviceGetUUID", &[device, uuid.as_mut_ptr() as u64, 96]);
        library.call("nvmlDeviceGetSerial", &[device, serial.as_mut_ptr() as u64, 96]);
        library.call("nvmlDeviceGetPciInfo_v3", &[device, pci.as_mut_ptr() as u64]);
        // `busId` is the last member of `nvmlPciInfo_t`, at 36.
        let ways = [
            ("nvmlDeviceGetHandleByUUID", uuid.as_ptr()),
            ("nvmlDeviceGetHandleBySerial", serial.as_ptr()),
            ("nvmlDeviceGetHandleByPciBusId_v2", pci[36..].as_ptr()),
            ("nvmlDeviceGetHandleByPciBusId_v2", pci.as_ptr()),
            ("nvmlDeviceGetHandleByUUID", c"GPU-00000000-0000-0000-0000-000000000000".as_ptr().cast()),
            ("nvmlDeviceGetHandleByUUID", c"nothing of the kind".as_ptr().cast()),
            ("nvmlDeviceGetHandleBySerial", c"1".as_ptr().cast()),
            ("nvmlDeviceGetHandleByPciBusId_v2", c"0000:ff:00.0".as_ptr().cast()),
        ];
        for (name, text) in ways {
            let result = library.call(name, &[text as u64, &raw mut found as u64]);
            println!("{name} = {result} same {}", found == device);
        }
        for code in (0..30).chain([999]) {
            let function = library.function("nvmlErrorString").expect("exported since the first version");
            let text: extern "C" fn(i32) -> *const libc::c_char = std::mem::transmute(function);
            println!("nvmlErrorString {code} = {}", std::ffi::CStr::from_ptr(text(code)).to_string_lossy());
        }
    }
}

/// GPU performance monitoring: two samples and every metric between them.
fn samples(library: &Library, device: u64) {
    /// `nvmlGpmMetricsGet_t`: version, count, the two samples, then 40 bytes a metric, its number first.
    const METRICS: usize = 24;
    const METRIC: usize = 40;
    const LAST: usize = 210;
    let (mut first, mut second) = (0_u64, 0_u64);
    mark("samples");
    // SAFETY: the functions take these arguments.
    unsafe {
        println!("nvmlGpmSampleAlloc = {}", library.call("nvmlGpmSampleAlloc", &[&raw mut first as u64]));
        println!("nvmlGpmSampleAlloc = {}", library.call("nvmlGpmSampleAlloc", &[&raw mut second as u64]));
        println!("nvmlGpmSampleGet = {}", library.call("nvmlGpmSampleGet", &[device, first]));
        std::thread::sleep(std::time::Duration::from_millis(200));
        println!("nvmlGpmSampleGet = {}", library.call("nvmlGpmSampleGet", &[device, second]));
    }
    for from in (1..LAST).step_by(64) {
        let mut request = vec![0_u8; 64 << 10];
        request[..4].copy_from_slice(&1_u32.to_le_bytes());
        request[4..8].copy_from_slice(&64_u32.to_le_bytes());
        request[8..16].copy_from_slice(&first.to_le_bytes());
        request[16..24].copy_from_slice(&second.to_le_bytes());
        for at in 0..64 {
            request[METRICS + at * METRIC..][..4].copy_from_slice(&((from + at) as u32).to_le_bytes());
        }
        // SAFETY: a structure as above, in a larger buffer.
        let result = unsafe { library.call("nvmlGpmMetricsGet", &[request.as_mut_ptr() as u64]) };
        println!("nvmlGpmMetricsGet {from}.. = {result}");
        for metric in request[METRICS..].chunks_exact(METRIC).take(64) {
            println!(
                "  metric {} [{}]",
                u32::from_le_bytes([metric[0], metric[1], metric[2], metric[3]]),
                hex::encode(&metric[..24])
            );
        }
    }
    // SAFETY: the functions take these arguments; the samples came from the library.
    unsafe {
        println!("nvmlGpmSampleFree = {}", library.call("nvmlGpmSampleFree", &[first]));
        println!("nvmlGpmSampleFree = {}", library.call("nvmlGpmSampleFree", &[second]));
    }
}

fn wait_for(child: libc::pid_t) -> Result<libc::c_int> {
    let mut status = 0;
    // SAFETY: waits for a child of ours and writes its status.
    match unsafe { libc::waitpid(child, &raw mut status, 0) } {
        -1 => bail!("waitpid failed"),
        _ => Ok(status),
    }
}
