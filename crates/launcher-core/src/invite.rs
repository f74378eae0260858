//! Decides whether an invitation is accepted.

use std::fmt;

use wildmatch::WildMatch;

use crate::{names::UserId, spec::InvitePolicy};

/// What is known of a room that the agent is invited to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invited {
    /// Who invites; `None` if the invitation does not say.
    pub inviter: Option<UserId>,
    /// Whether the invitation says that the room is encrypted.
    pub encrypted: bool,
    /// How many are in the room, without those who are only invited; `None` if
    /// the server does not say.
    pub members: Option<u64>,
}

/// Why an invitation is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It does not say who it is from.
    InviterUnknown,
    /// `invites.from` does not name the inviter.
    NotFrom {
        /// The inviter.
        inviter: UserId,
    },
    /// `invites.require_encryption`, and the room is not said to be encrypted.
    NotEncrypted,
    /// With the agent there would be more than `invites.max_members`.
    TooManyMembers {
        /// How many there would be.
        members: u64,
        /// How many there may be.
        max: u64,
    },
    /// There is an `invites.max_members`, and the server does not say how many
    /// are in the room.
    MembersUnknown {
        /// How many there may be.
        max: u64,
    },
}

impl Reason {
    /// A word for machines, which stays the same.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InviterUnknown => "inviter_unknown",
            Self::NotFrom { .. } => "not_from",
            Self::NotEncrypted => "not_encrypted",
            Self::TooManyMembers { .. } => "too_many_members",
            Self::MembersUnknown { .. } => "members_unknown",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InviterUnknown => formatter.write_str("it does not say who it is from"),
            Self::NotFrom { inviter } => {
                write!(formatter, "invites.from does not name {inviter}")
            }
            Self::NotEncrypted => formatter
                .write_str("invites.require_encryption, and the room is not said to be encrypted"),
            Self::TooManyMembers { members, max } => write!(
                formatter,
                "invites.max_members is {max}, and with the agent there would be {members}"
            ),
            Self::MembersUnknown { max } => write!(
                formatter,
                "invites.max_members is {max}, and the server does not say how many there are"
            ),
        }
    }
}

/// Whether the policy lets the agent join; if not, the first reason against it.
///
/// What costs nothing to know is looked at first, so `members` may be left out
/// unless [`needs_members`] says otherwise.
///
/// # Errors
///
/// The reason.
pub fn decide(policy: &InvitePolicy, invited: &Invited) -> Result<(), Reason> {
    decide_without_members(policy, invited)?;
    let Some(max) = policy.max_members else { return Ok(()) };
    match invited.members.map(|members| members.saturating_add(1)) {
        None => Err(Reason::MembersUnknown { max }),
        Some(members) if members > max => Err(Reason::TooManyMembers { members, max }),
        Some(_) => Ok(()),
    }
}

/// Whether the decision depends on how many are in the room.
pub fn needs_members(policy: &InvitePolicy, invited: &Invited) -> bool {
    policy.max_members.is_some() && decide_without_members(policy, invited).is_ok()
}

fn decide_without_members(policy: &InvitePolicy, invited: &Invited) -> Result<(), Reason> {
    let inviter = invited.inviter.as_ref().ok_or(Reason::InviterUnknown)?;
    if !matches(&policy.from, inviter) {
        return Err(Reason::NotFrom { inviter: inviter.clone() });
    }
    match policy.require_encryption && !invited.encrypted {
        true => Err(Reason::NotEncrypted),
        false => Ok(()),
    }
}

/// Whether one of the globs matches the user's whole id.
///
/// `@*:example.org` does not let in `@eve:example.org.evil.test`.
pub fn matches(globs: &[String], user: &UserId) -> bool {
    globs.iter().any(|glob| WildMatch::new(glob).matches(user.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(globs: &[&str], inviter: &str) -> bool {
        let globs: Vec<String> = globs.iter().map(ToString::to_string).collect();
        matches(&globs, &UserId::new(inviter))
    }

    #[test]
    fn a_glob_matches_the_whole_user_id() {
        assert!(check(&["@*:example.org"], "@alice:example.org"));
        assert!(check(&["@bob:x", "@al?ce:example.org"], "@alice:example.org"));
        assert!(!check(&["@*:example.org"], "@eve:example.org.evil.test"));
        assert!(!check(&["@*:example.org"], "@eve:evil.test:example.org.evil"));
        assert!(!check(&["@alice:example.org"], "@Alice:example.org"));
        assert!(!check(&[], "@alice:example.org"));
    }

    /// `from` is `@*:hs`; each case is a policy, an invitation and what comes of it.
    fn decided(
        (require_encryption, max_members): (bool, Option<u64>),
        (inviter, encrypted, members): (&str, bool, Option<u64>),
    ) -> &'static str {
        let policy = InvitePolicy {
            from: vec!["@*:hs".to_owned()],
            max_members,
            require_encryption,
            ..InvitePolicy::default()
        };
        let inviter = (!inviter.is_empty()).then(|| UserId::new(inviter));
        let invited = Invited { inviter, encrypted, members };
        decide(&policy, &invited).map_or_else(|reason| reason.code(), |()| "accepted")
    }

    #[test]
    fn each_rule_refuses_by_itself() {
        let open = (false, None);
        assert_eq!(decided(open, ("@a:hs", false, None)), "accepted");
        assert_eq!(decided(open, ("@a:other", true, Some(1))), "not_from");
        assert_eq!(decided(open, ("", true, Some(1))), "inviter_unknown");
        assert_eq!(decided((true, None), ("@a:hs", false, Some(1))), "not_encrypted");
        assert_eq!(decided((true, None), ("@a:hs", true, None)), "accepted");
    }

    #[test]
    fn the_agent_itself_counts_as_a_member() {
        let two = (false, Some(2));
        assert_eq!(decided(two, ("@a:hs", false, Some(1))), "accepted");
        assert_eq!(decided(two, ("@a:hs", false, Some(2))), "too_many_members");
        assert_eq!(decided(two, ("@a:hs", false, Some(u64::MAX))), "too_many_members");
        assert_eq!(decided(two, ("@a:hs", false, None)), "members_unknown");
    }

    #[test]
    fn members_are_asked_for_only_if_they_decide() {
        let policy = |max_members| InvitePolicy {
            from: vec!["@*:hs".to_owned()],
            max_members,
            ..InvitePolicy::default()
        };
        let by = |inviter| Invited {
            inviter: Some(UserId::new(inviter)),
            encrypted: true,
            members: None,
        };
        assert!(needs_members(&policy(Some(5)), &by("@a:hs")));
        assert!(!needs_members(&policy(Some(5)), &by("@a:other")));
        assert!(!needs_members(&policy(None), &by("@a:hs")));
    }

    #[test]
    fn a_reason_names_the_setting_and_the_thing() {
        let inviter = UserId::new("@eve:x");
        assert_eq!(Reason::NotFrom { inviter }.to_string(), "invites.from does not name @eve:x");
        assert_eq!(
            Reason::TooManyMembers { members: 9, max: 2 }.to_string(),
            "invites.max_members is 2, and with the agent there would be 9"
        );
    }
}
