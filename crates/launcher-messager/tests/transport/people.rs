//! People with a chat each.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
};

use launcher_core::secret::Secret;
use launcher_messager::{
    chat::{Chat, ChatError, Clock, Happening, Message},
    client::Client,
    crypto::{AccountId, RoomId},
};
use tempfile::TempDir;

use crate::world::{World, key, soon};

/// Somebody with a device.
pub(crate) struct Person {
    pub(crate) chat: Chat,
    pub(crate) folder: TempDir,
    token: Secret<String>,
    /// How far this device's clock is ahead, in milliseconds.
    ahead: Arc<AtomicU64>,
}

impl Person {
    /// Somebody with a new device.
    pub(crate) async fn new(world: &World, name: &str) -> Self {
        let (folder, token) = (tempfile::tempdir().unwrap(), world.token(name));
        let ahead = Arc::default();
        let chat = open(world, &token, &folder, &ahead).await.unwrap();
        Self { chat, folder, token, ahead }
    }

    /// Ends the process and starts it again.
    pub(crate) async fn restarted(self, world: &World) -> Self {
        let Self { chat, folder, token, ahead } = self;
        drop(chat);
        let chat = open(world, &token, &folder, &ahead).await.unwrap();
        Self { chat, folder, token, ahead }
    }

    /// Ends the process; what came of starting it with another folder.
    pub(crate) async fn elsewhere(
        self,
        world: &World,
        folder: &TempDir,
    ) -> Result<Chat, ChatError> {
        let Self { chat, token, ahead, folder: _own } = self;
        drop(chat);
        open(world, &token, folder, &ahead).await
    }

    /// What comes of starting a second process.
    pub(crate) async fn second(&self, world: &World) -> Result<Chat, ChatError> {
        open(world, &self.token, &self.folder, &self.ahead).await
    }

    /// The client of this device, past its chat.
    pub(crate) fn client(&self, world: &World) -> Client {
        Client::new(&world.connections, world.url(), self.token.clone())
    }

    /// Says something in the clear, as no client of ours does.
    pub(crate) async fn say_plainly(&self, world: &World, room: RoomId, text: &str) {
        let url = world.url().join(&format!("api/chat/{room}/messages")).unwrap();
        let body = serde_json::json!({ "content": text });
        let request = reqwest::Client::new().post(url).bearer_auth(self.token.expose()).json(&body);
        assert!(request.send().await.unwrap().status().is_success());
    }

    pub(crate) fn id(&self) -> AccountId {
        self.chat.me().account
    }

    /// Lets time pass for this device.
    pub(crate) fn wait(&self, millis: u64) {
        self.ahead.fetch_add(millis, Ordering::SeqCst);
    }

    /// Waits for something that is wanted; what comes before it is forgotten.
    pub(crate) async fn until<T>(&mut self, mut wanted: impl FnMut(&Happening) -> Option<T>) -> T {
        soon(async {
            loop {
                let happening = self.chat.next().await.unwrap();
                if let Some(found) = wanted(&happening) {
                    return found;
                }
            }
        })
        .await
    }

    /// Waits until all that had happened was told; gives it.
    pub(crate) async fn all(&mut self) -> Vec<Happening> {
        let mut all = Vec::new();
        soon(async {
            loop {
                match self.chat.next().await.unwrap() {
                    Happening::Online => return,
                    happening => all.push(happening),
                }
            }
        })
        .await;
        all
    }

    /// Waits for a message of somebody else.
    pub(crate) async fn message(&mut self) -> Message {
        let other = |happening: &Happening| match happening {
            Happening::Message(message) if !message.is_own => Some(message.clone()),
            _ => None,
        };
        self.until(other).await
    }

    /// A direct chat with somebody, who accepts.
    pub(crate) async fn befriend(&mut self, other: &mut Self) -> RoomId {
        let room = self.chat.open_direct(other.id()).await.unwrap();
        other.chat.accept(room).await.unwrap();
        room
    }

    /// Invites somebody, who accepts.
    pub(crate) async fn bring(&mut self, room: RoomId, other: &mut Self) {
        self.chat.invite(room, other.id()).await.unwrap();
        other.chat.accept(room).await.unwrap();
    }
}

async fn open(
    world: &World,
    token: &Secret<String>,
    folder: &TempDir,
    ahead: &Arc<AtomicU64>,
) -> Result<Chat, ChatError> {
    let (ahead, system) = (ahead.clone(), Clock::system());
    let clock = Clock::new(move || system.now() + ahead.load(Ordering::SeqCst));
    let path = folder.path().join("chat");
    soon(Chat::open_at(&world.connections, world.url(), token.clone(), &path, &key(), clock)).await
}

/// Polls a future so often at most, and drops it then.
pub(crate) async fn polled<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = times;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            // This was the last time: it is cut off here, and not when it is woken.
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
