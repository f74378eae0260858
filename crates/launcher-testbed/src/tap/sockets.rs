//! The connections that are open, so that all of them can be closed at once.

use std::{
    collections::HashMap,
    io::{self, BufReader, Read},
    net::{Shutdown, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// All open connections.
#[derive(Debug)]
pub(crate) struct Sockets {
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    /// None once everything was closed: nothing is opened anymore.
    streams: Option<HashMap<u64, Arc<TcpStream>>>,
    admitted: u64,
}

impl Sockets {
    pub(crate) fn new() -> Self {
        Self { open: Mutex::new(Open { streams: Some(HashMap::new()), admitted: 0 }) }
    }

    /// Takes a connection into the list.
    pub(crate) fn admit(self: &Arc<Self>, stream: TcpStream) -> io::Result<Socket> {
        stream.set_nodelay(true)?;
        let stream = Arc::new(stream);
        let mut open = self.lock();
        open.admitted += 1;
        let id = open.admitted;
        let streams = open.streams.as_mut().ok_or(io::ErrorKind::ConnectionAborted)?;
        streams.insert(id, Arc::clone(&stream));
        Ok(Socket { id, stream, sockets: Arc::clone(self) })
    }

    pub(crate) fn close_all(&self) {
        for stream in self.lock().streams.take().iter().flat_map(HashMap::values) {
            close(stream);
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().streams.is_none()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open connection, which is closed when this is dropped.
#[derive(Debug)]
pub(crate) struct Socket {
    id: u64,
    stream: Arc<TcpStream>,
    sockets: Arc<Sockets>,
}

impl Socket {
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether the other side has closed the connection.
    pub(crate) fn is_gone(&self) -> bool {
        let mut descriptors = [PollFd::new(&*self.stream, PollFlags::IN)];
        let is_quiet = poll(&mut descriptors, Some(&Timespec::default())) == Ok(0);
        // Who already sends its next request is still there.
        !is_quiet && !matches!(self.stream.peek(&mut [0]), Ok(1..))
    }

    pub(crate) fn reader(&self) -> BufReader<Incoming> {
        BufReader::new(Incoming(Arc::clone(&self.stream)))
    }
}

/// What comes in on a connection. It takes no file descriptor of its own.
#[derive(Debug)]
pub(crate) struct Incoming(Arc<TcpStream>);

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(streams) = &mut self.sockets.lock().streams {
            streams.remove(&self.id);
        }
        close(&self.stream);
    }
}

fn close(stream: &TcpStream) {
    // An error means that the other side was faster.
    drop(stream.shutdown(Shutdown::Both));
}
