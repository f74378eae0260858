//! A trust ledger and verifications.

use std::{sync::Mutex, time::Duration};

use async_trait::async_trait;
use launcher_core::{
    fault::Fault,
    names::{DeviceId, UserId},
    trust::{Method, Order, SeenDevice, SeenIdentity, SeenUser, UserRecord, carry_out, reconcile},
};
use launcher_runtime::ports::trust::{
    Emoji, Partner, Stage, Trust, TrustError, Verification, VerificationAnswer,
};
use tokio::sync::watch;

/// Decides as the core does; verifications go as far as a test says.
#[derive(Debug)]
pub(super) struct Trustee {
    ledger: Mutex<Vec<UserRecord>>,
    verifications: watch::Sender<Vec<Verification>>,
    /// How often somebody has begun to look at one.
    looks: watch::Sender<usize>,
}

impl Default for Trustee {
    /// Knows alice, whose phone is signed and whose laptop came later, unsigned.
    fn default() -> Self {
        let device = |id: &str, signed| SeenDevice {
            id: DeviceId::new(id),
            ed25519: format!("ed-{id}"),
            curve25519: format!("cu-{id}"),
            signed,
        };
        let alice = |devices| SeenUser {
            user: UserId::new("@alice:hs.test"),
            identity: Some(SeenIdentity { master_key: "m".to_owned(), verified: false }),
            devices,
        };
        let first = reconcile(None, &alice(vec![device("PHONE", true)]), 1).record;
        let both = alice(vec![device("PHONE", true), device("LAPTOP", false)]);
        let record = reconcile(Some(&first), &both, 2).record;
        Self {
            ledger: Mutex::new(vec![record]),
            verifications: watch::Sender::default(),
            looks: watch::Sender::default(),
        }
    }
}

impl Trustee {
    /// The other side, or time, changes a verification.
    pub(super) fn set(&self, number: u64, stage: Stage) -> Option<Verification> {
        let mut changed = None;
        self.verifications.send_modify(|all| {
            let found = all.iter_mut().find(|verification| verification.number == number);
            if let Some(verification) = found {
                verification.revision += 1;
                verification.stage = stage;
                changed = Some(verification.clone());
            }
        });
        changed
    }

    /// Waits until somebody has begun to look that many times more.
    pub(super) async fn looked_at(&self, times: usize) {
        let mut looks = self.looks.subscribe();
        let wanted = *looks.borrow_and_update() + times;
        looks.wait_for(|looks| *looks >= wanted).await.unwrap();
    }

    fn find(&self, number: u64) -> Option<Verification> {
        let all = self.verifications.borrow();
        all.iter().find(|verification| verification.number == number).cloned()
    }
}

/// Seven pictures.
pub(super) fn emojis() -> Stage {
    let emoji = Emoji { symbol: "🐶".to_owned(), description: "Dog".to_owned() };
    Stage::Emojis(vec![emoji; 7])
}

fn unknown(number: u64) -> TrustError {
    TrustError::Refused {
        reason: format!("there is no verification {number}"),
        action: "`--requests` lists them".to_owned(),
    }
}

#[async_trait]
impl Trust for Trustee {
    async fn users(&self) -> Result<Vec<UserRecord>, TrustError> {
        Ok(self.ledger.lock().unwrap().clone())
    }

    async fn decide(&self, user: &UserId, order: &Order) -> Result<UserRecord, TrustError> {
        let mut ledger = self.ledger.lock().unwrap();
        let known = ledger.iter().find(|record| record.user == *user).cloned();
        let record = known.unwrap_or_else(|| UserRecord::new(user.clone(), 3));
        let record = carry_out(&record, order, 4)?;
        ledger.retain(|other| other.user != *user);
        ledger.push(record.clone());
        Ok(record)
    }

    async fn verifications(&self) -> Vec<Verification> {
        self.verifications.borrow().clone()
    }

    async fn begin_verification(
        &self,
        with: &Partner,
        method: Method,
    ) -> Result<Verification, TrustError> {
        if method == Method::Qr {
            return Err(Fault::StoreFailed { detail: "no codes here".to_owned() }.into());
        }
        let mut begun = Verification {
            number: 0,
            user: with.user.clone(),
            device: with.device.clone(),
            we_asked: true,
            began: 5,
            revision: 1,
            stage: Stage::Waiting,
        };
        self.verifications.send_modify(|all| {
            begun.number = all.len() as u64 + 1;
            all.push(begun.clone());
        });
        Ok(begun)
    }

    async fn verification(
        &self,
        number: u64,
        after: u64,
        wait: Duration,
    ) -> Result<Verification, TrustError> {
        self.looks.send_modify(|looks| *looks += 1);
        let mut changes = self.verifications.subscribe();
        let is_later = |all: &Vec<Verification>| {
            all.iter().any(|found| found.number == number && found.revision > after)
        };
        drop(tokio::time::timeout(wait, changes.wait_for(is_later)).await);
        self.find(number).ok_or_else(|| unknown(number))
    }

    async fn answer_verification(
        &self,
        number: u64,
        answer: VerificationAnswer,
    ) -> Result<Verification, TrustError> {
        let cancelled = |code: &str| Stage::Cancelled {
            by_us: true,
            code: code.to_owned(),
            reason: "an operator said so".to_owned(),
        };
        let stage = match answer {
            VerificationAnswer::Match => Stage::Confirmed,
            VerificationAnswer::Mismatch => cancelled("m.mismatched_sas"),
            VerificationAnswer::Cancel => cancelled("m.user"),
        };
        self.set(number, stage).ok_or_else(|| unknown(number))
    }
}
