//! Shows that files, edits and redactions are what clients make of them.

use launcher_testbed::{DEFAULT_TIMEOUT, LoginOptions, MessageFilter, RoomOptions, SentFile};
use serde_json::json;

use super::{SHORT, Testbed, room_with};

pub(super) fn a_file_arrives_as_it_was_sent(testbed: &Testbed) {
    let [fay, gus] = testbed.users(["filo", "gesa"], LoginOptions::default);
    let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    let picture =
        SentFile { name: "a.png", content_type: "image/png", bytes: &bytes, ..Default::default() };
    for (options, encrypted) in [(RoomOptions::encrypted(), true), (RoomOptions::plain(), false)] {
        let room = room_with(&fay, &gus, options);
        let sent = fay.send_file(&room, &picture).unwrap();
        let wanted = MessageFilter::new().event_id(&sent);
        let seen = gus.wait_for_message(&room, wanted, DEFAULT_TIMEOUT).unwrap();
        assert_eq!((seen.msgtype.as_deref(), seen.encrypted), (Some("m.image"), encrypted));
        assert_eq!(seen.content["info"]["size"], 70_000);
        let file = gus.download(&seen).unwrap();
        assert!(file.bytes == bytes && (file.stored != bytes) == encrypted);
    }
    let room = room_with(&fay, &gus, RoomOptions::encrypted());
    let voice = SentFile {
        name: "voice.ogg",
        content_type: "audio/ogg",
        caption: Some("listen"),
        voice: Some(1_500),
        announced: Some(5),
        tampered: true,
        ..picture
    };
    let sent = fay.send_file(&room, &voice).unwrap();
    let wanted = MessageFilter::new().event_id(&sent);
    let seen = gus.wait_for_message(&room, wanted, DEFAULT_TIMEOUT).unwrap();
    assert_eq!((seen.msgtype.as_deref(), seen.body.as_deref()), (Some("m.audio"), Some("listen")));
    assert_eq!(seen.content["org.matrix.msc3245.voice"], json!({}));
    assert_eq!(seen.content["info"]["size"], 5);
    let error = gus.download(&seen).unwrap_err().to_string();
    assert!(error.contains("the file is not what was sent"), "{error}");
}

pub(super) fn a_message_changes_and_is_deleted(testbed: &Testbed) {
    let [ida, jon] = testbed.users(["ilka", "jorg"], LoginOptions::default);
    let room = room_with(&ida, &jon, RoomOptions::encrypted());
    let sent = ida.send_text(&room, "first").unwrap();
    ida.edit(&room, &sent, "second").unwrap();
    ida.edit(&room, &sent, "third").unwrap();
    let edited = jon.wait_for_edit(&room, &sent, "third", DEFAULT_TIMEOUT).unwrap();
    assert_eq!(
        (edited.bodies, edited.latest.encrypted),
        (vec!["second".into(), "third".into()], true)
    );
    // Nobody changes what somebody else said.
    jon.edit(&room, &sent, "by jon").unwrap();
    jon.wait_for_message(&room, MessageFilter::new().body("* by jon"), DEFAULT_TIMEOUT).unwrap();
    assert!(jon.wait_for_edit(&room, &sent, "by jon", SHORT).is_err());
    let reaction = ida.react(&room, &sent, "👀").unwrap();
    let wanted = MessageFilter::new().reaction_to(&sent);
    jon.wait_for_message(&room, wanted.clone(), DEFAULT_TIMEOUT).unwrap();
    for event in [&reaction, &sent] {
        ida.redact(&room, event).unwrap();
        jon.wait_for_redaction(&room, event, DEFAULT_TIMEOUT).unwrap();
    }
    assert!(jon.wait_for_message(&room, wanted, SHORT).is_err());
}
