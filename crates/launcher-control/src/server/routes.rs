//! What can be asked over the socket. `docs/reference/control-api.md` has the
//! same as a table.

mod messages;
mod rooms;
mod trust;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, State, rejection::JsonRejection},
    http::StatusCode,
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use launcher_core::{agent::AgentId, status::AgentState};
use launcher_runtime::{
    AgentStatus, HoldError,
    ports::{
        maintenance::MaintenanceError, outbox::OutboxError, rooms::RoomsError, trust::TrustError,
    },
};

use super::asker;
use crate::{
    audit::AuditLog,
    desk::{Denied, Desk},
    wire::{
        AgentReply, BackupReply, BackupRequest, ChecksReply, DevicesReply, RecoveryKey, Refusal,
        RekeyRequest, ResetRequest, SecretText, StatusReply, StoresReply,
    },
};

/// The largest body that is read, in bytes: a key or a password and its JSON.
const BODY_LIMIT: usize = 16 * 1024;

pub(super) fn api(desk: Desk, audit: AuditLog) -> Router {
    let agent = Router::new()
        .route("/stores", get(stores).delete(prune_stores))
        .route("/devices", get(devices))
        .route("/devices/stale", axum::routing::delete(prune_devices))
        .route("/doctor", get(doctor))
        .route("/reset", post(reset))
        .route("/recovery-key", post(set_recovery_key))
        .route("/recovery-key/show", post(show_recovery_key))
        .route("/restart", post(restart))
        .route("/rekey", post(rekey))
        .route("/backup", post(backup))
        .merge(messages::routes())
        .merge(rooms::routes())
        .merge(trust::routes());
    Router::new()
        .route("/v1/status", get(status))
        .nest("/v1/agents/{id}", agent)
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn_with_state(audit, asker::attend))
        .with_state(desk)
}

/// A refusal on its way out.
struct No(StatusCode, Refusal);

type Answer<T> = Result<Json<T>, No>;
type Done = Result<StatusCode, No>;
type Body<T> = Result<Json<T>, JsonRejection>;

impl IntoResponse for No {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

impl From<Denied> for No {
    fn from(denied: Denied) -> Self {
        let status = match &denied {
            Denied::Hold(HoldError::Unknown(_)) => StatusCode::NOT_FOUND,
            Denied::Hold(HoldError::Busy(_))
            | Denied::Work(MaintenanceError::Refused { .. })
            | Denied::Outbox(OutboxError::Refused { .. })
            | Denied::Refused { .. }
            | Denied::Rooms(RoomsError::Refused { .. })
            | Denied::Trust(TrustError::Refused { .. } | TrustError::Order(_)) => {
                StatusCode::CONFLICT
            }
            Denied::NotUp { standing, .. } if standing.state == AgentState::Parked => {
                StatusCode::CONFLICT
            }
            Denied::NotUp { .. }
            | Denied::LetGo { .. }
            | Denied::Outbox(OutboxError::Late { .. }) => StatusCode::SERVICE_UNAVAILABLE,
            Denied::Hold(HoldError::Stopping) => StatusCode::SERVICE_UNAVAILABLE,
            Denied::Hold(HoldError::Fault(fault))
            | Denied::Work(MaintenanceError::Fault(fault))
            | Denied::Outbox(OutboxError::Fault(fault))
            | Denied::Rooms(RoomsError::Fault(fault))
            | Denied::Trust(TrustError::Fault(fault)) => match fault.is_permanent() {
                true => StatusCode::CONFLICT,
                false => StatusCode::SERVICE_UNAVAILABLE,
            },
        };
        Self(status, denied.into())
    }
}

async fn status(State(desk): State<Desk>) -> Json<StatusReply> {
    let known = desk.acknowledged();
    let reply = |status: AgentStatus| {
        let known = known.get(&status.id).filter(|known| known.covers(&status.standing));
        AgentReply { acknowledged: known.cloned().map(Into::into), ..status.into() }
    };
    Json(StatusReply { agents: desk.statuses().into_iter().map(reply).collect() })
}

async fn stores(State(desk): State<Desk>, Path(id): Path<String>) -> Answer<StoresReply> {
    let stores = desk.stores(&agent(&id)?).await?;
    Ok(Json(StoresReply { stores: stores.into_iter().map(Into::into).collect() }))
}

async fn prune_stores(State(desk): State<Desk>, Path(id): Path<String>) -> Answer<StoresReply> {
    let stores = desk.prune_stores(&agent(&id)?).await?;
    Ok(Json(StoresReply { stores: stores.into_iter().map(Into::into).collect() }))
}

async fn devices(State(desk): State<Desk>, Path(id): Path<String>) -> Answer<DevicesReply> {
    let devices = desk.devices(&agent(&id)?).await?;
    Ok(Json(DevicesReply { devices: devices.into_iter().map(Into::into).collect() }))
}

async fn prune_devices(State(desk): State<Desk>, Path(id): Path<String>) -> Answer<DevicesReply> {
    let devices = desk.prune_devices(&agent(&id)?).await?;
    Ok(Json(DevicesReply { devices: devices.into_iter().map(Into::into).collect() }))
}

async fn doctor(State(desk): State<Desk>, Path(id): Path<String>) -> Answer<ChecksReply> {
    Ok(Json(ChecksReply { checks: desk.examine(&agent(&id)?).await? }))
}

async fn reset(State(desk): State<Desk>, Path(id): Path<String>, body: Body<ResetRequest>) -> Done {
    let request = read(body)?;
    desk.reset(&agent(&id)?, request.password.map(|password| password.0)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn show_recovery_key(
    State(desk): State<Desk>,
    Path(id): Path<String>,
) -> Answer<RecoveryKey> {
    let key = desk.show_recovery_key(&agent(&id)?).await?;
    Ok(Json(RecoveryKey { key: SecretText(key) }))
}

async fn set_recovery_key(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    body: Body<RecoveryKey>,
) -> Done {
    let request = read(body)?;
    desk.set_recovery_key(&agent(&id)?, request.key.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn restart(State(desk): State<Desk>, Path(id): Path<String>) -> Done {
    desk.restart(&agent(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn rekey(State(desk): State<Desk>, Path(id): Path<String>, body: Body<RekeyRequest>) -> Done {
    let request = read(body)?;
    desk.begin_rekey(&agent(&id)?, &request.new_key.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn backup(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    body: Body<BackupRequest>,
) -> Answer<BackupReply> {
    let request = read(body)?;
    if !request.path.is_absolute() {
        return Err(not_taken(StatusCode::UNPROCESSABLE_ENTITY));
    }
    Ok(Json(desk.backup(&agent(&id)?, &request.path).await?.into()))
}

async fn unknown() -> No {
    let action = "use the `launcher` command of the version that runs";
    No(StatusCode::NOT_FOUND, Refusal::new("this launcher has no such route", action))
}

fn agent(id: &str) -> Result<AgentId, No> {
    let refuse = |error: launcher_core::agent::InvalidAgentId| {
        No(StatusCode::NOT_FOUND, Refusal { reason: error.to_string(), action: None })
    };
    id.parse().map_err(refuse)
}

/// The body. What is wrong with one is not repeated: it may hold a secret.
fn read<T>(body: Body<T>) -> Result<T, No> {
    body.map(|Json(body)| body).map_err(|rejected| not_taken(rejected.status()))
}

fn not_taken(status: StatusCode) -> No {
    let reason = "the body of the request is not what this route takes";
    No(status, Refusal { reason: reason.to_owned(), action: None })
}
