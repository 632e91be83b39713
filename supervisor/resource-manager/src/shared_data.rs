//! The page of class `RM_USER_SHARED_DATA`: figures that the driver keeps where clients read them without a call.
//!
//! ```text
//!   group: lastModifiedTimestamp, figures …        (nvidia-abi's row `page`)
//! ```
//!
//! There is one for each card. A **polled** group is kept up for as long as an object asks for it, and its stamp is the time; when
//! nobody does any more the stamp is 0 and the figures stay. Of the others the stamp is a number that tells a change, odd while it is
//! under way. What a real H100 has on its page was read there; of what it has not, the stamp is 0 for ever.

use nvidia_abi::{Field, class};
use wire::reading;

use crate::ResourceManager;
use crate::card::Card;
use crate::facts::Value;
use crate::structure::Structure;

/// `NV00DE_RUSD_POLL_…`
mod poll {
    pub const CLOCK: u64 = 1;
    pub const PERF: u64 = 2;
    pub const MEMORY: u64 = 4;
    pub const POWER: u64 = 8;
    pub const THERMAL: u64 = 0x10;
    pub const PCI: u64 = 0x20;
}

/// `RUSD_SEQ_START`: stamps of groups that are not polled count from there, in twos.
const COUNTED: u64 = 0xff00_0000_0000_0000;
/// `RUSD_TIMESTAMP_WRITE_IN_PROGRESS`
pub const BEING_WRITTEN: u64 = u64::MAX;

const STAMP: &str = "lastModifiedTimestamp";

/// The last is the time.
type Fill = fn(&Card, &mut Structure, u64);

/// Groups that a card like this has: name, what asks for it (0: nobody has to), figures.
const GROUPS: &[(&str, u64, Fill)] = &[
    ("bar1MemoryInfo", 0, window),
    ("pmaMemoryInfo", 0, memory),
    ("shadowErrCont", 0, |_, _, _| {}),
    ("clkPublicDomainInfos", poll::CLOCK, clocks),
    ("clkThrottleInfo", poll::PERF, throttling),
    ("perfDevUtil", poll::PERF, utilisation),
    ("memEcc", poll::MEMORY, errors),
    ("perfCurrentPstate", poll::PERF, state),
    ("powerLimitGpu", poll::POWER, power_limits),
    ("temperatures", poll::THERMAL, temperatures),
    ("memRowRemap", poll::MEMORY, rows),
    ("avgPowerUsage", poll::POWER, average_power),
    ("instPowerUsage", poll::POWER, power),
    ("powerPolicyStatus", poll::POWER, drawn),
    ("pciBusData", poll::PCI, bus),
];

/// How many objects ask for each of the polled groups.
#[derive(Clone, Debug, Default)]
pub(crate) struct Polled {
    of_groups: [u32; 7],
    /// How many objects there are, whatever they ask for.
    pub objects: u32,
}

impl Polled {
    /// An object asks for these instead of those.
    pub fn change(&mut self, before: u64, now: u64) {
        for (bit, count) in self.of_groups.iter_mut().enumerate() {
            *count = count.saturating_add((now >> bit & 1) as u32).saturating_sub((before >> bit & 1) as u32);
        }
    }

    /// Somebody asks for all of them.
    fn all(&mut self) {
        self.of_groups = self.of_groups.map(|count| count.max(1));
        self.objects = self.objects.max(1);
    }

    fn mask(&self) -> u64 {
        let asked = self.of_groups.iter().enumerate().filter(|(_, count)| **count > 0);
        asked.map(|(bit, _)| 1 << bit).sum()
    }
}

/// A card's page as it was last brought up to date.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept(Vec<u8>);

impl ResourceManager {
    /// A card's page at that time, nanoseconds since the epoch.
    pub fn shared_data(&mut self, card: usize, now: u64) -> Option<&[u8]> {
        let row = self.abi.page(class::RM_USER_SHARED_DATA)?;
        let card = self.cards.get_mut(card)?;
        let mut kept = std::mem::take(&mut card.shared_data.0);
        kept.resize(row.size, 0);
        let asked = card.numbers.polled.mask();
        for (group, polled, fill) in GROUPS {
            let Some(stamp) = row.field(&format!("{group}.{STAMP}")) else { continue };
            if *polled != 0 && polled & asked == 0 {
                set_stamp(stamp, &mut kept, 0);
                continue;
            }
            let before = kept.clone();
            fill(card, &mut Structure::new(row, &mut kept), now);
            let next = match (polled, stamp.read(&before, 0).unwrap_or(0)) {
                (1.., _) => now,
                (0, 0) => COUNTED,
                (0, last) => {
                    if before == kept {
                        last
                    } else {
                        last + 2
                    }
                }
            };
            set_stamp(stamp, &mut kept, next);
        }
        card.shared_data.0 = kept;
        Some(&card.shared_data.0)
    }

    /// Keeps all figures of all cards up, for clients whose objects somebody else answers for.
    pub fn keep_figures(&mut self) {
        for card in &mut self.cards {
            card.numbers.polled.all();
        }
    }

    /// Whether any object stands for a page.
    pub fn shows_figures(&self) -> bool {
        self.cards.iter().any(|card| card.numbers.polled.objects > 0)
    }

    /// Where in the page each group's stamp lies, in order: what lies between is the group's before.
    pub fn shared_data_stamps(&self) -> Vec<usize> {
        let row = self.abi.page(class::RM_USER_SHARED_DATA);
        let fields = row.iter().flat_map(|row| row.fields());
        let stamps = fields.filter(|field| field.name.ends_with(STAMP));
        let mut places: Vec<usize> = stamps
            .flat_map(|field| (0..field.len()).filter_map(|at| field.range(at)))
            .map(|range| range.start)
            .collect();
        places.sort_unstable();
        places
    }
}

/// The stamp of a group. Of a list each element that there is has one: they go out together.
fn set_stamp(stamp: &Field, page: &mut [u8], value: u64) {
    let elements = if value == 0 { stamp.len() } else { 1 };
    for at in 0..elements {
        stamp.write(page, at, value);
    }
}

fn window(card: &Card, page: &mut Structure, _: u64) {
    set_figures(
        card,
        page,
        &[("bar1MemoryInfo.bar1Size", "bar1_kib"), ("bar1MemoryInfo.bar1AvailSize", "bar1_free_kib")],
    );
}

fn memory(card: &Card, page: &mut Structure, _: u64) {
    page.set("pmaMemoryInfo.totalPmaMemory", card.description.total_memory);
    page.set("pmaMemoryInfo.freePmaMemory", card.free());
}

/// Graphics, memory, video; what the multiprocessors have is not told apart.
fn clocks(card: &Card, page: &mut Structure, _: u64) {
    let [graphics, _, memory, video] = reading::clocks(&card.description, &card.load.usage);
    page.set_words("clkPublicDomainInfos.info.targetClkMHz", &[graphics, memory, video], 0);
}

fn throttling(card: &Card, page: &mut Structure, now: u64) {
    const TIMES_TOLD: u32 = 0x3f;
    const POINTS: u32 = 0x1f;
    // The bits are those of NVML.
    page.set("clkThrottleInfo.reasonMask", reading::event_reasons(&card.description, &card.load.usage));
    page.set("clkThrottleInfo.referenceTimeNs", now);
    page.set("clkThrottleInfo.supportedViolationTimeMask", TIMES_TOLD);
    page.set("clkThrottleInfo.globalViolation.perfPointMask", POINTS);
}

fn utilisation(card: &Card, page: &mut Structure, _: u64) {
    const PERIOD: u32 = 100_000;
    page.set("perfDevUtil.info.gpuPercentBusy", card.load.usage.utilisation);
    page.set("perfDevUtil.info.memoryPercentBusy", card.load.usage.memory_utilisation);
    for engine in 0..page.len("perfDevUtil.info.engUtil.samplingPeriodUs") {
        page.set_element("perfDevUtil.info.engUtil.samplingPeriodUs", engine, PERIOD);
    }
}

fn errors(card: &Card, page: &mut Structure, _: u64) {
    let [corrected, uncorrected] = card.load.errors;
    page.set("memEcc.info.volatileCounts.dramCorTot", corrected);
    page.set("memEcc.info.volatileCounts.dramUncTot", uncorrected);
    page.set("memEcc.info.clientExposedCounts.dramCorrectedTotal", corrected);
    page.set("memEcc.info.clientExposedCounts.dramUncorrectedTotal", uncorrected);
}

/// A bit for each; cards for computing stay in the first.
fn state(_: &Card, page: &mut Structure, _: u64) {
    page.set("perfCurrentPstate.currentPstate", 1_u64);
}

fn power_limits(card: &Card, page: &mut Structure, _: u64) {
    page.set("powerLimitGpu.info.requestedmW", card.power_limit());
    page.set("powerLimitGpu.info.enforcedmW", card.power_limit());
}

/// 1/256 °C of the chip, of what is beside it, and of the stacks of memory. Each has a stamp of its own; there are no others.
fn temperatures(card: &Card, page: &mut Structure, now: u64) {
    /// `RUSD_TEMPERATURE_TYPE_…`
    const GPU: usize = 0;
    const MEMORY: usize = 1;
    const HBM: usize = 4;
    let [chip, stacks] = card.load.temperatures(&card.description);
    for (at, celsius) in [(GPU, chip), (MEMORY, chip), (HBM, stacks)] {
        page.set_element("temperatures.temperature", at, celsius << 8);
        page.set_element("temperatures.lastModifiedTimestamp", at, now);
    }
}

fn rows(card: &Card, page: &mut Structure, _: u64) {
    /// NV2080_CTRL_CMD_FB_GET_ROW_REMAPPER_HISTOGRAM: banks by the rows that they have left.
    const BANKS: u32 = 2560;
    let (remapped, failed) = card.load.remapped;
    page.set("memRowRemap.info.histogramMax", BANKS);
    page.set("memRowRemap.info.uncorrectableRows", remapped);
    page.set("memRowRemap.info.hasFailureOccurred", u64::from(failed));
}

/// Of an idle H100's power half goes to its memory, of what it takes besides a sixth.
fn average_power(card: &Card, page: &mut Structure, _: u64) {
    let [idle, ..] = card.description.power;
    let all = reading::power(&card.description, &card.load.usage);
    page.set("avgPowerUsage.info.averageGpuPower", all);
    page.set("avgPowerUsage.info.averageMemoryPower", idle / 2 + all.saturating_sub(idle) / 6);
}

fn power(card: &Card, page: &mut Structure, _: u64) {
    page.set("instPowerUsage.info.instGpuPower", reading::power(&card.description, &card.load.usage));
}

fn drawn(card: &Card, page: &mut Structure, _: u64) {
    page.set("powerPolicyStatus.info.tgpmW", reading::power(&card.description, &card.load.usage));
}

/// `RUSD_BUS_DATA_…`: what the bus's list of information says.
fn bus(card: &Card, page: &mut Structure, _: u64) {
    const PCIE_GEN_INFO: u32 = 0x14;
    if let Some(Value::Number(generation)) = card.facts.info("bus", PCIE_GEN_INFO) {
        page.set_element("pciBusData.info.data", 0, *generation);
    }
}

fn set_figures(card: &Card, page: &mut Structure, figures: &[(&str, &str)]) {
    for (field, figure) in figures {
        page.set(field, card.figure(figure).unwrap_or(0));
    }
}
