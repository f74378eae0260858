//! A launcher whose way to the homeserver goes through a tap.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use launcher_testbed::{
    DEFAULT_TIMEOUT, Homeserver, JsUser,
    tap::{Action, Hook, Point, Tap, invariants},
};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    bed::{Bed, PASSWORD},
    launcher::{Place, Running, agent_config, pickle_key, variable},
};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// A folder of agents behind a tap.
pub(crate) struct Tapped {
    pub(crate) tap: Tap,
    pub(crate) place: Place,
    victim: Victim,
    /// What no log, file or request may show.
    said: Mutex<Vec<String>>,
}

/// The process that a hook kills, if there is one.
#[derive(Clone, Default)]
pub(crate) struct Victim(Arc<Mutex<Option<Pid>>>);

impl Victim {
    fn set(&self, pid: Option<Pid>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = pid;
    }

    /// Kills it, once.
    pub(crate) fn kill(&self) {
        let pid = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(pid) = pid {
            // It may have ended by itself.
            kill_process(pid, Signal::KILL).ok();
        }
    }
}

impl Tapped {
    pub(crate) fn new(bed: &Bed) -> Result<Self> {
        Self::before(bed.homeserver())
    }

    /// A tap before a homeserver of the case's own.
    pub(crate) fn before(homeserver: &Homeserver) -> Result<Self> {
        let tap = Tap::start(homeserver.base_url())?;
        let place = Place::at(tap.base_url())?;
        Ok(Self { tap, place, victim: Victim::default(), said: Mutex::default() })
    }

    /// Registers an account and makes an agent with these keys of an echo and of its own.
    pub(crate) fn agent(
        &self,
        homeserver: &Homeserver,
        id: &str,
        name: &str,
        echo: &str,
        more: &str,
    ) -> Result<String> {
        let user = homeserver.register_without_login(name, PASSWORD)?;
        self.place.set_variable(&variable(id), &pickle_key(id))?;
        let config = agent_config(id, &user, &format!("password: \"{PASSWORD}\""), more);
        let echo = format!("prefix: \"echo: \"{echo}");
        self.place.write_agent(id, &config.replace("prefix: \"echo: \"", &echo))?;
        Ok(user)
    }

    pub(crate) fn start(&self) -> Result<Running<'_>> {
        let launcher = self.place.start()?;
        self.victim.set(Some(launcher.pid()));
        Ok(launcher)
    }

    pub(crate) fn start_ready(&self, agent: &str) -> Result<Running<'_>> {
        let mut launcher = self.start()?;
        launcher.wait_for_event("agent_ready", agent)?;
        Ok(launcher)
    }

    /// Kills the launcher at this point of an exchange, or so much later.
    pub(crate) fn kill(&self, point: Point, delay: Duration) -> Action {
        let victim = self.victim.clone();
        Action::Hook(Hook::new(point, move |_| victim.kill()).delay(delay))
    }

    pub(crate) fn victim(&self) -> Victim {
        self.victim.clone()
    }

    /// Says something that nobody said before, and remembers that it must show up nowhere.
    pub(crate) fn say(&self, user: &JsUser, room: &str, text: &str) -> Result<String> {
        let text = {
            let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            let text = format!("{text}-nonce{}x{}", said.len(), &room[1..9]);
            said.push(text.clone());
            text
        };
        // Unlocked, so that several people speak at once.
        Ok(user.send_text(room, &text)?)
    }

    /// Waits until the homeserver's record has an answer to every message. A client may
    /// not have all of them: what it missed while the server was away is a gap to it.
    pub(crate) fn wait_for_answers(
        &self,
        homeserver: &Homeserver,
        reader: &JsUser,
        room: &str,
        agent: &str,
        asked: &[String],
    ) -> Result<()> {
        let end = Instant::now() + DEFAULT_TIMEOUT * 6;
        loop {
            let events = homeserver.room_events(&reader.account().access_token, room)?;
            let counts = invariants::replies_by_question(&events, agent);
            let missing = asked.iter().filter(|event| !counts.contains_key(*event)).count();
            if missing == 0 {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(
                    format!("{missing} of {} messages are not answered", asked.len()).into()
                );
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Fails if a message was not answered exactly once, by the homeserver's record.
    pub(crate) fn answered_once(
        &self,
        homeserver: &Homeserver,
        reader: &JsUser,
        room: &str,
        agent: &str,
        asked: &[String],
    ) -> Result<()> {
        let events = homeserver.room_events(&reader.account().access_token, room)?;
        let counts = invariants::replies_by_question(&events, agent);
        let wrong: Vec<String> = asked
            .iter()
            .enumerate()
            .filter(|(_, event)| counts.get(*event) != Some(&1))
            .map(|(number, event)| {
                format!("question {number} ({event}): {} answers", counts.get(event).unwrap_or(&0))
            })
            .collect();
        if !wrong.is_empty() {
            return Err(wrong.join("\n").into());
        }
        let unreadable: Vec<_> = reader
            .messages(room)?
            .into_iter()
            .filter(|message| message.sender == agent && message.decryption_failure.is_some())
            .map(|message| (message.event_id, message.decryption_failure))
            .collect();
        match unreadable.is_empty() {
            true => Ok(()),
            false => Err(format!("answers that cannot be read: {unreadable:?}").into()),
        }
    }

    /// Fails if the launcher did what it must never do, whatever happened to it.
    pub(crate) fn check(&self) -> Result<()> {
        let storms = invariants::request_storms(&self.tap.requests());
        if !storms.is_empty() {
            return Err(storms.join("\n").into());
        }
        self.check_much()
    }

    /// The same where the test itself fails more requests than a launcher may.
    pub(crate) fn check_much(&self) -> Result<()> {
        let requests = self.tap.requests();
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let needles: Vec<&str> = said.iter().map(String::as_str).chain([PASSWORD]).collect();
        let mut violations = invariants::plaintext_in_encrypted_rooms(&requests, &[]);
        violations.extend(invariants::reused_message_indices(&requests));
        violations.extend(invariants::changed_one_time_keys(&requests));
        violations.extend(invariants::changed_identity_keys(&requests));
        // The password stands in the agents' own files.
        let bodies = &needles[..needles.len() - 1];
        for folder in ["agents", ".launcher"] {
            let found = invariants::find_any(bodies, &self.place.path().join(folder))?;
            violations
                .extend(found.iter().map(|file| format!("{} shows a message", file.display())));
        }
        for entry in std::fs::read_dir(self.place.path())? {
            let path = entry?.path();
            let log = path.extension().is_some_and(|extension| extension == "jsonl");
            if log {
                let text = std::fs::read_to_string(&path)?;
                let shown = needles.iter().filter(|needle| text.contains(**needle));
                violations.extend(shown.map(|needle| format!("{} shows {needle}", path.display())));
            }
        }
        match violations.is_empty() {
            true => Ok(()),
            false => Err(violations.join("\n").into()),
        }
    }
}
