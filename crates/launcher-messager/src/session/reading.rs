//! One reading: what the server has since the journal's position.

use std::{collections::BTreeSet, time::Duration};

use launcher_core::{fault::Fault, names::RoomId as Room, undecryptable::Cause};
use launcher_runtime::{
    ports::{
        Arrivals, Notice,
        journal::{Locked, Stamp},
    },
    stamp,
};
use tracing::{info, warn};

use super::{
    MessagerSession, Reading, Wanted,
    envelopes::Brought,
    locked,
    timeline::{Found, since_joined},
};
use crate::{
    client::Page,
    crypto::{Opened, RoomId, Withheld},
    kept,
    locked::{self as waiting, Waiting},
    moments, names,
};

/// How often what is old is removed from the store.
const PRUNED: Duration = Duration::from_secs(24 * 60 * 60);

/// While keys are missing, how often is looked whether to ask for them.
const ASKING: Duration = Duration::from_secs(5);

/// What a position in this network's journal begins with.
const POSITION: &str = "messager:";

/// The journal's position as a moment in milliseconds since 1970; `None` for one
/// of another network.
pub(crate) fn moment_of(position: &str) -> Option<u64> {
    position.strip_prefix(POSITION)?.parse().ok()
}

/// A moment as the journal keeps it.
pub(crate) fn position_of(moment: u64) -> String {
    format!("{POSITION}{moment}")
}

impl Reading {
    /// Says so if the server's clock is behind what was read last.
    fn note_clock(&mut self, position: u64, now: u64) {
        let is_behind = now < position;
        if is_behind && !self.is_clock_behind {
            warn!(by = ?Duration::from_millis(position - now), "the server's clock is behind the last row that was read: what is written until it gets there is not read");
        }
        self.is_clock_behind = is_behind;
    }
}

impl MessagerSession {
    /// Rows are asked for first and envelopes second: the key of a row is at the
    /// server before the row is, so it is there when the row is opened.
    pub(super) async fn read_news(&self) -> Result<Arrivals, Fault> {
        let mut guard = self.reading.lock().await;
        let reading = &mut *guard;
        self.check_broken()?;
        let wanted = std::mem::take(&mut *locked(&self.wanted));
        let read = self.read_wanted(wanted, reading).await;
        if read.is_err() {
            // Nothing of it is in the journal, so it did not happen: all is looked at again.
            *locked(&self.wanted) = Wanted::ALL;
            reading.waiting = Waiting::load(&*self.parts.journal, &self.parts.report).await?;
            reading.is_begun = false;
        }
        read
    }

    async fn read_wanted(&self, wanted: Wanted, reading: &mut Reading) -> Result<Arrivals, Fault> {
        let mut found = Found::default();
        if wanted.invites {
            self.look_at_invitations(reading).await?;
            self.parts.report.synced();
        }
        if wanted.rows {
            let position = self.parts.journal.position().await?;
            let before = position.as_deref().and_then(moment_of).unwrap_or_default();
            let page = self.parts.client.sync_all(before).await;
            let page = page.map_err(|error| self.fault(&error))?;
            self.parts.report.synced();
            let brought = self.receive_envelopes().await?;
            self.read_page(page, before, &brought, reading, &mut found).await?;
        }
        let greetings = self.due_greetings(&found.joined, reading.is_begun).await?;
        self.finish(found, greetings, reading).await
    }

    async fn read_page(
        &self,
        page: Page,
        before: u64,
        brought: &Brought,
        reading: &mut Reading,
        found: &mut Found,
    ) -> Result<(), Fault> {
        if page.skipped > 0 {
            warn!(rows = page.skipped, "the server sent rows that have no form that can be read");
        }
        self.try_again(brought, reading, found).await?;
        for row in since_joined(page.rows, self.address.account) {
            self.take_row(row, reading, found).await?;
        }
        let position = match page.now {
            Some(now) => {
                self.set_clock(now);
                reading.note_clock(before, now);
                moments::idle(before, now, stamp().0)
            }
            None => page.position,
        };
        if position != before {
            found.intake.position = Some(position_of(position));
        }
        if !page.is_last {
            self.stir();
        }
        if brought.more {
            self.stir();
        }
        for room in std::mem::take(&mut found.left) {
            self.leave_if_alone(room).await;
        }
        match self.run_errands().await {
            // What was read is good all the same; the next reading goes on with the errands.
            Err(fault @ Fault::ServerUnavailable { .. }) => {
                warn!(%fault, "what is to be done for keys has to wait");
                reading.is_behind = true;
                Ok(())
            }
            done => {
                reading.is_behind = false;
                done
            }
        }
    }

    /// With nothing more to give, the server says what time it is.
    fn set_clock(&self, now: u64) {
        let ahead = i128::from(now) - i128::from(stamp().0);
        let ahead = i64::try_from(ahead).unwrap_or_default();
        self.ahead.store(ahead, std::sync::atomic::Ordering::Relaxed);
    }

    /// Opens rows that wait once more, those first whose keys came.
    async fn try_again(
        &self,
        brought: &Brought,
        reading: &mut Reading,
        found: &mut Found,
    ) -> Result<(), Fault> {
        reading.waiting.hurry(&std::mem::take(&mut *locked(&self.hurried)));
        let now = stamp();
        let mut due = reading.waiting.take_due(&brought.keys, now);
        due.sort_by_key(|row| row.sent);
        for row in due {
            self.try_row(row, &brought.withheld, reading, found).await?;
        }
        Ok(())
    }

    async fn try_row(
        &self,
        mut row: Locked,
        withheld: &[((Room, String), Withheld)],
        reading: &mut Reading,
        found: &mut Found,
    ) -> Result<(), Fault> {
        let kept = self.parts.journal.locked_event(&row.event).await?;
        let Some(sealed) = kept.as_deref().and_then(kept::read) else {
            found.gone.push(row.event);
            return Ok(());
        };
        let cause = match self.open(&sealed).await? {
            Opened::Read(read) => match self.ledger.judge_row(&read.sender).await? {
                Ok(assurance) => {
                    self.parts.report.decrypted();
                    info!(event = "decrypted_late", room = %row.room, event_id = %row.event, tries = row.tries, "a message that had to wait can be read");
                    found.intake.heard.push(self.heard(&sealed, &read, row.sent, assurance).await?);
                    found.gone.push(row.event);
                    return Ok(());
                }
                Err(refusal) => Cause::SenderNotTrusted(refusal),
            },
            Opened::Locked { .. } if sealed.sender == self.address.account => {
                found.gone.push(row.event);
                return Ok(());
            }
            Opened::Locked { .. } => {
                let session = (row.room.clone(), row.session.clone().unwrap_or_default());
                let said = withheld.iter().find(|(other, _)| *other == session);
                match (said, &row.cause) {
                    (Some((_, reason)), _) => Cause::Withheld(code(*reason).to_owned()),
                    (None, Cause::Withheld(code)) => Cause::Withheld(code.clone()),
                    (None, _) => Cause::UnknownSession,
                }
            }
            Opened::Forgotten => {
                found.gone.push(row.event);
                return Ok(());
            }
            Opened::Refused(refusal) => {
                self.say_refused(&sealed, refusal);
                found.gone.push(row.event);
                return Ok(());
            }
        };
        let max_age = self.parts.spec.catch_up.max_age;
        if !cause.can_heal() || self.server_now().since(row.sent) > max_age {
            info!(room = %row.room, event_id = %row.event, reason = %cause, "a message is given up");
            found.gone.push(row.event);
            return Ok(());
        }
        row.cause = cause;
        row.tries = row.tries.saturating_add(1);
        row.next_try = waiting::next_try(&row, max_age, stamp());
        self.parts.journal.postpone(&row).await?;
        reading.waiting.update(&row);
        Ok(())
    }

    /// Puts together what the runtime is given.
    async fn finish(
        &self,
        mut found: Found,
        mut notices: Vec<Notice>,
        reading: &mut Reading,
    ) -> Result<Arrivals, Fault> {
        let (spec, report) = (&self.parts.spec, &self.parts.report);
        reading.is_begun = true;
        reading.waiting.add(found.intake.locked.iter().map(|(row, _)| row.clone()), report);
        reading.waiting.remove(&found.gone, report);
        found.intake.unlocked = found.gone;
        found.intake.encrypted_rooms = found.encrypted.into_iter().map(names::room).collect();
        let now = stamp();
        let grace = spec.undecryptable.notice_after;
        let own = names::user(self.address.account);
        notices.extend(reading.waiting.notices(grace, &self.parts.told, &own, now));
        let is_asking = reading.waiting.lacks_keys() || reading.is_behind;
        let asking = is_asking.then(|| now.plus(ASKING));
        let due = reading.waiting.next_due(grace).into_iter().chain(asking);
        *locked(&self.due) = due.chain(reading.invites.next_try()).min();
        self.prune(reading, now).await?;
        Ok(Arrivals { intake: found.intake, notices, ..Arrivals::default() })
    }

    async fn prune(&self, reading: &mut Reading, now: Stamp) -> Result<(), Fault> {
        if reading.pruned.is_none_or(|then| now.since(then) >= PRUNED) {
            self.parts.engine.ask(move |machine| machine.prune(now.0)).await?;
            reading.pruned = Some(now);
        }
        Ok(())
    }

    /// Leaves a room if nobody else is in it or invited to it.
    async fn leave_if_alone(&self, room: RoomId) {
        if !self.parts.spec.invites.auto_leave_empty {
            return;
        }
        let Ok(known) = self.book.ask(&self.parts.client, room).await else { return };
        let own = BTreeSet::from([self.address.account]);
        if known.active != own || known.invited > 0 {
            return;
        }
        match self.parts.client.leave(room).await {
            Ok(()) => info!(%room, "left: everyone else has gone"),
            Err(error) => warn!(%room, %error, "leaving an empty room failed"),
        }
    }
}

/// The reason as notices know it.
fn code(reason: Withheld) -> &'static str {
    match reason {
        Withheld::Blocked => "m.blacklisted",
        Withheld::Unapproved | Withheld::Keys => "m.unverified",
        Withheld::NotEntitled | Withheld::Own => "m.unauthorised",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_of_another_network_is_none() {
        assert_eq!(moment_of(&position_of(17)), Some(17));
        assert_eq!(moment_of("s72594_4483_1934"), None);
        assert_eq!(moment_of("messager:-4"), None);
    }
}
