//! The supervisor with agents that misbehave on purpose. Time is tokio's, and
//! runs only when everybody waits.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use launcher_core::{
    conversation::Message,
    names::{EventId, RoomId, UserId},
};
use tempfile::TempDir;

use super::*;
use crate::fakes::{Memory, MemoryJournals, spec};
use crate::ports::{
    Answer, AnswerContent, Arrivals, BehaviorFault, Notice, Reply, Response, SendFault, Session,
    journal::{Heard, Intake, Journal, Outcome},
};

/// Agents are told apart by their name.
#[derive(Debug, Default)]
struct Trouble {
    connects: AtomicU32,
    sending: Arc<AtomicU32>,
    closed_while_sending: Arc<AtomicU32>,
}

#[async_trait]
impl Connector for Trouble {
    async fn connect(
        &self,
        spec: &AgentSpec,
        _report: Arc<Report>,
        journal: Arc<dyn Journal>,
    ) -> Result<Arc<dyn Session>, Fault> {
        self.connects.fetch_add(1, Ordering::Relaxed);
        journal.begin().await?;
        match spec.id.as_str() {
            "panics" => panic!("on purpose"),
            "hangs" => std::future::pending().await,
            "fails" => Err(Fault::TokenInvalid {
                homeserver: "hs".into(),
                user: "@u:hs".into(),
                password: false,
            }),
            name => Ok(Arc::new(Scripted {
                name: name.to_owned(),
                waits: AtomicU32::new(0),
                sending: self.sending.clone(),
                closed_while_sending: self.closed_while_sending.clone(),
            })),
        }
    }
}

/// A session that does what its agent's name says: `talks`, `stuck` and `breaks`
/// hear one message, all others nothing.
struct Scripted {
    name: String,
    waits: AtomicU32,
    sending: Arc<AtomicU32>,
    closed_while_sending: Arc<AtomicU32>,
}

#[async_trait]
impl Session for Scripted {
    fn own(&self) -> UserId {
        UserId::new(format!("@{}:hs", self.name))
    }

    async fn wait(&self) -> Result<(), Fault> {
        let is_first = self.waits.fetch_add(1, Ordering::Relaxed) == 0;
        match self.name.as_str() {
            // There is always news.
            "deaf" => Ok(()),
            "talks" | "stuck" | "breaks" if is_first => Ok(()),
            "breaks" => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Err(Fault::StoreFailed { detail: "on purpose".into() })
            }
            "bursts" => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                panic!("on purpose")
            }
            _ => std::future::pending().await,
        }
    }

    async fn read(&self) -> Result<Arrivals, Fault> {
        if self.name == "deaf" {
            std::future::pending::<()>().await;
        }
        Ok(Arrivals {
            intake: Intake { heard: vec![heard("$e")], ..Intake::default() },
            ..Arrivals::default()
        })
    }

    async fn send(&self, _answer: &Answer) -> Result<EventId, SendFault> {
        self.sending.fetch_add(1, Ordering::Relaxed);
        let _sending = Sending(self.sending.clone());
        if matches!(self.name.as_str(), "stuck" | "breaks") {
            std::future::pending::<()>().await;
        }
        Ok(EventId::new("$answer"))
    }

    async fn send_notice(&self, _notice: &Notice) -> Result<EventId, SendFault> {
        Ok(EventId::new("$notice"))
    }

    async fn close(&self) {
        self.closed_while_sending
            .fetch_add(self.sending.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// Counts a send that is under way, until it is dropped.
struct Sending(Arc<AtomicU32>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A message of a person.
fn heard(event: &str) -> Heard {
    let (room, sender) = (RoomId::new("!r:hs"), UserId::new("@alice:hs"));
    let message = Message::text(room, EventId::new(event), sender, "hello");
    Heard { message, ciphertext: None, wanted: true, verdict: None }
}

/// Takes its time before it answers.
#[derive(Debug)]
struct Slow(Duration);

#[async_trait]
impl Behavior for Slow {
    async fn on_message(
        &self,
        _message: &Message,
        _stage: &dyn crate::ports::Stage,
    ) -> Result<Option<Response>, BehaviorFault> {
        tokio::time::sleep(self.0).await;
        Ok(Some(Response::say("done")))
    }
}

/// Fails in its own way at each message.
#[derive(Debug)]
enum Bad {
    Panics,
    Fails,
    Hangs,
}

#[async_trait]
impl Behavior for Bad {
    async fn on_message(
        &self,
        _message: &Message,
        _stage: &dyn crate::ports::Stage,
    ) -> Result<Option<Response>, BehaviorFault> {
        match self {
            Self::Panics => panic!("on purpose"),
            Self::Fails => Err(BehaviorFault { detail: "on purpose".into() }),
            Self::Hangs => std::future::pending().await,
        }
    }
}

struct Stage {
    folder: TempDir,
    journals: Arc<MemoryJournals>,
    connector: Arc<Trouble>,
    orders: mpsc::Sender<Order>,
    stop: Stop,
    board: StatusBoard,
    ended: tokio::task::JoinHandle<Vec<AgentId>>,
}

impl Stage {
    /// Starts a supervisor with agents of these names, whose answers take `slow`.
    async fn start(names: &[&str], slow: Duration) -> Self {
        Self::start_with(names, Box::new(move |_| Arc::new(Slow(slow)))).await
    }

    async fn start_with(names: &[&str], make: MakeBehavior) -> Self {
        Self::start_all(names, make, MemoryJournals::default()).await
    }

    /// Starts one agent that answers at once, with a journal from before.
    async fn start_around(name: &str, journal: Arc<Memory>) -> Self {
        let make: MakeBehavior = Box::new(|_| Arc::new(Slow(Duration::ZERO)));
        Self::start_all(&[name], make, MemoryJournals::with(name.parse().unwrap(), journal)).await
    }

    async fn start_all(names: &[&str], make: MakeBehavior, journals: MemoryJournals) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let connector = Arc::new(Trouble::default());
        let journals = Arc::new(journals);
        let supervisor = Supervisor::new(connector.clone(), journals.clone(), make, Arc::default());
        let board = supervisor.board();
        let (orders, received) = mpsc::channel(4);
        let stop = Stop::new();
        let agents = names.iter().map(|name| {
            let spec = spec(name, folder.path());
            (spec.id.clone(), Wanted::Run(Box::new(spec)))
        });
        let wanted = Order::Wanted { agents: agents.collect(), touched: BTreeSet::new() };
        orders.send(wanted).await.unwrap();
        let mut set = JoinSet::new();
        task::spawn(&mut set, supervisor.run(received, stop.clone()));
        let ended = async move { set.join_next().await.unwrap().unwrap() };
        #[expect(clippy::disallowed_methods, reason = "the test owns this task and joins it")]
        let ended = tokio::spawn(ended);
        Self { folder, journals, connector, orders, stop, board, ended }
    }

    fn state(&self, name: &str) -> Option<AgentState> {
        let snapshot = self.board.snapshot();
        let found = snapshot.into_iter().find(|status| status.id.as_str() == name);
        found.map(|status| status.standing.state)
    }

    async fn wait_for(&self, name: &str, state: AgentState) {
        self.wait_until(|stage| stage.state(name) == Some(state)).await;
    }

    async fn wait_until(&self, reached: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !reached(self) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(3_600), waiting).await.unwrap();
    }

    fn journal(&self, name: &str) -> Arc<Memory> {
        self.journals.of(&name.parse().unwrap())
    }

    /// Waits until the work on the only message of an agent has ended.
    async fn outcome(&self, name: &str) -> Outcome {
        self.wait_until(|stage| stage.journal(name).outcome().is_some()).await;
        self.journal(name).outcome().unwrap()
    }

    async fn end(self) -> Vec<AgentId> {
        self.stop.ask();
        drop(self.orders);
        let cut_off = self.ended.await.unwrap();
        drop(self.folder);
        cut_off
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_a_hang_and_a_fault_leave_the_other_agents_running() {
    let stage = Stage::start(&["fails", "fine", "hangs", "panics"], Duration::ZERO).await;
    stage.wait_for("fine", AgentState::Running).await;
    stage.wait_for("fails", AgentState::Parked).await;
    stage.wait_for("panics", AgentState::Backoff).await;
    assert_eq!(stage.state("hangs"), Some(AgentState::Starting));
    // The one that hangs is cut off in the end, and tried again.
    stage.wait_for("hangs", AgentState::Backoff).await;
    assert_eq!(stage.state("fine"), Some(AgentState::Running));
    assert_eq!(stage.end().await, []);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_panicked_is_started_again() {
    let stage = Stage::start(&["panics"], Duration::ZERO).await;
    stage.wait_for("panics", AgentState::Backoff).await;
    stage.wait_until(|stage| stage.connector.connects.load(Ordering::Relaxed) >= 3).await;
    assert_eq!(stage.end().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_broke_is_closed_only_when_nobody_uses_it_any_more() {
    let stage = Stage::start(&["breaks"], Duration::ZERO).await;
    stage.wait_for("breaks", AgentState::Running).await;
    stage.wait_until(|stage| stage.connector.sending.load(Ordering::Relaxed) == 1).await;
    stage.wait_for("breaks", AgentState::Backoff).await;
    assert_eq!(stage.connector.sending.load(Ordering::Relaxed), 0);
    assert_eq!(stage.connector.closed_while_sending.load(Ordering::Relaxed), 0);
    assert_eq!(stage.end().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_the_answer_that_is_being_made() {
    let stage = Stage::start(&["talks"], Duration::from_secs(5)).await;
    stage.wait_for("talks", AgentState::Running).await;
    let board = stage.board.clone();
    assert_eq!(stage.end().await, []);
    assert_eq!(board.snapshot()[0].answered, 1);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_finish_in_time_is_cut_off_and_named() {
    let stage = Stage::start(&["fine", "talks"], Duration::from_secs(600)).await;
    stage.wait_for("talks", AgentState::Running).await;
    let asked = tokio::time::Instant::now();
    let cut_off = stage.end().await;
    assert_eq!(cut_off, ["talks".parse().unwrap()]);
    assert!(asked.elapsed() < Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_cuts_off_at_once() {
    let stage = Stage::start(&["talks"], Duration::from_secs(600)).await;
    stage.wait_for("talks", AgentState::Running).await;
    let asked = tokio::time::Instant::now();
    stage.stop.demand();
    assert_eq!(stage.end().await.len(), 1);
    assert!(asked.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_another_process_holds_parks_its_agent() {
    let stage = Stage::start(&["fine"], Duration::ZERO).await;
    stage.wait_for("fine", AgentState::Running).await;
    let other = spec("held", stage.folder.path());
    let _held = crate::locks::lock_folder(&other.data_folder()).unwrap();
    let fine = spec("fine", stage.folder.path());
    let agents = [fine, other].map(|spec| (spec.id.clone(), Wanted::Run(Box::new(spec))));
    let order = Order::Wanted { agents: agents.into(), touched: BTreeSet::new() };
    stage.orders.send(order).await.unwrap();
    stage.wait_for("held", AgentState::Parked).await;
    assert_eq!(stage.end().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_message_at_which_the_behavior_fails_is_tried_three_times_and_parked() {
    for bad in [|| Bad::Panics, || Bad::Fails, || Bad::Hangs] {
        let stage = Stage::start_with(&["talks"], Box::new(move |_| Arc::new(bad()))).await;
        assert_eq!(stage.outcome("talks").await, Outcome::GivenUp, "{:?}", bad());
        assert_eq!(stage.journal("talks").tries(), crate::answering::BEHAVIOR_FAILURES);
        assert_eq!(stage.state("talks"), Some(AgentState::Degraded), "the agent goes on");
        assert_eq!(stage.end().await, []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_ends_every_life_is_given_up_in_the_end() {
    let journal = Arc::new(Memory::default());
    journal.ingest(Intake { heard: vec![heard("$e")], ..Intake::default() }).await.unwrap();
    for _ in 0..crate::answering::BEHAVIOR_TRIES {
        // The process ends while the behavior is at work.
        journal.attempt(journal.number()).await.unwrap();
    }
    let stage = Stage::start_around("quiet", journal.clone()).await;
    assert_eq!(stage.outcome("quiet").await, Outcome::GivenUp);
    assert_eq!(stage.end().await, []);
}

#[tokio::test(start_paused = true)]
async fn what_was_cut_off_stays_in_the_journal_and_the_next_life_answers_it() {
    let stage = Stage::start(&["talks"], Duration::from_secs(600)).await;
    stage.wait_until(|stage| stage.journal("talks").tries() == 1).await;
    let journal = stage.journal("talks");
    assert_eq!(stage.end().await.len(), 1);
    assert_eq!((journal.outcome(), journal.is_clean()), (None, false));

    // The next one hears nothing new.
    let stage = Stage::start_around("quiet", journal.clone()).await;
    assert_eq!(stage.outcome("quiet").await, Outcome::Done);
    assert_eq!(journal.tries(), 2);
    assert_eq!(stage.end().await, []);
    assert!(journal.is_clean());
}

#[tokio::test(start_paused = true)]
async fn what_waits_to_be_answered_is_counted_up_and_down() {
    let journal = Arc::new(Memory::default());
    for event in ["$a", "$b", "$c"] {
        journal.ingest(Intake { heard: vec![heard(event)], ..Intake::default() }).await.unwrap();
    }
    let slow: MakeBehavior = Box::new(|_| Arc::new(Slow(Duration::from_secs(5))));
    let journals = MemoryJournals::with("quiet".parse().unwrap(), journal);
    let stage = Stage::start_all(&["quiet"], slow, journals).await;
    // They are of one room: one is worked on, and the others wait for it.
    for count in [3, 2, 1, 0] {
        let report = stage.board.report(&"quiet".parse().unwrap());
        stage.wait_until(|_| report.metrics().queued == count).await;
    }
    assert_eq!(stage.board.snapshot()[0].answered, 3);
    assert_eq!(stage.end().await, []);
}

#[tokio::test(start_paused = true)]
async fn answers_that_were_written_down_are_sent_and_not_made_again() {
    let journal = Arc::new(Memory::default());
    let message = heard("$asked").message;
    journal.ingest(Intake { heard: vec![heard("$asked")], ..Intake::default() }).await.unwrap();
    let answer = Answer {
        room: message.room,
        content: AnswerContent::Text("as promised".into()),
        reply: Some(Reply { event: message.event, asker: message.sender }),
        thread: None,
        transaction: "t".into(),
    };
    journal.keep_answers(journal.number(), &[answer], &[]).await.unwrap();
    let stage = Stage::start_around("quiet", journal.clone()).await;
    assert_eq!(stage.outcome("quiet").await, Outcome::Done);
    assert_eq!(journal.tries(), 0, "the behavior was not asked");
    assert_eq!(stage.board.snapshot()[0].answered, 1);
    assert_eq!(stage.end().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_reading_that_hangs_is_ended_named_and_tried_again() {
    let stage = Stage::start(&["deaf", "fine"], Duration::ZERO).await;
    stage.wait_for("deaf", AgentState::Running).await;
    stage.wait_for("deaf", AgentState::Backoff).await;
    let snapshot = stage.board.snapshot();
    assert!(snapshot[0].standing.reason.clone().unwrap().starts_with("stuck"));
    assert!(!stage.journal("deaf").is_clean(), "the reading was cut off");
    assert_eq!(stage.state("fine"), Some(AgentState::Running));
    stage.wait_until(|stage| stage.connector.connects.load(Ordering::Relaxed) >= 3).await;
    assert_eq!(stage.end().await, []);
}

#[tokio::test(start_paused = true)]
async fn a_send_that_hangs_is_shown_and_stopped_for() {
    let stage = Stage::start(&["stuck"], Duration::ZERO).await;
    stage.wait_for("stuck", AgentState::Degraded).await;
    let shown = stage.board.snapshot()[0].standing.clone();
    assert!(shown.reason.unwrap().starts_with("sending_fails"));
    let journal = stage.journal("stuck");
    stage.end().await;
    assert_eq!(journal.outcome(), None, "the answer waits for the next life");
}

#[tokio::test(start_paused = true)]
async fn a_held_agent_rests_and_goes_on_when_it_is_let_go() {
    let stage = Stage::start(&["calm", "other"], Duration::ZERO).await;
    stage.wait_for("calm", AgentState::Running).await;
    let agent: AgentId = "calm".parse().unwrap();
    let held = hold(&stage.orders, agent.clone()).await.unwrap();
    assert_eq!(held.spec().id, agent);
    assert_eq!(stage.state("calm"), Some(AgentState::Stopping));
    assert_eq!(stage.state("other"), Some(AgentState::Running));
    assert_eq!(hold(&stage.orders, agent.clone()).await.unwrap_err(), HoldError::Busy(agent));
    drop(held);
    stage.wait_for("calm", AgentState::Running).await;
    assert!(stage.end().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_was_told_to_end_serves_no_operator_any_more() {
    let stage = Stage::start(&["talks"], Duration::from_secs(30)).await;
    stage.wait_until(|stage| stage.journal("talks").tries() == 1).await;
    let agent: AgentId = "talks".parse().unwrap();
    let report = stage.board.report(&agent);
    let session = report.session().unwrap();
    let over = async {
        report.let_go(&session).await;
        assert!(report.session().is_none());
        assert_eq!(stage.journal("talks").outcome(), None, "the answer is still being made");
    };
    let (held, ()) = tokio::join!(hold(&stage.orders, agent), over);
    assert_eq!(stage.journal("talks").outcome(), Some(Outcome::Done));
    drop(held.unwrap());
    assert!(stage.end().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ended_in_a_panic_serves_no_operator_any_more() {
    let stage = Stage::start(&["bursts"], Duration::ZERO).await;
    stage.wait_for("bursts", AgentState::Running).await;
    let report = stage.board.report(&"bursts".parse().unwrap());
    let session = report.session().unwrap();
    stage.wait_for("bursts", AgentState::Backoff).await;
    report.let_go(&session).await;
    assert!(report.session().is_none());
    assert_eq!(stage.end().await, []);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_an_agent_that_goes_another_way_is_told() {
    for (stops, told) in
        [(false, HoldError::Unknown("hangs".parse().unwrap())), (true, HoldError::Stopping)]
    {
        let stage = Stage::start(&["hangs"], Duration::ZERO).await;
        stage.wait_for("hangs", AgentState::Starting).await;
        let held = hold(&stage.orders, "hangs".parse().unwrap());
        let goes = async {
            stage.wait_for("hangs", AgentState::Stopping).await;
            if stops {
                stage.stop.ask();
            } else {
                let (agents, touched) = (BTreeMap::new(), BTreeSet::new());
                stage.orders.send(Order::Wanted { agents, touched }).await.unwrap();
            }
        };
        let (held, ()) = tokio::join!(held, goes);
        assert_eq!(held.unwrap_err(), told);
        assert!(stage.end().await.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn the_loop_beats_when_the_first_orders_were_carried_out_and_until_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let journals = Arc::new(MemoryJournals::default());
    let make: MakeBehavior = Box::new(|_| Arc::new(Slow(Duration::ZERO)));
    let supervisor = Supervisor::new(Arc::new(Trouble::default()), journals, make, Arc::default());
    let (beats, mut beaten) = mpsc::unbounded_channel();
    let board = supervisor.board();
    let beat = Box::new(move || beats.send(board.snapshot().len()).unwrap());
    let supervisor = supervisor.with_pulse(Duration::from_secs(10), beat);
    let (orders, received) = mpsc::channel(4);
    let spec = spec("stuck", folder.path());
    let agents = BTreeMap::from([(spec.id.clone(), Wanted::Run(Box::new(spec)))]);
    orders.send(Order::Wanted { agents, touched: BTreeSet::new() }).await.unwrap();
    let stop = Stop::new();
    let mut set = JoinSet::new();
    task::spawn(&mut set, supervisor.run(received, stop.clone()));
    let begun = tokio::time::Instant::now();
    for _ in 0..3 {
        assert_eq!(beaten.recv().await, Some(1));
    }
    assert_eq!(begun.elapsed(), Duration::from_secs(20));
    stop.ask();
    set.join_next().await.unwrap().unwrap();
    assert_eq!(beaten.recv().await, None);
}
