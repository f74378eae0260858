//! The sealed part of an archive: STREAM over XChaCha20-Poly1305.
//!
//! What is written is cut into chunks. Each is sealed with its number and with
//! whether it is the last one, and with the header as associated data. So
//! chunks that are changed, moved, left out, added or taken from another
//! archive do not open, and neither does a stream that ends too early.

use std::io::{self, BufRead, Read, Write};

use chacha20poly1305::{
    Key, KeyInit, XChaCha20Poly1305,
    aead::stream::{DecryptorBE32, EncryptorBE32},
};
use hkdf::Hkdf;
use launcher_core::secret::PickleKey;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::header::Header;

/// How many bytes are sealed together; only the last chunk has fewer.
pub(crate) const CHUNK: usize = 64 * 1024;

/// What sealing adds to each chunk.
pub(crate) const TAG: usize = 16;

const INFO: &[u8] = b"launcher archive 1";

/// Seals what is written to it.
pub(crate) struct Sealing<W> {
    to: W,
    cipher: EncryptorBE32<XChaCha20Poly1305>,
    header: Vec<u8>,
    chunk: Zeroizing<Vec<u8>>,
}

/// Opens what was sealed, and shows nothing that is not authentic.
pub(crate) struct Opening<R> {
    from: R,
    /// `None` after the last chunk, and after trouble.
    cipher: Option<DecryptorBE32<XChaCha20Poly1305>>,
    header: Vec<u8>,
    chunk: Zeroizing<Vec<u8>>,
    /// How much of `chunk` was handed out.
    used: usize,
    /// Where the next chunk begins in the file.
    next: u64,
    trouble: Option<Trouble>,
}

/// Why a stream cannot be read on.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It could not be read.
    Io(io::Error),
    /// The chunk that begins at `offset` does not open.
    Sealed { offset: u64 },
}

impl<W: Write> Sealing<W> {
    /// Writes the header to `to`.
    pub(crate) fn begin(mut to: W, header: &Header, key: &PickleKey) -> io::Result<Self> {
        let cipher = EncryptorBE32::from_aead(cipher(key, header), (&header.nonce).into());
        let header = header.bytes();
        to.write_all(&header)?;
        Ok(Self { to, cipher, header, chunk: empty_chunk() })
    }

    /// Seals the last chunk. Without this the stream does not open.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.cipher
            .encrypt_last_in_place(&self.header, &mut *self.chunk)
            .map_err(|_| too_long())?;
        self.to.write_all(&self.chunk)
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk waits for more: it may be the last one.
        if self.chunk.len() == CHUNK && !bytes.is_empty() {
            self.cipher
                .encrypt_next_in_place(&self.header, &mut *self.chunk)
                .map_err(|_| too_long())?;
            self.to.write_all(&self.chunk)?;
            self.chunk.clear();
        }
        let taken = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<R: BufRead> Opening<R> {
    /// Opens the first chunk of what follows `header` in `from`.
    pub(crate) fn begin(from: R, header: &Header, key: &PickleKey) -> Result<Self, Trouble> {
        let cipher = DecryptorBE32::from_aead(cipher(key, header), (&header.nonce).into());
        let header = header.bytes();
        let next = header.len() as u64;
        let mut opening = Self {
            from,
            cipher: Some(cipher),
            header,
            chunk: empty_chunk(),
            used: 0,
            next,
            trouble: None,
        };
        opening.open_next()?;
        Ok(opening)
    }

    /// Why reading ended with an error, if the stream is the reason.
    pub(crate) fn into_trouble(self) -> Option<Trouble> {
        self.trouble
    }

    fn open_next(&mut self) -> Result<(), Trouble> {
        let Some(mut cipher) = self.cipher.take() else { return Ok(()) };
        let offset = self.next;
        self.used = 0;
        self.chunk.clear();
        let read = self.from.by_ref().take((CHUNK + TAG) as u64).read_to_end(&mut self.chunk);
        self.next += read.map_err(Trouble::Io)? as u64;
        let sealed = |_| Trouble::Sealed { offset };
        if at_end(&mut self.from).map_err(Trouble::Io)? {
            cipher.decrypt_last_in_place(&self.header, &mut *self.chunk).map_err(sealed)
        } else {
            cipher.decrypt_next_in_place(&self.header, &mut *self.chunk).map_err(sealed)?;
            self.cipher = Some(cipher);
            Ok(())
        }
    }
}

impl<R: BufRead> Read for Opening<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.used == self.chunk.len() && self.cipher.is_some() {
            if let Err(trouble) = self.open_next() {
                // It was not opened, so it must not be handed out.
                self.chunk.clear();
                self.trouble = Some(trouble);
            }
        }
        if self.trouble.is_some() {
            return Err(io::Error::other("the archive cannot be read on"));
        }
        let rest = &self.chunk[self.used..];
        let taken = rest.len().min(buffer.len());
        buffer[..taken].copy_from_slice(&rest[..taken]);
        self.used += taken;
        Ok(taken)
    }
}

fn cipher(key: &PickleKey, header: &Header) -> XChaCha20Poly1305 {
    let mut derived = Zeroizing::new([0; 32]);
    // 32 bytes is a length that HKDF-SHA256 can always give.
    let expanded =
        Hkdf::<Sha256>::new(Some(&header.salt), key.expose()).expand(INFO, derived.as_mut());
    debug_assert!(expanded.is_ok());
    XChaCha20Poly1305::new(Key::from_slice(derived.as_slice()))
}

/// Never grows, so that no copy of its content is left behind.
fn empty_chunk() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(CHUNK + TAG))
}

fn at_end(from: &mut impl BufRead) -> io::Result<bool> {
    loop {
        match from.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            filled => return filled.map(<[u8]>::is_empty),
        }
    }
}

/// A stream numbers its chunks with 32 bits.
fn too_long() -> io::Error {
    io::Error::other("an archive cannot have more than 256 TiB")
}

#[cfg(test)]
mod tests {
    use launcher_core::secret::Secret;

    use super::*;
    use crate::header::{NONCE, SALT};

    fn header(agent: &str) -> Header {
        Header { agent: agent.parse().unwrap(), salt: [0x51; SALT], nonce: [0x4e; NONCE] }
    }

    fn seal(content: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::new();
        let mut sealing =
            Sealing::begin(&mut sealed, &header("assistant"), &Secret::new([7; 32])).unwrap();
        sealing.write_all(content).unwrap();
        sealing.finish().unwrap();
        sealed.split_off(header("assistant").bytes().len())
    }

    fn open_as(agent: &str, key: u8, sealed: &[u8]) -> Result<Vec<u8>, Trouble> {
        let mut opening = Opening::begin(sealed, &header(agent), &Secret::new([key; 32]))?;
        let mut content = Vec::new();
        match opening.read_to_end(&mut content) {
            Ok(_) => Ok(content),
            Err(_) => Err(opening.into_trouble().unwrap()),
        }
    }

    fn open(sealed: &[u8]) -> Result<Vec<u8>, Trouble> {
        open_as("assistant", 7, sealed)
    }

    fn content(length: usize) -> Vec<u8> {
        (0..length).map(|position| (position % 251) as u8).collect()
    }

    /// Where the trouble is, counted from the end of the header.
    fn refused(sealed: &[u8]) -> u64 {
        match open(sealed) {
            Err(Trouble::Sealed { offset }) => offset - header("assistant").bytes().len() as u64,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_sealed_opens_whatever_its_length() {
        let lengths = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1, 3 * CHUNK];
        for length in lengths {
            let sealed = seal(&content(length));
            assert_eq!(sealed.len(), length + TAG * length.div_ceil(CHUNK).max(1), "{length}");
            assert_eq!(open(&sealed).unwrap(), content(length), "{length}");
        }
    }

    #[test]
    fn how_the_content_is_written_makes_no_difference() {
        let mut sealed = Vec::new();
        let mut sealing =
            Sealing::begin(&mut sealed, &header("assistant"), &Secret::new([7; 32])).unwrap();
        for portion in content(2 * CHUNK + 5).chunks(777) {
            assert_eq!(sealing.write(&[]).unwrap(), 0);
            sealing.write_all(portion).unwrap();
        }
        sealing.finish().unwrap();
        assert!(sealed.ends_with(&seal(&content(2 * CHUNK + 5))));
    }

    #[test]
    fn a_stream_opens_under_its_key_and_its_header_only() {
        let sealed = seal(b"hello");
        assert_eq!(open_as("assistant", 7, &sealed).unwrap(), b"hello");
        assert!(open_as("assistant", 8, &sealed).is_err());
        assert!(open_as("assistent", 7, &sealed).is_err());
    }

    /// Another reader can be tried with this.
    #[test]
    fn the_sealed_form_stays_as_it_is() {
        let hex: String = seal(b"hello").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "0b0bbdf65b0fe2224004b7306ff0709d9839112c13");
    }

    #[test]
    fn chunks_that_were_moved_left_out_or_doubled_are_refused() {
        let block = CHUNK + TAG;
        let sealed = seal(&content(4 * CHUNK));
        let chunks: Vec<_> = sealed.chunks(block).collect();
        let of = |order: &[usize]| order.iter().map(|&i| chunks[i]).collect::<Vec<_>>().concat();
        assert_eq!(open(&of(&[0, 1, 2, 3])).unwrap(), content(4 * CHUNK));
        for (order, place) in [
            ([1, 0, 2, 3].as_slice(), 0),
            (&[0, 2, 1, 3], 1),
            (&[0, 1, 3, 2], 2),
            (&[0, 2, 3], 1),
            (&[0, 1, 1, 2, 3], 2),
            (&[3], 0),
            (&[0, 1, 2], 2),
            (&[0, 1, 2, 3, 3], 3),
        ] {
            assert_eq!(refused(&of(order)), place * block as u64, "{order:?}");
        }
    }

    #[test]
    fn nothing_is_read_after_trouble() {
        let mut sealed = seal(&content(3 * CHUNK));
        sealed[CHUNK + TAG] ^= 1;
        let mut opening =
            Opening::begin(sealed.as_slice(), &header("assistant"), &Secret::new([7; 32])).unwrap();
        let mut read = Vec::new();
        assert!(opening.read_to_end(&mut read).is_err());
        assert_eq!(read, content(CHUNK));
        assert!(opening.read(&mut [0; 8]).is_err());
    }
}
