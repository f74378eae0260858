//! Signals of the operating system, as what they mean here.

use std::future::Future;

use launcher_runtime::stop::Stop;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};
use tracing::{info, warn};

/// Takes over the signals that end a command; what is returned ends with the first.
pub(crate) fn interrupted() -> std::io::Result<impl Future<Output = ()> + Send> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// The signals that the launcher listens to.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Takes the signals over; from here on they end nothing by themselves.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Turns signals into stops (the first asks, the second demands) and reloads.
    pub(crate) async fn obey(mut self, stop: Stop, reload: mpsc::Sender<()>) {
        loop {
            let name = tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
                _ = self.hangup.recv() => {
                    info!("SIGHUP: reading all files again");
                    // A reload that is waiting already is enough.
                    if reload.try_send(()).is_err() {
                        info!("one is waiting already");
                    }
                    continue;
                }
            };
            if stop.is_asked() {
                warn!("{name} again: cutting off");
                stop.demand();
            } else {
                info!("{name}: stopping; once more cuts off");
                stop.ask();
            }
        }
    }
}
