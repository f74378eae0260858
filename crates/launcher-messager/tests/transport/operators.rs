//! What operators ask of an agent that runs: messages, invitations, chats.

use launcher_core::{
    greeting::Membership,
    invite::Reason,
    names::{EventId, RoomId as Room, UserId},
    target::Target,
};
use launcher_messager::{client::Group, crypto::Action};
use launcher_runtime::ports::{
    Answer, AnswerContent, SendFault,
    outbox::{OutboxError, Outgoing, OutgoingContent},
    rooms::{NewRoom, RoomsError},
    trust::{Partner, TrustError},
};

use crate::{
    bot::Bot,
    person::{Person, TICK},
    world::{World, soon},
};

fn message(target: &str, key: &str, text: &str) -> Outgoing {
    Outgoing {
        target: target.parse::<Target>().unwrap(),
        key: key.to_owned(),
        thread: None,
        notice: false,
        content: OutgoingContent::Text(text.to_owned()),
    }
}

#[tokio::test]
async fn a_message_of_an_operator_is_sent_once_under_its_key() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    let session = launcher.session(&bot);
    let outbox = session.outbox().unwrap();
    let first = outbox.send(&message(&room.to_string(), "k1", "hi")).await.unwrap();
    let again = outbox.send(&message(&room.to_string(), "k1", "hi")).await.unwrap();
    assert!(!first.sent_before && again.sent_before);
    assert_eq!(first.event, again.event);
    let other = outbox.send(&message(&room.to_string(), "k1", "ho")).await;
    assert!(matches!(other, Err(OutboxError::Refused { .. })));
    // By the person's id.
    outbox.send(&message(&ann.account.to_string(), "k2", "you")).await.unwrap();
    assert_eq!(ann.hear(room, 2).await, ["hi", "you"]);
    let stranger = outbox.send(&message("0193b1c2-aaaa-7bbb-8ccc-0123456789ab", "k3", "?")).await;
    assert!(matches!(stranger, Err(OutboxError::Refused { .. })));
    drop(session);
    launcher.stop().await;
}

#[tokio::test]
async fn an_answer_can_be_changed_and_taken_back_and_is_never_shown_to_the_server() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let room = ann.chat_with(bot.account()).await;
    let session = launcher.session(&bot);
    let answer = |transaction: &str, content| Answer {
        room: Room::new(room.to_string()),
        content,
        reply: None,
        thread: None,
        transaction: transaction.to_owned(),
    };
    let text = answer("t1", AnswerContent::Text("one".to_owned()));
    let event = session.send(&text).await.unwrap();
    assert_eq!(session.send(&text).await.unwrap(), event, "it cannot appear twice");
    ann.hear(room, 1).await;
    let edit = AnswerContent::Edit { event: event.clone(), text: "two".to_owned() };
    session.send(&answer("t2", edit)).await.unwrap();
    ann.hear(room, 2).await;
    let long = "t".repeat(300);
    let taken_back = AnswerContent::Redaction { event: event.clone() };
    session.send(&answer(&long, taken_back)).await.unwrap();
    assert_eq!(ann.hear(room, 3).await, ["one", "two", ""]);
    let target = ann.heard()[0].row;
    assert_eq!(EventId::new(target.to_string()), event);
    let actions: Vec<Action> = ann.heard().iter().map(|heard| heard.action).collect();
    assert_eq!(actions, [Action::New, Action::Edit { target }, Action::Delete { target }]);
    let reaction = AnswerContent::Reaction { event, key: "👍".to_owned() };
    let refused = session.send(&answer("t4", reaction)).await;
    assert!(matches!(refused, Err(SendFault::Refused { detail }) if detail.contains("server")));
    drop(session);
    launcher.stop().await;
}

#[tokio::test]
async fn an_invitation_that_the_policy_refuses_waits_for_an_operator() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await.with(|spec| spec.invites.from = Vec::new());
    let launcher = bot.start().await;
    let ann = Person::new(&world, "ann").await;
    let room = ann.client.create_group("the group", Group::Encrypted).await.unwrap().id;
    ann.client.invite(room, bot.account()).await.unwrap();
    let session = launcher.session(&bot);
    let rooms = session.rooms().unwrap();
    let waiting = soon(async {
        loop {
            let waiting = rooms.invitations().await.unwrap();
            if !waiting.is_empty() {
                break waiting;
            }
            tokio::time::sleep(TICK).await;
        }
    })
    .await;
    let inviter = UserId::new(ann.account.to_string());
    assert_eq!(waiting[0].reason, Some(Reason::NotFrom { inviter }));
    assert_eq!(waiting[0].name.as_deref(), Some("the group"));
    let id = Room::new(room.to_string());
    rooms.accept(&id).await.unwrap();
    rooms.accept(&id).await.unwrap();
    ann.wait_for_members(room, 2).await;
    let joined = rooms.joined().await.unwrap();
    assert_eq!((joined.len(), joined[0].encrypted, joined[0].joined_members), (1, true, 2));
    rooms.leave(&id).await.unwrap();
    rooms.leave(&id).await.unwrap();
    assert!(rooms.joined().await.unwrap().is_empty());
    let text = AnswerContent::Text("too late".to_owned());
    let (room, transaction) = (id, "t".to_owned());
    let answer = Answer { room, content: text, reply: None, thread: None, transaction };
    assert!(matches!(session.send(&answer).await, Err(SendFault::Refused { .. })));
    drop(session);
    launcher.stop().await;
}

#[tokio::test]
async fn whom_an_operator_wants_a_chat_with_is_greeted_once_they_can_read_it() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let mut ann = Person::new(&world, "ann").await;
    let session = launcher.session(&bot);
    let rooms = session.rooms().unwrap();
    let user = UserId::new(ann.account.to_string());
    let made = rooms.open_direct(&user, Some("welcome")).await.unwrap();
    assert!(made.made && made.membership == Membership::Invited && made.said == 0);
    let again = rooms.open_direct(&user, Some("welcome")).await.unwrap();
    assert!(!again.made && again.room == made.room);
    let invites = ann.client.invites().await.unwrap();
    assert_eq!(invites.len(), 1);
    let room = invites[0].room.id;
    ann.client.accept(room).await.unwrap();
    assert_eq!(ann.hear(room, 1).await, ["welcome"]);
    soon(async {
        while rooms.direct(&user).await.unwrap().said == 0 {
            tokio::time::sleep(TICK).await;
        }
    })
    .await;
    let done = rooms.open_direct(&user, None).await.unwrap();
    assert_eq!((done.said, done.due, done.readers.len()), (1, false, 1));
    ann.catch_up().await;
    assert_eq!(ann.heard_in(room), ["welcome"]);
    drop(session);
    launcher.stop().await;
}

#[tokio::test]
async fn a_room_that_an_operator_makes_is_encrypted() {
    let world = World::start().await;
    let bot = Bot::new(&world, "bot").await;
    let launcher = bot.start().await;
    let ann = Person::new(&world, "ann").await;
    let session = launcher.session(&bot);
    let rooms = session.rooms().unwrap();
    let nobody = UserId::new("@alice:hs");
    let invite = vec![UserId::new(ann.account.to_string()), nobody.clone()];
    let wanted = NewRoom { name: "n".to_owned(), topic: None, invite };
    let made = rooms.make_room(&wanted).await.unwrap();
    assert_eq!((made.invited.len(), &made.not_invited[0].0), (1, &nobody));
    let room = ann.client.invites().await.unwrap()[0].room.clone();
    assert!(room.mode.is_encrypted());
    let topic = NewRoom { topic: Some("t".to_owned()), ..wanted };
    assert!(matches!(rooms.make_room(&topic).await, Err(RoomsError::Refused { .. })));
    let verify = Partner { user: UserId::new(ann.account.to_string()), device: None };
    let method = launcher_core::trust::Method::Emoji;
    let refused = session.trust().unwrap().begin_verification(&verify, method).await;
    assert!(
        matches!(refused, Err(TrustError::Refused { action, .. }) if action.contains("approve"))
    );
    drop(session);
    launcher.stop().await;
}
