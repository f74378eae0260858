//! A short conversation that is checked, for where nobody is watching.

use std::{
    thread,
    time::{Duration, Instant},
};

use launcher_testbed::Message;

use crate::{
    error::DemoError,
    progress::{say, show},
    scene::{PATIENCE, Scene},
    transcript::{Exchange, Heard, Spoken},
};

/// How often the person looks for an answer.
const POLL: Duration = Duration::from_millis(100);

/// What the person says, and where.
const LINES: [(Place, &str); 4] = [
    (Place::Room, "Hello! Can you read this?"),
    (Place::Room, "Two lines,\nand letters of others: Grüße, Привет, 你好, 🔐🦜"),
    (Place::Thread, "And this, in a thread that began with my first message?"),
    (Place::Room, "Thank you."),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Room,
    /// The thread below the first message.
    Thread,
}

/// Whether the demo showed what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Good,
    Bad,
}

/// Holds the conversation, prints it, and judges it.
pub(crate) fn play(scene: &mut Scene<'_>) -> Result<Outcome, DemoError> {
    say(format!("\nConversation in {}:", scene.room()));
    let mut first = None;
    let mut problems = Vec::new();
    for (place, text) in LINES {
        let thread = first.as_deref().filter(|_| place == Place::Thread);
        let event_id = match thread {
            Some(root) => scene.person().send_in_thread(scene.room(), root, text)?,
            None => scene.person().send_text(scene.room(), text)?,
        };
        let exchange = exchange(scene, &event_id)?;
        show(&exchange.lines());
        let about = text.lines().next().unwrap_or_default();
        problems.extend(exchange.problems().into_iter().map(|what| format!("{about:?}: {what}")));
        first.get_or_insert(event_id);
    }
    say("");
    if problems.is_empty() {
        say(format!("All {} messages were answered, encrypted and readable.", LINES.len()));
        say("");
        return Ok(Outcome::Good);
    }
    say("Something went wrong:");
    problems.iter().for_each(|problem| say(format!("  {problem}")));
    say(format!("The launcher's log is {}.\n", scene.launcher().log().display()));
    Ok(Outcome::Bad)
}

/// Waits until a message was answered, and looks at both closely.
fn exchange(scene: &mut Scene<'_>, event_id: &str) -> Result<Exchange, DemoError> {
    let started = Instant::now();
    loop {
        let messages = scene.person().messages(scene.room())?;
        let question = messages.iter().find(|message| message.event_id == event_id);
        let answer = messages.iter().find(|message| {
            message.sender == scene.agent().user_id && message.reply_to() == Some(event_id)
        });
        let is_complete = question.is_some() && answer.is_some_and(is_readable);
        if is_complete || started.elapsed() > PATIENCE {
            let question = match question {
                Some(question) => Spoken::of(question),
                None => lost(scene, event_id),
            };
            let answer = answer.map(|answer| look_at(scene, answer)).transpose()?;
            return Ok(Exchange { question, answer });
        }
        scene.demand_going_on()?;
        thread::sleep(POLL);
    }
}

/// Whether it was decrypted, or never had to be.
pub(crate) fn is_readable(message: &Message) -> bool {
    message.decryption_failure.is_none() && message.event_type != "m.room.encrypted"
}

fn look_at(scene: &Scene<'_>, message: &Message) -> Result<Heard, DemoError> {
    let devices = scene.person().user_devices(&message.sender)?;
    let sent_by =
        |key: &String| devices.iter().find(|device| device.curve25519.as_ref() == Some(key));
    let device = message.sender_key.as_ref().and_then(sent_by);
    let signed = match device {
        Some(device) => {
            let status = scene.person().device_status(&message.sender, &device.device_id)?;
            status.signed_by_owner
        }
        None => false,
    };
    let why = message.decryption_failure.as_deref().unwrap_or("not decrypted yet");
    Ok(Heard {
        spoken: Spoken::of(message),
        unreadable: (!is_readable(message)).then(|| why.to_owned()),
        device: device.map(|device| device.device_id.clone()),
        signed,
    })
}

/// A message that the homeserver took and did not give back.
fn lost(scene: &Scene<'_>, event_id: &str) -> Spoken {
    Spoken {
        sender: scene.person().user_id().to_owned(),
        text: format!("({event_id} did not come back)"),
        algorithm: None,
        thread: None,
    }
}
