use launcher_core::{
    conversation::MediaKind,
    names::{EventId, RoomId, UserId},
    secret::Secret,
};
use launcher_runtime::ports::journal::{Heard, Journal, Number, Outcome, Queued};

use super::support::*;

#[tokio::test]
async fn a_message_is_given_out_until_it_is_settled() {
    let place = Place::new();
    let journal = place.begun().await;
    assert_eq!(journal.ingest(intake([heard("$a"), heard("$b")])).await, Ok(vec![]));
    let both = waiting(&journal).await;
    let expected = |number, event| Queued {
        number: Number(number),
        message: message(event),
        arrived: START,
        tries: 0,
        work: None,
        draft: None,
        answers: None,
    };
    assert_eq!(both, [expected(1, "$a"), expected(2, "$b")]);
    assert_eq!(waiting(&journal).await, both);
    for (number, outcome) in [(1, Outcome::Done), (2, Outcome::Skipped)] {
        journal.settle(Number(number), outcome).await.unwrap();
    }
    assert_eq!(waiting(&journal).await, []);
}

#[tokio::test]
async fn after_a_kill_a_message_comes_again_with_the_answers_it_was_given() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(intake([heard("$a"), heard("$b"), heard("$c")])).await.unwrap();
    assert_eq!(journal.attempt(Number(1)).await, Ok(1));
    assert_eq!(journal.attempt(Number(1)).await, Ok(2));
    let answers = [answer("$a", 0), answer("$a", 1)];
    journal.keep_answers(Number(1), &answers, &[]).await.unwrap();
    journal.keep_answers(Number(2), &[], &[]).await.unwrap();

    let killed = place.killed();
    let next = killed.journal();
    assert!(!next.begin().await.unwrap().clean);
    let found = waiting(&next).await;
    assert_eq!(found[0].answers, Some(answers.to_vec()));
    assert_eq!(found[0].tries, 2);
    assert_eq!(found[1].answers, Some(vec![]));
    assert_eq!(found[2].answers, None);
}

#[tokio::test]
async fn an_answer_that_the_server_has_does_not_come_again() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(intake([heard("$a")])).await.unwrap();
    let answers = [answer("$a", 0), answer("$a", 1)];
    journal.keep_answers(Number(1), &answers, &[]).await.unwrap();
    journal.answer_done(Number(1), "$a-0").await.unwrap();
    assert_eq!(waiting(&journal).await[0].answers, Some(vec![answer("$a", 1)]));
    let contents: u32 = place
        .database()
        .query_row("SELECT count(sealed) FROM outbox", [], |row| row.get(0))
        .unwrap();
    assert_eq!(contents, 1);
    journal.answer_done(Number(1), "$a-1").await.unwrap();
    assert_eq!(waiting(&journal).await[0].answers, Some(vec![]));
}

#[tokio::test]
async fn answers_that_were_kept_are_not_replaced() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(intake([heard("$a")])).await.unwrap();
    journal.keep_answers(Number(1), &[answer("$a", 0)], &[]).await.unwrap();
    journal.keep_answers(Number(1), &[answer("$other", 0)], &[]).await.unwrap();
    assert_eq!(waiting(&journal).await[0].answers, Some(vec![answer("$a", 0)]));
}

#[tokio::test]
async fn nothing_is_begun_for_a_message_that_does_not_wait() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(intake([heard("$a")])).await.unwrap();
    journal.settle(Number(1), Outcome::GivenUp).await.unwrap();
    for number in [Number(1), Number(7)] {
        assert_eq!(journal.attempt(number).await.unwrap_err().code(), "store_failed");
        let kept = journal.keep_answers(number, &[answer("$a", 0)], &[]).await;
        assert_eq!(kept.unwrap_err().code(), "store_failed");
        journal.settle(number, Outcome::Done).await.unwrap();
    }
    assert!(!place.shows(b"$a-0"));
}

#[tokio::test]
async fn ten_thousand_messages_come_in_pages() {
    let place = Place::new();
    let journal = place.begun().await;
    for page in 0..10 {
        let page = (0..1_000).map(|message| heard(&format!("${}", page * 1_000 + message)));
        journal.ingest(intake(page)).await.unwrap();
    }
    journal.settle(Number(5), Outcome::Done).await.unwrap();
    let (mut after, mut numbers) = (Number::default(), Vec::new());
    loop {
        let page = journal.waiting(after, 300).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 300);
        after = last.number;
        numbers.extend(page.into_iter().map(|place| place.number.0));
    }
    let expected: Vec<_> = (1..=10_000).filter(|&n| n != 5).collect();
    assert_eq!(numbers, expected);
    let last = journal.queued(Number(10_000)).await.unwrap().unwrap();
    assert_eq!(last.message.event, EventId::new("$9999"));
    assert_eq!(journal.queued(Number(5)).await.unwrap(), None);
}

#[tokio::test]
async fn a_damaged_message_or_answer_holds_up_no_other() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(intake(["$a", "$b", "$c", "$d"].map(heard))).await.unwrap();
    journal.keep_answers(Number(3), &[answer("$c", 0)], &[]).await.unwrap();
    journal.rest().await;
    let database = place.database();
    database.execute("UPDATE inbox SET sealed = x'00' WHERE event = '$b'", []).unwrap();
    database.execute("UPDATE outbox SET transaction_id = 'other'", []).unwrap();
    drop(database);
    assert_eq!(waiting_events(&journal).await, ["$a", "$d"]);
    journal.rest().await;
    let given_up: u32 = place
        .database()
        .query_row("SELECT count(*) FROM inbox WHERE state = 'given_up'", [], |row| row.get(0))
        .unwrap();
    assert_eq!(given_up, 2);
}

#[tokio::test]
async fn content_that_was_moved_to_another_row_is_not_obeyed() {
    let place = Place::new();
    let journal = place.begun().await;
    journal.ingest(intake(["$a", "$b", "$c", "$d"].map(heard))).await.unwrap();
    journal.rest().await;
    let database = place.database();
    for change in [
        "UPDATE inbox SET sealed = (SELECT sealed FROM inbox WHERE event = '$d') WHERE event = '$a'",
        "UPDATE inbox SET room = '!other:hs' WHERE event = '$b'",
        "UPDATE inbox SET sender = '@mallory:hs' WHERE event = '$c'",
    ] {
        assert_eq!(database.execute(change, []).unwrap(), 1);
    }
    drop(database);
    assert_eq!(waiting_events(&journal).await, ["$d"]);
}

#[tokio::test]
async fn the_messages_of_two_rooms_keep_their_order_and_their_room() {
    let place = Place::new();
    let journal = place.begun().await;
    let in_room = |event: &str, room: &str| {
        let mut heard = heard(event);
        heard.message.room = RoomId::new(room);
        heard
    };
    let all: Vec<Heard> = [("$a", "!one"), ("$b", "!two"), ("$c", "!one"), ("$d", "!two")]
        .map(|(event, room)| in_room(event, room))
        .to_vec();
    journal.ingest(intake(all.clone())).await.unwrap();
    journal.settle(Number(1), Outcome::GivenUp).await.unwrap();
    let found: Vec<_> = waiting(&journal).await.into_iter().map(|queued| queued.message).collect();
    let expected: Vec<_> = all.into_iter().skip(1).map(|heard| heard.message).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn every_field_of_a_message_comes_back() {
    use launcher_core::conversation::MessageKind::{
        Edit, Media, Notice, Other, Reaction, Redaction, Task, Text,
    };
    let place = Place::new();
    let journal = place.begun().await;
    let kinds = [Text, Notice, Edit, Reaction, Redaction, Media, Task, Other];
    for (number, kind) in (1..).zip(kinds) {
        let mut heard = heard(&format!("${number}"));
        heard.message.kind = kind;
        heard.message.automated = true;
        heard.message.body = "\"quoted\" \\ \u{0} \u{1f980}\n".to_owned();
        heard.message.thread = None;
        heard.message.in_reply_to = Some(EventId::new("$before"));
        heard.message.target = Some(EventId::new("$target"));
        heard.message.mentions = vec![UserId::new("@bot:hs")];
        heard.message.direct = true;
        heard.message.media = Some(launcher_core::conversation::Media {
            kind: MediaKind::Voice,
            name: "a.ogg".into(),
            content_type: "audio/ogg".into(),
            size: Some(5),
            source: Secret::new("{}".into()),
        });
        journal.ingest(intake([heard.clone()])).await.unwrap();
        let found = journal.queued(Number(number)).await.unwrap().unwrap();
        assert_eq!(found.message, heard.message);
    }
}

#[tokio::test]
async fn many_tasks_may_use_it_at_once() {
    let place = Place::new();
    let journal = place.begun().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..200 {
        let journal = journal.clone();
        tasks.spawn(async move {
            journal.ingest(intake([heard(&format!("${number}"))])).await.unwrap();
            if number % 10 == 0 {
                journal.rest().await;
            }
            journal.position().await.unwrap();
            journal.attempt(Number(1)).await.unwrap()
        });
    }
    let mut tries = tasks.join_all().await;
    tries.sort_unstable();
    assert_eq!(tries, (1..=200).collect::<Vec<_>>());
    assert_eq!(waiting(&journal).await.len(), 200);
}
