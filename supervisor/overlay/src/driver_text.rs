//! The driver's text files below `/proc/driver/nvidia`. Their form is that of driver 580 (recorded on a real machine).

use crate::DriverFile;

/// What the files say of one device.
#[derive(Clone, Debug)]
pub struct DeviceText {
    /// Marketing name.
    pub name: String,
    /// `GPU-…`.
    pub uuid: String,
    /// PCI domain, bus and device.
    pub pci: [u32; 3],
    /// Version of the card's firmware for displays.
    pub video_bios: String,
}

/// All files of a driver of this version with these devices.
pub fn driver_files(version: &str, devices: &[DeviceText]) -> Vec<DriverFile> {
    let mut files = vec![file(
        "version".to_owned(),
        format!(
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {version}  Release Build  (vgpu-run)\n\
             GCC version:  none, this driver is emulated\n"
        ),
    )];
    for (minor, device) in devices.iter().enumerate() {
        let [domain, bus, slot] = device.pci;
        let place = format!("{domain:04x}:{bus:02x}:{slot:02x}.0");
        files.push(file(format!("gpus/{place}/information"), information(device, &place, minor, version)));
    }
    files
}

fn information(device: &DeviceText, place: &str, minor: usize, version: &str) -> String {
    let DeviceText { name, uuid, video_bios, .. } = device;
    let line = |field: &str, value: &str| format!("{field:<8} \t {value}\n");
    [
        line("Model:", name),
        line("IRQ:", "0"),
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

fn file(name: String, text: String) -> DriverFile {
    DriverFile { path: format!("/proc/driver/nvidia/{name}").into(), content: text.into_bytes() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_name_version_and_devices() {
        let device = DeviceText {
            name: "NVIDIA GeForce GTX 1080".into(),
            uuid: "GPU-1".into(),
            pci: [0, 6, 0],
            video_bios: "86.04".into(),
        };
        let files = driver_files("580.159.04", &[device]);
        let text = |index: usize| String::from_utf8_lossy(&files[index].content).into_owned();
        assert!(text(0).contains("x86_64  580.159.04  Release"), "{}", text(0));
        assert_eq!(files[1].path, std::path::Path::new("/proc/driver/nvidia/gpus/0000:06:00.0/information"));
        assert!(text(1).contains("NVIDIA GeForce GTX 1080\n") && text(1).contains("GPU-1\n"), "{}", text(1));
    }
}
