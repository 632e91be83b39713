//! `vgpu-run limit`: another limit for a session that has this machine's GPU.

use std::process::ExitCode;

use mediation::Mediator;
use top::Answer;

use crate::cli::Limit;
use crate::failure::Failure;
use crate::sessions;

/// What an order to the session begins with; behind it are bytes.
const WORD: &str = "memory-limit ";
const MIB: u64 = 1 << 20;

/// Orders another limit of a session that runs.
pub fn limit(order: &Limit) -> Result<ExitCode, Failure> {
    sessions::order(Some(order.pid), &format!("{WORD}{}", order.memory), "change the limit")
}

/// Executes such an order; none if it is another one.
pub fn execute(mediator: Option<&mut Mediator>, words: &str) -> Option<Answer> {
    let bytes = words.strip_prefix(WORD)?;
    Some(match (mediator, bytes.parse()) {
        (None, _) => Err("the session does not run with `--engine host`".to_owned()),
        (_, Err(_)) => Err(format!("`{bytes}` is no number of bytes")),
        (Some(mediator), Ok(limit)) => match mediator.set_limit(limit) {
            true => {
                let done = done(limit, &mediator.used());
                tracing::info!("limit: {done}");
                Ok(done)
            }
            false => Err("it only observes (`--observe`): nothing is limited".to_owned()),
        },
    })
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
        assert!(execute(None, "memory-limit 5").is_some_and(|answer| answer.is_err()));
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
