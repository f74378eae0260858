//! Posts a message to a URL and says what comes back.
//!
//! A message is posted again after a kill, and when the other side was not
//! reached or was not able to answer: always under the same id, by which it can
//! tell. What is final is told in the room, so that no message is left without
//! an answer that should have had one.

mod reply;
mod signature;

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use launcher_core::{
    conversation::{Message, MessageKind},
    spec::{AgentSpec, WebhookSpec},
};
use launcher_runtime::ports::{Behavior, BehaviorFault, Response, Stage};
use reqwest::{
    Client,
    header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT},
    redirect::Policy,
};
use serde::Serialize;
use tracing::{info, warn};

use crate::process::protocol::Event;

/// The version of what is posted.
const VERSION: u32 = 1;

/// How often one message is posted before it counts as a failure of the
/// behavior, and how long to wait in between if the other side does not say.
const TRIES: u32 = 3;
const WAIT: Duration = Duration::from_secs(2);

/// The longest wait that the other side may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// A URL, and how to reach it.
pub struct Webhook {
    spec: WebhookSpec,
    agent: String,
    user_id: String,
    client: Result<Client, String>,
}

/// What is posted.
#[derive(Serialize)]
struct Posted<'a> {
    version: u32,
    agent: &'a str,
    user_id: &'a str,
    event: &'a Event,
}

/// Why there is no answer.
#[derive(Debug)]
enum Fault {
    /// The same post may be answered later.
    Passing { detail: String, wait: Option<Duration> },
    /// It would be the same again.
    Final { detail: String },
}

impl Webhook {
    /// The URL that `spec` describes, for this agent.
    pub fn new(agent: &AgentSpec, spec: &WebhookSpec) -> Self {
        // What is signed for one address is not for another.
        let client = Client::builder().redirect(Policy::none()).timeout(spec.timeout).build();
        Self {
            spec: spec.clone(),
            agent: agent.id.as_str().to_owned(),
            user_id: agent.name().to_owned(),
            client: client.map_err(|error| error.without_url().to_string()),
        }
    }

    async fn post(&self, client: &Client, id: &str, body: &[u8]) -> Result<Option<String>, Fault> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut request = client
            .post(self.spec.url.expose())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("launcher/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", id)
            .header("webhook-timestamp", now);
        if let Some(key) = &self.spec.signing_key {
            request = request.header("webhook-signature", signature::sign(key, id, now, body));
        }
        let sent = request.body(body.to_vec()).send().await;
        let response = sent.map_err(unreached)?;
        let status = response.status();
        if status.is_success() {
            return reply::text(response).await;
        }
        let detail = format!("it answers with status {}", status.as_u16());
        if status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429) {
            let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let wait = asked.and_then(|seconds| seconds.trim().parse().ok());
            return Err(Fault::Passing { detail, wait: wait.map(Duration::from_secs) });
        }
        Err(Fault::Final { detail })
    }
}

fn unreached(error: reqwest::Error) -> Fault {
    let error = error.without_url();
    let detail = match (error.is_timeout(), error.is_connect()) {
        (true, _) => "it does not answer in time".to_owned(),
        (_, true) => "it is not reached".to_owned(),
        _ if error.is_builder() => return Fault::Final { detail: error.to_string() },
        _ => error.to_string(),
    };
    Fault::Passing { detail, wait: None }
}

#[async_trait]
impl Behavior for Webhook {
    async fn on_message(
        &self,
        message: &Message,
        stage: &dyn Stage,
    ) -> Result<Option<Response>, BehaviorFault> {
        let ours =
            matches!(message.kind, MessageKind::Text | MessageKind::Media | MessageKind::Task);
        let Some(event) = Event::of(message, stage.attempt()).filter(|_| ours) else {
            return Ok(None);
        };
        let client = self.client.as_ref().map_err(BehaviorFault::new)?;
        let (agent, user_id) = (self.agent.as_str(), self.user_id.as_str());
        let posted = Posted { version: VERSION, agent, user_id, event: &event };
        // There are no maps and no fallible parts in it.
        let body = serde_json::to_vec(&posted).unwrap_or_default();
        let (host, room, event_id) = (self.spec.shown(), &message.room, &message.event);
        let mut last = String::new();
        for left in (0..TRIES).rev() {
            match self.post(client, &event.id, &body).await {
                Ok(text) => {
                    info!(event = "webhook_answered", host, %room, %event_id, "a message was posted");
                    return Ok(Some(text.map(Response::say).unwrap_or_default()));
                }
                Err(Fault::Final { detail }) => {
                    warn!(event = "webhook_refused", host, detail, %room, %event_id, "a message was posted and refused");
                    let text = format!(
                        "I cannot answer this: the service that I ask refuses it ({detail}). My \
                         operator has to look at it."
                    );
                    return Ok(Some(Response::say(text)));
                }
                Err(Fault::Passing { detail, wait }) => {
                    warn!(event = "webhook_failed", host, detail, tries_left = left, %room, %event_id, "a message could not be posted");
                    last = detail;
                    if left > 0 {
                        tokio::time::sleep(wait.unwrap_or(WAIT).min(LONGEST_WAIT)).await;
                    }
                }
            }
        }
        Err(BehaviorFault::new(format!("posting to {host} failed: {last}")))
    }

    fn limit(&self) -> Duration {
        (self.spec.timeout + LONGEST_WAIT) * TRIES
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Webhook").field("host", &self.spec.shown()).finish_non_exhaustive()
    }
}
