//! The life of one agent: connect, then read and answer until told to stop.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, atomic::AtomicUsize},
    time::Duration,
};

use launcher_core::{
    agent::AgentId,
    backoff,
    conversation::{Conversations, concerns},
    fault::Fault,
    fleet::Degradation,
    names::EventId,
    spec::AgentSpec,
};
use tokio::{
    sync::{Notify, Semaphore, mpsc, watch},
    task::JoinSet,
};
use tracing::{Instrument, debug, info, warn};

use crate::{
    answering::{Crew, Questions, ROOMS_AT_ONCE},
    clock::{self, Clock},
    deferred::Deferred,
    initiative::{self, Tasks},
    lines::{Done, Lines, Work},
    ports::{
        Arrivals, Behavior, Connector, PassedOver, Session,
        journal::{Duplicate, Journal, Number, Place},
    },
    random,
    report::{BEHAVIOR, PROGRAM, PROGRESS, Report, SENDING, SERVER},
    room_settings::RoomSettings,
    stop::Stop,
    task,
};

/// How long one reading of news may take: an initial sync of a large account
/// takes a minute, never five.
const READ_LIMIT: Duration = Duration::from_secs(300);

/// Places that are asked of the journal at once.
const PAGE: usize = 1_000;

/// How long a reading may go on when a stop is asked for. What it leaves behind
/// is read again in the next life.
const READ_GRACE: Duration = Duration::from_secs(2);

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
    pub(crate) journal: Arc<dyn Journal>,
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
    let open = Open::to_operators(&worker.report, &session);
    let mut running = Running::new(&worker, session.clone()).await?;
    running.tell(News::Ready(worker.spec.id.clone())).await;
    let mut ended = running.run().await;
    // Whom it serves has as long as the desk gives them, while the lines finish.
    drop(open);
    running.lines.close();
    let finished = match &ended {
        Ok(()) => running.finish().await,
        // What is not sent by now is sent in the next life.
        Err(_) => tokio::time::timeout(FAULT_GRACE, running.finish()).await.unwrap_or(Ok(())),
    };
    if ended.is_ok() {
        ended = finished;
    }
    // What is cut off in the middle of a send may have left a room's session half shared.
    let orderly = ended.is_ok() && running.lines.is_idle();
    // Nobody may use the session any more when it is closed: it would open its stores again.
    running.lines.abandon().await;
    running.by_itself.shutdown().await;
    session.close().await;
    if orderly && session.is_whole() {
        worker.journal.end().await?;
    } else {
        worker.journal.rest().await;
    }
    ended
}

/// A session that operators can ask. It is not when this is dropped, also by a
/// panic or because the task is cut off.
struct Open<'a>(&'a Report);

impl<'a> Open<'a> {
    fn to_operators(report: &'a Report, session: &Arc<dyn Session>) -> Self {
        report.set_session(Some(session));
        Self(report)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.set_session(None);
    }
}

async fn connect(worker: &Worker) -> Result<Option<Arc<dyn Session>>, Fault> {
    let too_late = async {
        worker.stop.asked().await;
        tokio::time::sleep(CONNECT_GRACE).await;
    };
    let connected = tokio::select! {
        biased;
        connected = worker.connector.connect(&worker.spec, worker.report.clone(), worker.journal.clone()) => connected?,
        () = too_late => return Ok(None),
    };
    Ok(Some(connected))
}

struct Running<'a> {
    worker: &'a Worker,
    session: Arc<dyn Session>,
    lines: Lines,
    /// Up to here the journal's messages were put into the lines.
    lined_up: Number,
    /// Whether the lines were too short for all of them.
    is_short: bool,
    crew: Arc<Crew>,
    /// What the behavior does by itself.
    by_itself: JoinSet<()>,
    /// Tells that it has put something into the inbox.
    begun: Arc<Notify>,
    degradations: watch::Receiver<BTreeMap<&'static str, Degradation>>,
    faults: u32,
}

/// What a worker can be woken by.
enum Event {
    Stop,
    Done(Done),
    Degradations,
    /// A message's moment has come.
    Due(Place),
    /// There is a task in the inbox.
    Begun,
    Waited(Result<(), Fault>),
}

impl<'a> Running<'a> {
    async fn new(worker: &'a Worker, session: Arc<dyn Session>) -> Result<Self, Fault> {
        let spec = worker.spec.clone();
        let own = session.own();
        let talk = Conversations::new(spec.catch_up.max_age, &spec.answer.bots);
        let crew = Arc::new(Crew {
            own: own.clone(),
            session: session.clone(),
            behavior: worker.behavior.clone(),
            journal: worker.journal.clone(),
            report: worker.report.clone(),
            stop: worker.stop.clone(),
            conversations: Mutex::new(talk),
            rates: Mutex::default(),
            settings: RoomSettings::load(&*worker.journal).await?,
            questions: Questions::new(worker.journal.questions().await?),
            deferred: Deferred::default(),
            clock: worker.clock,
            places: Semaphore::new(ROOMS_AT_ONCE),
            failing: AtomicUsize::new(0),
            spec,
        });
        for topic in [SENDING, BEHAVIOR, PROGRAM, PROGRESS] {
            worker.report.set_degraded(topic, None);
        }
        let mut degradations = worker.report.degradations();
        degradations.mark_changed();
        let begun = Arc::new(Notify::new());
        let (journal, report) = (worker.journal.clone(), worker.report.clone());
        let tasks = Tasks { own, session: session.clone(), journal, report, begun: begun.clone() };
        let mut by_itself = JoinSet::new();
        let runs = initiative::run(worker.behavior.clone(), Arc::new(tasks));
        task::spawn(&mut by_itself, runs.in_current_span());
        Ok(Self {
            worker,
            session,
            lines: Lines::new(crew.clone()),
            lined_up: Number::default(),
            is_short: false,
            crew,
            by_itself,
            begun,
            degradations,
            faults: 0,
        })
    }

    async fn run(&mut self) -> Result<(), Fault> {
        // What an earlier life left to do goes before everything new.
        self.line_up().await?;
        let session = self.session.clone();
        // Kept across turns: a room that finishes must not restart the long poll.
        let mut waiting = session.wait();
        loop {
            let event = tokio::select! {
                biased;
                () = self.worker.stop.asked() => Event::Stop,
                done = self.lines.next_done(), if !self.lines.is_idle() => Event::Done(done),
                Ok(()) = self.degradations.changed() => Event::Degradations,
                place = self.crew.deferred.next() => Event::Due(place),
                () = self.begun.notified() => Event::Begun,
                waited = &mut waiting => Event::Waited(waited),
            };
            match event {
                Event::Stop => return Ok(()),
                Event::Done(done) => self.on_done(done).await?,
                Event::Degradations => self.on_degradations().await,
                Event::Due(place) => self.lines.push(Work::Answer(place)),
                Event::Begun => self.line_up().await?,
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

    /// Reads what is new. Meanwhile the rooms go on.
    async fn read(&mut self) -> Result<(), Fault> {
        let stuck = |limit| Fault::Stuck { what: "reading from the server".to_owned(), limit };
        let session = self.session.clone();
        let mut reading = session.read();
        let (ask, limit) = (self.worker.stop.clone(), tokio::time::sleep(READ_LIMIT));
        tokio::pin!(limit);
        let stop = async move {
            ask.asked().await;
            tokio::time::sleep(READ_GRACE).await;
        };
        tokio::pin!(stop);
        let arrivals = loop {
            tokio::select! {
                biased;
                arrivals = &mut reading => break arrivals?,
                done = self.lines.next_done(), if !self.lines.is_idle() => self.on_done(done).await?,
                () = &mut stop => return Err(stuck(READ_GRACE)),
                () = &mut limit => return Err(stuck(READ_LIMIT)),
            }
        };
        self.take_in(arrivals).await
    }

    /// Puts what arrived into the journal, and what is to be done into the lines.
    async fn take_in(&mut self, arrivals: Arrivals) -> Result<(), Fault> {
        let Arrivals { mut intake, notices, passed_over } = arrivals;
        let mut stale = PassedOver { count: 0, ..passed_over };
        for heard in &mut intake.heard {
            let message = &heard.message;
            if !heard.wanted {
                continue;
            }
            if let Err(why) = concerns(&self.crew.spec, &self.crew.own, message) {
                debug!(room = %message.room, event_id = %message.event, ?why, "not answered");
                heard.wanted = false;
                continue;
            }
            if let Some(verdict) = self.crew.questions.verdict(message, clock::stamp()) {
                info!(event = "question_answered", room = %message.room, sender = %message.sender, yes = verdict.yes, "a question was answered");
                heard.verdict = Some(verdict);
                heard.wanted = false;
                continue;
            }
            if !self.crew.spec.hears(message.kind) && self.crew.questions.are_sent() {
                heard.wanted = false;
                continue;
            }
            self.worker.report.count_received();
            if self.crew.conversations().is_stale(message.age) {
                stale.count += 1;
                heard.wanted = false;
            }
        }
        stale.count += passed_over.count;
        // What is not to be answered can come again without anybody meaning harm.
        let wanted: BTreeSet<EventId> = intake
            .heard
            .iter()
            .filter(|heard| heard.wanted)
            .map(|heard| heard.message.event.clone())
            .collect();
        let verdicts: Vec<_> = intake
            .heard
            .iter()
            .filter_map(|heard| Some((heard.message.event.clone(), heard.verdict.clone()?)))
            .collect();
        let refused = self.worker.journal.ingest(intake).await?;
        let is_refused = |event: &EventId| refused.iter().any(|(other, _)| other == event);
        let counts = verdicts.iter().filter(|(event, _)| !is_refused(event));
        self.crew.questions.decide(counts.map(|(_, verdict)| verdict));
        for (event_id, why) in refused.into_iter().filter(|(event, _)| wanted.contains(event)) {
            match why {
                Duplicate::SameEvent => {
                    info!(event = "duplicate_ignored", %event_id, ?why, "the server sent an event again");
                }
                Duplicate::Replayed | Duplicate::OtherSender => {
                    warn!(event = "duplicate_ignored", %event_id, ?why, "somebody replayed an encrypted message; it is not acted upon");
                }
            }
        }
        if stale != PassedOver::default() {
            info!(
                event = "stale_skipped",
                count = stale.count,
                more = stale.more,
                "messages older than catch_up.max_age, or too many; not answered"
            );
        }
        for notice in notices {
            self.lines.push(Work::Notice(notice));
        }
        self.line_up().await
    }

    /// Fills the lines from the journal.
    async fn line_up(&mut self) -> Result<(), Fault> {
        loop {
            let limit = self.lines.room_for().min(PAGE);
            self.is_short = limit == 0;
            if self.is_short {
                return Ok(());
            }
            let places = self.worker.journal.waiting(self.lined_up, limit).await?;
            let all = places.len() < limit;
            for place in places {
                self.lined_up = place.number;
                self.lines.push(Work::Answer(place));
            }
            if all {
                return Ok(());
            }
        }
    }

    async fn on_done(&mut self, done: Done) -> Result<(), Fault> {
        done?;
        // Only full lines have left something in the journal.
        let refill = self.is_short && !self.worker.stop.is_asked();
        if refill { self.line_up().await } else { Ok(()) }
    }

    async fn on_degradations(&mut self) {
        let worst = {
            let all = self.degradations.borrow_and_update();
            let silencing = all.values().find(|found| found.is_silencing());
            silencing.or_else(|| all.values().next()).cloned()
        };
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
                done = self.lines.next_done(), if !self.lines.is_idle() => self.on_done(done).await?,
            }
        }
    }

    /// Lets the rooms finish the message that they work on, until a stop is
    /// demanded. What has not been begun waits in the journal.
    async fn finish(&mut self) -> Result<(), Fault> {
        while !self.lines.is_idle() {
            tokio::select! {
                biased;
                () = self.worker.stop.demanded() => return Ok(()),
                done = self.lines.next_done() => drop(done?),
            }
        }
        Ok(())
    }

    async fn tell(&self, news: News) {
        // The supervisor outlives its workers; if it is gone, nobody is left to tell.
        drop(self.worker.news.send(news).await);
    }
}
