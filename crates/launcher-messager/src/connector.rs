//! How a Messager agent comes up.
//!
//! Everything that can go wrong for good is found out before anything is
//! written: the key, whose token it is, and whether store and server mean the
//! same device. A device never gets a second pair of keys.

use std::sync::Arc;

use async_trait::async_trait;
use launcher_core::{
    fault::Fault,
    spec::{AgentSpec, Network},
};
use launcher_runtime::{
    AccountFacts, Report,
    ports::{
        Connector, Memory, Session,
        journal::{Intake, Journal, Life},
    },
    stamp,
};
use tracing::{info, warn};

use crate::{
    client::{Client, ClientError, Connections, Me, Page, Room, TimelineKind},
    crypto::{Address, Machine, Opened, PublicBundle, Published, Refusal},
    engine::{Engine, blocking},
    faults,
    locked::Told,
    moments, names,
    place::Place,
    session::{MessagerSession, Parts, moment_of, position_of, publish},
};

/// Where the journal keeps that a device had keys here; account and name follow.
const DEVICE: &str = "messager/device";

/// Pages of rows in which an earlier life's own are looked for, at most: behind
/// the journal's position, and once more from there.
const PAGES: usize = 20;

/// How far the server's clock may be behind this one, in milliseconds: an hour.
const BEHIND: u64 = 60 * 60 * 1000;

/// Connects agents to Messager servers; one for the whole process.
#[derive(Clone, Debug)]
pub struct MessagerConnector {
    connections: Connections,
    told: Arc<Told>,
}

impl MessagerConnector {
    /// Makes the connections that all agents share.
    ///
    /// # Errors
    ///
    /// When there is no TLS on this computer.
    pub fn new() -> Result<Self, ClientError> {
        Ok(Self::over(Connections::new()?))
    }

    /// What its agents share.
    pub(crate) fn connections(&self) -> Connections {
        self.connections.clone()
    }

    /// The same over connections that others use as well.
    pub fn over(connections: Connections) -> Self {
        Self { connections, told: Arc::default() }
    }
}

#[async_trait]
impl Connector for MessagerConnector {
    async fn connect(
        &self,
        spec: &AgentSpec,
        report: Arc<Report>,
        journal: Arc<dyn Journal>,
    ) -> Result<Arc<dyn Session>, Fault> {
        let token = spec.account.access_token.clone().ok_or_else(|| faults::no_token(spec))?;
        let client = Client::new(&self.connections, spec.account.homeserver.clone(), token);
        let coming = Coming { spec, client, place: Place::of(spec), journal: &journal };
        let found = coming.look().await?;
        // The key is right, so the journal may be touched.
        let life = journal.begin().await?;
        let up = async {
            let engine = coming.open(&found).await?;
            let started = coming.start(engine.clone(), &found, report, self.told.clone()).await;
            if started.is_err() {
                engine.close().await;
            }
            started
        };
        let up = up.await;
        if let Err(fault) = &up {
            rest(&*journal, life, fault).await?;
        }
        Ok(Arc::new(up?))
    }
}

/// Nothing was cut off if only the server was away.
async fn rest(journal: &dyn Journal, life: Life, fault: &Fault) -> Result<(), Fault> {
    match fault {
        Fault::ServerUnavailable { .. } if life.clean => journal.end().await,
        _ => {
            journal.rest().await;
            Ok(())
        }
    }
}

/// An agent that comes up.
struct Coming<'a> {
    spec: &'a AgentSpec,
    client: Client,
    place: Place,
    journal: &'a Arc<dyn Journal>,
}

/// What store and server say, before anything is written.
struct Found {
    /// Whose the store is, if there is one.
    owner: Option<Address>,
    me: Me,
    /// The device that the token is for.
    device: Address,
    /// What the server shows of it.
    shown: Option<PublicBundle>,
}

impl Coming<'_> {
    async fn look(&self) -> Result<Found, Fault> {
        let place = self.place.clone();
        let owner = blocking(move || Machine::owner(&place.path(), &place.key)).await?;
        let owner = owner.map_err(|error| faults::of_opening(&self.place.path(), error))?;
        let me = self.client.me().await.map_err(|error| self.fault(&error))?;
        let shown = self.client.own_bundle(&me).await.map_err(|error| self.fault(&error))?;
        let device = Address::new(me.account, me.device.clone());
        if owner.as_ref() != Some(&device) && shown.is_some() {
            return Err(faults::store_lost(&device));
        }
        Ok(Found { owner, me, device, shown })
    }

    /// Opens the device's store, or makes one for a device that never had keys.
    async fn open(&self, found: &Found) -> Result<Engine, Fault> {
        let device = &found.device;
        let is_new = found.owner.as_ref() != Some(device);
        if is_new && self.had_keys(device).await? {
            return Err(faults::store_lost(device));
        }
        if let Some(owner) = found.owner.clone().filter(|_| is_new) {
            let place = self.place.clone();
            let to = blocking(move || place.retire(&owner)).await??;
            warn!(event = "store_reset", path = %to.display(), "the token is of another device than the crypto store; the store was put aside");
        }
        let (place, device_) = (self.place.clone(), device.clone());
        let open = move || {
            let path = place.path();
            match Machine::open(&path, &place.key, &device_)? {
                Some(machine) => Ok(machine),
                None => Machine::create(&path, &place.key, &device_, stamp().0),
            }
        };
        let machine = blocking(open).await?;
        let mut machine = machine.map_err(|error| faults::of_opening(&self.place.path(), error))?;
        if is_new {
            info!(event = "store_created", path = %self.place.path().display(), device_id = %device.device.as_str().escape_debug(), "made a crypto store");
        }
        let shown = found.shown.clone();
        let checked = blocking(move || {
            let published = machine.published(shown.as_ref());
            published.map(|published| (machine, published))
        });
        let (machine, published) = checked.await?.map_err(|error| faults::of_store(&error))?;
        match published {
            Published::Missing | Published::Ours => {}
            Published::Foreign => return Err(faults::keys_differ(device)),
            Published::Ahead => {
                return Err(faults::rolled_back(
                    device,
                    "the server has keys of a later life of it",
                ));
            }
        }
        self.remember(device).await?;
        Ok(Engine::new(machine))
    }

    /// Whether this device ever had keys here, so that the store with them is
    /// gone, or was put aside when the token was another device's.
    async fn had_keys(&self, device: &Address) -> Result<bool, Fault> {
        if self.journal.recall(&memory_of(device)).await?.is_some() {
            return Ok(true);
        }
        let (place, device) = (self.place.clone(), device.clone());
        blocking(move || place.has_retired(&device)).await?
    }

    async fn remember(&self, device: &Address) -> Result<(), Fault> {
        let key = memory_of(device);
        if self.journal.recall(&key).await?.is_some() {
            return Ok(());
        }
        let value = Some(stamp().0.to_string().into_bytes());
        self.journal.remember(&[Memory { key, value }]).await
    }

    /// Publishes the keys and finds out where to read from.
    async fn start(
        &self,
        engine: Engine,
        found: &Found,
        report: Arc<Report>,
        told: Arc<Told>,
    ) -> Result<MessagerSession, Fault> {
        let ed25519 = engine.run(|machine| machine.ed25519()).await?;
        report.set_facts(AccountFacts {
            network: Network::Messager,
            user_id: Some(found.me.account.to_string()),
            device_id: Some(found.device.device.as_str().to_owned()),
            ed25519: Some(ed25519),
            ..AccountFacts::default()
        });
        let place = self.place.clone();
        report.set_resets(blocking(move || place.retired()).await??);
        self.look_for_others(&engine, &found.device).await?;
        publish(&engine, &self.client).await?.map_err(|error| self.fault(&error))?;
        let rooms = self.rooms().await?;
        let encrypted = rooms.iter().filter(|room| room.mode.is_encrypted());
        let encrypted_rooms = encrypted.map(|room| names::room(room.id)).collect();
        let position = self.first_position().await?;
        self.journal.ingest(Intake { position, encrypted_rooms, ..Intake::default() }).await?;
        report.synced();
        MessagerSession::start(Parts {
            spec: self.spec.clone(),
            client: self.client.clone(),
            me: found.me.clone(),
            engine,
            report,
            journal: self.journal.clone(),
            told,
        })
        .await
    }

    /// The rooms that the agent is in. If the server says nothing of use, none:
    /// each is asked about when something is read or sent there.
    async fn rooms(&self) -> Result<Vec<Room>, Fault> {
        match self.client.rooms().await {
            Err(error @ ClientError::Nonsense { .. }) => {
                warn!(%error, "the agent's rooms cannot be read");
                Ok(Vec::new())
            }
            rooms => rooms.map_err(|error| self.fault(&error)),
        }
    }

    /// Looks at what the device itself has sent since the journal's position, and
    /// since the store last wrote something: the store alone may have been put
    /// back. A row that it does not know was sent by a later life of it, before it
    /// was restored, or by a copy.
    async fn look_for_others(&self, engine: &Engine, device: &Address) -> Result<(), Fault> {
        let position = self.journal.position().await?;
        let Some(read) = position.as_deref().and_then(moment_of) else { return Ok(()) };
        let written = match engine.ask(|machine| machine.last_written()).await? {
            Some(written) => written,
            None => self.had_keys_since(device).await?.unwrap_or(read),
        };
        let mut since = 0;
        for from in [written.saturating_sub(BEHIND).min(read), read] {
            since = from.max(since);
            for _ in 0..PAGES {
                let page = match self.client.sync_all(since).await {
                    Ok(page) => page,
                    // A server that wants to hide rows need not go to such lengths.
                    Err(error @ ClientError::Nonsense { .. }) => {
                        warn!(%error, "what the agent wrote before cannot be read");
                        break;
                    }
                    Err(error) => return Err(self.fault(&error)),
                };
                since = page.position;
                let is_last = page.is_last;
                self.look_for_own(engine, device, page).await?;
                if is_last {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn look_for_own(
        &self,
        engine: &Engine,
        device: &Address,
        page: Page,
    ) -> Result<(), Fault> {
        for row in page.rows {
            let TimelineKind::Encrypted(row) = row.kind else { continue };
            if row.sender != device.account {
                continue;
            }
            let opened = engine.ask(move |machine| machine.open_row(&row, stamp().0)).await?;
            if matches!(opened, Opened::Refused(Refusal::NotOurs)) {
                let detail = "it has sent messages that they do not know";
                return Err(faults::rolled_back(device, detail));
            }
        }
        Ok(())
    }

    /// Since when the device has had keys here, in milliseconds since 1970.
    async fn had_keys_since(&self, device: &Address) -> Result<Option<u64>, Fault> {
        let kept = self.journal.recall(&memory_of(device)).await?;
        Ok(kept.and_then(|kept| str::from_utf8(&kept).ok()?.parse().ok()))
    }

    /// Now, by the server's clock, for an agent that never read anything: what
    /// was said before it came is history.
    async fn first_position(&self) -> Result<Option<String>, Fault> {
        let position = self.journal.position().await?;
        if position.as_deref().and_then(moment_of).is_some() {
            return Ok(None);
        }
        let now = self.client.newest().await.map_err(|error| self.fault(&error))?;
        Ok(Some(position_of(moments::first(now, stamp().0))))
    }

    fn fault(&self, error: &ClientError) -> Fault {
        faults::of_client(self.spec, error)
    }
}

/// Where the journal keeps since when a device has had keys here.
fn memory_of(device: &Address) -> String {
    format!("{DEVICE}/{}/{}", device.account, device.device.as_str())
}
