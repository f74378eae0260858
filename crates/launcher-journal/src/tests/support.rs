//! Journals in folders of their own, and things to put into them.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fs_err as fs;
use launcher_core::{
    conversation::{Message, MessageKind},
    names::{EventId, RoomId, UserId},
    secret::Secret,
    undecryptable::Cause,
};
use launcher_runtime::ports::{
    Answer, AnswerContent, Reply,
    journal::{Ciphertext, Heard, Intake, Journal, Locked, Number, Queued, Stamp},
};
use tempfile::TempDir;

use crate::SqliteJournal;

pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// The moment at which every test begins.
pub(crate) const START: Stamp = Stamp(1_700_000_000_000);

/// A folder with a journal, and a clock that stands still until it is moved.
pub(crate) struct Place {
    folder: TempDir,
    now: Arc<AtomicU64>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), now: Arc::new(AtomicU64::new(START.0)) }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder().join("journal.db")
    }

    pub(crate) fn journal(&self) -> SqliteJournal {
        self.journal_with_key(1)
    }

    pub(crate) fn journal_with_key(&self, key: u8) -> SqliteJournal {
        let now = Arc::clone(&self.now);
        let clock = Arc::new(move || Stamp(now.load(Ordering::Relaxed)));
        SqliteJournal::new(self.path(), &Secret::new([key; 32]), DAY, clock)
    }

    /// A journal whose life has begun.
    pub(crate) async fn begun(&self) -> SqliteJournal {
        let journal = self.journal();
        journal.begin().await.unwrap();
        journal
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.now.fetch_add(by.as_millis() as u64, Ordering::Relaxed);
    }

    /// The place as it would be if the process were killed now.
    pub(crate) fn killed(&self) -> Self {
        let copy = Self::new();
        copy.now.store(self.now.load(Ordering::Relaxed), Ordering::Relaxed);
        for (name, bytes) in self.files() {
            fs::write(copy.folder().join(name), bytes).unwrap();
        }
        copy
    }

    /// Every file with its content.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(self.folder())
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    /// Whether any file has these bytes.
    pub(crate) fn shows(&self, bytes: &[u8]) -> bool {
        self.files()
            .iter()
            .any(|(_, content)| content.windows(bytes.len()).any(|window| window == bytes))
    }

    pub(crate) fn size(&self) -> usize {
        self.files().iter().map(|(_, content)| content.len()).sum()
    }

    /// The file without the journal in between.
    pub(crate) fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }
}

pub(crate) fn message(event: &str) -> Message {
    Message {
        room: RoomId::new("!room:hs"),
        event: EventId::new(event),
        sender: UserId::new("@alice:hs"),
        kind: MessageKind::Text,
        body: format!("the body of {event}"),
        age: Duration::from_millis(1_234),
        parts: Vec::new(),
        automated: false,
        thread: Some(EventId::new("$thread")),
        in_reply_to: None,
        target: None,
        mentions: Vec::new(),
        direct: false,
        media: None,
        assurance: launcher_core::trust::Assurance::Signed,
    }
}

pub(crate) fn heard(event: &str) -> Heard {
    Heard { message: message(event), ciphertext: None, wanted: true, verdict: None }
}

/// A message that was encrypted.
pub(crate) fn encrypted(event: &str, session: &str, index: u32) -> Heard {
    let ciphertext = Some(Ciphertext { session: session.to_owned(), index });
    Heard { ciphertext, ..heard(event) }
}

pub(crate) fn intake(heard: impl IntoIterator<Item = Heard>) -> Intake {
    Intake { heard: heard.into_iter().collect(), ..Intake::default() }
}

pub(crate) fn answer(event: &str, part: u32) -> Answer {
    Answer {
        room: RoomId::new("!room:hs"),
        content: AnswerContent::Text(format!("the answer {part} to {event}")),
        reply: Some(Reply { event: EventId::new(event), asker: UserId::new("@alice:hs") }),
        thread: None,
        transaction: format!("{event}-{part}"),
    }
}

pub(crate) fn locked(event: &str, sent: Stamp) -> Locked {
    Locked {
        event: EventId::new(event),
        room: RoomId::new("!room:hs"),
        sender: UserId::new("@alice:hs"),
        session: Some("session".to_owned()),
        cause: Cause::UnknownSession,
        sent,
        first_seen: sent.plus(Duration::from_secs(1)),
        tries: 0,
        next_try: sent.plus(Duration::from_secs(6)),
        noticed: false,
    }
}

/// All messages that wait.
pub(crate) async fn waiting(journal: &SqliteJournal) -> Vec<Queued> {
    let mut found = Vec::new();
    for place in journal.waiting(Number::default(), usize::MAX).await.unwrap() {
        found.extend(journal.queued(place.number).await.unwrap());
    }
    found
}

/// The events of all messages that wait.
pub(crate) async fn waiting_events(journal: &SqliteJournal) -> Vec<String> {
    waiting(journal).await.iter().map(|queued| queued.message.event.to_string()).collect()
}
