//! What has to be done beside reading and sending: publishing keys, asking for
//! keys that are missing, answering who asks, and sending envelopes.

use launcher_core::fault::Fault;
use launcher_runtime::stamp;
use tracing::{info, warn};

use super::MessagerSession;
use crate::{
    client::{Client, ClientError, Delivery},
    crypto::{Answer, Ask, Fanout, Withheld, Work},
    engine::Engine,
};

/// Rounds of errands in a row at most. What is left is done by the next reading.
const ROUNDS: usize = 8;

impl MessagerSession {
    /// Does what is to be done now.
    pub(super) async fn run_errands(&self) -> Result<(), Fault> {
        let (engine, client) = (&self.parts.engine, &self.parts.client);
        publish(engine, client).await?.map_err(|error| self.fault(&error))?;
        for ask in engine.ask(|machine| machine.asks()).await? {
            self.answer_ask(ask).await?;
        }
        for _ in 0..ROUNDS {
            let work = engine.ask(|machine| machine.work(stamp().0)).await?;
            if work == Work::default() {
                return Ok(());
            }
            for account in work.look_up {
                self.look_up(account).await?;
            }
            for account in work.claim {
                self.claim(account).await?;
            }
            for fanout in work.deliver {
                match self.deliver(&fanout).await {
                    Ok(()) => {}
                    // Others must not wait for envelopes that this server does not take.
                    Err(error @ ClientError::Refused { .. }) => {
                        warn!(account = %fanout.account, %error, "envelopes were not taken");
                    }
                    Err(error) => return Err(self.fault(&error)),
                }
            }
        }
        Ok(())
    }

    /// Gives the key once more to a device that was meant to have it, if the
    /// trust policy says so today.
    async fn answer_ask(&self, ask: Ask) -> Result<(), Fault> {
        let address = ask.from.address.clone();
        let judged = self.ledger.judged(&[address.account]).await?;
        let allowed = judged.allowed.get(&address);
        let answer = match allowed.is_some_and(|device| device.keys() == ask.from.keys()) {
            true => Answer::Share,
            false => {
                let reason = judged.withheld.get(&address).copied();
                Answer::Withhold(reason.unwrap_or(Withheld::NotEntitled))
            }
        };
        info!(room = %ask.room, user = %address.account, ?answer, "a device asked for a key");
        self.parts.engine.ask(move |machine| machine.answer(&ask, answer)).await
    }

    /// Sends envelopes, unless the account has other devices by now: then those
    /// are taken in, and what is to be sent is asked anew.
    pub(super) async fn deliver(&self, fanout: &Fanout) -> Result<(), ClientError> {
        let _turn = self.delivering.lock().await;
        let taken = self.parts.client.fanout(fanout).await?;
        let failed = |fault: Fault| {
            let error = ClientError::unreachable(fault.to_string());
            if !matches!(fault, Fault::ServerUnavailable { .. }) {
                self.note_broken(fault);
            }
            error
        };
        match taken {
            Delivery::Taken | Delivery::NoAccount => {
                let fanout = fanout.clone();
                let done = self.parts.engine.ask(move |machine| machine.delivered(&fanout)).await;
                done.map_err(failed)
            }
            Delivery::OtherDevices => self.look_up(fanout.account).await.map_err(failed),
        }
    }
}

/// Uploads what is to be uploaded of the device's keys.
///
/// The outer error is the store's, the inner one the server's.
pub(crate) async fn publish(
    engine: &Engine,
    client: &Client,
) -> Result<Result<(), ClientError>, Fault> {
    let upload = engine.ask(|machine| machine.upload(stamp().0)).await?;
    let Some(upload) = upload else { return Ok(Ok(())) };
    if let Err(error) = client.upload_bundle(&upload).await {
        return Ok(Err(error));
    }
    engine.ask(move |machine| machine.uploaded(upload.mark, stamp().0)).await?;
    Ok(Ok(()))
}
