//! The one thread that writes.
//!
//! Writing to the disk takes longer than all the rest, so whatever has queued up
//! meanwhile is written together. Each piece of work has a savepoint of its own:
//! one that is refused takes back what it did, and nothing of the others.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use bytes::Bytes;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::{OpenError, Stop, clock::Clock, stop::broken};
use crate::{
    live::Hub,
    previews::Preview,
    push::Push,
    refusal::Refusal,
    values::{AccountId, DeviceId, Moment},
};

/// Pieces of work that wait. Whoever finds no place waits for one.
const QUEUE: usize = 1024;

/// Pieces of work that are written together at most.
const TOGETHER: usize = 128;

/// The thread that writes.
#[derive(Debug)]
pub(crate) struct Thread {
    /// To wait until it has ended.
    pub handle: JoinHandle<()>,
    /// Says that it is ending, by being dropped.
    pub ended: oneshot::Receiver<()>,
}

/// What follows when the work is on the disk.
#[derive(Debug)]
pub(crate) enum Effect {
    /// A packet for those who are connected.
    Packet(Recipients, Bytes),
    /// A push for somebody.
    Push(Push),
    /// Links that are to be looked at.
    Preview(Preview),
}

/// Where goes what is done later, and for which nobody waits.
#[derive(Debug)]
pub(crate) struct Later {
    /// If there is a webhook.
    pub pushes: Option<mpsc::Sender<Push>>,
    /// If links are looked at.
    pub previews: Option<mpsc::Sender<Preview>>,
}

/// Whom a packet is for.
#[derive(Debug)]
pub(crate) enum Recipients {
    /// All devices of these.
    Accounts(Vec<AccountId>),
    /// One device.
    Device(AccountId, DeviceId),
}

/// What a piece of work has to do with.
#[derive(Debug)]
pub(crate) struct Work<'a> {
    /// Inside the transaction.
    pub connection: &'a Connection,
    /// When it is. Rows lie here or behind.
    pub now: Moment,
    /// Who is connected.
    pub hub: &'a Hub,
    /// Whether anybody takes pushes: in a large room there are many of them.
    pub is_pushing: bool,
    /// What follows when it is on the disk.
    pub effects: Vec<Effect>,
    /// The last moment that a row got, if there is one.
    pub newest: Option<Moment>,
}

type Finish = Box<dyn FnOnce(Option<Refusal>) + Send>;
type Job = Box<dyn FnOnce(&mut Work<'_>) -> Result<Finish, Finish> + Send>;

#[derive(Debug)]
pub(super) struct Writer {
    // Taken away to end the thread.
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        hub: Arc<Hub>,
        later: Later,
        clock: Arc<Clock>,
    ) -> Result<(Self, Thread), OpenError> {
        let (alive, ended) = oneshot::channel::<()>();
        let (jobs, queue) = mpsc::channel(QUEUE);
        let mut loops = Loop { connection, hub, later, clock, seen: None };
        let run = move || {
            let _alive = alive;
            loops.run(queue);
        };
        let thread = thread::Builder::new().name("messager-writer".to_owned());
        let handle = thread.spawn(run).map_err(OpenError::Thread)?;
        Ok((Self { jobs: Mutex::new(Some(jobs)) }, Thread { handle, ended }))
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Work<'_>) -> Result<T, Stop> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |scope| {
            let result = work(scope).map_err(Stop::into_refusal);
            let is_good = result.is_ok();
            let finish: Finish = Box::new(move |lost| {
                // Whoever asked may be gone.
                drop(answer.send(lost.map_or(result, Err)));
            });
            if is_good { Ok(finish) } else { Err(finish) }
        });
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let jobs = jobs.ok_or(Refusal::Unavailable)?;
        jobs.send(job).await.map_err(|_| Refusal::Unavailable)?;
        answered.await.unwrap_or(Err(Refusal::Unavailable))
    }

    pub(super) fn close(&self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

struct Loop {
    connection: Connection,
    hub: Arc<Hub>,
    later: Later,
    clock: Arc<Clock>,
    /// What the file's version was when devices were last looked at.
    seen: Option<i64>,
}

impl Loop {
    fn run(&mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(first) = queue.blocking_recv() {
            let mut jobs = vec![first];
            while jobs.len() < TOGETHER
                && let Ok(next) = queue.try_recv()
            {
                jobs.push(next);
            }
            self.write(jobs);
        }
        // What is in the log goes into the file, so that the folder can be copied.
        if let Err(error) = self.connection.pragma_update(None, "wal_checkpoint", "TRUNCATE") {
            tracing::debug!(%error, "the log of the tables was not written back");
        }
    }

    fn write(&mut self, jobs: Vec<Job>) {
        let now = self.clock.begin(Moment::now());
        let mut finishes = Vec::with_capacity(jobs.len());
        let around = (&*self.hub, self.later.pushes.is_some());
        let written =
            write_all(&mut self.connection, around, now, (jobs, &mut self.seen), &mut finishes);
        let (newest, effects, lost) = match written {
            Ok((newest, effects)) => (newest, effects, None),
            // Whether it is there is not sure.
            Err(error) => (Some(now), Vec::new(), Some(broken(&error))),
        };
        // Behind the commit, so that what counts as settled can be read.
        self.clock.end(newest);
        for effect in effects {
            self.carry_out(effect);
        }
        for finish in finishes {
            finish(lost.clone());
        }
    }

    fn carry_out(&self, effect: Effect) {
        match effect {
            Effect::Packet(Recipients::Accounts(accounts), bytes) => {
                self.hub.send_to_accounts(&accounts, &bytes);
            }
            Effect::Packet(Recipients::Device(account, device), bytes) => {
                self.hub.send_to_device(account, &device, &bytes);
            }
            // A send never waits for whoever takes pushes.
            Effect::Push(push) => {
                let pushes = self.later.pushes.as_ref();
                if pushes.is_some_and(|pushes| pushes.try_send(push).is_err()) {
                    self.hub.counts().pushes_dropped.inc();
                }
            }
            Effect::Preview(preview) => {
                let previews = self.later.previews.as_ref();
                if previews.is_some_and(|previews| previews.try_send(preview).is_err()) {
                    self.hub.counts().previews_failed.inc();
                }
            }
        }
    }
}

/// Closes the sockets of devices that another process has revoked, such as
/// `account revoke`. Inside the transaction, so that no row that is written from
/// now on reaches them.
fn close_revoked(
    connection: &Connection,
    hub: &Hub,
    seen: &mut Option<i64>,
) -> rusqlite::Result<()> {
    // It changes when another connection commits, and none of this process does.
    let version = connection.pragma_query_value(None, "data_version", |row| row.get(0))?;
    if *seen == Some(version) {
        return Ok(());
    }
    for (account, login) in hub.logins() {
        if !super::accounts::is_let_in(connection, account, &login)? {
            hub.revoke(account, &login);
        }
    }
    *seen = Some(version);
    Ok(())
}

fn write_all(
    connection: &mut Connection,
    (hub, is_pushing): (&Hub, bool),
    now: Moment,
    (jobs, seen): (Vec<Job>, &mut Option<i64>),
    finishes: &mut Vec<Finish>,
) -> rusqlite::Result<(Option<Moment>, Vec<Effect>)> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    close_revoked(&transaction, hub, seen)?;
    let mut work =
        Work { connection: &transaction, now, hub, is_pushing, effects: Vec::new(), newest: None };
    for job in jobs {
        let (kept, newest) = (work.effects.len(), work.newest);
        transaction.execute_batch("SAVEPOINT work")?;
        // A panic is a mistake of ours: it is logged where it happens, whoever
        // asked is told that nothing was done, and the others go on.
        match catch_unwind(AssertUnwindSafe(|| job(&mut work))) {
            Ok(Ok(finish)) => {
                finishes.push(finish);
                transaction.execute_batch("RELEASE work")?;
            }
            refused => {
                work.effects.truncate(kept);
                work.newest = newest;
                finishes.extend(refused.ok().and_then(Result::err));
                transaction.execute_batch("ROLLBACK TO work; RELEASE work")?;
            }
        }
    }
    let Work { effects, newest, .. } = work;
    transaction.commit()?;
    Ok((newest, effects))
}
