//! A command's end of the control socket.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use launcher_core::{
    agent::AgentId,
    secret::{PickleKey, Secret},
};
use reqwest::{Method, RequestBuilder, Response};
use serde::Serialize;

use crate::{
    socket::SocketPath,
    wire::{
        AcknowledgeRequest, AcknowledgedReply, AnswerRequest, AnswerWord, BackupReply,
        BackupRequest, CheckReply, ChecksReply, DeviceReply, DevicesReply, DirectReply,
        DirectRequest, FileQuery, InviteReply, InviteRequest, InvitesReply, KeyText, LeaveRequest,
        MadeRoomReply, MessageRequest, RecoveryKey, Refusal, RekeyRequest, ResetRequest, RoomReply,
        RoomRequest, RoomsReply, SecretText, SentReply, StatusReply, StoreReply, StoresReply,
        TrustReply, TrustRequest, UserReply, VerificationReply, VerificationRequest,
        VerificationsReply,
    },
};

/// How long the running launcher may take for what it knows.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// How long it may take for what has to be done first: an agent has a minute
/// to end, and servers can be slow.
const WORK_LIMIT: Duration = Duration::from_secs(5 * 60);

/// Why a running launcher gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// Nobody listens: no launcher runs on this configuration.
    #[error("no launcher is running here: nobody listens on {}", .path.display())]
    NotRunning {
        /// The socket.
        path: PathBuf,
    },
    /// The socket is there, but it cannot be used.
    #[error("using the control socket {}", .path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The running launcher gave no answer that could be understood.
    #[error("asking the running launcher")]
    Answer(#[source] reqwest::Error),
    /// The running launcher did not do it.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl From<AskError> for Refusal {
    fn from(error: AskError) -> Self {
        let action = match error {
            AskError::Refused(refusal) => return refusal,
            AskError::NotRunning { .. } => "repeat the command",
            AskError::Socket { .. } => "run the command as the launcher's user",
            AskError::Answer(_) => "look into the launcher's log, and repeat the command",
        };
        let mut reason = error.to_string();
        let mut cause = Error::source(&error);
        while let Some(deeper) = cause {
            reason = format!("{reason}: {deeper}");
            cause = deeper.source();
        }
        Self::new(reason, action)
    }
}

/// Asks the launcher whose own folder this is.
#[derive(Clone, Debug)]
pub struct Client {
    folder: PathBuf,
}

/// A request without a body.
const NOTHING: Option<&()> = None;

/// How every method fails: see [`AskError`].
type Asked<T> = Result<T, AskError>;

impl Client {
    /// A client of the launcher whose own folder this is, if one runs.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// How all agents are.
    pub async fn status(&self) -> Asked<StatusReply> {
        let answer = self.ask(Method::GET, "/v1/status", NOTHING, ANSWER_LIMIT).await?;
        answer.json().await.map_err(AskError::Answer)
    }

    /// The crypto stores that were put aside.
    pub async fn stores(&self, agent: &AgentId) -> Asked<Vec<StoreReply>> {
        let answer = self.work(Method::GET, agent, "stores", NOTHING).await?;
        answer.json().await.map(|reply: StoresReply| reply.stores).map_err(AskError::Answer)
    }

    /// Removes those that are not needed any more; returns them.
    pub async fn prune_stores(&self, agent: &AgentId) -> Asked<Vec<StoreReply>> {
        let answer = self.work(Method::DELETE, agent, "stores", NOTHING).await?;
        answer.json().await.map(|reply: StoresReply| reply.stores).map_err(AskError::Answer)
    }

    /// The devices of the agent's account.
    pub async fn devices(&self, agent: &AgentId) -> Asked<Vec<DeviceReply>> {
        let answer = self.work(Method::GET, agent, "devices", NOTHING).await?;
        answer.json().await.map(|reply: DevicesReply| reply.devices).map_err(AskError::Answer)
    }

    /// Removes the stale ones; returns them.
    pub async fn prune_devices(&self, agent: &AgentId) -> Asked<Vec<DeviceReply>> {
        let answer = self.work(Method::DELETE, agent, "devices/stale", NOTHING).await?;
        answer.json().await.map(|reply: DevicesReply| reply.devices).map_err(AskError::Answer)
    }

    /// Everything that can be wrong about the agent.
    pub async fn examine(&self, agent: &AgentId) -> Asked<Vec<CheckReply>> {
        let answer = self.work(Method::GET, agent, "doctor", NOTHING).await?;
        answer.json().await.map(|reply: ChecksReply| reply.checks).map_err(AskError::Answer)
    }

    /// Puts the crypto store aside and starts the agent as a new device.
    pub async fn reset(&self, agent: &AgentId, password: Option<Secret<String>>) -> Asked<()> {
        let body = ResetRequest { password: password.map(SecretText) };
        self.work(Method::POST, agent, "reset", Some(&body)).await.map(drop)
    }

    /// The recovery key, once.
    pub async fn show_recovery_key(&self, agent: &AgentId) -> Asked<Secret<String>> {
        let answer = self.work(Method::POST, agent, "recovery-key/show", NOTHING).await?;
        answer.json().await.map(|reply: RecoveryKey| reply.key.0).map_err(AskError::Answer)
    }

    /// Checks and keeps a recovery key, and starts the agent anew with it.
    pub async fn set_recovery_key(&self, agent: &AgentId, key: Secret<String>) -> Asked<()> {
        let body = RecoveryKey { key: SecretText(key) };
        self.work(Method::POST, agent, "recovery-key", Some(&body)).await.map(drop)
    }

    /// Ends the agent's task and starts it again.
    pub async fn restart(&self, agent: &AgentId) -> Asked<()> {
        self.work(Method::POST, agent, "restart", NOTHING).await.map(drop)
    }

    /// Prepares a change of the pickle key.
    pub async fn begin_rekey(&self, agent: &AgentId, new: &PickleKey) -> Asked<()> {
        let body = RekeyRequest { new_key: KeyText(new.clone()) };
        self.work(Method::POST, agent, "rekey", Some(&body)).await.map(drop)
    }

    /// Writes the agent into a new archive at `out`, an absolute path.
    pub async fn backup(&self, agent: &AgentId, out: &Path) -> Asked<BackupReply> {
        let body = BackupRequest { path: out.to_owned() };
        let answer = self.work(Method::POST, agent, "backup", Some(&body)).await?;
        answer.json().await.map_err(AskError::Answer)
    }

    /// Whom the agent trusts.
    pub async fn trust(&self, agent: &AgentId) -> Asked<TrustReply> {
        let answer = self.work(Method::GET, agent, "trust", NOTHING).await?;
        answer.json().await.map_err(AskError::Answer)
    }

    /// Decides about a user or a device; returns what is known of the user then.
    pub async fn decide(&self, agent: &AgentId, request: &TrustRequest) -> Asked<UserReply> {
        let answer = self.work(Method::POST, agent, "trust", Some(request)).await?;
        answer.json().await.map_err(AskError::Answer)
    }

    /// The verifications that go on or ended a short while ago.
    pub async fn verifications(&self, agent: &AgentId) -> Asked<Vec<VerificationReply>> {
        let answer = self.work(Method::GET, agent, "verifications", NOTHING).await?;
        let all = answer.json().await.map_err(AskError::Answer)?;
        let VerificationsReply { verifications } = all;
        Ok(verifications)
    }

    /// Takes up a verification, or asks for one.
    pub async fn begin_verification(
        &self,
        agent: &AgentId,
        request: &VerificationRequest,
    ) -> Asked<VerificationReply> {
        let answer = self.work(Method::POST, agent, "verifications", Some(request)).await?;
        answer.json().await.map_err(AskError::Answer)
    }

    /// A verification, as soon as its revision is above `after` or `wait` is
    /// over; the launcher waits for twenty seconds at most.
    pub async fn verification(
        &self,
        agent: &AgentId,
        number: u64,
        after: u64,
        wait: Duration,
    ) -> Asked<VerificationReply> {
        let wait_ms = wait.as_millis();
        let path =
            format!("/v1/agents/{agent}/verifications/{number}?after={after}&wait_ms={wait_ms}");
        let answer = self.ask(Method::GET, &path, NOTHING, wait + ANSWER_LIMIT).await?;
        answer.json().await.map_err(AskError::Answer)
    }

    /// Answers what a verification asks.
    pub async fn answer_verification(
        &self,
        agent: &AgentId,
        number: u64,
        answer: AnswerWord,
    ) -> Asked<VerificationReply> {
        let what = format!("verifications/{number}/answer");
        let answer = self.work(Method::POST, agent, &what, Some(&AnswerRequest { answer })).await?;
        answer.json().await.map_err(AskError::Answer)
    }

    /// Has the agent send a text.
    pub async fn send(&self, agent: &AgentId, request: &MessageRequest) -> Asked<SentReply> {
        let answer = self.work(Method::POST, agent, "messages", Some(request)).await?;
        answer.json().await.map_err(AskError::Answer)
    }

    /// Has the agent send a file.
    pub async fn send_file(
        &self,
        agent: &AgentId,
        query: &FileQuery,
        file: Vec<u8>,
    ) -> Asked<SentReply> {
        let path = format!("/v1/agents/{agent}/files");
        let with = |request: RequestBuilder| request.query(query).body(file);
        let answer = self.exchange(Method::POST, &path, WORK_LIMIT * 2, with).await?;
        answer.json().await.map_err(|error| AskError::Answer(error.without_url()))
    }

    /// Notes that an operator knows why an agent is parked.
    pub async fn acknowledge(
        &self,
        agent: &AgentId,
        request: &AcknowledgeRequest,
    ) -> Asked<AcknowledgedReply> {
        let answer = self.work(Method::POST, agent, "acknowledge", Some(request)).await?;
        answer.json().await.map_err(AskError::Answer)
    }

    /// The invitations that wait.
    pub async fn invites(&self, agent: &AgentId) -> Asked<Vec<InviteReply>> {
        let answer = self.work(Method::GET, agent, "invites", NOTHING).await?;
        answer.json().await.map(|reply: InvitesReply| reply.invites).map_err(AskError::Answer)
    }

    /// Accepts or rejects an invitation.
    pub async fn answer_invite(&self, agent: &AgentId, request: &InviteRequest) -> Asked<()> {
        self.work(Method::POST, agent, "invites", Some(request)).await.map(drop)
    }

    /// The rooms that the agent is in.
    pub async fn rooms(&self, agent: &AgentId) -> Asked<Vec<RoomReply>> {
        let answer = self.work(Method::GET, agent, "rooms", NOTHING).await?;
        answer.json().await.map(|reply: RoomsReply| reply.rooms).map_err(AskError::Answer)
    }

    /// Makes an encrypted room.
    pub async fn make_room(&self, agent: &AgentId, request: &RoomRequest) -> Asked<MadeRoomReply> {
        let answer = self.work(Method::POST, agent, "rooms", Some(request)).await?;
        answer.json().await.map_err(AskError::Answer)
    }

    /// Leaves a room.
    pub async fn leave_room(&self, agent: &AgentId, request: &LeaveRequest) -> Asked<()> {
        self.work(Method::POST, agent, "rooms/leave", Some(request)).await.map(drop)
    }

    /// Has an encrypted direct chat with a user, or says how far it is.
    pub async fn direct(&self, agent: &AgentId, request: &DirectRequest) -> Asked<DirectReply> {
        let answer = self.work(Method::POST, agent, "direct", Some(request)).await?;
        answer.json().await.map_err(AskError::Answer)
    }

    async fn work(
        &self,
        method: Method,
        agent: &AgentId,
        what: &str,
        body: Option<&impl Serialize>,
    ) -> Asked<Response> {
        self.ask(method, &format!("/v1/agents/{agent}/{what}"), body, WORK_LIMIT).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        limit: Duration,
    ) -> Asked<Response> {
        let with = |request: RequestBuilder| match body {
            Some(body) => request.json(body),
            None => request,
        };
        self.exchange(method, path, limit, with).await
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        limit: Duration,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Asked<Response> {
        let socket = self.socket().await?;
        let http = reqwest::Client::builder()
            .unix_socket(socket.short.as_path())
            .timeout(limit)
            .build()
            .map_err(AskError::Answer)?;
        let request = with(http.request(method, format!("http://launcher{path}")));
        // What is said about a file is part of the address.
        let unclear = |error: reqwest::Error| AskError::Answer(error.without_url());
        let answer = request.send().await.map_err(unclear)?;
        match answer.error_for_status_ref() {
            Ok(_) => Ok(answer),
            Err(error) => Err(match answer.json::<Refusal>().await {
                Ok(refusal) => refusal.into(),
                Err(_) => unclear(error),
            }),
        }
    }

    /// The socket, if somebody listens on it.
    async fn socket(&self) -> Asked<SocketPath> {
        let not_running = || AskError::NotRunning { path: self.folder.join("control.sock") };
        let socket = SocketPath::in_folder(&self.folder).map_err(|_| not_running())?;
        match tokio::net::UnixStream::connect(&socket.short).await {
            Ok(_) => Ok(socket),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                Err(not_running())
            }
            Err(source) => Err(AskError::Socket { path: socket.real, source }),
        }
    }
}
