//! What follows from the measurements: a table, and whether it is good enough.
//!
//! The cost of an agent is the slope between the two numbers of agents. What a
//! process holds without any agent is in neither.

use std::{fmt, time::Duration};

use crate::{
    full_journal::{MESSAGES, Starts},
    trial::{Conversation, Outcome},
};

/// How much an idle agent of the launcher may cost, as a share of what it
/// costs in the plain program.
const LIMIT: f64 = 0.7;

/// How much longer an agent with a full journal may take to start.
const START_LIMIT: f64 = 2.0;

const KIBIBYTES_PER_MEBIBYTE: f64 = 1024.0;

/// All measurements.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) plain_few: Outcome,
    pub(crate) launcher_few: Outcome,
    pub(crate) plain_many: Outcome,
    pub(crate) launcher_many: Outcome,
    pub(crate) starts: Starts,
}

/// A number of both programs.
struct Row {
    what: String,
    plain: f64,
    launcher: f64,
    unit: &'static str,
    digits: usize,
}

impl Report {
    /// Whether an idle agent of the launcher is as cheap as it has to be.
    ///
    /// A slope alone can flatter: where few agents leave a larger reserve in
    /// the allocator than many do, it is next to nothing, or less. So the whole
    /// process with many agents has to be as cheap, too.
    pub(crate) fn is_good(&self) -> bool {
        let whole = process_memory(&self.plain_many, &self.launcher_many);
        self.starts.ratio() < START_LIMIT
            && [self.memory(), self.handles(), whole].iter().all(|row| row.ratio() <= LIMIT)
    }

    fn memory(&self) -> Row {
        self.slope("memory per idle agent (PSS)", "MiB", mebibytes)
    }

    fn handles(&self) -> Row {
        self.slope("handles per idle agent", "", |outcome| outcome.idle.handles as f64)
    }

    fn slope(&self, what: &str, unit: &'static str, of: impl Fn(&Outcome) -> f64) -> Row {
        let slope = |few: &Outcome, many: &Outcome| {
            (of(many) - of(few)) / (many.agents as f64 - few.agents as f64)
        };
        Row {
            what: what.to_owned(),
            plain: slope(&self.plain_few, &self.plain_many),
            launcher: slope(&self.launcher_few, &self.launcher_many),
            unit,
            digits: 2,
        }
    }

    fn rows(&self) -> Vec<Row> {
        let mut rows = vec![
            self.memory(),
            self.slope("the same as RSS", "MiB", |outcome| {
                outcome.idle.resident as f64 / KIBIBYTES_PER_MEBIBYTE
            }),
            self.handles(),
        ];
        for (plain, launcher) in
            [(&self.plain_few, &self.launcher_few), (&self.plain_many, &self.launcher_many)]
        {
            let agents = plain.agents;
            rows.push(process_memory(plain, launcher));
            rows.push(Row {
                what: format!("handles of the process with {agents} idle agents"),
                plain: plain.idle.handles as f64,
                launcher: launcher.idle.handles as f64,
                unit: "",
                digits: 0,
            });
        }
        if let (Some(plain), Some(launcher)) =
            (&self.plain_many.conversation, &self.launcher_many.conversation)
        {
            rows.extend(conversation_rows(self.plain_many.agents, plain, launcher));
        }
        rows
    }
}

fn process_memory(plain: &Outcome, launcher: &Outcome) -> Row {
    Row {
        what: format!("memory of the process with {} idle agents (PSS)", plain.agents),
        plain: mebibytes(plain),
        launcher: mebibytes(launcher),
        unit: "MiB",
        digits: 1,
    }
}

fn conversation_rows(
    agents: usize,
    plain: &Conversation,
    launcher: &Conversation,
) -> impl Iterator<Item = Row> {
    let row = |what: &str, of: fn(&Conversation) -> Duration| Row {
        what: what.to_owned(),
        plain: of(plain).as_secs_f64() * 1000.0,
        launcher: of(launcher).as_secs_f64() * 1000.0,
        unit: "ms",
        digits: 1,
    };
    [
        row(&format!("CPU of {agents} idle agents in a minute"), |talk| talk.idle_minute),
        row("CPU per encrypted message answered", |talk| talk.per_message),
        row("CPU for the first message after silence", |talk| talk.per_first_message),
        row("round trip, median", |talk| median(&talk.round_trips)),
        row("round trip, slowest", |talk| slowest(&talk.round_trips)),
        row("round trip of the first message after silence, median", |talk| {
            median(&talk.first_round_trips)
        }),
        row("round trip of the first message after silence, slowest", |talk| {
            slowest(&talk.first_round_trips)
        }),
    ]
    .into_iter()
}

impl Row {
    fn ratio(&self) -> f64 {
        self.launcher / self.plain
    }

    fn value(&self, value: f64) -> String {
        format!("{value:.*} {}", self.digits, self.unit).trim_end().to_owned()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (plain, launcher) = (self.value(self.plain), self.value(self.launcher));
        write!(formatter, "| {} | {plain} | {launcher} | {:.2} |", self.what, self.ratio())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "| | plain matrix-sdk | launcher | ratio |")?;
        writeln!(formatter, "|---|---:|---:|---:|")?;
        for row in self.rows() {
            writeln!(formatter, "{row}")?;
        }
        let Starts { empty, full } = &self.starts;
        writeln!(formatter, "\n| | empty journal | {MESSAGES} messages | ratio |")?;
        writeln!(formatter, "|---|---:|---:|---:|")?;
        let [empty, full] = [empty, full].map(|time| time.as_secs_f64() * 1000.0);
        let ratio = self.starts.ratio();
        writeln!(
            formatter,
            "| start until ready, median | {empty:.0} ms | {full:.0} ms | {ratio:.2} |"
        )?;
        let verdict = if self.is_good() { "met" } else { "not met" };
        write!(
            formatter,
            "\nAt most {LIMIT} of the memory and the handles, less than {START_LIMIT} times the \
             start: {verdict}."
        )
    }
}

fn mebibytes(outcome: &Outcome) -> f64 {
    outcome.idle.proportional as f64 / KIBIBYTES_PER_MEBIBYTE
}

/// The middle of an ascending list.
fn median(ascending: &[Duration]) -> Duration {
    ascending.get(ascending.len() / 2).copied().unwrap_or_default()
}

/// The end of an ascending list.
fn slowest(ascending: &[Duration]) -> Duration {
    ascending.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::Holdings;

    fn outcome(agents: usize, mebibytes: u64, handles: u64) -> Outcome {
        let proportional = mebibytes * 1024;
        let idle = Holdings { proportional, resident: proportional, handles };
        Outcome { agents, idle, conversation: None }
    }

    fn starts(full: u64) -> Starts {
        Starts { empty: Duration::from_millis(200), full: Duration::from_millis(full) }
    }

    #[test]
    fn a_start_that_takes_twice_as_long_spoils_it() {
        assert!(Report { starts: starts(399), ..report(140) }.is_good());
        assert!(!Report { starts: starts(400), ..report(140) }.is_good());
    }

    fn report(launcher_handles: u64) -> Report {
        report_with(20, 40, launcher_handles)
    }

    fn report_with(few: u64, many: u64, launcher_handles: u64) -> Report {
        Report {
            plain_few: outcome(10, 30, 240),
            launcher_few: outcome(10, few, 40),
            plain_many: outcome(50, 110, 1240),
            launcher_many: outcome(50, many, launcher_handles),
            starts: starts(300),
        }
    }

    #[test]
    fn an_agent_costs_what_more_agents_cost_more() {
        let text = report(140).to_string();
        assert!(
            text.contains("| memory per idle agent (PSS) | 2.00 MiB | 0.50 MiB | 0.25 |"),
            "{text}"
        );
        assert!(text.contains("| handles per idle agent | 25.00 | 2.50 | 0.10 |"), "{text}");
        assert!(text.ends_with(": met."), "{text}");
    }

    #[test]
    fn a_large_process_is_not_excused_by_a_flat_slope() {
        assert!(report_with(80, 70, 140).is_good());
        assert!(!report_with(90, 80, 140).is_good());
    }

    #[test]
    fn handles_alone_can_spoil_it() {
        assert!(report(740).is_good());
        assert!(!report(780).is_good());
    }
}
