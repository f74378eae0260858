//! Who asks, on the way of a request; and what is written down of it.
//!
//! The asker travels with the request's task, so that what is done for it can
//! be noted where it is done, with everything that is known there. A request
//! that could have changed something and of whose end nothing was noted, because
//! it was refused before or because its client went away, is written down here.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Json,
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use launcher_core::agent::AgentId;
use rustix::process::geteuid;
use tracing::warn;

use crate::{
    audit::{AuditLog, Outcome},
    peer::Peer,
    wire::Refusal,
};

tokio::task_local! {
    static ASKER: Arc<Asker>;
}

/// Who asks, and what was noted of it yet.
struct Asker {
    log: AuditLog,
    peer: Peer,
    noted: Mutex<Noted>,
}

/// What is in the audit log about a request.
#[derive(Clone, Copy, Debug)]
enum Noted {
    Nothing,
    /// That this began.
    Began(&'static str),
    /// What became of it, or that there is nothing to note.
    End,
}

impl Asker {
    fn new(log: AuditLog, peer: Peer) -> Arc<Self> {
        Arc::new(Self { log, peer, noted: Mutex::new(Noted::Nothing) })
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes down that an action begins that somebody asked for on this task, or
/// what became of it.
pub(crate) fn note(action: &'static str, agent: &str, subjects: &[&str], outcome: &Outcome) {
    // Outside of a request nobody asked.
    if let Ok(asker) = ASKER.try_with(Arc::clone) {
        *asker.noted() = match outcome {
            Outcome::Began => Noted::Began(action),
            Outcome::Done | Outcome::Refused(_) | Outcome::Abandoned => Noted::End,
        };
        asker.log.write(asker.peer, action, Some(agent), subjects, outcome);
    }
}

/// Turns away whoever may not ask, and sees to it that something is written
/// down of every request that could have changed anything.
pub(super) async fn attend(
    State(log): State<AuditLog>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    attend_as(log, peer, geteuid().as_raw(), request, |request| next.run(request)).await
}

async fn attend_as<F: Future<Output = Response>>(
    log: AuditLog,
    peer: Peer,
    launcher: u32,
    request: Request,
    next: impl FnOnce(Request) -> F,
) -> Response {
    if !peer.may_ask(launcher) {
        warn!(uid = peer.uid, pid = peer.pid, "another user asked over the control socket");
        let reason = format!("this launcher belongs to user {launcher}, and so do its agents");
        log.write(peer, "connect", None, &[], &Outcome::Refused(reason.clone()));
        let refusal = Refusal::new(reason, "run the command as that user");
        return (StatusCode::FORBIDDEN, Json(refusal)).into_response();
    }
    let asker = Asker::new(log, peer);
    let unnoted = Unnoted::of(&request, asker.clone());
    let response = ASKER.scope(asker, next(request)).await;
    if let Some(unnoted) = unnoted {
        unnoted.ended(response.status());
    }
    response
}

/// Notes that what is asked for on this task is a look, whatever its method: it
/// has no line.
pub(crate) fn only_looks() {
    if let Ok(asker) = ASKER.try_with(Arc::clone) {
        *asker.noted() = Noted::End;
    }
}

/// A request that could change something. When it is dropped, its client has
/// gone away.
struct Unnoted {
    asker: Arc<Asker>,
    action: String,
    agent: Option<AgentId>,
    outcome: Outcome,
}

impl Unnoted {
    /// `None` for what only looks, and for what is no route: its path can be anything.
    fn of(request: &Request, asker: Arc<Asker>) -> Option<Self> {
        let route = request.extensions().get::<MatchedPath>()?;
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return None;
        }
        Some(Self {
            asker,
            action: format!("{} {}", request.method(), route.as_str()),
            agent: request.uri().path().split('/').nth(3).and_then(|id| id.parse().ok()),
            outcome: Outcome::Abandoned,
        })
    }

    fn ended(mut self, status: StatusCode) {
        self.outcome = match status.is_success() {
            true => Outcome::Done,
            false => Outcome::Refused(status.to_string()),
        };
    }
}

impl Drop for Unnoted {
    fn drop(&mut self) {
        let action = match *self.asker.noted() {
            Noted::Nothing => self.action.as_str(),
            Noted::Began(action) => action,
            Noted::End => return,
        };
        let agent = self.agent.as_ref().map(AgentId::as_str);
        self.asker.log.write(self.asker.peer, action, agent, &[], &self.outcome);
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use fs_err as fs;
    use tempfile::TempDir;

    use super::*;

    async fn ask_as(uid: Option<u32>, launcher: u32) -> (StatusCode, String) {
        let folder = TempDir::new().unwrap();
        let log = AuditLog::in_folder(folder.path());
        let request = Request::new(Body::empty());
        let peer = Peer { uid, pid: Some(9) };
        let answer = |_| async { StatusCode::OK.into_response() };
        let response = attend_as(log, peer, launcher, request, answer).await;
        let written = fs::read_to_string(folder.path().join("audit.jsonl")).unwrap_or_default();
        (response.status(), written)
    }

    #[tokio::test]
    async fn another_user_is_turned_away_and_written_down() {
        for other in [Some(1001), None] {
            let (status, written) = ask_as(other, 1000).await;
            assert_eq!(status, StatusCode::FORBIDDEN);
            assert!(written.contains("\"action\":\"connect\"") && written.contains("\"pid\":9"));
        }
        for own in [1000, 0] {
            assert_eq!(ask_as(Some(own), 1000).await, (StatusCode::OK, String::new()));
        }
    }
}
