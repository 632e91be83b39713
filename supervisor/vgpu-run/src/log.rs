//! What is said on standard error while the tree runs, by `tracing`: one line for each event, `vgpu-run: ` and the message.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::cli::Log;

/// From here on events up to this level are said. Called once, by the keeper before it forks.
pub fn start(level: Log) {
    let most = match level {
        Log::Off => LevelFilter::OFF,
        Log::Error => LevelFilter::ERROR,
        Log::Warn => LevelFilter::WARN,
        Log::Info => LevelFilter::INFO,
        Log::Debug => LevelFilter::DEBUG,
        Log::Trace => LevelFilter::TRACE,
    };
    tracing_subscriber::fmt().with_max_level(most).with_writer(std::io::stderr).event_format(Line).init();
}

/// As our errors are written: whose line it is, how bad, what.
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        out.write_str(match *event.metadata().level() {
            Level::ERROR => "vgpu-run: error: ",
            Level::WARN => "vgpu-run: warning: ",
            _ => "vgpu-run: ",
        })?;
        context.format_fields(out.by_ref(), event)?;
        writeln!(out)
    }
}
