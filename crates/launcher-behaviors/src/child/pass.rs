//! Hands an open file to another process, over a socket.
//!
//! A child is started with three open files. What it needs beside them cannot
//! be inherited: between opening it up and starting the child, another thread
//! could start another child, which then had it too.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use rustix::{
    cmsg_space,
    event::{PollFd, PollFlags, Timespec, poll},
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};

/// What is sent when there is a file, and when there is none.
const WITH: &[u8] = b"+";
const WITHOUT: &[u8] = b"-";

/// Sends a file, or says that there is none.
///
/// # Errors
///
/// The other side is gone.
pub(super) fn send(socket: &UnixStream, file: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    let files: Vec<BorrowedFd<'_>> = file.into_iter().collect();
    let text = if files.is_empty() { WITHOUT } else { WITH };
    if !files.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    sendmsg(socket, &[IoSlice::new(text)], &mut beside, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Waits for what [`send`] has sent.
///
/// # Errors
///
/// The other side is gone, or is somebody else.
pub(super) fn receive(socket: &UnixStream) -> io::Result<Option<OwnedFd>> {
    let mut text = [0; 1];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let received =
        recvmsg(socket, &mut [IoSliceMut::new(&mut text)], &mut beside, RecvFlags::CMSG_CLOEXEC)?;
    let file = beside.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    match (received.bytes, text.as_slice()) {
        (1, WITH) => file.map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into()),
        (1, WITHOUT) => Ok(None),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Waits until one of `files` can be read or has been closed by the other side,
/// or for this long.
pub(super) fn any_is_ready(files: &[BorrowedFd<'_>], most: Timespec) -> io::Result<bool> {
    let mut polled: Vec<PollFd<'_>> =
        files.iter().map(|file| PollFd::from_borrowed_fd(*file, PollFlags::IN)).collect();
    match poll(&mut polled, Some(&most)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
