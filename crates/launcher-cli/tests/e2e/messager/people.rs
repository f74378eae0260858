//! People in a chat, each in a task of their own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use launcher_core::secret::{PickleKey, Secret};
use launcher_messager::{
    chat::{Chat, ChatError, Happening},
    client::{Connections, Me},
    crypto::{AccountId, Address, Machine, Opened, RoomId, Row, RowId},
};
use tempfile::TempDir;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::sleep,
};
use url::Url;

use super::Result;

/// How long to wait before a server that is away is tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// What somebody has read.
#[derive(Default)]
pub(crate) struct Read {
    pub(crate) messages: BTreeMap<RowId, (AccountId, String)>,
    /// Rows that were told more than once.
    pub(crate) twice: BTreeSet<RowId>,
}

/// What somebody is to do.
pub(crate) enum Order {
    Group(String),
    Invite(RoomId, AccountId),
    Accept(RoomId),
    Say(RoomId, String),
    Leave(RoomId),
    Remove(RoomId, AccountId),
}

/// What came of an order: the room, if one was made.
type Done = std::result::Result<Option<RoomId>, String>;

/// Somebody with a device.
pub(crate) struct Person {
    pub(crate) me: Me,
    pub(crate) token: String,
    folder: TempDir,
    key: PickleKey,
    read: Arc<Mutex<Read>>,
    orders: mpsc::UnboundedSender<(Order, oneshot::Sender<Done>)>,
    task: JoinHandle<()>,
}

impl Person {
    pub(crate) async fn new(server: &Url, token: &str, number: u8) -> Result<Self> {
        let (folder, key) = (tempfile::tempdir()?, PickleKey::new([number; 32]));
        let connections = Connections::new()?;
        let token = token.to_owned();
        let secret = Secret::new(token.clone());
        let mut chat = loop {
            match Chat::open(&connections, server.clone(), secret.clone(), folder.path(), &key)
                .await
            {
                Ok(chat) => break chat,
                Err(error) if error.is_passing() => sleep(PAUSE).await,
                Err(error) => return Err(error.into()),
            }
        };
        let me = chat.me().clone();
        let read = Arc::new(Mutex::new(Read::default()));
        let (orders, mut given) = mpsc::unbounded_channel::<(Order, oneshot::Sender<_>)>();
        let kept = read.clone();
        let task = Handle::current().spawn(async move {
            loop {
                tokio::select! {
                    order = given.recv() => {
                        let Some((order, done)) = order else { return };
                        done.send(carry_out(&mut chat, order).await).ok();
                    }
                    happening = chat.next() => match happening {
                        Ok(Happening::Message(message)) => {
                            let mut read = kept.lock().unwrap();
                            let said = (message.sender, message.text);
                            if read.messages.insert(message.row, said).is_some() {
                                read.twice.insert(message.row);
                            }
                        }
                        Ok(_) => {}
                        // The device was revoked.
                        Err(_) => return,
                    },
                }
            }
        });
        Ok(Self { me, token, folder, key, read, orders, task })
    }

    /// Has somebody do something, and waits until it is done, also if the server
    /// is away in between.
    pub(crate) async fn does(&self, order: Order) -> Result<Option<RoomId>> {
        let (done, result) = oneshot::channel();
        self.orders.send((order, done)).map_err(|_| "nobody is there")?;
        Ok(result.await?.map_err(|error| format!("{}: {error}", self.me.name))?)
    }

    /// Has somebody say something; whoever is cut off says it later.
    pub(crate) async fn says(&self, room: RoomId, text: &str) -> Result<()> {
        self.does(Order::Say(room, text.to_owned())).await.map(drop)
    }

    /// How often this was read, from whomever.
    pub(crate) fn count(&self, text: &str) -> usize {
        let read = self.read.lock().unwrap();
        read.messages.values().filter(|(_, said)| said == text).count()
    }

    pub(crate) fn read_twice(&self) -> usize {
        self.read.lock().unwrap().twice.len()
    }

    /// Ends the chat, and tries its keys on rows as the server has them. Returns
    /// when those that can be read were encrypted, in milliseconds since 1970.
    pub(crate) async fn opens(self, rows: &[Row]) -> Result<Vec<u64>> {
        let Self { me, folder, key, task, .. } = self;
        task.abort();
        drop(task.await);
        let address = Address::new(me.account, me.device);
        let path = folder.path().join("crypto.db");
        let mut machine = Machine::open(&path, &key, &address)?.ok_or("there is no store")?;
        let mut read = Vec::new();
        for row in rows {
            if let Opened::Read(opened) = machine.open_row(row, 0)? {
                read.push(opened.content.sent);
            }
        }
        Ok(read)
    }
}

async fn carry_out(chat: &mut Chat, order: Order) -> Done {
    loop {
        let done = match &order {
            Order::Group(name) => chat.create_group(name).await.map(Some),
            Order::Invite(room, account) => chat.invite(*room, *account).await.map(|()| None),
            Order::Accept(room) => chat.accept(*room).await.map(|()| None),
            Order::Leave(room) => chat.leave(*room).await.map(|()| None),
            Order::Remove(room, account) => chat.remove(*room, *account).await.map(|()| None),
            Order::Say(room, text) => match chat.send(*room, text, None).await {
                // It is on the disk, and is sent when the server is back.
                Ok(_) | Err(ChatError::Kept(_)) => Ok(None),
                Err(error) => Err(error),
            },
        };
        match done {
            Ok(done) => return Ok(done),
            Err(error) if error.is_passing() => sleep(PAUSE).await,
            Err(error) => return Err(error.to_string()),
        }
    }
}
