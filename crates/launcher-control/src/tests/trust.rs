//! Trust and verifications over the socket.

use std::io;

use launcher_core::{
    names::{DeviceId, UserId},
    trust::{Decided, Method},
};
use launcher_runtime::ports::trust::Stage;
use tracing_subscriber::fmt::MakeWriter;

use super::{trustee::emojis, *};
use crate::wire::{
    AnswerWord, StageReply, TrustAction, TrustRequest, VerificationReply, VerificationRequest,
};

fn order(action: TrustAction, user: &str, device: Option<&str>) -> TrustRequest {
    TrustRequest { action, user: UserId::new(user), device: device.map(DeviceId::new) }
}

fn request(method: Method) -> VerificationRequest {
    VerificationRequest { user: UserId::new("@alice:hs.test"), device: None, method }
}

/// A launcher with a verification that waits for the other side.
async fn asked() -> (Launcher, Arc<Connected>, VerificationReply) {
    let (launcher, session) = up().await;
    let begun = launcher.client().begin_verification(&a(), &request(Method::Emoji)).await.unwrap();
    assert_eq!((begun.number, begun.revision, &begun.stage), (1, 1, &StageReply::Waiting));
    (launcher, session, begun)
}

#[tokio::test]
async fn whom_an_agent_trusts_is_shown_and_changed() {
    let (launcher, _session) = up().await;
    let client = launcher.client();
    let shown = client.trust(&a()).await.unwrap();
    let json = serde_json::to_value(&shown).unwrap();
    assert_eq!(
        json,
        serde_json::json!({"mode": "tofu", "users": [{
            "user": "@alice:hs.test", "first_seen_ms": 1, "identity": "m", "changed": null,
            "verified": null, "decision": null, "told": null,
            "devices": [
                {"device_id": "LAPTOP", "ed25519": "ed-LAPTOP", "first_seen_ms": 2, "new": true,
                 "signed": false, "gone_ms": null, "decision": null, "verdict": "trusted",
                 "reason": null},
                {"device_id": "PHONE", "ed25519": "ed-PHONE", "first_seen_ms": 1, "new": false,
                 "signed": true, "gone_ms": null, "decision": null, "verdict": "trusted",
                 "reason": null},
            ],
        }]})
    );
    let block = order(TrustAction::Block, "@alice:hs.test", Some("LAPTOP"));
    let alice = client.decide(&a(), &block).await.unwrap();
    let laptop = &alice.devices[0];
    assert_eq!(laptop.decision.as_ref().unwrap().decided, Decided::Blocked);
    assert_eq!((laptop.verdict.as_str(), laptop.is_trusted()), ("blocked", false));
    assert_eq!(laptop.reason.as_deref(), Some("blocked by an operator"));
    let withdraw = order(TrustAction::Withdraw, "@alice:hs.test", None);
    assert!(client.decide(&a(), &withdraw).await.unwrap().devices[0].is_trusted());
    let stranger = order(TrustAction::Block, "@eve:hs.test", None);
    assert_eq!(client.decide(&a(), &stranger).await.unwrap().devices, []);
    assert_eq!(client.trust(&a()).await.unwrap().users.len(), 2);
}

#[tokio::test]
async fn an_order_that_cannot_be_carried_out_says_what_helps() {
    let (launcher, _session) = up().await;
    let client = launcher.client();
    for (order, reason, action) in [
        (
            order(TrustAction::Approve, "@alice:hs.test", Some("X")),
            "@alice:hs.test has no device X",
            "those that are known: LAPTOP, PHONE",
        ),
        (
            order(TrustAction::Approve, "@eve:hs.test", None),
            "no device of @eve:hs.test is known",
            "wait until the agent shares an encrypted room with @eve:hs.test",
        ),
    ] {
        assert_eq!(refusal(client.decide(&a(), &order).await), Refusal::new(reason, action));
    }
    for order in [
        order(TrustAction::Withdraw, "@alice:hs.test", Some("PHONE")),
        order(TrustAction::Block, "alice", None),
    ] {
        let refused = refusal(client.decide(&a(), &order).await);
        assert_eq!(refused.reason, "the body of the request is not what this route takes");
    }
}

#[tokio::test]
async fn an_agent_that_is_not_up_is_told_as_status_tells_it() {
    let launcher = Launcher::start().await;
    let client = launcher.client();
    let status = client.status().await.unwrap().agents.remove(0);
    let refused = refusal(client.trust(&a()).await);
    assert_eq!(
        refused.reason,
        format!("a cannot be asked now (parked): {}", status.reason.unwrap())
    );
    assert_eq!(refused.action, status.action);
    assert_eq!(refusal(client.verifications(&a()).await), refused);
    let begun = client.begin_verification(&a(), &request(Method::Emoji)).await;
    assert_eq!(refusal(begun), refused);
    let other = refusal(client.trust(&"b".parse().unwrap()).await);
    assert_eq!(other.reason, "there is no agent `b` that this launcher runs");
}

#[tokio::test]
async fn a_verification_is_followed_while_it_goes_on() {
    let (launcher, session, begun) = asked().await;
    let (client, agent) = (launcher.client(), a());
    assert_eq!(client.verifications(&a()).await.unwrap(), [begun]);
    // Nothing happens: the wait ends.
    let same = client.verification(&a(), 1, 1, Duration::from_millis(20)).await.unwrap();
    assert_eq!(same.revision, 1);
    // Longer than one look takes.
    let follow = client.verification(&agent, 1, 1, Duration::from_secs(20));
    let change = async {
        session.trustee.looked_at(2).await;
        // Another command at the same time is not in the way.
        client.trust(&agent).await.unwrap();
        session.trustee.set(1, emojis());
    };
    let (shown, ()) = tokio::join!(follow, change);
    let shown = shown.unwrap();
    let StageReply::Emojis(emojis) = &shown.stage else { panic!("{shown:?}") };
    assert_eq!((emojis.len(), emojis[0].description.as_str()), (7, "Dog"));
    let confirmed = client.answer_verification(&a(), 1, AnswerWord::Match).await.unwrap();
    assert_eq!((confirmed.revision, &confirmed.stage), (3, &StageReply::Confirmed));
    session.trustee.set(1, Stage::Done);
    let done = client.verification(&a(), 1, 3, Duration::from_secs(20)).await.unwrap();
    assert!(done.stage.is_over());
}

#[tokio::test]
async fn what_is_wrong_with_a_verification_is_said() {
    let (launcher, _session, _) = asked().await;
    let client = launcher.client();
    let refused = refusal(client.verification(&a(), 7, 0, Duration::ZERO).await);
    assert_eq!(refused.reason, "there is no verification 7");
    let refused = refusal(client.begin_verification(&a(), &request(Method::Qr)).await);
    assert!(refused.reason.contains("no codes here"), "{refused:?}");
    for (route, status) in [("1?after=x", "400"), ("1?afer=1", "400"), ("x", "404")] {
        let request = format!(
            "GET /v1/agents/a/verifications/{route} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        );
        let answer = launcher.raw(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(answer.contains("\"reason\":"), "{answer}");
    }
}

#[tokio::test]
async fn nobody_waits_for_an_agent_that_ends_or_a_launcher_that_stops() {
    let (launcher, session, _) = asked().await;
    let (client, agent) = (launcher.client(), a());
    let follow = client.verification(&agent, 1, 1, Duration::from_secs(20));
    let end = async {
        session.trustee.looked_at(1).await;
        launcher.board.report(&agent).set_session(None);
    };
    let (followed, ()) = tokio::join!(follow, end);
    assert!(refusal(followed).reason.starts_with("a cannot be asked now (parked)"));
    assert_eq!(Arc::strong_count(&session), 1, "a session was kept");

    launcher.connect(&session);
    let follow = client.verification(&agent, 1, 1, Duration::from_secs(20));
    let stop = async {
        session.trustee.looked_at(1).await;
        launcher.stop.ask();
    };
    let (followed, ()) = tokio::join!(follow, stop);
    assert_eq!(refusal(followed).reason, "the launcher is stopping");
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

// One thread, so that the desk's task logs there too.
#[tokio::test]
async fn what_operators_do_is_logged_without_what_they_compare() {
    let log = Log::default();
    let logger = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).finish();
    let _guard = tracing::subscriber::set_default(logger);
    // As long as there is one logger only, a test on another thread that comes
    // first to a line turns it off for everybody.
    let _second = tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(io::sink).finish());
    let (launcher, session, _) = asked().await;
    let client = launcher.client();
    let approve = order(TrustAction::Approve, "@alice:hs.test", Some("PHONE"));
    client.decide(&a(), &approve).await.unwrap();
    session.trustee.set(1, emojis());
    client.answer_verification(&a(), 1, AnswerWord::Match).await.unwrap();
    session.trustee.set(1, Stage::Code(b"hunter2".to_vec()));
    client.answer_verification(&a(), 1, AnswerWord::Cancel).await.unwrap();
    let refused = order(TrustAction::Block, "@alice:hs.test", Some("X"));
    refusal(client.decide(&a(), &refused).await);
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let mut lines = log.lines().filter(|line| line.contains("operator_action"));
    for action in [
        "action=\"verification_begin\" user=@alice:hs.test",
        "action=\"trust_approve\" user=@alice:hs.test device=PHONE",
        "action=\"verification_match\" user=@alice:hs.test",
        "action=\"verification_cancel\" user=@alice:hs.test",
        "action=\"trust_block\" user=@alice:hs.test device=X reason=@alice:hs.test has no device X",
    ] {
        let line = lines.next().unwrap_or_else(|| panic!("no {action} in {log}"));
        assert!(line.contains("agent=\"a\"") && line.contains(action), "{line}");
    }
    assert!(!["🐶", "Dog", "hunter2"].iter().any(|word| log.contains(word)), "{log}");
}
