//! Device numbers: those of the nodes whose major number the kernel chooses, and `/proc/devices`, which tells them.

/// Major number of the cards' nodes and of the control node, the driver's own.
pub const CARDS: u32 = 195;

/// Where the driver's other nodes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Majors {
    /// `/dev/nvidia-uvm`
    pub unified_memory: u32,
    /// `/dev/nvidia-caps`
    pub capabilities: u32,
}

impl Majors {
    /// On this machine, by the text of its `/proc/devices`: those of a driver that is there, or numbers that nobody has.
    pub fn of(devices: &str) -> Self {
        /// The kernel hands out numbers from here down.
        const HIGHEST: u32 = 254;
        let known =
            |name: &str| characters(devices).find(|(_, known)| *known == name).map(|(number, _)| number);
        let mut free =
            (0..=HIGHEST).rev().filter(|number| characters(devices).all(|(taken, _)| taken != *number));
        let mut number = |name: &str| known(name).or_else(|| free.next()).unwrap_or(0);
        Self { unified_memory: number("nvidia-uvm"), capabilities: number("nvidia-caps") }
    }

    /// The text with a driver's devices.
    pub fn listed(&self, devices: &str) -> String {
        let ours = [
            (CARDS, "nvidia"),
            (CARDS, "nvidiactl"),
            (self.unified_memory, "nvidia-uvm"),
            (self.capabilities, "nvidia-caps"),
        ];
        let mut all: Vec<(u32, &str)> = characters(devices).collect();
        for device in ours {
            if !all.contains(&device) {
                all.push(device);
            }
        }
        all.sort_by_key(|(number, _)| *number);
        let lines: String = all.iter().map(|(number, name)| format!("{number:>3} {name}\n")).collect();
        let blocks = devices.find("\nBlock devices:").map_or("", |at| &devices[at..]);
        format!("Character devices:\n{lines}{blocks}")
    }
}

/// Numbers and names of character devices.
fn characters(devices: &str) -> impl Iterator<Item = (u32, &str)> {
    let lines = devices.lines().skip_while(|line| !line.starts_with("Character")).skip(1);
    lines.take_while(|line| !line.is_empty()).filter_map(|line| {
        let (number, name) = line.trim().split_once(' ')?;
        Some((number.parse().ok()?, name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICES: &str = "Character devices:\n  1 mem\n254 ndctl\n252 dax\n\nBlock devices:\n  7 loop\n";

    #[test]
    fn numbers_that_are_free_are_taken_and_told() {
        let majors = Majors::of(DEVICES);
        assert_eq!(majors, Majors { unified_memory: 253, capabilities: 251 });
        let told = majors.listed(DEVICES);
        assert_eq!(
            told,
            "Character devices:\n  1 mem\n195 nvidia\n195 nvidiactl\n251 nvidia-caps\n252 dax\n253 nvidia-uvm\n254 ndctl\n\
             \nBlock devices:\n  7 loop\n"
        );
        assert_eq!((Majors::of(&told), majors.listed(&told)), (majors, told.clone()));
    }

    #[test]
    fn a_machine_that_tells_nothing_has_room() {
        assert_eq!(Majors::of(""), Majors { unified_memory: 254, capabilities: 253 });
    }
}
