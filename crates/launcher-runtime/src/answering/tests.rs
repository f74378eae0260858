//! What a behavior can do, with a room that takes what is sent and lives that
//! are cut off. Time is tokio's.

use std::{
    collections::VecDeque,
    path::Path,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use launcher_core::{
    conversation::{Conversations, Message, MessageKind},
    fault::Fault,
    fleet::Degradation,
    help::Word,
    names::{EventId, RoomId, UserId},
    spec::{AgentSpec, QuietHours, Rate, Requirement, SettingsPolicy},
};

mod order;
mod questions;

use super::*;
use crate::{
    fakes::{self, Memory as Journaled},
    initiative::Tasks,
    ports::{
        Action, Answer, Answered, Arrivals, BehaviorFault, Initiative, Memory, Question, Response,
        SendFault, Stage, Task, ToDo,
        journal::{Heard, Intake},
    },
};

/// A room on a server: an event for each transaction.
#[derive(Default)]
struct Room {
    events: Mutex<Vec<(Answer, EventId)>>,
    /// Sends of these transactions arrive, and their answers do not.
    cuts: Mutex<Vec<String>>,
    /// Nothing arrives.
    down: AtomicBool,
}

impl Room {
    /// What people see: texts with their edits, in order.
    fn seen(&self) -> Vec<String> {
        let mut seen: Vec<(EventId, String)> = Vec::new();
        for (answer, event) in self.events.lock().unwrap().iter() {
            match &answer.content {
                AnswerContent::Text(text) => seen.push((event.clone(), text.clone())),
                AnswerContent::Edit { event, text } => {
                    let edited = seen.iter_mut().find(|(known, _)| known == event).unwrap();
                    edited.1.clone_from(text);
                }
                AnswerContent::Redaction { event } => seen.retain(|(known, _)| known != event),
                other => seen.push((event.clone(), format!("{other:?}"))),
            }
        }
        seen.into_iter().map(|(_, text)| text).collect()
    }

    fn event(&self, text: &str) -> EventId {
        let events = self.events.lock().unwrap();
        let found = events.iter().find(|(answer, _)| answer.content.text().starts_with(text));
        found.unwrap().1.clone()
    }

    async fn until(&self, what: impl Fn(&[String]) -> bool) {
        for _ in 0..10_000 {
            if what(&self.seen()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("it did not come: {:?}", self.seen());
    }
}

#[async_trait]
impl Session for Room {
    fn own(&self) -> UserId {
        UserId::new("@echo:hs")
    }

    async fn wait(&self) -> Result<(), Fault> {
        std::future::pending().await
    }

    async fn read(&self) -> Result<Arrivals, Fault> {
        std::future::pending().await
    }

    async fn send(&self, answer: &Answer) -> Result<EventId, SendFault> {
        if self.down.load(Ordering::Relaxed) {
            return Err(SendFault::Passing { detail: "502".into(), retry_after: None });
        }
        if matches!(&answer.content, AnswerContent::File(file) if file.name == "too-large") {
            return Err(SendFault::Refused { detail: "413".into() });
        }
        let event = {
            let mut events = self.events.lock().unwrap();
            let known = events.iter().find(|(sent, _)| sent.transaction == answer.transaction);
            match known.map(|(_, event)| event.clone()) {
                Some(event) => event,
                None => {
                    let event = EventId::new(format!("$sent-{}", events.len()));
                    events.push((answer.clone(), event.clone()));
                    event
                }
            }
        };
        let is_cut = {
            let mut cuts = self.cuts.lock().unwrap();
            let found = cuts.iter().position(|cut| answer.transaction.starts_with(cut));
            found.map(|at| cuts.remove(at)).is_some()
        };
        if is_cut {
            std::future::pending::<()>().await;
        }
        Ok(event)
    }

    async fn send_notice(&self, _notice: &Notice) -> Result<EventId, SendFault> {
        Ok(EventId::new("$notice"))
    }

    fn parts(&self, text: &str) -> Vec<String> {
        text.split("<part>").map(str::to_owned).collect()
    }

    async fn close(&self) {}
}

type Work<'a> = Pin<Box<dyn Future<Output = Result<Option<Response>, BehaviorFault>> + Send + 'a>>;

/// One answer of a behavior.
type Act = Box<dyn for<'a> Fn(&'a Message, &'a dyn Stage) -> Work<'a> + Send + Sync>;

/// Does one thing after the other, each for one asking; the last one for all others.
struct Acts {
    acts: Mutex<VecDeque<Arc<Act>>>,
    asked: AtomicU32,
    /// Which of its events answers which message, as it was told.
    said: Mutex<Vec<(EventId, EventId)>>,
}

impl std::fmt::Debug for Acts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Acts")
    }
}

#[async_trait]
impl Behavior for Acts {
    async fn on_message(
        &self,
        message: &Message,
        stage: &dyn Stage,
    ) -> Result<Option<Response>, BehaviorFault> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let act = {
            let mut acts = self.acts.lock().unwrap();
            if acts.len() > 1 { acts.pop_front().unwrap() } else { acts[0].clone() }
        };
        act(message, stage).await
    }

    async fn said(
        &self,
        message: &Message,
        event: &EventId,
        memories: &dyn Memories,
    ) -> Result<(), BehaviorFault> {
        self.said.lock().unwrap().push((message.event.clone(), event.clone()));
        let memory = Memory { key: "acts/said".into(), value: Some(b"yes".to_vec()) };
        memories.remember(vec![memory]).await
    }

    fn commands(&self, _message: Option<&Message>) -> Vec<Word> {
        let name = "!go".to_owned();
        vec![Word { name, arguments: String::new(), about: "goes".to_owned() }]
    }
}

/// An agent whose lives end when they are dropped.
struct World {
    spec: AgentSpec,
    room: Arc<Room>,
    journal: Arc<Journaled>,
    behavior: Arc<Acts>,
}

impl World {
    fn new(acts: Vec<Act>) -> Self {
        let acts = acts.into_iter().map(Arc::new).collect();
        Self {
            spec: fakes::spec("a", Path::new("/agents")),
            room: Arc::default(),
            journal: Arc::default(),
            behavior: Arc::new(Acts {
                acts: Mutex::new(acts),
                asked: AtomicU32::new(0),
                said: Mutex::default(),
            }),
        }
    }

    async fn crew(&self) -> Crew {
        let talk = Conversations::new(Duration::from_secs(3_600), &self.spec.answer.bots);
        Crew {
            own: UserId::new(self.spec.account.user_id.clone()),
            spec: self.spec.clone(),
            session: self.room.clone(),
            behavior: self.behavior.clone(),
            journal: self.journal.clone(),
            report: Arc::default(),
            stop: Stop::new(),
            conversations: Mutex::new(talk),
            rates: Mutex::default(),
            settings: RoomSettings::load(&*self.journal).await.unwrap(),
            questions: Questions::new(self.journal.questions().await.unwrap()),
            deferred: Deferred::default(),
            clock: Clock::start(),
            places: Semaphore::new(ROOMS_AT_ONCE),
            failing: AtomicUsize::new(0),
        }
    }

    async fn hear(&self, message: Message) -> Number {
        let event = message.event.clone();
        let heard = Heard { message, ciphertext: None, wanted: true, verdict: None };
        let intake = Intake { heard: vec![heard], ..Intake::default() };
        self.journal.ingest(intake).await.unwrap();
        let all = self.journal.waiting(Number(0), 100).await.unwrap();
        for place in all {
            let queued = self.journal.queued(place.number).await.unwrap().unwrap();
            if queued.message.event == event {
                return place.number;
            }
        }
        panic!("it is not in the journal")
    }

    /// A life in which everything that waits is answered.
    async fn live(&self) {
        let crew = self.crew().await;
        for place in self.journal.waiting(Number(0), 100).await.unwrap() {
            answer(&crew, place.number).await.unwrap();
        }
    }

    /// A life that is cut off when something has happened.
    async fn cut_when(&self, happened: impl Future<Output = ()>) {
        tokio::select! {
            () = self.live() => panic!("it was finished"),
            () = happened => {}
        }
    }

    fn asked(&self) -> u32 {
        self.behavior.asked.load(Ordering::Relaxed)
    }
}

fn said(event: &str, body: &str) -> Message {
    let (room, sender) = (RoomId::new("!r:hs"), UserId::new("@alice:hs"));
    Message::text(room, EventId::new(event), sender, body)
}

fn act<F>(act: F) -> Act
where
    F: for<'a> Fn(&'a Message, &'a dyn Stage) -> Work<'a> + Send + Sync + 'static,
{
    Box::new(act)
}

fn say(text: &'static str) -> Act {
    act(move |_, _| Box::pin(async move { Ok(Some(Response::say(text))) }))
}

fn repeat() -> Act {
    act(|message, _| Box::pin(async { Ok(Some(Response::say(message.body.clone()))) }))
}

/// Drafts for a while, then says something.
fn drafts(text: &'static str, seconds: u64, last: &'static str) -> Act {
    act(move |_, stage| {
        Box::pin(async move {
            stage.draft(text);
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok(Some(Response::say(last)))
        })
    })
}

#[tokio::test(start_paused = true)]
async fn a_draft_becomes_the_answer() {
    let world = World::new(vec![drafts("so far", 30, "all of it")]);
    world.hear(said("$q", "go")).await;
    let life = world.live();
    let shown = world.room.until(|seen| seen == ["so far\n\n…"]);
    tokio::join!(life, shown);
    assert_eq!(world.room.seen(), ["all of it"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_quick_is_sent_once_and_without_a_draft() {
    let world = World::new(vec![drafts("so far", 0, "all of it")]);
    world.hear(said("$q", "go")).await;
    world.live().await;
    assert_eq!(world.room.events.lock().unwrap().len(), 1);
    assert_eq!(world.room.seen(), ["all of it"]);
}

#[tokio::test(start_paused = true)]
async fn another_life_goes_on_in_the_same_event() {
    let world = World::new(vec![drafts("so far", 1_000, "never"), say("all of it<part>and more")]);
    world.hear(said("$q", "go")).await;
    world.cut_when(world.room.until(|seen| seen.len() == 1)).await;
    world.live().await;
    assert_eq!(world.room.seen(), ["all of it", "and more"]);
}

#[tokio::test(start_paused = true)]
async fn a_draft_that_nobody_knows_arrived_is_found_again() {
    let world = World::new(vec![drafts("so far", 1_000, "never"), say("all of it")]);
    world.room.cuts.lock().unwrap().push("draft-0".into());
    world.hear(said("$q", "go")).await;
    world.cut_when(world.room.until(|seen| seen.len() == 1)).await;
    world.live().await;
    assert_eq!(world.room.seen(), ["all of it"]);
}

#[tokio::test(start_paused = true)]
async fn a_draft_is_taken_back_if_nothing_is_said_after_all() {
    let nothing = act(|_, stage| {
        Box::pin(async {
            stage.draft("so far");
            tokio::time::sleep(Duration::from_secs(10)).await;
            Ok(None)
        })
    });
    let world = World::new(vec![nothing]);
    world.hear(said("$q", "go")).await;
    let life = world.live();
    tokio::join!(life, world.room.until(|seen| seen.len() == 1));
    assert_eq!(world.room.seen(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_cannot_be_finished_says_so() {
    let fails = act(|_, stage| {
        Box::pin(async {
            stage.draft("so far");
            tokio::time::sleep(Duration::from_secs(10)).await;
            Err(BehaviorFault::new("on purpose"))
        })
    });
    let world = World::new(vec![fails]);
    world.hear(said("$q", "go")).await;
    world.live().await;
    let seen = world.room.seen();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].starts_with("I could not finish this answer"), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn drafts_are_few() {
    let busy = act(|_, stage| {
        Box::pin(async {
            for number in 0..600 {
                stage.draft(&format!("{number}"));
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
            Ok(Some(Response::say("all of it")))
        })
    });
    let world = World::new(vec![busy]);
    world.hear(said("$q", "go")).await;
    world.live().await;
    assert_eq!(world.room.seen(), ["all of it"]);
    let sent = world.room.events.lock().unwrap().len();
    assert!((8..=13).contains(&sent), "{sent}");
}

#[tokio::test(start_paused = true)]
async fn what_was_noted_is_there_for_the_next_attempt() {
    let first = act(|_, stage| {
        Box::pin(async {
            stage.note(b"half".to_vec()).await?;
            stage.draft("noted");
            std::future::pending().await
        })
    });
    let second = act(|_, stage| {
        Box::pin(async {
            let noted = String::from_utf8(stage.noted().unwrap()).unwrap();
            Ok(Some(Response::say(format!("{noted} at attempt {}", stage.attempt()))))
        })
    });
    let world = World::new(vec![first, second]);
    world.hear(said("$q", "go")).await;
    world.cut_when(world.room.until(|seen| seen.len() == 1)).await;
    world.live().await;
    assert_eq!(world.room.seen(), ["half at attempt 2"]);
}

#[tokio::test(start_paused = true)]
async fn memories_are_kept_with_the_answer() {
    let remembers = act(|_, stage| {
        Box::pin(async {
            let before = stage.recall("x/count").await?.unwrap_or_default();
            let value = Some([before, b"i".to_vec()].concat());
            let memories = vec![Memory { key: "x/count".into(), value }];
            Ok(Some(Response { memories, ..Response::say("noted") }))
        })
    });
    let world = World::new(vec![remembers]);
    world.hear(said("$1", "go")).await;
    world.hear(said("$2", "go")).await;
    world.live().await;
    assert_eq!(world.journal.recall("x/count").await.unwrap().unwrap(), b"ii");
}

#[tokio::test(start_paused = true)]
async fn what_somebody_says_in_one_go_is_answered_in_one_go() {
    let mut world = World::new(vec![repeat()]);
    world.spec.answer.debounce = Duration::from_secs(2);
    world.hear(said("$1", "one")).await;
    world.hear(said("$2", "two")).await;
    world.hear(Message { sender: UserId::new("@bob:hs"), ..said("$3", "three") }).await;
    world.live().await;
    assert_eq!(world.room.seen(), ["one\ntwo", "three"]);
    assert_eq!(world.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_asks_too_often_is_told_once() {
    let mut world = World::new(vec![repeat()]);
    world.spec.answer.per_user = Some(Rate { count: 2, per: Duration::from_secs(60) });
    for event in ["$1", "$2", "$3", "$4"] {
        world.hear(said(event, "hello")).await;
    }
    world.live().await;
    let seen = world.room.seen();
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(seen[2].starts_with("That is more than I may answer"), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn in_quiet_hours_only_commands_are_answered_at_once() {
    let mut world = World::new(vec![repeat()]);
    let later = QuietHours { from: 0, to: 1_439, timezone: "UTC".into(), answer_later: true };
    // The minute before midnight is not quiet; the clock of the machine decides.
    let never = QuietHours { answer_later: false, ..later.clone() };
    world.spec.answer.quiet_hours = Some(later);
    let number = world.hear(said("$1", "hello")).await;
    world.hear(said("$2", "!go now")).await;
    let crew = world.crew().await;
    if crate::quiet::left(&never, jiff::Timestamp::now()).is_none() {
        return;
    }
    answer(&crew, number).await.unwrap();
    assert_eq!(world.room.seen(), Vec::<String>::new());
    assert_eq!(crew.deferred.next().await.number, number);
    world.spec.answer.quiet_hours = Some(never);
    world.live().await;
    assert_eq!(world.room.seen(), ["!go now"]);
    assert_eq!(world.journal.waiting(Number(0), 9).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn what_is_set_in_a_room_holds_in_later_lives() {
    let mut world = World::new(vec![repeat()]);
    let users = vec!["@alice:hs".to_owned()];
    world.spec.settings = SettingsPolicy { users, require: Requirement::Trusted };
    world.hear(said("$1", "!set when mentioned")).await;
    world.live().await;
    world.hear(said("$2", "hello")).await;
    world.hear(said("$3", "!config")).await;
    world.live().await;
    let seen = world.room.seen();
    assert_eq!(seen[0], "`when` is set for this room.");
    assert!(seen[1].contains("- `when`: `mentioned` (set here)"), "{seen:?}");
    world.hear(said("$4", "!set quiet_hours 22:00-07:00 Mars/Olympus")).await;
    world.hear(said("$5", "!set when default")).await;
    world.hear(said("$6", "hello again")).await;
    world.live().await;
    let seen = world.room.seen();
    assert!(seen[2].contains("I do not know this time zone"), "{seen:?}");
    assert_eq!(seen[3..], ["`when` is as everywhere again.", "hello again"]);
}

#[tokio::test(start_paused = true)]
async fn help_lists_the_words_and_an_unknown_one_is_told_apart() {
    let world = World::new(vec![repeat()]);
    world.hear(said("$1", "!help")).await;
    world.hear(said("$2", "!gone")).await;
    world.live().await;
    let seen = world.room.seen();
    assert_eq!(seen[0], "I know:\n\n- `!go`: goes");
    assert!(seen[1].starts_with("I do not know this command"), "{seen:?}");
    assert_eq!(world.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_the_server_refuses_is_told() {
    let file = act(|_, _| {
        Box::pin(async {
            let file = crate::ports::outbox::Attachment {
                name: "too-large".into(),
                content_type: "text/plain".into(),
                bytes: vec![1],
                caption: None,
                voice: false,
            };
            Ok(Some(Response { actions: vec![Action::File(file)], memories: Vec::new() }))
        })
    });
    let world = World::new(vec![file]);
    world.hear(said("$q", "go")).await;
    world.live().await;
    assert_eq!(world.room.seen(), ["I could not send `too-large`: the server does not take it."]);
}

#[tokio::test]
async fn operators_see_that_the_program_of_a_behavior_is_not_there() {
    let world = World::new(vec![repeat()]);
    let report = Arc::new(Report::default());
    let tasks = Tasks {
        own: UserId::new("@a:hs"),
        session: world.room.clone(),
        journal: world.journal.clone(),
        report: report.clone(),
        begun: Arc::default(),
    };
    let missing = Degradation { reason: "robot_missing: x".into(), action: "y".into() };
    tasks.set_degraded(Some(missing.clone()));
    assert!(missing.is_silencing());
    assert_eq!(report.degradations().borrow().values().next(), Some(&missing));
    tasks.set_degraded(None);
    assert!(report.degradations().borrow().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_task_is_done_once_under_its_name() {
    let world = World::new(vec![repeat()]);
    let tasks = Tasks {
        own: UserId::new("@a:hs"),
        session: world.room.clone(),
        journal: world.journal.clone(),
        report: Arc::default(),
        begun: Arc::default(),
    };
    let task = |id: &str, what| Task { id: id.into(), room: RoomId::new("!r:hs"), what };
    let act = ToDo::Act(vec![Action::Say { text: "good morning".into() }]);
    let ask = ToDo::Answer("what day is it?".into());
    for _ in 0..2 {
        tasks.begin(task("1", act.clone()), Vec::new()).await.unwrap();
        tasks.begin(task("2", ask.clone()), Vec::new()).await.unwrap();
        world.live().await;
    }
    assert_eq!(world.room.seen(), ["good morning", "what day is it?"]);
    assert!(world.room.events.lock().unwrap().iter().all(|(answer, _)| answer.reply.is_none()));
    assert_eq!(world.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_edit_is_nobodys_word() {
    let world = World::new(vec![repeat()]);
    let target = Some(EventId::new("$x"));
    let reaction = Message { kind: MessageKind::Edit, target, ..said("$1", "!help") };
    world.hear(reaction).await;
    world.live().await;
    // It is for the behavior, and is no command.
    assert_eq!(world.room.seen(), ["!help"]);
}

#[tokio::test(start_paused = true)]
async fn a_reaction_reaches_nobody_who_does_not_listen() {
    let world = World::new(vec![repeat()]);
    world.hear(Message { kind: MessageKind::Reaction, ..said("$q", "👍") }).await;
    world.live().await;
    assert_eq!(world.asked(), 0);
    assert_eq!(world.journal.outcome(), Some(Outcome::Skipped));
}

#[tokio::test(start_paused = true)]
async fn a_behavior_is_told_which_events_are_its_answers() {
    let world = World::new(vec![drafts("so far", 30, "one<part>two<part>three")]);
    // The server has the last one, and nobody knows when this life ends.
    world.room.cuts.lock().unwrap().push("answer-2".into());
    world.hear(said("$q", "go")).await;
    world.cut_when(world.room.until(|seen| seen.len() == 3)).await;
    world.live().await;
    assert_eq!(world.room.seen(), ["one", "two", "three"]);
    let told = world.behavior.said.lock().unwrap().clone();
    let shown = ["so far", "two", "three"];
    let events = shown.map(|text| (EventId::new("$q"), world.room.event(text)));
    assert_eq!(told, events);
    assert_eq!(world.journal.recall("acts/said").await.unwrap(), Some(b"yes".to_vec()));
}
