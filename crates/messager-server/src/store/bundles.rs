//! Keys of devices, and those of them that are used once.

use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::{Map, Value};

use super::{Stop, Work};
use crate::{
    refusal::Refusal,
    values::{AccountId, BundleId, DeviceId, Moment, Octets},
    wire::{BundleBody, DeviceBundle, OneTimePreKey, PublicBundle},
};

/// Stores the keys of a device, and takes back that it was revoked.
pub(crate) fn upload(
    work: &mut Work<'_>,
    account: AccountId,
    device: &DeviceId,
    body: &BundleBody,
) -> Result<DeviceBundle, Stop> {
    let connection = work.connection;
    let sql = "INSERT INTO devices (account_id, device_id, label, created_at, last_bundle_at) \
               VALUES (?1, ?2, ?3, ?4, ?4) ON CONFLICT (account_id, device_id) DO UPDATE SET \
               label = coalesce(excluded.label, label), \
               last_bundle_at = excluded.last_bundle_at, revoked_at = NULL";
    let values = (account, device.as_str(), &body.device_label, work.now);
    connection.prepare_cached(sql)?.execute(values)?;
    forget_stale_keys(connection, account, device, &body.identity_key)?;
    let sql = "INSERT INTO bundles (id, account_id, device_id, algorithm, identity_key, \
               signed_pre_key_id, signed_pre_key, signed_pre_key_signature, \
               signed_pre_key_expires_at, meta, created_at, updated_at) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11) \
               ON CONFLICT (account_id, device_id) DO UPDATE SET algorithm = excluded.algorithm, \
               identity_key = excluded.identity_key, \
               signed_pre_key_id = excluded.signed_pre_key_id, \
               signed_pre_key = excluded.signed_pre_key, \
               signed_pre_key_signature = excluded.signed_pre_key_signature, \
               signed_pre_key_expires_at = excluded.signed_pre_key_expires_at, \
               meta = excluded.meta, updated_at = excluded.updated_at";
    connection.prepare_cached(sql)?.execute(rusqlite::params![
        BundleId::new(work.now)?,
        account,
        device.as_str(),
        body.algorithm,
        body.identity_key,
        body.signed_pre_key_id,
        body.signed_pre_key,
        body.signed_pre_key_signature,
        body.signed_pre_key_expires_at,
        text(body.meta.as_ref())?,
        work.now,
    ])?;
    let bundle = stored(connection, account, device)?;
    // An id that was used before, claimed or not, is passed over.
    let sql = "INSERT INTO one_time_keys (bundle_id, key_id, public_key) SELECT ?1, ?2, ?3 \
               WHERE NOT EXISTS (SELECT 1 FROM used_key_ids WHERE bundle_id = ?1 \
               AND first <= ?2 AND last >= ?2) ON CONFLICT DO NOTHING";
    let mut insert = connection.prepare_cached(sql)?;
    for key in body.one_time_pre_keys.as_deref().unwrap_or_default() {
        insert.execute((bundle.id, key.key_id, &key.public_key))?;
    }
    Ok(bundle)
}

/// JSON for a column.
pub(super) fn text(meta: Option<&Map<String, Value>>) -> Result<Option<String>, Stop> {
    Ok(meta.map(serde_json::to_string).transpose()?)
}

/// JSON from a column.
pub(super) fn meta(text: Option<String>) -> Result<Option<Map<String, Value>>, Stop> {
    Ok(text.map(|text| serde_json::from_str(&text)).transpose()?)
}

/// One-time keys belong to an identity: with another, nobody gets those that are left.
fn forget_stale_keys(
    connection: &Connection,
    account: AccountId,
    device: &DeviceId,
    identity: &Octets,
) -> rusqlite::Result<()> {
    let sql = "DELETE FROM one_time_keys WHERE claimed_at IS NULL AND bundle_id = (SELECT id \
               FROM bundles WHERE account_id = ?1 AND device_id = ?2 AND identity_key <> ?3)";
    connection.prepare_cached(sql)?.execute((account, device.as_str(), identity)).map(drop)
}

const BUNDLE: &str = "b.id, b.account_id, b.device_id, b.algorithm, b.identity_key, \
     b.signed_pre_key_id, b.signed_pre_key, b.signed_pre_key_signature, \
     b.signed_pre_key_expires_at, b.meta, b.created_at, b.updated_at, d.label";

fn bundle(row: &Row<'_>) -> rusqlite::Result<Result<(DeviceBundle, Option<String>), Stop>> {
    let (text, label) = (row.get(9)?, row.get(12)?);
    let bundle = DeviceBundle {
        id: row.get(0)?,
        account_id: row.get(1)?,
        device_id: DeviceId(row.get(2)?),
        algorithm: row.get(3)?,
        identity_key: row.get(4)?,
        signed_pre_key_id: row.get(5)?,
        signed_pre_key: row.get(6)?,
        signed_pre_key_signature: row.get(7)?,
        signed_pre_key_expires_at: row.get(8)?,
        meta: None,
        created_at: row.get(10)?,
        updated_at: row.get(11)?,
        deleted_at: None,
    };
    Ok(meta(text).map(|meta| (DeviceBundle { meta, ..bundle }, label)))
}

/// The bundles of an account that are not of revoked devices, the latest first.
fn bundles(
    connection: &Connection,
    account: AccountId,
) -> Result<Vec<(DeviceBundle, Option<String>)>, Stop> {
    let sql = format!(
        "SELECT {BUNDLE} FROM bundles b JOIN devices d ON d.account_id = b.account_id \
         AND d.device_id = b.device_id WHERE b.account_id = ?1 AND d.revoked_at IS NULL \
         ORDER BY b.updated_at DESC, b.id DESC"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows: Vec<_> = statement.query_map([account], bundle)?.collect::<Result<_, _>>()?;
    rows.into_iter().collect()
}

fn stored(
    connection: &Connection,
    account: AccountId,
    device: &DeviceId,
) -> Result<DeviceBundle, Stop> {
    let all = bundles(connection, account)?.into_iter();
    let found = all.map(|(bundle, _)| bundle).find(|bundle| bundle.device_id == *device);
    Ok(found.ok_or(Refusal::NotFound("keys"))?)
}

/// Whether a one-time key is claimed with the keys.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Claim {
    /// For this account.
    For(AccountId),
    /// It is not.
    None,
}

/// The latest keys of an account.
pub(crate) fn latest(
    connection: &Connection,
    account: AccountId,
    (claim, now): (Claim, Moment),
) -> Result<PublicBundle, Stop> {
    let found = bundles(connection, account)?.into_iter().next();
    let (bundle, label) = found.ok_or(Refusal::NotFound("keys"))?;
    public(connection, (bundle, label), (claim, now))
}

/// The keys of each device of an account.
pub(crate) fn of_devices(
    connection: &Connection,
    account: AccountId,
    (claim, now): (Claim, Moment),
) -> Result<Vec<PublicBundle>, Stop> {
    let all = bundles(connection, account)?.into_iter();
    let mut devices: Vec<_> =
        all.filter(|(bundle, _)| bundle.device_id.as_str() != DeviceId::LEGACY).collect();
    devices.sort_by(|(one, _), (other, _)| one.device_id.cmp(&other.device_id));
    devices.into_iter().map(|bundle| public(connection, bundle, (claim, now))).collect()
}

fn public(
    connection: &Connection,
    (bundle, device_label): (DeviceBundle, Option<String>),
    (claim, now): (Claim, Moment),
) -> Result<PublicBundle, Stop> {
    let one_time_pre_key = match claim {
        Claim::None => None,
        Claim::For(account) => claimed(connection, bundle.id, account, now)?,
    };
    Ok(PublicBundle {
        account_id: bundle.account_id,
        device_id: bundle.device_id,
        device_label,
        algorithm: bundle.algorithm,
        identity_key: bundle.identity_key,
        signed_pre_key_id: bundle.signed_pre_key_id,
        signed_pre_key: bundle.signed_pre_key,
        signed_pre_key_signature: bundle.signed_pre_key_signature,
        signed_pre_key_expires_at: bundle.signed_pre_key_expires_at,
        one_time_pre_key,
        meta: bundle.meta,
    })
}

/// Takes the lowest key that is left.
fn claimed(
    connection: &Connection,
    bundle: BundleId,
    account: AccountId,
    now: Moment,
) -> rusqlite::Result<Option<OneTimePreKey>> {
    let sql = "UPDATE one_time_keys SET claimed_at = ?2, claimed_by = ?3 WHERE bundle_id = ?1 \
               AND key_id = (SELECT min(key_id) FROM one_time_keys WHERE bundle_id = ?1 \
               AND claimed_at IS NULL) RETURNING key_id, public_key";
    let mut statement = connection.prepare_cached(sql)?;
    let key = statement.query_row((bundle, now, account), |row| {
        Ok(OneTimePreKey { key_id: row.get(0)?, public_key: row.get(1)? })
    });
    key.optional()
}

/// Revokes a device: nobody encrypts for it any more. Its token stays good, and
/// what waits for it stays.
pub(crate) fn revoke(work: &mut Work<'_>, account: AccountId, device: &str) -> Result<(), Stop> {
    let sql = "UPDATE devices SET revoked_at = coalesce(revoked_at, ?3) \
               WHERE account_id = ?1 AND device_id = ?2";
    match work.connection.prepare_cached(sql)?.execute((account, device, work.now))? {
        0 => Err(Refusal::NotFound("device").into()),
        _ => Ok(()),
    }
}

/// The devices that a fan-out has to reach.
pub(super) fn active(
    connection: &Connection,
    account: AccountId,
) -> rusqlite::Result<Vec<DeviceId>> {
    let sql = "SELECT device_id FROM devices WHERE account_id = ?1 AND revoked_at IS NULL \
               AND last_bundle_at IS NOT NULL AND device_id <> ?2 ORDER BY device_id";
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map((account, DeviceId::LEGACY), |row| row.get(0).map(DeviceId))?.collect()
}
