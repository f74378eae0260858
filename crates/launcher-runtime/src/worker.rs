//! The life of one agent: connect, then read and answer until told to stop.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use launcher_core::{
    agent::AgentId,
    backoff,
    conversation::{Conversations, Ignored, Message},
    fault::Fault,
    fleet::Degradation,
    names::UserId,
    spec::AgentSpec,
};
use tokio::sync::{mpsc, watch};
use tracing::{debug, info, warn};

use crate::{
    clock::Clock,
    lines::{Crew, Done, Lines},
    ports::{Behavior, Connector, Session},
    random,
    report::{Report, SERVER},
    stop::Stop,
};

/// How long one reading of news may take: an initial sync of a large account
/// takes a minute, never five.
const READ_LIMIT: Duration = Duration::from_secs(300);

/// How long an agent that is still connecting may go on when a stop is asked for.
const CONNECT_GRACE: Duration = Duration::from_secs(3);

/// How long answers may go on after a fault that ended the session.
const FAULT_GRACE: Duration = Duration::from_secs(5);

/// Server faults in a row after which `status` shows them: a restart of the
/// server should not turn every agent yellow.
const FAULTS_TO_SHOW: u32 = 3;

/// What a worker tells its supervisor while it runs.
#[derive(Debug)]
pub(crate) enum News {
    Ready(AgentId),
    Health(AgentId, Option<Degradation>),
}

/// Everything a worker is given.
pub(crate) struct Worker {
    pub(crate) spec: AgentSpec,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) behavior: Arc<dyn Behavior>,
    pub(crate) report: Arc<Report>,
    pub(crate) stop: Stop,
    pub(crate) news: mpsc::Sender<News>,
    pub(crate) clock: Clock,
}

/// Runs an agent until it is told to stop or cannot go on.
///
/// # Errors
///
/// The fault that ended it.
pub(crate) async fn run(worker: Worker) -> Result<(), Fault> {
    let Some(session) = connect(&worker).await? else { return Ok(()) };
    let facts = worker.report.facts();
    info!(
        event = "agent_ready",
        user_id = facts.user_id,
        device_id = facts.device_id,
        ed25519 = facts.ed25519,
        cross_signed = facts.cross_signed,
        "ready"
    );
    let mut running = Running::new(&worker, session.clone());
    running.tell(News::Ready(worker.spec.id.clone())).await;
    let ended = running.run().await;
    match &ended {
        Ok(()) => running.finish().await,
        // What is not sent by now will not be sent with this session.
        Err(_) => drop(tokio::time::timeout(FAULT_GRACE, running.finish()).await),
    }
    // Nobody may use the session any more when it is closed: it would open its stores again.
    running.lines.abandon().await;
    session.close().await;
    ended
}

async fn connect(worker: &Worker) -> Result<Option<Arc<dyn Session>>, Fault> {
    let too_late = async {
        worker.stop.asked().await;
        tokio::time::sleep(CONNECT_GRACE).await;
    };
    let connected = tokio::select! {
        biased;
        connected = worker.connector.connect(&worker.spec, worker.report.clone()) => connected?,
        () = too_late => return Ok(None),
    };
    Ok(Some(connected))
}

struct Running<'a> {
    worker: &'a Worker,
    session: Arc<dyn Session>,
    lines: Lines,
    conversations: Conversations,
    degradations: watch::Receiver<BTreeMap<&'static str, Degradation>>,
    faults: u32,
}

/// What a worker can be woken by.
enum Event {
    Stop,
    Done(Option<Done>),
    Degradations,
    Waited(Result<(), Fault>),
}

impl<'a> Running<'a> {
    fn new(worker: &'a Worker, session: Arc<dyn Session>) -> Self {
        let crew = Crew {
            session: session.clone(),
            behavior: worker.behavior.clone(),
            report: worker.report.clone(),
            stop: worker.stop.clone(),
        };
        let own = UserId::new(worker.spec.account.user_id.clone());
        let mut degradations = worker.report.degradations();
        degradations.mark_changed();
        Self {
            worker,
            session,
            lines: Lines::new(crew),
            conversations: Conversations::new(own, worker.spec.catch_up.max_age),
            degradations,
            faults: 0,
        }
    }

    async fn run(&mut self) -> Result<(), Fault> {
        let session = self.session.clone();
        // Kept across turns: a room that finishes must not restart the long poll.
        let mut waiting = session.wait();
        loop {
            let event = tokio::select! {
                biased;
                () = self.worker.stop.asked() => Event::Stop,
                done = self.lines.next_done(), if !self.lines.is_idle() => Event::Done(done),
                Ok(()) = self.degradations.changed() => Event::Degradations,
                waited = &mut waiting, if !self.lines.is_full() => Event::Waited(waited),
            };
            match event {
                Event::Stop => return Ok(()),
                Event::Done(done) => self.on_done(done),
                Event::Degradations => self.on_degradations().await,
                Event::Waited(waited) => {
                    let read = match waited {
                        Ok(()) => self.read().await,
                        Err(fault) => Err(fault),
                    };
                    match read {
                        Ok(()) => self.on_server_well(),
                        Err(fault) => self.on_fault(fault).await?,
                    }
                    waiting = session.wait();
                }
            }
        }
    }

    async fn read(&mut self) -> Result<(), Fault> {
        let limit = READ_LIMIT;
        let messages = tokio::time::timeout(limit, self.session.read())
            .await
            .map_err(|_| Fault::Stuck { what: "reading from the server".to_owned(), limit })??;
        for message in messages {
            self.on_message(message);
        }
        Ok(())
    }

    fn on_message(&mut self, message: Message) {
        let judged = self.conversations.judge(&message, self.worker.clock.now());
        if judged != Err(Ignored::Own) {
            self.worker.report.count_received();
        }
        let event_id = &message.event;
        match judged {
            Ok(()) => self.lines.push(message),
            Err(Ignored::Stale) => {
                info!(event = "stale_skipped", room = %message.room, %event_id, "older than catch_up.max_age");
            }
            Err(Ignored::Loop) => {
                warn!(room = %message.room, sender = %message.sender, %event_id, "another bot answers every answer at once; not answered");
            }
            Err(Ignored::Own | Ignored::NotText | Ignored::Automated) => {
                debug!(room = %message.room, %event_id, why = ?judged, "not answered");
            }
        }
    }

    fn on_done(&mut self, done: Option<Done>) {
        let Some(done) = done else { return };
        for (event, text) in done.said {
            self.conversations.answered(&done.message, event, text, self.worker.clock.now());
        }
    }

    async fn on_degradations(&mut self) {
        let worst = self.degradations.borrow_and_update().values().next().cloned();
        self.tell(News::Health(self.worker.spec.id.clone(), worst)).await;
    }

    fn on_server_well(&mut self) {
        self.faults = 0;
    }

    /// Waits out a server that is away; everything else ends the agent.
    async fn on_fault(&mut self, fault: Fault) -> Result<(), Fault> {
        let Fault::ServerUnavailable { retry_after, .. } = &fault else { return Err(fault) };
        let wait = backoff::wait(self.faults.min(6), random::fraction(), *retry_after);
        self.faults += 1;
        warn!(error = %fault, retry_in = ?wait, "the server did not answer a sync");
        if self.faults >= FAULTS_TO_SHOW {
            let found = Degradation { reason: fault.reason(), action: fault.action() };
            self.worker.report.set_degraded(SERVER, Some(found));
            self.on_degradations().await;
        }
        let again = tokio::time::sleep(wait);
        tokio::pin!(again);
        loop {
            tokio::select! {
                biased;
                () = self.worker.stop.asked() => return Ok(()),
                () = &mut again => return Ok(()),
                done = self.lines.next_done(), if !self.lines.is_idle() => self.on_done(done),
            }
        }
    }

    /// Lets the rooms finish what they hold, until a stop is demanded.
    async fn finish(&mut self) {
        while !self.lines.is_idle() {
            tokio::select! {
                biased;
                () = self.worker.stop.demanded() => return,
                done = self.lines.next_done() => self.on_done(done),
            }
        }
    }

    async fn tell(&self, news: News) {
        // The supervisor outlives its workers; if it is gone, nobody is left to tell.
        drop(self.worker.news.send(news).await);
    }
}
