//! Each request, against the server.

use std::collections::BTreeSet;

use launcher_messager::{
    client::{
        Client, ClientError, Delivery, Direct, Group, MemberState, Mode, Notice, RoomKind, Said,
        TimelineKind, TimelineRow,
    },
    crypto::{
        AccountId, Action, Audience, Body, Draft, Freshness, Opened, Received, RoomId, RowId, Step,
    },
};

use crate::world::{Device, NOW, World};

/// Has a message sent, all steps of it.
async fn send(device: &mut Device, draft: &Draft, members: &[AccountId]) -> RowId {
    let members: BTreeSet<AccountId> = members.iter().copied().collect();
    let audience = Audience { members, ..Audience::default() };
    for _ in 0..20 {
        let Device { client, machine, .. } = device;
        match machine.send(draft, &audience, NOW).unwrap() {
            Step::LookUp(accounts) => {
                for account in accounts {
                    let shown = client.devices(account).await.unwrap();
                    machine.devices(account, &shown, NOW).unwrap();
                }
            }
            Step::Claim(accounts) => {
                for account in accounts {
                    let shown = client.claim(account).await.unwrap();
                    assert!(shown.iter().all(|bundle| bundle.one_time_pre_key.is_some()));
                    machine.claimed(account, &shown, NOW).unwrap();
                }
            }
            Step::Deliver(fanouts) => {
                for fanout in fanouts {
                    assert_eq!(client.fanout(&fanout).await.unwrap(), Delivery::Taken);
                    machine.delivered(&fanout).unwrap();
                }
            }
            Step::Post(sealed) => {
                let row = client.post(&sealed).await.unwrap();
                assert_eq!(client.post(&sealed).await.unwrap(), row, "sent again, it is the same");
                machine.posted(&draft.client_message_id, row).unwrap();
            }
            Step::Posted(row) => return row,
        }
    }
    panic!("it is not sent");
}

/// Takes in the envelopes that wait.
async fn receive(device: &mut Device) -> Vec<Received> {
    let Device { client, machine, .. } = device;
    let mut received = Vec::new();
    for envelope in client.pending_envelopes().await.unwrap().envelopes {
        let mut outcome = machine.receive(&envelope, Freshness::AsKnown, NOW).unwrap();
        if let Received::LookUp(account) = outcome {
            let shown = client.devices(account).await.unwrap();
            machine.devices(account, &shown, NOW).unwrap();
            outcome = machine.receive(&envelope, Freshness::JustLookedUp, NOW).unwrap();
        }
        received.push(outcome);
        client.acknowledge(envelope.id).await.unwrap();
        client.acknowledge(envelope.id).await.unwrap();
    }
    received
}

async fn rows(client: &Client, room: RoomId) -> Vec<TimelineRow> {
    let page = client.sync_room(room, 0).await.unwrap();
    assert_eq!(page.skipped, 0);
    assert!(!page.is_last);
    let end = client.sync_room(room, page.position).await.unwrap();
    assert!(end.is_last && end.rows.is_empty());
    page.rows
}

fn text(device: &mut Device, row: &TimelineRow) -> String {
    let TimelineKind::Encrypted(row) = &row.kind else { panic!("{row:?}") };
    match device.machine.open_row(row, NOW).unwrap() {
        Opened::Read(read) => read.content.body.text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_token_says_whose_it_is() {
    let world = World::start().await;
    let (ann, phone) = (world.client("ann"), world.client("ann"));
    let (me, other) = (ann.me().await.unwrap(), phone.me().await.unwrap());
    assert_eq!((me.name.as_str(), me.account), ("ann", other.account));
    assert_ne!(me.device, other.device);
    assert_eq!(ann.account_by_name("ANN").await.unwrap(), Some(me.account));
    assert_eq!(ann.account_by_name("no/body?").await.unwrap(), None);
}

#[tokio::test]
async fn a_direct_chat_carries_messages_edits_and_deletions() {
    let world = World::start().await;
    let (mut ann, mut ben) = (world.device("ann").await, world.device("ben").await);
    let made = ann.client.create_direct(ben.me.account, Direct::Encrypted).await.unwrap();
    assert_eq!((made.kind, made.mode), (RoomKind::Direct, Mode::Direct));
    assert_eq!(made.others[0].state, MemberState::Invited);
    let invites = ben.client.invites().await.unwrap();
    assert_eq!((invites[0].room.id, invites[0].by), (made.id, Some(ann.me.account)));
    ben.client.accept(made.id).await.unwrap();
    let again = ann.client.create_direct(ben.me.account, Direct::Encrypted).await.unwrap_err();
    assert!(again.is_refused_with(400), "{again}");

    let both = [ann.me.account, ben.me.account];
    let draft = |name: &str, action, body| Draft {
        room: made.id,
        client_message_id: name.to_owned(),
        action,
        body,
    };
    let first = draft("1", Action::New, Body::text("hello"));
    let target = send(&mut ann, &first, &both).await;
    let edit = draft("2", Action::Edit { target }, Body::text("hello, ben"));
    assert_eq!(send(&mut ann, &edit, &both).await, target);
    let received = receive(&mut ben).await;
    assert!(matches!(received[..], [Received::Key { room, .. }] if room == made.id));
    assert!(receive(&mut ben).await.is_empty(), "what was acknowledged does not come again");

    let seen = rows(&ben.client, made.id).await;
    let joined = Notice::Joined { account: ben.me.account };
    assert!(matches!(&seen[0].kind, TimelineKind::System(notice) if *notice == joined));
    assert_eq!((seen[1].id, seen[1].sender_name.as_str()), (target, "ann"));
    assert_eq!(text(&mut ben, &seen[1]), "hello, ben");
    assert_eq!(text(&mut ben, &seen[2]), "hello, ben");
    assert!(seen.windows(2).all(|pair| pair[0].created_at < pair[1].created_at));

    let delete = draft("3", Action::Delete { target }, Body::default());
    assert_eq!(send(&mut ann, &delete, &both).await, target);
    let seen = rows(&ben.client, made.id).await;
    assert!(seen.iter().all(|row| row.id != target));
    assert!(matches!(seen[1].kind, TimelineKind::Other { .. }), "the edit is empty now");
    assert_eq!(text(&mut ben, &seen[2]), "");
    let all = ben.client.sync_all(0).await.unwrap();
    assert_eq!(all.rows.len(), seen.len());
}

#[tokio::test]
async fn a_group_tells_who_comes_and_goes() {
    let world = World::start().await;
    let (ann, ben, cleo) = (world.client("ann"), world.client("ben"), world.client("cleo"));
    let account = async |client: &Client| client.me().await.unwrap().account;
    let [a, b, c] = [account(&ann).await, account(&ben).await, account(&cleo).await];
    let room = ann.create_group("the group", Group::Encrypted).await.unwrap();
    assert_eq!((room.mode, room.name.as_deref()), (Mode::SenderKeys, Some("the group")));
    for (client, account) in [(&ben, b), (&cleo, c)] {
        ann.invite(room.id, account).await.unwrap();
        client.accept(room.id).await.unwrap();
    }
    cleo.leave(room.id).await.unwrap();
    ann.invite(room.id, c).await.unwrap();
    let members = ann.members(room.id).await.unwrap();
    let states: Vec<_> = members.iter().map(|member| (member.account, member.state)).collect();
    assert!(
        states.contains(&(a, MemberState::Active)) && states.contains(&(b, MemberState::Active))
    );
    assert!(states.contains(&(c, MemberState::Invited)));
    cleo.decline(room.id).await.unwrap();
    ann.remove(room.id, b).await.unwrap();
    assert_eq!(ann.members(room.id).await.unwrap().len(), 1);
    assert!(ben.members(room.id).await.unwrap_err().is_refused_with(403));
    assert!(ben.rooms().await.unwrap().is_empty());
    assert_eq!(ann.rooms().await.unwrap(), vec![ann.room(room.id).await.unwrap().unwrap()]);

    let notices = rows(&ann, room.id).await.into_iter().filter_map(|row| match row.kind {
        TimelineKind::System(Notice::RotateRequired) => None,
        TimelineKind::System(notice) => Some(notice),
        other => panic!("{other:?}"),
    });
    let wanted = [
        Notice::Joined { account: b },
        Notice::Joined { account: c },
        Notice::Left { account: c, by: None },
        Notice::Left { account: b, by: Some(a) },
    ];
    assert_eq!(notices.collect::<Vec<_>>(), wanted);
}

#[tokio::test]
async fn the_members_of_a_large_group_are_all_there() {
    let world = World::start().await;
    let ann = world.client("ann");
    let room = ann.create_group("crowd", Group::Encrypted).await.unwrap();
    for number in 0..520 {
        let name = format!("guest-{number}");
        messager_server::add_device(world.data(), &name, None).unwrap();
        let guest = ann.account_by_name(&name).await.unwrap().unwrap();
        ann.invite(room.id, guest).await.unwrap();
    }
    assert_eq!(ann.members(room.id).await.unwrap().len(), 521);
}

#[tokio::test]
async fn encryption_is_turned_on_once() {
    let world = World::start().await;
    let ann = world.client("ann");
    let room = ann.create_group("later", Group::Plain).await.unwrap();
    assert_eq!(room.mode, Mode::Plain);
    assert_eq!(ann.enable_encryption(room.id).await.unwrap().mode, Mode::SenderKeys);
    let again = ann.enable_encryption(room.id).await.unwrap_err();
    assert!(again.is_by("chat.e2ee_already_enabled"), "{again}");
}

#[tokio::test]
async fn a_fan_out_says_when_devices_are_others() {
    let world = World::start().await;
    let (mut ann, ben) = (world.device("ann").await, world.device("ben").await);
    let shown = ann.client.claim(ben.me.account).await.unwrap();
    ann.machine.claimed(ben.me.account, &shown, NOW).unwrap();
    let own = ann.client.devices(ann.me.account).await.unwrap();
    ann.machine.devices(ann.me.account, &own, NOW).unwrap();
    let room = RoomId::from_bytes([1; 16]);
    let draft = Draft {
        room,
        client_message_id: "1".to_owned(),
        action: Action::New,
        body: Body::text("x"),
    };
    let members = BTreeSet::from([ann.me.account, ben.me.account]);
    let audience = Audience { members, ..Audience::default() };
    let Step::Deliver(fanouts) = ann.machine.send(&draft, &audience, NOW).unwrap() else {
        panic!()
    };
    let tablet = world.device("ben").await;
    let delivery = ann.client.fanout(&fanouts[0]).await.unwrap();
    assert_eq!(delivery, Delivery::OtherDevices);
    ben.client.revoke_device(&tablet.me.device).await.unwrap();
    assert_eq!(ann.client.fanout(&fanouts[0]).await.unwrap(), Delivery::Taken);
    let mut nobody = fanouts[0].clone();
    nobody.account = AccountId::from_bytes([9; 16]);
    assert_eq!(ann.client.fanout(&nobody).await.unwrap(), Delivery::NoAccount);
    assert_eq!(ben.client.own_bundle(&tablet.me).await.unwrap(), None);
    assert!(ben.client.own_bundle(&ben.me).await.unwrap().is_some());
}

#[tokio::test]
async fn a_refusal_says_whether_it_passes() {
    let world = World::with(|settings| settings.writes_per_minute = 1).await;
    let ann = world.client("ann");
    let room = ann.create_group("one", Group::Encrypted).await.unwrap();
    let busy = loop {
        if let Err(error) = ann.create_group("more", Group::Encrypted).await {
            break error;
        }
    };
    assert!(busy.is_passing() && busy.retry_after().is_some(), "{busy}");
    let stranger = world.client("ben");
    assert!(stranger.sync_room(room.id, 0).await.unwrap_err().is_refused_with(403));
    let wrong = Client::new(
        &world.connections,
        world.url(),
        launcher_core::secret::Secret::new("wrong".to_owned()),
    );
    assert_eq!(wrong.me().await.unwrap_err(), ClientError::Unauthorized);
}

#[tokio::test]
async fn what_the_server_refuses_is_not_taken_for_a_word_of_somebody_in_between() {
    let world = World::start().await;
    let (ann, ben) = (world.client("ann"), world.client("ben"));
    let other = ben.me().await.unwrap().account;
    let room = ann.create_group("one", Group::Encrypted).await.unwrap().id;
    ann.create_direct(other, Direct::Encrypted).await.unwrap();
    let said = ann.create_direct(other, Direct::Encrypted).await.unwrap_err();
    assert!(said.is_refused_with(400), "a text: {said}");
    let said = ben.members(room).await.unwrap_err();
    assert!(said.is_refused_with(403), "a text: {said}");
    let said = ben.accept(room).await.unwrap_err();
    assert!(said.is_refused_with(404), "a problem: {said}");
    let said = ann.enable_encryption(room).await.unwrap_err();
    assert!(said.is_refused_with(409) && said.is_by("chat.e2ee_already_enabled"), "{said}");
    let message = Said {
        text: "x".repeat(5000),
        client_message_id: "long".to_owned(),
        reply_to: None,
        is_automated: false,
    };
    let plain = ann.create_group("two", Group::Plain).await.unwrap().id;
    let said = ann.say(plain, &message).await.unwrap_err();
    assert!(said.is_refused_with(400), "a problem with fields: {said}");
    // With a token that does not count: where one is needed, and where one may be.
    let nobody = launcher_core::secret::Secret::new("wrong".to_owned());
    let nobody = Client::new(&world.connections, world.url(), nobody);
    for said in [nobody.sync_room(room, 0).await.err(), nobody.members(room).await.err()] {
        assert_eq!(said, Some(ClientError::Unauthorized));
    }
}
