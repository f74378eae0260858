//! Somebody between a client and the server, who answers some requests himself.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use url::Url;

/// What is answered to a request, if it does not go on to the server.
type Answers = dyn Fn(&str) -> Option<String> + Send + Sync;

/// A proxy in front of a server.
pub(crate) struct Between {
    pub(crate) url: Url,
    _tasks: JoinSet<()>,
}

impl Between {
    /// One that says what `answers` has it say.
    pub(crate) async fn new(
        server: Url,
        answers: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let target = server.socket_addrs(|| None).unwrap()[0];
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, target, Arc::new(answers)));
        Self { url, _tasks: tasks }
    }
}

/// An answer with a body, after which the connection ends.
pub(crate) fn says(status: &str, kind: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
}

async fn accept(listener: TcpListener, target: SocketAddr, answers: Arc<Answers>) {
    let mut tasks = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let Ok(server) = TcpStream::connect(target).await else { continue };
        tasks.spawn(pass(client, server, answers.clone()));
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, answers: Arc<Answers>) {
    let (mut asked, mut answered) = (vec![0; 256 * 1024], vec![0; 256 * 1024]);
    loop {
        tokio::select! {
            Ok(length @ 1..) = client.read(&mut asked) => {
                let request = &asked[..length];
                if let Some(answer) = answers(&String::from_utf8_lossy(request)) {
                    drop(client.write_all(answer.as_bytes()).await);
                    drop(client.shutdown().await);
                    return;
                }
                if server.write_all(request).await.is_err() {
                    return;
                }
            }
            Ok(length @ 1..) = server.read(&mut answered) => {
                if client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
            else => return,
        }
    }
}
