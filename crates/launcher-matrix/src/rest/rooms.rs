//! Requests about rooms that the SDK makes in another way: it tries again by
//! itself, which may make a second room; and with a room it leaves those that
//! the room says came before it, which anybody may say.

use serde_json::{Value, json};

use super::{REQUEST_LIMIT, Rest, RestError, segment, send, text};

impl Rest {
    /// Makes a room, once; returns its id. Without an answer it may be there.
    pub(crate) async fn create_room(&self, token: &str, room: &Value) -> Result<String, RestError> {
        let request = self.http.post(self.url("v3/createRoom")).bearer_auth(token).json(room);
        text(&send(request, REQUEST_LIMIT).await?, "room_id")
    }

    /// Invites a user. That it is a direct chat is said in the membership itself,
    /// which `/invite` has no field for.
    pub(crate) async fn invite(
        &self,
        token: &str,
        room: &str,
        user: &str,
        direct: bool,
    ) -> Result<(), RestError> {
        let room = segment(room);
        let request = match direct {
            true => {
                let path = format!("v3/rooms/{room}/state/m.room.member/{}", segment(user));
                let content = json!({ "membership": "invite", "is_direct": true });
                self.http.put(self.url(&path)).json(&content)
            }
            false => {
                let path = format!("v3/rooms/{room}/invite");
                self.http.post(self.url(&path)).json(&json!({ "user_id": user }))
            }
        };
        send(request.bearer_auth(token), REQUEST_LIMIT).await.map(drop)
    }

    /// Leaves a room, or declines to join it.
    pub(crate) async fn leave(&self, token: &str, room: &str) -> Result<(), RestError> {
        let url = self.url(&format!("v3/rooms/{}/leave", segment(room)));
        let request = self.http.post(url).bearer_auth(token).json(&json!({}));
        send(request, REQUEST_LIMIT).await.map(drop)
    }

    /// How many are in a room that the asker is invited to; `None` if the server
    /// does not say (`/room_summary`, spec 1.15; before that MSC3266).
    pub(crate) async fn joined_members(
        &self,
        token: &str,
        room: &str,
        via: &str,
    ) -> Result<Option<u64>, RestError> {
        for path in ["v1/room_summary", "unstable/im.nheko.summary/summary"] {
            let url = self.url(&format!("{path}/{}", segment(room)));
            let request = self.http.get(url).bearer_auth(token).query(&[("via", via)]);
            match send(request, REQUEST_LIMIT).await {
                Ok(summary) => return Ok(summary["num_joined_members"].as_u64()),
                // A server that does not know the route, or keeps it to itself.
                Err(error) if error.is_answer() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
