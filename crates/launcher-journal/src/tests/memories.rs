//! What behaviors remember, note and ask.

use launcher_core::{
    approval::{Asked, Verdict},
    conversation::{Message, MessageKind},
    names::{EventId, RoomId, UserId},
    spec::Requirement,
};
use launcher_runtime::ports::{
    Answered, Memory,
    journal::{Ciphertext, Draft, Heard, Intake, Journal, Number, OpenQuestion, Outcome},
};

use super::support::*;

fn memory(key: &str, value: &str) -> Memory {
    Memory { key: key.into(), value: Some(value.as_bytes().to_vec()) }
}

fn question(place: u32, event: &str) -> OpenQuestion {
    OpenQuestion {
        number: Number(1),
        place,
        about: format!("the secret matter {place}"),
        asked: Asked {
            event: EventId::new(event),
            users: vec!["@alice:hs".into()],
            require: Requirement::Verified,
        },
        until: START.plus(DAY),
        answered: None,
    }
}

#[tokio::test]
async fn memories_are_kept_with_the_answers_or_not_at_all() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(intake([heard("$a")])).await.unwrap();
    journal.remember(&[memory("x/1", "before"), memory("y", "other")]).await.unwrap();
    let answers = [answer("$a", 0)];
    journal.keep_answers(Number(1), &answers, &[memory("x/1", "after")]).await.unwrap();
    journal.keep_answers(Number(1), &answers, &[memory("x/1", "again")]).await.unwrap();
    let killed = place.killed();
    let journal = killed.begun().await;
    assert_eq!(journal.recall("x/1").await.unwrap().unwrap(), b"after");
    assert_eq!(journal.recall_all("x/").await.unwrap(), [memory("x/1", "after")]);
    journal.remember(&[Memory { key: "x/1".into(), value: None }]).await.unwrap();
    assert_eq!(journal.recall("x/1").await.unwrap(), None);
    assert_eq!(journal.recall("y").await.unwrap().unwrap(), b"other");
}

#[tokio::test]
async fn what_is_remembered_noted_and_asked_is_sealed_also_after_a_change_of_the_key() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(intake([heard("$a")])).await.unwrap();
    journal.remember(&[memory("x", "a secret memory")]).await.unwrap();
    journal.note_work(Number(1), b"a secret note").await.unwrap();
    journal.keep_question(&question(0, "$q")).await.unwrap();
    journal.end().await.unwrap();
    let other = place.journal_with_key(2);
    other.reseal(&launcher_core::secret::Secret::new([1; 32])).await.unwrap();
    other.begin().await.unwrap();
    assert_eq!(other.recall("x").await.unwrap().unwrap(), b"a secret memory");
    let queued = other.queued(Number(1)).await.unwrap().unwrap();
    assert_eq!(queued.work.unwrap(), b"a secret note");
    assert_eq!(other.questions().await.unwrap(), [question(0, "$q")]);
    for secret in ["secret memory", "secret note", "secret matter", "YSBzZWNyZXQ"] {
        assert!(!place.shows(secret.as_bytes()), "{secret}");
    }
}

#[tokio::test]
async fn work_drafts_and_questions_are_forgotten_when_their_message_is_settled() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(intake([heard("$a"), heard("$b")])).await.unwrap();
    let begun = Draft { transaction: "draft-0".into(), event: None };
    let sent = Draft { event: Some(EventId::new("$draft")), ..begun.clone() };
    journal.note_work(Number(1), b"half").await.unwrap();
    journal.note_draft(Number(1), &begun).await.unwrap();
    assert_eq!(journal.queued(Number(1)).await.unwrap().unwrap().draft, Some(begun));
    journal.note_draft(Number(1), &sent).await.unwrap();
    journal.keep_question(&question(0, "$q")).await.unwrap();
    let queued = journal.queued(Number(1)).await.unwrap().unwrap();
    assert_eq!((queued.work.as_deref(), queued.draft), (Some(&b"half"[..]), Some(sent)));
    assert!(journal.queued(Number(2)).await.unwrap().unwrap().work.is_none());
    journal.settle(Number(1), Outcome::Done).await.unwrap();
    assert_eq!(journal.questions().await.unwrap(), []);
    assert!(journal.note_work(Number(1), b"late").await.is_err());
    let left: i64 = place
        .database()
        .query_row("SELECT (SELECT count(*) FROM work) + (SELECT count(*) FROM draft)", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn damaged_memories_are_forgotten_and_damaged_work_counts_as_begun() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(intake([heard("$a")])).await.unwrap();
    journal.note_work(Number(1), b"half").await.unwrap();
    journal.remember(&[memory("x", "1")]).await.unwrap();
    place
        .database()
        .execute_batch("UPDATE work SET sealed = x'00'; UPDATE memory SET sealed = x'00'")
        .unwrap();
    assert_eq!(journal.recall("x").await.unwrap(), None);
    let queued = journal.queued(Number(1)).await.unwrap().unwrap();
    assert_eq!(queued.work.as_deref(), Some(&b""[..]));
}

#[tokio::test]
async fn a_draft_that_is_about_to_be_sent_counts_as_the_agents_own() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(intake([heard("$a")])).await.unwrap();
    place.advance(DAY);
    let draft = Draft { transaction: "draft-0-to_a".into(), event: None };
    journal.note_draft(Number(1), &draft).await.unwrap();
    assert!(journal.is_own("draft-0-to_a", START.plus(DAY)).await.unwrap());
}

#[tokio::test]
async fn the_first_answer_to_a_question_counts_and_is_kept_with_the_position() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(intake([heard("$a")])).await.unwrap();
    journal.keep_question(&question(0, "")).await.unwrap();
    journal.keep_question(&question(0, "$q")).await.unwrap();
    journal.keep_question(&question(1, "$r")).await.unwrap();
    let verdict = |question: &str, yes, by: &str| Verdict {
        question: EventId::new(question),
        yes,
        by: UserId::new(by),
    };
    let says = |event: &str, verdict: Verdict| Heard {
        wanted: false,
        verdict: Some(verdict),
        ..encrypted(event, "s", 0)
    };
    journal.ingest(intake([encrypted("$used", "t", 0)])).await.unwrap();
    let replayed = Heard {
        ciphertext: Some(Ciphertext { session: "t".into(), index: 0 }),
        ..says("$replayed", verdict("$q", false, "@eve:hs"))
    };
    let all = [
        replayed,
        says("$yes", verdict("$q", true, "@alice:hs")),
        Heard { ciphertext: None, ..says("$no", verdict("$q", false, "@bob:hs")) },
    ];
    let batch = Intake { position: Some("s1".into()), ..intake(all) };
    journal.ingest(batch).await.unwrap();
    // Its event is written again, and the answer stays.
    journal.keep_question(&question(0, "$q")).await.unwrap();
    let killed = place.killed();
    let found = killed.begun().await.questions().await.unwrap();
    assert_eq!(found[0].answered, Some(Answered::Yes(UserId::new("@alice:hs"))));
    assert_eq!(found[1], question(1, "$r"));
}

#[tokio::test]
async fn an_answer_that_comes_before_the_end_counts_and_none_after_it() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(intake([heard("$a"), heard("$yes")])).await.unwrap();
    let (first, second) = (question(0, "$q"), question(1, "$r"));
    journal.keep_question(&first).await.unwrap();
    journal.keep_question(&second).await.unwrap();
    let yes = |question: &str| Verdict {
        question: EventId::new(question),
        yes: true,
        by: UserId::new("@alice:hs"),
    };
    journal.take_verdict(&yes("$q"), Number(2)).await.unwrap();
    assert!(journal.queued(Number(2)).await.unwrap().is_none());
    let agreed = Answered::Yes(UserId::new("@alice:hs"));
    assert_eq!(journal.expire(&first).await.unwrap(), agreed);
    assert_eq!(journal.expire(&second).await.unwrap(), Answered::Expired);
    journal.take_verdict(&yes("$r"), Number(2)).await.unwrap();
    let found = journal.questions().await.unwrap();
    assert_eq!(found[0].answered, Some(agreed));
    assert_eq!(found[1].answered, Some(Answered::Expired));
}

#[tokio::test]
async fn a_damaged_question_keeps_its_place_and_agrees_to_nothing() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(intake([heard("$a")])).await.unwrap();
    journal.keep_question(&question(0, "$q")).await.unwrap();
    journal.keep_question(&question(1, "$r")).await.unwrap();
    // As if somebody had put one answer in the place of another.
    place
        .database()
        .execute_batch(
            "UPDATE question SET sealed = (SELECT sealed FROM question WHERE place = 1)
             WHERE place = 0",
        )
        .unwrap();
    let found = journal.questions().await.unwrap();
    assert_eq!(found[0].place, 0);
    assert_eq!(found[0].answered, Some(Answered::Expired));
    assert_ne!(found[0].about, question(0, "$q").about);
    assert_eq!(found[1], question(1, "$r"));
}

#[tokio::test]
async fn a_try_that_a_stop_cut_off_does_not_count_but_for_the_first() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(intake([heard("$a")])).await.unwrap();
    for _ in 0..3 {
        journal.attempt(Number(1)).await.unwrap();
        journal.give_back(Number(1)).await.unwrap();
    }
    assert_eq!(journal.queued(Number(1)).await.unwrap().unwrap().tries, 1);
}

#[tokio::test]
async fn what_follows_in_a_room_can_be_put_together() {
    let place = Place::new();
    let journal = place.begun().await;
    let mut first = heard("$a");
    first.message.mentions = vec![UserId::new("@robot:hs")];
    let mut elsewhere = heard("$b");
    elsewhere.message.room = RoomId::new("!other:hs");
    journal.ingest(intake([first, elsewhere, heard("$c")])).await.unwrap();
    let next = journal.follower(Number(1)).await.unwrap().unwrap();
    assert_eq!(next.message.event, EventId::new("$c"));
    journal.merge(Number(1), next.number).await.unwrap();
    journal.merge(Number(1), next.number).await.unwrap();
    assert!(journal.queued(Number(1)).await.unwrap().is_none());
    let both = journal.queued(next.number).await.unwrap().unwrap();
    assert_eq!(both.message.body, "the body of $a\nthe body of $c");
    let parts: Vec<&str> = both.message.parts.iter().map(|part| part.event.as_str()).collect();
    assert_eq!(parts, ["$a", "$c"]);
    assert_eq!(both.message.mentions, [UserId::new("@robot:hs")], "whom the first part meant");
    journal.attempt(Number(2)).await.unwrap();
    assert!(journal.follower(Number(1)).await.unwrap().is_some());
    journal.attempt(next.number).await.unwrap();
    assert!(journal.follower(Number(1)).await.unwrap().is_none(), "it was tried");
}

#[tokio::test]
async fn a_task_is_taken_in_once_with_its_answers_and_memories() {
    let place = Place::new();
    let journal = place.begun().await;
    let task = Message { kind: MessageKind::Task, ..message("launcher-task:1") };
    let answers = [answer("launcher-task:1", 0)];
    let begun = journal.begin_task(&task, Some(&answers), &[memory("x", "1")]).await;
    assert!(begun.unwrap());
    assert!(!journal.begin_task(&task, None, &[memory("x", "2")]).await.unwrap());
    let other = Message { event: EventId::new("launcher-task:2"), ..task.clone() };
    assert!(journal.begin_task(&other, None, &[]).await.unwrap());
    let found = journal.queued(Number(1)).await.unwrap().unwrap();
    assert_eq!((found.message, found.answers.as_deref()), (task, Some(&answers[..])));
    assert_eq!(journal.queued(Number(2)).await.unwrap().unwrap().answers, None);
    assert_eq!(journal.recall("x").await.unwrap().unwrap(), b"1");
}

#[tokio::test]
async fn an_agent_takes_part_in_the_threads_in_which_it_answers() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(intake([heard("$a")])).await.unwrap();
    let (room, root) = (RoomId::new("!room:hs"), EventId::new("$thread"));
    assert!(!journal.takes_part(&room, &root).await.unwrap());
    let in_thread =
        launcher_runtime::ports::Answer { thread: Some(root.clone()), ..answer("$a", 0) };
    journal.keep_answers(Number(1), &[in_thread], &[]).await.unwrap();
    assert!(journal.takes_part(&room, &root).await.unwrap());
    assert!(!journal.takes_part(&RoomId::new("!other:hs"), &root).await.unwrap());
}

#[tokio::test]
async fn every_kind_of_answer_comes_back() {
    use launcher_runtime::ports::{Answer, AnswerContent::*, outbox::Attachment};
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(intake([heard("$a")])).await.unwrap();
    let event = EventId::new("$x");
    let file = Attachment {
        name: "a.bin".into(),
        content_type: "x/y".into(),
        bytes: (0..=255).collect(),
        caption: Some("see".into()),
        voice: true,
    };
    let contents = [
        Text("text".into()),
        Edit { event: event.clone(), text: "text".into() },
        Reaction { event: event.clone(), key: "👍".into() },
        Redaction { event },
        File(file),
    ];
    let answers: Vec<Answer> = (0..)
        .zip(contents)
        .map(|(part, content)| Answer { content, reply: None, ..answer("$a", part) })
        .collect();
    journal.keep_answers(Number(1), &answers, &[]).await.unwrap();
    assert!(journal.queued(Number(1)).await.unwrap().unwrap().answers == Some(answers));
}
