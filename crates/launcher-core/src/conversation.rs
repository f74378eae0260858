//! Decides which messages an agent answers.
//!
//! The rules against endless talk are here and not in the behaviors, so that
//! no behavior can forget them:
//!
//! - An *automated* message is not answered. Everything an agent says by
//!   itself is marked as such, so agents of any launcher cannot talk in circles.
//!   Bots that the operator names are answered, a few times in a row.
//! - Bots that do not mark what they say are recognized by what they do: they
//!   answer an answer at once, again and again. See [`VOLLEY_LIMIT`].

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

use crate::{
    moment::Moment,
    names::{EventId, RoomId, UserId},
    secret::Secret,
    spec::{AgentSpec, BotPolicy},
    trust::Assurance,
};

/// How many answers in a row may each be answered at once by the same sender.
///
/// A person who replies to every answer within [`QUICK`] six times running is
/// hard to imagine; two bots do it in a second.
pub const VOLLEY_LIMIT: u32 = 5;

/// What counts as "at once". Bots without a language model take milliseconds.
pub const QUICK: Duration = Duration::from_secs(5);

/// Exchanges that are remembered at most; the oldest are forgotten first.
const EXCHANGES: usize = 1_000;

/// A message that arrived in a room, decrypted where it was encrypted.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The room.
    pub room: RoomId,
    /// The event.
    pub event: EventId,
    /// Who sent it, as vouched for by the network (and by the encryption, if any).
    pub sender: UserId,
    /// What sort of message it is.
    pub kind: MessageKind,
    /// Its text; what an edit says now; the key of a reaction; what is said
    /// about a file.
    pub body: String,
    /// What its text was put together from, in order, if its sender said it in
    /// several messages; this one is the last of them. Empty otherwise.
    pub parts: Vec<Part>,
    /// How long ago the server got it, when it arrived here.
    pub age: Duration,
    /// Whether it says of itself that no person wrote it.
    pub automated: bool,
    /// The thread it belongs to, by the thread's first event.
    pub thread: Option<EventId>,
    /// The event it replies to.
    pub in_reply_to: Option<EventId>,
    /// What an edit, a reaction or a redaction is about.
    pub target: Option<EventId>,
    /// Whom it mentions, by its own word (spec, `m.mentions`); the first fifty.
    pub mentions: Vec<UserId>,
    /// Whether nobody but the sender and the agent is in the room.
    pub direct: bool,
    /// The file in it.
    pub media: Option<Media>,
    /// How sure it is who wrote it.
    pub assurance: Assurance,
}

impl Message {
    /// A text that was just sent in the clear, and nothing else is known of it.
    pub fn text(room: RoomId, event: EventId, sender: UserId, body: impl Into<String>) -> Self {
        Self {
            room,
            event,
            sender,
            kind: MessageKind::Text,
            body: body.into(),
            parts: Vec::new(),
            age: Duration::ZERO,
            automated: false,
            thread: None,
            in_reply_to: None,
            target: None,
            mentions: Vec::new(),
            direct: false,
            media: None,
            assurance: Assurance::InTheClear,
        }
    }
}

/// One of several messages that are answered as one.
#[derive(Clone, PartialEq, Eq)]
pub struct Part {
    /// The event.
    pub event: EventId,
    /// What it says.
    pub body: String,
}

impl std::fmt::Debug for Part {
    /// Leaves out the text, so that it cannot reach a log.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Part").field("event", &self.event).finish_non_exhaustive()
    }
}

/// Parts of one message at most.
pub const MOST_PARTS: usize = 20;

/// What the parts of one message say together at most, in bytes.
pub const MOST_IN_PARTS: usize = 32 * 1024;

impl Message {
    /// Puts what `earlier` says, by the same sender in the same room, in front.
    /// Whom it mentions and what it replies to counts for both.
    pub fn prepend(&mut self, earlier: Self) {
        let last = Part { event: self.event.clone(), body: self.body.clone() };
        self.body = format!("{}\n{}", earlier.body, self.body);
        self.parts = match earlier.parts.is_empty() {
            true => vec![Part { event: earlier.event, body: earlier.body }],
            false => earlier.parts,
        };
        self.parts.push(last);
        for user in earlier.mentions {
            if !self.mentions.contains(&user) {
                self.mentions.push(user);
            }
        }
        self.in_reply_to = self.in_reply_to.take().or(earlier.in_reply_to);
    }

    /// Whether there is room for one more part that says this.
    pub fn has_room_for(&self, body: &str) -> bool {
        self.parts.len() < MOST_PARTS && self.body.len() + body.len() < MOST_IN_PARTS
    }
}

/// Whether an agent, whose own user id is `own`, does anything with `message` at
/// any time.
///
/// # Errors
///
/// Why not: [`Ignored::Own`], [`Ignored::NotText`] or [`Ignored::Automated`].
pub fn concerns(spec: &AgentSpec, own: &UserId, message: &Message) -> Result<(), Ignored> {
    let kind = message.kind;
    if kind == MessageKind::Task {
        return Ok(());
    }
    if message.sender == *own {
        return Err(Ignored::Own);
    }
    let is_bot = message.automated || kind == MessageKind::Notice;
    // Bots that are answered are answered what they say, not what they show.
    let welcome = kind == MessageKind::Text
        && spec.answer.bots.users.iter().any(|glob| matches(glob, &message.sender));
    if is_bot && !welcome {
        return Err(Ignored::Automated);
    }
    let is_blank = kind == MessageKind::Text && message.body.trim().is_empty();
    // A reaction can answer a question of the launcher itself.
    match !is_blank && (spec.hears(kind) || kind == MessageKind::Reaction) {
        true => Ok(()),
        false => Err(Ignored::NotText),
    }
}

/// Whether a glob (`*`, `?`) matches the whole of a user id.
pub fn matches(glob: &str, user: &UserId) -> bool {
    WildMatch::new(glob).matches(user.as_str())
}

/// A file in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// How it is shown.
    pub kind: MediaKind,
    /// Its name, as the sender says.
    pub name: String,
    /// Its media type, as the sender says; may be empty.
    pub content_type: String,
    /// Its size in bytes, as the sender says.
    pub size: Option<u64>,
    /// How the transport finds and opens it.
    pub source: Secret<String>,
}

/// How a file is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A film.
    Video,
    /// A sound.
    Audio,
    /// Something that was spoken for this message.
    Voice,
    /// Anything else.
    File,
}

/// What sort of message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// Something a person would say.
    Text,
    /// Something a bot would say, not to be answered by bots (`m.notice`).
    Notice,
    /// A file, an image, something spoken.
    Media,
    /// A new version of an earlier message.
    Edit,
    /// A reaction to a message.
    Reaction,
    /// A message that was taken back.
    Redaction,
    /// Nobody sent it: something that the agent is to do at this time.
    Task,
    /// Anything else: emotes, polls.
    Other,
}

/// Why a message is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// The agent's own account sent it.
    Own,
    /// It is no text message.
    NotText,
    /// It is a notice, or marked as automated.
    Automated,
    /// It is older than `catch_up.max_age`.
    Stale,
    /// It is one answer too many between two bots.
    Loop,
}

/// What one agent remembers of its conversations in order to stay out of loops.
#[derive(Debug)]
pub struct Conversations {
    max_age: Duration,
    /// Answers to bots that are allowed in a row, in one room.
    turns: u32,
    exchanges: BTreeMap<(RoomId, UserId), Exchange>,
    /// Answers to bots since a person last said something.
    to_bots: BTreeMap<RoomId, u32>,
}

#[derive(Debug)]
struct Exchange {
    answered: Moment,
    answer: EventId,
    /// Hash of the answer's text would do for equality; a quoting bot needs the text.
    text: String,
    volleys: u32,
}

impl Conversations {
    /// Starts without memories.
    pub fn new(max_age: Duration, bots: &BotPolicy) -> Self {
        Self { max_age, turns: bots.turns, exchanges: BTreeMap::new(), to_bots: BTreeMap::new() }
    }

    /// Whether a message of this age is too old to be answered.
    pub fn is_stale(&self, age: Duration) -> bool {
        age > self.max_age
    }

    /// Whether `message`, which is `age` old and [`concerns`] the agent, is to be
    /// answered now.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn judge(&mut self, message: &Message, age: Duration, now: Moment) -> Result<(), Ignored> {
        if self.is_stale(age) {
            return Err(Ignored::Stale);
        }
        if message.automated {
            let said = self.to_bots.get(&message.room).copied().unwrap_or_default();
            return if said < self.turns { Ok(()) } else { Err(Ignored::Loop) };
        }
        self.to_bots.remove(&message.room);
        let key = (message.room.clone(), message.sender.clone());
        if let Some(exchange) = self.exchanges.get_mut(&key) {
            if exchange.is_volley(message, now) {
                exchange.volleys += 1;
                if exchange.volleys > VOLLEY_LIMIT {
                    return Err(Ignored::Loop);
                }
            } else {
                exchange.volleys = 0;
            }
        }
        Ok(())
    }

    /// Notes that `message` was answered with `text` in the event `answer`.
    pub fn answered(&mut self, message: &Message, answer: EventId, text: String, now: Moment) {
        if message.automated {
            let said = self.to_bots.entry(message.room.clone()).or_default();
            *said = said.saturating_add(1);
        }
        let key = (message.room.clone(), message.sender.clone());
        let volleys = self.exchanges.get(&key).map_or(0, |exchange| exchange.volleys);
        self.exchanges.insert(key, Exchange { answered: now, answer, text, volleys });
        if self.exchanges.len() > EXCHANGES {
            let oldest = self.exchanges.iter().min_by_key(|(_, exchange)| exchange.answered);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                self.exchanges.remove(&key);
            }
        }
    }
}

impl Exchange {
    fn is_volley(&self, message: &Message, now: Moment) -> bool {
        let returned = message.in_reply_to.as_ref() == Some(&self.answer)
            || (!self.text.is_empty() && message.body.contains(&self.text));
        returned && now.since(self.answered) < QUICK
    }
}

impl std::fmt::Debug for Message {
    /// Leaves out the text, so that it cannot reach a log.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Message")
            .field("room", &self.room)
            .field("event", &self.event)
            .field("sender", &self.sender)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn message(sender: &str, body: &str) -> Message {
        let (room, event) = (RoomId::new("!r:hs"), EventId::new("$e"));
        Message::text(room, event, UserId::new(sender), body)
    }

    fn conversations() -> Conversations {
        Conversations::new(DAY, &BotPolicy { users: Vec::new(), turns: 3 })
    }

    fn spec(bots: &[&str]) -> AgentSpec {
        let mut spec = crate::reset::tests::spec(true, crate::spec::TrustMode::Tofu);
        spec.answer.bots.users = bots.iter().map(ToString::to_string).collect();
        spec
    }

    fn own() -> UserId {
        UserId::new("@bot:hs")
    }

    fn judge(talk: &mut Conversations, message: &Message, now: Moment) -> Result<(), Ignored> {
        talk.judge(message, message.age, now)
    }

    fn at(millis: u64) -> Moment {
        Moment::after_start(Duration::from_millis(millis))
    }

    #[test]
    fn a_person_is_answered() {
        assert_eq!(judge(&mut conversations(), &message("@alice:hs", "hi"), at(0)), Ok(()));
    }

    #[test]
    fn own_messages_notices_edits_and_marked_messages_are_not_answered() {
        let spec = spec(&[]);
        assert_eq!(concerns(&spec, &own(), &message("@alice:hs", "hi")), Ok(()));
        assert_eq!(concerns(&spec, &own(), &message("@bot:hs", "hi")), Err(Ignored::Own));
        for (kind, why) in [
            (MessageKind::Notice, Ignored::Automated),
            (MessageKind::Edit, Ignored::NotText),
            (MessageKind::Media, Ignored::NotText),
            (MessageKind::Other, Ignored::NotText),
        ] {
            let message = Message { kind, ..message("@alice:hs", "hi") };
            assert_eq!(concerns(&spec, &own(), &message), Err(why));
        }
        let marked = Message { automated: true, ..message("@alice:hs", "hi") };
        assert_eq!(concerns(&spec, &own(), &marked), Err(Ignored::Automated));
        assert_eq!(concerns(&spec, &own(), &message("@alice:hs", " \n")), Err(Ignored::NotText));
    }

    #[test]
    fn a_bot_that_is_named_is_answered_until_it_is_enough_for_lack_of_people() {
        let marked = Message { automated: true, ..message("@robot:hs", "hi") };
        assert_eq!(concerns(&spec(&["@robot:hs"]), &own(), &marked), Ok(()));
        let notice = Message { kind: MessageKind::Notice, ..marked.clone() };
        assert_eq!(concerns(&spec(&["@robot:hs"]), &own(), &notice), Err(Ignored::Automated));
        let mut talk = conversations();
        for round in 0..3 {
            assert_eq!(judge(&mut talk, &marked, at(round)), Ok(()));
            talk.answered(&marked, EventId::new("$a"), "text".into(), at(round));
        }
        assert_eq!(judge(&mut talk, &marked, at(10)), Err(Ignored::Loop));
        assert_eq!(judge(&mut talk, &marked, at(1_000_000)), Err(Ignored::Loop));
        assert_eq!(judge(&mut talk, &message("@alice:hs", "go on"), at(11)), Ok(()));
        assert_eq!(judge(&mut talk, &marked, at(12)), Ok(()));
    }

    #[test]
    fn a_message_older_than_the_limit_is_stale() {
        let old = Message { age: DAY + Duration::from_secs(1), ..message("@alice:hs", "hi") };
        assert_eq!(judge(&mut conversations(), &old, at(0)), Err(Ignored::Stale));
    }

    /// Plays a bot that turns each answer into a message, and says how often it was answered.
    fn play(turn: impl Fn(&str, &EventId) -> Message, pause: u64) -> usize {
        let mut talk = conversations();
        let (mut text, mut event) = ("start".to_owned(), EventId::new("$0"));
        for round in 0..100 {
            let incoming = turn(&text, &event);
            let now = at(round * pause);
            if judge(&mut talk, &incoming, now).is_err() {
                return usize::try_from(round).unwrap();
            }
            text = format!("echo: {}", incoming.body);
            event = EventId::new(format!("${round}-answer"));
            talk.answered(&incoming, event.clone(), text.clone(), now);
        }
        100
    }

    #[test]
    fn a_bot_that_quotes_every_answer_is_soon_ignored() {
        let quoting = |text: &str, _: &EventId| message("@other:hs", &format!("you said {text}"));
        assert_eq!(play(quoting, 100), 6);
    }

    #[test]
    fn a_bot_that_replies_to_every_answer_is_soon_ignored() {
        let replying = |_: &str, event: &EventId| Message {
            in_reply_to: Some(event.clone()),
            ..message("@other:hs", "and?")
        };
        assert_eq!(play(replying, 100), 6);
    }

    #[test]
    fn a_person_who_takes_a_while_or_says_new_things_is_always_answered() {
        let slow = |_: &str, event: &EventId| Message {
            in_reply_to: Some(event.clone()),
            ..message("@alice:hs", "and?")
        };
        assert_eq!(play(slow, 6_000), 100);
        assert_eq!(play(|_, event| message("@alice:hs", event.as_str()), 10), 100);
    }
}
