//! Random kills under load, judged by the homeserver's own record.
//!
//! Two faults are planted, so that a harness that sees nothing is found out:
//! some room keys are taken out of what the server sends, and some answers are
//! said a second time by somebody else with the agent's account. A run whose
//! figures do not show them is void.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use launcher_testbed::{
    DEFAULT_TIMEOUT, JsUser, RoomOptions,
    tap::{Action, Matcher, invariants},
};
use serde_json::Value;

use crate::{
    Cases, Outcome,
    bed::{Bed, PASSWORD},
    kills::{has_key, is_sync_of_sdk},
    tapped::Tapped,
};

pub(crate) const CASES: Cases = &[("soak::random_kills_under_load_in_short", |bed| {
    soak(bed, Size { messages: 80, kills: 8, people: 3, drop_every: 25, doubles: 2 })
})];

/// Cases that take long and run only when they are asked for.
pub(crate) const LONG: Cases = &[("soak::random_kills_under_load", |bed| {
    soak(bed, Size { messages: 1_000, kills: 100, people: 5, drop_every: 100, doubles: 5 })
})];

struct Size {
    messages: usize,
    kills: usize,
    people: usize,
    /// One of so many keys is dropped.
    drop_every: usize,
    /// Answers that are said twice by the harness.
    doubles: usize,
}

/// An answer is late if it comes so long after its question.
const LATE: Duration = Duration::from_secs(60);

/// How long the last answers may take when nothing is killed any more.
const SETTLING: Duration = Duration::from_secs(240);

/// What came out.
#[derive(Debug, Default)]
struct Figures {
    seed: u64,
    messages: usize,
    kills: usize,
    lost: usize,
    undecryptable_in: usize,
    undecryptable_out: usize,
    double: usize,
    late: usize,
    planted_drops: usize,
    planted_doubles: usize,
}

impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, messages, kills, .. } = self;
        writeln!(formatter, "seed {seed}: {messages} messages, {kills} kills")?;
        writeln!(formatter, "  lost               {}", self.lost)?;
        let drops = self.planted_drops;
        writeln!(
            formatter,
            "  undecryptable in   {} ({drops} keys dropped by the harness)",
            self.undecryptable_in
        )?;
        writeln!(formatter, "  undecryptable out  {}", self.undecryptable_out)?;
        let doubles = self.planted_doubles;
        writeln!(formatter, "  double             {} ({doubles} planted)", self.double)?;
        write!(formatter, "  late               {}", self.late)
    }
}

/// A small generator, so that a run can be repeated.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

#[expect(clippy::disallowed_methods, reason = "an operator of the test repeats a run with it")]
fn seed() -> u64 {
    let given = std::env::var("SOAK_SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or(20_261_122)
}

fn soak(bed: &Bed, size: Size) -> Outcome {
    let stage = Tapped::new(bed)?;
    let mut figures = Figures { seed: seed(), kills: size.kills, ..Figures::default() };
    let mut dice = Dice(figures.seed);
    let more = "undecryptable: { notice_after: off }\n";
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), "", more)?;
    let people: Vec<JsUser> =
        (0..size.people).map(|_| bed.person("person")).collect::<Result<_, _>>()?;
    let mut launcher = stage.start_ready("echo")?;
    let mut rooms = Vec::new();
    for (number, person) in people.iter().enumerate() {
        let guest = &people[(number + 1) % people.len()];
        for options in [RoomOptions::encrypted(), RoomOptions::encrypted().rotate_after(1)] {
            let room = person.create_room(options.invite(&agent).invite(guest.user_id()))?;
            guest.join(&room)?;
            for member in [guest.user_id(), &agent] {
                person.wait_for_member(&room, member, "join", DEFAULT_TIMEOUT)?;
            }
            rooms.push((room, person, guest));
        }
    }

    let dropped = plant_drops(&stage, size.drop_every);
    let each = size.messages / people.len();
    let asked: BTreeMap<String, Vec<String>> = std::thread::scope(|scope| {
        let senders: Vec<_> = people
            .iter()
            .enumerate()
            .map(|(number, person)| {
                let own: Vec<&str> = rooms
                    .iter()
                    .filter(|(_, owner, _)| owner.user_id() == person.user_id())
                    .map(|(room, ..)| room.as_str())
                    .collect();
                let mut dice = Dice(figures.seed ^ (number as u64 + 1));
                let stage = &stage;
                scope.spawn(move || talk(stage, person, &own, each, &mut dice))
            })
            .collect();
        // The kills go on for as long as people talk, and some longer.
        let mut kills = 0;
        while kills < size.kills {
            std::thread::sleep(Duration::from_millis(300 + dice.below(2_700)));
            stage.victim().kill();
            if launcher.wait_for_end(DEFAULT_TIMEOUT).is_err() {
                break;
            }
            kills += 1;
            match stage.start() {
                Ok(next) => launcher = next,
                Err(_) => break,
            }
        }
        let mut all = BTreeMap::new();
        for sender in senders {
            let said = sender.join().map_err(|_| "a sender panicked")??;
            for (room, event) in said {
                all.entry(room).or_insert_with(Vec::new).push(event);
            }
        }
        Ok::<_, Box<dyn std::error::Error>>(all)
    })
    .map_err(|error| error.to_string())?;
    launcher.wait_for_event("agent_ready", "echo")?;
    figures.messages = asked.values().map(Vec::len).sum();

    settle(bed, &stage, &rooms, &asked, &agent)?;
    // The key of the last message may be dropped after it was said.
    figures.planted_drops = dropped.load(Ordering::Relaxed);
    figures.planted_doubles = plant_doubles(bed, &rooms, &agent, size.doubles)?;
    let locked = locked_for_ever(stage.place.path())?;
    for (room, person, guest) in &rooms {
        let events = bed.homeserver().room_events(&person.account().access_token, room)?;
        let counts = invariants::replies_by_question(&events, &agent);
        let when: BTreeMap<&str, u64> = events
            .iter()
            .filter_map(|event| {
                Some((event["event_id"].as_str()?, event["origin_server_ts"].as_u64()?))
            })
            .collect();
        for question in asked.get(room).into_iter().flatten() {
            match counts.get(question).copied().unwrap_or(0) {
                0 if locked.contains(question) => figures.undecryptable_in += 1,
                0 => figures.lost += 1,
                1 => {}
                _ => figures.double += 1,
            }
        }
        for answer in events.iter().filter(|event| event["sender"] == agent.as_str()) {
            let about = answer["content"]["m.relates_to"]["m.in_reply_to"]["event_id"].as_str();
            let asked_at = about.and_then(|about| when.get(about));
            let took =
                asked_at.and_then(|at| answer["origin_server_ts"].as_u64()?.checked_sub(*at));
            let planted = answer["content"]["planted"] == true;
            let late = took.is_some_and(|took| Duration::from_millis(took) > LATE);
            figures.late += usize::from(late && !planted);
        }
        for reader in [person, guest] {
            let unreadable = |message: &launcher_testbed::Message| {
                message.sender == agent && message.decryption_failure.is_some()
            };
            figures.undecryptable_out +=
                reader.messages(room)?.iter().filter(|m| unreadable(m)).count();
        }
    }
    launcher.stop()?;
    let report = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("soak-{}.txt", size.messages));
    std::fs::write(report, format!("{figures}\n"))?;
    if figures.planted_doubles != size.doubles || figures.double < size.doubles {
        return Err(format!("void: planted doubles were not seen\n{figures}").into());
    }
    if figures.planted_drops == 0 || figures.undecryptable_in == 0 {
        return Err(format!("void: dropped keys were not noticed\n{figures}").into());
    }
    let sessions: usize = locked_sessions(stage.place.path())?.len();
    let clean = figures.lost == 0
        && figures.double == figures.planted_doubles
        && sessions <= figures.planted_drops
        && figures.undecryptable_out == 0
        && figures.late == 0;
    match clean {
        true => stage.check_much(),
        false => Err(format!("{figures}\n{sessions} sessions without a key").into()),
    }
}

/// One person's messages, in rooms of its own, at its own pace.
fn talk(
    stage: &Tapped,
    person: &JsUser,
    rooms: &[&str],
    count: usize,
    dice: &mut Dice,
) -> Result<Vec<(String, String)>, String> {
    let mut said = Vec::new();
    for _ in 0..count {
        let room = rooms[usize::try_from(dice.below(rooms.len() as u64)).unwrap_or(0)];
        let event = stage.say(person, room, "soak").map_err(|error| error.to_string())?;
        said.push((room.to_owned(), event));
        std::thread::sleep(Duration::from_millis(dice.below(1_500)));
    }
    Ok(said)
}

/// Takes one of so many room keys out of what the server sends to the agent.
fn plant_drops(stage: &Tapped, every: usize) -> Arc<AtomicUsize> {
    let (seen, dropped) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let count = dropped.clone();
    let drop_some = Action::rewrite(move |mut answer| {
        if let Some(events) = answer["to_device"]["events"].as_array_mut() {
            events.retain(|event| {
                let keep = event["type"] != "m.room.encrypted"
                    || !(seen.fetch_add(1, Ordering::Relaxed) + every / 2).is_multiple_of(every);
                if !keep {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                keep
            });
        }
        answer
    });
    stage.tap.add_rule(Matcher::when(is_sync_of_sdk).response(has_key), drop_some).keep();
    dropped
}

/// Says some answers a second time, as a careless agent would.
fn plant_doubles(
    bed: &Bed,
    rooms: &[(String, &JsUser, &JsUser)],
    agent: &str,
    count: usize,
) -> Result<usize, Box<dyn std::error::Error>> {
    let other = bed.homeserver().login(agent, PASSWORD)?;
    let mut planted = 0;
    let mut questions = BTreeSet::new();
    for (room, person, _) in rooms {
        let events = bed.homeserver().room_events(&person.account().access_token, room)?;
        let answers = events
            .iter()
            .filter(|event| event["sender"] == agent && event["type"] == "m.room.encrypted");
        for answer in answers {
            let about = &answer["content"]["m.relates_to"]["m.in_reply_to"]["event_id"];
            if planted == count || !about.is_string() || !questions.insert(about.to_string()) {
                continue;
            }
            let mut content = answer["content"].clone();
            content["planted"] = true.into();
            let path =
                format!("/_matrix/client/v3/rooms/{room}/send/m.room.encrypted/planted{planted}");
            let (status, said) = bed.homeserver().request(
                "PUT",
                &path,
                Some(&other.access_token),
                Some(&content),
            )?;
            if status != 200 {
                return Err(format!("planting a double: {said}").into());
            }
            planted += 1;
        }
    }
    Ok(planted)
}

/// Waits until everything is answered that can be, or nothing happens any more.
fn settle(
    bed: &Bed,
    stage: &Tapped,
    rooms: &[(String, &JsUser, &JsUser)],
    asked: &BTreeMap<String, Vec<String>>,
    agent: &str,
) -> Outcome {
    let end = Instant::now() + SETTLING;
    loop {
        let locked = locked_for_ever(stage.place.path())?;
        let mut open = 0;
        for (room, person, _) in rooms {
            let events = bed.homeserver().room_events(&person.account().access_token, room)?;
            let counts = invariants::replies_by_question(&events, agent);
            let questions = asked.get(room).into_iter().flatten();
            open +=
                questions.filter(|id| !counts.contains_key(*id) && !locked.contains(*id)).count();
        }
        if open == 0 || Instant::now() > end {
            return Ok(());
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// The messages that a launcher could not read and never read later.
fn locked_for_ever(folder: &Path) -> Result<BTreeSet<String>, Box<dyn std::error::Error>> {
    Ok(locked_lines(folder)?.into_iter().map(|(event, _)| event).collect())
}

fn locked_sessions(folder: &Path) -> Result<BTreeSet<String>, Box<dyn std::error::Error>> {
    Ok(locked_lines(folder)?.into_iter().map(|(_, session)| session).collect())
}

fn locked_lines(folder: &Path) -> Result<Vec<(String, String)>, Box<dyn std::error::Error>> {
    let mut locked = BTreeMap::new();
    let mut opened = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        for line in std::fs::read_to_string(path)?.lines() {
            // The last line of one that was killed may be cut.
            let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
            let Some(event) = line["event_id"].as_str() else { continue };
            match line["event"].as_str() {
                Some("undecryptable") => {
                    let session = line["session_id"].as_str().unwrap_or_default();
                    locked.insert(event.to_owned(), session.to_owned());
                }
                Some("decrypted_late") => {
                    opened.insert(event.to_owned());
                }
                _ => {}
            }
        }
    }
    Ok(locked.into_iter().filter(|(event, _)| !opened.contains(event)).collect())
}
