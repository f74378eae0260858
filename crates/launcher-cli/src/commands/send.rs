//! `launcher send`: has an agent that runs send a message.

use std::{
    io::{self, Read},
    path::Path,
};

use anyhow::Context;
use launcher_control::{
    client::{AskError, Client},
    wire::{
        FileQuery, MessageRequest, SentReply,
        message::{CAPTION_LIMIT, FILE_LIMIT, TEXT_LIMIT},
    },
};

use super::{json, of_running, wait_for};
use crate::{
    args::Send,
    ask,
    exit::{self, Exit, Quit},
    folder,
    progress::patiently,
    table::harmless,
    units,
};

pub(crate) fn run(options: &Send) -> anyhow::Result<Exit> {
    let message = Message::read(options)?;
    let client = Client::new(folder::of_config(&options.agent.files.config));
    let key = match &options.key {
        Some(key) => key.clone(),
        None => random_key()?,
    };
    wait_for(async {
        let what = message.progress();
        let sent = match patiently(&what, message.send(options, &client, key.clone())).await {
            Ok(sent) => sent,
            Err(error) => {
                if options.key.is_none() && !matches!(error, AskError::NotRunning { .. }) {
                    exit::say(&format!("`--key {key}` repeats this very message, and no other"));
                }
                return Err(of_running(error).into());
            }
        };
        exit::print(&match options.json {
            true => json(&sent)?,
            false => said(&sent),
        });
        Ok(Exit::Done)
    })
}

fn said(sent: &SentReply) -> String {
    let how = if sent.sent_before { "was sent before as" } else { "sent as" };
    format!("{how} {} in {}\n", harmless(&sent.event_id), harmless(&sent.room_id))
}

/// What is to be sent, read.
enum Message {
    Text(String),
    File { name: String, content_type: String, bytes: Vec<u8>, caption: Option<String> },
}

impl Message {
    fn read(options: &Send) -> anyhow::Result<Self> {
        let Some(path) = &options.file else { return Ok(Self::Text(read_text(TEXT_LIMIT)?)) };
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| Quit::usage("the file has no name that can be sent"))?;
        let bytes = read_file(path)?;
        Ok(Self::File {
            name: name.to_owned(),
            content_type: mime_guess::from_path(path).first_or_octet_stream().to_string(),
            bytes,
            caption: options.caption.then(|| read_text(CAPTION_LIMIT)).transpose()?,
        })
    }

    /// What is said while it is on its way.
    fn progress(&self) -> String {
        match self {
            Self::Text(_) => "waiting until the homeserver has the message".to_owned(),
            Self::File { name, bytes, .. } => format!(
                "waiting until the homeserver has {}, {}",
                harmless(name),
                units::size(bytes.len() as u64)
            ),
        }
    }

    async fn send(
        self,
        options: &Send,
        client: &Client,
        key: String,
    ) -> Result<SentReply, AskError> {
        let (agent, room) = (&options.agent.id, options.room.to_string());
        let thread = options.thread.as_ref().map(ToString::to_string);
        match self {
            Self::Text(text) => {
                let notice = options.notice;
                client.send(agent, &MessageRequest { room, text, notice, thread, key }).await
            }
            Self::File { name, content_type, bytes, caption } => {
                let query = FileQuery { room, name, content_type, caption, thread, key };
                client.send_file(agent, &query, bytes).await
            }
        }
    }
}

fn read_text(limit: usize) -> anyhow::Result<String> {
    if ask::can_ask() {
        exit::say("type the message; Ctrl-D at the beginning of a line ends it");
    }
    text_of(io::stdin().lock(), limit)
}

/// A text that is not empty, without the line break at its end.
fn text_of(input: impl Read, limit: usize) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let read = input.take(limit as u64 + 1).read_to_end(&mut bytes);
    if read.context("reading from standard input")? > limit {
        return Err(Quit::usage(format!(
            "standard input has more than {limit} bytes; send it as a file"
        ))
        .into());
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| Quit::usage("standard input is not UTF-8; send it as a file"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    match text.trim().is_empty() {
        true => Err(Quit::usage("there is nothing on standard input to be sent").into()),
        false => Ok(text.to_owned()),
    }
}

fn read_file(path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = fs_err::File::open(path)?;
    let mut bytes = Vec::new();
    let read = file.take(FILE_LIMIT as u64 + 1).read_to_end(&mut bytes)?;
    if read > FILE_LIMIT {
        let reason = format!("{} has more than {} MiB", path.display(), FILE_LIMIT >> 20);
        return Err(Quit::usage(reason).into());
    }
    Ok(bytes)
}

fn random_key() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).context("making a key by chance")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_what_was_given_without_the_last_line_break() {
        for (given, read) in [("hi\n", "hi"), (" a\n\nb \r\n", " a\n\nb "), ("ä", "ä")] {
            assert_eq!(text_of(given.as_bytes(), 10).unwrap(), read);
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused_with_a_way_out() {
        for (given, why) in [
            (&b""[..], "nothing"),
            (b" \n", "nothing"),
            (b"\xff", "as a file"),
            (b"12345678901", "as a file"),
        ] {
            let error = text_of(given, 10).unwrap_err();
            assert_eq!(exit::of_error(&error), Exit::Usage);
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn no_two_keys_are_the_same() {
        let (one, two) = (random_key().unwrap(), random_key().unwrap());
        assert!(one != two && one.len() == 32);
    }
}
