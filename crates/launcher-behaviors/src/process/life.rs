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
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    time::{sleep, timeout},
};

use super::{
    errors,
    presence::Presence,
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
/// works on an event. When there are so many, who has another one waits.
const WAITING: usize = 64;

/// The bytes of all lines of the robot that wait. Those for the robot are short,
/// but for those with a file, of which there is one at a time.
const MOST_WAITING: u32 = 4 * 1024 * 1024;

/// A robot that is running.
pub(super) struct Life {
    to_robot: mpsc::Sender<ForRobot>,
    /// Who works on which event; `None` when the robot has ended.
    desks: Mutex<Option<BTreeMap<String, mpsc::Sender<Said>>>>,
    /// Room for what the robot has said and nobody has taken.
    room: Arc<Semaphore>,
    /// Whose file is on its way to the robot.
    turns: Arc<Semaphore>,
    /// Why it is to end.
    end: watch::Sender<Option<String>>,
    /// The last ping that was answered.
    pub(super) answered: AtomicU64,
}

/// A line for the robot.
pub(super) struct ForRobot {
    text: Vec<u8>,
    /// Given back when it is written.
    _turn: Option<OwnedSemaphorePermit>,
}

/// Something that the robot has said about an event, and how many bytes it was.
struct Said {
    what: FromRobot,
    size: usize,
    /// Given back when it is taken.
    _room: OwnedSemaphorePermit,
}

impl Life {
    pub(super) fn new() -> (Self, mpsc::Receiver<ForRobot>) {
        let (to_robot, lines) = mpsc::channel(WAITING);
        let life = Self {
            to_robot,
            desks: Mutex::new(Some(BTreeMap::new())),
            room: Arc::new(Semaphore::new(MOST_WAITING as usize)),
            turns: Arc::new(Semaphore::new(1)),
            end: watch::Sender::new(None),
            answered: AtomicU64::new(0),
        };
        (life, lines)
    }

    fn desks(&self) -> MutexGuard<'_, Option<BTreeMap<String, mpsc::Sender<Said>>>> {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line. `false`: the robot has ended.
    pub(super) async fn tell(&self, what: &ToRobot) -> bool {
        self.to_robot.send(ForRobot { text: line(what), _turn: None }).await.is_ok()
    }

    /// The turn to send a file to the robot; `None`: it has ended.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.turns.clone().acquire_owned().await.ok()
    }

    /// Writes a line with a file. The next one's turn comes when it is written.
    pub(super) async fn hand(&self, what: &ToRobot, turn: OwnedSemaphorePermit) -> bool {
        self.to_robot.send(ForRobot { text: line(what), _turn: Some(turn) }).await.is_ok()
    }

    /// Lets it end.
    pub(super) fn end(&self, why: &str) {
        self.end.send_replace(Some(why.to_owned()));
    }

    /// Hands something that the robot has said in `size` bytes to whoever works
    /// on the event, when there is room for it. `false`: nobody works on it.
    pub(super) async fn deliver(&self, id: &str, what: FromRobot, size: usize) -> bool {
        let desk = self.desks().as_ref().and_then(|desks| desks.get(id).cloned());
        let Some(desk) = desk else { return false };
        let bytes = u32::try_from(size).unwrap_or(u32::MAX).min(MOST_WAITING);
        if let Ok(room) = self.room.clone().acquire_many_owned(bytes).await {
            // Should nobody wait any more, nobody has to be told.
            drop(desk.send(Said { what, size, _room: room }).await);
        }
        true
    }

    fn is_idle(&self) -> bool {
        self.desks().as_ref().is_none_or(BTreeMap::is_empty)
    }

    /// Ends all work: there will be no more answers.
    fn close(&self) {
        *self.desks() = None;
        self.turns.close();
    }
}

fn line(what: &ToRobot) -> Vec<u8> {
    let size = match what {
        ToRobot::Fetched { data: Some(data), .. } => data.len() + 1024,
        _ => 1024,
    };
    // A file is not to be copied by a line that grows.
    let mut text = Vec::with_capacity(size);
    // These types have no maps and no fallible parts.
    serde_json::to_writer(&mut text, what).ok();
    text.push(b'\n');
    text
}

/// The work on one event. Dropping it ends that.
pub(super) struct Desk {
    life: Arc<Life>,
    id: String,
    said: mpsc::Receiver<Said>,
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

    /// What the robot says about it, and in how many bytes; `None`: it has ended.
    pub(super) async fn next(&mut self) -> Option<(FromRobot, usize)> {
        self.said.recv().await.map(|said| (said.what, said.size))
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
    presence: &Presence,
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
    let published = Published { life: life.clone(), presence };
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
    presence: &'a Presence,
}

impl Published<'_> {
    pub(super) fn publish(&self) {
        self.presence.publish(&self.life);
    }

    pub(super) fn is_ready(&self) -> bool {
        self.presence.is(&self.life)
    }
}

impl Drop for Published<'_> {
    fn drop(&mut self) {
        self.presence.withdraw();
        self.life.close();
    }
}

async fn write(mut input: Sender, mut lines: mpsc::Receiver<ForRobot>) -> String {
    while let Some(line) = lines.recv().await {
        match timeout(WRITING, input.write_all(&line.text)).await {
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

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncReadExt as _, net::unix::pipe};

    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn a_file_waits_until_the_robot_has_read_the_one_before() {
        let (life, lines) = Life::new();
        let (to_robot, mut robot) = pipe::pipe().unwrap();
        let file =
            ToRobot::Fetched { id: "$1".into(), data: Some("x".repeat(200_000)), error: None };
        let happens = async {
            let turn = life.turn().await.unwrap();
            assert!(life.hand(&file, turn).await);
            // A line without a file needs no turn.
            assert!(life.tell(&ToRobot::Ping { n: 1 }).await);
            assert!(timeout(SHORT, life.turn()).await.is_err());
            let mut read = vec![0; line(&file).len()];
            robot.read_exact(&mut read).await.unwrap();
            assert!(read == line(&file));
            let turn = life.turn().await.unwrap();
            life.close();
            assert!(life.turn().await.is_none());
            drop(turn);
        };
        tokio::select! {
            _ = write(to_robot, lines) => {}
            () = happens => {}
        }
    }

    #[tokio::test]
    async fn what_nobody_takes_has_room_for_so_many_bytes_and_nothing_is_lost() {
        let life = Arc::new(Life::new().0);
        let mut desk = Desk::open(&life, "$1");
        let large = LONGEST_LINE;
        let say = |n: u64| FromRobot::Say { id: "$1".into(), text: n.to_string() };
        for n in 0..4 {
            assert!(life.deliver("$1", say(n), large).await);
        }
        // The one that waits is there when there is room, in its order.
        let all = async {
            for n in 4..9 {
                assert!(life.deliver("$1", say(n), large).await);
            }
        };
        let mut all = pin!(all);
        assert!(timeout(SHORT, &mut all).await.is_err());
        let taken = async {
            for n in 0..9 {
                assert!(desk.next().await.unwrap() == (say(n), large), "{n}");
            }
        };
        tokio::join!(all, taken);
    }

    #[tokio::test]
    async fn whoever_waits_to_deliver_goes_on_when_the_event_is_over() {
        let life = Arc::new(Life::new().0);
        let desk = Desk::open(&life, "$1");
        let draft = || FromRobot::Draft { id: "$1".into(), text: String::new() };
        for _ in 0..WAITING {
            assert!(life.deliver("$1", draft(), 1).await);
        }
        let (delivered, ()) = tokio::join!(life.deliver("$1", draft(), 1), async {
            sleep(SHORT).await;
            drop(desk);
        });
        assert!(delivered);
        assert!(!life.deliver("$1", draft(), 1).await);
        assert_eq!(life.room.available_permits(), MOST_WAITING as usize);
    }
}
