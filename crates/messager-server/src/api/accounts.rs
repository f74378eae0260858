//! Accounts.

use std::sync::Arc;

use axum::{Json, extract::State};

use super::{Login, at::At};
use crate::{
    app::App,
    refusal::Refusal,
    store::accounts,
    wire::{Account, Me},
};

/// GET `/me`.
pub(super) async fn me(State(app): State<Arc<App>>, login: Login) -> Result<Json<Me>, Refusal> {
    let Login { account, device } = login;
    let read = move |connection: &rusqlite::Connection| accounts::me(connection, account, device);
    app.store.read(read).await.map(Json)
}

/// GET `/{name}`.
pub(super) async fn by_name(
    State(app): State<Arc<App>>,
    _login: Login,
    At(name): At<String>,
) -> Result<Json<Account>, Refusal> {
    app.store.read(move |connection| accounts::by_name(connection, &name)).await.map(Json)
}
