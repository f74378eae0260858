//! Our words into those of `rig-core`, and back.

use base64::{Engine, engine::general_purpose::STANDARD};
use rig_core::{
    completion::{CompletionRequest, CompletionResponse, ToolDefinition},
    message::{
        AssistantContent, AssistantMessage, CallId, ImageMediaType, Message, ToolCall,
        ToolFunction, ToolName, ToolResult, ToolResultContent, UserContent,
    },
};
use serde_json::Value;

use super::{Call, CallResult, Detail, ModelFault, ModelRequest, Picture, Said, Tool, Turn};

/// Stands where a provider wants to have some text and there is none.
const NOTHING: &str = "(nothing)";

/// The request, without the model's own settings.
pub(super) fn request(request: &ModelRequest<'_>) -> Result<CompletionRequest, ModelFault> {
    let mut history = Vec::with_capacity(request.turns.len() + 1);
    if !request.system.trim().is_empty() {
        history.push(Message::system(request.system));
    }
    let mut calls: Vec<ToolCall> = Vec::new();
    for turn in request.turns {
        history.push(match turn {
            Turn::User { text, images } => Message::User { content: user(text, images) },
            Turn::Assistant(said) => {
                let message = assistant(said)?;
                calls = message.tool_calls().cloned().collect();
                Message::Assistant(message)
            }
            Turn::Results(results) => {
                let results = results.iter().map(|result| answer(result, &calls));
                Message::tool_results(results.collect::<Result<_, _>>()?)
            }
        });
    }
    let mut prepared = CompletionRequest::new("");
    prepared.chat_history = history;
    prepared.tools = request.tools.iter().map(tool).collect::<Result<_, _>>()?;
    Ok(prepared)
}

fn tool(tool: &Tool) -> Result<ToolDefinition, ModelFault> {
    Ok(ToolDefinition::new(name(&tool.name)?, &tool.description, tool.schema.clone()))
}

fn name(name: &str) -> Result<ToolName, ModelFault> {
    ToolName::new(name).map_err(|_| ModelFault::bad_request(Detail::Unspeakable))
}

fn user(text: &str, images: &[Picture]) -> Vec<UserContent> {
    let mut content = Vec::with_capacity(images.len() + 1);
    for image in images {
        let data = STANDARD.encode(&image.bytes);
        content.push(UserContent::image_base64(data, media_type(&image.media_type), None));
    }
    if !text.trim().is_empty() || content.is_empty() {
        content.push(UserContent::text(if text.trim().is_empty() { NOTHING } else { text }));
    }
    content
}

fn media_type(name: &str) -> Option<ImageMediaType> {
    match name {
        "image/png" => Some(ImageMediaType::PNG),
        "image/jpeg" => Some(ImageMediaType::JPEG),
        "image/gif" => Some(ImageMediaType::GIF),
        "image/webp" => Some(ImageMediaType::WEBP),
        _ => None,
    }
}

fn assistant(said: &Said) -> Result<AssistantMessage, ModelFault> {
    if let Some(native) = &said.native
        && let Ok(message) = serde_json::from_str::<AssistantMessage>(native)
    {
        return Ok(message);
    }
    let mut content = Vec::with_capacity(said.calls.len() + 1);
    if !said.text.trim().is_empty() {
        content.push(AssistantContent::text(&said.text));
    }
    for call in &said.calls {
        let function = ToolFunction::new(name(&call.name)?, Value::Object(call.arguments.clone()));
        content.push(AssistantContent::ToolCall(ToolCall::from_wire(&call.id, function)));
    }
    if content.is_empty() {
        content.push(AssistantContent::text(NOTHING));
    }
    Ok(AssistantMessage::new(content))
}

fn answer(result: &CallResult, calls: &[ToolCall]) -> Result<ToolResult, ModelFault> {
    let text = if result.text.trim().is_empty() { NOTHING } else { &result.text };
    let content = vec![ToolResultContent::text(text)];
    match calls.iter().find(|call| call.id.to_string() == result.id) {
        Some(call) if result.failed => Ok(call.error_result(content)),
        Some(call) => Ok(call.result(content)),
        None => Ok(ToolResult {
            call: CallId::from_wire(&result.id),
            name: name(&result.name)?,
            content,
            is_error: result.failed,
        }),
    }
}

/// What the model said, with the provider's own form of it.
pub(super) fn said(response: &CompletionResponse) -> Said {
    let calls = response
        .tool_calls()
        .map(|call| Call {
            id: call.id.to_string(),
            name: call.function.name.as_str().to_owned(),
            arguments: call.function.arguments.clone(),
            garbled: call.function.invalid_arguments.is_some(),
        })
        .collect::<Vec<_>>();
    let native = match response.message() {
        // Only what calls something is given back within the same answer.
        Some(Message::Assistant(message)) if !calls.is_empty() => {
            serde_json::to_string(&message).ok()
        }
        _ => None,
    };
    Said { text: response.text(), calls, native }
}
