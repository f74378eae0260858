//! What is said besides plain text: Markdown, long answers, files, edits,
//! reactions, redactions.

use launcher_core::{
    conversation::{MediaKind, MessageKind},
    names::EventId,
    trust::Assurance,
};
use launcher_runtime::ports::{AnswerContent, FetchFault};
use launcher_testbed::{
    DEFAULT_TIMEOUT, JsUser, Message, MessageFilter, RoomOptions, SentFile,
    tap::{Action, Matcher},
};
use serde_json::{Value, json};

use crate::{
    Cases, Outcome,
    bed::Bed,
    by_hand::ByHand,
    launcher::Place,
    rooms::{ask, room_with},
    tapped::Tapped,
};

pub(crate) const CASES: Cases = &[
    ("messages::an_answer_in_markdown_is_html_and_a_long_one_arrives_in_parts", markdown),
    ("messages::files_come_back_as_they_were_sent", files),
    ("messages::a_file_that_is_changed_too_large_or_in_the_clear_is_refused", refused),
    ("messages::whatever_people_do_is_heard", heard),
    ("messages::an_agent_edits_reacts_takes_back_and_types", done),
    ("messages::a_reply_that_only_the_server_claims_is_none", claimed),
];

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What an echo of files is besides.
const FILES: &str = ", files: true";

/// A place with an echo that sends files back.
fn echo(bed: &Bed) -> Result<(Tapped, String)> {
    let stage = Tapped::new(bed)?;
    let agent = stage.agent(bed.homeserver(), "echo", &bed.name("echo"), FILES, "")?;
    Ok((stage, agent))
}

fn reply(user: &JsUser, room: &str, question: &str) -> Result<Message> {
    let replies = user.wait_for_replies(room, question, 1, DEFAULT_TIMEOUT)?;
    Ok(replies.into_iter().next().ok_or("no reply")?)
}

fn markdown(bed: &Bed) -> Outcome {
    let place = Place::new(bed)?;
    let agent = place.agent(bed, "echo")?;
    let _launcher = place.start_ready(&["echo"])?;
    let alice = bed.person("alice")?;
    let room = room_with(&alice, &agent)?;
    let text = "**now** [x](javascript:alert(1)) <b>\n- ![pic](https://a.test/?secret)";
    let answer = ask(&alice, &room, text, &agent)?;
    assert_eq!(answer.content["format"], "org.matrix.custom.html");
    let html = "<p>echo: <strong>now</strong> x &lt;b&gt;</p>\n\
                <ul>\n<li><a href=\"https://a.test/?secret\">pic</a></li>\n</ul>";
    assert_eq!(answer.content["formatted_body"], html);
    assert_eq!(ask(&alice, &room, "plain", &agent)?.content.get("formatted_body"), None);

    // The text alone would fit, but not with its HTML.
    let long = "*x*\n\n".repeat(4_500);
    let question = alice.send_text(&room, long.trim())?;
    let parts = alice.wait_for_replies(&room, &question, 3, DEFAULT_TIMEOUT)?;
    let bodies: Vec<&str> = parts.iter().filter_map(|part| part.body.as_deref()).collect();
    assert_eq!(bodies.join("\n\n"), format!("echo: {}", long.trim()));
    assert!(parts.iter().all(|part| part.encrypted && part.sender == agent));
    let last = parts.last().ok_or("no parts")?;
    assert!(last.content["formatted_body"].as_str().unwrap_or("").ends_with("<em>x</em></p>"));
    // Nothing comes after the last part.
    ask(&alice, &room, "and now?", &agent)?;
    assert_eq!(alice.wait_for_replies(&room, &question, 3, DEFAULT_TIMEOUT)?.len(), parts.len());
    Ok(())
}

fn files(bed: &Bed) -> Outcome {
    let (stage, agent) = echo(bed)?;
    let launcher = stage.start_ready("echo")?;
    let alice = bed.person("alice")?;
    let bytes: Vec<u8> = (0..=255).cycle().take(6_000_000).collect();
    let picture = SentFile {
        name: "a ä.png",
        content_type: "image/png",
        bytes: &bytes,
        ..Default::default()
    };
    let voice = SentFile {
        name: "voice.ogg",
        content_type: "audio/ogg",
        bytes: &bytes[..5_000],
        caption: Some("*listen*"),
        voice: Some(900),
        ..Default::default()
    };
    let empty = SentFile {
        name: "empty.txt",
        content_type: "text/plain",
        bytes: b"",
        ..Default::default()
    };
    for (options, encrypted) in [(RoomOptions::encrypted(), true), (RoomOptions::plain(), false)] {
        let room = alice.create_room(options.invite(&agent))?;
        alice.wait_for_member(&room, &agent, "join", DEFAULT_TIMEOUT)?;
        for (file, msgtype) in [(&picture, "m.image"), (&voice, "m.audio"), (&empty, "m.file")] {
            let answer = reply(&alice, &room, &alice.send_file(&room, file)?)?;
            assert_eq!((answer.msgtype.as_deref(), answer.encrypted), (Some(msgtype), encrypted));
            assert_eq!(answer.content["filename"], file.name);
            assert_eq!(answer.body.as_deref(), Some(file.caption.unwrap_or(file.name)));
            assert_eq!(answer.content["info"]["mimetype"], file.content_type);
            assert_eq!(answer.content["info"]["size"], file.bytes.len());
            assert_eq!(
                answer.content["org.matrix.msc3245.voice"].is_object(),
                file.voice.is_some()
            );
            assert_eq!(answer.content["file"].is_object(), encrypted);
            let back = alice.download(&answer)?;
            assert!(back.bytes == file.bytes, "{} is another file", file.name);
            assert!(file.bytes.is_empty() || (back.stored != file.bytes) == encrypted);
        }
    }
    assert!(launcher.stop()?.0.success());
    stage.check()
}

fn refused(bed: &Bed) -> Outcome {
    let (stage, agent) = echo(bed)?;
    let launcher = stage.start_ready("echo")?;
    let alice = bed.person("alice")?;
    let room = room_with(&alice, &agent)?;
    let file = SentFile {
        name: "a.bin",
        content_type: "application/octet-stream",
        bytes: b"secret",
        ..Default::default()
    };
    let tampered = SentFile { tampered: true, ..file.clone() };
    let answer = reply(&alice, &room, &alice.send_file(&room, &tampered)?)?;
    assert!(answer.body.unwrap_or_default().contains("it is damaged"), "{:?}", answer.content);

    let downloads = || {
        let requests = stage.tap.requests();
        requests.iter().filter(|request| request.path.contains("/media/download/")).count()
    };
    let before = downloads();
    let large = SentFile { announced: Some(33 << 20), ..file.clone() };
    let answer = reply(&alice, &room, &alice.send_file(&room, &large)?)?;
    assert!(answer.body.unwrap_or_default().contains("larger than"), "{:?}", answer.content);

    // What is not encrypted in an encrypted room could be from anybody.
    let clear = json!({ "msgtype": "m.file", "body": "a.bin", "url": "mxc://localhost/clear" });
    let answer = reply(&alice, &room, &alice.send(&room, &clear)?)?;
    assert!(answer.body.unwrap_or_default().contains("it is damaged"), "{:?}", answer.content);
    assert_eq!((before, downloads()), (1, 1), "it was downloaded");

    let gone = stage.tap.add_rule(
        Matcher::path_contains("/media/download/"),
        Action::Status(launcher_testbed::tap::Answer::refusal(404, "M_NOT_FOUND")),
    );
    let answer = reply(&alice, &room, &alice.send_file(&room, &file)?)?;
    assert!(answer.body.unwrap_or_default().contains("does not give it"), "{:?}", answer.content);
    gone.remove();
    ask(&alice, &room, "still there?", &agent)?;
    assert!(launcher.stop()?.0.success());
    stage.check()
}

fn heard(bed: &Bed) -> Outcome {
    let (stage, agent) = echo(bed)?;
    let by_hand = ByHand::start(&stage.place, "echo")?;
    let alice = bed.person("alice")?;
    let room = room_with(&alice, &agent)?;
    let first = alice.send_text(&room, "first")?;
    let message = by_hand.hear(|message| message.event.as_str() == first)?;
    assert_eq!((message.kind, message.body.as_str()), (MessageKind::Text, "first"));
    assert_eq!((message.direct, message.assurance), (true, Assurance::Signed));

    let edit = alice.edit(&room, &first, "second")?;
    let message = by_hand.hear(|message| message.event.as_str() == edit)?;
    assert_eq!((message.kind, message.body.as_str()), (MessageKind::Edit, "second"));
    assert_eq!(message.target, Some(EventId::new(&*first)));

    let reaction = alice.react(&room, &first, "👍")?;
    let message = by_hand.hear(|message| message.event.as_str() == reaction)?;
    assert_eq!((message.kind, message.body.as_str()), (MessageKind::Reaction, "👍"));
    assert_eq!(message.target, Some(EventId::new(&*first)));
    // Nobody can prove who reacted.
    assert_eq!(message.assurance, Assurance::InTheClear);

    let redaction = alice.redact(&room, &first)?;
    let message = by_hand.hear(|message| message.event.as_str() == redaction)?;
    assert_eq!(
        (message.kind, message.target),
        (MessageKind::Redaction, Some(EventId::new(&*first)))
    );

    let voice = SentFile {
        name: "voice.ogg",
        content_type: "audio/ogg",
        bytes: &[7; 100],
        voice: Some(900),
        ..Default::default()
    };
    let sent = alice.send_file(&room, &voice)?;
    let media = by_hand.hear(|message| message.event.as_str() == sent)?.media.ok_or("no file")?;
    assert_eq!((media.kind, media.name.as_str()), (MediaKind::Voice, "voice.ogg"));
    assert_eq!(by_hand.fetch(&media, 100)??, [7; 100]);
    assert!(matches!(by_hand.fetch(&media, 99)?, Err(FetchFault::TooLarge { limit: 99 })));

    let bob = bed.person("bob")?;
    alice.invite(&room, bob.user_id())?;
    bob.join(&room)?;
    alice.wait_for_member(&room, bob.user_id(), "join", DEFAULT_TIMEOUT)?;
    let mention = json!({
        "msgtype": "m.text", "body": "you there", "m.mentions": { "user_ids": [agent] },
    });
    let sent = alice.send(&room, &mention)?;
    let message = by_hand.hear(|message| message.event.as_str() == sent)?;
    assert!(!message.direct && message.mentions.iter().any(|user| user.as_str() == agent));
    drop(by_hand);
    stage.check()
}

fn done(bed: &Bed) -> Outcome {
    let (stage, agent) = echo(bed)?;
    let by_hand = ByHand::start(&stage.place, "echo")?;
    let alice = bed.person("alice")?;
    let room = room_with(&alice, &agent)?;
    let question = alice.send_text(&room, "how far are you?")?;
    by_hand.hear(|message| message.event.as_str() == question)?;

    by_hand.typing(&room, true)?;
    alice.wait_for_typing(&room, &agent, true, DEFAULT_TIMEOUT)?;
    by_hand.typing(&room, false)?;
    alice.wait_for_typing(&room, &agent, false, DEFAULT_TIMEOUT)?;

    let to = Some((question.as_str(), alice.user_id()));
    let text = AnswerContent::Text("thinking …".into());
    let sent = by_hand.send(&room, text.clone(), to, "draft-0")?;
    assert_eq!(by_hand.send(&room, text, to, "draft-0")?, sent, "it was sent twice");
    for (number, text) in ["half of it", "all **of** it"].into_iter().enumerate() {
        let edit = AnswerContent::Edit { event: EventId::new(&*sent), text: text.into() };
        by_hand.send(&room, edit, to, &format!("draft-{number}-edit"))?;
    }
    let edited = alice.wait_for_edit(&room, &sent, "all", DEFAULT_TIMEOUT)?;
    assert_eq!(edited.bodies, ["half of it", "all **of** it"]);
    assert_eq!(edited.content["formatted_body"], "all <strong>of</strong> it");
    assert_eq!(edited.content["org.matrix.msc1767.automated"], true);
    assert!(edited.latest.encrypted && edited.latest.content["m.mentions"] == json!({}));
    let replies = alice.wait_for_replies(&room, &question, 1, DEFAULT_TIMEOUT)?;
    assert_eq!(replies.len(), 1);

    let react = || AnswerContent::Reaction { event: EventId::new(&*question), key: "✅".into() };
    let reaction = by_hand.send(&room, react(), to, "react-0")?;
    let wanted = MessageFilter::new().reaction_to(&question).sender(&agent);
    let seen = alice.wait_for_message(&room, wanted, DEFAULT_TIMEOUT)?;
    assert_eq!(seen.content["m.relates_to"]["key"], "✅");
    // A new device would do it again, under another transaction.
    assert_eq!(by_hand.send(&room, react(), to, "react-1")?, reaction);

    let redaction = AnswerContent::Redaction { event: EventId::new(&*sent) };
    by_hand.send(&room, redaction, to, "redact-0")?;
    alice.wait_for_redaction(&room, &sent, DEFAULT_TIMEOUT)?;

    let long = AnswerContent::Reaction { event: EventId::new(&*question), key: "x".repeat(65) };
    assert!(by_hand.send(&room, long, to, "react-2").is_err(), "it would be in the clear");
    let unasked = by_hand.send(&room, AnswerContent::Text("by myself".into()), None, "task-0")?;
    let wanted = MessageFilter::new().event_id(&unasked);
    let seen = alice.wait_for_message(&room, wanted, DEFAULT_TIMEOUT)?;
    assert_eq!((seen.reply_to(), seen.encrypted), (None, true));
    drop(by_hand);
    stage.check()
}

fn claimed(bed: &Bed) -> Outcome {
    let (stage, agent) = echo(bed)?;
    let by_hand = ByHand::start(&stage.place, "echo")?;
    let alice = bed.person("alice")?;
    let room = room_with(&alice, &agent)?;
    let question = alice.send_text(&room, "first")?;
    by_hand.hear(|message| message.event.as_str() == question)?;
    let about = question.clone();
    let _claims = stage.tap.add_rule(
        Matcher::when(|request| request.path.ends_with("/sync")),
        Action::rewrite(move |mut answer| {
            claim(&mut answer, &about);
            answer
        }),
    );
    let yes = alice.send_text(&room, "yes")?;
    let message = by_hand.hear(|message| message.event.as_str() == yes)?;
    assert_eq!((message.body.as_str(), message.in_reply_to), ("yes", None));
    // What was said by its sender is one.
    let replied = alice.send_reply(&room, &question, "yes")?;
    let message = by_hand.hear(|message| message.event.as_str() == replied)?;
    assert_eq!(message.in_reply_to, Some(EventId::new(&*question)));
    drop(by_hand);
    stage.check()
}

/// Makes every encrypted event without a relation a reply.
fn claim(value: &mut Value, about: &str) {
    if value["type"] == "m.room.encrypted" && value["content"]["m.relates_to"].is_null() {
        value["content"]["m.relates_to"] = json!({ "m.in_reply_to": { "event_id": about } });
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| claim(item, about)),
        Value::Object(map) => map.values_mut().for_each(|item| claim(item, about)),
        _ => {}
    }
}
