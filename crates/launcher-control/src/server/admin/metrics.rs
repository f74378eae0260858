//! What is counted, as text for Prometheus.

use std::{collections::BTreeMap, fmt};

use launcher_core::{
    acknowledgement::{Acknowledgement, is_ready},
    agent::AgentId,
    spec::Network,
    status::AgentState,
    undecryptable::Cause,
};
use launcher_runtime::{AgentMetrics, AgentStatus, report::latency::BOUNDS, stamp};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet, text::encode},
    metrics::MetricType,
    registry::{Registry, Unit},
};

use super::{Watched, process};

/// Everything, in the text format of OpenMetrics.
pub(super) fn text(watched: &Watched) -> Result<String, fmt::Error> {
    let now = stamp().0;
    let seconds = |then: u64| now.saturating_sub(then) as f64 / 1000.0;
    let agents = watched.board.snapshot().into_iter().map(|status| {
        let report = watched.board.report(&status.id);
        Agent {
            metrics: report.metrics(),
            sync_age: status.last_sync_ms.map(seconds),
            decrypt_age: report.last_decrypt_ms().map(seconds),
            status,
        }
    });
    let page = Page {
        agents: agents.collect(),
        acknowledged: watched.acknowledgements.all(),
        process: Process {
            resident: process::resident_bytes(),
            handles: process::open_handles(),
            tasks: tokio::runtime::Handle::try_current()
                .map_or(0, |runtime| runtime.metrics().num_alive_tasks()),
            start: process::start().as_secs_f64(),
        },
    };
    page.text()
}

/// One moment of the launcher.
#[derive(Debug)]
struct Page {
    agents: Vec<Agent>,
    acknowledged: BTreeMap<AgentId, Acknowledgement>,
    process: Process,
}

#[derive(Debug)]
struct Agent {
    status: AgentStatus,
    metrics: AgentMetrics,
    /// In seconds; `None` if there never was one.
    sync_age: Option<f64>,
    decrypt_age: Option<f64>,
}

#[derive(Debug)]
struct Process {
    resident: Option<u64>,
    handles: Option<usize>,
    tasks: usize,
    start: f64,
}

impl Page {
    fn text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }

    /// A gauge with one value per agent, or none.
    fn gauge(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        value: impl Fn(&Agent) -> Option<f64>,
    ) -> fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for agent in &self.agents {
            if let Some(value) = value(agent) {
                family.encode_family(&of(agent))?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }

    /// A counter with one value per agent, or none; `_total` is put behind its name.
    fn counter(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        value: impl Fn(&Agent) -> Option<u64>,
    ) -> fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for agent in &self.agents {
            if let Some(value) = value(agent) {
                count(family.encode_family(&of(agent))?, value)?;
            }
        }
        Ok(())
    }

    fn states(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Whether the agent is in this state: 1 for one of them, 0 for the others";
        let name = "launcher_agent_state";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for agent in &self.agents {
            for state in AgentState::ALL {
                let labels = [("agent", agent.status.id.as_str()), ("state", state.as_str())];
                let value = i64::from(agent.status.standing.state == state);
                family.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        let help = "Whether an operator has acknowledged that the agent is parked";
        self.gauge(encoder, "launcher_agent_acknowledged", help, |agent| {
            let known = self.acknowledged.get(&agent.status.id);
            let known = known.is_some_and(|known| known.covers(&agent.status.standing));
            Some(f64::from(known))
        })
    }

    fn messages(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Messages that called for an answer";
        let name = "launcher_agent_messages_received";
        self.counter(encoder, name, help, |agent| Some(agent.status.received))?;
        let help = "Messages that were answered";
        let name = "launcher_agent_messages_answered";
        self.counter(encoder, name, help, |agent| Some(agent.status.answered))?;
        let help =
            "Messages that the homeserver accepted: answers, notices, and what operators sent";
        self.counter(encoder, "launcher_agent_messages_sent", help, |agent| {
            Some(agent.metrics.sent)
        })?;
        let help = "Messages and notices that are worked on or wait for their turn";
        let queued = |agent: &Agent| Some(agent.metrics.queued as f64);
        self.gauge(encoder, "launcher_agent_queue_depth", help, queued)?;
        let help = "How long the homeserver and the sharing of keys took for a message that was \
                    accepted";
        let name = "launcher_agent_send_duration";
        let unit = Unit::Seconds;
        let kind = MetricType::Histogram;
        let mut family = encoder.encode_descriptor(name, help, Some(&unit), kind)?;
        for agent in &self.agents {
            let latency = &agent.metrics.send_latency;
            let bounds = BOUNDS.into_iter().chain([f64::MAX]);
            let buckets: Vec<(f64, u64)> = bounds.zip(latency.buckets).collect();
            family.encode_family(&of(agent))?.encode_histogram::<NoLabelSet>(
                latency.sum,
                latency.count(),
                &buckets,
                None,
            )?;
        }
        Ok(())
    }

    fn encryption(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Events that could not be read when they arrived, by cause";
        let name = "launcher_agent_undecryptable";
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for agent in &self.agents {
            for cause in Cause::CODES {
                let labels = [("agent", agent.status.id.as_str()), ("cause", cause)];
                let value = agent.metrics.undecryptable.get(cause).copied().unwrap_or_default();
                count(family.encode_family(&labels)?, value)?;
            }
        }
        let help = "Events that wait for their key, or for trust in their sender";
        let pending = |agent: &Agent| Some(agent.status.undecryptable_pending as f64);
        self.gauge(encoder, "launcher_agent_undecryptable_pending", help, pending)?;
        let help = "How long ago an encrypted message was last read; absent if none was";
        self.age(encoder, "launcher_agent_decrypt_age", help, |agent| agent.decrypt_age)?;
        let help = "One-time keys that the homeserver has for the device, as it last said";
        let keys = |agent: &Agent| agent.metrics.one_time_keys.map(|count| count as f64);
        self.gauge(encoder, "launcher_agent_one_time_keys", help, keys)?;
        let help = "Whether the account's owner has signed the device; absent on Messager";
        let signed = |agent: &Agent| {
            let facts = &agent.status.facts;
            (facts.network == Network::Matrix).then(|| f64::from(facts.cross_signed))
        };
        self.gauge(encoder, "launcher_agent_signed", help, signed)?;
        let help = "Whether keys are backed up on the homeserver";
        let backup = |agent: &Agent| Some(f64::from(agent.status.facts.backup_version.is_some()));
        self.gauge(encoder, "launcher_agent_backup", help, backup)?;
        // Zero before it is known would look like so many resets at every start.
        let help = "How often the agent became a new device; absent until it has started";
        self.counter(encoder, "launcher_agent_resets", help, |agent| agent.metrics.resets)
    }

    /// A gauge in seconds.
    fn age(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        value: impl Fn(&Agent) -> Option<f64>,
    ) -> fmt::Result {
        let unit = Unit::Seconds;
        let mut family = encoder.encode_descriptor(name, help, Some(&unit), MetricType::Gauge)?;
        for agent in &self.agents {
            if let Some(value) = value(agent) {
                family.encode_family(&of(agent))?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        self.states(encoder)?;
        let help = "How long ago the homeserver last answered a sync; absent if it never did";
        self.age(encoder, "launcher_agent_sync_age", help, |agent| agent.sync_age)?;
        self.messages(encoder)?;
        self.encryption(encoder)?;
        let help = "Whether every agent answers, is switched off, or is parked and acknowledged";
        let ready = self
            .agents
            .iter()
            .all(|agent| is_ready(&agent.status.standing, self.acknowledged.get(&agent.status.id)));
        single(encoder, "launcher_ready", help, None, f64::from(ready))?;
        let Process { resident, handles, tasks, start } = &self.process;
        if let Some(bytes) = resident {
            let help = "Resident memory";
            let (name, unit) = ("process_resident_memory", Unit::Bytes);
            single(encoder, name, help, Some(unit), *bytes as f64)?;
        }
        if let Some(handles) = handles {
            single(encoder, "process_open_fds", "Open file handles", None, *handles as f64)?;
        }
        let help = "When the process started, in seconds since 1970";
        single(encoder, "process_start_time", help, Some(Unit::Seconds), *start)?;
        let help = "Tasks of the runtime that have not ended";
        single(encoder, "launcher_tasks", help, None, *tasks as f64)?;
        let help = "Which launcher this is";
        let mut build =
            encoder.encode_descriptor("launcher_build", help, None, MetricType::Info)?;
        build.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])
    }
}

fn of(agent: &Agent) -> impl EncodeLabelSet {
    [("agent", agent.status.id.as_str())]
}

fn count(mut encoder: MetricEncoder<'_>, value: u64) -> fmt::Result {
    encoder.encode_counter::<NoLabelSet, u64, u64>(&value, None)
}

fn single(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<Unit>,
    value: f64,
) -> fmt::Result {
    encoder.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?.encode_gauge(&value)
}
