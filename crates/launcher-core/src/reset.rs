//! When an agent gives up its device and becomes a new one, by itself.
//!
//! Keys of a known device can never be replaced: servers take other ones, every
//! client refuses them for ever. An agent whose store is gone can only come
//! back as another device. That is a serious step, so it is bounded, and never
//! taken on a guess.

use std::time::Duration;

use crate::{
    fault::Fault,
    situation::{Course, Situation},
    spec::{AgentSpec, TrustMode},
};

/// New devices that an agent makes by itself, per hour.
pub const PER_HOUR: usize = 1;

/// New devices that an agent makes by itself, per day.
pub const PER_DAY: usize = 2;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Whether a new device would end this fault.
pub fn would_help(fault: &Fault) -> bool {
    Situation::of(fault).map(Situation::course) == Some(Course::NewDevice)
}

/// Whether an agent may become a new device by itself.
///
/// `before` says how long ago it did so, each time.
///
/// # Errors
///
/// Why not.
pub fn is_allowed(
    spec: &AgentSpec,
    before: impl Iterator<Item = Duration>,
) -> Result<(), &'static str> {
    if spec.encryption.trust_mode == TrustMode::Manual {
        return Err("in trust_mode manual only an operator decides about a new device");
    }
    if spec.account.password.is_none() {
        return Err("without matrix.password the agent cannot log in as a new device");
    }
    let (mut hour, mut day) = (0, 0);
    for ago in before {
        hour += usize::from(ago < HOUR);
        day += usize::from(ago < DAY);
    }
    if hour >= PER_HOUR {
        return Err("it became a new device less than an hour ago");
    }
    if day >= PER_DAY {
        return Err("it became a new device twice within a day");
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        preflight::Mismatch,
        secret::Secret,
        spec::{
            Account, AnswerPolicy, BehaviorSpec, CatchUp, Encryption, InvitePolicy, Network,
            SettingsPolicy, UndecryptablePolicy, VerificationPolicy,
        },
    };

    pub(crate) fn spec(password: bool, trust_mode: TrustMode) -> AgentSpec {
        AgentSpec {
            id: "bot".parse().unwrap(),
            enabled: true,
            folder: "/bot".into(),
            account: Account {
                network: Network::Matrix,
                homeserver: "http://hs".parse().unwrap(),
                user_id: "@bot:hs".into(),
                password: password.then(|| Secret::new("password".into())),
                access_token: None,
            },
            encryption: Encryption {
                store_path: "/bot/data/crypto".into(),
                pickle_key: Secret::new([1; 32]),
                recovery_key: None,
                trust_mode,
            },
            invites: InvitePolicy::default(),
            verification: VerificationPolicy::default(),
            catch_up: CatchUp { max_age: DAY },
            undecryptable: UndecryptablePolicy { notice_after: None },
            answer: AnswerPolicy::default(),
            settings: SettingsPolicy::default(),
            rooms: BTreeMap::new(),
            behaviors: vec![BehaviorSpec::Echo {
                prefix: String::new(),
                delay: Duration::ZERO,
                files: false,
            }],
        }
    }

    fn after(minutes: &[u64]) -> bool {
        let before = minutes.iter().map(|minutes| Duration::from_secs(minutes * 60));
        is_allowed(&spec(true, TrustMode::Tofu), before).is_ok()
    }

    #[test]
    fn once_an_hour_and_twice_a_day() {
        assert!(after(&[]));
        assert!(!after(&[59]));
        assert!(after(&[61]));
        assert!(!after(&[61, 600]));
        assert!(after(&[61, 24 * 60 + 1]));
    }

    #[test]
    fn not_without_a_password_and_not_where_an_operator_decides() {
        assert!(is_allowed(&spec(false, TrustMode::Tofu), [].into_iter()).is_err());
        assert!(is_allowed(&spec(true, TrustMode::Manual), [].into_iter()).is_err());
        assert!(is_allowed(&spec(true, TrustMode::CrossSigning), [].into_iter()).is_ok());
    }

    #[test]
    fn a_store_of_somebody_else_is_not_replaced() {
        let stored = Mismatch::OtherDevice { stored: "A".into(), session: "B".into() };
        assert!(!would_help(&Fault::Mismatched { mismatch: stored }));
        let lost = Mismatch::StoreLost { device: "A".into() };
        assert!(would_help(&Fault::Mismatched { mismatch: lost }));
        assert!(!would_help(&Fault::StoreKeyWrong { path: "/x".into() }));
    }
}
