//! What has to be done beside reading and sending: publishing keys, asking for
//! keys that are missing, answering who asks, and sending envelopes.

use std::collections::BTreeSet;

use launcher_core::fault::Fault;
use launcher_runtime::stamp;
use tracing::{info, warn};

use super::MessagerSession;
use crate::{
    client::{Client, ClientError, Delivery},
    crypto::{AccountId, Answer, Ask, Fanout, Withheld, Work},
    engine::Engine,
};

/// Rounds of errands in a row at most. What is left is done by the next reading.
const ROUNDS: usize = 8;

/// Accounts about which the server may give no answer before the rest waits, too:
/// each of them may take as long as a request can.
const LATE: usize = 3;

impl MessagerSession {
    /// Does what is to be done now.
    pub(super) async fn run_errands(&self) -> Result<(), Fault> {
        let (engine, client) = (&self.parts.engine, &self.parts.client);
        publish(engine, client).await?.map_err(|error| self.fault(&error))?;
        for ask in engine.ask(|machine| machine.asks()).await? {
            self.answer_ask(ask).await?;
        }
        let mut refused = BTreeSet::new();
        for _ in 0..ROUNDS {
            let work = engine.ask(|machine| machine.work(stamp().0)).await?;
            if work == Work::default() {
                return Ok(());
            }
            let mut late = Late::default();
            for account in work.look_up {
                late.note(account, self.look_up(account).await)?;
            }
            for account in work.claim {
                late.note(account, self.claim(account).await)?;
            }
            for fanout in work.deliver {
                // An account's envelopes keep their order.
                if !late.accounts.contains(&fanout.account) && !refused.contains(&fanout.numbers) {
                    let sent = self.send_envelopes(&fanout, &mut refused).await;
                    late.note(fanout.account, sent)?;
                }
            }
            late.end()?;
        }
        Ok(())
    }

    /// Sends envelopes. Others must not wait for what this server does not take.
    async fn send_envelopes(
        &self,
        fanout: &Fanout,
        refused: &mut BTreeSet<Vec<i64>>,
    ) -> Result<(), Fault> {
        let error = match self.deliver(fanout).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let ClientError::Refused { status, .. } = error else { return Err(self.fault(&error)) };
        warn!(account = %fanout.account, %error, "envelopes were not taken");
        match status {
            // It will never take these; who lacks a key asks for it.
            400 | 413 => {
                let fanout = fanout.clone();
                self.parts.engine.ask(move |machine| machine.delivered(&fanout)).await
            }
            _ => {
                refused.insert(fanout.numbers.clone());
                Ok(())
            }
        }
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

/// Accounts for which something has to wait, as the server gave no answer.
#[derive(Default)]
struct Late {
    accounts: BTreeSet<AccountId>,
    first: Option<Fault>,
}

impl Late {
    /// Notes what became of an account. The others do not wait for one of them.
    fn note(&mut self, account: AccountId, done: Result<(), Fault>) -> Result<(), Fault> {
        match done {
            Err(fault @ Fault::ServerUnavailable { .. }) => {
                self.accounts.insert(account);
                if self.accounts.len() >= LATE {
                    return Err(fault);
                }
                self.first.get_or_insert(fault);
                Ok(())
            }
            done => done,
        }
    }

    fn end(self) -> Result<(), Fault> {
        self.first.map_or(Ok(()), Err)
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
