//! What an agent is to send, and which parked agents are known about.

use std::time::Duration;

use axum::{
    Json, Router,
    body::{Bytes, to_bytes},
    extract::{DefaultBodyLimit, Path, Query, Request, State, rejection::QueryRejection},
    http::StatusCode,
    routing::post,
};
use launcher_core::names::EventId;
use launcher_runtime::ports::outbox::{Attachment, Outgoing, OutgoingContent};
use tokio::time::timeout;

use super::{Answer, Body, No, agent, not_taken, read};
use crate::{
    desk::Desk,
    wire::{
        AcknowledgeRequest, AcknowledgedReply, Refusal, SentReply,
        message::{
            CAPTION_LIMIT, FILE_LIMIT, FileQuery, KEY_LIMIT, MessageRequest, NOTE_LIMIT, TEXT_LIMIT,
        },
    },
};

/// A text and its JSON, in which a character can take six.
const BODY_LIMIT: usize = 6 * TEXT_LIMIT + 4 * 1024;

/// How long a file may take to arrive. It comes from this host, and meanwhile no
/// other one is taken.
const ARRIVAL: Duration = Duration::from_secs(60);

/// Those below `/v1/agents/{id}`.
pub(super) fn routes() -> Router<Desk> {
    Router::new()
        .route("/messages", post(send).layer(DefaultBodyLimit::max(BODY_LIMIT)))
        .route("/files", post(send_file).layer(DefaultBodyLimit::disable()))
        .route("/acknowledge", post(acknowledge))
}

async fn send(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    body: Body<MessageRequest>,
) -> Answer<SentReply> {
    let request = read(body)?;
    if request.text.trim().is_empty() || request.text.len() > TEXT_LIMIT {
        return Err(not_taken(StatusCode::UNPROCESSABLE_ENTITY));
    }
    let message = Outgoing {
        target: target(&request.room)?,
        key: key(request.key)?,
        thread: request.thread.map(EventId::new),
        notice: request.notice,
        content: OutgoingContent::Text(request.text),
    };
    Ok(Json(desk.send(&agent(&id)?, &message).await?.into()))
}

/// The file comes as it is, so that no more than itself is in memory; what is
/// about it is in the query. One at a time: a hundred would fill the memory.
async fn send_file(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    query: Result<Query<FileQuery>, QueryRejection>,
    request: Request,
) -> Answer<SentReply> {
    let Query(query) = query.map_err(|rejected| not_taken(rejected.status()))?;
    let is_name = !query.name.is_empty() && !query.name.contains(['/', '\0']);
    let fits = query.caption.as_ref().is_none_or(|caption| caption.len() <= CAPTION_LIMIT);
    if !is_name || !fits {
        return Err(not_taken(StatusCode::UNPROCESSABLE_ENTITY));
    }
    let (agent, target, key) = (agent(&id)?, target(&query.room)?, key(query.key)?);
    let _place = desk.place_for_file().await;
    let bytes = arrived(request.into_body(), ARRIVAL).await?;
    let message = Outgoing {
        target,
        key,
        thread: query.thread.map(EventId::new),
        notice: false,
        content: OutgoingContent::File(Attachment {
            name: query.name,
            content_type: query.content_type,
            bytes: bytes.into(),
            caption: query.caption,
            voice: false,
        }),
    };
    Ok(Json(desk.send(&agent, &message).await?.into()))
}

/// The body, if it comes as a whole in this time.
async fn arrived(body: axum::body::Body, within: Duration) -> Result<Bytes, No> {
    let late = |_| {
        let reason = format!("the file did not arrive within {} s", within.as_secs());
        No(StatusCode::REQUEST_TIMEOUT, Refusal::new(reason, "repeat the command"))
    };
    let bytes = timeout(within, to_bytes(body, FILE_LIMIT)).await.map_err(late)?;
    bytes.map_err(|_| {
        let limit = FILE_LIMIT >> 20;
        let reason = format!("the file did not arrive as a whole, or has more than {limit} MiB");
        No(StatusCode::PAYLOAD_TOO_LARGE, Refusal { reason, action: None })
    })
}

async fn acknowledge(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    body: Body<AcknowledgeRequest>,
) -> Answer<AcknowledgedReply> {
    let request = read(body)?;
    if request.note.as_ref().is_some_and(|note| note.len() > NOTE_LIMIT) {
        return Err(not_taken(StatusCode::UNPROCESSABLE_ENTITY));
    }
    Ok(Json(desk.acknowledge(&agent(&id)?, request.note)?.into()))
}

fn target(text: &str) -> Result<launcher_core::target::Target, No> {
    text.parse().map_err(|_| not_taken(StatusCode::UNPROCESSABLE_ENTITY))
}

fn key(key: String) -> Result<String, No> {
    match key.is_empty() || key.len() > KEY_LIMIT {
        true => Err(not_taken(StatusCode::UNPROCESSABLE_ENTITY)),
        false => Ok(key),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use axum::body::Body;
    use futures_util::stream::pending;

    use super::*;

    #[tokio::test]
    async fn a_file_that_does_not_come_is_not_waited_for_for_ever() {
        let never = Body::from_stream(pending::<io::Result<Bytes>>());
        let waited = timeout(ARRIVAL / 2, arrived(never, Duration::from_millis(10))).await;
        let No(status, refusal) = waited.unwrap().unwrap_err();
        assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
        assert!(refusal.reason.contains("did not arrive"), "{refusal}");
        let whole = arrived(Body::from("x"), ARRIVAL).await;
        assert_eq!(whole.ok().as_deref(), Some(&b"x"[..]));
    }
}
