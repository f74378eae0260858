//! Trust and verification of an agent that runs.
//!
//! Whoever is verified has to be able to read what that takes, even if they may
//! not have the agent's keys: verification events are encrypted like everything
//! else in their room. So while an operator verifies somebody, what the SDK
//! sends for that is sent alone ([`MatrixSession::confiding`]): the devices
//! that the other user has signed are let in, nothing else is said meanwhile,
//! and the room's next message begins a new session, since somebody has this
//! one who must not.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::{Future, IntoFuture},
    sync::{PoisonError, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use launcher_core::{
    fault::Fault,
    names::{RoomId as Room, UserId},
    trust::{Method, Order, UnderWay, UserRecord},
};
use launcher_runtime::{
    ports::trust::{Partner, Stage, Trust, TrustError, Verification, VerificationAnswer},
    stamp,
};
use matrix_sdk::{
    Client, RoomMemberships, encryption::verification::VerificationRequest, ruma,
    ruma::events::key::verification::VerificationMethod, sync::RoomUpdates,
};
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::{info, warn};

use super::{Live, MatrixSession, Reading};
use crate::{
    errors, feed,
    verification::{
        Proven,
        dangling::{Request, Requests},
        refused,
    },
};

/// What is asked of others.
const METHODS: [VerificationMethod; 3] = [
    VerificationMethod::SasV1,
    VerificationMethod::QrCodeShowV1,
    VerificationMethod::ReciprocateV1,
];

#[async_trait]
impl Trust for MatrixSession {
    async fn users(&self) -> Result<Vec<UserRecord>, TrustError> {
        Ok(self.ledger.users().await?)
    }

    async fn decide(&self, user: &UserId, order: &Order) -> Result<UserRecord, TrustError> {
        self.serve_trust(async {
            let own = user.as_str() == self.parts.spec.account.user_id;
            if own && !matches!(order, Order::Block(_)) {
                return Err(refused(
                    "the agent's own devices are trusted by its account's signature alone",
                    format!("`launcher verify {} --with {user}` signs one", self.parts.spec.id),
                ));
            }
            let live = self.live().await?;
            let record = self.ledger.decide(&live.client, user, order).await?;
            drop(live);
            // Messages that wait because of the user are looked at again, now.
            self.hurry(user);
            Ok(record)
        })
        .await
    }

    async fn verifications(&self) -> Vec<Verification> {
        self.verifications.all().await
    }

    async fn begin_verification(
        &self,
        with: &Partner,
        method: Method,
    ) -> Result<Verification, TrustError> {
        self.serve_trust(async {
            let live = self.live().await?;
            let number = match self.verifications.requested_by(&with.user).await {
                Some(number) => {
                    self.ledger.begin_verifying(&with.user).await?;
                    self.verifications.take_up(number, method).await;
                    number
                }
                // One that an operator has lost sight of is taken up again where it is.
                None => match self.verifications.under_way_with(&with.user).await {
                    Some(number) => number,
                    None => self.ask(&live, with, method).await?,
                },
            };
            self.advance_verifications(&live).await?;
            // The next reading knows when it has taken too long.
            self.stir();
            self.verifications.get(number, 0, Duration::ZERO).await
        })
        .await
    }

    async fn verification(
        &self,
        number: u64,
        after: u64,
        wait: Duration,
    ) -> Result<Verification, TrustError> {
        self.verifications.get(number, after, wait).await
    }

    async fn answer_verification(
        &self,
        number: u64,
        answer: VerificationAnswer,
    ) -> Result<Verification, TrustError> {
        self.serve_trust(async {
            let live = self.live().await?;
            let answered = self.verifications.answer(number, answer);
            self.confiding(&live.client, None, answered).await??;
            self.advance_verifications(&live).await?;
            self.verifications.get(number, 0, Duration::ZERO).await
        })
        .await
    }
}

/// A sync that somebody else than the agent's own reading has begun. One that is
/// cut off leaves what it was about to decrypt half done, and only another life
/// of the agent mends that.
struct BegunSync<'a> {
    session: &'a MatrixSession,
    is_over: bool,
}

impl BegunSync<'_> {
    fn over(mut self) {
        self.is_over = true;
    }
}

impl Drop for BegunSync<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.session.cut_off.store(true, Ordering::SeqCst);
            let detail = "an operator went away in the middle of a sync".to_owned();
            self.session.note_broken(Fault::StoreFailed { detail });
        }
    }
}

impl MatrixSession {
    /// Does what an operator wants, unless the agent lets go before it is done.
    async fn serve_trust<T>(
        &self,
        work: impl Future<Output = Result<T, TrustError>> + Send,
    ) -> Result<T, TrustError> {
        self.serving.work(work).await.unwrap_or_else(|| {
            Err(refused("the agent is stopping", "repeat the command when it runs again"))
        })
    }

    /// Asks somebody to verify the agent; returns the flow's number.
    async fn ask(&self, live: &Live, with: &Partner, method: Method) -> Result<u64, TrustError> {
        // A kill from here on is one of two things for the next life: what was sent is
        // in the ledger, or the journal's position stands before it.
        let mut reading = self.reading.lock().await;
        // The SDK forgets what is over when it syncs, and what it knows of stands in the way.
        self.sync_now(live, &mut reading).await?;
        let client = &live.client;
        let invalid = |error: &dyn std::fmt::Display| {
            refused(format!("{} is no user id: {error}", with.user), "write it like @user:server")
        };
        let id = ruma::UserId::parse(with.user.as_str()).map_err(|error| invalid(&error))?;
        let own = client.user_id() == Some(&*id);
        self.ledger.begin_verifying(&with.user).await?;
        let asked = match (own, &with.device) {
            (true, Some(device)) => {
                let device_id = ruma::OwnedDeviceId::from(device.as_str());
                let found = client.encryption().get_device(&id, &device_id).await;
                let found =
                    found.map_err(|error| Fault::StoreFailed { detail: error.to_string() })?;
                let found = found.ok_or_else(|| {
                    refused(
                        format!("the account has no device {device}"),
                        format!("`launcher devices {}` lists them", self.parts.spec.id),
                    )
                })?;
                found.request_verification_with_methods(METHODS.to_vec()).await
            }
            (false, Some(_)) => {
                return Err(refused(
                    "only a device of the agent's own account can be asked by itself",
                    "leave --device out: another user's identity covers all their devices",
                ));
            }
            (_, None) => {
                let identity = client.encryption().request_user_identity(&id).await;
                let identity = identity.map_err(|error| self.unreachable(&error))?;
                let identity = identity.ok_or_else(|| {
                    refused(
                        format!(
                            "{id} has no cross-signing identity, so there is nothing to verify"
                        ),
                        "ask them to set up encryption in their client; or approve a device with \
                         `launcher trust`",
                    )
                })?;
                if !own {
                    self.prepare_direct_chat(live, &mut reading, &id).await?;
                }
                let request = identity.request_verification_with_methods(METHODS.to_vec());
                let request = async {
                    request.await.map_err(|error| match error {
                        matrix_sdk::encryption::identities::RequestVerificationError::Sdk(
                            error,
                        ) => error,
                        other => matrix_sdk::Error::UnknownError(other.to_string().into()),
                    })
                };
                self.confiding(client, Some(&with.user), request).await?
            }
        };
        let request = asked.map_err(|error| self.unreachable(&error))?;
        let number = self.verifications.add(request, Some(method)).await.number;
        self.ledger.note_under_way(&self.verifications.under_way().await).await?;
        Ok(number)
    }

    fn unreachable(&self, error: &matrix_sdk::Error) -> TrustError {
        errors::fault(&self.parts.spec.account, error).into()
    }

    /// Has the SDK find the direct chat with a user, if there is one: it goes
    /// by what the account calls direct, and an agent calls nothing so.
    async fn prepare_direct_chat(
        &self,
        live: &Live,
        reading: &mut Reading,
        user: &ruma::UserId,
    ) -> Result<(), TrustError> {
        let client = &live.client;
        self.unmark_left_chats(live, reading, user).await?;
        let mut direct = client.get_dm_room(user);
        if direct.is_none() {
            for room in client.joined_rooms() {
                if room.active_members_count() != 2 {
                    continue;
                }
                let members = room.members(RoomMemberships::ACTIVE).await;
                let members = members.map_err(|error| self.unreachable(&error))?;
                if members.len() == 2 && members.iter().any(|member| member.user_id() == user) {
                    room.set_is_direct(true).await.map_err(|error| self.unreachable(&error))?;
                    // The SDK takes it from what the server sends.
                    self.sync_now(live, reading).await?;
                    direct = Some(room);
                    break;
                }
            }
        }
        let Some(room) = direct else { return Ok(()) };
        let encryption = room.latest_encryption_state().await;
        let encryption = encryption.map_err(|error| self.unreachable(&error))?;
        let id = Room::new(room.room_id().as_str());
        if !encryption.is_encrypted() && self.parts.journal.was_encrypted(&id).await? {
            return Err(refused(
                format!("{id} was encrypted before, and the server says that it is not"),
                "leave that room, and write to the user from a new one",
            ));
        }
        Ok(())
    }

    /// Calls chats that the user has left direct no more: the SDK would ask them
    /// there, and nobody would read it.
    async fn unmark_left_chats(
        &self,
        live: &Live,
        reading: &mut Reading,
        user: &ruma::UserId,
    ) -> Result<(), TrustError> {
        let rooms: Vec<_> = live.client.get_dm_rooms(user).collect();
        for room in rooms {
            let members = room.members(RoomMemberships::ACTIVE).await;
            let members = members.map_err(|error| self.unreachable(&error))?;
            if !members.iter().any(|member| member.user_id() == user) {
                room.set_is_direct(false).await.map_err(|error| self.unreachable(&error))?;
                self.sync_now(live, reading).await?;
            }
        }
        Ok(())
    }

    /// Has the SDK read what the server has. What it brings is read once more, for
    /// the journal.
    pub(super) async fn sync_now(&self, live: &Live, reading: &mut Reading) -> Result<(), Fault> {
        // Whatever becomes of this, the next reading looks from the journal's position.
        self.position().behind = true;
        self.stir();
        let begun = BegunSync { session: self, is_over: false };
        let synced = self.sync(live).await;
        begun.over();
        if let Err(fault) = &synced
            && !matches!(fault, Fault::ServerUnavailable { .. })
        {
            self.note_broken(fault.clone());
        }
        let (updates, _) = synced?;
        reading.waiting.try_all(stamp());
        for (sender, flow) in requests(&updates, &self.parts.spec.account.user_id) {
            self.on_request(&live.client, &sender, &flow).await;
        }
        Ok(())
    }

    /// Sends what a verification needs; what the SDK sends by itself, too. While
    /// nobody is verified this is an ordinary send.
    pub(super) async fn confiding<T>(
        &self,
        client: &Client,
        with: Option<&UserId>,
        work: impl Future<Output = T> + Send,
    ) -> Result<T, Fault> {
        if with.is_none() && !self.verifications.is_busy().await {
            let _side_by_side = self.sending.read().await;
            return Ok(work.await);
        }
        // In one room nothing is sent side by side: see `launcher_runtime`'s lines.
        let _alone = self.sending.write().await;
        let partners = self.verifications.partners().into_iter().chain(with.cloned());
        let partners = self.ledger.outsiders(partners);
        let mut let_in = Ok(());
        for user in &partners {
            let_in = let_in.and(self.ledger.let_in(client, user, true).await);
        }
        let done = work.await;
        for user in &partners {
            let_in = let_in.and(self.ledger.let_in(client, user, false).await);
        }
        let_in.map(|()| done)
    }

    /// Takes in verification requests that arrived, and goes on with those that
    /// are under way.
    pub(super) async fn follow_verifications(
        &self,
        live: &Live,
        updates: &[RoomUpdates],
    ) -> Result<(), Fault> {
        for (sender, flow) in requests(updates, &self.parts.spec.account.user_id) {
            self.on_request(&live.client, &sender, &flow).await;
        }
        self.advance_verifications(live).await
    }

    /// Takes in a request, or declines it.
    pub(super) async fn on_request(&self, client: &Client, sender: &str, flow: &str) {
        let Ok(id) = ruma::UserId::parse(sender) else { return };
        // Without one it is too old, or from a device that nobody knows.
        let request = client.encryption().get_verification_request(&id, flow).await;
        let Some(request) = request.filter(|request| !request.we_started()) else { return };
        let user = UserId::new(sender);
        let own = client.user_id() == Some(&*id);
        if !self.is_sound(client, request.room_id()).await {
            self.give_up_client();
            return;
        }
        if !own && !self.accepts_verification(&user).await {
            if self.verifications.may_decline(&user).await {
                info!(event = "verification_declined", %user, "verification.accept_from does not name them, or they are blocked");
                let _alone = self.sending.write().await;
                decline(&request).await;
            }
            return;
        }
        if !self.verifications.has_room().await {
            return;
        }
        let added = self.verifications.add(request, None).await;
        if added.stage == Stage::Requested {
            warn!(
                event = "verification_requested",
                %user,
                action = format!("launcher verify {} --with {user}", self.parts.spec.id),
                "somebody asks to verify the agent"
            );
        }
    }

    async fn accepts_verification(&self, user: &UserId) -> bool {
        let policy = &self.parts.spec.verification;
        launcher_core::invite::matches(&policy.accept_from, user)
            && self.ledger.begin_verifying(user).await.is_ok()
    }

    /// Takes each verification one step further, and writes down what came of it.
    pub(super) async fn advance_verifications(&self, live: &Live) -> Result<(), Fault> {
        let client = &live.client;
        if !self.verifications.is_busy().await {
            return Ok(());
        }
        let rooms = self.verifications.under_way().await.into_values();
        let mut unsound = BTreeSet::new();
        for room in rooms.filter_map(|flow| flow.room) {
            let id = ruma::RoomId::parse(room.as_str()).ok();
            if !self.is_sound(client, id.as_deref()).await {
                unsound.insert(room);
            }
        }
        if !unsound.is_empty() {
            self.verifications.drop_unsound(&unsound).await;
            self.give_up_client();
        }
        let timeout = self.parts.spec.verification.timeout;
        let advanced = self.confiding(client, None, self.verifications.advance(timeout)).await?;
        for Proven { number, user, master_key, method } in &advanced.verified {
            let own = client.user_id().is_some_and(|own| own.as_str() == user.as_str());
            let counts = own || self.ledger.set_verified(client, user, master_key, *method).await?;
            self.verifications.finish(*number, counts).await;
            if counts {
                self.hurry(user);
            }
        }
        self.ledger.note_under_way(&self.verifications.under_way().await).await?;
        let mut position = self.position();
        position.last_use = Instant::now();
        Ok(())
    }

    /// Calls off what an earlier life left: its end of it is gone.
    pub(super) async fn call_off_leftovers(&self, client: &Client) -> Result<(), Fault> {
        for (user, left) in self.ledger.under_way().await {
            self.try_call_off(client, &user, &left).await;
        }
        self.ledger.note_under_way(&BTreeMap::new()).await
    }

    /// Calls off what a former life was killed over before it wrote it down.
    pub(super) async fn call_off_dangling(&self, client: &Client, requests: Requests<'_>) {
        for request in requests.open() {
            let Request { user, left, by_us } = &request;
            if self.verifications.knows(user, &left.flow).await {
                continue;
            }
            // Whom the agent would not have let ask was declined, or is passed over.
            if *by_us || self.accepts_verification(user).await {
                self.try_call_off(client, user, left).await;
            }
        }
    }

    async fn try_call_off(&self, client: &Client, user: &UserId, left: &UnderWay) {
        match self.call_off(client, user, left).await {
            Ok(()) => {
                info!(event = "verification_cancelled", %user, by_us = true, code = "m.user", "called off a verification that a former life left");
            }
            Err(error) => {
                warn!(%user, error, "a verification that a former life left could not be called off");
            }
        }
    }

    async fn call_off(
        &self,
        client: &Client,
        user: &UserId,
        left: &UnderWay,
    ) -> Result<(), String> {
        let cancel = json!({ "code": "m.user", "reason": "the agent was started again" });
        let Some(room) = &left.room else {
            let mut content = cancel;
            content["transaction_id"] = json!(left.flow);
            let device = left.device.as_ref().map_or("*", |device| device.as_str());
            let login = self.login();
            let token = login.access_token.expose();
            let transaction = format!("call-off-{}", stamp().0);
            let sent = self.parts.rest.send_to_device(
                token,
                "m.key.verification.cancel",
                user.as_str(),
                device,
                &content,
                &transaction,
            );
            return sent.await.map_err(|error| error.to_string());
        };
        let id = ruma::RoomId::parse(room.as_str()).map_err(|error| error.to_string())?;
        let found = client.get_room(&id).ok_or("the agent is not in that room any more")?;
        let encryption = found.latest_encryption_state().await.map_err(|e| e.to_string())?;
        let was_encrypted = self.parts.journal.was_encrypted(room).await;
        if !encryption.is_encrypted() && was_encrypted.map_err(|fault| fault.to_string())? {
            return Err("the room was encrypted before".to_owned());
        }
        let mut content = cancel;
        content["m.relates_to"] = json!({ "rel_type": "m.reference", "event_id": left.flow });
        let members = found.members(RoomMemberships::ACTIVE).await.map_err(|e| e.to_string())?;
        let members: Vec<UserId> =
            members.iter().map(|member| UserId::new(member.user_id().as_str())).collect();
        let ledger = &self.ledger;
        ledger.prepare(client, &members).await.map_err(|fault| fault.to_string())?;
        let send = found.send_raw("m.key.verification.cancel", content).into_future();
        let sent = self.confiding(client, Some(user), send).await;
        sent.map_err(|fault| fault.to_string())?.map(drop).map_err(|error| error.to_string())
    }

    /// Whether what is sent into a room is encrypted if it ever was. `None` is no
    /// room, but something between devices.
    async fn is_sound(&self, client: &Client, room: Option<&ruma::RoomId>) -> bool {
        let Some(room) = room else { return true };
        let Some(found) = client.get_room(room) else { return false };
        let encryption = found.latest_encryption_state().await;
        if encryption.is_ok_and(|encryption| encryption.is_encrypted()) {
            return true;
        }
        let was_encrypted = self.parts.journal.was_encrypted(&Room::new(room.as_str())).await;
        was_encrypted.is_ok_and(|was_encrypted| !was_encrypted)
    }

    /// Ends the session, so that the next one has another client: this one would
    /// call off by itself what it knows of, in a room that is said to be in the clear.
    fn give_up_client(&self) {
        let detail = "a verification in a room that was encrypted and is said to be so no more";
        let fault = Fault::StoreFailed { detail: detail.to_owned() };
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        self.broke.notify_one();
    }

    /// Has messages of this user that wait looked at again.
    pub(super) fn hurry(&self, user: &UserId) {
        self.lock_hurried().insert(user.clone());
        self.stir();
    }
}

async fn decline(request: &VerificationRequest) {
    if let Err(error) = request.cancel().await {
        warn!(user = %request.other_user_id(), %error, "declining a verification failed");
    }
}

/// The requests to `own` in what the SDK read in rooms: who asks, and the flow's
/// id. In a group they can be meant for somebody else.
fn requests(updates: &[RoomUpdates], own: &str) -> Vec<(String, String)> {
    let events = updates
        .iter()
        .flat_map(|update| update.joined.values())
        .flat_map(|room| &room.timeline.events);
    let request = |event: &Value| {
        let is_request = event["type"] == "m.room.message"
            && event["content"]["msgtype"] == "m.key.verification.request"
            && event["content"]["to"] == own;
        let sender = event["sender"].as_str()?;
        is_request.then(|| Some((sender.to_owned(), feed::event_id(event)?.to_owned())))?
    };
    events
        .filter_map(|event| serde_json::from_str::<Value>(event.raw().json().get()).ok())
        .filter_map(|event| request(&event))
        .collect()
}

/// A request among the to-device events: who asks, and the flow's id.
pub(super) fn to_device_request(event: &Value) -> Option<(String, String)> {
    let sender = event["sender"].as_str().filter(|_| event["type"] == "m.key.verification.request");
    Some((sender?.to_owned(), event["content"]["transaction_id"].as_str()?.to_owned()))
}
