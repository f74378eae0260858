// Keeps every message a user has seen, and describes it for the test.
//
// The SDK's own timelines forget: a sync with a gap starts a new one. The
// events themselves stay what they are and decrypt themselves later, so
// holding on to them is enough for a late key to count.

import { cryptoApi } from "./sdk.mjs";

export class Messages {
    #client;
    // Room id to event id to event, both in the order of arrival.
    #rooms = new Map();
    // The ids of those that once could not be decrypted.
    #failed = new Set();

    constructor(client) {
        this.#client = client;
    }

    // Called for every event of a timeline; echoes of unsent ones do not count.
    add(event, roomId) {
        if (event.isState() || event.status !== null) return;
        if (!this.#rooms.has(roomId)) this.#rooms.set(roomId, new Map());
        this.#rooms.get(roomId).set(event.getId(), event);
        // The SDK decrypts on demand only; a screen that shows the room asks.
        void this.#client.decryptEventIfNeeded(event);
        this.tried(event);
    }

    // Called after every attempt to decrypt an event: a key that comes later
    // hides that there was none at first.
    tried(event) {
        if (event.isDecryptionFailure()) this.#failed.add(event.getId());
    }

    in(roomId) {
        return [...(this.#rooms.get(roomId)?.values() ?? [])];
    }

    async describeAll(roomId) {
        return await Promise.all(this.in(roomId).map((event) => this.describe(event)));
    }

    async describe(event) {
        const content = event.getOriginalContent();
        return {
            event_id: event.getId(),
            room_id: event.getRoomId(),
            sender: event.getSender(),
            type: event.getType(),
            msgtype: content.msgtype ?? null,
            body: content.body ?? null,
            content,
            wire_content: event.getWireContent(),
            encrypted: event.getWireType() === "m.room.encrypted",
            decryption_failure: event.isDecryptionFailure() ? event.decryptionFailureReason : null,
            ever_failed: this.#failed.has(event.getId()),
            sender_key: event.getSenderKey(),
            shield: await this.#shield(event),
            redacted: event.isRedacted(),
            timestamp: event.getTs(),
        };
    }

    // The versions of a message in the order of their arrival, without the first;
    // only those that a client would show (spec 11.38.3, "Validity of replacement events").
    edits(roomId, eventId) {
        const original = this.#rooms.get(roomId)?.get(eventId);
        if (original === undefined || original.isRedacted()) return [];
        const isEdit = (event) =>
            replaces(event) === eventId &&
            isReadable(event) &&
            !event.isRedacted() &&
            event.getSender() === original.getSender() &&
            event.getType() === original.getType() &&
            (event.getWireType() === "m.room.encrypted" || original.getWireType() !== "m.room.encrypted") &&
            event.getOriginalContent()["m.new_content"] !== undefined;
        return this.in(roomId).filter(isEdit);
    }

    async #shield(event) {
        const info = await this.#client.getCrypto().getEncryptionInfoForEvent(event);
        if (info === null) return null;
        const { EventShieldColour, EventShieldReason } = cryptoApi;
        return {
            color: EventShieldColour[info.shieldColour].toLowerCase(),
            reason: info.shieldReason === null ? null : EventShieldReason[info.shieldReason],
        };
    }

    // The last few messages of a room in one line, for an error.
    summary(roomId) {
        const events = this.in(roomId);
        if (events.length === 0) return `no message in ${roomId}`;
        const last = events.slice(-5).map((event) => {
            const text = event.isDecryptionFailure()
                ? `undecryptable (${event.decryptionFailureReason})`
                : JSON.stringify(event.getOriginalContent().body ?? null);
            return `${event.getSender()} ${event.getType()} ${text}`;
        });
        return `${events.length} messages, the last: ${last.join(" | ")}`;
    }
}

// The event that this one replies to, or undefined.
export function repliesTo(event) {
    return relationOf(event)?.["m.in_reply_to"]?.event_id;
}

// The event that this one is a reaction to, or undefined.
export function reactsTo(event) {
    const relation = relationOf(event);
    return relation?.rel_type === "m.annotation" ? relation.event_id : undefined;
}

// The event that this one is a new version of, or undefined.
export function replaces(event) {
    const relation = relationOf(event);
    return relation?.rel_type === "m.replace" ? relation.event_id : undefined;
}

// The root of the thread that this event is in, or undefined.
export function threadOf(event) {
    const relation = relationOf(event);
    return relation?.rel_type === "m.thread" ? relation.event_id : undefined;
}

// Whether the event can be read: it was never encrypted, or it is decrypted.
export function isReadable(event) {
    return !event.isDecryptionFailure() && event.getType() !== "m.room.encrypted";
}

// Encryption leaves it outside, for the homeserver to see.
function relationOf(event) {
    return event.getOriginalContent()["m.relates_to"] ?? event.getWireContent()["m.relates_to"];
}
