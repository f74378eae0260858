//! Rooms, members, reactions and syncs, as clients ask for them.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::{Input, Limits};
use crate::values::{AccountId, Moment, is_blank, scrub};

/// A direct chat.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct DirectBody {
    pub related_user_id: AccountId,
    /// 0 or 1.
    pub encryption_mode: Option<i64>,
}

impl Input for DirectBody {
    fn check(&mut self, _: &mut Limits) {}
}

/// A group, or what is changed about one.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct RoomBody {
    /// 1,024 characters at most, and at least one.
    pub name: String,
    pub description: Option<String>,
    pub picture_id: Option<String>,
    pub background_id: Option<String>,
    /// There are no realms here.
    pub realm_id: Option<String>,
    pub is_community: Option<bool>,
    pub is_public: Option<bool>,
    /// 0 or 2; not in a change.
    pub encryption_mode: Option<i64>,
    pub e2ee_policy: Option<Map<String, Value>>,
}

impl Input for RoomBody {
    fn check(&mut self, limits: &mut Limits) {
        self.name = scrub(&self.name);
        self.description = self.description.take().map(|text| scrub(&text));
        if is_blank(Some(&self.name)) {
            limits.wrong("name", "is required");
        }
        if self.realm_id.is_some() {
            limits.wrong("realm_id", "is not for this server: it has no realms");
        }
        limits.free("e2ee_policy", self.e2ee_policy.as_ref());
        limits.text("name", Some(&self.name), 1024);
        limits.text("description", self.description.as_deref(), 4096);
        limits.text("picture_id", self.picture_id.as_deref(), 32);
        limits.text("background_id", self.background_id.as_deref(), 32);
    }
}

/// Which mode a room gets.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct EnableBody {
    /// Without it, that of the room's kind.
    pub encryption_mode: Option<i64>,
}

impl Input for EnableBody {
    fn check(&mut self, _: &mut Limits) {}
}

/// Whom to invite.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct InviteBody {
    pub related_user_id: AccountId,
}

impl Input for InviteBody {
    fn check(&mut self, _: &mut Limits) {}
}

/// What a member wants to be told.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct NotifyBody {
    /// 0 all messages, 1 those that mention them, 2 none.
    pub notify_level: Option<i64>,
    /// Nothing until then.
    pub break_until: Option<Moment>,
}

impl Input for NotifyBody {
    fn check(&mut self, limits: &mut Limits) {
        limits.number("notify_level", self.notify_level, 0, 2);
    }
}

/// How long somebody may not write.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct TimeoutBody {
    pub reason: Option<String>,
    pub timeout_until: Moment,
}

impl Input for TimeoutBody {
    fn check(&mut self, limits: &mut Limits) {
        limits.text("reason", self.reason.as_deref(), 4096);
    }
}

/// The symbols that people react with.
const SYMBOLS: [&str; 11] = [
    "thumb_up",
    "thumb_down",
    "just_okay",
    "cry",
    "confuse",
    "clap",
    "laugh",
    "angry",
    "party",
    "pray",
    "heart",
];

/// A reaction.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct ReactionBody {
    pub symbol: String,
    /// 0 positive, 1 neutral, 2 negative.
    pub attitude: i64,
}

impl Input for ReactionBody {
    fn check(&mut self, limits: &mut Limits) {
        if !SYMBOLS.contains(&self.symbol.as_str()) {
            limits.wrong("symbol", format!("has to be one of {}", SYMBOLS.join(", ")));
        }
        limits.number("attitude", Some(self.attitude), 0, 2);
    }
}

/// From when on rows are wanted.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
pub(crate) struct SyncBody {
    /// In milliseconds since 1970; rows of this very millisecond are not given again.
    pub last_sync_timestamp: i64,
}

impl Input for SyncBody {
    fn check(&mut self, _: &mut Limits) {}
}
