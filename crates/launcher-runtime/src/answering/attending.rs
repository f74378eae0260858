//! What the runtime makes of a message before a behavior is asked.

use std::time::Duration;

use jiff::Timestamp;
use launcher_core::{
    attention::{self, Attention},
    conversation::{Ignored, Message, MessageKind},
    fault::Fault,
    help::{self, Called, Word},
    settings,
    spec::{AnswerPolicy, Occasion, QuietHours},
};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::{Crew, behaving, compose};
use crate::{
    clock,
    ports::{
        Action, Answer,
        journal::{Outcome, Queued},
    },
    quiet,
};

/// What is to be done with a message.
pub(super) enum Turn {
    /// A behavior is asked about it.
    Ask(Box<Queued>),
    /// This is sent; it is in the journal.
    Say(Vec<Answer>),
    /// Its turn comes later.
    Later(Duration),
    /// Nothing: it is settled, or a stop came.
    Over,
}

/// Decides what to do with a message whose turn has come.
pub(super) async fn attend(crew: &Crew, mut queued: Queued) -> Result<Turn, Fault> {
    let policy = crew.settings.policy(&crew.spec, &queued.message.room);
    if !is_to_be_answered(crew, &policy, &queued) {
        return leave(crew, &queued).await;
    }
    let words = words(crew);
    let takes_part = takes_part(crew, &policy, &queued.message).await?;
    let own = &crew.own;
    match attention::attend(&policy, own, &words, &queued.message, takes_part) {
        Attention::Meant(body) => queued.message.body = body,
        // It was when the work began; what is set can have changed since.
        Attention::NotMeant if queued.tries > 0 => {}
        Attention::NotMeant => return skip(crew, &queued, "not meant for the agent").await,
        Attention::NotAllowed => return skip(crew, &queued, "not among answer.users").await,
    }
    let message = &queued.message;
    // The worker lets some through that could answer a question.
    if message.kind == MessageKind::Reaction && !crew.spec.hears(message.kind) {
        return skip(crew, &queued, "nobody listens to reactions").await;
    }
    if message.kind == MessageKind::Text {
        let text = match order(crew, &queued).await? {
            Some(Told::Done(text)) => return say(crew, &queued, text).await,
            Some(Told::Said(text)) => Some(text),
            None => match help::called(&words, &message.body) {
                Called::Help => Some(help(crew, message)),
                Called::Unknown(text) => Some(text),
                Called::Plain | Called::Known => None,
            },
        };
        if let Some(text) = text {
            let limited = limited(crew, &policy, &queued).await?;
            return match limited {
                Some(turn) => Ok(turn),
                None => say(crew, &queued, text).await,
            };
        }
    }
    let speaks = matches!(message.kind, MessageKind::Text | MessageKind::Media);
    if queued.tries > 0 || !speaks {
        return Ok(Turn::Ask(Box::new(queued)));
    }
    let is_command = attention::is_command(&words, &message.body);
    if !is_command && let Some(turn) = wait(crew, &policy, &queued).await? {
        return Ok(turn);
    }
    let limited = limited(crew, &policy, &queued).await?;
    Ok(limited.unwrap_or_else(|| Turn::Ask(Box::new(queued))))
}

/// Counts a message. If there are more than may be answered: what is done instead.
async fn limited(
    crew: &Crew,
    policy: &AnswerPolicy,
    queued: &Queued,
) -> Result<Option<Turn>, Fault> {
    let message = &queued.message;
    let taken = crew.rates().take(policy, message, crew.clock.now());
    let Err(too_many) = taken else { return Ok(None) };
    let (room, sender) = (&message.room, &message.sender);
    info!(event = "rate_limited", %room, %sender, event_id = %message.event, "more messages than answer.per_user or answer.per_room allows; not answered");
    match too_many.text {
        Some(text) => say(crew, queued, text).await.map(Some),
        None => leave(crew, queued).await.map(Some),
    }
}

/// Whether a message is to be answered now that its turn has come.
fn is_to_be_answered(crew: &Crew, policy: &AnswerPolicy, queued: &Queued) -> bool {
    let message = &queued.message;
    let waited = clock::stamp().since(queued.arrived);
    // Who is told to come back later does not grow old meanwhile.
    let quiet = policy.quiet_hours.as_ref().filter(|hours| hours.answer_later);
    let age =
        message.age + waited.saturating_sub(quiet.map(QuietHours::length).unwrap_or_default());
    let judged = match queued.tries {
        0 => crew.conversations().judge(message, age, crew.clock.now()),
        // An answer was begun: it was judged then.
        _ if crew.conversations().is_stale(age) => Err(Ignored::Stale),
        _ => Ok(()),
    };
    let (room, event_id) = (&message.room, &message.event);
    match judged {
        Ok(()) => return true,
        Err(Ignored::Stale) => {
            info!(event = "stale_skipped", count = 1, %room, %event_id, "became older than catch_up.max_age while it waited");
        }
        Err(Ignored::Loop) => {
            warn!(%room, sender = %message.sender, %event_id, "another bot answers every answer at once; not answered");
        }
        Err(Ignored::Own | Ignored::NotText | Ignored::Automated) => {}
    }
    false
}

/// The words by which the agent is called.
fn words(crew: &Crew) -> Vec<String> {
    let mut words: Vec<String> =
        crew.behavior.commands(None).into_iter().map(|word| word.name).collect();
    if !crew.spec.settings.users.is_empty() {
        words.extend([settings::SET, settings::CONFIG].map(str::to_owned));
    }
    words
}

fn help(crew: &Crew, message: &Message) -> String {
    let mut words = crew.behavior.commands(Some(message));
    let may_set = &crew.spec.settings.users;
    if may_set.iter().any(|glob| launcher_core::conversation::matches(glob, &message.sender)) {
        words.extend([
            Word {
                name: settings::SET.to_owned(),
                arguments: "NAME VALUE".to_owned(),
                about: "changes a setting of this room".to_owned(),
            },
            Word {
                name: settings::CONFIG.to_owned(),
                arguments: String::new(),
                about: "shows the settings of this room".to_owned(),
            },
        ]);
    }
    help::list(&words)
}

async fn takes_part(crew: &Crew, policy: &AnswerPolicy, message: &Message) -> Result<bool, Fault> {
    match &message.thread {
        Some(thread) if policy.when.contains(&Occasion::Thread) => {
            crew.journal.takes_part(&message.room, thread).await
        }
        _ => Ok(false),
    }
}

/// What is said to somebody who gave an order.
enum Told {
    /// It was carried out.
    Done(String),
    /// Nothing was changed.
    Said(String),
}

/// What is said about settings, if the message is about them. They are changed then.
async fn order(crew: &Crew, queued: &Queued) -> Result<Option<Told>, Fault> {
    let message = &queued.message;
    let Some(order) = settings::order(&crew.spec, message) else { return Ok(None) };
    let told = match order {
        settings::Order::Refused(text) => Told::Said(text),
        settings::Order::Show => {
            let set = crew.settings.set_in(&message.room);
            Told::Said(settings::shown(&crew.spec, &message.room, &set))
        }
        settings::Order::Set { name, value } => {
            let zone = value.as_deref().filter(|_| name == "quiet_hours");
            if let Some(problem) = zone.and_then(unknown_zone) {
                return Ok(Some(Told::Said(problem)));
            }
            let memory = crew.settings.set(&message.room, &name, value.as_deref());
            crew.journal.remember(&[memory]).await?;
            crew.deferred.release(&message.room);
            info!(event = "setting_changed", setting = name, room = %message.room, sender = %message.sender, "a setting of a room was changed");
            Told::Done(match value {
                Some(_) => format!("`{name}` is set for this room."),
                None => format!("`{name}` is as everywhere again."),
            })
        }
    };
    Ok(Some(told))
}

fn unknown_zone(value: &str) -> Option<String> {
    let hours = settings::quiet_hours(value).ok()?;
    (!quiet::is_time_zone(&hours.timezone)).then(|| {
        "Nothing was changed: I do not know this time zone. Write one like `Europe/Madrid`."
            .to_owned()
    })
}

/// Waits until somebody has said all that they want to, or for the end of the
/// quiet hours. `None`: the message's turn is now.
async fn wait(crew: &Crew, policy: &AnswerPolicy, queued: &Queued) -> Result<Option<Turn>, Fault> {
    if let Some(hours) = &policy.quiet_hours
        && let Some(left) = quiet::left(hours, Timestamp::now())
    {
        if hours.answer_later {
            debug!(room = %queued.message.room, event_id = %queued.message.event, "it is quiet; answered later");
            return Ok(Some(Turn::Later(left)));
        }
        return skip(crew, queued, "it is quiet").await.map(Some);
    }
    if crew.deferred.release_before(queued.number, &queued.message.room) {
        // In the order in which it was said.
        return Ok(Some(Turn::Later(Duration::ZERO)));
    }
    if policy.debounce.is_zero() || queued.message.kind != MessageKind::Text {
        return Ok(None);
    }
    let said = clock::stamp().since(queued.arrived);
    let over = Instant::now() + policy.debounce.saturating_sub(said);
    loop {
        if let Some(next) = crew.journal.follower(queued.number).await?
            && goes_on(crew, policy, queued, &next)
        {
            crew.journal.merge(queued.number, next.number).await?;
            return Ok(Some(Turn::Over));
        }
        if Instant::now() >= over {
            return Ok(None);
        }
        tokio::select! {
            biased;
            () = crew.stop.asked() => return Ok(Some(Turn::Over)),
            () = tokio::time::sleep_until(over) => {}
        }
    }
}

/// Whether `next` belongs to what `queued` says.
fn goes_on(crew: &Crew, policy: &AnswerPolicy, queued: &Queued, next: &Queued) -> bool {
    let (one, other) = (&queued.message, &next.message);
    other.kind == MessageKind::Text
        && other.sender == one.sender
        && other.thread == one.thread
        // What is said together is as sure as each part of it.
        && other.assurance == one.assurance
        && next.arrived.since(queued.arrived) <= policy.debounce
        && one.has_room_for(&other.body)
        && !policy.prefix.as_ref().is_some_and(|prefix| other.body.starts_with(prefix))
        && help::called(&words(crew), &other.body) == Called::Plain
}

async fn say(crew: &Crew, queued: &Queued, text: String) -> Result<Turn, Fault> {
    let said = vec![Action::Say { text }];
    let answers = compose::answers(&*crew.session, &queued.message, said, None);
    crew.journal.keep_answers(queued.number, &answers, &[]).await?;
    Ok(Turn::Say(answers))
}

async fn skip(crew: &Crew, queued: &Queued, why: &'static str) -> Result<Turn, Fault> {
    let message = &queued.message;
    debug!(room = %message.room, event_id = %message.event, why, "not answered");
    leave(crew, queued).await
}

/// Leaves a message unanswered.
async fn leave(crew: &Crew, queued: &Queued) -> Result<Turn, Fault> {
    let said = behaving::give_up(crew, queued, Outcome::Skipped).await?;
    Ok(said.map_or(Turn::Over, Turn::Say))
}
