//! Echo bots on matrix-sdk, written as the SDK's own examples are written.
//!
//! This is what the launcher is measured against: every bot is a `Client` with
//! default stores and default settings, logged in with a password, with two
//! event handlers and an endless `sync`. Nothing is tuned, in neither
//! direction, so the numbers are those of a program that knows nothing of its
//! neighbors.
//!
//! It never stops by itself; whoever started it ends it.

// The futures of the SDK are nested deeper than the compiler looks by itself.
#![recursion_limit = "256"]

use std::{env, error::Error, path::PathBuf, process::ExitCode};

use matrix_sdk::{
    Client, Room, RoomState,
    config::SyncSettings,
    encryption::EncryptionSettings,
    ruma::events::room::{
        member::StrippedRoomMemberEvent,
        message::{MessageType, OriginalSyncRoomMessageEvent, RoomMessageEventContent},
    },
};
use tokio::task::JoinSet;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What the stores are encrypted with. The examples draw one at random; what
/// it is makes no difference to what it costs.
const PASSPHRASE: &str = "a passphrase of thirty-two bytes";

/// Where the bots live and how they log in.
struct Place {
    homeserver: String,
    folder: PathBuf,
    password: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt::init();
    let mut arguments = env::args().skip(1);
    let (Some(homeserver), Some(folder), Some(password)) =
        (arguments.next(), arguments.next(), arguments.next())
    else {
        complain("usage: plain-bot HOMESERVER FOLDER PASSWORD USER...");
        return ExitCode::from(2);
    };
    let place = Place { homeserver, folder: folder.into(), password };
    match run(&place, arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Logs one bot in after the other, and lets each sync in a task of its own.
async fn run(place: &Place, users: impl Iterator<Item = String>) -> Result<()> {
    let mut bots = JoinSet::new();
    for user in users {
        let (client, settings) = log_in(place, &user).await?;
        bots.spawn(async move { client.sync(settings).await });
        announce(&user);
    }
    while let Some(ended) = bots.join_next().await {
        ended??;
    }
    Ok(())
}

/// A bot after its first sync, and where to sync from.
async fn log_in(place: &Place, user: &str) -> Result<(Client, SyncSettings)> {
    let store = place.folder.join(user.trim_start_matches('@').replace(':', "_"));
    let client = Client::builder()
        .homeserver_url(&place.homeserver)
        .sqlite_store(store, Some(PASSPHRASE))
        .with_encryption_settings(EncryptionSettings {
            auto_enable_cross_signing: true,
            ..EncryptionSettings::default()
        })
        .build()
        .await?;
    let auth = client.matrix_auth();
    auth.login_username(user, &place.password).initial_device_display_name("plain bot").await?;
    client.encryption().wait_for_e2ee_initialization_tasks().await;
    let first = client.sync_once(SyncSettings::default()).await?;
    client.add_event_handler(on_invite);
    client.add_event_handler(on_message);
    Ok((client, SyncSettings::default().token(first.next_batch)))
}

/// Joins every room that the bot is invited to.
async fn on_invite(event: StrippedRoomMemberEvent, client: Client, room: Room) {
    if client.user_id().is_some_and(|own| own == event.state_key)
        && let Err(error) = room.join().await
    {
        complain(&format!("joining {}: {error}", room.room_id()));
    }
}

/// Says again what somebody else has said.
async fn on_message(event: OriginalSyncRoomMessageEvent, client: Client, room: Room) {
    if room.state() != RoomState::Joined || client.user_id().is_some_and(|own| own == event.sender)
    {
        return;
    }
    let MessageType::Text(text) = event.content.msgtype else { return };
    let answer = RoomMessageEventContent::text_plain(format!("echo: {}", text.body));
    if let Err(error) = room.send(answer).await {
        complain(&format!("answering in {}: {error}", room.room_id()));
    }
}

/// Tells the benchmark, which reads the log, that a bot is there.
#[expect(clippy::print_stdout, reason = "the benchmark reads it")]
fn announce(user: &str) {
    println!("ready {user}");
}

#[expect(clippy::print_stderr, reason = "the benchmark shows it")]
fn complain(what: &str) {
    eprintln!("plain-bot: {what}");
}
