//! How values become bytes: big-endian numbers, and lengths in front of what
//! has no fixed one. Each value has one form only.

use super::ids::{AccountId, Address, DeviceName, RoomId, RowId, SessionId};

/// Bytes that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Writes values one after the other.
#[derive(Default)]
pub(crate) struct Writer(Vec<u8>);

/// Reads them again.
pub(crate) struct Reader<'a>(&'a [u8]);

impl Writer {
    pub(crate) fn byte(&mut self, value: u8) -> &mut Self {
        self.raw(&[value])
    }

    pub(crate) fn long(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Bytes with their length in four bytes in front. What is longer than
    /// four bytes can say was refused long before.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.raw(&length.to_be_bytes()).raw(bytes)
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn address(&mut self, address: &Address) -> &mut Self {
        self.raw(address.account.as_bytes()).text(address.device.as_str())
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn raw(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) =
            self.0.split_at_checked(length).ok_or(Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.raw(N)?);
        Ok(array)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn long(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = u32::from_be_bytes(self.array()?);
        self.raw(usize::try_from(length).unwrap_or(usize::MAX))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        str::from_utf8(self.bytes()?).map_err(|_| Malformed("it is not UTF-8"))
    }

    pub(crate) fn account(&mut self) -> Result<AccountId, Malformed> {
        self.array().map(AccountId::from_bytes)
    }

    pub(crate) fn room(&mut self) -> Result<RoomId, Malformed> {
        self.array().map(RoomId::from_bytes)
    }

    pub(crate) fn row(&mut self) -> Result<RowId, Malformed> {
        self.array().map(RowId::from_bytes)
    }

    pub(crate) fn session(&mut self) -> Result<SessionId, Malformed> {
        self.array().map(SessionId::from_bytes)
    }

    pub(crate) fn address(&mut self) -> Result<Address, Malformed> {
        let account = self.account()?;
        let device =
            DeviceName::new(self.text()?).map_err(|_| Malformed("a device has no proper name"))?;
        Ok(Address { account, device })
    }

    /// What has not been read.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// Makes sure that nothing is left.
    pub(crate) fn end(&self) -> Result<(), Malformed> {
        match self.0 {
            [] => Ok(()),
            _ => Err(Malformed("something follows its end")),
        }
    }
}
