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
/// The SDK goes on whether or not what it has to say was sent, so a flow that
/// could not say it is over.
pub(super) async fn next(
    request: &VerificationRequest,
    known: Option<&Verification>,
    method: Option<Method>,
    before: &Stage,
) -> Stage {
    match try_next(request, known, method, before).await {
        Ok(stage) => stage,
        Err(error) => {
            warn!(user = %request.other_user_id(), %error, "a step of a verification failed");
            call_off(request, "m.user", "it could not be sent").await
        }
    }
}

async fn try_next(
    request: &VerificationRequest,
    known: Option<&Verification>,
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
        (VerificationRequestState::Ready { .. }, _) => match request.start_sas().await? {
            Some(_) => Stage::Waiting,
            None => call_off(request, "m.unknown_method", "their client compares no emojis").await,
        },
        (VerificationRequestState::Transitioned { verification }, _) => match verification {
            Verification::SasV1(sas) => by_emojis(request, &sas, before).await?,
            Verification::QrV1(qr) => by_code(request, &qr, before).await,
            _ => call_off(request, "m.unknown_method", "an unknown way of verifying").await,
        },
        // Somebody says so, which proves nothing: what both sides compared has to be done.
        (VerificationRequestState::Done, _) => match known.and_then(proven) {
            Some(_) => Stage::Done,
            None if known.is_some_and(is_own_device_done) => Stage::Done,
            None => {
                let reason = "the other side ended it before anything was proven";
                call_off(request, "m.unexpected_message", reason).await
            }
        },
        (VerificationRequestState::Cancelled(info), _) => cancelled(&info),
    })
}

/// What a request has turned into, if it has.
pub(super) fn verification(request: &VerificationRequest) -> Option<Verification> {
    match request.state() {
        VerificationRequestState::Transitioned { verification } => Some(verification),
        _ => None,
    }
}

/// The master key of the other user's identity that was verified, and how.
pub(super) fn proven(verification: &Verification) -> Option<(String, Method)> {
    let (user, identities, method) = match verification {
        Verification::SasV1(sas) => match sas.state() {
            SasState::Done { verified_identities, .. } => {
                (sas.other_user_id().to_owned(), verified_identities, Method::Emoji)
            }
            _ => return None,
        },
        Verification::QrV1(qr) => match qr.state() {
            QrVerificationState::Done { verified_identities, .. } => {
                (qr.other_user_id().to_owned(), verified_identities, Method::Qr)
            }
            _ => return None,
        },
        _ => return None,
    };
    let identity = identities.iter().find(|identity| identity.user_id() == user)?;
    let key = identity.master_key().get_first_key()?;
    Some((key.to_base64(), method))
}

/// Whether a verification between devices of the agent's own account is done.
fn is_own_device_done(verification: &Verification) -> bool {
    verification.is_self_verification() && verification.is_done()
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
    before: &Stage,
) -> matrix_sdk::Result<Stage> {
    let was_shown = matches!(before, Stage::Emojis(_) | Stage::Confirmed);
    Ok(match sas.state() {
        // The other side can begin anew at any time. What an operator has seen, or is looking at,
        // would be worth nothing then.
        SasState::Created { .. } | SasState::Started { .. } | SasState::Accepted { .. }
            if was_shown =>
        {
            restarted(request).await
        }
        SasState::Created { .. } | SasState::Accepted { .. } => Stage::Waiting,
        SasState::Started { .. } => {
            sas.accept().await?;
            Stage::Waiting
        }
        SasState::KeysExchanged { emojis: Some(emojis), .. } => {
            let emojis = emojis.emojis.iter().map(|emoji| Emoji {
                symbol: emoji.symbol.to_owned(),
                description: emoji.description.to_owned(),
            });
            let shown = Stage::Emojis(emojis.collect());
            if was_shown && *before != shown {
                return Ok(restarted(request).await);
            }
            shown
        }
        SasState::KeysExchanged { emojis: None, .. } => {
            call_off(request, "m.unknown_method", "their client does not show emojis").await
        }
        SasState::Confirmed => Stage::Confirmed,
        SasState::Done { .. } if proven(&Verification::SasV1(sas.clone())).is_some() => Stage::Done,
        SasState::Done { .. } if sas.is_self_verification() => Stage::Done,
        SasState::Done { .. } => {
            let reason = "their client has not verified their identity, only a device";
            call_off(request, "m.user", reason).await
        }
        SasState::Cancelled(info) => cancelled(&info),
    })
}

async fn restarted(request: &VerificationRequest) -> Stage {
    let reason = "the other side began anew while the emojis were compared";
    call_off(request, "m.unexpected_message", reason).await
}

async fn by_code(request: &VerificationRequest, qr: &QrVerification, before: &Stage) -> Stage {
    match qr.state() {
        QrVerificationState::Started => code(qr, before),
        QrVerificationState::Scanned => Stage::Scanned,
        QrVerificationState::Confirmed | QrVerificationState::Reciprocated => Stage::Confirmed,
        QrVerificationState::Done { .. }
            if proven(&Verification::QrV1(qr.clone())).is_some() || qr.is_self_verification() =>
        {
            Stage::Done
        }
        QrVerificationState::Done { .. } => {
            call_off(request, "m.user", "their identity was not verified").await
        }
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

/// Does what an operator says. The inner error: it could not be sent.
pub(super) async fn answer(
    request: &VerificationRequest,
    stage: &Stage,
    answer: VerificationAnswer,
) -> Result<matrix_sdk::Result<()>, TrustError> {
    Ok(match (answer, stage, verification(request)) {
        (VerificationAnswer::Cancel, _, _) => request.cancel().await,
        (VerificationAnswer::Match, Stage::Emojis(shown), Some(Verification::SasV1(sas)))
            if are_shown(&sas, shown) =>
        {
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
    })
}

/// Whether these are the emojis that an operator has seen.
fn are_shown(sas: &SasVerification, shown: &[Emoji]) -> bool {
    let now = sas.emoji();
    let symbols = now.iter().flatten().map(|emoji| emoji.symbol);
    now.is_some() && symbols.eq(shown.iter().map(|emoji| emoji.symbol.as_str()))
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
