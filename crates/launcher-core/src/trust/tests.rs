//! The table of docs/guide/trust.md, cell by cell, and what the ledger remembers.

use super::*;
use crate::{
    names::{DeviceId, UserId},
    spec::TrustMode::{self, CrossSigning, Manual, Tofu},
};

const MODES: [TrustMode; 3] = [Tofu, CrossSigning, Manual];

fn device(id: &str, signed: bool) -> SeenDevice {
    SeenDevice {
        id: DeviceId::new(id),
        ed25519: format!("ed-{id}"),
        curve25519: format!("cu-{id}"),
        signed,
    }
}

fn seen(master: Option<(&str, bool)>, devices: &[SeenDevice]) -> SeenUser {
    let identity =
        master.map(|(key, verified)| SeenIdentity { master_key: key.to_owned(), verified });
    SeenUser { user: UserId::new("@alice:hs"), identity, devices: devices.to_vec() }
}

fn known(seen: &SeenUser) -> UserRecord {
    reconcile(None, seen, 1).record
}

fn then(record: &UserRecord, seen: &SeenUser) -> UserRecord {
    reconcile(Some(record), seen, 2).record
}

fn ordered(record: &UserRecord, order: Order) -> UserRecord {
    carry_out(record, &order, 3).unwrap()
}

/// The verdicts of the three modes about a device, in the order of [`MODES`].
fn verdicts(record: &UserRecord, id: &str) -> [&'static str; 3] {
    let device = &record.devices[&DeviceId::new(id)];
    MODES.map(|mode| match judge(mode, record, device, false) {
        Verdict::Trusted => "trusted",
        Verdict::Refused(refusal) => refusal.code(),
    })
}

fn findings(record: &UserRecord, seen: &SeenUser) -> Vec<Finding> {
    reconcile(Some(record), seen, 2).findings
}

#[test]
fn first_contact_with_a_signed_device() {
    let seen = seen(Some(("m", false)), &[device("A", true)]);
    let found = reconcile(None, &seen, 1);
    assert_eq!(
        found.findings,
        [Finding::DeviceFirstSeen { device: DeviceId::new("A"), signed: true }]
    );
    assert_eq!(verdicts(&found.record, "A"), ["trusted", "trusted", "awaiting_approval"]);
}

#[test]
fn first_contact_with_somebody_without_cross_signing() {
    let record = known(&seen(None, &[device("A", false)]));
    assert_eq!(verdicts(&record, "A"), ["trusted", "unsigned", "awaiting_approval"]);
}

#[test]
fn a_new_unsigned_device_of_a_known_user() {
    let before = known(&seen(Some(("m", false)), &[device("A", true)]));
    let before = ordered(&before, Order::Approve(None));
    let now = seen(Some(("m", false)), &[device("A", true), device("B", false)]);
    assert_eq!(
        findings(&before, &now),
        [Finding::DeviceNew { device: DeviceId::new("B"), signed: false }]
    );
    let after = then(&before, &now);
    assert_eq!(verdicts(&after, "A"), ["trusted", "trusted", "trusted"]);
    assert_eq!(verdicts(&after, "B"), ["trusted", "unsigned", "awaiting_approval"]);
}

#[test]
fn a_new_device_that_is_signed_later() {
    let unsigned = seen(Some(("m", false)), &[device("A", true), device("B", false)]);
    let signed = seen(Some(("m", false)), &[device("A", true), device("B", true)]);
    let before = ordered(&known(&unsigned), Order::Approve(Some(DeviceId::new("A"))));
    assert_eq!(
        findings(&before, &signed),
        [Finding::SignatureChanged { device: DeviceId::new("B"), signed: true }]
    );
    assert_eq!(
        verdicts(&then(&before, &signed), "B"),
        ["trusted", "trusted", "awaiting_approval"],
        "an approval of one device is none of the other"
    );
}

#[test]
fn a_new_signed_device_of_a_verified_user_needs_no_approval() {
    let before = known(&seen(Some(("m", true)), &[device("A", true)]));
    let after = then(&before, &seen(Some(("m", true)), &[device("A", true), device("B", true)]));
    assert_eq!(verdicts(&after, "B"), ["trusted", "trusted", "trusted"]);
}

#[test]
fn a_device_that_is_gone_is_not_trusted_and_comes_back_as_new() {
    let before = known(&seen(Some(("m", false)), &[device("A", true), device("B", true)]));
    let without = seen(Some(("m", false)), &[device("A", true)]);
    let id = DeviceId::new("B");
    assert_eq!(findings(&before, &without), [Finding::DeviceGone { device: id.clone() }]);
    let after = then(&before, &without);
    assert_eq!(verdicts(&after, "B"), ["unknown_device"; 3]);
    let again = seen(Some(("m", false)), &[device("A", true), device("B", true)]);
    assert_eq!(findings(&after, &again), [Finding::DeviceNew { device: id, signed: true }]);
}

#[test]
fn what_a_device_wrote_before_it_was_gone_is_obeyed_by_tofu_unless_it_was_blocked() {
    let before = known(&seen(Some(("m", false)), &[device("A", true), device("B", true)]));
    let blocked = ordered(&before, Order::Block(Some(DeviceId::new("B"))));
    let without = seen(Some(("m", false)), &[device("A", true)]);
    for (record, expected) in [
        (
            &before,
            [Ok(Assurance::Unproven), Err(Refusal::UnknownDevice), Err(Refusal::UnknownDevice)],
        ),
        (&blocked, [Err(Refusal::Blocked); 3]),
    ] {
        let after = then(record, &without);
        let device = after.device_by_keys("cu-B", "ed-B").unwrap();
        let judged = MODES.map(|mode| judge_message(mode, Some(&after), Sender::Device(device)));
        assert_eq!(judged, expected);
    }
}

#[test]
fn an_identity_reset_of_a_known_user() {
    let before = known(&seen(Some(("m", false)), &[device("A", true)]));
    let now = seen(Some(("n", false)), &[device("A", true)]);
    assert_eq!(findings(&before, &now), [Finding::IdentityChanged { was_verified: false }]);
    let after = then(&before, &now);
    assert_eq!(verdicts(&after, "A"), ["trusted", "trusted", "awaiting_approval"]);
    assert!(findings(&after, &now).is_empty(), "it is said once");
}

#[test]
fn an_identity_reset_of_an_approved_user_voids_the_approval() {
    let before = known(&seen(Some(("m", false)), &[device("A", true)]));
    let before = ordered(&before, Order::Approve(None));
    let after = then(&before, &seen(Some(("n", false)), &[device("A", true)]));
    assert_eq!(verdicts(&after, "A"), ["trusted", "trusted", "identity_changed"]);
    let approved = ordered(&after, Order::Approve(None));
    assert_eq!(verdicts(&approved, "A"), ["trusted", "trusted", "trusted"]);
}

#[test]
fn an_identity_reset_of_a_verified_user_stops_them_where_it_matters() {
    let before = known(&seen(Some(("m", true)), &[device("A", true)]));
    let now = seen(Some(("n", false)), &[device("A", true)]);
    assert_eq!(findings(&before, &now), [Finding::IdentityChanged { was_verified: true }]);
    let after = then(&before, &now);
    assert_eq!(verdicts(&after, "A"), ["trusted", "identity_changed", "identity_changed"]);
    let verified = then(&after, &seen(Some(("n", true)), &[device("A", true)]));
    assert_eq!(verdicts(&verified, "A"), ["trusted"; 3], "verified again");
    let withdrawn = ordered(&after, Order::Withdraw);
    assert_eq!(verdicts(&withdrawn, "A"), ["trusted", "trusted", "awaiting_approval"]);
}

#[test]
fn two_resets_in_a_row_do_not_hide_that_the_first_identity_was_verified() {
    let record = known(&seen(Some(("m", true)), &[device("A", true)]));
    let record = then(&record, &seen(Some(("n", false)), &[device("A", true)]));
    let record = then(&record, &seen(Some(("o", false)), &[device("A", true)]));
    assert_eq!(verdicts(&record, "A")[1], "identity_changed");
}

#[test]
fn a_server_that_first_leaves_out_the_signature_hides_nothing() {
    let record = known(&seen(Some(("m", true)), &[device("A", true)]));
    let stripped = then(&record, &seen(Some(("m", false)), &[device("A", true)]));
    assert_eq!(verdicts(&stripped, "A"), ["trusted"; 3]);
    let after = then(&stripped, &seen(Some(("n", false)), &[device("A", true)]));
    assert_eq!(verdicts(&after, "A")[1], "identity_changed");
}

#[test]
fn a_server_that_shows_the_first_identity_again_is_no_excuse() {
    let record = known(&seen(Some(("m", true)), &[device("A", true)]));
    let record = then(&record, &seen(Some(("n", false)), &[device("A", true)]));
    let record = then(&record, &seen(None, &[device("A", true)]));
    assert_eq!(verdicts(&record, "A")[1], "identity_changed");
}

#[test]
fn a_blocked_device_and_a_blocked_user() {
    let all = seen(Some(("m", true)), &[device("A", true), device("B", true)]);
    let device_blocked = ordered(&known(&all), Order::Block(Some(DeviceId::new("B"))));
    assert_eq!(verdicts(&device_blocked, "B"), ["blocked"; 3]);
    assert_eq!(verdicts(&device_blocked, "A"), ["trusted"; 3]);
    let user_blocked = ordered(&known(&all), Order::Block(None));
    let more = seen(Some(("m", true)), &[device("A", true), device("B", true), device("C", true)]);
    assert_eq!(verdicts(&then(&user_blocked, &more), "C"), ["blocked"; 3], "later devices, too");
    assert_eq!(Refusal::Blocked.withheld().as_str(), "m.blacklisted");
    assert_eq!(Refusal::Unsigned.withheld().as_str(), "m.unverified");
}

#[test]
fn a_block_outlives_new_keys_and_a_new_identity_and_approval_does_not() {
    let before = known(&seen(Some(("m", false)), &[device("A", true), device("B", true)]));
    let before = ordered(&before, Order::Block(Some(DeviceId::new("A"))));
    let before = ordered(&before, Order::Approve(Some(DeviceId::new("B"))));
    let other = |id: &str| SeenDevice { curve25519: "other".into(), ..device(id, true) };
    let after = then(&before, &seen(Some(("n", false)), &[other("A"), other("B")]));
    assert_eq!(verdicts(&after, "A"), ["blocked"; 3]);
    assert_eq!(verdicts(&after, "B"), ["trusted", "trusted", "identity_changed"]);
}

#[test]
fn new_keys_of_a_device_void_its_approval() {
    let before = ordered(&known(&seen(None, &[device("A", false)])), Order::Approve(None));
    let other = SeenDevice { ed25519: "other".into(), ..device("A", false) };
    let now = seen(None, &[other]);
    assert_eq!(
        findings(&before, &now),
        [Finding::DeviceKeysChanged { device: DeviceId::new("A"), signed: false }]
    );
    assert_eq!(verdicts(&then(&before, &now), "A")[2], "awaiting_approval");
}

#[test]
fn a_first_device_of_a_known_identity_is_new() {
    let before = known(&seen(Some(("m", true)), &[]));
    let now = seen(Some(("m", true)), &[device("A", false)]);
    assert_eq!(
        findings(&before, &now),
        [Finding::DeviceNew { device: DeviceId::new("A"), signed: false }]
    );
}

#[test]
fn the_other_devices_of_the_agents_own_account() {
    let record = known(&seen(Some(("m", true)), &[device("SIGNED", true), device("GHOST", false)]));
    let verdict = |mode, id: &str| {
        judge(mode, &record, &record.devices[&DeviceId::new(id)], true) == Verdict::Trusted
    };
    assert_eq!(MODES.map(|mode| verdict(mode, "SIGNED")), [true, true, true]);
    assert_eq!(MODES.map(|mode| verdict(mode, "GHOST")), [true, false, false]);
    let approved = ordered(&record, Order::Approve(None));
    let other = then(&approved, &seen(Some(("n", false)), &[device("SIGNED", true)]));
    let signed = &other.devices[&DeviceId::new("SIGNED")];
    let judged = MODES.map(|mode| judge(mode, &other, signed, true) == Verdict::Trusted);
    assert_eq!(
        judged,
        [true, false, false],
        "an identity that is not the agent's own signs nothing"
    );
}

#[test]
fn what_no_device_stands_for_is_obeyed_by_tofu_only() {
    let record = known(&seen(Some(("m", false)), &[device("A", true)]));
    for (sender, refusal) in [
        (Sender::InTheClear, Refusal::InTheClear),
        (Sender::Unproven, Refusal::Unproven),
        (Sender::Unknown, Refusal::UnknownDevice),
    ] {
        assert!(judge_message(Tofu, Some(&record), sender).is_ok());
        for mode in [CrossSigning, Manual] {
            assert_eq!(judge_message(mode, Some(&record), sender), Err(refusal));
        }
        let forwarded = judge_message(Tofu, Some(&record), Sender::Forwarded);
        assert_eq!(forwarded, Err(Refusal::Unproven));
        let blocked = ordered(&record, Order::Block(None));
        assert_eq!(judge_message(Tofu, Some(&blocked), sender), Err(Refusal::Blocked));
    }
}

#[test]
fn a_message_says_how_sure_it_is_who_wrote_it() {
    let level = |record: &UserRecord, id: &str| {
        let device = &record.devices[&DeviceId::new(id)];
        judge_message(Tofu, Some(record), Sender::Device(device)).unwrap()
    };
    let devices = [device("A", true), device("B", false)];
    let record = known(&seen(Some(("m", false)), &devices));
    assert_eq!(level(&record, "A"), Assurance::Signed);
    assert_eq!(level(&record, "B"), Assurance::Unsigned);
    let verified = known(&seen(Some(("m", true)), &devices));
    assert_eq!(level(&verified, "A"), Assurance::Verified);
    assert_eq!(
        level(&verified, "B"),
        Assurance::Unsigned,
        "the user is verified, the device is not"
    );
    let approved = ordered(&record, Order::Approve(Some(DeviceId::new("B"))));
    assert_eq!(level(&approved, "B"), Assurance::Verified);
    for assurance in [
        Assurance::InTheClear,
        Assurance::Unproven,
        Assurance::Unsigned,
        Assurance::Signed,
        Assurance::Verified,
    ] {
        assert_eq!(Assurance::from_code(assurance.code()), assurance);
        assert_eq!(assurance.require_verified().is_ok(), assurance == Assurance::Verified);
    }
}

#[test]
fn a_withdrawn_verification_stays_withdrawn_until_it_is_done_again() {
    let all = seen(Some(("m", true)), &[device("A", true)]);
    let withdrawn = ordered(&known(&all), Order::Withdraw);
    let later = then(&withdrawn, &all);
    assert_eq!(verdicts(&later, "A"), ["trusted", "trusted", "awaiting_approval"]);
    assert_eq!(verified(&later, "another", Method::Emoji, 5), None);
    let again = verified(&later, "m", Method::Emoji, 5).unwrap();
    assert_eq!(verdicts(&then(&again, &all), "A"), ["trusted"; 3]);
}

#[test]
fn an_order_about_an_unknown_device_names_those_that_there_are() {
    let record = known(&seen(None, &[device("A", false)]));
    let refused = carry_out(&record, &Order::Block(Some(DeviceId::new("X"))), 3).unwrap_err();
    assert_eq!(
        refused,
        OrderRefused::NoSuchDevice {
            user: "@alice:hs".into(),
            device: "X".into(),
            known: vec!["A".into()]
        }
    );
    let stranger = UserRecord::new(UserId::new("@eve:hs"), 1);
    assert!(carry_out(&stranger, &Order::Approve(None), 3).is_err());
    let blocked = ordered(&stranger, Order::Block(None));
    let met = reconcile(
        Some(&blocked),
        &SeenUser { user: UserId::new("@eve:hs"), ..seen(None, &[device("A", false)]) },
        4,
    );
    assert_eq!(
        met.findings,
        [Finding::DeviceFirstSeen { device: DeviceId::new("A"), signed: false }]
    );
    assert_eq!(verdicts(&met.record, "A"), ["blocked"; 3]);
    assert!(carry_out(&met.record, &Order::Approve(Some(DeviceId::new("A"))), 5).is_err());
}

#[test]
fn every_refusal_has_a_code_and_those_that_can_heal_are_told() {
    for code in [
        "blocked",
        "unsigned",
        "awaiting_approval",
        "identity_changed",
        "unknown_device",
        "unproven",
        "in_the_clear",
    ] {
        let refusal = Refusal::from_code(code).unwrap();
        assert_eq!(refusal.code(), code);
        assert!(refusal.hint().is_some() || refusal == Refusal::Blocked);
        assert!(!refusal.can_heal() || refusal.hint().is_some());
    }
    assert_eq!(Refusal::from_code("other"), None);
}

/// The reasons, one after the other: a new one does not compile before it has
/// its place here.
fn after(refusal: &Refusal) -> Option<Refusal> {
    Some(match refusal {
        Refusal::Blocked => Refusal::Unsigned,
        Refusal::Unsigned => Refusal::AwaitingApproval,
        Refusal::AwaitingApproval => Refusal::IdentityChanged,
        Refusal::IdentityChanged => Refusal::UnknownDevice,
        Refusal::UnknownDevice => Refusal::Unproven,
        Refusal::Unproven => Refusal::InTheClear,
        Refusal::InTheClear => return None,
    })
}

#[test]
fn the_list_of_refusals_is_complete() {
    let all = std::iter::successors(Some(Refusal::Blocked), after);
    assert_eq!(all.collect::<Vec<_>>(), Refusal::ALL);
}
