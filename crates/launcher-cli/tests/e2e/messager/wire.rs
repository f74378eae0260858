//! A wire on which everything that goes by is kept.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Handle,
};
use url::Url;

use super::Result;

/// Connections to a server, both ways. A server that is away cuts them off.
pub(crate) struct Wire {
    address: SocketAddr,
    kept: Arc<Mutex<Vec<u8>>>,
}

impl Wire {
    pub(crate) async fn to(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let kept = Arc::<Mutex<Vec<u8>>>::default();
        let all = kept.clone();
        Handle::current().spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let all = all.clone();
                Handle::current().spawn(async move {
                    let Ok(far) = TcpStream::connect(server).await else { return };
                    let ((near_in, near_out), (far_in, far_out)) =
                        (near.into_split(), far.into_split());
                    tokio::select! {
                        () = carry(near_in, far_out, &all) => {}
                        () = carry(far_in, near_out, &all) => {}
                    }
                });
            }
        });
        Ok(Self { address, kept })
    }

    pub(crate) fn url(&self) -> Url {
        format!("http://{}", self.address).parse().unwrap()
    }

    /// How many bytes went by.
    pub(crate) fn length(&self) -> usize {
        self.kept.lock().unwrap().len()
    }

    /// Whether this text went by in one piece.
    pub(crate) fn has(&self, text: &str) -> bool {
        memchr::memmem::find(&self.kept.lock().unwrap(), text.as_bytes()).is_some()
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    kept: &Mutex<Vec<u8>>,
) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        kept.lock().unwrap().extend_from_slice(&bytes[..read]);
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
    drop(to.shutdown().await);
}
