//! Lines of a stream that may have any length, or no end.

use std::io;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// How much is read at once.
const CHUNK: usize = 16 * 1024;

/// Reads lines and keeps of each no more than it has to.
#[derive(Debug)]
pub struct Lines<R> {
    source: R,
    most: usize,
    /// What was read and is no whole line yet; a part of it if it is too long.
    begun: Vec<u8>,
    /// What was read behind it.
    ahead: BytesMut,
    too_long: bool,
    ended: bool,
}

/// A line, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// All of it.
    Whole(Vec<u8>),
    /// The beginning of one that was too long; the rest was thrown away.
    Cut(Vec<u8>),
}

impl<R> Lines<R> {
    /// What the lines are read from.
    pub(super) fn get_ref(&self) -> &R {
        &self.source
    }
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Lines of at most `most` bytes.
    pub fn new(source: R, most: usize) -> Self {
        Self {
            source,
            most,
            begun: Vec::new(),
            ahead: BytesMut::new(),
            too_long: false,
            ended: false,
        }
    }

    /// The next line; `None` at the end. What stands behind the last line end
    /// counts as a line.
    ///
    /// # Errors
    ///
    /// Reading failed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing that was read is lost.
    pub async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.take() {
                return Ok(Some(line));
            }
            if self.ended {
                return Ok(None);
            }
            // Nothing is ahead: there was no line end in it.
            self.ahead.reserve(CHUNK);
            self.ended = self.source.read_buf(&mut self.ahead).await? == 0;
        }
    }

    fn take(&mut self) -> Option<Line> {
        let end = memchr::memchr(b'\n', &self.ahead);
        let part = end.unwrap_or(self.ahead.len());
        let room = self.most - self.begun.len();
        self.too_long |= part > room;
        self.begun.extend(self.ahead.iter().take(part.min(room)));
        // Without moving the rest: it can be thousands of short lines.
        self.ahead.advance(end.map_or(part, |end| end + 1));
        let is_last = self.ended && (!self.begun.is_empty() || self.too_long);
        (end.is_some() || is_last).then(|| {
            let line = std::mem::take(&mut self.begun);
            match std::mem::take(&mut self.too_long) {
                true => Line::Cut(line),
                false => Line::Whole(line),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(text: &[u8], most: usize) -> Vec<Line> {
        let mut lines = Lines::new(text, most);
        let mut found = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            found.push(line);
        }
        found
    }

    fn whole(text: &str) -> Line {
        Line::Whole(text.into())
    }

    #[tokio::test]
    async fn lines_end_with_a_line_end_or_with_the_stream() {
        assert_eq!(lines(b"", 5).await, []);
        assert_eq!(lines(b"a\n\nb", 5).await, [whole("a"), whole(""), whole("b")]);
        assert_eq!(lines(b"a\r\n\xff\n", 5).await, [whole("a\r"), Line::Whole(vec![0xff])]);
        assert_eq!(lines(b"\n", 5).await, [whole("")]);
    }

    #[tokio::test]
    async fn of_a_line_that_is_too_long_the_beginning_is_kept() {
        let cut = Line::Cut(b"12345".to_vec());
        assert_eq!(lines(b"12345\n123456\n1", 5).await, [whole("12345"), cut.clone(), whole("1")]);
        let mut endless = vec![b'x'; 100_000];
        endless.extend(b"\nend\n");
        assert_eq!(lines(&endless, 3).await, [Line::Cut(b"xxx".to_vec()), whole("end")]);
        assert_eq!(lines(b"123456", 5).await, [cut]);
    }

    #[tokio::test]
    async fn nothing_is_lost_when_a_reading_is_dropped() {
        use tokio::io::AsyncWriteExt as _;
        let (mut writer, reader) = tokio::io::duplex(64);
        let mut lines = Lines::new(reader, 20);
        writer.write_all(b"hel").await.unwrap();
        let cut_off = tokio::time::timeout(std::time::Duration::from_millis(20), lines.next());
        assert!(cut_off.await.is_err());
        writer.write_all(b"lo\n").await.unwrap();
        assert_eq!(lines.next().await.unwrap(), Some(whole("hello")));
    }
}
