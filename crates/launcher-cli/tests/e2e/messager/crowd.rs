//! A group of twenty that comes and goes, while server and launcher are killed.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use launcher_messager::{
    client::{Client, ClientError, TimelineKind, TimelineRow},
    crypto::{AccountId, DeviceName, RoomId, Row},
};
use tokio::{
    runtime::Runtime,
    time::{Instant, sleep},
};

use super::{
    Result, agent,
    host::Host,
    people::{Order, Person},
    wire::Wire,
};
use crate::launcher::{Place, Running};

/// How many are in the group, the agent included.
const CROWD: u8 = 20;

/// How often something is killed.
const KILLS: u64 = 8;

/// How long to wait for what has to come.
const LIMIT: Duration = Duration::from_secs(240);

/// How long it may take from a sender's last look at who is in the room to the
/// message that is encrypted for them, in milliseconds.
const ON_ITS_WAY: u64 = 2000;

const WORD: &str = "Rhabarberkuchen";

/// Numbers that look random, the same for the same seed.
struct Dice(AtomicU64);

impl Dice {
    #[expect(clippy::disallowed_methods, reason = "an operator of the test repeats a run with it")]
    fn new() -> Self {
        let given = std::env::var("CROWD_SEED").ok().and_then(|seed| seed.parse().ok());
        Self(AtomicU64::new(given.unwrap_or(20_261_123)))
    }

    fn below(&self, end: u64) -> u64 {
        let mut mixed = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

pub(super) fn stays_together() -> Result<()> {
    let dice = Dice::new();
    let mut host = Host::start()?;
    let runtime = Runtime::new()?;
    let wire = runtime.block_on(Wire::to(host.address()))?;
    let place = Place::at("https://example.org")?;
    agent(&place, &wire.url(), "echo", &host.device("echo")?, "")?;
    let mut launcher = place.start_ready(&["echo"])?;

    let mut crowd = Crowd::gather(&runtime, &host, &wire, &launcher)?;
    for kill in 0..KILLS {
        crowd.says_something(&dice)?;
        // Somewhere in the middle of the answer, or of the next question.
        let moment = Duration::from_millis(dice.below(400));
        runtime.block_on(async { sleep(moment).await });
        match dice.below(2) {
            0 => {
                host.kill()?;
                crowd.says_something(&dice)?;
                host.start_again()?;
            }
            _ => {
                drop(launcher);
                crowd.says_something(&dice)?;
                launcher = place.start_ready(&["echo"])?;
            }
        }
        crowd.has_heard_everything()?;
        crowd.changes(kill, &host, &wire)?;
    }
    crowd.says_something(&dice)?;
    crowd.has_every_answer_once()?;
    crowd.came_and_went(&host)?;

    // What was sent in all this time says nothing to whoever listens.
    assert!(wire.length() > 100_000, "the wire was not in use");
    assert!(!wire.has(WORD), "there is a plaintext on the wire");
    assert_eq!(host.files_with(WORD)?, Vec::<std::path::PathBuf>::new());
    assert!(!launcher.log_text()?.contains(WORD));
    let status = launcher.agent_status("echo")?;
    assert_eq!(status["state"], "running", "{status}");
    launcher.stop()?;
    Ok(())
}

struct Crowd<'a> {
    runtime: &'a Runtime,
    room: RoomId,
    /// Those who are in the group; the first from the beginning to the end.
    members: Vec<Person>,
    /// Those who are not any more, what was there to read then, and when that was.
    gone: Vec<(Person, Vec<Row>, u64)>,
    /// Devices that came later, and what was there to read before.
    late: Vec<(DeviceName, Vec<Row>)>,
    said: Vec<String>,
}

impl<'a> Crowd<'a> {
    fn gather(
        runtime: &'a Runtime,
        host: &Host,
        wire: &Wire,
        launcher: &Running<'_>,
    ) -> Result<Self> {
        let status = launcher.agent_status("echo")?;
        let agent = AccountId::parse(status["user_id"].as_str().unwrap_or_default())?;
        let mut members = Vec::new();
        for number in 1..CROWD {
            let token = host.device(&format!("person-{number}"))?;
            members.push(runtime.block_on(Person::new(&wire.url(), &token, number))?);
        }
        let room = runtime.block_on(async {
            let owner = &members[0];
            let room = owner.does(Order::Group("crowd".to_owned())).await?.ok_or("no room")?;
            owner.does(Order::Invite(room, agent)).await?;
            for person in &members[1..] {
                owner.does(Order::Invite(room, person.me.account)).await?;
                person.does(Order::Accept(room)).await?;
            }
            let client = host.client(&owner.token)?;
            until("the agent joins", || async {
                let all = client.members(room).await.unwrap_or_default();
                all.iter().any(|member| {
                    member.account == agent
                        && member.state == launcher_messager::client::MemberState::Active
                })
            })
            .await?;
            Ok::<_, Box<dyn std::error::Error>>(room)
        })?;
        Ok(Self { runtime, room, members, gone: Vec::new(), late: Vec::new(), said: Vec::new() })
    }

    /// Three people say something, at once.
    fn says_something(&mut self, dice: &Dice) -> Result<()> {
        let mut saying = Vec::new();
        for _ in 0..3 {
            let who = dice.below(self.members.len() as u64) as usize;
            let text = format!("{WORD} {}", self.said.len());
            self.said.push(text.clone());
            saying.push((who, text));
        }
        self.runtime.block_on(async {
            let all = saying.iter().map(|(who, text)| self.members[*who].says(self.room, text));
            for said in futures_util::future::join_all(all).await {
                said?;
            }
            Ok(())
        })
    }

    /// Somebody leaves, is removed, comes, has another device, or gives one up.
    fn changes(&mut self, round: u64, host: &Host, wire: &Wire) -> Result<()> {
        let room = self.room;
        match round % 4 {
            0 => {
                let person = self.members.pop().ok_or("nobody is left")?;
                self.runtime.block_on(person.does(Order::Leave(room)))?;
                self.goes(host, person)
            }
            1 => {
                let person = self.members.pop().ok_or("nobody is left")?;
                let owner = &self.members[0];
                self.runtime.block_on(owner.does(Order::Remove(room, person.me.account)))?;
                self.goes(host, person)
            }
            2 => {
                let before = self.rows(host)?;
                let token = host.device(&format!("newcomer-{round}"))?;
                let number = 100 + round as u8;
                let person = self.runtime.block_on(async {
                    let person = Person::new(&wire.url(), &token, number).await?;
                    self.members[0].does(Order::Invite(room, person.me.account)).await?;
                    person.does(Order::Accept(room)).await?;
                    Ok::<_, Box<dyn std::error::Error>>(person)
                })?;
                self.late.push((person.me.device.clone(), before));
                self.members.insert(1, person);
                Ok(())
            }
            _ => {
                // A second device of somebody, which takes the first one's place.
                let before = self.rows(host)?;
                let old = self.members.remove(2);
                let token = host.device(&old.me.name)?;
                let number = 200 + round as u8;
                let new = self.runtime.block_on(Person::new(&wire.url(), &token, number))?;
                host.revoke(&old.me.name, old.me.device.as_str())?;
                self.late.push((new.me.device.clone(), before));
                self.members.insert(2, new);
                // For a minute others may go on to give it keys; it gets no rows to open.
                let client = host.client(&old.token)?;
                let refused = self.runtime.block_on(client.sync_all(0)).unwrap_err();
                assert_eq!(refused, ClientError::Unauthorized);
                Ok(())
            }
        }
    }

    fn goes(&mut self, host: &Host, person: Person) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
        let rows = self.rows(host)?;
        self.gone.push((person, rows, now));
        Ok(())
    }

    /// The encrypted rows of the group, as the server has them.
    fn rows(&self, host: &Host) -> Result<Vec<Row>> {
        let client = host.client(&self.members[0].token)?;
        self.runtime.block_on(encrypted(&client, self.room))
    }

    /// What was said while the server was away is there: whoever leaves now has
    /// nothing left to send.
    fn has_heard_everything(&self) -> Result<()> {
        self.reads(&self.said.iter().collect::<Vec<_>>())
    }

    /// Waits until the owner has read all of these.
    fn reads(&self, texts: &[&String]) -> Result<()> {
        let started = Instant::now();
        loop {
            let lacking: Vec<_> =
                texts.iter().filter(|text| self.members[0].count(text) == 0).collect();
            if lacking.is_empty() {
                return Ok(());
            }
            if started.elapsed() > LIMIT {
                return Err(format!("of {} there is no {lacking:?}", texts.len()).into());
            }
            self.runtime.block_on(async { sleep(Duration::from_millis(50)).await });
        }
    }

    fn has_every_answer_once(&self) -> Result<()> {
        let owner = &self.members[0];
        let answer = |text: &String| format!("echo: {text}");
        self.has_heard_everything()?;
        let answers: Vec<String> = self.said.iter().map(answer).collect();
        self.reads(&answers.iter().collect::<Vec<_>>())?;
        for text in &self.said {
            let counts = (owner.count(text), owner.count(&answer(text)));
            assert_eq!(counts, (1, 1), "{text}");
        }
        assert_eq!(owner.read_twice(), 0);
        Ok(())
    }

    /// Whoever has gone reads nothing of what came after, and whoever came reads
    /// nothing of what was before: not even with all that the server has.
    fn came_and_went(mut self, host: &Host) -> Result<()> {
        let all = self.rows(host)?;
        for (person, before, left) in self.gone.drain(..) {
            let name = person.me.name.clone();
            let after: Vec<Row> = all
                .iter()
                .filter(|row| before.iter().all(|known| known.id != row.id))
                .cloned()
                .collect();
            assert!(!after.is_empty(), "nothing was said after {name} had gone");
            let mut read = self.runtime.block_on(person.opens(&after))?;
            // What was on its way when they left is for those who were there then.
            read.retain(|encrypted| *encrypted > left + ON_ITS_WAY);
            assert_eq!(read.len(), 0, "{name} left at {left} and reads what came at {read:?}");
        }
        for (device, before) in self.late.drain(..) {
            let is_it = |person: &Person| person.me.device == device;
            // Some have gone again.
            let Some(index) = self.members.iter().position(is_it) else { continue };
            let person = self.members.remove(index);
            let name = person.me.name.clone();
            let read = self.runtime.block_on(person.opens(&before))?;
            assert_eq!(
                read.len(),
                0,
                "{name} came later and reads {} of {}",
                read.len(),
                before.len()
            );
        }
        Ok(())
    }
}

/// All rows of a room that are encrypted.
async fn encrypted(client: &Client, room: RoomId) -> Result<Vec<Row>> {
    let (mut rows, mut since) = (Vec::new(), 0);
    loop {
        let page = client.sync_room(room, since).await?;
        if page.rows.is_empty() {
            return Ok(rows);
        }
        since = page.position;
        rows.extend(page.rows.into_iter().filter_map(|row: TimelineRow| match row.kind {
            TimelineKind::Encrypted(row) => Some(row),
            _ => None,
        }));
    }
}

async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) -> Result<()> {
    let started = Instant::now();
    while !is_so().await {
        if started.elapsed() > LIMIT {
            return Err(format!("it did not come to this: {what}").into());
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
