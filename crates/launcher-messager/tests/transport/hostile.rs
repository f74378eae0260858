//! Servers that are none.

use std::net::SocketAddr;

use launcher_core::secret::Secret;
use launcher_messager::{
    client::{Client, ClientError, Connections},
    socket::Socket,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use url::Url;

use crate::world::soon;

const TOKEN: &str = "hunter2";

/// Something that takes a request and writes what it is told, whatever was
/// asked, and then `more` for ever.
async fn answering(answer: impl Into<Vec<u8>>, more: Vec<u8>) -> SocketAddr {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = [0; 4096];
            let _read = stream.read(&mut asked).await;
            let mut written = stream.write_all(&answer).await;
            while written.is_ok() && !more.is_empty() {
                written = stream.write_all(&more).await;
            }
        }
    });
    address
}

fn client(address: SocketAddr) -> Client {
    let server = Url::parse(&format!("http://{address}")).unwrap();
    Client::new(&Connections::new().unwrap(), server, Secret::new(TOKEN.to_owned()))
}

async fn told(answer: &str) -> ClientError {
    let error = soon(client(answering(answer, Vec::new()).await).rooms()).await.unwrap_err();
    assert!(!format!("{error:?} {error}").contains(TOKEN));
    error
}

#[tokio::test]
async fn an_answer_that_is_none_is_as_good_as_none() {
    let ok = "HTTP/1.1 200 OK\r\nconnection: close\r\n";
    for answer in [
        "",
        "SSH-2.0-OpenSSH_9.6\r\n",
        &format!("{ok}content-length: 6\r\n\r\n<html>"),
        &format!("{ok}content-length: 100\r\n\r\n["),
        &format!("{ok}content-length: 14\r\n\r\n[{{\"id\":\"room\"}}"),
        "HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
    ] {
        let error = told(answer).await;
        assert!(error.is_passing(), "{answer:?}: {error}");
    }
}

#[tokio::test]
async fn nobody_is_sent_on_to_another_server() {
    let other = answering("", Vec::new()).await;
    let answer = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{other}/\r\nconnection: close\r\n\
         content-length: 0\r\n\r\n"
    );
    let error = told(&answer).await;
    assert!(error.to_string().contains("307"), "{error}");
}

#[tokio::test]
async fn an_answer_without_an_end_is_given_up() {
    let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
    let address = answering(head, vec![b' '; 1 << 20]).await;
    let error = soon(client(address).rooms()).await.unwrap_err();
    assert!(error.to_string().contains("16777216 bytes"), "{error}");
}

#[tokio::test]
async fn a_body_stands_in_no_error() {
    let body = "{\"id\": \"a secret of somebody\"}";
    let answer = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let error = told(&answer).await;
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
}

#[tokio::test]
async fn a_server_that_does_not_take_the_upgrade_is_no_websocket() {
    for answer in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: AAAA\r\n\r\n",
    ] {
        let address = answering(answer, Vec::new()).await;
        let error = soon(Socket::connect(&client(address))).await.unwrap_err();
        assert!(error.is_passing(), "{error}");
    }
}
