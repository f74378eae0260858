//! A message as a question: its text, and what is in its file.

use launcher_core::{
    conversation::{Media, MediaKind, Message},
    llm::{
        estimate::Estimator,
        history::{self, Part},
        plain,
    },
    names::{EventId, UserId},
    spec::LlmSpec,
};
use launcher_runtime::ports::{BehaviorFault, FetchFault, Stage};

use super::provider::Picture;

/// The longest name of a file that a model is told, in characters.
const NAME: usize = 100;

/// The longest user id (spec, appendix 4.2.1).
const USER: usize = 255;

/// What somebody asks.
pub(super) struct Question {
    /// What was said, message by message.
    pub(super) parts: Vec<Part>,
    /// Pictures to look at.
    pub(super) pictures: Vec<Picture>,
    /// What the file is, if there is one.
    file: Option<String>,
    /// What is in it.
    content: Option<String>,
}

impl Question {
    fn said(parts: Vec<Part>) -> Self {
        Self { parts, pictures: Vec::new(), file: None, content: None }
    }

    /// All of it but the pictures.
    pub(super) fn text(&self) -> String {
        history::question(&self.parts, self.whole_file().as_deref())
    }

    /// What is remembered of the file: not what is in it, if the question would
    /// take up more than half of all that is told of the past.
    pub(super) fn kept_file(&self, budget: u32) -> Option<String> {
        let tokens = Estimator::default().tokens(self.text().len());
        if tokens <= u64::from(budget / 2) { self.whole_file() } else { self.file.clone() }
    }

    fn whole_file(&self) -> Option<String> {
        match (&self.file, &self.content) {
            (Some(file), Some(content)) => Some(format!("{file}\n{}", plain::block("", content))),
            (file, _) => file.clone(),
        }
    }
}

/// The messages that `message` is made of, with what each says. `text` is what
/// they say together, without a mode's prefix, which is in the first one.
fn parts(message: &Message, text: &str) -> Vec<Part> {
    let said = |event: &EventId, text: &str| Part { event: event.clone(), text: text.to_owned() };
    let Some((first, others)) = message.parts.split_first() else {
        return vec![said(&message.event, text)];
    };
    let after: String = others.iter().map(|part| format!("\n{}", part.body)).collect();
    let begins = text.trim_end().strip_suffix(after.trim_end()).unwrap_or(&first.body);
    let others = others.iter().map(|part| said(&part.event, &part.body));
    std::iter::once(said(&first.event, begins)).chain(others).collect()
}

/// What a model is told that `user` said. Where several people could have said
/// it, it begins with who did; only the first line of it is at the margin, so
/// that none can speak in the name of another one. `direct`: nobody but one
/// person and the agent, whose user id is `own`, is in the room.
pub(super) fn told(own: &str, direct: bool, user: &UserId, text: &str) -> String {
    // What the agent's operator has it do is not signed.
    if direct || user.as_str() == own { text.to_owned() } else { signed(user, text) }
}

/// A text with who wrote it.
pub(super) fn signed(user: &UserId, text: &str) -> String {
    let user = plain::line(user.as_str(), USER, '\u{fffd}');
    format!("{user}: {}", plain::indented(text))
}

/// The question in a message whose text, without a mode's prefix, is `text`;
/// or what is said instead of an answer.
pub(super) async fn read(
    spec: &LlmSpec,
    message: &Message,
    text: &str,
    stage: &dyn Stage,
) -> Result<Result<Question, String>, BehaviorFault> {
    let said = Question::said(parts(message, text));
    let Some(media) = &message.media else {
        if text.is_empty() {
            return Ok(Err("What do you want to know?".to_owned()));
        }
        return Ok(Ok(said));
    };
    let name = name(&media.name);
    let limit = match media.kind {
        MediaKind::Image => spec.images,
        MediaKind::File => spec.files,
        MediaKind::Audio | MediaKind::Voice | MediaKind::Video => None,
    };
    let Some(limit) = limit else {
        return Ok(Err(format!("I cannot {} this.", verb(media.kind))));
    };
    let bytes = match fetch(media, limit, stage).await? {
        Ok(bytes) => bytes,
        Err(why) => return Ok(Err(format!("I cannot {} `{name}`: {why}.", verb(media.kind)))),
    };
    Ok(match media.kind {
        MediaKind::Image => picture(said, &name, bytes),
        _ => file(said, &name, bytes),
    })
}

async fn fetch(
    media: &Media,
    limit: u64,
    stage: &dyn Stage,
) -> Result<Result<Vec<u8>, String>, BehaviorFault> {
    // What the sender says of the size can be wrong; if it is too much, it is
    // believed.
    if media.size.is_some_and(|size| size > limit) {
        return Ok(Err(format!("it is larger than {limit} bytes")));
    }
    match stage.fetch(media, limit).await {
        Ok(bytes) => Ok(Ok(bytes)),
        Err(FetchFault::Passing { detail }) => Err(BehaviorFault::new(detail)),
        Err(FetchFault::TooLarge { limit }) => Ok(Err(format!("it is larger than {limit} bytes"))),
        Err(FetchFault::Damaged { .. }) => Ok(Err("it is damaged".to_owned())),
        Err(FetchFault::Gone { .. }) => Ok(Err("the server does not give it to me".to_owned())),
    }
}

fn picture(said: Question, name: &str, bytes: Vec<u8>) -> Result<Question, String> {
    let Some(media_type) = media_type(&bytes) else {
        return Err(format!("I cannot look at `{name}`: it is no PNG, JPEG, GIF or WebP."));
    };
    let picture = Picture { media_type: media_type.to_owned(), bytes };
    Ok(Question { pictures: vec![picture], file: Some(format!("[a picture, `{name}`]")), ..said })
}

fn file(said: Question, name: &str, bytes: Vec<u8>) -> Result<Question, String> {
    let Ok(content) = String::from_utf8(bytes) else {
        return Err(format!("I cannot read `{name}`: it is no text (UTF-8)."));
    };
    if content.contains('\0') {
        return Err(format!("I cannot read `{name}`: it is no text."));
    }
    let file = Some(format!("[a file, `{name}`, {} bytes]", content.len()));
    Ok(Question { file, content: Some(content), ..said })
}

/// What a file is, by what it begins with. What the sender says of it is not
/// asked: providers refuse a picture with another name than its own.
fn media_type(bytes: &[u8]) -> Option<&'static str> {
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
    match bytes {
        _ if bytes.starts_with(PNG) => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

fn verb(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "look at",
        MediaKind::File => "read",
        MediaKind::Audio | MediaKind::Voice => "listen to",
        MediaKind::Video => "watch",
    }
}

/// A file's name as one line that does not end what it stands in.
fn name(name: &str) -> String {
    let name = plain::line(name, NAME, '_').replace(['`', ']'], "_");
    if name.is_empty() { "file".to_owned() } else { name }
}
