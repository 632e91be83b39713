//! `vgpu-run inject`: faults for operators' tests, at run time and from the start (`--inject`).
//!
//! ```text
//!   vgpu-run inject ──▶ words to the session's inbox (crate::sessions) ──▶ Broker::inject ──▶ what was done, or why not
//! ```

use std::process::ExitCode;

use broker::{Broker, Order, WORDS};
use top::Answer;

use crate::cli::{Inject, Session};
use crate::failure::Failure;
use crate::sessions;

/// Orders a fault of a session that runs.
pub fn inject(order: &Inject) -> Result<ExitCode, Failure> {
    let words = order.words.join(" ");
    // Mistakes are told also where nothing runs.
    words.parse::<Order>().map_err(|mistake| misunderstood(&words, &mistake))?;
    sessions::order(order.session, &words, &format!("inject `{words}`"))
}

fn misunderstood(words: &str, mistake: &broker::Mistake) -> Failure {
    Failure::new(format!("`{words}` is no fault")).cause(mistake).hint(format!("faults are: {WORDS}"))
}

/// Executes an order that came to this session.
pub fn execute(broker: &mut Broker, words: &str) -> Answer {
    let order: Order = words.parse().map_err(|mistake: broker::Mistake| mistake.to_string())?;
    broker.inject(order).map_err(|refused| refused.to_string())
}

/// Whether `--inject` names cards that there will be. Whether these can have such a fault shows once they are announced.
pub fn check(session: &Session) -> Result<(), Failure> {
    let cards = session.inject.iter().filter_map(|order| order.card);
    match cards.into_iter().find(|card| *card >= session.announced()) {
        None => Ok(()),
        Some(card) => Err(Failure::new(format!("--inject: there is no GPU {card}"))
            .cause(format!("the session has {}", session.announced()))
            .hint("`--gpus N` makes more")),
    }
}

/// What `--inject` says waits for the cards.
pub fn from_the_start(session: &Session, broker: &mut Broker) {
    for order in &session.inject {
        // Nothing has been announced yet, so it is only kept.
        let _ = broker.inject(*order);
    }
}
