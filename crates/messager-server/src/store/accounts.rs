//! Accounts, their devices and tokens.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::{Stop, view::Viewer};
use crate::{
    account::{KnownAccount, KnownDevice},
    refusal::Refusal,
    values::{AccountId, DeviceId, Moment},
    wire::{Account, Me},
};

/// Whether there is such an account.
pub(crate) fn exists(connection: &Connection, account: AccountId) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM accounts WHERE id = ?1")?.exists([account])
}

/// The one that a token is for, by the token's hash.
pub(crate) fn by_token(
    connection: &Connection,
    hash: &[u8; 32],
) -> rusqlite::Result<Option<(AccountId, DeviceId)>> {
    let sql = "SELECT account_id, device_id FROM tokens WHERE hash = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_row([hash], |row| Ok((row.get(0)?, DeviceId(row.get(1)?)))).optional()
}

/// Whether a device still has a token.
pub(crate) fn is_let_in(
    connection: &Connection,
    account: AccountId,
    device: &DeviceId,
) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM tokens WHERE account_id = ?1 AND device_id = ?2";
    connection.prepare_cached(sql)?.exists((account, device.as_str()))
}

/// What a client is told about itself.
pub(crate) fn me(
    connection: &Connection,
    account: AccountId,
    device_id: DeviceId,
) -> Result<Me, Stop> {
    let account = Viewer::new(connection, None).account(account)?;
    let sql = "SELECT label FROM devices WHERE account_id = ?1 AND device_id = ?2";
    let values = (account.id, device_id.as_str());
    let label = connection.prepare_cached(sql)?.query_row(values, |row| row.get(0)).optional()?;
    Ok(Me {
        id: account.id,
        name: account.name,
        nick: account.nick,
        device_id,
        device_label: label.flatten(),
        created_at: account.created_at,
        updated_at: account.updated_at,
        deleted_at: None,
    })
}

/// The account of a name, in any case.
pub(crate) fn by_name(connection: &Connection, name: &str) -> Result<Account, Stop> {
    let id = id_of(connection, name)?.ok_or(Refusal::NotFound("account"))?;
    Viewer::new(connection, None).account(id)
}

fn id_of(connection: &Connection, name: &str) -> rusqlite::Result<Option<AccountId>> {
    let sql = "SELECT id FROM accounts WHERE name = ?1";
    connection.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()
}

/// Makes a device with a token for an account, and the account if it is not there.
pub(crate) fn add_device(
    connection: &mut Connection,
    name: &str,
    label: Option<&str>,
    hash: &[u8; 32],
) -> Result<(AccountId, DeviceId), Stop> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let now = Moment::now();
    let account = match id_of(&transaction, name)? {
        Some(account) => account,
        None => {
            let account = AccountId::new(now)?;
            let sql = "INSERT INTO accounts (id, name, nick, created_at, updated_at) \
                       VALUES (?1, ?2, ?2, ?3, ?3)";
            transaction.execute(sql, (account, name, now))?;
            account
        }
    };
    let device = DeviceId::new()?;
    let sql = "INSERT INTO devices (account_id, device_id, label, created_at) \
               VALUES (?1, ?2, ?3, ?4)";
    transaction.execute(sql, (account, device.as_str(), label, now))?;
    let sql = "INSERT INTO tokens (hash, account_id, device_id, created_at) \
               VALUES (?1, ?2, ?3, ?4)";
    transaction.execute(sql, (hash, account, device.as_str(), now))?;
    transaction.commit()?;
    Ok((account, device))
}

/// Takes its tokens from a device, and its keys out of use: nobody gets them any
/// more, and nobody encrypts for it.
pub(crate) fn revoke_device(
    connection: &mut Connection,
    name: &str,
    device: &str,
) -> Result<(), Stop> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let account = id_of(&transaction, name)?.ok_or(Refusal::NotFound("account"))?;
    let sql = "UPDATE devices SET revoked_at = coalesce(revoked_at, ?3) \
               WHERE account_id = ?1 AND device_id = ?2";
    if transaction.execute(sql, (account, device, Moment::now()))? == 0 {
        return Err(Refusal::NotFound("device").into());
    }
    let sql = "DELETE FROM tokens WHERE account_id = ?1 AND device_id = ?2";
    transaction.execute(sql, (account, device))?;
    let sql = "DELETE FROM one_time_keys WHERE claimed_at IS NULL AND bundle_id IN \
               (SELECT id FROM bundles WHERE account_id = ?1 AND device_id = ?2)";
    transaction.execute(sql, (account, device))?;
    transaction.commit()?;
    Ok(())
}

/// All accounts by name, each with its devices, the oldest first.
pub(crate) fn list(connection: &Connection) -> rusqlite::Result<Vec<KnownAccount>> {
    let sql = "SELECT id, name, created_at FROM accounts ORDER BY name";
    let mut statement = connection.prepare(sql)?;
    let accounts = statement.query_map([], |row| {
        let (account_id, name, created_at) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let devices = devices(connection, account_id)?;
        Ok(KnownAccount { account_id, name, created_at, devices })
    })?;
    accounts.collect()
}

fn devices(connection: &Connection, account: AccountId) -> rusqlite::Result<Vec<KnownDevice>> {
    let sql = "SELECT d.device_id, d.label, d.created_at, d.last_bundle_at, d.revoked_at, \
               EXISTS (SELECT 1 FROM tokens t WHERE t.account_id = d.account_id \
               AND t.device_id = d.device_id) FROM devices d \
               WHERE d.account_id = ?1 AND d.device_id <> ?2 ORDER BY d.created_at, d.device_id";
    let mut statement = connection.prepare_cached(sql)?;
    let devices = statement.query_map((account, DeviceId::LEGACY), |row| {
        Ok(KnownDevice {
            device_id: DeviceId(row.get(0)?),
            label: row.get(1)?,
            created_at: row.get(2)?,
            last_bundle_at: row.get(3)?,
            revoked_at: row.get(4)?,
            has_token: row.get(5)?,
        })
    })?;
    devices.collect()
}
