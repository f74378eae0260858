//! Tells a webhook about messages, for devices that are not connected.
//!
//! Whoever sends a message never waits for this. What finds no place in the
//! queue, or nobody to take it, is counted and forgotten: the message itself is
//! in the timeline.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use reqwest::{Client, StatusCode, Url};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::{metrics::Counts, values::AccountId};

/// Pushes that wait.
pub(crate) const QUEUE: usize = 4096;

/// Requests at once.
const AT_ONCE: usize = 8;

/// How long to wait after each attempt that failed; the last is not followed by another.
const WAITS: [Duration; 5] = [
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(4),
    Duration::from_secs(15),
    Duration::from_secs(60),
];

/// How long an attempt may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A push for one account, as it is sent.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Push {
    pub account_id: AccountId,
    pub topic: &'static str,
    pub title: String,
    /// Of an encrypted message never more than that it is one.
    pub body: String,
    pub meta: Value,
    pub action: String,
}

/// Sends what is in the queue until it is closed. Without an address, or with
/// one for which no client can be made, everything is dropped.
pub(crate) async fn run(webhook: Option<Url>, queue: mpsc::Receiver<Push>, counts: &Counts) {
    let sender = webhook.and_then(|url| match Client::builder().timeout(PATIENCE).build() {
        Ok(client) => Some((client, url)),
        Err(error) => {
            tracing::error!(%error, "no client for the push webhook");
            None
        }
    });
    let pushes = stream::unfold(queue, |mut queue| async move {
        let push = queue.recv().await?;
        Some((push, queue))
    });
    let sending = pushes.for_each_concurrent(AT_ONCE, |push| {
        let sender = sender.as_ref();
        async move {
            if let Some((client, url)) = sender {
                deliver(client, url, &push, counts).await;
            }
        }
    });
    sending.await;
}

async fn deliver(client: &Client, url: &Url, push: &Push, counts: &Counts) {
    for wait in WAITS.into_iter().map(Some).chain([None]) {
        let answer = client.post(url.clone()).json(push).send().await;
        let status = answer.as_ref().map(reqwest::Response::status).ok();
        match status {
            Some(status) if status.is_success() => {
                counts.pushes_sent.inc();
                return;
            }
            // Said again it would not become better.
            Some(status) if is_final(status) => break,
            _ => {}
        }
        let Some(wait) = wait else { break };
        tokio::time::sleep(wait).await;
    }
    counts.pushes_dropped.inc();
    tracing::warn!(topic = push.topic, "the push webhook did not take a push");
}

fn is_final(status: StatusCode) -> bool {
    let passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
    status.is_client_error() && !passing.contains(&status)
}
