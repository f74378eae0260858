//! Shows an answer while it is being made: one event, edited a few times.
//!
//! That a draft is about to be sent is in the journal before it is, so that the
//! next attempt, in this life or a later one, goes on in the same event.

use std::time::Duration;

use launcher_core::{conversation::Message, names::EventId};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::{
    Crew, SEND_LIMIT, Sending, Sent, reply, scene::Scene, send, too_long, transaction_part,
};
use crate::{
    lines::Done,
    ports::{
        Answer, AnswerContent, SendFault,
        journal::{Draft, Number},
    },
};

/// How long an answer may take before there is a draft of it.
const FIRST: Duration = Duration::from_secs(1);

/// How long each draft stays at least; the last counts for all that follow.
const STAYS: [u64; 5] = [2, 3, 5, 5, 10];

/// Edits of one answer at most. Servers count each as a message, and room keys
/// are changed after a hundred.
const EDITS: u32 = 12;

/// What stands below a text that is not finished.
const MORE: &str = "\n\n…";

/// Shows drafts until the answer is `finished`. What fails is shown next time.
pub(super) async fn show(
    scene: &Scene<'_>,
    mut drafts: watch::Receiver<Option<String>>,
    mut draft: Option<Draft>,
    finished: &CancellationToken,
) -> Done<Option<Draft>> {
    let mut next = Instant::now() + FIRST;
    let mut shown = None;
    for count in 0..EDITS {
        let text = tokio::select! {
            biased;
            () = finished.cancelled() => return Ok(draft),
            text = new_text(&mut drafts, &shown, next) => text,
        };
        let fault = put(scene, &text, &mut draft, count).await?.err();
        let stays = STAYS.get(count as usize).or(STAYS.last()).copied().unwrap_or_default();
        next = Instant::now() + Duration::from_secs(stays);
        match fault {
            None => shown = Some(text),
            Some(SendFault::Refused { .. }) => break,
            Some(SendFault::Passing { detail, retry_after }) => {
                debug!(room = %scene.message.room, detail, "a draft could not be shown");
                next += retry_after.unwrap_or_default();
            }
        }
    }
    finished.cancelled().await;
    Ok(draft)
}

/// A text that is not shown yet, not before `next`.
async fn new_text(
    drafts: &mut watch::Receiver<Option<String>>,
    shown: &Option<String>,
    next: Instant,
) -> String {
    tokio::time::sleep_until(next).await;
    loop {
        let text = drafts.borrow_and_update().clone();
        if let Some(text) = text.filter(|text| !text.trim().is_empty())
            && shown.as_ref() != Some(&text)
        {
            return text;
        }
        if drafts.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn put(
    scene: &Scene<'_>,
    text: &str,
    draft: &mut Option<Draft>,
    count: u32,
) -> Done<Result<(), SendFault>> {
    let crew = scene.crew;
    let part = crew.session.parts(text).into_iter().next().unwrap_or_default();
    let text = format!("{part}{MORE}");
    if let Some(Draft { event: Some(event), .. }) = draft {
        let to = transaction_part(&scene.message.event);
        let transaction = format!("draft-{}-{count}-to{to}", scene.attempt);
        let content = AnswerContent::Edit { event: event.clone(), text };
        let edit = answer(scene.message, content, transaction);
        crew.journal.sending(&edit.transaction).await?;
        return Ok(try_send(scene, &edit).await.map(drop));
    }
    let begun = begin(scene, draft).await?;
    match try_send(scene, &answer(scene.message, AnswerContent::Text(text), begun.transaction))
        .await
    {
        Ok(event) => {
            sent(scene, draft, event).await?;
            Ok(Ok(()))
        }
        Err(fault) => Ok(Err(fault)),
    }
}

/// Sends a draft of which nobody knows whether the server has it once more,
/// which tells its event.
pub(super) async fn find(crew: &Crew, number: Number, message: &Message) -> Done<Sent> {
    let queued = crew.journal.queued(number).await?;
    let Some(mut draft) = queued.and_then(|queued| queued.draft) else {
        return Ok(Sent::Refused);
    };
    if let Some(event) = draft.event {
        return Ok(Sent::Accepted(event));
    }
    let text = AnswerContent::Text("…".to_owned());
    let again = answer(message, text, draft.transaction.clone());
    crew.journal.sending(&again.transaction).await?;
    let (room, about) = (&message.room, &message.event);
    let sending = Sending { what: "draft", room, about, limit: SEND_LIMIT };
    let sent = send(crew, sending, || crew.session.send(&again)).await;
    if let Sent::Accepted(event) = &sent {
        draft.event = Some(event.clone());
        crew.journal.note_draft(number, &draft).await?;
    }
    Ok(sent)
}

async fn begin(scene: &Scene<'_>, draft: &mut Option<Draft>) -> Done<Draft> {
    if let Some(begun) = draft {
        return Ok(begun.clone());
    }
    let transaction = format!("draft-0-to{}", transaction_part(&scene.message.event));
    let begun = Draft { transaction, event: None };
    scene.crew.journal.note_draft(scene.number, &begun).await?;
    *draft = Some(begun.clone());
    Ok(begun)
}

async fn sent(scene: &Scene<'_>, draft: &mut Option<Draft>, event: EventId) -> Done {
    if let Some(begun) = draft {
        begun.event = Some(event);
        scene.crew.journal.note_draft(scene.number, begun).await?;
    }
    Ok(())
}

async fn try_send(scene: &Scene<'_>, answer: &Answer) -> Result<EventId, SendFault> {
    let sent = tokio::time::timeout(SEND_LIMIT, scene.crew.session.send(answer)).await;
    sent.unwrap_or_else(|_| Err(too_long(SEND_LIMIT)))
}

fn answer(message: &Message, content: AnswerContent, transaction: String) -> Answer {
    Answer {
        room: message.room.clone(),
        content,
        reply: reply(message),
        thread: message.thread.clone(),
        transaction,
    }
}
