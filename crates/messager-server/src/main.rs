//! `messager`: runs the server, and makes and revokes accounts.

mod args;
mod commands;
mod log;

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Parser;
use messager_server::{Server, Settings};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use self::args::{Account, Arguments, Command, Serve};

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Serve(arguments) => serve(arguments),
        Command::Account(Account::Add(arguments)) => commands::add(&arguments),
        Command::Account(Account::List(arguments)) => commands::list(&arguments),
        Command::Completions { shell } => commands::completions(shell),
        Command::Man { output } => commands::manual(output.as_deref()),
        Command::Account(Account::Revoke(arguments)) => commands::revoke(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut stderr = io::stderr().lock();
            let mut text = format!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                text = format!("{text}: {error}");
                cause = error.source();
            }
            // Nobody can be told that nobody can be told.
            drop(writeln!(stderr, "{text}"));
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: Serve) -> Outcome {
    log::start(arguments.log_format, arguments.log_level);
    let settings = Settings {
        push_webhook: arguments.push_webhook,
        link_previews: arguments.link_previews,
        writes_per_minute: arguments.writes_per_minute.get(),
        claims_per_minute: arguments.claims_per_minute.get(),
        keep: Duration::from_secs(u64::from(arguments.keep_days) * 24 * 60 * 60),
        connections: usize::try_from(arguments.connections.get())?,
        ..Settings::in_folder(arguments.data)
    };
    let server = Server::open(settings)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let listener = TcpListener::bind(arguments.listen);
        let listener = listener.await.map_err(|error| format!("{}: {error}", arguments.listen))?;
        let bound = server.bind(listener)?;
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        bound.run(stop).await?;
        Ok(())
    })
}
