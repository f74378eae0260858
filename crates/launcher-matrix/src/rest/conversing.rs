//! Requests about what is said in a room, apart from saying it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{REQUEST_LIMIT, Rest, RestError, segment, send, text};

/// How long it may take to say that somebody types; later nobody wants to know.
const TYPING_LIMIT: Duration = Duration::from_secs(10);

impl Rest {
    /// Takes back an event; returns the id of the event that does.
    pub(crate) async fn redact(
        &self,
        token: &str,
        room: &str,
        event: &str,
        transaction: &str,
    ) -> Result<String, RestError> {
        let (room, event) = (segment(room), segment(event));
        let path = format!("v3/rooms/{room}/redact/{event}/{}", segment(transaction));
        let request = self.http.put(self.url(&path)).bearer_auth(token).json(&json!({}));
        text(&send(request, REQUEST_LIMIT).await?, "event_id")
    }

    /// The latest reactions to an event, a hundred at most.
    pub(crate) async fn reactions(
        &self,
        token: &str,
        room: &str,
        event: &str,
    ) -> Result<Vec<Value>, RestError> {
        let (room, event) = (segment(room), segment(event));
        let path = format!("v1/rooms/{room}/relations/{event}/m.annotation/m.reaction");
        let request = self.http.get(self.url(&path)).bearer_auth(token).query(&[("limit", "100")]);
        let answer = send(request, REQUEST_LIMIT).await?;
        Ok(answer["chunk"].as_array().cloned().unwrap_or_default())
    }

    /// Shows the room that the user types, for this long; or does so no more.
    pub(crate) async fn set_typing(
        &self,
        token: &str,
        room: &str,
        user: &str,
        lasts: Option<Duration>,
    ) -> Result<(), RestError> {
        let path = format!("v3/rooms/{}/typing/{}", segment(room), segment(user));
        let body = match lasts {
            Some(lasts) => json!({ "typing": true, "timeout": lasts.as_millis() }),
            None => json!({ "typing": false }),
        };
        let request = self.http.put(self.url(&path)).bearer_auth(token).json(&body);
        send(request, TYPING_LIMIT).await.map(drop)
    }
}
