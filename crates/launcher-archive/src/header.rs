//! What stands in the clear at the beginning of an archive.

use std::{
    io::{self, Read},
    path::Path,
};

use launcher_core::agent::AgentId;

use crate::error::{ArchiveError, DamagedPart};

/// The first bytes of every archive, whatever its version.
pub(crate) const MAGIC: &[u8; 16] = b"launcher archive";

/// The version of the format, in the byte after [`MAGIC`].
pub(crate) const VERSION: u8 = 1;

pub(crate) const SALT: usize = 32;

/// An XChaCha20 nonce without the five bytes that STREAM appends.
pub(crate) const NONCE: usize = 19;

/// Whose archive it is, and what makes its key and its nonces its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) agent: AgentId,
    pub(crate) salt: [u8; SALT],
    pub(crate) nonce: [u8; NONCE],
}

impl Header {
    /// A header for a new archive, with a salt and a nonce that no other has.
    pub(crate) fn draw(agent: &AgentId) -> io::Result<Self> {
        let mut header = Self { agent: agent.clone(), salt: [0; SALT], nonce: [0; NONCE] };
        getrandom::fill(&mut header.salt).map_err(io::Error::other)?;
        getrandom::fill(&mut header.nonce).map_err(io::Error::other)?;
        Ok(header)
    }

    /// The header as it stands in the file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let agent = self.agent.as_str().as_bytes();
        // An id has at most 63 bytes.
        let length = agent.len() as u8;
        [MAGIC.as_slice(), &[VERSION, length], agent, &self.salt, &self.nonce].concat()
    }

    /// Reads the header of `file` from its beginning.
    pub(crate) fn read(mut from: impl Read, file: &Path) -> Result<Self, ArchiveError> {
        let mut magic = Vec::new();
        from.by_ref().take(MAGIC.len() as u64).read_to_end(&mut magic)?;
        if magic != MAGIC {
            return Err(ArchiveError::NotAnArchive { file: file.to_owned() });
        }
        let damaged = || ArchiveError::Damaged { file: file.to_owned(), part: DamagedPart::Header };
        let mut fill = |field: &mut [u8]| match from.read_exact(field) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(damaged()),
            other => other.map_err(ArchiveError::from),
        };

        let mut version = [0];
        fill(&mut version)?;
        match version {
            [VERSION] => {}
            [0] => return Err(damaged()),
            [version] => {
                return Err(ArchiveError::NewerVersion { file: file.to_owned(), version });
            }
        }
        let mut length = [0];
        fill(&mut length)?;
        let mut agent = vec![0; usize::from(length[0])];
        fill(&mut agent)?;
        let mut salt = [0; SALT];
        fill(&mut salt)?;
        let mut nonce = [0; NONCE];
        fill(&mut nonce)?;
        let agent = std::str::from_utf8(&agent)
            .ok()
            .and_then(|agent| agent.parse().ok())
            .ok_or_else(damaged)?;
        Ok(Self { agent, salt, nonce })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header { agent: "assistant".parse().unwrap(), salt: [0x51; SALT], nonce: [0x4e; NONCE] }
    }

    #[test]
    fn a_header_is_magic_version_agent_salt_and_nonce() {
        let expected = [
            b"launcher archive\x01\x09assistant".as_slice(),
            b"QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ",
            b"NNNNNNNNNNNNNNNNNNN",
        ];
        assert_eq!(header().bytes(), expected.concat());
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let bytes = [header().bytes(), b"what follows".to_vec()].concat();
        let mut from = bytes.as_slice();
        assert_eq!(Header::read(&mut from, Path::new("a")).unwrap(), header());
        assert_eq!(from, b"what follows");
    }

    #[test]
    fn a_header_that_is_cut_off_is_refused() {
        let bytes = header().bytes();
        for length in 0..bytes.len() {
            let error = Header::read(&bytes[..length], Path::new("a")).unwrap_err();
            let known = matches!(error, ArchiveError::NotAnArchive { .. });
            assert_eq!(known, length < MAGIC.len(), "{length}: {error}");
        }
    }

    #[test]
    fn a_header_names_an_agent() {
        let mut bytes = header().bytes();
        bytes[18] = b'/';
        let error = Header::read(bytes.as_slice(), Path::new("a")).unwrap_err();
        assert_eq!(error.to_string(), "a is damaged in its header: use another copy of it");
    }

    #[test]
    fn a_newer_version_is_told_apart_from_damage() {
        let error = Header::read(b"launcher archive\x02".as_slice(), Path::new("a")).unwrap_err();
        assert!(matches!(error, ArchiveError::NewerVersion { version: 2, .. }), "{error}");
    }

    #[test]
    fn no_two_archives_have_the_same_salt_or_nonce() {
        let draw = || Header::draw(&"assistant".parse().unwrap()).unwrap();
        let (one, other) = (draw(), draw());
        assert_ne!(one.salt, other.salt);
        assert_ne!(one.nonce, other.nonce);
    }
}
