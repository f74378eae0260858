//! Does things at certain times.
//!
//! What is done for a moment is put into the agent's inbox in the same
//! transaction in which the moment is noted as done: once, whatever happens.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use croner::{Cron, parser::CronParser};
use jiff::{Timestamp, tz::TimeZone};
use launcher_core::{
    conversation::Message,
    schedule::{Due, due},
    spec::{ScheduleSpec, Scheduled},
};
use launcher_runtime::ports::{
    Action, Behavior, BehaviorFault, Initiative, Memory, Response, Stage, Task, ToDo,
};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

/// The clock is looked at this often at least: it can be set, and a machine can sleep.
const LOOK: Duration = Duration::from_secs(60);

/// Does what its lines say, when they say it.
#[derive(Debug)]
pub struct Schedule {
    entries: BTreeMap<String, ScheduleSpec>,
}

/// What is known of one entry.
#[derive(Debug, Serialize, Deserialize)]
struct Known {
    /// The schedule that it had.
    line: String,
    /// The moment for which it was last done or skipped, in milliseconds since 1970.
    last: u64,
}

impl Schedule {
    /// Does these things.
    pub fn new(entries: BTreeMap<String, ScheduleSpec>) -> Self {
        Self { entries }
    }

    /// Looks at one entry; how long until it has to be looked at again.
    async fn look(
        &self,
        name: &str,
        entry: &ScheduleSpec,
        initiative: &dyn Initiative,
    ) -> Result<Duration, BehaviorFault> {
        let times = Times::of(entry)?;
        let now = Timestamp::now();
        let line = format!("{} {} {}", entry.cron, entry.timezone, entry.room);
        let key = format!("schedule/{name}");
        let known = initiative.recall(&key).await?;
        let known: Option<Known> = known.and_then(|json| serde_json::from_slice(&json).ok());
        let memory = |last: u64| {
            let known = Known { line: line.clone(), last };
            let value = serde_json::to_vec(&known).ok();
            vec![Memory { key: key.clone(), value }]
        };
        let Some(known) = known.filter(|known| known.line == line) else {
            // A line that is new has missed nothing.
            initiative.remember(memory(millis(now))).await?;
            return Ok(times.wait(now));
        };
        if known.last > millis(now) {
            // The clock was set back. What happens again was begun under its name already.
            initiative.remember(memory(millis(now))).await?;
            return Ok(times.wait(now));
        }
        match due(known.last, times.previous(now), millis(now), entry.missed) {
            Due::Wait => {}
            Due::Skip(moment) => {
                warn!(event = "schedule_missed", schedule = name, room = %entry.room, moment, "a scheduled task was missed; not done");
                initiative.remember(memory(moment)).await?;
            }
            Due::Do(moment) => {
                let task = Task {
                    id: format!("schedule/{name}/{moment}"),
                    room: entry.room.clone(),
                    what: match &entry.what {
                        Scheduled::Say(text) => ToDo::Act(vec![Action::Say { text: text.clone() }]),
                        Scheduled::Ask(text) => ToDo::Answer(text.clone()),
                    },
                };
                if initiative.begin(task, memory(moment)).await? {
                    info!(event = "schedule_began", schedule = name, room = %entry.room, moment, "a scheduled task was begun");
                } else {
                    initiative.remember(memory(moment)).await?;
                }
            }
        }
        Ok(times.wait(now))
    }
}

#[async_trait]
impl Behavior for Schedule {
    async fn on_message(
        &self,
        _message: &Message,
        _stage: &dyn Stage,
    ) -> Result<Option<Response>, BehaviorFault> {
        Ok(None)
    }

    async fn run(&self, initiative: Arc<dyn Initiative>) -> Result<(), BehaviorFault> {
        loop {
            let mut wait = LOOK;
            for (name, entry) in &self.entries {
                wait = wait.min(self.look(name, entry, &*initiative).await?);
            }
            tokio::time::sleep(wait).await;
        }
    }
}

/// The moments of a schedule.
struct Times {
    cron: Cron,
    zone: TimeZone,
}

impl Times {
    fn of(entry: &ScheduleSpec) -> Result<Self, BehaviorFault> {
        let cron = CronParser::new().parse(&entry.cron);
        let cron =
            cron.map_err(|error| BehaviorFault::new(format!("`{}`: {error}", entry.cron)))?;
        let zone = TimeZone::get(&entry.timezone);
        let zone = zone.map_err(|error| BehaviorFault::new(error.to_string()))?;
        Ok(Self { cron, zone })
    }

    fn previous(&self, now: Timestamp) -> Option<u64> {
        let now = now.to_zoned(self.zone.clone());
        let found = self.cron.find_previous_occurrence(&now, true).ok()?;
        Some(millis(found.timestamp()))
    }

    fn wait(&self, now: Timestamp) -> Duration {
        let found = self.cron.find_next_occurrence(&now.to_zoned(self.zone.clone()), false);
        let next = found.ok().map(|next| next.timestamp().duration_since(now).unsigned_abs());
        // A little more: the moment has to be over.
        next.map_or(LOOK, |next| next.saturating_add(Duration::from_millis(5)).min(LOOK))
    }
}

fn millis(at: Timestamp) -> u64 {
    u64::try_from(at.as_millisecond()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use launcher_core::{names::RoomId, spec::Missed};

    use super::*;

    #[derive(Default)]
    struct Inbox {
        tasks: Mutex<Vec<Task>>,
        memories: Mutex<BTreeMap<String, Vec<u8>>>,
    }

    #[async_trait]
    impl Initiative for Inbox {
        async fn begin(&self, task: Task, memories: Vec<Memory>) -> Result<bool, BehaviorFault> {
            self.remember(memories).await?;
            let mut tasks = self.tasks.lock().unwrap();
            let is_new = tasks.iter().all(|known| known.id != task.id);
            tasks.push(task);
            Ok(is_new)
        }

        async fn recall(&self, key: &str) -> Result<Option<Vec<u8>>, BehaviorFault> {
            Ok(self.memories.lock().unwrap().get(key).cloned())
        }

        async fn remember(&self, memories: Vec<Memory>) -> Result<(), BehaviorFault> {
            let all = memories.into_iter();
            let known = all.filter_map(|one| Some((one.key, one.value?)));
            self.memories.lock().unwrap().extend(known);
            Ok(())
        }
    }

    impl Inbox {
        /// As if the entry had last been done this long ago.
        async fn last_done(&self, entry: &ScheduleSpec, ago: Duration) {
            let line = format!("{} {} {}", entry.cron, entry.timezone, entry.room);
            let last = millis(Timestamp::now()) - ago.as_millis() as u64;
            let value = serde_json::to_vec(&Known { line, last }).ok();
            let memory = Memory { key: "schedule/x".into(), value };
            self.remember(vec![memory]).await.unwrap();
        }

        fn count(&self) -> usize {
            self.tasks.lock().unwrap().len()
        }
    }

    fn entry(cron: &str, missed: Missed) -> ScheduleSpec {
        ScheduleSpec {
            cron: cron.into(),
            timezone: "Europe/Madrid".into(),
            room: RoomId::new("!r:hs"),
            what: Scheduled::Say("hello".into()),
            missed,
        }
    }

    const HOUR: Duration = Duration::from_secs(3_600);
    const ONCE: Missed = Missed::Once { within: Duration::from_secs(10 * 365 * 86_400) };

    async fn look(inbox: &Inbox, entry: &ScheduleSpec) -> Duration {
        let schedule = Schedule::new([("x".to_owned(), entry.clone())].into());
        schedule.look("x", entry, inbox).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_due_is_begun_once_and_a_new_line_has_missed_nothing() {
        let (inbox, yearly) = (Inbox::default(), entry("0 12 1 1 *", ONCE));
        look(&inbox, &yearly).await;
        assert_eq!(inbox.count(), 0);
        inbox.last_done(&yearly, HOUR * 24 * 400).await;
        look(&inbox, &yearly).await;
        look(&inbox, &yearly).await;
        assert_eq!(inbox.count(), 1);
        let other = entry("0 13 1 1 *", ONCE);
        look(&inbox, &other).await;
        assert_eq!(inbox.count(), 1);
    }

    #[tokio::test]
    async fn what_was_missed_and_is_not_to_be_made_up_for_is_skipped() {
        let (inbox, yearly) = (Inbox::default(), entry("0 0 1 1 *", Missed::Skip));
        inbox.last_done(&yearly, HOUR * 24 * 400).await;
        let day_of_year = Timestamp::now().to_zoned(TimeZone::get("Europe/Madrid").unwrap());
        let is_new_year = day_of_year.day_of_year() == 1 && day_of_year.hour() == 0;
        look(&inbox, &yearly).await;
        assert!(inbox.count() == 0 || is_new_year);
    }

    #[tokio::test]
    async fn a_clock_that_was_set_back_does_not_silence_it() {
        let (inbox, often) = (Inbox::default(), entry("* * * * * *", ONCE));
        let line = format!("{} {} {}", often.cron, often.timezone, often.room);
        let last = millis(Timestamp::now()) + 86_400_000;
        let value = serde_json::to_vec(&Known { line, last }).ok();
        inbox.remember(vec![Memory { key: "schedule/x".into(), value }]).await.unwrap();
        look(&inbox, &often).await;
        assert_eq!(inbox.count(), 0);
        inbox.last_done(&often, Duration::from_secs(5)).await;
        look(&inbox, &often).await;
        let known: Known =
            serde_json::from_slice(&inbox.memories.lock().unwrap()["schedule/x"]).unwrap();
        assert!(known.last <= millis(Timestamp::now()));
        assert_eq!(inbox.count(), 1);
    }

    #[tokio::test]
    async fn it_is_looked_at_again_in_time() {
        let inbox = Inbox::default();
        assert!(look(&inbox, &entry("* * * * * *", ONCE)).await <= Duration::from_millis(1_010));
        assert!(look(&inbox, &entry("0 12 1 1 *", ONCE)).await <= LOOK);
    }
}
