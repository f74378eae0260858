//! Whether a fan-out reaches each device that could read it, and no other.

use std::collections::BTreeSet;

use crate::{refusal::Refusal, values::DeviceId};

/// Refuses payloads that are not one for each of the recipient's devices.
///
/// `active` are those that are not revoked and have keys. The pseudo device of
/// an account's own keys is none of them: nobody asks for its envelopes.
pub(crate) fn covered(active: &[DeviceId], addressed: &[&str]) -> Result<(), Refusal> {
    let wanted: BTreeSet<&str> = active.iter().map(DeviceId::as_str).collect();
    let given: BTreeSet<&str> = addressed.iter().copied().collect();
    if given.len() < addressed.len() {
        return Err(Refusal::bad("Each recipient_device_id can stand in one payload only."));
    }
    let texts = |ids: Vec<&&str>| ids.into_iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    let missing = texts(wanted.difference(&given).collect());
    let unknown = texts(given.difference(&wanted).collect());
    match missing.is_empty() && unknown.is_empty() {
        true => Ok(()),
        false => Err(Refusal::Devices { missing, unknown }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_device_gets_one_payload_and_nobody_else_does() {
        let active = [DeviceId("a".into()), DeviceId("b".into())];
        covered(&active, &["b", "a"]).unwrap();
        assert!(matches!(covered(&active, &["a", "a", "b"]), Err(Refusal::Bad(_))));
        assert_eq!(
            covered(&active, &["b", "c"]),
            Err(Refusal::Devices { missing: vec!["a".into()], unknown: vec!["c".into()] })
        );
        assert_eq!(
            covered(&[], &["c"]),
            Err(Refusal::Devices { missing: vec![], unknown: vec!["c".into()] })
        );
    }
}
