//! Sends until the server has it.

use std::{future::Future, sync::atomic::Ordering, time::Duration};

use launcher_core::{
    backoff,
    fleet::Degradation,
    names::{EventId, RoomId},
};
use tracing::{error, warn};

use super::Crew;
use crate::{
    ports::{AnswerContent, SendFault},
    random,
    report::SENDING,
};

/// How long one attempt to send may take: sharing a room's key with hundreds of
/// devices on a busy server takes many requests. The next attempt continues.
pub(super) const SEND_LIMIT: Duration = Duration::from_secs(120);

/// The slowest line over which a file is sent in time, in bytes a second.
const SLOWEST: u64 = 256 * 1024;

/// From this attempt on the waits between them grow no more: 32 seconds at
/// most, so that a server that is back is soon noticed.
const LONGEST_WAIT: u32 = 5;

/// Failed attempts to send after which `status` shows them.
const FAILURES_TO_SHOW: u32 = 3;

/// What is being sent, for the log.
pub(super) struct Sending<'a> {
    pub(super) what: &'static str,
    pub(super) room: &'a RoomId,
    pub(super) about: &'a EventId,
    /// How long one attempt may take.
    pub(super) limit: Duration,
}

/// How long one attempt to send this may take.
pub(super) fn limit(content: &AnswerContent) -> Duration {
    match content {
        AnswerContent::File(file) => {
            let bytes = u64::try_from(file.bytes.len()).unwrap_or(u64::MAX);
            SEND_LIMIT + Duration::from_secs(bytes / SLOWEST)
        }
        _ => SEND_LIMIT,
    }
}

pub(super) enum Sent {
    Accepted(EventId),
    Refused,
    Stopped,
}

/// Sends until the server has it, refuses it for good, or a stop comes.
pub(super) async fn send<F>(crew: &Crew, sending: Sending<'_>, attempt: impl Fn() -> F) -> Sent
where
    F: Future<Output = Result<EventId, SendFault>>,
{
    let Sending { what, room, about, limit } = sending;
    let mut failing = Failing { crew, marked: false };
    for failures in 0.. {
        let sent = tokio::select! {
            biased;
            () = crew.stop.demanded() => return Sent::Stopped,
            sent = crew.at_work(tokio::time::timeout(limit, attempt())) => {
                sent.unwrap_or_else(|_| Err(too_long(limit)))
            }
        };
        let wait = match sent {
            Ok(event) => return Sent::Accepted(event),
            Err(SendFault::Refused { detail }) => {
                error!(%room, event_id = %about, what, detail, "refused and given up");
                return Sent::Refused;
            }
            Err(SendFault::Passing { detail, retry_after }) => {
                let wait =
                    backoff::wait(failures.min(LONGEST_WAIT), random::fraction(), retry_after);
                warn!(%room, event_id = %about, what, detail, retry_in = ?wait, "sending failed");
                if failures + 1 >= FAILURES_TO_SHOW {
                    failing.mark(room, &detail);
                }
                wait
            }
        };
        tokio::select! {
            biased;
            // It is in the journal; the next life goes on with it.
            () = crew.stop.asked() => return Sent::Stopped,
            () = tokio::time::sleep(wait) => {}
        }
    }
    Sent::Stopped
}

/// Shows in `status` that sending fails, until it does no more in any room.
struct Failing<'a> {
    crew: &'a Crew,
    marked: bool,
}

impl Failing<'_> {
    fn mark(&mut self, room: &RoomId, detail: &str) {
        if !self.marked {
            self.marked = true;
            self.crew.failing.fetch_add(1, Ordering::Relaxed);
        }
        let found = Degradation {
            reason: format!("sending_fails: {room}: {detail}"),
            action: "nothing is lost and sending goes on; look at the homeserver".to_owned(),
        };
        self.crew.report.set_degraded(SENDING, Some(found));
    }
}

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        if self.marked && self.crew.failing.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.crew.report.set_degraded(SENDING, None);
        }
    }
}

pub(super) fn too_long(limit: Duration) -> SendFault {
    let detail = format!("sending took longer than {} s", limit.as_secs());
    SendFault::Passing { detail, retry_after: None }
}
