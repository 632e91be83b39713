//! The driver's text files below `/proc/driver/nvidia`, and what sysfs says of it. Their form is that of driver 580 (recorded on a real
//! machine).

use crate::DriverFile;
use crate::numbers::Majors;
use crate::pci::{self, Slot};

/// What the files say of one device.
#[derive(Clone, Debug)]
pub struct DeviceText {
    /// Marketing name.
    pub name: String,
    /// `GPU-…`.
    pub uuid: String,
    /// Where it is plugged in.
    pub slot: Slot,
    /// Version of the card's firmware for displays.
    pub video_bios: String,
}

/// All files of a driver of this version with these devices.
pub fn driver_files(version: &str, devices: &[DeviceText]) -> Vec<DriverFile> {
    let mut files = vec![
        file(
            "version",
            format!(
                "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {version}  Release Build  (vgpu-run)\n\
                 GCC version:  none, this driver is emulated\n"
            ),
        ),
        file("params", include_str!("params.txt").to_owned()),
    ];
    for (capability, minor) in [("config", 1), ("monitor", 2)] {
        // As wide as the node is; who finds it otherwise would have to leave it so.
        let text = format!("DeviceFileMinor: {minor}\nDeviceFileMode: {}\nDeviceFileModify: 0\n", 0o444);
        files.push(file(&format!("capabilities/mig/{capability}"), text));
    }
    let known = std::fs::read_to_string("/proc/devices").unwrap_or_default();
    files.push(at("/proc/devices".to_owned(), Majors::of(&known).listed(&known)));
    // Modules say that they are there: who finds none would load them.
    for module in ["nvidia", "nvidia_uvm"] {
        files.push(at(format!("/sys/module/{module}/initstate"), "live\n".to_owned()));
    }
    files.push(at("/sys/module/nvidia/version".to_owned(), format!("{version}\n")));
    for (minor, device) in devices.iter().enumerate() {
        let [domain, bus, slot] = device.slot.place;
        let place = format!("{domain:04x}:{bus:02x}:{slot:02x}.0");
        let of_card = |name: &str| format!("gpus/{place}/{name}");
        files.push(file(&of_card("information"), information(device, &place, minor, version)));
        files.push(file(&of_card("power"), include_str!("power.txt").to_owned()));
        files.push(file(&of_card("registry"), "Binary: \"\"\n".to_owned()));
        files.extend(pci::files(&device.slot));
    }
    files
}

fn information(device: &DeviceText, place: &str, minor: usize, version: &str) -> String {
    let DeviceText { name, uuid, video_bios, .. } = device;
    let line = |field: &str, value: &str| format!("{field:<8} \t {value}\n");
    [
        line("Model:", name),
        line("IRQ:", &device.slot.irq.to_string()),
        line("GPU UUID:", uuid),
        line("Video BIOS:", video_bios),
        line("Bus Type:", "PCIe"),
        line("DMA Size:", "52 bits"),
        line("DMA Mask:", "0xfffffffffffff"),
        line("Bus Location:", place),
        line("Device Minor:", &minor.to_string()),
        line("GPU Firmware:", version),
        line("GPU Excluded:", "No"),
    ]
    .concat()
}

fn file(name: &str, text: String) -> DriverFile {
    at(format!("/proc/driver/nvidia/{name}"), text)
}

fn at(path: String, text: String) -> DriverFile {
    DriverFile { path: path.into(), content: text.into_bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_name_version_and_devices() {
        let slot = Slot {
            place: [0, 6, 0],
            device: 0x1b80_10de,
            subsystem: 0x119e_10de,
            irq: 41,
            bars: [[1 << 40, 16 << 20], [2 << 40, 256 << 20], [3 << 40, 32 << 20]],
            link: [3, 16],
            processors: "0".into(),
        };
        let device = DeviceText {
            name: "NVIDIA GeForce GTX 1080".into(),
            uuid: "GPU-1".into(),
            slot,
            video_bios: "86.04".into(),
        };
        let files = driver_files("580.159.04", &[device]);
        let text = |path: &str| {
            let file = files.iter().find(|file| file.path == std::path::Path::new(path)).expect("a file");
            String::from_utf8_lossy(&file.content).into_owned()
        };
        let version = text("/proc/driver/nvidia/version");
        assert!(version.contains("x86_64  580.159.04  Release"), "{version}");
        let card = text("/proc/driver/nvidia/gpus/0000:06:00.0/information");
        assert!(card.contains("NVIDIA GeForce GTX 1080\n") && card.contains("GPU-1\n"), "{card}");
        assert!(text("/proc/driver/nvidia/params").contains("ModifyDeviceFiles: 0\n"));
        assert_eq!(text("/sys/bus/pci/devices/0000:06:00.0/device"), "0x1b80\n");
    }
}
