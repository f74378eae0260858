//! A message as a question: its text, and what is in its file.

use launcher_core::{
    conversation::{Media, MediaKind, Message, MessageKind},
    llm::estimate::Estimator,
    names::UserId,
    spec::LlmSpec,
};
use launcher_runtime::ports::{BehaviorFault, FetchFault, Stage};

use super::provider::{Picture, Turn};

/// The longest name of a file that a model is told.
const NAME: usize = 100;

/// What somebody asks.
pub(super) struct Question {
    /// The text, with who wrote it where that is not clear.
    pub(super) text: String,
    /// Pictures to look at.
    pub(super) pictures: Vec<Picture>,
    /// The text as it is remembered, if what was read is too long for that.
    short: String,
}

impl Question {
    /// The question as a model is asked it.
    pub(super) fn turn(&self) -> Turn {
        Turn::User { text: self.text.clone(), images: self.pictures.clone() }
    }

    /// The question as it is remembered: without a file that would take up
    /// more than half of all that is told of the past.
    pub(super) fn kept(&self, budget: u32) -> String {
        let tokens = Estimator::default().tokens(self.text.len());
        let fits = tokens <= u64::from(budget / 2);
        if fits { &self.text } else { &self.short }.clone()
    }
}

/// The question in a message whose text, without a mode's prefix, is `text`;
/// or what is said instead of an answer.
pub(super) async fn read(
    spec: &LlmSpec,
    message: &Message,
    text: &str,
    stage: &dyn Stage,
) -> Result<Result<Question, String>, BehaviorFault> {
    let said = signed(message, text);
    let Some(media) = &message.media else {
        if text.is_empty() {
            return Ok(Err("What do you want to know?".to_owned()));
        }
        return Ok(Ok(Question { short: said.clone(), text: said, pictures: Vec::new() }));
    };
    let name = plain(&media.name);
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

fn picture(said: String, name: &str, bytes: Vec<u8>) -> Result<Question, String> {
    let Some(media_type) = media_type(&bytes) else {
        return Err(format!("I cannot look at `{name}`: it is no PNG, JPEG, GIF or WebP."));
    };
    let short = format!("{said}\n[a picture, `{name}`]").trim().to_owned();
    let text = short.clone();
    let picture = Picture { media_type: media_type.to_owned(), bytes };
    Ok(Question { text, pictures: vec![picture], short })
}

fn file(said: String, name: &str, bytes: Vec<u8>) -> Result<Question, String> {
    let Ok(content) = String::from_utf8(bytes) else {
        return Err(format!("I cannot read `{name}`: it is no text (UTF-8)."));
    };
    if content.contains('\0') {
        return Err(format!("I cannot read `{name}`: it is no text."));
    }
    let short = format!("{said}\n[a file, `{name}`, {} bytes]", content.len()).trim().to_owned();
    let text = format!("{short}\n<file>\n{content}\n</file>");
    Ok(Question { text, pictures: Vec::new(), short })
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

/// A text, with who wrote it where several people could have.
fn signed(message: &Message, text: &str) -> String {
    if message.direct || message.kind == MessageKind::Task {
        return text.to_owned();
    }
    format!("{}: {text}", by(&message.sender))
}

/// A user id without what could make it look like something else.
fn by(user: &UserId) -> String {
    plain(user.as_str())
}

/// A name without line breaks and the like, and not longer than a line.
fn plain(name: &str) -> String {
    let odd = |letter: char| letter.is_control() || letter == '`';
    let plain: String =
        name.chars().map(|letter| if odd(letter) { '_' } else { letter }).take(NAME).collect();
    if plain.is_empty() { "file".to_owned() } else { plain }
}
