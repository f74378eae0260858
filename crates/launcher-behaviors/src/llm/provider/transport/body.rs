//! What comes of an answer, within its limits.

use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use super::{Limits, TransportFault, reason};

/// How many bytes each piece of an answer counts at least: an endless stream of
/// small ones is work as well.
const LEAST: usize = 64;

/// How long one line may be, in bytes. The longest real ones have some hundred
/// kilobytes: a signature that the provider wants to have back.
const LONGEST_LINE: usize = 1 << 20;

/// An answer's body, within its limits.
pub(super) struct Body {
    response: reqwest::Response,
    left: usize,
    limits: Limits,
    until: Instant,
    /// What there is of a line.
    line: Vec<u8>,
}

impl Body {
    /// What `response` brings, until then.
    pub(super) fn new(response: reqwest::Response, limits: Limits, until: Instant) -> Self {
        Self { response, left: limits.bytes, limits, until, line: Vec::new() }
    }

    /// What came, up to the end of a line; the rest at the very end. Who reads it
    /// looks at a line anew with each piece of it: a long one in small pieces
    /// would keep the processor busy.
    pub(super) async fn lines(&mut self) -> Result<Option<Bytes>, TransportFault> {
        while let Some(chunk) = self.chunk().await? {
            let end = memchr::memrchr(b'\n', &chunk).map_or(0, |end| end + 1);
            let (whole, rest) = chunk.split_at(end);
            let mut lines = Vec::new();
            if !whole.is_empty() {
                lines = std::mem::take(&mut self.line);
                lines.extend_from_slice(whole);
            }
            self.line.extend_from_slice(rest);
            if self.line.len() > LONGEST_LINE {
                return Err(TransportFault::TooLarge { limit: LONGEST_LINE });
            }
            if !lines.is_empty() {
                return Ok(Some(lines.into()));
            }
        }
        let rest = std::mem::take(&mut self.line);
        Ok((!rest.is_empty()).then(|| rest.into()))
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, TransportFault> {
        let silent = Instant::now() + self.limits.silence;
        let chunk = match timeout_at(silent.min(self.until), self.response.chunk()).await {
            Ok(Ok(chunk)) => chunk,
            Ok(Err(error)) => return Err(TransportFault::Lost { reason: reason(&error) }),
            Err(_) if silent < self.until => {
                return Err(TransportFault::Silent { waited: self.limits.silence });
            }
            Err(_) => return Err(TransportFault::TooSlow { limit: self.limits.total }),
        };
        if let Some(chunk) = &chunk {
            self.left = self
                .left
                .checked_sub(chunk.len().max(LEAST))
                .ok_or(TransportFault::TooLarge { limit: self.limits.bytes })?;
        }
        Ok(chunk)
    }

    pub(super) async fn whole(mut self) -> Result<Bytes, TransportFault> {
        let mut whole = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.into())
    }
}
