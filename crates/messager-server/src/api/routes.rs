//! Every route, with what is documented about it.

mod messages;
mod pass;
mod rooms;
mod service;

use std::sync::Arc;

use axum::{Router, middleware::from_fn_with_state};

use super::operations::Area;
use crate::{app::App, refusal::Refusal};

/// Everything that is served.
pub(crate) fn router(app: Arc<App>) -> Router {
    let areas = areas().into_iter().map(Area::into_router);
    areas
        .fold(Router::new(), Router::merge)
        .fallback(async || Refusal::NotFound("route"))
        .layer(from_fn_with_state(app.clone(), super::around::around))
        .with_state(app)
}

const CHAT: &[&str] = &["/api/chat", "/messager/chat"];
const PAGE: &[(&str, &str)] =
    &[("take", "How many, 20 unless told"), ("offset", "Behind how many")];

pub(super) fn areas() -> Vec<Area> {
    vec![
        rooms::account_area(),
        rooms::room_area(),
        rooms::member_area(),
        messages::message_area(),
        pass::pass_area(),
        service::service_area(),
    ]
}
