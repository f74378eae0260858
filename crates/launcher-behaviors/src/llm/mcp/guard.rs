//! What a program writes, within bounds.

use std::{
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, ReadBuf};

/// The longest message, in bytes. A longer one would be left out, and whoever
/// waits for it would wait in vain; so it ends the connection.
pub(super) const LONGEST_LINE: usize = 4 << 20;

/// How much may be written in [`STRETCH`]. More is a program that went wild.
const MOST: usize = 64 << 20;
const STRETCH: Duration = Duration::from_secs(10);

/// Reads until it is too much.
#[derive(Debug)]
pub(super) struct Guarded<R> {
    source: R,
    /// Why it is not read any more.
    refused: Arc<OnceLock<&'static str>>,
    /// Bytes since the last line end.
    line: usize,
    since: Instant,
    /// Bytes since then.
    read: usize,
}

impl<R> Guarded<R> {
    pub(super) fn new(source: R, refused: Arc<OnceLock<&'static str>>) -> Self {
        Self { source, refused, line: 0, since: Instant::now(), read: 0 }
    }

    /// Takes note of what was read, and says what is wrong with it.
    fn note(&mut self, bytes: &[u8], now: Instant) -> Option<&'static str> {
        self.line = match memchr::memrchr(b'\n', bytes) {
            Some(end) => bytes.len() - end - 1,
            None => self.line.saturating_add(bytes.len()),
        };
        if now.duration_since(self.since) >= STRETCH {
            (self.since, self.read) = (now, 0);
        }
        self.read = self.read.saturating_add(bytes.len());
        if self.line > LONGEST_LINE {
            Some("the program wrote a line that is too long")
        } else if self.read > MOST {
            Some("the program wrote too much")
        } else {
            None
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Guarded<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.source).poll_read(context, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        match this.note(read, Instant::now()) {
            Some(refused) => {
                this.refused.get_or_init(|| refused);
                Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, refused)))
            }
            None => Poll::Ready(Ok(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guarded() -> Guarded<()> {
        Guarded::new((), Arc::default())
    }

    #[test]
    fn a_line_without_an_end_is_refused() {
        let (mut guarded, now) = (guarded(), Instant::now());
        let half = vec![b'x'; LONGEST_LINE / 2];
        assert_eq!(guarded.note(&half, now), None);
        assert_eq!(guarded.note(&half, now), None);
        assert_eq!(guarded.note(b"x\nx", now), None);
        assert_eq!(guarded.note(&half, now), None);
        assert!(guarded.note(&half, now).is_some());
    }

    #[test]
    fn what_is_too_much_at_once_is_refused() {
        let (mut guarded, now) = (guarded(), Instant::now());
        let mut lines = vec![b'x'; MOST / 2];
        lines.push(b'\n');
        assert_eq!(guarded.note(&lines, now), None);
        assert_eq!(guarded.note(&lines, now + STRETCH), None);
        assert!(guarded.note(&lines, now + STRETCH).is_some());
    }
}
