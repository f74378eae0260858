//! The port, over the file. SQL runs on threads that may block.

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use launcher_core::{
    approval::Verdict,
    claim::Claims,
    conversation::Message,
    fault::Fault,
    greeting::Greeting,
    names::{EventId, RoomId, UserId},
    secret::PickleKey,
    spec::AgentSpec,
    trust::UserRecord,
};
use launcher_runtime::ports::{
    Answer, Answered, Memory,
    journal::{
        Draft, Duplicate, Intake, Journal, Journals, Life, Locked, Number, OpenQuestion, Outcome,
        OutgoingRecord, Pending, Place, Queued, Stamp,
    },
};
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::{
    file::JournalFile, inbox, intake, memory, outbox, outgoing, question, retention, rooms,
    seal::Sealer, sent, thread, trouble::Trouble, trust, undecryptable, value,
};

/// The file's name in the agent's data folder.
const FILE_NAME: &str = "journal.db";

/// Every so many intakes, what is old is removed.
const INTAKES_PER_PRUNING: u32 = 256;

/// Tells the time. Tests have one that they can move.
pub type Clock = Arc<dyn Fn() -> Stamp + Send + Sync>;

/// Keeps each agent's journal in `journal.db` in its data folder.
#[derive(Clone)]
pub struct SqliteJournals {
    clock: Clock,
}

/// One agent's journal in an SQLite file.
#[derive(Clone)]
pub struct SqliteJournal {
    inner: Arc<Inner>,
}

struct Inner {
    file: JournalFile,
    max_age: Duration,
    clock: Clock,
    intakes: AtomicU32,
}

impl SqliteJournals {
    /// Journals that take the time from `clock`.
    pub fn with_clock(clock: Clock) -> Self {
        Self { clock }
    }
}

impl Default for SqliteJournals {
    /// Journals that take the time from the system.
    fn default() -> Self {
        Self::with_clock(Arc::new(|| {
            Stamp::default().plus(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
        }))
    }
}

impl Journals for SqliteJournals {
    fn journal(&self, spec: &AgentSpec) -> Arc<dyn Journal> {
        Arc::new(SqliteJournal::new(
            spec.data_folder().join(FILE_NAME),
            &spec.encryption.pickle_key,
            spec.catch_up.max_age,
            Arc::clone(&self.clock),
        ))
    }
}

impl SqliteJournal {
    /// The journal at `path`. Touches nothing yet.
    ///
    /// Messages older than `max_age` are never answered, so what is settled is
    /// forgotten some time after that.
    pub fn new(path: PathBuf, key: &PickleKey, max_age: Duration, clock: Clock) -> Self {
        let file = JournalFile::new(path, Sealer::new(key));
        Self { inner: Arc::new(Inner { file, max_age, clock, intakes: AtomicU32::new(0) }) }
    }

    /// Runs `work` where it may block. A panic goes on in the caller.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let inner = Arc::clone(&self.inner);
        match tokio::task::spawn_blocking(move || work(&inner)).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(error) => Err(Fault::StoreFailed { detail: error.to_string() }),
            },
        }
    }

    /// Runs `work` in a transaction.
    async fn transact<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>, &Sealer) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Fault> {
        self.run(move |inner| {
            inner.file.with(|connection| {
                let transaction = begin_transaction(connection)?;
                let done = work(&transaction, inner.file.sealer())?;
                transaction.commit()?;
                Ok(done)
            })
        })
        .await
    }
}

impl Inner {
    fn begin(&self) -> Result<Life, Fault> {
        self.file.begin()?;
        let now = (self.clock)();
        self.file.with(|connection| {
            let life = durably(connection, |connection| {
                let transaction = begin_transaction(connection)?;
                let (generation, was_in_use) = value::begin(&transaction)?;
                retention::prune(&transaction, now, self.max_age)?;
                transaction.commit()?;
                Ok(Life { generation, clean: !was_in_use })
            })?;
            retention::shrink(connection);
            Ok(life)
        })
    }

    fn end(&self) -> Result<(), Fault> {
        let ended = self.file.with(|connection| {
            durably(connection, |connection| Ok(value::end(connection)?))?;
            Ok(connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
        });
        self.file.forget();
        ended
    }

    fn ingest(&self, batch: Intake) -> Result<Vec<(EventId, Duplicate)>, Fault> {
        let now = (self.clock)();
        let intakes = self.intakes.fetch_add(1, Ordering::Relaxed);
        let prunes = intakes % INTAKES_PER_PRUNING == INTAKES_PER_PRUNING - 1;
        self.file.with(|connection| {
            let transaction = begin_transaction(connection)?;
            let refused = intake::take_in(&transaction, self.file.sealer(), &batch, now)?;
            if prunes {
                retention::prune(&transaction, now, self.max_age)?;
            }
            transaction.commit()?;
            self.file.learn(|known| known.learn(batch));
            if prunes {
                retention::shrink(connection);
            }
            Ok(refused)
        })
    }
}

/// Runs `work` so that what it commits survives a power cut.
///
/// Elsewhere a power cut, not a kill, may take the last transactions along, one
/// after the other from the end; what is left is a state that there was. But
/// with the mark "in use" lost the next life would trust that state, and with
/// its removal lost it would search for damage where there is none.
fn durably<T>(
    connection: &mut Connection,
    work: impl FnOnce(&mut Connection) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    let done = work(connection)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    Ok(done)
}

fn begin_transaction(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

#[async_trait]
impl Journal for SqliteJournal {
    async fn begin(&self) -> Result<Life, Fault> {
        self.run(Inner::begin).await
    }

    async fn end(&self) -> Result<(), Fault> {
        self.run(Inner::end).await
    }

    async fn rest(&self) {
        let closed = self.run(|inner| {
            inner.file.close();
            Ok(())
        });
        if let Err(fault) = closed.await {
            tracing::warn!(%fault, "the journal was not closed");
        }
    }

    async fn position(&self) -> Result<Option<String>, Fault> {
        match self.inner.file.recall(|known| known.position.clone()) {
            Some(position) => Ok(position),
            None => self.transact(|transaction, _| Ok(value::position(transaction)?)).await,
        }
    }

    async fn ingest(&self, batch: Intake) -> Result<Vec<(EventId, Duplicate)>, Fault> {
        self.run(|inner| inner.ingest(batch)).await
    }

    async fn waiting(&self, after: Number, limit: usize) -> Result<Vec<Place>, Fault> {
        self.transact(move |transaction, _| Ok(inbox::waiting(transaction, after, limit)?)).await
    }

    async fn queued(&self, number: Number) -> Result<Option<Queued>, Fault> {
        self.transact(move |transaction, sealer| inbox::queued(transaction, sealer, number)).await
    }

    async fn attempt(&self, number: Number) -> Result<u32, Fault> {
        self.transact(move |transaction, _| inbox::attempt(transaction, number)).await
    }

    async fn give_back(&self, number: Number) -> Result<(), Fault> {
        self.transact(move |transaction, _| Ok(inbox::give_back(transaction, number)?)).await
    }

    async fn keep_answers(
        &self,
        number: Number,
        answers: &[Answer],
        memories: &[Memory],
    ) -> Result<(), Fault> {
        let (answers, now) = (answers.to_vec(), (self.inner.clock)());
        let memories = memories.to_vec();
        self.transact(move |transaction, sealer| {
            if outbox::keep(transaction, sealer, number, &answers, now)? {
                memory::remember(transaction, sealer, &memories)?;
            }
            Ok(())
        })
        .await
    }

    async fn note_work(&self, number: Number, work: &[u8]) -> Result<(), Fault> {
        let work = work.to_vec();
        self.transact(move |transaction, sealer| {
            memory::note_work(transaction, sealer, number, &work)
        })
        .await
    }

    async fn note_draft(&self, number: Number, draft: &Draft) -> Result<(), Fault> {
        let (draft, now) = (draft.clone(), (self.inner.clock)());
        self.transact(move |transaction, _| memory::note_draft(transaction, number, &draft, now))
            .await
    }

    async fn merge(&self, number: Number, into: Number) -> Result<(), Fault> {
        self.transact(move |transaction, sealer| inbox::merge(transaction, sealer, number, into))
            .await
    }

    async fn follower(&self, number: Number) -> Result<Option<Queued>, Fault> {
        self.transact(move |transaction, sealer| inbox::follower(transaction, sealer, number)).await
    }

    async fn begin_task(
        &self,
        task: &Message,
        answers: Option<&[Answer]>,
        memories: &[Memory],
    ) -> Result<bool, Fault> {
        let (task, answers) = (task.clone(), answers.map(<[Answer]>::to_vec));
        let (memories, now) = (memories.to_vec(), (self.inner.clock)());
        self.transact(move |transaction, sealer| {
            if inbox::contains(transaction, &task.event)? {
                return Ok(false);
            }
            let number = inbox::push(transaction, sealer, &task, now)?;
            if let Some(answers) = answers {
                outbox::keep(transaction, sealer, number, &answers, now)?;
            }
            memory::remember(transaction, sealer, &memories)?;
            Ok(true)
        })
        .await
    }

    async fn recall(&self, key: &str) -> Result<Option<Vec<u8>>, Fault> {
        let key = key.to_owned();
        self.transact(move |transaction, sealer| memory::recall(transaction, sealer, &key)).await
    }

    async fn recall_all(&self, prefix: &str) -> Result<Vec<Memory>, Fault> {
        let prefix = prefix.to_owned();
        self.transact(move |transaction, sealer| memory::recall_all(transaction, sealer, &prefix))
            .await
    }

    async fn remember(&self, memories: &[Memory]) -> Result<(), Fault> {
        let memories = memories.to_vec();
        self.transact(move |transaction, sealer| memory::remember(transaction, sealer, &memories))
            .await
    }

    async fn takes_part(&self, room: &RoomId, thread: &EventId) -> Result<bool, Fault> {
        let (room, root) = (room.clone(), thread.clone());
        self.transact(move |transaction, _| Ok(thread::contains(transaction, &room, &root)?)).await
    }

    async fn keep_question(&self, question: &OpenQuestion) -> Result<(), Fault> {
        let question = question.clone();
        self.transact(move |transaction, sealer| question::keep(transaction, sealer, &question))
            .await
    }

    async fn take_verdict(&self, verdict: &Verdict, from: Number) -> Result<(), Fault> {
        let verdict = verdict.clone();
        self.transact(move |transaction, sealer| {
            question::decide(transaction, sealer, &verdict)?;
            Ok(inbox::settle(transaction, from, Outcome::Skipped)?)
        })
        .await
    }

    async fn expire(&self, question: &OpenQuestion) -> Result<Answered, Fault> {
        let question = question.clone();
        self.transact(move |transaction, sealer| question::expire(transaction, sealer, &question))
            .await
    }

    async fn questions(&self) -> Result<Vec<OpenQuestion>, Fault> {
        self.transact(|transaction, sealer| question::all(transaction, sealer)).await
    }

    async fn answer_done(&self, number: Number, transaction: &str) -> Result<(), Fault> {
        let id = transaction.to_owned();
        self.transact(move |transaction, _| Ok(outbox::done(transaction, number, &id)?)).await
    }

    async fn settle(&self, number: Number, outcome: Outcome) -> Result<(), Fault> {
        self.transact(move |transaction, _| Ok(inbox::settle(transaction, number, outcome)?)).await
    }

    async fn undecryptable(&self) -> Result<Vec<Locked>, Fault> {
        self.transact(|transaction, _| Ok(undecryptable::all(transaction)?)).await
    }

    async fn locked_event(&self, event: &EventId) -> Result<Option<String>, Fault> {
        let event = event.clone();
        self.transact(move |transaction, sealer| undecryptable::event(transaction, sealer, &event))
            .await
    }

    async fn postpone(&self, locked: &Locked) -> Result<(), Fault> {
        let locked = locked.clone();
        self.transact(move |transaction, _| Ok(undecryptable::postpone(transaction, &locked)?))
            .await
    }

    async fn noticed(&self, room: &RoomId, session: &str) -> Result<(), Fault> {
        let (room, session) = (room.clone(), session.to_owned());
        self.transact(move |transaction, _| {
            Ok(undecryptable::mark_noticed(transaction, &room, &session)?)
        })
        .await
    }

    async fn claims(&self) -> Result<Claims, Fault> {
        self.transact(|transaction, _| value::claims(transaction)).await
    }

    async fn keep_claims(&self, claims: &Claims) -> Result<(), Fault> {
        let claims = claims.clone();
        self.run(move |inner| {
            inner.file.with(|connection| {
                durably(connection, |connection| value::set_claims(connection, &claims))
            })
        })
        .await
    }

    async fn sending(&self, transaction: &str) -> Result<(), Fault> {
        let (id, now) = (transaction.to_owned(), (self.inner.clock)());
        self.transact(move |transaction, _| Ok(sent::note(transaction, &id, now)?)).await
    }

    async fn is_own(&self, transaction: &str, at: Stamp) -> Result<bool, Fault> {
        let (id, now) = (transaction.to_owned(), (self.inner.clock)());
        self.transact(move |transaction, _| Ok(sent::is_own(transaction, &id, at, now)?)).await
    }

    async fn begin_fresh(&self) -> Result<(), Fault> {
        self.transact(|transaction, _| Ok(sent::begin_fresh(transaction)?)).await
    }

    async fn is_passed(&self, position: &str) -> Result<bool, Fault> {
        let position = position.to_owned();
        self.transact(move |transaction, _| Ok(sent::is_passed(transaction, &position)?)).await
    }

    async fn reseal(&self, from: &PickleKey) -> Result<(), Fault> {
        let from = Sealer::new(from);
        self.run(move |inner| inner.file.reseal(&from)).await
    }

    async fn trust_records(&self, users: &[UserId]) -> Result<Vec<UserRecord>, Fault> {
        let users = users.to_vec();
        self.transact(move |transaction, sealer| trust::records(transaction, sealer, &users)).await
    }

    async fn trust_ledger(&self) -> Result<Vec<UserRecord>, Fault> {
        self.transact(|transaction, sealer| trust::all(transaction, sealer)).await
    }

    async fn keep_trust(&self, records: &[UserRecord]) -> Result<(), Fault> {
        let records = records.to_vec();
        self.run(move |inner| {
            inner.file.with(|connection| {
                durably(connection, |connection| {
                    let transaction = begin_transaction(connection)?;
                    trust::keep(&transaction, inner.file.sealer(), &records)?;
                    Ok(transaction.commit()?)
                })
            })
        })
        .await
    }

    async fn invitations(&self) -> Result<Vec<Pending>, Fault> {
        self.transact(|transaction, _| Ok(rooms::invitations(transaction)?)).await
    }

    async fn keep_invitations(&self, pending: &[Pending]) -> Result<(), Fault> {
        let pending = pending.to_vec();
        self.transact(move |transaction, _| Ok(rooms::keep_invitations(transaction, &pending)?))
            .await
    }

    async fn greetings(&self) -> Result<Vec<Greeting>, Fault> {
        self.transact(|transaction, sealer| rooms::greetings(transaction, sealer)).await
    }

    async fn keep_greeting(&self, greeting: &Greeting) -> Result<(), Fault> {
        let greeting = greeting.clone();
        self.run(move |inner| {
            inner.file.with(|connection| {
                durably(connection, |connection| {
                    let transaction = begin_transaction(connection)?;
                    rooms::keep_greeting(&transaction, inner.file.sealer(), &greeting)?;
                    Ok(transaction.commit()?)
                })
            })
        })
        .await
    }

    async fn was_encrypted(&self, room: &RoomId) -> Result<bool, Fault> {
        if let Some(answer) = self.inner.file.recall(|known| known.encrypted_rooms.contains(room)) {
            return Ok(answer);
        }
        let room = room.clone();
        self.run(move |inner| {
            inner.file.with(|_| Ok(()))?;
            Ok(inner.file.recall(|known| known.encrypted_rooms.contains(&room)).unwrap_or_default())
        })
        .await
    }

    async fn outgoing(&self, key: &str) -> Result<Option<OutgoingRecord>, Fault> {
        let key = key.to_owned();
        self.transact(move |transaction, sealer| outgoing::find(transaction, sealer, &key)).await
    }

    async fn keep_outgoing(&self, key: &str, record: &OutgoingRecord) -> Result<(), Fault> {
        let (key, record, now) = (key.to_owned(), record.clone(), (self.inner.clock)());
        self.transact(move |transaction, sealer| {
            outgoing::keep(transaction, sealer, &key, &record, now)
        })
        .await
    }
}

impl fmt::Debug for SqliteJournals {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SqliteJournals").finish_non_exhaustive()
    }
}

impl fmt::Debug for SqliteJournal {
    /// Shows where it is, and no key.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SqliteJournal")
            .field("path", &self.inner.file.path())
            .finish_non_exhaustive()
    }
}
