//! Decides whether an invite is accepted.

use wildmatch::WildMatch;

use crate::{names::UserId, spec::InvitePolicy};

/// Whether the policy lets `inviter` bring the agent into a room.
///
/// A glob has to match the whole id: `@*:example.org` does not let in
/// `@eve:example.org.evil.test`.
pub fn accepts(policy: &InvitePolicy, inviter: &UserId) -> bool {
    matches(&policy.from, inviter)
}

/// Whether one of the globs matches the user's whole id.
pub fn matches(globs: &[String], user: &UserId) -> bool {
    globs.iter().any(|glob| WildMatch::new(glob).matches(user.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(globs: &[&str], inviter: &str) -> bool {
        let policy = InvitePolicy { from: globs.iter().map(ToString::to_string).collect() };
        accepts(&policy, &UserId::new(inviter))
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
}
