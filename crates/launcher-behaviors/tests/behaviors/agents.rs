//! Agents and messages for tests.

use std::{collections::BTreeMap, path::Path, time::Duration};

use launcher_core::{
    conversation::Message,
    names::{EventId, RoomId, UserId},
    secret::Secret,
    spec::{
        Account, AgentSpec, AnswerPolicy, BehaviorSpec, CatchUp, Encryption, InvitePolicy, Network,
        SettingsPolicy, TrustMode, UndecryptablePolicy, VerificationPolicy,
    },
    trust::Assurance,
};

/// An agent in this folder.
pub(crate) fn agent(folder: &Path, behavior: BehaviorSpec) -> AgentSpec {
    AgentSpec {
        id: "tested".parse().unwrap(),
        enabled: true,
        folder: folder.to_owned(),
        account: Account {
            network: Network::Matrix,
            homeserver: "https://hs.test".parse().unwrap(),
            user_id: "@tested:hs".into(),
            password: None,
            access_token: Some(Secret::new("token".into())),
        },
        encryption: Encryption {
            store_path: folder.join("data/crypto"),
            pickle_key: Secret::new([1; 32]),
            recovery_key: None,
            trust_mode: TrustMode::Tofu,
        },
        invites: InvitePolicy::default(),
        verification: VerificationPolicy::default(),
        catch_up: CatchUp { max_age: Duration::from_secs(60) },
        undecryptable: UndecryptablePolicy { notice_after: None },
        answer: AnswerPolicy::default(),
        settings: SettingsPolicy::default(),
        rooms: BTreeMap::new(),
        behaviors: vec![behavior],
    }
}

/// Something that Alice says.
pub(crate) fn message(event: &str, body: &str) -> Message {
    let (room, event) = (RoomId::new("!r:hs"), EventId::new(event));
    let message = Message::text(room, event, UserId::new("@alice:hs"), body);
    Message { assurance: Assurance::Signed, ..message }
}
