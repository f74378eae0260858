//! Voice clips.

use std::sync::Arc;

use axum::{
    extract::{
        FromRequest, Multipart, Request, State,
        multipart::{Field, MultipartError},
    },
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{Login, at::At};
use crate::{
    app::App,
    refusal::Refusal,
    store::voices::{self, About, Clip},
    values::{MessageId, Moment, RoomId, VoiceId, length},
    wire::Message,
};

/// POST `/{room}/messages/voice`.
pub(super) async fn send(
    State(app): State<Arc<App>>,
    login: Login,
    At(room): At<RoomId>,
    request: Request,
) -> Result<axum::Json<Message>, Refusal> {
    app.may_send(login.account)?;
    let account = login.account;
    // Before any of the clip is read.
    let check = move |connection: &rusqlite::Connection| {
        voices::check(connection, room, account, Moment::now())
    };
    app.store.read(check).await?;
    let form = Multipart::from_request(request, &()).await;
    let form = form.map_err(|_| Refusal::field("File", "has to be part of a multipart form"))?;
    let read = read(form).await?;
    let sent = app.store.write(move |work| voices::send(work, room, account, read)).await?;
    Ok(axum::Json(sent))
}

fn broken(error: &MultipartError) -> Refusal {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::TooLarge,
        _ => Refusal::field("$", "is no multipart form"),
    }
}

async fn read(mut form: Multipart) -> Result<(Clip, About), Refusal> {
    let (mut clip, mut about) = (None, About::default());
    while let Some(part) = form.next_field().await.map_err(|error| broken(&error))? {
        let name = part.name().unwrap_or_default().to_lowercase();
        match name.as_str() {
            "file" => {
                let media_type = audio(part.content_type());
                let bytes = part.bytes().await.map_err(|error| broken(&error))?.to_vec();
                clip = Some(Clip { media_type, bytes });
            }
            "nonce" => about.nonce = Some(part.text().await.map_err(|error| broken(&error))?),
            "durationms" => {
                let text = part.text().await.map_err(|error| broken(&error))?;
                let number = text.parse().ok().filter(|number: &i64| *number >= 0);
                let problem = "has to be a number of milliseconds";
                about.duration_ms =
                    Some(number.ok_or_else(|| Refusal::field("DurationMs", problem))?);
            }
            "repliedmessageid" => {
                about.references.replied = reference("RepliedMessageId", part).await?;
            }
            "forwardedmessageid" => {
                about.references.forwarded = reference("ForwardedMessageId", part).await?;
            }
            _ => {}
        }
    }
    if about.nonce.as_deref().is_some_and(|nonce| length(nonce) > 36) {
        return Err(Refusal::field("Nonce", "has to be of 36 characters at most"));
    }
    let clip = clip.filter(|clip| !clip.bytes.is_empty());
    Ok((clip.ok_or_else(|| Refusal::field("File", "is required"))?, about))
}

/// The id of a message, if there is anything in a part.
async fn reference(name: &str, part: Field<'_>) -> Result<Option<MessageId>, Refusal> {
    let text = part.text().await.map_err(|error| broken(&error))?;
    let id = Some(text.trim()).filter(|text| !text.is_empty()).map(str::parse).transpose();
    id.map_err(|_| Refusal::field(name, "has to be the id of a message"))
}

/// Anything else would be shown by browsers as what it says that it is.
fn audio(media_type: Option<&str>) -> String {
    let is_audio = |text: &&str| {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"/.+-".contains(&byte);
        text.starts_with("audio/") && text.len() <= 64 && text.bytes().all(is_good)
    };
    media_type.filter(is_audio).unwrap_or("application/octet-stream").to_owned()
}

/// GET `/{room}/voice/{voice}`.
pub(super) async fn hear(
    State(app): State<Arc<App>>,
    login: Option<Login>,
    At(place): At<(RoomId, VoiceId)>,
) -> Result<Response, Refusal> {
    let reader = login.map(|login| login.account);
    let clip = app.store.read(move |connection| voices::hear(connection, place, reader)).await?;
    let mut response = clip.bytes.into_response();
    let media_type = HeaderValue::from_str(&clip.media_type).map_err(|_| Refusal::Broken)?;
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    let nosniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    Ok(response)
}
