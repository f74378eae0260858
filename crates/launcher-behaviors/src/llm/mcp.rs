//! Tools of servers that speak the Model Context Protocol.
//!
//! A server is a program that is started for the agent, or an address. It is
//! not trusted: what it offers is offered only as far as the operator's lists
//! go, what it says about itself decides nothing, and it may not keep an answer
//! waiting, fill the memory, or change what was looked at before. An agent
//! works without its servers; they are tried again and again while it runs.
//!
//! The protocol is spoken by `rmcp`, and nothing outside of this module knows
//! it. What it prints may have arguments in it, so that the log leaves it out.

mod connection;
mod content;
mod guard;
mod http;
mod listing;
mod program;
mod server;

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::join_all;
use launcher_core::spec::{ApprovalSpec, ToolUse, ToolsSpec};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use self::{listing::Known, server::Server};
use super::tools::{Offer, Outcome, Policy, Tools};

/// How long an answer waits for servers that have just been started.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many tools a model is told about. More than that, providers refuse.
const MOST: usize = 128;

/// The tools of an agent's servers.
#[derive(Debug)]
pub(crate) struct Servers {
    servers: Vec<Server>,
    approval: Option<ApprovalSpec>,
    /// It was said that there are too many.
    warned: AtomicBool,
}

impl Servers {
    /// Those of an agent in this folder. They are started by [`Tools::run`].
    pub(crate) fn new(spec: &ToolsSpec, folder: &Path) -> Self {
        let can_ask = spec.approval.is_some();
        let servers = spec.servers.iter();
        let servers = servers.map(|(name, spec)| Server::new(name, spec, folder, can_ask));
        Self {
            servers: servers.collect(),
            approval: spec.approval.clone(),
            warned: AtomicBool::new(false),
        }
    }

    /// A tool as it is offered; `None`: nobody could agree to it.
    fn offer(&self, known: &Known) -> Option<Offer> {
        let policy = match (known.how, &self.approval) {
            (ToolUse::Reads, _) => Policy::Reads,
            (ToolUse::Acts, _) => Policy::Acts,
            (ToolUse::Asks, Some(approval)) => Policy::Ask {
                users: approval.users.clone(),
                require: approval.require,
                timeout: approval.timeout,
            },
            (ToolUse::Asks, None) => return None,
        };
        Some(Offer { tool: known.tool.clone(), policy })
    }
}

#[async_trait]
impl Tools for Servers {
    async fn list(&self) -> Vec<Offer> {
        let until = Instant::now() + PATIENCE;
        // What is not there by then is left out.
        join_all(self.servers.iter().map(|server| timeout_at(until, server.settled()))).await;
        let mut offers = Vec::new();
        for ready in self.servers.iter().filter_map(Server::ready) {
            offers.extend(ready.tools.values().filter_map(|known| self.offer(known)));
        }
        if offers.len() > MOST && !self.warned.swap(true, Ordering::Relaxed) {
            warn!(
                event = "tools_left_out",
                count = offers.len() - MOST,
                "there are more tools than a model can be offered; name fewer in `allow`"
            );
        }
        offers.truncate(MOST);
        offers
    }

    async fn call(&self, name: &str, arguments: &Map<String, Value>) -> Outcome {
        match self.servers.iter().find(|server| server.has(name)) {
            Some(server) => server.call(name, arguments).await,
            None => Outcome {
                text: "This tool is not available at the moment. Nothing was done.".to_owned(),
                failed: true,
            },
        }
    }

    async fn run(&self) {
        join_all(self.servers.iter().map(Server::run)).await;
    }
}
