//! Where log lines go and what they look like: to standard error, as flat JSON
//! objects or for people.

mod json;

use std::{
    io::{IsTerminal, stderr},
    panic,
};

use tracing::{Metadata, error, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, filter_fn},
    fmt::{format::JsonFields, layer},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::args::LogFormat;

/// Starts logging.
pub(crate) fn start(format: Option<LogFormat>, level: LevelFilter) {
    let usual = if stderr().is_terminal() { LogFormat::Pretty } else { LogFormat::Json };
    let lines = match format.unwrap_or(usual) {
        LogFormat::Json => layer()
            .fmt_fields(JsonFields::new())
            .event_format(json::JsonLines)
            .with_writer(stderr)
            .with_ansi(false)
            .boxed(),
        LogFormat::Pretty => {
            layer().with_target(false).with_writer(stderr).with_ansi(stderr().is_terminal()).boxed()
        }
    };
    let filter = level.and(filter_fn(is_ours));
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        // Not its text: that can quote what somebody has written.
        error!(place, "panic");
    }));
}

/// Libraries below us log requests with what is in them.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("messager")
}
