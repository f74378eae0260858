//! Whether a folder is the one that an agent last ran from.
//!
//! A store that was restored from a copy is behind what was sent with it; going
//! on with it would use keys and message indices twice. A copied folder that
//! runs on two machines does the same. Both look healthy from inside. So each
//! life of an agent has a name, and a *claim* with that name is written to
//! three places before anything is sent: the journal, the crypto store, and the
//! account's data on the server. What does not agree was restored or copied.

use serde::{Deserialize, Serialize};

/// One life of an agent, as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The device that lives.
    pub device: String,
    /// Grows from life to life.
    pub generation: u64,
    /// Random, so that two lives of the same generation differ.
    pub life: String,
}

/// What the journal knows of its agent's lives.
///
/// A kill may come between the writing to the three places. Then the next life
/// has the same claim, so never more than two names are in play.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Claims {
    /// The claim that the server took last.
    pub last: Option<Claim>,
    /// One that was begun and not confirmed.
    pub next: Option<Claim>,
}

impl Claims {
    /// Whether it is one of these.
    fn know(&self, claim: &Claim) -> bool {
        [&self.last, &self.next].into_iter().flatten().any(|known| known.life == claim.life)
    }

    /// The latest generation in here.
    pub fn generation(&self) -> u64 {
        let known = [&self.last, &self.next].into_iter().flatten();
        known.map(|claim| claim.generation).max().unwrap_or(0)
    }

    fn are_about(&self, device: &str) -> bool {
        [&self.last, &self.next].into_iter().flatten().any(|claim| claim.device == device)
    }
}

/// What the server's data says, besides the claim itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Who lives.
    #[serde(flatten)]
    pub claim: Claim,
    /// Somebody wants to know whether that one is still there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
    /// The last challenge that was answered by that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// The life that this one wants to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects_to: Option<String>,
}

impl Announcement {
    /// Nothing but a claim.
    pub fn of(claim: Claim) -> Self {
        Self { claim, challenge: None, answer: None, objects_to: None }
    }
}

/// What the three places say about a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lineage {
    /// Nobody lived after this folder's last life.
    Current,
    /// Somebody did: the folder was restored from a copy, or copied.
    Behind,
    /// This device never lived here, and somebody lives on the account.
    Foreign,
}

/// Compares journal, store and server.
///
/// A server whose claim is of an earlier generation than the journal's was
/// itself restored from a backup.
pub fn lineage(
    device: &str,
    journal: &Claims,
    store: Option<&Claim>,
    server: Option<&Claim>,
) -> Lineage {
    let is_known_here = journal.are_about(device) || store.is_some();
    if let Some(store) = store
        && journal.are_about(device)
        && !journal.know(store)
    {
        return Lineage::Behind;
    }
    let Some(server) = server else { return Lineage::Current };
    if journal.know(server) || store.is_some_and(|store| store.life == server.life) {
        return Lineage::Current;
    }
    let generation = journal.generation().max(store.map_or(0, |store| store.generation));
    match is_known_here {
        true if server.generation < generation => Lineage::Current,
        true => Lineage::Behind,
        false => Lineage::Foreign,
    }
}

/// What a living agent does about an announcement that it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Nothing: it is its own.
    None,
    /// Say that it is still there.
    Answer,
    /// Announce its own life again, and that the other one should end.
    Object,
    /// End: the other one was there first.
    End,
}

/// Decides between two lives of one agent.
///
/// Who has lived longer goes on: it has the later state. A newcomer announces
/// itself and is objected to. If both object, because they began at once, the
/// names decide.
pub fn react(own: &Claim, objected_to: Option<&str>, seen: &Announcement) -> Reaction {
    let other = &seen.claim.life;
    if *other == own.life {
        let is_open = seen.challenge.is_some() && seen.challenge != seen.answer;
        return if is_open { Reaction::Answer } else { Reaction::None };
    }
    let is_objected_to = seen.objects_to.as_ref() == Some(&own.life);
    match (is_objected_to, objected_to == Some(other)) {
        // Again, because the other one may have written over what it should have read.
        (true, true) if own.life > *other => Reaction::Object,
        (true, _) => Reaction::End,
        (false, _) => Reaction::Object,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(device: &str, generation: u64, life: &str) -> Claim {
        Claim { device: device.into(), generation, life: life.into() }
    }

    fn claims(last: Option<Claim>, next: Option<Claim>) -> Claims {
        Claims { last, next }
    }

    #[test]
    fn the_folder_of_the_last_life_is_current() {
        let last = claim("D", 5, "e");
        let journal = claims(Some(last.clone()), None);
        assert_eq!(lineage("D", &journal, Some(&last), Some(&last)), Lineage::Current);
    }

    #[test]
    fn nothing_anywhere_is_current() {
        assert_eq!(lineage("D", &Claims::default(), None, None), Lineage::Current);
    }

    #[test]
    fn a_kill_between_any_two_of_the_places_leaves_a_current_folder() {
        let (last, next) = (claim("D", 5, "e"), claim("D", 6, "f"));
        let journal = claims(Some(last.clone()), Some(next.clone()));
        for store in [&last, &next] {
            for server in [&last, &next] {
                assert_eq!(lineage("D", &journal, Some(store), Some(server)), Lineage::Current);
            }
        }
    }

    #[test]
    fn a_life_after_the_folders_last_one_leaves_it_behind() {
        let (old, new) = (claim("D", 5, "e"), claim("D", 6, "f"));
        let journal = claims(Some(old.clone()), None);
        assert_eq!(lineage("D", &journal, Some(&old), Some(&new)), Lineage::Behind);
        // Two copies that began at the same time.
        let twin = claim("D", 5, "x");
        assert_eq!(lineage("D", &journal, Some(&old), Some(&twin)), Lineage::Behind);
    }

    #[test]
    fn a_store_and_a_journal_of_different_lives_are_behind() {
        let (old, new) = (claim("D", 5, "e"), claim("D", 6, "f"));
        let journal = claims(Some(new.clone()), None);
        assert_eq!(lineage("D", &journal, Some(&old), Some(&new)), Lineage::Behind);
        let journal = claims(Some(old.clone()), None);
        assert_eq!(lineage("D", &journal, Some(&new), Some(&new)), Lineage::Behind);
    }

    #[test]
    fn a_lost_journal_beside_the_last_store_is_current() {
        let last = claim("D", 5, "e");
        let journal = Claims::default();
        assert_eq!(lineage("D", &journal, Some(&last), Some(&last)), Lineage::Current);
    }

    #[test]
    fn a_server_that_was_restored_does_not_make_a_folder_old() {
        let (old, new) = (claim("D", 5, "e"), claim("D", 9, "i"));
        let journal = claims(Some(new.clone()), None);
        assert_eq!(lineage("D", &journal, Some(&new), Some(&old)), Lineage::Current);
        assert_eq!(lineage("D", &journal, Some(&new), None), Lineage::Current);
    }

    #[test]
    fn a_new_device_after_a_reset_knows_the_life_before_it() {
        let last = claim("OLD", 5, "e");
        let journal = claims(Some(last.clone()), None);
        assert_eq!(lineage("NEW", &journal, None, Some(&last)), Lineage::Current);
        let later = claim("OLD", 6, "f");
        assert_eq!(lineage("NEW", &journal, None, Some(&later)), Lineage::Foreign);
    }

    #[test]
    fn somebody_on_the_account_of_an_empty_folder_is_foreign() {
        let other = claim("O", 5, "e");
        assert_eq!(lineage("D", &Claims::default(), None, Some(&other)), Lineage::Foreign);
    }

    fn seen(claim: Claim) -> Announcement {
        Announcement::of(claim)
    }

    #[test]
    fn who_is_challenged_answers_once() {
        let own = claim("D", 5, "e");
        let mut asked = seen(own.clone());
        assert_eq!(react(&own, None, &asked), Reaction::None);
        asked.challenge = Some("?".into());
        assert_eq!(react(&own, None, &asked), Reaction::Answer);
        asked.answer = Some("?".into());
        assert_eq!(react(&own, None, &asked), Reaction::None);
        asked.challenge = Some("??".into());
        assert_eq!(react(&own, None, &asked), Reaction::Answer);
    }

    #[test]
    fn the_newcomer_ends() {
        let (old, new) = (claim("D", 5, "e"), claim("D", 6, "b"));
        assert_eq!(react(&old, None, &seen(new.clone())), Reaction::Object);
        let objection = Announcement { objects_to: Some("b".into()), ..seen(old) };
        assert_eq!(react(&new, None, &objection), Reaction::End);
    }

    #[test]
    fn of_two_that_object_to_each_other_exactly_one_ends() {
        let (one, other) = (claim("D", 5, "e"), claim("D", 5, "f"));
        let objection = |of: &Claim, to: &Claim| Announcement {
            objects_to: Some(to.life.clone()),
            ..seen(of.clone())
        };
        assert_eq!(react(&one, Some("f"), &objection(&other, &one)), Reaction::End);
        assert_eq!(react(&other, Some("e"), &objection(&one, &other)), Reaction::Object);
    }
}
