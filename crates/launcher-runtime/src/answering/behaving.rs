//! Asks the behavior about a message until it answers or has failed too often.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use launcher_core::{fault::Fault, fleet::Degradation, spec::CommandSpec};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::{
    Crew, compose, draft,
    scene::{Pause, Scene},
};
use crate::{
    ports::{
        Action, Answer, Response,
        journal::{Draft, Outcome, Queued},
    },
    report::BEHAVIOR,
};

/// How often a behavior may fail at one message before the message is parked.
pub(crate) const BEHAVIOR_FAILURES: u32 = 3;

/// How often a behavior is asked about one message at most, in all lives. A
/// message that ends the process each time must not end it for ever; stops and
/// kills for other reasons are allowed for.
pub(crate) const BEHAVIOR_TRIES: u32 = 10;

/// The least that a behavior gets for one message.
const BEHAVIOR_LIMIT: Duration = Duration::from_secs(180);

// A command has to meet its own limit first.
const _: () = assert!(CommandSpec::LONGEST_TIMEOUT.as_secs() + 30 <= BEHAVIOR_LIMIT.as_secs());

/// How long a behavior that failed is left alone; twice that after the second time.
const BEHAVIOR_WAITS: Duration = Duration::from_secs(10);

/// How long a behavior works before the room is shown that it does.
const TYPING_AFTER: Duration = Duration::from_secs(1);

/// How often the room is shown again; clients forget it after half a minute.
const TYPING_AGAIN: Duration = Duration::from_secs(20);

/// What is said when an answer that was begun cannot be finished.
const UNFINISHED: &str = "I could not finish this answer. My operator has to look at it.";

/// Asks until there are answers, which are in the journal then. `None`: there
/// are none, or a stop came.
pub(super) async fn behave(crew: &Crew, mut queued: Queued) -> Result<Option<Vec<Answer>>, Fault> {
    let number = queued.number;
    for failures in 1.. {
        let tries = crew.journal.attempt(number).await?;
        let tried = if tries > BEHAVIOR_TRIES {
            // It did not come back from its last attempt: the process ended in it.
            Tried::Failed("the launcher ended while it was at work".to_owned())
        } else {
            tokio::select! {
                biased;
                () = crew.stop.demanded() => return Ok(None),
                tried = attempt(crew, &mut queued, tries) => tried?,
            }
        };
        let (room, event_id) = (&queued.message.room, &queued.message.event);
        let detail = match tried {
            Tried::Answered(answers) => {
                crew.report.set_degraded(BEHAVIOR, None);
                return Ok(Some(answers));
            }
            Tried::Stopped => {
                crew.journal.give_back(number).await?;
                return Ok(None);
            }
            Tried::Failed(detail) => detail,
        };
        crew.report.set_degraded(BEHAVIOR, Some(behavior_fails(&detail)));
        if failures >= BEHAVIOR_FAILURES || tries >= BEHAVIOR_TRIES {
            error!(event = "message_parked", %room, %event_id, tries, detail, "the behavior failed too often; the message stays unanswered");
            return give_up(crew, &queued, Outcome::GivenUp).await;
        }
        let wait = BEHAVIOR_WAITS * failures;
        warn!(%room, %event_id, detail, retry_in = ?wait, "the behavior failed");
        tokio::select! {
            biased;
            () = crew.stop.asked() => return Ok(None),
            () = tokio::time::sleep(wait) => {}
        }
    }
    Ok(None)
}

/// How an attempt ended.
enum Tried {
    Answered(Vec<Answer>),
    Failed(String),
    /// It waited for somebody when a stop came, and does so again in the next life.
    Stopped,
}

async fn attempt(crew: &Crew, queued: &mut Queued, tries: u32) -> Result<Tried, Fault> {
    // Nobody closes the semaphore; without a permit the work would only be less polite.
    let place = crew.places.acquire().await.ok();
    let finished = CancellationToken::new();
    let scene = Scene::new(crew, queued, tries, place);
    let work = async {
        let done = limited(&scene).await;
        finished.cancel();
        done
    };
    let drafts = draft::show(&scene, scene.drafts(), queued.draft.clone(), &finished);
    let (worked, draft, ()) = tokio::join!(work, drafts, typing(&scene, &finished));
    let draft = draft?;
    let tried = match worked {
        Worked::Responded(response) => {
            let response = response.unwrap_or_default();
            let shown = draft.as_ref().map(Draft::shown);
            let answers =
                compose::answers(&*crew.session, &queued.message, response.actions, shown);
            crew.journal.keep_answers(queued.number, &answers, &response.memories).await?;
            Tried::Answered(answers)
        }
        Worked::Failed(detail) => Tried::Failed(detail),
        Worked::Stopped => Tried::Stopped,
    };
    let work = scene.noted_now();
    drop(scene);
    queued.work = work;
    queued.draft = draft;
    Ok(tried)
}

enum Worked {
    Responded(Option<Response>),
    Failed(String),
    Stopped,
}

/// Lets the behavior work, as long as it may.
async fn limited(scene: &Scene<'_>) -> Worked {
    let crew = scene.crew;
    let limit = crew.behavior.limit().max(BEHAVIOR_LIMIT);
    let work = AssertUnwindSafe(crew.behavior.on_message(scene.message, scene)).catch_unwind();
    tokio::pin!(work);
    let mut pauses = scene.pauses();
    let mut left = limit;
    loop {
        let pause = *pauses.borrow_and_update();
        let since = Instant::now();
        tokio::select! {
            biased;
            done = &mut work => return match done {
                Ok(Ok(response)) => Worked::Responded(response),
                Ok(Err(fault)) => Worked::Failed(fault.to_string()),
                // A panic's text can quote the message; its place is in the log.
                Err(_) => Worked::Failed("it panicked".to_owned()),
            },
            () = crew.stop.asked(), if pause == Pause::Waiting => return Worked::Stopped,
            () = tokio::time::sleep(left), if pause == Pause::No => {
                return Worked::Failed(format!("it took longer than {} s", limit.as_secs()));
            }
            () = changed(&mut pauses) => {}
        }
        if pause == Pause::No {
            left = left.saturating_sub(since.elapsed());
        }
    }
}

async fn changed(pauses: &mut watch::Receiver<Pause>) {
    if pauses.changed().await.is_err() {
        std::future::pending().await
    }
}

/// Shows the room that the agent is at work, until it is `finished`.
async fn typing(scene: &Scene<'_>, finished: &CancellationToken) {
    let (crew, room) = (scene.crew, &scene.message.room);
    if !crew.settings.policy(&crew.spec, room).typing {
        return;
    }
    let mut wait = TYPING_AFTER;
    let mut is_shown = false;
    loop {
        tokio::select! {
            biased;
            () = finished.cancelled() => break,
            () = tokio::time::sleep(wait) => {}
        }
        // Somebody else is to say something.
        if *scene.pauses().borrow() == Pause::No {
            crew.session.typing(room, true).await;
            is_shown = true;
        }
        wait = TYPING_AGAIN;
    }
    if is_shown {
        crew.session.typing(room, false).await;
    }
}

/// Nothing more is done for a message. Where an answer was begun, that is said.
pub(super) async fn give_up(
    crew: &Crew,
    queued: &Queued,
    outcome: Outcome,
) -> Result<Option<Vec<Answer>>, Fault> {
    let Some(draft) = &queued.draft else {
        crew.settle(queued.number, outcome).await?;
        return Ok(None);
    };
    let said = vec![Action::Say { text: UNFINISHED.to_owned() }];
    let answers = compose::answers(&*crew.session, &queued.message, said, Some(draft.shown()));
    crew.journal.keep_answers(queued.number, &answers, &[]).await?;
    Ok(Some(answers))
}

fn behavior_fails(detail: &str) -> Degradation {
    Degradation {
        reason: format!("behavior_failed: {detail}"),
        action: "look at the agent's behavior in its config.yaml and at the log".to_owned(),
    }
}
