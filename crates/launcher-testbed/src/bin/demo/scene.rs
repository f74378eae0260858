//! Sets everything up, step by step.
//!
//! Whatever was started stops when it is dropped, with a line about it. So a
//! scene that is only half there when something fails is taken down, too.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use launcher_testbed::{JsUser, RoomOptions, TestbedError, testbed_root};

use crate::{
    actors::{Person, Server, install, wait_for_port},
    error::DemoError,
    folder::{Folder, SAMPLES},
    launcher::{Launcher, ReadyAgent},
    log,
    memory::Memory,
    progress::{say, step},
    secrets::{PERSON_PASSWORD, Secrets, password_variable},
    signals::Interruption,
};

/// The name of the person's account.
const PERSON: &str = "you";

/// The agent that the person talks to.
const AGENT: &str = "echo";

/// What the room is called in a client that lists it.
const ROOM_NAME: &str = "Launcher demo";

/// How long something may take that takes well under a second by itself.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How long one wait lasts before signals and the launcher are looked at.
const SLICE: Duration = Duration::from_secs(1);

/// Everything that runs, and what is known about it.
///
/// The fields are dropped in this order: the person leaves, then the launcher
/// stops, and the homeserver last, so that everybody can say good-bye to it.
pub(crate) struct Scene<'a> {
    person: Person,
    launcher: Launcher,
    homeserver: Server,
    agents: BTreeMap<String, ReadyAgent>,
    room: String,
    secrets: Secrets,
    interruption: &'a Interruption,
    folder: Folder,
}

impl<'a> Scene<'a> {
    /// Starts everything, up to a room with the person and an agent in it.
    pub(crate) fn set_up(
        binary: PathBuf,
        interruption: &'a Interruption,
    ) -> Result<Self, DemoError> {
        let folder = Folder::open(testbed_root(), interruption)?;
        say(format!("Setting up, in {}:", folder.path().display()));
        let mut memory = folder.recall();
        let secrets = folder.secrets()?;
        step("finding Synapse, Node and matrix-js-sdk", || install(interruption))?;
        let homeserver = start_homeserver(&folder, &mut memory, interruption)?;
        folder.write(&secrets, homeserver.base_url(), homeserver.server_name())?;
        step("making the accounts, unless they are there", || {
            let register = |name, password| homeserver.register(name, password);
            register(PERSON, secrets.value(PERSON_PASSWORD))?;
            SAMPLES
                .iter()
                .try_for_each(|agent| register(agent, secrets.value(&password_variable(agent))))
        })?;
        interruption.check()?;

        let mut launcher = Launcher::start(&binary, &folder)?;
        let agents = step("starting the launcher with two agents", || {
            launcher.wait_until_ready(&SAMPLES, interruption)
        })?;
        for (id, ready) in &agents {
            say(format!("      {id} is {}, device {}", ready.user_id, ready.device_id));
        }

        let person = step("logging in the person, on matrix-js-sdk", || {
            if let Some(before) = memory.login.take() {
                homeserver.log_out(&before);
            }
            let user_id = homeserver.user_id(PERSON);
            let password = secrets.value(PERSON_PASSWORD);
            let person =
                Person::log_in(homeserver.base_url(), &user_id, password, folder.client_log())?;
            memory.login = Some(person.account().clone());
            folder.remember(&memory)?;
            Ok(person)
        })?;
        interruption.check()?;

        let room = memory.room.take().unwrap_or_default();
        let mut scene =
            Self { person, launcher, homeserver, agents, room, secrets, interruption, folder };
        scene.enter_room()?;
        memory.room = Some(scene.room.clone());
        scene.folder.remember(&memory)?;
        Ok(scene)
    }

    /// The person, as a client.
    pub(crate) fn person(&self) -> &JsUser {
        &self.person
    }

    /// The room of the person and the agent.
    pub(crate) fn room(&self) -> &str {
        &self.room
    }

    /// The agent that the person talks to.
    pub(crate) fn agent(&self) -> &ReadyAgent {
        // Nothing is set up before every sample is ready.
        &self.agents[AGENT]
    }

    /// The account of an agent, or of whoever else is meant by `name`.
    pub(crate) fn account_of(&self, name: &str) -> String {
        let known = self.agents.get(name).map(|agent| agent.user_id.clone());
        known.unwrap_or_else(|| match name.starts_with('@') {
            true => name.to_owned(),
            false => self.homeserver.user_id(name),
        })
    }

    /// The launcher.
    pub(crate) fn launcher(&self) -> &Launcher {
        &self.launcher
    }

    /// What to type into another client to see the same room.
    pub(crate) fn directions(&self) -> String {
        format!(
            "The same room in Element or another client, while this runs:\n  \
               homeserver  {}\n  \
               user name   {PERSON}\n  \
               password    {}\n  \
               room        {ROOM_NAME} ({})\n\
             The client must be able to reach a plain http address on this machine: the\n\
             desktop application can, and so can an Element Web that is served from here.\n\
             It sees what is said after its login; the keys to what was said before are\n\
             not in it.",
            self.homeserver.base_url(),
            self.secrets.value(PERSON_PASSWORD),
            self.room,
        )
    }

    /// Fails if somebody asked for the end or the launcher has ended.
    pub(crate) fn demand_going_on(&mut self) -> Result<(), DemoError> {
        self.interruption.check()?;
        self.launcher.demand_running()
    }

    /// Waits for something in slices, so that signals are seen in between.
    ///
    /// `wait` gets a time limit and fails with a timeout if that was too short.
    pub(crate) fn wait_for<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut wait: impl FnMut(&Self, Duration) -> Result<T, TestbedError>,
    ) -> Result<T, DemoError> {
        let started = Instant::now();
        loop {
            match wait(self, SLICE) {
                Err(error) if error.is_timeout() => {}
                done => return Ok(done?),
            }
            self.demand_going_on()?;
            if started.elapsed() > limit {
                return Err(DemoError::DidNotHappen {
                    what: what.to_owned(),
                    waited: limit,
                    log: self.launcher.log().to_owned(),
                    tail: log::tail(self.launcher.log()),
                });
            }
        }
    }

    /// Invites somebody, unless they are there, and waits until they joined.
    pub(crate) fn invite(&mut self, user_id: &str) -> Result<(), DemoError> {
        let is_there = self.person.wait_for_member(&self.room, user_id, "join", Duration::ZERO);
        if is_there.is_ok() {
            return Ok(());
        }
        match self.person.invite(&self.room, user_id) {
            // The invitation of an earlier run may still be open.
            Err(error) if error.code() != Some("M_FORBIDDEN") => Err(error.into()),
            _ => self.wait_for_joined(user_id),
        }
    }

    fn enter_room(&mut self) -> Result<(), DemoError> {
        let agent = self.agent().user_id.clone();
        // A person who has left the room with another client gets a new one.
        if !self.room.is_empty() && self.person.join(&self.room).is_ok() {
            return step("coming back to the encrypted room", || self.invite(&agent));
        }
        step("making an encrypted room and inviting the agent", || {
            let options = RoomOptions::encrypted().name(ROOM_NAME).direct().invite(&agent);
            self.room = self.person.create_room(options)?;
            self.wait_for_joined(&agent)
        })
    }

    fn wait_for_joined(&mut self, user_id: &str) -> Result<(), DemoError> {
        let what = format!("{user_id} joining the room");
        self.wait_for(&what, PATIENCE, |scene, limit| {
            scene.person.wait_for_member(&scene.room, user_id, "join", limit)
        })
    }
}

fn start_homeserver(
    folder: &Folder,
    memory: &mut Memory,
    interruption: &Interruption,
) -> Result<Server, DemoError> {
    let homeserver = step("starting Synapse", || {
        if let Some(port) = memory.port {
            wait_for_port(port, interruption)?;
        }
        Server::start(&folder.synapse())
    })?;
    say(format!("      it answers at {}", homeserver.base_url()));
    let port = homeserver.base_url().rsplit(':').next().and_then(|port| port.parse().ok());
    if memory.port.is_some() && memory.port != port {
        say("      another program has the port of the last time");
    }
    memory.port = port;
    folder.remember(memory)?;
    interruption.check()?;
    Ok(homeserver)
}
