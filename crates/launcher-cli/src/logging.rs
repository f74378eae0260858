//! Where log lines go and what they look like.
//!
//! Lines go to standard error. Libraries are never let below `debug`, whatever
//! `RUST_LOG` says: what they trace includes the content of requests.

mod json;

use std::{io::IsTerminal, panic};

use tracing::{Level, Metadata, error, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer, filter::FilterExt, filter::filter_fn, layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::args::LogFormat;

/// Libraries that say more at `info` than an operator wants to read.
const QUIET: [&str; 8] = [
    "matrix_sdk",
    "matrix_sdk_base",
    "matrix_sdk_crypto",
    "matrix_sdk_sqlite",
    "hyper",
    "reqwest",
    "notify",
    "rustls",
];

/// Says every answer that is no success, as an error. Some are what was hoped
/// for, and the launcher says itself what became of the others.
const SAID_ANYWAY: &str = "matrix_sdk::http_client";

/// Parts of libraries that warn about what is normal at an agent's first
/// start: account data that is not there yet, a device whose keys are not
/// uploaded yet, a backup that is not made yet. What matters among it the
/// launcher finds out and says itself.
const FALSE_ALARMS: [&str; 2] =
    ["matrix_sdk_crypto::backups", "matrix_sdk_crypto::identities::manager"];

/// What these say quotes questions, answers and what tools are given, also in
/// warnings. What matters of it the launcher says itself.
const TELL_TALES: [&str; 3] = ["rig", "rmcp", "sse_stream"];

/// Starts logging. `level` counts unless `RUST_LOG` is set.
pub(crate) fn start(format: LogFormat, level: LevelFilter) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| default_filter(level));
    let filter = filter.and(filter_fn(is_harmless));
    let lines = match format {
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .fmt_fields(tracing_subscriber::fmt::format::JsonFields::new())
            .event_format(json::JsonLines)
            .with_writer(std::io::stderr)
            .with_ansi(false)
            .boxed(),
        LogFormat::Pretty => tracing_subscriber::fmt::layer()
            .with_target(false)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        // Not its text: that can quote what somebody said to an agent.
        error!(place, "panic");
    }));
}

fn default_filter(level: LevelFilter) -> EnvFilter {
    let mut filter = EnvFilter::new(level.to_string());
    let quiet = QUIET.iter().map(|name| (name, LevelFilter::WARN.min(level)));
    let false_alarms = FALSE_ALARMS.iter().map(|name| (name, LevelFilter::ERROR));
    let silent = std::iter::once((&SAID_ANYWAY, LevelFilter::OFF));
    for (name, level) in quiet.chain(false_alarms).chain(silent) {
        if let Ok(directive) = format!("{name}={level}").parse() {
            filter = filter.add_directive(directive);
        }
    }
    filter
}

fn is_harmless(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    if TELL_TALES.iter().any(|name| target.starts_with(name)) {
        return false;
    }
    target.starts_with("launcher") || *metadata.level() <= Level::DEBUG
}
