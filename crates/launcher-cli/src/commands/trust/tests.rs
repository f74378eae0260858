use clap::Parser;
use launcher_control::wire::TrustReply;
use launcher_core::{
    names::{DeviceId, UserId},
    spec::Network,
    trust::{
        Method, Order, SeenDevice, SeenIdentity, SeenUser, UserRecord, carry_out, reconcile,
        verified,
    },
};
use tempfile::TempDir;

use super::*;
use crate::{
    args::{Arguments, Command},
    way::tests::spec,
};

/// 2026-03-01 09:05 UTC
const THEN: u64 = 1_772_355_900_000;
const DAY: u64 = 24 * 60 * 60 * 1000;

fn agent(mode: TrustMode) -> AgentSpec {
    let mut spec = spec(&TempDir::new().unwrap());
    spec.encryption.trust_mode = mode;
    spec
}

fn seen(user: &str, master: Option<&str>, devices: &[(&str, bool)]) -> SeenUser {
    let device = |&(id, signed): &(&str, bool)| SeenDevice {
        id: DeviceId::new(id),
        ed25519: format!("ed-{id}"),
        curve25519: format!("cu-{id}"),
        signed,
    };
    SeenUser {
        user: UserId::new(user),
        identity: master
            .map(|master| SeenIdentity { master_key: master.to_owned(), verified: false }),
        devices: devices.iter().map(device).collect(),
    }
}

fn first(seen: &SeenUser) -> UserRecord {
    reconcile(None, seen, THEN).record
}

fn then(record: &UserRecord, seen: &SeenUser) -> UserRecord {
    reconcile(Some(record), seen, THEN + DAY).record
}

fn ordered(record: &UserRecord, order: &Order) -> UserRecord {
    carry_out(record, order, THEN + 2 * DAY).unwrap()
}

fn by_operator(record: &UserRecord, method: Method) -> UserRecord {
    let key = record.master_key.clone().unwrap();
    verified(record, &key, method, THEN).unwrap()
}

#[test]
fn what_needs_a_look_comes_first() {
    let quiet = first(&seen("@a:hs", Some("a"), &[("APHONE", true)]));
    let quiet = by_operator(&ordered(&quiet, &Order::Approve(None)), Method::Emoji);
    let new = first(&seen("@b:hs", Some("b"), &[("BPHONE", true)]));
    let new = by_operator(&new, Method::Qr);
    let new = then(&new, &seen("@b:hs", Some("b"), &[("BOLD", true), ("BTAB", false)]));
    let new = UserRecord {
        // As if another device of the agent had verified them.
        verified: Some(launcher_core::trust::Verified { at: THEN, method: None }),
        ..new
    };
    let new = ordered(&new, &Order::Block(Some(DeviceId::new("BOLD"))));
    let waits = first(&seen("@c:hs", None, &[("CPHONE\u{7}", false)]));
    let changed = first(&seen("@d:hs", Some("d"), &[("DPHONE", true)]));
    let changed = by_operator(&changed, Method::Emoji);
    let changed = then(&changed, &seen("@d:hs", Some("e"), &[("DPHONE", true)]));
    let own = ordered(&UserRecord::new(UserId::new("@a:hs.test"), THEN), &Order::Block(None));
    let shown = TrustReply::new(&agent(TrustMode::Manual), &[quiet, own, new, waits, changed]);
    assert_eq!(
        page::of(&shown, &agent(TrustMode::Manual).account),
        "trust_mode: manual\n\n\
         WHO         SINCE                 VERDICT                                     NOTES\n\
         @d:hs       2026-03-01 09:05 UTC  -                                           changed identity 2026-03-02 09:05 UTC, was verified before\n\
         \x20 DPHONE    2026-03-01 09:05 UTC  its owner has another identity than before  signed\n\
         @b:hs       2026-03-01 09:05 UTC  -                                           verified by another device of the agent's account 2026-03-01 09:05 UTC\n\
         \x20 BTAB      2026-03-02 09:05 UTC  waits for an operator's approval            new, not signed\n\
         \x20 BOLD      2026-03-02 09:05 UTC  blocked by an operator                      signed, blocked by an operator 2026-03-03 09:05 UTC\n\
         \x20 BPHONE    2026-03-01 09:05 UTC  nobody knows the device                     gone 2026-03-02 09:05 UTC, signed\n\
         @c:hs       2026-03-01 09:05 UTC  -                                           no cross-signing identity\n\
         \x20 CPHONE\u{fffd}   2026-03-01 09:05 UTC  waits for an operator's approval            not signed\n\
         @a:hs       2026-03-01 09:05 UTC  -                                           verified by emojis 2026-03-01 09:05 UTC, approved by an operator 2026-03-03 09:05 UTC\n\
         \x20 APHONE    2026-03-01 09:05 UTC  trusted                                     signed, approved by an operator 2026-03-03 09:05 UTC\n\
         @a:hs.test  2026-03-01 09:05 UTC  -                                           the agent's own account, blocked by an operator 2026-03-03 09:05 UTC\n"
    );
    // Where nobody signs devices, their keys are compared.
    let mut other = agent(TrustMode::Tofu);
    other.account.network = Network::Messager;
    let bob = first(&seen("bob", None, &[("PHONE", false)]));
    assert_eq!(
        page::of(&TrustReply::new(&other, &[bob]), &other.account),
        "trust_mode: tofu\n\n\
         WHO      SINCE                 VERDICT  NOTES\n\
         bob      2026-03-01 09:05 UTC  -\n\
         \x20 PHONE  2026-03-01 09:05 UTC  trusted  key ed-PHONE\n"
    );
    let nobody = TrustReply::new(&agent(TrustMode::Tofu), &[]);
    assert_eq!(
        page::of(&nobody, &agent(TrustMode::Tofu).account),
        "trust_mode: tofu\n\nthe agent has seen nobody yet\n"
    );
}

#[test]
fn an_order_says_what_follows_from_it_in_the_agents_mode() {
    let alice = first(&seen("@alice:hs", Some("m"), &[("LAPTOP", false), ("PHONE", true)]));
    let (laptop, phone) = (Some(DeviceId::new("LAPTOP")), Some(DeviceId::new("PHONE")));
    let said = |mode, action, device: Option<DeviceId>| {
        let spec = agent(mode);
        let user = UserId::new("@alice:hs");
        let request = TrustRequest { action, user, device };
        let record = ordered(&alice, &request.order().unwrap());
        consequence(&spec, &request, &UserReply::new(&spec, &record))
            .map_err(|refusal| format!("{} | {}", refusal.reason, refusal.action.unwrap()))
    };
    use TrustAction::{Approve, Block, Withdraw};
    use TrustMode::{CrossSigning, Manual, Tofu};
    let ok = |text: &str| Ok(text.to_owned());
    assert_eq!(
        said(Manual, Approve, laptop.clone()),
        ok("LAPTOP of @alice:hs is approved: it gets keys, and is obeyed")
    );
    assert_eq!(
        said(Manual, Approve, None),
        ok("@alice:hs is approved with LAPTOP, PHONE: they get keys, and are obeyed; later \
            devices wait for approval again")
    );
    assert_eq!(
        said(CrossSigning, Approve, phone),
        ok("PHONE of @alice:hs is trusted; in trust_mode `cross-signing` that is so because of \
            their owner's signature, not because of this approval")
    );
    assert_eq!(
        said(Tofu, Approve, None),
        ok("@alice:hs is trusted; in trust_mode `tofu` everybody is who is not blocked, approved \
            or not")
    );
    for device in [None, laptop.clone()] {
        let refused = said(CrossSigning, Approve, device).unwrap_err();
        let reason = "is approved, and in trust_mode `cross-signing` this is still refused: \
             LAPTOP (not signed by its owner) | approval is no signature: @alice:hs has to verify \
             it from another session or with the recovery key; trust_mode `manual` goes by approval";
        assert!(refused.ends_with(reason), "{refused}");
    }
    assert_eq!(
        said(Tofu, Block, laptop),
        ok("LAPTOP of @alice:hs gets no keys any more and is not obeyed, in any trust_mode; what \
            they have keys for already they can still read")
    );
    assert_eq!(
        said(CrossSigning, Withdraw, None),
        ok("what was decided about @alice:hs is taken back, and that they were verified; by \
            trust_mode `cross-signing` 1 of 2 devices are trusted now")
    );
}

#[test]
fn what_was_decided_about_a_stranger_is_taken_back() {
    let spec = agent(TrustMode::Tofu);
    let user = UserId::new("@eve:hs");
    let request = TrustRequest { action: TrustAction::Withdraw, user: user.clone(), device: None };
    let eve = UserReply::new(&spec, &UserRecord::new(user, THEN));
    assert_eq!(
        consequence(&spec, &request, &eve).unwrap(),
        "what was decided about @eve:hs is taken back; no device of theirs is known"
    );
}

fn typed(line: &str) -> Result<Option<TrustRequest>, i32> {
    let arguments = ["launcher", "trust"].into_iter().chain(line.split_whitespace());
    let arguments = Arguments::try_parse_from(arguments).map_err(|error| error.exit_code())?;
    let Command::Trust(options) = arguments.command else { panic!("not `trust`") };
    request(&options).map_err(|quit| quit.exit as i32)
}

#[test]
fn orders_are_typed_after_the_agent() {
    assert_eq!(typed("a"), Ok(None));
    assert_eq!(typed("a --json --config x.yaml"), Ok(None));
    let block = typed("a block @alice:hs LAPTOP").unwrap().unwrap();
    assert_eq!(block.action, TrustAction::Block);
    assert_eq!((block.user.as_str(), block.device), ("@alice:hs", Some(DeviceId::new("LAPTOP"))));
    let withdraw = typed("a withdraw @alice:hs --env-file x").unwrap().unwrap();
    assert_eq!((withdraw.action, withdraw.device), (TrustAction::Withdraw, None));
    for wrong in
        ["", "a trust @alice:hs", "a block", "a block alice", "a withdraw @alice:hs LAPTOP"]
    {
        assert_eq!(typed(wrong), Err(2), "{wrong}");
    }
}
