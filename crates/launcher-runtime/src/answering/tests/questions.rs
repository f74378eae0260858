//! Questions that a behavior asks before it does something.

use super::*;

/// Asks before it does something, and says what came of it.
fn asks() -> Act {
    act(|_, stage| {
        Box::pin(async {
            let question = Question {
                about: "this".into(),
                text: "May I?".into(),
                users: vec!["@alice:hs".into()],
                require: Requirement::Trusted,
                timeout: Duration::from_secs(600),
            };
            let said = match stage.ask(question).await? {
                Answered::Yes(by) => format!("done for {by}"),
                Answered::No(by) => format!("not done: {by}"),
                Answered::Expired => "nobody said anything".to_owned(),
            };
            Ok(Some(Response::say(said)))
        })
    })
}

/// What the worker does with a message that answers a question, if it does.
async fn reply(crew: &Crew, journal: &dyn Journal, event: &EventId, body: &str) -> bool {
    let message = Message { in_reply_to: Some(event.clone()), ..said("$reply", body) };
    let Some(verdict) = crew.questions.verdict(&message, crate::stamp()) else { return false };
    let verdicts = [verdict.clone()];
    let heard = Heard { message, ciphertext: None, wanted: false, verdict: Some(verdict) };
    journal.ingest(Intake { heard: vec![heard], ..Intake::default() }).await.unwrap();
    crew.questions.decide(&verdicts);
    true
}

#[tokio::test(start_paused = true)]
async fn who_is_asked_decides_and_the_wait_takes_nobodys_time() {
    let world = World::new(vec![asks()]);
    let number = world.hear(said("$q", "go")).await;
    let crew = world.crew().await;
    let decide = async {
        world.room.until(|seen| seen.len() == 1).await;
        // Longer than a behavior may work, and the place is free meanwhile.
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert_eq!(crew.places.available_permits(), ROOMS_AT_ONCE);
        assert!(reply(&crew, &*world.journal, &world.room.event("May I?"), "yes").await);
    };
    let (done, ()) = tokio::join!(answer(&crew, number), decide);
    done.unwrap();
    assert_eq!(world.room.seen()[1], "done for @alice:hs");
    assert_eq!(world.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_question_is_asked_once_and_answered_once_over_all_lives() {
    let world = World::new(vec![asks()]);
    let number = world.hear(said("$q", "go")).await;
    world.room.cuts.lock().unwrap().push("ask-0".into());
    world.cut_when(world.room.until(|seen| seen.len() == 1)).await;
    world.cut_when(tokio::time::sleep(Duration::from_secs(60))).await;
    let crew = world.crew().await;
    assert!(reply(&crew, &*world.journal, &world.room.event("May I?"), "no").await);
    drop(crew);
    let crew = world.crew().await;
    answer(&crew, number).await.unwrap();
    let seen = world.room.seen();
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_eq!(seen[1], "not done: @alice:hs");
}

#[tokio::test(start_paused = true)]
async fn a_question_that_nobody_answers_ends() {
    let world = World::new(vec![asks()]);
    world.hear(said("$q", "go")).await;
    world.live().await;
    assert_eq!(world.room.seen()[1], "nobody said anything");
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_an_answer_to_a_question() {
    let world = World::new(vec![asks()]);
    let number = world.hear(said("$q", "go")).await;
    let crew = world.crew().await;
    let stop = async {
        world.room.until(|seen| seen.len() == 1).await;
        crew.stop.ask();
    };
    let (done, ()) = tokio::join!(answer(&crew, number), stop);
    done.unwrap();
    assert!(world.journal.outcome().is_none(), "it waits for the next life");
}

#[tokio::test(start_paused = true)]
async fn as_many_as_can_be_at_work_can_ask_at_once() {
    let world = World::new(vec![act(|message, stage| {
        Box::pin(async {
            // All of them are at work by then.
            tokio::time::sleep(Duration::from_secs(10)).await;
            asks()(message, stage).await
        })
    })]);
    let rooms = ROOMS_AT_ONCE + 1;
    let mut numbers = Vec::new();
    for room in 0..rooms {
        let room = RoomId::new(format!("!{room}:hs"));
        numbers.push(world.hear(Message { room: room.clone(), ..said(room.as_str(), "go") }).await);
    }
    let crew = world.crew().await;
    let all = numbers.into_iter().map(|number| answer(&crew, number));
    let asked = world.room.until(|seen| seen.len() == rooms);
    tokio::select! {
        _ = futures_util::future::join_all(all) => panic!("nobody answered"),
        () = asked => {}
    }
    // Who waited too long for a place would have been asked again.
    assert_eq!(usize::try_from(world.asked()).unwrap(), rooms);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_while_it_is_asked_takes_nobodys_time() {
    let world = World::new(vec![asks()]);
    let number = world.hear(said("$q", "go")).await;
    let crew = world.crew().await;
    world.room.down.store(true, Ordering::Relaxed);
    let later = async {
        tokio::time::sleep(Duration::from_secs(500)).await;
        world.room.down.store(false, Ordering::Relaxed);
        world.room.until(|seen| seen.len() == 1).await;
        assert!(reply(&crew, &*world.journal, &world.room.event("May I?"), "yes").await);
    };
    let (done, ()) = tokio::join!(answer(&crew, number), later);
    done.unwrap();
    assert_eq!(world.room.seen()[1], "done for @alice:hs");
    assert_eq!(world.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_server_that_is_away() {
    let world = World::new(vec![asks()]);
    let number = world.hear(said("$q", "go")).await;
    let crew = world.crew().await;
    world.room.down.store(true, Ordering::Relaxed);
    let stop = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        crew.stop.ask();
    };
    let before = tokio::time::Instant::now();
    let (done, ()) = tokio::join!(answer(&crew, number), stop);
    done.unwrap();
    assert!(before.elapsed() < Duration::from_secs(40));
    assert!(world.journal.outcome().is_none(), "it waits for the next life");
    assert_eq!(world.journal.tries(), 1);
}

#[tokio::test(start_paused = true)]
async fn stops_while_it_waits_for_an_answer_do_not_use_up_its_tries() {
    let world = World::new(vec![asks()]);
    let number = world.hear(said("$q", "go")).await;
    for _ in 0..2 * BEHAVIOR_TRIES {
        let crew = world.crew().await;
        let stop = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            crew.stop.ask();
        };
        tokio::join!(answer(&crew, number), stop).0.unwrap();
    }
    assert!(world.journal.outcome().is_none());
    let crew = world.crew().await;
    assert!(reply(&crew, &*world.journal, &world.room.event("May I?"), "yes").await);
    answer(&crew, number).await.unwrap();
    assert_eq!(world.room.seen().last().unwrap(), "done for @alice:hs");
}

#[tokio::test(start_paused = true)]
async fn who_answers_too_late_is_not_asked_any_more() {
    let world = World::new(vec![asks()]);
    world.hear(said("$q", "go")).await;
    world.cut_when(world.room.until(|seen| seen.len() == 1)).await;
    let crew = world.crew().await;
    let late = crate::stamp().plus(Duration::from_secs(601));
    let event = world.room.event("May I?");
    let yes = Message { in_reply_to: Some(event), ..said("$reply", "yes") };
    assert_eq!(crew.questions.verdict(&yes, late), None);
    assert!(crew.questions.verdict(&yes, crate::stamp()).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_there_before_the_questions_event_is_known_counts() {
    let world = World::new(vec![asks()]);
    let number = world.hear(said("$q", "go")).await;
    world.room.cuts.lock().unwrap().push("ask-0".into());
    world.cut_when(world.room.until(|seen| seen.len() == 1)).await;
    // The next life reads before it has asked again.
    let crew = world.crew().await;
    assert!(!crew.questions.are_sent());
    let event = world.room.event("May I?");
    assert!(!reply(&crew, &*world.journal, &event, "yes").await);
    let yes = Message { in_reply_to: Some(event), ..said("$reply", "yes") };
    world.hear(yes).await;
    answer(&crew, number).await.unwrap();
    assert!(crew.questions.are_sent());
    assert_eq!(world.room.seen()[1], "done for @alice:hs");
    assert_eq!(
        world.journal.waiting(Number(0), 9).await.unwrap(),
        [],
        "it is not answered as well"
    );
}

#[tokio::test(start_paused = true)]
async fn two_questions_about_one_message_are_told_apart() {
    let world = World::new(vec![act(|_, stage| {
        Box::pin(async {
            let mut said = Vec::new();
            for about in ["this", "that"] {
                let question = Question {
                    about: about.into(),
                    text: format!("May I do {about}?"),
                    users: vec!["@alice:hs".into()],
                    require: Requirement::Trusted,
                    timeout: Duration::from_secs(600),
                };
                said.push(format!(
                    "{about}: {}",
                    matches!(stage.ask(question).await?, Answered::Yes(_))
                ));
            }
            Ok(Some(Response::say(said.join(", "))))
        })
    })]);
    let number = world.hear(said("$q", "go")).await;
    let crew = world.crew().await;
    let decide = async {
        for (asked, answer) in [("May I do this?", "yes"), ("May I do that?", "no")] {
            world.room.until(|seen| seen.iter().any(|said| said.starts_with(asked))).await;
            assert!(reply(&crew, &*world.journal, &world.room.event(asked), answer).await);
        }
    };
    let (done, ()) = tokio::join!(answer(&crew, number), decide);
    done.unwrap();
    assert_eq!(world.room.seen()[2], "this: true, that: false");
}
