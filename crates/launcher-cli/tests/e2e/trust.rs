//! Clients that exclude devices their owner has not signed.

use launcher_testbed::{DEFAULT_TIMEOUT, Isolation, LoginOptions};

use crate::{
    Cases, Outcome,
    bed::Bed,
    launcher::Place,
    rooms::{ask, room_with},
};

pub(crate) const CASES: Cases = &[
    ("trust::a_client_that_excludes_unsigned_devices_and_the_agent_read_each_other", only_signed),
    ("trust::in_mode_cross_signing_a_signed_user_is_answered", cross_signing),
];

fn only_signed(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let mut launcher = place.start()?;
    let ready = launcher.wait_for_event("agent_ready", "echo")?;
    assert_eq!(ready["cross_signed"], true);
    let options = LoginOptions { isolation: Isolation::OnlySigned, ..LoginOptions::default() };
    let alice = bed.person_with("careful", options)?;
    let room = room_with(&alice, &agent)?;
    assert!(ask(&alice, &room, "are you signed?", &agent)?.encrypted);
    let device = ready["device_id"].as_str().unwrap_or_default();
    assert!(alice.wait_for_signed_device(&agent, device, DEFAULT_TIMEOUT)?.signed_by_owner);
    Ok(())
}

fn cross_signing(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let account = bed.account("strict")?;
    let secret = format!("access_token: \"{}\"", account.access_token);
    let user = &account.user_id;
    place.agent_for("strict", user, &secret, "")?;
    let config = crate::launcher::agent_config("strict", user, &secret, "")
        .replace("encryption:\n", "encryption:\n  trust_mode: cross-signing\n");
    place.write_agent("strict", &config)?;
    let _launcher = place.start_ready(&["strict"])?;
    let alice = bed.person("alice")?;
    let room = room_with(&alice, user)?;
    ask(&alice, &room, "signed to signed", user)?;
    Ok(())
}
