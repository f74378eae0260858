//! Rows whose key is not here yet, and rows of devices that are not trusted.
//!
//! They are in the journal, and here without their content. A key announces
//! itself; besides, each row is tried now and then, until it is too old to be
//! answered.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use launcher_core::{
    fault::Fault,
    names::{EventId, RoomId as Room, UserId},
    undecryptable::{self, Cause},
};
use launcher_runtime::{
    Report,
    ports::{
        Notice, NoticeKind,
        journal::{Journal, Locked, Stamp},
    },
    stamp, transaction_part,
};

/// Rows that are tried in one reading without their key having been announced.
const TRIES: usize = 20;

/// How far apart such rounds are when there is more to try.
const ROUND: Duration = Duration::from_secs(5);

/// Notices per room and hour. Whoever sends so many unreadable messages has
/// been told by then.
const NOTICES_PER_HOUR: usize = 5;

/// Sessions of which it is remembered that people were told about them.
const NOTICED: usize = 10_000;

/// Rows of one sender that wait because they are not trusted at most.
const REFUSED_PER_SENDER: usize = 100;

/// Rows of one sender whose keys are missing at most.
const LOCKED_PER_SENDER: usize = 1_000;

/// Rows that wait at most, whoever sent them.
const WAITING: usize = 10_000;

/// A room's session.
type Session = (Room, String);

/// The rows of one agent that wait.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    rows: BTreeMap<EventId, Locked>,
    /// How many of them are each sender's, and whether because of the sender.
    shares: BTreeMap<(UserId, bool), usize>,
    noticed: BTreeSet<Session>,
    /// When people in a room were told lately.
    told: BTreeMap<Room, Vec<Stamp>>,
}

impl Waiting {
    /// What waits since an earlier life. All of it is tried soon: its key may
    /// have come right before a kill.
    pub(crate) async fn load(journal: &dyn Journal, report: &Report) -> Result<Self, Fault> {
        let mut waiting = Self::default();
        let now = stamp();
        for (number, mut row) in journal.undecryptable().await?.into_iter().enumerate() {
            let rounds = u32::try_from(number / TRIES).unwrap_or(u32::MAX);
            row.next_try = row.next_try.min(now.plus(ROUND.saturating_mul(rounds)));
            waiting.put(row);
        }
        waiting.noticed = waiting.rows.values().filter(|row| row.noticed).map(session_of).collect();
        waiting.show(report);
        Ok(waiting)
    }

    /// Has those of these senders tried next that wait because of their senders.
    pub(crate) fn hurry(&mut self, senders: &BTreeSet<UserId>) {
        for row in self.rows.values_mut() {
            if is_refused(row) && senders.contains(&row.sender) {
                row.next_try = Stamp::default();
            }
        }
    }

    /// Whether no more rows of a sender are kept that wait for this. What one
    /// reading brings comes on top.
    pub(crate) fn is_full(&self, sender: &UserId, cause: &Cause) -> bool {
        let is_refused = is_of_sender(cause);
        let limit = if is_refused { REFUSED_PER_SENDER } else { LOCKED_PER_SENDER };
        let share = self.shares.get(&(sender.clone(), is_refused));
        share.is_some_and(|share| *share >= limit) || self.rows.len() >= WAITING
    }

    /// Takes in new ones.
    pub(crate) fn add(&mut self, rows: impl Iterator<Item = Locked>, report: &Report) {
        for row in rows {
            if !self.rows.contains_key(&row.event) {
                self.put(row);
            }
        }
        self.show(report);
    }

    /// Lets go of those that opened or are given up.
    pub(crate) fn remove(&mut self, gone: &[EventId], report: &Report) {
        for event in gone {
            self.take(event);
        }
        self.show(report);
    }

    fn put(&mut self, row: Locked) {
        self.take(&row.event);
        *self.shares.entry(share_of(&row)).or_default() += 1;
        self.rows.insert(row.event.clone(), row);
    }

    fn take(&mut self, event: &EventId) -> bool {
        let Some(row) = self.rows.remove(event) else { return false };
        let share = share_of(&row);
        match self.shares.get_mut(&share) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(self.shares.remove(&share)),
        }
        true
    }

    /// Those of a room from before this moment, when the agent was not in it.
    pub(crate) fn before(&self, room: &Room, joined: Stamp) -> Vec<EventId> {
        let is_before = |row: &&Locked| row.room == *room && row.sent < joined;
        self.rows.values().filter(is_before).map(|row| row.event.clone()).collect()
    }

    /// Those to be tried now: all whose key was announced, and some that are due.
    pub(crate) fn take_due(&mut self, keys: &BTreeSet<Session>, now: Stamp) -> Vec<Locked> {
        let mut due = 0;
        let mut found = Vec::new();
        for row in self.rows.values_mut() {
            if keys.contains(&session_of(row)) {
                found.push(row.clone());
            } else if row.next_try <= now {
                due += 1;
                match due <= TRIES {
                    true => found.push(row.clone()),
                    false => row.next_try = now.plus(ROUND),
                }
            }
        }
        found
    }

    /// Replaces one that was tried in vain.
    pub(crate) fn update(&mut self, tried: &Locked) {
        if self.take(&tried.event) {
            self.put(tried.clone());
        }
    }

    /// What people are to be told now: of each session once.
    pub(crate) fn notices(
        &mut self,
        grace: Option<Duration>,
        told: &Told,
        own: &UserId,
        now: Stamp,
    ) -> Vec<Notice> {
        let Some(grace) = grace else { return Vec::new() };
        let due = |row: &&Locked| {
            let is_due = !is_refused(row) && row.first_seen.plus(grace) <= now;
            is_due && !self.noticed.contains(&session_of(row))
        };
        let mut due: Vec<Locked> = self.rows.values().filter(due).cloned().collect();
        due.sort_by_key(|row| row.first_seen);
        let mut notices = Vec::new();
        for row in due {
            let session = session_of(&row);
            if self.noticed.contains(&session) {
                continue;
            }
            if self.noticed.len() >= NOTICED {
                self.noticed.pop_first();
            }
            self.noticed.insert(session.clone());
            if told.claim(session, own) && self.may_tell(&row.room, now) {
                notices.push(notice(&row));
            }
        }
        notices
    }

    fn may_tell(&mut self, room: &Room, now: Stamp) -> bool {
        let told = self.told.entry(room.clone()).or_default();
        told.retain(|then| now.since(*then) < Duration::from_secs(3600));
        let may = told.len() < NOTICES_PER_HOUR;
        if may {
            told.push(now);
        }
        may
    }

    /// When there is something to do without news from the server.
    pub(crate) fn next_due(&self, grace: Option<Duration>) -> Option<Stamp> {
        let notice = |row: &Locked| {
            let is_told = is_refused(row) || self.noticed.contains(&session_of(row));
            grace.filter(|_| !is_told).map(|grace| row.first_seen.plus(grace))
        };
        self.rows.values().flat_map(|row| notice(row).into_iter().chain([row.next_try])).min()
    }

    /// Whether keys are missing, so that they may have to be asked for.
    pub(crate) fn lacks_keys(&self) -> bool {
        self.rows.values().any(|row| !is_refused(row))
    }

    fn show(&self, report: &Report) {
        let waiting = self.rows.values().filter(|row| !is_refused(row));
        report.set_undecryptable_pending(waiting.count());
    }
}

/// When a row is tried again. Trust announces itself when it changes, so who is
/// not trusted is not tried before the message is too old.
pub(crate) fn next_try(row: &Locked, max_age: Duration, now: Stamp) -> Stamp {
    match row.cause {
        Cause::SenderNotTrusted(_) => row.sent.plus(max_age).plus(Duration::from_secs(1)).max(now),
        _ => now.plus(undecryptable::next_try(row.tries)),
    }
}

/// Whether a row waits although it can be read: its sender is not trusted.
fn is_refused(row: &Locked) -> bool {
    is_of_sender(&row.cause)
}

fn is_of_sender(cause: &Cause) -> bool {
    matches!(cause, Cause::SenderNotTrusted(_))
}

fn share_of(row: &Locked) -> (UserId, bool) {
    (row.sender.clone(), is_refused(row))
}

fn session_of(row: &Locked) -> Session {
    let session = row.session.clone().unwrap_or_else(|| row.event.as_str().to_owned());
    (row.room.clone(), session)
}

fn notice(row: &Locked) -> Notice {
    Notice {
        room: row.room.clone(),
        about: row.event.clone(),
        sender: row.sender.clone(),
        kind: NoticeKind::MissingKey { session: session_of(row).1, text: row.cause.notice() },
        transaction: format!("notice-to{}", transaction_part(&row.event)),
    }
}

/// Which of the agents of a process tells a room that a message cannot be read.
#[derive(Debug, Default)]
pub(crate) struct Told {
    claims: Mutex<BTreeMap<Session, UserId>>,
}

impl Told {
    /// Whether it falls to `agent` to tell about this session.
    fn claim(&self, session: Session, agent: &UserId) -> bool {
        let mut claims = self.claims.lock().unwrap_or_else(PoisonError::into_inner);
        if claims.len() >= NOTICED && !claims.contains_key(&session) {
            claims.pop_first();
        }
        claims.entry(session).or_insert_with(|| agent.clone()) == agent
    }
}

#[cfg(test)]
mod tests {
    use launcher_core::trust::Refusal;

    use super::*;

    fn locked(event: &str, session: &str, first_seen: u64) -> Locked {
        Locked {
            event: EventId::new(event),
            room: Room::new("r"),
            sender: UserId::new("alice"),
            session: Some(session.to_owned()),
            cause: Cause::UnknownSession,
            sent: Stamp(first_seen),
            first_seen: Stamp(first_seen),
            tries: 0,
            next_try: Stamp(first_seen + 5_000),
            noticed: false,
        }
    }

    fn waiting(rows: &[Locked]) -> Waiting {
        let mut waiting = Waiting::default();
        waiting.add(rows.iter().cloned(), &Report::default());
        waiting
    }

    #[test]
    fn a_key_opens_the_rows_of_its_session_and_no_other() {
        let mut waiting = waiting(&[locked("1", "a", 0), locked("2", "b", 0)]);
        let keys = BTreeSet::from([(Room::new("r"), "b".to_owned())]);
        let tried = waiting.take_due(&keys, Stamp(1));
        assert_eq!(tried.iter().map(|row| row.event.as_str()).collect::<Vec<_>>(), ["2"]);
        assert_eq!(waiting.take_due(&BTreeSet::new(), Stamp(4_999)).len(), 0);
        assert_eq!(waiting.take_due(&BTreeSet::new(), Stamp(5_000)).len(), 2);
    }

    #[test]
    fn people_are_told_once_per_session_by_one_agent_after_the_grace() {
        let (grace, told) = (Some(Duration::from_secs(30)), Told::default());
        let rows = [locked("1", "a", 0), locked("2", "a", 1), locked("3", "b", 2)];
        let (mut one, mut other) = (waiting(&rows), waiting(&rows));
        let (bot, second) = (UserId::new("bot"), UserId::new("second"));
        assert!(one.notices(grace, &told, &bot, Stamp(29_999)).is_empty());
        let first = one.notices(grace, &told, &bot, Stamp(60_000));
        assert_eq!(
            first.iter().map(|notice| notice.about.as_str()).collect::<Vec<_>>(),
            ["1", "3"]
        );
        assert!(one.notices(grace, &told, &bot, Stamp(60_000)).is_empty());
        assert!(other.notices(grace, &told, &second, Stamp(60_000)).is_empty());
        assert!(one.notices(None, &told, &bot, Stamp(90_000)).is_empty());
    }

    #[test]
    fn a_flood_is_tried_some_at_a_time_and_complained_about_five_times_an_hour() {
        let flood: Vec<Locked> =
            (0..100).map(|n| locked(&n.to_string(), &format!("s{n}"), 0)).collect();
        let mut waiting = waiting(&flood);
        assert_eq!(waiting.take_due(&BTreeSet::new(), Stamp(10_000)).len(), TRIES);
        let (grace, own) = (Some(Duration::ZERO), UserId::new("bot"));
        let notices = waiting.notices(grace, &Told::default(), &own, Stamp(10_000));
        assert_eq!(notices.len(), NOTICES_PER_HOUR);
    }

    #[test]
    fn who_is_not_trusted_waits_for_a_word_and_fills_no_more_than_their_share() {
        let refused = |n: u64| Locked {
            cause: Cause::SenderNotTrusted(Refusal::AwaitingApproval),
            ..locked(&n.to_string(), "a", n)
        };
        let mut waiting = waiting(&(0..100).map(refused).collect::<Vec<_>>());
        let (alice, now) = (UserId::new("alice"), Stamp(100));
        let bob = UserId::new("bob");
        let cause = refused(0).cause;
        assert!(waiting.is_full(&alice, &cause) && !waiting.is_full(&bob, &cause));
        assert!(!waiting.is_full(&alice, &Cause::UnknownSession), "a share of each kind");
        assert!(!waiting.lacks_keys());
        let day = Duration::from_secs(86_400);
        assert_eq!(next_try(&refused(7), day, now), Stamp(7 + 86_400_000 + 1_000));
        assert!(waiting.take_due(&BTreeSet::new(), now).is_empty());
        waiting.hurry(&BTreeSet::from([alice]));
        assert_eq!(waiting.take_due(&BTreeSet::new(), now).len(), TRIES);
    }

    #[test]
    fn whose_keys_are_missing_fills_no_more_than_their_share_and_all_together_no_more_than_there_is()
     {
        let row = |n: usize| Locked {
            sender: UserId::new(format!("user{}", n / LOCKED_PER_SENDER)),
            ..locked(&n.to_string(), "a", 0)
        };
        let mut waiting = Waiting::default();
        let is_full = |waiting: &Waiting, sender: &str| {
            waiting.is_full(&UserId::new(sender), &Cause::UnknownSession)
        };
        waiting.add((0..LOCKED_PER_SENDER).map(row), &Report::default());
        assert!(is_full(&waiting, "user0") && !is_full(&waiting, "user1"));
        waiting.add((0..LOCKED_PER_SENDER).map(row), &Report::default());
        waiting.remove(&[row(7).event, EventId::new("unknown")], &Report::default());
        assert!(!is_full(&waiting, "user0"), "one has gone");
        waiting.add((0..WAITING).map(row), &Report::default());
        assert!(is_full(&waiting, "somebody else"));
        // One that was tried in vain counts where it belongs now.
        let refused =
            Locked { cause: Cause::SenderNotTrusted(Refusal::AwaitingApproval), ..row(0) };
        waiting.update(&refused);
        waiting.remove(&[row(WAITING - 1).event], &Report::default());
        assert!(!is_full(&waiting, "user0") && !is_full(&waiting, "somebody else"));
        let all: Vec<EventId> = (0..WAITING).map(|n| row(n).event).collect();
        waiting.remove(&all, &Report::default());
        assert!(waiting.rows.is_empty() && waiting.shares.is_empty());
    }
}
