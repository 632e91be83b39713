//! What can be asked of a card: one row a property, with the names that `--query-gpu` takes (the first heads its column; those in
//! parentheses are for `query.txt` alone), its unit, and how the value is got.

use crate::clock;
use crate::nvml::{self, Answer, Card, Error};

/// A row: of a card, or of something else that has properties.
pub struct Property<Of: 'static = Card> {
    /// All names.
    pub names: &'static [&'static str],
    /// Printed behind the value; empty: none.
    pub unit: &'static str,
    /// How it is got.
    pub get: fn(&Of) -> Answer<String>,
}

impl<Of> Property<Of> {
    /// The value without its unit.
    pub fn value(&self, of: &Of) -> Answer<String> {
        (self.get)(of)
    }

    /// The value with its unit.
    pub fn with_unit(&self, of: &Of) -> Answer<String> {
        let value = self.value(of)?;
        Ok(if self.unit.is_empty() { value } else { format!("{value} {}", self.unit) })
    }
}

/// The property of that name.
pub fn find(name: &str) -> Option<&'static Property> {
    PROPERTIES.iter().find(|property| property.names.contains(&name))
}

/// All that `--query-gpu` takes.
pub fn queried() -> impl Iterator<Item = &'static Property> + Clone {
    PROPERTIES.iter().filter(|property| !property.names[0].starts_with('('))
}

const MIB: u64 = 1 << 20;

fn mib(bytes: u64) -> String {
    (bytes / MIB).to_string()
}

fn watts(milliwatts: u32) -> String {
    format!("{}.{:02}", milliwatts / 1000, milliwatts % 1000 / 10)
}

fn hex<const DIGITS: usize>(value: u32) -> String {
    format!("0x{value:0DIGITS$X}")
}

fn switch(value: u32) -> String {
    if value == 0 { "Disabled" } else { "Enabled" }.to_owned()
}

fn yes(value: bool) -> String {
    if value { "Yes" } else { "No" }.to_owned()
}

fn is_active(card: &Card, bit: u64) -> Answer<String> {
    Ok(if card.event_reasons()? & bit != 0 { "Active" } else { "Not Active" }.to_owned())
}

fn counted(card: &Card, corrected: bool, ever: bool, location: u32) -> Answer<String> {
    card.errors_at(corrected, ever, location).map(|count| count.to_string())
}

fn total(card: &Card, corrected: bool, ever: bool) -> Answer<String> {
    card.errors(corrected, ever).map(|count| count.to_string())
}

/// A number of `nvmlEccSramErrorStatus_v1_t`, by its place behind the version.
fn sram(card: &Card, place: usize) -> Answer<String> {
    card.sram_errors().map(|status| status[place].to_string())
}

/// How far a threshold is from the greatest temperature of operation, where the card tells margins.
fn threshold_margin(card: &Card, kind: u32) -> Answer<String> {
    card.margin()?;
    Ok((i64::from(card.threshold(3)?) - i64::from(card.threshold(kind)?)).to_string())
}

fn no(_: &Card) -> Answer<String> {
    Err(Error::NOT_SUPPORTED)
}

fn none(_: &Card) -> Answer<String> {
    Ok("N/A".to_owned())
}

fn zero(_: &Card) -> Answer<String> {
    Ok("0".to_owned())
}

fn known(names: &[(u32, &str)], value: u32) -> Answer<String> {
    let name = names.iter().find(|(number, _)| *number == value);
    Ok(name.map_or_else(|| "Unknown".to_owned(), |(_, name)| (*name).to_owned()))
}

/// `nvmlBrandType_t`
const BRANDS: &[(u32, &str)] = &[
    (1, "Quadro"),
    (2, "Tesla"),
    (5, "GeForce"),
    (6, "Titan"),
    (14, "NVIDIA"),
    (15, "GeForce RTX"),
    (16, "Titan RTX"),
];

/// `nvmlDeviceArchitecture_t`
const ARCHITECTURES: &[(u32, &str)] = &[
    (2, "Kepler"),
    (3, "Maxwell"),
    (4, "Pascal"),
    (5, "Volta"),
    (6, "Turing"),
    (7, "Ampere"),
    (8, "Ada Lovelace"),
    (9, "Hopper"),
    (10, "Blackwell"),
];

/// `nvmlComputeMode_t`
const COMPUTE_MODES: &[(u32, &str)] =
    &[(0, "Default"), (1, "Exclusive_Thread"), (2, "Prohibited"), (3, "Exclusive_Process")];

/// `nvmlGpuVirtualizationMode_t`
const VIRTUALIZATION_MODES: &[(u32, &str)] =
    &[(0, "None"), (1, "Pass-Through"), (2, "VGPU"), (3, "Host VGPU")];

macro_rules! properties {
    ($($($name:literal)|+ $([$unit:literal])? => $value:expr;)*) => {
        static PROPERTIES: &[Property] = &[$(Property { names: &[$($name),+], unit: concat!($($unit)?), get: $value }),*];
    };
}

#[rustfmt::skip]
properties! {
    "timestamp" => |_| Ok(clock::now().in_tables());
    "driver_version" => |_| nvml::driver_version();
    "vgpu_driver_capability.heterogenous_multivGPU" => no;
    "count" => |_| nvml::cards().map(|cards| cards.count().to_string());
    "name" | "gpu_name" => Card::name;
    "serial" | "gpu_serial" => Card::serial;
    "uuid" | "gpu_uuid" => Card::uuid;
    "pci.bus_id" | "gpu_bus_id" => |card| card.pci().map(|pci| pci.id());
    "pci.domain" => |card| card.pci().map(|pci| hex::<4>(pci.domain));
    "pci.bus" => |card| card.pci().map(|pci| hex::<2>(pci.bus));
    "pci.device" => |card| card.pci().map(|pci| hex::<2>(pci.device));
    "pci.baseClass" => |card| card.pci().map(|pci| hex::<1>(pci.base_class));
    "pci.subClass" => |card| card.pci().map(|pci| hex::<1>(pci.sub_class));
    "pci.device_id" => |card| card.pci().map(|pci| hex::<8>(pci.device_id));
    "pci.sub_device_id" => |card| card.pci().map(|pci| hex::<8>(pci.subsystem_id));
    "vgpu_device_capability.fractional_multiVgpu" => no;
    "vgpu_device_capability.heterogeneous_timeSlice_profile" => no;
    "vgpu_device_capability.heterogeneous_timeSlice_sizes" => no;
    "vgpu_device_capability.homogeneous_placements" => no;
    "vgpu_device_capability.mig_timeSlicing" => no;
    "vgpu_device_capability.mig_timeSlicing_mode" => no;
    "pcie.link.gen.current" => |card| card.link_generation().map(|it| it.to_string());
    "pcie.link.gen.gpucurrent" => |card| card.link_generation().map(|it| it.to_string());
    "pcie.link.gen.max" => |card| card.link_generation_most().map(|it| it.to_string());
    "pcie.link.gen.gpumax" => |card| card.gpu_link_generation_most().map(|it| it.to_string());
    "pcie.link.gen.hostmax" => no;
    "pcie.link.width.current" => |card| card.link_width().map(|it| it.to_string());
    "pcie.link.width.max" => |card| card.link_width_most().map(|it| it.to_string());
    "(replays)" => |card| card.replays().map(|it| it.to_string());
    "(throughput.tx)" ["KB/s"] => |card| card.throughput(0).map(|it| it.to_string());
    "(throughput.rx)" ["KB/s"] => |card| card.throughput(1).map(|it| it.to_string());
    "index" => |card| Ok(card.index.to_string());
    "(brand)" => |card| known(BRANDS, card.brand()?);
    "(architecture)" => |card| known(ARCHITECTURES, card.architecture()?);
    "(minor)" => |card| card.minor_number().map(|it| it.to_string());
    "(board)" => |card| card.board_id().map(|it| format!("0x{it:x}"));
    "(part_number)" => Card::part_number;
    "(multi_gpu_board)" => |card| card.multi_gpu_board().map(|it| yes(it != 0));
    "(pdi)" => |card| card.pdi().map(|[_, pdi]| format!("0x{pdi:016x}"));
    "display_mode" => |_| Err(Error::DEPRECATED);
    "display_attached" => |card| card.display_mode().map(|it| yes(it != 0));
    "display_active" => |card| card.display_active().map(switch);
    "persistence_mode" => |card| card.persistence_mode().map(switch);
    "addressing_mode" => |card| card.addressing_mode().and_then(|[_, mode]| known(&[(0, "None"), (1, "HMM"), (2, "ATS")], mode));
    "accounting.mode" => |card| card.accounting_mode().map(switch);
    "accounting.buffer_size" => |card| card.accounting_buffer().map(|it| it.to_string());
    "driver_model.current" => no;
    "driver_model.pending" => no;
    "vbios_version" => Card::vbios;
    "inforom.img" | "inforom.image" => Card::inforom_image;
    "inforom.oem" => |card| card.inforom(0);
    "inforom.ecc" => |card| card.inforom(1);
    "inforom.pwr" | "inforom.power" => |card| card.inforom(2);
    "inforom.checksum_validation" => |card| card.inforom_checksum().map(|_| "valid".to_owned());
    "gpu_recovery_action" => |_| Ok("None".to_owned());
    "gom.current" | "gpu_operation_mode.current" => no;
    "gom.pending" | "gpu_operation_mode.pending" => no;
    "fan.speed" ["%"] => |card| card.fan_speed().map(|it| it.to_string());
    "pstate" => |card| card.performance_state().map(|it| format!("P{it}"));
    "clocks_event_reasons.supported" | "clocks_throttle_reasons.supported" => |card| card.supported_event_reasons().map(|it| format!("0x{it:016X}"));
    "clocks_event_reasons.active" | "clocks_throttle_reasons.active" => |card| card.event_reasons().map(|it| format!("0x{it:016X}"));
    "clocks_event_reasons.gpu_idle" | "clocks_throttle_reasons.gpu_idle" => |card| is_active(card, 0x1);
    "clocks_event_reasons.applications_clocks_setting" | "clocks_throttle_reasons.applications_clocks_setting" => |card| is_active(card, 0x2);
    "clocks_event_reasons.sw_power_cap" | "clocks_throttle_reasons.sw_power_cap" => |card| is_active(card, 0x4);
    "clocks_event_reasons.hw_slowdown" | "clocks_throttle_reasons.hw_slowdown" => |card| is_active(card, 0x8);
    "clocks_event_reasons.hw_thermal_slowdown" | "clocks_throttle_reasons.hw_thermal_slowdown" => |card| is_active(card, 0x40);
    "clocks_event_reasons.hw_power_brake_slowdown" | "clocks_throttle_reasons.hw_power_brake_slowdown" => |card| is_active(card, 0x80);
    "clocks_event_reasons.sw_thermal_slowdown" | "clocks_throttle_reasons.sw_thermal_slowdown" => |card| is_active(card, 0x20);
    "clocks_event_reasons.sync_boost" | "clocks_throttle_reasons.sync_boost" => |card| is_active(card, 0x10);
    "(display_clock)" => |card| is_active(card, 0x100);
    "clocks_event_reasons_counters.sw_power_cap" ["us"] => |card| card.field(74).map(|ns| (ns / 1000).to_string());
    "clocks_event_reasons_counters.sync_boost" ["us"] => |card| card.field(76).map(|ns| (ns / 1000).to_string());
    "clocks_event_reasons_counters.sw_thermal_slowdown" ["us"] => zero;
    "clocks_event_reasons_counters.hw_thermal_slowdown" ["us"] => |card| card.field(75).map(|ns| (ns / 1000).to_string());
    "clocks_event_reasons_counters.hw_power_brake_slowdown" ["us"] => zero;
    "memory.total" ["MiB"] => |card| card.memory().map(|memory| mib(memory.total));
    "memory.reserved" ["MiB"] => |card| card.memory().map(|memory| mib(memory.reserved));
    "memory.used" ["MiB"] => |card| card.memory().map(|memory| mib(memory.used));
    "memory.free" ["MiB"] => |card| card.memory().map(|memory| mib(memory.free));
    "(bar1.total)" ["MiB"] => |card| card.bar1().map(|[total, ..]| mib(total));
    "(bar1.free)" ["MiB"] => |card| card.bar1().map(|[_, free, _]| mib(free));
    "(bar1.used)" ["MiB"] => |card| card.bar1().map(|[.., used]| mib(used));
    "compute_mode" => |card| known(COMPUTE_MODES, card.compute_mode()?);
    "compute_cap" => |card| card.capability().map(|[major, minor]| format!("{major}.{minor}"));
    "utilization.gpu" ["%"] => |card| card.utilization().map(|[gpu, _]| gpu.to_string());
    "utilization.memory" ["%"] => |card| card.utilization().map(|[_, memory]| memory.to_string());
    "utilization.encoder" ["%"] => |card| card.encoder().map(|[share, _]| share.to_string());
    "utilization.decoder" ["%"] => |card| card.decoder().map(|[share, _]| share.to_string());
    "utilization.jpeg" ["%"] => |card| card.jpeg().map(|[share, _]| share.to_string());
    "utilization.ofa" ["%"] => |card| card.optical_flow().map(|[share, _]| share.to_string());
    "encoder.stats.sessionCount" => |card| card.encoder_stats().map(|it| it[0].to_string());
    "encoder.stats.averageFps" => |card| card.encoder_stats().map(|it| it[1].to_string());
    "encoder.stats.averageLatency" => |card| card.encoder_stats().map(|it| it[2].to_string());
    "(fbc.sessions)" => |card| card.fbc_stats().map(|it| it[0].to_string());
    "(fbc.frames)" => |card| card.fbc_stats().map(|it| it[1].to_string());
    "(fbc.latency)" => |card| card.fbc_stats().map(|it| it[2].to_string());
    "dramEncryption.mode.current" => no;
    "dramEncryption.mode.pending" => no;
    "ecc.mode.current" => |card| card.ecc_mode().map(|[current, _]| switch(current));
    "ecc.mode.pending" => |card| card.ecc_mode().map(|[_, pending]| switch(pending));
    "ecc.errors.corrected.volatile.device_memory" => |card| counted(card, true, false, 2);
    "ecc.errors.corrected.volatile.dram" => |card| counted(card, true, false, 2);
    "ecc.errors.corrected.volatile.register_file" => |card| counted(card, true, false, 3);
    "ecc.errors.corrected.volatile.l1_cache" => |card| counted(card, true, false, 0);
    "ecc.errors.corrected.volatile.l2_cache" => |card| counted(card, true, false, 1);
    "ecc.errors.corrected.volatile.texture_memory" => |card| counted(card, true, false, 4);
    "ecc.errors.corrected.volatile.cbu" => |card| counted(card, true, false, 6);
    "ecc.errors.corrected.volatile.sram" => |card| counted(card, true, false, 7);
    "ecc.errors.corrected.volatile.total" => |card| total(card, true, false);
    "ecc.errors.corrected.aggregate.device_memory" => |card| counted(card, true, true, 2);
    "ecc.errors.corrected.aggregate.dram" => |card| counted(card, true, true, 2);
    "ecc.errors.corrected.aggregate.register_file" => |card| counted(card, true, true, 3);
    "ecc.errors.corrected.aggregate.l1_cache" => |card| counted(card, true, true, 0);
    "ecc.errors.corrected.aggregate.l2_cache" => |card| counted(card, true, true, 1);
    "ecc.errors.corrected.aggregate.texture_memory" => |card| counted(card, true, true, 4);
    "ecc.errors.corrected.aggregate.cbu" => |card| counted(card, true, true, 6);
    "ecc.errors.corrected.aggregate.sram" => |card| counted(card, true, true, 7);
    "ecc.errors.corrected.aggregate.total" => |card| total(card, true, true);
    "ecc.errors.uncorrected.volatile.device_memory" => |card| counted(card, false, false, 2);
    "ecc.errors.uncorrected.volatile.dram" => |card| counted(card, false, false, 2);
    "ecc.errors.uncorrected.volatile.register_file" => |card| counted(card, false, false, 3);
    "ecc.errors.uncorrected.volatile.l1_cache" => |card| counted(card, false, false, 0);
    "ecc.errors.uncorrected.volatile.l2_cache" => |card| counted(card, false, false, 1);
    "ecc.errors.uncorrected.volatile.texture_memory" => |card| counted(card, false, false, 4);
    "ecc.errors.uncorrected.volatile.cbu" => |card| counted(card, false, false, 6);
    "ecc.errors.uncorrected.volatile.sram" => |card| counted(card, false, false, 7);
    "ecc.errors.uncorrected.volatile.total" => |card| total(card, false, false);
    "ecc.errors.uncorrected.aggregate.device_memory" => |card| counted(card, false, true, 2);
    "ecc.errors.uncorrected.aggregate.dram" => |card| counted(card, false, true, 2);
    "ecc.errors.uncorrected.aggregate.register_file" => |card| counted(card, false, true, 3);
    "ecc.errors.uncorrected.aggregate.l1_cache" => |card| counted(card, false, true, 0);
    "ecc.errors.uncorrected.aggregate.l2_cache" => |card| counted(card, false, true, 1);
    "ecc.errors.uncorrected.aggregate.texture_memory" => |card| counted(card, false, true, 4);
    "ecc.errors.uncorrected.aggregate.cbu" => |card| counted(card, false, true, 6);
    "ecc.errors.uncorrected.aggregate.sram" => |card| counted(card, false, true, 7);
    "ecc.errors.uncorrected.aggregate.total" => |card| total(card, false, true);
    "ecc.errors.uncorrected.volatile.sram.parity" => |card| sram(card, 4);
    "ecc.errors.uncorrected.volatile.sram.secded" => |card| sram(card, 5);
    "ecc.errors.uncorrected.aggregate.sram.parity" => |card| sram(card, 1);
    "ecc.errors.uncorrected.aggregate.sram.secded" => |card| sram(card, 2);
    "ecc.errors.uncorrected.aggregate.sram.thresholdExceeded" => |card| card.sram_errors().map(|status| yes(status[12] != 0));
    "ecc.errors.uncorrected.aggregate.sram.l2" => |card| sram(card, 7);
    "ecc.errors.uncorrected.aggregate.sram.sm" => |card| sram(card, 8);
    "ecc.errors.uncorrected.aggregate.sram.mcu" => |card| sram(card, 9);
    "ecc.errors.uncorrected.aggregate.sram.pcie" => |card| sram(card, 10);
    "ecc.errors.uncorrected.aggregate.sram.other" => |card| sram(card, 11);
    "(repair.channel)" => |card| card.repair_status().map(|[_, channel, _]| yes(channel != 0));
    "(repair.tpc)" => |card| card.repair_status().map(|[.., tpc]| yes(tpc != 0));
    "(unrepairable)" => |card| card.unrepairable().map(|it| yes(it != 0));
    "retired_pages.single_bit_ecc.count" | "retired_pages.sbe" => |card| card.retired_pages(0).map(|pages| pages.to_string());
    "retired_pages.double_bit.count" | "retired_pages.dbe" => |card| card.retired_pages(1).map(|pages| pages.to_string());
    "retired_pages.pending" => |card| card.retirement_pending().map(|pending| yes(pending != 0));
    "remapped_rows.correctable" | "remapped_rows.sbe" => |card| card.remapped_rows().map(|rows| rows[0].to_string());
    "remapped_rows.correctable_inactive" => |card| card.remapped_rows().map(|rows| rows[1].to_string());
    "remapped_rows.uncorrectable" | "remapped_rows.dbe" => |card| card.remapped_rows().map(|rows| rows[2].to_string());
    "remapped_rows.uncorrectable_inactive" => |card| card.remapped_rows().map(|rows| rows[3].to_string());
    "remapped_rows.pending" => |card| card.remapped_rows().map(|rows| yes(rows[4] != 0));
    "remapped_rows.failure" => |card| card.remapped_rows().map(|rows| yes(rows[5] != 0));
    "remapped_rows.histogram.max" => |card| card.remapper_histogram().map(|banks| banks[0].to_string());
    "remapped_rows.histogram.high" => |card| card.remapper_histogram().map(|banks| banks[1].to_string());
    "remapped_rows.histogram.partial" => |card| card.remapper_histogram().map(|banks| banks[2].to_string());
    "remapped_rows.histogram.low" => |card| card.remapper_histogram().map(|banks| banks[3].to_string());
    "remapped_rows.histogram.none" => |card| card.remapper_histogram().map(|banks| banks[4].to_string());
    "temperature.gpu" => |card| card.temperature(0).map(|it| it.to_string());
    "temperature.gpu.tlimit" => |card| card.margin().map(|[_, margin]| margin.to_string());
    "temperature.memory" => |card| card.field(82).map(|it| it.to_string());
    "(temperature.shutdown)" => |card| threshold_margin(card, 0);
    "(temperature.slowdown)" => |card| threshold_margin(card, 1);
    "(temperature.most)" => |card| threshold_margin(card, 3);
    "(temperature.memory.most)" => |card| card.field(82).and_then(|_| threshold_margin(card, 3));
    "power.management" => |card| card.power_mode().map(switch);
    "power.draw" ["W"] => |card| card.power().map(watts);
    "power.draw.average" | "gpu.power.draw.average" ["W"] => |card| card.field(185).map(|it| watts(it as u32));
    "power.draw.instant" | "gpu.power.draw.instant" ["W"] => |card| card.field(186).map(|it| watts(it as u32));
    "power.limit" | "gpu.power.requested_limit" ["W"] => |card| card.power_limit().map(watts);
    "enforced.power.limit" | "gpu.power.current_limit" ["W"] => |card| card.power_enforced().map(watts);
    "power.default_limit" | "gpu.power.default_limit" ["W"] => |card| card.power_default().map(watts);
    "power.min_limit" | "gpu.power.min_limit" ["W"] => |card| card.power_constraints().map(|[least, _]| watts(least));
    "power.max_limit" | "gpu.power.max_limit" ["W"] => |card| card.power_constraints().map(|[_, most]| watts(most));
    "module.power.draw.average" ["W"] => no;
    "module.power.draw.instant" ["W"] => no;
    "module.power.limit" | "module.power.requested_limit" ["W"] => no;
    "module.enforced.power.limit" | "module.power.current_limit" ["W"] => no;
    "module.power.default_limit" ["W"] => no;
    "module.power.min_limit" ["W"] => no;
    "module.power.max_limit" ["W"] => no;
    "power_smoothing.delayed_power_smoothing_supported" => no;
    "power_smoothing.primary_power_floor" ["W"] => no;
    "power_smoothing.secondary_power_floor" ["W"] => no;
    "power_smoothing.min_primary_floor_activation_offset" ["W"] => no;
    "power_smoothing.min_primary_floor_activation_point" ["W"] => no;
    "power_smoothing.window_multiplier" ["ms"] => no;
    "power_smoothing.curr_profile.secondary_power_floor" ["W"] => no;
    "power_smoothing.curr_profile.primary_floor_act_window_multiplier" => no;
    "power_smoothing.curr_profile.primary_floor_tar_window_multiplier" => no;
    "power_smoothing.curr_profile.primary_floor_act_offset" ["W"] => no;
    "power_smoothing.admin_override.secondary_power_floor" ["W"] => no;
    "power_smoothing.admin_override.primary_floor_act_window_multiplier" => no;
    "power_smoothing.admin_override.primary_floor_tar_window_multiplier" => no;
    "power_smoothing.admin_override.primary_floor_act_offset" ["W"] => no;
    "clocks.current.graphics" | "clocks.gr" ["MHz"] => |card| card.clock(0).map(|it| it.to_string());
    "clocks.current.sm" | "clocks.sm" ["MHz"] => |card| card.clock(1).map(|it| it.to_string());
    "clocks.current.memory" | "clocks.mem" ["MHz"] => |card| card.clock(2).map(|it| it.to_string());
    "clocks.current.video" | "clocks.video" ["MHz"] => |card| card.clock(3).map(|it| it.to_string());
    "clocks.applications.graphics" | "clocks.applications.gr" ["MHz"] => |card| card.clock_of_applications(0).map(|it| it.to_string());
    "clocks.applications.memory" | "clocks.applications.mem" ["MHz"] => |card| card.clock_of_applications(2).map(|it| it.to_string());
    "clocks.default_applications.graphics" | "clocks.default_applications.gr" ["MHz"] => |card| card.clock_by_default(0).map(|it| it.to_string());
    "clocks.default_applications.memory" | "clocks.default_applications.mem" ["MHz"] => |card| card.clock_by_default(2).map(|it| it.to_string());
    "clocks.max.graphics" | "clocks.max.gr" ["MHz"] => |card| card.clock_most(0).map(|it| it.to_string());
    "clocks.max.sm" ["MHz"] => |card| card.clock_most(1).map(|it| it.to_string());
    "clocks.max.memory" | "clocks.max.mem" ["MHz"] => |card| card.clock_most(2).map(|it| it.to_string());
    "(clocks.max.video)" ["MHz"] => |card| card.clock_most(3).map(|it| it.to_string());
    "(clocks.boost)" ["MHz"] => |card| card.clock_boost(0).map(|it| it.to_string());
    "mig.mode.current" => |card| card.mig_mode().map(|[current, _]| switch(current));
    "mig.mode.pending" => |card| card.mig_mode().map(|[_, pending]| switch(pending));
    "gsp.mode.current" => |card| card.gsp_mode().map(|[current, _]| switch(current));
    "gsp.mode.default" => |card| card.gsp_mode().map(|[_, usual]| switch(usual));
    "(gsp.version)" => Card::gsp_version;
    "c2c.mode" => |card| card.c2c_mode().map(switch);
    "(virtualization)" => |card| known(VIRTUALIZATION_MODES, card.virtualization()?);
    "protected_memory.total" ["MiB"] => |card| card.protected_memory().map(|[total, ..]| mib(total));
    "protected_memory.used" ["MiB"] => |card| card.protected_memory().map(|[.., used]| mib(used));
    "protected_memory.free" ["MiB"] => |card| card.protected_memory().map(|[_, free, _]| mib(free));
    "fabric.state" => none;
    "fabric.status" => none;
    "fabric.cliqueId" => none;
    "fabric.clusterUuid" => none;
    "fabric.health.summary" => none;
    "fabric.health.bandwidth" => none;
    "fabric.health.route_recovery_in_progress" => none;
    "fabric.health.route_unhealthy" => none;
    "fabric.health.access_timeout_recovery" => none;
    "fabric.health.incorrect_configuration" => none;
    "fabric.health.partition_assigned" => none;
    "platform.chassis_serial_number" => no;
    "platform.slot_number" => no;
    "platform.tray_index" => no;
    "platform.host_id" => no;
    "platform.peer_type" => no;
    "platform.module_id" => |card| card.module_id().map(|it| it.to_string());
    "platform.gpu_fabric_guid" => no;
    "hostname" => no;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_name_is_there_twice() {
        let mut seen = BTreeSet::new();
        assert!(PROPERTIES.iter().flat_map(|property| property.names).all(|name| seen.insert(name)));
    }

    #[test]
    fn watts_have_two_digits() {
        assert_eq!(
            (watts(700_000), watts(73_974), watts(8)),
            ("700.00".into(), "73.97".into(), "0.00".into())
        );
    }
}
