use launcher_core::names::{RoomId, UserId};
use launcher_runtime::ports::Reply;

use super::*;

fn message(content: OutgoingContent) -> Outgoing {
    Outgoing {
        target: "!r:hs".parse().unwrap(),
        key: "k".into(),
        thread: None,
        notice: false,
        content,
    }
}

#[test]
fn a_text_has_its_markdown_and_its_html() {
    let text = message(OutgoingContent::Text("**now**".into()));
    let content = outgoing(&text, "t", None);
    assert_eq!((&content["msgtype"], &content["body"]), (&"m.text".into(), &"**now**".into()));
    assert_eq!(content["format"], "org.matrix.custom.html");
    assert_eq!(content["formatted_body"], "<strong>now</strong>");
    assert_eq!(content["m.mentions"], json!({}));
    assert_eq!(content["org.matrix.msc1767.automated"], true);
    assert_eq!(content["launcher.transaction"], "t");
    assert_eq!(content.get("m.relates_to"), None);
    let plain = outgoing(&message(OutgoingContent::Text("now".into())), "t", None);
    assert_eq!((plain.get("format"), plain.get("formatted_body")), (None, None));
}

#[test]
fn a_notice_in_a_thread_says_so() {
    let text = OutgoingContent::Text("x".into());
    let thread = Some(EventId::new("$root"));
    let notice = Outgoing { notice: true, thread, ..message(text) };
    let content = outgoing(&notice, "t", None);
    assert_eq!(content["msgtype"], "m.notice");
    let relation = &content["m.relates_to"];
    assert_eq!(
        (&relation["rel_type"], &relation["event_id"]),
        (&"m.thread".into(), &"$root".into())
    );
    assert_eq!(relation["is_falling_back"], true);
}

#[test]
fn a_file_is_shown_by_its_kind_and_its_caption_is_no_name() {
    let file = |content_type: &str, caption: Option<&str>| {
        message(OutgoingContent::File(Attachment {
            name: "a.x".into(),
            content_type: content_type.into(),
            bytes: vec![1, 2, 3],
            caption: caption.map(Into::into),
            voice: false,
        }))
    };
    for (content_type, msgtype) in [
        ("image/png", "m.image"),
        ("video/mp4", "m.video"),
        ("audio/ogg", "m.audio"),
        ("application/pdf", "m.file"),
        ("image", "m.image"),
        ("", "m.file"),
    ] {
        let at = FileAt::Plain("mxc://hs/1".into());
        let content = outgoing(&file(content_type, None), "t", Some(&at));
        assert_eq!((&content["msgtype"], &content["body"]), (&msgtype.into(), &"a.x".into()));
        assert_eq!(content["url"], "mxc://hs/1");
        assert_eq!(content["info"]["size"], 3);
    }
    let at = FileAt::Encrypted(json!({ "url": "mxc://hs/2" }));
    let content = outgoing(&file("text/plain", Some("*see*")), "t", Some(&at));
    assert_eq!((&content["body"], &content["filename"]), (&"*see*".into(), &"a.x".into()));
    assert_eq!(content["formatted_body"], "<em>see</em>");
    assert_eq!((content.get("url"), &content["file"]["url"]), (None, &"mxc://hs/2".into()));
}

fn example(content: AnswerContent, thread: Option<&str>) -> Answer {
    Answer {
        room: RoomId::new("!r:hs"),
        content,
        reply: Some(Reply { event: EventId::new("$question"), asker: UserId::new("@alice:hs") }),
        thread: thread.map(EventId::new),
        transaction: "t".into(),
    }
}

fn said(markdown: &str) -> AnswerContent {
    AnswerContent::Text(markdown.into())
}

#[test]
fn an_answer_is_a_reply_that_mentions_the_asker_and_is_marked() {
    let content = answer(&example(said("echo: *hi*"), None), None);
    assert_eq!(content["m.relates_to"], json!({ "m.in_reply_to": { "event_id": "$question" } }));
    assert_eq!(content["m.mentions"]["user_ids"], json!(["@alice:hs"]));
    assert_eq!(content["org.matrix.msc1767.automated"], true);
    assert_eq!((&content["msgtype"], &content["body"]), (&"m.text".into(), &"echo: *hi*".into()));
    assert_eq!(content["formatted_body"], "echo: <em>hi</em>");
    assert_eq!(content["launcher.transaction"], "t");
}

#[test]
fn an_answer_stays_in_its_thread() {
    let relation = &answer(&example(said("hi"), Some("$root")), None)["m.relates_to"];
    assert_eq!(relation["rel_type"], "m.thread");
    assert_eq!(relation["event_id"], "$root");
    assert_eq!(relation["m.in_reply_to"]["event_id"], "$question");
}

#[test]
fn what_nobody_asked_for_answers_and_mentions_nobody() {
    let unasked = |thread| Answer { reply: None, ..example(said("hi"), thread) };
    let content = answer(&unasked(None), None);
    assert_eq!((&content["m.mentions"], content.get("m.relates_to")), (&json!({}), None));
    let relation = &answer(&unasked(Some("$root")), None)["m.relates_to"];
    assert_eq!(
        (&relation["event_id"], &relation["is_falling_back"]),
        (&"$root".into(), &true.into())
    );
}

#[test]
fn an_edit_says_everything_in_its_new_content_and_rings_nobody() {
    let long = format!("**now** {}", "ä".repeat(500));
    let text = AnswerContent::Edit { event: EventId::new("$first"), text: long.clone() };
    let content = edit(&example(text, Some("$root")), &EventId::new("$first"));
    let relation = json!({ "rel_type": "m.replace", "event_id": "$first" });
    assert_eq!((&content["m.relates_to"], &content["m.mentions"]), (&relation, &json!({})));
    let new = &content["m.new_content"];
    assert_eq!((new.get("m.relates_to"), &new["body"]), (None, &json!(long)));
    assert_eq!(new["m.mentions"]["user_ids"], json!(["@alice:hs"]));
    for part in [&content, new] {
        assert_eq!(part["org.matrix.msc1767.automated"], true);
    }
    assert!(new["formatted_body"].as_str().unwrap().starts_with("<strong>now</strong>"));
    assert!(content["body"].as_str().unwrap().len() < 250);
}

#[test]
fn a_file_answers_and_is_what_it_is() {
    let file = |voice: bool, content_type: &str| {
        AnswerContent::File(Attachment {
            name: "a.ogg".into(),
            content_type: content_type.into(),
            bytes: vec![1],
            caption: None,
            voice,
        })
    };
    let at = FileAt::Encrypted(json!({ "url": "mxc://hs/2" }));
    let content = answer(&example(file(true, "audio/ogg"), None), Some(&at));
    assert_eq!(
        (&content["msgtype"], &content["file"]["url"]),
        (&"m.audio".into(), &"mxc://hs/2".into())
    );
    assert_eq!(content["org.matrix.msc3245.voice"], json!({}));
    assert_eq!(content["m.relates_to"]["m.in_reply_to"]["event_id"], "$question");
    assert_eq!(content["org.matrix.msc1767.automated"], true);
    for other in [file(false, "audio/ogg"), file(true, "image/png")] {
        assert_eq!(answer(&example(other, None), Some(&at)).get(VOICE[0]), None);
    }
}

#[test]
fn every_part_of_a_long_text_fits_into_an_event_even_as_an_edit() {
    for long in ["*x* ".repeat(50_000), "\"&<".repeat(30_000), "\u{1}".repeat(60_000)] {
        let cut = parts(&long);
        assert!(cut.len() > 1);
        for part in cut {
            let text = AnswerContent::Edit { event: EventId::new("$first"), text: part };
            let content = edit(&example(text, None), &EventId::new("$first"));
            // Encrypted, in base 64, with some thousand bytes around it.
            assert!(content.to_string().len() * 4 / 3 < 65_536 - 5_000);
        }
    }
    assert_eq!(parts("short *text*"), ["short *text*"]);
}
