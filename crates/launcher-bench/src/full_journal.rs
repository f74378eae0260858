//! How long an agent takes to come up: with a journal full of messages that
//! were answered, against the same agent with an empty one.

use std::{
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use launcher_core::{
    conversation::{Message, MessageKind},
    fault::Fault,
    names::{EventId, RoomId, UserId},
    secret::Secret,
};
use launcher_journal::SqliteJournal;
use launcher_runtime::{
    ports::journal::{Heard, Intake, Journal, Number, Outcome},
    stamp,
};

use crate::{
    error::BenchError,
    folder::Folder,
    program::{Binaries, Program},
    progress::{say, step},
    stage::Stage,
};

/// Messages in the full journal.
pub(crate) const MESSAGES: usize = 10_000;

/// Starts of each agent; odd, so that there is one in the middle.
const STARTS: usize = 9;

/// How long one start may take.
const LIMIT: Duration = Duration::from_secs(60);

/// How often the log is looked at; a start takes some hundred milliseconds.
const POLL: Duration = Duration::from_millis(2);

/// The time from the start of the process until its agent is ready, medians.
#[derive(Debug)]
pub(crate) struct Starts {
    pub(crate) empty: Duration,
    pub(crate) full: Duration,
}

impl Starts {
    /// Measures both, in turns.
    pub(crate) fn measure(
        stage: &Stage,
        folder: &Folder,
        binaries: &Binaries,
    ) -> Result<Self, BenchError> {
        say(format!("launcher, starts with {MESSAGES} messages in the journal"));
        let agents =
            ["empty", "full"].map(|name| (name, stage.register(&format!("{name}-journal"))));
        let mut places = Vec::new();
        for (name, user) in agents {
            let place = folder.make(&format!("{name}-journal"))?;
            let users = [user?];
            start(stage, binaries, &place, &users)?;
            places.push((place, users));
        }
        step("filling one journal", || fill(&places[1].0.join("agents/bot-1/data/journal.db")))?;
        let mut times: [Vec<Duration>; 2] = Default::default();
        step("starting both in turns", || {
            for _ in 0..STARTS {
                for (times, (place, users)) in times.iter_mut().zip(&places) {
                    times.push(start(stage, binaries, place, users)?);
                }
            }
            Ok(())
        })?;
        let [empty, full] = times.map(|mut times| {
            times.sort_unstable();
            times[times.len() / 2]
        });
        Ok(Self { empty, full })
    }

    pub(crate) fn ratio(&self) -> f64 {
        self.full.as_secs_f64() / self.empty.as_secs_f64()
    }
}

/// Starts the launcher, and stops it when its agent is ready. Returns how long that took.
fn start(
    stage: &Stage,
    binaries: &Binaries,
    place: &Path,
    users: &[String],
) -> Result<Duration, BenchError> {
    let mut running = Program::Launcher.start(binaries, stage, place, users)?;
    let started = Instant::now();
    loop {
        running.demand_running()?;
        if Program::Launcher.ready(&running.log_text()?) == 1 {
            break;
        }
        if started.elapsed() > LIMIT {
            let log = running.log().to_path_buf();
            return Err(BenchError::NotReady { ready: 0, agents: 1, waited: LIMIT, log });
        }
        thread::sleep(POLL);
    }
    let took = started.elapsed();
    running.stop()?;
    Ok(took)
}

/// Puts messages into a journal and settles them, as an agent would have.
fn fill(path: &Path) -> Result<(), BenchError> {
    let mut key = [0; 32];
    // The key of the first bot of a folder.
    key[31] = 1;
    let day = Duration::from_secs(86_400);
    let journal = SqliteJournal::new(path.to_path_buf(), &Secret::new(key), day, Arc::new(stamp));
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(BenchError::files)?;
    let filled: Result<(), Fault> = runtime.block_on(async {
        journal.begin().await?;
        for part in 0..MESSAGES / 100 {
            let heard = (0..100).map(|number| heard(part * 100 + number)).collect();
            journal.ingest(Intake { heard, ..Intake::default() }).await?;
        }
        for place in journal.waiting(Number::default(), MESSAGES).await? {
            journal.settle(place.number, Outcome::Done).await?;
        }
        journal.end().await
    });
    filled.map_err(|fault| BenchError::Journal { fault })
}

fn heard(number: usize) -> Heard {
    let message = Message {
        room: RoomId::new(format!("!room{}:localhost", number % 20)),
        // As long as a real one.
        event: EventId::new(format!("${number:043}")),
        sender: UserId::new("@somebody:localhost"),
        kind: MessageKind::Text,
        body: format!("question {number}"),
        parts: Vec::new(),
        age: Duration::ZERO,
        automated: false,
        thread: None,
        in_reply_to: None,
        target: None,
        mentions: Vec::new(),
        direct: false,
        media: None,
        assurance: launcher_core::trust::Assurance::Signed,
    };
    Heard { message, ciphertext: None, wanted: true, verdict: None }
}
