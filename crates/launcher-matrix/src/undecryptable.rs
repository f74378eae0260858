//! Events whose key is not here yet.
//!
//! A room key may come after the message: it travels another way. Such events
//! wait in the journal and are tried again when their key has arrived, and now
//! and then without a sign of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use launcher_core::{
    fault::Fault,
    names::{EventId, RoomId, UserId},
    trust::Refusal,
    undecryptable::Cause,
};
use launcher_runtime::{
    Report,
    ports::journal::{Journal, Locked, Stamp},
    stamp,
};
use matrix_sdk::deserialized_responses::{
    UnableToDecryptInfo, UnableToDecryptReason, VerificationLevel,
};
use serde_json::Value;
use tracing::{debug, warn};

use crate::{feed, timeline};

/// Events that are tried in one reading without their key having been announced.
const TRIES: usize = 20;

/// How far apart such rounds are when there is more to try.
const ROUND: Duration = Duration::from_secs(5);

/// Notices per room and hour. Whoever sends so many unreadable messages has
/// been told by then.
const NOTICES_PER_HOUR: usize = 5;

/// Sessions of which it is remembered that people were told about them.
const NOTICED: usize = 10_000;

/// Messages of one sender that wait because they are not trusted at most.
const REFUSED_PER_SENDER: usize = 100;

/// The events of one agent that wait for their key.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    events: Vec<Locked>,
    /// Sessions about which people were told, with their rooms.
    noticed: BTreeSet<(RoomId, String)>,
    /// When people in a room were told lately.
    told: BTreeMap<RoomId, Vec<Stamp>>,
    /// Who was, or is about to be, told in this life why they are not obeyed.
    hinted: BTreeSet<UserId>,
}

/// The sessions whose keys arrived.
#[derive(Debug)]
pub(crate) enum Keys {
    /// These, by room and session.
    Of(BTreeSet<(String, String)>),
    /// Nobody knows which.
    Unknown,
}

impl Keys {
    /// These and those.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Of(mut keys), Self::Of(more)) => {
                keys.extend(more);
                Self::Of(keys)
            }
            _ => Self::Unknown,
        }
    }

    fn open(&self, event: &Locked) -> bool {
        match self {
            Self::Unknown => false,
            Self::Of(keys) => event.session.as_ref().is_some_and(|session| {
                keys.contains(&(event.room.as_str().to_owned(), session.clone()))
            }),
        }
    }
}

impl Waiting {
    /// What waits since an earlier life. All of it is tried at once: its key
    /// may have arrived without anybody noticing.
    pub(crate) async fn load(journal: &dyn Journal, report: &Report) -> Result<Self, Fault> {
        let mut waiting = Self { events: journal.undecryptable().await?, ..Self::default() };
        waiting.try_all(stamp());
        for event in &waiting.events {
            if event.noticed {
                waiting.noticed.insert((event.room.clone(), key_of(event)));
            }
        }
        waiting.show(report);
        Ok(waiting)
    }

    /// Has all of them tried soon, some at a time.
    pub(crate) fn try_all(&mut self, now: Stamp) {
        for (number, event) in self.events.iter_mut().enumerate() {
            let rounds = u32::try_from(number / TRIES).unwrap_or(u32::MAX);
            event.next_try = event.next_try.min(now.plus(ROUND.saturating_mul(rounds)));
        }
    }

    /// Has those of these senders tried next that wait because their sender is
    /// not trusted.
    pub(crate) fn hurry(&mut self, senders: &BTreeSet<UserId>) {
        for event in &mut self.events {
            if is_refused(event) && senders.contains(&event.sender) {
                event.next_try = Stamp::default();
            }
        }
    }

    /// The same after an operator's word about these senders: they may be told
    /// again why they are not obeyed.
    pub(crate) fn decided(&mut self, senders: &BTreeSet<UserId>) {
        self.hinted.retain(|sender| !senders.contains(sender));
        self.hurry(senders);
    }

    /// The same, whoever sent them.
    pub(crate) fn hurry_all(&mut self) {
        for event in self.events.iter_mut().filter(|event| is_refused(event)) {
            event.next_try = Stamp::default();
        }
    }

    /// Senders of whom as many messages wait as are kept, because they are not
    /// trusted: one of them shall not take the place of others.
    pub(crate) fn full(&self) -> BTreeSet<UserId> {
        let mut counts: BTreeMap<&UserId, usize> = BTreeMap::new();
        for event in self.events.iter().filter(|event| is_refused(event)) {
            *counts.entry(&event.sender).or_default() += 1;
        }
        let full = counts.into_iter().filter(|(_, count)| *count >= REFUSED_PER_SENDER);
        full.map(|(sender, _)| sender.clone()).collect()
    }

    /// The first message of each sender that waits because they are not trusted.
    pub(crate) fn refused(&self) -> Vec<(Locked, Refusal)> {
        let mut senders = BTreeSet::new();
        self.events
            .iter()
            .filter_map(|event| match event.cause {
                Cause::SenderNotTrusted(refusal) => Some((event.clone(), refusal)),
                _ => None,
            })
            .filter(|(event, _)| senders.insert(event.sender.clone()))
            .collect()
    }

    /// Takes in new ones.
    pub(crate) fn add(&mut self, events: impl Iterator<Item = Locked>, report: &Report) {
        for event in events {
            if self.events.iter().all(|known| known.event != event.event) {
                self.events.push(event);
            }
        }
        self.show(report);
    }

    /// Lets go of those that opened or are given up.
    pub(crate) fn remove(&mut self, gone: &[EventId], report: &Report) {
        self.events.retain(|event| !gone.contains(&event.event));
        self.show(report);
    }

    /// Those to be tried now: all whose key was announced, and some that are due.
    pub(crate) fn take_due(&mut self, keys: &Keys, now: Stamp) -> Vec<Locked> {
        if matches!(keys, Keys::Unknown) {
            self.try_all(now);
        }
        let mut due = 0;
        let mut found = Vec::new();
        for event in &mut self.events {
            if keys.open(event) {
                found.push(event.clone());
            } else if event.next_try <= now {
                due += 1;
                match due <= TRIES {
                    true => found.push(event.clone()),
                    false => event.next_try = now.plus(ROUND),
                }
            }
        }
        found
    }

    /// Replaces one that was tried in vain.
    pub(crate) fn update(&mut self, tried: &Locked) {
        for event in &mut self.events {
            if event.event == tried.event {
                event.clone_from(tried);
            }
        }
    }

    /// The first of each session that people should be told about now.
    pub(crate) fn to_notice(&self, grace: Duration, now: Stamp) -> Vec<Locked> {
        let mut sessions = BTreeSet::new();
        self.events
            .iter()
            .filter(|event| !is_refused(event))
            .filter(|event| event.first_seen.plus(grace) <= now && !self.is_noticed(event))
            .filter(|event| sessions.insert((event.room.clone(), key_of(event))))
            .cloned()
            .collect()
    }

    /// Notes that people were, or are about to be, told about this session.
    pub(crate) fn set_noticed(&mut self, event: &Locked) {
        if self.noticed.len() >= NOTICED {
            self.noticed.pop_first();
        }
        self.noticed.insert((event.room.clone(), key_of(event)));
    }

    /// Whether somebody was, or is about to be, told why they are not obeyed.
    pub(crate) fn is_hinted(&self, sender: &UserId) -> bool {
        self.hinted.contains(sender)
    }

    /// Notes that somebody is about to be told.
    pub(crate) fn set_hinted(&mut self, sender: &UserId) {
        if self.hinted.len() >= NOTICED {
            self.hinted.pop_first();
        }
        self.hinted.insert(sender.clone());
    }

    /// Whether people in a room may be told something once more; if so, it counts as done.
    pub(crate) fn may_tell(&mut self, room: &RoomId, now: Stamp) -> bool {
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
        let notice = |event: &Locked| {
            let told = is_refused(event) || self.is_noticed(event);
            grace.filter(|_| !told).map(|grace| event.first_seen.plus(grace))
        };
        let due = |event: &Locked| notice(event).into_iter().chain([event.next_try]).min();
        self.events.iter().filter_map(due).min()
    }

    fn is_noticed(&self, event: &Locked) -> bool {
        self.noticed.contains(&(event.room.clone(), key_of(event)))
    }

    fn show(&self, report: &Report) {
        let locked = self.events.iter().filter(|event| !is_refused(event));
        report.set_undecryptable_pending(locked.count());
    }
}

/// When an event is tried again. Trust announces itself when it changes, so who
/// is not trusted is not tried before the message is too old; a device that
/// nobody knows may become known at any time.
pub(crate) fn next_try(event: &Locked, max_age: Duration, now: Stamp) -> Stamp {
    match event.cause {
        Cause::SenderNotTrusted(refusal) if refusal != Refusal::UnknownDevice => {
            event.sent.plus(max_age).plus(Duration::from_secs(1)).max(now)
        }
        _ => now.plus(launcher_core::undecryptable::next_try(event.tries)),
    }
}

/// Whether an event waits although it can be read: its sender is not trusted.
fn is_refused(event: &Locked) -> bool {
    matches!(event.cause, Cause::SenderNotTrusted(_))
}

/// Notes a message that is not acted upon because its sender is not trusted,
/// and says so in the log.
pub(crate) fn refuse(
    room: &RoomId,
    event: &Value,
    session: Option<String>,
    refusal: Refusal,
    now: Stamp,
) -> Option<Locked> {
    let locked = Locked {
        event: EventId::new(feed::event_id(event)?),
        room: room.clone(),
        sender: UserId::new(event["sender"].as_str()?),
        session,
        cause: Cause::SenderNotTrusted(refusal),
        sent: now.minus(timeline::age(event)),
        first_seen: now,
        tries: 0,
        next_try: now.plus(launcher_core::undecryptable::next_try(0)),
        noticed: false,
    };
    let Locked { event: event_id, sender, .. } = &locked;
    warn!(
        event = "message_refused",
        %room,
        %event_id,
        user = %sender,
        code = refusal.code(),
        reason = %refusal,
        "a message is not acted upon"
    );
    Some(locked)
}

/// What stands for the session of an event in which none is named.
pub(crate) fn key_of(event: &Locked) -> String {
    event.session.clone().unwrap_or_else(|| event.event.as_str().to_owned())
}

/// Notes an event that could not be decrypted, and says so in the log.
pub(crate) fn lock(
    room: &RoomId,
    event: &Value,
    info: &UnableToDecryptInfo,
    now: Stamp,
    report: &Report,
) -> Option<Locked> {
    let locked = Locked {
        event: EventId::new(feed::event_id(event)?),
        room: room.clone(),
        sender: UserId::new(event["sender"].as_str()?),
        session: info.session_id.clone(),
        cause: cause(&info.reason),
        sent: now.minus(timeline::age(event)),
        first_seen: now,
        tries: 0,
        next_try: now.plus(launcher_core::undecryptable::next_try(0)),
        noticed: false,
    };
    let Locked { event: event_id, session, cause, .. } = &locked;
    warn!(
        event = "undecryptable",
        %room,
        %event_id,
        session_id = session,
        reason = %cause,
        "a message cannot be decrypted"
    );
    if let Cause::Withheld(code) = cause {
        warn!(event = "key_withheld", %room, %event_id, code, sender = %locked.sender, "the sender's client keeps the key back");
    }
    report.count_undecryptable(cause.code());
    Some(locked)
}

pub(crate) fn cause(reason: &UnableToDecryptReason) -> Cause {
    match reason {
        UnableToDecryptReason::MissingMegolmSession { withheld_code: Some(code) } => {
            Cause::Withheld(code.as_str().to_owned())
        }
        UnableToDecryptReason::MissingMegolmSession { withheld_code: None } => {
            Cause::UnknownSession
        }
        UnableToDecryptReason::UnknownMegolmMessageIndex => Cause::UnknownIndex,
        UnableToDecryptReason::SenderIdentityNotTrusted(level) => {
            // With the requirement that clients are built with, the SDK leaves this to the ledger.
            debug!(?level, "the SDK refused a sender");
            Cause::SenderNotTrusted(Refusal::Unsigned)
        }
        other => Cause::Malformed(format!("{other:?}")),
    }
}

/// Whether the event claims a sender that its session does not belong to.
pub(crate) fn is_forged(reason: &UnableToDecryptReason) -> bool {
    matches!(
        reason,
        UnableToDecryptReason::SenderIdentityNotTrusted(VerificationLevel::MismatchedSender)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked(event: &str, session: &str, first_seen: u64) -> Locked {
        Locked {
            event: EventId::new(event),
            room: RoomId::new("!r:hs"),
            sender: UserId::new("@alice:hs"),
            session: Some(session.to_owned()),
            cause: Cause::UnknownSession,
            sent: Stamp(first_seen),
            first_seen: Stamp(first_seen),
            tries: 0,
            next_try: Stamp(first_seen + 5_000),
            noticed: false,
        }
    }

    fn waiting(events: &[Locked]) -> Waiting {
        let mut waiting = Waiting::default();
        waiting.add(events.iter().cloned(), &Report::default());
        waiting
    }

    #[test]
    fn a_key_opens_the_events_of_its_session_and_no_other() {
        let mut waiting = waiting(&[locked("$1", "a", 0), locked("$2", "b", 0)]);
        let keys = Keys::Of([("!r:hs".to_owned(), "b".to_owned())].into());
        let tried = waiting.take_due(&keys, Stamp(1));
        assert_eq!(tried.len(), 1);
        assert_eq!(tried[0].event, EventId::new("$2"));
        assert_eq!(waiting.take_due(&Keys::Of(BTreeSet::new()), Stamp(4_999)).len(), 0);
        assert_eq!(waiting.take_due(&Keys::Of(BTreeSet::new()), Stamp(5_000)).len(), 2);
        assert_eq!(waiting.take_due(&Keys::Unknown, Stamp(1)).len(), 2);
    }

    #[test]
    fn people_are_told_once_per_session_and_not_before_the_grace_is_over() {
        let grace = Duration::from_secs(30);
        let mut waiting =
            waiting(&[locked("$1", "a", 0), locked("$2", "a", 1), locked("$3", "b", 2)]);
        assert!(waiting.to_notice(grace, Stamp(29_999)).is_empty());
        let told = waiting.to_notice(grace, Stamp(60_000));
        assert_eq!(told.len(), 2);
        assert_eq!(told[0].event, EventId::new("$1"));
        for event in &told {
            waiting.set_noticed(event);
        }
        assert!(waiting.to_notice(grace, Stamp(60_000)).is_empty());
        waiting.add([locked("$4", "a", 70_000)].into_iter(), &Report::default());
        assert!(waiting.to_notice(grace, Stamp(200_000)).is_empty());
    }

    #[test]
    fn a_flood_is_tried_some_at_a_time_and_complained_about_five_times_an_hour() {
        let flood: Vec<Locked> =
            (0..100).map(|n| locked(&format!("${n}"), &format!("s{n}"), 0)).collect();
        let mut waiting = waiting(&flood);
        let none = Keys::Of(BTreeSet::new());
        assert_eq!(waiting.take_due(&none, Stamp(10_000)).len(), TRIES);
        assert_eq!(waiting.next_due(None), Some(Stamp(5_000)), "those that were given out");
        let room = RoomId::new("!r:hs");
        let told = (0..100).filter(|n| waiting.may_tell(&room, Stamp(*n))).count();
        assert_eq!(told, NOTICES_PER_HOUR);
        assert!(waiting.may_tell(&room, Stamp(3_700_000)));
    }

    #[test]
    fn the_next_thing_to_do_is_a_try_or_a_notice() {
        let grace = Some(Duration::from_secs(2));
        let waiting = waiting(&[locked("$1", "a", 0)]);
        assert_eq!(waiting.next_due(grace), Some(Stamp(2_000)));
        assert_eq!(waiting.next_due(None), Some(Stamp(5_000)));
        assert_eq!(Waiting::default().next_due(grace), None);
    }
}
