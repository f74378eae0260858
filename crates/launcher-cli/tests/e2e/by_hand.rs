//! A session of an agent without a launcher around it: says what it is told to,
//! and shows what it hears.

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use launcher_config::{ProcessEnvironment, Sources, load};
use launcher_core::{
    conversation::{Media, Message},
    names::{EventId, RoomId, UserId},
};
use launcher_journal::SqliteJournals;
use launcher_matrix::MatrixConnector;
use launcher_runtime::{
    Report,
    ports::{
        Answer, AnswerContent, Connector, FetchFault, Reply, Session,
        journal::{Journal, Journals},
    },
};
use launcher_testbed::DEFAULT_TIMEOUT;
use tokio::{runtime::Runtime, task::JoinHandle};

use crate::launcher::Place;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A session that reads all the time.
pub(crate) struct ByHand {
    runtime: Runtime,
    /// There until it is dropped.
    session: Option<Arc<dyn Session>>,
    journal: Arc<dyn Journal>,
    reading: JoinHandle<()>,
    heard: mpsc::Receiver<Message>,
}

impl ByHand {
    /// Connects the agent of this name.
    pub(crate) fn start(place: &Place, id: &str) -> Result<Self> {
        let sources = Sources { config: place.path().join("config.yaml"), env_file: None };
        let mut agents = load(&sources, &ProcessEnvironment).agents.into_iter();
        let spec = agents.find(|(found, _)| found.as_str() == id).ok_or("no such agent")?.1;
        let spec = spec.map_err(|found| format!("{found:?}"))?;
        std::fs::create_dir_all(&spec.encryption.store_path)?;
        std::fs::create_dir_all(place.path().join(".launcher"))?;
        let runtime = Runtime::new()?;
        let journal = SqliteJournals::default().journal(&spec);
        let session = runtime.block_on(async {
            journal.begin().await?;
            let connector = MatrixConnector::new().map_err(|error| error.to_string())?;
            let report = Arc::<Report>::default();
            let session = connector.connect(&spec, report, journal.clone()).await?;
            Ok::<_, Box<dyn std::error::Error>>(session)
        })?;
        let (sender, heard) = mpsc::channel();
        let reading = runtime.spawn(read(session.clone(), journal.clone(), sender));
        Ok(Self { runtime, session: Some(session), journal, reading, heard })
    }

    /// Waits for a message.
    pub(crate) fn hear(&self, is_it: impl Fn(&Message) -> bool) -> Result<Message> {
        let end = Instant::now() + DEFAULT_TIMEOUT;
        let mut others = Vec::new();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.heard.recv_timeout(left) {
                Ok(message) if is_it(&message) => return Ok(message),
                Ok(other) => others.push(other),
                Err(_) => return Err(format!("it was not heard; others were: {others:?}").into()),
            }
        }
    }

    /// Sends once, in answer to a message of somebody.
    pub(crate) fn send(
        &self,
        room: &str,
        content: AnswerContent,
        reply: Option<(&str, &str)>,
        transaction: &str,
    ) -> Result<String> {
        let reply = reply
            .map(|(event, asker)| Reply { event: EventId::new(event), asker: UserId::new(asker) });
        let answer = Answer {
            room: RoomId::new(room),
            content,
            reply,
            thread: None,
            transaction: transaction.to_owned(),
        };
        self.runtime.block_on(async {
            // As the runtime does: what is not noted is a copy's.
            self.journal.sending(transaction).await?;
            Ok(self.session()?.send(&answer).await?.as_str().to_owned())
        })
    }

    pub(crate) fn fetch(
        &self,
        media: &Media,
        limit: u64,
    ) -> Result<std::result::Result<Vec<u8>, FetchFault>> {
        Ok(self.runtime.block_on(self.session()?.fetch(media, limit)))
    }

    pub(crate) fn typing(&self, room: &str, is_at_work: bool) -> Result<()> {
        self.runtime.block_on(self.session()?.typing(&RoomId::new(room), is_at_work));
        Ok(())
    }

    fn session(&self) -> Result<&dyn Session> {
        Ok(self.session.as_deref().ok_or("the session is closed")?)
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        self.reading.abort();
        let session = self.session.take();
        self.runtime.block_on(async {
            // A case that failed has said why.
            (&mut self.reading).await.ok();
            if let Some(session) = session {
                session.close().await;
            }
            self.journal.end().await.ok();
        });
    }
}

async fn read(session: Arc<dyn Session>, journal: Arc<dyn Journal>, sender: mpsc::Sender<Message>) {
    loop {
        let Ok(arrivals) = session.read().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        for heard in arrivals.intake.heard.iter().filter(|heard| heard.wanted) {
            if sender.send(heard.message.clone()).is_err() {
                return;
            }
        }
        if journal.ingest(arrivals.intake).await.is_err() || session.wait().await.is_err() {
            return;
        }
    }
}
