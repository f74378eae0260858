//! Lines of packets: who gets what, and whose socket is closed.

use super::*;

fn account() -> AccountId {
    AccountId::new(Moment(1)).unwrap()
}

fn device(name: &str) -> DeviceId {
    DeviceId(name.to_owned())
}

fn register(hub: &Arc<Hub>, account: AccountId, name: &str) -> Line {
    hub.register((account, device(name)), device(name))
}

#[tokio::test]
async fn a_device_that_connects_again_closes_its_older_socket() {
    let (hub, account) = (Arc::new(Hub::default()), account());
    let mut older = register(&hub, account, "a");
    let mut other = register(&hub, account, "b");
    let mut newer = register(&hub, account, "a");
    assert_eq!(older.next().await, Next::End(Ending::Replaced));
    drop(older);
    assert!(hub.is_connected(account, "a"));
    hub.send_to_accounts(&[account], &Bytes::from_static(b"1"));
    hub.send_to_device(account, &device("b"), &Bytes::from_static(b"2"));
    assert_eq!(newer.next().await, Next::Packet(Bytes::from_static(b"1")));
    assert_eq!(other.next().await, Next::Packet(Bytes::from_static(b"1")));
    assert_eq!(other.next().await, Next::Packet(Bytes::from_static(b"2")));
    drop((newer, other));
    assert!(!hub.is_online(account));
}

#[tokio::test]
async fn a_socket_that_takes_nothing_is_closed_and_the_others_go_on() {
    let (hub, [one, two]) = (Arc::new(Hub::default()), [1, 2].map(|_| account()));
    let mut slow = register(&hub, one, "a");
    let mut good = register(&hub, two, "a");
    for _ in 0..=LINE {
        hub.send_to_accounts(&[one, two], &Bytes::new());
        assert_eq!(good.next().await, Next::Packet(Bytes::new()));
    }
    assert_eq!(slow.next().await, Next::End(Ending::Slow));
    assert_eq!(hub.counts().sockets_slow.get(), 1);
}

#[tokio::test]
async fn nothing_reaches_a_login_that_was_revoked() {
    let (hub, account) = (Arc::new(Hub::default()), account());
    let mut watch = hub.register((account, device("a")), device("a+watch"));
    let mut other = register(&hub, account, "b");
    assert_eq!(hub.logins(), BTreeSet::from(["a", "b"].map(|name| (account, device(name)))));
    hub.revoke(account, &device("a"));
    hub.send_to_accounts(&[account], &Bytes::from_static(b"1"));
    assert_eq!(watch.next().await, Next::End(Ending::Revoked));
    assert_eq!(other.next().await, Next::Packet(Bytes::from_static(b"1")));
    assert_eq!(hub.logins(), BTreeSet::from([(account, device("b"))]));
}

#[tokio::test]
async fn a_socket_for_which_too_many_bytes_wait_is_closed() {
    let (hub, account) = (Arc::new(Hub::default()), account());
    let mut line = register(&hub, account, "a");
    let large = Bytes::from(vec![0; LINE_BYTES / 4]);
    for _ in 0..10 {
        for _ in 0..4 {
            hub.send_to_accounts(&[account], &large);
        }
        for _ in 0..4 {
            assert_eq!(line.next().await, Next::Packet(large.clone()));
        }
    }
    // One packet goes out, however large it is.
    let larger = Bytes::from(vec![0; LINE_BYTES + 1]);
    hub.send_to_accounts(&[account], &larger);
    assert_eq!(line.next().await, Next::Packet(larger.clone()));
    for packet in [&large, &larger] {
        hub.send_to_accounts(&[account], packet);
    }
    assert_eq!(line.next().await, Next::End(Ending::Slow));
}

#[tokio::test]
async fn an_account_with_too_many_sockets_loses_its_oldest() {
    let (hub, [one, two]) = (Arc::new(Hub::default()), [1, 2].map(|_| account()));
    let mut other = register(&hub, two, "a");
    let names: Vec<String> = (0..=MOST).map(|number| number.to_string()).collect();
    let mut lines: Vec<Line> = names.iter().map(|name| register(&hub, one, name)).collect();
    hub.send_to_accounts(&[one, two], &Bytes::from_static(b"1"));
    assert_eq!(lines.remove(0).next().await, Next::End(Ending::Crowded));
    for line in lines.iter_mut().chain([&mut other]) {
        assert_eq!(line.next().await, Next::Packet(Bytes::from_static(b"1")));
    }
    assert_eq!(lines.len(), MOST);
}

#[tokio::test]
async fn whoever_connects_to_a_server_that_stops_is_sent_away() {
    let hub = Arc::new(Hub::default());
    hub.stop();
    let mut line = register(&hub, account(), "a");
    assert_eq!(line.next().await, Next::End(Ending::Stopping));
}

#[test]
fn nobody_looks_at_a_room_without_a_socket() {
    let (hub, account) = (Arc::new(Hub::default()), account());
    let room = RoomId::new(Moment(1)).unwrap();
    let line = register(&hub, account, "a");
    hub.look(room, account, Some(Hub::looking_until(Moment::now())));
    assert!(hub.is_subscribed(room, account));
    drop(line);
    assert!(!hub.is_subscribed(room, account));
    hub.look(room, account, Some(Moment(1)));
    assert!(!hub.is_subscribed(room, account), "an hour has passed");
}
