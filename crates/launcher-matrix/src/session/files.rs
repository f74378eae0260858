//! Files, before the message that they are in is sent.

use std::time::Duration;

use launcher_core::names::RoomId as Room;
use launcher_runtime::ports::SendFault;
use matrix_sdk::ruma::RoomId;
use reqwest::header::HeaderValue;

use super::{MatrixSession, sending::passing};
use crate::{content::FileAt, media};

/// Bytes a second that an upload takes at least.
const SLOWEST_LINE: u64 = 256 * 1024;

impl MatrixSession {
    /// Sees to it that a file is where a message in the room can point to. What
    /// was uploaded by an earlier attempt is not uploaded again, unless the room
    /// became encrypted meanwhile.
    pub(super) async fn put_file(
        &self,
        room: &Room,
        content_type: &str,
        bytes: &[u8],
        uploaded: &mut Option<FileAt>,
    ) -> Result<(), SendFault> {
        // Looked at again after an upload: it can take minutes.
        loop {
            let encrypted = self.is_encrypted_for_sending(room).await?;
            if uploaded.as_ref().is_some_and(|file| file.is_encrypted() || !encrypted) {
                return Ok(());
            }
            *uploaded = Some(self.upload(content_type, bytes, encrypted).await?);
        }
    }

    /// Whether the room is encrypted, or ever was.
    async fn is_encrypted_for_sending(&self, room: &Room) -> Result<bool, SendFault> {
        let live = self.live().await.map_err(passing)?;
        let refused = |detail: &str| SendFault::Refused { detail: detail.to_owned() };
        let id = RoomId::parse(room.as_str()).map_err(|_| refused("not a room id"))?;
        let found = live.client.get_room(&id).ok_or_else(|| refused("not in this room"))?;
        let encryption = found.latest_encryption_state().await;
        let encryption = encryption.map_err(|error| self.send_fault(&error))?;
        let was_encrypted = self.parts.journal.was_encrypted(room).await.map_err(passing)?;
        Ok(encryption.is_encrypted() || was_encrypted)
    }

    /// Uploads a file. Needs no client, so that nothing waits for a slow line.
    async fn upload(
        &self,
        content_type: &str,
        bytes: &[u8],
        encrypted: bool,
    ) -> Result<FileAt, SendFault> {
        let limit = upload_limit(bytes.len());
        let (bytes, info) = match encrypted {
            true => {
                let (bytes, info) = media::encrypt(bytes.to_vec()).await?;
                (bytes, Some(info))
            }
            false => (bytes.to_vec(), None),
        };
        // What is encrypted does not say what it is.
        let is_header = HeaderValue::from_str(content_type).is_ok();
        let content_type = if encrypted || !is_header { media::OCTETS } else { content_type };
        let url = self.parts.rest.upload(&self.token(), content_type, bytes, limit).await;
        let url = url.map_err(|error| self.rest_send_fault(error))?;
        Ok(match info {
            Some(info) => FileAt::Encrypted(media::encrypted_file(&url, &info)?),
            None => FileAt::Plain(url),
        })
    }
}

/// How long an upload may take.
pub(super) fn upload_limit(bytes: usize) -> Duration {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    Duration::from_secs(60 + bytes / SLOWEST_LINE)
}
