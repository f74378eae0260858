//! The websocket, and what the server says about itself.

use std::sync::{Arc, LazyLock};

use axum::{
    extract::State,
    http::header::{CONTENT_TYPE, HeaderName},
    response::{IntoResponse, Response},
};

use super::super::operations::{Access::Open, Area, Method::Get, op};
use crate::{app::App, live, refusal::Refusal};

const WATCH: &[(&str, &str)] = &[("deviceAlt", "`watch`: the device id with `+watch` behind it")];

pub(super) fn service_area() -> Area {
    Area::new("service", &[""])
        .on(
            Get,
            "/ws",
            live::connect,
            op("connect", "The websocket: see the guide for its packets").status(101).query(WATCH),
        )
        .on(Get, "/healthz", health, op("health", "Says that the server answers").access(Open))
        .on(
            Get,
            "/readyz",
            ready,
            op("ready", "Says whether the tables can be read and written").access(Open),
        )
        .on(
            Get,
            "/metrics",
            metrics,
            op("metrics", "Counters in the format of OpenMetrics").access(Open),
        )
        .on(Get, "/openapi.json", openapi, op("openapi", "This document").access(Open))
}

async fn health() -> &'static str {
    "ok\n"
}

async fn ready(State(app): State<Arc<App>>) -> Result<&'static str, Refusal> {
    app.store.write(|_| Ok(())).await?;
    app.store.read(|_| Ok(())).await?;
    Ok("ok\n")
}

/// The type of the text format (OpenMetrics 1.0).
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Refusal> {
    let text = app.hub.counts().text().map_err(|_| Refusal::Broken)?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

/// It is the same each time.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| super::super::document().to_string());

async fn openapi() -> ([(HeaderName, &'static str); 1], &'static str) {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.as_str())
}
