//! Interactive verification: what is under way, and the next step of each.
//!
//! The SDK keeps the state of a verification in memory, as it must: it is over
//! when the process ends. Nothing here runs by itself. After each reading, and
//! after each word of an operator, every flow is looked at and taken one step
//! further ([`Verifications::advance`]).
//!
//! A flow holds on to the SDK's client. Whoever lets the client go ends the
//! flows first ([`Verifications::abandon`]).

pub(crate) mod dangling;
mod step;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::PoisonError,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use launcher_core::{
    names::{RoomId, UserId},
    trust::{Method, UnderWay},
};
use launcher_runtime::{
    ports::{
        journal::Stamp,
        trust::{Stage, TrustError, Verification, VerificationAnswer},
    },
    stamp,
};
use matrix_sdk::encryption::verification::{Verification as SdkVerification, VerificationRequest};
use tokio::{
    sync::{Mutex, Notify},
    time::Instant,
};
use tracing::{info, warn};

/// Flows that have ended and are still shown at most.
const ENDED: usize = 20;

/// Flows that are under way at most.
const UNDER_WAY: usize = 50;

/// How long the other sides are told when everything ends.
const TO_TELL: Duration = Duration::from_secs(5);

/// How many requests of one user are declined in [`DECLINES_FOR`].
const DECLINES: usize = 3;

/// How long a request that was declined counts.
const DECLINES_FOR: Duration = Duration::from_secs(3_600);

/// The verifications of one agent.
#[derive(Default)]
pub(crate) struct Verifications {
    flows: Mutex<Flows>,
    changed: Notify,
    /// Whom flows are under way with that an operator has taken up.
    partners: std::sync::Mutex<BTreeSet<UserId>>,
}

#[derive(Default)]
struct Flows {
    all: BTreeMap<u64, Flow>,
    count: u64,
    /// Who was declined lately.
    declined: Vec<(UserId, Instant)>,
}

/// One verification.
struct Flow {
    /// The request's event id or transaction id.
    id: String,
    shown: Verification,
    /// The SDK's end of it, until it has ended.
    request: Option<VerificationRequest>,
    /// How the operator wants to go on, once one has taken it up.
    method: Option<Method>,
    /// What the request turned into.
    verification: Option<SdkVerification>,
}

/// A comparison that both sides have finished.
#[derive(Debug)]
pub(crate) struct Proven {
    pub(crate) number: u64,
    pub(crate) user: UserId,
    /// The public master key of the identity that was compared.
    pub(crate) master_key: String,
    pub(crate) method: Method,
}

/// What a step led to.
#[derive(Debug, Default)]
pub(crate) struct Advanced {
    /// Whose identities were verified.
    pub(crate) verified: Vec<Proven>,
}

impl Verifications {
    /// Takes in a request that the SDK knows of, or that was just made. Returns
    /// the flow, which may be there already.
    pub(crate) async fn add(
        &self,
        request: VerificationRequest,
        method: Option<Method>,
    ) -> Verification {
        let mut flows = self.flows.lock().await;
        let known = flows.all.values_mut().find(|flow| {
            flow.request.as_ref().is_some_and(|known| known.flow_id() == request.flow_id())
        });
        if let Some(flow) = known {
            flow.method = flow.method.or(method);
            return flow.shown.clone();
        }
        flows.count += 1;
        let stage = if method.is_some() { Stage::Waiting } else { Stage::Requested };
        let shown = Verification {
            number: flows.count,
            user: UserId::new(request.other_user_id().as_str()),
            device: None,
            we_asked: request.we_started(),
            began: stamp().0,
            revision: 1,
            stage,
        };
        let (id, request) = (request.flow_id().to_owned(), Some(request));
        let flow = Flow { id, shown: shown.clone(), request, method, verification: None };
        flows.all.insert(shown.number, flow);
        self.show(&flows);
        shown
    }

    /// The flow with this user that an operator has yet to take up, if there is one.
    pub(crate) async fn requested_by(&self, user: &UserId) -> Option<u64> {
        let flows = self.flows.lock().await;
        let waits = |flow: &&Flow| flow.shown.user == *user && flow.shown.stage == Stage::Requested;
        flows.all.values().find(waits).map(|flow| flow.shown.number)
    }

    /// The flow with this user that is under way, if there is one.
    pub(crate) async fn under_way_with(&self, user: &UserId) -> Option<u64> {
        let flows = self.flows.lock().await;
        let is_it = |flow: &&Flow| flow.shown.user == *user && flow.request.is_some();
        flows.all.values().find(is_it).map(|flow| flow.shown.number)
    }

    /// Whether this life knows of a flow, ended or not.
    pub(crate) async fn knows(&self, user: &UserId, flow: &str) -> bool {
        let flows = self.flows.lock().await;
        flows.all.values().any(|known| known.shown.user == *user && known.id == flow)
    }

    /// Notes that an operator wants to go on with a flow.
    pub(crate) async fn take_up(&self, number: u64, method: Method) {
        let mut flows = self.flows.lock().await;
        if let Some(flow) = flows.all.get_mut(&number) {
            flow.method = Some(method);
        }
        self.show(&flows);
    }

    /// All flows, oldest first.
    pub(crate) async fn all(&self) -> Vec<Verification> {
        self.flows.lock().await.all.values().map(|flow| flow.shown.clone()).collect()
    }

    /// A flow, as soon as its revision is above `after` or `wait` is over.
    pub(crate) async fn get(
        &self,
        number: u64,
        after: u64,
        wait: Duration,
    ) -> Result<Verification, TrustError> {
        let end = Instant::now() + wait;
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let found = self.flows.lock().await.all.get(&number).map(|flow| flow.shown.clone());
            let found = found.ok_or_else(|| unknown(number))?;
            let waited = found.revision > after || Instant::now() >= end;
            if waited || tokio::time::timeout_at(end, changed).await.is_err() {
                return Ok(found);
            }
        }
    }

    /// Does what an operator says to a flow.
    pub(crate) async fn answer(
        &self,
        number: u64,
        answer: VerificationAnswer,
    ) -> Result<(), TrustError> {
        let mut flows = self.flows.lock().await;
        let flow = flows.all.get_mut(&number).ok_or_else(|| unknown(number))?;
        let Some(request) = &flow.request else {
            return Err(refused("the verification is over", "begin a new one"));
        };
        if let Err(error) = step::answer(request, &flow.shown.stage, answer).await? {
            // The SDK has gone on as if it had been sent.
            let reason = format!("it could not be sent: {error}");
            flow.shown.stage = step::call_off(request, "m.user", &reason).await;
            flow.shown.revision += 1;
            (flow.request, flow.verification) = (None, None);
            self.show(&flows);
            self.changed.notify_waiters();
        }
        Ok(())
    }

    /// Takes every flow one step further; calls off those that took too long.
    pub(crate) async fn advance(&self, timeout: Duration) -> Advanced {
        let mut advanced = Advanced::default();
        let mut flows = self.flows.lock().await;
        for flow in flows.all.values_mut() {
            let Some(request) = &flow.request else { continue };
            let is_over = request.is_done() || request.is_cancelled();
            let is_late = stamp().since(Stamp(flow.shown.began)) >= timeout;
            flow.verification = step::verification(request).or(flow.verification.take());
            let stage = match is_late && !is_over {
                true => step::call_off(request, "m.timeout", "it took too long").await,
                false => {
                    let known = flow.verification.as_ref();
                    step::next(request, known, flow.method, &flow.shown.stage).await
                }
            };
            flow.shown.device = step::other_device(request).or(flow.shown.device.take());
            if stage == flow.shown.stage {
                continue;
            }
            let proven = flow.verification.as_ref().and_then(step::proven);
            if let (Stage::Done, Some((master_key, method))) = (&stage, proven) {
                // It is done when it is in the ledger.
                let (number, user) = (flow.shown.number, flow.shown.user.clone());
                advanced.verified.push(Proven { number, user, master_key, method });
                continue;
            }
            flow.shown.stage = stage;
            flow.shown.revision += 1;
            let user = flow.shown.user.clone();
            match &flow.shown.stage {
                Stage::Done => {
                    info!(event = "verification_done", %user, "verified each other");
                }
                Stage::Cancelled { by_us, code, reason } => {
                    warn!(event = "verification_cancelled", %user, by_us, code, reason, "a verification ended without a result");
                }
                Stage::Requested
                | Stage::Waiting
                | Stage::Emojis(_)
                | Stage::Code(_)
                | Stage::Scanned
                | Stage::Confirmed => continue,
            }
            flow.request = None;
            flow.verification = None;
        }
        self.forget_old(&mut flows);
        self.show(&flows);
        self.changed.notify_waiters();
        advanced
    }

    /// Ends a flow whose comparison is finished. `counts` says whether it is in
    /// the ledger: the identity may be another one by now.
    pub(crate) async fn finish(&self, number: u64, counts: bool) {
        let mut flows = self.flows.lock().await;
        if let Some(flow) = flows.all.get_mut(&number) {
            (flow.request, flow.verification) = (None, None);
            flow.shown.revision += 1;
            let user = &flow.shown.user;
            flow.shown.stage = if counts {
                info!(event = "verification_done", %user, "verified each other");
                Stage::Done
            } else {
                let reason = "their identity is another one than the one that was compared";
                warn!(event = "verification_cancelled", %user, by_us = true, code = "m.key_mismatch", reason, "a verification ended without a result");
                Stage::Cancelled {
                    by_us: true,
                    code: "m.key_mismatch".to_owned(),
                    reason: reason.to_owned(),
                }
            };
        }
        self.show(&flows);
        self.changed.notify_waiters();
    }

    /// Ends all flows: their client goes away. Returns those whose other side
    /// could not be told in time.
    pub(crate) async fn abandon(&self) -> BTreeMap<UserId, UnderWay> {
        let mut flows = self.flows.lock().await;
        let mut untold = BTreeMap::new();
        let mut telling = FuturesUnordered::new();
        for flow in flows.all.values_mut() {
            flow.verification = None;
            let Some(under_way) = under_way(flow) else { continue };
            let Some(request) = flow.request.take() else { continue };
            let user = flow.shown.user.clone();
            untold.insert(user.clone(), under_way);
            flow.shown.stage = Stage::Cancelled {
                by_us: true,
                code: "m.user".to_owned(),
                reason: "the agent's session ended".to_owned(),
            };
            flow.shown.revision += 1;
            telling.push(async move { (user, request.cancel().await.is_ok()) });
        }
        let end = Instant::now() + TO_TELL;
        while let Ok(Some((user, told))) = tokio::time::timeout_at(end, telling.next()).await {
            if told {
                untold.remove(&user);
            }
        }
        drop(telling);
        self.show(&flows);
        self.changed.notify_waiters();
        untold
    }

    /// Ends the flows in these rooms, and tells nobody:
    /// what is sent there could go out in the clear.
    pub(crate) async fn drop_unsound(&self, unsound: &BTreeSet<RoomId>) {
        let mut flows = self.flows.lock().await;
        for flow in flows.all.values_mut() {
            let room = flow.request.as_ref().and_then(|request| request.room_id());
            if !room.is_some_and(|room| unsound.contains(&RoomId::new(room.as_str()))) {
                continue;
            }
            (flow.request, flow.verification) = (None, None);
            flow.shown.stage = Stage::Cancelled {
                by_us: true,
                code: "m.user".to_owned(),
                reason: "the room was encrypted before, and the server says that it is not"
                    .to_owned(),
            };
            flow.shown.revision += 1;
        }
        self.show(&flows);
        self.changed.notify_waiters();
    }

    /// Whether one more request of this user may be declined; those of somebody
    /// who asks again and again are passed over.
    pub(crate) async fn may_decline(&self, user: &UserId) -> bool {
        let mut flows = self.flows.lock().await;
        let now = Instant::now();
        flows.declined.retain(|(_, then)| now.duration_since(*then) < DECLINES_FOR);
        let count = flows.declined.iter().filter(|(declined, _)| declined == user).count();
        let may = count < DECLINES && flows.declined.len() < DECLINES * 100;
        if may {
            flows.declined.push((user.clone(), now));
        }
        may
    }

    /// Whether one more request may wait for an operator.
    pub(crate) async fn has_room(&self) -> bool {
        let flows = self.flows.lock().await;
        flows.all.values().filter(|flow| flow.request.is_some()).count() < UNDER_WAY
    }

    /// Whom an operator verifies at this moment.
    pub(crate) fn partners(&self) -> BTreeSet<UserId> {
        self.partners.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether any flow is under way.
    pub(crate) async fn is_busy(&self) -> bool {
        self.flows.lock().await.all.values().any(|flow| flow.request.is_some())
    }

    /// When the first of the flows that are under way has taken too long.
    pub(crate) async fn next_end(&self, timeout: Duration) -> Option<Stamp> {
        let flows = self.flows.lock().await;
        let under_way = flows.all.values().filter(|flow| flow.request.is_some());
        under_way.map(|flow| Stamp(flow.shown.began).plus(timeout)).min()
    }

    /// The flows that have to be called off if this life is cut off.
    pub(crate) async fn under_way(&self) -> BTreeMap<UserId, UnderWay> {
        let flows = self.flows.lock().await;
        let found = flows.all.values().map(|flow| (flow.shown.user.clone(), under_way(flow)));
        found.filter_map(|(user, under_way)| Some((user, under_way?))).collect()
    }

    fn forget_old(&self, flows: &mut Flows) {
        let ended = flows.all.values().filter(|flow| flow.request.is_none());
        let ended: Vec<u64> = ended.map(|flow| flow.shown.number).collect();
        for number in ended.iter().rev().skip(ENDED) {
            flows.all.remove(number);
        }
    }

    fn show(&self, flows: &Flows) {
        let taken_up = |flow: &&Flow| flow.request.is_some() && flow.method.is_some();
        let partners = flows.all.values().filter(taken_up).map(|flow| flow.shown.user.clone());
        *self.partners.lock().unwrap_or_else(PoisonError::into_inner) = partners.collect();
    }
}

/// A flow as the next life has to know it; `None` if it has ended.
fn under_way(flow: &Flow) -> Option<UnderWay> {
    let request = flow.request.as_ref()?;
    let room = request.room_id().map(|room| RoomId::new(room.as_str()));
    Some(UnderWay { room, flow: request.flow_id().to_owned(), device: flow.shown.device.clone() })
}

fn unknown(number: u64) -> TrustError {
    let reason = format!("there is no verification {number}; it may have ended a while ago");
    TrustError::Refused { reason, action: "begin a new one".to_owned() }
}

/// A refusal with what helps.
pub(crate) fn refused(reason: impl Into<String>, action: impl Into<String>) -> TrustError {
    TrustError::Refused { reason: reason.into(), action: action.into() }
}
