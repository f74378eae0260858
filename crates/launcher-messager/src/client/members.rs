//! Who is in a room, comes, and goes.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{json, value::RawValue};

use super::{
    Client, ClientError,
    http::{read, taken},
    rooms::{Invite, Member, MemberWire},
    wire::{Elements, element},
};
use crate::crypto::{AccountId, RoomId};

/// How many members are asked for at a time: the most that the server gives.
const PAGE: usize = 500;

/// How many members of a room are read at most.
const MOST: usize = 100_000;

/// How often a list that changes while it is read is begun anew.
const TIMES: usize = 5;

impl Client {
    /// Everybody who is in a room or invited to it. A list that does not hold
    /// all of whom the server counts is never given; who cannot be read is left out.
    ///
    /// # Errors
    ///
    /// See [`ClientError`]; refused with 403 if this account is not in it.
    pub async fn members(&self, room: RoomId) -> Result<Vec<Member>, ClientError> {
        for _ in 0..TIMES {
            if let Some(members) = self.members_at_once(room).await? {
                return Ok(members);
            }
        }
        Err(ClientError::unreachable("the list of members changes while it is read"))
    }

    /// `None` if the list changed in between.
    async fn members_at_once(&self, room: RoomId) -> Result<Option<Vec<Member>>, ClientError> {
        let (mut members, mut skipped): (Vec<Member>, usize) = (Vec::new(), 0);
        loop {
            let path = ["api", "chat", &room.to_string(), "members"];
            let query = [("take", PAGE), ("offset", members.len() + skipped)];
            let response = taken(self.request(Method::GET, &path).query(&query)).await?;
            let total = response.headers().get("x-total").and_then(|total| total.to_str().ok());
            let total: usize = total
                .and_then(|total| total.parse().ok())
                .filter(|total| *total <= MOST)
                .ok_or_else(|| ClientError::nonsense("of members without their number"))?;
            let page: Elements = read(response).await?;
            let is_last = page.is_empty();
            for member in &page {
                match element::<MemberWire>(member) {
                    Some(member) => members.push(member.into()),
                    None => skipped += 1,
                }
            }
            let count = members.len() + skipped;
            if count >= total || is_last {
                let is_whole = count == total && is_each_once(&members);
                return Ok(is_whole.then_some(members));
            }
        }
    }

    /// What this account is invited to, but for what cannot be read.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn invites(&self) -> Result<Vec<Invite>, ClientError> {
        let members: Elements = self.get(&["api", "chat", "invites"]).await?;
        let invite = |member: &RawValue| {
            let member: MemberWire = element(member)?;
            Some(Invite { room: member.chat_room?.into(), by: member.invited_by_id })
        };
        Ok(members.iter().filter_map(|member| invite(member)).collect())
    }

    /// Accepts an invitation.
    ///
    /// # Errors
    ///
    /// See [`ClientError`]; refused with 404 if there is none, or not any more.
    pub async fn accept(&self, room: RoomId) -> Result<(), ClientError> {
        self.order(Method::POST, &["api", "chat", "invites", &room.to_string(), "accept"]).await
    }

    /// Declines an invitation.
    ///
    /// # Errors
    ///
    /// See [`ClientError`]; refused with 404 if there is none, or not any more.
    pub async fn decline(&self, room: RoomId) -> Result<(), ClientError> {
        self.order(Method::POST, &["api", "chat", "invites", &room.to_string(), "decline"]).await
    }

    /// Invites an account; again, if it left or declined.
    ///
    /// # Errors
    ///
    /// See [`ClientError`]; refused with 400 if it is in the room.
    pub async fn invite(&self, room: RoomId, account: AccountId) -> Result<(), ClientError> {
        let body = json!({ "related_user_id": account, "role": 0 });
        let path = ["api", "chat", "invites", &room.to_string()];
        taken(self.request(Method::POST, &path).json(&body)).await.map(drop)
    }

    /// Joins a community.
    ///
    /// # Errors
    ///
    /// See [`ClientError`]; refused with 403 if it takes invitations.
    pub async fn join(&self, room: RoomId) -> Result<(), ClientError> {
        self.order(Method::POST, &["api", "chat", &room.to_string(), "members", "me"]).await
    }

    /// Leaves a room.
    ///
    /// # Errors
    ///
    /// See [`ClientError`]; refused with 400 if it is this account's own.
    pub async fn leave(&self, room: RoomId) -> Result<(), ClientError> {
        self.order(Method::DELETE, &["api", "chat", &room.to_string(), "members", "me"]).await
    }

    /// Removes an account from a room, or takes its invitation back.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    pub async fn remove(&self, room: RoomId, account: AccountId) -> Result<(), ClientError> {
        let path = ["api", "chat", &room.to_string(), "members", &account.to_string()];
        self.order(Method::DELETE, &path).await
    }
}

fn is_each_once(members: &[Member]) -> bool {
    let accounts: BTreeSet<AccountId> = members.iter().map(|member| member.account).collect();
    accounts.len() == members.len()
}
