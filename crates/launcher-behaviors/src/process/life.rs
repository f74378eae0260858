//! One run of a robot: from its start to its end, for whatever reason.

use std::{
    collections::BTreeMap,
    path::Path,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use launcher_core::spec::ProcessSpec;
use launcher_runtime::ports::Initiative;
use tokio::{
    io::AsyncWriteExt,
    net::unix::pipe::Sender,
    sync::{mpsc, watch},
    time::{sleep, timeout},
};

use super::{
    errors,
    protocol::{FromRobot, LONGEST_LINE, ToRobot},
    reading::Reader,
};
use crate::child::{self, Lines, Plan, Streams};

/// How long a robot has to say that it is ready.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How often a robot without work is asked whether it is alive, and how long it
/// has to answer.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// How long a line may take until the robot has read it. A pipe holds 64 KiB,
/// so this is met by one that reads nothing at all.
const WRITING: Duration = Duration::from_secs(30);

/// What is still read when a robot has ended.
const REST: Duration = Duration::from_millis(500);

/// How long a robot has to end by itself when its input is closed.
const GRACE: Duration = Duration::from_secs(2);

/// Lines that wait for the robot, and lines of the robot that wait for whoever
/// works on an event.
const WAITING: usize = 64;

/// A robot that is running.
pub(super) struct Life {
    to_robot: mpsc::Sender<String>,
    /// Who works on which event; `None` when the robot has ended.
    desks: Mutex<Option<BTreeMap<String, mpsc::Sender<FromRobot>>>>,
    /// Why it is to end.
    end: watch::Sender<Option<String>>,
    /// The last ping that was answered.
    pub(super) answered: AtomicU64,
}

impl Life {
    fn new() -> (Self, mpsc::Receiver<String>) {
        let (to_robot, lines) = mpsc::channel(WAITING);
        let life = Self {
            to_robot,
            desks: Mutex::new(Some(BTreeMap::new())),
            end: watch::Sender::new(None),
            answered: AtomicU64::new(0),
        };
        (life, lines)
    }

    fn desks(&self) -> MutexGuard<'_, Option<BTreeMap<String, mpsc::Sender<FromRobot>>>> {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line. `false`: the robot has ended.
    pub(super) async fn tell(&self, what: &ToRobot) -> bool {
        // These types have no maps and no fallible parts.
        let line = serde_json::to_string(what).unwrap_or_default();
        self.to_robot.send(line).await.is_ok()
    }

    /// Lets it end.
    pub(super) fn end(&self, why: &str) {
        self.end.send_replace(Some(why.to_owned()));
    }

    /// Who works on an event.
    pub(super) fn desk(&self, id: &str) -> Option<mpsc::Sender<FromRobot>> {
        self.desks().as_ref()?.get(id).cloned()
    }

    fn is_idle(&self) -> bool {
        self.desks().as_ref().is_none_or(BTreeMap::is_empty)
    }

    /// Ends all work: there will be no more answers.
    fn close(&self) {
        *self.desks() = None;
    }
}

/// The work on one event. Dropping it ends that.
pub(super) struct Desk {
    life: Arc<Life>,
    id: String,
    said: mpsc::Receiver<FromRobot>,
}

impl Desk {
    /// Begins to work on an event.
    pub(super) fn open(life: &Arc<Life>, id: &str) -> Self {
        let (sender, said) = mpsc::channel(WAITING);
        if let Some(desks) = life.desks().as_mut() {
            desks.insert(id.to_owned(), sender);
        }
        Self { life: life.clone(), id: id.to_owned(), said }
    }

    /// What the robot says about it; `None`: it has ended.
    pub(super) async fn next(&mut self) -> Option<FromRobot> {
        self.said.recv().await
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if let Some(desks) = self.life.desks().as_mut() {
            desks.remove(&self.id);
        }
    }
}

/// Runs the program once, and says why it ended.
///
/// # Cancel safety
///
/// When this is dropped, the program's input is closed, and it is ended if it
/// does not end by itself soon.
pub(super) async fn live(
    spec: &ProcessSpec,
    folder: &Path,
    hello: &ToRobot,
    published: &watch::Sender<Option<Arc<Life>>>,
    initiative: Arc<dyn Initiative>,
) -> String {
    let plan = Plan {
        run: &spec.run,
        folder,
        variables: &spec.variables,
        limits: &spec.limits,
        streams: Streams::Piped,
        grace: GRACE,
    };
    let mut child = match child::start(plan).await {
        Ok(child) => child,
        Err(error) => return format!("the program could not be started: {error}"),
    };
    let streams = (child.input.take(), child.output.take(), child.errors.take());
    let (Some(input), Some(output), Some(errors)) = streams else {
        return "the program has no pipes".to_owned();
    };
    let (life, lines) = Life::new();
    let life = Arc::new(life);
    life.tell(hello).await;
    let published = Published { life: life.clone(), place: published };
    let mut ends = life.end.subscribe();

    let why = {
        let reader = Reader::new(&published, initiative);
        let mut reading = pin!(reader.read(Lines::new(output, LONGEST_LINE)));
        let wanted = async {
            let why = ends.wait_for(Option::is_some).await;
            why.ok().and_then(|why| why.clone()).unwrap_or_default()
        };
        tokio::select! {
            biased;
            why = wanted => why,
            why = &mut reading => why,
            why = write(input, lines) => why,
            why = beat(&published) => why,
            () = errors::log(errors) => "the program closed its outputs".to_owned(),
            ending = child.wait() => {
                // What it said last still counts.
                drop(timeout(REST, &mut reading).await);
                format!("the program ended: {ending}")
            }
        }
    };
    drop(published);
    child.kill().await;
    why
}

/// A robot and the place where those who need one find it, once it is ready.
pub(super) struct Published<'a> {
    pub(super) life: Arc<Life>,
    place: &'a watch::Sender<Option<Arc<Life>>>,
}

impl Published<'_> {
    pub(super) fn publish(&self) {
        self.place.send_replace(Some(self.life.clone()));
    }

    pub(super) fn is_ready(&self) -> bool {
        self.place.borrow().as_ref().is_some_and(|life| Arc::ptr_eq(life, &self.life))
    }
}

impl Drop for Published<'_> {
    fn drop(&mut self) {
        self.place.send_replace(None);
        self.life.close();
    }
}

async fn write(mut input: Sender, mut lines: mpsc::Receiver<String>) -> String {
    while let Some(mut line) = lines.recv().await {
        line.push('\n');
        match timeout(WRITING, input.write_all(line.as_bytes())).await {
            Ok(Ok(())) => {}
            // How it ended says more than that it does not read.
            Ok(Err(_)) => std::future::pending().await,
            Err(_) => return "the program does not read its input".to_owned(),
        }
    }
    // Whoever has the other end has the life, which is longer than this.
    std::future::pending().await
}

/// Waits until the robot does not answer any more.
async fn beat(published: &Published<'_>) -> String {
    let life = &published.life;
    sleep(HANDSHAKE).await;
    if !published.is_ready() {
        let limit = HANDSHAKE.as_secs();
        return format!("the program did not say `ready` within {limit} s");
    }
    for n in 1.. {
        sleep(HEARTBEAT).await;
        // A robot that works on an event may be slow to answer, and has its
        // limit for that.
        if life.is_idle() {
            life.tell(&ToRobot::Ping { n }).await;
            sleep(HEARTBEAT).await;
            if life.answered.load(Ordering::Relaxed) < n && life.is_idle() {
                return "the program does not answer `ping`".to_owned();
            }
        }
    }
    std::future::pending().await
}
