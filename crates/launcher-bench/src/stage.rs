//! What both programs share: the homeserver, and the person who talks to them.

use std::time::{Duration, Instant};

use launcher_testbed::{
    Homeserver, HomeserverOptions, JsEngine, JsUser, LoginOptions, MessageFilter, RoomOptions,
    ensure_installed,
};

use crate::{error::BenchError, folder::Folder, progress::step};

/// The password of every account.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// How long a bot may take to join or to answer. Nothing here is a deadline
/// that a measurement depends on; who needs this long does not work.
const PATIENCE: Duration = Duration::from_secs(60);

/// A homeserver and an engine for persons; both stop when this is dropped.
#[derive(Debug)]
pub(crate) struct Stage {
    homeserver: Homeserver,
    engine: JsEngine,
}

impl Stage {
    /// Starts both, and installs them first where they are missing.
    pub(crate) fn set_up(folder: &Folder) -> Result<Self, BenchError> {
        step("installing what is missing", || Ok(ensure_installed()?))?;
        step("starting the homeserver and the person's client", || {
            let options = HomeserverOptions::default().directory(folder.path().join("homeserver"));
            let homeserver = Homeserver::start(options)?;
            let engine = JsEngine::start_with_log(folder.path().join("person.log"))?;
            Ok(Self { homeserver, engine })
        })
    }

    pub(crate) fn base_url(&self) -> &str {
        self.homeserver.base_url()
    }

    /// Makes an account without a device, and returns its user id.
    pub(crate) fn register(&self, name: &str) -> Result<String, BenchError> {
        Ok(self.homeserver.register_without_login(name, PASSWORD)?)
    }

    /// A new person, signed in.
    pub(crate) fn person(&self, name: &str) -> Result<Person, BenchError> {
        let user = self.register(name)?;
        let options = LoginOptions::default();
        let user = self.engine.login(self.base_url(), &user, PASSWORD, options)?;
        Ok(Person { user })
    }
}

/// Somebody with a client on the engine of Element.
#[derive(Debug)]
pub(crate) struct Person {
    user: JsUser,
}

/// An encrypted direct chat with a bot.
#[derive(Debug)]
pub(crate) struct Chat {
    room: String,
    bot: String,
    /// How many questions were asked, so that no two are the same.
    asked: usize,
}

impl Person {
    /// Opens a chat and waits until the bot has joined it.
    pub(crate) fn open_chat(&self, bot: &str) -> Result<Chat, BenchError> {
        let room = self.user.create_room(RoomOptions::encrypted().invite(bot).direct())?;
        self.user.wait_for_member(&room, bot, "join", PATIENCE)?;
        Ok(Chat { room, bot: bot.to_owned(), asked: 0 })
    }

    /// Says something and waits for the readable answer. Returns how long
    /// both took together.
    pub(crate) fn ask(&self, chat: &mut Chat) -> Result<Duration, BenchError> {
        chat.asked += 1;
        let question = format!("question {}", chat.asked);
        let answer = MessageFilter::new().sender(&chat.bot).body(&format!("echo: {question}"));
        let started = Instant::now();
        self.user.send_text(&chat.room, &question)?;
        self.user.wait_for_message(&chat.room, answer, PATIENCE)?;
        Ok(started.elapsed())
    }

    /// Signs off.
    pub(crate) fn leave(self) -> Result<(), BenchError> {
        Ok(self.user.stop()?)
    }
}
