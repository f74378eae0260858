//! Rooms and invitations over the socket.

use std::collections::BTreeSet;

use async_trait::async_trait;
use launcher_core::{
    fault::Fault,
    greeting::Membership,
    invite::{Invited, Reason},
    names::{DeviceId, RoomId, UserId},
    trust::Refusal as Why,
};
use launcher_runtime::ports::rooms::{
    Direct, Invitation, JoinedRoom, MadeRoom, NewRoom, Rooms, RoomsError,
};
use serde_json::json;

use super::*;
use crate::wire::{DirectRequest, InviteAction, InviteRequest, LeaveRequest, RoomRequest};

/// Has an invitation and a direct chat, and notes what is asked.
#[derive(Debug, Default)]
pub(super) struct Host(Notes);

impl Host {
    fn chat(&self, user: &UserId) -> Direct {
        Direct {
            user: user.clone(),
            room: Some(RoomId::new("!dm:hs")),
            made: true,
            membership: Membership::Invited,
            devices: BTreeSet::from([DeviceId::new("PHONE")]),
            refused: vec![(DeviceId::new("OLD"), Why::Unsigned)],
            said: 1,
            readers: BTreeSet::from([DeviceId::new("PHONE")]),
            due: false,
        }
    }
}

#[async_trait]
impl Rooms for Host {
    async fn invitations(&self) -> Result<Vec<Invitation>, RoomsError> {
        let inviter = UserId::new("@eve:x");
        Ok(vec![Invitation {
            room: RoomId::new("!a:x"),
            name: Some("Prizes".to_owned()),
            invited: Invited { inviter: Some(inviter.clone()), encrypted: true, members: Some(9) },
            first_seen: 7,
            reason: Some(Reason::NotFrom { inviter }),
            trouble: None,
            gave_up: false,
        }])
    }

    async fn accept(&self, room: &RoomId) -> Result<(), RoomsError> {
        self.0.note(format!("accept {room}"));
        Ok(())
    }

    async fn reject(&self, room: &RoomId) -> Result<(), RoomsError> {
        Err(RoomsError::Refused {
            reason: format!("the agent is not invited to {room}"),
            action: "list them".to_owned(),
        })
    }

    async fn joined(&self) -> Result<Vec<JoinedRoom>, RoomsError> {
        Err(Fault::StoreFailed { detail: "gone".to_owned() }.into())
    }

    async fn leave(&self, room: &RoomId) -> Result<(), RoomsError> {
        self.0.note(format!("leave {room}"));
        Ok(())
    }

    async fn make_room(&self, wanted: &NewRoom) -> Result<MadeRoom, RoomsError> {
        self.0.note(format!("make {} {:?}", wanted.name, wanted.topic));
        Ok(MadeRoom {
            room: RoomId::new("!new:hs"),
            invited: Vec::new(),
            not_invited: vec![(wanted.invite[0].clone(), "no such server".to_owned())],
        })
    }

    async fn open_direct(
        &self,
        user: &UserId,
        greeting: Option<&str>,
    ) -> Result<Direct, RoomsError> {
        self.0.note(format!("open {user} {greeting:?}"));
        Ok(self.chat(user))
    }

    async fn direct(&self, user: &UserId) -> Result<Direct, RoomsError> {
        Ok(Direct { made: false, membership: Membership::Joined, ..self.chat(user) })
    }
}

#[tokio::test]
async fn invitations_are_listed_with_the_reason_and_answered() {
    let (launcher, session) = up().await;
    let client = launcher.client();
    let listed = serde_json::to_value(client.invites(&a()).await.unwrap()).unwrap();
    assert_eq!(
        listed,
        json!([{"room_id": "!a:x", "name": "Prizes", "inviter": "@eve:x", "encrypted": true,
                "joined_members": 9, "first_seen_ms": 7, "code": "not_from",
                "reason": "invites.from does not name @eve:x"}])
    );
    let answer = |action| InviteRequest { action, room_id: RoomId::new("!a:x") };
    client.answer_invite(&a(), &answer(InviteAction::Accept)).await.unwrap();
    let refused = client.answer_invite(&a(), &answer(InviteAction::Reject)).await.unwrap_err();
    assert_eq!(refused.to_string(), "the agent is not invited to !a:x");
    let leave = LeaveRequest { room_id: RoomId::new("!a:x") };
    client.leave_room(&a(), &leave).await.unwrap();
    assert!(client.rooms(&a()).await.unwrap_err().to_string().contains("gone"));
    assert_eq!(session.host.0.taken(), ["accept !a:x", "leave !a:x"]);
}

#[tokio::test]
async fn rooms_and_direct_chats_are_made_and_shown() {
    let (launcher, session) = up().await;
    let client = launcher.client();
    let alice = UserId::new("@alice:hs");
    let request = RoomRequest {
        name: "War room".to_owned(),
        topic: Some("now".to_owned()),
        invite: vec![alice.clone()],
    };
    let made = client.make_room(&a(), &request).await.unwrap();
    assert_eq!((made.room_id.as_str(), made.not_invited.len()), ("!new:hs", 1));
    let ask = |look: bool| DirectRequest {
        user_id: alice.clone(),
        greeting: (!look).then(|| "hello".to_owned()),
        look,
    };
    let opened = client.direct(&a(), &ask(false)).await.unwrap();
    assert_eq!(
        serde_json::to_value(&opened).unwrap(),
        json!({"user_id": "@alice:hs", "room_id": "!dm:hs", "made": true, "membership": "invited",
               "devices": ["PHONE"], "said": 1, "due": false, "readers": ["PHONE"],
               "refused": [{"device_id": "OLD", "verdict": "unsigned",
                            "reason": Why::Unsigned.to_string()}]})
    );
    assert!(!opened.is_readable());
    assert!(client.direct(&a(), &ask(true)).await.unwrap().is_readable());
    let asked = session.host.0.taken();
    assert_eq!(asked, ["make War room Some(\"now\")", "open @alice:hs Some(\"hello\")"]);
}

#[tokio::test]
async fn what_is_no_room_user_or_text_is_not_taken() {
    let (launcher, session) = up().await;
    let client = launcher.client();
    let leave = LeaveRequest { room_id: RoomId::new("#alias:hs") };
    assert!(client.leave_room(&a(), &leave).await.is_err());
    for (user, greeting) in
        [("alice", "hello"), ("@alice:hs", " "), ("@alice:hs", &"x".repeat(9000))]
    {
        let request = DirectRequest {
            user_id: UserId::new(user),
            greeting: Some(greeting.to_owned()),
            look: false,
        };
        assert!(client.direct(&a(), &request).await.is_err(), "{user}");
    }
    assert!(session.host.0.taken().is_empty());
}
