//! `vgpu-run limit`: other limits for a session that has this machine's GPU.

use std::process::ExitCode;

use mediation::{Mediator, TimeShare};
use top::Answer;

use crate::cli::Limit;
use crate::failure::Failure;
use crate::sessions;

/// What an order to the session begins with; behind it are bytes.
const MEMORY: &str = "memory-limit ";
/// Behind it is a number of percent.
const CORES: &str = "cores-limit ";
const MIB: u64 = 1 << 20;

/// Orders other limits of a session that runs.
pub fn limit(order: &Limit) -> Result<ExitCode, Failure> {
    let memory = order.memory.map(|bytes| format!("{MEMORY}{bytes}"));
    let cores = order.cores.map(|share| format!("{CORES}{}", share.percent()));
    for words in memory.into_iter().chain(cores) {
        sessions::order(Some(order.pid), &words, "change the limit")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Executes such an order; none if it is another one.
pub fn execute(mediator: Option<&mut Mediator>, words: &str) -> Option<Answer> {
    let (value, change): (&str, fn(&mut Mediator, &str) -> Answer) =
        match (words.strip_prefix(MEMORY), words.strip_prefix(CORES)) {
            (Some(bytes), _) => (bytes, limit_memory),
            (_, Some(percent)) => (percent, limit_cores),
            (None, None) => return None,
        };
    Some(match mediator {
        None => Err("the session does not run with `--engine host`".to_owned()),
        Some(mediator) if mediator.observes() => {
            Err("it only observes (`--observe`): nothing is limited".to_owned())
        }
        Some(mediator) => change(mediator, value).inspect(|done| tracing::info!("limit: {done}")),
    })
}

fn limit_memory(mediator: &mut Mediator, bytes: &str) -> Answer {
    let limit = bytes.parse().map_err(|_| format!("`{bytes}` is no number of bytes"))?;
    mediator.set_limit(limit);
    Ok(done(limit, &mediator.used()))
}

fn limit_cores(mediator: &mut Mediator, percent: &str) -> Answer {
    let share = percent.parse().ok().and_then(TimeShare::of_percent);
    let share = share.ok_or_else(|| format!("`{percent}` is no number of percent"))?;
    match mediator.set_cores(share) {
        true => Ok(format!("{share} of the cards' time")),
        false => {
            Err("it began without `--cores`; one that begins with `--cores 100%` can be limited later"
                .to_owned())
        }
    }
}

/// What is said of it. `used`: bytes of each card that has some.
fn done(limit: u64, used: &[(u32, u64)]) -> String {
    let over = used.iter().filter(|(_, bytes)| *bytes > limit);
    let over = over.map(|(card, bytes)| {
        format!("; of card {card} {} MiB are used: nothing is given until that is less", bytes.div_ceil(MIB))
    });
    format!("{} MiB of each card{}", limit / MIB, over.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_orders_of_limits_are_taken_and_a_virtual_gpu_has_none() {
        assert_eq!(execute(None, "ecc corrected"), None);
        for words in ["memory-limit 5", "cores-limit 5"] {
            assert!(execute(None, words).is_some_and(|answer| answer.is_err()), "{words}");
        }
    }

    #[test]
    fn what_is_used_beyond_the_limit_is_said() {
        assert_eq!(done(10 * MIB, &[(0, 10 * MIB)]), "10 MiB of each card");
        let said = done(10 * MIB, &[(0, 1), (1, 10 * MIB + 1)]);
        assert_eq!(
            said,
            "10 MiB of each card; of card 1 11 MiB are used: nothing is given until that is less"
        );
    }
}
