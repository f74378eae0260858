//! One program with one number of bots: what is done, and what is read off.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    bound::BoundProgram,
    error::BenchError,
    folder::Folder,
    program::{Binaries, Program},
    progress::{say, step},
    stage::{Chat, Person, Stage},
    usage::{self, Holdings},
};

/// How long all bots together may take to log in, per bot. One takes a fraction
/// of a second.
const LOGIN: Duration = Duration::from_secs(10);

/// How long nothing is said before a process is looked at.
///
/// The launcher lets an agent's client and stores go when there was nothing to
/// do for a minute. The plain program is given the same time.
const SILENCE: Duration = Duration::from_secs(90);

/// How long the number of handles has to stay the same after that.
const REST: Duration = Duration::from_secs(10);

/// How long a process may take to come to rest after the silence.
const REST_LIMIT: Duration = Duration::from_secs(120);

/// How often logs and handles are looked at.
const POLL: Duration = Duration::from_millis(250);

/// How long the processor time of idle bots is measured; two syncs of the
/// plain program, more than one long poll of the launcher.
const IDLE_WINDOW: Duration = Duration::from_secs(60);

/// How many bots are spoken to in a conversation, and how often each after it
/// has woken up.
const SPOKEN_TO: usize = 10;
const MESSAGES: usize = 20;

/// How many lines of a program's log are shown when there is trouble.
const SHOWN_TROUBLES: usize = 5;

/// What to measure.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) program: Program,
    pub(crate) agents: usize,
    pub(crate) effort: Effort,
}

/// How much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// What idle bots hold.
    Idle,
    /// The same, and then what a conversation costs.
    Conversation,
}

/// What was measured.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) agents: usize,
    pub(crate) idle: Holdings,
    pub(crate) conversation: Option<Conversation>,
}

/// What a conversation costs.
#[derive(Debug)]
pub(crate) struct Conversation {
    /// Processor time of all bots together in a minute without any message.
    pub(crate) idle_minute: Duration,
    /// Processor time per message answered, without what idle bots use
    /// meanwhile.
    pub(crate) per_message: Duration,
    /// The same for the first message after the silence.
    pub(crate) per_first_message: Duration,
    /// From the question to the readable answer, ascending.
    pub(crate) round_trips: Vec<Duration>,
    /// The same for the first message after the silence.
    pub(crate) first_round_trips: Vec<Duration>,
}

impl Trial {
    /// Starts the program, measures, and stops it.
    pub(crate) fn run(
        &self,
        stage: &Stage,
        folder: &Folder,
        binaries: &Binaries,
    ) -> Result<Outcome, BenchError> {
        let Self { program, agents, .. } = *self;
        say(format!("{program}, {agents} agents"));
        let name = format!("{}-{agents}", program.word());
        let folder = folder.make(&name)?;
        let users: Vec<String> = (0..agents)
            .map(|number| stage.register(&format!("{name}-bot-{number}")))
            .collect::<Result<_, _>>()?;
        let person = stage.person(&format!("{name}-person"))?;
        let mut running = step("logging in", || {
            let running = program.start(binaries, stage, &folder, &users)?;
            self.wait_until_ready(running)
        })?;
        let mut chats = step("opening a chat with each, one answer in each", || {
            users.iter().map(|user| first_answer(&person, user)).collect::<Result<Vec<_>, _>>()
        })?;
        let idle = step("waiting until it is at rest", || wait_for_rest(&mut running))?;
        let conversation = match self.effort {
            Effort::Idle => None,
            Effort::Conversation => Some(converse(&mut running, &person, &mut chats)?),
        };
        let log = running.log_text()?;
        person.leave()?;
        step("stopping", || running.stop())?;
        self.tell(&idle, &log);
        Ok(Outcome { agents, idle, conversation })
    }

    fn wait_until_ready(&self, mut running: BoundProgram) -> Result<BoundProgram, BenchError> {
        let limit = LOGIN * u32::try_from(self.agents).unwrap_or(u32::MAX);
        let end = Instant::now() + limit;
        loop {
            running.demand_running()?;
            let ready = self.program.ready(&running.log_text()?);
            if ready == self.agents {
                return Ok(running);
            }
            if Instant::now() > end {
                return Err(BenchError::NotReady {
                    ready,
                    agents: self.agents,
                    waited: limit,
                    log: running.log().to_path_buf(),
                });
            }
            thread::sleep(POLL);
        }
    }

    fn tell(&self, idle: &Holdings, log: &str) {
        let Holdings { proportional, resident, handles } = idle;
        say(format!("  PSS {proportional} KiB, RSS {resident} KiB, {handles} handles"));
        let troubles = self.program.troubles(log);
        if !troubles.is_empty() {
            say(format!("  {} warnings in its log, such as", troubles.len()));
        }
        for trouble in troubles.iter().take(SHOWN_TROUBLES) {
            say(format!("    {trouble}"));
        }
    }
}

fn first_answer(person: &Person, bot: &str) -> Result<Chat, BenchError> {
    let mut chat = person.open_chat(bot)?;
    person.ask(&mut chat)?;
    Ok(chat)
}

/// Waits until nothing has happened for long enough, and says what is held then.
fn wait_for_rest(running: &mut BoundProgram) -> Result<Holdings, BenchError> {
    thread::sleep(SILENCE);
    let started = Instant::now();
    let mut since = (usage::handles(running.pid())?, started);
    while since.1.elapsed() < REST {
        thread::sleep(POLL);
        running.demand_running()?;
        let handles = usage::handles(running.pid())?;
        if handles != since.0 {
            since = (handles, Instant::now());
        }
        if started.elapsed() > REST_LIMIT {
            return Err(BenchError::Restless { waited: SILENCE + REST_LIMIT });
        }
    }
    Holdings::of(running.pid())
}

/// Measures a silent minute, then speaks to some of the bots: once to each,
/// which wakes them, and then often.
///
/// One question at a time, so that a round trip is that of a bot and not of a
/// queue.
fn converse(
    running: &mut BoundProgram,
    person: &Person,
    chats: &mut [Chat],
) -> Result<Conversation, BenchError> {
    let pid = running.pid();
    let silence = step("measuring a silent minute", || {
        Cost::of(pid, || {
            thread::sleep(IDLE_WINDOW);
            Ok(Vec::new())
        })
    })?;
    let mut ask_each = || {
        let spoken_to = chats.iter_mut().take(SPOKEN_TO);
        spoken_to.map(|chat| person.ask(chat)).collect::<Result<Vec<_>, _>>()
    };
    let first = step("speaking to ten of them", || Cost::of(pid, &mut ask_each))?;
    let rest = step("speaking to them twenty times more", || {
        Cost::of(pid, || {
            let rounds: Vec<_> = (0..MESSAGES).map(|_| ask_each()).collect::<Result<_, _>>()?;
            Ok(rounds.concat())
        })
    })?;
    running.demand_running()?;
    Ok(Conversation {
        idle_minute: silence.processor.mul_f64(60.0 / silence.elapsed.as_secs_f64()),
        per_first_message: first.per_message(&silence),
        per_message: rest.per_message(&silence),
        first_round_trips: first.round_trips,
        round_trips: rest.round_trips,
    })
}

/// What some work of a person cost a process.
#[derive(Debug)]
struct Cost {
    elapsed: Duration,
    processor: Duration,
    /// Ascending.
    round_trips: Vec<Duration>,
}

impl Cost {
    fn of(
        pid: u32,
        work: impl FnOnce() -> Result<Vec<Duration>, BenchError>,
    ) -> Result<Self, BenchError> {
        let started = Instant::now();
        let before = usage::processor_time(pid)?;
        let mut round_trips = work()?;
        let processor = usage::processor_time(pid)?.saturating_sub(before);
        round_trips.sort_unstable();
        Ok(Self { elapsed: started.elapsed(), processor, round_trips })
    }

    /// The processor time of one message, less what silence costs for as long.
    fn per_message(&self, silence: &Self) -> Duration {
        let share = self.elapsed.as_secs_f64() / silence.elapsed.as_secs_f64();
        let messages = u32::try_from(self.round_trips.len().max(1)).unwrap_or(u32::MAX);
        self.processor.saturating_sub(silence.processor.mul_f64(share)) / messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_silence_costs_is_not_charged_to_the_messages() {
        let second = Duration::from_secs(1);
        let silence = Cost { elapsed: second * 60, processor: second * 6, round_trips: Vec::new() };
        let talk =
            Cost { elapsed: second * 10, processor: second * 3, round_trips: vec![second; 4] };
        assert_eq!(talk.per_message(&silence), second / 2);
    }
}
