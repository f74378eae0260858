//! One message, from what it says to the row that the server has.
//!
//! The machine says what is missing, step by step; dropping a send is like a
//! kill, and the next attempt goes on. One at a time in a room, so that what is
//! said keeps its order.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use launcher_core::{
    backoff,
    fault::Fault,
    names::{EventId, RoomId as Room},
};
use launcher_runtime::{
    ports::{
        SendFault,
        journal::{Intake, Stamp},
    },
    stamp,
};
use tokio::time::Instant;
use tracing::{error, warn};

use super::{MessagerSession, locked, modes::First};
use crate::{
    book::Known,
    client::{ClientError, MemberState, Mode},
    crypto::{
        AccountId, Action, Audience, Body, Draft, Fanout, PublicBundle, RoomId, SealedRow,
        SendError, Step,
    },
    faults::{self, passing, refused},
    names,
};

/// Steps of one attempt at most. Devices that come and go all the time make
/// more of them; then it is tried again later.
const STEPS: usize = 40;

/// Accounts whose devices are asked for side by side.
const ASKED_AT_ONCE: usize = 8;

/// The rules that a message breaks whose room became encrypted meanwhile.
const ENCRYPTED: [&str; 2] = ["chat.e2ee_required", "chat.e2ee_payload_required"];

/// How long after its end the word that the agent may not write explains a refusal.
const SILENCED: Duration = Duration::from_secs(60);

/// What is to be said, and how it is called.
#[derive(Clone, Debug)]
pub(super) struct Words {
    pub(super) action: Action,
    pub(super) body: Body,
    pub(super) transaction: String,
}

impl MessagerSession {
    /// Sends something, encrypted if the room is or ever was.
    pub(super) async fn say(&self, room: &Room, words: Words) -> Result<EventId, SendFault> {
        self.check_broken().map_err(|fault| passing(&fault))?;
        let started = Instant::now();
        let id = names::room_of(room).ok_or_else(|| refused("not a room of this network"))?;
        let _turn = self.turns.take(room.as_str()).await;
        let known = self.ask_room(id).await?;
        let event = match known.mode {
            Mode::Plain => self.say_openly(id, words).await?,
            Mode::Direct | Mode::SenderKeys => self.say_sealed(id, known, words).await?,
            Mode::Unknown(mode) => {
                return Err(refused(format!(
                    "the room is encrypted in a way unknown here: {mode}"
                )));
            }
        };
        self.parts.report.count_sent(started.elapsed());
        Ok(event)
    }

    /// Asks about a room that something is to be said in.
    async fn ask_room(&self, room: RoomId) -> Result<Known, SendFault> {
        let known = self.book.ask(&self.parts.client, room).await;
        let known = known.map_err(|error| self.send_fault(&error))?;
        match known.active.contains(&self.address.account) {
            true => Ok(known),
            false => Err(refused("not in this room")),
        }
    }

    /// Sends into a room that the server says is not encrypted.
    async fn say_openly(&self, room: RoomId, words: Words) -> Result<EventId, SendFault> {
        if self.was_encrypted(room).await.map_err(|fault| self.store_fault(fault))? {
            error!(event = "send_refused_plaintext", %room, "the room was encrypted before and the server says that it is not; nothing is sent there");
            return Err(refused("the room was encrypted before and is said to be so no more"));
        }
        self.say_plain(room, &words).await
    }

    async fn say_sealed(
        &self,
        room: RoomId,
        mut known: Known,
        words: Words,
    ) -> Result<EventId, SendFault> {
        // For good, and before anything is sent: whatever the server says tomorrow.
        let first = self.note_encrypted(room, known.mode, self.only_other(&known)).await;
        let mut first = first.map_err(|fault| self.store_fault(fault))?;
        let client_message_id = names::client_message_id(&words.transaction);
        let draft = Draft { room, client_message_id, action: words.action, body: words.body };
        for step in 0..STEPS {
            if step > 0 {
                // The step before took its time: somebody may have left.
                known = self.ask_room(room).await?;
                let seen = self.first_seen(room, known.mode, self.only_other(&known)).await;
                first = seen.map_err(|fault| self.store_fault(fault))?;
            }
            if first.mode != known.mode {
                error!(event = "send_refused_mode", %room, first = ?first.mode, now = ?known.mode, "the room was encrypted in another way before; nothing is sent there");
                return Err(refused("the room was encrypted in another way before"));
            }
            let members: Vec<AccountId> = known.active.iter().copied().collect();
            let judged = self.ledger.judged(&members).await;
            let judged = judged.map_err(|fault| self.store_fault(fault))?;
            let audience = Audience {
                members: known.active.clone(),
                allowed: Some(judged.allowed),
                withheld: judged.withheld,
                is_direct: known.mode == Mode::Direct,
                other: first.other,
            };
            let asked = draft.clone();
            let step =
                self.parts.engine.run(move |machine| machine.send(&asked, &audience, stamp().0));
            let step = step.await.map_err(|fault| self.store_fault(fault))?;
            match step.map_err(|error| self.draft_fault(&error))? {
                Step::LookUp(accounts) => self.ask_for(&accounts, false).await?,
                Step::Claim(accounts) => self.ask_for(&accounts, true).await?,
                Step::Deliver(fanouts) => {
                    for fanout in fanouts {
                        self.give_key(&fanout).await?;
                    }
                }
                Step::Post(row) => return self.post(&row).await,
                Step::Posted(row) => return Ok(names::event(row)),
            }
        }
        let detail = "the devices in the room change all the time".to_owned();
        Err(SendFault::Passing { detail, retry_after: None })
    }

    /// Who is in a room with the agent, if it is one account.
    fn only_other(&self, known: &Known) -> Option<AccountId> {
        let mut others = known.active.iter().filter(|account| **account != self.address.account);
        others.next().copied().filter(|_| others.next().is_none())
    }

    /// Notes for good that a room is encrypted, how, and with whom if it is for
    /// two. Returns what it was first.
    pub(super) async fn note_encrypted(
        &self,
        room: RoomId,
        said: Mode,
        other: Option<AccountId>,
    ) -> Result<First, Fault> {
        locked(&self.encrypted).insert(room);
        let name = names::room(room);
        // Memory knows more than the journal while a reading is under way.
        if !self.parts.journal.was_encrypted(&name).await? {
            let encrypted_rooms = vec![name];
            self.parts.journal.ingest(Intake { encrypted_rooms, ..Intake::default() }).await?;
        }
        self.first_seen(room, said, other).await
    }

    /// Sends envelopes that a message waits for. Others do not go without the
    /// message because the server never takes those of one account: who lacks the
    /// key asks for it.
    async fn give_key(&self, fanout: &Fanout) -> Result<(), SendFault> {
        match self.deliver(fanout).await {
            Ok(()) => Ok(()),
            Err(error @ ClientError::Refused { status: 400 | 413, .. }) => {
                warn!(account = %fanout.account, %error, "envelopes were not taken");
                let fanout = fanout.clone();
                let done = self.parts.engine.ask(move |machine| machine.delivered(&fanout)).await;
                done.map_err(|fault| self.store_fault(fault))
            }
            Err(error) => Err(self.member_fault(&error)),
        }
    }

    async fn ask_for(&self, accounts: &[AccountId], is_claim: bool) -> Result<(), SendFault> {
        let client = &self.parts.client;
        let ask = |account: AccountId| async move {
            let shown = match is_claim {
                true => client.claim(account).await,
                false => client.devices(account).await,
            };
            (account, shown)
        };
        let all: Vec<(AccountId, Result<Vec<PublicBundle>, ClientError>)> =
            stream::iter(accounts.iter().copied())
                .map(ask)
                .buffer_unordered(ASKED_AT_ONCE)
                .collect()
                .await;
        for (account, shown) in all {
            let shown = shown.map_err(|error| self.member_fault(&error))?;
            let taken = self.show_devices(account, shown, is_claim).await;
            taken.map_err(|fault| self.store_fault(fault))?;
        }
        Ok(())
    }

    async fn post(&self, row: &SealedRow) -> Result<EventId, SendFault> {
        let posted = match self.parts.client.post(row).await {
            Ok(posted) => posted,
            Err(error) => return Err(self.post_fault(row.room, &error).await),
        };
        let name = row.client_message_id.clone();
        let noted = self.parts.engine.ask(move |machine| machine.posted(&name, posted)).await;
        noted.map_err(|fault| self.store_fault(fault))?;
        Ok(names::event(posted))
    }

    /// What it means that the server does not take a message. Some refusals pass:
    /// the room is encrypted since it was asked about, or the agent may not
    /// write there for a while.
    pub(super) async fn post_fault(&self, room: RoomId, error: &ClientError) -> SendFault {
        let retry_after = match error {
            ClientError::Refused { .. } if ENCRYPTED.iter().any(|rule| error.is_by(rule)) => None,
            ClientError::Refused { status: 403, .. } => match self.silence(room).await {
                Ok(Some(silence)) => Some(silence),
                Ok(None) | Err(ClientError::Refused { .. }) => return self.send_fault(error),
                // Why it was refused is not known yet.
                Err(error) => return self.send_fault(&error),
            },
            ClientError::Refused { .. }
            | ClientError::Unreachable { .. }
            | ClientError::Nonsense { .. }
            | ClientError::Unauthorized => return self.send_fault(error),
        };
        self.book.forget(room);
        SendFault::Passing { detail: error.to_string(), retry_after }
    }

    /// For how long the agent may not write in a room that it is in. At most so
    /// long as between two tries: the word can be taken back.
    async fn silence(&self, room: RoomId) -> Result<Option<Duration>, ClientError> {
        let members = self.parts.client.members(room).await?;
        let own = members.into_iter().find(|member| {
            member.account == self.address.account && member.state == MemberState::Active
        });
        let Some(until) = own.and_then(|own| own.silent_until) else { return Ok(None) };
        let (until, now) = (Stamp(until), self.server_now());
        // One that ended while the refusal was on its way is not over for long.
        let counts = until.plus(SILENCED) > now;
        Ok(counts.then(|| until.since(now).clamp(backoff::SHORTEST, backoff::LONGEST)))
    }

    /// What a refusal or a silence of the server means for what is sent.
    pub(super) fn send_fault(&self, error: &ClientError) -> SendFault {
        match error {
            ClientError::Refused { .. } => refused(error.to_string()),
            ClientError::Unreachable { .. }
            | ClientError::Nonsense { .. }
            | ClientError::Unauthorized => passing(&self.fault(error)),
        }
    }

    /// What it means for a message that the server says no about one of those whom
    /// it is for. That is no word about the message, which waits.
    fn member_fault(&self, error: &ClientError) -> SendFault {
        match error {
            ClientError::Refused { .. } => {
                SendFault::Passing { detail: error.to_string(), retry_after: None }
            }
            ClientError::Unreachable { .. }
            | ClientError::Nonsense { .. }
            | ClientError::Unauthorized => self.send_fault(error),
        }
    }

    /// What a fault means for what is sent. One of the session ends it, too.
    pub(super) fn store_fault(&self, fault: Fault) -> SendFault {
        let passing = passing(&fault);
        if !matches!(fault, Fault::ServerUnavailable { .. }) {
            self.note_broken(fault);
        }
        passing
    }

    fn draft_fault(&self, error: &SendError) -> SendFault {
        match error {
            SendError::Store(error) => self.store_fault(faults::of_store(error)),
            SendError::NotForTwo { room, members } => {
                warn!(%room, members, "the server names more than two people in a room for two; nothing is sent there");
                refused(error.to_string())
            }
            SendError::NotWith { room, account, other } => {
                warn!(%room, user = %account, before = %other, "the server names somebody else in a room for two; nothing is sent there");
                refused(error.to_string())
            }
            SendError::NotAMember { .. }
            | SendError::TooLong
            | SendError::Name
            | SendError::Taken { .. } => refused(error.to_string()),
        }
    }
}
