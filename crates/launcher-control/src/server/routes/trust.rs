//! What can be asked about whom an agent trusts.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
    routing::{get, post},
};
use launcher_core::names::UserId;

use super::{Answer, Body, No, agent, not_taken, read};
use crate::{
    desk::Desk,
    wire::{
        AnswerRequest, Refusal, TrustReply, TrustRequest, UserReply, VerificationReply,
        VerificationRequest, VerificationsReply, verification::Patience,
    },
};

/// The longest that a request may wait for news.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Those below `/v1/agents/{id}`.
pub(super) fn routes() -> Router<Desk> {
    Router::new()
        .route("/trust", get(trust).post(decide))
        .route("/verifications", get(verifications).post(begin))
        .route("/verifications/{number}", get(verification))
        .route("/verifications/{number}/answer", post(answer))
}

async fn trust(State(desk): State<Desk>, Path(id): Path<String>) -> Answer<TrustReply> {
    Ok(Json(desk.trust(&agent(&id)?).await?))
}

async fn decide(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    body: Body<TrustRequest>,
) -> Answer<UserReply> {
    let request = read(body)?;
    let user = user(&request.user)?;
    let order = request.order().ok_or_else(|| not_taken(StatusCode::UNPROCESSABLE_ENTITY))?;
    Ok(Json(desk.decide(&agent(&id)?, &user, &order).await?))
}

async fn verifications(
    State(desk): State<Desk>,
    Path(id): Path<String>,
) -> Answer<VerificationsReply> {
    let verifications = desk.verifications(&agent(&id)?).await?;
    let verifications = verifications.into_iter().map(Into::into).collect();
    Ok(Json(VerificationsReply { verifications }))
}

async fn begin(
    State(desk): State<Desk>,
    Path(id): Path<String>,
    body: Body<VerificationRequest>,
) -> Answer<VerificationReply> {
    let request = read(body)?;
    user(&request.user)?;
    let begun = desk.begin_verification(&agent(&id)?, &request.partner(), request.method).await?;
    Ok(Json(begun.into()))
}

async fn verification(
    State(desk): State<Desk>,
    Path((id, number)): Path<(String, String)>,
    query: Result<Query<Patience>, QueryRejection>,
) -> Answer<VerificationReply> {
    let Query(patience) = query.map_err(|rejected| {
        let reason = "the address of the request is not what this route takes";
        No(rejected.status(), Refusal { reason: reason.to_owned(), action: None })
    })?;
    let wait = Duration::from_millis(patience.wait_ms).min(LONGEST_WAIT);
    let (agent, number) = (agent(&id)?, self::number(&number)?);
    Ok(Json(desk.verification(&agent, number, patience.after, wait).await?.into()))
}

async fn answer(
    State(desk): State<Desk>,
    Path((id, number)): Path<(String, String)>,
    body: Body<AnswerRequest>,
) -> Answer<VerificationReply> {
    let request = read(body)?;
    let (agent, number) = (agent(&id)?, self::number(&number)?);
    Ok(Json(desk.answer_verification(&agent, number, request.answer.into()).await?.into()))
}

fn user(user: &UserId) -> Result<UserId, No> {
    UserId::typed(user.as_str()).ok_or_else(|| not_taken(StatusCode::UNPROCESSABLE_ENTITY))
}

fn number(text: &str) -> Result<u64, No> {
    text.parse().map_err(|_| {
        let reason = "a verification has a number";
        No(StatusCode::NOT_FOUND, Refusal { reason: reason.to_owned(), action: None })
    })
}
