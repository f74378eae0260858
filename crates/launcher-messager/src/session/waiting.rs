//! Waiting for news: a websocket, and a look now and then.
//!
//! The socket is a hint. Without one, the server is asked every few seconds,
//! which also finds out how it is.

use std::time::Duration;

use launcher_core::{backoff, fault::Fault};
use launcher_runtime::{ports::journal::Stamp, stamp};
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::{MessagerSession, Wanted, locked};
use crate::{
    client::ClientError,
    faults,
    socket::{Packet, Socket},
};

/// How often invitations are looked for. Not every server tells of them.
const INVITES: Duration = Duration::from_secs(10);

/// How often everything is looked at although the socket says nothing.
const ALL: Duration = Duration::from_secs(60);

/// The longest pause before another socket is tried, as a step of the back-off.
const LONGEST_STEP: u32 = 5;

/// A socket that lived this long was a good one.
const GOOD: Duration = Duration::from_secs(30);

/// The way to the server's news.
#[derive(Default)]
pub(super) struct Line {
    socket: Option<(Socket, Instant)>,
    /// Sockets in a row that could not be had, or did not live long.
    failures: u32,
    /// When another one is tried.
    next: Option<Instant>,
    /// When invitations, and everything, were last looked at.
    looked: Option<Instant>,
    looked_at_all: Option<Instant>,
}

impl Line {
    pub(super) fn hang_up(&mut self) {
        self.socket = None;
    }

    fn lost(&mut self, error: &ClientError) {
        let was_good = self.socket.take().is_some_and(|(_, since)| since.elapsed() >= GOOD);
        self.failures = if was_good { 0 } else { self.failures.saturating_add(1) };
        let wait = match self.failures {
            0 => Duration::ZERO,
            failures => backoff::wait((failures - 1).min(LONGEST_STEP), 0.5, error.retry_after()),
        };
        debug!(%error, retry_in = ?wait, "there is no websocket");
        self.next = Instant::now().checked_add(wait);
    }

    /// The next packet; never without a socket.
    async fn packet(&mut self) -> Result<Packet, ClientError> {
        match &mut self.socket {
            Some((socket, _)) => socket.next().await,
            None => std::future::pending().await,
        }
    }
}

/// What ends a wait.
enum Event {
    Broke,
    Stirred,
    Typed,
    Packet(Result<Packet, ClientError>),
    Due,
}

impl MessagerSession {
    pub(super) async fn wait_for_news(&self) -> Result<(), Fault> {
        let mut line = self.line.lock().await;
        let wanted = self.news(&mut line).await?;
        self.look(&mut line, wanted);
        Ok(())
    }

    /// Waits until there may be news, and says where.
    async fn news(&self, line: &mut Line) -> Result<Wanted, Fault> {
        loop {
            self.check_broken()?;
            if line.socket.is_none() && line.next.is_none_or(|next| next <= Instant::now()) {
                match Socket::connect(&self.parts.client).await {
                    Ok(socket) => line.socket = Some((socket, Instant::now())),
                    Err(ClientError::Unauthorized) => {
                        return Err(faults::of_client(
                            &self.parts.spec,
                            &ClientError::Unauthorized,
                        ));
                    }
                    Err(error) => line.lost(&error),
                }
                // What was not told before is read; or the reading says how the server is.
                return Ok(Wanted::ALL);
            }
            let (due, wanted) = self.next_look(line);
            let event = tokio::select! {
                biased;
                () = self.broke.notified() => Event::Broke,
                () = self.stirred.notified() => Event::Stirred,
                () = self.typed.notified(), if line.socket.is_some() => Event::Typed,
                packet = line.packet() => Event::Packet(packet),
                () = sleep_until(due) => Event::Due,
            };
            match event {
                Event::Broke => {}
                Event::Stirred => return Ok(Wanted::ALL),
                Event::Typed => self.tell_typing(line).await,
                Event::Packet(Ok(packet)) => {
                    if let Some(wanted) = news_in(&packet) {
                        return Ok(wanted);
                    }
                }
                Event::Packet(Err(error)) => {
                    line.lost(&error);
                    return Ok(Wanted::ALL);
                }
                Event::Due => return Ok(wanted),
            }
        }
    }

    /// Notes what the next reading looks at.
    fn look(&self, line: &mut Line, wanted: Wanted) {
        let mut noted = locked(&self.wanted);
        noted.rows |= wanted.rows;
        noted.invites |= wanted.invites;
        let now = Some(Instant::now());
        if noted.invites {
            line.looked = now;
        }
        if noted.rows {
            line.looked_at_all = now;
        }
    }

    /// When there is something to look at without news, and what.
    fn next_look(&self, line: &Line) -> (Instant, Wanted) {
        let now = Instant::now();
        let after = |then: Option<Instant>, wait: Duration| then.unwrap_or(now) + wait;
        let every = if line.socket.is_some() { ALL } else { INVITES };
        let invites = after(line.looked, INVITES);
        let mut all = after(line.looked_at_all, every);
        if let Some(next) = line.next.filter(|_| line.socket.is_none()) {
            all = all.min(next);
        }
        first_of((*locked(&self.due)).map(instant), all, invites)
    }

    async fn tell_typing(&self, line: &mut Line) {
        let rooms = std::mem::take(&mut *locked(&self.typing));
        let Some((socket, _)) = &mut line.socket else { return };
        for room in rooms {
            if let Err(error) = socket.typing(room).await {
                return line.lost(&error);
            }
        }
    }
}

/// What comes first. What is due can be an invitation or a row, so everything is
/// looked at: what is not looked at would be due again at once.
fn first_of(due: Option<Instant>, all: Instant, invites: Instant) -> (Instant, Wanted) {
    match due {
        Some(due) if due <= all.min(invites) => (due, Wanted::ALL),
        _ if all <= invites => (all, Wanted { rows: true, invites: false }),
        _ => (invites, Wanted { rows: false, invites: true }),
    }
}

/// What a packet says that there is to read.
fn news_in(packet: &Packet) -> Option<Wanted> {
    match packet {
        Packet::Row(_) | Packet::Envelope(_) => Some(Wanted { rows: true, invites: false }),
        Packet::Typing { .. } => None,
        Packet::Other { name } => match name.as_str() {
            "pong" | "error" | "messages.delivered" | "accounts.status.update" => None,
            _ => Some(Wanted::ALL),
        },
    }
}

/// A moment of the wall clock as one to wait for.
fn instant(due: Stamp) -> Instant {
    Instant::now() + due.since(stamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_looked_for_everywhere() {
        let now = Instant::now();
        let (soon, late) = (now + Duration::from_secs(1), now + Duration::from_secs(2));
        for (all, invites) in [(soon, late), (late, soon)] {
            assert_eq!(first_of(Some(now), all, invites), (now, Wanted::ALL));
        }
        let (rows, invites) =
            (Wanted { rows: true, invites: false }, Wanted { rows: false, invites: true });
        assert_eq!(first_of(Some(late), now, soon), (now, rows));
        assert_eq!(first_of(None, soon, now), (now, invites));
    }
}
