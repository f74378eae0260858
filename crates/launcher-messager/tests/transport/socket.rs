//! The websocket, against the server.

use launcher_core::secret::Secret;
use launcher_messager::{
    client::{Client, ClientError, Group, Notice, TimelineKind},
    socket::{Packet, Socket},
};

use crate::world::{World, soon};

/// Waits for a packet that is wanted; others are forgotten.
async fn until<T>(socket: &mut Socket, mut wanted: impl FnMut(Packet) -> Option<T>) -> T {
    loop {
        let packet = soon(socket.next()).await.unwrap();
        if let Some(found) = wanted(packet) {
            return found;
        }
    }
}

#[tokio::test]
async fn a_socket_tells_rows_and_who_types() {
    let world = World::start().await;
    let (ann, ben) = (world.client("ann"), world.client("ben"));
    let (ann_id, ben_id) = (ann.me().await.unwrap().account, ben.me().await.unwrap().account);
    let mut hears = Socket::connect(&ann).await.unwrap();
    let mut types = Socket::connect(&ben).await.unwrap();
    let room = ann.create_group("the group", Group::Encrypted).await.unwrap();
    ann.invite(room.id, ben_id).await.unwrap();
    ben.accept(room.id).await.unwrap();
    let joined = until(&mut hears, |packet| match packet {
        Packet::Row(row) => Some(row),
        _ => None,
    });
    let joined = joined.await;
    let wanted = Notice::Joined { account: ben_id };
    assert!(matches!(&joined.kind, TimelineKind::System(notice) if *notice == wanted));
    hears.subscribe(room.id).await.unwrap();
    // The server takes packets of one socket in order, and says nothing to these:
    // what it refuses comes after it has taken the subscription.
    hears.mark_read(launcher_messager::crypto::RoomId::from_bytes([9; 16])).await.unwrap();
    until(&mut hears, |packet| {
        matches!(packet, Packet::Other { name } if name == "error").then_some(())
    })
    .await;
    types.typing(room.id).await.unwrap();
    let (where_, who) = until(&mut hears, |packet| match packet {
        Packet::Typing { room, account } => Some((room, account)),
        _ => None,
    })
    .await;
    assert_eq!((where_, who), (room.id, ben_id));
    assert_ne!(who, ann_id);
}

#[tokio::test]
async fn a_second_socket_of_a_device_ends_the_first() {
    let world = World::start().await;
    let ann = world.client("ann");
    let mut first = Socket::connect(&ann).await.unwrap();
    let _second = Socket::connect(&ann).await.unwrap();
    let ended = soon(first.next()).await.unwrap_err();
    assert!(ended.is_passing() && ended.to_string().contains("1000"), "{ended}");
}

#[tokio::test]
async fn a_socket_ends_when_the_server_does() {
    let mut world = World::start().await;
    let ann = world.client("ann");
    let mut socket = Socket::connect(&ann).await.unwrap();
    let (ended, ()) = tokio::join!(soon(socket.next()), world.stop());
    assert!(ended.unwrap_err().is_passing());
    let away = Socket::connect(&ann).await.unwrap_err();
    assert!(away.is_passing(), "{away}");
    world.come_back().await;
    soon(Socket::connect(&ann)).await.unwrap();
}

#[tokio::test]
async fn nobody_connects_with_a_wrong_token() {
    let world = World::start().await;
    let token = Secret::new("wrong".to_owned());
    let wrong = Client::new(&world.connections, world.url(), token);
    assert_eq!(Socket::connect(&wrong).await.unwrap_err(), ClientError::Unauthorized);
}
