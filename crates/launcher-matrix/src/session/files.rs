//! Files, before the message that they are in is sent, and after it arrived.

use std::time::Duration;

use launcher_core::{backoff, conversation::Media, names::RoomId as Room};
use launcher_runtime::ports::{FetchFault, SendFault};
use matrix_sdk::ruma::RoomId;
use reqwest::header::HeaderValue;

use super::{MatrixSession, sending::passing};
use crate::{
    content::FileAt,
    media::{self, Source},
};

/// Bytes a second that an upload takes at least.
const SLOWEST_LINE: u64 = 256 * 1024;

/// How often a download is begun.
const DOWNLOADS: u32 = 3;

/// The longest wait before a download is begun again.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

impl MatrixSession {
    /// Fetches a file of a message. Needs no client.
    pub(super) async fn fetch_file(&self, file: &Media, limit: u64) -> Result<Vec<u8>, FetchFault> {
        let content = serde_json::from_str(file.source.expose()).unwrap_or_default();
        let folder = self.parts.spec.data_folder();
        for failures in 1.. {
            let detail = "the message does not say where it is, or how it is encrypted";
            let source = Source::read(&content)
                .ok_or_else(|| FetchFault::Damaged { detail: detail.to_owned() })?;
            let (rest, token) = (&self.parts.rest, self.token());
            let fetched = {
                // Each may take as much memory as its limit.
                let _one_at_a_time = self.fetching.lock().await;
                media::fetch(rest, &token, source, file.size, limit, &folder).await
            };
            match fetched {
                Ok(bytes) => return Ok(bytes),
                Err(media::Failed::Passing { retry_after, .. }) if failures < DOWNLOADS => {
                    let wait = backoff::wait(failures, 0.5, retry_after).min(LONGEST_WAIT);
                    tokio::time::sleep(wait).await;
                }
                Err(failed) => return Err(self.fetch_fault(failed)),
            }
        }
        Err(FetchFault::Passing { detail: "it was tried too often".to_owned() })
    }

    fn fetch_fault(&self, failed: media::Failed) -> FetchFault {
        match failed {
            media::Failed::For(fault) => fault,
            media::Failed::Passing { detail, .. } => FetchFault::Passing { detail },
            media::Failed::Session(error) => {
                let detail = error.to_string();
                // Ends the session, as far as it is the session that is at fault.
                self.rest_send_fault(error);
                FetchFault::Passing { detail }
            }
        }
    }

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
