//! Trust and verifications, with and without a launcher; a session that knows
//! nothing else is for the commands' tests, too.

use launcher_control::wire::{
    AnswerWord, StageReply, TrustAction, TrustRequest, VerificationRequest,
};
use launcher_core::{
    names::{DeviceId, UserId},
    trust::{
        Method, Order as Decision, SeenDevice, SeenIdentity, SeenUser, UserRecord, carry_out,
        reconcile,
    },
};
use launcher_runtime::ports::trust::{
    Emoji, Partner, Stage, Trust, TrustError, Verification, VerificationAnswer,
};
use tokio::sync::watch;

use super::*;

/// Decides as the core does; a verification goes as far as a test says.
#[derive(Debug)]
pub(crate) struct Trustee {
    ledger: Mutex<Vec<UserRecord>>,
    verification: watch::Sender<Option<Verification>>,
    /// The latest revision after which somebody has asked.
    asked_after: watch::Sender<u64>,
}

impl Default for Trustee {
    fn default() -> Self {
        Self {
            ledger: Mutex::new(vec![alice()]),
            verification: watch::Sender::default(),
            asked_after: watch::Sender::default(),
        }
    }
}

/// Has a phone that is signed and a laptop that is not.
fn alice() -> UserRecord {
    let device = |id: &str, signed| SeenDevice {
        id: DeviceId::new(id),
        ed25519: format!("ed-{id}"),
        curve25519: format!("cu-{id}"),
        signed,
    };
    let seen = SeenUser {
        user: UserId::new("@alice:hs.test"),
        identity: Some(SeenIdentity { master_key: "m".to_owned(), verified: false }),
        devices: vec![device("PHONE", true), device("LAPTOP", false)],
    };
    reconcile(None, &seen, 1).record
}

impl Trustee {
    /// The other side, or time, brings it to this stage.
    pub(crate) fn set(&self, stage: Stage) {
        self.verification.send_modify(|verification| {
            let verification = verification.as_mut().expect("nothing was begun");
            verification.revision += 1;
            verification.stage = stage;
        });
    }

    /// Waits until it is in a stage.
    pub(crate) async fn reach(&self, is_there: impl Fn(&Stage) -> bool) {
        let mut changes = self.verification.subscribe();
        let is_there = |now: &Option<Verification>| {
            now.as_ref().is_some_and(|verification| is_there(&verification.stage))
        };
        let reached = tokio::time::timeout(Duration::from_secs(10), changes.wait_for(is_there));
        reached.await.expect("in time").expect("sender lives");
    }

    /// Waits until what it is now was shown: until somebody asks for what follows.
    pub(crate) async fn be_shown(&self) {
        let now = self.now().expect("nothing was begun").revision;
        let mut asked = self.asked_after.subscribe();
        let shown = asked.wait_for(|after| *after >= now);
        tokio::time::timeout(Duration::from_secs(10), shown)
            .await
            .expect("in time")
            .expect("lives");
    }

    fn now(&self) -> Result<Verification, TrustError> {
        self.verification.borrow().clone().ok_or_else(|| TrustError::Refused {
            reason: "there is no such verification".to_owned(),
            action: "begin one".to_owned(),
        })
    }
}

pub(crate) fn emojis() -> Stage {
    let emoji = |symbol: &str, name: &str| Emoji {
        symbol: symbol.to_owned(),
        description: name.to_owned(),
    };
    Stage::Emojis(vec![emoji("🐶", "Dog"), emoji("🔒", "Lock")])
}

#[async_trait]
impl Trust for Trustee {
    async fn users(&self) -> Result<Vec<UserRecord>, TrustError> {
        Ok(self.ledger.lock().unwrap().clone())
    }

    async fn decide(&self, user: &UserId, order: &Decision) -> Result<UserRecord, TrustError> {
        let mut ledger = self.ledger.lock().unwrap();
        let known = ledger.iter().find(|record| record.user == *user).cloned();
        let record = known.unwrap_or_else(|| UserRecord::new(user.clone(), 2));
        let record = carry_out(&record, order, 3)?;
        ledger.retain(|other| other.user != *user);
        ledger.push(record.clone());
        Ok(record)
    }

    async fn verifications(&self) -> Vec<Verification> {
        self.now().into_iter().collect()
    }

    async fn begin_verification(
        &self,
        with: &Partner,
        _method: Method,
    ) -> Result<Verification, TrustError> {
        let begun = Verification {
            number: 1,
            user: with.user.clone(),
            device: with.device.clone(),
            we_asked: true,
            began: 5,
            revision: 1,
            stage: Stage::Waiting,
        };
        self.verification.send_replace(Some(begun.clone()));
        Ok(begun)
    }

    async fn verification(
        &self,
        _number: u64,
        after: u64,
        wait: Duration,
    ) -> Result<Verification, TrustError> {
        self.asked_after.send_replace(after);
        let mut changes = self.verification.subscribe();
        let is_later = |now: &Option<Verification>| {
            now.as_ref().is_some_and(|verification| verification.revision > after)
        };
        drop(tokio::time::timeout(wait, changes.wait_for(is_later)).await);
        self.now()
    }

    async fn answer_verification(
        &self,
        _number: u64,
        answer: VerificationAnswer,
    ) -> Result<Verification, TrustError> {
        let cancelled = |code: &str, reason: &str| Stage::Cancelled {
            by_us: true,
            code: code.to_owned(),
            reason: reason.to_owned(),
        };
        self.set(match answer {
            VerificationAnswer::Match => Stage::Confirmed,
            VerificationAnswer::Mismatch => cancelled("m.mismatched_sas", "they differ"),
            VerificationAnswer::Cancel => cancelled("m.user", "an operator had enough"),
        });
        self.now()
    }
}

/// An agent that a launcher runs, with its ledger.
pub(crate) struct Bench {
    pub(crate) spec: AgentSpec,
    pub(crate) way: Box<dyn Way>,
    pub(crate) trustee: Arc<Trustee>,
    _launcher: Launcher,
    _folder: TempDir,
}

impl Bench {
    pub(crate) async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let trustee = Arc::new(Trustee::default());
        let connector = Ready { trustee: Some(trustee.clone()), ..Ready::default() };
        let (spec, tools) = (spec(&folder), tools(connector));
        let (launcher, way) = way_through(&spec, folder.path(), &tools).await;
        Self { spec, way, trustee, _launcher: launcher, _folder: folder }
    }
}

fn order(action: TrustAction, user: &str, device: Option<&str>) -> TrustRequest {
    TrustRequest { action, user: UserId::new(user), device: device.map(DeviceId::new) }
}

pub(crate) fn request(user: &str) -> VerificationRequest {
    VerificationRequest { user: UserId::new(user), device: None, method: Method::Emoji }
}

#[tokio::test]
async fn a_launcher_is_asked_about_trust() {
    let bench = Bench::start().await;
    let shown = bench.way.trust_users().await.unwrap();
    assert_eq!((shown.mode.as_str(), shown.users[0].devices.len()), ("tofu", 2));
    let block = order(TrustAction::Block, "@alice:hs.test", Some("LAPTOP"));
    let alice = bench.way.trust_order(&block).await.unwrap();
    assert_eq!(alice.devices[0].verdict, "blocked");
    let begun = bench.way.begin_verification(&request("@alice:hs.test")).await.unwrap();
    bench.trustee.set(emojis());
    let shown = bench.way.follow_verification(&begun).await.unwrap();
    assert!(matches!(shown.stage, StageReply::Emojis(_)), "{shown:?}");
    let confirmed = bench.way.answer_verification(1, AnswerWord::Match).await.unwrap();
    assert_eq!(bench.way.verifications().await.unwrap(), [confirmed]);
}

#[tokio::test]
async fn an_agent_that_never_ran_knows_nobody_and_can_block() {
    let folder = TempDir::new().unwrap();
    let (spec, tools) = (spec(&folder), tools(Ready::default()));
    let way = find(&spec, folder.path(), &tools, Purpose::Look).await.unwrap();
    assert_eq!(way.trust_users().await.unwrap().users, []);
    assert!(!spec.folder.exists(), "a look makes nothing");

    let way = find(&spec, folder.path(), &tools, Purpose::Change).await.unwrap();
    let eve = "@eve:hs.test";
    let approve = way.trust_order(&order(TrustAction::Approve, eve, None)).await;
    assert_eq!(approve.unwrap_err().reason, "no device of @eve:hs.test is known");
    let withdraw = way.trust_order(&order(TrustAction::Withdraw, eve, None)).await.unwrap_err();
    assert_eq!(withdraw.reason, "nothing is known of @eve:hs.test");
    assert!(!spec.data_folder().join("journal.db").exists());
    let blocked = way.trust_order(&order(TrustAction::Block, eve, None)).await.unwrap();
    assert!(blocked.decision.is_some() && blocked.first_seen_ms > 0);
    assert_eq!(way.trust_users().await.unwrap().users, [blocked]);
    drop(way);
    let life = tools.journals.journal(&spec).begin().await.unwrap();
    assert!(life.clean, "{life:?}");
}

#[tokio::test]
async fn an_agent_at_rest_keeps_what_is_decided() {
    let folder = TempDir::new().unwrap();
    let mut spec = spec(&folder);
    spec.encryption.trust_mode = TrustMode::Manual;
    let tools = tools(Ready::default());
    let journal = tools.journals.journal(&spec);
    journal.begin().await.unwrap();
    journal.keep_trust(&[alice()]).await.unwrap();
    journal.end().await.unwrap();

    let way = find(&spec, folder.path(), &tools, Purpose::Change).await.unwrap();
    let verdicts = |user: &UserReply| {
        user.devices.iter().map(|device| device.verdict.clone()).collect::<Vec<_>>()
    };
    let before = way.trust_users().await.unwrap();
    assert_eq!(verdicts(&before.users[0]), ["awaiting_approval"; 2]);
    let approve = order(TrustAction::Approve, "@alice:hs.test", Some("PHONE"));
    let after = way.trust_order(&approve).await.unwrap();
    assert_eq!(verdicts(&after), ["awaiting_approval", "trusted"]);
    let unknown = order(TrustAction::Block, "@alice:hs.test", Some("X"));
    let refused = way.trust_order(&unknown).await.unwrap_err();
    assert_eq!(refused.action.as_deref(), Some("those that are known: LAPTOP, PHONE"));
    drop(way);
    let way = find(&spec, folder.path(), &tools, Purpose::Look).await.unwrap();
    assert_eq!(way.trust_users().await.unwrap().users, [after]);
}

#[tokio::test]
async fn a_lost_journal_is_not_covered_up() {
    let folder = TempDir::new().unwrap();
    let (spec, tools) = (spec(&folder), tools(Ready::default()));
    fs_err::create_dir_all(&spec.encryption.store_path).unwrap();
    fs_err::write(spec.encryption.store_path.join("crypto.db"), "keys").unwrap();
    let way = find(&spec, folder.path(), &tools, Purpose::Change).await.unwrap();
    let block = order(TrustAction::Block, "@eve:hs.test", None);
    let refused = way.trust_order(&block).await.unwrap_err();
    assert_eq!(refused.reason, "a has a crypto store and no journal to keep this in");
    assert!(!spec.data_folder().join("journal.db").exists());
}

#[tokio::test]
async fn only_an_agent_that_runs_verifies() {
    let folder = TempDir::new().unwrap();
    let (spec, tools) = (spec(&folder), tools(Ready::default()));
    let way = find(&spec, folder.path(), &tools, Purpose::Look).await.unwrap();
    let refused = way.begin_verification(&request("@alice:hs.test")).await.unwrap_err();
    assert_eq!(refused.reason, "no launcher runs a, and only a running agent verifies");
    assert_eq!(refused.action.as_deref(), Some("start one with `launcher run`"));
    assert_eq!(way.verifications().await.unwrap_err(), refused);
}
