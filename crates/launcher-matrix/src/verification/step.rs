//! One step of one verification.

use launcher_core::{names::DeviceId, trust::Method};
use launcher_runtime::ports::trust::{Emoji, Stage, TrustError, VerificationAnswer};
use matrix_sdk::{
    encryption::verification::{
        CancelInfo, QrVerification, QrVerificationState, SasState, SasVerification, Verification,
        VerificationRequest, VerificationRequestState,
    },
    ruma::events::key::verification::VerificationMethod,
};
use tracing::warn;

use super::refused;

/// Goes on with a flow as far as that is possible without an operator.
///
/// A request that cannot be sent leaves the flow where it is: the next step
/// tries again, or the time-out ends it.
pub(super) async fn next(
    request: &VerificationRequest,
    method: Option<Method>,
    before: &Stage,
) -> Stage {
    match try_next(request, method, before).await {
        Ok(stage) => stage,
        Err(error) => {
            warn!(user = %request.other_user_id(), %error, "a step of a verification failed");
            before.clone()
        }
    }
}

async fn try_next(
    request: &VerificationRequest,
    method: Option<Method>,
    before: &Stage,
) -> matrix_sdk::Result<Stage> {
    Ok(match (request.state(), method) {
        (VerificationRequestState::Created { .. }, _) => Stage::Waiting,
        (VerificationRequestState::Requested { .. }, None) => Stage::Requested,
        (VerificationRequestState::Requested { .. }, Some(method)) => {
            request.accept_with_methods(offered(method)).await?;
            Stage::Waiting
        }
        (VerificationRequestState::Ready { their_methods, .. }, Some(Method::Qr)) => {
            if !their_methods.contains(&VerificationMethod::QrCodeScanV1) {
                let reason = "their client cannot scan codes: verify by emojis instead";
                return Ok(call_off(request, "m.unknown_method", reason).await);
            }
            match request.generate_qr_code().await? {
                Some(qr) => code(&qr, before),
                None => call_off(request, "m.unknown_method", "no code could be made").await,
            }
        }
        (VerificationRequestState::Ready { .. }, _) => {
            request.start_sas().await?;
            Stage::Waiting
        }
        (VerificationRequestState::Transitioned { verification }, _) => match verification {
            Verification::SasV1(sas) => by_emojis(request, &sas).await?,
            Verification::QrV1(qr) => by_code(&qr, before),
            _ => call_off(request, "m.unknown_method", "an unknown way of verifying").await,
        },
        (VerificationRequestState::Done, _) => Stage::Done,
        (VerificationRequestState::Cancelled(info), _) => cancelled(&info),
    })
}

/// What this side can do: nothing is offered that it could not keep.
pub(super) fn offered(method: Method) -> Vec<VerificationMethod> {
    match method {
        Method::Emoji => vec![VerificationMethod::SasV1],
        Method::Qr => vec![
            VerificationMethod::SasV1,
            VerificationMethod::QrCodeShowV1,
            VerificationMethod::ReciprocateV1,
        ],
    }
}

async fn by_emojis(
    request: &VerificationRequest,
    sas: &SasVerification,
) -> matrix_sdk::Result<Stage> {
    Ok(match sas.state() {
        SasState::Created { .. } | SasState::Accepted { .. } => Stage::Waiting,
        SasState::Started { .. } => {
            if !sas.we_started() {
                sas.accept().await?;
            }
            Stage::Waiting
        }
        SasState::KeysExchanged { emojis: Some(emojis), .. } => Stage::Emojis(
            emojis
                .emojis
                .iter()
                .map(|emoji| Emoji {
                    symbol: emoji.symbol.to_owned(),
                    description: emoji.description.to_owned(),
                })
                .collect(),
        ),
        SasState::KeysExchanged { emojis: None, .. } => {
            call_off(request, "m.unknown_method", "their client does not show emojis").await
        }
        SasState::Confirmed => Stage::Confirmed,
        SasState::Done { .. } => Stage::Done,
        SasState::Cancelled(info) => cancelled(&info),
    })
}

fn by_code(qr: &QrVerification, before: &Stage) -> Stage {
    match qr.state() {
        QrVerificationState::Started => code(qr, before),
        QrVerificationState::Scanned => Stage::Scanned,
        QrVerificationState::Confirmed | QrVerificationState::Reciprocated => Stage::Confirmed,
        QrVerificationState::Done { .. } => Stage::Done,
        QrVerificationState::Cancelled(info) => cancelled(&info),
    }
}

fn code(qr: &QrVerification, before: &Stage) -> Stage {
    match qr.to_bytes() {
        Ok(bytes) => Stage::Code(bytes),
        Err(_) => before.clone(),
    }
}

fn cancelled(info: &CancelInfo) -> Stage {
    Stage::Cancelled {
        by_us: info.cancelled_by_us(),
        code: info.cancel_code().to_string(),
        reason: info.reason().to_owned(),
    }
}

/// Ends a flow. If the other side cannot be told, it finds out by its own time-out.
pub(super) async fn call_off(request: &VerificationRequest, code: &str, reason: &str) -> Stage {
    if let Err(error) = request.cancel().await {
        warn!(user = %request.other_user_id(), %error, "the other side was not told that a verification is over");
    }
    Stage::Cancelled { by_us: true, code: code.to_owned(), reason: reason.to_owned() }
}

/// Does what an operator says.
pub(super) async fn answer(
    request: &VerificationRequest,
    stage: &Stage,
    answer: VerificationAnswer,
) -> Result<(), TrustError> {
    let verification = match request.state() {
        VerificationRequestState::Transitioned { verification } => Some(verification),
        _ => None,
    };
    let done = match (answer, stage, verification) {
        (VerificationAnswer::Cancel, _, _) => request.cancel().await,
        (VerificationAnswer::Match, Stage::Emojis(_), Some(Verification::SasV1(sas))) => {
            sas.confirm().await
        }
        (VerificationAnswer::Match, Stage::Scanned, Some(Verification::QrV1(qr))) => {
            qr.confirm().await
        }
        (VerificationAnswer::Mismatch, Stage::Emojis(_), Some(Verification::SasV1(sas))) => {
            sas.mismatch().await
        }
        (VerificationAnswer::Mismatch, Stage::Scanned, Some(Verification::QrV1(qr))) => {
            qr.cancel().await
        }
        (VerificationAnswer::Match | VerificationAnswer::Mismatch, _, _) => {
            return Err(refused(
                "there is nothing to compare at this moment",
                "wait until the emojis are shown",
            ));
        }
    };
    done.map_err(|error| {
        refused(
            format!("the answer could not be sent: {error}"),
            "look whether the homeserver is up, and try again",
        )
    })
}

/// The device at the other end, once it is known.
pub(super) fn other_device(request: &VerificationRequest) -> Option<DeviceId> {
    let device = match request.state() {
        VerificationRequestState::Requested { other_device_data, .. }
        | VerificationRequestState::Ready { other_device_data, .. } => {
            other_device_data.device_id().to_owned()
        }
        VerificationRequestState::Transitioned { verification: Verification::SasV1(sas) } => {
            sas.other_device().device_id().to_owned()
        }
        VerificationRequestState::Transitioned { verification: Verification::QrV1(qr) } => {
            qr.other_device().device_id().to_owned()
        }
        _ => return None,
    };
    Some(DeviceId::new(device.as_str()))
}
