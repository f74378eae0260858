//! What is answered, in which order, and what becomes of answers that were begun.

use super::*;
use crate::lines::{Lines, Work as ToDoInRoom};

#[tokio::test(start_paused = true)]
async fn a_draft_that_nobody_knows_arrived_says_so_if_it_cannot_be_finished() {
    let fails = act(|_, _| Box::pin(async { Err(BehaviorFault::new("on purpose")) }));
    let world = World::new(vec![drafts("so far", 1_000, "never"), fails]);
    world.room.cuts.lock().unwrap().push("draft-0".into());
    world.hear(said("$q", "go")).await;
    world.cut_when(world.room.until(|seen| seen.len() == 1)).await;
    world.live().await;
    let seen = world.room.seen();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].starts_with("I could not finish this answer"), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_begun_and_is_not_to_be_given_any_more_does_not_stay_as_it_is() {
    let mut world = World::new(vec![drafts("so far", 1_000, "never")]);
    world.hear(said("$q", "go")).await;
    world.cut_when(world.room.until(|seen| seen.len() == 1)).await;
    world.spec.answer.users = vec!["@bob:hs".into()];
    world.live().await;
    let seen = world.room.seen();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].starts_with("I could not finish this answer"), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_begun_is_finished_whatever_is_set_meanwhile() {
    let mut world = World::new(vec![drafts("so far", 1_000, "never"), say("all of it")]);
    world.hear(said("$q", "go")).await;
    world.cut_when(world.room.until(|seen| seen.len() == 1)).await;
    world.spec.answer.when = Vec::new();
    world.live().await;
    assert_eq!(world.room.seen(), ["all of it"]);
}

#[tokio::test(start_paused = true)]
async fn who_is_mentioned_in_the_first_part_is_meant_by_all_of_them() {
    let mut world = World::new(vec![repeat()]);
    world.spec.answer.debounce = Duration::from_secs(2);
    world.spec.answer.when = vec![launcher_core::spec::Occasion::Mentioned];
    let own = UserId::new(world.spec.account.user_id.clone());
    world.hear(Message { mentions: vec![own], ..said("$1", "you there") }).await;
    world.hear(said("$2", "and this")).await;
    world.live().await;
    assert_eq!(world.room.seen(), ["you there\nand this"]);
}

#[tokio::test(start_paused = true)]
async fn words_that_are_for_the_agent_itself_are_no_part_of_what_was_said_before() {
    let mut world = World::new(vec![repeat()]);
    world.spec.answer.debounce = Duration::from_secs(2);
    for (event, body) in [("$1", "one"), ("$2", "!help"), ("$3", "two"), ("$4", "!og now")] {
        world.hear(said(event, body)).await;
    }
    world.live().await;
    let seen = world.room.seen();
    assert_eq!((seen.len(), seen[0].as_str(), seen[2].as_str()), (4, "one", "two"), "{seen:?}");
    assert!(seen[1].contains("`!go`") && seen[3].contains("`!help`"), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn many_messages_in_one_go_have_an_end() {
    let mut world = World::new(vec![repeat()]);
    world.spec.answer.debounce = Duration::from_secs(2);
    for number in 0..30 {
        world.hear(said(&format!("${number}"), "more")).await;
    }
    world.live().await;
    let seen = world.room.seen();
    assert_eq!(seen.iter().map(|said| said.lines().count()).collect::<Vec<_>>(), [20, 10]);
}

#[tokio::test(start_paused = true)]
async fn help_is_not_given_without_end_and_a_setting_can_be_changed_all_the_same() {
    let mut world = World::new(vec![repeat()]);
    world.spec.answer.per_user = Some(Rate { count: 1, per: Duration::from_secs(60) });
    world.spec.settings = SettingsPolicy { users: vec!["@alice:hs".into()], ..Default::default() };
    for (event, body) in [("$1", "!help"), ("$2", "!help"), ("$3", "!help"), ("$4", "!oops")] {
        world.hear(said(event, body)).await;
    }
    world.hear(said("$5", "!set debounce 1s")).await;
    world.live().await;
    let seen = world.room.seen();
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(seen[1].starts_with("That is more than I may answer"), "{seen:?}");
    assert!(seen[2].contains("`debounce` is set"), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn what_waited_is_answered_before_what_was_said_after_it() {
    let world = World::new(vec![repeat()]);
    let first = world.hear(said("$1", "one")).await;
    let second = world.hear(said("$2", "two")).await;
    let crew = world.crew().await;
    let room = RoomId::new("!r:hs");
    crew.deferred.add(Place { number: first, room: room.clone() }, Duration::from_secs(3_600));
    answer(&crew, second).await.unwrap();
    assert_eq!(world.room.seen(), Vec::<String>::new());
    for expected in [first, second] {
        let place = crew.deferred.next().await;
        assert_eq!(place, Place { number: expected, room: room.clone() });
        answer(&crew, place.number).await.unwrap();
    }
    assert_eq!(world.room.seen(), ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_the_morning_does_not_grow_old_meanwhile() {
    let mut world = World::new(vec![repeat()]);
    let hours = QuietHours { from: 60, to: 8 * 60, timezone: "UTC".into(), answer_later: true };
    assert_eq!(hours.length(), Duration::from_secs(7 * 3_600));
    let over_midnight = QuietHours { from: 23 * 60, to: 60, ..hours.clone() };
    assert_eq!(over_midnight.length(), Duration::from_secs(2 * 3_600));
    // Two hours are more than may be caught up, and it may be quiet just now.
    let old = || Message { age: Duration::from_secs(60), ..said("$q", "go") };
    world.spec.answer.quiet_hours = Some(hours);
    let crew = world.crew().await;
    let number = world.hear(old()).await;
    world.journal.age(number, Duration::from_secs(2 * 3_600));
    crew.deferred.release(&RoomId::new("!r:hs"));
    answer(&crew, number).await.unwrap();
    assert_ne!(world.journal.outcome(), Some(Outcome::Skipped));
}

#[tokio::test(start_paused = true)]
async fn what_comes_late_into_a_line_is_answered_in_its_turn() {
    let world = World::new(vec![repeat()]);
    let mut numbers = Vec::new();
    for (event, body) in [("$1", "one"), ("$2", "two"), ("$3", "three")] {
        numbers.push(world.hear(said(event, body)).await);
    }
    let mut lines = Lines::new(Arc::new(world.crew().await));
    for at in [0, 2, 1] {
        let place = Place { number: numbers[at], room: RoomId::new("!r:hs") };
        lines.push(ToDoInRoom::Answer(place));
    }
    while !lines.is_idle() {
        lines.next_done().await.unwrap();
    }
    assert_eq!(world.room.seen(), ["one", "two", "three"]);
}
